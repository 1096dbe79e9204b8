/* ref_scan.c: the oracle of simd_scan.c. */
#define CLIPK_ISA ref
#include "kernels/simd.h"

float NAME(dot_f16)(const float *q, const void *x, int D)
{
    double sum = 0;
    for (int d = 0; d < D; d++) {
        float v;
        NAME(to_f32)(&v, (const char *)x + 2 * d, CLIPK_F16, 1);
        sum += (double)q[d] * v;
    }
    return (float)sum;
}

void NAME(scan)(int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q)
{
    for (int j = 0; j < Q; j++)
        for (int i = 0; i < rows; i++) {
            int32_t s = 0;
            for (int d = 0; d < D; d++)
                s += code[(int64_t)i * D + d] * q[(int64_t)j * clipk_scan_padded(D) + d];
            dot[j * ldo + i] = s;
        }
}

int NAME(scan_pick)(int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift,
                    float slack, float least)
{
    int n = 0;
    for (int i = 0; i < rows; i++) {
        const double most = bound[2 * i] * ((double)scale * dot[i] + shift) + (double)slack * bound[2 * i + 1];
        if (!(most < least))
            out[n++] = i;
    }
    return n;
}

void NAME(scan_nibbles)(int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *c = code + (int64_t)row[i] * B;
        dot[i] = 0;
        for (int j = 0; j < B; j++)
            dot[i] += (c[j] & 15) * q[j] + (c[j] >> 4) * q[clipk_scan_padded(B) + j];
    }
}
