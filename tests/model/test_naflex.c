/* SigLIP 2 NaFlex: pictures of any shape, from PNG to embedding, against transformers
 * (tools/dump_golden.py), and what is refused. tests/model/test_golden.c compares its towers.
 * usage: test_naflex GOLDEN_DIRECTORY */
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
#include "failing_alloc.h"
#include "image/image.h"
#include "npy.h"

enum { PICTURES = 7, PATCH = 3 * 8 * 8, D = 40 };

static npy read_golden(const char *name, const char *descr)
{
    char path[512];
    npy a;
    snprintf(path, sizeof path, "%s/tiny-naflex/%s", golden, name);
    if (!npy_read(path, descr, &a))
        fail_msg("%s: cannot be read", path);
    return a;
}

typedef struct fixture {
    clip_model *m;
    clip_context *ctx;
    clip_model_info info;
    clip_image img[PICTURES];
} fixture;

static fixture set_up(void)
{
    fixture f;
    take("tiny-naflex");
    f.m = loads(dir);
    assert_string_equal(said, "");
    clip_model_get_info(f.m, &f.info);
    assert_int_equal(clip_context_new(f.m, 2, &f.ctx), CLIP_OK);
    for (int i = 0; i < PICTURES; i++) {
        char name[16];
        clip_error err;
        snprintf(name, sizeof name, "%d.png", i);
        assert_int_equal(clip_image_read(in_dir(name), NULL, &f.img[i], &err), CLIP_OK);
    }
    return f;
}

static void tear_down(fixture *f)
{
    for (int i = 0; i < PICTURES; i++)
        clip_image_free(&f->img[i]);
    clip_context_free(f->ctx);
    clip_model_free(f->m);
}

static float *prepare(const fixture *f)
{
    float *pixels = malloc(PICTURES * f->info.picture_floats * sizeof *pixels);
    for (size_t i = 0; i < PICTURES; i++)
        assert_int_equal(clip_preprocess(f->m, &f->img[i], pixels + i * f->info.picture_floats), CLIP_OK);
    return pixels;
}

static void the_model_is_described(void **state)
{
    (void)state;
    fixture f = set_up();
    assert_string_equal(f.info.vision_kind, "NaFlex ViT");
    assert_string_equal(f.info.resize_mode, "naflex");
    assert_string_equal(f.info.interpolation, "bilinear");
    assert_int_equal(f.info.max_patches, 24);
    assert_int_equal(f.info.picture_floats, 2 + 24 * PATCH);
    assert_int_equal(f.info.image_size, 32);
    assert_int_equal(f.info.vision_tokens, 0);
    tear_down(&f);
}

static void pictures_are_prepared_as_by_transformers(void **state)
{
    (void)state;
    fixture f = set_up();
    npy should = read_golden("pixels.npy", "<f4");
    float *is = prepare(&f);
    assert_int_equal(should.count, PICTURES * f.info.picture_floats);
    for (size_t i = 0; i < should.count; i++)
        if (!(fabsf(is[i] - ((float *)should.data)[i]) <= 3e-7f))
            fail_msg("picture %zu, number %zu: %.8g, should be %.8g", i / f.info.picture_floats,
                     i % f.info.picture_floats, (double)is[i], (double)((float *)should.data)[i]);
    free(is);
    free(should.data);
    tear_down(&f);
}

static void files_become_the_embeddings_of_transformers(void **state)
{
    (void)state;
    fixture f = set_up();
    npy should = read_golden("image.npy", "<f4");
    float all[PICTURES * D], one[D], projected[D];
    assert_int_equal(should.count, PICTURES * D);
    assert_int_equal(clip_encode_image(f.ctx, f.img, PICTURES, all), CLIP_OK);
    for (size_t i = 0; i < PICTURES * D; i++)
        assert_true(fabsf(all[i] - ((float *)should.data)[i]) <= 2e-5f);
    for (size_t i = 0; i < PICTURES; i++) {
        const clip_hidden hidden = {.projected = projected};
        assert_int_equal(clip_encode_image(f.ctx, &f.img[i], 1, one), CLIP_OK);
        assert_memory_equal(one, all + i * D, sizeof one);
        assert_int_equal(clip_hidden_image(f.ctx, &f.img[i], 1, NULL, &hidden), CLIP_OK);
        double square = 0;
        for (int d = 0; d < D; d++)
            square += (double)projected[d] * (double)projected[d];
        for (int d = 0; d < D; d++)
            assert_true(fabs((double)projected[d] / sqrt(square) - (double)one[d]) <= 1e-6);
    }
    free(should.data);
    tear_down(&f);
}

