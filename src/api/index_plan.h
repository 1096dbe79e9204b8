/* index_plan.h: what there is to do to bring an index up to date, as far as it can be told without a model; the model's part is in index_update.c.
 *
 *     operands -- index_sources.c --> sources: folders, pictures, tables, tars, remembered in the index
 *              -- index_plan.c ----> which of their pictures are new, which only moved, and what has left */
#ifndef CLIP_INDEX_PLAN_H
#define CLIP_INDEX_PLAN_H

#include "data/data.h"
#include "index/index.h"

/* ---- index_sources.c: what an index was given --------------------------------------------------------------------- */

typedef enum clip_source_kind { CLIP_SOURCE_FOLDER, CLIP_SOURCE_PICTURE, CLIP_SOURCE_TABLE, CLIP_SOURCE_TAR, CLIP_SOURCE_GONE } clip_source_kind;

typedef struct clip_source {
    char *path;      /* absolute, symbolic links resolved */
    bool captions;   /* also NAME.txt beside pictures */
    char **exclude;
    size_t n_exclude;
    bool bare;       /* a folder in which no picture was found: */
    int64_t kept;    /* pictures of it that the sweep has left alone for that */
} clip_source;

typedef struct clip_sources {
    clip_source *item;
    size_t n, capacity;
} clip_sources;

/* clip_source_kind_of(): by the file that is there now. */
clip_source_kind clip_source_kind_of(const char *path);

/* clip_sources_resolve(): the operands of an update: specifications of pairs are expanded. CLIP_EIO (one is not there), CLIP_ENOMEM, .. */
clip_status clip_sources_resolve(const char *const *paths, int n, const clip_update_options *opt, clip_sources *out, clip_error *err);

/* clip_sources_recall(), clip_sources_remember(): those an index knows; the new ones with them, in place of those of the same path. */
clip_status clip_sources_recall(clip_index *x, clip_sources *out, clip_error *err);
clip_status clip_sources_remember(clip_index *x, const clip_sources *more, clip_error *err);
void clip_sources_free(clip_sources *s);

/* clip_sources_forget(): an index no longer knows these, and none below them. */
clip_status clip_sources_forget(clip_index *x, char *const *roots, int n, clip_error *err);

/* clip_path_below(): what of `path` follows the folder or tar `root`: "" where it is that itself, NULL where it is elsewhere. */
const char *clip_path_below(const char *path, const char *root);

/* ---- index_plan.c ---------------------------------------------------------------------------------------------------- */

/* clip_plan_unchanged(): does the index have this picture, with this size and time? `item`: what it has (kind 0: nothing). */
clip_status clip_plan_unchanged(const clip_index *x, const char *path, int64_t size, int64_t mtime, bool *unchanged, clip_item *item, clip_error *err);

typedef enum clip_plan_outcome {
    CLIP_PLAN_NEW,     /* nobody knows these bytes: to be embedded */
    CLIP_PLAN_SAME,    /* the picture is as it was, only its time has changed */
    CLIP_PLAN_MOVED,   /* it was known under a path that is gone */
    CLIP_PLAN_COPIED,  /* it is known under another path, too */
} clip_plan_outcome;

/* clip_plan_by_bytes(): take in a picture whose bytes are known, without embedding it. CLIP_PLAN_NEW: nothing is done.
 * item  in   path, size, mtime, hash
 * unit  -    room for D floats */
clip_status clip_plan_by_bytes(clip_index *x, const clip_item *item, float *unit, clip_plan_outcome *out, clip_error *err);

/* clip_plan_captions(): the captions a picture has now.
 * exact    in   what it had and has no more leaves
 * caption  in   [n]
 * is_new   out  [n] those to be embedded */
clip_status clip_plan_captions(clip_index *x, const char *path, const char *const *caption, int n, bool exact, bool *is_new, clip_error *err);

/* clip_plan_forget(): a picture and the texts that came with it leave. *removed: how many pictures; may be NULL. */
clip_status clip_plan_forget(clip_index *x, const char *path, int64_t *removed, clip_error *err);

/* clip_plan_sweep(): what lies below the sources (folders and tars that have been gone through), is not among `seen`, and really is no longer there (or is
 * excluded now) leaves. What merely cannot be looked at stays; so does what was in a folder that is bare, where a disk may be mounted on other days.
 * seen     in   [n] all their pictures, sorted by strcmp()
 * removed  out  pictures */
clip_status clip_plan_sweep(clip_index *x, clip_sources *sources, char *const *seen, size_t n, int64_t *removed, clip_error *err);

/* clip_plan_gone(): is there no such file, for certain? Members of a tar that is there count as there. */
bool clip_plan_gone(const char *path);

#endif
