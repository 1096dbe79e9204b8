/* code.h: a vector in few bytes, in two parts, and what these bytes leave unsaid.
 *
 * A vector x [D] is turned, by the same orthogonal R for all of an index: R x = (h, t), the head h [H] and the tail t [D - H]. Most of the length of an
 * index's vectors lies in a subspace of few dimensions; its axes (learn.c) are turned onto the head, by H reflections (Householder 1958). Within
 * each part the numbers are then mixed, so that none is much larger than the others, whatever the data: a product is what it was. Each part is rounded,
 *
 *     h = s c + e,    t = s' c' + e',    c, c' in -127 .. 127
 *
 * with its scale, |t|, and r >= |(e, e')| kept beside. A query q likewise, with more bits. R q = (g, u): g = sq cq + eq, rq >= |eq|. So the head alone says
 *
 *     q . x = g . h + u . t <= sq s (cq . c) + rq |s c| + |g| |e| + |u| |t|,        |e| <= s sqrt(H) / 2          (Cauchy and Schwarz)
 *
 * and both parts say it to about 0.008, with |q| r in the place of the last two. The sums of integers are exact; all bounds have the rounding of
 * the rotation itself in them. Axes from a file can be anything: reflections are orthogonal whatever they are. */
#ifndef CLIPIDX_CODE_H
#define CLIPIDX_CODE_H

#include "base/status.h"
#include "kernels/set.h"

#define CLIPIDX_LEAST_DIM 2
#define CLIPIDX_MOST_DIM CLIPK_SCAN_D

enum { CLIPIDX_HEAD, CLIPIDX_TAIL, CLIPIDX_PARTS };

typedef struct clipidx_coder {
    const clipk_set *set;
    int D;
    int size[CLIPIDX_PARTS]; /* H, D - H */
    int axes;                /* H, or 0: none are known, and the head is like the tail */
    double *normal;          /* [axes, D] of the planes it reflects at, each of length sqrt(2) */
    float *sign;             /* what the mixing is made of, 1 and -1 */
} clipidx_coder;

/* clipidx_head(): H where no axes are known, and the fewest and the most there may be. */
static inline int clipidx_head(int D) { return D / 8 > 0 ? D / 8 : 1; }
static inline int clipidx_most_axes(int D) { return D / 4 > 0 ? D / 4 : 1; }

/* clipidx_coder_init(): axis [axes, D], the normals of the reflections; none, or clipidx_head(D) .. clipidx_most_axes(D) of them.
 * CLIP_EFORMAT: one is no direction; CLIP_ENOMEM. Free it in any case. */
clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D, const float *axis, int axes);
void clipidx_coder_free(clipidx_coder *c);

/* clipidx_unit(): a vector of any length, in f32 to unit length; false where it is no direction. */
bool clipidx_unit(float *out, const float *in, int D);

/* clipidx_code(): of a vector as it is kept, in f16, the code and the bound [2] of both parts: {s, |t|} and {s', r}. work [2 D], here and below */
void clipidx_code(const clipidx_coder *c, const uint16_t *vector, int8_t *const code[CLIPIDX_PARTS], float *const bound[CLIPIDX_PARTS], double *work);

/* clipidx_code_holds(): are the bounds true of this code? */
bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *const code[CLIPIDX_PARTS], const float *const bound[CLIPIDX_PARTS],
                        double *work);

/* A query ready for scanning. The score of a row is at most
 *     s (scale c . cq + step) + |t| tail + head_rest                       by its head, and
 *     s scale c . cq + s' scale' c' . cq' + r slack + rest                 by both. */
typedef struct clipidx_query {
    const float *unit; /* [D] */
    float scale[CLIPIDX_PARTS];
    float step, tail, head_rest;
    float slack, rest;
} clipidx_query;

/* clipidx_code_query(): unit [D] of unit length, used for as long as `out` is; code of each part [clipk_scan_padded()] */
void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *const code[CLIPIDX_PARTS], clipidx_query *out, double *work);

#endif
