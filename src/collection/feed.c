/* The pictures of a source, compared with the catalogue. */
#include "collection/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

struct clipcol_feed {
    clip_index *x;
    const clipcol_source *source;
    clipcol_source_kind kind;
    clipcol_feed_options opt;
    char **path;            /* [n] the pictures of a folder; of a tar those read so far */
    size_t n, capacity, at;
    uint8_t *todo;          /* one bit each */
    clipdat_source *stream; /* of a table or a tar */
    int64_t mtime;          /* of the tar */
    bool damaged, stopped;
    clip_status status;     /* of the listing's callbacks */
    clip_error *err;
};

static void tell(const clipcol_feed *f, const char *message)
{
    if (f->opt.warn)
        f->opt.warn(f->opt.warn_user, message);
}

/* ---- Folders --------------------------------------------------------------------------------- */

static bool list_on(void *user, int64_t names)
{
    clipcol_feed *f = user;
    f->opt.report->listed = names;
    f->stopped = !f->opt.go_on(f->opt.user);
    return !f->stopped;
}

static void list_fault(void *user, const char *path, const char *message)
{
    clipcol_feed *f = user;
    f->opt.report->broken++;
    tell(f, message);
    if (clipcol_holds_add(f->opt.holds, path, "") < 0)
        f->status = CLIP_ENOMEM;
}

/* A fault of the catalogue shows again where it can be reported. */
static clipdat_known list_known(void *user, const char *path, const struct stat *st)
{
    clipcol_feed *f = user;
    clip_item item;
    bool unchanged;
    if (clipcol_others_have(f->opt.others, path, st->st_size, clipb_mtime(st))) {
        clipcol_others_add(f->opt.others, path, st->st_size, clipb_mtime(st));
        return CLIPDAT_OTHER;
    }
    clip_status s = clipcol_plan_unchanged(f->x, path, st->st_size, clipb_mtime(st), &unchanged, &item, NULL);
    return s == CLIP_OK && unchanged ? CLIPDAT_PICTURE : CLIPDAT_UNKNOWN;
}

/* What the index may have of it belongs to other bytes. */
static void list_other(void *user, const char *path, const struct stat *st, const char *format)
{
    clipcol_feed *f = user;
    int64_t removed = 0;
    if (!format)
        clipcol_others_add(f->opt.others, path, st->st_size, clipb_mtime(st));
    if (f->status == CLIP_OK)
        f->status = clipcol_plan_forget(f->x, path, &removed, f->err);
    f->opt.report->removed += removed;
}

/* Which of the pictures have to be read. */
static clip_status look_through(clipcol_feed *f, clip_error *err)
{
    enum { OFTEN = 256 };
    f->todo = calloc(f->n / 8 + 1, 1);
    if (!f->todo)
        return clipb_nomem(err, f->source->path);
    for (size_t i = 0; i < f->n && !f->stopped; i++) {
        struct stat st;
        clip_item item;
        bool unchanged = false;
        if (stat(f->path[i], &st) == 0)
            TRY(clipcol_plan_unchanged(f->x, f->path[i], st.st_size, clipb_mtime(&st), &unchanged, &item, err));
        f->opt.report->seen++;
        f->opt.report->todo += !unchanged;
        f->todo[i / 8] |= (uint8_t)(!unchanged << i % 8);
        f->stopped = i % OFTEN == 0 && !f->opt.go_on(f->opt.user);
    }
    return CLIP_OK;
}

static clip_status set_path(clipcol_parcel *p, const char *path)
{
    p->path.n = 0;
    return clipdat_bytes_add(&p->path, path, strlen(path));
}

static clip_status next_of_folder(clipcol_feed *f, clipcol_parcel *p, bool *more, bool *unchanged, clip_error *err)
{
    for (; !f->stopped && f->at < f->n; f->at++) {
        *unchanged = !(f->todo[f->at / 8] >> f->at % 8 & 1);
        if (*unchanged && !f->source->captions)
            continue;
        const char *path = f->path[f->at++];
        *more = true;
        if (*unchanged)
            TRY(clipidx_find(f->x, path, &p->item, err));
        clipdat_sample_no_captions(&p->sample);
        p->captions = p->beside = p->exact = f->source->captions;
        p->has_bytes = false;
        return set_path(p, path);
    }
    *more = false;
    return CLIP_OK;
}

/* ---- Tables and tars ------------------------------------------------------------------------- */

static clip_status note_seen(clipcol_feed *f, const char *path)
{
    TRY(clipb_grow((void **)&f->path, &f->capacity, f->n + 1, sizeof *f->path));
    f->path[f->n] = strdup(path);
    return f->path[f->n] ? (f->n++, CLIP_OK) : CLIP_ENOMEM;
}

/* A path in a table is replaced by its real path, as everywhere. */
static clip_status name_of_row(clipcol_parcel *p)
{
    char *real = realpath(p->sample.key.p, NULL);
    clip_status s = set_path(p, real ? real : p->sample.key.p);
    free(real);
    return s;
}

