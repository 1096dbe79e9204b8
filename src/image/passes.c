/* passes.c: compiled once for each instruction set (see meson.build); CLIPIMG_ISA is its name.
 *
 * Horizontal: each input sample counts in about four outputs, so the pass is bound by
 * multiplications, not by memory. AVX2 has a fast one, 16 x 16 bits, which adds neighbours in 32
 * bits. This is why coefficients have two parts. First eight rows are rearranged for it: a vector
 * for each pair of pixels and each color.
 *
 *     row 0     row 1            row 7
 *     p0 p1  |  p0 p1  |  ...  |  p0 p1         times   w0 w1  |  w0 w1  |  ...  |  w0 w1
 *
 * No lane is idle and no sum is added up across lanes. Sums of low parts may wrap: the total is
 * exact modulo 2^32, and fits. Rows are rearranged in chunks that stay in the cache. Neighbouring
 * chunks overlap by a filter. */
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

/* Four or eight bytes to integers: zeros are shuffled in behind each, twice. (GCC makes scalar code
 * of __builtin_convertvector.) */
#define ZIP(type, v, ...) __builtin_shufflevector((v), (type){0}, __VA_ARGS__)
#define ZIP_BYTES(v) ((u16x8)ZIP(u8x16, (u8x16)(u64x2){v}, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23))

static inline i32x8 widen8(const uint8_t *p)
{
#ifdef __AVX2__
    return (i32x8)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return (i32x8)ZIP(u16x8, ZIP_BYTES(bytes), 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

static inline uint8_t clip_to_byte(int32_t sum)
{
    sum >>= CLIPIMG_SHIFT;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

#ifdef __AVX2__

static inline __m256i two_rows(const uint8_t *a, const uint8_t *b)
{
    return _mm256_loadu2_m128i((const __m128i *)b, (const __m128i *)a);
}

/* Rearranges pixels [from, from + n) of eight rows in pairs. n is rounded up to a multiple of 4. */
static void turn_over(const uint8_t *const *in, int from, int n, __m256i *to)
{
    const __m256i first =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i second =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    size_t at = 3 * (size_t)from;
    for (int x = 0; x < n; x += 4, at += 12) {
        __m256i rows[4];
        for (int r = 0; r < 4; r++)
            rows[r] = two_rows(in[r] + at, in[r + 4] + at);
        for (int half = 0; half < 2; half++, to += 3) {
            __m256i which = half ? second : first;
            /* red, green, blue, 0 */
            __m256i a = _mm256_shuffle_epi8(rows[0], which), b = _mm256_shuffle_epi8(rows[1], which);
            __m256i c = _mm256_shuffle_epi8(rows[2], which), d = _mm256_shuffle_epi8(rows[3], which);
            __m256i rg_ab = _mm256_unpacklo_epi32(a, b), rg_cd = _mm256_unpacklo_epi32(c, d);
            __m256i b_ab = _mm256_unpackhi_epi32(a, b), b_cd = _mm256_unpackhi_epi32(c, d);
            to[0] = _mm256_unpacklo_epi64(rg_ab, rg_cd);
            to[1] = _mm256_unpackhi_epi64(rg_ab, rg_cd);
            to[2] = _mm256_unpacklo_epi64(b_ab, b_cd);
        }
    }
}

/* (high * 2^15 + low + half) >> 22, clipped. */
static inline __m256i finish_sums(__m256i low, __m256i high)
{
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, 15), low), _mm256_set1_epi32(HALF));
    return _mm256_max_epi32(_mm256_setzero_si256(),
                            _mm256_min_epi32(_mm256_srai_epi32(sum, CLIPIMG_SHIFT), _mm256_set1_epi32(255)));
}

static inline __m256i two_taps(const int16_t *w)
{
    int32_t pair;
    memcpy(&pair, w, sizeof pair);
    return _mm256_set1_epi32(pair);
}

