/* ref_attention.c: the oracle of simd_attention.c: the formula, in double. It never holds a row of
 * scores: the first pass finds the largest score, the second adds up. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

static double score(const float *q, const float *k, int D)
{
    double s = 0;
    for (int d = 0; d < D; d++)
        s += (double)q[d] * k[d];
    return s / sqrt(D);
}

void NAME(attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                     const float *v, int64_t ldv, int nq, int nk, int sees, int D, void *scratch)
{
    double *acc = scratch;
    for (int i = 0; i < nq; i++) {
        const float *qi = q + i * ldq;
        int n = sees + i < nk ? sees + i : nk;
        double m = -INFINITY, sum = 0;
        for (int j = 0; j < n; j++)
            m = fmax(m, score(qi, k + j * ldk, D));
        for (int d = 0; d < D; d++)
            acc[d] = 0;
        for (int j = 0; j < n; j++) {
            double p = exp(score(qi, k + j * ldk, D) - m);
            sum += p;
            for (int d = 0; d < D; d++)
                acc[d] += p * v[j * ldv + d];
        }
        for (int d = 0; d < D; d++)
            y[i * ldy + d] = (float)(acc[d] / sum);
        if (lse)
            lse[i] = (float)(m + log(sum));
    }
}