/* More pictures than are computed at once. */
static void many_equal_singles(void **state)
{
    (void)state;
    fixture f = set_up();
    enum { N = 3 * PICTURES };
    float *pixels = prepare(&f), *many = malloc(N * f.info.picture_floats * sizeof *many);
    float is[N * D], should[PICTURES * D];
    assert_int_equal(clip_encode_pixels(f.ctx, pixels, PICTURES, should), CLIP_OK);
    for (size_t i = 0; i < N; i++)
        memcpy(many + i * f.info.picture_floats, pixels + i * 3 % PICTURES * f.info.picture_floats,
               f.info.picture_floats * sizeof *many);
    assert_int_equal(clip_encode_pixels(f.ctx, many, N, is), CLIP_OK);
    for (size_t i = 0; i < N; i++)
        assert_memory_equal(is + i * D, should + i * 3 % PICTURES * D, D * sizeof *is);
    free(pixels);
    free(many);
    tear_down(&f);
}

static void grids_are_those_of_transformers(void **state)
{
    (void)state;
    npy a = read_golden("grids.npy", "<i4");
    const uint8_t rgb[3] = {0};
    const clip_image img = {1, 1, 3, (uint8_t *)(uintptr_t)rgb};
    for (size_t i = 0; i < a.count; i += 6) {
        const int32_t *g = (int32_t *)a.data + i;
        clipimg_recipe r = {.size = 8, .mode = CLIPIMG_NAFLEX, .patch = g[2], .most = g[3], .std = {1, 1, 1}};
        float *out = malloc(clipimg_floats(&r) * sizeof *out);
        assert_int_equal(clipimg_preprocess_reduced(&r, &img, g[0], g[1], out), CLIP_OK);
        if (out[0] != (float)g[4] || out[1] != (float)g[5])
            fail_msg("%d x %d: %g rows of %g, should be %d of %d", g[0], g[1], (double)out[0], (double)out[1], g[4],
                     g[5]);
        assert_int_equal(clipimg_check_prepared(&r, out), CLIP_OK);
        free(out);
    }
    free(a.data);
}

static void a_picture_may_be_too_long(void **state)
{
    (void)state;
    const uint8_t rgb[3] = {0};
    const clip_image img = {1, 1, 3, (uint8_t *)(uintptr_t)rgb};
    const clipimg_recipe r = {.size = 8, .mode = CLIPIMG_NAFLEX, .patch = 8, .most = 1, .std = {1, 1, 1}};
    float out[2 + PATCH];
    assert_int_equal(clipimg_preprocess_reduced(&r, &img, 7999999, 1, out), CLIP_OK);
    assert_int_equal(clipimg_preprocess_reduced(&r, &img, 8000001, 1, out), CLIP_EINVAL);
    assert_int_equal(clipimg_preprocess_reduced(&r, &img, 1, INT32_MAX, out), CLIP_EINVAL);
}

static void what_is_not_a_grid_is_refused(void **state)
{
    (void)state;
    fixture f = set_up();
    static const float grids[][2] = {{0, 4}, {4, 0}, {-1, -1}, {1.5f, 2}, {2, 1.5f}, {5, 5}, {25, 1}, {1, 25},
                                     {NAN, 1}, {1, NAN}, {INFINITY, 1}, {1e38f, 1e38f}, {65536, 65536}};
    float *pixels = prepare(&f), out[PICTURES * D];
    const clip_hidden hidden = {.projected = out};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        memcpy(pixels + 2 * f.info.picture_floats, grids[i], sizeof grids[i]);
        assert_int_equal(clip_encode_pixels(f.ctx, pixels, PICTURES, out), CLIP_EINVAL);
        assert_int_equal(clip_hidden_pixels(f.ctx, pixels, PICTURES, NULL, &hidden), CLIP_EINVAL);
        assert_int_equal(clip_look_pixels(f.ctx, pixels, PICTURES, out), CLIP_EINVAL);
        assert_int_equal(clip_encode_pixels(f.ctx, pixels, 2, out), CLIP_OK);
    }
    free(pixels);
    tear_down(&f);
}

