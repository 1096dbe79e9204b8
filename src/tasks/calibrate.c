/* One number between cosines and probabilities, fitted on pictures of known labels. */
#include "tasks/calibrate.h"

#include <math.h>
#include <stdlib.h>

#include "tasks/metrics.h"

#define STEPS 60 /* golden section: 0.618^60 of the interval is below f32's rounding */

/* log Σ exp(scale x) of one row, with its largest term taken out.
 * best  out  the index of that term */
static double log_sum(const float *x, int L, double scale, int *best)
{
    double sum = 0;
    *best = 0;
    for (int l = 1; l < L; l++)
        if (x[l] > x[*best])
            *best = l;
    for (int l = 0; l < L; l++)
        sum += exp(scale * ((double)x[l] - (double)x[*best]));
    return log(sum) + scale * (double)x[*best];
}

static double mean_nll(const float *cosine, const int32_t *right, int64_t N, int L, double scale)
{
    double sum = 0;
    int best;
    for (int64_t n = 0; n < N; n++)
        sum += log_sum(cosine + n * L, L, scale, &best) - scale * (double)cosine[n * L + right[n]];
    return sum / (double)N;
}

static clip_status check(const float *cosine, const int32_t *right, int64_t N, int L)
{
    if (!cosine || !right || N < 1 || L < 1)
        return CLIP_EINVAL;
    for (int64_t n = 0; n < N; n++)
        if (right[n] < 0 || right[n] >= L)
            return CLIP_EINVAL;
    for (int64_t i = 0; i < N * L; i++)
        if (!isfinite(cosine[i]))
            return CLIP_EINVAL;
    return CLIP_OK;
}

double cliptsk_best_scale(double (*loss)(const void *data, double scale), const void *data)
{
    const double ratio = (sqrt(5) - 1) / 2;
    double lo = log(0.01), hi = log(1e4), a = hi - ratio * (hi - lo), b = lo + ratio * (hi - lo);
    double at_a = loss(data, exp(a)), at_b = loss(data, exp(b));
    for (int i = 0; i < STEPS; i++)
        if (at_a <= at_b) {
            hi = b;
            b = a;
            at_b = at_a;
            a = hi - ratio * (hi - lo);
            at_a = loss(data, exp(a));
        } else {
            lo = a;
            a = b;
            at_a = at_b;
            b = lo + ratio * (hi - lo);
            at_b = loss(data, exp(b));
        }
    return exp((lo + hi) / 2);
}

typedef struct choices {
    const float *cosine;
    const int32_t *right;
    int64_t N;
    int L;
} choices;

static double choices_nll(const void *data, double scale)
{
    const choices *c = data;
    return mean_nll(c->cosine, c->right, c->N, c->L, scale);
}

clip_status cliptsk_fit_scale(const float *cosine, const int32_t *right, int64_t N, int L, double *scale)
{
    const choices c = {cosine, right, N, L};
    TRY(check(cosine, right, N, L));
    if (!scale)
        return CLIP_EINVAL;
    *scale = cliptsk_best_scale(choices_nll, &c);
    return CLIP_OK;
}

clip_status cliptsk_choice_errors(const float *cosine, const int32_t *right, int64_t N, int L, double scale,
                                  double *nll, double *ece)
{
    TRY(check(cosine, right, N, L));
    if (!isfinite(scale) || !nll || !ece)
        return CLIP_EINVAL;
    float *p = malloc((size_t)N * sizeof *p);
    uint8_t *yes = malloc((size_t)N);
    if (p && yes) {
        for (int64_t n = 0; n < N; n++) {
            int best;
            const double sum = log_sum(cosine + n * L, L, scale, &best);
            p[n] = (float)fmin(1, exp(scale * (double)cosine[n * L + best] - sum));
            yes[n] = best == right[n];
        }
        *nll = mean_nll(cosine, right, N, L, scale);
        *ece = cliptsk_ece(p, yes, NULL, N, CLIPTSK_BINS);
    }
    const clip_status s = p && yes ? CLIP_OK : CLIP_ENOMEM;
    free(p);
    free(yes);
    return s;
}
