/* ref_attention.c: the oracle of simd_attention.c: the formula, in double. It never holds a row of
 * scores: the first pass finds the largest score, the second adds up. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

#define LOG2_E 1.44269504f
#define LN_2 0.693147180559945

/* x as a factor of a product. */
static double factor(double x, bool pairs)
{
    const float f = (float)x;
    uint16_t half;
    float back;
    if (!pairs)
        return x;
    NAME(to_bf16)(&half, &f, 1);
    NAME(to_f32)(&back, &half, CLIPK_BF16, 1);
    return back;
}

static double score(const clipk_attention_piece *p, int i, int j)
{
    const float *q = p->q + i * p->ldq, *k = p->k + j * p->ldk;
    const float scale = LOG2_E / sqrtf((float)p->D);
    double s = 0;
    for (int d = 0; d < p->D; d++)
        s += p->pairs ? factor(q[d] * scale, true) * factor(k[d], true) : (double)q[d] * k[d];
    return p->pairs ? s * LN_2 : s / sqrt(p->D);
}

void NAME(attention)(const clipk_attention_piece *p)
{
    double *acc = p->scratch;
    for (int i = 0; i < p->nq; i++) {
        int n = p->sees + i < p->nk ? p->sees + i : p->nk;
        double m = -INFINITY, sum = 0;
        for (int j = 0; j < n; j++)
            m = fmax(m, score(p, i, j));
        for (int d = 0; d < p->D; d++)
            acc[d] = 0;
        for (int j = 0; j < n; j++) {
            double w = exp(score(p, i, j) - m);
            sum += w;
            for (int d = 0; d < p->D; d++)
                acc[d] += factor(w, p->pairs) * factor(p->v[j * p->ldv + d], p->pairs);
        }
        for (int d = 0; d < p->D; d++)
            p->y[i * p->ldy + d] = (float)(acc[d] / sum);
        if (p->lse)
            p->lse[i] = (float)(m + log(sum));
    }
}
