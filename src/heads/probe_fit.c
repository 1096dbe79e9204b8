/* Probes: fitting one of a kind, asking it, and the directory it is kept in. */
#include "heads/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/artefact.h"
#include "heads/heads.h"
#include "tasks/metrics.h"

#define MOST_JSON ((size_t)1 << 28)
#define MOST_CLASSES 10000000
#define USUAL_L2 3.16 /* 1/0.316: of the example that CLIP was published with */
#define USUAL_ALPHA 1.0
#define USUAL_BETA 5.5

struct clip_probe {
    clip_probe_info info;
    char **name;   /* [C] */
    int *pictures; /* [C] pictures kept of each class: NEIGHBOURS and CACHE */
    int C, D, N;   /* N: pictures kept */
    float *theta;  /* LINEAR: [C*D + C] weights, then biases */
    float *key;    /* [N, D], ordered by class */
    int32_t *y;    /* [N] */
    float *text;   /* CACHE: [C, D] */
    double logit_scale;
};

clip_probe_options cliphd_probe_options_default(void)
{
    return (clip_probe_options){
        .kind = CLIP_PROBE_LINEAR, .iterations = 1000, .tolerance = 1e-4, .alpha = -1, .neighbours = 20};
}

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

/* Room for the arrays of this kind. */
static clip_status allocate(clip_probe *p)
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

/* ---- Fitting --------------------------------------------------------------------------------- */

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

