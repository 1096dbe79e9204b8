/* simd_gemm.c: the pieces of the matrix product: the packing of W, and the product of some rows of
 * x with a block of W.
 *
 *     panel    [K][NR]   NR rows of W, side by side; rows beyond the last are zeros
 *     tile     z[i][j] = sum over k of x[i][k] panel[k][j]   up to TILE_ROWS x NR sums in registers
 *
 * A pair of bf16 numbers, neighbours along k, is one 32-bit number: [K / 2][NR]. Its multiplication
 * gives the sum of two products. Everything else is as for f32.
 *
 * The design is GotoBLAS' (Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
 * Multiplication"), except that dense rows of x stay in place: a tile reads one number at a time of
 * each of its rows, which the caches serve as well from rows as from a packed copy. Columns are
 * packed, tile by tile: [K][rows of the tile].
 *
 * An element of y is a chain of fused multiply-adds over each block of KC numbers, and the sums of
 * the blocks are added in order. This holds in every tile. Shorter chains lose less. */
#include "kernels/tile.h"
#include "kernels/vecmath.h"

#define NR TILE_COLUMNS
#define KC 384 /* with a narrow panel, 3/4 of a first cache of 32 KB; a wide one passes by from the second */
#define ALIGNED __attribute__((aligned(CLIPK_ALIGN)))
#define PACK_STEPS 8 /* steps of k at a time: columns 4096 bytes apart share eight places of the first cache */

/* ---- Packing --------------------------------------------------------------------------------- */

/* CLIPK_VL pairs from 2 CLIPK_VL numbers of any type. */
INLINE vf load_pairs(const char *p, clipk_type type)
{
    if (type == CLIPK_BF16)
        return vload_any(p, CLIPK_F32);
    return (vf)vjoin_bf16(vload_any(p, type), vload_any(p + clipk_type_size(type) * CLIPK_VL, type));
}

/* One number to [k][j] of a panel. Panels of f32 and of pairs take any type, others their own. */
INLINE void pack_one(char *panel, const clipk_format *to, int k, int j, const char *p, clipk_type from)
{
    char *out = panel + ((size_t)k * NR + j) * to->bytes;
    float f;
    if (to->group == 1 && to->type == from) {
        memcpy(out, p, to->bytes);
        return;
    }
    NAME(to_f32)(&f, p, from, 1);
    switch (to->tile) {
    case CLIPK_TILE_F32: memcpy(out, &f, sizeof f); break;
    case CLIPK_TILE_BF16_PAIRS: NAME(to_bf16)((uint16_t *)(void *)panel + (k / 2 * NR + j) * 2 + k % 2, &f, 1); break;
    case CLIPK_TILE_F16:
    case CLIPK_TILE_BF16:
    case CLIPK_TILE_I8_QUADS:
    case CLIPK_TILE_I8_SIGNED:
    case CLIPK_TILE_I8_PAIRS:
    case CLIPK_TILES: assert(!"a panel that takes only its own type");
    }
}

/* Rows of 32-bit numbers, or of numbers that become f32 or pairs. Squares of CLIPK_VL are
 * transposed in registers. Returns how many of the K numbers or pairs are done. */
INLINE int pack_rows32(float *out, bool pairs, clipk_type from, const char *p, int64_t rs, int n, int K)
{
    const int64_t step = (int64_t)clipk_type_size(from) * CLIPK_VL * (pairs ? 2 : 1);
    int k = 0;
    for (; k + CLIPK_VL <= K; k += CLIPK_VL, p += step, out += CLIPK_VL * NR)
        for (int v = 0; v < NR; v += CLIPK_VL) {
            vf r[CLIPK_VL];
            UNROLL
            for (int i = 0; i < CLIPK_VL; i++)
                r[i] = v + i >= n ? (vf){0}
                       : pairs    ? load_pairs(p + (v + i) * rs, from)
                                  : vload_any(p + (v + i) * rs, from);
            transpose(r);
            UNROLL
            for (int i = 0; i < CLIPK_VL; i++)
                vstore(out + i * NR + v, r[i]);
        }
    return k;
}

INLINE int pack_rows32_from(float *out, bool pairs, clipk_type from, const char *p, int64_t rs, int n, int K)
{
    switch (from) {
    case CLIPK_F32: return pack_rows32(out, pairs, CLIPK_F32, p, rs, n, K);
    case CLIPK_F16: return pack_rows32(out, pairs, CLIPK_F16, p, rs, n, K);
    case CLIPK_BF16: return pack_rows32(out, pairs, CLIPK_BF16, p, rs, n, K);
    }
    assert(!"unknown type");
    return 0;
}

