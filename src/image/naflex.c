/* naflex.c: pictures that keep their shape, as patches (NaFlex of SigLIP 2, arXiv:2502.14786,
 * section 2.4.2). transformers' Siglip2ImageProcessor, with Pillow's resampling:
 *
 *     sides  ceil(side * scale / P) * P, with the largest scale that gives at most `most` patches
 *     out    rows, columns, then the patches [rows * columns, P, P, 3], then zeros
 *
 * The scale is found by bisection. It must be transformers' own, with its end and its doubles:
 * which of two grids a picture gets may depend on the last step. */
#include "image/naflex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/resize.h"

#define FINEST 1e-5 /* the bisection ends below it */
#define LARGEST_SCALE 100.0

/* Patches along a side. */
static double patches(double scale, int side, int P)
{
    const double n = ceil(side * scale / P);
    return n < 1 ? 1 : n;
}

static clip_status find_grid(const clipimg_recipe *r, int width, int height, int *rows, int *columns)
{
    double lo = FINEST / 10, hi = LARGEST_SCALE;
    while (hi - lo >= FINEST) {
        const double scale = (lo + hi) / 2;
        *(patches(scale, height, r->patch) * patches(scale, width, r->patch) <= r->most ? &lo : &hi) = scale;
    }
    const double h = patches(lo, height, r->patch), w = patches(lo, width, r->patch);
    if (h * w > r->most) /* no scale was small enough */
        return CLIP_EINVAL;
    *rows = (int)h;
    *columns = (int)w;
    return CLIP_OK;
}

/* rgb [rows * P, columns * P, 3] into patches. */
static void place(const clipimg_recipe *r, const uint8_t *rgb, int rows, int columns, float *out)
{
    const size_t P = (size_t)r->patch, line = 3 * P, stride = (size_t)columns * line;
    float level[3][256];
    clipimg_levels(r, level);
    for (size_t y = 0; y < (size_t)rows; y++)
        for (size_t x = 0; x < (size_t)columns; x++)
            for (size_t u = 0; u < P; u++) {
                const uint8_t *from = rgb + (y * P + u) * stride + x * line;
                for (size_t i = 0; i < line; i++)
                    *out++ = level[i % 3][from[i]];
            }
}

clip_status clipimg_naflex(const clipimg_recipe *r, const clip_image *img, int width, int height, float *out)
{
    const size_t P = (size_t)r->patch;
    int rows, columns;
    TRY(find_grid(r, width, height, &rows, &columns));
    const size_t n = (size_t)rows * (size_t)columns * 3 * P * P;
    clip_image resized = {.width = columns * r->patch, .height = rows * r->patch, .rgb = malloc(n)};
    resized.stride = 3 * (size_t)resized.width;
    if (!resized.rgb)
        return CLIP_ENOMEM;
    clip_status s = clipimg_resize_window(clipimg_best_passes(), img, resized.width, resized.height, r->filter, 0, 0,
                                          &resized);
    if (s == CLIP_OK) {
        out[0] = (float)rows;
        out[1] = (float)columns;
        place(r, resized.rgb, rows, columns, out + CLIPIMG_NAFLEX_HEAD);
        memset(out + CLIPIMG_NAFLEX_HEAD + n, 0, (clipimg_floats(r) - CLIPIMG_NAFLEX_HEAD - n) * sizeof *out);
    }
    free(resized.rgb);
    return s;
}
