/* Checkpoints with weights in 8 bits: the same bits as from the weights that they were made of, and
 * every fault of such a file named.
 * usage: test_int8_file GOLDEN_DIRECTORY */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "altered.h"
#include "engine/engine.h"
#include "failing_alloc.h"

/* Hundreds of checkpoints need not reach the disk. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

#define FILE_NAME "clip_int8.safetensors"
#define IN_PROJ "transformer.resblocks.0.attn.in_proj_weight"

static void convert(const char *from, const char *to, const char *layout, const char *type)
{
    const clip_convert_options opt = {.layout = layout, .type = type, .warn = hear};
    clip_error err;
    shell("rm -rf %s", to);
    if (clip_convert(from, to, &opt, &err) != CLIP_OK)
        fail_msg("%s: %s", from, err.message);
}

static clip_status load_as(const char *path, const char *precision, clip_model **m, clip_error *err)
{
    clip_load_options opt = clip_load_options_default();
    opt.threads = 2;
    opt.precision = precision;
    return clip_model_load(path, &opt, m, err);
}

typedef struct embeddings {
    float image[64], text[64];
} embeddings;

static embeddings embed(const char *path, const char *precision)
{
    static const int32_t ids[] = {20, 7, 99, 3, 21}, off[] = {0, 5};
    static uint8_t rgb[40 * 40 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i / 7);
    const clip_image image = {40, 40, 120, rgb};
    embeddings e = {{0}, {0}};
    clip_model *m;
    clip_context *ctx;
    clip_error err;
    if (load_as(path, precision, &m, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_image(ctx, &image, 1, e.image), CLIP_OK);
    assert_int_equal(clip_encode_tokens(ctx, ids, off, 1, e.text), CLIP_OK);
    clip_context_free(ctx);
    clip_model_free(m);
    return e;
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < 64; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* ---- The same bits --------------------------------------------------------------------------- */

/* From a file of f16 all numbers are kept. Also through another layout. */
static void the_bits_of_the_weights(void **state)
{
    static const char *const checkpoints[] = {"tiny-vit",    "tiny-vit-eos", "tiny-resnet",       "tiny-openai",
                                              "tiny-hf",     "tiny-hf-eos",  "tiny-chinese-clip", "tiny-longclip",
                                              "tiny-naflex", "tiny-chinese-clip-own"};
    (void)state;
    for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
        const char *name = checkpoints[i];
        convert(in_golden(name), in_dir("half"), NULL, "f16");
        convert(in_dir("half"), in_dir("q"), NULL, "int8");
        const embeddings float_ = embed(in_dir("half"), NULL), want = embed(in_dir("half"), "int8"),
                         is = embed(in_dir("q"), NULL), said_so = embed(in_dir("q"), "int8");
        if (memcmp(&is, &want, sizeof is) != 0 || memcmp(&said_so, &want, sizeof is) != 0)
            fail_msg("%s: the file in 8 bits has other embeddings", name);
        assert_true(memcmp(&want, &float_, sizeof want) != 0);
        assert_true(cosine(is.image, float_.image) > 0.998 && cosine(is.text, float_.text) > 0.998);
    }
    convert(in_golden("tiny-hf"), in_dir("half"), NULL, "f16");
    convert(in_dir("half"), in_dir("one"), "openclip", "f16");
    convert(in_dir("half"), in_dir("q"), "openclip", "int8"); /* q, k and v in one tensor, in three before */
    const embeddings want = embed(in_dir("one"), "int8"), is = embed(in_dir("q"), NULL);
    assert_memory_equal(&is, &want, sizeof is);
    shell("rm -rf %s/*", dir);
}

/* From a file of f32 a ViT's pictures are the same, and texts but for the table of tokens. bf16
 * stays bf16. */
static void what_is_rounded(void **state)
{
    (void)state;
    convert(in_golden("tiny-vit"), in_dir("wide"), NULL, "f32");
    convert(in_dir("wide"), in_dir("q"), NULL, "int8");
    embeddings want = embed(in_dir("wide"), "int8"), is = embed(in_dir("q"), NULL);
    assert_memory_equal(is.image, want.image, sizeof is.image);
    assert_true(memcmp(is.text, want.text, sizeof is.text) != 0);
    assert_true(cosine(is.text, want.text) > 0.9999);
    convert(in_golden("tiny-resnet"), in_dir("half"), NULL, "bf16");
    convert(in_dir("half"), in_dir("q"), NULL, "int8");
    want = embed(in_dir("half"), "int8");
    is = embed(in_dir("q"), NULL);
    assert_memory_equal(&is, &want, sizeof is);
    shell("rm -rf %s/*", dir);
}

