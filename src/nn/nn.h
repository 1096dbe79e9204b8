/* nn.h: the layers of CLIP's towers. Each layer is a forward function that reads like the formula
 * above it, and a backward function below.
 *
 * Rows are tokens or pixels: x [T, C], row-major, and dense unless stated. A layer knows only its
 * own packed weights. Forward stores what backward needs in an `acts` struct. Training lays out one
 * for every layer (the tape). Inference lays out one that all layers share. The forward code is the
 * same.
 *
 * Backward writes dx and adds to the gradients of parameters. The gradient of a frozen parameter is
 * NULL. */
#ifndef CLIPNN_NN_H
#define CLIPNN_NN_H

#include "base/arena.h"
#include "base/file.h"
#include "kernels/kernels.h"

/* ---- Parameters of the simple layers --------------------------------------------------------- */

/* y = x Wᵀ + b      x [T, I]  W [O, I]  b [O] or NULL */
typedef struct clipnn_linear {
    clipk_weight w;
    const float *b;
    const clipb_map *map; /* w is a view of this file, whose pages are dropped after use; NULL: it is not */
    /* training only, otherwise zero: */
    clipk_weight wt;    /* Wᵀ [I, O], for dx */
    const clipb_block *room; /* w and wt are packed here at each use; all layers share it; NULL: as they are */
    float *dw, *db;
    bool dw_transposed; /* dw is [I, O], as OpenCLIP stores a projection */
} clipnn_linear;

/* y = (x - mean) / sqrt(var + eps) * gain + bias, over the C of a row    (Ba et al. 2016,
 *     arXiv:1607.06450) */
typedef struct clipnn_layernorm {
    const float *gain, *bias; /* [C] */
    float eps;
    float *dgain, *dbias; /* training only */
} clipnn_layernorm;

/* linear.c: y = act(x Wᵀ + b + residual), T rows. x has its own strides. Rows of y and of residual
 * are O apart. residual may be y or NULL.
 * pre  out  the argument of act, [T, O], for backward; NULL in inference */
void clipnn_linear_forward(const clipk_ctx *k, float *y, float *pre, clipk_view x, int T, const clipnn_linear *l,
                           clipk_act act, const float *residual);

/* The same without a tape or a residual, to bf16: y [T, O], for a layer that rounds its rows to
 * it. */
void clipnn_linear_forward_rounded(const clipk_ctx *k, void *y, clipk_view x, int T, const clipnn_linear *l,
                                   clipk_act act);

/* dx = dy W + residual      dy [T, O]  dx, residual [T, I]; residual may be dx or NULL */
void clipnn_linear_dx(const clipk_ctx *k, float *dx, const float *dy, int T, const clipnn_linear *l,
                      const float *residual);

/* dW += dyᵀ x;  db += Σ dy      work: clipnn_linear_work() bytes, 64-byte aligned */
void clipnn_linear_dw(const clipk_ctx *k, const float *dy, clipk_view x, int T, const clipnn_linear *l, void *work);
size_t clipnn_linear_work(const clipk_ctx *k, int T, int I, int O);

/* dw and dx. dx may be x; NULL: not wanted. */
void clipnn_linear_backward(const clipk_ctx *k, float *dx, const float *dy, clipk_view x, int T, const clipnn_linear *l,
                            const float *residual, void *work);

/* norm.c: the layer norm of T rows.
 * rows        in   [T] which rows of x are read; NULL: all
 * mean, rstd  out  [T], for backward; NULL in inference */
void clipnn_layernorm_forward(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x,
                              const int32_t *rows, const clipnn_layernorm *p, int T, int C);

/* dx = residual + the gradient of the norm (clipk_layernorm_backward())
 * work: clipk_sums_work(T, C) bytes */
void clipnn_layernorm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *x, const float *mean,
                               const float *rstd, const clipnn_layernorm *p, const float *residual, int T, int C,
                               void *work);

/* norm.c: y = x / sqrt(mean of x² + eps) * gain, row by row    (Zhang and Sennrich 2019,
 *     arXiv:1910.07467)      x, y [T, C]; y may be x   gain [C] */
void clipnn_rmsnorm_forward(const clipk_ctx *k, float *y, const float *x, const float *gain, float eps, int T, int C);

/* ---- The residual attention block (block.c) -------------------------------------------------- */

/* A ragged batch: sample b is the rows off[b] .. off[b+1] of x. */
typedef struct clipnn_batch {
    int B;
    const int32_t *off; /* [B+1] */
    bool causal;
    const int32_t *key_end; /* [B] rows from key_end[b] on are seen by none; NULL: all are seen. Forward only */
} clipnn_batch;

