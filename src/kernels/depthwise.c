/* depthwise.c: convolutions of pictures [N, H, W, C] with a filter for each channel, and the
 * patches of such pictures as rows. Cut into rows of the output. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>
#include <string.h>

typedef struct depthwise_job {
    const clipk_set *set;
    clipk_depthwise_piece piece; /* shared by all pieces */
    int Ho;
} depthwise_job;

static void depthwise_row(void *job, int64_t i, int thread)
{
    const depthwise_job *j = job;
    clipk_depthwise_piece p = j->piece;
    (void)thread;
    p.h = (int)(i % j->Ho);
    p.x += i / j->Ho * p.H * p.W * p.C;
    p.y += i * p.Wo * p.C;
    j->set->depthwise(&p);
}

void clipk_depthwise(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C,
                     const clipk_depthwise_weight *w, clipk_act act)
{
    assert(w->K % 2 == 1 && y != x);
    depthwise_job j = {.set = k->set, .Ho = (H - 1) / w->stride + 1};
    j.piece = (clipk_depthwise_piece){.y = y, .x = x, .w = w->w, .bias = w->bias, .H = H, .W = W, .C = C, .K = w->K,
                                      .stride = w->stride, .Wo = (W - 1) / w->stride + 1, .act = act};
    clipb_team_run(k->team, (int64_t)N * j.Ho, depthwise_row, &j);
}

typedef struct columns_job {
    float *y;
    const float *x;
    int H, W, C, K, stride, pad, Ho, Wo;
} columns_job;

/* Row i % Ho of picture i / Ho. The pixels of one line of a patch lie one behind the other. */
static void columns_row(void *job, int64_t i, int thread)
{
    const columns_job *j = job;
    const size_t C = (size_t)j->C, line = (size_t)j->K * C;
    const float *x = j->x + i / j->Ho * j->H * j->W * j->C;
    float *y = j->y + (size_t)i * (size_t)j->Wo * (size_t)j->K * line;
    (void)thread;
    for (int o = 0; o < j->Wo; o++)
        for (int v = 0; v < j->K; v++, y += line) {
            const int h = (int)(i % j->Ho) * j->stride - j->pad + v, w = o * j->stride - j->pad;
            const int u0 = clipb_max(0, -w), u1 = clipb_min(j->K, j->W - w);
            memset(y, 0, line * sizeof *y);
            if (h >= 0 && h < j->H && u1 > u0)
                memcpy(y + (size_t)u0 * C, x + ((int64_t)h * j->W + w + u0) * j->C,
                       (size_t)(u1 - u0) * C * sizeof *y);
        }
}

void clipk_columns(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C, int K, int stride, int pad)
{
    columns_job j = {y, x, H, W, C, K, stride, pad, (H + 2 * pad - K) / stride + 1, (W + 2 * pad - K) / stride + 1};
    assert(H + 2 * pad >= K && W + 2 * pad >= K);
    clipb_team_run(k->team, (int64_t)N * j.Ho, columns_row, &j);
}
