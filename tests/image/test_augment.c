/* test_augment.c: random views and colors. Without settings nothing changes, draws stay in their
 * range and fill it, and colors are Pillow's. */
#include "failing_alloc.h"
#include "golden.h"
#include "image/augment.h"
#include "pictures.h"

#include <math.h>
#include <string.h>

const char *golden_dir; /* unused; golden.h needs it */

enum { S = 32, PLANE = S * S, MANY = 2000 };
static float out[3 * PLANE], plain[3 * PLANE];

static clipimg_recipe recipe(clipimg_mode mode, clipimg_filter filter)
{
    return (clipimg_recipe){.size = S,
                            .mode = mode,
                            .filter = filter,
                            .fill_color = {10, 200, 30},
                            .mean = {0.5f, 0.4f, 0.3f},
                            .std = {0.25f, 0.3f, 0.5f}};
}

/* v is in 0..1. */
static clipimg_recipe bare(void)
{
    return (clipimg_recipe){.size = S, .filter = CLIPIMG_BILINEAR, .std = {1, 1, 1}};
}

/* The whole picture, without any change. */
static clipimg_augment nothing(void)
{
    clipimg_augment a = clipimg_augment_default();
    a.scale[0] = a.ratio[0] = a.ratio[1] = 1;
    return a;
}

static clipimg_augment affine(float lo, float hi)
{
    clipimg_augment a = nothing();
    a.affine.on = true;
    a.affine.zoom[0] = lo;
    a.affine.zoom[1] = hi;
    return a;
}

static void apply(const clipimg_augment *a, uint64_t n, const clipimg_recipe *r, const clip_image *img)
{
    clipb_rng rng = clipb_rng_at(7, CLIPB_RNG_AUGMENT, 0, n);
    memset(out, 0xff, sizeof out); /* NaN: pixels that are not written show */
    assert_int_equal(clipimg_augment_apply(a, &rng, r, img, out), CLIP_OK);
}

static void nothing_asked_equals_preprocessing(void **state)
{
    (void)state;
    static const int sides[][2] = {{S, S}, {20, 20}, {100, 100}, {40, 40}, {3, 3},
                                   {1, 1}, {48, 32}, {31, 77},   {200, 90}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int mode = CLIPIMG_SHORTEST; mode <= CLIPIMG_SQUASH; mode++)
            for (int filter = CLIPIMG_BILINEAR; filter <= CLIPIMG_BICUBIC; filter++) {
                const int w = sides[i][0], h = sides[i][1], shorter = w < h ? w : h;
                const clipimg_recipe r = recipe(mode, filter);
                clip_image img = noise_picture(w, h, 3, 0);
                clipimg_augment a = nothing();
                assert_int_equal(clipimg_preprocess(&r, &img, plain), CLIP_OK);
                if (w == h) {
                    apply(&a, 0, &r, &img);
                    assert_memory_equal(out, plain, sizeof out);
                }
                /* An affine view does not enlarge before it samples. It equals preprocessing if
                 * nothing is enlarged and the middle is cut exactly. */
                const bool exact = mode == CLIPIMG_SHORTEST ? shorter == S || (w == h && w > 1.4 * S)
                                                            : shorter > 1.4 * S || (w == S && h == S);
                if (exact) {
                    a = affine(1, 1);
                    apply(&a, 0, &r, &img);
                    assert_memory_equal(out, plain, sizeof out);
                }
                clipimg_free(&img);
            }
}

static void the_default_is_openclips(void **state)
{
    (void)state;
    const clipimg_augment a = clipimg_augment_default();
    assert_true(a.scale[0] == 0.9f && a.scale[1] == 1 && a.ratio[0] == 0.75f && a.ratio[1] == 4 / 3.0f);
    assert_true(!a.affine.on && a.color_jitter_prob == 0 && a.gray_scale_prob == 0 && a.hflip == 0 && a.contrast == 0 &&
                a.channel_shift == 0 && a.re_prob == 0);
}

static clipimg_augment everything(bool as_affine)
{
    clipimg_augment a = as_affine ? affine(0.6f, 1.05f) : clipimg_augment_default();
    a.affine.aspect = 0.1f;
    a.affine.shift = 0.15f;
    a.affine.rotate = 15;
    a.color_jitter[0] = a.color_jitter[1] = a.color_jitter[2] = 0.4f;
    a.color_jitter[3] = 0.1f;
    a.color_jitter_prob = a.gray_scale_prob = a.hflip = a.re_prob = 0.5f;
    a.contrast = 0.2f;
    a.channel_shift = 0.05f;
    return a;
}

