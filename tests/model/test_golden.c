/* Small checkpoints whose embeddings PyTorch computed (OpenCLIP and transformers;
 * tools/dump_golden.py).
 * usage: test_golden DIRECTORY      one directory of tests/model/golden */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip.h"
#include "npy.h"

/* For unit embeddings from f32 arithmetic in another order. */
#define LARGEST_DIFFERENCE 2e-5f
#define SMALLEST_COSINE 0.99999
#define SMALLEST_COSINE_BF16 0.999
#define SMALLEST_COSINE_INT8 0.996 /* narrow towers lose more */

static const char *golden;

static npy read(const char *name, const char *descr)
{
    char path[1024];
    npy a;
    snprintf(path, sizeof path, "%s/%s", golden, name);
    if (!npy_read(path, descr, &a))
        fail_msg("%s: cannot be read", path);
    return a;
}

static void warned(void *user, const char *message)
{
    (void)user;
    print_message("warning: %s\n", message);
}

static clip_model *load_mapped(const char *isa, const char *precision, int mapped)
{
    clip_load_options opt = clip_load_options_default();
    clip_model *m;
    clip_error err;
    opt.isa = isa;
    opt.precision = precision;
    opt.mapped = mapped;
    opt.warn = warned;
    if (clip_model_load(golden, &opt, &m, &err) < 0)
        fail_msg("%s", err.message);
    return m;
}

static clip_model *load(const char *isa, const char *precision) { return load_mapped(isa, precision, 0); }

static void close_to(const clip_model *m, const float *is, const npy *should, const char *what)
{
    clip_model_info info;
    clip_model_get_info(m, &info);
    const bool exact = strcmp(info.precision, "f32") == 0;
    const double cosine = exact                                ? SMALLEST_COSINE
                          : strcmp(info.precision, "bf16") == 0 ? SMALLEST_COSINE_BF16
                                                                : SMALLEST_COSINE_INT8;
    double farthest = 0;
    const long D = should->dim[1];
    for (long n = 0; n < should->dim[0]; n++) {
        const float *a = is + n * D, *b = (const float *)should->data + n * D;
        double dot = 0, most = 0;
        for (long d = 0; d < D; d++) {
            dot += (double)a[d] * b[d];
            most = fmax(most, fabs((double)a[d] - b[d]));
        }
        if (!(dot >= cosine && (!exact || most <= LARGEST_DIFFERENCE)))
            fail_msg("%s %ld: cosine %.7f, largest difference %.3g", what, n, dot, most);
        farthest = fmax(farthest, most);
    }
    assert_true(exact || farthest > LARGEST_DIFFERENCE); /* otherwise the precision was not used */
}

static float *encode_pixels(const clip_model *m, int threads, const npy *pixels, int at_once)
{
    clip_model_info info;
    clip_context *ctx;
    clip_model_get_info(m, &info);
    const size_t each = pixels->count / (size_t)pixels->dim[0], D = (size_t)info.embed_dim;
    float *out = malloc((size_t)pixels->dim[0] * D * sizeof *out);
    assert_int_equal(clip_context_new(m, threads, &ctx), CLIP_OK);
    for (int i = 0; i < pixels->dim[0]; i += at_once) {
        int n = (int)pixels->dim[0] - i < at_once ? (int)pixels->dim[0] - i : at_once;
        assert_int_equal(
            clip_encode_pixels(ctx, (const float *)pixels->data + (size_t)i * each, n, out + (size_t)i * D), CLIP_OK);
    }
    clip_context_free(ctx);
    return out;
}

static float *encode_tokens(const clip_model *m, int threads, const npy *ids, const npy *offsets, int at_once)
{
    clip_model_info info;
    clip_context *ctx;
    clip_model_get_info(m, &info);
    const int N = (int)offsets->count - 1;
    const int32_t *off = offsets->data;
    float *out = malloc((size_t)N * (size_t)info.embed_dim * sizeof *out);
    assert_int_equal(clip_context_new(m, threads, &ctx), CLIP_OK);
    for (int i = 0; i < N; i += at_once) {
        int n = N - i < at_once ? N - i : at_once;
        assert_int_equal(clip_encode_tokens(ctx, ids->data, off + i, n, out + (size_t)i * (size_t)info.embed_dim),
                         CLIP_OK);
    }
    clip_context_free(ctx);
    return out;
}

static void on_every_instruction_set(const char *precision, void (*check)(const clip_model *m))
{
    static const char *const sets[] = {"avx512", "avx2", "neon", "generic", "ref"};
    int tried = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        clip_load_options opt = clip_load_options_default();
        clip_model *m;
        clip_error err;
        opt.isa = sets[i];
        opt.precision = precision;
        clip_status s = clip_model_load(golden, &opt, &m, &err);
        if (s == CLIP_EINVAL || (s == CLIP_EUNSUPPORTED && precision)) /* this machine lacks it */
            continue;
        assert_int_equal(s, CLIP_OK);
        check(m);
        clip_model_free(m);
        tried++;
    }
    assert_true(tried >= (precision ? 1 : 2));
}

static void check_pictures(const clip_model *m)
{
    npy pixels = read("pixels.npy", "<f4"), should = read("image.npy", "<f4");
    float *is = encode_pixels(m, 2, &pixels, (int)pixels.dim[0]);
    close_to(m, is, &should, "picture");
    free(is);
    free(pixels.data);
    free(should.data);
}

static void pictures_equal_pytorch(void **state)
{
    (void)state;
    on_every_instruction_set(NULL, check_pictures);
}

