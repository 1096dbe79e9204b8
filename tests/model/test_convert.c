/* Converting through clip.h: the result embeds like the original. What cannot be written leaves
 * nothing behind.
 * usage: test_convert GOLDEN_DIRECTORY */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoints.h"
#include "clip.h"
#include "failing_alloc.h"
#include "model/store.h"
#include "own_dir.h"

/* Hundreds of checkpoints need not reach the disk. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

static const char *in(const char *where, const char *name)
{
    static char path[8][512];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof *path, "%s/%s", where, name);
    return p;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void forget(const char *name) { shell("rm -rf %s", in(dir, name)); }

static void convert(const char *from, const char *to, const char *layout, const char *type)
{
    const clip_convert_options opt = {.layout = layout, .type = type, .warn = hear};
    clip_error err;
    said[0] = 0;
    if (clip_convert(from, to, &opt, &err) != CLIP_OK)
        fail_msg("%s: %s", from, err.message);
}

/* A picture and a text; ids: instead of the words. */
static void embed_as(const char *path, bool as_ids, float out[2][64])
{
    static const int32_t ids[] = {20, 7, 99, 3, 21}, off[] = {0, 5};
    static uint8_t rgb[40 * 40 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i / 7);
    const clip_image image = {40, 40, 120, rgb};
    const char *text = "a red apple";
    clip_model *m;
    clip_context *ctx;
    clip_error err;
    if (clip_model_load(path, NULL, &m, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_image(ctx, &image, 1, out[0]), CLIP_OK);
    assert_int_equal(as_ids ? clip_encode_tokens(ctx, ids, off, 1, out[1]) : clip_encode_text(ctx, &text, 1, out[1]),
                     CLIP_OK);
    clip_context_free(ctx);
    clip_model_free(m);
}

static void embed(const char *path, float out[2][64]) { embed_as(path, false, out); }

static void embeddings_stay_as_they_are(void **state)
{
    (void)state;
    static const char *const checkpoints[] = {"tiny-vit",    "tiny-vit-eos", "tiny-resnet",
                                              "tiny-openai", "tiny-hf",      "tiny-hf-eos"};
    for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
        static float before[2][64], after[2][64];
        const char *name = checkpoints[i];
        embed(in(golden, name), before);
        convert(in(golden, name), in(dir, "o"), "openclip", NULL);
        embed(in(dir, "o"), after);
        assert_memory_equal(before, after, sizeof before);
        if (strcmp(name, "tiny-resnet") != 0 && strcmp(name, "tiny-vit-eos") != 0) {
            convert(in(golden, name), in(dir, "h"), "hf", NULL);
            embed(in(dir, "h"), after);
            assert_memory_equal(before, after, sizeof before);
            forget("h");
        }
        forget("o");
    }
}

/* Without a tokenizer. The layout of its authors has no configuration: it is written in the other's
 * words, beside its own names. */
static void chinese_clip_stays_as_it_is(void **state)
{
    (void)state;
    static float before[2][64], after[2][64];
    static const char *const checkpoints[] = {"tiny-chinese-clip", "tiny-chinese-clip-own"};
    for (int i = 0; i < 2; i++) {
        embed_as(in(golden, checkpoints[i]), true, before);
        convert(in(golden, checkpoints[i]), in(dir, "c"), "hf-chinese-clip", NULL);
        embed_as(in(dir, "c"), true, after);
        assert_memory_equal(before, after, sizeof before);
        forget("c");
        convert(in(golden, checkpoints[i]), in(dir, "c"), NULL, NULL);
        embed_as(in(dir, "c"), true, after);
        assert_memory_equal(before, after, sizeof before);
        forget("c");
    }
}

/* CLIPSeg's pictures are larger than its positions are for. They are written for that size. */
static void resampled_positions_are_written(void **state)
{
    (void)state;
    static float before[2][64], after[2][64];
    embed_as(in(golden, "tiny-clipseg"), true, before);
    convert(in(golden, "tiny-clipseg"), in(dir, "s"), NULL, "f32");
    embed_as(in(dir, "s"), true, after);
    assert_memory_equal(before, after, sizeof before);
    forget("s");
}

