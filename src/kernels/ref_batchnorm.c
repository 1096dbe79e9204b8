/* ref_batchnorm.c: the oracle of simd_batchnorm.c: the sums that define it, in double. */
#define CLIPK_ISA ref
#include "kernels/simd.h"

void NAME(batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C)
{
    for (int c = 0; c < C; c++) {
        double m = 0, q = 0;
        for (int r = 0; r < rows; r++)
            m += x[(int64_t)r * C + c];
        m /= rows;
        for (int r = 0; r < rows; r++)
            q += (x[(int64_t)r * C + c] - m) * (x[(int64_t)r * C + c] - m);
        mean[c] = (float)m;
        squares[c] = (float)q;
    }
}

static double normed(const clipk_batchnorm *b, float x, int c)
{
    return ((double)x - b->mean[c]) * b->rstd[c] * b->gain[c] + b->bias[c];
}

void NAME(batchnorm)(float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act, int rows,
                     int C)
{
    for (int64_t i = 0; i < (int64_t)rows * C; i++) {
        const double z = normed(b, x[i], (int)(i % C)) + (residual ? residual[i] : 0);
        y[i] = act == CLIPK_RELU && z < 0 ? 0 : (float)z;
    }
}

static float gradient(const clipk_batchnorm_piece *p, int64_t i)
{
    const double y = p->act != CLIPK_RELU ? 1 : p->y ? p->y[i] : normed(&p->b, p->x[i], (int)(i % p->C));
    return y > 0 ? p->dy[i] : 0;
}

void NAME(batchnorm_sums)(const clipk_batchnorm_piece *p)
{
    for (int c = 0; c < p->C; c++) {
        double s = 0, q = 0;
        for (int r = 0; r < p->rows; r++) {
            const int64_t i = (int64_t)r * p->C + c;
            const float dz = gradient(p, i);
            if (p->dz)
                p->dz[i] = dz;
            s += dz;
            q += dz * ((double)p->x[i] - p->b.mean[c]);
        }
        p->sum_dz[c] = (float)s;
        p->sum_dzx[c] = (float)q;
    }
}

void NAME(batchnorm_backward)(const clipk_batchnorm_piece *p)
{
    for (int64_t i = 0; i < (int64_t)p->rows * p->C; i++) {
        const int c = (int)(i % p->C);
        p->dx[i] = (float)((double)p->scale[c] * gradient(p, i) - p->offset[c] -
                           (double)p->slope[c] * ((double)p->x[i] - p->b.mean[c]));
    }
}
