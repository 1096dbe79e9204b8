/* ref_adamw.c: the oracle of simd_adamw.c: the formula, in double. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(adamw)(float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s)
{
    for (size_t i = 0; i < n; i++) {
        const double gi = (double)g[i] * s->scale;
        const double mi = s->beta1 * m[i] + (1 - s->beta1) * gi, vi = s->beta2 * v[i] + (1 - s->beta2) * gi * gi;
        const double step = s->lr / s->correction1 * mi / (sqrt(vi) / sqrt(s->correction2) + s->eps);
        w[i] = (float)(w[i] * (1 - s->lr * s->weight_decay) - step);
        m[i] = (float)mi;
        v[i] = (float)vi;
    }
}