static clip_status look_at(clipcol_feed *f, clipcol_parcel *p, bool *unchanged, clip_error *err)
{
    struct stat st;
    int64_t size = (int64_t)p->sample.picture.n, mtime = f->mtime;
    TRY(f->kind == CLIPCOL_SOURCE_TAR ? set_path(p, p->sample.key.p) : name_of_row(p));
    if (f->kind == CLIPCOL_SOURCE_TAR)
        TRY(note_seen(f, p->path.p));
    else if (stat(p->path.p, &st) == 0)
        size = st.st_size, mtime = clipb_mtime(&st);
    p->captions = f->opt.captions;
    p->exact = f->kind == CLIPCOL_SOURCE_TAR; /* a table may return to a picture later */
    p->beside = false;
    p->has_bytes = f->kind == CLIPCOL_SOURCE_TAR;
    TRY(clipcol_plan_unchanged(f->x, p->path.p, size, mtime, unchanged, &p->item, err));
    if (!*unchanged)
        p->item = (clip_item){.size = size, .mtime = mtime};
    return CLIP_OK;
}

static clip_status next_of_stream(clipcol_feed *f, clipcol_parcel *p, bool *more, bool *unchanged, clip_error *err)
{
    while (!f->stopped && !f->stream->over) {
        clip_error why = {0};
        clip_status s = f->stream->next(f->stream, &p->sample, &why);
        if (s == CLIP_ENOMEM)
            return s;
        if (s < 0) { /* this sample, or all that follow */
            f->damaged |= f->stream->over;
            f->opt.report->broken++;
            tell(f, why.message);
        }
        if (s < 0 || f->stream->over)
            continue;
        TRY(look_at(f, p, unchanged, err));
        f->opt.report->seen++;
        f->opt.report->todo += !*unchanged;
        f->stopped = f->opt.report->seen % 256 == 0 && !f->opt.go_on(f->opt.user);
        if (!*unchanged || p->captions) {
            *more = !f->stopped;
            return CLIP_OK;
        }
    }
    *more = false;
    return CLIP_OK;
}

/* ---- Both ------------------------------------------------------------------------------------ */

static clip_status open_list(clipcol_feed *f, clip_error *err)
{
    clip_passed passed = {0};
    clip_error why;
    const clipdat_list_options o = {
        .exclude = (const char *const *)f->source->exclude, .n_exclude = (int)f->source->n_exclude, .passed = &passed,
        .fault = list_fault, .known = list_known, .other = list_other, .go_on = list_on, .user = f,
    };
    f->err = err;
    clip_status s = clipdat_list(f->source->path, &o, &f->path, &f->n, &why);
    if (s == CLIP_EIO)
        list_fault(f, f->source->path, why.message);
    else
        TRY(s);
    TRY(f->status);
    if (f->source->captions)
        clipdat_passed_drop(&passed, ".txt"); /* captions */
    clipdat_passed_merge(&f->opt.report->passed, &passed);
    f->opt.report->listed = 0;
    return look_through(f, err);
}

static clip_status open_stream(clipcol_feed *f, clip_error *err)
{
    const clip_pairs_options o = clipdat_pairs_options_default();
    struct stat st;
    if (!clipb_is_file(f->source->path)) /* a pipe would make every update wait */
        return clipb_fail(err, CLIP_EIO, f->source->path, "is not a regular file");
    TRY(clipdat_open(f->source->path, &o, &f->stream, err));
    f->stream->unread = f->kind == CLIPCOL_SOURCE_TABLE;
    f->mtime = stat(f->source->path, &st) == 0 ? clipb_mtime(&st) : 0;
    return CLIP_OK;
}

clip_status clipcol_feed_open(clip_index *x, const clipcol_source *source, const clipcol_feed_options *opt,
                              clipcol_feed **out, clip_error *err)
{
    clipcol_feed *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return clipb_nomem(err, source->path);
    *f = (clipcol_feed){.x = x, .source = source, .kind = clipcol_source_kind_of(source->path), .opt = *opt};
    const bool listed = f->kind != CLIPCOL_SOURCE_TABLE && f->kind != CLIPCOL_SOURCE_TAR;
    clip_status s = listed ? open_list(f, err) : open_stream(f, err);
    if (s < 0)
        clipcol_feed_close(f, NULL, NULL, NULL, NULL);
    else
        *out = f;
    return s == CLIP_ENOMEM ? clipb_nomem(err, source->path) : s;
}

clip_status clipcol_feed_next(clipcol_feed *f, clipcol_parcel *p, bool *more, bool *unchanged, clip_error *err)
{
    p->item = (clip_item){0};
    p->status = CLIP_OK;
    p->gone = p->decoded = false;
    clip_status s = (f->stream ? next_of_stream : next_of_folder)(f, p, more, unchanged, err);
    return s == CLIP_ENOMEM ? clipb_nomem(err, f->source->path) : s;
}

clip_status clipcol_feed_close(clipcol_feed *f, char ***seen, size_t *n, size_t *capacity, bool *whole)
{
    clip_status s = CLIP_OK;
    if (seen) {
        *whole = !f->stopped && !f->damaged && (f->kind == CLIPCOL_SOURCE_FOLDER || f->kind == CLIPCOL_SOURCE_TAR);
        s = clipb_grow((void **)seen, capacity, *n + f->n, sizeof **seen);
        for (size_t i = 0; s == CLIP_OK && i < f->n; i++) {
            (*seen)[(*n)++] = f->path[i];
            f->path[i] = NULL;
        }
    }
    if (f->stream)
        f->stream->close(f->stream);
    clipdat_list_free(f->path, f->n);
    free(f->todo);
    free(f);
    return s;
}

void clipcol_parcel_drop(void *parcel)
{
    clipcol_parcel *p = parcel;
    free(p->path.p);
    clipdat_sample_free(&p->sample);
}
