/* simd_attention_back.c: the gradient of softmax(q kᵀ / sqrt(D)) v for one head of one sample.
 *
 *     S [keys, lanes] = k Q        P = exp(S - lse)     queries on the lanes as in simd_attention.c
 *     T [keys, lanes] = v dY       dS = P (T - delta)    forward keeps only y and lse
 *     dq [lanes, D] = dSᵀ k        dk [keys, D] = dS q         dv [keys, D] = P dy
 *
 * Q, dY and delta are multiplied by 1/sqrt(D) as they are transposed. So dS already has the factor
 * that dq and dk need.
 *
 * Keys come in parts. For each part, queries come in groups of several blocks of lanes. dq is
 * complete after the last part; dk and dv of a part are complete after its last group. A group adds
 * up all its queries in registers. Both cuts depend on the shape alone, so the order of the sums
 * does. */
#include <math.h>

#include "kernels/tile.h"
#include "kernels/vecmath.h"

#define BLOCKS (CLIPK_ATTENTION_BACK_QUERIES / TILE_COLUMNS) /* blocks per group, at most */

typedef struct work {
    const clipk_attention_back_piece *p;
    float *rows[4];     /* copies of k and v of the part, and of q and dy of the group */
    float *Q, *dY;      /* [D, lanes] */
    float *P, *dS;      /* [blocks][n][TILE_COLUMNS]; a last block of at most CLIPK_VL queries has CLIPK_VL lanes */
    const float *k, *v; /* k and v of the part: the input or the copy */
    int64_t ldk, ldv;
    int j0, n;          /* the part: keys j0 .. j0+n */
    int i0, count;      /* the group: queries i0 .. i0+count */
    int seen[BLOCKS];   /* keys of the part that some query of the block sees; ascends */
} work;

/* to[d][lane] = scale x[lane][d]     x [count, D] dense; lanes without a row get 0 */
static void turn(float *to, const float *x, int count, int nv, int D, float scale)
{
    for (int v = 0; v < nv; v++)
        for (int d = 0; d < D; d += CLIPK_VL) {
            vf r[CLIPK_VL];
            for (int i = 0; i < CLIPK_VL; i++) {
                const float *row = x + (v * CLIPK_VL + i) * D + d;
                r[i] = v * CLIPK_VL + i >= count ? (vf){0}
                       : D - d >= CLIPK_VL       ? vload(row) * scale
                                                 : vload_n(row, D - d) * scale;
            }
            transpose(r);
            for (int i = 0; i < CLIPK_VL; i++)
                vstore(to + ((d + i) * nv + v) * CLIPK_VL, r[i]);
        }
}

/* scale y . dy of count <= CLIPK_VL rows, one lane each. */
static vf deltas(const float *y, int64_t ldy, const float *dy, int count, int D, float scale)
{
    vf r[CLIPK_VL], sum = {0};
    for (int i = 0; i < CLIPK_VL; i++) {
        r[i] = (vf){0};
        for (int d = 0; i < count && d < D; d += CLIPK_VL) {
            const float *a = y + i * ldy + d, *b = dy + i * D + d;
            r[i] += D - d >= CLIPK_VL ? vload(a) * vload(b) : vload_n(a, D - d) * vload_n(b, D - d);
        }
    }
    transpose(r);
    for (int i = 0; i < CLIPK_VL; i++)
        sum += r[i];
    return sum * scale;
}

/* ---- S and T: rows of k or v times what was turned ------------------------------------------- */

INLINE void score(float *to, const float *x, int64_t ldx, const float *turned, int D, int m, int nv)
{
    vf s[TILE_ROWS][2];
    tile_zero(s, m);
    tile(s, m, nv, x, ldx, 1, turned, nv * CLIPK_VL, 0, D);
    UNROLL
    for (int i = 0; i < m; i++) {
        vstore(to + i * nv * CLIPK_VL, s[i][0]);
        if (nv > 1)
            vstore(to + i * nv * CLIPK_VL + CLIPK_VL, s[i][1]);
    }
}

