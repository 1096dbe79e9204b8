/* rows.c: functions on rows or on single numbers, cut into pieces and shared among threads. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>


/* Single numbers, CLIPK_PIECE of them at a time: a multiple of every vector length, so pieces end
 * where vectors end. */
typedef struct numbers_job {
    const clipk_set *set;
    float *y;
    const void *x;
    const float *gate;
    int64_t n;
    clipk_type type;
    clipk_act act;
} numbers_job;

static void to_f32_piece(void *job, int64_t i, int thread)
{
    const numbers_job *j = job;
    int64_t at = i * CLIPK_PIECE;
    (void)thread;
    j->set->to_f32(j->y + at, (const char *)j->x + at * clipk_type_size(j->type), j->type,
                   clipb_min64(CLIPK_PIECE, j->n - at));
}

void clipk_to_f32(const clipk_ctx *k, float *out, const void *in, clipk_type type, size_t n)
{
    numbers_job j = {.set = k->set, .y = out, .x = in, .n = (int64_t)n, .type = type};
    clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, CLIPK_PIECE), to_f32_piece, &j);
}

static void act_piece(void *job, int64_t i, int thread)
{
    const numbers_job *j = job;
    int64_t at = i * CLIPK_PIECE;
    (void)thread;
    j->set->act(j->y + at, (const float *)j->x + at, clipb_min64(CLIPK_PIECE, j->n - at), j->act);
}

void clipk_act_apply(const clipk_ctx *k, float *y, const float *x, size_t n, clipk_act act)
{
    numbers_job j = {.set = k->set, .y = y, .x = x, .n = (int64_t)n, .act = act};
    clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, CLIPK_PIECE), act_piece, &j);
}

static void swish_product_piece(void *job, int64_t i, int thread)
{
    const numbers_job *j = job;
    int64_t at = i * CLIPK_PIECE;
    (void)thread;
    j->set->swish_product(j->y + at, j->gate + at, (const float *)j->x + at, clipb_min64(CLIPK_PIECE, j->n - at));
}

void clipk_swish_product(const clipk_ctx *k, float *y, const float *g, const float *x, size_t n)
{
    numbers_job j = {.set = k->set, .y = y, .x = x, .gate = g, .n = (int64_t)n};
    clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, CLIPK_PIECE), swish_product_piece, &j);
}

/* Rows, `rows_each` of T at a time. */
typedef struct rows_job {
    const clipk_set *set;
    float *y, *mean, *rstd, *norm;
    const float *x, *gain, *bias;
    const int32_t *rows;
    float eps, scale;
    int T, C, rows_each;
    int each, skip, H; /* rotation */
} rows_job;

static void share_rows(const clipk_ctx *k, clipb_piece *piece, rows_job *j)
{
    assert(j->C > 0);
    j->set = k->set;
    j->rows_each = clipb_ceil_div(CLIPK_PIECE, j->C);
    clipb_team_run(clipk_team_for(k, (int64_t)j->T * j->C), clipb_ceil_div64(j->T, j->rows_each), piece, j);
}

static int rows_end(const rows_job *j, int64_t i) { return (int)clipb_min64((i + 1) * j->rows_each, j->T); }

static void layernorm_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    (void)thread;
    for (int t = (int)i * j->rows_each; t < rows_end(j, i); t++) {
        const float *x = j->x + (int64_t)(j->rows ? j->rows[t] : t) * j->C;
        j->set->layernorm(j->y + (int64_t)t * j->C, j->mean ? j->mean + t : NULL, j->rstd ? j->rstd + t : NULL, x,
                          j->gain, j->bias, j->eps, j->C);
    }
}

void clipk_layernorm(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x, const int32_t *rows,
                     const float *gain, const float *bias, float eps, int T, int C)
{
    assert(!rows || y != x);
    rows_job j = {.y = y,
                  .mean = mean,
                  .rstd = rstd,
                  .x = x,
                  .rows = rows,
                  .gain = gain,
                  .bias = bias,
                  .eps = eps,
                  .T = T,
                  .C = C};
    share_rows(k, layernorm_piece, &j);
}

static void l2norm_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    (void)thread;
    for (int t = (int)i * j->rows_each; t < rows_end(j, i); t++)
        j->set->l2norm(j->y + (int64_t)t * j->C, j->norm ? j->norm + t : NULL, j->C);
}

void clipk_l2norm(const clipk_ctx *k, float *x, float *norm, int T, int C)
{
    rows_job j = {.y = x, .norm = norm, .T = T, .C = C};
    share_rows(k, l2norm_piece, &j);
}

static void softmax_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    (void)thread;
    for (int t = (int)i * j->rows_each; t < rows_end(j, i); t++)
        j->set->softmax(j->y + (int64_t)t * j->C, j->scale, j->C);
}

void clipk_softmax(const clipk_ctx *k, float *x, float scale, int T, int C)
{
    rows_job j = {.y = x, .scale = scale, .T = T, .C = C};
    share_rows(k, softmax_piece, &j);
}

static void rotate_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    const int D = j->C / j->H;
    (void)thread;
    for (int t = (int)i * j->rows_each; t < rows_end(j, i); t++) {
        const int turn = t % j->each - j->skip;
        if (turn >= 0)
            j->set->rotate_pairs(j->y + (int64_t)t * j->C, j->x + (int64_t)turn * 2 * D, j->H, D);
    }
}

void clipk_rotate(const clipk_ctx *k, float *x, const float *angle, int each, int skip, int T, int H, int D)
{
    assert(D % 2 == 0);
    rows_job j = {.y = x, .x = angle, .T = T, .C = H * D, .each = each, .skip = skip, .H = H};
    share_rows(k, rotate_piece, &j);
}
