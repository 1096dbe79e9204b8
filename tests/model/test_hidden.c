/* Encoders alone: the hidden states that transformers and OpenCLIP compute for tiny ones
 * (tools/dump_hidden.py), and what is refused.
 * usage: test_hidden DIRECTORY      tests/model/golden/hidden */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoints.h"
#include "clip.h"
#include "npy.h"

#define LARGEST_DIFFERENCE 1e-5 /* relative to the largest value */

static const int32_t ids[] = {38, 39, 38, 1, 2, 3, 39, 38, 5, 6, 7, 8, 9, 10, 39}, off[] = {0, 2, 7, 15};
enum { TEXTS = 3, PICTURES = 2 };

static clip_status try_load(const char *name, int towers, const char *prefix, clip_model **m, clip_error *err)
{
    clip_load_options opt = clip_load_options_default();
    opt.towers = towers;
    opt.prefix = prefix;
    return clip_model_load(in_golden(name), &opt, m, err);
}

typedef struct fixture {
    clip_model *m;
    clip_context *ctx;
    clip_model_info info;
} fixture;

static fixture load(const char *name, const char *prefix)
{
    fixture f;
    clip_error err;
    if (try_load(name, CLIP_TOWER_BOTH, prefix, &f.m, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(clip_context_new(f.m, 2, &f.ctx), CLIP_OK);
    clip_model_get_info(f.m, &f.info);
    return f;
}

static void release(fixture *f)
{
    clip_context_free(f->ctx);
    clip_model_free(f->m);
}

static npy read(const char *name)
{
    npy a;
    if (!npy_read(in_golden(name), "<f4", &a))
        fail_msg("%s: cannot be read", name);
    return a;
}

static void close_to(const float *is, const char *name)
{
    npy a = read(name);
    const float *should = a.data;
    double most = 0, largest = 0;
    for (size_t i = 0; i < a.count; i++) {
        if (!(fabs((double)is[i] - should[i]) <= most))
            most = fabs((double)is[i] - should[i]);
        largest = fmax(largest, fabs((double)should[i]));
    }
    if (!(most <= LARGEST_DIFFERENCE * largest))
        fail_msg("%s: differs by %.3g of %.3g", name, most, largest);
    free(a.data);
}

static clip_hidden_options at(int layer, int final_norm)
{
    clip_hidden_options o = clip_hidden_options_default();
    o.layer = layer;
    o.final_norm = final_norm;
    return o;
}

static void every_layer_of_a_text(void **state)
{
    (void)state;
    fixture f = load("text", NULL);
    float states[TEXTS * 8 * 64], again[TEXTS * 8 * 64], pooled[TEXTS * 64];
    const clip_hidden out = {.states = states, .pooled = pooled}, only = {.states = again};
    assert_int_equal(f.info.towers, CLIP_TOWER_TEXT);
    assert_int_equal(f.info.embed_dim, 0);
    assert_int_equal(f.info.pad_id, 39);
    for (int layer = 0; layer <= 3; layer++) {
        char name[32];
        const clip_hidden_options o = at(layer, 0), back = at(layer - 4, 0);
        snprintf(name, sizeof name, "text-%d.npy", layer);
        assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, &o, &out), CLIP_OK);
        close_to(states, name);
        close_to(pooled, "text-pooled.npy");
        assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, &back, &only), CLIP_OK); /* from the end only */
        assert_memory_equal(states, again, sizeof states);
    }
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, NULL, &only), CLIP_OK);
    close_to(again, "text-last.npy");
    for (int i = 0; i < TEXTS; i++) { /* a batch is its texts one by one */
        assert_int_equal(clip_hidden_tokens(f.ctx, ids, off + i, 1, NULL, &(clip_hidden){.states = states}), CLIP_OK);
        assert_memory_equal(states, again + i * 8 * 64, 8 * 64 * sizeof *states);
    }
    memset(pooled, 0, sizeof pooled);
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, NULL, &(clip_hidden){.pooled = pooled}),
                     CLIP_OK); /* without padding */
    close_to(pooled, "text-pooled.npy");
    release(&f);
}

static void every_layer_of_a_picture(void **state)
{
    (void)state;
    fixture f = load("vision", NULL);
    float states[PICTURES * 5 * 32], pooled[PICTURES * 32], projected[PICTURES * 24];
    const clip_hidden out = {states, pooled, projected};
    npy pixels = read("pixels.npy");
    assert_int_equal(f.info.towers, CLIP_TOWER_IMAGE);
    assert_int_equal(f.info.vision_tokens, 5);
    assert_int_equal(f.info.embed_dim, 24);
    for (int layer = 0; layer <= 3; layer++) {
        char name[32];
        const clip_hidden_options o = at(layer, -1);
        snprintf(name, sizeof name, "vision-%d.npy", layer);
        assert_int_equal(clip_hidden_pixels(f.ctx, pixels.data, PICTURES, &o, &out), CLIP_OK);
        close_to(states, name);
        close_to(pooled, "vision-pooled.npy");
        close_to(projected, "vision-projected.npy");
    }
    free(pixels.data);
    release(&f);
}

