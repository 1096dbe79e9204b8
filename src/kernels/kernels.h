/* kernels.h: the arithmetic that has to be fast.
 *
 * One table of functions an instruction set (clipk_set), all made from the same C files with GCC/Clang vector types
 * and picked at run time; `ref` is the plain-C oracle that the tests hold them against. Above the table stand the
 * functions that cut the work and share it among threads: threads exist only there.
 *
 * Every element of a result is a sum in a fixed order that depends on the reduced dimension alone: not on the other
 * dimensions, not on the tile it falls in, not on the number of threads.
 *
 * Matrices are row-major; `ld` is the distance between rows in elements. Shapes are the caller's promise: a wrong
 * one is an assert. Nothing here allocates: scratch comes with the context. */
#ifndef CLIPK_KERNELS_H
#define CLIPK_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/team.h"

typedef struct clipk_set clipk_set; /* set.h */

/* clipk_set_find(): the table called `name` ("avx512", "avx2", "neon", "generic", "ref"), or NULL where this build or
 * this machine lacks it; name NULL: the best one here. Tables are static. */
const clipk_set *clipk_set_find(const char *name);
const char *clipk_set_name(const clipk_set *set);

/* clipk_set_usable(): i = 0, 1, ...: the tables that run here, best first, then NULL. */
const clipk_set *clipk_set_usable(int i);

/* What every call gets: one per calling thread. */
typedef struct clipk_ctx {
    const clipk_set *set;
    clipb_team *team;       /* who shares the work; NULL: the caller alone */
    unsigned char *scratch; /* clipk_scratch_bytes() for the team's threads, 64-byte aligned */
} clipk_ctx;

static inline int clipk_threads(const clipk_ctx *k) { return clipb_team_threads(k->team); }

size_t clipk_scratch_bytes(const clipk_set *set, int threads);

/* ---- Types ---------------------------------------------------------------------------------------------- */

/* How numbers are stored. */
typedef enum clipk_type { CLIPK_F32, CLIPK_F16, CLIPK_BF16 } clipk_type;

static inline size_t clipk_type_size(clipk_type t) { return t == CLIPK_F32 ? 4 : 2; }

/* clipk_to_f32(): n numbers of any type as f32. Exact. */
void clipk_to_f32(const clipk_ctx *k, float *out, const void *in, clipk_type type, size_t n);

/* A matrix that is only read: element (r, c) is p[r * rs + c * cs], rs and cs in elements. A transposed view swaps them. */
typedef struct clipk_view {
    const void *p;
    clipk_type type;
    int64_t rs, cs;
} clipk_view;

/* clipk_cosine(): of the product of rows whose length is 1 but for rounding. */
static inline float clipk_cosine(float product) { return product > 1 ? 1 : product < -1 ? -1 : product; }
static inline clipk_view clipk_rows(const float *p, int64_t ld) { return (clipk_view){p, CLIPK_F32, ld, 1}; }

/* ---- Matrix product ------------------------------------------------------------------------------------- */

/* The tiles of a set, and the rows of clipk_formats. The first three are named after the type they store. */
typedef enum clipk_tile { CLIPK_TILE_F32, CLIPK_TILE_F16, CLIPK_TILE_BF16, CLIPK_TILE_BF16_PAIRS, CLIPK_TILES } clipk_tile;

/* What a tile wants the rows of x to be. CLIPK_X_F32: f32, read in place where the rows are dense.
 * Any other form is made when a thread copies rows of x into its scratch. */
typedef enum clipk_x_form { CLIPK_X_F32, CLIPK_X_BF16 } clipk_x_form;

/* How a weight is stored, packed and multiplied. docs/extending.md says how to add one. */
typedef struct clipk_format {
    const char *name;      /* of the stored numbers and how they are grouped */
    const char *precision; /* of its products, as people ask for it: "f32", "bf16" */
    const char *needs;     /* the instructions that not every processor has; NULL: none */
    clipk_tile tile;       /* which packing and which tile of a set */
    clipk_type type;       /* of a view whose numbers the panels hold unchanged */
    int bytes;             /* of a number in the panels */
    int group;             /* neighbours along k that the tile takes together; the last group is filled with zeros */
    int scales;            /* f32 numbers for each row of W, behind the panels, which the epilogue reads; 0: none */
    clipk_x_form x;
} clipk_format;

extern const clipk_format clipk_formats[CLIPK_TILES];
#define CLIPK_FORMAT_F32 (&clipk_formats[CLIPK_TILE_F32])

