/* conv.c: convolution, batch norm, activation. In inference the norm is folded into the filters,
 * and all three are one product with an epilogue. In training the product is kept for the norm's
 * backward. Norm, residual and activation are then one pass over it. */
#include "base/number.h"
#include "nn/nn.h"

#include <math.h>

void clipnn_conv_layout(clipb_arena *a, clipnn_conv_acts *acts, size_t T, int O)
{
    acts->conv = CLIPB_NEW(a, float, T * O);
    acts->mean = CLIPB_NEW(a, float, O);
    acts->var = CLIPB_NEW(a, float, O);
    acts->rstd = CLIPB_NEW(a, float, O);
}

/* ---- The norm -------------------------------------------------------------------------------- */

static clipk_batchnorm norm_of(const clipnn_conv_acts *a, const clipnn_batchnorm *bn)
{
    return (clipk_batchnorm){a->mean, a->rstd, bn->gain, bn->bias};
}

static void norm_forward(const clipk_ctx *k, float *y, const clipnn_conv_acts *a, const clipnn_batchnorm *bn,
                         clipk_act act, const float *residual, int T, int O, void *work)
{
    if (!bn->frozen)
        clipk_batchnorm_stats(k, a->mean, a->var, a->conv, T, O, work);
    for (int o = 0; o < O; o++) {
        if (bn->frozen) {
            a->mean[o] = bn->running_mean[o];
            a->var[o] = bn->running_var[o];
        }
        a->rstd[o] = 1 / sqrtf(a->var[o] + bn->eps);
    }
    const clipk_batchnorm b = norm_of(a, bn);
    clipk_batchnorm_forward(k, y, a->conv, &b, residual, act, T, O);
}

void clipnn_conv_again(const clipk_ctx *k, float *y, const clipnn_conv_acts *a, const clipnn_batchnorm *bn,
                       clipk_act act, int T, int O)
{
    const clipk_batchnorm b = norm_of(a, bn);
    clipk_batchnorm_forward(k, y, a->conv, &b, NULL, act, T, O);
}

/* The gradient of the norm. Leaves the batch's mean and unbiased variance in bn: the running
 * statistics will move towards them. */
static void norm_backward(const clipk_ctx *k, float *dconv, float *dz, const float *dy, const clipnn_conv_acts *a,
                          const float *y, const clipnn_batchnorm *bn, clipk_act act, int T, int O, void *work)
{
    const clipk_batchnorm b = norm_of(a, bn);
    const float unbiased = T > 1 ? (float)T / (float)(T - 1) : 1;
    clipk_batchnorm_backward(k, dconv, dz, bn->dgain, bn->dbias, dy, a->conv, dz ? y : NULL, &b, act, bn->frozen, T, O,
                             work);
    for (int o = 0; o < O && !bn->frozen; o++) {
        bn->batch_mean[o] = a->mean[o];
        bn->batch_var[o] = a->var[o] * unbiased;
    }
}

/* ---- 1x1 ------------------------------------------------------------------------------------- */

size_t clipnn_conv1x1_work(const clipk_ctx *k, int T, const clipnn_conv1x1 *c, bool back)
{
    const int I = c->w.w.K, O = c->w.w.N;
    const size_t norm = c->bn.gain ? clipk_batchnorm_work(T, O) : 0;
    return back ? clipb_max_size(norm, clipnn_linear_work(k, T, I, O)) : norm;
}

void clipnn_conv1x1_forward(const clipk_ctx *k, float *y, const clipnn_conv_acts *a, const float *x, int T,
                            const clipnn_conv1x1 *c, clipk_act act, const float *residual, void *work)
{
    const int I = c->w.w.K, O = c->w.w.N;
    if (!c->bn.gain) {
        clipnn_linear_forward(k, y, NULL, clipk_rows(x, I), T, &c->w, act, residual);
        return;
    }
    clipnn_linear_forward(k, a->conv, NULL, clipk_rows(x, I), T, &c->w, CLIPK_LINEAR, NULL);
    norm_forward(k, y, a, &c->bn, act, residual, T, O, work);
}

void clipnn_conv1x1_backward(const clipk_ctx *k, float *dx, float *dconv, float *dz, const float *dy,
                             const clipnn_conv_acts *a, const float *x, const float *y, int T, const clipnn_conv1x1 *c,
                             clipk_act act, const float *plus, void *work)
{
    const int I = c->w.w.K, O = c->w.w.N;
    norm_backward(k, dconv, dz, dy, a, y, &c->bn, act, T, O, work);
    clipnn_linear_backward(k, dx, dconv, clipk_rows(x, I), T, &c->w, plus, work);
}

/* ---- 3x3 ------------------------------------------------------------------------------------- */

typedef void pack_filters(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W);

/* The layer's w or wt. If the layer has a room, it is packed there now. */
static clipk_conv3x3_weight operand(const clipk_ctx *k, const clipnn_conv3x3 *c, const clipk_conv3x3_weight *w,
                                    pack_filters *pack)
{
    clipk_conv3x3_weight packed = *w;
    if (c->room) {
        packed.panels = c->room->base;
        pack(k, &packed, c->W);
    }
    return packed;
}

size_t clipnn_conv3x3_work(const clipk_ctx *k, int N, int S, const clipnn_conv3x3 *c, bool back)
{
    const int I = c->w.I, O = c->w.O;
    size_t bytes =
        clipb_max_size(clipk_conv3x3_work(k, N, S, S, I, O), c->bn.gain ? clipk_batchnorm_work(N * S * S, O) : 0);
    if (back)
        bytes = clipb_max_size(
            bytes, clipb_max_size(clipk_conv3x3_work(k, N, S, S, O, I), clipk_conv3x3_filters_work(k, N, S, S, I, O)));
    return bytes;
}

void clipnn_conv3x3_forward(const clipk_ctx *k, float *y, const clipnn_conv_acts *a, const float *x, int N, int S,
                            const clipnn_conv3x3 *c, clipk_act act, void *work)
{
    const clipk_conv3x3_weight w = operand(k, c, &c->w, clipk_conv3x3_pack);
    if (!c->bn.gain) {
        const clipk_epilogue e = {.bias = c->b, .act = act};
        clipk_conv3x3(k, y, x, N, S, S, &w, &e, work);
        return;
    }
    clipk_conv3x3(k, a->conv, x, N, S, S, &w, NULL, work);
    norm_forward(k, y, a, &c->bn, act, NULL, N * S * S, c->w.O, work);
}

void clipnn_conv3x3_backward(const clipk_ctx *k, float *dx, float *dconv, const float *dy, const clipnn_conv_acts *a,
                             const float *x, int N, int S, const clipnn_conv3x3 *c, clipk_act act, void *work)
{
    const int I = c->w.I, O = c->w.O;
    norm_backward(k, dconv, NULL, dy, a, NULL, &c->bn, act, N * S * S, O, work);
    if (c->dw)
        clipk_conv3x3_filters(k, c->dw, dconv, x, N, S, S, I, O, work);
    const clipk_conv3x3_weight wt = operand(k, c, &c->wt, clipk_conv3x3_pack_back);
    clipk_conv3x3(k, dx, dconv, N, S, S, &wt, NULL, work);
}
