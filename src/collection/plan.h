/* index_plan.h: what there is to do to bring an index up to date, as far as it can be told without a model; the model's part is in index_update.c.
 *
 *     operands -- index_sources.c --> sources: folders, pictures, tables, tars, remembered in the index
 *              -- index_plan.c ----> which of their pictures are new, only moved, or have left
 *              -- index_others.c --> which of their files are known not to be pictures */
#ifndef CLIPCOL_PLAN_H
#define CLIPCOL_PLAN_H

#include "data/data.h"
#include "index/index.h"

/* ---- index_sources.c: what an index was given --------------------------------------------------------------------- */

typedef enum clipcol_source_kind {
    CLIPCOL_SOURCE_FOLDER,
    CLIPCOL_SOURCE_PICTURE,
    CLIPCOL_SOURCE_TABLE,
    CLIPCOL_SOURCE_TAR,
    CLIPCOL_SOURCE_GONE
} clipcol_source_kind;

typedef struct clipcol_source {
    char *path;      /* absolute, symbolic links resolved */
    bool captions;   /* also NAME.txt beside pictures */
    char **exclude;
    size_t n_exclude;
} clipcol_source;

typedef struct clipcol_sources {
    clipcol_source *item;
    size_t n, capacity;
} clipcol_sources;

/* clipcol_source_kind_of(): by the file that is there now. */
clipcol_source_kind clipcol_source_kind_of(const char *path);

/* clipcol_sources_resolve(): the operands of an update: specifications of pairs are expanded. CLIP_EIO (one is not there), CLIP_ENOMEM, .. */
clip_status clipcol_sources_resolve(const char *const *paths, int n, const clip_update_options *opt, clipcol_sources *out,
                                 clip_error *err);

/* clipcol_sources_recall(), clipcol_sources_remember(): those an index knows; the new ones with them, in place of those of the same path. */
clip_status clipcol_sources_recall(clip_index *x, clipcol_sources *out, clip_error *err);
clip_status clipcol_sources_remember(clip_index *x, const clipcol_sources *more, clip_error *err);
void clipcol_sources_free(clipcol_sources *s);

/* clipcol_sources_forget(): an index no longer knows these, and none below them. */
clip_status clipcol_sources_forget(clip_index *x, char *const *roots, int n, clip_error *err);

/* ---- index_plan.c ---------------------------------------------------------------------------------------------------- */

/* clipcol_plan_unchanged(): does the index have this picture, with this size and time? `item`: what it has (kind 0: nothing). */
clip_status clipcol_plan_unchanged(const clip_index *x, const char *path, int64_t size, int64_t mtime, bool *unchanged,
                                clip_item *item, clip_error *err);

typedef enum clipcol_plan_outcome {
    CLIPCOL_PLAN_NEW,     /* nobody knows these bytes: to be embedded */
    CLIPCOL_PLAN_SAME,    /* the picture is as it was, only its time has changed */
    CLIPCOL_PLAN_MOVED,   /* it was known under a path that is gone */
    CLIPCOL_PLAN_COPIED,  /* it is known under another path, too */
} clipcol_plan_outcome;

/* clipcol_plan_by_bytes(): take in a picture whose bytes are known, without embedding it. CLIPCOL_PLAN_NEW: nothing is done.
 * item  in   path, size, mtime, hash
 * unit  -    room for D floats */
clip_status clipcol_plan_by_bytes(clip_index *x, const clip_item *item, float *unit, clipcol_plan_outcome *out,
                               clip_error *err);

/* clipcol_plan_captions(): the captions a picture has now.
 * exact    in   what it had and has no more leaves
 * caption  in   [n]
 * is_new   out  [n] those to be embedded */
clip_status clipcol_plan_captions(clip_index *x, const char *path, const char *const *caption, int n, bool exact,
                               bool *is_new, clip_error *err);

/* clipcol_plan_forget(): a picture and the texts that came with it leave. *removed: how many pictures; may be NULL. */
clip_status clipcol_plan_forget(clip_index *x, const char *path, int64_t *removed, clip_error *err);

/* What becomes of pictures that are not found. A folder that is gone from its parent has been
 * deleted. A folder that is there, but empty or not to be looked into, is what a missing disk or
 * share looks like: it holds what the index has of it. */
typedef struct clipcol_hold {
    char *path;   /* mostly of a folder */
    char why[96]; /* what is to be told of it; "": that has been done */
    int64_t kept; /* its pictures that were not found */
} clipcol_hold;

typedef struct clipcol_holds {
    clipcol_hold *item;
    size_t n, capacity;
} clipcol_holds;

/* clipcol_holds_add(): nothing new where the path is among them. CLIP_ENOMEM. */
clip_status clipcol_holds_add(clipcol_holds *h, const char *path, const char *why);
void clipcol_holds_free(clipcol_holds *h);

typedef enum clipcol_fate { CLIPCOL_FATE_THERE, CLIPCOL_FATE_GONE, CLIPCOL_FATE_HELD } clipcol_fate;

/* clipcol_plan_fate(): of a file that was not found. Members of a tar that is there count as there.
 * holds  in/out  what is found to hold it is added
 * hold   out     in `holds`, until that grows; NULL unless CLIPCOL_FATE_HELD
 * Errors: CLIP_ENOMEM */
clip_status clipcol_plan_fate(const char *path, clipcol_holds *holds, clipcol_fate *fate, clipcol_hold **hold);

/* clipcol_plan_sweep(): what lies below the sources (folders and tars that have been gone through), is
 * not among `seen`, and is gone (or is excluded now) leaves.
 * seen     in      [n] all their pictures, sorted by strcmp()
 * holds    in/out  what is below them stays
 * removed  out     pictures */
clip_status clipcol_plan_sweep(clip_index *x, const clipcol_sources *sources, char *const *seen, size_t n, clipcol_holds *holds,
                            int64_t *removed, clip_error *err);

/* clipcol_plan_gone(): is there no such file? Members of a tar that is there count as there. */
bool clipcol_plan_gone(const char *path);

/* ---- index_others.c: files that are not pictures --------------------------------------------- */

typedef struct clipcol_others {
    uint64_t *known, *seen; /* hashes: from the index; of this update */
    size_t n_known, n_seen, capacity;
} clipcol_others;

/* clipcol_others_recall(): those the index knows. clipcol_others_have(): is it one of them, as it was?
 * clipcol_others_add(): it is one, in this update.
 * clipcol_others_remember(): those of this update; all: it has gone over everything, so others are
 * forgotten. */
clip_status clipcol_others_recall(clip_index *x, clipcol_others *o, clip_error *err);
bool clipcol_others_have(const clipcol_others *o, const char *path, int64_t size, int64_t mtime);
void clipcol_others_add(clipcol_others *o, const char *path, int64_t size, int64_t mtime);
clip_status clipcol_others_remember(clip_index *x, clipcol_others *o, bool all, clip_error *err);
void clipcol_others_free(clipcol_others *o);

#endif