/* clipk_format_find(): the first format with this precision, or NULL: none has it. */
const clipk_format *clipk_format_find(const char *precision);

/* clipk_format_for(): the format of a weight whose numbers come as `type`. Where `wanted` computes in f32, the numbers
 * keep their type. */
const clipk_format *clipk_format_for(const clipk_format *wanted, clipk_type type);

/* clipk_set_has(): can this set multiply by weights of this format on this machine? */
bool clipk_set_has(const clipk_set *set, const clipk_format *format);

/* The right operand, packed for one set: W [N, K] as panels of the set's tile width. Panels of f16 and bf16 numbers
 * become f32 in the innermost cache as they are used.
 * CLIPK_TILE_BF16_PAIRS: W and x are rounded to bf16, to nearest even, and multiplied in pairs along k. Sums are f32.
 * Numbers below 2^-126 may count as 0. */
typedef struct clipk_weight {
    const clipk_format *format;
    int N, K;
    void *panels; /* clipk_weight_bytes(), 64-byte aligned */
} clipk_weight;

size_t clipk_weight_bytes(const clipk_set *set, const clipk_format *format, int N, int K);

/* clipk_weight_pack(): fill w->panels from W [N, K]. Numbers are converted to f32 exactly, and rounded to bf16 pairs.
 * A format that stores f16 or bf16 takes only views of its own type. Threads share the work. */
void clipk_weight_pack(const clipk_ctx *k, const clipk_weight *w, clipk_view W);

typedef enum clipk_act { CLIPK_LINEAR, CLIPK_RELU, CLIPK_GELU, CLIPK_QUICKGELU } clipk_act;

/* What happens to a product on its way out, while it is still in registers:
 *     z = x Wᵀ + bias + residual;  pre = z;  y = act(z)
 * gelu(z) = z Φ(z), by erf as PyTorch's nn.GELU();  quickgelu(z) = z / (1 + exp(-1.702 z)). */
typedef struct clipk_epilogue {
    const float *bias;     /* [N], or NULL */
    const float *residual; /* [M, N], or NULL; may be y itself: y += ... */
    int64_t ld_residual;
    float *pre;            /* [M, N]: keeps z for the activation's backward; NULL in inference */
    int64_t ld_pre;
    clipk_act act;
} clipk_epilogue;

/* clipk_gemm(): y = act(x Wᵀ + bias + residual)      x [M, K] f32, any strides (other forms of x: dense rows)   W [N, K] packed   y [M, N]
 * e may be NULL. y must not overlap x. */
void clipk_gemm(const clipk_ctx *k, float *y, int64_t ldy, clipk_view x, int M, const clipk_weight *W,
                const clipk_epilogue *e);

/* clipk_act_apply(): y = act(x), n numbers; y may be x. */
void clipk_act_apply(const clipk_ctx *k, float *y, const float *x, size_t n, clipk_act act);

/* ---- Attention ------------------------------------------------------------------------------------------ */

#define CLIPK_ATTENTION_D 256 /* the largest D */

/* One head reads columns h*D .. h*D+D of q, k and v and writes those of y. A batch is ragged: sample b has the query
 * rows q_off[b] .. q_off[b+1] and the key rows k_off[b] .. k_off[b+1]. */
typedef struct clipk_attention_shape {
    int B, H, D;
    const int32_t *q_off, *k_off; /* [B+1], ascending from 0 */
    bool causal;                  /* query i of n sees the keys j <= i + (keys - n): the last query sees all */
} clipk_attention_shape;

/* clipk_attention(): y = softmax(q kᵀ / sqrt(D)) v      Vaswani et al. 2017, arXiv:1706.03762, 3.2.1
 * y [Tq, H*D]  q [Tq, H*D]  k, v [Tk, H*D], rows ld apart
 * lse  out  [H, Tq] log of the sum of exponentials of each row of scores, for backward; NULL in inference */
void clipk_attention(const clipk_ctx *kc, float *y, int64_t ldy, float *lse, const float *q, int64_t ldq,
                     const float *k, int64_t ldk, const float *v, int64_t ldv, const clipk_attention_shape *s);

/* ---- Norms ---------------------------------------------------------------------------------------------- */

/* clipk_layernorm(): y = (x - mean) / sqrt(var + eps) * gain + bias, a row at a time.     x, y [T, C], dense
 * rows  in   [T]: row t of y is made from row rows[t] of x (only what is read); NULL: row t
 * mean, rstd out [T], for backward; NULL in inference.   y may be x where rows is NULL. */
