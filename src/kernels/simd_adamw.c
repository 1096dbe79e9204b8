/* simd_adamw.c: the optimizer's step. One thread.
 *
 * PyTorch's operations in its order. The factors are made in double beforehand, as there:
 *     w *= 1 - lr weight_decay;   m += (g - m)(1 - beta1);   v = v beta2 + (1 - beta2) g g
 *     w += -lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps) */
#include <math.h>

#include "kernels/vec.h"

typedef struct adamw_factors {
    float scale, decay, m_weight, v_keep, v_weight, root, eps, step;
} adamw_factors;

static inline void adamw_vector(vf *w, vf *m, vf *v, vf g, const adamw_factors *f)
{
    g *= f->scale;
    *m += (g - *m) * f->m_weight;
    *v = *v * f->v_keep + f->v_weight * g * g;
    *w = *w * f->decay - f->step * *m / (vsqrt(*v) / f->root + f->eps);
}

void NAME(adamw)(float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s)
{
    const adamw_factors f = {.scale = (float)s->scale,
                             .decay = (float)(1 - s->lr * s->weight_decay),
                             .m_weight = (float)(1 - s->beta1),
                             .v_keep = (float)s->beta2,
                             .v_weight = (float)(1 - s->beta2),
                             .root = (float)sqrt(s->correction2),
                             .eps = (float)s->eps,
                             .step = (float)(s->lr / s->correction1)};
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL) {
        vf w1 = vload(w + i), m1 = vload(m + i), v1 = vload(v + i);
        adamw_vector(&w1, &m1, &v1, vload(g + i), &f);
        vstore(w + i, w1);
        vstore(m + i, m1);
        vstore(v + i, v1);
    }
    if (i < n) {
        const int rest = (int)(n - i);
        vf w1 = vload_n(w + i, rest), m1 = vload_n(m + i, rest), v1 = vload_n(v + i, rest);
        adamw_vector(&w1, &m1, &v1, vload_n(g + i, rest), &f);
        vstore_n(w + i, w1, rest);
        vstore_n(m + i, m1, rest);
        vstore_n(v + i, v1, rest);
    }
}