static void the_same_generator_gives_the_same_picture(void **state)
{
    (void)state;
    static float first[3 * PLANE];
    clip_image img = noise_picture(50, 40, 1, 0);
    const clipimg_recipe r = recipe(CLIPIMG_SHORTEST, CLIPIMG_BICUBIC);
    for (int as_affine = 0; as_affine < 2; as_affine++) {
        const clipimg_augment a = everything(as_affine);
        for (uint64_t n = 0; n < 50; n++) {
            apply(&a, n, &r, &img);
            memcpy(first, out, sizeof out);
            apply(&a, n, &r, &img);
            assert_memory_equal(first, out, sizeof out);
            for (int i = 0; i < 3 * PLANE; i++)
                assert_true(isfinite(out[i]));
            apply(&a, n + 1000, &r, &img);
            assert_memory_not_equal(first, out, sizeof out);
        }
    }
    clipimg_free(&img);
}

/* ---- The crop ---- */

static void boxes_fill_their_ranges(void **state)
{
    (void)state;
    static const int sides[][2] = {{300, 200}, {224, 224}, {90, 400}};
    clipimg_augment a = nothing();
    a.scale[0] = 0.2f;
    a.scale[1] = 0.6f;
    a.ratio[0] = 0.75f;
    a.ratio[1] = 4 / 3.0f;
    for (size_t i = 0; i < 2; i++) {
        const double W = sides[i][0], H = sides[i][1];
        double area = 0, log_aspect = 0, x = 0, y = 0, least = 1, most = 0;
        for (int n = 0; n < MANY; n++) {
            clipb_rng rng = clipb_rng_at(1, CLIPB_RNG_AUGMENT, 0, (uint64_t)n);
            const clipimg_box b = clipimg_augment_box(&a, &rng, sides[i][0], sides[i][1]);
            assert_true(b.x >= 0 && b.y >= 0 && b.width > 0 && b.height > 0 && b.x + b.width <= W &&
                        b.y + b.height <= H);
            const double share = b.width * b.height / (W * H), aspect = (double)b.width / b.height;
            assert_true(share > 0.195 && share < 0.605 && aspect > 0.74 && aspect < 1.35);
            area += share / MANY;
            log_aspect += log(aspect) / MANY;
            x += (b.x + b.width / 2.0) / W / MANY;
            y += (b.y + b.height / 2.0) / H / MANY;
            least = fmin(least, share);
            most = fmax(most, share);
        }
        /* Means of 2,000 draws lie within four standard errors. The deviation of a share is 0.115,
         * of an aspect 0.17, of a centre below 0.17. */
        assert_true(fabs(area - 0.4) < 0.0104 && fabs(log_aspect) < 0.015 && fabs(x - 0.5) < 0.015 &&
                    fabs(y - 0.5) < 0.015);
        assert_true(least < 0.21 && most > 0.59);
    }
    /* No box of this aspect fits: the middle, as wide as possible. */
    a.scale[0] = a.scale[1] = 1;
    clipb_rng rng = {0};
    clipimg_box b = clipimg_augment_box(&a, &rng, 1000, 90);
    assert_true(b.height == 90 && b.width == 120 && b.x == 440 && b.y == 0);
    b = clipimg_augment_box(&a, &rng, 90, 1001);
    assert_true(b.height == 120 && b.width == 90 && b.x == 0 && b.y == 440);
    b = clipimg_augment_box(&a, &rng, 1, 1);
    assert_true(b.height == 1 && b.width == 1);
}

