/* probe_kinds.h: the kinds of probe as arithmetic. Classes are learned from labelled pictures, on
 * frozen features: a linear probe, a cache of a few pictures of each class, nearest neighbours.
 * Features are unit rows [N, D]. Every kind gives probabilities [Q, C]. */
#ifndef CLIPHD_PROBE_KINDS_H
#define CLIPHD_PROBE_KINDS_H

#include "tasks/logistic.h"

/* cliphd_probe_linear(): the protocol of CLIP's linear probe (arXiv:2103.00020, A.3). Logistic
 * regression by L-BFGS; the l2 with the best accuracy on the validation part; then a last fit on
 * both parts with that l2. The l2 is found by a parametric binary search over 1e-6 .. 1e6: seven
 * steps of two decades, then the step around the best is halved down to 8 in a decade. Of equal
 * accuracies the larger l2 wins, as the simpler model.
 * train, val  in      val->N = 0: no search, *l2 is taken as it is
 * l2          in/out  in: used without val; out: the one found
 * accuracy    out     on val, of that l2 before the last fit; 0 without val
 * theta       out     [C*D + C], laid out as by cliptsk_logistic_fit()
 * Errors: those of cliptsk_logistic_new(), CLIP_ENOMEM. */
clip_status cliphd_probe_linear(const clipk_ctx *k, const cliptsk_samples *train, const cliptsk_samples *val,
                                double tolerance, int iterations, double *l2, double *accuracy, float *theta,
                                cliptsk_logistic_report *report);

/* Pictures that are remembered, and the names of the classes. */
typedef struct cliphd_cache {
    const float *key;   /* [N, D] */
    const int32_t *y;   /* [N] */
    const float *text;  /* [C, D] embeddings of the classes' names */
    int N, D, C;
    double logit_scale; /* by which cosines with the text are multiplied */
    double alpha, beta; /* weight and sharpness of the pictures */
} cliphd_cache;

/* cliphd_cache_predict(): Tip-Adapter without training (Zhang et al. 2021, arXiv:2111.03930, eq.
 * 3-6):
 *     p(q) = softmax(logit_scale q . text_c + alpha Σ_{n: y_n = c} exp(-beta (1 - q . key_n)))
 * for Q queries [Q, D]; p [Q, C]. With alpha 0 it is zero-shot classification.
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_cache_predict(const clipk_ctx *k, const cliphd_cache *c, const float *query, int Q, float *p);

/* cliphd_cache_sweep(): the alpha and beta of a grid with the best accuracy on val. Of equal ones
 * the smaller alpha, then the smaller beta. */
clip_status cliphd_cache_sweep(const clipk_ctx *k, cliphd_cache *c, const cliptsk_samples *val, double *accuracy);

/* cliphd_neighbours(): each of the K nearest keys votes for its class with the weight exp(cosine /
 * 0.07) (Wu et al. 2018, arXiv:1805.01978, 3.4). Of equally near keys the earlier one votes.
 * K  in   at most N
 * p  out  [Q, C] shares of the votes
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_neighbours(const clipk_ctx *k, const float *key, const int32_t *y, int N, int D, int C,
                              const float *query, int Q, int K, float *p);

/* cliphd_best_class(): where the row p [C] is highest; the first of equal ones. */
int cliphd_best_class(const float *p, int C);

/* cliphd_accuracy(): the share of the rows of p [N, C] that are highest at y; 0 for N = 0. */
double cliphd_accuracy(const float *p, const int32_t *y, int N, int C);

#endif