static inline int clipnn_batch_rows(const clipnn_batch *n) { return n->off[n->B]; }

typedef struct clipnn_block {
    int width, heads, mlp;
    clipk_act act;
    bool post_norm;            /* ln_1 and ln_2 stand behind attention and MLP, not before them */
    clipnn_layernorm ln_1, ln_2;
    clipnn_linear q, kv;       /* [C, C], [2C, C]: in_proj, split because the last block has few queries */
    clipnn_linear out_proj;    /* [C, C] */
    clipnn_linear c_fc, c_proj; /* [F, C], [C, F] */
    /* Of attention's products; NULL: f32. In training f32 always: the same bits with a tape or
     * without one */
    const clipk_format *attention;
} clipnn_block;

/* The results of a block. T rows come in and R go out: all T, or one for each sample if only that
 * one is read. */
typedef struct clipnn_block_acts {
    float *x;         /* [T, C]: the input */
    float *ln;        /* [T, C]: the output of ln_1, then of ln_2 */
    float *ln_read;   /* [R, C]: the rows with a query; ln itself if all have one; post-norm: rows of x */
    float *q, *kv;    /* [R, C], [T, 2C] */
    float *att;       /* [R, C]; inference: shares its place with the norms */
    float *mid;       /* [R, C]: x + attention; post-norm: ln_1 of it */
    float *sum_1, *sum_2; /* [R, C], post-norm: the input of ln_1 and of ln_2; mid and out without a tape */
    float *fc;        /* [R, F]; then the gradient of fc, followed by the gradients of q, kv and att */
    float *out;       /* [R, C] */
    int32_t *one_each; /* [R+1] 0, 1, ..: query offsets, if one row of each sample is read */
    /* the rest of the tape; NULL in inference: */
    float *mean_1, *rstd_1, *mean_2, *rstd_2; /* [T], [T], [R], [R] */
    float *lse;       /* [H, R] */
    float *pre;       /* [R, F]: fc before its activation */
} clipnn_block_acts;

/* clipnn_block_layout(): place the acts of a block for inference, which keeps nothing. If all rows
 * go on, mid and out are x itself.
 * R  in  rows that are read, one for each sample; 0: all */
void clipnn_block_layout(clipb_arena *a, clipnn_block_acts *acts, float *x, int T, int R, const clipnn_block *p);

/* clipnn_block_layout_tape(): place what backward needs. All blocks share the arrays that are cheap
 * to compute again (ln, fc).
 * shared  in  clipnn_block_layout_shared() */
void clipnn_block_layout_tape(clipb_arena *a, clipnn_block_acts *acts, const clipnn_block_acts *shared, float *x, int T,
                              int R, const clipnn_block *p);
void clipnn_block_layout_shared(clipb_arena *a, clipnn_block_acts *shared, int T, const clipnn_block *p);

/* clipnn_block_forward(): acts->x [T, C] to acts->out [R, C].
 * read  in  [B] the row of each sample that is read; NULL: all */
void clipnn_block_forward(const clipk_ctx *k, const clipnn_block_acts *acts, const clipnn_block *p,
                          const clipnn_batch *n, const int32_t *read);

/* How much each token mattered (relevance.c): a vector that goes back through the blocks. Not for
 * causal batches. */
typedef struct clipnn_relevance {
    float *r;      /* [T] starts as clipnn_pool_relevance() */
    float *before; /* [T] */
    float *score, *dp; /* [longest, longest], for one sample and head */
    void *panels;
} clipnn_relevance;

void clipnn_relevance_layout(clipb_arena *a, clipnn_relevance *r, const clipk_ctx *k, int T, int longest,
                             const clipnn_block *p);

/* clipnn_relevance_block(): r += r C, C = mean over heads of max(0, P dP)      datt [R, C]
 * P is the attention of the block and dP its gradient. */
void clipnn_relevance_block(const clipk_ctx *k, const clipnn_relevance *r, const float *datt,
                            const clipnn_block_acts *acts, const clipnn_block *p, const clipk_attention_shape *s,
                            const int32_t *read);

/* What backward needs beside the acts. The shared arrays of the acts hold gradients meanwhile. All
 * blocks of a tower share this struct. */
typedef struct clipnn_block_grads {
    float *mid; /* [R, C], if R rows are read */
    void *work;
    const clipnn_relevance *relevance; /* NULL: not wanted */
} clipnn_block_grads;

