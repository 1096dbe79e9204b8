/* Gathers and sums: what turns pixels and ids into rows. Memory-bound; a sample is a piece of the work. */
#include <string.h>

#include "nn/nn.h"

/* What the functions below work on; each uses what it needs. */
typedef struct embed_job {
    float *y;
    const float *x, *cls, *pos;
    size_t S, P, G, C;
} embed_job;

static void patchify(void *job, int64_t n, int thread)
{
    const embed_job *j = job;
    const size_t G = j->G, S = j->S, P = j->P, K = 3 * P * P;
    (void)thread;
    for (size_t i = 0; i < G; i++)
        for (size_t c = 0; c < 3; c++)
            for (size_t u = 0; u < P; u++) {
                const float *from = j->x + (((size_t)n * 3 + c) * S + i * P + u) * S;
                float *to = j->y + ((size_t)n * G + i) * G * K + (c * P + u) * P;
                for (size_t g = 0; g < G; g++)
                    memcpy(to + g * K, from + g * P, P * sizeof(float));
            }
}

void clipnn_patchify(const clipk_ctx *k, float *y, const float *x, int N, int S, int P)
{
    embed_job j = {.y = y, .x = x, .S = (size_t)S, .P = (size_t)P, .G = (size_t)(S / P)};
    clipb_team_run(k->team, N, patchify, &j);
}

static void add(float *y, const float *a, const float *b, size_t C)
{
    for (size_t c = 0; c < C; c++)
        y[c] = a[c] + b[c];
}

/* The rows of sample n behind its first, and their positions. */
static void place_rows(const embed_job *j, int64_t n, float *to)
{
    const float *from = j->x + (size_t)n * j->G * j->C;
    for (size_t g = 0; g < j->G; g++)
        add(to + (g + 1) * j->C, from + g * j->C, j->pos + (g + 1) * j->C, j->C);
}

static void class_tokens(void *job, int64_t n, int thread)
{
    const embed_job *j = job;
    float *to = j->y + (size_t)n * (j->G + 1) * j->C;
    (void)thread;
    add(to, j->cls, j->pos, j->C);
    place_rows(j, n, to);
}

void clipnn_class_tokens(const clipk_ctx *k, float *y, const float *x, const float *cls, const float *pos, int N, int G, int C)
{
    embed_job j = {.y = y, .x = x, .cls = cls, .pos = pos, .G = (size_t)G, .C = (size_t)C};
    clipb_team_run(k->team, N, class_tokens, &j);
}

static void mean_tokens(void *job, int64_t n, int thread)
{
    const embed_job *j = job;
    const float *from = j->x + (size_t)n * j->G * j->C;
    float *to = j->y + (size_t)n * (j->G + 1) * j->C;
    (void)thread;
    memset(to, 0, j->C * sizeof(float));
    for (size_t g = 0; g < j->G; g++)
        add(to, to, from + g * j->C, j->C);
    for (size_t c = 0; c < j->C; c++)
        to[c] = to[c] / (float)j->G + j->pos[c];
    place_rows(j, n, to);
}

void clipnn_mean_tokens(const clipk_ctx *k, float *y, const float *x, const float *pos, int N, int G, int C)
{
    embed_job j = {.y = y, .x = x, .pos = pos, .G = (size_t)G, .C = (size_t)C};
    clipb_team_run(k->team, N, mean_tokens, &j);
}

void clipnn_token_embedding(const clipk_ctx *k, float *y, clipk_view table, const float *pos, const int32_t *ids, const clipnn_batch *n, int C)
{
    const size_t w = (size_t)C, size = clipk_type_size(table.type);
    for (int b = 0; b < n->B; b++)
        for (int t = n->off[b]; t < n->off[b + 1]; t++) {
            float *to = y + (size_t)t * w;
            clipk_to_f32(k, to, (const char *)table.p + (size_t)ids[t] * w * size, table.type, w);
            add(to, to, pos + (size_t)(t - n->off[b]) * w, w);
        }
}

static void channels_last(void *job, int64_t n, int thread)
{
    const embed_job *j = job; /* C channels of S pixels */
    (void)thread;
    for (size_t c = 0; c < j->C; c++)
        for (size_t i = 0; i < j->S; i++)
            j->y[((size_t)n * j->S + i) * j->C + c] = j->x[((size_t)n * j->C + c) * j->S + i];
}

void clipnn_channels_last(const clipk_ctx *k, float *y, const float *x, int N, int C, int HW)
{
    embed_job j = {.y = y, .x = x, .S = (size_t)HW, .C = (size_t)C};
    clipb_team_run(k->team, N, channels_last, &j);
}
