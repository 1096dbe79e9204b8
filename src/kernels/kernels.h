/* kernels.h: the arithmetic that has to be fast.
 *
 * Each instruction set has a table of functions (clipk_set). All tables are compiled from the same
 * C files, with GCC's and Clang's vector types, and one is picked at run time. `ref` is the oracle
 * in plain C that the tests compare the others with. The functions in this header cut the work into
 * pieces and share them among threads. Threads are used nowhere below.
 *
 * Every element of a result is a sum in a fixed order. The order depends only on the length of the
 * sum, not on other dimensions, on tiles or on the number of threads.
 *
 * Matrices are row-major. `ld` is the distance between rows, in elements. Wrong shapes are asserts.
 * Nothing here allocates: scratch comes with the context.
 *
 * Includes go one way: kernels.h (for all rooms), set.h (the tables, with their fields from
 * list.h), simd.h (the names of one set), vec.h (its vectors), then vecmath.h and tile.h, then
 * winograd.h. Besides these, a kernel includes only src/base.
 *
 * src/index includes set.h as well. It cuts searches into pieces itself, and calls the kernels of
 * simd_scan.c, simd_rotate.c and simd_convert.c through the table. */
#ifndef CLIPK_KERNELS_H
#define CLIPK_KERNELS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/team.h"

typedef struct clipk_set clipk_set; /* set.h */

/* clipk_set_find(): the table called `name`: "avx512", "avx2", "neon", "generic" or "ref".
 * name  in   NULL: the best one here
 * @return: a static table, or NULL if this build or this machine lacks it. */
const clipk_set *clipk_set_find(const char *name);
const char *clipk_set_name(const clipk_set *set);

/* clipk_set_usable(): the i-th table that runs here, best first. NULL after the last. */
const clipk_set *clipk_set_usable(int i);

/* Passed to every call. Each calling thread has its own. */
typedef struct clipk_ctx {
    const clipk_set *set;
    clipb_team *team;       /* shares the work; NULL: the caller works alone */
    unsigned char *scratch; /* clipk_scratch_bytes() of them, 64-byte aligned */
} clipk_ctx;

static inline int clipk_threads(const clipk_ctx *k) { return clipb_team_threads(k->team); }

size_t clipk_scratch_bytes(const clipk_set *set, int threads);

/* ---- Types ----------------------------------------------------------------------------------- */

/* How numbers are stored. */
typedef enum clipk_type { CLIPK_F32, CLIPK_F16, CLIPK_BF16 } clipk_type;

static inline size_t clipk_type_size(clipk_type t)
{
    switch (t) {
    case CLIPK_F32: return 4;
    case CLIPK_F16:
    case CLIPK_BF16: return 2;
    }
    assert(!"unknown type");
    return 0;
}

/* clipk_to_f32(): n numbers of any type as f32. Exact. */
void clipk_to_f32(const clipk_ctx *k, float *out, const void *in, clipk_type type, size_t n);

/* A matrix that is only read. Element (r, c) is p[r * rs + c * cs]. Swap rs and cs to
 * transpose. */
typedef struct clipk_view {
    const void *p;
    clipk_type type;
    int64_t rs, cs;
} clipk_view;

/* clipk_cosine(): the product of two unit rows, without the excess that rounding leaves. */
static inline float clipk_cosine(float product) { return product > 1 ? 1 : product < -1 ? -1 : product; }
static inline clipk_view clipk_rows(const float *p, int64_t ld) { return (clipk_view){p, CLIPK_F32, ld, 1}; }

/* ---- Matrix product -------------------------------------------------------------------------- */

/* The tiles of a set, and the rows of clipk_formats. The first three are named after the type they
 * store. */
typedef enum clipk_tile {
    CLIPK_TILE_F32,
    CLIPK_TILE_F16,
    CLIPK_TILE_BF16,
    CLIPK_TILE_BF16_PAIRS,
    CLIPK_TILE_I8_QUADS,
    CLIPK_TILE_I8_SIGNED,
    CLIPK_TILE_I8_PAIRS,
    CLIPK_TILES
} clipk_tile;

