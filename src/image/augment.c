/* augment.c: random views and colors: what each setting draws and does. */
#include "image/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "image/augment_affine.h"
#include "image/resize.h"

enum { TRIES = 10 }; /* to find a box that fits, as in torchvision and timm */

clipimg_augment clipimg_augment_default(void)
{
    return (clipimg_augment){.scale = {0.9f, 1.0f}, .ratio = {3.0f / 4.0f, 4.0f / 3.0f}, .affine = {.zoom = {1, 1}}};
}

static bool happens(clipb_rng *rng, float probability) { return probability > 0 && clipb_rng_float(rng) < probability; }
static int random_upto(clipb_rng *rng, int n) { return (int)clipb_rng_below(rng, (uint32_t)n + 1); } /* 0 .. n */

/* ---- RandomResizedCrop ---- */

/* The sides of a box with this area and this aspect w / h. */
static void box_sides(double area, double aspect, double *w, double *h)
{
    *w = rint(sqrt(area * aspect));
    *h = rint(sqrt(area / aspect));
}

clipimg_box clipimg_augment_box(const clipimg_augment *a, clipb_rng *rng, int width, int height)
{
    const float log_lo = logf(a->ratio[0]), log_hi = logf(a->ratio[1]);
    for (int i = 0; i < TRIES; i++) {
        const double area = (double)width * height * clipb_rng_between(rng, a->scale[0], a->scale[1]);
        double w, h;
        box_sides(area, exp(clipb_rng_between(rng, log_lo, log_hi)), &w, &h);
        if (w >= 1 && w <= width && h >= 1 && h <= height) {
            clipimg_box box = {.width = (int)w, .height = (int)h};
            box.y = random_upto(rng, height - box.height);
            box.x = random_upto(rng, width - box.width);
            return box;
        }
    }
    /* No box fits: take the largest in the middle, with its aspect brought into the range. */
    const double aspect = (double)width / height;
    clipimg_box box = {.width = width, .height = height};
    if (aspect < a->ratio[0])
        box.height = (int)rint(width / (double)a->ratio[0]);
    else if (aspect > a->ratio[1])
        box.width = (int)rint(height * (double)a->ratio[1]);
    box.width = box.width < 1 ? 1 : box.width > width ? width : box.width;
    box.height = box.height < 1 ? 1 : box.height > height ? height : box.height;
    box.x = (width - box.width) / 2;
    box.y = (height - box.height) / 2;
    return box;
}

static clip_status random_crop(const clipimg_augment *a, clipb_rng *rng, const clipimg_recipe *r, const clip_image *img,
                               const clip_image *out)
{
    const clipimg_box box = clipimg_augment_box(a, rng, img->width, img->height);
    clip_image part = {.width = box.width, .height = box.height, .stride = img->stride};
    part.rgb = img->rgb + (size_t)box.y * img->stride + 3 * (size_t)box.x;
    return clipimg_resize_window(clipimg_best_passes(), &part, r->size, r->size, r->filter, 0, 0, out);
}

/* ---- Color ---- */

static void color_jitter(const clipimg_augment *a, clipb_rng *rng, uint8_t *rgb, size_t n)
{
    static void (*const change[4])(uint8_t *, size_t, float) = {clipimg_brightness, clipimg_contrast,
                                                                clipimg_saturation, clipimg_hue};
    int order[4] = {0, 1, 2, 3};
    float by[4];
    for (int i = 3; i > 0; i--) {
        const int k = random_upto(rng, i), other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
    for (int i = 0; i < 4; i++) {
        const float range = a->color_jitter[i], least = i == 3 ? -range : fmaxf(0, 1 - range);
        by[i] = clipb_rng_between(rng, least, i == 3 ? range : 1 + range);
    }
    for (int i = 0; i < 4; i++)
        if (a->color_jitter[order[i]] > 0)
            change[order[i]](rgb, n, by[order[i]]);
}

/* Bytes to the encoder's input. The linear changes and the flip are done on the way. */
static void normalise(const clipimg_augment *a, clipb_rng *rng, const clipimg_recipe *r, const uint8_t *rgb, float *out)
{
    const size_t S = (size_t)r->size;
    const bool flip = happens(rng, a->hflip);
    const float contrast = a->contrast > 0 ? clipb_rng_between(rng, 1 - a->contrast, 1 + a->contrast) : 1;
    float level[3][256];
    for (int c = 0; c < 3; c++) {
        const float shift = a->channel_shift > 0 ? clipb_rng_between(rng, -a->channel_shift, a->channel_shift) : 0;
        for (int v = 0; v < 256; v++) {
            float x = (float)v / 255.0f;
            if (contrast != 1 || shift != 0)
                x = 0.5f + (x - 0.5f) * contrast + shift;
            level[c][v] = (x - r->mean[c]) / r->std[c];
        }
    }
    for (size_t y = 0; y < S; y++)
        for (size_t x = 0; x < S; x++) {
            const uint8_t *p = rgb + 3 * (y * S + (flip ? S - 1 - x : x));
            for (size_t c = 0; c < 3; c++)
                out[(c * S + y) * S + x] = level[c][p[c]];
        }
}

/* timm's RandomErasing, mode "const", one box. */
static void erase_box(clipb_rng *rng, int S, float *out)
{
    const float widest = logf(1 / 0.3f);
    for (int i = 0; i < TRIES; i++) {
        const double area = (double)S * S * clipb_rng_between(rng, 0.02f, 1 / 3.0f);
        double w, h;
        box_sides(area, exp(clipb_rng_between(rng, -widest, widest)), &w, &h);
        if (w >= S || h >= S)
            continue;
        const int top = random_upto(rng, S - (int)h), left = random_upto(rng, S - (int)w);
        for (int c = 0; c < 3; c++)
            for (int y = top; y < top + (int)h; y++)
                memset(out + ((size_t)c * (size_t)S + (size_t)y) * (size_t)S + left, 0, (size_t)w * sizeof *out);
        return;
    }
}

clip_status clipimg_augment_apply(const clipimg_augment *a, clipb_rng *rng, const clipimg_recipe *r,
                                  const clip_image *img, float *out)
{
    if (!img->rgb || img->width < 1 || img->height < 1 || r->size < 1)
        return CLIP_EINVAL;
    const size_t S = (size_t)r->size;
    clip_image view = {.width = r->size, .height = r->size, .stride = 3 * S, .rgb = malloc(3 * S * S)};
    if (!view.rgb)
        return CLIP_ENOMEM;
    clip_status s =
        a->affine.on ? clipimg_affine_view(&a->affine, rng, r, img, &view) : random_crop(a, rng, r, img, &view);
    if (s == CLIP_OK) {
        if (happens(rng, a->color_jitter_prob))
            color_jitter(a, rng, view.rgb, S * S);
        if (happens(rng, a->gray_scale_prob))
            clipimg_saturation(view.rgb, S * S, 0);
        normalise(a, rng, r, view.rgb, out);
        if (happens(rng, a->re_prob))
            erase_box(rng, r->size, out);
    }
    free(view.rgb);
    return s;
}

/* ---- Settings ---- */

/* Numbers within [lo, hi]: a single number for n = 1, else a list of n. */
static clip_status read_numbers(const cJSON *v, float lo, float hi, float *out, int n, bool rising, const char *file,
                                clip_error *err)
{
    bool good = n == 1 ? cJSON_IsNumber(v) : cJSON_IsArray(v) && cJSON_GetArraySize(v) == n;
    const cJSON *e = n == 1 ? v : v->child;
    for (int i = 0; good && i < n; i++, e = e->next) {
        good = cJSON_IsNumber(e) && e->valuedouble >= lo && e->valuedouble <= hi;
        out[i] = good ? (float)e->valuedouble : 0;
    }
    if (good && rising)
        good = out[0] <= out[1];
    if (good)
        return CLIP_OK;
    if (n == 1)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be a number from %g to %g", v->string, (double)lo,
                          (double)hi);
    return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be a list of %d %snumbers from %g to %g", v->string, n,
                      rising ? "rising " : "", (double)lo, (double)hi);
}

