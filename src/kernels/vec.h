/* vec.h: vectors of the set being compiled. Included by simd_*.c only.
 *
 * CLIPK_VL: floats in a vector: 16 (AVX-512), 8 (AVX2), 4 (NEON, generic). The types are GCC's and
 * Clang's: + - * work a lane at a time, comparisons give masks. With
 * -ffp-contract=fast, the compiler chooses which a * b + c become one fused multiply-add. vfma()
 * leaves no choice on x86. Intrinsics stand here, in simd_scan.c and in simd_convert.c. */
#ifndef CLIPK_VEC_H
#define CLIPK_VEC_H

#include <assert.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/simd.h"

typedef float vf __attribute__((vector_size(4 * CLIPK_VL)));
typedef int32_t vi __attribute__((vector_size(4 * CLIPK_VL)));
typedef float vfu __attribute__((vector_size(4 * CLIPK_VL), aligned(4), may_alias)); /* at any address */

static inline vf vload(const float *p) { return (vf) * (const vfu *)p; }
static inline void vstore(float *p, vf v) { *(vfu *)p = (vfu)v; }
static inline vf vset1(float x) { return x - (vf){0}; }
static inline vf vselect(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); } /* mask ? a : b */

/* vmin: a < b ? a : b; vmax: a > b ? a : b. If either is NaN, the result is b. */
#if CLIPK_VL == 16 && defined(__AVX512F__)
static inline vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
static inline vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
#elif CLIPK_VL == 8 && defined(__AVX2__)
static inline vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
static inline vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
#else
static inline vf vmin(vf a, vf b) { return vselect(a < b, a, b); }
static inline vf vmax(vf a, vf b) { return vselect(a > b, a, b); }
#endif

/* a b + c, rounded once if the set has such an instruction. Sums of products name it, because a
 * compiler may fuse one loop and not its neighbour. A row's result would then depend on its
 * tile. */
#if CLIPK_VL == 16 && defined(__AVX512F__)
static inline vf vfma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif CLIPK_VL == 8 && defined(__FMA__)
static inline vf vfma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#else
static inline vf vfma(vf a, vf b, vf c) { return a * b + c; }
#endif

#if CLIPK_VL == 16 && defined(__AVX512F__)
static inline vf vsqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif CLIPK_VL == 8 && defined(__AVX2__)
static inline vf vsqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#else
static inline vf vsqrt(vf x)
{
    for (int i = 0; i < CLIPK_VL; i++)
        x[i] = __builtin_sqrtf(x[i]);
    return x;
}
#endif

/* The sum of the lanes: the upper half is added to the lower, and so on. */
static inline float vsum(vf v)
{
    float a[CLIPK_VL];
    memcpy(a, &v, sizeof a);
    for (int n = CLIPK_VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            a[i] += a[i + n];
    return a[0];
}

/* The first n < CLIPK_VL lanes. Other lanes are 0; their memory is not touched. */
#if CLIPK_VL == 16 && defined(__AVX512F__)
static inline vf vload_n(const float *p, int n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
static inline void vstore_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#elif CLIPK_VL == 8 && defined(__AVX2__)
static inline vi vfirst(int n) { return (vi){0, 1, 2, 3, 4, 5, 6, 7} < n; }
static inline vf vload_n(const float *p, int n) { return (vf)_mm256_maskload_ps(p, (__m256i)vfirst(n)); }
static inline void vstore_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, (__m256i)vfirst(n), (__m256)v); }
#else
static inline vf vload_n(const float *p, int n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * 4);
    return v;
}

static inline void vstore_n(float *p, vf v, int n) { memcpy(p, &v, (size_t)n * 4); }
#endif

/* The first n lanes of v. n <= 0: none; n >= CLIPK_VL: all. */
static inline __attribute__((always_inline)) vf vload_some(const float *p, int n)
{
    return n >= CLIPK_VL ? vload(p) : n > 0 ? vload_n(p, n) : (vf){0};
}

static inline __attribute__((always_inline)) void vstore_some(float *p, vf v, int n)
{
    if (n >= CLIPK_VL)
        vstore(p, v);
    else if (n > 0)
        vstore_n(p, v, n);
}

/* CLIPK_VL 16-bit numbers at any address, as f32. */
typedef uint16_t vh __attribute__((vector_size(2 * CLIPK_VL)));
typedef uint32_t vu __attribute__((vector_size(4 * CLIPK_VL)));

static inline vf vload_bf16(const void *p)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16);
#elif CLIPK_VL == 8 && defined(__AVX2__)
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16); /* GCC 12 would work in halves */
#else
    vh h;
    memcpy(&h, p, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
#endif
}

static inline vf vload_f16(const void *p)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(p));
#elif CLIPK_VL == 8 && defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128(p));
#else
    /* Exponent and fraction move to their place, and the bias of the exponent changes by 112. A
     * subtraction finds the leading bit of a denormal. */
    vh h;
    memcpy(&h, p, sizeof h);
    vu u = __builtin_convertvector(h, vu), em = u & 0x7fff;
    vu normal = (em << 13) + (112u << 23);
    vu small = (vu)((vf)((em << 13) + (113u << 23)) - 0x1p-14f);
    vu is_small = (vu)(em < 0x400), is_inf = (vu)(em >= 0x7c00); /* or NaN */
    return (vf)((u & 0x8000) << 16 | (small & is_small) | (normal & ~is_small) | (is_inf & 0x7f800000));
#endif
}

