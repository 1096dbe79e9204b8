/* ref_conv_back.c: the oracle of simd_conv_back.c: the sums that define it, in double. */
#define CLIPK_ISA ref
#include "kernels/simd.h"

/* A part's sums are the gradient itself, as doubles: [O, I, 9] in the room of 36 floats. */
static double *sum_of(const float *sums, int I, int o, int i)
{
    return (double *)(uintptr_t)(sums + (int64_t)CLIPK_CONV_POINTS * ((int64_t)o * clipb_round_up(I, 16) + i));
}

/* The tile's share of tap (v, u) of (o, i). The tile is at row h0, column w0 of picture n. */
static double of_tile(const clipk_conv3x3_back_piece *p, int n, int h0, int w0, int v, int u, int o, int i)
{
    double sum = 0;
    for (int h = h0; h < h0 + CLIPK_CONV_TILE && h < p->H; h++)
        for (int w = w0; w < w0 + CLIPK_CONV_TILE && w < p->W; w++) {
            const int r = h + v - 1, c = w + u - 1;
            if (r >= 0 && r < p->H && c >= 0 && c < p->W)
                sum += (double)p->dy[(((int64_t)n * p->H + h) * p->W + w) * p->O + o] *
                       p->x[(((int64_t)n * p->H + r) * p->W + c) * p->I + i];
        }
    return sum;
}

void NAME(conv3x3_sums)(const clipk_conv3x3_back_piece *p)
{
    const int M = CLIPK_CONV_TILE, across = clipb_ceil_div(p->W, M), down = clipb_ceil_div(p->H, M);
    for (int o = p->o0; o < p->o1; o++)
        for (int i = 0; i < p->I; i++)
            for (int tap = 0; tap < 9; tap++) {
                double *to = sum_of(p->sums, p->I, o - p->o0, i) + tap, sum = p->first ? 0 : *to;
                for (int t = p->t0; t < p->t1; t++)
                    sum +=
                        of_tile(p, t / (across * down), t / across % down * M, t % across * M, tap / 3, tap % 3, o, i);
                *to = sum;
            }
}

void NAME(conv3x3_filters)(float *dW, const float *sums, int64_t part, int parts, int I, int n, int o)
{
    (void)n;
    for (int i = 0; i < I; i++)
        for (int tap = 0; tap < 9; tap++) {
            double sum = 0;
            for (int p = 0; p < parts; p++)
                sum += sum_of(sums + p * part, I, o, i)[tap];
            dW[i * 9 + tap] = (float)(dW[i * 9 + tap] + sum);
        }
}

void NAME(avgpool2x2_backward)(float *x0, float *x1, const float *y, int W, int C)
{
    for (int w = 0; w < W; w++)
        for (int c = 0; c < C; c++)
            x0[2 * w * C + c] = x0[(2 * w + 1) * C + c] = x1[2 * w * C + c] = x1[(2 * w + 1) * C + c] =
                y[w * C + c] / 4;
}
