/* clip_index_open(): whose vectors these are. A model is known by XXH3-128 of its weights' files. Reading a gigabyte to find that out would be the slowest
 * part of a search; so the index notes by what the files could be recognised (inodes, sizes, times of change), and what came out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "api/api.h"
#include "index/index.h"

static void hexadecimal(XXH128_hash_t h, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
}

/* One file is known by its own hash, several by that of their hashes, one folded in after the other. */
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

/* What the catalogue says; *known: it does. An index that was updated before there was such a note dropped transparency. */
static clip_status recall_background(clip_index *x, int *background, bool *known, clip_error *err)
{
    char text[32], updated[32];
    TRY(clipidx_recall(x, "background", text, sizeof text, err));
    TRY(clipidx_recall(x, "updated", updated, sizeof updated, err));
    *known = (text[0] || updated[0]) && x->state.pictures > 0;
    if (*known && clip_background_parse(text[0] ? text : "drop", background) < 0)
        return clipb_fail(err, CLIP_EFORMAT, x->dir, "the catalogue is damaged: '%s' is not a background", text);
    return CLIP_OK;
}

clip_image_options clip_index_image_options(const clip_index *x, const clip_model *m)
{
    clip_image_options o = m ? clip_model_image_options(m) : clip_image_options_default();
    bool known;
    recall_background((clip_index *)(uintptr_t)x, &o.background, &known, NULL); /* behind its mutex; damage shows in an update */
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
    fresh = fresh || (x->write && !x->model_id[0] && x->state.rows == 0); /* nothing has come into it yet: it is nobody's */
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
    TRY(clipidx_open(dir, &o, o.dim ? o.dim : o.model ? o.model->config.embed_dim : 0, out, &fresh, err));
    clip_status s = o.dim && o.dim != (*out)->dim
                        ? clipb_fail(err, CLIP_EMISMATCH, dir, "has %d numbers a vector, not %d", (*out)->dim, o.dim)
                        : CLIP_OK;
    if (s == CLIP_OK && o.model)
        s = check_model(*out, o.model, fresh, err);
    if (s < 0) {
        clip_index_discard(*out);
        *out = NULL;
    }
    return s;
}
