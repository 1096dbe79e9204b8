/* set.h: the table of one instruction set.
 *
 * simd_*.c are compiled once per set (meson.build says with which flags) and fill a table each;
 * ref.c fills one in plain C. These functions are single-threaded and work on a piece; gemm.c,
 * attention.c, rows.c and conv.c cut the pieces. */
#ifndef CLIPK_SET_H
#define CLIPK_SET_H

#include "kernels/kernels.h"

#define CLIPK_ALIGN 64

/* Attention: the keys of a block and the numbers of its copy, and what one thread needs of the
 * context's scratch. */
#define CLIPK_ATTENTION_KEYS 1024
#define CLIPK_ATTENTION_COPY (40 * 1024)
#define CLIPK_ATTENTION_SCRATCH \
    (sizeof(float) * (32 * (CLIPK_ATTENTION_KEYS + CLIPK_ATTENTION_D) + 2 * CLIPK_ATTENTION_COPY))

/* Its backward: keys of a part, queries of a group, numbers of a copy of rows, weights of a part
 * and group. */
#define CLIPK_ATTENTION_BACK_KEYS 256
#define CLIPK_ATTENTION_BACK_QUERIES 256
#define CLIPK_ATTENTION_BACK_ROWS (16 * 1024)
#define CLIPK_ATTENTION_BACK_WEIGHTS (24 * 1024)
#define CLIPK_ATTENTION_BACK_SCRATCH \
    (sizeof(float) * (4 * CLIPK_ATTENTION_BACK_ROWS + 2 * CLIPK_ATTENTION_BACK_WEIGHTS + 2 * 32 * CLIPK_ATTENTION_D))

/* One head of one sample; pointers are at its first row and column. sees as in `attention`
 * below. */
typedef struct clipk_attention_back_piece {
    float *dq, *dk, *dv;
    const float *dy, *y, *lse, *q, *k, *v;
    int64_t lddq, lddk, lddv, lddy, ldy, ldq, ldk, ldv;
    int nq, nk, sees, D;
    void *scratch; /* CLIPK_ATTENTION_BACK_SCRATCH bytes, 64-byte aligned */
} clipk_attention_back_piece;

/* A convolution is computed in tiles of CLIPK_CONV_TILE pixels squared, counted over all pictures,
 * row by row. This is a part of one: the tiles t0 .. t1, and of their channels o0 .. o1; o0 is a
 * multiple of nr. */
#define CLIPK_CONV_TILE 4
#define CLIPK_CONV_POINTS 36 /* products a tile and pair of channels, (CLIPK_CONV_TILE + 2)^2: simd_conv.c says why */
typedef struct clipk_conv3x3_piece {
    float *y;
    const float *x;
    int H, W, I, O, t0, t1, o0, o1;
    const void *panels;
    const clipk_epilogue *e; /* never NULL */
    float *scratch;          /* clipk_conv3x3_scratch() floats, 64-byte aligned */
} clipk_conv3x3_piece;

/* Both operands of the products, a row a tile and point, of channels padded to a multiple of 32,
 * and a cache line a point. */
static inline size_t clipk_conv3x3_scratch(int tiles, int I, int o)
{
    return (size_t)CLIPK_CONV_POINTS * ((size_t)tiles * (size_t)((I + 31) / 32 * 32 + (o + 31) / 32 * 32) + 32);
}

/* Filters that are only read: tap t of (o, i) is p[o * os + i * is + t * ts]. */
typedef struct clipk_filters {
    const float *p;
    int64_t os, is, ts;
} clipk_filters;

/* A part of a convolution's gradient at its filters: what the tiles t0 .. t1 give to those of o0 ..
 * o1, in the form that suits the set. */
typedef struct clipk_conv3x3_back_piece {
    float *sums; /* [CLIPK_CONV_POINTS, o1 - o0, I padded to 16]; = where `first`, else += */
    bool first;
    const float *dy, *x;
    int H, W, I, O, t0, t1, o0, o1;
    float *scratch; /* clipk_conv3x3_scratch() floats, 64-byte aligned */
} clipk_conv3x3_back_piece;

/* A part of a batch norm's backward: `rows` of all columns. [C] and [rows, C]; y and dz may be
 * NULL */
typedef struct clipk_batchnorm_piece {
    clipk_batchnorm b;
    float *dx, *dz;
    const float *dy, *x, *y;
    int rows, C;
    clipk_act act;
    float *sum_dz, *sum_dzx;             /* sums over the rows of dz and of dz (x - mean) */
    const float *scale, *offset, *slope; /* dx = scale dz - offset - slope (x - mean) */
} clipk_batchnorm_piece;

/* Groups along k, the last one filled with zeros; and the numbers that they make. */
static inline int clipk_groups(const clipk_format *f, int K) { return (K + f->group - 1) / f->group; }
static inline int clipk_panel_depth(const clipk_format *f, int K) { return clipk_groups(f, K) * f->group; }

typedef struct clipk_range {
    const char *p, *end;
} clipk_range;

/* A block of a matrix product: some rows of x times up to kc numbers of one panel of W, and what
 * happens to the sums when the last block of k is done (clipk_epilogue; pointers are at the block's
 * own corner). */
