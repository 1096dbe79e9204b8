/* vec.h: vectors of the set being compiled. Included by simd_*.c only.
 *
 * CLIPK_ISA   name of the set, which every symbol carries: NAME(gemm_tile) is clipk_gemm_tile_avx2
 * CLIPK_VL    floats in a vector: 16 (AVX-512), 8 (AVX2), 4 (NEON, generic)
 * The types are GCC's and Clang's: + - * work a lane at a time, a * b + c becomes one fused multiply-add (these files are
 * compiled with -ffp-contract=fast), comparisons give masks. Intrinsics stand here alone. */
#ifndef CLIPK_VEC_H
#define CLIPK_VEC_H

#include <string.h>

#include "kernels/set.h"

#define CLIPK_CAT2(a, b) clipk_##a##_##b
#define CLIPK_CAT(a, b) CLIPK_CAT2(a, b)
#define NAME(x) CLIPK_CAT(x, CLIPK_ISA)

typedef float vf __attribute__((vector_size(4 * CLIPK_VL)));
typedef int32_t vi __attribute__((vector_size(4 * CLIPK_VL)));
typedef float vfu __attribute__((vector_size(4 * CLIPK_VL), aligned(4), may_alias)); /* at any address */

static inline vf vload(const float *p) { return (vf) * (const vfu *)p; }
static inline void vstore(float *p, vf v) { *(vfu *)p = (vfu)v; }
static inline vf vset1(float x) { return x - (vf){0}; }
static inline vf vselect(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); } /* mask ? a : b */

/* The n < CLIPK_VL first lanes; the rest are 0 and are not touched in memory. */
static inline vf vload_n(const float *p, int n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * 4);
    return v;
}

static inline void vstore_n(float *p, vf v, int n) { memcpy(p, &v, (size_t)n * 4); }

#endif
