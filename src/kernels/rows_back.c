/* rows_back.c: the backward of rows.c, cut into pieces and shared among threads in the same way.
 *
 * A sum over rows is made of parts of PART rows. Each part is added in the order of its rows, then
 * the parts in their order. Parts depend on the shape alone, so a sum has the same bits for any
 * number of threads. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>
#include <string.h>

#define PART 64          /* rows per part of a sum */
#define STRIP 256        /* columns that one thread joins from all parts */
#define SQUARES 16384    /* numbers per part of a sum of squares */
#define SQUARES_ONCE 512 /* parts of it that are kept at a time */

/* ---- Sums over rows -------------------------------------------------------------------------- */

/* The length of a row of parts. Each row starts at a cache line. */
static int64_t part_width(int C) { return clipb_round_up(C, 16); }

size_t clipk_sums_work(int T, int C)
{
    return 2 * sizeof(float) * clipb_ceil_div64(T, PART) * part_width(C);
}

typedef struct sums_job {
    const clipk_set *set;
    float *out;
    const float *x;
    float *parts; /* [parts, part_width(C)] */
    int64_t ldx;
    int T, C;
} sums_job;

static void join_strip(void *job, int64_t i, int thread)
{
    const sums_job *j = job;
    const int64_t c = i * STRIP;
    (void)thread;
    j->set->sum_rows(j->out + c, j->parts + c, part_width(j->C), (int)clipb_ceil_div64(j->T, PART),
                     (int)clipb_min64(STRIP, j->C - c));
}

static void join_parts(const clipk_ctx *k, sums_job *j)
{
    const int64_t parts = clipb_ceil_div64(j->T, PART);
    clipb_team_run(clipk_team_for(k, parts * j->C), clipb_ceil_div64(j->C, STRIP), join_strip, j);
}

static void sum_part(void *job, int64_t i, int thread)
{
    const sums_job *j = job;
    float *part = j->parts + i * part_width(j->C);
    (void)thread;
    memset(part, 0, sizeof(float) * j->C);
    j->set->sum_rows(part, j->x + i * PART * j->ldx, j->ldx, (int)clipb_min64(PART, j->T - i * PART), j->C);
}

void clipk_sum_rows(const clipk_ctx *k, float *out, const float *x, int64_t ldx, int T, int C, void *work)
{
    assert(T >= 0 && C > 0 && ldx >= C);
    sums_job j = {.set = k->set, .out = out, .x = x, .parts = work, .ldx = ldx, .T = T, .C = C};
    clipb_team_run(clipk_team_for(k, (int64_t)T * C), clipb_ceil_div64(T, PART), sum_part, &j);
    join_parts(k, &j);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

typedef struct squares_job {
    const clipk_set *set;
    const float *x;
    int64_t n;
    double part[SQUARES_ONCE];
} squares_job;

static void squares_part(void *job, int64_t i, int thread)
{
    squares_job *j = job;
    (void)thread;
    j->part[i] = j->set->sum_squares(j->x + i * SQUARES, clipb_min64(SQUARES, j->n - i * SQUARES));
}

double clipk_sum_squares(const clipk_ctx *k, const float *x, size_t n)
{
    const int64_t once = (int64_t)SQUARES * SQUARES_ONCE;
    double sum = 0;
    for (int64_t at = 0; at < (int64_t)n; at += once) {
        squares_job j = {.set = k->set, .x = x + at, .n = clipb_min64(once, (int64_t)n - at)};
        clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, SQUARES), squares_part, &j);
        for (int64_t i = 0; i < clipb_ceil_div64(j.n, SQUARES); i++)
            sum += j.part[i];
    }
    return sum;
}

typedef struct act_job {
    const clipk_set *set;
    float *dx, *y;
    const float *dy, *pre;
    int64_t n;
    clipk_act act;
} act_job;

static void act_piece(void *job, int64_t i, int thread)
{
    const act_job *j = job;
    const int64_t at = i * CLIPK_PIECE;
    (void)thread;
    j->set->act_backward(j->dx + at, j->y ? j->y + at : NULL, j->dy + at, j->pre + at,
                         clipb_min64(CLIPK_PIECE, j->n - at), j->act);
}

void clipk_act_backward(const clipk_ctx *k, float *dx, float *y, const float *dy, const float *pre, size_t n,
                        clipk_act act)
{
    act_job j = {.set = k->set, .dx = dx, .y = y, .dy = dy, .pre = pre, .n = (int64_t)n, .act = act};
    clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, CLIPK_PIECE), act_piece, &j);
}

/* ---- Norms ----------------------------------------------------------------------------------- */

typedef struct norm_job {
    const clipk_set *set;
    float *dx, *gain_parts, *bias_parts;
    const float *dy, *x, *mean, *rstd, *gain, *residual, *norm; /* x: for l2norm, its output y */
    int T, C, rows_each;
} norm_job;

static void layernorm_part(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    const int64_t C = j->C, width = part_width(j->C);
    float *dgain = j->gain_parts ? j->gain_parts + i * width : NULL,
          *dbias = j->bias_parts ? j->bias_parts + i * width : NULL;
    (void)thread;
    if (dgain) {
        memset(dgain, 0, sizeof(float) * C);
        memset(dbias, 0, sizeof(float) * C);
    }
    for (int64_t t = i * PART; t < clipb_min64((i + 1) * PART, j->T); t++)
        j->set->layernorm_backward(j->dx + t * C, dgain, dbias, j->dy + t * C, j->x + t * C, j->mean[t], j->rstd[t],
                                   j->gain, j->residual ? j->residual + t * C : NULL, j->C);
}

void clipk_layernorm_backward(const clipk_ctx *k, float *dx, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *mean, const float *rstd, const float *gain,
                              const float *residual, int T, int C, void *work)
{
    assert(T >= 0 && C > 0);
    norm_job j = {.set = k->set,
                  .dx = dx,
                  .dy = dy,
                  .x = x,
                  .mean = mean,
                  .rstd = rstd,
                  .gain = gain,
                  .residual = residual,
                  .T = T,
                  .C = C};
    if (dgain || dbias) {
        j.gain_parts = work;
        j.bias_parts = j.gain_parts + clipb_ceil_div64(T, PART) * part_width(C);
    }
    clipb_team_run(clipk_team_for(k, (int64_t)T * C), clipb_ceil_div64(T, PART), layernorm_part, &j);
    if (dgain)
        join_parts(k, &(sums_job){.set = k->set, .out = dgain, .parts = j.gain_parts, .T = T, .C = C});
    if (dbias)
        join_parts(k, &(sums_job){.set = k->set, .out = dbias, .parts = j.bias_parts, .T = T, .C = C});
}

static void l2norm_piece(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    const int64_t C = j->C;
    (void)thread;
    for (int64_t t = i * j->rows_each; t < clipb_min64((i + 1) * j->rows_each, j->T); t++)
        j->set->l2norm_backward(j->dx + t * C, j->dy + t * C, j->x + t * C, j->norm[t], j->C);
}

void clipk_l2norm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *y, const float *norm, int T,
                           int C)
{
    assert(T >= 0 && C > 0);
    norm_job j = {.set = k->set, .dx = dx, .dy = dy, .x = y, .norm = norm, .T = T, .C = C};
    j.rows_each = clipb_ceil_div(CLIPK_PIECE, C);
    clipb_team_run(clipk_team_for(k, (int64_t)T * C), clipb_ceil_div64(T, j.rows_each), l2norm_piece, &j);
}
