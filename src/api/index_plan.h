/* index_plan.h: what there is to do to bring an index up to date, as far as it can be told without a model; the model's part is in index_update.c.
 *
 *     operands -- index_sources.c --> sources: folders, pictures, tables, tars, remembered in the index
 *              -- index_plan.c ----> which of their pictures are new, only moved, or have left
 *              -- index_others.c --> which of their files are known not to be pictures */
#ifndef CLIP_INDEX_PLAN_H
#define CLIP_INDEX_PLAN_H

#include "data/data.h"
#include "index/index.h"

/* ---- index_sources.c: what an index was given --------------------------------------------------------------------- */

typedef enum clip_source_kind {
    CLIP_SOURCE_FOLDER,
    CLIP_SOURCE_PICTURE,
    CLIP_SOURCE_TABLE,
    CLIP_SOURCE_TAR,
    CLIP_SOURCE_GONE
} clip_source_kind;

typedef struct clip_source {
    char *path;      /* absolute, symbolic links resolved */
    bool captions;   /* also NAME.txt beside pictures */
    char **exclude;
    size_t n_exclude;
} clip_source;

typedef struct clip_sources {
    clip_source *item;
    size_t n, capacity;
} clip_sources;

/* clip_source_kind_of(): by the file that is there now. */
clip_source_kind clip_source_kind_of(const char *path);

/* clip_sources_resolve(): the operands of an update: specifications of pairs are expanded. CLIP_EIO (one is not there), CLIP_ENOMEM, .. */
clip_status clip_sources_resolve(const char *const *paths, int n, const clip_update_options *opt, clip_sources *out,
                                 clip_error *err);

/* clip_sources_recall(), clip_sources_remember(): those an index knows; the new ones with them, in place of those of the same path. */
clip_status clip_sources_recall(clip_index *x, clip_sources *out, clip_error *err);
clip_status clip_sources_remember(clip_index *x, const clip_sources *more, clip_error *err);
void clip_sources_free(clip_sources *s);

/* clip_sources_forget(): an index no longer knows these, and none below them. */
clip_status clip_sources_forget(clip_index *x, char *const *roots, int n, clip_error *err);

/* ---- index_plan.c ---------------------------------------------------------------------------------------------------- */

/* clip_plan_unchanged(): does the index have this picture, with this size and time? `item`: what it has (kind 0: nothing). */
clip_status clip_plan_unchanged(const clip_index *x, const char *path, int64_t size, int64_t mtime, bool *unchanged,
                                clip_item *item, clip_error *err);

typedef enum clip_plan_outcome {
    CLIP_PLAN_NEW,     /* nobody knows these bytes: to be embedded */
    CLIP_PLAN_SAME,    /* the picture is as it was, only its time has changed */
    CLIP_PLAN_MOVED,   /* it was known under a path that is gone */
    CLIP_PLAN_COPIED,  /* it is known under another path, too */
} clip_plan_outcome;

/* clip_plan_by_bytes(): take in a picture whose bytes are known, without embedding it. CLIP_PLAN_NEW: nothing is done.
 * item  in   path, size, mtime, hash
 * unit  -    room for D floats */
clip_status clip_plan_by_bytes(clip_index *x, const clip_item *item, float *unit, clip_plan_outcome *out,
                               clip_error *err);

/* clip_plan_captions(): the captions a picture has now.
 * exact    in   what it had and has no more leaves
 * caption  in   [n]
 * is_new   out  [n] those to be embedded */
clip_status clip_plan_captions(clip_index *x, const char *path, const char *const *caption, int n, bool exact,
                               bool *is_new, clip_error *err);

/* clip_plan_forget(): a picture and the texts that came with it leave. *removed: how many pictures; may be NULL. */
clip_status clip_plan_forget(clip_index *x, const char *path, int64_t *removed, clip_error *err);

/* What becomes of pictures that are not found. A folder that is gone from its parent has been
 * deleted. A folder that is there, but empty or not to be looked into, is what a missing disk or
 * share looks like: it holds what the index has of it. */
typedef struct clip_hold {
    char *path;   /* mostly of a folder */
    char why[96]; /* what is to be told of it; "": that has been done */
    int64_t kept; /* its pictures that were not found */
} clip_hold;

typedef struct clip_holds {
    clip_hold *item;
    size_t n, capacity;
} clip_holds;

/* clip_holds_add(): nothing new where the path is among them. CLIP_ENOMEM. */
clip_status clip_holds_add(clip_holds *h, const char *path, const char *why);
void clip_holds_free(clip_holds *h);

typedef enum clip_fate { CLIP_FATE_THERE, CLIP_FATE_GONE, CLIP_FATE_HELD } clip_fate;

/* clip_plan_fate(): of a file that was not found. Members of a tar that is there count as there.
 * holds  in/out  what is found to hold it is added
 * hold   out     in `holds`, until that grows; NULL unless CLIP_FATE_HELD
 * Errors: CLIP_ENOMEM */
clip_status clip_plan_fate(const char *path, clip_holds *holds, clip_fate *fate, clip_hold **hold);

/* clip_plan_sweep(): what lies below the sources (folders and tars that have been gone through), is
 * not among `seen`, and is gone (or is excluded now) leaves.
 * seen     in      [n] all their pictures, sorted by strcmp()
 * holds    in/out  what is below them stays
 * removed  out     pictures */
clip_status clip_plan_sweep(clip_index *x, const clip_sources *sources, char *const *seen, size_t n, clip_holds *holds,
                            int64_t *removed, clip_error *err);

/* clip_plan_gone(): is there no such file? Members of a tar that is there count as there. */
bool clip_plan_gone(const char *path);

/* ---- index_others.c: files that are not pictures --------------------------------------------- */

typedef struct clip_others {
    uint64_t *known, *seen; /* hashes: from the index; of this update */
    size_t n_known, n_seen, capacity;
} clip_others;

/* clip_others_recall(): those the index knows. clip_others_have(): is it one of them, as it was?
 * clip_others_add(): it is one, in this update.
 * clip_others_remember(): those of this update; all: it has gone over everything, so others are
 * forgotten. */
clip_status clip_others_recall(clip_index *x, clip_others *o, clip_error *err);
bool clip_others_have(const clip_others *o, const char *path, int64_t size, int64_t mtime);
void clip_others_add(clip_others *o, const char *path, int64_t size, int64_t mtime);
clip_status clip_others_remember(clip_index *x, clip_others *o, bool all, clip_error *err);
void clip_others_free(clip_others *o);

#endif
