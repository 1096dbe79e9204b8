/* simd_scan.c: the parts of a search through many vectors. One thread, a piece of the rows.
 *
 * A scan is a matrix product of integers, exact in any order. With one query, memory is the limit:
 * it is compared with four rows at a time, either consecutive or picked. With many queries, a tile
 * of rows x queries stays in registers. The rows are widened to 16 bits once for all queries, so
 * the product needs one instruction (and an addition) for two numbers in each lane. */
#include "kernels/simd.h"
#include "kernels/tile.h"
#include "kernels/vec.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ACCS 4

/* ---- Vectors of f16 -------------------------------------------------------------------------- */

float NAME(dot_f16)(const float *q, const void *x, int D)
{
    const char *p = x;
    vf s[ACCS] = {{0}};
    int d = 0;
    for (; d + ACCS * CLIPK_VL <= D; d += ACCS * CLIPK_VL)
        for (int i = 0; i < ACCS; i++)
            s[i] += vload(q + d + i * CLIPK_VL) * vload_f16(p + 2 * (d + i * CLIPK_VL));
    for (int i = 0; d < D; d += CLIPK_VL, i++) {
        const int n = D - d < CLIPK_VL ? D - d : CLIPK_VL;
        uint16_t rest[CLIPK_VL] = {0};
        memcpy(rest, p + 2 * d, 2 * (size_t)n);
        s[i] += (n < CLIPK_VL ? vload_n(q + d, n) : vload(q + d)) * vload_f16(rest);
    }
    return vsum((s[0] + s[1]) + (s[2] + s[3]));
}

/* ---- 16-bit numbers -------------------------------------------------------------------------- */

#define ROWS 4                              /* rows per tile */
#define QUERIES (CLIPK_VL == 16 ? 6 : 3)
#define WORDS (2 * CLIPK_VL)                /* 16-bit numbers in a vector */
#define BLOCK_ROWS 16                       /* rows widened at a time: with some queries they fit the first cache */
#define BLOCK_WORDS (64 * 1024)
#define BLOCK_QUERIES (4 * QUERIES)

typedef int16_t vw __attribute__((vector_size(2 * WORDS)));
typedef int16_t vwu __attribute__((vector_size(2 * WORDS), aligned(2), may_alias));
typedef int8_t vb __attribute__((vector_size(WORDS)));

INLINE vw load_words(const int16_t *p) { return (vw) * (const vwu *)p; }

/* WORDS bytes at any address. */
INLINE vw load_wide(const int8_t *p)
{
#if CLIPK_VL == 16 && defined(__AVX512BW__)
    return (vw)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
#elif CLIPK_VL == 8 && defined(__AVX2__)
    return (vw)_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p));
#else
    vb b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vw);
#endif
}

INLINE vw load_wide_n(const int8_t *p, int n)
{
    int8_t rest[WORDS] = {0};
    memcpy(rest, p, n);
    return load_wide(rest);
}

/* acc + a b, pairs of products added into a lane */
INLINE vi multiply_add(vi acc, vw a, vw b)
{
#if CLIPK_VL == 16 && defined(__AVX512BW__)
    return acc + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif CLIPK_VL == 8 && defined(__AVX2__)
    return acc + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif CLIPK_VL == 4 && defined(__SSE2__)
    return acc + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif CLIPK_VL == 4 && defined(__aarch64__)
    return (vi)vmlal_high_s16(vmlal_s16((int32x4_t)acc, vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b)),
                              (int16x8_t)a, (int16x8_t)b);
#else
    for (int i = 0; i < CLIPK_VL; i++)
        acc[i] += a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return acc;
#endif
}

