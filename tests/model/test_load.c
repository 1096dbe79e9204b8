/* Loading and encoding through clip.h: refusals, messages, and any allocation may fail.
 * usage: test_load GOLDEN_DIRECTORY */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "altered.h"
#include "engine/engine.h"
#include "failing_alloc.h"

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refused("/nonexistent", CLIP_EIO, "/nonexistent: No such file");
    refused(dir, CLIP_EIO, "holds no weights");
    shell("touch %s/pytorch_model.bin", dir);
    refused(dir, CLIP_EFORMAT, "pytorch_model.bin: not a safetensors file");
    shell("printf 'PK\\003\\004....' > %s/renamed.safetensors", dir);
    char path[128];
    snprintf(path, sizeof path, "%s/renamed.safetensors", dir);
    refused(path, CLIP_EFORMAT, "a zip archive without its directory");
    shell("rm %s/*; cp %s/tiny-vit/* %s/; "
          "sed -i 's/\"layers\": 2/\"layers\": 3/' %s/open_clip_config.json", dir, golden, dir, dir);
    shell("grep -q '\"layers\": 3' %s/open_clip_config.json", dir);
    refused(dir, CLIP_EMISMATCH, "resblocks.2.ln_1.weight' is missing");
    assert_non_null(strstr(said, "resblocks.2.mlp.c_proj.bias' is missing")); /* there is a warning for each */
    shell("rm %s/*", dir);
}

static void a_wrong_shape_and_a_stranger_are_named(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err = {0};
    shell("cp %s/tiny-vit/* %s/; "
          "sed -i 's/\"embed_dim\": [0-9]*/\"embed_dim\": 24/' %s/open_clip_config.json", golden, dir, dir);
    refused(dir, CLIP_EMISMATCH, "has the shape");
    /* As many bytes as before: an unknown tensor replaces one whose absence gives a warning. */
    shell("cp %s/tiny-vit/* %s/; "
          "LC_ALL=C sed -i 's/\"logit_scale\"/\"logit_stale\"/' %s/open_clip_model.safetensors", golden, dir, dir);
    assert_int_equal(load(dir, &m, &err), CLIP_OK);
    assert_non_null(strstr(said, "'logit_stale' is not part of this model"));
    assert_non_null(strstr(said, "no logit_scale"));
    clip_model_free(m);
    shell("rm %s/*", dir);
}

static void a_bare_file_loads_with_warnings(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    clip_model_info info;
    shell("cp %s/tiny-openai/model.safetensors %s/", golden, dir);
    assert_int_equal(load(dir, &m, &err), CLIP_OK);
    assert_non_null(strstr(said, "GELU"));
    assert_non_null(strstr(said, "the defaults of OpenCLIP are assumed"));
    assert_non_null(strstr(said, "no tokenizer"));
    clip_model_get_info(m, &info);
    assert_string_equal(info.vision_kind, "ViT");
    assert_null(info.tokenizer);
    clip_context *ctx;
    const char *text = "a";
    float out[1024];
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_text(ctx, &text, 1, out), CLIP_EINVAL);
    clip_context_free(ctx);
    clip_model_free(m);
    shell("rm %s/*", dir);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    clip_context *ctx;
    clip_load_options opt = clip_load_options_default();
    float out[1024];
    const int32_t ids[] = {1, 1 << 24}, off[] = {0, 1, 2}, empty[] = {0, 0};
    const char *label = "x", *no_place = "a photo", *good = "a {}";
    opt.isa = "mmx";
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &m, &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "mmx"));
    opt = clip_load_options_default();
    opt.precision = "bf15";
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &m, &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "bf15"));
    opt.precision = "bf16";
    opt.isa = "generic";
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &m, &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "AVX512_BF16"));
    assert_null(m);
    opt = clip_load_options_default();
    opt.towers = 0;
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &m, &err), CLIP_EINVAL);
    assert_int_equal(load(in_golden("tiny-vit"), &m, &err), CLIP_OK);
    assert_int_equal(clip_context_new(m, -1, &ctx), CLIP_EINVAL);
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_pixels(ctx, out, 0, out), CLIP_EINVAL);
    assert_int_equal(clip_encode_tokens(ctx, ids, off, 2, out), CLIP_EINVAL);   /* an id outside the vocabulary */
    assert_int_equal(clip_encode_tokens(ctx, ids, empty, 1, out), CLIP_EINVAL); /* a text without ids */
    assert_int_equal(clip_encode_image(ctx, &(clip_image){0}, 1, out), CLIP_EINVAL);
    assert_int_equal(clip_encode_labels(ctx, &label, 1, &no_place, 1, out), CLIP_EINVAL);
    assert_int_equal(clip_encode_labels(ctx, &label, 1, &good, 1, out), CLIP_OK);
    clip_context_free(ctx);
    clip_model_free(m);
}