static void one_of_two_in_a_file(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    float states[TEXTS * 8 * 64], projected[TEXTS * 64];
    assert_int_equal(try_load("two.safetensors", CLIP_TOWER_BOTH, NULL, &m, &err), CLIP_EINVAL);
    assert_null(m);
    assert_non_null(strstr(
        err.message,
        "'conditioner.embedders.0.transformer.' (text encoder), 'conditioner.embedders.1.model.' (text encoder)"));
    fixture f = load("two.safetensors", "conditioner.embedders.0");
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, NULL, &(clip_hidden){.states = states}), CLIP_OK);
    close_to(states, "text-last.npy");
    release(&f);
    f = load("two.safetensors", "conditioner.embedders.1.");
    assert_int_equal(f.info.pad_id, 0);
    assert_null(f.info.vision_kind);
    assert_null(f.info.interpolation);
    assert_int_equal(f.info.image_size, 0);
    const clip_hidden_options plain = at(-2, -1), normed = at(-2, 1);
    assert_int_equal(
        clip_hidden_tokens(f.ctx, ids, off, TEXTS, &plain, &(clip_hidden){.states = states, .projected = projected}),
        CLIP_OK);
    close_to(states, "two-1.npy");
    close_to(projected, "two-projected.npy");
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, &normed, &(clip_hidden){.states = states}), CLIP_OK);
    close_to(states, "two-1-normed.npy");
    release(&f);
}

/* The last norm is an RMSNorm, which the tower applies by itself. */
static void a_norm_of_another_kind(void **state)
{
    (void)state;
    static const int32_t text[] = {574, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 575}, ends[] = {0, 16};
    float words[16 * 32], plain[16 * 32], pooled[32], picture[16 * 40];
    fixture f = load("../tiny-aimv2", NULL);
    npy pixels = read("../tiny-aimv2/pixels.npy");
    const clip_hidden_options normed = at(-1, 1), bare = at(-1, 0);
    const clip_hidden out = {.states = words, .pooled = pooled};
    assert_int_equal(clip_hidden_tokens(f.ctx, text, ends, 1, NULL, &out), CLIP_OK);
    close_to(words, "aimv2-text.npy");
    assert_memory_equal(pooled, words + 15 * 32, sizeof pooled); /* of the end token */
    assert_int_equal(clip_hidden_tokens(f.ctx, text, ends, 1, &bare, &(clip_hidden){.states = plain}), CLIP_OK);
    assert_memory_not_equal(plain, words, sizeof plain);
    assert_int_equal(clip_hidden_pixels(f.ctx, pixels.data, 1, &normed, &(clip_hidden){.states = picture}), CLIP_OK);
    close_to(picture, "aimv2-vision.npy");
    free(pixels.data);
    release(&f);
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    float out[TEXTS * 8 * 64];
    const clip_hidden states = {.states = out};
    static const int layers[] = {4, -5, 1 << 30, -(1 << 30)};
    assert_int_equal(try_load("text", CLIP_TOWER_IMAGE, NULL, &m, &err), CLIP_EMISMATCH);
    assert_non_null(strstr(err.message, "holds no image encoder"));
    assert_int_equal(try_load("two.safetensors", CLIP_TOWER_BOTH, "conditioner.embedders.2", &m, &err), CLIP_EMISMATCH);
    assert_non_null(strstr(err.message, "no tensor below 'conditioner.embedders.2'"));
    fixture f = load("text", NULL);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const clip_hidden_options o = at(layers[i], -1);
        assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, &o, &states), CLIP_EINVAL);
    }
    clip_hidden_options o = clip_hidden_options_default();
    o.pad_id = 40;
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, &o, &states), CLIP_EINVAL);
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, NULL, &(clip_hidden){.projected = out}), CLIP_EINVAL);
    assert_int_equal(clip_encode_tokens(f.ctx, ids, off, TEXTS, out), CLIP_EINVAL);
    assert_int_equal(clip_hidden_pixels(f.ctx, out, 1, NULL, &states), CLIP_EINVAL);
    assert_int_equal(clip_hidden_tokens(f.ctx, ids, off, TEXTS, NULL, &(clip_hidden){0}), CLIP_EINVAL);
    release(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_of_a_text),
        cmocka_unit_test(every_layer_of_a_picture),
        cmocka_unit_test(one_of_two_in_a_file),
        cmocka_unit_test(a_norm_of_another_kind),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
