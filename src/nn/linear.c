/* linear.c: the linear layer: a product with packed weights, and the two products of its
 * backward. */
#include "base/number.h"
#include "nn/nn.h"

#define GROUPS 1152 /* of rows of x in one product of dW, so that the packed part of x stays in the caches */

static clipk_view transposed(clipk_view x) { return (clipk_view){x.p, x.type, x.cs, x.rs}; }

/* The layer's w or wt. If the layer has a room, it is packed there now: training has many rows. */
static clipk_weight operand(const clipk_ctx *k, const clipnn_linear *l, const clipk_weight *w)
{
    clipk_weight packed = *w;
    if (l->room) {
        packed.panels = l->room->base;
        clipk_weight_pack(k, &packed, w->W);
    }
    return packed;
}

/* The next layers need the memory. The pages stay in the system's cache of files. */
static void drop_pages(const clipnn_linear *l)
{
    const clipk_weight *w = &l->w;
    const size_t row = (size_t)w->K * clipk_type_size(w->W.type);
    const int first = w->rest ? w->split : w->N;
    clipb_map_drop(l->map, w->W.p, (size_t)first * row);
    if (w->rest)
        clipb_map_drop(l->map, w->rest, (size_t)(w->N - first) * row);
}

static void forward(const clipk_ctx *k, void *y, clipk_view x, int T, const clipnn_linear *l, const clipk_epilogue *e)
{
    const clipk_weight w = operand(k, l, &l->w);
    clipk_gemm(k, y, w.N, x, T, &w, e);
    if (l->map)
        drop_pages(l);
}

void clipnn_linear_forward(const clipk_ctx *k, float *y, float *pre, clipk_view x, int T, const clipnn_linear *l,
                           clipk_act act, const float *residual)
{
    const int O = l->w.N;
    const clipk_epilogue e = {
        .bias = l->b, .residual = residual, .ld_residual = O, .pre = pre, .ld_pre = O, .act = act};
    forward(k, y, x, T, l, &e);
}

void clipnn_linear_forward_rounded(const clipk_ctx *k, void *y, clipk_view x, int T, const clipnn_linear *l,
                                   clipk_act act)
{
    const clipk_epilogue e = {.bias = l->b, .act = act, .rounds = true};
    forward(k, y, x, T, l, &e);
}

void clipnn_linear_dx(const clipk_ctx *k, float *dx, const float *dy, int T, const clipnn_linear *l,
                      const float *residual)
{
    const int I = l->w.K, O = l->w.N;
    const clipk_weight wt = operand(k, l, &l->wt);
    const clipk_epilogue e = {.residual = residual, .ld_residual = I};
    clipk_gemm(k, dx, I, clipk_rows(dy, O), T, &wt, &e);
}

/* dW[o, i] = Σₜ dy[t, o] x[t, i], in the format of W. A product sums over the columns of its
 * operands. This sum is over rows, so both operands are transposed. */
static void add_product(const clipk_ctx *k, const float *dy, clipk_view x, int T, const clipnn_linear *l, void *work)
{
    const int I = l->w.K, O = l->w.N, M = l->dw_transposed ? I : O, N = l->dw_transposed ? O : I;
    const clipk_view dyt = transposed(clipk_rows(dy, O)), xt = transposed(x);
    const clipk_weight right = {.format = l->w.format, .N = N, .K = T, .panels = work};
    const clipk_epilogue e = {.residual = l->dw, .ld_residual = N};
    clipk_weight_pack(k, &right, l->dw_transposed ? dyt : xt);
    clipk_gemm(k, l->dw, N, l->dw_transposed ? xt : dyt, M, &right, &e);
}

void clipnn_linear_dw(const clipk_ctx *k, const float *dy, clipk_view x, int T, const clipnn_linear *l, void *work)
{
    const int O = l->w.N, most = GROUPS * l->w.format->group;
    for (int t = 0; t < T && l->dw; t += most) {
        const clipk_view rows = {(const float *)x.p + t * x.rs, CLIPK_F32, x.rs, x.cs};
        add_product(k, dy + (int64_t)t * O, rows, clipb_min(most, T - t), l, work);
    }
    if (l->db)
        clipk_sum_rows(k, l->db, dy, O, T, O, work);
}

/* Groups of every format that is trained in have 4 bytes, as a number of f32. */
size_t clipnn_linear_work(const clipk_ctx *k, int T, int I, int O)
{
    const size_t packed = clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, I > O ? I : O, clipb_min(T, GROUPS)),
                 sums = clipk_sums_work(T, O);
    return packed > sums ? packed : sums;
}

void clipnn_linear_backward(const clipk_ctx *k, float *dx, const float *dy, clipk_view x, int T, const clipnn_linear *l,
                            const float *residual, void *work)
{
    clipnn_linear_dw(k, dy, x, T, l, work);
    if (dx)
        clipnn_linear_dx(k, dx, dy, T, l, residual);
}
