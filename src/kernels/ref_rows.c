/* ref_rows.c: the oracle of simd_rows.c: the formulas, in double. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(layernorm)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias,
                     float eps, int C)
{
    double mu = 0, var = 0;
    for (int c = 0; c < C; c++)
        mu += x[c];
    mu /= C;
    for (int c = 0; c < C; c++)
        var += (x[c] - mu) * (x[c] - mu);
    var /= C;
    double r = 1 / sqrt(var + eps);
    for (int c = 0; c < C; c++)
        y[c] = (float)((x[c] - mu) * r * gain[c] + bias[c]);
    if (mean)
        *mean = (float)mu;
    if (rstd)
        *rstd = (float)r;
}

void NAME(l2norm)(float *x, float *norm, int C)
{
    double n = 0;
    for (int c = 0; c < C; c++)
        n += (double)x[c] * x[c];
    n = sqrt(n);
    n = n < 1e-12 ? 1e-12 : n;
    for (int c = 0; c < C; c++)
        x[c] = (float)(x[c] / n);
    if (norm)
        *norm = (float)n;
}

void NAME(softmax)(float *x, float scale, int C)
{
    double m = -INFINITY, sum = 0;
    for (int c = 0; c < C; c++)
        m = (double)x[c] * scale > m ? (double)x[c] * scale : m;
    for (int c = 0; c < C; c++)
        sum += exp((double)x[c] * scale - m);
    for (int c = 0; c < C; c++)
        x[c] = (float)(exp((double)x[c] * scale - m) / sum);
}

void NAME(rotate_pairs)(float *x, const float *angle, int H, int D)
{
    for (int h = 0; h < H; h++, x += D)
        for (int i = 0; i < D; i += 2) {
            const double a = x[i], b = x[i + 1];
            x[i] = (float)(a * angle[i] + b * angle[D + i]);
            x[i + 1] = (float)(b * angle[i + 1] + a * angle[D + i + 1]);
        }
}

void NAME(swish_product)(float *y, const float *g, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((g[i] == -INFINITY ? 0 : g[i] / (1 + exp(-(double)g[i]))) * x[i]);
}

static double act(double x, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: return x < 0 ? 0 : x;
    case CLIPK_GELU: return x == -INFINITY ? 0 : x * 0.5 * erfc(-x / sqrt(2));
    case CLIPK_QUICKGELU: return x == -INFINITY ? 0 : x / (1 + exp(-1.702 * x));
    case CLIPK_GELU_TANH: return x == -INFINITY ? 0 : 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case CLIPK_TANH: return tanh(x);
    case CLIPK_LINEAR: break;
    }
    return x;
}

void NAME(act)(float *y, const float *x, size_t n, clipk_act a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)act(x[i], a);
}