void clipk_layernorm(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x, const int32_t *rows,
                     const float *gain, const float *bias, float eps, int T, int C);

/* clipk_l2norm(): each row of x [T, C] to unit length, in place; norm out [T] (NULL in inference): its length, at least 1e-12. */
void clipk_l2norm(const clipk_ctx *k, float *x, float *norm, int T, int C);

/* clipk_softmax(): each row of x [T, C] becomes softmax(scale * row), in place. */
void clipk_softmax(const clipk_ctx *k, float *x, float scale, int T, int C);

/* ---- Convolution (ResNet), pictures as [N, H, W, C] ------------------------------------------------------ */

/* A 3x3 convolution, stride 1, zero padding 1, packed for one set. W comes as OpenCLIP stores it, [O, I, 3, 3] dense. */
typedef struct clipk_conv3x3_weight {
    int O, I;
    void *panels; /* clipk_conv3x3_bytes(), 64-byte aligned */
} clipk_conv3x3_weight;

size_t clipk_conv3x3_bytes(const clipk_set *set, int O, int I);
void clipk_conv3x3_pack(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W);

/* clipk_conv3x3(): y = act(conv3x3(x, W) + bias + residual)     x [N, H, W, I]  y [N, H, W, O], dense
 * e  in  as for clipk_gemm(), rows being pixels
 * work  scratch of clipk_conv3x3_work() bytes, 64-byte aligned; the caller's arena */
size_t clipk_conv3x3_work(const clipk_ctx *k, int N, int H, int W, int I, int O);
void clipk_conv3x3(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, const clipk_conv3x3_weight *w,
                   const clipk_epilogue *e, void *work);

/* clipk_im2col(): the patches of pictures x [N, C, H, W] as rows: y [N*Ho*Wo, C*kh*kw], column (c*kh + v)*kw + u as filters have it; zeros outside.
 * Ho = (H + 2 pad - kh)/stride + 1 */
void clipk_im2col(const clipk_ctx *k, float *y, const float *x, int N, int C, int H, int W, int kh, int kw, int stride,
                  int pad);

/* clipk_avgpool2x2(): y[n,i,j,c] = mean of the 2x2 block of x, odd edges dropped.     x [N, H, W, C]  y [N, H/2, W/2, C] */
void clipk_avgpool2x2(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C);

/* ---- Backward -------------------------------------------------------------------------------------------
 * The gradient of what goes in is written (dx), that of a parameter is added to what is there (dgain += ..). Sums over rows are made of fixed
 * parts in a fixed order, so that they do not depend on the threads either; `work` is room for the parts: clipk_sums_work() bytes,
 * 64-byte aligned, the caller's arena. A parameter's pointer may be NULL: nobody wants it. */

size_t clipk_sums_work(int T, int C);

/* clipk_sum_rows(): out[c] += sum over t of x[t, c]     x [T, C], rows ldx apart */
void clipk_sum_rows(const clipk_ctx *k, float *out, const float *x, int64_t ldx, int T, int C, void *work);

/* clipk_sum_squares(): the sum of x[i]^2, n numbers, in double; its parts have a fixed size. */
double clipk_sum_squares(const clipk_ctx *k, const float *x, size_t n);

/* clipk_act_backward(): dx = dy act'(pre); y = act(pre) on the way (NULL: not wanted). n numbers; dx may be dy, y may be pre. */
void clipk_act_backward(const clipk_ctx *k, float *dx, float *y, const float *dy, const float *pre, size_t n,
                        clipk_act act);

/* clipk_layernorm_backward(): with xh = (x - mean) rstd and h = dy gain
 *     dx = residual + rstd (h - mean over c of h - xh mean over c of (h xh));   dgain += sum over t of dy xh;   dbias += sum over t of dy
 * x, dy, dx [T, C];  mean, rstd [T] as forward left them;  residual [T, C] or NULL; dx may be residual or dy */
void clipk_layernorm_backward(const clipk_ctx *k, float *dx, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *mean, const float *rstd, const float *gain,
                              const float *residual, int T, int C, void *work);

/* clipk_l2norm_backward(): dx = (dy - y (y . dy)) / norm     y [T, C] unit rows, norm [T] as forward left them; dx may be dy */
void clipk_l2norm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *y, const float *norm, int T,
                           int C);

/* clipk_attention_backward(): with P = exp(scale q kᵀ - lse) where seen, dP = dy vᵀ, delta = sum over d of y dy, dS = P (dP - delta)
 *     dv = Pᵀ dy;   dq = scale dS k;   dk = scale dSᵀ q              (Dao et al. 2022, arXiv:2205.14135, appendix B.2)
 * y, lse as forward left them; shapes as there. What is written overlaps nothing that is read; a key that no query sees gets 0. */
