/* tile.h: the innermost product, in registers, and the transposition of operands. Included by
 * simd_*.c only.
 *
 *     acc[i] += sum over k of a(i, k) b[k]        i < m rows; b[k] and acc[i] are nv vectors wide
 *
 * a(i, k) is a[i * rs + k * cs], one number for all lanes. b[k] is at b + k * ldb; if part > 0, it
 * has one vector and only its first `part` lanes are read. m, nv and whether part is 0 must be
 * constants where tile() is called: then acc lives in registers. The sum runs over k in order, for
 * every m.
 *
 * Every m gets a function of its own, which is not inlined (Clang 14 would merge their loops and
 * lose the constant):
 *
 *     #define TILE(m) static NOINLINE void work_##m(...) { ... tile(acc, m, ...) ... }
 *     TILE_SIZES(TILE)
 *     for (int i = 0, m; i < rows; i += m) { m = tile_step(rows - i);  work[m](...); } */
#ifndef CLIPK_TILE_H
#define CLIPK_TILE_H

#include "kernels/vec.h"

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

/* Unrolls a loop of a constant number of rounds, at most 16, completely. (With GCC's pragma, Clang
 * may leave a loop.) */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define TILE_SMALL(DO) DO(1) DO(2) DO(3) DO(4) DO(5)
#if CLIPK_VL == 16
#define TILE_ROWS 14 /* 28 sums, of 32 registers */
#define TILE_SIZES(DO) TILE_SMALL(DO) DO(6) DO(14)
#elif defined(__aarch64__)
#define TILE_ROWS 12
#define TILE_SIZES(DO) TILE_SMALL(DO) DO(6) DO(12)
#else
#define TILE_ROWS 6 /* 12 sums, of 16 registers */
#define TILE_SIZES(DO) TILE_SMALL(DO) DO(6)
#endif
#define TILE_COLUMNS (2 * CLIPK_VL)

/* How many of the `left` rows to do next: full tiles, then pieces of 4 to 6. Fewer than 4 rows cost
 * as much as 4. */
static inline int tile_step(int left)
{
    if (left >= TILE_ROWS + 3 || left == TILE_ROWS)
        return TILE_ROWS;
    return left > 6 ? 4 : left;
}

typedef uint32_t pair __attribute__((may_alias)); /* two numbers of 16 bits where floats stand */

INLINE void tile_zero(vf acc[][2], int m)
{
    UNROLL
    for (int i = 0; i < m; i++)
        acc[i][0] = acc[i][1] = (vf){0};
}

/* pairs: numbers are pairs of bf16; a constant. */
INLINE void tile_any(bool pairs, vf acc[][2], int m, int nv, const float *a, int64_t rs, int64_t cs, const float *b,
                    int64_t ldb, int part, int K)
{
    for (int k = 0; k < K; k++, b += ldb, a += cs) {
        const vf b0 = part ? vload_n(b, part) : vload(b), b1 = nv > 1 ? vload(b + CLIPK_VL) : b0;
        UNROLL
        for (int i = 0; i < m; i++) {
            if (pairs) {
                const vu s = *(const pair *)(const void *)(a + i * rs) - (vu){0};
                acc[i][0] = vdot_bf16(acc[i][0], s, b0);
                if (nv > 1)
                    acc[i][1] = vdot_bf16(acc[i][1], s, b1);
                continue;
            }
            const vf s = vset1(a[i * rs]);
            acc[i][0] = vfma(s, b0, acc[i][0]);
            if (nv > 1)
                acc[i][1] = vfma(s, b1, acc[i][1]);
        }
    }
}

INLINE void tile(vf acc[][2], int m, int nv, const float *a, int64_t rs, int64_t cs, const float *b, int64_t ldb,
                 int part, int K)
{
    tile_any(false, acc, m, nv, a, rs, cs, b, ldb, part, K);
}

/* Copies n rows of D numbers, ld apart, side by side. */
static inline void copy_rows(float *to, const float *from, int64_t ld, int n, int D)
{
    for (int j = 0; j < n; j++, to += D, from += ld) {
        int d = 0;
        for (; d + CLIPK_VL <= D; d += CLIPK_VL)
            vstore(to + d, vload(from + d));
        if (d < D)
            vstore_n(to + d, vload_n(from + d, D - d), D - d);
    }
}

/* r[i][j] becomes r[j][i]: step s swaps blocks of s lanes off the diagonal. */
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
    UNROLL for (int i = 0; i < CLIPK_VL; i++) if (!(i & s))                      \
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
