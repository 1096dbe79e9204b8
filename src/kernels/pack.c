/* pack.c: weights as panels, for one set of kernels.
 *
 *     panel    nr rows of W side by side, [groups of k][nr]
 *
 * Weights in 8 bits are quantised row by row. Behind their panels stand for each panel the scales
 * [nr] f32 and the starts [nr] int32, then T [depth] f32 (kernels.h). */
#include "base/number.h"
#include "kernels/set.h"

#include <math.h>
#include <string.h>

#define PACK_ROWS 32 /* of a transposed W, packed into all panels together */
#define FORK_FROM 200000 /* numbers; below this, waking other threads costs more than they save */
#define SMOOTH_LEAST 1e-6 /* of a column's mean |W| over that of all: a column of zeros has none */

size_t clipk_weight_bytes(const clipk_set *set, const clipk_format *f, int N, int K)
{
    const size_t row_scales = f->rotates ? (size_t)8 * set->nr : 0;
    size_t bytes = clipb_ceil_div(N, set->nr) * (clipk_panel_bytes(set, f, K) + row_scales);
    if (f->rotates)
        bytes += sizeof(float) * clipk_panel_depth(f, K);
    return clipb_round_up_size(bytes, CLIPK_ALIGN);
}

int clipk_panel_rows(const clipk_set *set) { return set->nr; }

void clipk_pack_block(const clipk_set *set, void *to, const clipk_weight *w, clipk_view W, int panel, int k, int K)
{
    int n = panel * set->nr;
    const int rows = clipb_min(set->nr, w->N - n);
    if (w->rest && n >= w->split) {
        W.p = w->rest;
        n -= w->split;
    }
    W.p = (const char *)W.p + (n * W.rs + k * W.cs) * (int64_t)clipk_type_size(W.type);
    set->gemm_pack_w(to, w->format, W, rows, K);
}

typedef struct pack_job {
    const clipk_set *set;
    const clipk_weight *w;
    clipk_view W;
} pack_job;

static void pack_part(const pack_job *j, int panel, int k, int K)
{
    const clipk_weight *w = j->w;
    char *to = (char *)w->panels + panel * clipk_panel_bytes(j->set, w->format, w->K);
    clipk_pack_block(j->set, to + clipk_panel_bytes(j->set, w->format, k), w, j->W, panel, k, K);
}

static void pack_panel(void *job, int64_t i, int thread)
{
    const pack_job *j = job;
    (void)thread;
    pack_part(j, (int)i, 0, j->w->K);
}

/* If a panel's rows are columns, k runs from row to row: all panels take their parts of a few
 * rows. */
static void pack_rows(void *job, int64_t i, int thread)
{
    const pack_job *j = job;
    const int k = (int)i * PACK_ROWS;
    (void)thread;
    for (int panel = 0; panel * j->set->nr < j->w->N; panel++)
        pack_part(j, panel, k, clipb_min(PACK_ROWS, j->w->K - k));
}

/* ---- In 8 bits ------------------------------------------------------------------------------- */

char *clipk_scales_of(const clipk_set *set, const clipk_weight *w, int panel)
{
    const size_t all = clipb_ceil_div(w->N, set->nr) * clipk_panel_bytes(set, w->format, w->K);
    return (char *)w->panels + all + (size_t)panel * 8 * set->nr;
}

float *clipk_smoothing_of(const clipk_set *set, const clipk_weight *w)
{
    return (float *)(void *)clipk_scales_of(set, w, clipb_ceil_div(w->N, set->nr));
}

typedef struct quantise_job {
    const clipk_ctx *k;
    const clipk_weight *w;
    clipk_view W;
    const float *inverse; /* [K] 1 / T */
} quantise_job;

/* Row n of W, from column k on, as f32. */
static void read_row(const quantise_job *j, float *out, int n, int k, int K)
{
    const int64_t size = (int64_t)clipk_type_size(j->W.type);
    const char *p = (const char *)j->W.p + (n * j->W.rs + k * j->W.cs) * size;
    if (j->W.cs == 1)
        j->k->set->to_f32(out, p, j->W.type, (size_t)K);
    else
        for (int i = 0; i < K; i++)
            j->k->set->to_f32(out + i, p + i * j->W.cs * size, j->W.type, 1);
}

#define COLUMNS 128 /* whose sums a piece makes */