typedef struct setting {
    const char *key;
    float *out;
    int n;
    float lo, hi;
} setting;

/* Reads the settings s. Any other key in `o` is an error, except `other`, which the caller reads.
 * Lists of two numbers are ranges. */
static clip_status read_settings(const cJSON *o, const setting *s, size_t n, const char *other, const char *file,
                                 clip_error *err)
{
    const cJSON *v;
    if (!cJSON_IsObject(o))
        return clipb_fail(err, CLIP_EFORMAT, file, "the augmentation must be a JSON object");
    cJSON_ArrayForEach(v, o)
    {
        size_t i = 0;
        while (i < n && strcmp(v->string, s[i].key) != 0)
            i++;
        if (i < n && !cJSON_IsNull(v))
            TRY(read_numbers(v, s[i].lo, s[i].hi, s[i].out, s[i].n, s[i].n == 2, file, err));
        if (i == n && !(other && strcmp(v->string, other) == 0))
            return clipb_fail(err, CLIP_EFORMAT, file, "the augmentation has no setting \"%.100s\"", v->string);
    }
    return CLIP_OK;
}

clip_status clipimg_augment_json(const cJSON *o, clipimg_augment *out, const char *file, clip_error *err)
{
    *out = clipimg_augment_default();
    const setting top[] = {
        {"scale", out->scale, 2, 1e-4f, 1},
        {"ratio", out->ratio, 2, 0.01f, 100},
        {"color_jitter", out->color_jitter, 4, 0, 10},
        {"color_jitter_prob", &out->color_jitter_prob, 1, 0, 1},
        {"gray_scale_prob", &out->gray_scale_prob, 1, 0, 1},
        {"hflip", &out->hflip, 1, 0, 1},
        {"contrast", &out->contrast, 1, 0, 1},
        {"channel_shift", &out->channel_shift, 1, 0, 1},
        {"re_prob", &out->re_prob, 1, 0, 1},
    };
    TRY(read_settings(o, top, sizeof top / sizeof *top, "affine", file, err));
    if (out->color_jitter[3] > 0.5f)
        return clipb_fail(err, CLIP_EFORMAT, file, "the last number of \"color_jitter\" (the hue) must be at most 0.5");
    const cJSON *affine = clipb_json_find(o, "affine");
    if (!affine)
        return CLIP_OK;
    clipimg_affine *f = &out->affine;
    const setting inner[] = {{"zoom", f->zoom, 2, 0.01f, 100},
                             {"aspect", &f->aspect, 1, 0, 10},
                             {"shift", &f->shift, 1, 0, 1},
                             {"rotate", &f->rotate, 1, 0, 180}};
    TRY(read_settings(affine, inner, sizeof inner / sizeof *inner, NULL, file, err));
    if (clipb_json_find(o, "scale") || clipb_json_find(o, "ratio"))
        return clipb_fail(err, CLIP_EFORMAT, file,
                          "\"scale\" and \"ratio\" (a crop) cannot be combined with \"affine\"");
    f->on = true;
    return CLIP_OK;
}
