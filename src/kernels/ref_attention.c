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

static double dot(const float *a, const float *b, int D)
{
    double s = 0;
    for (int d = 0; d < D; d++)
        s += (double)a[d] * b[d];
    return s;
}

/* P of query i and key j, and dS / scale. */
static double weight(const clipk_attention_back_piece *p, int i, int j, double *ds)
{
    const float *dy = p->dy + i * p->lddy;
    const double w = j < p->sees + i ? exp(score(p->q + i * p->ldq, p->k + j * p->ldk, p->D) - p->lse[i]) : 0;
    *ds = w * (dot(dy, p->v + j * p->ldv, p->D) - dot(dy, p->y + i * p->ldy, p->D));
    return w;
}

void NAME(attention_back)(const clipk_attention_back_piece *p)
{
    const int D = p->D;
    double *a = p->scratch, *b = a + D, ds;
    for (int i = 0; i < p->nq; i++) {
        for (int d = 0; d < D; d++)
            a[d] = 0;
        for (int j = 0; j < p->nk; j++) {
            weight(p, i, j, &ds);
            for (int d = 0; d < D; d++)
                a[d] += ds * p->k[j * p->ldk + d];
        }
        for (int d = 0; d < D; d++)
            p->dq[i * p->lddq + d] = (float)(a[d] / sqrt(D));
    }
    for (int j = 0; j < p->nk; j++) {
        for (int d = 0; d < D; d++)
            a[d] = b[d] = 0;
        for (int i = 0; i < p->nq; i++) {
            const double w = weight(p, i, j, &ds);
            for (int d = 0; d < D; d++) {
                a[d] += ds * p->q[i * p->ldq + d];
                b[d] += w * p->dy[i * p->lddy + d];
            }
        }
        for (int d = 0; d < D; d++) {
            p->dk[j * p->lddk + d] = (float)(a[d] / sqrt(D));
            p->dv[j * p->lddv + d] = (float)b[d];
        }
    }
}
