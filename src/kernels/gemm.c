/* gemm.c: the matrix product cut into pieces and shared among threads.
 *
 *     piece    some rows of x, some panels of W; a thread takes one after the other
 *     slab     of a piece: so many numbers of k that its rows of x stay in the second cache while all panels pass by
 *     block    of a slab: CLIPK_KC numbers of one panel, which stay in the innermost cache while all rows pass by
 *
 * Rows of x are read where they are, unless they lie badly: then a slab of them is copied into the thread's scratch. The sums of several
 * blocks wait there too, never in y, which may be the residual. While a block is used, the next one is on its way from memory.
 *
 * Few rows (a caption, one picture): only panels are cut, and the weights, which come from memory, are read once. */
#include "kernels/set.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define SLAB_NUMBERS (80 * 1024) /* of x that a slab holds: the better part of a usual second cache */
#define DEPTH 1024               /* of a slab, where K must be cut */
#define DEPTH_MOST 1280          /* of a slab */
#define ROWS_MOST 240            /* of a piece */
#define SUM_NUMBERS (128 * 1024) /* sums that wait for the next slab */
#define FORK_FROM 200000         /* multiply-adds: below, waking the others costs more than they can save */
#define PIECES_EACH 4            /* a thread, at least: one may be late */
#define PAD 16                   /* numbers between two copied rows, so that no power of two lies between them */
#define BAD_STRIDE 1024          /* numbers: rows a multiple of this apart meet in the same sets of the innermost cache */

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }
static int ceil_div(int a, int b) { return (a + b - 1) / b; }
static int round_up(int a, int b) { return ceil_div(a, b) * b; }

/* ---- Packing ------------------------------------------------------------------------------------------------- */

static size_t panel_bytes(const clipk_set *set, clipk_type type, int K) { return (size_t)set->nr * (size_t)K * clipk_type_size(type); }

size_t clipk_weight_bytes(const clipk_set *set, clipk_type type, int N, int K)
{
    const size_t bytes = (size_t)ceil_div(N, set->nr) * panel_bytes(set, type, K);
    return (bytes + CLIPK_ALIGN - 1) / CLIPK_ALIGN * CLIPK_ALIGN;
}

typedef struct pack_job {
    const clipk_set *set;
    const clipk_weight *w;
    clipk_view W;
} pack_job;

static void pack_piece(void *job, int64_t i, int thread)
{
    const pack_job *j = job;
    const int nr = j->set->nr, from = (int)i * nr;
    clipk_view rows = j->W;
    (void)thread;
    rows.p = (const char *)rows.p + from * rows.rs * (int64_t)clipk_type_size(rows.type);
    j->set->gemm_pack_w((char *)j->w->panels + (size_t)i * panel_bytes(j->set, j->w->type, j->w->K), j->w->type, rows, least(nr, j->w->N - from), j->w->K);
}

void clipk_weight_pack(const clipk_ctx *k, clipk_weight *w, clipk_view W)
{
    assert(W.type == w->type || w->type == CLIPK_F32);
    pack_job j = {k->set, w, W};
    clipb_team_run((int64_t)w->N * w->K < FORK_FROM ? NULL : k->team, ceil_div(w->N, k->set->nr), pack_piece, &j);
}

/* ---- The plan ------------------------------------------------------------------------------------------------ */

typedef struct gemm_job {
    const clipk_ctx *k;
    float *y;
    int64_t ldy;
    clipk_view x;
    const clipk_weight *w;
    clipk_epilogue e;
    int M, rows, stacks;  /* rows of a piece; pieces one below the other */
    int all, panels, cuts; /* panels of W, of a piece; pieces side by side */
    int depth, group;     /* of a slab; panels whose sums wait together */
    bool copies;
} gemm_job;

static void plan(gemm_job *j, int threads)
{
    const int mr = j->k->set->mr, nr = j->k->set->nr, M = j->M, K = j->w->K;
    /* As deep as few rows allow, so that x is read once and sums need not wait. */
    j->depth = most(K <= DEPTH_MOST ? K : DEPTH, SLAB_NUMBERS / M / CLIPK_KC * CLIPK_KC);
    j->depth = least(j->depth, K);
    j->stacks = ceil_div(M, most(1, least(ROWS_MOST, SLAB_NUMBERS / j->depth) / mr) * mr);
    if (j->stacks > 1)
        j->stacks = round_up(j->stacks, threads);
    j->rows = round_up(ceil_div(M, j->stacks), mr);
    j->stacks = ceil_div(M, j->rows);
    j->all = ceil_div(j->w->N, nr);
    j->cuts = j->stacks < threads * PIECES_EACH && threads > 1 ? least(j->all, ceil_div(threads * PIECES_EACH, j->stacks)) : 1;
    j->panels = ceil_div(j->all, j->cuts);
    j->cuts = ceil_div(j->all, j->panels);
    j->group = j->depth == K ? j->panels : least(j->panels, most(1, SUM_NUMBERS / (least(j->rows, M) * nr)));
    j->copies = j->x.cs != 1 || (j->x.rs % BAD_STRIDE == 0 && M > 4);
}

/* A thread's scratch: copied rows, a widened block, sums. */
#define COPY_NUMBERS (SLAB_NUMBERS + 16 * DEPTH_MOST + ROWS_MOST * PAD)