void clipk_attention_backward(const clipk_ctx *kc, float *dq, int64_t lddq, float *dk, int64_t lddk, float *dv,
                              int64_t lddv, const float *dy, int64_t lddy, const float *y, int64_t ldy,
                              const float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                              const float *v, int64_t ldv, const clipk_attention_shape *s);

/* ---- Backward of convolutions, and batch norm; pictures as [N, H, W, C] ---------------------------------------- */

/* clipk_conv3x3_pack_back(): the filters by which dx is a convolution of dy: those of forward, W [w->I, w->O, 3, 3], turned by half a turn and with
 * their channels exchanged. w has forward's O as I and its I as O. */
void clipk_conv3x3_pack_back(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W);

/* clipk_conv3x3_filters(): dW[o,i,v,u] += sum over n, h, w of dy[n,h,w,o] x[n,h+v-1,w+u-1,i]     x [N, H, W, I]  dy [N, H, W, O]  dW [O, I, 3, 3]
 * work  scratch of clipk_conv3x3_filters_work() bytes, 64-byte aligned */
size_t clipk_conv3x3_filters_work(const clipk_ctx *k, int N, int H, int W, int I, int O);
void clipk_conv3x3_filters(const clipk_ctx *k, float *dW, const float *dy, const float *x, int N, int H, int W, int I,
                           int O, void *work);

/* clipk_avgpool2x2_backward(): dx[n,h,w,c] = dy[n,h/2,w/2,c] / 4, and 0 at odd edges.     dx [N, H, W, C]  dy [N, H/2, W/2, C] */
void clipk_avgpool2x2_backward(const clipk_ctx *k, float *dx, const float *dy, int N, int H, int W, int C);

/* Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167): xh = (x - mean) rstd, by column. All [C]. */
typedef struct clipk_batchnorm {
    const float *mean, *rstd, *gain, *bias;
} clipk_batchnorm;

size_t clipk_batchnorm_work(int T, int C); /* bytes, for both below */

/* clipk_batchnorm_stats(): mean[c], and var[c] = mean over t of (x[t,c] - mean[c])^2     x [T, C], dense */
void clipk_batchnorm_stats(const clipk_ctx *k, float *mean, float *var, const float *x, int T, int C, void *work);

/* clipk_batchnorm_forward(): y = act(xh gain + bias + residual)     act LINEAR or RELU; residual may be NULL; y may be x or residual */
void clipk_batchnorm_forward(const clipk_ctx *k, float *y, const float *x, const clipk_batchnorm *b,
                             const float *residual, clipk_act act, int T, int C);

/* clipk_batchnorm_backward(): with dz = dy where y > 0 (RELU), dy (LINEAR)
 *     dgain += sum over t of dz xh;   dbias += sum over t of dz;   dx = gain rstd (dz - mean over t of dz - xh mean over t of (dz xh))
 * y       in   what forward made, where it added a residual and act is RELU; else NULL, and its sign is computed again
 * dz      out  [T, C] the gradient of the residual; may be dy; NULL: not wanted
 * frozen  in   mean and rstd do not depend on x: dx = gain rstd dz
 * dx may be dy, where dz is not. */
void clipk_batchnorm_backward(const clipk_ctx *k, float *dx, float *dz, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *y, const clipk_batchnorm *b, clipk_act act, bool frozen,
                              int T, int C, void *work);

/* ---- The optimizer's step ---------------------------------------------------------------------------------- */

typedef struct clipk_adamw_step {
    double lr, beta1, beta2, eps, weight_decay; /* double: 1 - 0.999f is 1e-5 off */
    double scale;                    /* of the gradient: clipping by its norm */
    double correction1, correction2; /* 1 - beta^t */
} clipk_adamw_step;

/* clipk_adamw(): one step of AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) on n numbers, in PyTorch's order of operations:
 *     w -= lr weight_decay w;   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
 *     w -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps) */
void clipk_adamw(const clipk_ctx *k, float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s);

/* ---- Measuring ------------------------------------------------------------------------------------------ */

/* clipk_fma_peak(): GFLOP/s of independent multiply-adds on all threads, over about `seconds`. They are of the kind
 * that products with weights of this format use. */
double clipk_fma_peak(const clipk_ctx *k, const clipk_format *format, double seconds);

#endif