static void a_picture_that_is_no_number_is_named(void **state)
{
    (void)state;
    fixture f = set_up();
    float *pixels = prepare(&f), out[PICTURES * D];
    pixels[4 * f.info.picture_floats + 2 + PATCH] = NAN;
    assert_int_equal(clip_encode_pixels(f.ctx, pixels, PICTURES, out), CLIP_ENOTFINITE);
    says(clip_context_message(f.ctx, CLIP_ENOTFINITE), "picture 5 comes out as NaN or infinity, as its pixels are");
    free(pixels);
    tear_down(&f);
}

static void states_are_refused(void **state)
{
    (void)state;
    fixture f = set_up();
    float *out = malloc((size_t)24 * 24 * D * sizeof *out);
    assert_int_equal(clip_hidden_image(f.ctx, f.img, 1, NULL, &(clip_hidden){.states = out}), CLIP_EUNSUPPORTED);
    assert_int_equal(clip_hidden_image(f.ctx, f.img, 1, NULL, &(clip_hidden){.pooled = out}), CLIP_EUNSUPPORTED);
    free(out);
    tear_down(&f);
}

/* Heads read no tokens. */
static void heads_see_the_embedding(void **state)
{
    (void)state;
    fixture f = set_up();
    float *pixels = prepare(&f), is[PICTURES * D], should[PICTURES * D];
    assert_int_equal(clip_look_width(f.m), D);
    assert_int_equal(clip_look_pixels(f.ctx, pixels, PICTURES, is), CLIP_OK);
    assert_int_equal(clip_encode_pixels(f.ctx, pixels, PICTURES, should), CLIP_OK);
    assert_memory_equal(is, should, sizeof is);
    free(pixels);
    tear_down(&f);
}

/* The map of a strip: discs cover cells, and the map covers the whole picture. */
static void the_whole_picture_is_explained(void **state)
{
    (void)state;
    fixture f = set_up();
    const char *text = "a cat";
    float map[16 * 16], cosine, unit[2][D], similarity;
    clip_window w;
    assert_int_equal(clip_explain_side(f.m), 16);
    assert_int_equal(clip_explain(f.ctx, &f.img[6], &text, 1, map, &cosine), CLIP_OK);
    assert_int_equal(clip_encode_image(f.ctx, &f.img[6], 1, unit[0]), CLIP_OK);
    assert_int_equal(clip_encode_text(f.ctx, &text, 1, unit[1]), CLIP_OK);
    assert_int_equal(clip_similarity(f.ctx, unit[0], 1, unit[1], 1, &similarity), CLIP_OK);
    assert_true(cosine == similarity);
    int above = 0;
    for (int i = 0; i < 16 * 16; i++) {
        assert_true(map[i] >= 0 && map[i] < 2);
        above += map[i] > 0;
    }
    assert_true(above > 0);
    assert_int_equal(clip_seen_window(f.m, 64, 24, &w), CLIP_OK);
    assert_true(w.x == 0 && w.y == 0 && w.width == 64 && w.height == 24);
    tear_down(&f);
}

