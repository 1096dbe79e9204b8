/* plan.h: what has to be done to bring an index up to date, as far as that can be told without a
 * model. update.c does the model's part.
 *
 *     operands -- sources.c --> sources: folders, pictures, tables, tars, remembered in the index
 *              -- plan.c -----> which of their pictures are new, moved, or gone
 *              -- others.c ---> which of their files are known not to be pictures */
#ifndef CLIPCOL_PLAN_H
#define CLIPCOL_PLAN_H

#include "data/data.h"
#include "index/index.h"

/* ---- sources.c: what an index was given ------------------------------------------------------ */

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
    char language[16]; /* that they are embedded in; "": they have none, or nothing was noted */
    char **exclude;
    size_t n_exclude;
} clipcol_source;

typedef struct clipcol_sources {
    clipcol_source *item;
    size_t n, capacity;
} clipcol_sources;

/* clipcol_source_kind_of(): by the file that exists now. */
clipcol_source_kind clipcol_source_kind_of(const char *path);

/* clipcol_sources_resolve(): the operands of an update. Braces in specifications of pairs are
 * expanded.
 * language  in  of the texts that they bring; "": texts have none
 * Errors: CLIP_EIO (an operand does not exist), CLIP_ENOMEM, those of specifications. */
clip_status clipcol_sources_resolve(const char *const *paths, int n, const clip_update_options *opt,
                                    const char *language, clipcol_sources *out, clip_error *err);

/* clipcol_sources_agree(): a caption that is known is not embedded again, so those of a source stay
 * in one language.
 * Errors: CLIP_EMISMATCH (the index knows a source with another language), CLIP_ENOMEM. */
clip_status clipcol_sources_agree(const clip_index *x, const clipcol_sources *named, clip_error *err);

/* clipcol_sources_recall(): the sources that an index knows. clipcol_sources_remember(): add more;
 * a source of the same path is replaced. */
clip_status clipcol_sources_recall(const clip_index *x, clipcol_sources *out, clip_error *err);
clip_status clipcol_sources_remember(clip_index *x, const clipcol_sources *more, clip_error *err);
void clipcol_sources_free(clipcol_sources *s);

/* clipcol_sources_forget(): an index no longer knows these, nor sources below them. */
clip_status clipcol_sources_forget(clip_index *x, char *const *roots, int n, clip_error *err);

/* ---- plan.c ---------------------------------------------------------------------------------- */

/* clipcol_plan_unchanged(): whether the index has this picture, with this size and time.
 * item  out  what the index has (kind 0: nothing) */
clip_status clipcol_plan_unchanged(const clip_index *x, const char *path, int64_t size, int64_t mtime, bool *unchanged,
                                   clip_item *item, clip_error *err);

typedef enum clipcol_plan_outcome {
    CLIPCOL_PLAN_NEW,     /* unknown bytes: to be embedded */
    CLIPCOL_PLAN_SAME,    /* the picture is unchanged, only its time is new */
    CLIPCOL_PLAN_MOVED,   /* known under a path that is gone */
    CLIPCOL_PLAN_COPIED,  /* known under another path as well */
} clipcol_plan_outcome;

/* clipcol_plan_by_bytes(): take in a picture of known bytes without embedding it. With
 * CLIPCOL_PLAN_NEW nothing is done.
 * item  in   path, size, mtime, hash
 * unit  -    room for D floats */
clip_status clipcol_plan_by_bytes(clip_index *x, const clip_item *item, float *unit, clipcol_plan_outcome *out,
                                  clip_error *err);

/* clipcol_plan_captions(): the captions that a picture has now.
 * exact    in   captions that it no longer has are removed
 * caption  in   [n]
 * is_new   out  [n] those that have to be embedded */
clip_status clipcol_plan_captions(clip_index *x, const char *path, const char *const *caption, int n, bool exact,
                                  bool *is_new, clip_error *err);

/* clipcol_plan_forget(): remove a picture and the texts that came with it.
 * removed  out  how many pictures; may be NULL */
clip_status clipcol_plan_forget(clip_index *x, const char *path, int64_t *removed, clip_error *err);

/* The fate of pictures that are not found. A folder that is gone from its parent has been deleted.
 * A folder that exists, but is empty or cannot be read, looks like a missing disk or share: it
 * holds what the index has of it. */
typedef struct clipcol_hold {
    char *path;   /* mostly a folder's */
    char why[96]; /* what to report about it; "": already reported */
    int64_t kept; /* how many of its pictures were not found */
} clipcol_hold;

typedef struct clipcol_holds {
    clipcol_hold *item;
    size_t n, capacity;
} clipcol_holds;

/* clipcol_holds_add(): no effect where the path is among them.
 * Errors: CLIP_ENOMEM. */
clip_status clipcol_holds_add(clipcol_holds *h, const char *path, const char *why);
void clipcol_holds_free(clipcol_holds *h);

typedef enum clipcol_fate { CLIPCOL_FATE_THERE, CLIPCOL_FATE_GONE, CLIPCOL_FATE_HELD } clipcol_fate;

/* clipcol_plan_fate(): of a file that was not found. Members of an existing tar count as existing.
 * holds  in/out  what is found to hold the file is added
 * hold   out     in `holds`, until that grows; NULL unless CLIPCOL_FATE_HELD
 * Errors: CLIP_ENOMEM. */
clip_status clipcol_plan_fate(const char *path, clipcol_holds *holds, clipcol_fate *fate, clipcol_hold **hold);

/* clipcol_plan_sweep(): remove pictures below the sources (folders and tars that have been looked
 * through) that are not among `seen` and are gone, or are excluded now.
 * seen     in      [n] all pictures of the sources, sorted by strcmp()
 * holds    in/out  pictures below them stay
 * removed  out     pictures */
clip_status clipcol_plan_sweep(clip_index *x, const clipcol_sources *sources, char *const *seen, size_t n,
                               clipcol_holds *holds, int64_t *removed, clip_error *err);

/* clipcol_plan_gone(): whether a file does not exist. Members of an existing tar count as
 * existing. */
bool clipcol_plan_gone(const char *path);

/* ---- others.c: files that are not pictures --------------------------------------------------- */

typedef struct clipcol_others {
    uint64_t *known, *seen; /* hashes: from the index; of this update */
    size_t n_known, n_seen, capacity;
} clipcol_others;

/* clipcol_others_recall(): the files that the index knows not to be pictures.
 * clipcol_others_have(): whether this is one of them, unchanged. clipcol_others_add(): note one in
 * this update. clipcol_others_remember(): write those of this update to the index.
 * all  in  the update has looked at everything, so that others are forgotten */
clip_status clipcol_others_recall(clip_index *x, clipcol_others *o, clip_error *err);
bool clipcol_others_have(const clipcol_others *o, const char *path, int64_t size, int64_t mtime);
void clipcol_others_add(clipcol_others *o, const char *path, int64_t size, int64_t mtime);
clip_status clipcol_others_remember(clip_index *x, clipcol_others *o, bool all, clip_error *err);
void clipcol_others_free(clipcol_others *o);

#endif
