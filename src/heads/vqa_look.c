/* clip_look_pixels(): what a head reads of a picture. The embedding says what is there, and the
 * tokens of the patches say what is where. Tokens come from the layer before the last, as in LLaVA
 * (Liu et al. 2023, arXiv:2304.08485); of a ResNet from the map of its third stage. Neighbours are
 * averaged until there are no more than 8 x 8. Each token is brought to mean 0 and variance 1,
 * which also keeps it in the range of f16. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/heads.h"
#include "heads/vqa.h"

enum { MOST_SIDE = 8, AT_ONCE = 32 };

typedef struct grid {
    int layer, before; /* tokens before the patches: the class token */
    int side, each;    /* patches on a side; how many on a side are averaged */
    int G, W;          /* tokens on a side; their width */
} grid;

/* Of pictures that keep their shape only the embedding is read. */
static bool has_grid(const clip_model *m)
{
    return (m->towers & CLIP_TOWER_IMAGE) && m->image->kind->rows(m->image, m->image->look).side > 0;
}

static grid grid_of(const clip_model *m)
{
    const int layer = m->image->look;
    const clipmdl_rows rows = m->image->kind->rows(m->image, layer);
    grid g = {.layer = layer, .before = rows.before, .side = rows.side, .W = rows.width};
    g.each = (g.side + MOST_SIDE - 1) / MOST_SIDE;
    g.G = (g.side + g.each - 1) / g.each;
    return g;
}

cliphd_look cliphd_vqa_sees(const clip_model *m)
{
    if (!has_grid(m))
        return (cliphd_look){.D = m->config.embed_dim};
    const grid g = grid_of(m);
    return (cliphd_look){m->config.embed_dim, g.G * g.G, g.W};
}

size_t cliphd_look_width(const clip_model *m)
{
    const cliphd_look l = cliphd_vqa_sees(m);
    return cliphd_look_floats(&l);
}

/* The mean of the patches of cell (r, c), brought to mean 0 and variance 1. */
static void make_token(const grid *g, const float *patch, int r, int c, float *mean, uint16_t *out)
{
    int n = 0;
    memset(mean, 0, (size_t)g->W * sizeof *mean);
    for (int y = r * g->each; y < (r + 1) * g->each && y < g->side; y++)
        for (int x = c * g->each; x < (c + 1) * g->each && x < g->side; x++, n++)
            for (int i = 0; i < g->W; i++)
                mean[i] += patch[((size_t)y * (size_t)g->side + (size_t)x) * (size_t)g->W + (size_t)i];
    double sum = 0, squares = 0;
    for (int i = 0; i < g->W; i++) {
        mean[i] /= (float)n;
        sum += (double)mean[i];
    }
    const double center = sum / g->W;
    for (int i = 0; i < g->W; i++)
        squares += ((double)mean[i] - center) * ((double)mean[i] - center);
    const double scale = 1 / sqrt(squares / g->W + 1e-5);
    for (int i = 0; i < g->W; i++)
        out[i] = clipmdl_to_f16((float)(((double)mean[i] - center) * scale));
}

typedef struct job {
    const grid *g;
    const float *unit, *states;
    float *mean; /* [n, W] */
    float *out;
    size_t D, width;
} job;

static void make_row(void *user, int64_t i)
{
    const job *j = user;
    const grid *g = j->g;
    const size_t W = (size_t)g->W, row = ((size_t)g->before + (size_t)g->side * (size_t)g->side) * W;
    float *out = j->out + (size_t)i * j->width;
    uint16_t *token = (uint16_t *)(void *)(out + j->D);
    out[j->width - 1] = 0; /* half of it may be unused */
    memcpy(out, j->unit + (size_t)i * j->D, j->D * sizeof *out);
    for (int t = 0; t < g->G * g->G; t++)
        make_token(g, j->states + (size_t)i * row + (size_t)g->before * W, t / g->G, t % g->G, j->mean + (size_t)i * W,
                   token + (size_t)t * W);
}

static clip_status look(clip_context *ctx, const grid *g, const float *pixels, int N, float *unit, float *states,
                        float *mean, float *out)
{
    const size_t each = clipimg_floats(&ctx->model->recipe);
    job j = {g, unit, states, mean, out, (size_t)ctx->model->config.embed_dim, cliphd_look_width(ctx->model)};
    for (int i = 0; i < N; i += AT_ONCE) {
        const int n = N - i < AT_ONCE ? N - i : AT_ONCE;
        TRY(clipeng_encode_states(ctx, pixels + (size_t)i * each, n, g->layer, unit, states));
        clipeng_parallel(ctx, n, make_row, &j);
        j.out += (size_t)n * j.width;
    }
    return CLIP_OK;
}

clip_status cliphd_look_pixels(clip_context *ctx, const float *pixels, int N, float *out)
{
    if (!pixels || !out || N < 1 || !(ctx->model->towers & CLIP_TOWER_IMAGE))
        return CLIP_EINVAL;
    if (!has_grid(ctx->model))
        return clipeng_encode_pixels(ctx, pixels, N, out);
    const grid g = grid_of(ctx->model);
    const size_t n = N < AT_ONCE ? (size_t)N : AT_ONCE, patches = (size_t)g.before + (size_t)g.side * (size_t)g.side;
    float *unit = malloc(n * (size_t)ctx->model->config.embed_dim * sizeof *unit),
          *states = malloc(n * patches * (size_t)g.W * sizeof *states), *mean = malloc(n * (size_t)g.W * sizeof *mean);
    const clip_status s = unit && states && mean ? look(ctx, &g, pixels, N, unit, states, mean, out) : CLIP_ENOMEM;
    free(unit);
    free(states);
    free(mean);
    return s;
}
