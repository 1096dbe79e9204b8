/* What is new, moved or gone, told by the catalogue, by sizes and times of files, and by hashes of
 * their bytes. */
#include "collection/plan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/order.h"

clip_status clipcol_plan_unchanged(const clip_index *x, const char *path, int64_t size, int64_t mtime, bool *unchanged,
                                   clip_item *item, clip_error *err)
{
    TRY(clipidx_find(x, path, item, err));
    *unchanged = item->kind && item->size == size && item->mtime == mtime;
    return CLIP_OK;
}

/* ENOTDIR: a directory of the path is a file now: a tar that still exists, or a file in the
 * directory's place. */
bool clipcol_plan_gone(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        return false;
    if (errno != ENOTDIR)
        return errno == ENOENT;
    char *part = strdup(path), *slash = part;
    bool in_tar = !part; /* when in doubt, it exists */
    while (!in_tar && (slash = strchr(slash + 1, '/'))) {
        *slash = 0;
        in_tar = clipdat_is_tar(part) && clipb_is_file(part);
        *slash = '/';
    }
    free(part);
    return !in_tar;
}

static clip_status forget_texts(clip_index *x, const char *path, clip_error *err)
{
    clip_item text;
    for (int64_t row = 0;;) {
        TRY(clipidx_next_text(x, path, &row, &text, err));
        if (!text.kind)
            return CLIP_OK;
        TRY(clipidx_remove(x, &text.row, 1, err));
    }
}

clip_status clipcol_plan_forget(clip_index *x, const char *path, int64_t *removed, clip_error *err)
{
    clip_item item;
    TRY(clipidx_find(x, path, &item, err));
    if (item.kind)
        TRY(clipidx_remove(x, &item.row, 1, err));
    if (removed)
        *removed = item.kind != 0;
    return forget_texts(x, path, err);
}

/* A picture with these bytes whose file is gone, else any. kind 0: there is none. Of very many only
 * the first ones are tried. */
static clip_status find_copy(const clip_index *x, const uint8_t hash[16], clip_item *out, bool *gone, clip_error *err)
{
    enum { MOST = 64 };
    int64_t row = 0, first = -1;
    *gone = false;
    for (int i = 0; i < MOST && !*gone; i++) {
        TRY(clipidx_next_copy(x, hash, &row, out, err));
        if (!out->kind)
            break;
        *gone = clipcol_plan_gone(out->path);
        if (first < 0)
            first = out->row;
    }
    return *gone || first < 0 ? CLIP_OK : clipidx_item_at(x, first, out, err);
}

clip_status clipcol_plan_by_bytes(clip_index *x, const clip_item *item, float *unit, clipcol_plan_outcome *out,
                                  clip_error *err)
{
    clip_item known;
    bool gone;
    *out = CLIPCOL_PLAN_NEW;
    TRY(clipidx_find(x, item->path, &known, err));
    if (known.kind && memcmp(known.hash, item->hash, sizeof known.hash) == 0) {
        *out = CLIPCOL_PLAN_SAME;
        return clipidx_rename(x, known.row, item->path, item->size, item->mtime, err);
    }
    TRY(find_copy(x, item->hash, &known, &gone, err));
    if (!known.kind)
        return CLIP_OK;
    const int64_t row = known.row;
    if (gone) { /* what was known of the new path belongs to other bytes */
        *out = CLIPCOL_PLAN_MOVED;
        TRY(clipcol_plan_forget(x, item->path, NULL, err));
        return clipidx_rename(x, row, item->path, item->size, item->mtime, err);
    }
    clip_item copy = *item;
    copy.taken = known.taken;
    *out = CLIPCOL_PLAN_COPIED;
    TRY(clipidx_vector(x, row, unit, err));
    return clipidx_add(x, &copy, unit, 1, err);
}

/* ---- Captions -------------------------------------------------------------------------------- */

clip_status clipcol_plan_captions(clip_index *x, const char *path, const char *const *caption, int n, bool exact,
                                  bool *is_new, clip_error *err)
{
    clip_item text;
    for (int i = 0; i < n; i++) {
        is_new[i] = true;
        for (int j = 0; is_new[i] && j < i; j++)
            is_new[i] = strcmp(caption[i], caption[j]) != 0; /* the same one again */
    }
    for (int64_t row = 0;;) {
        TRY(clipidx_next_text(x, path, &row, &text, err));
        if (!text.kind)
            return CLIP_OK;
        bool there = false;
        for (int i = 0; i < n; i++)
            if (strcmp(text.text, caption[i]) == 0) {
                there = true;
                is_new[i] = false;
            }
        if (exact && !there)
            TRY(clipidx_remove(x, &text.row, 1, err));
    }
}

/* ---- What holds pictures that are not found -------------------------------------------------- */

clip_status clipcol_holds_add(clipcol_holds *h, const char *path, const char *why)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->item[i].path, path) == 0)
            return CLIP_OK;
    TRY(clipb_grow((void **)&h->item, &h->capacity, h->n + 1, sizeof *h->item));
    clipcol_hold *new = &h->item[h->n];
    *new = (clipcol_hold){.path = strdup(path)};
    if (!new->path)
        return CLIP_ENOMEM;
    snprintf(new->why, sizeof new->why, "%s", why);
    h->n++;
    return CLIP_OK;
}

