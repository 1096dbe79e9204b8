/* gemm.c: the matrix product cut into pieces and shared among threads.
 *
 * A piece is some rows of x times some panels of W. Its rows are packed into the thread's scratch, a block of K at a time, so that they
 * stay in the second cache; of a panel, CLIPK_KC rows of k at a time stay in the innermost while all row tiles pass over them. While a panel is
 * used, the next one is on its way from memory.
 *
 * Few rows (a caption, one picture): the panels are cut, and every thread packs the same few rows: the weights, which come from memory, are
 * read once. Many rows: the rows are cut, and a piece goes through all panels. */
#include "kernels/set.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define X_BYTES ((size_t)256 << 10) /* of packed rows a thread holds: half of a usual second cache */
#define ROWS_MOST 240               /* of a piece; a multiple of every mr but 14 */
#define FORK_FROM 200000            /* multiply-adds: below, waking the others costs more than they can save */
#define PIECES_EACH 4               /* a thread, where panels are cut: one may be late */

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static int least(int a, int b) { return a < b ? a : b; }
static int tiles(int n, int size) { return (n + size - 1) / size; }

/* ---- Packing ------------------------------------------------------------------------------------------------- */

size_t clipk_weight_bytes(const clipk_set *set, clipk_type type, int N, int K)
{
    return round_up((size_t)tiles(N, set->nr) * (size_t)set->nr * (size_t)K * clipk_type_size(type), CLIPK_ALIGN);
}

static size_t panel_bytes(const clipk_set *set, const clipk_weight *w) { return (size_t)set->nr * (size_t)w->K * clipk_type_size(w->type); }

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
    rows.p = (const char *)rows.p + (size_t)(from * rows.rs) * clipk_type_size(rows.type);
    j->set->gemm_pack_w((char *)j->w->panels + (size_t)i * panel_bytes(j->set, j->w), j->w->type, rows, least(nr, j->w->N - from), j->w->K);
}

void clipk_weight_pack(const clipk_ctx *k, clipk_weight *w, clipk_view W)
{
    assert(W.type == w->type || w->type == CLIPK_F32);
    pack_job j = {k->set, w, W};
    clipb_team_run((int64_t)w->N * w->K < FORK_FROM ? NULL : k->team, tiles(w->N, k->set->nr), pack_piece, &j);
}

/* ---- The product --------------------------------------------------------------------------------------------- */

typedef struct gemm_job {
    const clipk_ctx *k;
    float *y;
    int64_t ldy;
    clipk_view x;
    const clipk_weight *w;
    clipk_epilogue e;
    int M, rows;     /* rows of a piece */
    int panels, cuts; /* panels of a piece; pieces side by side */
} gemm_job;

/* What a thread's scratch holds. */
static size_t x_bytes(const clipk_set *set)
{
    const size_t block = sizeof(float) * round_up(ROWS_MOST, (size_t)set->mr) * CLIPK_KC;
    return round_up(block > X_BYTES ? block : X_BYTES, CLIPK_ALIGN);
}

size_t clipk_gemm_scratch(const clipk_set *set) { return x_bytes(set) + sizeof(float) * CLIPK_KC * (size_t)set->nr; }

/* One block of k of one panel, over all the row tiles of a piece. `x`: packed rows, tiles `stride` apart. */
static void panel_block(const gemm_job *j, const float *x, size_t stride, int m0, int rows, int panel, int k0, int kc, float *wide)
{
    const clipk_set *set = j->k->set;
    const clipk_weight *w = j->w;
    const int mr = set->mr, nr = set->nr, n0 = panel * nr, n = tiles(rows, mr);
    const size_t item = clipk_type_size(w->type), block = (size_t)kc * (size_t)nr;
    const char *b = (const char *)w->panels + (size_t)panel * panel_bytes(set, w) + (size_t)k0 * (size_t)nr * item, *next = b + block * item;
    clipk_gemm_tile t = {.K = kc, .n = least(nr, w->N - n0), .ldy = j->ldy, .ld_residual = j->e.ld_residual, .ld_pre = j->e.ld_pre,
                         .first = k0 == 0, .last = k0 + kc == w->K, .act = j->e.act, .bias = j->e.bias ? j->e.bias + n0 : NULL};
    if (w->type == CLIPK_F32) {
        t.b = (const float *)(const void *)b;
    } else {
        set->to_f32(wide, b, w->type, block);
        t.b = wide;
    }
    /* The bytes behind this block, divided among the tiles: where k is not cut it is the next panel. */
    const int turns = tiles(kc, CLIPK_PREFETCH_EVERY) * n;
    t.prefetch_lines = tiles((int)(block * item), 64 * turns);
    for (int i = 0; i < n; i++) {
        const int64_t row = m0 + i * mr;
        t.a = x + (size_t)i * stride;
        t.m = least(mr, rows - i * mr);
        t.y = j->y + row * j->ldy + n0;
        t.residual = j->e.residual ? j->e.residual + row * j->e.ld_residual + n0 : NULL;
        t.pre = j->e.pre ? j->e.pre + row * j->e.ld_pre + n0 : NULL;
        t.prefetch = next + (size_t)i * (size_t)(t.prefetch_lines * 64 * turns / n);
        set->gemm_tile(&t);
    }
}

