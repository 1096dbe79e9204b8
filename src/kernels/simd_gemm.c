/* simd_gemm.c: the pieces of the matrix product: packing of both operands, and the tile.
 *
 *     x tile   [K][mr]   mr rows of x, side by side        (rows beyond the last are zeros)
 *     W panel  [K][nr]   nr rows of W, side by side        (likewise)
 *     y tile   += sum over k of x[k][i] W[k][j]            mr x nr accumulators, all in registers
 *
 * The design is GotoBLAS' (Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"). An element of y is one
 * chain of fused multiply-adds over each block of k; residual and chains are added block by block, in y, and bias last: whatever the tile. */
#include "kernels/tile.h"
#include "kernels/vecmath.h"

#define MR TILE_ROWS
#define NR TILE_COLUMNS
#define PREFETCH_EVERY CLIPK_PREFETCH_EVERY

/* ---- Packing ------------------------------------------------------------------------------------------------- */

void NAME(gemm_pack_x)(float *out, const float *x, int64_t rs, int64_t cs, int m, int K)
{
    if (m < MR)
        memset(out, 0, sizeof(float) * MR * (size_t)K);
    for (int k = 0; k < K; k++)
        for (int i = 0; i < m; i++)
            out[k * MR + i] = x[i * rs + k * cs];
}

/* Copies an element of `size` bytes from any address. */
INLINE void pack_panel(char *out, clipk_view W, int n, int K, size_t size)
{
    const char *p = W.p;
    const int64_t rs = W.rs * (int64_t)size, cs = W.cs * (int64_t)size;
    if (n < NR)
        memset(out, 0, size * NR * (size_t)K);
    for (int k = 0; k < K; k++)
        for (int j = 0; j < n; j++)
            memcpy(out + ((size_t)k * NR + (size_t)j) * size, p + j * rs + k * cs, size);
}

void NAME(gemm_pack_w)(void *panel, clipk_type type, clipk_view W, int n, int K)
{
    if (type == W.type) {
        if (type == CLIPK_F32)
            pack_panel(panel, W, n, K, 4);
        else
            pack_panel(panel, W, n, K, 2);
        return;
    }
    float *out = panel; /* 16-bit numbers into a panel of f32 */
    const char *p = W.p;
    memset(out, 0, sizeof(float) * NR * (size_t)K);
    for (int k = 0; k < K; k++)
        for (int j = 0; j < n; j++)
            NAME(to_f32)(out + k * NR + j, p + (j * W.rs + k * W.cs) * 2, W.type, 1);
}

/* ---- The tile ------------------------------------------------------------------------------------------------- */

/* Lanes 0..n of v from p; n may be anything: below 1 nothing, from VL on all. */
INLINE vf load_some(const float *p, int n) { return n >= CLIPK_VL ? vload(p) : n > 0 ? vload_n(p, n) : (vf){0}; }

INLINE void store_some(float *p, vf v, int n)
{
    if (n >= CLIPK_VL)
        vstore(p, v);
    else if (n > 0)
        vstore_n(p, v, n);
}

/* The last block of k is done: z [m][NR] gets the rest of its sum, bias, residual and activation. n columns are y's, a constant if all. */
INLINE void finish(const clipk_gemm_tile *t, const float *z, int n, clipk_act act)
{
    const int n1 = n - CLIPK_VL;
    const vf bias0 = t->bias ? load_some(t->bias, n) : (vf){0}, bias1 = t->bias ? load_some(t->bias + CLIPK_VL, n1) : (vf){0};
    for (int i = 0; i < t->m; i++) {
        float *y = t->y + i * t->ldy;
        vf z0 = vload(z + i * NR), z1 = vload(z + i * NR + CLIPK_VL);
        if (!t->first) {
            z0 += load_some(y, n);
            z1 += load_some(y + CLIPK_VL, n1);
        }
        z0 += bias0;
        z1 += bias1;
        if (t->first && t->residual) {
            z0 += load_some(t->residual + i * t->ld_residual, n);
            z1 += load_some(t->residual + i * t->ld_residual + CLIPK_VL, n1);
        }
        if (t->pre) {
            store_some(t->pre + i * t->ld_pre, z0, n);
            store_some(t->pre + i * t->ld_pre + CLIPK_VL, z1, n1);
        }
        store_some(y, vact(z0, act), n);
        store_some(y + CLIPK_VL, vact(z1, act), n1);
    }
}