void clipcol_holds_free(clipcol_holds *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->item[i].path);
    free(h->item);
    *h = (clipcol_holds){0};
}

/* The nearest one above. */
static clipcol_hold *hold_of(const clipcol_holds *h, const char *path)
{
    clipcol_hold *best = NULL;
    for (size_t i = 0; i < h->n; i++)
        if (clipb_path_below(path, h->item[i].path) && (!best || strlen(h->item[i].path) > strlen(best->path)))
            best = &h->item[i];
    return best;
}

/* Whether a folder holds anything but hidden names. -1: errno tells why that is unknown. */
static int has_names(const char *folder)
{
    DIR *d = opendir(folder);
    int found = 0;
    if (!d)
        return -1;
    errno = 0;
    for (const struct dirent *e; !found && (e = readdir(d));)
        found = e->d_name[0] != '.';
    const int why = found ? 0 : errno;
    closedir(d);
    errno = why;
    return why ? -1 : found;
}

static bool is_gone(int fault) { return fault == ENOENT || fault == ENOTDIR; }

/* Go up from `path`, which has this fault, to the first folder that can be read. `path` is cut to
 * the folder that holds the file.
 * @return: why it holds the file; NULL: nothing holds it */
static const char *look_up(char *path, int fault)
{
    for (char *slash; (slash = strrchr(path, '/')) && slash > path;) {
        struct stat link;
        *slash = 0;
        const int found = has_names(path);
        if (found >= 0 && is_gone(fault))
            return found ? NULL : "is empty now";
        if (found >= 0) {
            *slash = '/';
            break;
        }
        fault = errno;
        if (fault == ENOENT && lstat(path, &link) == 0)
            return "is a link that leads nowhere";
    }
    return is_gone(fault) ? NULL : strerror(fault);
}

clip_status clipcol_plan_fate(const char *path, clipcol_holds *holds, clipcol_fate *fate, clipcol_hold **hold)
{
    struct stat st;
    *hold = NULL;
    *fate = CLIPCOL_FATE_THERE;
    if (lstat(path, &st) == 0)
        return CLIP_OK;
    const int fault = errno;
    if ((*hold = hold_of(holds, path))) {
        *fate = CLIPCOL_FATE_HELD;
        return CLIP_OK;
    }
    if (fault == ENOTDIR && !clipcol_plan_gone(path))
        return CLIP_OK;
    char *part = strdup(path);
    if (!part)
        return CLIP_ENOMEM;
    const char *why = look_up(part, fault);
    *fate = why ? CLIPCOL_FATE_HELD : CLIPCOL_FATE_GONE;
    clip_status s = why ? clipcol_holds_add(holds, part, why) : CLIP_OK;
    if (why && s == CLIP_OK)
        *hold = &holds->item[holds->n - 1];
    free(part);
    return s;
}

/* ---- What has left --------------------------------------------------------------------------- */

/* The nearest source above: a tar within a folder wins. */
static const clipcol_source *source_of(const clipcol_sources *sources, const char *path)
{
    const clipcol_source *best = NULL;
    for (size_t i = 0; i < sources->n; i++)
        if (clipb_path_below(path, sources->item[i].path) &&
            (!best || strlen(sources->item[i].path) > strlen(best->path)))
            best = &sources->item[i];
    return best;
}

static clip_status has_left(const clipcol_source *s, const clip_item *item, clipcol_holds *holds, bool *left)
{
    clipcol_fate fate;
    clipcol_hold *hold;
    *left = clipcol_source_kind_of(s->path) == CLIPCOL_SOURCE_TAR;
    if (!*left)
        TRY(clipdat_excluded((const char *const *)s->exclude, (int)s->n_exclude, clipb_path_below(item->path, s->path),
                             left));
    if (*left)
        return CLIP_OK;
    TRY(clipcol_plan_fate(item->path, holds, &fate, &hold));
    *left = fate == CLIPCOL_FATE_GONE;
    if (hold)
        hold->kept += item->kind == CLIP_ITEM_PICTURE;
    return CLIP_OK;
}

clip_status clipcol_plan_sweep(clip_index *x, const clipcol_sources *sources, char *const *seen, size_t n,
                               clipcol_holds *holds, int64_t *removed, clip_error *err)
{
    clip_item item;
    *removed = 0;
    for (int64_t row = 0;;) {
        bool left;
        TRY(clipidx_next(x, &row, &item, err));
        if (!item.kind)
            return CLIP_OK;
        const clipcol_source *s = item.path ? source_of(sources, item.path) : NULL;
        if (!s || (n > 0 && bsearch(&item.path, seen, n, sizeof *seen, clipb_order_strings)))
            continue;
        if (has_left(s, &item, holds, &left) < 0)
            return clipb_nomem(err, x->dir);
        if (!left)
            continue;
        *removed += item.kind == CLIP_ITEM_PICTURE;
        TRY(clipidx_remove(x, &item.row, 1, err));
    }
}
