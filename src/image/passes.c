/* passes.c: compiled once per instruction set (see meson.build), CLIPIMG_ISA being its name.
 *
 * Horizontal: each input sample counts in about four outputs, so the pass is bound by multiplications, not by memory. AVX2 has
 * a fast one, 16 x 16 bits with sums of neighbours in 32: hence coefficients in two parts. Four pixels of two rows are loaded (16 bytes
 * each, 12 of use) and shuffled into pairs of one colour, first pixels 0 and 1, then 2 and 3:
 *
 *     r0 r1 g0 g1 b0 b1 - -  |  r0 r1 g0 g1 b0 b1 - -      times  w0 w1 w0 w1 w0 w1 w0 w1  |  w0 w1 w0 w1 w0 w1 w0 w1
 *     row A                     row B
 *
 * and another two rows share the loading of the taps. Sums of the low parts may wrap: the total is exact modulo 2^32 and fits. */
#include "image/passes.h"

#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define HALF (1 << (CLIPIMG_SHIFT - 1))

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));

/* Eight bytes, or four, to as many integers: zeros shuffled in behind, twice. (__builtin_convertvector would say it, but GCC makes scalar code of it.) */
static inline i32x8 widen8(const uint8_t *p)
{
#ifdef __AVX2__
    return (i32x8)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    u16x8 h = (u16x8)__builtin_shufflevector((u8x16)(u64x2){bytes}, (u8x16){0}, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return (i32x8)__builtin_shufflevector(h, (u16x8){0}, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

static inline uint8_t clip(int32_t sum)
{
    sum >>= CLIPIMG_SHIFT;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

#ifdef __AVX2__

/* (high * 2^15 + low + half) >> 22 of two rows, clipped, to three bytes each. */
static inline void finish(__m256i low, __m256i high, uint8_t *a, uint8_t *b)
{
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, 15), low), _mm256_set1_epi32(HALF));
    sum = _mm256_srai_epi32(sum, CLIPIMG_SHIFT);
    sum = _mm256_packs_epi32(sum, sum);
    sum = _mm256_packus_epi16(sum, sum);
    int32_t rgb_a = _mm256_extract_epi32(sum, 0), rgb_b = _mm256_extract_epi32(sum, 4);
    memcpy(a, &rgb_a, 3);
    memcpy(b, &rgb_b, 3);
}

static inline __m256i two_rows(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)), _mm_loadu_si128((const __m128i *)b), 1);
}

static inline __m256i two_taps(const int16_t *w)
{
    int32_t pair;
    memcpy(&pair, w, sizeof pair);
    return _mm256_set1_epi32(pair);
}

static void horizontal(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out)
{
    const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i second = _mm256_broadcastsi128_si256(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    const clipimg_taps *taps = f->taps;
    for (int i = 0; i < f->n; i++) {
        size_t at = 3 * (size_t)f->first[i];
        const clipimg_taps *end = taps + f->groups[i];
        __m256i low0 = _mm256_setzero_si256(), low1 = low0, high0 = low0, high1 = low0;
        for (; taps < end; taps++, at += 3 * CLIPIMG_GROUP) {
            __m256i ab = two_rows(in[0] + at, in[1] + at), cd = two_rows(in[2] + at, in[3] + at);
#define PAIR(pixels, k)                                                                             \
    {                                                                                               \
        __m256i l = two_taps(taps->low + (k)), h = two_taps(taps->high + (k));                      \
        __m256i p = _mm256_shuffle_epi8(ab, pixels), q = _mm256_shuffle_epi8(cd, pixels);           \
        low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(p, l));                                     \
        high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(p, h));                                   \
        low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(q, l));                                     \
        high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(q, h));                                   \
    }
            PAIR(first, 0)
            PAIR(second, 2)
#undef PAIR
        }
        finish(low0, high0, out[0] + 3 * i, out[1] + 3 * i);
        finish(low1, high1, out[2] + 3 * i, out[3] + 3 * i);
    }
}

#else

static inline i32x4 widen4(const uint8_t *p)
{
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    u16x8 h = (u16x8)__builtin_shufflevector((u8x16)(u64x2){bytes}, (u8x16){0}, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return (i32x4)__builtin_shufflevector(h, (u16x8){0}, 0, 8, 1, 9, 2, 10, 3, 11);
}

/* A pixel a vector; its fourth lane carries a neighbour's red along. */
static void horizontal(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out)
{
    const clipimg_taps *taps = f->taps;
    for (int i = 0; i < f->n; i++) {
        size_t at = 3 * (size_t)f->first[i];
        i32x4 sum[CLIPIMG_ROWS];
        for (int r = 0; r < CLIPIMG_ROWS; r++)
            sum[r] = (i32x4){0} + HALF;
        for (const clipimg_taps *end = taps + f->groups[i]; taps < end; taps++)
            for (int k = 0; k < CLIPIMG_GROUP; k++, at += 3) {
                int32_t w = taps->high[k] * 32768 + taps->low[k];
                for (int r = 0; r < CLIPIMG_ROWS; r++)
                    sum[r] += widen4(in[r] + at) * w;
            }
        for (int r = 0; r < CLIPIMG_ROWS; r++)
            for (int c = 0; c < 3; c++)
                out[r][3 * i + c] = clip(sum[r][c]);
    }
}

#endif

/* Columns are independent: eight sums a vector, four vectors at a time. The last block of a row overlaps the one before it, and
 * writes some bytes twice. */
enum { LANES = 8, BLOCK = 4 * LANES };

static inline void vertical_block(const int32_t *weight, const uint8_t *const *in, int taps, uint8_t *out, size_t at)
{
    i32x8 sum[BLOCK / LANES];
    for (int b = 0; b < BLOCK / LANES; b++)
        sum[b] = (i32x8){0} + HALF;
    for (int k = 0; k < taps; k++)
        for (int b = 0; b < BLOCK / LANES; b++)
            sum[b] += widen8(in[k] + at + (size_t)(LANES * b)) * weight[k];
    for (int i = 0; i < BLOCK; i++)
        out[at + (size_t)i] = clip(sum[i / LANES][i % LANES]);
}

static void vertical(const int32_t *weight, const uint8_t *const *in, int taps, uint8_t *out, size_t bytes)
{
    size_t i = 0;
    for (; i + BLOCK <= bytes; i += BLOCK)
        vertical_block(weight, in, taps, out, i);
    if (i < bytes && bytes >= BLOCK)
        vertical_block(weight, in, taps, out, bytes - BLOCK);
    else
        for (; i < bytes; i++) {
            int32_t sum = HALF;
            for (int k = 0; k < taps; k++)
                sum += in[k][i] * weight[k];
            out[i] = clip(sum);
        }
}

#define NAME2(isa) #isa
#define NAME(isa) NAME2(isa)
const clipimg_passes PASTE(clipimg_passes_, CLIPIMG_ISA) = {NAME(CLIPIMG_ISA), horizontal, vertical};