static void an_unknown_name_of_rules_is_refused(void **state)
{
    (void)state;
    clip_error err;
    const cliptok_rules *rules;
    const clipmdl_text_config plain = {0}, hf = {.hf_tokenizer = true};
    clipmdl_family typo = clipmdl_openclip;
    const int own = typo.vocabulary;
    typo.tokenizer = "opneclip";
    assert_int_equal(clipeng_rules_choose(&typo, &plain, own, false, &rules, &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "opneclip"));
    assert_int_equal(clipeng_rules_choose(&clipmdl_openclip, &plain, own, false, &rules, &err), CLIP_OK);
    assert_ptr_equal(rules, &cliptok_openclip);
    assert_int_equal(clipeng_rules_choose(&clipmdl_openclip, &plain, own + 1, true, &rules, &err), CLIP_OK);
    assert_ptr_equal(rules, &cliptok_openclip);
    assert_int_equal(clipeng_rules_choose(&clipmdl_openclip, &hf, own, false, &rules, &err), CLIP_OK);
    assert_ptr_equal(rules, &cliptok_openclip_hf);
    assert_int_equal(clipeng_rules_choose(&clipmdl_openclip, &hf, own + 1, false, &rules, &err), CLIP_OK);
    assert_ptr_equal(rules, &cliptok_huggingface);
    assert_int_equal(clipeng_rules_choose(&clipmdl_huggingface, &hf, own, false, &rules, &err), CLIP_OK);
    assert_ptr_equal(rules, &cliptok_huggingface);
}

/* Every tokenizer that OpenCLIP does not have itself must lie beside weights in its layout. */
static void foreign_tokenizers_need_their_files(void **state)
{
    (void)state;
    static const char *const names[] = {"siglip", "siglip2-json", "xlmr", "nllb-json", "bert"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        cliptok *t;
        clip_error err;
        snprintf(path, sizeof path, "%s/../../text/golden/pieces/%s", golden, names[i]);
        if (cliptok_load(path, &cliptok_huggingface, &t, &err) != CLIP_OK)
            fail_msg("%s", err.message);
        assert_non_null(t);
        if (!clipeng_rules_need_files(t))
            fail_msg("the tokenizer %s is left out", names[i]);
        cliptok_free(t);
    }
    assert_false(clipeng_rules_need_files(NULL));
}

static void labels_are_the_mean_of_their_templates(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    clip_context *ctx;
    clip_model_info info;
    enum { L = 300 }; /* more than are encoded at once */
    const char *labels[L], *templates[] = {"a {}", "the {} of {}"};
    static char names[L][16], texts[2 * L][40];
    const char *list[2 * L];
    assert_int_equal(load(in_golden("tiny-vit"), &m, &err), CLIP_OK);
    assert_int_equal(clip_context_new(m, 2, &ctx), CLIP_OK);
    clip_model_get_info(m, &info);
    const int D = info.embed_dim;
    for (int i = 0; i < L; i++) {
        labels[i] = names[i];
        snprintf(names[i], sizeof names[i], "n%d", i);
        snprintf(texts[2 * i], sizeof texts[0], "a n%d", i);
        snprintf(texts[2 * i + 1], sizeof texts[0], "the n%d of n%d", i, i);
        list[2 * i] = texts[2 * i];
        list[2 * i + 1] = texts[2 * i + 1];
    }
    float *unit = malloc((size_t)(2 * L * D) * sizeof *unit), *is = malloc((size_t)(L * D) * sizeof *is);
    assert_int_equal(clip_encode_text(ctx, list, 2 * L, unit), CLIP_OK);
    assert_int_equal(clip_encode_labels(ctx, labels, L, templates, 2, is), CLIP_OK);
    for (int i = 0; i < L; i++) {
        double norm = 0;
        for (int d = 0; d < D; d++)
            norm += pow((double)unit[2 * i * D + d] + unit[(2 * i + 1) * D + d], 2);
        for (int d = 0; d < D; d++)
            assert_true(fabs(((double)unit[2 * i * D + d] + unit[(2 * i + 1) * D + d]) / sqrt(norm) - is[i * D + d]) <
                        1e-6);
    }
    free(unit);
    free(is);
    clip_context_free(ctx);
    clip_model_free(m);
}

