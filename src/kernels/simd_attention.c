/* simd_attention.c: softmax(q kᵀ / sqrt(D)) v for one head, with the queries in the lanes.
 *
 * A block of queries is turned on its side, Q [D, lanes]; then
 *
 *     S [keys, lanes] = k Q          rows of k are read where they lie, a number at a time, for all lanes
 *     P = exp(S - max over keys)     max and sum go down the columns: no lane ever asks another
 *     O [D, lanes] = vᵀ P            columns of v, again where they lie; P is in the right order already
 *
 * and O, over the sums, is turned back into rows of y. So keys and values are never packed, and what happens in a lane does not depend on
 * what stands in the others: a query gets the same result in any block, alone or in company. Keys come in blocks of CLIPK_ATTENTION_KEYS, of which
 * all but very long samples have one; a further one rescales what the ones before have added up (Milakov and Gimelshein 2018,
 * arXiv:1805.02867). */
#include <math.h>

#include "kernels/tile.h"
#include "kernels/vecmath.h"

typedef struct head {
    const float *q, *k, *v;
    float *y, *lse;
    int64_t ldq, ldk, ldv, ldy;
    int nk, sees, D;
    float *S, *Q, *O; /* [CLIPK_ATTENTION_KEYS, lanes], [D, lanes], [D, lanes] */
} head;

/* Rows of a tile of nv vectors: enough sums at a time to hide the latency of one. */
#define ROWS(nv) ((nv) == 2 || TILE_ROWS > 8 ? TILE_ROWS : 8)

/* Q[d][lane] = scale q[lane][d]; lanes without a query get 0, which harms nobody. */
INLINE void turn_queries(const head *h, int nv, const float *q, int count)
{
    const float scale = 1.0f / sqrtf((float)h->D);
    for (int v = 0; v < nv; v++)
        for (int d = 0; d < h->D; d += CLIPK_VL) {
            vf r[CLIPK_VL];
            for (int i = 0; i < CLIPK_VL; i++) {
                const float *at = q + (v * CLIPK_VL + i) * h->ldq + d;
                r[i] = v * CLIPK_VL + i >= count ? (vf){0} : d + CLIPK_VL <= h->D ? vload(at) : vload_n(at, h->D - d);
            }
            transpose(r);
            for (int i = 0; i < CLIPK_VL; i++)
                vstore(h->Q + ((d + i) * nv + v) * CLIPK_VL, r[i] * scale);
        }
}

/* y[lane][d] = O[d][lane] * by[lane] */
INLINE void turn_back(const head *h, int nv, float *y, int count, const vf by[2])
{
    for (int v = 0; v < nv; v++)
        for (int d = 0; d < h->D; d += CLIPK_VL) {
            vf r[CLIPK_VL];
            for (int i = 0; i < CLIPK_VL; i++)
                r[i] = d + i < h->D ? vload(h->O + ((d + i) * nv + v) * CLIPK_VL) * by[v] : (vf){0};
            transpose(r);
            for (int i = 0; i < CLIPK_VL && v * CLIPK_VL + i < count; i++) {
                float *at = y + (v * CLIPK_VL + i) * h->ldy + d;
                if (d + CLIPK_VL <= h->D)
                    vstore(at, r[i]);
                else
                    vstore_n(at, r[i], h->D - d);
            }
        }
}

/* The keys j .. j+m of the block at j0. Lane l sees the keys below sees[l]; from key `all` on, not every lane sees them. */
INLINE void score_tile(const head *h, int m, int nv, int j0, int j, const vi sees[2], int all, vf best[2])
{
    vf s[TILE_ROWS > 8 ? TILE_ROWS : 8][2];
    tile_zero(s, m);
    tile(s, m, nv, h->k + (j0 + j) * h->ldk, h->ldk, 1, h->Q, h->D);
    if (j0 + j + m > all)
#pragma GCC unroll 16
        for (int i = 0; i < m; i++)
            for (int v = 0; v < nv; v++)
                s[i][v] = vselect(j0 + j + i < sees[v], s[i][v], vset1(-INFINITY));
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
        for (int v = 0; v < nv; v++) {
            vstore(h->S + ((j + i) * nv + v) * CLIPK_VL, s[i][v]);
            best[v] = vmax(s[i][v], best[v]);
        }
}