/* The form of x that a tile reads. CLIPK_X_F32: f32, read in place where the rows are dense. Rows
 * in another form are made once for each product. CLIPK_X_U8 and _I16: the same integers q of
 * -127 .. 127, as bytes q + 128 or as 16-bit numbers. CLIPK_X_I8: bytes q. */
typedef enum clipk_x_form { CLIPK_X_F32, CLIPK_X_BF16, CLIPK_X_U8, CLIPK_X_I8, CLIPK_X_I16 } clipk_x_form;

/* How a weight is stored, packed and multiplied. docs/extending.md says how to add one. */
typedef struct clipk_format {
    const char *name;      /* the stored numbers and their grouping */
    const char *precision; /* of its products, as users ask for it: "f32", "bf16", "int8" */
    const char *needs;     /* instructions that some processors lack; NULL: none */
    clipk_tile tile;       /* which packing and which tile of a set */
    clipk_type type;       /* numbers of this type are packed unchanged */
    int bytes;             /* of a number in the panels */
    int group;             /* neighbours along k that the tile takes together; zeros fill the last group */
    int rotates;           /* x and W are quantised, rotated in blocks of at most so many along k; 0: not */
    clipk_x_form x;
} clipk_format;

extern const clipk_format clipk_formats[CLIPK_TILES];
#define CLIPK_ROTATES 256 /* formats' rotates */
#define CLIPK_FORMAT_F32 (&clipk_formats[CLIPK_TILE_F32])

/* clipk_format_find(): the format with this precision that is best for `set`. set NULL: the first.
 * @return: NULL if there is none. */
const clipk_format *clipk_format_find(const char *precision, const clipk_set *set);

/* clipk_format_for(): the format for a weight of K columns whose numbers come as `type`. If
 * `wanted` computes in f32, or K is more than its rows of x may have, the numbers keep their
 * type. */
const clipk_format *clipk_format_for(const clipk_format *wanted, clipk_type type, int K);
#define CLIPK_FORMED_K 65536 /* sums of 127 * 255 stay below 2^31, and a row fits into the scratch */

/* clipk_set_has(): can this set use weights of this format on this machine? */
bool clipk_set_has(const clipk_set *set, const clipk_format *format);

/* The right operand of a product: W [N, K], packed for one set as panels of its tile width; or as a
 * view, of which each thread packs a block at a time into its scratch while it is used. Both give
 * the same bits. A view needs no memory, and costs a packing for every 240 rows of x or fewer.
 * Panels of f16 and bf16 numbers become f32 in the innermost cache as they are used.
 * CLIPK_TILE_BF16_PAIRS: W and x are rounded to bf16, to nearest even, and multiplied in pairs
 * along k. Sums are f32. Numbers below 2^-126 may count as 0.
 * CLIPK_TILE_I8_*: rows of W and of x are quantised to 8 bits, each with a scale of its own:
 *
 *     x Wᵀ = (x T H) (W T⁻¹ H)ᵀ / B ≈ scale_x scale_W q_x q_Wᵀ
 *
 * T is diagonal, T_k² = the mean of |W_k| over the mean of all |W| (SmoothQuant, Xiao et al. 2023,
 * arXiv:2211.10438, from the weights alone), with fixed signs. H is a Hadamard matrix of B x B for
 * every B numbers along k that are 16 apart, B at most 16. It shares large numbers out among the
 * others (QuaRot, Ashkboos et al. 2024, arXiv:2404.00456). The integers, and their sums, are the
 * same in every set. */
typedef struct clipk_weight {
    const clipk_format *format;
    int N, K;
    void *panels; /* clipk_weight_bytes(), 64-byte aligned; NULL: not packed */
    clipk_view W; /* read if it is not packed. A format that stores f16 or bf16 takes only its own type */
    /* Not packed, in two pieces: where row `split` and those after it stand. split is a multiple of
     * clipk_panel_rows(). NULL: W is in one piece */
    const void *rest;
    int split;
} clipk_weight;

size_t clipk_weight_bytes(const clipk_set *set, const clipk_format *format, int N, int K);
int clipk_panel_rows(const clipk_set *set);