/* The color of a pixel is where the map's geometry says. */
static void places_are_those_of_pixels(void **state)
{
    (void)state;
    enum { W = 24, H = 16, P = 8 };
    uint8_t rgb[H][W][3];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                rgb[y][x][c] = (uint8_t)(y * 11 + x * 7 + c * 50);
    const clip_image img = {W, H, 3 * W, &rgb[0][0][0]};
    const clipimg_recipe r = {
        .size = 16, .mode = CLIPIMG_NAFLEX, .patch = P, .most = 6, .filter = CLIPIMG_BILINEAR, .std = {1, 1, 1}};
    float out[2 + 6 * 3 * P * P];
    assert_int_equal(clipimg_preprocess(&r, &img, out), CLIP_OK);
    const clipimg_places at = clipimg_places_of(&r, out);
    assert_int_equal(at.width, W);
    assert_int_equal(at.height, H);
    for (size_t y = 0; y < H; y++)
        for (size_t x = 0; x < W; x++)
            for (size_t c = 0; c < 3; c++)
                assert_true(out[clipimg_place(&at, c, y, x)] == (float)rgb[y][x][c] / 255.0f);
}

static void memory_fails(void **state)
{
    (void)state;
    fixture f = set_up();
    float *pixels = malloc(f.info.picture_floats * sizeof *pixels);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        const clip_status s = clip_preprocess(f.m, &f.img[0], pixels);
        if (!fail_alloc_stop()) {
            assert_true(n > 1);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
    }
    free(pixels);
    tear_down(&f);
}

/* The file is the one that transformers wrote. */
static void converting_keeps_the_file(void **state)
{
    (void)state;
    static const char *const types[] = {"f32", "f16"};
    char from[64];
    clip_error err;
    take("tiny-naflex");
    snprintf(from, sizeof from, "%s", dir);
    for (int i = 0; i < 2; i++) { /* there and back */
        const clip_convert_options opt = {.layout = "hf", .type = types[i]};
        if (clip_convert(from, in_dir(types[i]), &opt, &err) != CLIP_OK)
            fail_msg("%s", err.message);
        snprintf(from, sizeof from, "%s", in_dir(types[i]));
    }
    shell("cmp %s %s", in_dir("model.safetensors"), in_dir("f16/model.safetensors"));
    clip_model *m = loads(from);
    clip_model_info info;
    clip_model_get_info(m, &info);
    assert_int_equal(info.max_patches, 24);
    assert_int_equal(info.patch_size, 8);
    assert_string_equal(info.interpolation, "bilinear");
    clip_model_free(m);
    const clip_convert_options opt = {.layout = "openclip"};
    assert_int_equal(clip_convert(from, in_dir("openclip"), &opt, &err), CLIP_EUNSUPPORTED);
    says(err.message, "NaFlex ViT");
}

