/* ref_attention_back.c: the oracle of simd_attention_back.c: the formula, in double. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

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
    const double score = dot(p->q + i * p->ldq, p->k + j * p->ldk, p->D) / sqrt(p->D);
    const double w = j < p->sees + i ? exp(score - p->lse[i]) : 0;
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
