/* A probe: what it holds, and asking it. */
#include "heads/probe.h"

#include <stdlib.h>

#include "engine/engine.h"
#include "heads/heads.h"

void cliphd_probe_free(clip_probe *p)
{
    if (!p)
        return;
    for (int c = 0; p->name && c < p->C; c++)
        free(p->name[c]);
    free(p->name);
    free(p->pictures);
    free(p->theta);
    free(p->key);
    free(p->y);
    free(p->text);
    free(p);
}

void cliphd_probe_get_info(const clip_probe *p, clip_probe_info *out)
{
    *out = p->info;
    out->names = (const char *const *)p->name;
    out->classes = p->C;
}

clip_status cliphd_probe_allocate(clip_probe *p)
{
    const size_t C = (size_t)p->C, D = (size_t)p->D, N = (size_t)p->N;
    p->name = calloc(C, sizeof *p->name);
    p->pictures = calloc(C, sizeof *p->pictures);
    bool good = p->name && p->pictures;
    if (p->info.kind == CLIP_PROBE_LINEAR) {
        p->theta = malloc(cliptsk_logistic_size(p->D, p->C) * sizeof *p->theta);
        good = good && p->theta;
    } else {
        p->key = malloc(N * D * sizeof *p->key);
        p->y = malloc(N * sizeof *p->y);
        good = good && p->key && p->y;
    }
    if (p->info.kind == CLIP_PROBE_CACHE) {
        p->text = malloc(C * D * sizeof *p->text);
        good = good && p->text;
    }
    return good ? CLIP_OK : CLIP_ENOMEM;
}

cliphd_cache cliphd_probe_cache(const clip_probe *p)
{
    return (cliphd_cache){p->key, p->y, p->text, p->N, p->D, p->C, p->logit_scale, p->info.alpha, p->info.beta};
}

clip_status cliphd_probe_predict(clip_context *ctx, const clip_probe *p, const float *image, int N, float *out)
{
    if (!image || !out || N < 1 || p->D != ctx->model->config.embed_dim)
        return CLIP_EINVAL;
    if (p->info.kind == CLIP_PROBE_LINEAR)
        return cliptsk_logistic_predict(&ctx->k, p->theta, image, N, p->D, p->C, out);
    if (p->info.kind == CLIP_PROBE_NEIGHBOURS)
        return cliphd_neighbours(&ctx->k, p->key, p->y, p->N, p->D, p->C, image, N, p->info.neighbours, out);
    const cliphd_cache c = cliphd_probe_cache(p);
    return cliphd_cache_predict(&ctx->k, &c, image, N, out);
}