/* Rows of 16-bit numbers: transposed two by two as 32-bit numbers, then taken apart. */
INLINE int pack_rows16(uint16_t *out, const char *p, int64_t rs, int n, int K)
{
    int k = 0;
    for (; k + 2 * CLIPK_VL <= K; k += 2 * CLIPK_VL, p += 4 * CLIPK_VL, out += 2 * CLIPK_VL * NR)
        for (int v = 0; v < NR; v += CLIPK_VL) {
            vf r[CLIPK_VL];
            UNROLL
            for (int i = 0; i < CLIPK_VL; i++)
                r[i] = v + i < n ? vload_any(p + (v + i) * rs, CLIPK_F32) : (vf){0};
            transpose(r);
            UNROLL
            for (int i = 0; i < CLIPK_VL; i++) {
                const vh even = __builtin_convertvector((vu)r[i] & 0xffff, vh),
                         odd = __builtin_convertvector((vu)r[i] >> 16, vh);
                memcpy(out + 2 * i * NR + v, &even, sizeof even);
                memcpy(out + (2 * i + 1) * NR + v, &odd, sizeof odd);
            }
        }
    return k;
}

/* Dense rows, by the layout of the panel. Returns how many of the K numbers are done. */
INLINE int pack_rows(void *panel, const clipk_format *f, clipk_type from, const char *p, int64_t rs, int n, int K)
{
    switch (f->tile) {
    case CLIPK_TILE_F32: return pack_rows32_from(panel, false, from, p, rs, n, K);
    case CLIPK_TILE_BF16_PAIRS: return 2 * pack_rows32_from(panel, true, from, p, rs, n, K / 2);
    case CLIPK_TILE_F16:
    case CLIPK_TILE_BF16: return pack_rows16(panel, p, rs, n, K);
    case CLIPK_TILE_I8_QUADS:
    case CLIPK_TILE_I8_SIGNED:
    case CLIPK_TILE_I8_PAIRS: /* pack.c packs these, whole rows at a time */
    case CLIPK_TILES: break;
    }
    assert(!"unknown tile");
    return 0;
}

/* Columns of f32 as pairs: two rows of memory become one. The next panel's columns are fetched. */
static void pack_columns32(float *out, const char *p, int64_t cs, int n, int K)
{
    for (int k = 0; k < K; k += 2, p += 2 * cs, out += NR)
        for (int v = 0; v < n; v += CLIPK_VL) {
            const float *even = (const float *)(const void *)p + v, *odd = (const float *)(const void *)(p + cs) + v;
            const int some = n - v;
            __builtin_prefetch(even + NR, 0, 2);
            __builtin_prefetch(odd + NR, 0, 2);
            vstore(out + v, (vf)vzip_bf16(vload_some(even, some), k + 1 < K ? vload_some(odd, some) : (vf){0}));
        }
}

void NAME(gemm_pack_w)(void *panel, const clipk_format *f, clipk_view W, int n, int K)
{
    const size_t to = f->bytes, from = clipk_type_size(W.type);
    const int64_t rs = W.rs * (int64_t)from, cs = W.cs * (int64_t)from;
    const int depth = clipk_panel_depth(f, K);
    const bool same = f->group == 1 && f->type == W.type;
    const char *p = W.p;
    char *out = panel;
    int k = 0;
    if (n < NR || K < depth)
        memset(out, 0, to * NR * depth);
    if (W.cs == 1)
        k = pack_rows(panel, f, W.type, p, rs, n, K);
    else if (W.rs == 1 && same && n == NR && f->tile == CLIPK_TILE_F32)
        for (; k < K; k++)
            memcpy(out + (size_t)k * NR * sizeof(float), p + k * cs, NR * sizeof(float));
    else if (W.rs == 1 && same)
        for (; k < K; k++)
            memcpy(out + (size_t)k * NR * to, p + k * cs, n * to);
    else if (W.rs == 1 && W.type == CLIPK_F32 && f->tile == CLIPK_TILE_BF16_PAIRS) {
        pack_columns32((float *)panel, p, cs, n, K);
        return;
    }
    for (; k < K; k++)
        for (int j = 0; j < n; j++)
            pack_one(out, f, k, j, p + j * rs + k * cs, W.type);
}

