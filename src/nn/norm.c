/* norm.c: the norms over the channels of a row. */
#include <math.h>

#include "nn/nn.h"

void clipnn_layernorm_forward(const clipk_ctx *k, float *y, float *mean, float *rstd, const float *x,
                              const int32_t *rows, const clipnn_layernorm *p, int T, int C)
{
    clipk_layernorm(k, y, mean, rstd, x, rows, p->gain, p->bias, p->eps, T, C);
}

void clipnn_layernorm_backward(const clipk_ctx *k, float *dx, const float *dy, const float *x, const float *mean,
                               const float *rstd, const clipnn_layernorm *p, const float *residual, int T, int C,
                               void *work)
{
    clipk_layernorm_backward(k, dx, p->dgain, p->dbias, dy, x, mean, rstd, p->gain, residual, T, C, work);
}

typedef struct rmsnorm_job {
    float *y;
    const float *x, *gain;
    float eps;
    int C;
} rmsnorm_job;

static void rmsnorm_row(void *job, int64_t t, int thread)
{
    const rmsnorm_job *j = job;
    const float *x = j->x + t * j->C;
    float *y = j->y + t * j->C;
    double sum = 0;
    (void)thread;
    for (int c = 0; c < j->C; c++)
        sum += (double)x[c] * (double)x[c];
    const float scale = 1 / sqrtf((float)(sum / j->C) + j->eps);
    for (int c = 0; c < j->C; c++)
        y[c] = j->gain[c] * (x[c] * scale);
}

void clipnn_rmsnorm_forward(const clipk_ctx *k, float *y, const float *x, const float *gain, float eps, int T, int C)
{
    rmsnorm_job j = {y, x, gain, eps, C};
    clipb_team_run(k->team, T, rmsnorm_row, &j);
}
