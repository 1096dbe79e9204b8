/* simd_attention.c: softmax(q kᵀ / sqrt(D)) v for one head, a block of queries at a time.
 *
 *     Q [D, lanes]       queries transposed: one lane each
 *     S [keys, lanes] = k Q           k is read in place, a number at a time, for all lanes
 *     P = exp(S - max over keys)      max and sum go down the columns and cross no lanes
 *     y [lanes, D] = Pᵀ v / sums      P is read a number at a time, rows of v in place
 *
 * Keys and values are not packed. They are copied, densely, if several blocks of queries use them:
 * rows a power of two apart would share a few sets of the cache. A query's result does not depend
 * on the other queries of its block.
 *
 * With products of pairs, q, k, v and P are rounded to bf16. Neighbours along D in Q
 * and k, and neighbouring keys in P and v, stand side by side. Scores, maxima and sums stay f32.
 * P is 2^(S - max) there, and log2(e) is in Q.
 *
 * Keys come in blocks of CLIPK_ATTENTION_KEYS. All but very long samples have one block. Each
 * further block rescales the sums of the blocks before (Milakov and Gimelshein 2018,
 * arXiv:1805.02867). */
#include <math.h>

#include "kernels/tile.h"
#include "kernels/vecmath.h"

#define LOG2_E 1.44269504f

typedef struct head {
    clipk_attention_piece p;
    const float *k, *v; /* or copies; of numbers, or of pairs */
    int64_t ldk, ldv;
    float *S, *Q; /* [CLIPK_ATTENTION_KEYS, lanes], [D, lanes] */
} head;

/* Pairs that hold n numbers. */
INLINE int pairs_of(int n) { return (n + 1) / 2; }

/* Of a set whose tiles have more rows than a block has lanes, such tiles are compiled, not used. */
#define LANES_ROOM (TILE_COLUMNS > TILE_ROWS ? TILE_COLUMNS : TILE_ROWS)

/* Queries i0 .. i0 + count, in nv vectors of lanes, and n keys from j0. */
typedef struct block {
    int i0, count, nv, j0, n;
    vi sees[2]; /* how many keys each lane sees */
    int all;    /* keys that every lane sees */
    vf best[2], sum[2];
    float keep[LANES_ROOM], scale[LANES_ROOM]; /* y = (y keep + Pᵀ v) scale */
} block;

/* The next piece may be the next head, whose rows are behind those of this one: too far apart for
 * the processor to fetch by itself. */
INLINE void fetch_ahead(const float *x, int D)
{
    for (int d = 0; d < D; d += 64 / (int)sizeof(float))
        __builtin_prefetch(x + D + d, 0, 2);
}

/* Q[d][lane] = scale q[lane][d], or pairs of them. Lanes without a query are 0. */
INLINE void turn_queries(const head *h, const block *b, bool pairs)
{
    const int each = pairs ? 2 * CLIPK_VL : CLIPK_VL; /* numbers of a query in a vector */
    const float scale = (pairs ? LOG2_E : 1.0f) / sqrtf((float)h->p.D);
    for (int v = 0; v < b->nv; v++)
        for (int d = 0; d < h->p.D; d += each) {
            const float *q = h->p.q + (b->i0 + v * CLIPK_VL) * h->p.ldq + d;
            const int count = b->count - v * CLIPK_VL, n = h->p.D - d;
            vf r[CLIPK_VL];
            for (int i = 0; i < CLIPK_VL; i++, q += h->p.ldq) {
                if (d == 0 && i < count)
                    fetch_ahead(q, h->p.D);
                r[i] = i >= count ? (vf){0} : vload_some(q, n) * scale;
#if defined(CLIPK_DOT_BF16)
                if (pairs && i < count)
                    r[i] = (vf)vjoin_bf16(r[i], vload_some(q + CLIPK_VL, n - CLIPK_VL) * scale);
#endif
            }
            transpose(r);
            for (int i = 0; i < CLIPK_VL; i++)
                vstore(h->Q + ((d / (each / CLIPK_VL) + i) * b->nv + v) * CLIPK_VL, r[i]);
        }
}

/* ---- Scores ---------------------------------------------------------------------------------- */

