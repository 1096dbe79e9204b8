/* simd_quantise.c: rows of numbers in 8 bits.
 *
 *     r = H (x t)     scale = max |r| / 127     q = round(r / scale)
 *
 * H is the Hadamard matrix of `block` x `block`, without its factor 1 / sqrt(block), for each block
 * of the row. Its steps pair numbers block / 2 apart, then block / 4, .., then neighbours. A vector
 * may hold the results in another order than the oracle. Rows of x and of W have the same one.
 *
 * Integers must not depend on the instruction set. So no product may be fused with the sum behind
 * it: products go through memory, in functions of their own. */
#include "kernels/tile.h"

#define REGISTERS (128 / CLIPK_VL) /* vectors in a block of 128 */
#define SMALLEST 1e-30f            /* rows below this are 0: 127 over them would not be finite */

static NOINLINE void multiply(float *out, const float *x, const float *t, int K, int depth)
{
    int k = 0;
    for (; k + CLIPK_VL <= K; k += CLIPK_VL)
        vstore(out + k, vload(x + k) * vload(t + k));
    for (; k < K; k++)
        out[k] = x[k] * t[k];
    for (; k < depth; k++)
        out[k] = 0;
}

/* Sums and differences of lanes s apart of two vectors. */
#define LANES(a, b, s)                                                      \
    {                                                                       \
        const vf low = __builtin_shufflevector(a, b, STEP##s##_LOW),        \
                 high = __builtin_shufflevector(a, b, STEP##s##_HIGH);      \
        a = low + high;                                                     \
        b = low - high;                                                     \
    }

static NOINLINE void rotate_128(float *x)
{
    vf r[REGISTERS];
    UNROLL
    for (int i = 0; i < REGISTERS; i++)
        r[i] = vload(x + i * CLIPK_VL);
    UNROLL
    for (int h = REGISTERS / 2; h > 0; h /= 2)
        UNROLL
        for (int i = 0; i < REGISTERS; i++)
            if (!(i & h)) {
                const vf a = r[i], b = r[i + h];
                r[i] = a + b;
                r[i + h] = a - b;
            }
    UNROLL
    for (int i = 0; i < REGISTERS; i += 2) {
#if CLIPK_VL >= 16
        LANES(r[i], r[i + 1], 8)
#endif
#if CLIPK_VL >= 8
        LANES(r[i], r[i + 1], 4)
#endif
        LANES(r[i], r[i + 1], 2)
        LANES(r[i], r[i + 1], 1)
    }
    UNROLL
    for (int i = 0; i < REGISTERS; i++)
        vstore(x + i * CLIPK_VL, r[i]);
}

static void rotate(float *x, int block)
{
    for (int h = block / 2; h > 0; h /= 2)
        for (int i = 0; i < block; i++)
            if (!(i & h)) {
                const float a = x[i], b = x[i + h];
                x[i] = a + b;
                x[i + h] = a - b;
            }
}

/* The largest |x|. Bits of positive numbers have their order, and NaN is above infinity. */
static float largest(const float *x, int n)
{
    vi most = {0};
    int i = 0, all = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL) {
        const vi bits = (vi)vload(x + i) & 0x7fffffff, more = bits > most;
        most = (bits & more) | (most & ~more);
    }
    for (int j = 0; j < CLIPK_VL; j++)
        all = most[j] > all ? most[j] : all;
    for (; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        all = bits > all ? bits : all;
    }
    float f;
    memcpy(&f, &all, sizeof f);
    return f;
}

/* To the nearest integer, ties to even. */
INLINE vi vround(vf v)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    return (vi)_mm512_cvtps_epi32((__m512)v);
#elif CLIPK_VL == 8 && defined(__AVX2__)
    return (vi)_mm256_cvtps_epi32((__m256)v);
#else
    vi q;
    for (int i = 0; i < CLIPK_VL; i++)
        q[i] = (int32_t)__builtin_lrintf(v[i]);
    return q;
#endif
}

typedef int8_t vb __attribute__((vector_size(CLIPK_VL)));
typedef int16_t vs __attribute__((vector_size(2 * CLIPK_VL)));

/* form: a constant */
INLINE void round_to(void *out, clipk_x_form form, const float *x, float inverse, int n)
{
    char *p = out;
    for (int i = 0; i < n; i += CLIPK_VL) {
        const vi q = vround((n - i < CLIPK_VL ? vload_n(x + i, n - i) : vload(x + i)) * inverse);
        const int left = n - i < CLIPK_VL ? n - i : CLIPK_VL;
        if (form == CLIPK_X_I16) {
            const vs s = __builtin_convertvector(q, vs);
            memcpy(p + 2 * i, &s, 2 * (size_t)left);
        } else {
            const vb b = __builtin_convertvector(form == CLIPK_X_U8 ? q ^ 0x80 : q, vb);
            memcpy(p + i, &b, (size_t)left);
        }
    }
}

float NAME(quantise)(void *out, clipk_x_form form, const float *x, const float *t, int K, int depth, int block,
                     float *work)
{
    multiply(work, x, t, K, depth);
    for (int k = 0; k < depth; k += block)
        if (block == 128)
            rotate_128(work + k);
        else
            rotate(work + k, block);
    const float most = largest(work, depth), inverse = most < SMALLEST ? 0 : 127 / most;
    switch (form) {
    case CLIPK_X_U8: round_to(out, CLIPK_X_U8, work, inverse, depth); break;
    case CLIPK_X_I8: round_to(out, CLIPK_X_I8, work, inverse, depth); break;
    case CLIPK_X_I16: round_to(out, CLIPK_X_I16, work, inverse, depth); break;
    case CLIPK_X_F32:
    case CLIPK_X_BF16: assert(!"not a form of integers");
    }
    return most < SMALLEST ? 0 : most / 127;
}

void NAME(add_abs)(float *sums, const float *x, int n)
{
    int i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL)
        vstore(sums + i, vload(sums + i) + (vf)((vi)vload(x + i) & 0x7fffffff));
    for (; i < n; i++)
        sums[i] += __builtin_fabsf(x[i]);
}
