/* ref_depthwise.c: the oracle of simd_depthwise.c: the sum, in double. */
#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(depthwise)(const clipk_depthwise_piece *p)
{
    const int pad = p->K / 2, h = p->h * p->stride - pad;
    for (int o = 0; o < p->Wo; o++)
        for (int c = 0; c < p->C; c++) {
            double sum = p->bias[c];
            for (int v = 0; v < p->K; v++)
                for (int u = 0; u < p->K; u++) {
                    const int w = o * p->stride - pad + u;
                    if (h + v >= 0 && h + v < p->H && w >= 0 && w < p->W)
                        sum += (double)p->w[(v * p->K + u) * p->C + c] *
                               p->x[((int64_t)(h + v) * p->W + w) * p->C + c];
                }
            const float z = (float)sum;
            NAME(act)(p->y + (int64_t)o * p->C + c, &z, 1, p->act);
        }
}
