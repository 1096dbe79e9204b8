#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

clipnn_block *clipmdl_blocks_new(int layers, int width, int heads, int mlp, clipk_act act)
{
    clipnn_block *p = calloc((size_t)layers, sizeof *p);
    for (int i = 0; p && i < layers; i++) {
        p[i].width = width;
        p[i].heads = heads;
        p[i].mlp = mlp;
        p[i].act = act;
    }
    return p;
}

void clipmdl_blocks_bind(clipmdl_binder *b, clipnn_block *block, int layers, const char *prefix, float eps)
{
    const int C = block->width, F = block->mlp;
    char layer[CLIPMDL_MAX_NAME];
    for (int i = 0; i < layers; i++) {
        clipnn_block *p = &block[i];
        snprintf(layer, sizeof layer, "%s%d.", prefix, i);
        b->group = i + 1;
        clipmdl_bind_layernorm(b, &p->ln_1, layer, "ln_1", C, eps);
        clipmdl_bind_linear(b, &p->q, layer, "attn.in_proj_weight", "attn.in_proj_bias", 0, C, 3 * C, C);
        clipmdl_bind_linear(b, &p->kv, layer, "attn.in_proj_weight", "attn.in_proj_bias", C, 2 * C, 3 * C, C);
        clipmdl_bind_linear(b, &p->out_proj, layer, "attn.out_proj.weight", "attn.out_proj.bias", 0, C, C, C);
        clipmdl_bind_layernorm(b, &p->ln_2, layer, "ln_2", C, eps);
        clipmdl_bind_linear(b, &p->c_fc, layer, "mlp.c_fc.weight", "mlp.c_fc.bias", 0, F, F, C);
        clipmdl_bind_finite(b, layer, "mlp.c_fc.weight"); /* the activation of -inf is 0 */
        clipmdl_bind_finite(b, layer, "mlp.c_fc.bias");
        clipmdl_bind_linear(b, &p->c_proj, layer, "mlp.c_proj.weight", "mlp.c_proj.bias", 0, C, C, F);
    }
}

void clipmdl_blocks_layout(clipb_arena *a, clipnn_block_acts *acts, clipmdl_tape *ends, float *x, int T, int N,
                           const clipnn_block *p, int layers)
{
    clipnn_block_acts shared, one; /* while measuring, acts has no memory: `one` stands for it */
    size_t mark = clipb_arena_mark(a);
    if (ends) {
        clipnn_block_layout_shared(a, &shared, T, p);
        *ends = (clipmdl_tape){.first = clipb_arena_mark(a), .layers = layers};
    }
    for (int i = 0; i < layers; i++) {
        const int R = i == layers - 1 ? N : 0;
        if (ends) {
            clipnn_block_layout_tape(a, &one, &shared, x, T, R, p);
            ends->all = clipb_arena_mark(a);
            if (i == 0)
                ends->block = ends->all - ends->first;
        } else {
            clipb_arena_reset(a, mark); /* a block begins when the one before has ended */
            clipnn_block_layout(a, &one, x, T, R, p);
        }
        x = one.out;
        if (acts)
            acts[i] = one;
    }
}

void clipmdl_blocks_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, int T, int N,
                                 const clipnn_block *p, size_t work)
{
    *g = (clipmdl_tower_grads){.x = CLIPB_NEW(a, float, (size_t)T * (size_t)p->width)};
    g->pooled = CLIPB_NEW(a, float, (size_t)N * (size_t)p->width);
    clipnn_block_layout_grads(a, &g->block, k, T, N, p, work);
}

static void tap_rows(const clipk_ctx *k, const clipmdl_tap *tap, const float *x, int T, int C)
{
    if (tap->norm)
        clipnn_layernorm_forward(k, tap->rows, NULL, NULL, x, NULL, tap->norm, T, C);
    else
        memcpy(tap->rows, x, (size_t)T * (size_t)C * sizeof *x);
}

const float *clipmdl_blocks_forward(const clipk_ctx *k, const clipnn_block_acts *acts, const clipnn_block *p,
                                    int layers, const clipnn_batch *n, const int32_t *read, const clipmdl_tap *tap)
{
    const float *x = acts[0].x;
    for (int i = 0; i <= layers; i++) {
        if (tap && tap->layer == i) {
            tap_rows(k, tap, x, clipnn_batch_rows(n), p->width);
            if (tap->ends)
                return NULL;
        }
        if (i == layers)
            break;
        clipnn_block_forward(k, &acts[i], &p[i], n, i == layers - 1 ? read : NULL);
        x = acts[i].out;
    }
    return x;
}

void clipmdl_blocks_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const float *dout,
                             const clipnn_block_acts *acts, const clipnn_block *p, int layers, int first,
                             const clipnn_batch *n, const int32_t *read)
{
    for (int i = layers - 1; i >= first; i--) {
        if (i < layers - 1)
            clipmdl_enter(g, i + 1);
        clipnn_block_backward(k, g->x, i == layers - 1 ? dout : g->x, &g->block, &acts[i], &p[i], n,
                              i == layers - 1 ? read : NULL);
    }
}