/* out[i] = the sum of a[i]'s lanes, i < ROWS */
INLINE void sum_rows(int32_t *out, const vi a[ROWS])
{
#if CLIPK_VL >= 8 && defined(__AVX2__)
    __m256i v[ROWS];
    for (int i = 0; i < ROWS; i++)
#if CLIPK_VL == 16
    {
        __m256i half[2];
        memcpy(half, &a[i], sizeof half);
        v[i] = _mm256_add_epi32(half[0], half[1]);
    }
#else
        v[i] = (__m256i)a[i];
#endif
    const __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    _mm_storeu_si128((void *)out, _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
#else
    for (int i = 0; i < ROWS; i++) {
        int32_t s = 0;
        for (int l = 0; l < CLIPK_VL; l++)
            s += a[i][l];
        out[i] = s;
    }
#endif
}

/* acc + part of a code's product. high: 0, or two numbers are stored in a byte, and the query's
 * numbers for the high ones are `high` after those for the low ones. */
INLINE vi multiply_code(vi acc, vw code, const int16_t *q, int high)
{
    if (!high)
        return multiply_add(acc, code, load_words(q));
    acc = multiply_add(acc, code & 15, load_words(q));
    return multiply_add(acc, code >> 4 & 15, load_words(q + high));
}

/* ROWS rows against one query; fetches the rows of `next` on the way. */
INLINE void scan_four(int32_t *dot, const int8_t *const code[ROWS], const int8_t *const next[ROWS], int D,
                      const int16_t *q, int high)
{
    vi acc[ROWS] = {{0}};
    int d = 0;
    for (; d + WORDS <= D; d += WORDS)
        UNROLL
        for (int i = 0; i < ROWS; i++) {
            acc[i] = multiply_code(acc[i], load_wide(code[i] + d), q + d, high);
            if (d % 64 == 0)
                __builtin_prefetch(next[i] + d);
        }
    if (d < D)
        for (int i = 0; i < ROWS; i++)
            acc[i] = multiply_code(acc[i], load_wide_n(code[i] + d, D - d), q + d, high);
    sum_rows(dot, acc);
}

INLINE int32_t scan_row(const int8_t *code, int D, const int16_t *q, int high)
{
    vi acc = {0};
    for (int d = 0; d < D; d += WORDS)
        acc = multiply_code(acc, D - d < WORDS ? load_wide_n(code + d, D - d) : load_wide(code + d), q + d, high);
    int32_t s = 0;
    for (int l = 0; l < CLIPK_VL; l++)
        s += acc[l];
    return s;
}

INLINE void scan_tile(int32_t *dot, int64_t ldo, const int16_t *wide, const int16_t *q, int Dp, int n)
{
    vi acc[QUERIES][ROWS] = {{{0}}};
    for (int d = 0; d < Dp; d += WORDS) {
        vw w[QUERIES];
        UNROLL
        for (int j = 0; j < n; j++)
            w[j] = load_words(q + (size_t)j * Dp + d);
        UNROLL
        for (int i = 0; i < ROWS; i++)
            UNROLL
            for (int j = 0; j < n; j++)
                acc[j][i] = multiply_add(acc[j][i], load_words(wide + (size_t)i * Dp + d), w[j]);
    }
    for (int j = 0; j < n; j++)
        sum_rows(dot + j * ldo, acc[j]);
}

static NOINLINE void scan_many(int32_t *dot, int64_t ldo, const int16_t *wide, const int16_t *q, int Dp)
{
    scan_tile(dot, ldo, wide, q, Dp, QUERIES);
}

static NOINLINE void scan_single(int32_t *dot, int64_t ldo, const int16_t *wide, const int16_t *q, int Dp)
{
    scan_tile(dot, ldo, wide, q, Dp, 1);
}

static void scan_tiles(int32_t *dot, int64_t ldo, const int16_t *wide, const int16_t *q, int Dp, int Q)
{
    int j = 0;
    for (; j + QUERIES <= Q; j += QUERIES)
        scan_many(dot + j * ldo, ldo, wide, q + (size_t)j * Dp, Dp);
    for (; j < Q; j++)
        scan_single(dot + j * ldo, ldo, wide, q + (size_t)j * Dp, Dp);
}

static void widen(int16_t *wide, const int8_t *code, int rows, int D, int Dp)
{
    for (int i = 0; i < rows; i++, wide += Dp, code += D) {
        int d = 0;
        for (; d + WORDS <= D; d += WORDS) {
            const vw w = load_wide(code + d);
            memcpy(wide + d, &w, sizeof w);
        }
        for (; d < Dp; d++)
            wide[d] = d < D ? code[d] : 0;
    }
}

static void scan_one(int32_t *dot, const int8_t *code, int rows, int D, const int16_t *q)
{
    const size_t d = D, ahead = 4096;
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS, code += ROWS * d) {
        const int8_t *p = code + ahead;
        scan_four(dot + i, (const int8_t *[]){code, code + d, code + 2 * d, code + 3 * d},
                  (const int8_t *[]){p, p + d, p + 2 * d, p + 3 * d}, D, q, 0);
    }
    for (; i < rows; i++, code += d)
        dot[i] = scan_row(code, D, q, 0);
}