/* ---- Refused --------------------------------------------------------------------------------- */

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *file, *inside, *key, *value;
        clip_status status;
        const char *says; /* NULL: it loads */
    } cases[] = {
        {"config.json", "vision_config", "num_patches", "15", CLIP_EUNSUPPORTED, "\"num_patches\" is 15, which is not"},
        {"config.json", "vision_config", "num_patches", "25", CLIP_EMISMATCH, "position_embedding.weight"},
        {"config.json", "vision_config", "num_patches", "65536", CLIP_EFORMAT, "\"num_patches\" must be"},
        {"config.json", "vision_config", "patch_size", "16", CLIP_EMISMATCH, "for an encoder of 16"},
        {"config.json", "vision_config", "patch_size", "[8, 8]", CLIP_EFORMAT, "\"patch_size\" must be"},
        {"config.json", "vision_config", "num_channels", "1", CLIP_EUNSUPPORTED, "vision_config.num_channels is 1"},
        {"config.json", "vision_config", "vision_use_head", "false", CLIP_EUNSUPPORTED, "vision_use_head is false"},
        {"config.json", "vision_config", "hidden_act", "\"relu\"", CLIP_EUNSUPPORTED, "vision_config.hidden_act"},
        {"config.json", "vision_config", "num_attention_heads", "3", CLIP_EFORMAT, "heads"},
        {"config.json", "vision_config", "model_type", "\"siglip_vision_model\"", CLIP_EUNSUPPORTED,
         "vision_config.model_type"},
        {"config.json", "", "model_type", "\"siglip2_large\"", CLIP_EUNSUPPORTED, "only siglip and siglip2"},
        {"config.json", "", "quantization_config", "{\"bits\": 4}", CLIP_EUNSUPPORTED, "quantization_config is"},
        {"preprocessor_config.json", "", "max_num_patches", "0", CLIP_EFORMAT, "\"max_num_patches\" must be"},
        {"preprocessor_config.json", "", "max_num_patches", "1000000", CLIP_EFORMAT, "\"max_num_patches\" must be"},
        {"preprocessor_config.json", "", "max_num_patches", "100", CLIP_OK, NULL},
        {"preprocessor_config.json", "", "patch_size", "16", CLIP_EMISMATCH,
         "patches of 16 pixels are prepared for an encoder of 8"},
        {"preprocessor_config.json", "", "resample", "3", CLIP_OK, NULL},
        {"preprocessor_config.json", "", "default_to_square", "true", CLIP_OK, NULL}, /* it does nothing here */
        {"preprocessor_config.json", "", "do_convert_rgb", "null", CLIP_OK, NULL},
        {"preprocessor_config.json", "", "do_pad", "true", CLIP_EUNSUPPORTED, "do_pad is true"},
        {"preprocessor_config.json", "", "resample", "0", CLIP_EUNSUPPORTED, "resample is 0"},
        {"preprocessor_config.json", "", "do_resize", "false", CLIP_EUNSUPPORTED, "do_resize is false"},
        {"preprocessor_config.json", "", "size", "{\"height\": 32, \"width\": 32}", CLIP_EUNSUPPORTED, "size is"},
        {"preprocessor_config.json", "", "image_processor_type", "\"Siglip2ImageProcessorFast\"", CLIP_OK, NULL},
        {"preprocessor_config.json", "", "image_processor_type", "\"SiglipImageProcessor\"", CLIP_EMISMATCH,
         "pictures are prepared as squares, for an encoder of patches"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        take("tiny-naflex");
        set(cases[i].file, cases[i].inside, cases[i].key, cases[i].value);
        if (cases[i].says)
            refused(dir, cases[i].status, cases[i].says);
        else
            clip_model_free(loads(dir));
    }
}

static void without_a_processor_nothing_is_assumed(void **state)
{
    (void)state;
    take("tiny-naflex");
    shell("rm %s", in_dir("preprocessor_config.json"));
    refused(dir, CLIP_EUNSUPPORTED, "its preprocessor_config.json is needed");
}

static void other_sizes_are_refused(void **state)
{
    (void)state;
    clip_load_options opt = clip_load_options_default();
    clip_model *m;
    clip_error err;
    take("tiny-naflex");
    opt.image_size = 64;
    assert_int_equal(clip_model_load(dir, &opt, &m, &err), CLIP_EINVAL);
    says(err.message, "keep their shape");
}

/* A SigLIP of squares, whose pictures would be prepared as patches. */
static void patches_are_for_naflex_alone(void **state)
{
    (void)state;
    take("tiny-naflex");
    set("config.json", "", "model_type", "\"siglip\"");
    set("config.json", "vision_config", "model_type", "\"siglip_vision_model\"");
    set("config.json", "vision_config", "image_size", "32");
    set("config.json", "text_config", "model_type", "\"siglip_text_model\"");
    refused(dir, CLIP_EMISMATCH, "pictures are prepared as patches, for an encoder of squares");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_is_described),
        cmocka_unit_test(pictures_are_prepared_as_by_transformers),
        cmocka_unit_test(files_become_the_embeddings_of_transformers),
        cmocka_unit_test(many_equal_singles),
        cmocka_unit_test(grids_are_those_of_transformers),
        cmocka_unit_test(a_picture_may_be_too_long),
        cmocka_unit_test(what_is_not_a_grid_is_refused),
        cmocka_unit_test(a_picture_that_is_no_number_is_named),
        cmocka_unit_test(states_are_refused),
        cmocka_unit_test(heads_see_the_embedding),
        cmocka_unit_test(the_whole_picture_is_explained),
        cmocka_unit_test(places_are_those_of_pixels),
        cmocka_unit_test(memory_fails),
        cmocka_unit_test(converting_keeps_the_file),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(without_a_processor_nothing_is_assumed),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(patches_are_for_naflex_alone),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
