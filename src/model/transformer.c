#include <stdio.h>
#include <stdlib.h>

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
        clipmdl_bind_layernorm(b, &p->ln_1, layer, "ln_1", C, eps);
        clipmdl_bind_linear(b, &p->q, layer, "attn.in_proj_weight", "attn.in_proj_bias", 0, C, 3 * C, C);
        clipmdl_bind_linear(b, &p->kv, layer, "attn.in_proj_weight", "attn.in_proj_bias", C, 2 * C, 3 * C, C);
        clipmdl_bind_linear(b, &p->out_proj, layer, "attn.out_proj.weight", "attn.out_proj.bias", 0, C, C, C);
        clipmdl_bind_layernorm(b, &p->ln_2, layer, "ln_2", C, eps);
        clipmdl_bind_linear(b, &p->c_fc, layer, "mlp.c_fc.weight", "mlp.c_fc.bias", 0, F, F, C);
        clipmdl_bind_linear(b, &p->c_proj, layer, "mlp.c_proj.weight", "mlp.c_proj.bias", 0, C, C, F);
    }
}

void clipmdl_blocks_layout(clipb_arena *a, clipnn_block_acts *each, clipnn_block_acts *last, float *x, int T, int N, const clipnn_block *p)
{
    size_t mark = clipb_arena_mark(a);
    clipnn_block_layout(a, each, x, T, 0, p->width, p->mlp);
    clipb_arena_reset(a, mark); /* the last block begins when the others have ended */
    clipnn_block_layout(a, last, x, T, N, p->width, p->mlp);
}

const float *clipmdl_blocks_forward(const clipk_ctx *k, clipnn_block_acts *each, clipnn_block_acts *last, float *x, const clipnn_block *p, int layers,
                                    const clipnn_batch *n, const int32_t *read)
{
    for (int i = 0; i < layers - 1; i++)
        clipnn_block_forward(k, each, x, &p[i], n, NULL);
    clipnn_block_forward(k, last, x, &p[layers - 1], n, read);
    return last->out;
}