/* The rows of a tile, [K][m]. m is a constant where possible. */
INLINE void pack_tile(float *out, const float *x, int64_t rs, int64_t cs, int m, int K)
{
    for (int k = 0; k < K; k++, x += cs, out += m)
        if (rs == 1)
            memcpy(out, x, sizeof(float) * m);
        else
            for (int i = 0; i < m; i++)
                out[i] = x[i * rs];
}

/* Pairs of K numbers of each row, [(K + 1) / 2][m]. */
INLINE void pack_tile_pairs(float *out, const float *x, int64_t rs, int64_t cs, int m, int K)
{
    for (int k = 0; k < K; k += 2, x += 2 * cs, out += m) {
        float numbers[2][TILE_ROWS + CLIPK_VL] = {{0}};
        const float *row[2] = {x, x + cs};
        for (int i = 0; i < 2 && rs != 1; i++) {
            for (int j = 0; j < m && k + i < K; j++)
                numbers[i][j] = x[j * rs + i * cs];
            row[i] = numbers[i];
        }
        for (int j = 0; j < m; j += CLIPK_VL) {
            const vf odd = k + 1 < K ? vload_some(row[1] + j, m - j) : (vf){0};
            vstore_some(out + j, (vf)vzip_bf16(vload_some(row[0] + j, m - j), odd), m - j);
        }
    }
}

INLINE void pack_x(float *out, bool pairs, const float *x, int64_t rs, int64_t cs, int rows, int K)
{
    const int steps = PACK_STEPS * (pairs ? 2 : 1), depth = pairs ? (K + 1) / 2 : K;
    for (int k = 0, n; k < K; k += n) {
        n = K - k < steps ? K - k : steps;
        for (int row = 0, m; row < rows; row += m) {
            m = tile_step(rows - row);
            float *to = out + row * depth + (pairs ? k / 2 : k) * m;
            const float *from = x + row * rs + k * cs;
            if (pairs && m == TILE_ROWS)
                pack_tile_pairs(to, from, rs, cs, TILE_ROWS, n);
            else if (pairs)
                pack_tile_pairs(to, from, rs, cs, m, n);
            else if (m == TILE_ROWS)
                pack_tile(to, from, rs, cs, TILE_ROWS, n);
            else
                pack_tile(to, from, rs, cs, m, n);
        }
    }
}

/* Tile by tile, as gemm_block cuts the rows, and PACK_STEPS of k at a time: columns, of which a
 * tile takes a part, are then read from memory once. */
void NAME(gemm_pack_x)(float *out, clipk_x_form form, const float *x, int64_t rs, int64_t cs, int rows, int K)
{
    assert(form == CLIPK_X_F32 || form == CLIPK_X_BF16);
    if (form == CLIPK_X_BF16)
        pack_x(out, true, x, rs, cs, rows, K);
    else
        pack_x(out, false, x, rs, cs, rows, K);
}

/* ---- The way out ----------------------------------------------------------------------------- */

/* The first n lanes, rounded. */
INLINE void vstore_bf16_some(uint16_t *p, vf v, int n)
{
    const vh h = vto_bf16(v);
    if (n >= CLIPK_VL)
        memcpy(p, &h, sizeof h);
    else if (n > 0)
        memcpy(p, &h, sizeof *p * (size_t)n);
}

/* y = act(z + bias + residual) for m rows from `row`. n columns are stored; all: a constant. */
INLINE void finish(const clipk_gemm_block *b, const float *z, int row, int m, int n, clipk_act act)
{
    const int n1 = n - CLIPK_VL;
    const vf bias0 = b->bias ? vload_some(b->bias, n) : (vf){0},
             bias1 = b->bias ? vload_some(b->bias + CLIPK_VL, n1) : (vf){0};
    for (int i = row; i < row + m; i++, z += NR) {
        vf z0 = vload(z) + bias0, z1 = vload(z + CLIPK_VL) + bias1;
        if (b->residual) {
            z0 += vload_some(b->residual + i * b->ld_residual, n);
            z1 += vload_some(b->residual + i * b->ld_residual + CLIPK_VL, n1);
        }
        if (b->pre) {
            vstore_some(b->pre + i * b->ld_pre, z0, n);
            vstore_some(b->pre + i * b->ld_pre + CLIPK_VL, z1, n1);
        }
        z0 = vact(z0, act);
        z1 = vact(z1, act);
        if (b->rounds) {
            uint16_t *y = (uint16_t *)b->y + i * b->ldy;
            vstore_bf16_some(y, z0, n);
            vstore_bf16_some(y + CLIPK_VL, z1, n1);
        } else {
            float *y = (float *)b->y + i * b->ldy;
            vstore_some(y, z0, n);
            vstore_some(y + CLIPK_VL, z1, n1);
        }
    }
}