static size_t sum_numbers(const clipk_set *set) { return SUM_NUMBERS + (size_t)(ROWS_MOST + set->mr) * (size_t)set->nr; }

size_t clipk_gemm_scratch(const clipk_set *set)
{
    return sizeof(float) * (COPY_NUMBERS + CLIPK_KC * (size_t)set->nr + sum_numbers(set));
}

/* ---- The product --------------------------------------------------------------------------------------------- */

/* A piece at work: rows m0 .. m0 + rows of x, the slab k0 .. k1. */
typedef struct piece {
    const gemm_job *j;
    int m0, rows, k0, k1;
    const float *x; /* the slab's */
    int64_t ldx;
    float *wide;
} piece;

/* One panel's part of a slab. sum: [rows][nr] */
static void panel(const piece *p, int panel, bool is_last, float *sum)
{
    const gemm_job *j = p->j;
    const clipk_set *set = j->k->set;
    const clipk_weight *w = j->w;
    const int nr = set->nr, n0 = panel * nr;
    const size_t step = (size_t)nr * clipk_type_size(w->type), all = panel_bytes(set, w->type, w->K);
    const char *from = (const char *)w->panels + (size_t)panel * all;
    clipk_gemm_block b = {.ldx = p->ldx, .type = w->type, .wide = p->wide, .rows = p->rows, .n = least(nr, w->N - n0), .sum = sum,
                          .y = j->y + p->m0 * j->ldy + n0, .ldy = j->ldy, .ld_residual = j->e.ld_residual, .ld_pre = j->e.ld_pre,
                          .act = j->e.act, .bias = j->e.bias ? j->e.bias + n0 : NULL};
    b.residual = j->e.residual ? j->e.residual + p->m0 * b.ld_residual + n0 : NULL;
    b.pre = j->e.pre ? j->e.pre + p->m0 * b.ld_pre + n0 : NULL;
    for (int k = p->k0; k < p->k1; k += CLIPK_KC) {
        const int next = k + CLIPK_KC;
        b.K = least(CLIPK_KC, p->k1 - k);
        b.x = p->x + (k - p->k0);
        b.w = from + (size_t)k * step;
        b.next = next < p->k1 ? from + (size_t)next * step : is_last ? NULL : from + all + (size_t)p->k0 * step;
        b.first = k == 0;
        b.last = next >= w->K;
        set->gemm_block(&b);
    }
}

static void gemm_piece(void *job, int64_t i, int thread)
{
    const gemm_job *j = job;
    const clipk_set *set = j->k->set;
    const int K = j->w->K, cut = (int)(i / j->stacks), p0 = cut * j->panels, p1 = least(p0 + j->panels, j->all);
    float *copy = (float *)(void *)(j->k->scratch + (size_t)thread * clipk_scratch_bytes(set, 1));
    piece p = {.j = j, .m0 = (int)(i % j->stacks) * j->rows, .ldx = j->x.rs, .wide = copy + COPY_NUMBERS};
    float *sum = p.wide + CLIPK_KC * (size_t)set->nr;
    p.rows = least(j->rows, j->M - p.m0);
    for (int g0 = p0; g0 < p1; g0 += j->group)
        for (p.k0 = 0; p.k0 < K; p.k0 = p.k1) {
            const int g1 = least(g0 + j->group, p1);
            p.k1 = least(p.k0 + j->depth, K);
            p.x = (const float *)j->x.p + p.m0 * j->x.rs + p.k0 * j->x.cs;
            if (j->copies) {
                p.ldx = j->depth + PAD;
                set->gemm_copy_x(copy, p.ldx, p.x, j->x.rs, j->x.cs, p.rows, p.k1 - p.k0);
                p.x = copy;
            }
            for (int n = g0; n < g1; n++)
                panel(&p, n, n + 1 == g1, j->depth == K ? sum : sum + (size_t)(n - g0) * (size_t)p.rows * (size_t)set->nr);
        }
}

void clipk_gemm(const clipk_ctx *k, float *y, int64_t ldy, clipk_view x, int M, const clipk_weight *W, const clipk_epilogue *e)
{
    assert(x.type == CLIPK_F32 && M > 0 && W->N > 0 && W->K > 0);
    const int threads = (double)M * W->N * W->K < FORK_FROM ? 1 : clipk_threads(k);
    gemm_job j = {.k = k, .y = y, .ldy = ldy, .x = x, .w = W, .M = M};
    if (e)
        j.e = *e;
    plan(&j, threads);
    clipb_team_run(threads > 1 ? k->team : NULL, (int64_t)j.stacks * j.cuts, gemm_piece, &j);
}

/* ---- Measuring ----------------------------------------------------------------------------------------------- */

#define PEAK_ROUNDS 100000

static void peak_piece(void *job, int64_t i, int thread)
{
    const clipk_set *set = job;
    (void)i;
    (void)thread;
    set->fma_rounds(PEAK_ROUNDS);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clipk_fma_peak(const clipk_ctx *k, double seconds)
{
    const int n = clipk_threads(k);
    clipk_set set = *k->set; /* a job is not constant */
    const double operations = n * set.fma_rounds(PEAK_ROUNDS);
    double best = 0;
    for (double end = now() + seconds, start = now(); start < end; start = now()) {
        clipb_team_run(k->team, n, peak_piece, &set);
        double speed = operations / (now() - start);
        best = speed > best ? speed : best;
    }
    return best * 1e-9;
}
