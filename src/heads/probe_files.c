/* The directory that a probe is kept in.
 *
 *     probe.json         {"weights": "..", "network": "..", "kind": "linear", "embed_dim": 512, ..,
 *                         "classes": [{"name": "cat", "pictures": 16}, ..]}
 *     probe.safetensors  linear: weight [C, D], bias [C]
 *                        cache: key [N, D], text [C, D]
 *                        neighbours: key [N, D] */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/artefact.h"
#include "heads/heads.h"
#include "heads/probe.h"
#include "tasks/metrics.h"

#define MOST_JSON ((size_t)1 << 28)
#define MOST_CLASSES 10000000

static const char *const kind_name[] = {
    [CLIP_PROBE_LINEAR] = "linear", [CLIP_PROBE_CACHE] = "cache", [CLIP_PROBE_NEIGHBOURS] = "neighbours"};

/* The tensors of a probe: at most two, in `array`. */
static clipmdl_arrays list_numbers(const clip_probe *p, clipmdl_array array[2])
{
    clipmdl_arrays a = {.array = array};
    if (p->info.kind == CLIP_PROBE_LINEAR) {
        array[a.n++] = (clipmdl_array){.name = "weight", .ndim = 2, .dim = {p->C, p->D}, .data = p->theta};
        array[a.n++] = (clipmdl_array){
            .name = "bias", .ndim = 1, .dim = {p->C}, .data = p->theta + (size_t)p->C * (size_t)p->D};
    } else {
        array[a.n++] = (clipmdl_array){.name = "key", .ndim = 2, .dim = {p->N, p->D}, .data = p->key};
        if (p->text)
            array[a.n++] = (clipmdl_array){.name = "text", .ndim = 2, .dim = {p->C, p->D}, .data = p->text};
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
    TRY(cliphd_probe_allocate(p));
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
