#include "nn/nn.h"

void clipnn_linear_forward(const clipk_ctx *k, float *y, clipk_view x, int T, const clipnn_linear *l, clipk_act act, const float *residual)
{
    const int O = l->w.N;
    clipk_epilogue e = {.bias = l->b, .residual = residual, .ld_residual = O, .act = act};
    clipk_gemm(k, y, O, x, T, &l->w, &e);
}
