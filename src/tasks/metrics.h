/* metrics.h: the quality of scores and probabilities. `weight` counts a sample several times; NULL:
 * once each. */
#ifndef CLIPTSK_METRICS_H
#define CLIPTSK_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* cliptsk_finite(): whether all of x [n] are finite numbers. */
bool cliptsk_finite(const float *x, size_t n);

#define CLIPTSK_BINS 15 /* of the calibration error, as in arXiv:1706.04599 */

/* cliptsk_auc(): the area under the ROC curve: the probability that a sample of `yes` scores higher
 * than another one, where equal scores count half (Hanley and McNeil 1982):
 *     AUC = Σ_i∈yes Σ_j∈no w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (Σ_yes w Σ_no w)
 * Errors: CLIP_EINVAL (all samples are yes, or none is; a score that is not a number),
 * CLIP_ENOMEM. */
clip_status cliptsk_auc(const float *score, const uint8_t *yes, const float *weight, int64_t N, double *out);

/* cliptsk_ece(): the expected calibration error (Guo et al. 2017, arXiv:1706.04599, 2.2). [0, 1] is
 * cut into equal bins, and
 *     ECE = Σ_b (W_b / W) |mean of `yes` in b - mean of `p` in b|,     W_b the weight in b
 * For a yes-or-no question p is the probability of yes. For a choice among classes p is that of the
 * chosen class, and `yes` tells whether it was right.
 * @return: 0 where N is 0; NaN where a p is not a number in [0, 1] */
double cliptsk_ece(const float *p, const uint8_t *yes, const float *weight, int64_t N, int bins);

#endif
