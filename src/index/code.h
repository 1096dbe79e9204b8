/* code.h: a vector in few bytes, in two parts, with bounds of what these bytes leave out.
 *
 * A vector x [D] is turned by an orthogonal R, the same for all of an index: R x = (h, t), the
 * head h [H] and the tail t [D - H]. Most of the length of an index's vectors lies in a subspace
 * of few dimensions. H reflections (Householder 1958) turn its axes (learn.c) onto the head.
 * Within each part the numbers are then mixed, so that they look normally distributed and none
 * is much larger than the others, whatever the data. Products stay what they were. The head is
 * rounded to 8 bits a number, the tail to 4:
 *
 *     h = s c + e,                  c in -127 .. 127
 *     t = s' (2 c' - 15) + e',      c' in 0 .. 15, s' = |t| / sqrt(D - H) times a constant
 *
 * s, |t| and r' >= |e'| are kept beside the codes. A query is treated likewise, with more bits:
 * R q = (g, u) = (sq cq + eq, sq' cq' + eq'). By Cauchy and Schwarz the head alone says, as
 * |e| <= s sqrt(H) / 2,
 *
 *     q . x = g . h + u . t <= s (sq (cq . c) + |g| sqrt(H) / 2) + |eq| |h| + |u| |t|
 *
 * Both parts, with |u| r' in the place of the last term, say it to about |u| |t| / 9. The sums
 * of integers are exact. All bounds include the rounding of the rotation. A file of reflectors
 * can hold anything: reflections are orthogonal whatever they are. But codes belong to the
 * reflectors they were made with. */
#ifndef CLIPIDX_CODE_H
#define CLIPIDX_CODE_H

#include "base/status.h"
#include "kernels/set.h"

#define CLIPIDX_LEAST_DIM 2
#define CLIPIDX_MOST_DIM CLIPK_SCAN_D

typedef struct clipidx_coder {
    const clipk_set *set;
    int D;
    int H, T;       /* numbers of head and tail */
    int bytes;      /* of a tail: two numbers a byte */
    int axes;       /* H, or 0: none are known, and the head is like the tail */
    double *normal; /* [axes, D]: the reflectors, each of length sqrt(2) */
    float *sign;    /* what the mixing is made of, 1 and -1 */
} clipidx_coder;

/* clipidx_head(): H where no axes are known, and the fewest and the most there may be. */
static inline int clipidx_head(int D) { return D / 8 > 0 ? D / 8 : 1; }
static inline int clipidx_most_axes(int D) { return D / 4 > 0 ? D / 4 : 1; }

/* clipidx_coder_init(): reflector [axes, D]: normals of the planes to reflect at, of any length;
 * none, or clipidx_head(D) .. clipidx_most_axes(D) of them. CLIP_EFORMAT: one is zero;
 * CLIP_ENOMEM. Free it in any case. */
clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D, const float *reflector, int axes);
void clipidx_coder_free(clipidx_coder *c);

/* clipidx_unit(): a vector of any length, in f32 to unit length; false where it is zero or not
 * finite. */
bool clipidx_unit(float *out, const float *in, int D);

/* A vector's code. */
typedef struct clipidx_coded {
    int8_t *head;  /* [H] */
    uint8_t *tail; /* [bytes]: as clipk_set's scan_nibbles() reads them */
    float *head_bound, *tail_bound; /* {s, |t|} and {r'} */
} clipidx_coded;

/* clipidx_code(): of a vector as it is kept, in f16, into what `out` points to. work [2 D], here
 * and below */
void clipidx_code(const clipidx_coder *c, const uint16_t *vector, const clipidx_coded *out, double *work);

/* clipidx_code_holds(): is this its code, and are the bounds true of it? */
bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *head, const float *head_bound,
                        const uint8_t *tail, const float *tail_bound, double *work);

/* A query ready for scanning. The score of a row is at most
 *     by its head    s (scale c . cq + step) + |t| length + head_rest
 *     by both        s (scale c . cq + step) + |t| (tail_scale c' . cq' - tail_offset)
 *                    + r' length + rest */
typedef struct clipidx_query {
    const float *unit; /* [D] */
    float scale, step, tail_scale, tail_offset, length, head_rest, rest;
} clipidx_query;

/* clipidx_code_query(): unit [D] of unit length, used for as long as `out` is; head
 * [clipk_scan_padded(H)], tail [2, clipk_scan_padded(bytes)] */
void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *head, int16_t *tail, clipidx_query *out,
                        double *work);

#endif