static cliphd_cache cache_of(const clip_probe *p)
{
    return (cliphd_cache){p->key, p->y, p->text, p->N, p->D, p->C, p->logit_scale, p->info.alpha, p->info.beta};
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
    cliphd_cache c = cache_of(p);
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
    clip_status s = allocate(p);
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

clip_status cliphd_probe_predict(clip_context *ctx, const clip_probe *p, const float *image, int N, float *out)
{
    if (!image || !out || N < 1 || p->D != ctx->model->config.embed_dim)
        return CLIP_EINVAL;
    if (p->info.kind == CLIP_PROBE_LINEAR)
        return cliptsk_logistic_predict(&ctx->k, p->theta, image, N, p->D, p->C, out);
    if (p->info.kind == CLIP_PROBE_NEIGHBOURS)
        return cliphd_neighbours(&ctx->k, p->key, p->y, p->N, p->D, p->C, image, N, p->info.neighbours, out);
    const cliphd_cache c = cache_of(p);
    return cliphd_cache_predict(&ctx->k, &c, image, N, out);
}

/* ---- The directory --------------------------------------------------------------------------- */

/* The files of a probe. Keys are ordered by class.
 *
 *     probe.json         {"weights": "..", "network": "..", "kind": "linear", "embed_dim": 512, ..,
 *                         "classes": [{"name": "cat", "pictures": 16}, ..]}
 *     probe.safetensors  linear: weight [C, D], bias [C]
 *                        cache: key [N, D], text [C, D]
 *                        neighbours: key [N, D] */

static const char *const kind_name[] = {
    [CLIP_PROBE_LINEAR] = "linear", [CLIP_PROBE_CACHE] = "cache", [CLIP_PROBE_NEIGHBOURS] = "neighbours"};

/* The tensors of a probe: at most two, in `array`. */
static clipmdl_arrays list_numbers(const clip_probe *p, clipmdl_array array[2])
{
    clipmdl_arrays a = {.array = array};
    if (p->info.kind == CLIP_PROBE_LINEAR) {
        array[a.n++] = (clipmdl_array){"weight", CLIPK_F32, 2, {p->C, p->D}, p->theta, false};
        array[a.n++] = (clipmdl_array){"bias", CLIPK_F32, 1, {p->C}, p->theta + (size_t)p->C * (size_t)p->D, false};
    } else {
        array[a.n++] = (clipmdl_array){"key", CLIPK_F32, 2, {p->N, p->D}, p->key, false};
        if (p->text)
            array[a.n++] = (clipmdl_array){"text", CLIPK_F32, 2, {p->C, p->D}, p->text, false};
    }
    return a;
}

static bool add_class(cJSON *list, const char *name, int pictures)
{
    cJSON *c = cJSON_CreateObject();
    return c && cJSON_AddItemToArray(list, c) && cJSON_AddStringToObject(c, "name", name) &&
           cJSON_AddNumberToObject(c, "pictures", pictures);
}

static clip_status add_words(const clip_probe *p, cJSON *j)
{
    const clip_probe_info *i = &p->info;
    bool good = cJSON_AddStringToObject(j, "kind", kind_name[i->kind]) &&
                cJSON_AddNumberToObject(j, "embed_dim", p->D) && cJSON_AddNumberToObject(j, "pictures", i->pictures) &&
                cJSON_AddNumberToObject(j, "accuracy", i->accuracy) && cJSON_AddNumberToObject(j, "l2", i->l2) &&
                cJSON_AddNumberToObject(j, "alpha", i->alpha) && cJSON_AddNumberToObject(j, "beta", i->beta) &&
                cJSON_AddNumberToObject(j, "neighbours", i->neighbours);
    cJSON *list = good ? cJSON_AddArrayToObject(j, "classes") : NULL;
    good = list != NULL;
    for (int c = 0; c < p->C && good; c++)
        good = add_class(list, p->name[c], p->pictures[c]);
    return good ? CLIP_OK : CLIP_ENOMEM;
}

static clip_status write_files(const clip_model *m, const clip_probe *p, const char *dir, clip_error *err)
{
    clipmdl_array array[2] = {0};
    clipmdl_arrays numbers = list_numbers(p, array);
    cJSON *words;
    TRY(cliphd_words_new(m, &words, err));
    clip_status s = add_words(p, words);
    if (s == CLIP_OK)
        s = cliphd_artefact_write(m, dir, "probe", &numbers, words, err);
    cJSON_Delete(words);
    return s;
}

clip_status cliphd_probe_save(const clip_model *m, const clip_probe *p, const char *dir, clip_error *err)
{
    if (!dir)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no directory of a probe");
    char *tmp, *old = clipb_path_join(dir, "probe.json");
    if (!old)
        return clipb_nomem(err, dir);
    clip_status s = clipb_is_file(old) ? CLIP_OK : clipb_dir_check_empty(dir, err); /* only a probe is replaced */
    free(old);
    TRY(s);
    TRY(clipb_dir_new(dir, &tmp, err));
    s = write_files(m, p, tmp, err);
    if (s == CLIP_ENOMEM)
        clipb_nomem(err, dir);
    s = clipb_dir_replace(tmp, dir, s, err);
    free(tmp);
    return s;
}

/* Copy a tensor of this shape.
 * columns  0: a vector
 * out      NULL: only check that the tensor is there */
static clip_status take(const clipmdl_store *store, const char *name, int64_t rows, int64_t columns, float *out,
                        clip_error *err)
{
    const clipmdl_tensor *t = clipmdl_store_find(store, name);
    const bool vector = columns == 0;
    if (!t || strcmp(t->dtype, "F32") != 0 || t->ndim != (vector ? 1 : 2) || t->dim[0] != rows ||
        (!vector && t->dim[1] != columns))
        return clipb_fail(err, CLIP_EMISMATCH, store->file, "'%s' is missing or not of the shape that probe.json says",
                          name);
    if (!out)
        return CLIP_OK;
    memcpy(out, t->data, t->bytes);
    if (!cliptsk_finite(out, t->bytes / sizeof *out))
        return clipb_fail(err, CLIP_EFORMAT, store->file, "'%s' holds something that is not a number", name);
    return CLIP_OK;
}

static clip_status take_all(const clipmdl_store *store, clip_probe *p, clip_error *err)
{
    if (p->info.kind == CLIP_PROBE_LINEAR) {
        TRY(take(store, "weight", p->C, p->D, p->theta, err));
        return take(store, "bias", p->C, 0, p->theta ? p->theta + (size_t)p->C * (size_t)p->D : NULL, err);
    }
    TRY(take(store, "key", p->N, p->D, p->key, err));
    return p->info.kind == CLIP_PROBE_CACHE ? take(store, "text", p->C, p->D, p->text, err) : CLIP_OK;
}

static clip_status read_kind(const cJSON *j, const char *path, clip_probe *p, clip_error *err)
{
    const char *kind = "";
    float l2 = 0, alpha = 0, beta = 0, accuracy = 0;
    TRY(clipb_json_string(j, "kind", &kind, path, err));
    for (int k = CLIP_PROBE_LINEAR; k <= CLIP_PROBE_NEIGHBOURS; k++)
        if (strcmp(kind, kind_name[k]) == 0)
            p->info.kind = (clip_probe_kind)k;
    if (!p->info.kind)
        return clipb_fail(err, CLIP_EFORMAT, path, "\"kind\" is none of linear, cache, neighbours");
    p->info.neighbours = 1;
    TRY(clipb_json_int(j, "embed_dim", 1, 1 << 20, &p->D, path, err));
    TRY(clipb_json_int(j, "pictures", 1, INT32_MAX, &p->info.pictures, path, err));
    TRY(clipb_json_int(j, "neighbours", 1, INT32_MAX, &p->info.neighbours, path, err));
    TRY(clipb_json_float(j, "l2", &l2, path, err));
    TRY(clipb_json_float(j, "alpha", &alpha, path, err));
    TRY(clipb_json_float(j, "beta", &beta, path, err));
    TRY(clipb_json_float(j, "accuracy", &accuracy, path, err));
    if (alpha < 0 || beta < 0)
        return clipb_fail(err, CLIP_EFORMAT, path, "\"alpha\" and \"beta\" must be at least 0");
    p->info.l2 = (double)l2;
    p->info.alpha = (double)alpha;
    p->info.beta = (double)beta;
    p->info.accuracy = (double)accuracy;
    p->info.converged = true;
    return CLIP_OK;
}

/* The classes: counted first, named later. */
static clip_status read_classes(const cJSON *j, const char *path, clip_probe *p, clip_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "classes"), *one;
    const int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    int64_t pictures = 0;
    if (n < 2 || n > MOST_CLASSES)
        return clipb_fail(err, CLIP_EFORMAT, path, "\"classes\" is no list of two or more");
    p->C = n;
    cJSON_ArrayForEach(one, list) {
        const char *name = NULL;
        int of = 0;
        TRY(clipb_json_string(one, "name", &name, path, err));
        TRY(clipb_json_int(one, "pictures", 1, INT32_MAX, &of, path, err));
        pictures += of;
        if (!name || of < 1 || pictures > INT32_MAX)
            return clipb_fail(err, CLIP_EFORMAT, path, "a class lacks its name or its number of pictures");
    }
    p->N = (int)pictures;
    return CLIP_OK;
}

