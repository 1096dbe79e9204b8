/* calibrate.h: how sure a choice among classes may be. */
#ifndef CLIPTSK_CALIBRATE_H
#define CLIPTSK_CALIBRATE_H

#include "clip.h"
#include "kernels/kernels.h"

/* cliptsk_fit_scale(): the scale s with the least mean of -log softmax(s cosine)[right] (Guo et al.
 * 2017, arXiv:1706.04599, 4.2, where 1/s is the temperature). In log s the function has one
 * minimum, found by golden section within [0.01, 10000].
 * cosine  in  [N, L]
 * right   in  [N] 0 .. L-1
 * Errors: CLIP_EINVAL (N or L < 1, a class that does not exist, a cosine that is not a number). */
clip_status cliptsk_fit_scale(const float *cosine, const int32_t *right, int64_t N, int L, double *scale);

/* cliptsk_best_scale(): where a loss with one minimum in log(scale) is least, within [0.01,
 * 10000]. */
double cliptsk_best_scale(double (*loss)(const void *data, double scale), const void *data);

/* cliptsk_choice_errors(): of softmax(scale cosine) the mean of -log p[right], and the expected
 * calibration error of the best class's p.
 * Errors: as above, CLIP_ENOMEM. */
clip_status cliptsk_choice_errors(const float *cosine, const int32_t *right, int64_t N, int L, double scale,
                                  double *nll, double *ece);

#endif
