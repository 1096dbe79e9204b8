/* gemm.c: the matrix product cut into pieces and shared among threads.
 *
 *     piece    a thread's share at a time: some bands, one after the other, by some panels
 *     band     rows of x
 *     slab     a part of a band along k, which stays in the second cache while all panels pass by
 *     block    kc numbers of k of a panel, which stay in the innermost cache while a band passes by
 *
 * Rows of x are usually read in place. A slab is copied into the thread's scratch if its rows lie
 * badly (BAD_STRIDE). A slab of columns (x transposed) is packed there, in blocks. The sums of
 * several blocks also wait there. They cannot wait in y, which may be the residual. While a block
 * is used, the next one is fetched from memory. If there are few panels, the next band is fetched
 * as well.
 *
 * With few rows (a caption, one picture), only panels are cut. The weights, which come from memory,
 * are then read once.
 *
 * A weight that is not packed is packed block by block into the scratch, once for each band. So
 * with few rows it is read once, and takes no memory.
 *
 * If a weight's format wants x in another form than f32, rows of x are formed first, as many as
 * CLIPK_GEMM_FORMED has room for, and multiplied then. Columns are formed as they are packed. From
 * there on k, depths and blocks count groups of neighbours along k. A group of x has 4 bytes in
 * every form. */
#include "base/clock.h"
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>
#include <string.h>

/* Numbers of 4 bytes, for a second cache of at least 512 KB and a first one of 32 KB. */
#define SLAB (80 * 1024)    /* per slab */
#define DEPTH 1152          /* of a slab along k, if K has to be cut */
#define DEPTH_MOST 1280     /* K is cut if it is larger than this */
#define ROWS_MOST 240       /* rows per band, at most */
#define SUMS (128 * 1024)   /* sums that wait for the next slab */
#define RESIDENT (32 * 1024) /* a weight with so few numbers stays in the second cache */
#define PAD 16              /* between two copied rows, so that their distance is not a power of two */
#define BAD_STRIDE 1024     /* rows a multiple of this apart share the same sets of the first cache, */
#define WAYS 8              /* which hold so many of them; taller tiles want a copy, */
#define COPY_FROM 256       /* if at least so many columns use it */
#define PACK_FROM 512       /* least columns that are worth packing x */

#define FORK_FROM 200000 /* multiply-adds; below this, waking other threads costs more than they save */
#define PIECES_EACH 4    /* least pieces per thread: one may be late */
#define PIECE_MOST 6e7   /* multiply-adds per piece, so that the last one is not waited for long */
#define FEW_PANELS 32    /* so few panels take less time than fetching the next band: fetch it earlier */
#define SPAN_MOST 8      /* bands per piece, at most */

/* ---- The plan -------------------------------------------------------------------------------- */

typedef struct gemm_job {
    const clipk_ctx *k;
    char *y;
    int64_t ldy;
    clipk_view x;         /* strides in groups, or, if it is packed, in numbers */
    int each;             /* numbers of x in a group, 1 if x is in groups */
    const float *x_scale; /* [M], if x is quantised */
    const clipk_weight *w;
    clipk_epilogue e;
    int M, K;                  /* K counts groups */
    int kc;                    /* k per block */
    int rows, bands;           /* rows per band; bands in M */
    int span, strips;          /* bands per piece; pieces one below the other */
    int all_panels, panels, cuts; /* panels in N; panels per piece; pieces side by side */
    int depth, group;          /* k per slab; panels whose sums wait together */
    bool packs, copies;           /* x is packed; rows of x are copied */
    bool flows;                   /* the next band is fetched ahead */
} gemm_job;

/* Where columns are formed, k counts a batch's rows, any number of them: all blocks are about as
 * deep. */
static int block_depth(const gemm_job *j)
{
    const int kc = j->k->set->kc;
    return j->each == 1 ? kc : clipb_round_up(clipb_ceil_div(j->K, clipb_ceil_div(j->K, kc)), 8);
}