static void check_texts(const clip_model *m)
{
    npy ids = read("ids.npy", "<i4"), offsets = read("offsets.npy", "<i4"), should = read("text.npy", "<f4");
    float *is = encode_tokens(m, 2, &ids, &offsets, (int)offsets.count);
    close_to(m, is, &should, "text");
    free(is);
    free(ids.data);
    free(offsets.data);
    free(should.data);
}

static void texts_equal_pytorch(void **state)
{
    (void)state;
    on_every_instruction_set(NULL, check_texts);
}

static void bf16_is_near(void **state)
{
    (void)state;
    on_every_instruction_set("bf16", check_pictures);
    on_every_instruction_set("bf16", check_texts);
}

static void int8_is_near(void **state)
{
    (void)state;
    on_every_instruction_set("int8", check_pictures);
    on_every_instruction_set("int8", check_texts);
}

static void batches_equal_singles(clip_model *m)
{
    clip_model_info info;
    clip_model_get_info(m, &info);
    npy pixels = read("pixels.npy", "<f4"), ids = read("ids.npy", "<i4"), offsets = read("offsets.npy", "<i4");
    const size_t D = (size_t)info.embed_dim * sizeof(float), N = (size_t)pixels.dim[0], T = offsets.count - 1;
    float *all = encode_pixels(m, 1, &pixels, (int)N), *texts = encode_tokens(m, 1, &ids, &offsets, (int)T);
    for (int threads = 1; threads <= 3; threads++)
        for (int at_once = 1; at_once <= 3; at_once++) {
            float *some = encode_pixels(m, threads, &pixels, at_once);
            assert_memory_equal(all, some, N * D);
            free(some);
            some = encode_tokens(m, threads, &ids, &offsets, at_once);
            assert_memory_equal(texts, some, T * D);
            free(some);
        }
    free(all);
    free(texts);
    free(pixels.data);
    free(ids.data);
    free(offsets.data);
    clip_model_free(m);
}

static void batches_equal_singles_bit_for_bit(void **state)
{
    (void)state;
    batches_equal_singles(load(NULL, "f32"));
    batches_equal_singles(load("ref", "bf16"));
    batches_equal_singles(load(NULL, "int8"));
    if (strstr(clip_build_info(), "bf16"))
        batches_equal_singles(load(NULL, "bf16"));
}

/* m, which is packed, and the same model with matrices that stay in the file. */
static void mapped_equals(const clip_model *m)
{
    clip_model_info info;
    clip_model_get_info(m, &info);
    clip_model *mapped = load_mapped(info.isa, info.precision, CLIP_TOWER_BOTH);
    npy pixels = read("pixels.npy", "<f4"), ids = read("ids.npy", "<i4"), offsets = read("offsets.npy", "<i4");
    const size_t D = (size_t)info.embed_dim * sizeof(float);
    const int N = (int)pixels.dim[0], T = (int)offsets.count - 1;
    for (int again = 0; again < 2; again++) { /* the pages that were given back are read again */
        float *should = encode_pixels(m, 2, &pixels, N), *is = encode_pixels(mapped, 2, &pixels, 1 + again);
        assert_memory_equal(is, should, (size_t)N * D);
        free(should);
        free(is);
        should = encode_tokens(m, 2, &ids, &offsets, T);
        is = encode_tokens(mapped, 1, &ids, &offsets, T - again);
        assert_memory_equal(is, should, (size_t)T * D);
        free(should);
        free(is);
    }
    free(pixels.data);
    free(ids.data);
    free(offsets.data);
    clip_model_free(mapped);
}

static void mapped_equals_packed_bit_for_bit(void **state)
{
    (void)state;
    on_every_instruction_set(NULL, mapped_equals);
    on_every_instruction_set("bf16", mapped_equals);
}

static void the_scale_is_read(void **state)
{
    (void)state;
    npy scale = read("logit_scale.npy", "<f4");
    clip_model *m = load(NULL, NULL);
    clip_model_info info;
    clip_model_get_info(m, &info);
    float should = *(const float *)scale.data;
    assert_true(fabsf(info.logit_scale - should) <= 1e-5f * should);
    free(scale.data);
    clip_model_free(m);
}

static void one_tower_is_enough(void **state)
{
    (void)state;
    for (int tower = CLIP_TOWER_IMAGE; tower <= CLIP_TOWER_TEXT; tower++) {
        clip_load_options opt = clip_load_options_default();
        clip_model *m;
        clip_context *ctx;
        clip_error err;
        float pixel = 0, out;
        const char *text = "a";
        opt.towers = tower;
        assert_int_equal(clip_model_load(golden, &opt, &m, &err), CLIP_OK);
        assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
        if (tower == CLIP_TOWER_IMAGE) {
            check_pictures(m);
            assert_int_equal(clip_encode_text(ctx, &text, 1, &out), CLIP_EINVAL);
        } else {
            check_texts(m);
            assert_int_equal(clip_encode_pixels(ctx, &pixel, 1, &out), CLIP_EINVAL);
        }
        clip_context_free(ctx);
        clip_model_free(m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_equal_pytorch), cmocka_unit_test(texts_equal_pytorch), cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(int8_is_near),
        cmocka_unit_test(batches_equal_singles_bit_for_bit), cmocka_unit_test(mapped_equals_packed_bit_for_bit),
        cmocka_unit_test(the_scale_is_read),      cmocka_unit_test(one_tower_is_enough),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
