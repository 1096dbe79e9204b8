/* attention_pool.c: pooling by attention, the head of the image encoders of SigLIP and CoCa. One
 * learned query, the probe, asks all rows of a sample (Lee et al. 2019, arXiv:1810.00825; Zhai et
 * al. 2022, arXiv:2106.04560; Yu et al. 2022, arXiv:2205.01917):
 *
 *     q = W_q probe;  k = x W_kᵀ;  v = x W_vᵀ            (each with its bias)
 *     u = out_proj(attention(q, k, v))
 *     y = u + c_proj(act(c_fc(ln(u))))
 *
 * CoCa's has no MLP, y = ln(u), and a norm of the probe. It knows forward alone. */
#include <string.h>

#include "base/number.h"
#include "nn/nn.h"

/* ---- Layout ---------------------------------------------------------------------------------- */

void clipnn_attention_pool_layout(clipb_arena *a, clipnn_attention_pool_acts *acts, const clipnn_attention_pool *p,
                                  int N, int T, bool tape)
{
    const size_t n = (size_t)N, C = (size_t)p->width, F = (size_t)p->mlp;
    *acts = (clipnn_attention_pool_acts){0};
    acts->q = CLIPB_NEW(a, float, n * C);
    acts->kv = CLIPB_NEW(a, float, (size_t)T * 2 * C);
    acts->att = CLIPB_NEW(a, float, n * C);
    acts->u = CLIPB_NEW(a, float, n * C);
    acts->ln = CLIPB_NEW(a, float, n * C);
    acts->fc = CLIPB_NEW(a, float, n * F);
    acts->one_each = CLIPB_NEW(a, int32_t, n + 1);
    if (tape) {
        acts->mean = CLIPB_NEW(a, float, n);
        acts->rstd = CLIPB_NEW(a, float, n);
        acts->lse = CLIPB_NEW(a, float, (size_t)p->heads * n);
        acts->pre = CLIPB_NEW(a, float, n * F);
    }
}

void clipnn_attention_pool_layout_grads(clipb_arena *a, clipnn_attention_pool_grads *g, const clipk_ctx *k,
                                        const clipnn_attention_pool *p, int N, int T)
{
    const size_t n = (size_t)N, C = (size_t)p->width;
    size_t work = clipk_sums_work(N, p->width);
    *g = (clipnn_attention_pool_grads){0};
    g->dq = CLIPB_NEW(a, float, n * C);
    g->dkv = CLIPB_NEW(a, float, (size_t)T * 2 * C);
    g->du = CLIPB_NEW(a, float, n * C);
    g->dln = CLIPB_NEW(a, float, n * C);
    clipb_raise(&work, clipnn_linear_work(k, T, p->width, 2 * p->width));
    clipb_raise(&work, clipnn_linear_work(k, N, p->width, p->mlp));
    clipb_raise(&work, clipnn_linear_work(k, N, p->mlp, p->width));
    g->work = clipb_arena_alloc(a, work, 1);
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* One query for each sample. */
static clipk_attention_shape shape_of(const clipnn_attention_pool_acts *a, const clipnn_attention_pool *p,
                                      const clipnn_batch *n)
{
    for (int b = 0; b <= n->B; b++)
        a->one_each[b] = b;
    return (clipk_attention_shape){
        .B = n->B, .H = p->heads, .D = p->width / p->heads, .q_off = a->one_each, .k_off = n->off};
}

void clipnn_attention_pool_forward(const clipk_ctx *k, float *y, const clipnn_attention_pool_acts *a,
                                   const clipnn_attention_pool *p, const float *x, const clipnn_batch *n)
{
    const int N = n->B, C = p->width, F = p->mlp;
    const float *probe = p->probe;
    if (p->ln_q.gain) {
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, p->probe, NULL, &p->ln_q, 1, C);
        probe = a->ln;
    }
    clipnn_linear_forward(k, a->q, NULL, clipk_rows(probe, C), 1, &p->q, CLIPK_LINEAR, NULL);
    for (int b = 1; b < N; b++) /* the probe is the same for all */
        memcpy(a->q + (size_t)b * (size_t)C, a->q, (size_t)C * sizeof *a->q);
    clipnn_linear_forward(k, a->kv, NULL, clipk_rows(x, p->kv.w.K), clipnn_batch_rows(n), &p->kv, CLIPK_LINEAR, NULL);
    const clipk_attention_shape s = shape_of(a, p, n);
    clipk_attention(k, a->att, C, a->lse, a->q, C, a->kv, 2 * C, a->kv + C, 2 * C, &s);
    clipnn_linear_forward(k, a->u, NULL, clipk_rows(a->att, C), N, &p->out_proj, CLIPK_LINEAR, NULL);
    clipnn_layernorm_forward(k, F ? a->ln : y, a->mean, a->rstd, a->u, NULL, &p->ln, N, C);
    if (!F)
        return;
    clipnn_linear_forward(k, a->fc, a->pre, clipk_rows(a->ln, C), N, &p->c_fc, p->act, NULL);
    clipnn_linear_forward(k, y, NULL, clipk_rows(a->fc, F), N, &p->c_proj, CLIPK_LINEAR, a->u);
}

