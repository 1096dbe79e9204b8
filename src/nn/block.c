/* block.c: the residual attention block. Its norms stand before attention and MLP (pre-norm, as in
 * CLIP, GPT-2 and ViT):
 *
 *     mid = x + out_proj(attention(q, k, v)), q = ln_1(x) W_qᵀ, k = ln_1(x) W_kᵀ, v = ln_1(x) W_vᵀ
 *     out = mid + c_proj(act(c_fc(ln_2(mid))))
 *
 * or behind them (post-norm, as in BERT; Vaswani et al. 2017, arXiv:1706.03762):
 *
 *     mid = ln_1(x + out_proj(attention(q, k, v))), q = x W_qᵀ, k = x W_kᵀ, v = x W_vᵀ
 *     out = ln_2(mid + c_proj(act(c_fc(mid))))
 *
 * In a tower's last block only one row of each sample is read (the class token, the end of the
 * text). Every row still gives its key and value, but only the row that is read has a query and
 * goes through the MLP. */
#include <string.h>

#include "base/number.h"
#include "nn/nn.h"

/* ---- Layout ---------------------------------------------------------------------------------- */

void clipnn_block_layout_shared(clipb_arena *a, clipnn_block_acts *acts, int T, const clipnn_block *p)
{
    const int C = p->width, widest = p->mlp > 4 * C ? p->mlp : 4 * C;
    *acts = (clipnn_block_acts){0};
    acts->ln = acts->ln_read = acts->att = CLIPB_NEW(a, float, (size_t)T * C);
    acts->fc = CLIPB_NEW(a, float, (size_t)T * widest);
}

/* Places the acts that both layouts have, except the shared ones. */
static void layout(clipb_arena *a, clipnn_block_acts *acts, float *x, int T, int R, size_t C)
{
    const size_t t = T, r = R ? (size_t)R : t;
    acts->x = x;
    if (R) {
        acts->ln_read = CLIPB_NEW(a, float, r * C);
        acts->one_each = CLIPB_NEW(a, int32_t, r + 1);
    }
    acts->q = CLIPB_NEW(a, float, r * C);
    acts->kv = CLIPB_NEW(a, float, t * 2 * C);
}

void clipnn_block_layout(clipb_arena *a, clipnn_block_acts *acts, float *x, int T, int R, const clipnn_block *p)
{
    clipnn_block_layout_shared(a, acts, T, p);
    layout(a, acts, x, T, R, p->width);
    acts->mid = acts->out = R ? CLIPB_NEW(a, float, (size_t)R * p->width) : x;
    acts->sum_1 = acts->sum_2 = acts->mid;
}

void clipnn_block_layout_tape(clipb_arena *a, clipnn_block_acts *acts, const clipnn_block_acts *shared, float *x, int T,
                              int R, const clipnn_block *p)
{
    const size_t t = T, r = R ? (size_t)R : t, c = p->width;
    *acts = *shared;
    layout(a, acts, x, T, R, c);
    acts->att = CLIPB_NEW(a, float, r * c);
    acts->mid = CLIPB_NEW(a, float, r * c);
    acts->out = CLIPB_NEW(a, float, r * c);
    acts->mean_1 = CLIPB_NEW(a, float, t);
    acts->rstd_1 = CLIPB_NEW(a, float, t);
    acts->mean_2 = CLIPB_NEW(a, float, r);
    acts->rstd_2 = CLIPB_NEW(a, float, r);
    acts->lse = CLIPB_NEW(a, float, r * p->heads);
    acts->pre = CLIPB_NEW(a, float, r * p->mlp);
    if (p->post_norm) {
        acts->sum_1 = CLIPB_NEW(a, float, r * c);
        acts->sum_2 = CLIPB_NEW(a, float, r * c);
    }
}

void clipnn_block_layout_grads(clipb_arena *a, clipnn_block_grads *g, const clipk_ctx *k, int T, int R,
                               const clipnn_block *p, size_t work)
{
    const int C = p->width, F = p->mlp;
    g->mid = CLIPB_NEW(a, float, (size_t)R * C);
    work = clipb_max_size(work, clipk_sums_work(T, C));
    work = clipb_max_size(work, clipnn_linear_work(k, T, C, F));
    work = clipb_max_size(work, clipnn_linear_work(k, T, C, 2 * C));
    g->work = clipb_arena_alloc(a, work, 1);
    g->relevance = NULL;
}