static int64_t y_size(const gemm_job *j) { return j->e.rounds ? 2 : 4; }

static void plan(gemm_job *j, int threads)
{
    const int mr = j->k->set->mr, nr = j->k->set->nr, M = j->M, K = j->K;
    const int kc = j->kc = block_depth(j);
    j->all_panels = clipb_ceil_div(j->w->N, nr);
    /* With few rows the slab is deep: x is read once, and sums need not wait. */
    j->depth = clipb_min(K, clipb_max(K <= DEPTH_MOST ? K : DEPTH / kc * kc, SLAB / M / kc * kc));
    j->flows = j->depth == K && j->x.cs == 1 && j->x.rs == K && j->all_panels <= FEW_PANELS;
    const int slab = j->flows ? SLAB / 2 : SLAB; /* leave room for the next band */
    j->bands = clipb_ceil_div(M, clipb_max(1, clipb_min(ROWS_MOST, slab / j->depth) / mr) * mr);
    if (j->bands > 1)
        j->bands = clipb_round_up(j->bands, threads);
    j->rows = clipb_round_up(clipb_ceil_div(M, j->bands), mr);
    j->bands = clipb_ceil_div(M, j->rows);
    j->span = clipb_max(1, clipb_min(SPAN_MOST, j->bands / (threads * 2 * PIECES_EACH)));
    j->strips = clipb_ceil_div(j->bands, j->span);
    int cuts = clipb_max(clipb_ceil_div(threads * PIECES_EACH, j->strips),
                         (int)((double)j->rows * j->span * j->w->N * K / PIECE_MOST));
    j->packs = j->x.cs != 1 || j->x.rs == 0; /* a stride of 0 needs packed rows */
    if (j->packs) /* every cut packs x again */
        cuts = clipb_min(cuts, clipb_max(1, j->w->N / PACK_FROM));
    j->panels = threads > 1 ? clipb_ceil_div(j->all_panels, cuts) : j->all_panels;
    j->cuts = clipb_ceil_div(j->all_panels, j->panels);
    j->group = j->depth == K ? j->panels : clipb_min(j->panels, clipb_max(1, SUMS / (clipb_min(j->rows, M) * nr)));
    j->copies = !j->packs && j->x.rs % BAD_STRIDE == 0 && mr > WAYS && j->panels * nr >= COPY_FROM;
    j->flows = j->flows && !j->copies && j->span > 1;
}

/* A thread's scratch: copied rows, a widened block, a packed block, sums. */
#define COPIES (SLAB + 16 * DEPTH_MOST + ROWS_MOST * PAD)

size_t clipk_gemm_scratch(const clipk_set *set)
{
    const size_t numbers = COPIES + (size_t)set->nr * (2 * set->kc + ROWS_MOST + 16) + SUMS;
    return clipb_round_up_size(sizeof(float) * numbers, CLIPK_ALIGN);
}

/* ---- The product ----------------------------------------------------------------------------- */

/* A slab at work: rows m0 .. m0 + rows of x from k0 to k1, with panels from `panel` to
 * `panels_end`. */
typedef struct slab {
    const gemm_job *j;
    int m0, rows, k0, k1, panel, panels_end;
    const float *x;
    int64_t ldx;
    float *copy, *wide, *block, *sums;
    const char *next; /* the next band of x, and how much of it to fetch with each block */
    size_t next_bytes;
} slab;

/* Block k of a panel that is packed. */
static clipk_range block_of(const slab *s, int panel, int k)
{
    const clipk_weight *w = s->j->w;
    const size_t step = (size_t)s->j->k->set->nr * w->format->group * w->format->bytes;
    const char *p = (const char *)w->panels + ((size_t)panel * s->j->K + k) * step;
    return (clipk_range){p, p + clipb_min(s->j->kc, s->k1 - k) * step};
}