/* ---- Backward: the same from the end --------------------------------------------------------- */

/* dq of all samples to W_q, its bias and the probe. Only the sum over samples counts. */
static void probe_backward(const clipk_ctx *k, const clipnn_attention_pool_grads *g, const clipnn_attention_pool *p,
                           int N)
{
    const size_t C = (size_t)p->width;
    float *dq = g->dq, *dprobe = g->dln;
    for (size_t b = 1; b < (size_t)N; b++)
        for (size_t c = 0; c < C; c++)
            dq[c] += dq[b * C + c];
    clipnn_linear_dw(k, dq, clipk_rows(p->probe, p->width), 1, &p->q, g->work);
    if (!p->dprobe)
        return;
    clipnn_linear_dx(k, dprobe, dq, 1, &p->q, NULL);
    for (size_t c = 0; c < C; c++)
        p->dprobe[c] += dprobe[c];
}

void clipnn_attention_pool_backward(const clipk_ctx *k, float *dx, const float *dy,
                                    const clipnn_attention_pool_grads *g, const clipnn_attention_pool_acts *a,
                                    const clipnn_attention_pool *p, const float *x, const clipnn_batch *n)
{
    const int N = n->B, T = clipnn_batch_rows(n), C = p->width, F = p->mlp;
    float *dfc = a->fc, *fc = p->c_proj.dw ? a->pre : NULL, *datt = g->dln;
    clipnn_linear_dx(k, dfc, dy, N, &p->c_proj, NULL);
    clipk_act_backward(k, dfc, fc, dfc, a->pre, (size_t)N * (size_t)F, p->act); /* makes fc again */
    clipnn_linear_dw(k, dy, clipk_rows(fc, F), N, &p->c_proj, g->work);
    clipnn_linear_backward(k, g->dln, dfc, clipk_rows(a->ln, C), N, &p->c_fc, NULL, g->work);
    clipnn_layernorm_backward(k, g->du, g->dln, a->u, a->mean, a->rstd, &p->ln, dy, N, C, g->work);

    clipnn_linear_backward(k, datt, g->du, clipk_rows(a->att, C), N, &p->out_proj, NULL, g->work);
    const clipk_attention_shape s = shape_of(a, p, n);
    clipk_attention_backward(k, g->dq, C, g->dkv, 2 * C, g->dkv + C, 2 * C, datt, C, a->att, C, a->lse, a->q, C, a->kv,
                             2 * C, a->kv + C, 2 * C, &s);
    if (g->relevance)
        clipnn_relevance_pool(k, g->relevance, datt, a, p, &s);
    clipnn_linear_backward(k, dx, g->dkv, clipk_rows(x, C), T, &p->kv, NULL, g->work);
    probe_backward(k, g, p, N);
}