/* T's sums of |W|, in the order of the rows. */
static void sum_columns(void *job, int64_t i, int thread)
{
    const quantise_job *j = job;
    float row[COLUMNS], *sums = clipk_smoothing_of(j->k->set, j->w) + i * COLUMNS;
    const int K = clipb_min(COLUMNS, j->w->K - (int)i * COLUMNS);
    (void)thread;
    memset(sums, 0, sizeof *sums * K);
    for (int n = 0; n < j->w->N; n++) {
        read_row(j, row, n, (int)i * COLUMNS, K);
        j->k->set->add_abs(sums, row, K);
    }
}

/* The signs of a bent function (Rothaus 1976), k4 k5 + k6 k7 of k's bits: numbers that are alike
 * (pixels of a flat place, what a ReLU leaves) would become one large number, as H adds them up.
 * With these signs they are spread evenly. */
static float sign(int k) { return __builtin_popcount(k >> 4 & k >> 5 & 5) & 1 ? -1 : 1; }

/* T from its sums, and 1 / T. What is not finite stays so, in the weights' scales. */
static void smooth(float *t, float *inverse, int K, int depth)
{
    double mean = 0;
    for (int k = 0; k < K; k++)
        mean += t[k] / (double)K;
    for (int k = 0; k < K; k++) {
        const double ratio = t[k] / mean;
        t[k] = (float)sqrt(ratio > SMOOTH_LEAST ? ratio : SMOOTH_LEAST) * sign(k);
        inverse[k] = 1 / t[k];
    }
    for (int k = K; k < depth; k++)
        t[k] = inverse[k] = 0;
}

#define GROUP 4 /* bytes, in both formats */

/* Where row n of the panels begins. Its groups are GROUP * nr bytes apart. */
static char *row_of(const clipk_set *set, const clipk_weight *w, int n)
{
    return (char *)w->panels + n / set->nr * clipk_panel_bytes(set, w->format, w->K) + n % set->nr * GROUP;
}

/* Row n of the panels from its integers. */
static void place_row(const clipk_set *set, const clipk_weight *w, int n, const int8_t *q, float scale)
{
    const clipk_format *f = w->format;
    const int depth = clipk_panel_depth(f, w->K), step = GROUP * set->nr;
    float *scales = (float *)(void *)clipk_scales_of(set, w, n / set->nr);
    int32_t *start = (int32_t *)(void *)(scales + set->nr), sum = 0;
    char *to = row_of(set, w, n);
    if (f->x == CLIPK_X_U8) {
        for (int k = 0; k < depth; k += 4, to += step)
            memcpy(to, q + k, GROUP);
        for (int k = 0; k < depth; k++)
            sum += q[k];
    } else {
        for (int k = 0; k < depth; k += 2, to += step)
            memcpy(to, (int16_t[2]){q[k], q[k + 1]}, GROUP);
    }
    scales[n % set->nr] = scale;
    start[n % set->nr] = -128 * sum;
}

/* What fills up the last panel. */
static void clear_rows(const clipk_set *set, const clipk_weight *w, int n)
{
    const int depth = clipk_panel_depth(w->format, w->K);
    for (; n % set->nr != 0; n++) {
        float *scales = (float *)(void *)clipk_scales_of(set, w, n / set->nr);
        char *to = row_of(set, w, n);
        for (int k = 0; k < depth; k += w->format->group, to += GROUP * set->nr)
            memset(to, 0, GROUP);
        memset(scales + n % set->nr, 0, sizeof *scales);
        memset(scales + set->nr + n % set->nr, 0, sizeof *scales);
    }
}

/* One panel: its rows are quantised one by one, and their groups go side by side. */
static void quantise_panel(void *job, int64_t panel, int thread)
{
    const quantise_job *j = job;
    const clipk_set *set = j->k->set;
    const clipk_format *f = j->w->format;
    const int K = j->w->K, depth = clipk_panel_depth(f, K), block = clipk_together(f, K);
    float *row = (float *)(void *)(j->k->scratch + thread * clipk_gemm_scratch(set)), *work = row + depth;
    int8_t *q = (int8_t *)(void *)(work + depth);
    const int from = (int)panel * set->nr, to = clipb_min(j->w->N, from + set->nr);
    for (int n = from; n < to; n++) {
        read_row(j, row, n, 0, K);
        const float scale = set->quantise(q, CLIPK_X_I8, row, j->inverse, K, depth, block, work);
        place_row(set, j->w, n, q, scale / (float)(block / 16));
    }
    clear_rows(set, j->w, to);
}

