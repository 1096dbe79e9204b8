/* ref_conv_back.c: the oracle of simd_conv_back.c and simd_batchnorm.c: the sums that define them,
 * in double. */
#include <math.h>
#include <string.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

/* A part's sums are the gradient itself, as doubles: [O, I, 9] in the room of 36 floats. */
static double *sum_of(const float *sums, int I, int o, int i)
{
    return (double *)(uintptr_t)(sums + (int64_t)CLIPK_CONV_POINTS * ((int64_t)o * ((I + 15) / 16 * 16) + i));
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
    const int M = CLIPK_CONV_TILE, across = (p->W + M - 1) / M, down = (p->H + M - 1) / M;
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

/* ---- Batch norm ------------------------------------------------------------------------------ */

void NAME(batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C)
{
    for (int c = 0; c < C; c++) {
        double m = 0, q = 0;
        for (int r = 0; r < rows; r++)
            m += x[(int64_t)r * C + c];
        m /= rows;
        for (int r = 0; r < rows; r++)
            q += (x[(int64_t)r * C + c] - m) * (x[(int64_t)r * C + c] - m);
        mean[c] = (float)m;
        squares[c] = (float)q;
    }
}

static double normed(const clipk_batchnorm *b, float x, int c)
{
    return ((double)x - b->mean[c]) * b->rstd[c] * b->gain[c] + b->bias[c];
}

void NAME(batchnorm)(float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act, int rows,
                     int C)
{
    for (int64_t i = 0; i < (int64_t)rows * C; i++) {
        const double z = normed(b, x[i], (int)(i % C)) + (residual ? residual[i] : 0);
        y[i] = act == CLIPK_RELU && z < 0 ? 0 : (float)z;
    }
}

static float gradient(const clipk_batchnorm_piece *p, int64_t i)
{
    const double y = p->act != CLIPK_RELU ? 1 : p->y ? p->y[i] : normed(&p->b, p->x[i], (int)(i % p->C));
    return y > 0 ? p->dy[i] : 0;
}

void NAME(batchnorm_sums)(const clipk_batchnorm_piece *p)
{
    for (int c = 0; c < p->C; c++) {
        double s = 0, q = 0;
        for (int r = 0; r < p->rows; r++) {
            const int64_t i = (int64_t)r * p->C + c;
            const float dz = gradient(p, i);
            if (p->dz)
                p->dz[i] = dz;
            s += dz;
            q += dz * ((double)p->x[i] - p->b.mean[c]);
        }
        p->sum_dz[c] = (float)s;
        p->sum_dzx[c] = (float)q;
    }
}

void NAME(batchnorm_backward)(const clipk_batchnorm_piece *p)
{
    for (int64_t i = 0; i < (int64_t)p->rows * p->C; i++) {
        const int c = (int)(i % p->C);
        p->dx[i] = (float)((double)p->scale[c] * gradient(p, i) - p->offset[c] -
                           (double)p->slope[c] * ((double)p->x[i] - p->b.mean[c]));
    }
}