/* ---- Forward --------------------------------------------------------------------------------- */

static clipk_attention_shape shape_of(const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                                      const int32_t *read)
{
    clipk_attention_shape s = {
        .B = n->B, .H = p->heads, .D = p->width / p->heads, .q_off = n->off, .k_off = n->off, .k_end = n->key_end,
        .causal = n->causal, .format = p->attention};
    if (read) {
        for (int b = 0; b <= n->B; b++)
            a->one_each[b] = b;
        s.q_off = a->one_each;
    }
    return s;
}

/* The rows read[b] of x. */
static void gather_rows(float *y, const float *x, const int32_t *read, int R, size_t C)
{
    for (size_t b = 0; b < (size_t)R; b++)
        memcpy(y + b * C, x + (size_t)read[b] * C, C * sizeof *y);
}

/* Attention over x [T, C], with the queries of x_read [R, C]. */
static void attend(const clipk_ctx *k, const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                   const int32_t *read, const float *x, const float *x_read)
{
    const int C = p->width, T = clipnn_batch_rows(n), R = read ? n->B : T;
    clipnn_linear_forward(k, a->q, NULL, clipk_rows(x_read, C), R, &p->q, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->kv, NULL, clipk_rows(x, C), T, &p->kv, CLIPK_LINEAR, NULL);
    const clipk_attention_shape s = shape_of(a, p, n, read);
    clipk_attention(k, a->att, C, a->lse, a->q, C, a->kv, 2 * C, a->kv + C, 2 * C, &s);
}

/* fc = act(c_fc(x)), as c_proj reads it: in bf16 where that product would round it, and there is no
 * tape. The bits are the same, and half of the memory is written and read. */
static clipk_view mlp_rows(const clipk_ctx *k, const clipnn_block_acts *a, const clipnn_block *p, const float *x, int R)
{
    const int F = p->mlp;
    if (a->pre || p->c_proj.w.format->x != CLIPK_X_BF16 || F % 2) {
        clipnn_linear_forward(k, a->fc, a->pre, clipk_rows(x, p->width), R, &p->c_fc, p->act, NULL);
        return clipk_rows(a->fc, F);
    }
    clipnn_linear_forward_rounded(k, a->fc, clipk_rows(x, p->width), R, &p->c_fc, p->act);
    return (clipk_view){a->fc, CLIPK_BF16, F, 1};
}

static void post_norm_forward(const clipk_ctx *k, const clipnn_block_acts *a, const clipnn_block *p,
                              const clipnn_batch *n, const int32_t *read)
{
    const int C = p->width, R = read ? n->B : clipnn_batch_rows(n);
    const float *x_read = read ? a->ln_read : a->x;
    if (read)
        gather_rows(a->ln_read, a->x, read, R, (size_t)C);
    attend(k, a, p, n, read, a->x, x_read);
    clipnn_linear_forward(k, a->sum_1, NULL, clipk_rows(a->att, C), R, &p->out_proj, CLIPK_LINEAR, x_read);
    clipnn_layernorm_forward(k, a->mid, a->mean_1, a->rstd_1, a->sum_1, NULL, &p->ln_1, R, C);
    const clipk_view fc = mlp_rows(k, a, p, a->mid, R);
    clipnn_linear_forward(k, a->sum_2, NULL, fc, R, &p->c_proj, CLIPK_LINEAR, a->mid);
    clipnn_layernorm_forward(k, a->out, a->mean_2, a->rstd_2, a->sum_2, NULL, &p->ln_2, R, C);
}