/* clipk_weight_pack(): fill w->panels from W [N, K]. Conversions to f32 are exact. bf16 pairs are
 * rounded. A format that stores f16 or bf16 takes only views of its own type. */
void clipk_weight_pack(const clipk_ctx *k, const clipk_weight *w, clipk_view W);

/* What clipk_weight_pack() makes of W in 8 bits, in the order of W. The same in every set:
 *     W = diag(scale) q H diag(t)        H: see above; of its columns the first K */
typedef struct clipk_quantised {
    const int8_t *q;    /* [N, clipk_quantised_depth(K)] */
    const float *scale; /* [N] */
    const float *t;     /* [K] T, with its signs */
} clipk_quantised;

/* clipk_quantised_depth(): K, filled up to whole blocks of the rotation.
 * clipk_weight_pack_quantised(): fill w->panels. All formats of 8 bits take it.
 * clipk_weight_unpack(): the integers of w->panels. A row of zeros has scale 1. */
int clipk_quantised_depth(int K);
void clipk_weight_pack_quantised(const clipk_ctx *k, const clipk_weight *w, const clipk_quantised *from);
void clipk_weight_unpack(const clipk_set *set, const clipk_weight *w, int8_t *q, float *scale, float *t);

typedef enum clipk_act { CLIPK_LINEAR, CLIPK_RELU, CLIPK_GELU, CLIPK_QUICKGELU, CLIPK_GELU_TANH, CLIPK_TANH } clipk_act;

/* Applied to a product while it is still in registers:
 *     z = x Wᵀ + bias + residual;  pre = z;  y = act(z)
 * gelu(z) = z Φ(z), by erf as in PyTorch's nn.GELU();  quickgelu(z) = z / (1 + exp(-1.702 z));
 * gelu_tanh(z) = z (1 + tanh(sqrt(2/π) (z + 0.044715 z³))) / 2, nn.GELU(approximate="tanh");
 * tanh(z). */
typedef struct clipk_epilogue {
    const float *bias;     /* [N], or NULL */
    const float *residual; /* [M, N], or NULL; may be y itself: y += ... */
    int64_t ld_residual;
    float *pre;            /* [M, N]: keeps z for the activation's backward; NULL in inference */
    int64_t ld_pre;
    clipk_act act;
    bool rounds;           /* y is bf16, rounded to nearest even: for a product that would round it as well */
} clipk_epilogue;

/* clipk_gemm(): y = act(x Wᵀ + bias + residual)      W [N, K] packed   y [M, N], not overlapping x
 * y  out  f32, or bf16 if e->rounds; ldy counts its numbers
 * x  in   [M, K] f32, any strides, but dense rows where the format rotates; or, for bf16 pairs,
 * bf16
 *         in dense rows, K and their stride even
 * e  in   may be NULL */
void clipk_gemm(const clipk_ctx *k, void *y, int64_t ldy, clipk_view x, int M, const clipk_weight *W,
                const clipk_epilogue *e);

/* clipk_act_apply(): y = act(x), n numbers; y may be x. */
void clipk_act_apply(const clipk_ctx *k, float *y, const float *x, size_t n, clipk_act act);

/* ---- Attention ------------------------------------------------------------------------------- */

#define CLIPK_ATTENTION_D 256 /* the largest D */

/* Head h reads the columns h*D .. h*D+D of q, k and v, and writes these columns of y. A batch is
 * ragged: sample b has the query rows q_off[b] .. q_off[b+1] and the key rows k_off[b] ..
 * k_off[b+1]. */
typedef struct clipk_attention_shape {
    int B, H, D;
    const int32_t *q_off, *k_off; /* [B+1], ascending from 0 */
    const int32_t *k_end;         /* [B] rows of a sample from k_end[b] on are no keys; NULL: all are. Forward only */
    bool causal;                  /* query i of n sees the keys j <= i + (keys - n): the last query sees all */
    const clipk_format *format;   /* of the layers around it; NULL: f32. See below */
} clipk_attention_shape;