typedef void score_tile(float *to, const float *x, int64_t ldx, const float *turned, int D);
#define SCORE(m)                                                                                            \
    static NOINLINE void score_1_##m(float *to, const float *x, int64_t ldx, const float *turned, int D)    \
    {                                                                                                       \
        score(to, x, ldx, turned, D, m, 1);                                                                 \
    }                                                                                                       \
    static NOINLINE void score_2_##m(float *to, const float *x, int64_t ldx, const float *turned, int D)    \
    {                                                                                                       \
        score(to, x, ldx, turned, D, m, 2);                                                                 \
    }
TILE_SIZES(SCORE)

#define SCORE_1(m) [m] = score_1_##m,
#define SCORE_2(m) [m] = score_2_##m,
static score_tile *const scores[2][TILE_ROWS + 1] = {{TILE_SIZES(SCORE_1)}, {TILE_SIZES(SCORE_2)}};

static void all_scores(float *to, const float *x, int64_t ldx, int n, const float *turned, int nv, int D)
{
    for (int j = 0, m; j < n; j += m) {
        m = tile_step(n - j);
        scores[nv - 1][m](to + j * nv * CLIPK_VL, x + j * ldx, ldx, turned, D);
    }
}

/* S becomes P and T becomes dS, for one vector of lanes. Every lane sees the first `all` keys. Keys
 * that a lane does not see become 0, whatever their value was. */
static void weights(float *S, float *T, int step, vf lse, vf delta, vi sees, int all, int n)
{
    int j = 0;
    for (; j < all; j++, S += step, T += step) {
        vf p = vexp_weight(vload(S) - lse);
        vstore(S, p);
        vstore(T, p * (vload(T) - delta));
    }
    for (; j < n; j++, S += step, T += step) {
        vf p = vexp_weight(vload(S) - lse);
        vstore(S, vselect(j < sees, p, (vf){0}));
        vstore(T, vselect(j < sees, p * (vload(T) - delta), (vf){0}));
    }
}

/* ---- dq, dk, dv: sums of rows ---------------------------------------------------------------- */

/* y[i] = (add: y[i] +) sum over k of a(i, k) x[k]     y [rows, D]  x [K, D]
 * a comes in runs: a(i, k) is a[k / run * next + i * rs + k % run * cs]. */
typedef struct sums {
    float *y;
    const float *a, *x;
    int64_t ldy, ldx, rs, cs, next;
    int rows, K, run, D;
    bool add;
} sums;

/* Columns d .. of the rows i .. i+m: nv vectors, or the first `part` numbers of one. */
INLINE void sum(const sums *s, int i, int d, int part, int m, int nv)
{
    vf o[TILE_ROWS][2];
    tile_zero(o, m);
    const float *a = s->a + i * s->rs, *x = s->x + d;
    for (int k = 0; k < s->K; k += s->run, a += s->next, x += s->run * s->ldx)
        tile(o, m, nv, a, s->rs, s->cs, x, s->ldx, part, s->K - k < s->run ? s->K - k : s->run);
    UNROLL
    for (int r = 0; r < m; r++) {
        float *y = s->y + (i + r) * s->ldy + d;
        if (part) {
            vstore_n(y, s->add ? vload_n(y, part) + o[r][0] : o[r][0], part);
            continue;
        }
        vstore(y, s->add ? vload(y) + o[r][0] : o[r][0]);
        if (nv > 1)
            vstore(y + CLIPK_VL, s->add ? vload(y + CLIPK_VL) + o[r][1] : o[r][1]);
    }
}

typedef void sum_tile(const sums *s, int i, int d, int part);
#define SUM(m)                                                                                                     \
    static NOINLINE void sum_0_##m(const sums *s, int i, int d, int part) { sum(s, i, d, part, m, 1); }            \
    static NOINLINE void sum_1_##m(const sums *s, int i, int d, int part) { (void)part, sum(s, i, d, 0, m, 1); }   \
    static NOINLINE void sum_2_##m(const sums *s, int i, int d, int part) { (void)part, sum(s, i, d, 0, m, 2); }
TILE_SIZES(SUM)

#define SUM_0(m) [m] = sum_0_##m,
#define SUM_1(m) [m] = sum_1_##m,
#define SUM_2(m) [m] = sum_2_##m,
static sum_tile *const sum_tiles[3][TILE_ROWS + 1] = {{TILE_SIZES(SUM_0)}, {TILE_SIZES(SUM_1)}, {TILE_SIZES(SUM_2)}};

