/* Opening an index for a model: the weights that its vectors were made with, and the background
 * that its pictures were laid on. The catalogue notes both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/color.h"
#include "collection/collection.h"
#include "engine/engine.h"
#include "index/index.h"

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
    if (!whole && errno == ENOENT && strncmp(m->path, "local-dir:", 10) != 0)
        whole = strdup(m->path); /* the name of a model in the hub's cache */
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

clip_image_options clipcol_index_image_options(const clip_index *x, const clip_model *m)
{
    clip_image_options o = m ? clipeng_model_image_options(m) : clipimg_options_default();
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

clip_status clipcol_index_settle_background(clip_index *x, int background, clip_error *err)
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

/* The size of a model's pictures; 0: the checkpoint's own. */
static int other_size(const clip_model *m)
{
    const clipmdl_vision_config *v = &m->config.vision;
    return v->image_size != clipmdl_stored_size(v) ? v->image_size : 0;
}

static const char *size_words(int size, char out[48])
{
    *out = 0;
    if (size)
        snprintf(out, 48, ", pictures of %d pixels", size);
    return out;
}

static clip_status check_model(clip_index *x, const clip_model *m, bool fresh, clip_error *err)
{
    char stamp[48], id[33], name[256], its[48], ours[48];
    if (m->config.embed_dim != x->dim)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir, "is an index of %s, %d numbers a vector; %s makes %d",
                          x->model_name[0] ? x->model_name : "an unknown model", x->dim, m->path, m->config.embed_dim);
    fresh = fresh || (x->write && !x->model_id[0] && x->state.rows == 0); /* an empty index of no model yet */
    if (!fresh && !x->model_id[0])
        return CLIP_OK; /* made without a model: nobody can tell */
    clipeng_weights_stamp(m, stamp);
    TRY(clipidx_recall(x, stamp, id, sizeof id, err));
    if (strlen(id) != 32)
        TRY(clipeng_weights_identify(m, id, err));
    name_of(m, name, sizeof name);
    if (!fresh && strcmp(id, x->model_id) != 0)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir,
                          "is an index of another model: %s (%.8s%s); %s is %.8s%s, by its weights and settings",
                          x->model_name, x->model_id, size_words(x->image_size, its), m->path, id,
                          size_words(other_size(m), ours));
    TRY(clipidx_remember(x, stamp, id, err));
    TRY(note_path(x, m, err));
    return fresh ? clipidx_claim(x, id, name, other_size(m), err) : CLIP_OK;
}

clip_status clipcol_index_open(const char *dir, const clip_index_options *opt, clip_index **out, clip_error *err)
{
    const clip_index_options o = opt ? *opt : (clip_index_options){0};
    bool fresh = false;
    *out = NULL;
    if (err)
        *err = (clip_error){0};
    if (!dir)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of an index");
    if (o.threads < 0 || o.threads > CLIPENG_MOST_THREADS)
        return clipb_fail(err, CLIP_EINVAL, NULL, "threads must be 0 to %d", CLIPENG_MOST_THREADS);
    const int dim = o.dim ? o.dim : o.model ? o.model->config.embed_dim : 0;
    TRY(clipidx_open(dir, &clipidx_store_sqlite, &o, o.team ? o.team->threads : NULL, dim, out, &fresh, err));
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
