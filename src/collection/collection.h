/* collection.h: an index that is kept up to date with the files it was made from. Here a model and
 * an index meet. Each function does what its namesake in clip.h says: clipcol_update() is
 * clip_index_update(). */
#ifndef CLIPCOL_COLLECTION_H
#define CLIPCOL_COLLECTION_H

#include "clip.h"

clip_status clipcol_index_open(const char *dir, const clip_index_options *opt, clip_index **out, clip_error *err);
clip_image_options clipcol_index_image_options(const clip_index *x, const clip_model *m);
clip_update_options clipcol_update_options_default(void);
clip_status clipcol_update(clip_index *x, clip_context *ctx, const char *const *paths, int n,
                           const clip_update_options *opt, clip_update_report *report, clip_error *err);
clip_status clipcol_list_sources(const clip_index *x, char ***out, size_t *n, bool *captions, clip_error *err);
clip_status clipcol_forget_sources(clip_index *x, const char *const *paths, int n, int64_t *removed, clip_error *err);
clip_status clipcol_import(clip_index *x, clip_context *ctx, const char *dir, clip_import_report *report,
                           clip_error *err);
clip_status clipcol_list_words(const clip_index *x, char ***out, size_t *n, clip_error *err);

/* clipcol_index_settle_background(): lay the pictures of this index on this background from now on.
 * Errors: CLIP_EMISMATCH (its pictures were laid on another one). */
clip_status clipcol_index_settle_background(clip_index *x, int background, clip_error *err);

#endif
