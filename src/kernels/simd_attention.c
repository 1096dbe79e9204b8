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
 * Keys come in blocks of CLIPK_ATTENTION_KEYS. All but very long samples have one block. Each
 * further block rescales the sums of the blocks before (Milakov and Gimelshein 2018,
 * arXiv:1805.02867). */
#include <math.h>

#include "kernels/tile.h"
#include "kernels/vecmath.h"

typedef struct head {
    const float *q, *k, *v;
    float *y, *lse;
    int64_t ldq, ldk, ldv, ldy;
    int nk, sees, D;
    float *S, *Q; /* [CLIPK_ATTENTION_KEYS, lanes], [D, lanes] */
} head;

/* Queries i0 .. i0 + count, in nv vectors of lanes, and n keys from j0. */
typedef struct block {
    int i0, count, nv, j0, n;
    vi sees[2]; /* how many keys each lane sees */
    int all;    /* keys that every lane sees */
    vf best[2], sum[2];
    float keep[TILE_COLUMNS], scale[TILE_COLUMNS]; /* y = (y keep + Pᵀ v) scale */
} block;

/* Q[d][lane] = scale q[lane][d]. Lanes without a query are 0. */
static void turn_queries(const head *h, const block *b)
{
    const float scale = 1.0f / sqrtf((float)h->D);
    for (int v = 0; v < b->nv; v++)
        for (int d = 0; d < h->D; d += CLIPK_VL) {
            const float *q = h->q + (b->i0 + v * CLIPK_VL) * h->ldq + d;
            const int count = b->count - v * CLIPK_VL, n = h->D - d;
            vf r[CLIPK_VL];
            if (count >= CLIPK_VL && n >= CLIPK_VL)
                for (int i = 0; i < CLIPK_VL; i++)
                    r[i] = vload(q + i * h->ldq) * scale;
            else
                for (int i = 0; i < CLIPK_VL; i++)
                    r[i] = i >= count      ? (vf){0}
                           : n >= CLIPK_VL ? vload(q + i * h->ldq) * scale
                                           : vload_n(q + i * h->ldq, n) * scale;
            transpose(r);
            for (int i = 0; i < CLIPK_VL; i++)
                vstore(h->Q + ((d + i) * b->nv + v) * CLIPK_VL, r[i]);
        }
}

/* ---- Scores ---------------------------------------------------------------------------------- */

/* S of the keys j .. j+m of the block. */
INLINE void score(const head *h, const block *b, int j, int m, int nv)
{
    vf s[TILE_ROWS][2];
    float *to = h->S + j * nv * CLIPK_VL;
    tile_zero(s, m);
    tile(s, m, nv, h->k + (b->j0 + j) * h->ldk, h->ldk, 1, h->Q, nv * CLIPK_VL, 0, h->D);
    UNROLL
    for (int i = 0; i < m; i++) {
        vstore(to + i * nv * CLIPK_VL, s[i][0]);
        if (nv > 1)
            vstore(to + i * nv * CLIPK_VL + CLIPK_VL, s[i][1]);
    }
}

typedef void score_tile(const head *h, const block *b, int j);
#define SCORE(m)                                                                                     \
    static NOINLINE void score_1_##m(const head *h, const block *b, int j) { score(h, b, j, m, 1); } \
    static NOINLINE void score_2_##m(const head *h, const block *b, int j) { score(h, b, j, m, 2); }
TILE_SIZES(SCORE)

#define SCORE_1(m) [m] = score_1_##m,
#define SCORE_2(m) [m] = score_2_##m,
static score_tile *const scores[2][TILE_ROWS + 1] = {{TILE_SIZES(SCORE_1)}, {TILE_SIZES(SCORE_2)}};

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

