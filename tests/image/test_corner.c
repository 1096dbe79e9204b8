/* OWLv2's preparation of pictures against transformers' (tools/dump_corner.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "golden_corner.h"
#include "image/image.h"

enum { S = CORNER_SIZE, PICTURES = sizeof corner_picture / sizeof *corner_picture };

static const clipimg_recipe recipe = {
    .size = S, .mode = CLIPIMG_CORNER, .mean = {0.5f, 0.4f, 0.3f}, .std = {0.2f, 0.3f, 0.4f}, .background = -1};

static clip_image make_picture(int width, int height)
{
    const size_t stride = 3 * (size_t)width, n = stride * (size_t)height;
    clip_image img = {.width = width, .height = height, .stride = stride, .rgb = malloc(n)};
    assert_non_null(img.rgb);
    for (size_t i = 0; i < n; i++)
        img.rgb[i] = (uint8_t)((uint32_t)(i * 2654435761u) >> 24);
    return img;
}

static void pixels_equal_scipys(void **state)
{
    (void)state;
    for (int p = 0; p < PICTURES; p++) {
        clip_image img = make_picture(corner_picture[p][0], corner_picture[p][1]);
        float out[3 * S * S];
        assert_int_equal(clipimg_preprocess(&recipe, &img, out), CLIP_OK);
        for (int i = 0; i < 3 * S * S; i++)
            if (!(fabsf(out[i] - corner_golden[p][i]) <= 2e-6f))
                fail_msg("%d x %d, pixel %d: %.8g, should be %.8g", img.width, img.height, i, (double)out[i],
                         (double)corner_golden[p][i]);
        free(img.rgb);
    }
}

static void the_window_is_the_square(void **state)
{
    (void)state;
    clip_window w;
    assert_int_equal(clipimg_window(&recipe, 30, 20, &w), CLIP_OK);
    assert_true(w.x == 0 && w.y == 0 && w.width == 30 && w.height == 30);
}

static void memory_fails(void **state)
{
    (void)state;
    clip_image img = make_picture(9, 5);
    float out[3 * S * S];
    long n = 1;
    for (;; n++) {
        fail_alloc_at(n);
        const clip_status s = clipimg_preprocess(&recipe, &img, out);
        if (!fail_alloc_stop())
            break;
        assert_int_equal(s, CLIP_ENOMEM);
    }
    assert_int_equal(n, 6); /* four for the axis, one for a row */
    free(img.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pixels_equal_scipys),
                                       cmocka_unit_test(the_window_is_the_square), cmocka_unit_test(memory_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
