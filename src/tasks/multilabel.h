/* multilabel.h: several labels for one picture. A label applies if its cosine reaches its
 * threshold. */
#ifndef CLIPTSK_MULTILABEL_H
#define CLIPTSK_MULTILABEL_H

#include "clip.h"
#include "kernels/kernels.h"

/* cliptsk_fit_thresholds(), cliptsk_multilabel(): as clip_fit_thresholds() and clip_multilabel().
 * cosine, yes  in      [N, L]
 * threshold    in/out  [L] */
clip_status cliptsk_fit_thresholds(const float *cosine, const uint8_t *yes, int64_t N, int L, float *threshold,
                                   float *for_all, double *scale);
clip_status cliptsk_multilabel(const float *cosine, const uint8_t *yes, int64_t N, int L, const float *threshold,
                               double scale, clip_multilabel_metrics *out);

#endif