typedef struct clipk_gemm_block {
    const float *x; /* [rows, K]; K counts groups, and a group of x has 4 bytes in every form */
    int64_t ldx;    /* in groups; 0: x is packed */
    const void *w;  /* [K][nr] groups */
    clipk_tile tile;
    float *wide;    /* room for [K][nr], 64-byte aligned; used by the tiles of f16 and bf16 */
    int rows, n, K; /* n <= nr columns are stored */
    bool first, last;
    float *sum;     /* [rows][nr]: the sum of the blocks so far; unused where the first is the last */
    float *y;
    int64_t ldy;
    const float *bias, *residual;
    float *pre;
    int64_t ld_residual, ld_pre;
    clipk_act act;
    clipk_range next[2]; /* what will be needed after this, fetched on the way */
} clipk_gemm_block;

struct clipk_set {
    const char *name;
    int mr, nr; /* tile of the matrix product: up to mr rows of x by nr columns (rows of W) */
    int kc;     /* depth of a block of it: a panel of so many k stays in the innermost cache */

    /* simd_gemm.c */
    /* n <= nr rows to [groups][nr][group] */
    void (*gemm_pack_w)(void *panel, const clipk_format *format, clipk_view W, int n, int K);
    /* K numbers of a row to another form than f32, and zeros behind them up to `depth` */
    void (*gemm_form_x)(void *out, clipk_x_form form, const float *x, int K, int depth);
    /* rows * K numbers in the order that gemm_block reads */
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

    /* simd_rows_back.c. Of layernorm's and l2norm's backward, one row; dgain and dbias are added
     * to, and both NULL where neither is wanted. */
    void (*sum_rows)(float *out, const float *x, int64_t ldx, int T, int C); /* out += */
    double (*sum_squares)(const float *x, size_t n);
    void (*act_backward)(float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act);
    void (*layernorm_backward)(float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean,
                               float rstd, const float *gain, const float *residual, int C);
    void (*l2norm_backward)(float *dx, const float *dy, const float *y, float norm, int C);
    void (*adamw)(float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s);

    /* simd_attention.c: one head of one sample, nq queries against nk keys; query i sees the first
     * min(nk, sees + i) keys. lse [nq] or NULL. scratch: CLIPK_ATTENTION_SCRATCH bytes, 64-byte
     * aligned. */
    void (*attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                      const float *v, int64_t ldv, int nq, int nk, int sees, int D, void *scratch);

    /* simd_attention_back.c */
    void (*attention_back)(const clipk_attention_back_piece *piece);

    /* simd_conv.c */
    size_t (*conv3x3_bytes)(int O, int I);
    /* the filters o0 .. o1; o0 is a multiple of nr */
    void (*conv3x3_pack)(void *panels, clipk_filters W, int O, int I, int o0, int o1);
    void (*conv3x3)(const clipk_conv3x3_piece *piece);
    void (*avgpool2x2)(float *y, const float *x0, const float *x1, int W, int C); /* a row of W pixels from two of 2W */

    /* simd_conv_back.c */
    void (*conv3x3_sums)(const clipk_conv3x3_back_piece *piece);
    /* dW [I, 9] of filter o of n += the sums of all parts */
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
    void (*hadamard)(float *x, int P); /* x [P] times the orthogonal Hadamard matrix; P a power of 2 */
    /* x -= (v . x) v: with |v|^2 = 2, the mirror image at the plane normal to v */
    void (*reflect)(double *x, const double *v, int D);
    /* dot[j, i] = q[j] . code[i]    code [rows, D] dense   q [Q, clipk_scan_padded(D)], 0 beyond D;
     *     no product of a row and a query reaches 2^31 */
    void (*scan)(int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q);
    /* Which i have bound[i, 0] (scale dot[i] + shift) + bound[i, 1] slack >= least, or not a number
     * there; bound [rows, 2]. Returns how many. */
    int (*scan_pick)(int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift,
                     float slack, float least);
    /* dot[i] = q . code[row[i]]    code [rows, B] dense, two numbers of 0 .. 15 a byte: number j
     *                              the low bits of byte j, number B + j its high bits;
     * q [2, clipk_scan_padded(B)], 0 beyond B */
    void (*scan_nibbles)(int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q);
};

/* scan: the length of a query's row, and the most numbers a row may have */
static inline int clipk_scan_padded(int D) { return (D + 63) / 64 * 64; }
#define CLIPK_SCAN_D (16 * 1024)

extern const clipk_set clipk_set_ref, clipk_set_generic;
#if defined(__x86_64__)
extern const clipk_set clipk_set_avx2, clipk_set_avx512;
#elif defined(__aarch64__)
extern const clipk_set clipk_set_neon;
#endif

/* gemm.c: bytes of scratch a thread needs */
size_t clipk_gemm_scratch(const clipk_set *set);

/* cpu.c */
bool clipk_cpu_has_avx2(void);   /* AVX2, FMA and F16C, and an operating system that saves their registers */
bool clipk_cpu_has_avx512(void); /* F, BW, DQ, VL, likewise */
bool clipk_cpu_has_avx512_bf16(void); /* and products of bf16 */

#endif