/* T: rows in the blocks that read all. R: rows in the block that reads one for each sample.
 * work: least bytes for grads->work. */
void clipnn_block_layout_grads(clipb_arena *a, clipnn_block_grads *g, const clipk_ctx *k, int T, int R,
                               const clipnn_block *p, size_t work);

/* clipnn_block_backward(): dout [R, C] to dx [T, C]. dx may be dout if all rows go on. If gradients
 * of parameters are wanted, it overwrites the tape. */
void clipnn_block_backward(const clipk_ctx *k, float *dx, const float *dout, const clipnn_block_grads *g,
                           const clipnn_block_acts *acts, const clipnn_block *p, const clipnn_batch *n,
                           const int32_t *read);

/* ---- Pooling (pool.c) ------------------------------------------------------------------------ */

/* How the rows of a sample become one. */
typedef enum clipnn_pooling {
    CLIPNN_POOL_FIRST,  /* the first row: the class token */
    CLIPNN_POOL_ARGMAX, /* the row of the largest id, the first one if several (OpenAI's end token is the largest) */
    CLIPNN_POOL_EOS,    /* the row of the first `eos_id`; the first row if there is none */
    CLIPNN_POOL_LAST,   /* the last row */
    CLIPNN_POOL_MEAN,   /* the mean of all rows but the first `skip` */
    CLIPNN_POOL_ATTENTION, /* a learned query asks all rows (attention_pool.c) */
} clipnn_pooling;

typedef struct clipnn_pool {
    clipnn_pooling by;
    int eos_id;
    int skip;
} clipnn_pool;

/* clipnn_pools_one(): is only one row of each sample read? The other rows then only serve its
 * attention. */
static inline bool clipnn_pools_one(const clipnn_pool *p)
{
    switch (p->by) {
    case CLIPNN_POOL_FIRST:
    case CLIPNN_POOL_ARGMAX:
    case CLIPNN_POOL_EOS:
    case CLIPNN_POOL_LAST: return true;
    case CLIPNN_POOL_MEAN:
    case CLIPNN_POOL_ATTENTION: return false;
    }
    return false;
}

/* clipnn_pool_row(): the place of that row among the n of a sample. ids: NULL for a picture. */
int clipnn_pool_row(const clipnn_pool *p, const int32_t *ids, int n);

/* clipnn_pool_rows(): read[b] = the row of sample b in the batch. */
void clipnn_pool_rows(int32_t *read, const clipnn_pool *p, const int32_t *ids, const clipnn_batch *n);

/* y[b] = mean of the rows off[b] + skip .. off[b+1] of x      x [T, C]  y [B, C] */
void clipnn_pool_mean(const clipk_ctx *k, float *y, const float *x, int skip, const clipnn_batch *n, int C);

/* dx[t] = dy[b] / rows in the mean; 0 for skipped rows */
void clipnn_pool_mean_backward(const clipk_ctx *k, float *dx, const float *dy, int skip, const clipnn_batch *n, int C);

/* clipnn_pool_relevance(): how much each row contributes to the pooled row: the start of
 * clipnn_relevance. For all ways but attention, which has clipnn_relevance_pool().
 * r  out  [T] */
void clipnn_pool_relevance(float *r, const clipnn_pool *p, const int32_t *read, const clipnn_batch *n);

/* ---- Pooling by attention (attention_pool.c) ------------------------------------------------- */

typedef struct clipnn_attention_pool {
    int width, heads;
    int mlp;                    /* 0: there is none, and y = ln(u) */
    clipk_act act;
    const float *probe;         /* [C] */
    float *dprobe;              /* training only */
    clipnn_layernorm ln_q;      /* of the probe; without gain: none */
    clipnn_linear q, kv;        /* [C, C], [2C, I]: where I is not C, the rows are I wide, and forward alone knows it */
    clipnn_linear out_proj;     /* [C, C] */
    clipnn_layernorm ln;
    clipnn_linear c_fc, c_proj; /* [F, C], [C, F] */
} clipnn_attention_pool;

typedef struct clipnn_attention_pool_acts {
    float *q, *kv;     /* [N, C], [T, 2C] */
    float *att, *u;    /* [N, C] */
    float *ln, *fc;    /* [N, C], [N, F]; then the gradient of fc */
    int32_t *one_each; /* [N+1] */
    float *mean, *rstd, *lse, *pre; /* the tape: [N], [N], [H, N], [N, F]; NULL in inference */
} clipnn_attention_pool_acts;

