/* batchnorm.c: batch norm cut into parts of rows and shared among threads.
 *
 * The mean and squares of all rows are made from the mean and squares of each part. They are added
 * in double, in the order of the parts. The size of a part depends on C alone. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>

#define PART 65536        /* numbers per part: they fit the second cache */
#define PART_ROWS 512     /* rows per part at most, so that sums in f32 stay short */
#define COLUMNS 64        /* columns whose parts one thread adds */

static int rows_of_part(int C) { return (int)clipb_min64(PART_ROWS, clipb_ceil_div64(PART, C)); }

/* Two numbers for each part and column, and three coefficients for each column. */
size_t clipk_batchnorm_work(int T, int C)
{
    return sizeof(float) * C * (2 * clipb_ceil_div64(T, rows_of_part(C)) + 3);
}

typedef struct norm_job {
    const clipk_set *set;
    clipk_batchnorm_piece p; /* shared by all parts */
    float *y;
    const float *residual;
    int T, rows, parts;
    float *sum;              /* [parts, 2, C] */
    float *mean, *var;
    float *dgain, *dbias, *scale, *offset, *slope;
    bool frozen;
} norm_job;

static void share_rows(const clipk_ctx *k, clipb_piece *piece, norm_job *j)
{
    assert(j->T > 0 && j->p.C > 0);
    j->set = k->set;
    j->rows = rows_of_part(j->p.C);
    j->parts = (int)clipb_ceil_div64(j->T, j->rows);
    clipb_team_run(clipk_team_for(k, (int64_t)j->T * j->p.C), j->parts, piece, j);
}

static void share_columns(const clipk_ctx *k, clipb_piece *piece, norm_job *j)
{
    clipb_team_run(clipk_team_for(k, (int64_t)j->parts * j->p.C), clipb_ceil_div64(j->p.C, COLUMNS), piece, j);
}

static int rows_in(const norm_job *j, int64_t part) { return (int)clipb_min64(j->rows, j->T - part * j->rows); }

/* ---- Forward --------------------------------------------------------------------------------- */

static void stats_piece(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    float *sum = j->sum + i * 2 * j->p.C;
    (void)thread;
    j->set->batchnorm_stats(sum, sum + j->p.C, j->p.x + i * j->rows * j->p.C, rows_in(j, i), j->p.C);
}

/* The squares of a part are about its own mean (Chan et al. 1979, "Updating formulae and a pairwise
 * algorithm for computing sample variances"). */
static void stats_columns(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    const int C = j->p.C;
    (void)thread;
    for (int c = (int)i * COLUMNS; c < clipb_min64((i + 1) * COLUMNS, C); c++) {
        double sum = 0, squares = 0;
        for (int p = 0; p < j->parts; p++)
            sum += rows_in(j, p) * (double)j->sum[(int64_t)p * 2 * C + c];
        const double mean = sum / j->T;
        for (int p = 0; p < j->parts; p++) {
            const float *at = j->sum + (int64_t)p * 2 * C + c;
            squares += at[C] + rows_in(j, p) * (at[0] - mean) * (at[0] - mean);
        }
        j->mean[c] = (float)mean;
        j->var[c] = (float)(squares / j->T);
    }
}

void clipk_batchnorm_stats(const clipk_ctx *k, float *mean, float *var, const float *x, int T, int C, void *work)
{
    norm_job j = {.p = {.x = x, .C = C}, .T = T, .sum = work, .mean = mean, .var = var};
    share_rows(k, stats_piece, &j);
    share_columns(k, stats_columns, &j);
}

static void forward_piece(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    const int64_t at = i * j->rows * j->p.C;
    (void)thread;
    j->set->batchnorm(j->y + at, j->p.x + at, &j->p.b, j->residual ? j->residual + at : NULL, j->p.act, rows_in(j, i),
                      j->p.C);
}

void clipk_batchnorm_forward(const clipk_ctx *k, float *y, const float *x, const clipk_batchnorm *b,
                             const float *residual, clipk_act act, int T, int C)
{
    assert(act == CLIPK_LINEAR || act == CLIPK_RELU);
    norm_job j = {.p = {.b = *b, .x = x, .C = C, .act = act}, .y = y, .residual = residual, .T = T};
    share_rows(k, forward_piece, &j);
}

/* ---- Backward -------------------------------------------------------------------------------- */

static clipk_batchnorm_piece piece_of(const norm_job *j, int64_t i)
{
    clipk_batchnorm_piece p = j->p;
    const int64_t at = i * j->rows * p.C;
    p.rows = rows_in(j, i);
    p.x += at;
    p.dy += at;
    p.dx += at;
    p.y = p.y ? p.y + at : NULL;
    p.dz = p.dz ? p.dz + at : NULL;
    return p;
}

static void sums_piece(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    clipk_batchnorm_piece p = piece_of(j, i);
    (void)thread;
    p.sum_dz = j->sum + i * 2 * p.C;
    p.sum_dzx = p.sum_dz + p.C;
    j->set->batchnorm_sums(&p);
}

/* With sums S of dz and Q of dz (x - mean):  dx = gain rstd (dz - S/T - (x - mean) rstd² Q/T) */
static void sums_columns(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    const int C = j->p.C;
    (void)thread;
    for (int c = (int)i * COLUMNS; c < clipb_min64((i + 1) * COLUMNS, C); c++) {
        const double rstd = j->p.b.rstd[c], scale = j->p.b.gain[c] * rstd;
        double s = 0, q = 0;
        for (int p = 0; p < j->parts; p++) {
            s += j->sum[(int64_t)p * 2 * C + c];
            q += j->sum[(int64_t)p * 2 * C + C + c];
        }
        if (j->dgain)
            j->dgain[c] += (float)(q * rstd);
        if (j->dbias)
            j->dbias[c] += (float)s;
        j->scale[c] = (float)scale;
        j->offset[c] = j->frozen ? 0 : (float)(scale * s / j->T);
        j->slope[c] = j->frozen ? 0 : (float)(scale * rstd * rstd * q / j->T);
    }
}

static void backward_piece(void *job, int64_t i, int thread)
{
    const norm_job *j = job;
    clipk_batchnorm_piece p = piece_of(j, i);
    (void)thread;
    if (p.dz) { /* batchnorm_sums wrote dz here */
        p.dy = p.dz;
        p.act = CLIPK_LINEAR;
    }
    j->set->batchnorm_backward(&p);
}

void clipk_batchnorm_backward(const clipk_ctx *k, float *dx, float *dz, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *y, const clipk_batchnorm *b, clipk_act act, bool frozen,
                              int T, int C, void *work)
{
    assert((act == CLIPK_LINEAR || act == CLIPK_RELU) && dx != dz);
    norm_job j = {.p = {.b = *b, .dx = dx, .dz = dz, .dy = dy, .x = x, .y = y, .C = C, .act = act},
                  .T = T,
                  .dgain = dgain,
                  .dbias = dbias,
                  .frozen = frozen};
    j.p.scale = j.scale = work;
    j.p.offset = j.offset = j.scale + C;
    j.p.slope = j.slope = j.offset + C;
    j.sum = j.slope + C;
    share_rows(k, sums_piece, &j);
    share_columns(k, sums_columns, &j);
    share_rows(k, backward_piece, &j);
}