/* K groups from k on of the panel at work, packed. */
static const void *packed_block(const slab *s, int k, int K)
{
    const clipk_weight *w = s->j->w;
    const int each = w->format->group;
    if (w->panels)
        return block_of(s, s->panel, k).p;
    clipk_pack_block(s->j->k->set, s->block, w, w->W, s->panel, k * each, clipb_min(K * each, w->K - k * each));
    return s->block;
}

/* The weights and the part of x to fetch while block k of the panel is used. */
static void fetch_ahead(const slab *s, int k, clipk_range next[2])
{
    const gemm_job *j = s->j;
    const int kc = j->kc;
    next[0] = next[1] = (clipk_range){NULL, NULL};
    if (s->next) {
        const int blocks = clipb_ceil_div(j->depth, kc);
        const int done = (s->panel - s->panels_end + j->panels) * blocks + k / kc;
        const char *p = s->next + done * s->next_bytes;
        next[1] = (clipk_range){p, p + s->next_bytes};
        if ((double)j->w->N * j->K <= RESIDENT)
            return;
    }
    if (!j->w->panels)
        return;
    if (k + kc < s->k1)
        next[0] = block_of(s, s->panel, k + kc);
    else if (s->panel + 1 < s->panels_end)
        next[0] = block_of(s, s->panel + 1, s->k0);
}

/* One panel's part of a slab. sum: [rows][nr] */
static void multiply(const slab *s, float *sum)
{
    const gemm_job *j = s->j;
    const clipk_set *set = j->k->set;
    const clipk_weight *w = j->w;
    const int nr = set->nr, kc = j->kc, n0 = s->panel * nr;
    clipk_gemm_block b = {.ldx = s->ldx,
                          .tile = w->format->tile,
                          .wide = s->wide,
                          .rows = s->rows,
                          .n = clipb_min(nr, w->N - n0),
                          .sum = sum,
                          .y = j->y + (s->m0 * j->ldy + n0) * y_size(j),
                          .ldy = j->ldy,
                          .rounds = j->e.rounds,
                          .ld_residual = j->e.ld_residual,
                          .ld_pre = j->e.ld_pre,
                          .act = j->e.act,
                          .bias = j->e.bias ? j->e.bias + n0 : NULL};
    b.residual = j->e.residual ? j->e.residual + s->m0 * b.ld_residual + n0 : NULL;
    b.pre = j->e.pre ? j->e.pre + s->m0 * b.ld_pre + n0 : NULL;
    if (w->format->rotates) {
        b.x_scale = j->x_scale + s->m0;
        b.scale = (const float *)(const void *)clipk_scales_of(set, w, s->panel);
        b.start = (const int32_t *)(const void *)(b.scale + nr);
    }
    for (int k = s->k0; k < s->k1; k += kc) {
        b.K = clipb_min(kc, s->k1 - k);
        b.x = j->packs ? s->copy + (k - s->k0) * s->rows : s->x + (k - s->k0);
        b.w = packed_block(s, k, b.K);
        b.first = k == 0;
        b.last = k + b.K == j->K;
        fetch_ahead(s, k, b.next);
        set->gemm_block(&b);
    }
}

/* Pack or copy the slab's part of x, if needed. */
static void own_copy(slab *s)
{
    const gemm_job *j = s->j;
    const int K = s->k1 - s->k0, kc = j->kc;
    for (int k = 0; k < K && j->packs; k += kc) {
        const int n = clipb_min(clipb_min(kc, K - k) * j->each, j->w->K - (s->k0 + k) * j->each);
        j->k->set->gemm_pack_x(s->copy + k * s->rows, j->w->format->x, s->x + k * j->each * j->x.cs, j->x.rs, j->x.cs,
                               s->rows, n);
    }
    for (int i = 0; i < s->rows && j->copies; i++)
        memcpy(s->copy + i * s->ldx, s->x + i * j->x.rs, sizeof(float) * K);
    if (j->copies)
        s->x = s->copy;
}