INLINE void finish_as_asked(const clipk_gemm_tile *t, const float *z, int n)
{
    switch (t->act) {
    case CLIPK_LINEAR: finish(t, z, n, CLIPK_LINEAR); break;
    case CLIPK_RELU: finish(t, z, n, CLIPK_RELU); break;
    case CLIPK_GELU: finish(t, z, n, CLIPK_GELU); break;
    case CLIPK_QUICKGELU: finish(t, z, n, CLIPK_QUICKGELU); break;
    }
}

static void finish_tile(const clipk_gemm_tile *t, const float *z)
{
    if (t->n == NR)
        finish_as_asked(t, z, NR);
    else
        finish_as_asked(t, z, t->n);
}

/* R rows, a constant of at least t->m: those beyond are zeros and are not stored. */
INLINE void tile_rows(const clipk_gemm_tile *t, int R)
{
    vf acc[MR][2];
    const float *a = t->a, *b = t->b;
    const char *next = t->prefetch;
    for (int i = 0; i < t->m; i++)
        __builtin_prefetch(t->y + i * t->ldy, 1); /* by the time the sums are there, y will be */
    tile_zero(acc, R);
    for (int k = 0; k < t->K;) {
        for (int line = 0; line < t->prefetch_lines; line++, next += 64)
            __builtin_prefetch(next, 0, 2);
        for (const int end = k + PREFETCH_EVERY < t->K ? k + PREFETCH_EVERY : t->K; k < end; k++) {
            const vf b0 = vload(b + (int64_t)k * NR), b1 = vload(b + (int64_t)k * NR + CLIPK_VL);
#pragma GCC unroll 16
            for (int i = 0; i < R; i++) {
                const float s = a[(int64_t)k * MR + i];
                acc[i][0] += s * b0;
                acc[i][1] += s * b1;
            }
        }
    }
    if (t->last) {
        float z[MR * NR];
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            vstore(z + i * NR, acc[i][0]);
            vstore(z + i * NR + CLIPK_VL, acc[i][1]);
        }
        finish_tile(t, z);
        return;
    }
    const int n0 = t->n, n1 = t->n - CLIPK_VL;
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
        if (i < t->m) {
            float *y = t->y + i * t->ldy;
            const float *rest = t->first ? t->residual ? t->residual + i * t->ld_residual : NULL : y; /* residual may be y: it comes first */
            store_some(y, rest ? acc[i][0] + load_some(rest, n0) : acc[i][0], n0);
            store_some(y + CLIPK_VL, rest ? acc[i][1] + load_some(rest + CLIPK_VL, n1) : acc[i][1], n1);
        }
}

void NAME(gemm_tile)(const clipk_gemm_tile *t)
{
    if (t->m == 1)
        tile_rows(t, 1);
    else if (t->m == 2)
        tile_rows(t, 2);
    else if (t->m <= 4)
        tile_rows(t, 4);
#if TILE_ROWS > 8
    else if (t->m <= 8)
        tile_rows(t, 8);
#endif
    else
        tile_rows(t, MR);
}

/* ---- The peak -------------------------------------------------------------------------------------------------- */

/* 12 independent chains of fused multiply-adds: more than any processor here has in flight. Returns how many f32 operations `n` rounds are. */
double NAME(fma_rounds)(int64_t n)
{
    vf a[12];
    const vf x = vset1(0.9999f), y = vset1(0.0003f); /* no chain starts at the fixed point, 3: it would be folded away */
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++)
        a[i] = vset1((float)i + 0.5f);
    for (int64_t k = 0; k < n; k++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            a[i] = a[i] * x + y;
    vf sum = {0};
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++)
        sum += a[i];
    volatile float keep = sum[0];
    (void)keep;
    return (double)n * 12 * CLIPK_VL * 2;
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

const clipk_set NAME(set) = {
    .name = CLIPK_TEXT(CLIPK_ISA),
    .mr = MR,
    .nr = NR,
    .gemm_pack_x = NAME(gemm_pack_x),
    .gemm_pack_w = NAME(gemm_pack_w),
    .gemm_tile = NAME(gemm_tile),
    .fma_rounds = NAME(fma_rounds),
    .to_f32 = NAME(to_f32),
    .act = NAME(act),
    .layernorm = NAME(layernorm),
    .l2norm = NAME(l2norm),
    .softmax = NAME(softmax),
    .attention = NAME(attention),
    .conv3x3_bytes = NAME(conv3x3_bytes),
    .conv3x3_pack = NAME(conv3x3_pack),
    .conv3x3 = NAME(conv3x3),
    .avgpool2x2 = NAME(avgpool2x2),
};
