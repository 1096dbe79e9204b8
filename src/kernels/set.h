/* set.h: the table of one instruction set.
 *
 * Each set compiles simd_*.c with its own flags (meson.build) and fills a table. ref_*.c fill one
 * in plain C. list.h names the kernels and describes them. They are single-threaded and work on a
 * piece. The functions of kernels.h cut the pieces; src/index cuts the pieces of its searches. */
#ifndef CLIPK_SET_H
#define CLIPK_SET_H

#include "base/number.h"
#include "kernels/kernels.h"

#define CLIPK_ALIGN 64

/* Functions on rows or on single numbers: about how many numbers make a piece, and from how many on
 * threads share the work. Below that, waking them costs more than they save. */
#define CLIPK_PIECE 8192
#define CLIPK_FORK_FROM 32768

static inline clipb_team *clipk_team_for(const clipk_ctx *k, int64_t numbers)
{
    return numbers < CLIPK_FORK_FROM ? NULL : k->team;
}

/* Attention. KEYS: keys per block. COPY: numbers in a copy of keys or values. SCRATCH: bytes of
 * scratch per thread. */
#define CLIPK_ATTENTION_KEYS 1024
#define CLIPK_ATTENTION_COPY (40 * 1024)
#define CLIPK_ATTENTION_SCRATCH \
    (sizeof(float) * (32 * (CLIPK_ATTENTION_KEYS + CLIPK_ATTENTION_D) + 2 * CLIPK_ATTENTION_COPY))

/* Attention's backward. KEYS: keys per part. QUERIES: queries per group. ROWS: numbers in a copy of
 * rows. WEIGHTS: weights of a part and a group. */
#define CLIPK_ATTENTION_BACK_KEYS 256
#define CLIPK_ATTENTION_BACK_QUERIES 256
#define CLIPK_ATTENTION_BACK_ROWS (16 * 1024)
#define CLIPK_ATTENTION_BACK_WEIGHTS (24 * 1024)
#define CLIPK_ATTENTION_BACK_SCRATCH \
    (sizeof(float) * (4 * CLIPK_ATTENTION_BACK_ROWS + 2 * CLIPK_ATTENTION_BACK_WEIGHTS + 2 * 32 * CLIPK_ATTENTION_D))

/* One head of one sample. Pointers are at its first row and column. Query i sees the first min(nk,
 * sees + i) keys. */
typedef struct clipk_attention_piece {
    float *y, *lse; /* lse [nq], or NULL */
    const float *q, *k, *v;
    int64_t ldy, ldq, ldk, ldv;
    int nq, nk, sees, D;
    bool pairs;    /* products of bf16: the set has CLIPK_TILE_BF16_PAIRS, clipk_attention_pairs_fit() */
    void *scratch; /* CLIPK_ATTENTION_SCRATCH bytes, 64-byte aligned */
} clipk_attention_piece;

/* Do keys and values of a sample, as pairs of bf16, fit into the scratch? */
static inline bool clipk_attention_pairs_fit(int nk, int D)
{
    return (int64_t)(nk + 1) / 2 * D <= CLIPK_ATTENTION_COPY && (int64_t)nk * ((D + 1) / 2) <= CLIPK_ATTENTION_COPY;
}

/* The same, backward. */
typedef struct clipk_attention_back_piece {
    float *dq, *dk, *dv;
    const float *dy, *y, *lse, *q, *k, *v;
    int64_t lddq, lddk, lddv, lddy, ldy, ldq, ldk, ldv;
    int nq, nk, sees, D;
    void *scratch; /* CLIPK_ATTENTION_BACK_SCRATCH bytes, 64-byte aligned */
} clipk_attention_back_piece;

/* Row h of a picture's output. */
typedef struct clipk_depthwise_piece {
    float *y;             /* [Wo, C] */
    const float *x;       /* [H, W, C] */
    const float *w, *bias;
    int H, W, C, K, stride, Wo, h;
    clipk_act act;
} clipk_depthwise_piece;

/* A piece of a convolution: tiles t0 .. t1, channels o0 .. o1. A tile is CLIPK_CONV_TILE pixels
 * squared. Tiles are counted over all pictures, row by row. o0 is a multiple of nr. */
#define CLIPK_CONV_TILE 4
#define CLIPK_CONV_POINTS 36 /* products for each tile and pair of channels, (CLIPK_CONV_TILE + 2)^2; see simd_conv.c */
typedef struct clipk_conv3x3_piece {
    float *y;
    const float *x;
    int H, W, I, O, t0, t1, o0, o1;
    const void *panels;
    const clipk_epilogue *e; /* never NULL */
    float *scratch;          /* clipk_conv3x3_scratch() floats, 64-byte aligned */
} clipk_conv3x3_piece;

/* Floats for both operands of the products: a row for each tile and point, with channels padded to
 * a multiple of 32, and a cache line for each point. */
static inline size_t clipk_conv3x3_scratch(int tiles, int I, int o)
{
    return CLIPK_CONV_POINTS * ((size_t)tiles * (clipb_round_up(I, 32) + clipb_round_up(o, 32)) + 32);
}

/* Filters, read only. Tap t of (o, i) is p[o * os + i * is + t * ts]. */
typedef struct clipk_filters {
    const float *p;
    int64_t os, is, ts;
} clipk_filters;

/* The share of the tiles t0 .. t1 in the gradient of the filters o0 .. o1. The set chooses its
 * form. */
