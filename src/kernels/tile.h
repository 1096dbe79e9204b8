/* tile.h: the innermost product of attention and convolution, and the transposition that brings their operands into order. Included by
 * simd_*.c only.
 *
 *     acc[i] += sum over k of a(i, k) b[k]        i < m rows; b[k] and acc[i] are nv vectors wide
 *
 * a(i, k) is a[i * rs + k * cs], one number for all lanes; b is dense. m and nv must be constants where tile() is called: then acc
 * lives in registers. TILE_ROWS rows of two vectors use them best. The sum runs over k in order, whatever m is. */
#ifndef CLIPK_TILE_H
#define CLIPK_TILE_H

#include "kernels/vec.h"

#if CLIPK_VL == 16
#define TILE_ROWS 14
#elif defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif

#define TILE_COLUMNS (2 * CLIPK_VL)

#define INLINE static inline __attribute__((always_inline))

INLINE void tile(vf acc[][2], int m, int nv, const float *a, int64_t rs, int64_t cs, const float *b, int K)
{
    for (int k = 0; k < K; k++) {
        vf b0 = vload(b + (int64_t)k * nv * CLIPK_VL), b1 = nv > 1 ? vload(b + (int64_t)k * nv * CLIPK_VL + CLIPK_VL) : b0;
#pragma GCC unroll 16
        for (int i = 0; i < m; i++) {
            float s = a[i * rs + k * cs];
            acc[i][0] += s * b0;
            if (nv > 1)
                acc[i][1] += s * b1;
        }
    }
}

INLINE void tile_zero(vf acc[][2], int m)
{
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
        acc[i][0] = acc[i][1] = (vf){0};
}

/* DO(m) for all of n rows, m a constant: `most` at a time, and then the rest in one piece or two; a tile of less than 4 rows costs as much as
 * one of 4. */
#define BY_TILES(n, most, DO)                                      \
    do {                                                           \
        int left = (n);                                            \
        for (; left >= (most) + 3 || left == (most); left -= (most)) \
            DO(most);                                              \
        for (; left >= 6; left -= 4)                               \
            DO(4);                                                 \
        if (left == 5)                                             \
            DO(5);                                                 \
        else if (left == 4)                                        \
            DO(4);                                                 \
        else if (left == 3)                                        \
            DO(3);                                                 \
        else if (left == 2)                                        \
            DO(2);                                                 \
        else if (left == 1)                                        \
            DO(1);                                                 \
    } while (0)

/* r[i][j] becomes r[j][i]: at each step s, blocks of s lanes off the diagonal change places. */
#if CLIPK_VL == 4
#define STEP1_LOW 0, 4, 2, 6
#define STEP1_HIGH 1, 5, 3, 7
#define STEP2_LOW 0, 1, 4, 5
#define STEP2_HIGH 2, 3, 6, 7
#elif CLIPK_VL == 8
#define STEP1_LOW 0, 8, 2, 10, 4, 12, 6, 14
#define STEP1_HIGH 1, 9, 3, 11, 5, 13, 7, 15
#define STEP2_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define STEP2_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define STEP4_LOW 0, 1, 2, 3, 8, 9, 10, 11
#define STEP4_HIGH 4, 5, 6, 7, 12, 13, 14, 15
#else
#define STEP1_LOW 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define STEP1_HIGH 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define STEP2_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define STEP2_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define STEP4_LOW 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define STEP4_HIGH 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define STEP8_LOW 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define STEP8_HIGH 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#endif

#define TRANSPOSE_STEP(r, s)                                                                      \
    _Pragma("GCC unroll 16") for (int i = 0; i < CLIPK_VL; i++) if (!(i & s))                      \
    {                                                                                              \
        vf low = __builtin_shufflevector(r[i], r[i + s], STEP##s##_LOW);                           \
        r[i + s] = __builtin_shufflevector(r[i], r[i + s], STEP##s##_HIGH);                        \
        r[i] = low;                                                                                \
    }

INLINE void transpose(vf r[CLIPK_VL])
{
    TRANSPOSE_STEP(r, 1)
    TRANSPOSE_STEP(r, 2)
#if CLIPK_VL >= 8
    TRANSPOSE_STEP(r, 4)
#endif
#if CLIPK_VL >= 16
    TRANSPOSE_STEP(r, 8)
#endif
}

#endif