/* clipk_attention(): y = softmax(q kᵀ / sqrt(D)) v      Vaswani et al. 2017, arXiv:1706.03762,
 *     3.2.1
 * y [Tq, H*D]  q [Tq, H*D]  k, v [Tk, H*D], rows ld apart
 * lse  out  [H, Tq] log of the sum of exponentials of each row of scores, for backward; NULL in
 *           inference
 * Where the format does not compute in f32, the set has CLIPK_TILE_BF16_PAIRS, lse is NULL and a
 * sample has 16 queries or more, and keys that fit the scratch (1280 of 64 numbers), q, k, v and
 * the weights are rounded to bf16. Sums are f32. */
void clipk_attention(const clipk_ctx *kc, float *y, int64_t ldy, float *lse, const float *q, int64_t ldq,
                     const float *k, int64_t ldk, const float *v, int64_t ldv, const clipk_attention_shape *s);

/* ---- Norms ----------------------------------------------------------------------------------- */

/* clipk_layernorm(): y = (x - mean) / sqrt(var + eps) * gain + bias, row by row      x, y [T, C]
 * y           out  may be x where rows is NULL
 * mean, rstd  out  [T], for backward; NULL in inference
 * rows        in   [T]: row t of y is made from row rows[t] of x; NULL: from row t */
void clipk_layernorm(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x, const int32_t *rows,
                     const float *gain, const float *bias, float eps, int T, int C);

/* clipk_l2norm(): scale each row of x [T, C] to unit length, in place.
 * norm  out  [T] the lengths, at least 1e-12; NULL in inference */
void clipk_l2norm(const clipk_ctx *k, float *x, float *norm, int T, int C);

/* clipk_softmax(): each row of x [T, C] becomes softmax(scale * row), in place. */
void clipk_softmax(const clipk_ctx *k, float *x, float scale, int T, int C);

/* clipk_rotate(): the numbers 2i and 2i + 1 of every head turn by an angle (Su et al. 2021,
 * arXiv:2104.09864). Of each `each` rows of x [T, H*D], the first `skip` stay.
 * angle  in  [each - skip, 2, D]: for the rows that turn, the cosines, then the sines, which are
 *            negative for the first number of a pair */
void clipk_rotate(const clipk_ctx *k, float *x, const float *angle, int each, int skip, int T, int H, int D);

/* clipk_swish_product(): y = g / (1 + exp(-g)) x, n numbers; y may be g or x. */
void clipk_swish_product(const clipk_ctx *k, float *y, const float *g, const float *x, size_t n);

/* ---- Convolution (ResNet), pictures as [N, H, W, C] ------------------------------------------ */

/* The filters of a 3x3 convolution with stride 1 and zero padding 1, packed for one set. Packing
 * reads W as OpenCLIP stores it, [O, I, 3, 3], dense. */
typedef struct clipk_conv3x3_weight {
    int O, I;
    void *panels; /* clipk_conv3x3_bytes(), 64-byte aligned */
} clipk_conv3x3_weight;

size_t clipk_conv3x3_bytes(const clipk_set *set, int O, int I);
void clipk_conv3x3_pack(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W);

/* clipk_conv3x3(): y = act(conv3x3(x, W) + bias + residual)   x [N, H, W, I]  y [N, H, W, O], dense
 * e     in   as for clipk_gemm(), a pixel being a row
 * work       scratch of clipk_conv3x3_work() bytes, 64-byte aligned */
size_t clipk_conv3x3_work(const clipk_ctx *k, int N, int H, int W, int I, int O);
void clipk_conv3x3(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, const clipk_conv3x3_weight *w,
                   const clipk_epilogue *e, void *work);

/* clipk_im2col(): the patches of x [N, C, H, W] as rows of y [N*Ho*Wo, C*kh*kw]. Column
 * (c*kh + v)*kw + u has the order of the filters. Pixels outside are 0.
 * Ho = (H + 2 pad - kh)/stride + 1, Wo likewise */
void clipk_im2col(const clipk_ctx *k, float *y, const float *x, int N, int C, int H, int W, int kh, int kw, int stride,
                  int pad);

/* clipk_avgpool2x2(): y[n,i,j,c] = mean of a 2x2 block of x. An odd last row or column is dropped.
 * x [N, H, W, C]  y [N, H/2, W/2, C] */
