/* embed.c: gathers and sums that turn pixels and ids into rows. Memory is their limit. Forward is
 * cut into samples. In backward all samples add to one parameter, so it is cut into groups of
 * channels: every number is a sum over the samples in their order. */
#include <string.h>

#include "nn/nn.h"

/* Arguments of the functions below. Each uses some of them. */
typedef struct embed_job {
    float *y;
    const float *x, *cls, *pos;
    const int32_t *kept;
    size_t S, P, K, C;
    size_t first; /* rows of a sample before its patches: 1 with a class token or a mean */
} embed_job;

/* Which patch is row i of sample n. */
static size_t patch_of(const int32_t *kept, size_t K, size_t n, size_t i) { return kept ? (size_t)kept[n * K + i] : i; }

static void patchify(void *job, int64_t sample, int thread)
{
    const embed_job *j = job;
    const size_t n = sample, S = j->S, P = j->P, G = S / P;
    float *to = j->y + n * j->K * 3 * P * P;
    (void)thread;
    for (size_t i = 0; i < j->K; i++) {
        const size_t p = patch_of(j->kept, j->K, n, i);
        for (size_t c = 0; c < 3; c++)
            for (size_t u = 0; u < P; u++, to += P)
                memcpy(to, j->x + ((n * 3 + c) * S + p / G * P + u) * S + p % G * P, P * sizeof(float));
    }
}

void clipnn_patchify(const clipk_ctx *k, float *y, const float *x, const int32_t *kept, int N, int K, int S, int P)
{
    embed_job j = {.y = y, .x = x, .kept = kept, .S = S, .P = P, .K = K};
    clipb_team_run(k->team, N, patchify, &j);
}

static void add(float *y, const float *a, const float *b, size_t C)
{
    for (size_t c = 0; c < C; c++)
        y[c] = a[c] + b[c];
}

/* The patches of sample n and their positions. */
static void place_rows(const embed_job *j, size_t n, float *to)
{
    const float *from = j->x + n * j->K * j->C;
    for (size_t i = 0; i < j->K; i++)
        add(to + (j->first + i) * j->C, from + i * j->C,
            j->pos + (j->first + patch_of(j->kept, j->K, n, i)) * j->C, j->C);
}

static void place_patches(void *job, int64_t n, int thread)
{
    const embed_job *j = job;
    float *to = j->y + n * (j->first + j->K) * j->C;
    (void)thread;
    if (j->cls)
        add(to, j->cls, j->pos, j->C);
    place_rows(j, n, to);
}

void clipnn_place_patches(const clipk_ctx *k, float *y, const float *x, const float *cls, const float *pos,
                          const int32_t *kept, int N, int K, int C)
{
    embed_job j = {.y = y, .x = x, .cls = cls, .pos = pos, .kept = kept, .K = K, .C = C,
                   .first = cls ? 1 : 0};
    clipb_team_run(k->team, N, place_patches, &j);
}

static void mean_tokens(void *job, int64_t n, int thread)
{
    const embed_job *j = job;
    const float *from = j->x + n * j->K * j->C;
    float *to = j->y + n * (j->K + 1) * j->C;
    (void)thread;
    memset(to, 0, j->C * sizeof(float));
    for (size_t g = 0; g < j->K; g++)
        add(to, to, from + g * j->C, j->C);
    for (size_t c = 0; c < j->C; c++)
        to[c] = to[c] / (float)j->K + j->pos[c];
    place_rows(j, n, to);
}

void clipnn_mean_tokens(const clipk_ctx *k, float *y, const float *x, const float *pos, int N, int G, int C)
{
    embed_job j = {.y = y, .x = x, .pos = pos, .K = G, .C = C, .first = 1};
    clipb_team_run(k->team, N, mean_tokens, &j);
}

void clipnn_token_embedding(const clipk_ctx *k, float *y, const clipnn_tokens *p, const int32_t *ids,
                            const clipnn_batch *n, int C)
{
    const size_t w = (size_t)C, size = clipk_type_size(p->table.type);
    for (int b = 0; b < n->B; b++)
        for (int t = n->off[b]; t < n->off[b + 1]; t++) {
            float *to = y + (size_t)t * w;
            clipk_to_f32(k, to, (const char *)p->table.p + (size_t)ids[t] * w * size, p->table.type, w);
            for (size_t c = 0; p->scale != 1 && c < w; c++)
                to[c] *= p->scale;
            if (p->kind)
                add(to, to, p->kind, w);
            if (p->pos)
                add(to, to, p->pos + (size_t)(t - n->off[b]) * w, w);
        }
}

/* ---- Backward -------------------------------------------------------------------------------- */

#define CHANNELS 32 /* channels per piece */