/* O[d .. d+m] = O * keep + v[n keys][d .. d+m]ᵀ P */
INLINE void value_tile(const head *h, int m, int nv, int j0, int n, int d, const vf keep[2])
{
    vf o[TILE_ROWS > 8 ? TILE_ROWS : 8][2];
    tile_zero(o, m);
    tile(o, m, nv, h->v + j0 * h->ldv + d, 1, h->ldv, h->S, n);
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
        for (int v = 0; v < nv; v++) {
            float *at = h->O + ((d + i) * nv + v) * CLIPK_VL;
            vstore(at, j0 ? vload(at) * keep[v] + o[i][v] : o[i][v]);
        }
}

/* `count` queries, of which the first is query i0. */
INLINE void query_block(const head *h, int nv, int i0, int count)
{
    vf best[2] = {vset1(-INFINITY), vset1(-INFINITY)}, sum[2] = {{0}};
    vi sees[2];
    for (int l = 0; l < nv * CLIPK_VL; l++)
        sees[l / CLIPK_VL][l % CLIPK_VL] = h->sees + i0 + l;
    const int last = h->sees + i0 + count - 1, seen = last < h->nk ? last : h->nk;

    turn_queries(h, nv, h->q + i0 * h->ldq, count);
    for (int j0 = 0; j0 < seen; j0 += CLIPK_ATTENTION_KEYS) {
        const int n = seen - j0 < CLIPK_ATTENTION_KEYS ? seen - j0 : CLIPK_ATTENTION_KEYS;
        vf before[2] = {best[0], best[1]}, keep[2];
        int j = 0;
#define SCORES(m) (score_tile(h, m, nv, j0, j, sees, h->sees + i0, best), j += m)
        BY_TILES(n, ROWS(nv), SCORES);
        for (int v = 0; v < nv; v++) {
            keep[v] = vexp(before[v] - best[v]);
            sum[v] *= keep[v];
        }
        for (j = 0; j < n; j++)
            for (int v = 0; v < nv; v++) {
                float *at = h->S + (j * nv + v) * CLIPK_VL;
                vf p = vexp(vload(at) - best[v]);
                vstore(at, p);
                sum[v] += p;
            }
        int d = 0;
#define VALUES(m) (value_tile(h, m, nv, j0, n, d, keep), d += m)
        BY_TILES(h->D, ROWS(nv), VALUES);
    }
    for (int l = 0; h->lse && l < count; l++)
        h->lse[i0 + l] = best[l / CLIPK_VL][l % CLIPK_VL] + logf(sum[l / CLIPK_VL][l % CLIPK_VL]);
    for (int v = 0; v < nv; v++)
        sum[v] = 1.0f / sum[v];
    turn_back(h, nv, h->y + i0 * h->ldy, count, sum);
}

static void two_vectors(const head *h, int i0, int count) { query_block(h, 2, i0, count); }
static void one_vector(const head *h, int i0, int count) { query_block(h, 1, i0, count); }

void NAME(attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk, const float *v, int64_t ldv,
                     int nq, int nk, int sees, int D, void *scratch)
{
    head h = {.q = q, .k = k, .v = v, .y = y, .lse = lse, .ldq = ldq, .ldk = ldk, .ldv = ldv, .ldy = ldy, .nk = nk, .sees = sees, .D = D};
    h.S = scratch;
    h.Q = h.S + CLIPK_ATTENTION_KEYS * TILE_COLUMNS;
    h.O = h.Q + CLIPK_ATTENTION_D * TILE_COLUMNS;
    for (int i = 0; i < nq; i += TILE_COLUMNS) {
        if (nq - i > CLIPK_VL)
            two_vectors(&h, i, nq - i < TILE_COLUMNS ? nq - i : TILE_COLUMNS);
        else
            one_vector(&h, i, nq - i);
    }
}
