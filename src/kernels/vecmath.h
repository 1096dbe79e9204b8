/* vecmath.h: exp and the activations, a vector at a time. Included by simd_*.c only.
 *
 *     vexp(x)         e^x, within 2 ulp; 0 below -104, inf above 88.8; the smallest results are denormals
 *     vexp_weight(x)  the same for x <= 0, at half the price; results that would be denormals are 0
 *     vsigmoid(x)     1 / (1 + e^-x)
 *     vquickgelu(x)   x / (1 + e^(-1.702 x))
 *     vgelu(x)        x Phi(x), Phi being the distribution function of the normal distribution (the exact form, not tanh's);
 *                     within 1.1e-7 max(1, |x|)
 *     vact(x, act)    one of clipk_act
 *
 * NaN gives NaN; the activations of -inf are 0, their limit. */
#ifndef CLIPK_VECMATH_H
#define CLIPK_VECMATH_H

#include "kernels/vec.h"

/* NaN in x stays. */
static inline vf vat_most(vf x, float hi) { return vmin(vset1(hi), x); }
static inline vf vat_least(vf x, float lo) { return vmax(vset1(lo), x); }
static inline vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2: e^r is a polynomial (minimax, of degree 6, within 3e-9). Adding 1.5 * 2^23 rounds to a
 * whole number and leaves it in the low bits. Returns e^r. */
static inline vf vexp_parts(vf x, vi *whole)
{
    const float magic = 12582912.0f;
    vf t = x * 1.44269504f + magic;
    vf n = t - magic;
    vf r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vf p = r * 0.00138145406f + 0.00836874545f;
    p = p * r + 0.041668389f;
    p = p * r + 0.166665211f;
    p = p * r + 0.49999994f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    *whole = (vi)t - 0x4b400000;
    return p;
}

/* 2^n is applied in two halves, since n reaches from -150 to 128. */
static inline vf vexp(vf x)
{
    vi n;
    vf p = vexp_parts(vat_least(vat_most(x, 89.0f), -104.0f), &n);
    vi half = n >> 1;
    return p * (vf)((half + 127) << 23) * (vf)((n - half + 127) << 23);
}

static inline vf vexp_weight(vf x)
{
    vi n;
    vf p = vexp_parts(x, &n);
    return (vf)((vi)(p * (vf)((n + 127) << 23)) & ~(x < -87.3f));
}

static inline vf vsigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

static inline vf vquickgelu(vf x)
{
    x = vat_least(x, -128.0f); /* where the result is 0 already; -inf * 0 would be NaN */
    return x * vsigmoid(1.702f * x);
}

/* With a = |x| and the tail Q(a) = 1 - Phi(a):  gelu(x) = max(x, 0) - a Q(a), which is free of cancellation.
 * (2 Q(a))^(-1/4) is smooth and grows slowly: a polynomial of degree 11 gives a Q(a) to 1.2e-8. From a = 40 on its fourth power is
 * inf and the tail 0. */
static inline vf vgelu(vf x)
{
    vf a = vat_most(vabs(x), 64.0f);
    vf p = a * 1.11689167e-06f - 1.49139642e-05f;
    p = p * a + 9.80187324e-05f;
    p = p * a - 0.000347965048f;
    p = p * a + 0.00087284029f;
    p = p * a - 0.00097625755f;
    p = p * a + 0.00262163114f;
    p = p * a + 0.00468036253f;
    p = p * a + 0.0265522376f;
    p = p * a + 0.0994204879f;
    p = p * a + 0.199474841f;
    p = p * a + 1.0f;
    p = p * p;
    p = p * p;
    return vat_least(x, 0.0f) - 0.5f * a / p;
}

static inline vf vact(vf x, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: return vat_least(x, 0.0f);
    case CLIPK_GELU: return vgelu(x);
    case CLIPK_QUICKGELU: return vquickgelu(x);
    default: return x;
    }
}

#endif
