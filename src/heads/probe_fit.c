/* Fitting a probe of one kind to labelled pictures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/heads.h"
#include "heads/probe.h"
#include "tasks/metrics.h"

#define USUAL_L2 3.16 /* 1/0.316: of the example that CLIP was published with */
#define USUAL_ALPHA 1.0
#define USUAL_BETA 5.5

clip_probe_options cliphd_probe_options_default(void)
{
    return (clip_probe_options){
        .kind = CLIP_PROBE_LINEAR, .iterations = 1000, .tolerance = 1e-4, .alpha = -1, .neighbours = 20};
}

static clip_status check_options(const clip_probe_options *o, clip_error *err)
{
    if (o->kind < CLIP_PROBE_LINEAR || o->kind > CLIP_PROBE_NEIGHBOURS)
        return clipb_fail(err, CLIP_EINVAL, NULL, "there is no such kind of probe");
    if (o->kind == CLIP_PROBE_LINEAR && !(o->l2 >= 0 && isfinite(o->l2) && o->iterations >= 1 && o->tolerance > 0))
        return clipb_fail(err, CLIP_EINVAL, NULL, "l2 must be at least 0, iterations at least 1, tolerance above 0");
    if (o->kind == CLIP_PROBE_CACHE &&
        (!o->text || (o->alpha >= 0 && !(o->beta >= 0 && isfinite(o->alpha) && isfinite(o->beta)))))
        return clipb_fail(err, CLIP_EINVAL, NULL,
                          "a cache needs embeddings of the classes' names, and alpha and beta of at least 0");
    if (o->kind == CLIP_PROBE_NEIGHBOURS && o->neighbours < 1)
        return clipb_fail(err, CLIP_EINVAL, NULL, "at least one neighbour must vote");
    return CLIP_OK;
}

static clip_status check_part(const clip_probe_data *d, int C, int D, const char *what, clip_error *err)
{
    if (!d || !d->image || !d->label || d->n < 1)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the %s part is empty", what);
    for (int i = 0; i < d->n; i++)
        if (d->label[i] < 0 || d->label[i] >= C)
            return clipb_fail(err, CLIP_EINVAL, NULL, "the %s part has a label that is none of the %d classes", what,
                              C);
    if (!cliptsk_finite(d->image, (size_t)d->n * (size_t)D))
        return clipb_fail(err, CLIP_EINVAL, NULL, "an embedding of the %s part is not a number", what);
    return CLIP_OK;
}

/* Names, the number of pictures of each class, and the pictures themselves, ordered by class. */
static clip_status fill(clip_probe *p, const char *const *names, const clip_probe_data *train, clip_error *err)
{
    for (int c = 0; c < p->C; c++)
        if (!names[c])
            return clipb_fail(err, CLIP_EINVAL, NULL, "class %d has no name", c);
        else if (!(p->name[c] = strdup(names[c])))
            return CLIP_ENOMEM;
    for (int i = 0; i < train->n; i++)
        p->pictures[train->label[i]]++;
    for (int c = 0; c < p->C; c++)
        if (p->pictures[c] == 0)
            return clipb_fail(err, CLIP_EINVAL, NULL, "the class '%.200s' has no training picture", names[c]);
    if (!p->key)
        return CLIP_OK;
    int64_t *at = malloc((size_t)p->C * sizeof *at), next = 0;
    if (!at)
        return CLIP_ENOMEM;
    for (int c = 0; c < p->C; c++) {
        at[c] = next;
        next += p->pictures[c];
    }
    for (int i = 0; i < train->n; i++) {
        const int64_t to = at[train->label[i]]++;
        p->y[to] = train->label[i];
        memcpy(p->key + to * p->D, train->image + (int64_t)i * p->D, (size_t)p->D * sizeof *p->key);
    }
    free(at);
    return CLIP_OK;
}

/* The accuracy of a linear probe on a part that it was not fitted on. */
static clip_status validate(clip_context *ctx, const clip_probe *p, const cliptsk_samples *val, double *accuracy)
{
    float *out = malloc((size_t)val->N * (size_t)p->C * sizeof *out);
    clip_status s = out ? cliptsk_logistic_predict(&ctx->k, p->theta, val->x, val->N, p->D, p->C, out) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        *accuracy = cliphd_accuracy(out, val->y, val->N, p->C);
    free(out);
    return s;
}

