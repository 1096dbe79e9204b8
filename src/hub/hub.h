/* hub.h: models by name. A name leads to a repository on the Hugging Face hub, and the repository
 * to a folder in the hub's cache on this machine. Nothing is fetched unless cliphub_pull() is
 * called. */
#ifndef CLIPHUB_HUB_H
#define CLIPHUB_HUB_H

#include "base/file.h"

/* ---- Names (names.c) ------------------------------------------------------------------------- */

enum { CLIPHUB_REPO = 128, CLIPHUB_REVISION = 128 };

typedef struct cliphub_name {
    char repo[CLIPHUB_REPO];         /* "ORG/NAME" */
    char revision[CLIPHUB_REVISION]; /* a branch, a tag or a commit; "main" where none is named */
    const clip_known_model *known;   /* its row in the table; NULL: named by its repository */
} cliphub_name;

/* cliphub_name_read(): understand the name of a model. Touches neither files nor the network.
 * text   in   ORG/NAME[@REVISION], the same after "hf-hub:", OpenCLIP's ARCHITECTURE/TAG, Immich's
 *             ARCHITECTURE__TAG
 * found  out  false: the text is not such a name, so it must be a path
 * Errors: CLIP_EINVAL (an architecture without a tag, or with one that it does not have; a damaged
 * name after "hf-hub:"). */
clip_status cliphub_name_read(const char *text, cliphub_name *out, bool *found, clip_error *err);

/* cliphub_known(): clip_known_models() of clip.h.
 * cliphub_recommended(): clip_recommended_models() of clip.h. */
const clip_known_model *cliphub_known(int *n);
const clip_recommended_model *cliphub_recommended(int *n);

/* ---- Places (place.c) ------------------------------------------------------------------------ */

/* cliphub_find(): the folder or file of a model's weights.
 * text  in   a path, or a name; a path that exists wins. A folder of the hub's cache, one of
 *            sentence-transformers, and OpenCLIP's "local-dir:" lead on to the folder with the
 *            weights
 * out   out  free() it; NULL on error. A path that does not exist comes back as it is
 * Errors: CLIP_EIO (a model that is not on this machine; a cache that cannot be read), CLIP_EFORMAT
 * (a damaged cache), CLIP_EUNSUPPORTED (modules of sentence-transformers), CLIP_EINVAL,
 * CLIP_ENOMEM. */
clip_status cliphub_find(const char *text, char **out, clip_error *err);

/* cliphub_find_whole(): cliphub_find(), where clip_pull() has nothing to do.
 * out  out  NULL: the text names a model that is not on this machine, or only in part
 * Errors: CLIP_EINVAL (not a name), CLIP_ENOMEM. */
clip_status cliphub_find_whole(const char *text, char **out, clip_error *err);

/* cliphub_modules_read(): the folder in which modules.json of sentence-transformers has the CLIP.
 * out  out  "" or a plain name; free() it
 * Errors: CLIP_EUNSUPPORTED (other modules), CLIP_EFORMAT, CLIP_EIO, CLIP_ENOMEM. */
clip_status cliphub_modules_read(const char *file, char **out, clip_error *err);

/* ---- The cache (cache.c) --------------------------------------------------------------------- */

/* The cache's folder holds, for a repository ORG/NAME:
 *
 *     models--ORG--NAME/refs/REVISION            the commit, 40 hexadecimal digits
 *     models--ORG--NAME/snapshots/COMMIT/FILE    a link to ../../blobs/ETAG
 *     models--ORG--NAME/blobs/ETAG               the file; may be a link into a shared store
 *     .locks/models--ORG--NAME/ETAG.lock         held by flock() while a blob is written
 *
 * A file that is not complete is called blobs/ETAG.clip-part. */
#define CLIPHUB_PART ".clip-part"

/* cliphub_cache_root(): the cache's folder: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else
 * $HF_HOME/hub. It may not exist.
 * Errors: CLIP_EINVAL (neither of these nor HOME is set), CLIP_ENOMEM. */
clip_status cliphub_cache_root(char **out, clip_error *err);

/* cliphub_cache_home(): HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface. */
clip_status cliphub_cache_home(char **out, clip_error *err);

/* cliphub_repo_folder(): ROOT/models--ORG--NAME. @return: free() it; NULL: out of memory. */
char *cliphub_repo_folder(const char *root, const char *repo);

/* cliphub_is_plain(): whether a name from a file or from a server is one name inside a folder. */
bool cliphub_is_plain(const char *name);

/* cliphub_snapshot(): the folder snapshots/COMMIT of a revision. Every entry must be a file, or a
 * link to one of this repository's blobs.
 * folder    in   models--ORG--NAME, with or without the folders above it
 * revision  in   a branch or tag in refs/, or a commit. Where there is no refs/main, the only
 *                snapshot is "main"
 * Errors: CLIP_EIO (it is not there), CLIP_EFORMAT (a link leads elsewhere, a reference is
 * damaged), CLIP_ENOMEM. */
clip_status cliphub_snapshot(const char *folder, const char *revision, char **out, clip_error *err);

/* cliphub_weights_at(): the names that files of weights have in repositories, the preferred ones
 * first. NULL after the last. */
const char *cliphub_weights_at(int i);

/* cliphub_has_weights(): whether a folder holds weights by one of these names, with all their
 * parts. Other files may be an optimizer's, or parts of a network.
 * Errors: CLIP_ENOMEM. */
clip_status cliphub_has_weights(const char *dir, bool *found);

/* cliphub_cached(): clip_cached_models() of clip.h (list.c). */
clip_status cliphub_cached(clip_cached_fn each, void *user, int *others, clip_error *err);

/* ---- Fetching (pull.c, or no_pull.c in a build without libcurl) ------------------------------ */

/* cliphub_pull(): clip_pull() of clip.h. */
clip_status cliphub_pull(const char *text, const clip_pull_options *opt, char **path, clip_error *err);

/* cliphub_fetcher(): the library that fetches, for clip_build_info(); NULL: this build has none. */
const char *cliphub_fetcher(void);

#endif