/* Rounded to bf16, to nearest even: the upper halves. NaN stays NaN. */
static inline vh vto_bf16(vf v)
{
    const vu u = (vu)v, nan = (vu)(v != v), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return __builtin_convertvector((rounded & ~nan) | ((u >> 16 | 0x40) & nan), vh);
}

/* acc + a0 b0 + a1 b1. The lanes of a and b are pairs of bf16 numbers. CLIPK_DOT_BF16: sets with
 * such an instruction on some processors; in others it is slower than f32, and of no use. */
#if CLIPK_VL == 16 || (CLIPK_VL == 4 && defined(__aarch64__))
#define CLIPK_DOT_BF16
#endif
/* For the assembler alone: the compiler uses what its flags allow. */
#define CLIPK_ARM ".arch armv8.6-a+crypto+sve2\n\t"
static inline vf vdot_bf16(vf acc, vu a, vf b)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    /* Not an intrinsic: with intrinsics the compiler may use AVX512_BF16 elsewhere, and some
     * processors that this set runs on lack it. */
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
#elif CLIPK_VL == 4 && defined(__aarch64__)
    __asm__(CLIPK_ARM "bfdot %0.4s, %1.8h, %2.8h" : "+w"(acc) : "w"(a), "w"(b));
    return acc;
#else
    acc += (vf)(a & 0xffff0000) * (vf)((vu)b & 0xffff0000);
    return acc + (vf)(a << 16) * (vf)((vu)b << 16);
#endif
}

/* Pairs: in each lane a number of a and one of b, rounded to bf16. Likewise. */
static inline vu vzip_bf16(vf a, vf b)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    __m512i joined;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(joined) : "v"(a), "v"(b));
    return (vu)_mm512_permutexvar_epi16(_mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0),
                                        joined);
#else
    return __builtin_convertvector(vto_bf16(a), vu) | __builtin_convertvector(vto_bf16(b), vu) << 16;
#endif
}

/* Pairs of neighbours: all numbers of a, then those of b. */
static inline vu vjoin_bf16(vf a, vf b)
{
    vu joined;
#if CLIPK_VL == 16 && defined(__AVX512F__)
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(joined) : "v"(a), "v"(b));
#else
    const vh low = vto_bf16(a), high = vto_bf16(b);
    memcpy(&joined, &low, sizeof low);
    memcpy((char *)&joined + sizeof low, &high, sizeof high);
#endif
    return joined;
}

/* acc + a0 b0 + a1 b1 + a2 b2 + a3 b3. The lanes of a are four bytes without a sign, those of b
 * with one. In assembly, as above. Sets of other widths have no such instruction. */
#if CLIPK_VL == 16 && defined(__AVX512F__)
#define CLIPK_DOT_U8 "vpdpbusd %2, %1, %0" /* AVX512_VNNI */
#elif CLIPK_VL == 8 && defined(__AVX2__)
#define CLIPK_DOT_U8 "%{vex%} vpdpbusd %2, %1, %0" /* AVX-VNNI */
#endif
static inline vi vdot_u8(vi acc, vu a, vi b)
{
#if defined(CLIPK_DOT_U8)
    __asm__(CLIPK_DOT_U8 : "+v"(acc) : "v"(a), "v"(b));
#else
    (void)a, (void)b;
    assert(!"a set without dot products of bytes");
#endif
    return acc;
}

/* The same where all bytes have a sign. */
#if CLIPK_VL == 4 && defined(__aarch64__)
#define CLIPK_DOT_I8 CLIPK_ARM "sdot %0.4s, %1.16b, %2.16b"
#endif
static inline vi vdot_i8(vi acc, vi a, vi b)
{
#if defined(CLIPK_DOT_I8)
    __asm__(CLIPK_DOT_I8 : "+w"(acc) : "w"(a), "w"(b));
#else
    (void)a, (void)b;
    assert(!"a set without dot products of bytes with a sign");
#endif
    return acc;
}

/* acc + a0 b0 + a1 b1. The lanes of a and b are pairs of 16-bit numbers with a sign. In assembly,
 * because GCC would first make the products of many steps, and keep them in memory. */
static inline vi vdot_i16(vi acc, vu a, vi b)
{
#if (CLIPK_VL == 16 && defined(__AVX512BW__)) || (CLIPK_VL == 8 && defined(__AVX2__))
    vi product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(acc), "=&v"(product) : "v"(a), "v"(b));
    return acc;
#elif defined(__SSE2__)
    __m128i p[CLIPK_VL / 4], q[CLIPK_VL / 4];
    memcpy(p, &a, sizeof p);
    memcpy(q, &b, sizeof q);
    for (int i = 0; i < CLIPK_VL / 4; i++)
        p[i] = _mm_madd_epi16(p[i], q[i]);
    memcpy(&a, p, sizeof a);
    return acc + (vi)a;
#else
    return acc + ((vi)(a << 16) >> 16) * ((vi)((vu)b << 16) >> 16) + ((vi)a >> 16) * (b >> 16);
#endif
}

/* CLIPK_VL numbers of any type, at any address, as f32. type: a constant */
static inline __attribute__((always_inline)) vf vload_any(const void *p, clipk_type type)
{
    vf v = {0};
    switch (type) {
    case CLIPK_F32: memcpy(&v, p, sizeof v); return v;
    case CLIPK_F16: return vload_f16(p);
    case CLIPK_BF16: return vload_bf16(p);
    }
    assert(!"unknown type");
    return v;
}

#endif
