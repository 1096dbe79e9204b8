/* pool.c: pooling: the rows of a sample become one. Pooling that takes one row needs no arithmetic:
 * it says which row, and the layers around it compute only that row. */
#include <string.h>

#include "nn/nn.h"

int clipnn_pool_row(const clipnn_pool *p, const int32_t *ids, int n)
{
    int at = 0;
    if (p->by == CLIPNN_POOL_ARGMAX) {
        for (int i = 1; i < n; i++)
            if (ids[i] > ids[at])
                at = i;
    } else if (p->by == CLIPNN_POOL_EOS) {
        while (at < n && ids[at] != p->eos_id)
            at++;
    } else if (p->by == CLIPNN_POOL_LAST) {
        at = n - 1;
    }
    return at < n ? at : 0; /* without an end token: the first row, as argmax over (id == eos_id) gives in PyTorch */
}

void clipnn_pool_rows(int32_t *read, const clipnn_pool *p, const int32_t *ids, const clipnn_batch *n)
{
    for (int b = 0; b < n->B; b++)
        read[b] = n->off[b] + clipnn_pool_row(p, ids ? ids + n->off[b] : NULL, n->off[b + 1] - n->off[b]);
}

typedef struct mean_job {
    float *to;
    const float *from;
    const int32_t *off;
    size_t skip, C;
} mean_job;

static void mean_sample(void *job, int64_t b, int thread)
{
    const mean_job *j = job;
    const size_t first = j->off[b] + j->skip, end = j->off[b + 1];
    float *y = j->to + b * j->C;
    (void)thread;
    memset(y, 0, j->C * sizeof *y);
    for (size_t t = first; t < end; t++)
        for (size_t c = 0; c < j->C; c++)
            y[c] += j->from[t * j->C + c];
    for (size_t c = 0; c < j->C; c++)
        y[c] /= (float)(end - first);
}

void clipnn_pool_mean(const clipk_ctx *k, float *y, const float *x, int skip, const clipnn_batch *n, int C)
{
    mean_job j = {y, x, n->off, skip, C};
    clipb_team_run(k->team, n->B, mean_sample, &j);
}

static void mean_sample_backward(void *job, int64_t b, int thread)
{
    const mean_job *j = job;
    const size_t first = j->off[b] + j->skip, end = j->off[b + 1];
    const float *dy = j->from + b * j->C;
    (void)thread;
    memset(j->to + j->off[b] * j->C, 0, j->skip * j->C * sizeof *dy);
    for (size_t t = first; t < end; t++)
        for (size_t c = 0; c < j->C; c++)
            j->to[t * j->C + c] = dy[c] / (float)(end - first);
}

void clipnn_pool_mean_backward(const clipk_ctx *k, float *dx, const float *dy, int skip, const clipnn_batch *n, int C)
{
    mean_job j = {dx, dy, n->off, skip, C};
    clipb_team_run(k->team, n->B, mean_sample_backward, &j);
}

void clipnn_pool_relevance(float *r, const clipnn_pool *p, const int32_t *read, const clipnn_batch *n)
{
    memset(r, 0, clipnn_batch_rows(n) * sizeof *r);
    for (int b = 0; b < n->B; b++)
        if (clipnn_pools_one(p))
            r[read[b]] = 1;
        else
            for (int t = n->off[b] + p->skip; t < n->off[b + 1]; t++)
                r[t] = 1 / (float)(n->off[b + 1] - n->off[b] - p->skip);
}