INLINE void finish_as_asked(const clipk_gemm_block *b, const float *z, int row, int m, int n)
{
    switch (b->act) {
    case CLIPK_LINEAR: finish(b, z, row, m, n, CLIPK_LINEAR); break;
    case CLIPK_RELU: finish(b, z, row, m, n, CLIPK_RELU); break;
    case CLIPK_GELU: finish(b, z, row, m, n, CLIPK_GELU); break;
    case CLIPK_QUICKGELU: finish(b, z, row, m, n, CLIPK_QUICKGELU); break;
    case CLIPK_GELU_TANH: finish(b, z, row, m, n, CLIPK_GELU_TANH); break;
    case CLIPK_TANH: finish(b, z, row, m, n, CLIPK_TANH); break;
    }
}

static NOINLINE void finish_tile(const clipk_gemm_block *b, const float *z, int row, int m)
{
    if (b->n == NR)
        finish_as_asked(b, z, row, m, NR);
    else
        finish_as_asked(b, z, row, m, b->n);
}

/* ---- The tile -------------------------------------------------------------------------------- */

/* Steps of k between two branches, and between two fetches. With sanitizers, each step's checks
 * take the compiler seconds. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEPS 2
#endif
#endif
#if !defined(STEPS)
#define STEPS 8
#endif

/* Shared by the tiles of a block. */
typedef struct work {
    const clipk_gemm_block *b;
    const void *w;    /* [K][NR] */
    clipk_range next; /* to fetch: */
    int lines;        /* lines of `next` to fetch every STEPS steps */
    bool plain;       /* whole rows, only sums and ReLU: everything stays in registers */
    ALIGNED float bias[NR];
} work;

/* Hides the value from the compiler: GCC would keep its sums with constants in memory, instead of
 * adding them in the address. */
#define OPAQUE(p) __asm__("" : "+r"(p))

INLINE bool is_integer(clipk_tile kind)
{
    return kind == CLIPK_TILE_I8_QUADS || kind == CLIPK_TILE_I8_SIGNED || kind == CLIPK_TILE_I8_PAIRS;
}

/* Weights that become f32 as they are used. */
INLINE bool is_narrow(clipk_tile kind) { return kind == CLIPK_TILE_F16 || kind == CLIPK_TILE_BF16; }
INLINE clipk_type narrow_type(clipk_tile kind)
{
    assert(is_narrow(kind));
    return kind == CLIPK_TILE_F16 ? CLIPK_F16 : CLIPK_BF16;
}

/* Step u of k from x and w. Rows 0, 3, 6, .. have a pointer; the rows between are one or two
 * strides, in bytes, from it. Packed rows stand behind x[0], R in a step. */
INLINE void multiply_step(vf acc[][2], int R, const float *const x[], int64_t ldx, bool packed, const char *w,
                          clipk_tile kind, float *wide, int u)
{
    const char *at = w + u * NR * (is_narrow(kind) ? 2 : 4);
    vf w0, w1;
    if (!is_narrow(kind)) {
        w0 = vload((const float *)(const void *)at);
        w1 = vload((const float *)(const void *)at + CLIPK_VL);
    } else {
        w0 = vload_any(at, narrow_type(kind));
        w1 = vload_any(at + 2 * CLIPK_VL, narrow_type(kind));
        vstore(wide + u * NR, w0);
        vstore(wide + u * NR + CLIPK_VL, w1);
    }
    UNROLL
    for (int i = 0; i < R; i++) {
        const void *at_x = packed ? (const char *)(x[0] + u * R + i) : (const char *)(x[i / 3] + u) + i % 3 * ldx;
        const vu s4 = *(const pair *)at_x - (vu){0};
        if (kind == CLIPK_TILE_BF16_PAIRS) {
            acc[i][0] = vdot_bf16(acc[i][0], s4, w0);
            acc[i][1] = vdot_bf16(acc[i][1], s4, w1);
        } else if (kind == CLIPK_TILE_I8_QUADS) {
            acc[i][0] = (vf)vdot_u8((vi)acc[i][0], s4, (vi)w0);
            acc[i][1] = (vf)vdot_u8((vi)acc[i][1], s4, (vi)w1);
        } else if (kind == CLIPK_TILE_I8_SIGNED) {
            acc[i][0] = (vf)vdot_i8((vi)acc[i][0], (vi)s4, (vi)w0);
            acc[i][1] = (vf)vdot_i8((vi)acc[i][1], (vi)s4, (vi)w1);
        } else if (kind == CLIPK_TILE_I8_PAIRS) {
            acc[i][0] = (vf)vdot_i16((vi)acc[i][0], s4, (vi)w0);
            acc[i][1] = (vf)vdot_i16((vi)acc[i][1], s4, (vi)w1);
        } else {
            const vf s = vset1(*(const float *)at_x);
            acc[i][0] = vfma(s, w0, acc[i][0]);
            acc[i][1] = vfma(s, w1, acc[i][1]);
        }
    }
}