static void a_crop_equals_pillows(void **state)
{
    (void)state;
    clip_image img = noise_picture(90, 60, 4, 0), small;
    const clipimg_recipe r = recipe(CLIPIMG_SHORTEST, CLIPIMG_BICUBIC);
    clipimg_augment a = clipimg_augment_default();
    a.scale[0] = 0.1f;
    for (uint64_t n = 0; n < 50; n++) {
        clipb_rng rng = clipb_rng_at(7, CLIPB_RNG_AUGMENT, 0, n);
        const clipimg_box b = clipimg_augment_box(&a, &rng, 90, 60);
        clip_image part = {.width = b.width, .height = b.height, .stride = img.stride};
        part.rgb = img.rgb + (size_t)b.y * img.stride + 3 * (size_t)b.x;
        assert_int_equal(clipimg_resize(&part, S, S, r.filter, &small), CLIP_OK);
        assert_int_equal(clipimg_preprocess(&r, &small, plain), CLIP_OK);
        apply(&a, n, &r, &img);
        assert_memory_equal(out, plain, sizeof out);
        clipimg_free(&small);
    }
    clipimg_free(&img);
}

/* ---- The affine view ---- */

/* Red grows to the right, green downwards: the colors seen give the view's place. */
static clip_image ramps(void)
{
    clip_image p = noise_picture(256, 256, 1, 0);
    for (int y = 0; y < 256; y++)
        for (int x = 0; x < 256; x++) {
            p.rgb[3 * (256 * y + x)] = (uint8_t)x;
            p.rgb[3 * (256 * y + x) + 1] = (uint8_t)y;
        }
    return p;
}

typedef struct range {
    double lo, hi;
} range;

static void widen(range *r, double v)
{
    r->lo = fmin(r->lo, v);
    r->hi = fmax(r->hi, v);
}

/* All of [lo, hi] is met, and nothing beyond it. fringe: how near the ends 2,000 draws come, and
 * the precision of bytes. */
static void assert_range(const char *what, range r, double lo, double hi, double fringe)
{
    if (r.lo < lo - fringe || r.lo > lo + fringe || r.hi > hi + fringe || r.hi < hi - fringe)
        fail_msg("%s: %g .. %g, not %g .. %g", what, r.lo, r.hi, lo, hi);
}

static void affine_views_fill_their_ranges(void **state)
{
    (void)state;
    clip_image img = ramps();
    const clipimg_recipe r = bare();
    clipimg_augment a = affine(0.6f, 1.05f);
    a.affine.aspect = 0.1f;
    a.affine.shift = 0.15f;
    a.affine.rotate = 20;
    range zoom = {9, 0}, aspect = {9, 0}, x = {9, -9}, y = {9, -9}, angle = {99, -99};
    enum { K = 6 }; /* pixels from the middle whose colors lie inside the picture */
    for (uint64_t n = 0; n < MANY; n++) {
        apply(&a, n, &r, &img);
        const float *red = out + PLANE / 2 + S / 2, *green = red + PLANE;
        const double unit = 255.0 / 256 * S / (2 * K);
        const double xx = (red[K] - red[-K]) * unit, yx = (green[K] - green[-K]) * unit;
        const double xy = (red[K * S] - red[-K * S]) * unit, yy = (green[K * S] - green[-K * S]) * unit;
        widen(&zoom, sqrt(xx * yy - xy * yx));
        widen(&aspect, hypot(xx, yx) / hypot(xy, yy));
        widen(&angle, atan2(yx, xx) * 180 / M_PI);
        widen(&x, red[0] * 255 / 256.0 - xx / S / 2 - xy / S / 2 - 0.5);
        widen(&y, green[0] * 255 / 256.0 - yx / S / 2 - yy / S / 2 - 0.5);
    }
    assert_range("zoom", zoom, 0.6, 1.05, 0.02);
    assert_range("aspect", aspect, 1 / 1.1, 1.1, 0.03);
    assert_range("x", x, -0.15, 0.15, 0.01);
    assert_range("y", y, -0.15, 0.15, 0.01);
    assert_range("angle", angle, -20, 20, 1.5);
    clipimg_free(&img);
}

/* Weights add up to 1 everywhere. Beyond the edge the edge is repeated. */
static void one_color_stays_one_color(void **state)
{
    (void)state;
    for (int mode = CLIPIMG_SHORTEST; mode <= CLIPIMG_SQUASH; mode++)
        for (int filter = CLIPIMG_BILINEAR; filter <= CLIPIMG_BICUBIC; filter++)
            for (uint64_t n = 0; n < 100; n++) {
                const clipimg_recipe r = {
                    .size = S, .mode = mode, .filter = filter, .fill_color = {255, 255, 255}, .std = {1, 1, 1}};
                clip_image img = noise_picture(1 + (int)n * 3, 1 + (int)(n * 37 % 101), 1, 0);
                memset(img.rgb, 255, img.stride * (size_t)img.height);
                clipimg_augment a = affine(0.01f, n % 2 ? 30 : 3);
                a.affine.aspect = 5;
                a.affine.shift = 1;
                a.affine.rotate = n % 3 ? 180 : 0;
                apply(&a, n, &r, &img);
                for (int i = 0; i < 3 * PLANE; i++)
                    assert_true(out[i] == 1);
                clipimg_free(&img);
            }
}

