/* Finite numbers, AUC by ranks, and the calibration error by bins. */
#include "tasks/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/order.h"

#define MOST_BINS 256

bool cliptsk_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

typedef struct ranked {
    float score, weight;
    bool yes;
} ranked;

clip_status cliptsk_auc(const float *score, const uint8_t *yes, const float *weight, int64_t N, double *out)
{
    if (N < 2)
        return CLIP_EINVAL;
    ranked *r = (uint64_t)N <= SIZE_MAX / sizeof *r ? malloc((size_t)N * sizeof *r) : NULL;
    if (!r)
        return CLIP_ENOMEM;
    bool sound = true;
    for (int64_t i = 0; i < N; i++) {
        r[i] = (ranked){score[i], weight ? weight[i] : 1, yes[i]};
        sound &= !isnan(score[i]);
    }
    double no = 0, all_yes = 0, higher = 0; /* weight of no below this score; of yes; of pairs in the right order */
    if (sound)
        qsort(r, (size_t)N, sizeof *r, clipb_order_f32);
    for (int64_t i = 0; sound && i < N;) {
        double here_yes = 0, here_no = 0;
        const float s = r[i].score;
        for (; i < N && r[i].score == s; i++)
            *(r[i].yes ? &here_yes : &here_no) += (double)r[i].weight;
        higher += here_yes * (no + here_no / 2);
        all_yes += here_yes;
        no += here_no;
    }
    free(r);
    if (!(all_yes > 0 && no > 0))
        return CLIP_EINVAL;
    *out = higher / (all_yes * no);
    return CLIP_OK;
}

double cliptsk_ece(const float *p, const uint8_t *yes, const float *weight, int64_t N, int bins)
{
    double gap[MOST_BINS] = {0}, total = 0, error = 0;
    bins = bins < 1 ? 1 : bins > MOST_BINS ? MOST_BINS : bins;
    for (int64_t i = 0; i < N; i++) {
        if (!(p[i] >= 0 && p[i] <= 1))
            return (double)NAN;
        const int at = (int)(p[i] * (float)bins);
        const double w = weight ? (double)weight[i] : 1;
        gap[at < bins ? at : bins - 1] += w * ((yes[i] ? 1.0 : 0.0) - (double)p[i]);
        total += w;
    }
    for (int b = 0; b < bins; b++)
        error += fabs(gap[b]);
    return total > 0 ? error / total : 0;
}
