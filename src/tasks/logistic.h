/* logistic.h: multinomial logistic regression, for linear probes and calibration.
 *
 *     f(W, b) = 1/Σw ( Σ_n w_n (lse_c z_nc - z_n,y_n) + l2/2 |W|² ),     z = x Wᵀ + b
 *     df/dz_nc = w_n / Σw (softmax(z_n)_c - [c = y_n]);   df/dW = dzᵀ x + l2/Σw W;   df/db = Σ_n dz
 *     x [N, F]  W [C, F]  b [C]
 *
 * The optimum is that of scikit-learn's LogisticRegression with C = 1/l2. It is found by L-BFGS
 * (Nocedal and Wright 2006, algorithm 7.4) with a line search for the weak Wolfe conditions by
 * bisection (Lewis and Overton 2013, "Nonsmooth optimization via quasi-Newton methods", 4.2). Sums
 * have a fixed order, so the result does not depend on the number of threads.
 *
 *     TRY(cliptsk_logistic_new(k, &samples, &l));
 *     for (each l2)
 *         cliptsk_logistic_fit(l, &opt, theta, &report);
 *     cliptsk_logistic_free(l);
 *
 * The theta of one fit starts the next, so a sweep costs little more than its first fit. */
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

/* cliptsk_logistic_new(): keeps pointers to k and the samples, and a second copy of x as an
 * operand.
 * Errors: CLIP_EINVAL (N, F < 1, C < 2, a class out of range, weights that add up to 0, an x that
 * is not a number), CLIP_ENOMEM. */
clip_status cliptsk_logistic_new(const clipk_ctx *k, const cliptsk_samples *s, cliptsk_logistic **out);
void cliptsk_logistic_free(cliptsk_logistic *l); /* takes NULL */

typedef struct cliptsk_logistic_options {
    double l2;
    double tolerance; /* stop when no |df| is larger; scikit-learn's default is 1e-4 */
    int iterations;   /* upper limit */
} cliptsk_logistic_options;

typedef struct cliptsk_logistic_report {
    double f;
    int iterations, evaluations;
    bool converged; /* it ended within the tolerance, or where f32 resolves no further descent */
} cliptsk_logistic_report;

/* theta [C*F + C]: W, then b. */
static inline size_t cliptsk_logistic_size(int F, int C) { return (size_t)C * (size_t)F + (size_t)C; }

/* cliptsk_logistic_fit(): minimise f.
 * theta  in/out  where to start (zeros, or the optimum for another l2); the optimum */
void cliptsk_logistic_fit(cliptsk_logistic *l, const cliptsk_logistic_options *o, float *theta,
                          cliptsk_logistic_report *report);

/* cliptsk_logistic_value(): f at theta, and its gradient [C*F + C]. */
double cliptsk_logistic_value(cliptsk_logistic *l, double l2, const float *theta, float *gradient);

/* cliptsk_logistic_predict(): p [N, C] = softmax(x Wᵀ + b).
 * Errors: CLIP_ENOMEM. */
clip_status cliptsk_logistic_predict(const clipk_ctx *k, const float *theta, const float *x, int N, int F, int C,
                                     float *p);

#endif