typedef struct clipnn_attention_pool_grads {
    float *dq, *dkv, *du, *dln; /* [N, C], [T, 2C], [N, C], [N, C] */
    void *work;
    const clipnn_relevance *relevance; /* NULL: not wanted */
} clipnn_attention_pool_grads;

/* clipnn_attention_pool_layout(), _layout_grads(): place the acts, and what backward needs, for N
 * samples of T rows altogether. */
void clipnn_attention_pool_layout(clipb_arena *a, clipnn_attention_pool_acts *acts, const clipnn_attention_pool *p,
                                  int N, int T, bool tape);
void clipnn_attention_pool_layout_grads(clipb_arena *a, clipnn_attention_pool_grads *g, const clipk_ctx *k,
                                        const clipnn_attention_pool *p, int N, int T);

/* clipnn_attention_pool_forward(): x [T, I] to y [N, C]. clipnn_attention_pool_backward(): dy [N,
 * C] to dx [T, C], which may be NULL. If gradients of parameters are wanted, it overwrites the
 * tape. */
void clipnn_attention_pool_forward(const clipk_ctx *k, float *y, const clipnn_attention_pool_acts *acts,
                                   const clipnn_attention_pool *p, const float *x, const clipnn_batch *n);
void clipnn_attention_pool_backward(const clipk_ctx *k, float *dx, const float *dy,
                                    const clipnn_attention_pool_grads *g, const clipnn_attention_pool_acts *acts,
                                    const clipnn_attention_pool *p, const float *x, const clipnn_batch *n);

/* clipnn_relevance_pool(): how much each row gave to the pooled one: the start of clipnn_relevance.
 * datt  in  [N, C] */
void clipnn_relevance_pool(const clipk_ctx *k, const clipnn_relevance *r, const float *datt,
                           const clipnn_attention_pool_acts *acts, const clipnn_attention_pool *p,
                           const clipk_attention_shape *s);

/* ---- Convolutions with their batch norm (conv.c) --------------------------------------------- */

/* xh gain + bias, xh = (x - mean) / sqrt(var + eps) (Ioffe and Szegedy 2015, arXiv:1502.03167).
 * Training takes mean and variance from the batch. In inference the layer is folded into the
 * convolution before it: gain / sqrt(var + eps), with the running variance, scales the filters, and
 * the rest is the bias. */
typedef struct clipnn_batchnorm {
    const float *gain, *bias; /* [C]; NULL: folded */
    float eps;
    bool frozen;              /* training with the running statistics, which stay, as gain and bias do */
    const float *running_mean, *running_var;
    float *batch_mean, *batch_var; /* written by backward */
    float *dgain, *dbias;
} clipnn_batchnorm;

/* y = act(bn(x Wᵀ) + residual): a convolution whose patches are rows: pixels (1x1) or the columns
 * of im2col. */
typedef struct clipnn_conv1x1 {
    clipnn_linear w;
    clipnn_batchnorm bn;
} clipnn_conv1x1;

/* y = act(bn(conv3x3(x))), zero padding 1 */
typedef struct clipnn_conv3x3 {
    clipk_conv3x3_weight w;
    const float *b; /* [O], if folded; otherwise NULL */
    clipnn_batchnorm bn;
    /* training only: */
    clipk_conv3x3_weight wt; /* for dx */
    const float *W;          /* [O, I, 3, 3]; W and room are as in clipnn_linear */
    const clipb_block *room;
    float *dw;
} clipnn_conv3x3;

/* What a convolution keeps for its backward: its output before the norm, [T, O], and the statistics
 * used, [O]. NULL if the norm is folded. */
typedef struct clipnn_conv_acts {
    float *conv;
    float *mean, *var, *rstd;
} clipnn_conv_acts;

void clipnn_conv_layout(clipb_arena *a, clipnn_conv_acts *acts, size_t T, int O);

/* Forward: x [T, I] or [N, S, S, I], dense, to y [.., O]. y may be residual.
 * work  scratch of clipnn_conv1x1_work() or clipnn_conv3x3_work() bytes, 64-byte aligned; with
 *       `back` also enough for backward */
void clipnn_conv1x1_forward(const clipk_ctx *k, float *y, const clipnn_conv_acts *acts, const float *x, int T,
                            const clipnn_conv1x1 *c, clipk_act act, const float *residual, void *work);
void clipnn_conv3x3_forward(const clipk_ctx *k, float *y, const clipnn_conv_acts *acts, const float *x, int N, int S,
                            const clipnn_conv3x3 *c, clipk_act act, void *work);
