/* positions.c: a row of the new grid is a weighted sum of rows of the old one, first along one axis
 * and then along the other:
 *
 *     out = W in Wᵀ        W [side, stored], for each channel
 *
 * W is that of PyTorch's upsample_bicubic2d (cubic with a = -0.75, four neighbours, the edge
 * repeated), or with antialiasing of _upsample_bicubic2d_aa (a = -0.5, stretched where the grid
 * shrinks, cut off at the edge and normalized), as Pillow resizes pictures. */
#include "model/positions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

/* Keys' cubic convolution. */
static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void weigh_plain(float *w, int i, int side, int stored)
{
    const double at = (i + 0.5) * stored / side - 0.5, floor_at = floor(at);
    for (int n = -1; n <= 2; n++) {
        const int j = (int)floor_at + n;
        w[j < 0 ? 0 : j >= stored ? stored - 1 : j] += (float)cubic(at - floor_at - n, -0.75);
    }
}

static void weigh_antialias(float *w, int i, int side, int stored)
{
    const double scale = (double)stored / side, stretch = scale > 1 ? scale : 1, center = (i + 0.5) * scale;
    const int from = (int)fmax(center - 2 * stretch + 0.5, 0), to = (int)fmin(center + 2 * stretch + 0.5, stored);
    double sum = 0;
    for (int j = from; j < to; j++)
        sum += cubic((j - center + 0.5) / stretch, -0.5);
    for (int j = from; j < to; j++)
        w[j] = (float)(cubic((j - center + 0.5) / stretch, -0.5) / sum);
}

/* y += w x, [n] */
static void add_scaled(float *y, float w, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += w * x[i];
}

clip_status clipmdl_positions_resample(float *out, const float *in, const clipmdl_positions *p, int C, bool antialias)
{
    const size_t c = (size_t)C, S = (size_t)p->side, F = (size_t)p->stored;
    float *w = calloc(S * F, sizeof *w), *rows = calloc(F * S * c, sizeof *rows); /* rows [F, S, C] */
    if (!w || !rows) {
        free(w);
        free(rows);
        return CLIP_ENOMEM;
    }
    for (int i = 0; i < p->side; i++)
        (antialias ? weigh_antialias : weigh_plain)(w + (size_t)i * F, i, p->side, p->stored);
    memcpy(out, in, (size_t)p->first * c * sizeof *out);
    in += (size_t)p->first * c;
    out += (size_t)p->first * c;
    memset(out, 0, S * S * c * sizeof *out);
    for (size_t y = 0; y < F; y++)
        for (size_t x = 0; x < S; x++)
            for (size_t j = 0; j < F; j++)
                if (w[x * F + j] != 0)
                    add_scaled(rows + (y * S + x) * c, w[x * F + j], in + (y * F + j) * c, c);
    for (size_t y = 0; y < S; y++)
        for (size_t j = 0; j < F; j++)
            if (w[y * F + j] != 0)
                add_scaled(out + y * S * c, w[y * F + j], rows + j * S * c, S * c);
    free(w);
    free(rows);
    return CLIP_OK;
}

/* The weights of `stored` places for place i of `side`: a triangle, in f32 as in transformers. */
static void weigh_bilinear(float w[CLIPMDL_MOST_GRID], int i, int side, int stored)
{
    const float scale = (float)stored / (float)side, support = scale > 1 ? scale : 1;
    const float center = ((float)i + 0.5f) * scale - 0.5f;
    float sum = 0;
    for (int j = 0; j < stored; j++)
        sum += w[j] = fmaxf(1 - fabsf((float)j - center) / support, 0);
    for (int j = 0; j < stored; j++)
        w[j] /= sum;
}

void clipmdl_positions_bilinear(float *out, int rows, int columns, const float *in, int stored, int C)
{
    float down[CLIPMDL_MOST_GRID], across[CLIPMDL_MOST_GRID];
    const size_t c = (size_t)C, F = (size_t)stored;
    memset(out, 0, (size_t)rows * (size_t)columns * c * sizeof *out);
    for (int y = 0; y < rows; y++) {
        weigh_bilinear(down, y, rows, stored);
        for (int x = 0; x < columns; x++, out += c) {
            weigh_bilinear(across, x, columns, stored);
            for (size_t j = 0; j < F; j++)
                for (size_t i = 0; i < F && down[j] > 0; i++)
                    if (across[i] > 0)
                        add_scaled(out, down[j] * across[i], in + (j * F + i) * c, c);
        }
    }
}
