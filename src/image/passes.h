/* passes.h: the two passes of a resize, in integers; the same results from every set.
 *
 * A coefficient is round(weight * 2^22), a pass sums coefficient * sample, adds 2^21, shifts by 22 and clips to 0..255.
 * Sums fit 32 bits: normalised bicubic weights add up to 1.25 in absolute value at most. */
#ifndef CLIPIMG_PASSES_H
#define CLIPIMG_PASSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIPIMG_SHIFT 22
#define CLIPIMG_ROWS 8      /* rows go through the horizontal pass together */
#define CLIPIMG_OVERREAD 13 /* bytes behind a row that the horizontal pass may read, to no effect: of four pixels, and of 16 bytes */

/* The taps of two neighbours, each split for 16-bit multipliers: coefficient = high * 2^15 + low, 0 <= low < 2^15. */
typedef struct clipimg_taps {
    int16_t low[2], high[2];
} clipimg_taps;

/* The filters of a row of output pixels: pixel i reads pairs[i] pairs of pixels, from first[i], an even number. Unused taps are 0.
 * The pairs of all pixels lie one behind the other in taps. */
typedef struct clipimg_filters {
    int n;
    int *first, *pairs;
    clipimg_taps *taps;
    int width;      /* of the input */
    int chunk;      /* input pixels that scratch has room for: a multiple of 4, no less than any filter reads and 4 more */
    void *scratch;  /* [chunk / 2, 3, CLIPIMG_ROWS] pairs of 16-bit samples, aligned to 64 */
} clipimg_filters;

typedef struct clipimg_passes {
    const char *name;
    /* in, out: CLIPIMG_ROWS rows of RGB; the same row may be given more than once. f->n pixels are written a row. */
    void (*horizontal)(const clipimg_filters *f, const uint8_t *const *in, uint8_t *const *out);
    /* out[i] from in[0][i], in[1][i], ... by weight[0], weight[1], ... */
    void (*vertical)(const int32_t *weight, const uint8_t *const *in, int taps, uint8_t *out, size_t bytes);
} clipimg_passes;

extern const clipimg_passes clipimg_passes_generic;
#if defined(__x86_64__)
extern const clipimg_passes clipimg_passes_avx2;
#endif

/* clipimg_best_passes(): what this machine can run. */
const clipimg_passes *clipimg_best_passes(void);

#endif
