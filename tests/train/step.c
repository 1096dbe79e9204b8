#include "step.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static clip_status weights(step *s, const char *dir, const cliptrn_net_options *opt, int threads, clip_error *err)
{
    clipmdl_store store = {0};
    clipmdl_config c;
    char *config = clipb_path_join(dir, "config.json");
    s->family = &clipmdl_openclip;
    clip_status r = config && clipb_is_file(config) ? clipmdl_family_of_config(config, &s->family, err) : CLIP_OK;
    free(config);
    config = clipb_path_join(dir, s->family->config_file);
    char *file = clipb_path_join(dir, s->family->weights_file);
    if (r == CLIP_OK)
        r = config && file ? clipmdl_config_read(s->family, config, &c, NULL, NULL, err) : CLIP_ENOMEM;
    if (r == CLIP_OK)
        r = cliptrn_net_init(&s->net, &c, opt, threads, err);
    if (r == CLIP_OK)
        r = clipmdl_store_open(file, &store, err);
    if (r == CLIP_OK) {
        r = clipmdl_params_read(&s->net.params, &store, s->family, "", s->net.w, err);
        clipmdl_store_close(&store);
    }
    free(config);
    free(file);
    return r;
}

/* A copy, because the store's data may be unaligned. NULL if it is missing or has another type. */
static void *copy(const clipmdl_store *s, const char *name, const char *dtype, size_t *bytes)
{
    const clipmdl_tensor *t = clipmdl_store_find(s, name);
    void *p = t && strcmp(t->dtype, dtype) == 0 ? malloc(t->bytes + 1) : NULL;
    *bytes = 0;
    if (p)
        memcpy(p, t->data, *bytes = t->bytes);
    return p;
}

/* The pixels: F32, or U8 that holds (byte - 128) / 64. NULL if there are none. *n: how many. */
static float *pixels_of(const clipmdl_store *s, size_t *n)
{
    float *pixels = copy(s, "pixels", "F32", n);
    *n /= sizeof *pixels;
    if (pixels)
        return pixels;
    unsigned char *bytes = copy(s, "pixels", "U8", n);
    pixels = bytes ? malloc(*n * sizeof *pixels) : NULL;
    for (size_t i = 0; pixels && i < *n; i++)
        pixels[i] = ((float)bytes[i] - 128) / 64;
    free(bytes);
    return pixels;
}

static clip_status pairs(step *s, const clipmdl_store *store, const char *file, clip_error *err)
{
    const size_t S = (size_t)s->net.config.vision.image_size;
    size_t n_pixels, n_ids, n_off;
    s->pixels = pixels_of(store, &n_pixels);
    s->ids = copy(store, "ids", "I32", &n_ids);
    s->off = copy(store, "off", "I32", &n_off);
    const int N = (int)(n_off / sizeof *s->off) - 1;
    if (!s->pixels || !s->ids || N < 1 || n_pixels != (size_t)N * 3 * S * S ||
        n_ids != (size_t)s->off[N] * sizeof *s->ids)
        return clipb_fail(err, CLIP_EMISMATCH, file, "no batch for this model");
    s->batch = (cliptrn_pairs){.N = N, .pixels = s->pixels, .ids = s->ids, .off = s->off};
    return CLIP_OK;
}

clip_status step_open(step *s, const char *dir, const char *batch, const cliptrn_net_options *opt, int threads,
                      clip_error *err)
{
    clipmdl_store store;
    *s = (step){0};
    TRY(weights(s, dir, opt, threads, err));
    TRY(clipmdl_store_open(batch, &store, err));
    clip_status r = pairs(s, &store, batch, err);
    clipmdl_store_close(&store);
    return r;
}

void step_close(step *s)
{
    cliptrn_net_free(&s->net);
    free(s->pixels);
    free(s->ids);
    free(s->off);
    *s = (step){0};
}