static void horizontal(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out)
{
    const clipimg_taps *taps = f->taps;
    int from = 0, to = 0; /* the pixels that scratch holds */
    for (int i = 0; i < f->n; i++) {
        if (f->first[i] + 2 * f->pairs[i] > to) {
            from = f->first[i];
            /* the last pair may lack its second pixel */
            to = f->width - from < f->chunk ? f->width + 1 : from + f->chunk;
            turn_over(in, from, f->width - from < f->chunk ? f->width - from : f->chunk, f->scratch);
        }
        const __m256i *p = (const __m256i *)f->scratch + 3 * ((f->first[i] - from) / 2);
        __m256i low0 = _mm256_setzero_si256(), low1 = low0, low2 = low0, high0 = low0, high1 = low0, high2 = low0;
#pragma GCC unroll 4
        for (const clipimg_taps *end = taps + f->pairs[i]; taps < end; taps++, p += 3) {
            __m256i l = two_taps(taps->low), h = two_taps(taps->high), red = p[0], green = p[1], blue = p[2];
            /* without this GCC loads them twice, and loads are the bottleneck */
            __asm__("" : "+x"(red), "+x"(green), "+x"(blue));
            low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(red, l));
            low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(green, l));
            low2 = _mm256_add_epi32(low2, _mm256_madd_epi16(blue, l));
            high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(red, h));
            high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(green, h));
            high2 = _mm256_add_epi32(high2, _mm256_madd_epi16(blue, h));
        }
        __m256i green = _mm256_slli_epi32(finish_sums(low1, high1), 8),
                blue = _mm256_slli_epi32(finish_sums(low2, high2), 16);
        uint32_t rgb[CLIPIMG_ROWS];
        _mm256_storeu_si256((__m256i *)rgb, _mm256_or_si256(_mm256_or_si256(finish_sums(low0, high0), green), blue));
        if (i < f->n - 1)
            for (int r = 0; r < CLIPIMG_ROWS; r++)
                memcpy(out[r] + 3 * i, &rgb[r], 4); /* the next pixel overwrites the fourth byte */
        else
            for (int r = 0; r < CLIPIMG_ROWS; r++)
                memcpy(out[r] + 3 * i, &rgb[r], 3);
    }
}

#else

static inline i32x4 widen4(const uint8_t *p)
{
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return (i32x4)ZIP(u16x8, ZIP_BYTES(bytes), 0, 8, 1, 9, 2, 10, 3, 11);
}

/* Four rows, with one pixel in each vector. The fourth lane holds a neighbour's red, unused. */
static void four_rows(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out)
{
    const clipimg_taps *taps = f->taps;
    for (int i = 0; i < f->n; i++) {
        size_t at = 3 * (size_t)f->first[i];
        i32x4 sum[4];
        for (int r = 0; r < 4; r++)
            sum[r] = (i32x4){0} + HALF;
        for (const clipimg_taps *end = taps + f->pairs[i]; taps < end; taps++)
            for (int k = 0; k < 2; k++, at += 3) {
                int32_t w = taps->high[k] * 32768 + taps->low[k];
                for (int r = 0; r < 4; r++)
                    sum[r] += widen4(in[r] + at) * w;
            }
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 3; c++)
                out[r][3 * i + c] = clip_to_byte(sum[r][c]);
    }
}

static void horizontal(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out)
{
    for (int r = 0; r < CLIPIMG_ROWS; r += 4)
        four_rows(f, in + r, out + r);
}

#endif

/* Columns are independent: eight sums in a vector, four vectors at a time. The last block of a row
 * overlaps the one before it and writes some bytes twice. */
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
        out[at + (size_t)i] = clip_to_byte(sum[i / LANES][i % LANES]);
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
            out[i] = clip_to_byte(sum);
        }
}

#define NAME2(isa) #isa
#define NAME(isa) NAME2(isa)
const clipimg_passes PASTE(clipimg_passes_, CLIPIMG_ISA) = {NAME(CLIPIMG_ISA), horizontal, vertical};
