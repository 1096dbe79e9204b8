/* The public functions of an index. clip_index_open() checks which model its vectors belong to.
 * A model is known by XXH3-128 of its weights' files. Reading a gigabyte to find that out would
 * be the slowest part of a search, so the index notes by what the files can be recognised
 * (inodes, sizes, times of change), and what their hash was. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "api/api.h"
#include "base/color.h"
#include "index/index.h"

static void hexadecimal(XXH128_hash_t h, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
}

/* One file is known by its own hash, several by that of their hashes, one folded in after the
 * other. */
static XXH128_hash_t fold(XXH128_hash_t so_far, XXH128_hash_t next, size_t i)
{
    const XXH128_hash_t both[2] = {so_far, next};
    return i == 0 ? next : XXH3_128bits(both, sizeof both);
}

/* What of the files can be told without reading them. */
static void stamp_of(const clip_model *m, char out[48])
{
    XXH128_hash_t h = {0};
    char hex[33];
    for (size_t i = 0; i < m->store.shards; i++) {
        const clipb_map *map = &m->store.map[i];
        const uint64_t facts[] = {map->inode, map->size, (uint64_t)map->mtime};
        h = fold(h, XXH3_128bits(facts, sizeof facts), i);
    }
    hexadecimal(h, hex);
    snprintf(out, 48, "weights %s", hex);
}

clip_status clip_weights_identify(const clip_model *m, char out[33], clip_error *err)
{
    XXH128_hash_t h = {0};
    out[0] = 0;
    TRY(clipmdl_store_check(&m->store, err));
    for (size_t i = 0; i < m->store.shards; i++) {
        h = fold(h, XXH3_128bits(m->store.map[i].data, m->store.map[i].size), i);
        clipb_map_drop(&m->store.map[i], m->store.map[i].data, m->store.map[i].size);
    }
    TRY(clipmdl_store_check(&m->store, err));
    hexadecimal(h, out);
    return CLIP_OK;
}

void clip_weights_hash(const clip_model *m, char out[33]) { clip_weights_identify(m, out, NULL); }

/* The last part of a model's path: "ViT-B-32". */
static void name_of(const clip_model *m, char *out, size_t size)
{
    size_t end = strlen(m->path);
    while (end > 1 && m->path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && m->path[begin - 1] != '/')
        begin--;
    snprintf(out, size, "%.*s", (int)(end - begin), m->path + begin);
}

/* Where a person finds the model again; where it cannot be said it is not noted. */
static clip_status note_path(clip_index *x, const clip_model *m, clip_error *err)
{
    char *whole = realpath(m->path, NULL);
    clip_status s = CLIP_OK;
    if (whole && x->write && strlen(whole) < sizeof x->model_path) {
        strcpy(x->model_path, whole);
        s = clipidx_remember(x, "model_path", whole, err);
    }
    free(whole);
    return s;
}

/* ---- The background of its pictures ---- */

/* What the catalogue says; *known: it does. An index that was updated before there was such a
 * note dropped transparency. */
static clip_status recall_background(const clip_index *x, int *background, bool *known, clip_error *err)
{
    char text[32], updated[32];
    TRY(clipidx_recall(x, "background", text, sizeof text, err));
    TRY(clipidx_recall(x, "updated", updated, sizeof updated, err));
    *known = (text[0] || updated[0]) && x->state.pictures > 0;
    if (*known && clipb_background_parse(text[0] ? text : "drop", background) < 0)
        return clipb_fail(err, CLIP_EFORMAT, x->dir, "the catalogue is damaged: '%s' is not a background", text);
    return CLIP_OK;
}

clip_image_options clip_index_image_options(const clip_index *x, const clip_model *m)
{
    clip_image_options o = m ? clip_model_image_options(m) : clipimg_options_default();
    bool known;
    clipidx_hold(x);
    recall_background(x, &o.background, &known, NULL); /* damage shows in an update */
    clipidx_release(x);
    return o;
}

static const char *background_words(int background, char out[16])
{
    snprintf(out, 16, background < 0 ? "drop" : "#%06x", (unsigned)background);
    return out;
}

clip_status clip_index_settle_background(clip_index *x, int background, clip_error *err)
{
    char wanted[16], there[16];
    int now = background;
    bool known;
    TRY(recall_background(x, &now, &known, err));
    if (now != background)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir,
                          "its pictures were embedded with the background %s; with %s they could not be compared",
                          background_words(now, there), background_words(background, wanted));
    return clipidx_remember(x, "background", background_words(background, wanted), err);
}

