/* data.h: image-text pairs from folders, tables and tars, with one sample in memory at a time.
 *
 *     "a-{000..012}.tar::more.tsv"  -- spec.c -->  paths  -- pairs.c -->  sources, one after the
 *     other  -->  samples
 *
 * A source (folder.c, table.c on top of csv.c, webdataset.c) stands alone. Any number may be open;
 * each is read by one thread. */
#ifndef CLIPDAT_DATA_H
#define CLIPDAT_DATA_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/status.h"

#define CLIPDAT_MAX_PICTURE ((size_t)1 << 30) /* bytes of an encoded picture */
#define CLIPDAT_MAX_TEXT ((size_t)1 << 24)    /* bytes of a sample's captions, or of their file */
#define CLIPDAT_MAX_ROW ((size_t)1 << 20)     /* bytes of a row of a table */
#define CLIPDAT_MAX_SOURCES ((size_t)1 << 20) /* paths in a specification */

/* ---- sample.c: one sample, whose buffers are kept for the next ------------------------------ */

typedef struct clipdat_bytes {
    char *p;
    size_t n, capacity;
} clipdat_bytes;

/* clipdat_bytes_reserve(): make room for n bytes and a closing 0.
 * clipdat_bytes_add(): append n bytes, and a 0 that does not count.
 * Errors: CLIP_ENOMEM. */
clip_status clipdat_bytes_reserve(clipdat_bytes *b, size_t n);
clip_status clipdat_bytes_add(clipdat_bytes *b, const char *p, size_t n);

typedef struct clipdat_sample {
    clipdat_bytes key;     /* file or member, for messages */
    clipdat_bytes picture; /* encoded */
    clipdat_bytes text;    /* the captions in order, with a 0 after each */
    int captions;
    const char **caption;  /* into `text`; set by clipdat_sample_finish() */
    size_t caption_capacity;
} clipdat_sample;

void clipdat_sample_clear(clipdat_sample *s);
void clipdat_sample_free(clipdat_sample *s);

/* clipdat_sample_caption(): add a caption, without the white space around it. A blank one is not
 * added. A 0 byte becomes a space.
 * clipdat_sample_no_captions(): remove all captions.
 * Errors: CLIP_ENOMEM. */
clip_status clipdat_sample_caption(clipdat_sample *s, const char *text, size_t size);
void clipdat_sample_no_captions(clipdat_sample *s);

/* clipdat_sample_picture(): set the key and read the bytes of a picture file.
 * unread  in  set the key alone
 * Errors: CLIP_EIO (also: not a regular file, no memory for its bytes), CLIP_ELIMIT,
 * CLIP_ENOMEM. */
clip_status clipdat_sample_picture(clipdat_sample *s, const char *path, bool unread, clip_error *err);

/* clipdat_sample_finish(): check that the sample is complete, and set `caption`.
 * Errors: CLIP_EFORMAT (an empty picture, no caption), CLIP_ENOMEM. */
clip_status clipdat_sample_finish(clipdat_sample *s, bool unread, clip_error *err);

/* clipdat_picture_rank(): the rank of a picture's extension. If a sample has several pictures, the
 * lowest rank counts, in OpenCLIP's order: jpg, png, jpeg, webp.
 * ext  in  without its dot, in upper or lower case
 * @return: 0, 1, ..; -1: not a picture's extension. */
int clipdat_picture_rank(const char *ext);

/* clipdat_is_picture_name(): clip_is_picture_name(). */
bool clipdat_is_picture_name(const char *name);

/* clipdat_list_free(): clip_list_free(). */
void clipdat_list_free(char **list, size_t n);

/* ---- Sources ------------------------------------------------------------------------------- */

/* The result of next():
 *                   over = false                        over = true
 *     CLIP_OK       `out` holds a sample                the source is at its end
 *     an error      the sample is broken, call again    the source is damaged, do not call again */
typedef struct clipdat_source clipdat_source;
struct clipdat_source {
    clip_status (*next)(clipdat_source *s, clipdat_sample *out, clip_error *err);
    void (*close)(clipdat_source *s);
    bool over;
    int64_t faults;            /* parts of a folder that could not be listed; next() first returns an
                                * error for each */
    const clip_passed *passed; /* files of a folder that were passed over; NULL: not a folder */
    bool unread;               /* the caller may set it at any time: pictures' bytes are not read */
};

/* clipdat_open(): open the source that `path` names. The kinds are the ones of clip_pairs_open().
 * opt  in   its strings must live as long as the source
 * out  out  close() frees it; NULL on error
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (none of the kinds), CLIP_ENOMEM. */
clip_status clipdat_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err);
bool clipdat_is_tar(const char *path);

