/* ref_rotate.c: the oracle of simd_rotate.c, in double. */
#include <math.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

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
