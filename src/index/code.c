#include <math.h>

#include "index/index.h"

bool clipidx_unit(float *out, const float *in, int D)
{
    double squares = 0;
    for (int d = 0; d < D; d++)
        squares += (double)in[d] * in[d];
    const double length = sqrt(squares);
    if (!(length > 0) || !isfinite(length))
        return false;
    for (int d = 0; d < D; d++)
        out[d] = (float)(in[d] / length);
    return true;
}