/* S becomes P. Adds up the sums. */
static void weights(const head *h, block *b, int v)
{
    const int step = b->nv * CLIPK_VL;
    const vf best = b->best[v];
    float *s = h->S + v * CLIPK_VL;
    vf sum = b->sum[v];
    for (int j = 0; j < b->n; j++, s += step) {
        vf p = vexp_weight(vload(s) - best);
        vstore(s, p);
        sum += p;
    }
    b->sum[v] = sum;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Columns d .. of the rows i .. i+m of y: nv vectors, or the first `part` numbers of one. */
INLINE void value(const head *h, const block *b, int i, int d, int part, int m, int nv)
{
    vf o[TILE_ROWS][2];
    tile_zero(o, m);
    tile(o, m, nv, h->S + i, 1, b->nv * CLIPK_VL, h->v + b->j0 * h->ldv + d, h->ldv, part, b->n);
    UNROLL
    for (int r = 0; r < m; r++) {
        float *y = h->y + (b->i0 + i + r) * h->ldy + d;
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
#define VALUE(m)                                                                                                       \
    static NOINLINE void value_0_##m(const head *h, const block *b, int i, int d, int part)                            \
    {                                                                                                                  \
        value(h, b, i, d, part, m, 1);                                                                                 \
    }                                                                                                                  \
    static NOINLINE void value_1_##m(const head *h, const block *b, int i, int d, int part)                            \
    {                                                                                                                  \
        (void)part, value(h, b, i, d, 0, m, 1);                                                                        \
    }                                                                                                                  \
    static NOINLINE void value_2_##m(const head *h, const block *b, int i, int d, int part)                            \
    {                                                                                                                  \
        (void)part, value(h, b, i, d, 0, m, 2);                                                                        \
    }
TILE_SIZES(VALUE)

#define VALUE_0(m) [m] = value_0_##m,
#define VALUE_1(m) [m] = value_1_##m,
#define VALUE_2(m) [m] = value_2_##m,
static value_tile *const values[3][TILE_ROWS + 1] = {
    {TILE_SIZES(VALUE_0)}, {TILE_SIZES(VALUE_1)}, {TILE_SIZES(VALUE_2)}};

static void all_values(const head *h, const block *b)
{
    for (int d = 0, nv; d < h->D; d += nv ? nv * CLIPK_VL : CLIPK_VL) {
        nv = h->D - d >= 2 * CLIPK_VL ? 2 : h->D - d >= CLIPK_VL ? 1 : 0;
        for (int i = 0, m; i < b->count; i += m) {
            m = tile_step(b->count - i);
            values[nv][m](h, b, i, d, h->D - d);
        }
    }
}

/* ---- The block, the head --------------------------------------------------------------------- */

static void query_block(const head *h, int i0, int count)
{
    block b = {.i0 = i0, .count = count, .nv = count > CLIPK_VL ? 2 : 1, .all = h->sees + i0};
    const int last = h->sees + i0 + count - 1, seen = last < h->nk ? last : h->nk;
    for (int l = 0; l < TILE_COLUMNS; l++)
        b.sees[l / CLIPK_VL][l % CLIPK_VL] = h->sees + i0 + l;
    b.best[0] = b.best[1] = vset1(-INFINITY);

    turn_queries(h, &b);
    for (b.j0 = 0; b.j0 < seen; b.j0 += CLIPK_ATTENTION_KEYS) {
        const bool ends = seen - b.j0 <= CLIPK_ATTENTION_KEYS;
        b.n = ends ? seen - b.j0 : CLIPK_ATTENTION_KEYS;
        for (int j = 0, m; j < b.n; j += m) {
            m = tile_step(b.n - j);
            scores[b.nv - 1][m](h, &b, j);
        }
        for (int v = 0; v < b.nv; v++) {
            const vf before = b.best[v];
            mask_and_best(h, &b, v);
            vf keep = vexp_weight(before - b.best[v]);
            b.sum[v] *= keep;
            vstore(b.keep + v * CLIPK_VL, keep);
            weights(h, &b, v);
            vstore(b.scale + v * CLIPK_VL, ends ? 1.0f / b.sum[v] : vset1(1));
        }
        all_values(h, &b);
    }
    for (int l = 0; h->lse && l < count; l++)
        h->lse[i0 + l] = b.best[l / CLIPK_VL][l % CLIPK_VL] + logf(b.sum[l / CLIPK_VL][l % CLIPK_VL]);
}

void NAME(attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                     const float *v, int64_t ldv, int nq, int nk, int sees, int D, void *scratch)
{
    head h = {.q = q,
              .k = k,
              .v = v,
              .y = y,
              .lse = lse,
              .ldq = ldq,
              .ldk = ldk,
              .ldv = ldv,
              .ldy = ldy,
              .nk = nk,
              .sees = sees,
              .D = D};
    h.S = scratch;
    h.Q = h.S + CLIPK_ATTENTION_KEYS * TILE_COLUMNS;
    const int most = sees + nq - 1 < nk ? sees + nq - 1 : nk; /* keys that at least one query sees */
    if (nq > CLIPK_VL && most * D <= CLIPK_ATTENTION_COPY) {
        float *copy = h.Q + CLIPK_ATTENTION_D * TILE_COLUMNS;
        copy_rows(copy, k, ldk, most, D);
        copy_rows(copy + CLIPK_ATTENTION_COPY, v, ldv, most, D);
        h.k = copy;
        h.v = copy + CLIPK_ATTENTION_COPY;
        h.ldk = h.ldv = D;
    }
    for (int i = 0; i < nq; i += TILE_COLUMNS)
        query_block(&h, i, nq - i < TILE_COLUMNS ? nq - i : TILE_COLUMNS);
}