static void quantise(const clipk_ctx *k, const clipk_weight *w, clipk_view W)
{
    const int depth = clipk_panel_depth(w->format, w->K), columns = clipb_ceil_div(w->K, COLUMNS);
    /* 1 / T waits where rows of x are formed. */
    float *inverse = (float *)(void *)(k->scratch + clipk_threads(k) * clipk_gemm_scratch(k->set));
    quantise_job j = {k, w, W, inverse};
    clipb_team *team = (int64_t)w->N * w->K < FORK_FROM ? NULL : k->team;
    assert(depth <= CLIPK_FORMED_K);
    clipb_team_run(team, columns, sum_columns, &j);
    smooth(clipk_smoothing_of(k->set, w), inverse, w->K, depth);
    clipb_team_run(team, clipb_ceil_div(w->N, k->set->nr), quantise_panel, &j);
}

void clipk_weight_pack(const clipk_ctx *k, const clipk_weight *w, clipk_view W)
{
    switch (w->format->tile) {
    case CLIPK_TILE_F32:
    case CLIPK_TILE_BF16_PAIRS: break; /* any type is converted */
    case CLIPK_TILE_F16:
    case CLIPK_TILE_BF16: assert(W.type == w->format->type); break;
    case CLIPK_TILE_I8_QUADS:
    case CLIPK_TILE_I8_SIGNED:
    case CLIPK_TILE_I8_PAIRS: quantise(k, w, W); return;
    case CLIPK_TILES: assert(!"unknown tile");
    }
    pack_job j = {k->set, w, W};
    clipb_team *team = (int64_t)w->N * w->K < FORK_FROM ? NULL : k->team;
    if (W.rs == 1 && W.cs != 1)
        clipb_team_run(team, clipb_ceil_div(w->K, PACK_ROWS), pack_rows, &j);
    else
        clipb_team_run(team, clipb_ceil_div(w->N, k->set->nr), pack_panel, &j);
}

/* ---- In 8 bits, from a file ------------------------------------------------------------------ */

int clipk_quantised_depth(int K) { return clipk_panel_depth(&clipk_formats[CLIPK_TILE_I8_QUADS], K); }

typedef struct place_job {
    const clipk_set *set;
    const clipk_weight *w;
    const clipk_quantised *from;
} place_job;

static void place_panel(void *job, int64_t panel, int thread)
{
    const place_job *j = job;
    const int nr = j->set->nr;
    const int64_t depth = clipk_quantised_depth(j->w->K);
    (void)thread;
    const int from = (int)panel * nr, to = clipb_min(j->w->N, from + nr);
    for (int n = from; n < to; n++)
        place_row(j->set, j->w, n, j->from->q + n * depth, j->from->scale[n]);
    clear_rows(j->set, j->w, to);
}

void clipk_weight_pack_quantised(const clipk_ctx *k, const clipk_weight *w, const clipk_quantised *from)
{
    const int depth = clipk_panel_depth(w->format, w->K);
    float *t = clipk_smoothing_of(k->set, w);
    place_job j = {k->set, w, from};
    assert(w->format->rotates);
    memcpy(t, from->t, sizeof *t * (size_t)w->K);
    memset(t + w->K, 0, sizeof *t * (size_t)(depth - w->K));
    clipb_team_run((int64_t)w->N * w->K < FORK_FROM ? NULL : k->team, clipb_ceil_div(w->N, k->set->nr), place_panel,
                   &j);
}

void clipk_weight_unpack(const clipk_set *set, const clipk_weight *w, int8_t *q, float *scale, float *t)
{
    const clipk_format *f = w->format;
    const int depth = clipk_panel_depth(f, w->K);
    assert(f->rotates);
    memcpy(t, clipk_smoothing_of(set, w), sizeof *t * (size_t)w->K);
    for (int n = 0; n < w->N; n++, q += depth) {
        const char *from = row_of(set, w, n);
        const float of_row = ((const float *)(const void *)clipk_scales_of(set, w, n / set->nr))[n % set->nr];
        for (int k = 0; k < depth; k++) /* the low byte, if a number has two */
            q[k] = from[(size_t)(k / f->group) * GROUP * set->nr + (size_t)(k % f->group) * f->bytes];
        scale[n] = of_row == 0 ? 1 : of_row;
    }
}
