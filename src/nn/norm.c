/* norm.c: the layer norm, over the channels of a row. */
#include "nn/nn.h"

void clipnn_layernorm_forward(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x,
                              const int32_t *rows, const clipnn_layernorm *p, int T, int C)
{
    clipk_layernorm(k, y, mean, rstd, x, rows, p->gain, p->bias, p->eps, T, C);
}

void clipnn_layernorm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *x, const float *mean,
                               const float *rstd, const clipnn_layernorm *p, const float *residual, int T, int C,
                               void *work)
{
    clipk_layernorm_backward(k, dx, p->dgain, p->dbias, dy, x, mean, rstd, p->gain, residual, T, C, work);
}