static clip_status fit_linear(clip_context *ctx, clip_probe *p, const cliptsk_samples *train,
                              const cliptsk_samples *val, const clip_probe_options *o)
{
    const bool sweeps = o->l2 == 0 && val->N > 0; /* otherwise the validation part only measures */
    const cliptsk_samples none = {.F = p->D, .C = p->C};
    cliptsk_logistic_report r;
    p->info.l2 = o->l2 > 0 ? o->l2 : USUAL_L2;
    TRY(cliphd_probe_linear(&ctx->k, train, sweeps ? val : &none, o->tolerance, o->iterations, &p->info.l2,
                            &p->info.accuracy, p->theta, &r));
    p->info.pictures += sweeps ? val->N : 0;
    p->info.iterations = r.iterations;
    p->info.converged = r.converged;
    return sweeps || val->N == 0 ? CLIP_OK : validate(ctx, p, val, &p->info.accuracy);
}

static clip_status fit_cache(clip_context *ctx, clip_probe *p, const cliptsk_samples *val, const clip_probe_options *o)
{
    memcpy(p->text, o->text, (size_t)p->C * (size_t)p->D * sizeof *p->text);
    p->info.alpha = o->alpha >= 0 ? o->alpha : USUAL_ALPHA;
    p->info.beta = o->alpha >= 0 ? o->beta : USUAL_BETA;
    if (val->N == 0 || o->alpha >= 0)
        return CLIP_OK;
    cliphd_cache c = cliphd_probe_cache(p);
    TRY(cliphd_cache_sweep(&ctx->k, &c, val, &p->info.accuracy));
    p->info.alpha = c.alpha;
    p->info.beta = c.beta;
    return CLIP_OK;
}

static clip_status fit(clip_context *ctx, clip_probe *p, const clip_probe_data *train, const clip_probe_data *val,
                       const clip_probe_options *o)
{
    const cliptsk_samples t = {train->image, train->label, NULL, train->n, p->D, p->C};
    const cliptsk_samples v = {val ? val->image : NULL, val ? val->label : NULL, NULL, val ? val->n : 0, p->D, p->C};
    if (o->kind == CLIP_PROBE_LINEAR)
        return fit_linear(ctx, p, &t, &v, o);
    return o->kind == CLIP_PROBE_CACHE ? fit_cache(ctx, p, &v, o) : CLIP_OK;
}

clip_status cliphd_probe_fit(clip_context *ctx, const char *const *names, int n_names, const clip_probe_data *train,
                           const clip_probe_data *val, const clip_probe_options *opt, clip_probe **out, clip_error *err)
{
    const clip_probe_options o = opt ? *opt : cliphd_probe_options_default();
    const int D = ctx->model->config.embed_dim;
    *out = NULL;
    TRY(check_options(&o, err));
    if (!names || n_names < 2)
        return clipb_fail(err, CLIP_EINVAL, NULL, "a probe needs at least two classes");
    TRY(check_part(train, n_names, D, "training", err));
    if (val)
        TRY(check_part(val, n_names, D, "validation", err));
    if (o.kind == CLIP_PROBE_CACHE && !cliptsk_finite(o.text, (size_t)n_names * (size_t)D))
        return clipb_fail(err, CLIP_EINVAL, NULL, "an embedding of a class's name is not a number");
    clip_probe *p = calloc(1, sizeof *p);
    if (!p)
        return clipb_nomem(err, NULL);
    *p = (clip_probe){.info = {.kind = o.kind, .pictures = train->n, .neighbours = o.neighbours, .converged = true},
                      .C = n_names,
                      .D = D,
                      .N = train->n,
                      .logit_scale = (double)ctx->model->logit_scale};
    clip_status s = cliphd_probe_allocate(p);
    if (s == CLIP_OK)
        s = fill(p, names, train, err);
    if (s == CLIP_OK)
        s = fit(ctx, p, train, val, &o);
    if (s < 0) {
        cliphd_probe_free(p);
        return s == CLIP_ENOMEM ? clipb_nomem(err, NULL) : s;
    }
    *out = p;
    return CLIP_OK;
}
