/* vecmath.h: exp and the activations, a vector at a time. Included by simd_*.c only.
 *
 *     vexp(x)         e^x, within 2 ulp; 0 below -104, inf above 88.8; may give denormals
 *     vexp_weight(x)  e^x for x <= 0, at half the price; gives 0 instead of denormals
 *     vexp2_rough(x)  2^x for x <= 0, within 4e-6, cheap with AVX-512; 1 at 0
 *     vsigmoid(x)     1 / (1 + e^-x)
 *     vquickgelu(x)   x / (1 + e^(-1.702 x))
 *     vgelu(x)        x Phi(x), Phi being the normal distribution (the exact form, not tanh's);
 *                     within 1.1e-7 max(1, |x|)
 *     vtanh(x)        tanh(x), within 1.2e-7
 *     vact(x, act)    one of clipk_act
 *     vact_slope(x, act, &slope)  the same, to the bit, and its derivative, within 3e-7
 *
 * NaN gives NaN, except that the slope of relu is 1 there. At -inf the activations are 0, their
 * limit, and tanh -1. At both infinities the slopes are their limits. */
#ifndef CLIPK_VECMATH_H
#define CLIPK_VECMATH_H

#include "kernels/vec.h"

/* NaN in x stays. */
static inline vf vat_most(vf x, float hi) { return vmin(vset1(hi), x); }
static inline vf vat_least(vf x, float lo) { return vmax(vset1(lo), x); }
static inline vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2. e^r is a polynomial (minimax, degree 6,
 * within 3e-9). Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits. Returns
 * e^r. */
static inline vf vexp_parts(vf x, vi *whole)
{
    const float magic = 12582912.0f;
    vf t = vfma(x, vset1(1.44269504f), vset1(magic));
    vf n = t - magic;
    vf r = vfma(n, vset1(-0.693145752f), x);
    r = vfma(n, vset1(-1.42860677e-6f), r);
    vf p = vfma(r, vset1(0.00138145406f), vset1(0.00836874545f));
    p = vfma(p, r, vset1(0.041668389f));
    p = vfma(p, r, vset1(0.166665211f));
    p = vfma(p, r, vset1(0.49999994f));
    p = vfma(p, r, vset1(1.0f));
    p = vfma(p, r, vset1(1.0f));
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

/* 2^x = 2^n 2^f, n = floor(x). 2^f is a polynomial (minimax, degree 4, exact at 0 and 1). */
static inline vf vexp2_rough(vf x)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    const vf f = (vf)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p = vfma(f, vset1(0.0135557475f), vset1(0.0520323701f));
    p = vfma(p, f, vset1(0.241379768f));
    p = vfma(p, f, vset1(0.693032146f));
    p = vfma(p, f, vset1(1.0f));
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)x);
#else
    return vexp_weight(x * 0.693147181f);
#endif
}

static inline vf vsigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

static inline vf vquickgelu(vf x)
{
    x = vat_least(x, -128.0f); /* the result is 0 from here on; -inf * 0 would be NaN */
    return x * vsigmoid(1.702f * x);
}

/* The tail Q(a) = 1 - Phi(a) of the normal distribution, a >= 0. (2 Q(a))^(-1/4) is smooth and
 * grows slowly: a polynomial of degree 11 gives Q(a) and a Q(a) to 1.6e-8. From a = 40 its fourth
 * power is inf and the tail 0. */
static inline vf vtail(vf a)
{
    vf p = a * 9.51838331e-07f - 1.17852715e-05f;
    p = p * a + 7.27064034e-05f;
    p = p * a - 0.000233486004f;
    p = p * a + 0.000554427737f;
    p = p * a - 0.000411799207f;
    p = p * a + 0.00198246702f;
    p = p * a + 0.00513069378f;
    p = p * a + 0.0263667069f;
    p = p * a + 0.0994598493f;
    p = p * a + 0.199471697f;
    p = p * a + 1.0f;
    p = p * p;
    p = p * p;
    return 0.5f / p;
}