/* A number that f16 does not hold. */
static void a_table_beyond_f16_stays_f32(void **state)
{
    clipmdl_store s;
    clip_error err;
    (void)state;
    convert(in_golden("tiny-vit"), in_dir("wide"), NULL, "f32");
    assert_int_equal(clipmdl_store_open(in_dir("wide/open_clip_model.safetensors"), &s, &err), CLIP_OK);
    const clipmdl_tensor *t = clipmdl_store_find(&s, "token_embedding.weight");
    FILE *f = fopen(in_dir("wide/open_clip_model.safetensors"), "r+b");
    assert_int_equal(fseek(f, (long)(t->data - s.map[0].data), SEEK_SET), 0);
    fwrite(&(float){7e4f}, sizeof(float), 1, f);
    fclose(f);
    clipmdl_store_close(&s);
    convert(in_dir("wide"), in_dir("q"), NULL, "int8");
    const embeddings want = embed(in_dir("wide"), "int8"), is = embed(in_dir("q"), NULL);
    assert_memory_equal(&is, &want, sizeof is);
    shell("rm -rf %s/*", dir);
}

/* ---- What such a model is -------------------------------------------------------------------- */

static void the_model_says_so(void **state)
{
    clip_model *m;
    clip_model_info info;
    clip_error err;
    char own[33], before[33];
    (void)state;
    convert(in_golden("tiny-vit"), in_dir("q"), NULL, "int8");
    assert_int_equal(load_as(in_golden("tiny-vit"), NULL, &m, &err), CLIP_OK);
    clip_weights_hash(m, before);
    clip_model_get_info(m, &info);
    const int64_t parameters = info.parameters;
    clip_model_free(m);
    assert_int_equal(load_as(in_dir("q"), NULL, &m, &err), CLIP_OK);
    clip_model_get_info(m, &info);
    assert_string_equal(info.weights_type, "int8");
    assert_string_equal(info.precision, "int8");
    assert_int_equal(info.parameters, parameters);
    clip_weights_hash(m, own);
    assert_string_not_equal(own, before);
    assert_int_equal(clip_explain_side(m), 16); /* by occlusion */
    clip_model_free(m);
    static const char *const others[] = {"f32", "bf16"};
    for (int i = 0; i < 2; i++) {
        const clip_status s = load_as(in_dir("q"), others[i], &m, &err);
        assert_int_equal(s, CLIP_EUNSUPPORTED);
        says(err.message, i ? "bf16" : FILE_NAME ": its weights are in 8 bits, so its precision is int8, not f32");
        assert_null(m);
    }
}

static void not_converted_back(void **state)
{
    clip_error err;
    (void)state;
    convert(in_golden("tiny-vit"), in_dir("q"), NULL, "int8");
    static const char *const types[] = {"f32", "int8", NULL};
    for (int i = 0; i < 3; i++) {
        const clip_convert_options opt = {.type = types[i], .layout = types[i] ? NULL : "hf"};
        assert_int_equal(clip_convert(in_dir("q"), in_dir("x"), &opt, &err), CLIP_EUNSUPPORTED);
        says(err.message, "in 8 bits, for inference alone");
    }
    const char *average = in_dir("q");
    const clip_convert_options mean = {.average = &average, .averages = 1};
    assert_int_equal(clip_convert(in_golden("tiny-vit"), in_dir("x"), &mean, &err), CLIP_EUNSUPPORTED);
    says(err.message, "in 8 bits, for inference alone");
    assert_int_equal(access(in_dir("x"), F_OK), -1);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

/* Writes n numbers over those of a tensor, from number `at` on. */
static void overwrite(const char *name, size_t at, const float *x, size_t n)
{
    clipmdl_store s;
    clip_error err;
    assert_int_equal(clipmdl_store_open(in_dir(FILE_NAME), &s, &err), CLIP_OK);
    const clipmdl_tensor *t = clipmdl_store_find(&s, name);
    assert_non_null(t);
    assert_true((at + n) * sizeof *x <= t->bytes);
    const long offset = (long)(t->data - s.map[0].data) + (long)(at * sizeof *x);
    clipmdl_store_close(&s);
    FILE *f = fopen(in_dir(FILE_NAME), "r+b");
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(x, sizeof *x, n, f), n);
    fclose(f);
}

