/* set.h: the table of one instruction set.
 *
 * Each set compiles simd_*.c with its own flags (meson.build) and fills a table. ref.c fills one in
 * plain C. The functions here are single-threaded and work on a piece. gemm.c, attention.c, rows.c
 * and conv.c cut the pieces. */
#ifndef CLIPK_SET_H
#define CLIPK_SET_H

#include "kernels/kernels.h"

#define CLIPK_ALIGN 64

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

/* One head of one sample. Pointers are at its first row and column. sees: as for `attention`
 * below. */
typedef struct clipk_attention_back_piece {
    float *dq, *dk, *dv;
    const float *dy, *y, *lse, *q, *k, *v;
    int64_t lddq, lddk, lddv, lddy, ldy, ldq, ldk, ldv;
    int nq, nk, sees, D;
    void *scratch; /* CLIPK_ATTENTION_BACK_SCRATCH bytes, 64-byte aligned */
} clipk_attention_back_piece;

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
    return (size_t)CLIPK_CONV_POINTS * ((size_t)tiles * (size_t)((I + 31) / 32 * 32 + (o + 31) / 32 * 32) + 32);
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

/* Groups along k, and the numbers in them. Zeros fill the last group. */
static inline int clipk_groups(const clipk_format *f, int K) { return (K + f->group - 1) / f->group; }
static inline int clipk_panel_depth(const clipk_format *f, int K) { return clipk_groups(f, K) * f->group; }

typedef struct clipk_range {
    const char *p, *end;
} clipk_range;

/* A block of a matrix product: some rows of x times up to kc numbers of one panel of W. The
 * epilogue (clipk_epilogue) follows the last block of k. Pointers are at the block's own corner. */
