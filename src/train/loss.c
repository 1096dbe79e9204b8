/* With Z = scale v tᵀ (+ bias):
 *
 *     InfoNCE  L = 1/2N Σ_i (lse_j Z_ij - Z_ii) + 1/2N Σ_j (lse_i Z_ij - Z_jj)
 *              dZ_ij = (softmax over the row + softmax over the column) / 2N - [i = j] / N
 *     sigmoid  L = 1/N Σ_ij softplus(-s Z_ij),  s = 1 where i = j, else -1
 *              dZ_ij = -s sigmoid(-s Z_ij) / N
 *
 *     dv = scale dZ t;   dt = scale dZᵀ v;   d logit_scale = Σ dZ (Z - bias);   d logit_bias = Σ dZ
 *
 * A row of Z, or some columns of it, is a piece; sums of rows are added in their order. */
#include <math.h>

#include "train/loss.h"

#define COLUMNS 64 /* of a piece */

typedef struct loss_job {
    const cliptrn_loss_acts *a;
    int N;
    double bias;
} loss_job;

void cliptrn_loss_layout(clipb_arena *a, cliptrn_loss_acts *acts, const clipk_ctx *k, int N, int D)
{
    const size_t n = (size_t)N, wide = clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, N, D),
                 tall = clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, D, N);
    acts->Z = CLIPB_NEW(a, float, n * n);
    acts->row_lse = CLIPB_NEW(a, float, n);
    acts->column_lse = CLIPB_NEW(a, float, n);
    acts->row_loss = CLIPB_NEW(a, double, n);
    acts->row_dscale = CLIPB_NEW(a, double, n);
    acts->row_dbias = CLIPB_NEW(a, double, n);
    acts->panels = clipb_arena_alloc(a, wide > tall ? wide : tall, 1);
}

/* y = x Wᵀ, for W [N, K] that is used only once. */
static void product(const clipk_ctx *k, float *y, clipk_view x, int M, clipk_view W, int N, int K, void *panels)
{
    clipk_weight w = {.format = CLIPK_FORMAT_F32, .N = N, .K = K, .panels = panels};
    clipk_weight_pack(k, &w, W);
    clipk_gemm(k, y, N, x, M, &w, NULL);
}

static clipk_view columns(const float *p, int ld) { return (clipk_view){p, CLIPK_F32, 1, ld}; }

static void row_lse(void *job, int64_t i, int thread)
{
    const loss_job *j = job;
    const float *z = j->a->Z + i * j->N;
    float most = z[0];
    double sum = 0;
    (void)thread;
    for (int c = 1; c < j->N; c++)
        most = z[c] > most ? z[c] : most;
    for (int c = 0; c < j->N; c++)
        sum += expf(z[c] - most);
    j->a->row_lse[i] = (float)(most + log(sum));
}

static void column_lse(void *job, int64_t i, int thread)
{
    const loss_job *j = job;
    const int c0 = (int)i * COLUMNS, n = j->N - c0 < COLUMNS ? j->N - c0 : COLUMNS;
    float most[COLUMNS];
    double sum[COLUMNS] = {0};
    (void)thread;
    for (int c = 0; c < n; c++)
        most[c] = j->a->Z[c0 + c];
    for (int r = 1; r < j->N; r++) {
        const float *z = j->a->Z + (int64_t)r * j->N + c0;
        for (int c = 0; c < n; c++)
            most[c] = z[c] > most[c] ? z[c] : most[c];
    }
    for (int r = 0; r < j->N; r++) {
        const float *z = j->a->Z + (int64_t)r * j->N + c0;
        for (int c = 0; c < n; c++)
            sum[c] += expf(z[c] - most[c]);
    }
    for (int c = 0; c < n; c++)
        j->a->column_lse[c0 + c] = (float)(most[c] + log(sum[c]));
}

/* Z becomes dZ. */
static void infonce_row(void *job, int64_t i, int thread)
{
    const loss_job *j = job;
    const cliptrn_loss_acts *a = j->a;
    float *z = a->Z + i * j->N;
    const float lse = a->row_lse[i], weight = 0.5f / (float)j->N;
    double dscale = 0;
    (void)thread;
    a->row_loss[i] = (0.5 * ((double)lse + a->column_lse[i]) - z[i]) / j->N;
    for (int c = 0; c < j->N; c++) {
        float d = weight * (expf(z[c] - lse) + expf(z[c] - a->column_lse[c])) - (c == i ? 2 * weight : 0);
        dscale += (double)d * z[c];
        z[c] = d;
    }
    a->row_dscale[i] = dscale;
    a->row_dbias[i] = 0;
}

/* Z is without the bias here. */
static void sigmoid_row(void *job, int64_t i, int thread)
{
    const loss_job *j = job;
    const cliptrn_loss_acts *a = j->a;
    float *z = a->Z + i * j->N;
    double loss = 0, dscale = 0, dbias = 0;
    (void)thread;
    for (int c = 0; c < j->N; c++) {
        const double s = c == i ? 1 : -1, x = s * (z[c] + j->bias), e = exp(-fabs(x));
        const double d = -s * (x > 0 ? e : 1) / (1 + e) / j->N;
        loss += (x > 0 ? 0 : -x) + log1p(e);
        dscale += d * z[c];
        dbias += d;
        z[c] = (float)d;
    }
    a->row_loss[i] = loss / j->N;
    a->row_dscale[i] = dscale;
    a->row_dbias[i] = dbias;
}

static void scale_row(float *x, int64_t n, float scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= scale;
}

void cliptrn_loss_backward(const clipk_ctx *k, cliptrn_loss *l, float *dv, float *dt, const cliptrn_loss_acts *acts,
                           const float *v, const float *t, int N, int D, cliptrn_loss_kind kind)
{
    loss_job j = {.a = acts, .N = N, .bias = l->bias};
    product(k, acts->Z, clipk_rows(v, D), N, clipk_rows(t, D), N, D, acts->panels);
    scale_row(acts->Z, (int64_t)N * N, (float)l->scale);
    if (kind == CLIPTRN_INFONCE) {
        clipb_team_run(k->team, N, row_lse, &j);
        clipb_team_run(k->team, (N + COLUMNS - 1) / COLUMNS, column_lse, &j);
        clipb_team_run(k->team, N, infonce_row, &j);
    } else {
        clipb_team_run(k->team, N, sigmoid_row, &j);
    }
    l->loss = l->dscale = l->dbias = 0;
    for (int i = 0; i < N; i++) {
        l->loss += acts->row_loss[i];
        l->dscale += acts->row_dscale[i];
        l->dbias += acts->row_dbias[i];
    }
    product(k, dv, clipk_rows(acts->Z, N), N, columns(t, D), D, N, acts->panels);
    product(k, dt, columns(acts->Z, N), N, columns(v, D), D, N, acts->panels);
    scale_row(dv, (int64_t)N * D, (float)l->scale);
    scale_row(dt, (int64_t)N * D, (float)l->scale);
}