typedef struct clipk_conv3x3_back_piece {
    float *sums; /* [CLIPK_CONV_POINTS, o1 - o0, I padded to 16]; first: =, otherwise += */
    bool first;
    const float *dy, *x;
    int H, W, I, O, t0, t1, o0, o1;
    float *scratch; /* clipk_conv3x3_scratch() floats, 64-byte aligned */
} clipk_conv3x3_back_piece;

/* A part of a batch norm's backward: `rows` rows, all columns. Arrays are [C] or [rows, C]. y and
 * dz may be NULL. */
typedef struct clipk_batchnorm_piece {
    clipk_batchnorm b;
    float *dx, *dz;
    const float *dy, *x, *y;
    int rows, C;
    clipk_act act;
    float *sum_dz, *sum_dzx;             /* sums over the rows of dz and of dz (x - mean) */
    const float *scale, *offset, *slope; /* dx = scale dz - offset - slope (x - mean) */
} clipk_batchnorm_piece;

/* Neighbours along k that belong together: a group, or a block that is rotated. A block is as large
 * as may be without filling up more than a 16th with zeros. */
static inline int clipk_together(const clipk_format *f, int K)
{
    int block = f->rotates ? f->rotates : f->group;
    while (f->rotates && block > 16 && clipb_round_up(K, block) > K + K / 16)
        block /= 2;
    return block;
}

/* Groups along k, and the numbers in them, with the zeros that fill up the last. */
static inline int clipk_panel_depth(const clipk_format *f, int K)
{
    return clipb_round_up(K, clipk_together(f, K));
}
static inline int clipk_groups(const clipk_format *f, int K) { return clipk_panel_depth(f, K) / f->group; }

typedef struct clipk_range {
    const char *p, *end;
} clipk_range;

/* A block of a matrix product: some rows of x times up to kc numbers of one panel of W. The
 * epilogue (clipk_epilogue) follows the last block of k. Pointers are at the block's own corner. */
typedef struct clipk_gemm_block {
    const float *x; /* [rows, K]; K counts groups, and a group of x has 4 bytes in every form */
    int64_t ldx;    /* in groups; 0: x is packed */
    const float *x_scale; /* [rows], if x is quantised, */
    const float *scale;   /* [nr] and the scales of W, */
    const int32_t *start; /* [nr] and where integer sums begin: -128 times the sum of W's row, if x is CLIPK_X_U8 */
    const void *w;  /* [K][nr] groups */
    clipk_tile tile;
    float *wide;    /* room for [K][nr], 64-byte aligned; used by the tiles of f16 and bf16 */
    int rows, n, K; /* n <= nr columns are stored */
    bool first, last;
    float *sum;     /* [rows][nr]: the sum of the blocks so far; unused if one block is both first and last */
    void *y;         /* bf16 if it rounds, else f32 */
    int64_t ldy;
    bool rounds;
    const float *bias, *residual;
    float *pre;
    int64_t ld_residual, ld_pre;
    clipk_act act;
    clipk_range next[2]; /* memory to fetch on the way, needed after this block */
} clipk_gemm_block;

struct clipk_set {
    const char *name;
    int mr, nr; /* the product's tile: up to mr rows of x by nr columns (rows of W) */
    int kc;     /* k per block: so much of a panel stays in the innermost cache */

#define KERNEL(type, name, parameters) type(*name) parameters;
#include "kernels/list.h"
};

/* scan: the padded length of a query's row, and the largest D */
static inline int clipk_scan_padded(int D) { return clipb_round_up(D, 64); }
#define CLIPK_SCAN_D (16 * 1024)

extern const clipk_set clipk_set_ref, clipk_set_generic;
#if defined(__x86_64__)
extern const clipk_set clipk_set_avx2, clipk_set_avx512;
#elif defined(__aarch64__)
extern const clipk_set clipk_set_neon;
#endif

/* pack.c: numbers k .. k + K of a panel of W; and, behind the panels of weights in 8 bits, the
 * scales and starts of a panel, and T. */
void clipk_pack_block(const clipk_set *set, void *to, const clipk_weight *w, clipk_view W, int panel, int k, int K);
char *clipk_scales_of(const clipk_set *set, const clipk_weight *w, int panel);
float *clipk_smoothing_of(const clipk_set *set, const clipk_weight *w);

static inline size_t clipk_panel_bytes(const clipk_set *set, const clipk_format *f, int K)
{
    return (size_t)set->nr * clipk_panel_depth(f, K) * f->bytes;
}

/* gemm.c: bytes of scratch per thread, a multiple of CLIPK_ALIGN. Behind those of all threads are
 * CLIPK_GEMM_FORMED bytes per thread that they share: rows of x in another form. */
#define CLIPK_GEMM_FORMED ((size_t)1 << 20)
size_t clipk_gemm_scratch(const clipk_set *set);

/* cpu.c */
bool clipk_cpu_has_avx2(void);   /* AVX2, FMA and F16C; the operating system saves their registers */
bool clipk_cpu_has_avx512(void); /* AVX-512 F, BW, DQ, VL, likewise */
bool clipk_cpu_has_avx512_bf16(void); /* the same with products of bf16, */
bool clipk_cpu_has_avx512_vnni(void); /* or with products of bytes */
bool clipk_cpu_has_avx_vnni(void);    /* AVX2, likewise */
bool clipk_cpu_has_arm_bf16(void);    /* NEON with products of bf16, */
bool clipk_cpu_has_dotprod(void);     /* or of bytes */

#endif