/* All columns of the rows i .. i+m. */
static void sum_rows(const sums *s, int i, int m)
{
    for (int d = 0, nv; d < s->D; d += nv ? nv * CLIPK_VL : CLIPK_VL) {
        nv = s->D - d >= 2 * CLIPK_VL ? 2 : s->D - d >= CLIPK_VL ? 1 : 0;
        sum_tiles[nv][m](s, i, d, s->D - d);
    }
}

/* ---- The block, the group, the part, the head ------------------------------------------------ */

/* P, dS and dq of the queries i .. of the group. */
static void query_block(work *w, int i)
{
    const clipk_attention_back_piece *p = w->p;
    const int D = p->D, at = w->i0 + i, count = w->count - i < TILE_COLUMNS ? w->count - i : TILE_COLUMNS,
              nv = count > CLIPK_VL ? 2 : 1;
    const int first = p->sees + at - w->j0, last = first + count - 1; /* keys of the part that the first and last see */
    const int n = last < w->n ? (last > 0 ? last : 0) : w->n, all = first < n ? (first > 0 ? first : 0) : n;
    float *S = w->P + i * w->n, *T = w->dS + i * w->n;
    w->seen[i / TILE_COLUMNS] = n;
    if (n == 0)
        return;
    const float scale = 1.0f / sqrtf((float)D);
    turn(w->Q, w->rows[2] + i * D, count, nv, D, scale);
    turn(w->dY, w->rows[3] + i * D, count, nv, D, scale);
    all_scores(S, w->k, w->ldk, n, w->Q, nv, D);
    all_scores(T, w->v, w->ldv, n, w->dY, nv, D);
    for (int v = 0; v < nv; v++) {
        const int l = v * CLIPK_VL, lanes = count - l < CLIPK_VL ? count - l : CLIPK_VL;
        const vf delta = deltas(p->y + (at + l) * p->ldy, p->ldy, w->rows[3] + (i + l) * D, lanes, D, scale);
        vi sees = {0};
        for (int j = 0; j < CLIPK_VL; j++)
            sees[j] = first + l + j;
        const vf lse = lanes < CLIPK_VL ? vload_n(p->lse + at + l, lanes) : vload(p->lse + at + l);
        weights(S + l, T + l, nv * CLIPK_VL, lse, delta, sees, all, n);
    }
    /* Tiles of keys may reach beyond the keys that this block sees. */
    const size_t beyond = (w->n - n < TILE_ROWS ? w->n - n : TILE_ROWS) * nv * CLIPK_VL;
    memset(S + n * nv * CLIPK_VL, 0, beyond * sizeof(float));
    memset(T + n * nv * CLIPK_VL, 0, beyond * sizeof(float));
    const sums dq = {.y = p->dq + at * p->lddq,
                     .ldy = p->lddq,
                     .a = T,
                     .rs = 1,
                     .cs = nv * CLIPK_VL,
                     .x = w->k,
                     .ldx = w->ldk,
                     .rows = count,
                     .K = n,
                     .run = n,
                     .D = D,
                     .add = w->j0 > 0};
    for (int r = 0, m; r < count; r += m) {
        m = tile_step(count - r);
        sum_rows(&dq, r, m);
    }
}

/* dk or dv: a is dS and x is q, or a is P and x is dy. A last block with few queries has rows of
 * CLIPK_VL lanes, so it is added separately. */
static void key_sums(const work *w, float *y, int64_t ldy, const float *a, const float *x, bool add)
{
    const int D = w->p->D, tail = w->count % TILE_COLUMNS, narrow = tail && tail <= CLIPK_VL ? tail : 0,
              wide = w->count - narrow;
    for (int j = 0, m; j < w->n; j += m) {
        m = tile_step(w->n - j);
        int b = 0;
        while (b * TILE_COLUMNS < w->count && w->seen[b] <= j)
            b++;
        /* the first query that sees any key of the tile */
        const int i = b * TILE_COLUMNS < w->count ? b * TILE_COLUMNS : w->count;
        bool more = add;
        if (i < wide || (i == w->count && !add)) { /* no query sees the tile: write zeros */
            const sums s = {.y = y,
                            .ldy = ldy,
                            .a = a + i * w->n,
                            .rs = TILE_COLUMNS,
                            .cs = 1,
                            .next = (int64_t)w->n * TILE_COLUMNS,
                            .x = x + i * D,
                            .ldx = D,
                            .K = i < wide ? wide - i : 0,
                            .run = TILE_COLUMNS,
                            .D = D,
                            .add = more};
            sum_rows(&s, j, m);
            more = true;
        }
        if (narrow && i < w->count) {
            const sums s = {.y = y,
                            .ldy = ldy,
                            .a = a + wide * w->n,
                            .rs = CLIPK_VL,
                            .cs = 1,
                            .x = x + wide * D,
                            .ldx = D,
                            .K = narrow,
                            .run = narrow,
                            .D = D,
                            .add = more};
            sum_rows(&s, j, m);
        }
    }
}