static void what_a_layout_cannot_say_is_refused(void **state)
{
    (void)state;
    const clip_convert_options hf = {.layout = "hf"}, odd = {.layout = "onnx"}, narrow = {.type = "f8"};
    clip_error err;
    assert_int_equal(clip_convert(in(golden, "tiny-resnet"), in(dir, "x"), &hf, &err), CLIP_EUNSUPPORTED);
    assert_int_equal(clip_convert(in(golden, "tiny-vit-eos"), in(dir, "x"), &hf, &err),
                     CLIP_EUNSUPPORTED); /* no norm before the Transformer */
    const clip_convert_options openclip = {.layout = "openclip"}, chinese = {.layout = "hf-chinese-clip"};
    assert_int_equal(clip_convert(in(golden, "tiny-chinese-clip"), in(dir, "x"), &openclip, &err), CLIP_EUNSUPPORTED);
    assert_int_equal(clip_convert(in(golden, "tiny-chinese-clip"), in(dir, "x"), &hf, &err), CLIP_EUNSUPPORTED);
    assert_int_equal(clip_convert(in(golden, "tiny-hf"), in(dir, "x"), &chinese, &err), CLIP_EUNSUPPORTED);
    assert_int_equal(clip_convert(in(golden, "tiny-nllb"), in(dir, "x"), NULL, &err), CLIP_EUNSUPPORTED); /* no name */
    assert_non_null(strstr(err.message, "BERT"));
    assert_int_equal(clip_convert(in(golden, "tiny-vit"), in(dir, "x"), &odd, &err), CLIP_EINVAL);
    assert_int_equal(clip_convert(in(golden, "tiny-vit"), in(dir, "x"), &narrow, &err), CLIP_EINVAL);
    assert_int_equal(clip_convert(in(golden, "tiny-vit"), golden, &hf, &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "not empty"));
    assert_int_equal(clip_convert(in(golden, "tiny-vit"), in(golden, "README.md"), &hf, &err), CLIP_EINVAL);
    assert_int_equal(clip_convert(in(golden, "no"), in(dir, "x"), NULL, &err), CLIP_EIO);
    assert_false(exists(in(dir, "x")) || exists(in(dir, ".x.tmp")));
}

/* The first weight of the file: its name shows the layout. */
static float weight_of(const char *checkpoint, const char *name)
{
    clipmdl_store store;
    clip_error err;
    float w;
    assert_int_equal(clipmdl_store_open(in(checkpoint, "open_clip_model.safetensors"), &store, &err), CLIP_OK);
    const clipmdl_tensor *t = clipmdl_store_find(&store, name);
    assert_non_null(t);
    memcpy(&w, t->data, sizeof w);
    clipmdl_store_close(&store);
    return w;
}

static void a_mean_of_several(void **state)
{
    (void)state;
    static const char *const some[] = {"visual.proj", "text_projection",
                                       "visual.transformer.resblocks.0.attn.in_proj_weight"};
    convert(in(golden, "tiny-vit"), in(dir, "a"), "openclip", "f32");
    convert(in(golden, "tiny-vit"), in(dir, "half"), "openclip", "bf16"); /* close, not the same */
    convert(in(dir, "half"), in(dir, "b"), NULL, "f32");
    char a_path[512], b_path[512];
    const char *more[] = {strcpy(a_path, in(dir, "a")), strcpy(b_path, in(dir, "b"))};
    const clip_convert_options opt = {.average = more, .averages = 2};
    clip_error err;
    assert_int_equal(clip_convert(in(dir, "b"), in(dir, "mean"), &opt, &err), CLIP_OK);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const float a = weight_of(in(dir, "a"), some[i]), b = weight_of(in(dir, "b"), some[i]);
        assert_true(a != b);
        assert_float_equal(weight_of(in(dir, "mean"), some[i]), (a + 2 * b) / 3, 1e-6f * fabsf(a));
    }
    more[1] = strcpy(b_path, in(golden, "tiny-resnet"));
    assert_int_equal(clip_convert(in(dir, "a"), in(dir, "x"), &opt, &err), CLIP_EMISMATCH);
    strcpy(b_path, in(dir, "no"));
    assert_int_equal(clip_convert(in(dir, "a"), in(dir, "x"), &opt, &err), CLIP_EIO);
    assert_false(exists(in(dir, "x")) || exists(in(dir, ".x.tmp")));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const checkpoints[] = {"tiny-vit", "tiny-openai"}; /* with and without a vocabulary */
    for (size_t c = 0; c < sizeof checkpoints / sizeof *checkpoints; c++) {
        char path[512];
        const char *same = strcpy(path, in(golden, checkpoints[c]));
        const clip_convert_options opt = {.layout = "hf", .type = "f16", .average = &same, .averages = 1, .warn = hear};
        for (long n = 1;; n++) {
            clip_error err;
            fail_alloc_at(n);
            clip_status s = clip_convert(same, in(dir, "y"), &opt, &err);
            if (!fail_alloc_stop()) {
                assert_int_equal(s, CLIP_OK);
                break;
            }
            if (s != CLIP_ENOMEM)
                fail_msg("allocation %ld: %s: %s", n, clip_status_name(s), err.message);
            assert_false(exists(in(dir, "y")) || exists(in(dir, ".y.tmp")));
        }
        forget("y");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_stay_as_they_are),
        cmocka_unit_test(chinese_clip_stays_as_it_is),
        cmocka_unit_test(resampled_positions_are_written),
        cmocka_unit_test(what_a_layout_cannot_say_is_refused),
        cmocka_unit_test(a_mean_of_several),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