/* Replaces a text in the header, by one of the same length. */
static void swap(const char *from, const char *to)
{
    unsigned char *data;
    size_t size;
    clip_error err;
    assert_int_equal(strlen(from), strlen(to));
    assert_int_equal(clipb_read_file(in_dir(FILE_NAME), 1 << 24, &data, &size, &err), CLIP_OK);
    unsigned char *at = memmem(data, size, from, strlen(from));
    if (!at)
        fail_msg("the header has no %s", from);
    memcpy(at, to, strlen(to));
    FILE *f = fopen(in_dir(FILE_NAME), "wb");
    fwrite(data, 1, size, f);
    fclose(f);
    free(data);
}

static void take_int8(const char *name)
{
    static char of[16];
    if (strcmp(of, name) != 0) {
        shell("rm -rf %s-kept", dir);
        char kept[128];
        snprintf(kept, sizeof kept, "%s-kept", dir);
        convert(in_golden(name), kept, NULL, "int8");
        snprintf(of, sizeof of, "%s", name);
    }
    shell("rm -rf %s/*; cp %s-kept/* %s/", dir, dir, dir);
}

static void numbers_that_are_no_scales(void **state)
{
    static const float bad[] = {NAN, 0, -1, INFINITY};
    (void)state;
    for (int i = 0; i < 4; i++) {
        take_int8("tiny-vit");
        overwrite(IN_PROJ "_scale", 40, &bad[i], 1);
        refused(dir, CLIP_EMISMATCH, "in_proj_weight_scale' holds ");
        refused(dir, CLIP_EMISMATCH, "which is not a scale");
        take_int8("tiny-vit");
        overwrite("transformer.resblocks.1.mlp.c_fc.weight_smoothing", 3, &bad[i], 1);
        if (bad[i] != -1) /* signs are a part of T */
            refused(dir, CLIP_EMISMATCH, "transformer.resblocks.1.mlp.c_fc.weight_smoothing' holds ");
    }
    take_int8("tiny-vit");
    overwrite(IN_PROJ "_smoothing", 2 * 32 + 5, &(float){3}, 1); /* v's, which is multiplied with k */
    refused(dir, CLIP_EMISMATCH, "in_proj_weight_smoothing' has several factors for one product");
    take_int8("tiny-hf");
    overwrite("text_model.encoder.layers.0.self_attn.v_proj.weight_smoothing", 5, &(float){3}, 1);
    refused(dir, CLIP_EMISMATCH, "v_proj.weight_smoothing' has several factors for one product");
}

