/* ref_scan.c: the oracle of simd_scan.c. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(to_f16)(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t sign = signbit(in[i]) ? 0x8000 : 0;
        const double x = fabs((double)in[i]);
        int e;
        if (isnan(in[i])) {
            out[i] = sign | 0x7e00;
            continue;
        }
        frexp(x, &e); /* x in 2^(e-1) .. 2^e: f16 numbers are 2^(e-11) apart there, and never less than 2^-24 */
        const double unit = ldexp(1, e - 11 > -24 ? e - 11 : -24), y = nearbyint(x / unit) * unit;
        if (!(y < 65520))
            out[i] = sign | 0x7c00;
        else if (y < 0x1p-14)
            out[i] = (uint16_t)(sign | (int)(y * 0x1p24));
        else {
            frexp(y, &e);
            out[i] = (uint16_t)(sign | ((e + 14) << 10 | ((int)ldexp(y, 11 - e) - 1024)));
        }
    }
}

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

void NAME(hadamard)(float *x, int P)
{
    for (int h = 1; h < P; h *= 2)
        for (int i = 0; i < P; i++)
            if (!(i & h)) {
                const double a = x[i], b = x[i + h];
                x[i] = (float)((a + b) * sqrt(0.5));
                x[i + h] = (float)((a - b) * sqrt(0.5));
            }
}

void NAME(reflect)(double *x, const double *v, int D)
{
    double along = 0;
    for (int d = 0; d < D; d++)
        along += v[d] * x[d];
    for (int d = 0; d < D; d++)
        x[d] -= along * v[d];
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
