/* simd_rows.c: functions on one row, and the activations. One thread.
 *
 * A sum runs in ACCS vectors, so that an addition need not wait for the one before. The vectors are
 * joined in a fixed order. A number's lane depends on its column alone. */
#include <math.h>

#include "kernels/simd.h"
#include "kernels/vecmath.h"

#define ACCS 4

static float max_lanes(vf v)
{
    float m = v[0];
    for (int i = 1; i < CLIPK_VL; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

/* The first n < CLIPK_VL numbers at p, then `fill`. */
static inline vf load_filled(const float *p, int n, float fill)
{
    vf v = vset1(fill);
    memcpy(&v, p, (size_t)n * 4);
    return v;
}

/* Sum over c of (x[c] - a)^power, power 1 or 2. */
static inline __attribute__((always_inline)) float moment(const float *x, float a, int C, int power)
{
    vf s[ACCS] = {{0}};
    int c = 0;
    for (; c + ACCS * CLIPK_VL <= C; c += ACCS * CLIPK_VL)
        for (int i = 0; i < ACCS; i++) {
            vf d = vload(x + c + i * CLIPK_VL) - a;
            s[i] += power == 2 ? d * d : d;
        }
    for (int i = 0; c < C; c += CLIPK_VL, i++) {
        vf d = (C - c < CLIPK_VL ? load_filled(x + c, C - c, a) : vload(x + c)) - a;
        s[i] += power == 2 ? d * d : d;
    }
    return vsum((s[0] + s[1]) + (s[2] + s[3]));
}

void NAME(layernorm)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias,
                     float eps, int C)
{
    float mu = moment(x, 0, C, 1) / (float)C;
    float r = 1.0f / sqrtf(moment(x, mu, C, 2) / (float)C + eps);
    int c = 0;
    for (; c + CLIPK_VL <= C; c += CLIPK_VL)
        vstore(y + c, (vload(x + c) - mu) * r * vload(gain + c) + vload(bias + c));
    if (c < C)
        vstore_n(y + c, (vload_n(x + c, C - c) - mu) * r * vload_n(gain + c, C - c) + vload_n(bias + c, C - c), C - c);
    if (mean)
        *mean = mu;
    if (rstd)
        *rstd = r;
}

void NAME(l2norm)(float *x, float *norm, int C)
{
    float n = sqrtf(moment(x, 0, C, 2));
    n = n < 1e-12f ? 1e-12f : n;
    int c = 0;
    for (; c + CLIPK_VL <= C; c += CLIPK_VL)
        vstore(x + c, vload(x + c) / n);
    if (c < C)
        vstore_n(x + c, vload_n(x + c, C - c) / n, C - c);
    if (norm)
        *norm = n;
}

/* The largest scale * x[c]. NaN loses every comparison here; exp() brings it back. */
static float max_scaled(const float *x, float scale, int C)
{
    vf m = vset1(-INFINITY);
    int c = 0;
    for (; c + CLIPK_VL <= C; c += CLIPK_VL)
        m = vmax(vload(x + c) * scale, m);
    float best = max_lanes(m);
    for (; c < C; c++)
        best = x[c] * scale > best ? x[c] * scale : best;
    return best;
}

void NAME(softmax)(float *x, float scale, int C)
{
    const float m = max_scaled(x, scale, C);
    vf s[2] = {{0}};
    int c = 0;
    for (int i = 0; c + CLIPK_VL <= C; c += CLIPK_VL, i ^= 1) {
        vf e = vexp(vload(x + c) * scale - m);
        vstore(x + c, e);
        s[i] += e;
    }
    if (c < C) {
        vf e = vexp(load_filled(x + c, C - c, -INFINITY) * scale - m);
        vstore_n(x + c, e, C - c);
        for (int i = 0; i < C - c; i++)
            s[0][i] += e[i];
    }
    const float r = 1.0f / vsum(s[0] + s[1]);
    for (c = 0; c + CLIPK_VL <= C; c += CLIPK_VL)
        vstore(x + c, vload(x + c) * r);
    for (; c < C; c++)
        x[c] *= r;
}

/* The two numbers of each pair change places. */
static inline vf swap_pairs(vf v)
{
    typedef uint64_t pairs __attribute__((vector_size(4 * CLIPK_VL)));
    return (vf)((pairs)v << 32 | (pairs)v >> 32);
}

void NAME(rotate_pairs)(float *x, const float *angle, int H, int D)
{
    for (int h = 0; h < H; h++, x += D) {
        int c = 0;
        for (; c + CLIPK_VL <= D; c += CLIPK_VL) {
            const vf v = vload(x + c);
            vstore(x + c, v * vload(angle + c) + swap_pairs(v) * vload(angle + D + c));
        }
        if (c < D) {
            const vf v = vload_n(x + c, D - c);
            vstore_n(x + c, v * vload_n(angle + c, D - c) + swap_pairs(v) * vload_n(angle + D + c, D - c), D - c);
        }
    }
}

static inline vf swish_product(vf g, vf x)
{
    g = vat_least(g, -128.0f); /* as in vquickgelu() */
    return g * vsigmoid(g) * x;
}

void NAME(swish_product)(float *y, const float *g, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL)
        vstore(y + i, swish_product(vload(g + i), vload(x + i)));
    if (i < n)
        vstore_n(y + i, swish_product(vload_n(g + i, (int)(n - i)), vload_n(x + i, (int)(n - i))), (int)(n - i));
}

void NAME(act)(float *y, const float *x, size_t n, clipk_act act)
{
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL)
        vstore(y + i, vact(vload(x + i), act));
    if (i < n)
        vstore_n(y + i, vact(vload_n(x + i, (int)(n - i)), act), (int)(n - i));
}