static clip_status name_classes(const cJSON *j, clip_probe *p)
{
    const cJSON *one;
    int c = 0, n = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(j, "classes")) {
        p->pictures[c] = cJSON_GetObjectItemCaseSensitive(one, "pictures")->valueint;
        if (!(p->name[c] = strdup(cJSON_GetObjectItemCaseSensitive(one, "name")->valuestring)))
            return CLIP_ENOMEM;
        for (int i = 0; p->y && i < p->pictures[c]; i++)
            p->y[n++] = c;
        c++;
    }
    return CLIP_OK;
}

/* Room is made only after the file is known to hold as many numbers as probe.json says. */
static clip_status read_probe(const clip_model *m, const cliphd_artefact *a, clip_probe *p, clip_error *err)
{
    TRY(read_kind(a->words, a->path, p, err));
    if (p->D != m->config.embed_dim)
        return clipb_fail(err, CLIP_EFORMAT, a->path, "\"embed_dim\" is %d, of these weights it is %d", p->D,
                          m->config.embed_dim);
    TRY(read_classes(a->words, a->path, p, err));
    TRY(take_all(&a->store, p, err));
    TRY(allocate(p));
    TRY(name_classes(a->words, p));
    return take_all(&a->store, p, err);
}

clip_status cliphd_probe_load(const clip_model *m, const char *dir, clip_probe **out, clip_error *err)
{
    cliphd_artefact a;
    *out = NULL;
    TRY(clipb_dir_settle(dir, err));
    clip_probe *p = calloc(1, sizeof *p);
    if (!p)
        return clipb_nomem(err, dir);
    p->logit_scale = (double)m->logit_scale;
    clip_status s = cliphd_artefact_open(m, dir, "probe", MOST_JSON, &a, err);
    if (s == CLIP_OK)
        s = read_probe(m, &a, p, err);
    cliphd_artefact_close(&a);
    if (s < 0) {
        cliphd_probe_free(p);
        return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
    }
    *out = p;
    return CLIP_OK;
}
