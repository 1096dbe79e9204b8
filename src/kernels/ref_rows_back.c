/* ref_rows_back.c: the oracle of simd_rows_back.c: the formulas, in double. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(sum_rows)(float *out, const float *x, int64_t ldx, int T, int C)
{
    for (int c = 0; c < C; c++) {
        double s = 0;
        for (int t = 0; t < T; t++)
            s += x[t * ldx + c];
        out[c] = (float)(out[c] + s);
    }
}

double NAME(sum_squares)(const float *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)x[i] * x[i];
    return s;
}

static double gelu_tanh_slope(double x)
{
    const double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

/* act'(x). At the infinities it is the limit, which the formulas do not give. */
static double slope(double x, clipk_act act)
{
    if (isinf(x) && act != CLIPK_LINEAR)
        return x > 0 && act != CLIPK_TANH;
    const double s = 1 / (1 + exp(-1.702 * x));
    switch (act) {
    case CLIPK_RELU: return x <= 0 ? 0 : 1;
    case CLIPK_GELU: return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) * 0.39894228040143267794;
    case CLIPK_QUICKGELU: return s + 1.702 * x * s / (1 + exp(1.702 * x));
    case CLIPK_GELU_TANH: return gelu_tanh_slope(x);
    case CLIPK_TANH: return 1 - tanh(x) * tanh(x);
    case CLIPK_LINEAR: break;
    }
    return 1;
}

void NAME(act_backward)(float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act)
{
    for (size_t i = 0; i < n; i++) {
        const float x = pre[i];
        dx[i] = (float)(dy[i] * slope(x, act));
        if (y)
            NAME(act)(y + i, &x, 1, act);
    }
}

void NAME(layernorm_backward)(float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean,
                              float rstd, const float *gain, const float *residual, int C)
{
    double mean_h = 0, mean_hx = 0;
    for (int c = 0; c < C; c++) {
        const double xh = ((double)x[c] - mean) * rstd, h = (double)dy[c] * gain[c];
        mean_h += h / C;
        mean_hx += h * xh / C;
        if (dgain) {
            dgain[c] = (float)(dgain[c] + dy[c] * xh);
            dbias[c] = (float)(dbias[c] + (double)dy[c]);
        }
    }
    for (int c = 0; c < C; c++) {
        const double xh = ((double)x[c] - mean) * rstd, h = (double)dy[c] * gain[c];
        dx[c] = (float)((residual ? residual[c] : 0) + rstd * (h - mean_h - xh * mean_hx));
    }
}

void NAME(l2norm_backward)(float *dx, const float *dy, const float *y, float norm, int C)
{
    double dot = 0;
    for (int c = 0; c < C; c++)
        dot += (double)y[c] * dy[c];
    for (int c = 0; c < C; c++)
        dx[c] = (float)((dy[c] - y[c] * dot) / norm);
}