/* S of the keys j .. j+m of the block. */
INLINE void score(const head *h, const block *b, int j, int m, int nv, bool pairs)
{
    vf s[TILE_ROWS][2];
    float *to = h->S + j * nv * CLIPK_VL;
    tile_zero(s, m);
    tile_any(pairs, s, m, nv, h->k + (b->j0 + j) * h->ldk, h->ldk, 1, h->Q, nv * CLIPK_VL, 0,
             pairs ? pairs_of(h->p.D) : h->p.D);
    UNROLL
    for (int i = 0; i < m; i++) {
        vstore(to + i * nv * CLIPK_VL, s[i][0]);
        if (nv > 1)
            vstore(to + i * nv * CLIPK_VL + CLIPK_VL, s[i][1]);
    }
}

typedef void score_tile(const head *h, const block *b, int j);
#define SCORE(m)                                                                                                       \
    static NOINLINE void score_1_##m(const head *h, const block *b, int j) { score(h, b, j, m, 1, false); }            \
    static NOINLINE void score_2_##m(const head *h, const block *b, int j) { score(h, b, j, m, 2, false); }
#define SCORE_1(m) [m] = score_1_##m,
#define SCORE_2(m) [m] = score_2_##m,
TILE_SIZES(SCORE)
#if defined(CLIPK_DOT_BF16)
#define SCORE_PAIRS(m)                                                                                                 \
    static NOINLINE void score_pairs_1_##m(const head *h, const block *b, int j) { score(h, b, j, m, 1, true); }       \
    static NOINLINE void score_pairs_2_##m(const head *h, const block *b, int j) { score(h, b, j, m, 2, true); }
#define SCORE_PAIRS_1(m) [m] = score_pairs_1_##m,
#define SCORE_PAIRS_2(m) [m] = score_pairs_2_##m,
TILE_SIZES(SCORE_PAIRS)
#endif

static score_tile *const scores[2][2][TILE_ROWS + 1] = {
    {{TILE_SIZES(SCORE_1)}, {TILE_SIZES(SCORE_2)}},
#if defined(CLIPK_DOT_BF16)
    {{TILE_SIZES(SCORE_PAIRS_1)}, {TILE_SIZES(SCORE_PAIRS_2)}},
#endif
};

/* Keys that a lane does not see become -inf. Finds the largest score of each lane. */
static void mask_and_best(const head *h, block *b, int v)
{
    const int step = b->nv * CLIPK_VL, all = b->all - b->j0 < b->n ? b->all - b->j0 : b->n;
    float *s = h->S + v * CLIPK_VL;
    vf best = b->best[v];
    int j = 0;
    for (; j < all; j++, s += step)
        best = vmax(vload(s), best);
    for (; j < b->n; j++, s += step) {
        vf seen = vselect(b->j0 + j < b->sees[v], vload(s), vset1(-INFINITY));
        vstore(s, seen);
        best = vmax(seen, best);
    }
    b->best[v] = best;
}