void clipk_avgpool2x2(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C);

/* ---- Depthwise convolution (ConvNeXt, FastViT), pictures as [N, H, W, C] --------------------- */

/* One filter for each channel, K x K, K odd, with zero padding K/2. */
typedef struct clipk_depthwise_weight {
    int K, stride;
    const float *w;    /* [K*K, C] */
    const float *bias; /* [C] */
} clipk_depthwise_weight;

/* clipk_depthwise(): y[n,i,j,c] = act(bias[c] + sum over v, u of w[v,u,c] x[n, i s + v - K/2,
 * j s + u - K/2, c]), s the stride. y [N, Ho, Wo, C], Ho = (H - 1)/s + 1, Wo likewise; not x */
void clipk_depthwise(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C,
                     const clipk_depthwise_weight *w, clipk_act act);

/* clipk_columns(): the patches of x [N, H, W, C] as rows of y [N*Ho*Wo, K*K*C]. Column
 * (v*K + u)*C + c. Pixels outside are 0. Ho = (H + 2 pad - K)/stride + 1, Wo likewise */
void clipk_columns(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C, int K, int stride,
                   int pad);

/* ---- Backward -------------------------------------------------------------------------------- */

/* The gradient of an input is written (dx). The gradient of a parameter is added (dgain += ..), and
 * its pointer may be NULL if it is not wanted. Sums over rows are made of fixed parts in a fixed
 * order, so they do not depend on the number of threads. `work` holds the parts: clipk_sums_work()
 * bytes, 64-byte aligned. */

size_t clipk_sums_work(int T, int C);

/* clipk_sum_rows(): out[c] += sum over t of x[t, c]     x [T, C], rows ldx apart */
void clipk_sum_rows(const clipk_ctx *k, float *out, const float *x, int64_t ldx, int T, int C, void *work);

/* clipk_sum_squares(): the sum of x[i]^2 over n numbers, in double. */
double clipk_sum_squares(const clipk_ctx *k, const float *x, size_t n);

/* clipk_act_backward(): dx = dy act'(pre), n numbers.
 * dx  out  may be dy
 * y   out  act(pre), computed on the way; may be pre; NULL: not wanted */
void clipk_act_backward(const clipk_ctx *k, float *dx, float *y, const float *dy, const float *pre, size_t n,
                        clipk_act act);

/* clipk_layernorm_backward(): with xh = (x - mean) rstd and h = dy gain
 *     dx = residual + rstd (h - mean over c of h - xh mean over c of (h xh))
 *     dgain += sum over t of dy xh;   dbias += sum over t of dy
 * x, dy, dx [T, C];  mean, rstd [T] as forward left them;  residual [T, C] or NULL
 * dx may be residual or dy. */
void clipk_layernorm_backward(const clipk_ctx *k, float *dx, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *mean, const float *rstd, const float *gain,
                              const float *residual, int T, int C, void *work);

/* clipk_l2norm_backward(): dx = (dy - y (y . dy)) / norm      y [T, C] unit rows
 * norm [T] as forward left it. dx may be dy. */
void clipk_l2norm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *y, const float *norm, int T,
                           int C);

/* clipk_attention_backward(): Dao et al. 2022, arXiv:2205.14135, appendix B.2. With
 *     P = exp(scale q kᵀ - lse) where the query sees the key, else 0
 *     dP = dy vᵀ,  delta = sum over d of y dy,  dS = P (dP - delta)
 * it computes
 *     dv = Pᵀ dy;   dq = scale dS k;   dk = scale dSᵀ q
 * y and lse are forward's. Outputs must not overlap inputs. A key that no query sees gets 0. */
void clipk_attention_backward(const clipk_ctx *kc, float *dq, int64_t lddq, float *dk, int64_t lddk, float *dv,
                              int64_t lddv, const float *dy, int64_t lddy, const float *y, int64_t ldy,
                              const float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                              const float *v, int64_t ldv, const clipk_attention_shape *s);

/* ---- Backward of convolutions, and batch norm; pictures as [N, H, W, C] ---------------------- */

