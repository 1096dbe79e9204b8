/* logistic.h: multinomial logistic regression, for linear probes and calibration.
 *
 *     f(W, b) = 1/Σw ( Σ_n w_n (lse_c z_nc - z_n,y_n) + l2/2 |W|² ),     z = x Wᵀ + b        x [N, F]  W [C, F]  b [C]
 *     df/dz_nc = w_n / Σw (softmax(z_n)_c - [c = y_n]);   df/dW = dzᵀ x + l2/Σw W;   df/db = Σ_n dz
 *
 * l2 is 1/C of scikit-learn's LogisticRegression, whose optimum this is. By L-BFGS (Nocedal and Wright 2006, algorithm 7.4) with a line search for the
 * weak Wolfe conditions by bisection (Lewis and Overton 2013, "Nonsmooth optimization via quasi-Newton methods", 4.2). Sums have a fixed order: the
 * result does not depend on the threads.
 *
 *     TRY(cliptsk_logistic_new(k, &samples, &l));
 *     for (each l2)                                  theta of the last one starts the next: a sweep costs little more than its first fit
 *         TRY(cliptsk_logistic_fit(l, &opt, theta, &report));
 *     cliptsk_logistic_free(l); */
#ifndef CLIPTSK_LOGISTIC_H
#define CLIPTSK_LOGISTIC_H

#include "base/status.h"
#include "kernels/kernels.h"

typedef struct cliptsk_samples {
    const float *x;      /* [N, F] */
    const int32_t *y;    /* [N] the class, 0 .. C-1 */
    const float *weight; /* [N], none negative; NULL: 1 each */
    int N, F, C;
} cliptsk_samples;

typedef struct cliptsk_logistic cliptsk_logistic;

/* cliptsk_logistic_new(): holds on to k and the samples, and keeps x once more as an operand.
 * Errors: CLIP_EINVAL (N, F < 1, C < 2, a class out of range, weights that add up to nothing, an x that is no number), CLIP_ENOMEM. */
clip_status cliptsk_logistic_new(const clipk_ctx *k, const cliptsk_samples *s, cliptsk_logistic **out);
void cliptsk_logistic_free(cliptsk_logistic *l); /* takes NULL */

typedef struct cliptsk_logistic_options {
    double l2;
    double tolerance; /* stop when no |df| is larger; scikit-learn's default is 1e-4 */
    int iterations;   /* or after so many */
} cliptsk_logistic_options;

typedef struct cliptsk_logistic_report {
    double f;
    int iterations, evaluations;
    bool converged; /* to the tolerance, or to where f32 sees no further descent */
} cliptsk_logistic_report;

/* theta [C*F + C]: W, then b. */
static inline size_t cliptsk_logistic_size(int F, int C) { return (size_t)C * (size_t)F + (size_t)C; }

/* cliptsk_logistic_fit(): theta is where to start (zeros, or the optimum for another l2), and becomes the optimum. */
void cliptsk_logistic_fit(cliptsk_logistic *l, const cliptsk_logistic_options *o, float *theta,
                          cliptsk_logistic_report *report);

/* cliptsk_logistic_value(): f at theta, and its gradient, [C*F + C]. */
double cliptsk_logistic_value(cliptsk_logistic *l, double l2, const float *theta, float *gradient);

/* cliptsk_logistic_predict(): p [N, C] = softmax(x Wᵀ + b). CLIP_ENOMEM. */
clip_status cliptsk_logistic_predict(const clipk_ctx *k, const float *theta, const float *x, int N, int F, int C,
                                     float *p);

#endif