/* acc[R] += x[R][K] W */
INLINE void sum_up(work *t, vf acc[][2], int row, int R, clipk_tile kind, bool packed)
{
    const clipk_gemm_block *b = t->b;
    const int P = packed ? 1 : (R + 2) / 3, each = packed ? R : 1, size = NR * (is_narrow(kind) ? 2 : 4);
    const float *x[(TILE_ROWS + 2) / 3];
    const char *w = t->w;
    float *wide = b->wide;
    int64_t ldx = b->ldx * (int64_t)sizeof(float);
    int k = b->K;
    UNROLL
    for (int i = 0; i < P; i++)
        x[i] = b->x + (packed ? row * b->K : (row + 3 * i) * b->ldx);
    for (; k >= STEPS; k -= STEPS) {
        if (t->next.p < t->next.end) {
            const char *next = t->next.p;
            for (int i = 0; i < t->lines; i++)
                __builtin_prefetch(next + 64 * i, 0, 2);
            t->next.p = next + 64 * t->lines;
        }
        UNROLL
        for (int i = 0; i < P; i++)
            OPAQUE(x[i]);
        OPAQUE(ldx);
        UNROLL
        for (int u = 0; u < STEPS; u++)
            multiply_step(acc, R, x, ldx, packed, w, kind, wide, u);
        UNROLL
        for (int i = 0; i < P; i++)
            x[i] += STEPS * each;
        w += STEPS * size;
        wide += STEPS * NR;
    }
    for (; k > 0; k--) {
        multiply_step(acc, R, x, ldx, packed, w, kind, wide, 0);
        UNROLL
        for (int i = 0; i < P; i++)
            x[i] += each;
        w += size;
        wide += NR;
    }
}

INLINE void store_rows(float *p, int64_t ld, vf acc[][2], int R)
{
    UNROLL
    for (int i = 0; i < R; i++) {
        vstore(p + i * ld, acc[i][0]);
        vstore(p + i * ld + CLIPK_VL, acc[i][1]);
    }
}

INLINE void add_rows(vf acc[][2], const float *p, int64_t ld, int R)
{
    UNROLL
    for (int i = 0; i < R; i++) {
        acc[i][0] += vload(p + i * ld);
        acc[i][1] += vload(p + i * ld + CLIPK_VL);
    }
}

INLINE void load_rows(vf acc[][2], const float *p, int64_t ld, int R)
{
    UNROLL
    for (int i = 0; i < R; i++) {
        acc[i][0] = vload(p + i * ld);
        acc[i][1] = vload(p + i * ld + CLIPK_VL);
    }
}

/* Integer sums to numbers: times the scale of x's row and that of W's. */
INLINE void scale_rows(vf acc[][2], const float *x_scale, const float *scale, int R)
{
    const vf s0 = vload(scale), s1 = vload(scale + CLIPK_VL);
    UNROLL
    for (int i = 0; i < R; i++) {
        const vf s = vset1(x_scale[i]);
        acc[i][0] = __builtin_convertvector((vi)acc[i][0], vf) * (s * s0);
        acc[i][1] = __builtin_convertvector((vi)acc[i][1], vf) * (s * s1);
    }
}

