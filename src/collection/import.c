/* clipcol_import(): embeddings that others have made, compared with the model that is named as
 * theirs. Files of embeddings do not say which model, pictures of which size and which preparation
 * they come from. Where pictures are still there, or captions beside them, the model embeds a few
 * again. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "collection/collection.h"
#include "engine/engine.h"
#include "index/index.h"

/* Other programs decode and resize a little differently; a picture may have changed since. So the
 * best of a few must be near. Of rows whose pictures are gone only the first are tried. */
enum { ENOUGH = 4, TRIES = 1000 };
#define NEAR 0.98

typedef struct comparison {
    clip_context *ctx;
    clip_image_options image;
    float *own; /* [D] */
    int D, tries, n[3]; /* how many were compared, by kind */
    double best[3];
    char *last;    /* the picture before: rows of one picture with several captions follow each other */
    char *name[3]; /* of the first that is off, by kind, for the message */
} comparison;

static clip_status embed_picture(comparison *c, const char *path, bool *embedded)
{
    clip_image img;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return CLIP_OK;
    clip_status s = clipimg_read(path, &c->image, &img, NULL);
    if (s == CLIP_OK) {
        s = clipeng_encode_image(c->ctx, &img, 1, c->own);
        clipimg_free(&img);
    }
    *embedded = s == CLIP_OK;
    return s == CLIP_ENOMEM ? s : CLIP_OK;
}

static clip_status embed(comparison *c, const clip_item *item, bool *embedded)
{
    const clip_model *m = c->ctx->model;
    *embedded = false;
    if (item->kind == CLIP_ITEM_PICTURE)
        return m->towers & CLIP_TOWER_IMAGE ? embed_picture(c, item->path, embedded) : CLIP_OK;
    if (!(m->towers & CLIP_TOWER_TEXT) || !m->tokenizer)
        return CLIP_OK;
    const clip_status s = clipeng_encode_text(c->ctx, &item->text, 1, c->own);
    *embedded = s == CLIP_OK;
    return s == CLIP_ENOMEM ? s : CLIP_OK;
}

static clip_status look(void *user, const clip_item *item, const float *unit, bool *more)
{
    comparison *c = user;
    const int kind = item->kind;
    bool embedded = false;
    double cosine = 0;
    *more = ++c->tries < TRIES && (c->n[CLIP_ITEM_PICTURE] < ENOUGH || c->n[CLIP_ITEM_TEXT] < ENOUGH);
    if (kind == CLIP_ITEM_PICTURE && c->last && strcmp(c->last, item->path) == 0)
        return CLIP_OK;
    if (kind == CLIP_ITEM_PICTURE) {
        free(c->last);
        c->last = strdup(item->path);
        TRY(c->last ? CLIP_OK : CLIP_ENOMEM);
    }
    if (c->n[kind] < ENOUGH)
        TRY(embed(c, item, &embedded));
    if (!embedded)
        return CLIP_OK;
    for (int d = 0; d < c->D; d++)
        cosine += (double)c->own[d] * (double)unit[d];
    if (c->n[kind]++ == 0 || cosine > c->best[kind])
        c->best[kind] = cosine;
    if (!c->name[kind] && cosine < NEAR)
        c->name[kind] = strdup(kind == CLIP_ITEM_PICTURE ? item->path : item->text);
    return CLIP_OK;
}

static clip_status judge(const comparison *c, const char *dir, clip_error *err)
{
    const clip_model *m = c->ctx->model;
    for (int kind = CLIP_ITEM_PICTURE; kind <= CLIP_ITEM_TEXT; kind++)
        if (c->n[kind] > 0 && c->best[kind] < NEAR)
            return clipb_fail(err, CLIP_EMISMATCH, dir,
                              "%s does not make these embeddings (of '%.200s' another one, with a cosine of %.3f at "
                              "best): they are of another model, of pictures of another size or prepared otherwise, or "
                              "of texts in another language",
                              m->path, c->name[kind] ? c->name[kind] : "", c->best[kind]);
    return CLIP_OK;
}

clip_status clipcol_import(clip_index *x, clip_context *ctx, const char *dir, clip_import_report *report,
                           clip_error *err)
{
    clip_import_report ignored, *r = report ? report : &ignored;
    if (!ctx)
        return clipidx_import(x, dir, r, err);
    if (ctx->model->config.embed_dim != x->dim)
        return clipb_fail(err, CLIP_EMISMATCH, x->dir, "has %d numbers a vector; %s makes %d", x->dim,
                          ctx->model->path, ctx->model->config.embed_dim);
    comparison c = {.ctx = ctx, .D = x->dim, .image = clipcol_index_image_options(x, ctx->model)};
    c.own = malloc((size_t)c.D * sizeof *c.own);
    clip_status s = c.own ? clipidx_import_look(x, dir, look, &c, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK)
        s = judge(&c, dir, err);
    if (s == CLIP_OK)
        s = clipidx_import(x, dir, r, err);
    r->compared_pictures = c.n[CLIP_ITEM_PICTURE];
    r->compared_texts = c.n[CLIP_ITEM_TEXT];
    free(c.name[CLIP_ITEM_PICTURE]);
    free(c.name[CLIP_ITEM_TEXT]);
    free(c.last);
    free(c.own);
    return s;
}
