/* The residual attention block of CLIP (pre-norm, as in GPT-2 and ViT):
 *
 *     mid = x   + out_proj(attention(q, k, v)),   q, k, v = ln_1(x) W_qᵀ, ln_1(x) W_kᵀ, ln_1(x) W_vᵀ
 *     out = mid + c_proj(act(c_fc(ln_2(mid))))
 *
 * In a tower's last block only one row a sample is read (the class token, the end of the text): every row still gives its
 * key and value, but only that row asks a query and goes through the MLP. */
#include <string.h>

#include "nn/nn.h"

void clipnn_block_layout(clipb_arena *a, clipnn_block_acts *acts, float *x, int T, int R, int C, int F)
{
    const size_t t = (size_t)T, r = R ? (size_t)R : t, c = (size_t)C;
    acts->ln_1 = CLIPB_NEW(a, float, t * c);
    acts->ln_1_read = R ? CLIPB_NEW(a, float, r * c) : acts->ln_1;
    acts->q = CLIPB_NEW(a, float, r * c);
    acts->kv = CLIPB_NEW(a, float, t * 2 * c);
    acts->att = CLIPB_NEW(a, float, r * c);
    acts->mid = R ? CLIPB_NEW(a, float, r * c) : x;
    acts->ln_2 = CLIPB_NEW(a, float, r * c);
    acts->fc = CLIPB_NEW(a, float, r * (size_t)F);
    acts->out = acts->mid;
    acts->one_each = R ? CLIPB_NEW(a, int32_t, r + 1) : NULL;
}

static void layernorm(const clipk_ctx *k, float *y, const float *x, const int32_t *rows, const clipnn_layernorm *p, int T, int C)
{
    clipk_layernorm(k, y, NULL, NULL, x, rows, p->gain, p->bias, p->eps, T, C);
}

void clipnn_block_forward(const clipk_ctx *k, clipnn_block_acts *a, const float *x, const clipnn_block *p, const clipnn_batch *n,
                          const int32_t *read)
{
    const int C = p->width, F = p->mlp, T = clipnn_batch_rows(n), R = read ? n->B : T;

    layernorm(k, a->ln_1, x, NULL, &p->ln_1, T, C);
    if (read)
        layernorm(k, a->ln_1_read, x, read, &p->ln_1, R, C);
    clipnn_linear_forward(k, a->q, clipk_rows(a->ln_1_read, C), R, &p->q, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->kv, clipk_rows(a->ln_1, C), T, &p->kv, CLIPK_LINEAR, NULL);

    clipk_attention_shape s = {.B = n->B, .H = p->heads, .D = C / p->heads, .q_off = n->off, .k_off = n->off, .causal = n->causal};
    if (read) {
        for (int b = 0; b <= R; b++)
            a->one_each[b] = b;
        s.q_off = a->one_each;
    }
    clipk_attention(k, a->att, C, NULL, a->q, C, a->kv, 2 * C, a->kv + C, 2 * C, &s);

    const float *residual = x;
    if (read) {
        for (int b = 0; b < R; b++)
            memcpy(a->mid + (size_t)b * (size_t)C, x + (size_t)read[b] * (size_t)C, (size_t)C * sizeof(float));
        residual = a->mid;
    }
    clipnn_linear_forward(k, a->mid, clipk_rows(a->att, C), R, &p->out_proj, CLIPK_LINEAR, residual);
    layernorm(k, a->ln_2, a->mid, NULL, &p->ln_2, R, C);
    clipnn_linear_forward(k, a->fc, clipk_rows(a->ln_2, C), R, &p->c_fc, p->act, NULL);
    clipnn_linear_forward(k, a->out, clipk_rows(a->fc, F), R, &p->c_proj, CLIPK_LINEAR, a->mid);
}