/* One function for each kind. */
clip_status clipdat_folder_open(const char *path, clipdat_source **out, clip_error *err);
clip_status clipdat_tar_open(const char *path, clipdat_source **out, clip_error *err);
clip_status clipdat_table_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err);

/* ---- pairs.c: all sources of a specification, one after the other --------------------------- */

/* The functions of clip.h with these names. */
clip_pairs_options clipdat_pairs_options_default(void);
clip_status clipdat_pairs_open(const char *spec, const clip_pairs_options *opt, clip_pairs **out, clip_error *err);
clip_status clipdat_pairs_next(clip_pairs *p, clip_pair *out, clip_error *err);
void clipdat_pairs_get_passed(const clip_pairs *p, clip_passed *out);
void clipdat_pairs_close(clip_pairs *p);

/* ---- list.c: pictures below a directory ---------------------------------------------------- */

typedef enum clipdat_known { CLIPDAT_UNKNOWN, CLIPDAT_PICTURE, CLIPDAT_OTHER } clipdat_known;

/* Each function may be NULL. */
typedef struct clipdat_list_options {
    const char *const *exclude; /* [n_exclude] patterns, see clipdat_excluded() */
    int n_exclude;
    clip_passed *passed; /* the files passed over are added; may be NULL */
    /* Called for each directory that cannot be listed to its end, and for each name that cannot be
     * looked at. The message names it. */
    void (*fault)(void *user, const char *path, const char *message);
    /* Asked what is known of a file without a picture's extension. CLIPDAT_UNKNOWN: open it. */
    clipdat_known (*known)(void *user, const char *path, const struct stat *st);
    /* Called for a file that was opened and is passed over. format NULL: it is not a picture. st
     * NULL: there is no `known`. */
    void (*other)(void *user, const char *path, const struct stat *st, const char *format);
    /* Asked now and then, with the number of names seen so far. false: stop. */
    bool (*go_on)(void *user, int64_t names);
    void *user;
} clipdat_list_options;

/* clipdat_list(): clip_list_pictures() with options. If go_on() stops it, it gives the pictures
 * found so far.
 * opt  in  may be NULL */
clip_status clipdat_list(const char *path, const clipdat_list_options *opt, char ***out, size_t *n, clip_error *err);

/* clipdat_list_pictures(): clip_list_pictures(). */
clip_status clipdat_list_pictures(const char *path, clip_warn_fn warn, void *warn_user, clip_passed *passed,
                                  int64_t *faults, char ***out, size_t *n, clip_error *err);

/* clipdat_excluded(): whether one of the patterns fits. A pattern without a slash fits any name on
 * the path ("*.png"; "drafts" excludes the folder with everything in it). A pattern with a slash
 * fits the path as a whole ("2019/tests"). * matches everything, slashes as well.
 * path  in   relative to the root
 * Errors: CLIP_ENOMEM */
clip_status clipdat_excluded(const char *const *patterns, int n, const char *path, bool *excluded);

/* ---- passed.c: counts of the files that are passed over ------------------------------------- */

/* clipdat_passed_add(): count one more file.
 *     name  in  the file's name; for CLIP_PASSED_FORMAT the format's. p may be NULL
 * clipdat_passed_merge(): add the counts of `more`.
 * clipdat_passed_drop(): do not count files with this extension.
 * clipdat_passed_sort(): sort into the order that clip.h promises. Call it last. */
void clipdat_passed_add(clip_passed *p, clip_passed_why why, const char *name);
void clipdat_passed_merge(clip_passed *sum, const clip_passed *more);
void clipdat_passed_drop(clip_passed *p, const char *extension);
void clipdat_passed_sort(clip_passed *p);

/* ---- folder.c ------------------------------------------------------------------------------ */

/* clipdat_captions_beside(): add the captions in the text file beside a picture, one on each line.
 * there  out  whether there is such a file
 * Errors: CLIP_EIO, CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipdat_captions_beside(clipdat_sample *s, const char *picture, bool *there, clip_error *err);

/* ---- spec.c -------------------------------------------------------------------------------- */

/* clipdat_expand(): the paths that a specification names, in order. It is split at "::", and braces
 * are expanded as in a shell: {a,b} and {000..012}, also nested. Numbers with leading zeros keep
 * their width; ranges may count down. Other braces stay as they are. So does a name that exists as
 * it is written.
 * out  out  [*n]; free with clipdat_list_free()
 * Errors: CLIP_EINVAL (an empty name), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipdat_expand(const char *spec, char ***out, size_t *n, clip_error *err);

#endif
