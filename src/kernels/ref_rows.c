/* ref_rows.c: the oracle of simd_rows.c: the formulas, in double. */
#include <math.h>
#include <string.h>

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

static double act(double x, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: return x < 0 ? 0 : x;
    case CLIPK_GELU: return x == -INFINITY ? 0 : x * 0.5 * erfc(-x / sqrt(2));
    case CLIPK_QUICKGELU: return x == -INFINITY ? 0 : x / (1 + exp(-1.702 * x));
    case CLIPK_GELU_TANH: return x == -INFINITY ? 0 : 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}

void NAME(act)(float *y, const float *x, size_t n, clipk_act a)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)act(x[i], a);
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static float from_f16(uint16_t h)
{
    int e = h >> 10 & 31, f = h & 1023;
    float v = e == 31 ? (f ? NAN : INFINITY) : e ? ldexpf((float)(1024 + f), e - 25) : ldexpf((float)f, -24);
    return h >> 15 ? -v : v;
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float v;
    memcpy(&v, &u, 4);
    return v;
}

void NAME(to_bf16)(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + i, 4);
        const uint32_t cut = u & 0xffff, half = 0x8000, odd = u >> 16 & 1;
        out[i] = (uint16_t)(isnan(in[i]) ? u >> 16 | 0x40 : (u >> 16) + (cut > half || (cut == half && odd)));
    }
}

void NAME(to_f32)(float *out, const void *in, clipk_type type, size_t n)
{
    if (type == CLIPK_F32)
        memcpy(out, in, n * 4);
    for (size_t i = 0; type != CLIPK_F32 && i < n; i++) {
        uint16_t h;
        memcpy(&h, (const char *)in + 2 * i, 2);
        out[i] = type == CLIPK_F16 ? from_f16(h) : from_bf16(h);
    }
}
