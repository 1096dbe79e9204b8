/* winograd.h: the tiles of a 3x3 convolution and their values at the 36 points. Included by
 * simd_conv.c, which explains the method, and by simd_conv_back.c. */
#ifndef CLIPK_WINOGRAD_H
#define CLIPK_WINOGRAD_H

#include "base/number.h"
#include "kernels/tile.h"
#include "kernels/vecmath.h"

#define POINTS CLIPK_CONV_POINTS

static const float P1 = 0.75f, P2 = 1.5f, SQ1 = 0.5625f, SQ2 = 2.25f; /* the points and their squares */

/* The place of a tile: its picture and its first pixel. */
typedef struct place {
    int n, h, w;
} place;

static inline place place_of(int H, int W, int t)
{
    const int across = (W + 3) / 4, down = (H + 3) / 4;
    return (place){t / (across * down), t / across % down * 4, t % across * 4};
}

/* Numbers from one point to the next, for T tiles. The extra cache line keeps the points from
 * sharing a few sets of the cache. */
static inline int64_t stride_of(int T, int channels) { return (int64_t)T * channels + 16; }

/* Bᵀ: six numbers, in place. */
INLINE void input_line(vf *d, int step)
{
    const float sum = SQ1 + SQ2, product = SQ1 * SQ2;
    vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    vf even1 = d4 - SQ2 * d2, odd1 = P1 * (d3 - SQ2 * d1);
    vf even2 = d4 - SQ1 * d2, odd2 = P2 * (d3 - SQ1 * d1);
    d[0] = product * d0 - sum * d2 + d4;
    d[step] = even1 + odd1;
    d[2 * step] = even1 - odd1;
    d[3 * step] = even2 + odd2;
    d[4 * step] = even2 - odd2;
    d[5 * step] = product * d1 - sum * d3 + d5;
}

/* V[., t] from the 6x6 pixels around a tile of x [., H, W, I]. inside: all of them are within the
 * picture. */
INLINE void input_tile(float *V, int64_t stride, const float *x, int H, int W, int I, place at, bool inside)
{
    x += (((int64_t)at.n * H + at.h - 1) * W + at.w - 1) * I;
    for (int i = 0; i < I; i += CLIPK_VL) {
        const int n = clipb_min(CLIPK_VL, I - i);
        vf d[POINTS];
        for (int c = 0; c < 6; c++) {
            for (int r = 0; r < 6; r++) {
                const float *pixel = x + ((int64_t)r * W + c) * I + i;
                if (!inside && ((unsigned)(at.h - 1 + r) >= (unsigned)H || (unsigned)(at.w - 1 + c) >= (unsigned)W))
                    d[6 * r + c] = (vf){0};
                else
                    d[6 * r + c] = n == CLIPK_VL ? vload(pixel) : vload_n(pixel, n);
            }
            input_line(d + c, 6);
        }
        for (int r = 0; r < 6; r++) {
            input_line(d + 6 * r, 1);
            for (int c = 0; c < 6; c++)
                vstore(V + (6 * r + c) * stride + i, d[6 * r + c]);
        }
    }
}

/* V [36, t1 - t0, Ip]. Ip is I rounded up to whole vectors. */
static inline void input_tiles(float *V, int Ip, const float *x, int H, int W, int I, int t0, int t1)
{
    const int64_t stride = stride_of(t1 - t0, Ip);
    for (int t = t0; t < t1; t++, V += Ip) {
        const place at = place_of(H, W, t);
        if (at.h > 0 && at.w > 0 && at.h + 5 <= H && at.w + 5 <= W)
            input_tile(V, stride, x, H, W, I, at, true);
        else
            input_tile(V, stride, x, H, W, I, at, false);
    }
}

#endif