/* Templates are encoded in parts, with the same result. Templates that are too long are refused. */
static void templates_may_be_many_and_not_long(void **state)
{
    (void)state;
    enum { T = 600, L = 2, D = 1024 };
    clip_model *m;
    clip_error err;
    clip_context *ctx;
    clip_model_info info;
    static char text[T][16], filled[T][16], hostile[3 * 30000];
    const char *labels[L] = {"apple", "pear"}, *templates[T], *texts[T], *bomb = hostile;
    float is[L * D], *unit = malloc(T * D * sizeof *unit);
    double mean[D] = {0}, norm = 0;
    for (int t = 0; t < T; t++) {
        snprintf(text[t], sizeof text[t], "%d {}", t % 100);
        snprintf(filled[t], sizeof filled[t], "%d pear", t % 100);
        templates[t] = text[t];
        texts[t] = filled[t];
    }
    assert_int_equal(load(in_golden("tiny-vit"), &m, &err), CLIP_OK);
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    clip_model_get_info(m, &info);
    const int d = info.embed_dim;
    assert_true(d <= D);
    assert_int_equal(clip_encode_labels(ctx, labels, L, templates, T, is), CLIP_OK);
    assert_int_equal(clip_encode_text(ctx, texts, T, unit), CLIP_OK);
    float *cosine = malloc(T * T * sizeof *cosine);
    assert_int_equal(clip_similarity(ctx, unit, T, unit, T, cosine), CLIP_OK);
    for (int i = 0; i < T * T; i++)
        assert_true(cosine[i] >= -1 && cosine[i] <= 1);
    assert_int_equal(clip_similarity(ctx, unit, 1, (const float[D]){[0] = 7}, 1, cosine), CLIP_OK);
    assert_true(fabsf(cosine[0] - 7 * unit[0]) < 1e-5f); /* rows of other lengths are used as they are */
    free(cosine);
    for (int i = 0; i < T * d; i++)
        mean[i % d] += (double)unit[i];
    for (int i = 0; i < d; i++)
        norm += mean[i] * mean[i];
    for (int i = 0; i < d; i++)
        assert_true(fabs(mean[i] / sqrt(norm) - (double)is[d + i]) < 1e-5);
    for (int i = 0; i + 3 < (int)sizeof hostile; i += 3)
        memcpy(hostile + i, "{} ", 3);
    assert_int_equal(clip_encode_labels(ctx, labels, L, &bomb, 1, is), CLIP_ELIMIT);
    free(unit);
    clip_context_free(ctx);
    clip_model_free(m);
}

/* Load, embed a picture and a text, free. */
static clip_status everything(const char *path, int mapped, int image_size)
{
    clip_load_options opt = clip_load_options_default();
    static uint8_t rgb[20 * 10 * 3];
    const clip_image image = {20, 10, 60, rgb};
    const char *text = "a red apple", *template = "a {}";
    float out[1024];
    clip_model *m = NULL;
    clip_context *ctx = NULL;
    clip_error err;
    opt.mapped = mapped;
    opt.image_size = image_size;
    clip_status s = clip_model_load(path, &opt, &m, &err);
    if (s == CLIP_OK)
        s = clip_context_new(m, 1, &ctx);
    if (s == CLIP_OK)
        s = clip_encode_image(ctx, &image, 1, out);
    if (s == CLIP_OK)
        s = clip_encode_text(ctx, &text, 1, out);
    if (s == CLIP_OK)
        s = clip_encode_labels(ctx, &text, 1, &template, 1, out);
    clip_context_free(ctx);
    clip_model_free(m);
    return s;
}

