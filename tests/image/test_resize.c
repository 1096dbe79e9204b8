/* test_resize.c: resizing equals Pillow's, preprocessing OpenCLIP's and transformers', bit for
 * bit. */
#include "golden.h"
#include "image/resize.h"
#include "pictures.h"

const char *golden_dir;

static const clipimg_passes *const sets[] = {
    &clipimg_passes_generic,
#if defined(__x86_64__)
    &clipimg_passes_avx2,
#endif
};

static bool runs(const clipimg_passes *p) { return p == &clipimg_passes_generic || p == clipimg_best_passes(); }

static clip_image empty_picture(int w, int h)
{
    clip_image p = {.width = w, .height = h, .stride = 3 * (size_t)w, .rgb = malloc(3 * (size_t)w * (size_t)h)};
    assert_non_null(p.rgb);
    return p;
}

static void resizing_equals_pillows(void **state)
{
    (void)state;
    FILE *f = golden_table("resize.tsv");
    unsigned seed;
    int extremes, W, H, w, h, filter, n = 0;
    unsigned long long hash;
    for (; fscanf(f, "%u %d %d %d %d %d %d %llx", &seed, &extremes, &W, &H, &w, &h, &filter, &hash) == 8; n++) {
        clip_image in = noise_picture(W, H, seed, extremes), out;
        for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
            if (!runs(sets[s]))
                continue;
            out = empty_picture(w, h);
            assert_int_equal(clipimg_resize_window(sets[s], &in, w, h, filter, 0, 0, &out), CLIP_OK);
            if (picture_hash(&out) != hash)
                fail_msg("%s: %d x %d to %d x %d, filter %d: not Pillow's pixels", sets[s]->name, W, H, w, h, filter);
            clipimg_free(&out);
        }
        assert_int_equal(clipimg_resize(&in, w, h, filter, &out), CLIP_OK);
        assert_true(picture_hash(&out) == hash);
        clipimg_free(&in);
        clipimg_free(&out);
    }
    fclose(f);
    assert_true(n > 100);
}

/* A window equals that part of the whole result, for any stride of the input. */
static void a_window_equals_that_part_of_the_whole(void **state)
{
    (void)state;
    static const int sizes[][4] = {{90, 60, 41, 33},  {20, 30, 70, 95}, {8, 300, 9, 40},  {4000, 19, 1500, 12},
                                   {50, 50, 50, 20}, {50, 50, 20, 50}, {33, 33, 33, 33}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int W = sizes[i][0], H = sizes[i][1], w = sizes[i][2], h = sizes[i][3];
        clip_image all = noise_picture(W + 7, H, 5, 0), in = {W, H, all.stride, all.rgb + 9}, whole,
                   part = empty_picture(6, 7);
        assert_int_equal(clipimg_resize(&in, w, h, CLIPIMG_BICUBIC, &whole), CLIP_OK);
        for (int corner = 0; corner < 4; corner++) {
            int x = corner % 2 ? w - 6 : 2, y = corner / 2 ? h - 7 : 3;
            assert_int_equal(clipimg_resize_window(clipimg_best_passes(), &in, w, h, CLIPIMG_BICUBIC, x, y, &part),
                             CLIP_OK);
            for (int r = 0; r < 7; r++)
                assert_memory_equal(part.rgb + r * 18, whole.rgb + (size_t)(y + r) * whole.stride + 3 * (size_t)x, 18);
        }
        clipimg_free(&all);
        clipimg_free(&whole);
        clipimg_free(&part);
    }
}