typedef struct clipk_gemm_block {
    const float *x; /* [rows, K]; K counts groups, and a group of x has 4 bytes in every form */
    int64_t ldx;    /* in groups; 0: x is packed */
    const void *w;  /* [K][nr] groups */
    clipk_tile tile;
    float *wide;    /* room for [K][nr], 64-byte aligned; used by the tiles of f16 and bf16 */
    int rows, n, K; /* n <= nr columns are stored */
    bool first, last;
    float *sum;     /* [rows][nr]: the sum of the blocks so far; unused if one block is both first and last */
    float *y;
    int64_t ldy;
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

    /* simd_gemm.c */
    /* n <= nr rows to [groups][nr][group] */
    void (*gemm_pack_w)(void *panel, const clipk_format *format, clipk_view W, int n, int K);
    /* K numbers of a row in x's form, then zeros up to `depth` */
    void (*gemm_form_x)(void *out, clipk_x_form form, const float *x, int K, int depth);
    /* rows * K numbers, in the order that gemm_block reads */
    void (*gemm_pack_x)(float *out, const float *x, int64_t rs, int64_t cs, int rows, int K);
    void (*gemm_block)(const clipk_gemm_block *b);
    /* n rounds of multiply-adds; returns the number of operations */
    double (*fma_rounds)(clipk_tile tile, int64_t n);

    /* simd_rows.c */
    void (*to_f32)(float *out, const void *in, clipk_type type, size_t n);
    void (*to_bf16)(uint16_t *out, const float *in, size_t n); /* to nearest even */
    void (*act)(float *y, const float *x, size_t n, clipk_act act);
    void (*layernorm)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias,
                      float eps, int C); /* one row */
    void (*l2norm)(float *x, float *norm, int C);        /* one row */
    void (*softmax)(float *x, float scale, int C);       /* one row */

    /* simd_rows_back.c. layernorm_backward and l2norm_backward take one row. dgain and dbias are
     * added to; both are NULL if neither is wanted. */
    void (*sum_rows)(float *out, const float *x, int64_t ldx, int T, int C); /* out += */
    double (*sum_squares)(const float *x, size_t n);
    void (*act_backward)(float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act);
    void (*layernorm_backward)(float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean,
                               float rstd, const float *gain, const float *residual, int C);
    void (*l2norm_backward)(float *dx, const float *dy, const float *y, float norm, int C);
    void (*adamw)(float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s);

    /* simd_attention.c: one head of one sample, nq queries against nk keys. Query i sees the first
     * min(nk, sees + i) keys. lse [nq] or NULL. scratch: CLIPK_ATTENTION_SCRATCH bytes, 64-byte
     * aligned. */
    void (*attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                      const float *v, int64_t ldv, int nq, int nk, int sees, int D, void *scratch);

    /* simd_attention_back.c */
    void (*attention_back)(const clipk_attention_back_piece *piece);

    /* simd_conv.c */
    size_t (*conv3x3_bytes)(int O, int I);
    /* filters o0 .. o1; o0 is a multiple of nr */
    void (*conv3x3_pack)(void *panels, clipk_filters W, int O, int I, int o0, int o1);
    void (*conv3x3)(const clipk_conv3x3_piece *piece);
    void (*avgpool2x2)(float *y, const float *x0, const float *x1, int W, int C); /* W pixels from two rows of 2W */

    /* simd_conv_back.c */
    void (*conv3x3_sums)(const clipk_conv3x3_back_piece *piece);
    /* dW [I, 9] of filter o += the sums of all parts; n: filters in the sums */
    void (*conv3x3_filters)(float *dW, const float *sums, int64_t part, int parts, int I, int n, int o);
    void (*avgpool2x2_backward)(float *x0, float *x1, const float *y, int W, int C);

    /* simd_batchnorm.c: [rows, C] */
    /* squares: sum of (x - mean)^2 */
    void (*batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C);
    void (*batchnorm)(float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act,
                      int rows, int C);
    void (*batchnorm_sums)(const clipk_batchnorm_piece *piece);
    void (*batchnorm_backward)(const clipk_batchnorm_piece *piece);

    /* simd_scan.c */
    void (*to_f16)(uint16_t *out, const float *in, size_t n); /* to nearest even */
    float (*dot_f16)(const float *q, const void *x, int D);   /* x [D] f16 at any address */
    void (*hadamard)(float *x, int P); /* x [P] times the orthogonal Hadamard matrix; P is a power of 2 */
    /* x -= (v . x) v; if |v|^2 = 2, the mirror image at the plane normal to v */
    void (*reflect)(double *x, const double *v, int D);
    /* dot[j, i] = q[j] . code[i]    code [rows, D] dense   q [Q, clipk_scan_padded(D)], 0 beyond D
     * Every product of a row and a query is below 2^31. */
    void (*scan)(int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q);
    /* Picks the i with bound[i, 0] (scale dot[i] + shift) + bound[i, 1] slack >= least, or where
     * the left side is NaN. bound [rows, 2]. Returns how many. */
    int (*scan_pick)(int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift,
                     float slack, float least);
    /* dot[i] = q . code[row[i]]    code [rows, B] dense, two numbers of 0 .. 15 in a byte: number j
     *                              is the low bits of byte j, number B + j its high bits;
     * q [2, clipk_scan_padded(B)], 0 beyond B */
    void (*scan_nibbles)(int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q);
};

/* scan: the padded length of a query's row, and the largest D */
static inline int clipk_scan_padded(int D) { return (D + 63) / 64 * 64; }
#define CLIPK_SCAN_D (16 * 1024)

extern const clipk_set clipk_set_ref, clipk_set_generic;
#if defined(__x86_64__)
extern const clipk_set clipk_set_avx2, clipk_set_avx512;
#elif defined(__aarch64__)
extern const clipk_set clipk_set_neon;
#endif

/* gemm.c: bytes of scratch per thread */
size_t clipk_gemm_scratch(const clipk_set *set);

/* cpu.c */
bool clipk_cpu_has_avx2(void);   /* AVX2, FMA and F16C; the operating system saves their registers */
bool clipk_cpu_has_avx512(void); /* AVX-512 F, BW, DQ, VL, likewise */
bool clipk_cpu_has_avx512_bf16(void); /* the same with products of bf16 */

#endif