static void pre_norm_forward(const clipk_ctx *k, const clipnn_block_acts *a, const clipnn_block *p,
                             const clipnn_batch *n, const int32_t *read)
{
    const int C = p->width, T = clipnn_batch_rows(n), R = read ? n->B : T;

    clipnn_layernorm_forward(k, a->ln, a->mean_1, a->rstd_1, a->x, NULL, &p->ln_1, T, C);
    if (read)
        clipnn_layernorm_forward(k, a->ln_read, NULL, NULL, a->x, read, &p->ln_1, R, C);
    attend(k, a, p, n, read, a->ln, a->ln_read);

    const float *residual = a->x;
    if (read) {
        gather_rows(a->mid, a->x, read, R, (size_t)C);
        residual = a->mid;
    }
    clipnn_linear_forward(k, a->mid, NULL, clipk_rows(a->att, C), R, &p->out_proj, CLIPK_LINEAR, residual);
    clipnn_layernorm_forward(k, a->ln, a->mean_2, a->rstd_2, a->mid, NULL, &p->ln_2, R, C);
    const clipk_view fc = mlp_rows(k, a, p, a->ln, R);
    clipnn_linear_forward(k, a->out, NULL, fc, R, &p->c_proj, CLIPK_LINEAR, a->mid);
}

void clipnn_block_forward(const clipk_ctx *k, const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                          const int32_t *read)
{
    if (p->post_norm)
        post_norm_forward(k, a, p, n, read);
    else
        pre_norm_forward(k, a, p, n, read);
}

/* ---- Backward: the same from the end --------------------------------------------------------- */

/* Rows read[b] of y += rows b of x. */
static void add_rows(float *y, const float *x, const int32_t *read, int R, size_t C)
{
    for (int b = 0; b < R; b++)
        for (size_t c = 0; c < C; c++)
            y[(size_t)read[b] * C + c] += x[(size_t)b * C + c];
}

/* dout to dmid: out = mid + c_proj(fc),  fc = act(pre),  pre = c_fc(ln_2(mid))
 * Each gradient overwrites an activation that is no longer needed. */
static void mlp_backward(const clipk_ctx *k, float *dmid, const float *dout, const clipnn_block_grads *g,
                         const clipnn_block_acts *a, const clipnn_block *p, int R)
{
    const int C = p->width, F = p->mlp;
    float *dfc = a->fc, *fc = p->c_proj.dw ? a->pre : NULL, *dln = a->ln;
    clipnn_linear_dx(k, dfc, dout, R, &p->c_proj, NULL);
    clipk_act_backward(k, dfc, fc, dfc, a->pre, (size_t)R * F, p->act); /* computes fc again */
    clipnn_linear_dw(k, dout, clipk_rows(fc, F), R, &p->c_proj, g->work);
    clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->mid, NULL, &p->ln_2, R, C);
    clipnn_linear_backward(k, dln, dfc, clipk_rows(a->ln, C), R, &p->c_fc, NULL, g->work);
    clipnn_layernorm_backward(k, dmid, dln, a->mid, a->mean_2, a->rstd_2, &p->ln_2, dout, R, C, g->work);
}

/* Where the gradients of q, kv and att lie: behind that of fc, which is no longer needed. */
typedef struct attention_grads {
    float *dq, *dkv, *datt; /* [R, C], [T, 2C], [R, C] */
} attention_grads;

/* dsum to dq and dkv: sum = residual + out_proj(att) */
static attention_grads attend_backward(const clipk_ctx *k, const float *dsum, const clipnn_block_grads *g,
                                       const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                                       const int32_t *read)
{
    const int C = p->width, T = clipnn_batch_rows(n), R = read ? n->B : T;
    const attention_grads d = {.dkv = a->fc,
                               .dq = a->fc + (size_t)T * 2 * (size_t)C,
                               .datt = a->fc + (size_t)T * 2 * (size_t)C + (size_t)R * (size_t)C};
    clipnn_linear_backward(k, d.datt, dsum, clipk_rows(a->att, C), R, &p->out_proj, NULL, g->work);
    const clipk_attention_shape s = shape_of(a, p, n, read);
    clipk_attention_backward(k, d.dq, C, d.dkv, 2 * C, d.dkv + C, 2 * C, d.datt, C, a->att, C, a->lse, a->q, C, a->kv,
                             2 * C, a->kv + C, 2 * C, &s);
    if (g->relevance)
        clipnn_relevance_block(k, g->relevance, d.datt, a, p, &s, read);
    return d;
}

/* dout to dsum, the gradient of sum_1: out = ln_2(sum_2),  sum_2 = mid + c_proj(fc),
 * fc = act(c_fc(mid)),  mid = ln_1(sum_1) */