static void gemm_piece(void *job, int64_t i, int thread)
{
    const gemm_job *j = job;
    const clipk_set *set = j->k->set;
    const int mr = set->mr, K = j->w->K, cut = (int)(i % j->cuts), m0 = (int)(i / j->cuts) * j->rows, rows = least(j->rows, j->M - m0);
    const int p0 = cut * j->panels, p1 = least(p0 + j->panels, tiles(j->w->N, set->nr));
    float *x = (float *)(void *)(j->k->scratch + (size_t)thread * clipk_scratch_bytes(set, 1)), *wide = x + x_bytes(set) / sizeof(float);
    const float *from = j->x.p;
    /* All of K at once where it fits, so that a panel is read from its first to its last byte; else block by block. */
    const size_t all = sizeof(float) * round_up((size_t)rows, (size_t)mr) * (size_t)K;
    const int depth = all <= x_bytes(set) ? K : CLIPK_KC;
    for (int k0 = 0; k0 < K; k0 += depth) {
        const int d = least(depth, K - k0);
        const size_t stride = (size_t)d * (size_t)mr;
        for (int r = 0; r < rows; r += mr)
            set->gemm_pack_x(x + (size_t)(r / mr) * stride, from + (m0 + r) * j->x.rs + k0 * j->x.cs, j->x.rs, j->x.cs, least(mr, rows - r), d);
        for (int p = p0; p < p1; p++)
            for (int k = k0; k < k0 + d; k += CLIPK_KC)
                panel_block(j, x + (size_t)(k - k0) * (size_t)mr, stride, m0, rows, p, k, least(CLIPK_KC, k0 + d - k), wide);
    }
}

void clipk_gemm(const clipk_ctx *k, float *y, int64_t ldy, clipk_view x, int M, const clipk_weight *W, const clipk_epilogue *e)
{
    assert(x.type == CLIPK_F32 && W->K > 0);
    gemm_job j = {.k = k, .y = y, .ldy = ldy, .x = x, .w = W, .M = M, .cuts = 1};
    if (e)
        j.e = *e;
    const int mr = k->set->mr, all = tiles(W->N, k->set->nr);
    const int threads = (double)M * W->N * W->K < FORK_FROM ? 1 : clipk_threads(k);
    int stacks = tiles(M, ROWS_MOST);
    if (stacks > 1)
        stacks = tiles(stacks, threads) * threads; /* the same for all */
    j.rows = (int)round_up((size_t)tiles(M, stacks), (size_t)mr);
    stacks = tiles(M, j.rows);
    if (threads > 1 && stacks < threads * 2)
        j.cuts = least(all, tiles(threads * PIECES_EACH, stacks));
    j.panels = tiles(all, j.cuts);
    j.cuts = tiles(all, j.panels);
    clipb_team_run(threads > 1 ? k->team : NULL, (int64_t)stacks * j.cuts, gemm_piece, &j);
}

/* ---- Measuring ----------------------------------------------------------------------------------------------- */

typedef struct peak_job {
    const clipk_set *set;
    double operations[64]; /* of each piece: that many threads are counted at most */
} peak_job;

static void peak_piece(void *job, int64_t i, int thread)
{
    peak_job *j = job;
    (void)thread;
    j->operations[i] = j->set->fma_rounds(100000);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clipk_fma_peak(const clipk_ctx *k, double seconds)
{
    const int n = least(clipk_threads(k), 64);
    double best = 0;
    peak_job j = {.set = k->set};
    for (double end = now() + seconds, start = now(); start < end; start = now()) {
        double operations = 0;
        clipb_team_run(k->team, n, peak_piece, &j);
        for (int i = 0; i < n; i++)
            operations += j.operations[i];
        double speed = operations / (now() - start);
        best = speed > best ? speed : best;
    }
    return best * 1e-9;
}