/* clipk_conv3x3_pack_back(): pack the filters that make dx from dy by a convolution. They are
 * forward's filters W [w->I, w->O, 3, 3], rotated by half a turn, with their channels exchanged.
 * w  out  w->I is forward's O, and w->O is forward's I */
void clipk_conv3x3_pack_back(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W);

/* clipk_conv3x3_filters(): dW[o,i,v,u] += sum over n, h, w of dy[n,h,w,o] x[n,h+v-1,w+u-1,i]
 * x [N, H, W, I]  dy [N, H, W, O]  dW [O, I, 3, 3]
 * work  scratch of clipk_conv3x3_filters_work() bytes, 64-byte aligned */
size_t clipk_conv3x3_filters_work(const clipk_ctx *k, int N, int H, int W, int I, int O);
void clipk_conv3x3_filters(const clipk_ctx *k, float *dW, const float *dy, const float *x, int N, int H, int W, int I,
                           int O, void *work);

/* clipk_avgpool2x2_backward(): dx[n,h,w,c] = dy[n,h/2,w/2,c] / 4, and 0 in an odd last row or
 * column.
 * dx [N, H, W, C]  dy [N, H/2, W/2, C] */
void clipk_avgpool2x2_backward(const clipk_ctx *k, float *dx, const float *dy, int N, int H, int W, int C);

/* Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167): xh = (x - mean) rstd, by column. All
 * [C]. */
typedef struct clipk_batchnorm {
    const float *mean, *rstd, *gain, *bias;
} clipk_batchnorm;

size_t clipk_batchnorm_work(int T, int C); /* bytes of work for stats and backward */

/* clipk_batchnorm_stats(): mean[c], and var[c] = mean over t of (x[t,c] - mean[c])^2     x [T, C],
 *     dense */
void clipk_batchnorm_stats(const clipk_ctx *k, float *mean, float *var, const float *x, int T, int C, void *work);

/* clipk_batchnorm_forward(): y = act(xh gain + bias + residual)      x, y [T, C]
 * y         out  may be x or residual
 * residual  in   may be NULL
 * act       in   CLIPK_LINEAR or CLIPK_RELU */
void clipk_batchnorm_forward(const clipk_ctx *k, float *y, const float *x, const clipk_batchnorm *b,
                             const float *residual, clipk_act act, int T, int C);

/* clipk_batchnorm_backward(): with dz = dy where y > 0 (RELU), dz = dy everywhere (LINEAR)
 *     dgain += sum over t of dz xh;   dbias += sum over t of dz
 *     dx = gain rstd (dz - mean over t of dz - xh mean over t of (dz xh))
 * dx      out  may be dy if dz is another array
 * dz      out  [T, C] the gradient of the residual; may be dy; NULL: not wanted
 * y       in   forward's output, needed if it added a residual and act is RELU; NULL: its sign is
 *              computed again
 * frozen  in   mean and rstd do not depend on x, so dx = gain rstd dz */
void clipk_batchnorm_backward(const clipk_ctx *k, float *dx, float *dz, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *y, const clipk_batchnorm *b, clipk_act act, bool frozen,
                              int T, int C, void *work);

/* ---- The optimizer's step -------------------------------------------------------------------- */

typedef struct clipk_adamw_step {
    double lr, beta1, beta2, eps, weight_decay; /* double: 1 - 0.999f is 1e-5 off */
    double scale;                    /* of the gradient: clipping by its norm */
    double correction1, correction2; /* 1 - beta^t */
} clipk_adamw_step;

/* clipk_adamw(): one step of AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) on n numbers, in
 * PyTorch's order of operations:
 *     w -= lr weight_decay w;   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
 *     w -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps) */
void clipk_adamw(const clipk_ctx *k, float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s);

/* ---- Measuring ------------------------------------------------------------------------------- */

/* clipk_fma_peak(): GFLOP/s of independent multiply-adds on all threads, measured for about
 * `seconds`, with the instruction that products of this format use. */
double clipk_fma_peak(const clipk_ctx *k, const clipk_format *format, double seconds);

#endif