/* Multiply a band by the panels p0 .. p1. */
static void band(slab *s, int p0, int p1)
{
    const gemm_job *j = s->j;
    const int K = j->K;
    for (int g = p0; g < p1; g += j->group)
        for (s->k0 = 0; s->k0 < K; s->k0 = s->k1) {
            s->k1 = clipb_min(s->k0 + j->depth, K);
            s->panels_end = clipb_min(g + j->group, p1);
            s->x = (const float *)j->x.p + s->m0 * j->x.rs + s->k0 * j->each * j->x.cs;
            own_copy(s);
            for (s->panel = g; s->panel < s->panels_end; s->panel++)
                multiply(s, j->depth == K ? s->sums
                                          : s->sums + (size_t)(s->panel - g) * (s->rows * j->k->set->nr));
        }
}

static void gemm_piece(void *job, int64_t i, int thread)
{
    const gemm_job *j = job;
    const clipk_set *set = j->k->set;
    const int p0 = (int)(i / j->strips) * j->panels, p1 = clipb_min(p0 + j->panels, j->all_panels);
    const int first = (int)(i % j->strips) * j->span, end = clipb_min(first + j->span, j->bands);
    slab s = {.j = j, .ldx = j->packs ? 0 : j->copies ? j->depth + PAD : j->x.rs};
    s.copy = (float *)(void *)(j->k->scratch + thread * clipk_gemm_scratch(set));
    s.wide = s.copy + COPIES;
    s.block = s.wide + set->kc * set->nr;
    s.sums = s.block + set->kc * set->nr;
    for (int at = first; at < end; at++) {
        s.m0 = at * j->rows;
        s.rows = clipb_min(j->rows, j->M - s.m0);
        s.next = NULL;
        if (j->flows && at + 1 < end) {
            const size_t row = sizeof(float) * j->K, blocks = j->panels * clipb_ceil_div(j->depth, j->kc);
            s.next = (const char *)j->x.p + row * (s.m0 + s.rows);
            s.next_bytes = row * clipb_min(j->rows, j->M - s.m0 - s.rows) / blocks;
        }
        band(&s, p0, p1);
    }
}

static void run(gemm_job *j)
{
    const int threads = (double)j->M * j->w->N * j->w->K < FORK_FROM ? 1 : clipk_threads(j->k);
    j->K = clipk_groups(j->w->format, j->w->K);
    plan(j, threads);
    clipb_team_run(threads > 1 ? j->k->team : NULL, (int64_t)j->strips * j->cuts, gemm_piece, j);
}

/* ---- x in another form ----------------------------------------------------------------------- */

#define FORM_ROWS 8 /* per piece */

typedef struct form_job {
    const gemm_job *j;
    const float *x; /* M rows, rs apart */
    int64_t rs;
    uint32_t *out; /* rows of groups, ld apart */
    float *scale;
    int M, ld;
} form_job;

static void form_row(const form_job *f, int m, float *work)
{
    const clipk_set *set = f->j->k->set;
    const clipk_weight *w = f->j->w;
    const int K = w->K, depth = clipk_panel_depth(w->format, K);
    const float *x = f->x + m * f->rs;
    void *out = f->out + (int64_t)m * f->ld;
    if (w->format->rotates) {
        f->scale[m] = set->quantise(out, w->format->x, x, clipk_smoothing_of(set, w), K, depth,
                                    clipk_together(w->format, K), work);
        return;
    }
    set->to_bf16(out, x, (size_t)K);
    memset((uint16_t *)out + K, 0, sizeof(uint16_t) * (depth - K));
}

static void form_rows(void *job, int64_t i, int thread)
{
    const form_job *f = job;
    float *work = (float *)(void *)(f->j->k->scratch + thread * clipk_gemm_scratch(f->j->k->set));
    for (int m = (int)i * FORM_ROWS; m < f->M && m < ((int)i + 1) * FORM_ROWS; m++)
        form_row(f, m, work);
}