void NAME(scan_nibbles)(int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q)
{
    const int8_t *c = (const int8_t *)code;
    const int high = clipk_scan_padded(B);
    int i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        const int8_t *p[ROWS], *next[ROWS];
        for (int r = 0; r < ROWS; r++) {
            p[r] = c + (size_t)row[i + r] * B;
            next[r] = i + 2 * ROWS <= n ? c + (size_t)row[i + ROWS + r] * B : p[r];
        }
        scan_four(dot + i, p, next, B, q, high);
    }
    for (; i < n; i++)
        dot[i] = scan_row(c + (size_t)row[i] * B, B, q, high);
}

void NAME(scan)(int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q)
{
    _Alignas(64) int16_t wide[BLOCK_WORDS];
    const int Dp = clipk_scan_padded(D);
    const int most = BLOCK_WORDS / Dp < BLOCK_ROWS ? BLOCK_WORDS / Dp / ROWS * ROWS : BLOCK_ROWS,
              whole = rows / ROWS * ROWS;
    if (Q >= QUERIES)
        for (int i = 0, n; i < whole; i += n) {
            n = whole - i < most ? whole - i : most;
            widen(wide, code + (size_t)i * D, n, D, Dp);
            for (int j = 0; j < Q; j += BLOCK_QUERIES)
                for (int r = 0; r < n; r += ROWS)
                    scan_tiles(dot + j * ldo + i + r, ldo, wide + (size_t)r * Dp, q + (size_t)j * Dp,
                               Dp, Q - j < BLOCK_QUERIES ? Q - j : BLOCK_QUERIES);
        }
    const int from = Q >= QUERIES ? whole : 0;
    for (int j = 0; j < Q; j++)
        scan_one(dot + j * ldo + from, code + (size_t)from * D, rows - from, D, q + (size_t)j * Dp);
}

/* ---- Picking --------------------------------------------------------------------------------- */

int NAME(scan_pick)(int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift,
                    float slack, float least)
{
    int n = 0;
    for (int i = 0; i < rows; i += 16) {
        const int m = rows - i < 16 ? rows - i : 16;
        float most[16];
        int any = 0;
        if (m == 16) {
            UNROLL
            for (int j = 0; j < 16; j++) {
                most[j] = ((float)dot[i + j] * scale + shift) * bound[2 * (i + j)] + bound[2 * (i + j) + 1] * slack;
                any |= !(most[j] < least);
            }
        } else
            for (int j = 0; j < m; j++) {
                most[j] = ((float)dot[i + j] * scale + shift) * bound[2 * (i + j)] + bound[2 * (i + j) + 1] * slack;
                any |= !(most[j] < least);
            }
        for (int j = 0; any && j < m; j++) {
            out[n] = i + j;
            n += !(most[j] < least);
        }
    }
    return n;
}
