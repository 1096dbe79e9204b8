/* ref.c: the oracle of the matrix product, in plain C with sums in double, and the oracle's table. */
#include <math.h>
#include <string.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

#define MR 3 /* odd ones, so that nothing can lean on a tile's shape */
#define NR 5

void NAME(gemm_pack_x)(float *out, const float *x, int64_t rs, int64_t cs, int m, int K)
{
    for (int k = 0; k < K; k++)
        for (int i = 0; i < MR; i++)
            out[k * MR + i] = i < m ? x[i * rs + k * cs] : 0;
}

void NAME(gemm_pack_w)(void *panel, clipk_type type, clipk_view W, int n, int K)
{
    const size_t from = clipk_type_size(W.type), to = clipk_type_size(type);
    memset(panel, 0, to * NR * (size_t)K);
    for (int k = 0; k < K; k++)
        for (int j = 0; j < n; j++) {
            const char *p = (const char *)W.p + (j * W.rs + k * W.cs) * (int64_t)from;
            char *q = (char *)panel + (size_t)(k * NR + j) * to;
            if (type == W.type)
                memcpy(q, p, to);
            else
                NAME(to_f32)((float *)(void *)q, p, W.type, 1);
        }
}

static double act(double z, clipk_act a)
{
    switch (a) {
    case CLIPK_RELU: return z < 0 ? 0 : z;
    case CLIPK_GELU: return z * 0.5 * erfc(-z * 0.70710678118654752440);
    case CLIPK_QUICKGELU: return z / (1 + exp(-1.702 * z));
    default: return z;
    }
}

void NAME(gemm_tile)(const clipk_gemm_tile *t)
{
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++) {
            float *y = t->y + i * t->ldy + j;
            double z = !t->first ? *y : t->residual ? t->residual[i * t->ld_residual + j] : 0;
            for (int k = 0; k < t->K; k++)
                z += (double)t->a[k * MR + i] * t->b[k * NR + j];
            if (t->last) {
                z += t->bias ? t->bias[j] : 0;
                if (t->pre)
                    t->pre[i * t->ld_pre + j] = (float)z;
                z = act(z, t->act);
            }
            *y = (float)z;
        }
}

double NAME(fma_rounds)(int64_t n)
{
    volatile float a = 1;
    for (int64_t k = 0; k < n; k++)
        a = a * 0.9999f + 0.0001f;
    return 2 * (double)n;
}

const clipk_set NAME(set) = {
    .name = "ref",
    .mr = MR,
    .nr = NR,
    .gemm_pack_x = NAME(gemm_pack_x),
    .gemm_pack_w = NAME(gemm_pack_w),
    .gemm_tile = NAME(gemm_tile),
    .fma_rounds = NAME(fma_rounds),
    .to_f32 = NAME(to_f32),
    .act = NAME(act),
    .layernorm = NAME(layernorm),
    .l2norm = NAME(l2norm),
    .softmax = NAME(softmax),
    .attention = NAME(attention),
    .conv3x3_bytes = NAME(conv3x3_bytes),
    .conv3x3_pack = NAME(conv3x3_pack),
    .conv3x3 = NAME(conv3x3),
    .avgpool2x2 = NAME(avgpool2x2),
};