size_t clipnn_conv1x1_work(const clipk_ctx *k, int T, const clipnn_conv1x1 *c, bool back);
size_t clipnn_conv3x3_work(const clipk_ctx *k, int N, int S, const clipnn_conv3x3 *c, bool back);

/* clipnn_conv_again(): computes y = act(bn(..)) again from the acts, without a residual. */
void clipnn_conv_again(const clipk_ctx *k, float *y, const clipnn_conv_acts *acts, const clipnn_batchnorm *bn,
                       clipk_act act, int T, int O);

/* Backward. dconv [.., O] is the caller's scratch for the gradient of acts->conv:
 *     dz = dy act'(..);  dconv from dz by the norm's backward
 *     dW += dconvᵀ x;  dx = dconv W + plus
 * The batch's statistics are left in bn; the running statistics move towards them.
 * dconv  may be dy if dz is NULL
 * dz     the residual's gradient; may be dy; NULL: there was no residual
 * y      forward's output; read if there was a residual
 * dx     NULL: not wanted; may be plus or x
 * plus   NULL: nothing is added */
void clipnn_conv1x1_backward(const clipk_ctx *k, float *dx, float *dconv, float *dz, const float *dy,
                             const clipnn_conv_acts *acts, const float *x, const float *y, int T,
                             const clipnn_conv1x1 *c, clipk_act act, const float *plus, void *work);
void clipnn_conv3x3_backward(const clipk_ctx *k, float *dx, float *dconv, const float *dy, const clipnn_conv_acts *acts,
                             const float *x, int N, int S, const clipnn_conv3x3 *c, clipk_act act, void *work);

/* ---- Embeddings (embed.c) -------------------------------------------------------------------- */

/* Patch dropout (Li et al. 2022, arXiv:2212.00794) keeps K of the G patches of a picture. kept [N,
 * K]: their numbers, ascending; NULL: all, and K = G. */

/* clipnn_patchify(): y[n*K + i, (c*P + u)*P + v] = x[n, c, (p/g)*P + u, (p%g)*P + v], p = kept[n,
 * i],
 *     g = S/P     x [N, 3, S, S]  y [N*K, 3*P*P]
 * The strided convolution of the patch embedding is then a matrix product. */
void clipnn_patchify(const clipk_ctx *k, float *y, const float *x, const int32_t *kept, int N, int K, int S, int P);

/* clipnn_place_patches(): y[n, f+i] = x[n, i] + pos[f + kept[n, i]]
 * With a class token, f = 1 and y[n, 0] = cls + pos[0]. Without one, cls is NULL and f = 0.
 * x [N, K, C]  pos [f+G, C]  y [N, f+K, C] */
void clipnn_place_patches(const clipk_ctx *k, float *y, const float *x, const float *cls, const float *pos,
                          const int32_t *kept, int N, int K, int C);

/* dx[n, i] = dy[n, f+i];  dcls += Σₙ dy[n, 0];  dpos likewise.     class_token: f = 1 */
void clipnn_place_patches_backward(const clipk_ctx *k, float *dx, float *dcls, float *dpos, const float *dy,
                                   const int32_t *kept, int N, int K, int C, bool class_token);

/* clipnn_mean_tokens(): y[n, 0] = mean of the sample's rows + pos[0]; other rows as with a class
 * token
 *     (ResNet's attention pool).    x [N, G, C]  y [N, 1+G, C] */
void clipnn_mean_tokens(const clipk_ctx *k, float *y, const float *x, const float *pos, int N, int G, int C);

/* dx[n, i] = dy[n, 1+i] + dy[n, 0] / G;  dpos += sum over n of dy[n] */
void clipnn_mean_tokens_backward(const clipk_ctx *k, float *dx, float *dpos, const float *dy, int N, int G, int C);

/* y[t] = scale table[ids[t]] + kind + pos[t - off[b]] */
typedef struct clipnn_tokens {
    clipk_view table;  /* [V, C] of any type */
    float scale;
    const float *kind; /* [C] added to all rows, BERT's token type; NULL: none */
    const float *pos;  /* [L, C]; NULL: none */
    float *dtable, *dkind, *dpos; /* training only */
} clipnn_tokens;

/* clipnn_token_embedding(): to y [T, C]. clipnn_token_embedding_backward(): from dy [T, C]. */
void clipnn_token_embedding(const clipk_ctx *k, float *y, const clipnn_tokens *p, const int32_t *ids,
                            const clipnn_batch *n, int C);
void clipnn_token_embedding_backward(const clipk_ctx *k, const clipnn_tokens *p, const float *dy, const int32_t *ids,
                                     const clipnn_batch *n, int C);

#endif