/* Lines finer than the view's pixels become grey, as with Pillow, without moiré. */
static void shrinking_averages(void **state)
{
    (void)state;
    clip_image img = noise_picture(8 * S, 8 * S, 1, 0);
    for (int i = 0; i < img.width * img.height; i++)
        memset(img.rgb + 3 * i, i % 2 ? 255 : 0, 3);
    clipimg_augment a = affine(0.9f, 1);
    a.affine.rotate = 10;
    const clipimg_recipe r = bare();
    apply(&a, 1, &r, &img);
    for (int i = 0; i < PLANE; i++)
        assert_true(fabsf(out[i] - 0.5f) < 0.03f);
    clipimg_free(&img);
}

/* ---- Colors ---- */

/* Hashes of noise_picture(64, 48, 5, 0), changed by Pillow 13 and torchvision 0.29. */
static void colors_equal_pillows(void **state)
{
    (void)state;
    static const struct {
        void (*change)(uint8_t *rgb, size_t n, float by);
        float by;
        uint64_t hash;
    } cases[] = {
        {clipimg_brightness, 0.6f, 0x26b0984162aa7603}, {clipimg_brightness, 1.4f, 0x6c3a91016f63eb13},
        {clipimg_contrast, 0.6f, 0x947adcb00d729651},   {clipimg_contrast, 1.4f, 0x8f4e24cd13bff6c1},
        {clipimg_saturation, 0.0f, 0x693cf0e611426109}, {clipimg_saturation, 0.6f, 0xf059895552b59b40},
        {clipimg_saturation, 1.4f, 0x621eaa11118f6096}, {clipimg_hue, -0.37f, 0x9c74f8eecff347b6},
        {clipimg_hue, 0.0f, 0x060647491b7023bd},        {clipimg_hue, 0.25f, 0x21d9ed6fca45ddcd},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clip_image img = noise_picture(64, 48, 5, 0);
        cases[i].change(img.rgb, 64 * 48, cases[i].by);
        if (picture_hash(&img) != cases[i].hash)
            fail_msg("case %zu: other bytes than Pillow's", i);
        clipimg_free(&img);
    }
}

static void grey_is_grey(void **state)
{
    (void)state;
    clip_image img = noise_picture(S, S, 2, 0);
    const clipimg_recipe r = bare();
    clipimg_augment a = nothing();
    int grey = 0;
    a.gray_scale_prob = 0.3f;
    for (uint64_t n = 0; n < MANY; n++) {
        apply(&a, n, &r, &img);
        bool all = true;
        for (int i = 0; i < PLANE; i++)
            all = all && out[i] == out[PLANE + i] && out[i] == out[2 * PLANE + i];
        grey += all;
        if (all)
            assert_true(fabsf(out[0] * 255 - (0.299f * img.rgb[0] + 0.587f * img.rgb[1] + 0.114f * img.rgb[2])) <= 1);
    }
    assert_true(abs(grey - 600) < 82); /* four deviations of 20.5 */
    clipimg_free(&img);
}

static void jitter_fills_its_range(void **state)
{
    (void)state;
    clip_image img = noise_picture(S, S, 2, 0);
    memset(img.rgb, 100, 3 * PLANE);
    const clipimg_recipe r = bare();
    clipimg_augment a = nothing();
    a.color_jitter[0] = 0.4f;
    a.color_jitter_prob = 0.5f;
    range brightness = {9, 0};
    int same = 0;
    for (uint64_t n = 0; n < MANY; n++) {
        apply(&a, n, &r, &img);
        widen(&brightness, out[5] * 255 / 100);
        same += out[5] * 255 == 100;
    }
    assert_range("brightness", brightness, 0.6, 1.4, 0.0101);
    assert_true(same > 900 && same < 1150); /* half of them, and a few more by chance */
    a.color_jitter[0] = 0;
    a.color_jitter[2] = a.color_jitter[3] = 0.5f;
    a.color_jitter_prob = 1;
    apply(&a, 1, &r, &img);
    for (int i = 0; i < 3 * PLANE; i++) /* grey has no hue or saturation to change */
        assert_true(out[i] == 100 / 255.0f);
    clipimg_free(&img);
}