/* R rows from `row`, with the tile `kind`. R, kind and packed are constants. */
INLINE void tile_rows(work *t, int row, int R, clipk_tile kind, bool packed)
{
    const clipk_gemm_block *b = t->b;
    vf acc[TILE_ROWS][2];
    const int64_t line = b->ldy * (b->rounds ? 2 : 4);
    char *y = (char *)b->y + row * line;
    float *sum = b->sum + row * NR;
    if (b->last)
        UNROLL
        for (int i = 0; i < R; i++)
            __builtin_prefetch(y + i * line, 1); /* y will be near when the sums are done */
    /* The chains of f32 begin at 0 in every block. Integers are exact, and go on. */
    if (!is_integer(kind))
        tile_zero(acc, R);
    else if (b->first)
        load_rows(acc, (const float *)(const void *)b->start, 0, R);
    else
        load_rows(acc, sum, NR, R);
    sum_up(t, acc, row, R, kind, packed);
    if (!b->first && !is_integer(kind))
        add_rows(acc, sum, NR, R);
    if (b->last && is_integer(kind))
        scale_rows(acc, b->x_scale + row, b->scale, R);
    if (!b->last) {
        store_rows(sum, NR, acc, R);
    } else if (t->plain) {
        add_rows(acc, t->bias, 0, R);
        if (b->residual)
            add_rows(acc, b->residual + row * b->ld_residual, b->ld_residual, R);
        if (b->act == CLIPK_RELU)
            UNROLL
            for (int i = 0; i < R; i++) {
                acc[i][0] = vact(acc[i][0], CLIPK_RELU);
                acc[i][1] = vact(acc[i][1], CLIPK_RELU);
            }
        store_rows((float *)(void *)y, b->ldy, acc, R);
    } else {
        ALIGNED float z[TILE_ROWS * NR];
        store_rows(z, NR, acc, R);
        finish_tile(b, z, row, R);
    }
}

#define TILE(R)                                                                                       \
    static NOINLINE void tile_f32_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_F32, false); }   \
    static NOINLINE void tile_f16_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_F16, false); }   \
    static NOINLINE void tile_bf16_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_BF16, false); } \
    static NOINLINE void tile_i16_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_I8_PAIRS, false); }  \
    static NOINLINE void tile_packed_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_F32, true); }
TILE_SIZES(TILE)

/* Other sets have no instruction for these that is faster than f32. */
#if defined(CLIPK_DOT_U8)
#define TILE_OF_QUADS(R) \
    static NOINLINE void tile_quads_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_I8_QUADS, false); }
TILE_SIZES(TILE_OF_QUADS)
#endif
#if defined(CLIPK_DOT_I8)
#define TILE_OF_SIGNED(R) \
    static NOINLINE void tile_signed_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_I8_SIGNED, false); }
TILE_SIZES(TILE_OF_SIGNED)
#endif
#if defined(CLIPK_DOT_BF16)
#define TILE_OF_PAIRS(R) \
    static NOINLINE void tile_pairs_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_BF16_PAIRS, false); } \
    static NOINLINE void tile_packed_pairs_##R(work *t, int row) { tile_rows(t, row, R, CLIPK_TILE_BF16_PAIRS, true); }
TILE_SIZES(TILE_OF_PAIRS)
#endif

#define TILE_F32(R) [R] = tile_f32_##R,
#define TILE_F16(R) [R] = tile_f16_##R,
#define TILE_BF16(R) [R] = tile_bf16_##R,
#define TILE_PAIRS(R) [R] = tile_pairs_##R,
#define TILE_QUADS(R) [R] = tile_quads_##R,
#define TILE_SIGNED(R) [R] = tile_signed_##R,
#define TILE_I16(R) [R] = tile_i16_##R,
#define TILE_PACKED(R) [R] = tile_packed_##R,
#define TILE_PACKED_PAIRS(R) [R] = tile_packed_pairs_##R,
#define PACKED CLIPK_TILES /* the tiles of packed rows of x: with f32 weights, with pairs */
#define PACKED_PAIRS (CLIPK_TILES + 1)
static void (*const tile_of[PACKED_PAIRS + 1][TILE_ROWS + 1])(work *, int) = {
    [CLIPK_TILE_F32] = {TILE_SIZES(TILE_F32)},
    [CLIPK_TILE_F16] = {TILE_SIZES(TILE_F16)},
    [CLIPK_TILE_BF16] = {TILE_SIZES(TILE_BF16)},
#if defined(CLIPK_DOT_BF16)
    [CLIPK_TILE_BF16_PAIRS] = {TILE_SIZES(TILE_PAIRS)},
    [PACKED_PAIRS] = {TILE_SIZES(TILE_PACKED_PAIRS)},
#endif
#if defined(CLIPK_DOT_U8)
    [CLIPK_TILE_I8_QUADS] = {TILE_SIZES(TILE_QUADS)},
#endif
#if defined(CLIPK_DOT_I8)
    [CLIPK_TILE_I8_SIGNED] = {TILE_SIZES(TILE_SIGNED)},
#endif
    [CLIPK_TILE_I8_PAIRS] = {TILE_SIZES(TILE_I16)},
    [PACKED] = {TILE_SIZES(TILE_PACKED)},
};

