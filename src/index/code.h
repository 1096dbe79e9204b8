/* code.h: a vector in few bytes, and what that can lose at most.
 *
 * A vector x [D] is rotated (always by the same rotation R: a product is what it was, and no number is much larger than the others, whatever the
 * data) and rounded: R x = s c + e with c [D] in -127 .. 127, and r >= |e| is kept beside s. A query q likewise, with more bits: R q = sq cq + eq, rq >= |eq|. So
 *
 *     q . x = R q . R x = s sq (c . cq) + eq . (s c) + (R q) . e,        |q . x - s sq (c . cq)| <= rq |s c| + |q| r        (Cauchy and Schwarz)
 *
 * where the sum of integers c . cq is exact. r and rq have the rounding of the rotation itself in them. */
#ifndef CLIPIDX_CODE_H
#define CLIPIDX_CODE_H

#include "base/status.h"
#include "kernels/set.h"

#define CLIPIDX_MOST_DIM CLIPK_SCAN_D

typedef struct clipidx_coder {
    const clipk_set *set;
    int D;
    int P;       /* the largest power of 2 that is not above D */
    float *sign; /* what the rotation is made of, 1 and -1 */
} clipidx_coder;

clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D); /* CLIP_ENOMEM */
void clipidx_coder_free(clipidx_coder *c);

/* clipidx_unit(): a vector of any length, in f32 to unit length; false where it is no direction. */
bool clipidx_unit(float *out, const float *in, int D);

/* clipidx_code(): code [D] and bound [2] = {s, r} of a vector as it is kept, in f16. work [D] */
void clipidx_code(const clipidx_coder *c, const uint16_t *vector, int8_t *code, float *bound, float *work);

/* clipidx_code_holds(): is `bound` true of this code? work [D] */
bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *code, const float *bound, float *work);

/* A query ready for scanning: the score of a row is at most scale bound[0] (c . cq) + slack bound[1] + rest. */
typedef struct clipidx_query {
    const float *unit; /* [D] */
    float scale, slack, rest;
} clipidx_query;

/* clipidx_code_query(): unit [D] of unit length; code [clipk_scan_padded(D)]; work [D] */
void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *code, clipidx_query *out, float *work);

#endif
