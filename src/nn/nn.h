/* nn.h: the layers of CLIP's towers, each a function that reads like the formula above it.
 *
 * Rows are tokens (or pixels): x [T, C], row-major and dense unless said. A layer knows its packed weights and nothing of the
 * model around it. What a layer needs for its backward it leaves in an `acts` struct: training lays one out for every layer
 * (the tape), inference lays out one and lets all layers share it. The forward code is the same. */
#ifndef CLIPNN_NN_H
#define CLIPNN_NN_H

#include "base/arena.h"
#include "kernels/kernels.h"

/* ---- Parameters of the simple layers ------------------------------------------------------------------- */

/* y = x Wᵀ + b      x [T, I]  W [O, I]  b [O] or NULL */
typedef struct clipnn_linear {
    clipk_weight w;
    const float *b;
} clipnn_linear;

/* y = (x - mean) / sqrt(var + eps) * gain + bias, over the C of a row    (Ba et al. 2016, arXiv:1607.06450) */
typedef struct clipnn_layernorm {
    const float *gain, *bias; /* [C] */
    float eps;
} clipnn_layernorm;

/* y = bn(conv(x)): in inference the running statistics are folded into the weights: gain/sqrt(var + eps) scales the filters, the rest is the bias.
 * A 1x1 convolution is a clipnn_linear over pixels. */
typedef struct clipnn_conv3x3 {
    clipk_conv3x3_weight w;
    const float *b; /* [O] */
} clipnn_conv3x3;

/* linear.c: y = act(x Wᵀ + b + residual), T rows; ld of x in `x`, of y and residual O. residual may be y or NULL. */
void clipnn_linear_forward(const clipk_ctx *k, float *y, clipk_view x, int T, const clipnn_linear *l, clipk_act act, const float *residual);

/* ---- The residual attention block (block.c) -------------------------------------------------------------- */

/* A ragged batch: sample b has the rows off[b] .. off[b+1] of x. */
typedef struct clipnn_batch {
    int B;
    const int32_t *off; /* [B+1] */
    bool causal;
} clipnn_batch;

static inline int clipnn_batch_rows(const clipnn_batch *n) { return n->off[n->B]; }

typedef struct clipnn_block {
    int width, heads, mlp;
    clipk_act act;
    clipnn_layernorm ln_1, ln_2;
    clipnn_linear q, kv;       /* [C, C], [2C, C]: in_proj, split because the last block asks few queries */
    clipnn_linear out_proj;    /* [C, C] */
    clipnn_linear c_fc, c_proj; /* [F, C], [C, F] */
} clipnn_block;

/* What a block computes on its way. T rows come in; R go on: all T, or one a sample where only that is read. */
typedef struct clipnn_block_acts {
    float *ln_1;      /* [T, C] */
    float *ln_1_read; /* [R, C]: the rows that ask; ln_1 itself where all do */
    float *q, *kv;    /* [R, C], [T, 2C] */
    float *att;       /* [R, C] */
    float *mid;       /* [R, C]: x + attention */
    float *ln_2;      /* [R, C] */
    float *fc;        /* [R, F] */
    float *out;       /* [R, C] */
    int32_t *one_each; /* [R+1] 0, 1, ..: the offsets of one query a sample, where R are read */
} clipnn_block_acts;

/* clipnn_block_layout(): place the acts of a block.
 * x  in  where the block's input stands; mid and out are x itself where all rows go on (inference keeps nothing)
 * R  in  rows that are read, one a sample; 0: all */
void clipnn_block_layout(clipb_arena *a, clipnn_block_acts *acts, float *x, int T, int R, int C, int F);

/* clipnn_block_forward(): x [T, C] to acts->out [R, C].
 * read  in  [B] the row of each sample that is read; NULL: all */
void clipnn_block_forward(const clipk_ctx *k, clipnn_block_acts *acts, const float *x, const clipnn_block *p, const clipnn_batch *n,
                          const int32_t *read);

/* ---- Embeddings (embed.c) --------------------------------------------------------------------------------- */

/* clipnn_patchify(): y[n*G*G + i*G + j, (c*P + u)*P + v] = x[n, c, i*P + u, j*P + v]      x [N, 3, S, S]  y [N*G*G, 3*P*P]  G = S/P
 * The strided convolution of the patch embedding is then a matrix product. */
void clipnn_patchify(const clipk_ctx *k, float *y, const float *x, int N, int S, int P);

/* clipnn_class_tokens(): y[n, 0] = cls + pos[0];  y[n, 1+g] = x[n, g] + pos[1+g]      x [N, G, C]  cls [C]  pos [1+G, C]  y [N, 1+G, C] */
void clipnn_class_tokens(const clipk_ctx *k, float *y, const float *x, const float *cls, const float *pos, int N, int G, int C);

/* clipnn_mean_tokens(): the same with the mean of the sample's rows in the place of the class token (ResNet's attention pool). */
void clipnn_mean_tokens(const clipk_ctx *k, float *y, const float *x, const float *pos, int N, int G, int C);

/* clipnn_token_embedding(): y[t] = table[ids[t]] + pos[t - off[b]]      table [V, C] of any type  pos [L, C]  y [T, C] */
void clipnn_token_embedding(const clipk_ctx *k, float *y, clipk_view table, const float *pos, const int32_t *ids, const clipnn_batch *n, int C);

/* clipnn_channels_last(): [N, C, H, W] to [N, H, W, C], HW = H*W. */
void clipnn_channels_last(const clipk_ctx *k, float *y, const float *x, int N, int C, int HW);

#endif