static void post_norm_mlp_backward(const clipk_ctx *k, float *dsum, const float *dout, const clipnn_block_grads *g,
                                   const clipnn_block_acts *a, const clipnn_block *p, int R)
{
    const int C = p->width, F = p->mlp;
    float *dfc = a->fc, *fc = p->c_proj.dw ? a->pre : NULL;
    clipnn_layernorm_backward(k, dsum, dout, a->sum_2, a->mean_2, a->rstd_2, &p->ln_2, NULL, R, C, g->work);
    clipnn_linear_dx(k, dfc, dsum, R, &p->c_proj, NULL);
    clipk_act_backward(k, dfc, fc, dfc, a->pre, (size_t)R * (size_t)F, p->act); /* computes fc again */
    clipnn_linear_dw(k, dsum, clipk_rows(fc, F), R, &p->c_proj, g->work);
    clipnn_linear_backward(k, dsum, dfc, clipk_rows(a->mid, C), R, &p->c_fc, dsum, g->work);
    clipnn_layernorm_backward(k, dsum, dsum, a->sum_1, a->mean_1, a->rstd_1, &p->ln_1, NULL, R, C, g->work);
}

static void post_norm_backward(const clipk_ctx *k, float *dx, const float *dout, const clipnn_block_grads *g,
                               const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                               const int32_t *read)
{
    const int C = p->width, T = clipnn_batch_rows(n), R = read ? n->B : T;
    float *dsum = read ? g->mid : dx;
    post_norm_mlp_backward(k, dsum, dout, g, a, p, R);
    const attention_grads d = attend_backward(k, dsum, g, a, p, n, read);

    clipnn_linear_backward(k, dx, d.dkv, clipk_rows(a->x, C), T, &p->kv, read ? NULL : dsum, g->work);
    if (read) {
        gather_rows(a->ln_read, a->x, read, R, (size_t)C);
        clipnn_linear_backward(k, dsum, d.dq, clipk_rows(a->ln_read, C), R, &p->q, dsum, g->work);
        add_rows(dx, dsum, read, R, (size_t)C);
    } else {
        clipnn_linear_backward(k, dx, d.dq, clipk_rows(a->x, C), T, &p->q, dx, g->work);
    }
}

static void pre_norm_backward(const clipk_ctx *k, float *dx, const float *dout, const clipnn_block_grads *g,
                              const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                              const int32_t *read)
{
    const int C = p->width, T = clipnn_batch_rows(n), R = read ? n->B : T;
    float *dmid = read ? g->mid : dx, *dln = a->ln;
    mlp_backward(k, dmid, dout, g, a, p, R);
    const attention_grads d = attend_backward(k, dmid, g, a, p, n, read);

    clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->x, NULL, &p->ln_1, T, C);
    clipnn_linear_dw(k, d.dkv, clipk_rows(a->ln, C), T, &p->kv, g->work);
    if (!read)
        clipnn_linear_dw(k, d.dq, clipk_rows(a->ln, C), T, &p->q, g->work);
    clipnn_linear_dx(k, dln, d.dkv, T, &p->kv, NULL);
    if (read) {
        float *dln_read = d.datt;
        clipnn_layernorm_forward(k, a->ln_read, NULL, NULL, a->x, read, &p->ln_1, R, C);
        clipnn_linear_backward(k, dln_read, d.dq, clipk_rows(a->ln_read, C), R, &p->q, NULL, g->work);
        add_rows(dln, dln_read, read, R, C);
        memset(dx, 0, (size_t)T * C * sizeof(float)); /* rows that are not read get no gradient from mid */
        add_rows(dx, dmid, read, R, C);
    } else {
        clipnn_linear_dx(k, dln, d.dq, T, &p->q, dln);
    }
    clipnn_layernorm_backward(k, dx, dln, a->x, a->mean_1, a->rstd_1, &p->ln_1, dx, T, C, g->work);
}

void clipnn_block_backward(const clipk_ctx *k, float *dx, const float *dout, const clipnn_block_grads *g,
                           const clipnn_block_acts *a, const clipnn_block *p, const clipnn_batch *n,
                           const int32_t *read)
{
    if (p->post_norm)
        post_norm_backward(k, dx, dout, g, a, p, n, read);
    else
        pre_norm_backward(k, dx, dout, g, a, p, n, read);
}