static void flip_contrast_and_shift_fill_their_ranges(void **state)
{
    (void)state;
    clip_image img = noise_picture(S, S, 2, 0);
    const clipimg_recipe r = bare();
    clipimg_augment a = nothing();
    assert_int_equal(clipimg_preprocess(&r, &img, plain), CLIP_OK);
    a.hflip = 1;
    apply(&a, 0, &r, &img);
    for (int i = 0; i < 3 * PLANE; i++)
        assert_true(out[i] == plain[i / S * S + S - 1 - i % S]);
    a.hflip = 0;
    a.contrast = 0.2f;
    a.channel_shift = 0.05f;
    range contrast = {9, 0}, shift[3] = {{9, -9}, {9, -9}, {9, -9}};
    for (uint64_t n = 0; n < MANY; n++) {
        apply(&a, n, &r, &img);
        for (int c = 0; c < 3; c++) {
            const float *o = out + c * PLANE, *p = plain + c * PLANE;
            const double k = (double)(o[1] - o[0]) / (double)(p[1] - p[0]);
            widen(&contrast, k);
            widen(&shift[c], o[0] - 0.5 - k * (p[0] - 0.5));
            for (int i = 0; i < PLANE; i++)
                assert_true(fabs(o[i] - o[0] - k * (p[i] - p[0])) < 1e-4);
        }
    }
    assert_range("contrast", contrast, 0.8, 1.2, 0.001);
    for (int c = 0; c < 3; c++)
        assert_range("shift", shift[c], -0.05, 0.05, 0.001);
    clipimg_free(&img);
}

static void erasing_fills_one_box(void **state)
{
    (void)state;
    clip_image img = noise_picture(S, S, 2, 0);
    memset(img.rgb, 200, 3 * PLANE);
    const clipimg_recipe r = bare();
    clipimg_augment a = nothing();
    a.re_prob = 0.25f;
    range share = {9, 0};
    int erased = 0;
    for (uint64_t n = 0; n < MANY; n++) {
        int zeros = 0, l = S, t = S, right = -1, b = -1;
        apply(&a, n, &r, &img);
        for (int i = 0; i < PLANE; i++) {
            assert_true((out[i] == 0 || out[i] == 200 / 255.0f) && out[i] == out[PLANE + i] &&
                        out[i] == out[2 * PLANE + i]);
            if (out[i] != 0)
                continue;
            zeros++;
            l = i % S < l ? i % S : l;
            right = i % S > right ? i % S : right;
            t = i / S < t ? i / S : t;
            b = i / S;
        }
        erased += zeros > 0;
        if (zeros > 0) {
            assert_int_equal(zeros, (right - l + 1) * (b - t + 1)); /* a box */
            widen(&share, zeros / (double)PLANE);
        }
    }
    assert_range("share", share, 0.02, 1 / 3.0, 0.015);
    assert_true(abs(erased - 500) < 78);
    clipimg_free(&img);
}

/* ---- Settings, and memory ---- */

static clip_status settings(const char *json, clipimg_augment *a, clip_error *err)
{
    cJSON *o = cJSON_Parse(json);
    assert_non_null(o);
    clip_status s = clipimg_augment_json(o, a, "t.json", err);
    cJSON_Delete(o);
    return s;
}