/* ---- The block ------------------------------------------------------------------------------- */

void NAME(gemm_block)(const clipk_gemm_block *b)
{
    const int turns = (b->K + STEPS - 1) / STEPS * ((b->rows + TILE_ROWS - 1) / TILE_ROWS);
    const int64_t lines = ((b->next[0].end - b->next[0].p) + (b->next[1].end - b->next[1].p)) / 64 + 1;
    work t = {.b = b, .w = b->w, .next = b->next[0], .lines = (int)((lines + turns - 1) / turns)};
    t.plain = b->n == NR && b->act <= CLIPK_RELU && !b->pre && !b->rounds;
    if (t.plain && b->bias)
        memcpy(t.bias, b->bias, sizeof t.bias);
    int kind = (int)b->tile;
    bool second = false;
    if (b->ldx == 0 && is_narrow(b->tile)) {
        NAME(to_f32)(b->wide, b->w, narrow_type(b->tile), (size_t)b->K * NR);
        t.w = b->wide;
    }
    if (b->ldx == 0)
        kind = b->tile == CLIPK_TILE_BF16_PAIRS ? PACKED_PAIRS : PACKED;
    for (int row = 0, m; row < b->rows; row += m) {
        m = tile_step(b->rows - row);
        if (t.next.p >= t.next.end && !second) {
            second = true;
            t.next = b->next[1];
        }
        tile_of[kind][m](&t, row);
        if (is_narrow((clipk_tile)kind)) { /* the first tile stored them as f32 for the others */
            kind = CLIPK_TILE_F32;
            t.w = b->wide;
        }
    }
}

/* ---- The peak -------------------------------------------------------------------------------- */

/* 12 independent chains of fused multiply-adds, more than a processor has in flight. Returns the
 * number of operations in `n` rounds. */
double NAME(fma_rounds)(clipk_tile kind, int64_t n)
{
    vf a[12];
    /* No chain starts at the fixed point, 3: the compiler would fold it away. */
    const vf x = vset1(0.9999f), y = vset1(0.0003f);
    const vu ones = 0x3f803f80 - (vu){0};
    int numbers = 2;
    UNROLL
    for (int i = 0; i < 12; i++)
        a[i] = vset1((float)i + 0.5f);
#define ROUNDS(expression)                     \
    for (int64_t k = 0; k < n; k++)            \
        UNROLL                                 \
        for (int i = 0; i < 12; i++)           \
            a[i] = (vf)(expression);           \
    break
    switch (kind) {
    case CLIPK_TILE_BF16_PAIRS: numbers = 4; ROUNDS(vdot_bf16(a[i], ones, y));
    case CLIPK_TILE_I8_QUADS: numbers = 8; ROUNDS(vdot_u8((vi)a[i], ones, (vi)y));
    case CLIPK_TILE_I8_SIGNED: numbers = 8; ROUNDS(vdot_i8((vi)a[i], (vi)ones, (vi)y));
    case CLIPK_TILE_I8_PAIRS: numbers = 4; ROUNDS(vdot_i16((vi)a[i], ones, (vi)y));
    case CLIPK_TILE_F32:
    case CLIPK_TILE_F16:
    case CLIPK_TILE_BF16:
    case CLIPK_TILES: ROUNDS(a[i] * x + y);
    }
#undef ROUNDS
    vf sum = {0};
    UNROLL
    for (int i = 0; i < 12; i++)
        sum += a[i];
    volatile float keep = sum[0];
    (void)keep;
    return (double)n * 12 * CLIPK_VL * numbers;
}

/* ---- The table ------------------------------------------------------------------------------- */

const clipk_set NAME(set) = {
    .name = CLIPK_TEXT(CLIPK_ISA),
    .mr = TILE_ROWS,
    .nr = NR,
    .kc = KC,
#define KERNEL(type, name, parameters) .name = NAME(name),
#include "kernels/list.h"
};
