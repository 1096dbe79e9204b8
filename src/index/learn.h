/* learn.h: the axes that an index's codes are made on (code.h), found in its vectors. */
#ifndef CLIPIDX_LEARN_H
#define CLIPIDX_LEARN_H

#include "base/status.h"
#include "kernels/kernels.h"

/* clipidx_learn(): normals of the reflections that turn the subspace where most of the vectors'
 * length lies onto the first numbers.
 * vector     in   [rows, D] f16, rows >= 1
 * reflector  out  [clipidx_most_axes(D), D], of which the first *axes are filled: as many as hold
 *                 98 % of the squared length
 * Errors: CLIP_ENOMEM. */
clip_status clipidx_learn(const clipk_set *set, const uint16_t *vector, int64_t rows, int D, float *reflector,
                          int *axes);

#endif
