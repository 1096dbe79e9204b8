/* simd_rows_back.c: the backward of simd_rows.c, and sums over rows. One thread.
 *
 * A sum along a row runs in ACCS vectors, as in simd_rows.c. A sum over rows goes from row to row,
 * whatever the column's place in its vector. Nearly all of this waits for memory, so a row is read
 * a second time only while it is in the innermost cache. */
#include <math.h>

#include "kernels/simd.h"
#include "kernels/vecmath.h"

#define ACCS 4

/* One row at a time would store a sum for each number it loads. Four rows at a time keep the sum in
 * a register, in the same order of additions. */
void NAME(sum_rows)(float *out, const float *x, int64_t ldx, int T, int C)
{
    int t = 0;
    for (; t + 4 <= T; t += 4, x += 4 * ldx) {
        const float *x1 = x + ldx, *x2 = x1 + ldx, *x3 = x2 + ldx;
        int c = 0;
        for (; c + CLIPK_VL <= C; c += CLIPK_VL)
            vstore(out + c, vload(out + c) + vload(x + c) + vload(x1 + c) + vload(x2 + c) + vload(x3 + c));
        for (; c < C; c++)
            out[c] = out[c] + x[c] + x1[c] + x2[c] + x3[c];
    }
    for (; t < T; t++, x += ldx)
        for (int c = 0; c < C; c++)
            out[c] += x[c];
}

typedef float vhalf __attribute__((vector_size(2 * CLIPK_VL))); /* half as many floats, */
typedef double vd __attribute__((vector_size(4 * CLIPK_VL)));   /* which make one vector of doubles */

double NAME(sum_squares)(const float *x, size_t n)
{
    enum { HALF = CLIPK_VL / 2 };
    vd s[ACCS] = {{0}};
    size_t i = 0;
    for (; i + ACCS * HALF <= n; i += ACCS * HALF)
        for (int j = 0; j < ACCS; j++) {
            vhalf h;
            memcpy(&h, x + i + j * HALF, sizeof h);
            const vd v = __builtin_convertvector(h, vd);
            s[j] += v * v;
        }
    const vd all = (s[0] + s[1]) + (s[2] + s[3]);
    double sum = 0;
    for (int j = 0; j < HALF; j++)
        sum += all[j];
    for (; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

/* Inlined once for each act, which is then a constant. */
static inline __attribute__((always_inline)) void act_backward(float *dx, float *y, const float *dy, const float *pre,
                                                               size_t n, clipk_act act)
{
    vf slope;
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL) {
        const vf v = vact_slope(vload(pre + i), act, &slope), d = vload(dy + i) * slope;
        if (y)
            vstore(y + i, v);
        vstore(dx + i, d);
    }
    if (i < n) {
        const int rest = (int)(n - i);
        const vf v = vact_slope(vload_n(pre + i, rest), act, &slope), d = vload_n(dy + i, rest) * slope;
        if (y)
            vstore_n(y + i, v, rest);
        vstore_n(dx + i, d, rest);
    }
}

void NAME(act_backward)(float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: act_backward(dx, y, dy, pre, n, CLIPK_RELU); break;
    case CLIPK_GELU: act_backward(dx, y, dy, pre, n, CLIPK_GELU); break;
    case CLIPK_QUICKGELU: act_backward(dx, y, dy, pre, n, CLIPK_QUICKGELU); break;
    case CLIPK_GELU_TANH: act_backward(dx, y, dy, pre, n, CLIPK_GELU_TANH); break;
    case CLIPK_TANH: act_backward(dx, y, dy, pre, n, CLIPK_TANH); break;
    case CLIPK_LINEAR: act_backward(dx, y, dy, pre, n, CLIPK_LINEAR); break;
    }
}

/* A vector at column c; of the last one, only the columns that exist. */
static inline vf load_at(const float *p, int c, int C)
{
    return C - c < CLIPK_VL ? vload_n(p + c, C - c) : vload(p + c);
}

static inline void store_at(float *p, int c, int C, vf v)
{
    if (C - c < CLIPK_VL)
        vstore_n(p + c, v, C - c);
    else
        vstore(p + c, v);
}

/* One vector of a row's sums: of h into *s, of h xh into *sx. Past the row's end dy is 0, and so
 * are the sums. */
static inline __attribute__((always_inline)) void layernorm_sums(vf *s, vf *sx, float *dgain, float *dbias,
                                                                 const float *dy, const float *x, float mean,
                                                                 float rstd, const float *gain, int c, int C)
{
    const vf d = load_at(dy, c, C), xh = (load_at(x, c, C) - mean) * rstd, h = d * load_at(gain, c, C);
    *s += h;
    *sx += h * xh;
    if (dgain) {
        store_at(dgain, c, C, load_at(dgain, c, C) + d * xh);
        store_at(dbias, c, C, load_at(dbias, c, C) + d);
    }
}

void NAME(layernorm_backward)(float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean,
                              float rstd, const float *gain, const float *residual, int C)
{
    vf s[2] = {{0}}, sx[2] = {{0}};
    int c = 0;
    for (; c + 2 * CLIPK_VL <= C; c += 2 * CLIPK_VL)
        for (int i = 0; i < 2; i++)
            layernorm_sums(&s[i], &sx[i], dgain, dbias, dy, x, mean, rstd, gain, c + i * CLIPK_VL, C);
    for (int i = 0; c < C; c += CLIPK_VL, i++)
        layernorm_sums(&s[i], &sx[i], dgain, dbias, dy, x, mean, rstd, gain, c, C);
    const float mean_h = vsum(s[0] + s[1]) / (float)C, mean_hx = vsum(sx[0] + sx[1]) / (float)C;
    for (c = 0; c < C; c += CLIPK_VL) {
        const vf xh = (load_at(x, c, C) - mean) * rstd, h = load_at(dy, c, C) * load_at(gain, c, C);
        vf d = (h - mean_h - xh * mean_hx) * rstd;
        if (residual)
            d += load_at(residual, c, C);
        store_at(dx, c, C, d);
    }
}

void NAME(l2norm_backward)(float *dx, const float *dy, const float *y, float norm, int C)
{
    vf s[ACCS] = {{0}};
    int c = 0;
    for (; c + ACCS * CLIPK_VL <= C; c += ACCS * CLIPK_VL)
        for (int i = 0; i < ACCS; i++)
            s[i] += vload(y + c + i * CLIPK_VL) * vload(dy + c + i * CLIPK_VL);
    for (int i = 0; c < C; c += CLIPK_VL, i++)
        s[i] += load_at(y, c, C) * load_at(dy, c, C);
    const float dot = vsum((s[0] + s[1]) + (s[2] + s[3]));
    for (c = 0; c < C; c += CLIPK_VL)
        store_at(dx, c, C, (load_at(dy, c, C) - load_at(y, c, C) * dot) / norm);
}