/* Cut n into the fewest equal pieces of at most `most`. Returns their size, a multiple of `of`. */
static int piece_size(int n, int most, int of)
{
    const int pieces = clipb_ceil_div(n, most);
    return clipb_round_up(clipb_ceil_div(n, pieces), of);
}

static void key_part(work *w)
{
    const clipk_attention_back_piece *p = w->p;
    const int D = p->D;
    w->k = p->k + w->j0 * p->ldk, w->ldk = p->ldk;
    w->v = p->v + w->j0 * p->ldv, w->ldv = p->ldv;
    if (p->nq > CLIPK_VL) { /* rows a power of two apart would share a few sets of the cache */
        copy_rows(w->rows[0], w->k, w->ldk, w->n, D);
        copy_rows(w->rows[1], w->v, w->ldv, w->n, D);
        w->k = w->rows[0], w->v = w->rows[1], w->ldk = w->ldv = D;
    }
    int most = CLIPK_ATTENTION_BACK_WEIGHTS / w->n;
    most = most < CLIPK_ATTENTION_BACK_ROWS / D ? most : CLIPK_ATTENTION_BACK_ROWS / D;
    most = most < CLIPK_ATTENTION_BACK_QUERIES ? most : CLIPK_ATTENTION_BACK_QUERIES;
    const int each = piece_size(p->nq, most / TILE_COLUMNS * TILE_COLUMNS, TILE_COLUMNS);
    bool add = false;
    for (w->i0 = 0; w->i0 < p->nq; w->i0 += each) {
        w->count = p->nq - w->i0 < each ? p->nq - w->i0 : each;
        if (p->sees + w->i0 + w->count - 1 <= w->j0)
            continue; /* no query sees these keys */
        copy_rows(w->rows[2], p->q + w->i0 * p->ldq, p->ldq, w->count, D);
        copy_rows(w->rows[3], p->dy + w->i0 * p->lddy, p->lddy, w->count, D);
        for (int i = 0; i < w->count; i += TILE_COLUMNS)
            query_block(w, i);
        key_sums(w, p->dk + w->j0 * p->lddk, p->lddk, w->dS, w->rows[2], add);
        key_sums(w, p->dv + w->j0 * p->lddv, p->lddv, w->P, w->rows[3], add);
        add = true;
    }
}

void NAME(attention_back)(const clipk_attention_back_piece *p)
{
    if (p->nq == 0) {
        for (int j = 0; j < p->nk; j++) {
            memset(p->dk + j * p->lddk, 0, sizeof(float) * p->D);
            memset(p->dv + j * p->lddv, 0, sizeof(float) * p->D);
        }
        return;
    }
    work w = {.p = p};
    float *s = p->scratch;
    for (int i = 0; i < 4; i++, s += CLIPK_ATTENTION_BACK_ROWS)
        w.rows[i] = s;
    w.P = s;
    w.dS = w.P + CLIPK_ATTENTION_BACK_WEIGHTS;
    w.Q = w.dS + CLIPK_ATTENTION_BACK_WEIGHTS;
    w.dY = w.Q + CLIPK_ATTENTION_D * TILE_COLUMNS;
    const int most = CLIPK_ATTENTION_BACK_ROWS / p->D;
    const int each = piece_size(p->nk, most < CLIPK_ATTENTION_BACK_KEYS ? most : CLIPK_ATTENTION_BACK_KEYS, 1);
    for (w.j0 = 0; w.j0 < p->nk; w.j0 += each) {
        w.n = p->nk - w.j0 < each ? p->nk - w.j0 : each;
        key_part(&w);
    }
}
