/* ref_quantise.c: the oracle of simd_quantise.c. Its integers are the same, so it computes in f32,
 * in the same steps. Products go through memory, which keeps them from being fused. */
#include <assert.h>
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

static void round_to(void *out, clipk_x_form form, int i, float r)
{
    const int q = isfinite(r) ? (int)lrintf(r) : 0;
    switch (form) {
    case CLIPK_X_U8: ((uint8_t *)out)[i] = (uint8_t)(q + 128); return;
    case CLIPK_X_I8: ((int8_t *)out)[i] = (int8_t)q; return;
    case CLIPK_X_I16: ((int16_t *)out)[i] = (int16_t)q; return;
    case CLIPK_X_F32:
    case CLIPK_X_BF16: assert(!"not a form of integers");
    }
}

float NAME(quantise)(void *out, clipk_x_form form, const float *x, const float *t, int K, int depth, int block,
                     float *work)
{
    for (int k = 0; k < depth; k++) {
        volatile float product = k < K ? x[k] * t[k] : 0;
        work[k] = product;
    }
    for (int h = block / 2; h >= 16; h /= 2) /* the pairs of a block that are h apart */
        for (int k = 0; k < depth; k++)
            if (!(k % block & h)) {
                const float a = work[k], b = work[k + h];
                work[k] = a + b;
                work[k + h] = a - b;
            }
    float most = 0;
    for (int k = 0; k < depth; k++)
        most = isnan(work[k]) || isnan(most) ? NAN : fmaxf(most, fabsf(work[k]));
    const bool empty = most < 1e-30f;
    for (int k = 0; k < depth; k++) {
        volatile float r = empty ? 0 : work[k] * (127 / most);
        round_to(out, form, k, r);
    }
    return empty ? 0 : most / 127;
}

void NAME(add_abs)(float *sums, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        sums[i] += fabsf(x[i]);
}