static void shapes_and_types(void **state)
{
    static const struct {
        const char *from, *to, *said;
        clip_status status;
    } swaps[] = {
        {IN_PROJ "_scale\":{\"dtype\":\"F32\",\"shape\":[96,1]", IN_PROJ "_scale\":{\"dtype\":\"F32\",\"shape\":[1,96]",
         "in_proj_weight_scale' has the shape [1, 96], not [96, 1]", CLIP_EMISMATCH},
        {IN_PROJ "\":{\"dtype\":\"I8\",\"shape\":[96,32]", IN_PROJ "\":{\"dtype\":\"I8\",\"shape\":[32,96]",
         "in_proj_weight' has the shape [32, 96], not [96, 32]", CLIP_EMISMATCH},
        {IN_PROJ "_smoothing\":{\"dtype\":\"F32\",\"shape\":[3,32]",
         IN_PROJ "_smoothing\":{\"dtype\":\"F32\",\"shape\":[96,1]",
         "in_proj_weight_smoothing' has the shape [96, 1], not [96, 32]", CLIP_EMISMATCH},
        {IN_PROJ "_smoothing\":{\"dtype\":\"F32\"", IN_PROJ "_smoothing\":{\"dtype\":\"I32\"",
         "in_proj_weight_smoothing' has the type I32, not F32", CLIP_EMISMATCH},
        {"visual.ln_pre.weight\":{\"dtype\":\"F32\",\"shape\":[40]",
         "visual.ln_pre.weight\":{\"dtype\":\"I8\",\"shape\":[160]",
         "1 tensor is of the type I8, like 'visual.ln_pre.weight'", CLIP_EUNSUPPORTED},
        {"\"token_embedding.weight\":{\"dtype\":\"F16\"", "\"token_embedding.weight\":{\"dtype\":\"I16\"",
         "1 tensor is of the type I16, like 'token_embedding.weight'", CLIP_EUNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof swaps / sizeof *swaps; i++) {
        take_int8("tiny-vit");
        swap(swaps[i].from, swaps[i].to);
        refused(dir, swaps[i].status, swaps[i].said);
    }
}

static void names_and_versions(void **state)
{
    (void)state;
    take_int8("tiny-vit");
    swap(IN_PROJ "_scale", IN_PROJ "_scald");
    refused(dir, CLIP_EMISMATCH, "in_proj_weight_scale' is missing");
    take_int8("tiny-vit");
    swap(IN_PROJ "_smoothing", IN_PROJ "_smoothinh");
    refused(dir, CLIP_EMISMATCH, "in_proj_weight_smoothing' is missing");
    take_int8("tiny-vit");
    swap("\"clip_int8\":\"1\"", "\"clip_int8\":\"2\"");
    refused(dir, CLIP_EUNSUPPORTED, "weights in 8 bits of the form 2: only form 1 is known");
    swap("\"clip_int8\":\"2\"", "\"clip_int8\": 1 ");
    refused(dir, CLIP_EUNSUPPORTED, "only form 1 is known");
    swap("\"clip_int8\": 1 ", "\"clip_int9\":\"1\""); /* as any other file */
    refused(dir, CLIP_EUNSUPPORTED, "tensors are of the type I8");
}

/* A scale without integers is a stranger in the tower. */
static void companions_alone(void **state)
{
    (void)state;
    take("tiny-vit");
    rewrite("open_clip_model.safetensors", "", IN_PROJ "_scale", NULL);
    refused(dir, CLIP_EUNSUPPORTED, "a plain CLIP does not have, so this is another model: '" IN_PROJ "_scale'");
}

/* A ResNet's integers are of 1x1 filters; those of 3x3 are not products. */
static void a_resnets_faults(void **state)
{
    (void)state;
    take_int8("tiny-resnet");
    overwrite("visual.layer1.0.conv1.weight_scale", 0, &(float){0}, 1);
    refused(dir, CLIP_EMISMATCH, "visual.layer1.0.conv1.weight_scale' holds 0");
    take_int8("tiny-resnet");
    overwrite("visual.layer1.0.bn1.running_var", 0, &(float){NAN}, 1);
    refused(dir, CLIP_ENOTFINITE, "visual.layer1.0.bn1.running_var' holds NaN");
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void every_allocation_may_fail(void **state)
{
    static const char *const checkpoints[] = {"tiny-hf", "tiny-resnet"};
    (void)state;
    for (int c = 0; c < 2; c++) {
        char from[512];
        const clip_convert_options opt = {.type = "int8", .warn = hear};
        shell("rm -rf %s/*", dir);
        strcpy(from, in_golden(checkpoints[c]));
        for (long n = 1;; n++) {
            clip_error err;
            fail_alloc_at(n);
            const clip_status s = clip_convert(from, in_dir("q"), &opt, &err);
            if (!fail_alloc_stop()) {
                assert_int_equal(s, CLIP_OK);
                break;
            }
            if (s != CLIP_ENOMEM)
                fail_msg("allocation %ld: %s: %s", n, clip_status_name(s), err.message);
            assert_int_equal(access(in_dir("q"), F_OK), -1);
        }
        for (long n = 1;; n++) {
            clip_model *m;
            clip_error err;
            fail_alloc_at(n);
            const clip_status s = load_as(in_dir("q"), NULL, &m, &err);
            const bool failed = fail_alloc_stop();
            clip_model_free(m);
            if (!failed) {
                assert_int_equal(s, CLIP_OK);
                break;
            }
            if (s != CLIP_ENOMEM)
                fail_msg("allocation %ld: %s: %s", n, clip_status_name(s), err.message);
        }
    }
}

static int remove_both(void **state)
{
    shell("rm -rf %s-kept", dir);
    return remove_dir(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_of_the_weights),    cmocka_unit_test(what_is_rounded),
        cmocka_unit_test(a_table_beyond_f16_stays_f32), cmocka_unit_test(the_model_says_so),
        cmocka_unit_test(not_converted_back),         cmocka_unit_test(numbers_that_are_no_scales),
        cmocka_unit_test(shapes_and_types),           cmocka_unit_test(names_and_versions),
        cmocka_unit_test(companions_alone),           cmocka_unit_test(a_resnets_faults),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_both);
}