/* Rows are formed and multiplied as many at a time as the shared scratch holds. */
static void run_formed(gemm_job *j, const float *x, int64_t rs, int M)
{
    const int ld = clipk_groups(j->w->format, j->w->K) + PAD, mr = j->k->set->mr;
    const size_t room = CLIPK_GEMM_FORMED * clipk_threads(j->k), row = sizeof(uint32_t) * (ld + 1);
    const int fits = (int)(room / row), most = fits > mr ? fits / mr * mr : fits;
    const int rounds = clipb_ceil_div(M, most), rows = clipb_min(most, clipb_round_up(clipb_ceil_div(M, rounds), mr));
    form_job f = {.j = j, .rs = rs, .ld = ld};
    assert(fits > 0);
    f.out = (uint32_t *)(void *)(j->k->scratch + clipk_threads(j->k) * clipk_gemm_scratch(j->k->set));
    f.scale = (float *)(void *)(f.out + (size_t)rows * ld);
    j->x = (clipk_view){f.out, CLIPK_F32, ld, 1};
    j->x_scale = f.scale;
    for (int m = 0; m < M; m += rows) {
        f.x = x + m * rs;
        f.M = j->M = clipb_min(rows, M - m);
        clipb_team_run((int64_t)f.M * j->w->K < CLIPK_FORK_FROM ? NULL : j->k->team,
                       clipb_ceil_div(f.M, FORM_ROWS), form_rows, &f);
        run(j);
        j->y += rows * j->ldy * y_size(j);
        j->e.residual = j->e.residual ? j->e.residual + rows * j->e.ld_residual : NULL;
        j->e.pre = j->e.pre ? j->e.pre + rows * j->e.ld_pre : NULL;
    }
}

void clipk_gemm(const clipk_ctx *k, void *y, int64_t ldy, clipk_view x, int M, const clipk_weight *W,
                const clipk_epilogue *e)
{
    const bool formed = x.type == CLIPK_BF16, rows = W->format->x != CLIPK_X_F32 && x.cs == 1;
    assert((x.type == CLIPK_F32 || formed) && M > 0 && W->N > 0 && W->K > 0);
    assert(!formed || (rows && W->format->x == CLIPK_X_BF16 && x.rs % 2 == 0 && W->K % 2 == 0));
    assert(!rows || W->K <= CLIPK_FORMED_K);
    assert(rows || !W->format->rotates);
    gemm_job j = {.k = k, .y = y, .ldy = ldy, .x = x, .each = rows ? 1 : W->format->group, .w = W, .M = M};
    if (e)
        j.e = *e;
    if (formed)
        j.x = (clipk_view){x.p, CLIPK_F32, x.rs / 2, 1};
    if (rows && !formed)
        run_formed(&j, x.p, x.rs, M);
    else
        run(&j);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

#define PEAK_ROUNDS 100000

typedef struct peak_job {
    const clipk_set *set;
    clipk_tile tile;
} peak_job;

static void peak_piece(void *job, int64_t i, int thread)
{
    const peak_job *j = job;
    (void)i;
    (void)thread;
    j->set->fma_rounds(j->tile, PEAK_ROUNDS);
}

double clipk_fma_peak(const clipk_ctx *k, const clipk_format *format, double seconds)
{
    const int n = clipk_threads(k);
    peak_job j = {k->set, format->tile};
    const double operations = n * k->set->fma_rounds(format->tile, PEAK_ROUNDS);
    double best = 0;
    for (double end = clipb_now() + seconds, start = clipb_now(); start < end; start = clipb_now()) {
        clipb_team_run(k->team, n, peak_piece, &j);
        double speed = operations / (clipb_now() - start);
        best = speed > best ? speed : best;
    }
    return best * 1e-9;
}