static void settings_are_read_or_refused(void **state)
{
    (void)state;
    clipimg_augment a;
    clip_error err;
    assert_int_equal(
        settings(
            "{\"color_jitter\": [0.1, 0.2, 0.3, 0.4], \"color_jitter_prob\": 0.8, \"gray_scale_prob\": 0.2,"
            "\"hflip\": 0.5,"
            "\"affine\": {\"zoom\": [0.6, 1.05], \"aspect\": 0.1, \"shift\": 0.15, \"rotate\": 10}, \"contrast\": 0.25,"
            "\"channel_shift\": 0.05, \"re_prob\": 0.125, \"ratio\": null}",
            &a, &err),
        CLIP_OK);
    assert_true(a.color_jitter[3] == 0.4f && a.color_jitter_prob == 0.8f && a.gray_scale_prob == 0.2f &&
                a.hflip == 0.5f && a.affine.on && a.affine.zoom[0] == 0.6f && a.affine.zoom[1] == 1.05f &&
                a.affine.aspect == 0.1f && a.affine.shift == 0.15f && a.affine.rotate == 10 && a.contrast == 0.25f &&
                a.channel_shift == 0.05f && a.re_prob == 0.125f && a.scale[0] == 0.9f);
    assert_int_equal(settings("{\"scale\": [0.5, 0.75], \"ratio\": [0.5, 2], \"affine\": null}", &a, &err), CLIP_OK);
    assert_true(a.scale[0] == 0.5f && a.scale[1] == 0.75f && a.ratio[0] == 0.5f && a.ratio[1] == 2 && !a.affine.on);
    static const char *const faults[][2] = {
        {"[]", "the augmentation must be a JSON object"},
        {"{\"scales\": [1, 1]}", "the augmentation has no setting \"scales\""},
        {"{\"affine\": {\"scale\": 1}}", "the augmentation has no setting \"scale\""},
        {"{\"affine\": {}, \"ratio\": [1, 1]}", "\"scale\" and \"ratio\" (a crop) cannot be combined with \"affine\""},
        {"{\"affine\": 1}", "the augmentation must be a JSON object"},
        {"{\"scale\": 0.9}", "\"scale\" must be a list of 2 rising numbers from 0.0001 to 1"},
        {"{\"scale\": [0.9]}", "\"scale\" must be a list of 2 rising numbers from 0.0001 to 1"},
        {"{\"scale\": [1, 0.9]}", "\"scale\" must be a list of 2 rising numbers from 0.0001 to 1"},
        {"{\"scale\": [0.5, 2]}", "\"scale\" must be a list of 2 rising numbers from 0.0001 to 1"},
        {"{\"color_jitter\": [0.5, 0.2, 0.1]}", "\"color_jitter\" must be a list of 4 numbers from 0 to 10"},
        {"{\"color_jitter\": [0.5, 0.2, 0.1, 0.6]}",
         "the last number of \"color_jitter\" (the hue) must be at most 0.5"},
        {"{\"hflip\": \"yes\"}", "\"hflip\" must be a number from 0 to 1"},
        {"{\"hflip\": -1}", "\"hflip\" must be a number from 0 to 1"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        assert_int_equal(settings(faults[i][0], &a, &err), CLIP_EFORMAT);
        assert_string_equal(err.message + strlen("t.json: "), faults[i][1]);
    }
}

static void arguments_are_checked_and_memory_may_fail(void **state)
{
    (void)state;
    clip_image img = noise_picture(90, 60, 2, 0), none = {0};
    const clipimg_recipe r = recipe(CLIPIMG_LONGEST, CLIPIMG_BICUBIC);
    clipb_rng rng = {0};
    for (int as_affine = 0; as_affine < 2; as_affine++) {
        const clipimg_augment a = everything(as_affine);
        assert_int_equal(clipimg_augment_apply(&a, &rng, &r, &none, out), CLIP_EINVAL);
        for (long n = 1;; n++) {
            fail_alloc_at(n);
            clip_status s = clipimg_augment_apply(&a, &rng, &r, &img, out);
            if (!fail_alloc_stop())
                break;
            assert_int_equal(s, CLIP_ENOMEM);
        }
    }
    clipimg_free(&img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asked_equals_preprocessing),
        cmocka_unit_test(the_default_is_openclips),
        cmocka_unit_test(the_same_generator_gives_the_same_picture),
        cmocka_unit_test(boxes_fill_their_ranges),
        cmocka_unit_test(a_crop_equals_pillows),
        cmocka_unit_test(affine_views_fill_their_ranges),
        cmocka_unit_test(one_color_stays_one_color),
        cmocka_unit_test(shrinking_averages),
        cmocka_unit_test(colors_equal_pillows),
        cmocka_unit_test(grey_is_grey),
        cmocka_unit_test(jitter_fills_its_range),
        cmocka_unit_test(flip_contrast_and_shift_fill_their_ranges),
        cmocka_unit_test(erasing_fills_one_box),
        cmocka_unit_test(settings_are_read_or_refused),
        cmocka_unit_test(arguments_are_checked_and_memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