typedef struct back_job {
    float *dx, *dfirst, *dpos;
    const float *dy;
    const int32_t *kept;
    size_t N, K, C, first;
} back_job;

static size_t piece_end(const back_job *j, int64_t i)
{
    return ((size_t)i + 1) * CHANNELS < j->C ? ((size_t)i + 1) * CHANNELS : j->C;
}
static int64_t channel_pieces(int C) { return (C + CHANNELS - 1) / CHANNELS; }

static void to_parameter(float *d, const float *dy, size_t c0, size_t c1)
{
    for (size_t c = c0; d && c < c1; c++)
        d[c] += dy[c];
}

/* Adds some channels of all samples to the gradients of positions and class embedding, if any. */
static void rows_to_parameters(void *job, int64_t i, int thread)
{
    const back_job *j = job;
    const size_t c0 = (size_t)i * CHANNELS, c1 = piece_end(j, i);
    const float *dy = j->dy;
    (void)thread;
    for (size_t n = 0; n < j->N; n++) {
        if (j->first) {
            to_parameter(j->dfirst, dy, c0, c1);
            to_parameter(j->dpos, dy, c0, c1);
            dy += j->C;
        }
        for (size_t r = 0; r < j->K; r++, dy += j->C)
            to_parameter(j->dpos ? j->dpos + (j->first + patch_of(j->kept, j->K, n, r)) * j->C : NULL, dy, c0, c1);
    }
}

static void place_patches_dx(void *job, int64_t n, int thread)
{
    const back_job *j = job;
    const size_t rows = j->first + j->K;
    (void)thread;
    memcpy(j->dx + n * j->K * j->C, j->dy + (n * rows + j->first) * j->C,
           j->K * j->C * sizeof(float));
}

void clipnn_place_patches_backward(const clipk_ctx *k, float *dx, float *dcls, float *dpos, const float *dy,
                                   const int32_t *kept, int N, int K, int C, bool class_token)
{
    back_job j = {.dx = dx, .dfirst = dcls, .dpos = dpos, .dy = dy, .kept = kept,
                  .N = N, .K = K, .C = C, .first = class_token ? 1 : 0};
    clipb_team_run(k->team, N, place_patches_dx, &j);
    clipb_team_run(k->team, channel_pieces(C), rows_to_parameters, &j);
}

static void mean_tokens_dx(void *job, int64_t n, int thread)
{
    const back_job *j = job;
    const float *mean = j->dy + n * (j->K + 1) * j->C;
    (void)thread;
    for (size_t i = 0; i < j->K; i++)
        for (size_t c = 0; c < j->C; c++)
            j->dx[(n * j->K + i) * j->C + c] = mean[(i + 1) * j->C + c] + mean[c] / (float)j->K;
}

void clipnn_mean_tokens_backward(const clipk_ctx *k, float *dx, float *dpos, const float *dy, int N, int G, int C)
{
    back_job j = {.dx = dx, .dpos = dpos, .dy = dy, .N = N, .K = G, .C = C, .first = 1};
    clipb_team_run(k->team, N, mean_tokens_dx, &j);
    clipb_team_run(k->team, channel_pieces(C), rows_to_parameters, &j);
}

/* The arguments of a text's embedding. */
typedef struct tokens_job {
    const clipnn_tokens *p;
    const float *dy;
    const int32_t *ids;
    const clipnn_batch *batch;
    size_t C;
} tokens_job;

static void tokens_to_parameters(void *job, int64_t i, int thread)
{
    const tokens_job *j = job;
    const clipnn_tokens *p = j->p;
    const size_t C = j->C, c0 = (size_t)i * CHANNELS, c1 = c0 + CHANNELS < C ? c0 + CHANNELS : C;
    const int32_t *off = j->batch->off;
    (void)thread;
    for (int b = 0; b < j->batch->B; b++)
        for (int t = off[b]; t < off[b + 1]; t++) {
            const float *dy = j->dy + (size_t)t * C;
            float *dtable = p->dtable ? p->dtable + (size_t)j->ids[t] * C : NULL;
            for (size_t c = c0; dtable && c < c1; c++)
                dtable[c] += p->scale * dy[c];
            to_parameter(p->dkind, dy, c0, c1);
            to_parameter(p->dpos ? p->dpos + (size_t)(t - off[b]) * C : NULL, dy, c0, c1);
        }
}

void clipnn_token_embedding_backward(const clipk_ctx *k, const clipnn_tokens *p, const float *dy, const int32_t *ids,
                                     const clipnn_batch *n, int C)
{
    tokens_job j = {.p = p, .dy = dy, .ids = ids, .batch = n, .C = (size_t)C};
    clipb_team_run(k->team, channel_pieces(C), tokens_to_parameters, &j);
}
