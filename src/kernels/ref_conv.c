/* ref_conv.c: the oracle of simd_conv.c: the sum that defines a convolution, in double. Its
 * "panels" are a plain copy of W. */
#include <math.h>
#include <string.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

size_t NAME(conv3x3_bytes)(int O, int I) { return sizeof(float) * 9 * O * I; }

void NAME(conv3x3_pack)(void *panels, clipk_filters W, int O, int I, int o0, int o1)
{
    (void)O;
    for (int o = o0; o < o1; o++)
        for (int i = 0; i < I; i++)
            for (int t = 0; t < 9; t++)
                ((float *)panels)[((int64_t)o * I + i) * 9 + t] = W.p[o * W.os + i * W.is + t * W.ts];
}

/* Channel o of the pixel (h, w) of the picture x [H, W, I]. */
static double pixel(const clipk_conv3x3_piece *p, const float *x, int h, int w, int o)
{
    const float *f = (const float *)p->panels + (size_t)o * p->I * 9;
    double sum = 0;
    for (int v = 0; v < 3; v++)
        for (int u = 0; u < 3; u++) {
            int r = h + v - 1, c = w + u - 1;
            if (r < 0 || r >= p->H || c < 0 || c >= p->W)
                continue;
            const float *at = x + ((int64_t)r * p->W + c) * p->I;
            for (int i = 0; i < p->I; i++)
                sum += (double)at[i] * f[i * 9 + v * 3 + u];
        }
    return sum;
}

void NAME(conv3x3)(const clipk_conv3x3_piece *p)
{
    const int M = CLIPK_CONV_TILE, across = clipb_ceil_div(p->W, M), down = clipb_ceil_div(p->H, M);
    const clipk_epilogue *e = p->e;
    for (int t = p->t0; t < p->t1; t++) {
        const int n = t / (across * down), h0 = t / across % down * M, w0 = t % across * M;
        const float *x = p->x + (int64_t)n * p->H * p->W * p->I;
        for (int h = h0; h < h0 + M && h < p->H; h++)
            for (int w = w0; w < w0 + M && w < p->W; w++) {
                const int64_t row = ((int64_t)n * p->H + h) * p->W + w;
                for (int o = p->o0; o < p->o1; o++) {
                    double z = pixel(p, x, h, w, o) + (e->bias ? e->bias[o] : 0) +
                               (e->residual ? e->residual[row * e->ld_residual + o] : 0);
                    float y = (float)z;
                    if (e->pre)
                        e->pre[row * e->ld_pre + o] = y;
                    NAME(act)(&p->y[row * p->O + o], &y, 1, e->act);
                }
            }
    }
}

void NAME(avgpool2x2)(float *y, const float *x0, const float *x1, int W, int C)
{
    for (int w = 0; w < W; w++)
        for (int c = 0; c < C; c++)
            y[w * C + c] = (float)(((double)x0[2 * w * C + c] + x0[(2 * w + 1) * C + c] + x1[2 * w * C + c] +
                                    x1[(2 * w + 1) * C + c]) /
                                   4);
}