/* S becomes P. Adds up the sums. Pairs of P lie in the first half of S. */
INLINE void weights(const head *h, block *b, int v, bool pairs)
{
    const int step = b->nv * CLIPK_VL;
    const vf best = b->best[v];
    float *s = h->S + v * CLIPK_VL;
    vf sum = b->sum[v];
#if defined(CLIPK_DOT_BF16)
    for (float *to = s; pairs && s < h->S + b->n * step; s += 2 * step, to += step) {
        const vf p = vexp2_rough(vload(s) - best);
        const vf p1 = s + step < h->S + b->n * step ? vexp2_rough(vload(s + step) - best) : (vf){0};
        vstore(to, (vf)vzip_bf16(p, p1));
        sum += p;
        sum += p1;
    }
#endif
    for (int j = 0; j < b->n && !pairs; j++, s += step) {
        vf p = vexp_weight(vload(s) - best);
        vstore(s, p);
        sum += p;
    }
    b->sum[v] = sum;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Columns d .. of the rows i .. i+m of y: nv vectors, or the first `part` numbers of one. */
INLINE void value(const head *h, const block *b, int i, int d, int part, int m, int nv, bool pairs)
{
    vf o[TILE_ROWS][2];
    tile_zero(o, m);
    tile_any(pairs, o, m, nv, h->S + i, 1, b->nv * CLIPK_VL, h->v + (pairs ? b->j0 / 2 : b->j0) * h->ldv + d, h->ldv,
             part, pairs ? pairs_of(b->n) : b->n);
    UNROLL
    for (int r = 0; r < m; r++) {
        float *y = h->p.y + (b->i0 + i + r) * h->p.ldy + d;
        const float keep = b->keep[i + r], scale = b->scale[i + r];
        if (part) {
            vstore_n(y, (b->j0 ? vfma(vload_n(y, part), vset1(keep), o[r][0]) : o[r][0]) * scale, part);
            continue;
        }
        vstore(y, (b->j0 ? vfma(vload(y), vset1(keep), o[r][0]) : o[r][0]) * scale);
        if (nv > 1)
            vstore(y + CLIPK_VL, (b->j0 ? vfma(vload(y + CLIPK_VL), vset1(keep), o[r][1]) : o[r][1]) * scale);
    }
}

typedef void value_tile(const head *h, const block *b, int i, int d, int part);
#define VALUE_TILES(name, m, pairs)                                                                                    \
    static NOINLINE void name##_0_##m(const head *h, const block *b, int i, int d, int part)                           \
    {                                                                                                                  \
        value(h, b, i, d, part, m, 1, pairs);                                                                          \
    }                                                                                                                  \
    static NOINLINE void name##_1_##m(const head *h, const block *b, int i, int d, int part)                           \
    {                                                                                                                  \
        (void)part, value(h, b, i, d, 0, m, 1, pairs);                                                                 \
    }                                                                                                                  \
    static NOINLINE void name##_2_##m(const head *h, const block *b, int i, int d, int part)                           \
    {                                                                                                                  \
        (void)part, value(h, b, i, d, 0, m, 2, pairs);                                                                 \
    }
#define VALUE(m) VALUE_TILES(value, m, false)
#define VALUE_0(m) [m] = value_0_##m,
#define VALUE_1(m) [m] = value_1_##m,
#define VALUE_2(m) [m] = value_2_##m,
TILE_SIZES(VALUE)
#if defined(CLIPK_DOT_BF16)
#define VALUE_PAIRS(m) VALUE_TILES(value_pairs, m, true)
#define VALUE_PAIRS_0(m) [m] = value_pairs_0_##m,
#define VALUE_PAIRS_1(m) [m] = value_pairs_1_##m,
#define VALUE_PAIRS_2(m) [m] = value_pairs_2_##m,
TILE_SIZES(VALUE_PAIRS)
#endif

static value_tile *const values[2][3][TILE_ROWS + 1] = {
    {{TILE_SIZES(VALUE_0)}, {TILE_SIZES(VALUE_1)}, {TILE_SIZES(VALUE_2)}},
#if defined(CLIPK_DOT_BF16)
    {{TILE_SIZES(VALUE_PAIRS_0)}, {TILE_SIZES(VALUE_PAIRS_1)}, {TILE_SIZES(VALUE_PAIRS_2)}},
#endif
};

static void all_values(const head *h, const block *b)
{
    const int D = h->p.D;
    for (int d = 0, nv; d < D; d += nv ? nv * CLIPK_VL : CLIPK_VL) {
        nv = D - d >= 2 * CLIPK_VL ? 2 : D - d >= CLIPK_VL ? 1 : 0;
        for (int i = 0, m; i < b->count; i += m) {
            m = tile_step(b->count - i);
            values[h->p.pairs][nv][m](h, b, i, d, D - d);
        }
    }
}

/* ---- The block, the head --------------------------------------------------------------------- */

INLINE void query_block(const head *h, int i0, int count, bool pairs)
{
    block b = {.i0 = i0, .count = count, .nv = count > CLIPK_VL ? 2 : 1, .all = h->p.sees + i0};
    const int last = h->p.sees + i0 + count - 1, seen = last < h->p.nk ? last : h->p.nk;
    for (int l = 0; l < TILE_COLUMNS; l++)
        b.sees[l / CLIPK_VL][l % CLIPK_VL] = h->p.sees + i0 + l;
    b.best[0] = b.best[1] = vset1(-INFINITY);

    turn_queries(h, &b, pairs);
    for (b.j0 = 0; b.j0 < seen; b.j0 += CLIPK_ATTENTION_KEYS) {
        const bool ends = seen - b.j0 <= CLIPK_ATTENTION_KEYS;
        b.n = ends ? seen - b.j0 : CLIPK_ATTENTION_KEYS;
        for (int j = 0, m; j < b.n; j += m) {
            m = tile_step(b.n - j);
            scores[pairs][b.nv - 1][m](h, &b, j);
        }
        for (int v = 0; v < b.nv; v++) {
            const vf before = b.best[v];
            mask_and_best(h, &b, v);
            vf keep = pairs ? vexp2_rough(before - b.best[v]) : vexp_weight(before - b.best[v]);
            b.sum[v] *= keep;
            vstore(b.keep + v * CLIPK_VL, keep);
            weights(h, &b, v, pairs);
            vstore(b.scale + v * CLIPK_VL, ends ? 1.0f / b.sum[v] : vset1(1));
        }
        all_values(h, &b);
    }
    for (int l = 0; h->p.lse && l < count; l++)
        h->p.lse[i0 + l] = b.best[l / CLIPK_VL][l % CLIPK_VL] + logf(b.sum[l / CLIPK_VL][l % CLIPK_VL]);
}

#if defined(CLIPK_DOT_BF16)
/* to[j][d] = the numbers 2d and 2d + 1 of row j */
static void pair_columns(float *to, const float *x, int64_t ld, int rows, int D)
{
    const int each = pairs_of(D);
    for (int j = 0; j < rows; j++, to += each, x += ld) {
        fetch_ahead(x, D);
        for (int d = 0; d < D; d += 2 * CLIPK_VL)
            vstore_some(to + d / 2,
                        (vf)vjoin_bf16(vload_some(x + d, D - d), vload_some(x + d + CLIPK_VL, D - d - CLIPK_VL)),
                        each - d / 2);
    }
}

/* to[j][d] = number d of the rows 2j and 2j + 1 */
static void pair_rows(float *to, const float *x, int64_t ld, int rows, int D)
{
    for (int j = 0; j < rows; j += 2, to += D, x += 2 * ld) {
        fetch_ahead(x, D);
        fetch_ahead(x + ld, D);
        for (int d = 0; d < D; d += CLIPK_VL)
            vstore_some(to + d,
                        (vf)vzip_bf16(vload_some(x + d, D - d), j + 1 < rows ? vload_some(x + ld + d, D - d) : (vf){0}),
                        D - d);
    }
}
#endif

void NAME(attention)(const clipk_attention_piece *p)
{
    head h = {.p = *p, .k = p->k, .v = p->v, .ldk = p->ldk, .ldv = p->ldv};
    h.S = p->scratch;
    h.Q = h.S + CLIPK_ATTENTION_KEYS * TILE_COLUMNS;
    float *k = h.Q + CLIPK_ATTENTION_D * TILE_COLUMNS, *v = k + CLIPK_ATTENTION_COPY;
    const int D = p->D, most = p->sees + p->nq - 1 < p->nk ? p->sees + p->nq - 1 : p->nk; /* keys that a query sees */
#if defined(CLIPK_DOT_BF16)
    if (p->pairs) {
        pair_columns(k, p->k, p->ldk, most, D);
        pair_rows(v, p->v, p->ldv, most, D);
        h.k = k, h.v = v, h.ldk = pairs_of(D), h.ldv = D;
    }
#endif
    if (!p->pairs && p->nq > CLIPK_VL && most * D <= CLIPK_ATTENTION_COPY) {
        copy_rows(k, p->k, p->ldk, most, D);
        copy_rows(v, p->v, p->ldv, most, D);
        h.k = k, h.v = v, h.ldk = h.ldv = D;
    }
    for (int i = 0; i < p->nq; i += TILE_COLUMNS) {
        const int count = p->nq - i < TILE_COLUMNS ? p->nq - i : TILE_COLUMNS;
#if defined(CLIPK_DOT_BF16)
        if (p->pairs) {
            query_block(&h, i, count, true);
            continue;
        }
#endif
        query_block(&h, i, count, false);
    }
}