static const float statistics[3][2][3] = {
    {{0.48145466f, 0.4578275f, 0.40821073f}, {0.26862954f, 0.26130258f, 0.27577711f}},
    {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
    {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}};

static void preprocessing_equals_its_peers(void **state)
{
    (void)state;
    FILE *f = golden_table("preprocess.tsv");
    unsigned seed;
    int extremes, S, mode, filter, flavour, fill, stats, W, H, n = 0;
    unsigned long long hash;
    for (; fscanf(f, "%u %d %d %d %d %d %d %d %d %d %llx", &seed, &extremes, &S, &mode, &filter, &flavour, &fill,
                  &stats, &W, &H, &hash) == 11;
         n++) {
        clipimg_recipe r = {.size = S, .mode = mode, .filter = filter, .flavour = flavour};
        memset(r.fill_color, fill, 3);
        memcpy(r.mean, statistics[stats][0], sizeof r.mean);
        memcpy(r.std, statistics[stats][1], sizeof r.std);
        size_t bytes = 3 * sizeof(float) * (size_t)S * (size_t)S;
        float *out = malloc(bytes);
        clip_image in = noise_picture(W, H, seed, extremes);
        assert_int_equal(clipimg_preprocess(&r, &in, out), CLIP_OK);
        if (fnv(out, bytes, FNV_START) != hash)
            fail_msg("%d x %d to %d, mode %d, filter %d, flavour %d: other floats than the peer's", W, H, S, mode,
                     filter, flavour);
        clipimg_free(&in);
        free(out);
    }
    fclose(f);
    assert_true(n > 100);
}

/* A line of a million pixels would be resized to 224 x 224,000,000: only the crop is computed. And
 * there is a picture where the peers fail. */
static void extreme_shapes_are_prepared(void **state)
{
    (void)state;
    enum { S = 224 };
    static float out[3 * S * S];
    for (int tall = 0; tall < 2; tall++)
        for (int mode = CLIPIMG_SHORTEST; mode <= CLIPIMG_SQUASH; mode++) {
            clip_image in = empty_picture(tall ? 1 : 1000000, tall ? 1000000 : 1);
            memset(in.rgb, 255, 3000000);
            clipimg_recipe r = {
                .size = S, .mode = mode, .filter = CLIPIMG_BICUBIC, .fill_color = {0, 0, 255}, .std = {1, 1, 1}};
            assert_int_equal(clipimg_preprocess(&r, &in, out), CLIP_OK);
            float red = 0;
            for (int i = 0; i < S * S; i++)
                red += out[i];
            if (mode == CLIPIMG_LONGEST) { /* one row or column of white on blue */
                assert_true(red == S && out[0] == 0.0f && out[2 * S * S] == 1.0f);
            } else
                assert_true(red == S * S);
            clipimg_free(&in);
        }
}

/* 1331 x 1030 shows 50 of 64 rows; computed from the eighth it would be 49. */
static void reduced_pictures_keep_their_crop(void **state)
{
    (void)state;
    enum { S = 64 };
    static float out[3 * S * S];
    clip_image in = empty_picture(167, 129);
    memset(in.rgb, 255, in.stride * 129);
    const clipimg_recipe r = {.size = S, .mode = CLIPIMG_LONGEST, .filter = CLIPIMG_BICUBIC, .std = {1, 1, 1}};
    for (int reduced = 0; reduced < 2; reduced++) {
        float red = 0;
        assert_int_equal(
            reduced ? clipimg_preprocess_reduced(&r, &in, 1331, 1030, out) : clipimg_preprocess(&r, &in, out), CLIP_OK);
        for (int i = 0; i < S * S; i++)
            red += out[i];
        assert_true(red == S * (reduced ? 50 : 49));
    }
    assert_int_equal(clipimg_preprocess_reduced(&r, &in, 1331, 0, out), CLIP_EINVAL);
    clipimg_free(&in);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    clip_image in = noise_picture(4, 4, 1, 0), out, none = {0};
    float pixels[3];
    clipimg_recipe r = {.size = 1, .std = {1, 1, 1}};
    assert_int_equal(clipimg_resize(&in, 0, 4, CLIPIMG_BICUBIC, &out), CLIP_EINVAL);
    assert_int_equal(clipimg_resize(&in, 4, -1, CLIPIMG_BICUBIC, &out), CLIP_EINVAL);
    assert_int_equal(clipimg_resize(&none, 4, 4, CLIPIMG_BICUBIC, &out), CLIP_EINVAL);
    assert_null(out.rgb);
    assert_int_equal(clipimg_preprocess(&r, &none, pixels), CLIP_EINVAL);
    assert_int_equal(clipimg_preprocess(&r, &in, pixels), CLIP_OK);
    r.size = 0;
    assert_int_equal(clipimg_preprocess(&r, &in, pixels), CLIP_EINVAL);
    clipimg_free(&in);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizing_equals_pillows),        cmocka_unit_test(a_window_equals_that_part_of_the_whole),
        cmocka_unit_test(preprocessing_equals_its_peers), cmocka_unit_test(extreme_shapes_are_prepared),
        cmocka_unit_test(arguments_are_checked),          cmocka_unit_test(reduced_pictures_keep_their_crop),
    };
    golden_dir = argc > 1 ? argv[1] : "golden";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