/* Pictures of another size than the checkpoint's: what callers see of it. */
static void another_size_of_pictures(void **state)
{
    (void)state;
    clip_model *own, *same, *larger;
    clip_model_info info;
    clip_error err;
    clip_load_options opt = clip_load_options_default();
    char hash[3][33];
    opt.image_size = -1;
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &larger, &err), CLIP_EINVAL);
    assert_int_equal(load(in_golden("tiny-vit"), &own, &err), CLIP_OK);
    clip_model_get_info(own, &info);
    assert_int_equal(info.stored_image_size, info.image_size);
    const int size = info.image_size;
    opt.image_size = size;
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &same, &err), CLIP_OK);
    opt.image_size = 2 * size;
    assert_int_equal(clip_model_load(in_golden("tiny-vit"), &opt, &larger, &err), CLIP_OK);
    clip_model_get_info(larger, &info);
    assert_int_equal(info.image_size, 2 * size);
    assert_int_equal(info.stored_image_size, size);
    const clip_model *const models[] = {own, same, larger};
    for (int i = 0; i < 3; i++)
        clip_weights_hash(models[i], hash[i]);
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
    clip_model_free(own);
    clip_model_free(same);
    clip_model_free(larger);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int mapped, image_size;
    } tried[] = {{"tiny-vit", 0, 0}, {"tiny-resnet", 0, 0}, {"tiny-hf-eos", 0, 0}, {"tiny-hf-eos", CLIP_TOWER_BOTH, 0},
                 {"tiny-coca", 0, 0}, {"tiny-scaled", 0, 0}, {"tiny-vit", 0, 96}};
    for (size_t c = 0; c < sizeof tried / sizeof *tried; c++) {
        long n = 1;
        for (;; n++) {
            fail_alloc_at(n);
            clip_status s = everything(in_golden(tried[c].name), tried[c].mapped, tried[c].image_size);
            if (!fail_alloc_stop()) {
                assert_int_equal(s, CLIP_OK);
                break;
            }
            if (s != CLIP_ENOMEM)
                fail_msg("%s: allocation %ld failing gives %s", tried[c].name, n, clip_status_name(s));
        }
        assert_true(n > 20);
    }
}

/* Pictures need the file only if their tower stays in it. */
static void a_changed_file_is_noticed(void **state)
{
    (void)state;
    static float pixels[3 * 224 * 224], out[1024];
    for (int mapped = 0; mapped <= CLIP_TOWER_IMAGE; mapped++) {
        clip_load_options opt = clip_load_options_default();
        clip_model *m;
        clip_context *ctx;
        clip_error err;
        take("tiny-vit");
        opt.mapped = mapped;
        assert_int_equal(clip_model_load(dir, &opt, &m, &err), CLIP_OK);
        assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
        assert_int_equal(clip_encode_pixels(ctx, pixels, 1, out), CLIP_OK);
        shell("printf x >> %s/open_clip_model.safetensors", dir);
        assert_int_equal(clip_encode_pixels(ctx, pixels, 1, out), mapped ? CLIP_EIO : CLIP_OK);
        clip_context_free(ctx);
        clip_model_free(m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_named),        cmocka_unit_test(a_wrong_shape_and_a_stranger_are_named),
        cmocka_unit_test(a_bare_file_loads_with_warnings), cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(labels_are_the_mean_of_their_templates), cmocka_unit_test(an_unknown_name_of_rules_is_refused),
        cmocka_unit_test(another_size_of_pictures), cmocka_unit_test(foreign_tokenizers_need_their_files),
        cmocka_unit_test(templates_may_be_many_and_not_long), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_changed_file_is_noticed),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
