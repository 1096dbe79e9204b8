/* simd_quantise.c: rows of numbers in 8 bits.
 *
 *     r = H (x t)     scale = max |r| / 127     q = round(r / scale)
 *
 * H works on each block of the row: of the numbers 16 apart it takes the Hadamard transform of
 * block / 16 numbers, without its factor. So all steps add or subtract whole vectors, of any width.
 *
 * Integers must not depend on the instruction set. So no product may be fused with the sum behind
 * it: apart() stands between them. */
#include "kernels/tile.h"

#define APART 16            /* numbers of a row that are transformed side by side */
#define HEIGHT_MOST (CLIPK_ROTATES / APART)
#define SMALLEST 1e-30f     /* rows below this are 0: 127 over them would not be finite */

/* v, of which the compiler knows nothing. */
INLINE vf apart(vf v)
{
#if (CLIPK_VL == 16 && defined(__AVX512F__)) || (CLIPK_VL == 8 && defined(__AVX2__))
    __asm__("" : "+v"(v));
#elif CLIPK_VL == 4 && defined(__SSE2__)
    __asm__("" : "+x"(v));
#elif CLIPK_VL == 4 && defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}

/* The larger of positive numbers by their bits, which have the order of the numbers. NaN is above
 * infinity. */
INLINE vi larger(vi a, vi b)
{
#if CLIPK_VL == 16 && defined(__AVX512F__)
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif CLIPK_VL == 8 && defined(__AVX2__)
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    const vi more = a > b;
    return (a & more) | (b & ~more);
#endif
}

/* One block, of 16 height numbers. height is a constant. Returns the largest |r|, or `most`. */
INLINE vi rotate_block(float *out, const float *x, const float *t, int height, vi most)
{
    for (int lane = 0; lane < APART; lane += CLIPK_VL) {
        vf r[HEIGHT_MOST];
        UNROLL
        for (int i = 0; i < height; i++)
            r[i] = apart(vload(x + i * APART + lane) * vload(t + i * APART + lane));
        UNROLL
        for (int h = height / 2; h > 0; h /= 2)
            UNROLL
            for (int i = 0; i < height; i++)
                if (!(i & h)) {
                    const vf a = r[i], b = r[i + h];
                    r[i] = a + b;
                    r[i + h] = a - b;
                }
        UNROLL
        for (int i = 0; i < height; i++) {
            most = larger((vi)r[i] & 0x7fffffff, most);
            vstore(out + i * APART + lane, r[i]);
        }
    }
    return most;
}

/* All blocks of a row. height is a constant. */
INLINE vi rotate_blocks(float *r, const float *x, const float *t, int K, int depth, int height)
{
    const int block = height * APART;
    vi most = {0};
    int k = 0;
    for (; k + block <= K; k += block)
        most = rotate_block(r + k, x + k, t + k, height, most);
    if (k < depth) {
        float end[CLIPK_ROTATES] = {0};
        memcpy(end, x + k, sizeof *end * (K - k));
        most = rotate_block(r + k, end, t + k, height, most);
    }
    return most;
}

/* Returns the largest |r|. */
static float rotate(float *r, const float *x, const float *t, int K, int depth, int block)
{
    vi most;
    switch (block / APART) {
    case 16: most = rotate_blocks(r, x, t, K, depth, 16); break;
    case 8: most = rotate_blocks(r, x, t, K, depth, 8); break;
    case 4: most = rotate_blocks(r, x, t, K, depth, 4); break;
    case 2: most = rotate_blocks(r, x, t, K, depth, 2); break;
    default: most = rotate_blocks(r, x, t, K, depth, 1); break;
    }
    int all = 0;
    float f;
    for (int i = 0; i < CLIPK_VL; i++)
        all = most[i] > all ? most[i] : all;
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

/* n is a multiple of APART. form: a constant */
INLINE void round_to(void *out, clipk_x_form form, const float *r, float inverse, int n)
{
    char *p = out;
    for (int i = 0; i < n; i += CLIPK_VL) {
        const vi q = vround(vload(r + i) * inverse);
        if (form == CLIPK_X_I16) {
            const vs s = __builtin_convertvector(q, vs);
            memcpy(p + 2 * i, &s, sizeof s);
        } else {
            const vb b = __builtin_convertvector(form == CLIPK_X_U8 ? q ^ 0x80 : q, vb);
            memcpy(p + i, &b, sizeof b);
        }
    }
}

float NAME(quantise)(void *out, clipk_x_form form, const float *x, const float *t, int K, int depth, int block,
                     float *work)
{
    const float most = rotate(work, x, t, K, depth, block), inverse = most < SMALLEST ? 0 : 127 / most;
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
