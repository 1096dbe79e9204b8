/* passes.h: the two passes of a resize, in integers. Every instruction set gives the same results.
 *
 * A coefficient is round(weight * 2^22). A pass sums coefficient * sample, adds 2^21, shifts by 22
 * and clips to 0..255. Sums fit 32 bits: the absolute values of normalised bicubic weights add up
 * to 1.25 at most. */
#ifndef CLIPIMG_PASSES_H
#define CLIPIMG_PASSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIPIMG_SHIFT 22
#define CLIPIMG_ROWS 8      /* rows that go through the horizontal pass together */
#define CLIPIMG_OVERREAD 13 /* bytes behind a row that the horizontal pass may read, without using them */

/* The coefficients of two neighbours, each split for 16-bit multipliers:
 * coefficient = high * 2^15 + low, 0 <= low < 2^15. */
typedef struct clipimg_taps {
    int16_t low[2], high[2];
} clipimg_taps;

/* The filters of a row of output pixels. Pixel i reads pairs[i] pairs of input pixels, from
 * first[i] on, an even number. `taps` holds the coefficients of all pixels in order; unused ones
 * are 0. */
typedef struct clipimg_filters {
    int n;
    int *first, *pairs;
    clipimg_taps *taps;
    int width;      /* of the input */
    int chunk;      /* input pixels that scratch has room for: a multiple of 4, and at least 4 more
                     * than any filter reads */
    void *scratch;  /* [chunk / 2, 3, CLIPIMG_ROWS] pairs of 16-bit samples, aligned to 64 */
} clipimg_filters;

typedef struct clipimg_passes {
    const char *name;
    /* in, out: CLIPIMG_ROWS rows of RGB. The same row may be given more than once. Writes f->n
     * pixels in each row. */
    void (*horizontal)(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out);
    /* out[i] = sum over k < taps of weight[k] * in[k][i] */
    void (*vertical)(const int32_t *weight, const uint8_t *const *in, int taps, uint8_t *out, size_t bytes);
} clipimg_passes;

extern const clipimg_passes clipimg_passes_generic;
#if defined(__x86_64__)
extern const clipimg_passes clipimg_passes_avx2;
#endif

/* clipimg_best_passes(): the fastest passes that this machine can run. */
const clipimg_passes *clipimg_best_passes(void);

#endif
