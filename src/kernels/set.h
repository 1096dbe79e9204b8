/* set.h: the table of one instruction set.
 *
 * simd_*.c are compiled once per set (meson.build says with which flags) and fill a table each; ref.c fills one in plain C.
 * These functions are single-threaded and work on a piece; gemm.c, attention.c, rows.c and conv.c cut the pieces. */
#ifndef CLIPK_SET_H
#define CLIPK_SET_H

#include "kernels/kernels.h"

#define CLIPK_ALIGN 64
#define CLIPK_KC 256 /* depth of a block of a matrix product: a panel of it stays in the innermost cache */

struct clipk_set {
    const char *name;
    int mr, nr; /* tile of the matrix product: mr rows of x by nr columns (rows of W) */

    /* simd_gemm.c: packing and the tile */
    /* simd_rows.c */
    void (*to_f32)(float *out, const void *in, clipk_type type, size_t n);
    void (*act)(float *y, const float *x, size_t n, clipk_act act);
    void (*layernorm)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias, float eps, int C); /* one row */
    void (*l2norm)(float *x, float *norm, int C);        /* one row */
    void (*softmax)(float *x, float scale, int C);       /* one row */
};

extern const clipk_set clipk_set_ref, clipk_set_generic;
#if defined(__x86_64__)
extern const clipk_set clipk_set_avx2, clipk_set_avx512;
#elif defined(__aarch64__)
extern const clipk_set clipk_set_neon;
#endif

/* cpu.c */
bool clipk_cpu_has_avx2(void);   /* AVX2, FMA and F16C, and an operating system that saves their registers */
bool clipk_cpu_has_avx512(void); /* F, BW, DQ, VL, likewise */

#endif