/* With a = |x|:  gelu(x) = max(x, 0) - a Q(a), which has no cancellation. */
static inline vf vgelu(vf x)
{
    vf a = vat_most(vabs(x), 64.0f);
    return vat_least(x, 0.0f) - a * vtail(a);
}

/* (1 + tanh(u)) / 2 is the sigmoid of 2u, which is x (A + B x^2). */
#define GELU_TANH_A 1.5957691216f
#define GELU_TANH_B 0.0713548163f

static inline vf vgelu_tanh(vf x)
{
    x = vat_least(x, -128.0f);
    return x * vsigmoid(x * (x * x * GELU_TANH_B + GELU_TANH_A));
}

/* e^(2x) of inf and of 0 give 1 and -1. */
static inline vf vtanh(vf x) { return 1.0f - 2.0f / (1.0f + vexp(2.0f * x)); }

static inline vf vact(vf x, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: return vat_least(x, 0.0f);
    case CLIPK_GELU: return vgelu(x);
    case CLIPK_QUICKGELU: return vquickgelu(x);
    case CLIPK_GELU_TANH: return vgelu_tanh(x);
    case CLIPK_TANH: return vtanh(x);
    case CLIPK_LINEAR: break;
    }
    return x;
}

/* gelu'(x) = Phi(x) + x phi(x). With a = |x|, Phi(x) is Q(a) or 1 - Q(a), and phi(x) is phi(a). */
static inline vf vgelu_slope(vf x, vf *slope)
{
    vf a = vat_most(vabs(x), 64.0f), q = vtail(a), xphi = a * 0.398942280f * vexp_weight(a * a * -0.5f);
    *slope = vselect(x < 0, q - xphi, 1.0f - q + xphi);
    return vat_least(x, 0.0f) - a * q;
}

/* With z = 1.702 x, e = exp(-z), s = 1 / (1 + e) and 1 - s = e s:
 *     quickgelu'(x) = s (1 + z e s)
 * If e is inf, s is 0, and e s has to be 1. */
static inline vf vquickgelu_slope(vf x, vf *slope)
{
    x = vat_least(x, -128.0f);
    vf z = 1.702f * x, e = vexp(-z), s = 1.0f / (1.0f + e);
    *slope = s * (1.0f + vat_most(z, 128.0f) * vmin(e * s, vset1(1.0f)));
    return x * s;
}

/* With w = x (A + B x^2), e = exp(-w), s = 1 / (1 + e):  gelu_tanh'(x) = s (1 + x w' e s). */
static inline vf vgelu_tanh_slope(vf x, vf *slope)
{
    x = vat_least(x, -128.0f);
    vf near = vat_most(x, 128.0f), square = near * near;
    vf e = vexp(-near * (square * GELU_TANH_B + GELU_TANH_A)), s = 1.0f / (1.0f + e);
    vf xdw = near * (square * (3 * GELU_TANH_B) + GELU_TANH_A);
    *slope = s * (1.0f + xdw * vmin(e * s, vset1(1.0f)));
    return x * s;
}

/* With e = e^(2x), s = 1 / (1 + e):  tanh'(x) = 4 s (1 - s). Where e is inf, e s has to be 1. */
static inline vf vtanh_slope(vf x, vf *slope)
{
    const vf e = vexp(2.0f * x), s = 1.0f / (1.0f + e);
    *slope = 4.0f * s * vmin(e * s, vset1(1.0f));
    return 1.0f - 2.0f * s;
}

static inline vf vact_slope(vf x, clipk_act act, vf *slope)
{
    switch (act) {
    case CLIPK_GELU: return vgelu_slope(x, slope);
    case CLIPK_QUICKGELU: return vquickgelu_slope(x, slope);
    case CLIPK_GELU_TANH: return vgelu_tanh_slope(x, slope);
    case CLIPK_TANH: return vtanh_slope(x, slope);
    case CLIPK_RELU: *slope = vselect(x <= 0, vset1(0.0f), vset1(1.0f)); return vat_least(x, 0.0f);
    case CLIPK_LINEAR: break;
    }
    *slope = vset1(1.0f);
    return x;
}

#endif
