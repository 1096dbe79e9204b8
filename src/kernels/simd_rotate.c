/* simd_rotate.c: orthogonal maps of one vector. One thread. */
#include "kernels/simd.h"

void NAME(hadamard)(float *x, int P)
{
    for (int h = 1; h < P; h *= 2)
        for (int i = 0; i < P; i += 2 * h)
            for (int j = i; j < i + h; j++) {
                const float a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
    const float scale = 1 / __builtin_sqrtf((float)P);
    for (int i = 0; i < P; i++)
        x[i] *= scale;
}

void NAME(reflect)(double *x, const double *v, int D)
{
    enum { LANES = 4 * CLIPK_VL }; /* independent sums */
    double s[LANES] = {0};
    int d = 0;
    for (; d + LANES <= D; d += LANES)
        for (int i = 0; i < LANES; i++)
            s[i] += v[d + i] * x[d + i];
    for (int i = 0; d < D; d++, i++)
        s[i] += v[d] * x[d];
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    for (d = 0; d < D; d++)
        x[d] -= s[0] * v[d];
}