static clip_status check_model(clip_index *x, const clip_model *m, bool fresh, clip_error *err)
{
    char stamp[48], id[33], name[256];
    if (m->config.embed_dim != x->dim)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir, "is an index of %s, %d numbers a vector; %s makes %d",
                          x->model_name[0] ? x->model_name : "an unknown model", x->dim, m->path, m->config.embed_dim);
    fresh = fresh || (x->write && !x->model_id[0] && x->state.rows == 0); /* an empty index of no model yet */
    if (!fresh && !x->model_id[0])
        return CLIP_OK; /* made without a model: nobody can tell */
    stamp_of(m, stamp);
    TRY(clipidx_recall(x, stamp, id, sizeof id, err));
    if (strlen(id) != 32)
        TRY(clip_weights_identify(m, id, err));
    name_of(m, name, sizeof name);
    if (!fresh && strcmp(id, x->model_id) != 0)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir,
                          "is an index of another model: %s (weights %.8s); %s has weights %.8s", x->model_name,
                          x->model_id, m->path, id);
    TRY(clipidx_remember(x, stamp, id, err));
    TRY(note_path(x, m, err));
    return fresh ? clipidx_claim(x, id, name, err) : CLIP_OK;
}

clip_status clip_index_open(const char *dir, const clip_index_options *opt, clip_index **out, clip_error *err)
{
    const clip_index_options o = opt ? *opt : clip_index_options_default();
    bool fresh = false;
    *out = NULL;
    if (err)
        *err = (clip_error){0};
    if (!dir)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of an index");
    if (o.threads < 0 || o.threads > CLIPAPI_MOST_THREADS)
        return clipb_fail(err, CLIP_EINVAL, NULL, "threads must be 0 to %d", CLIPAPI_MOST_THREADS);
    const int dim = o.dim ? o.dim : o.model ? o.model->config.embed_dim : 0;
    TRY(clipidx_open(dir, &clipidx_store_sqlite, &o, dim, out, &fresh, err));
    clip_status s = o.dim && o.dim != (*out)->dim
                        ? clipb_fail(err, CLIP_EMISMATCH, dir, "has %d numbers a vector, not %d", (*out)->dim, o.dim)
                        : CLIP_OK;
    if (s == CLIP_OK && o.model)
        s = check_model(*out, o.model, fresh, err);
    if (s < 0) {
        clipidx_discard(*out);
        *out = NULL;
    }
    return s;
}

/* ---- The other public functions of an index. The bodies are in src/index. ---- */

clip_index_options clip_index_options_default(void) { return (clip_index_options){0}; }

clip_duplicates_options clip_duplicates_options_default(void) { return (clip_duplicates_options){.score = 0.97f}; }

clip_status clip_index_refresh(clip_index *x, bool *changed, clip_error *err)
{
    bool ignored;
    return clipidx_refresh(x, changed ? changed : &ignored, err);
}

clip_status clip_index_close(clip_index *x, clip_error *err) { return clipidx_close(x, err); }

void clip_index_discard(clip_index *x) { clipidx_discard(x); }

clip_status clip_index_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err)
{
    return clipidx_add(x, item, vector, N, err);
}

clip_status clip_index_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime,
                              clip_error *err)
{
    return clipidx_rename(x, row, path, size, mtime, err);
}

clip_status clip_index_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err)
{
    return clipidx_remove(x, row, n, err);
}

clip_status clip_index_commit(clip_index *x, clip_error *err) { return clipidx_commit(x, err); }

clip_status clip_index_verify(clip_index *x, clip_warn_fn warn, void *warn_user, int64_t *faults, clip_error *err)
{
    return clipidx_verify(x, warn, warn_user, faults, err);
}

clip_status clip_index_import_info(const char *dir, int *dim, int64_t *rows, clip_error *err)
{
    return clipidx_import_info(dir, dim, rows, err);
}

clip_status clip_index_import(clip_index *x, const char *dir, clip_import_report *report, clip_error *err)
{
    return clipidx_import(x, dir, report, err);
}

/* The call in EXPR, while the index is not refreshed. */
#define HELD(x, expr)                \
    do {                             \
        clipidx_hold(x);             \
        const clip_status s_ = expr; \
        clipidx_release(x);          \
        return s_;                   \
    } while (0)

void clip_index_get_info(const clip_index *x, clip_index_info *out)
{
    clipidx_hold(x);
    clipidx_get_info(x, out);
    clipidx_release(x);
}

clip_status clip_index_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_item_at(x, row, out, err));
}

clip_status clip_index_find(const clip_index *x, const char *path, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_find(x, path, out, err));
}

clip_status clip_index_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_next(x, cursor, out, err));
}

clip_status clip_index_vector(const clip_index *x, int64_t row, float *out, clip_error *err)
{
    HELD(x, clipidx_vector(x, row, out, err));
}

clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter,
                              clip_hit *hit, int *found, clip_error *err)
{
    HELD(x, clipidx_search(x, query, Q, k, filter, hit, found, err));
}

clip_status clip_index_duplicates(const clip_index *x, const clip_duplicates_options *opt, int64_t **row,
                                  int64_t **group, int64_t *n, clip_error *err)
{
    const clip_duplicates_options o = opt ? *opt : clip_duplicates_options_default();
    HELD(x, clipidx_duplicates(x, &o, row, group, n, err));
}

clip_status clip_index_export(const clip_index *x, const char *dir, int64_t *rows, clip_error *err)
{
    HELD(x, clipidx_export(x, dir, rows, err));
}
