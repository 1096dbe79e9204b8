/* data.h: image-text pairs from where people keep them, one sample in memory at a time.
 *
 *     "a-{000..012}.tar::more.tsv"  -- spec.c -->  paths  -- pairs.c -->  sources, one after the other  -->  samples
 *
 * A source (folder.c, table.c on csv.c, webdataset.c) stands alone: any number may be open, each read by one thread.
 * clip_pairs_*() of clip.h are in pairs.c, clip_list_*() in list.c. Which files of a folder are
 * pictures, image/ tells by their first bytes. */
#ifndef CLIPDAT_DATA_H
#define CLIPDAT_DATA_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/status.h"

#define CLIPDAT_MAX_PICTURE ((size_t)1 << 30) /* bytes of an encoded picture */
#define CLIPDAT_MAX_TEXT ((size_t)1 << 24)    /* bytes of a sample's captions, or of the file that holds them */
#define CLIPDAT_MAX_ROW ((size_t)1 << 20)     /* bytes of a row of a table */
#define CLIPDAT_MAX_SOURCES ((size_t)1 << 20) /* paths in a specification */

/* ---- sample.c: one sample, its buffers kept from one to the next ---------------------------------------------- */

typedef struct clipdat_bytes {
    char *p;
    size_t n, capacity;
} clipdat_bytes;

/* clipdat_bytes_reserve(): room for n bytes and a closing 0. CLIP_ENOMEM. */
clip_status clipdat_bytes_reserve(clipdat_bytes *b, size_t n);
clip_status clipdat_bytes_add(clipdat_bytes *b, const char *p, size_t n); /* appends, and a 0 after it that does not count */

typedef struct clipdat_sample {
    clipdat_bytes key;     /* file or member, for messages */
    clipdat_bytes picture; /* encoded */
    clipdat_bytes text;    /* the captions, one after the other, a 0 after each */
    int captions;
    const char **caption;  /* clipdat_sample_finish() points it at them */
    size_t caption_capacity;
} clipdat_sample;

void clipdat_sample_clear(clipdat_sample *s);
void clipdat_sample_free(clipdat_sample *s);

/* clipdat_sample_caption(): one more caption, without the white space around it; a blank one is none. A 0 byte in it becomes a space.
 * CLIP_ENOMEM. */
clip_status clipdat_sample_caption(clipdat_sample *s, const char *text, size_t size);
void clipdat_sample_no_captions(clipdat_sample *s);

/* clipdat_sample_picture(): the key and, unless unread, the bytes of a picture file.
 * CLIP_EIO (also: not a regular file; no memory for its bytes), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipdat_sample_picture(clipdat_sample *s, const char *path, bool unread, clip_error *err);

/* clipdat_sample_finish(): is it whole? CLIP_EFORMAT (an empty picture, no caption), CLIP_ENOMEM. */
clip_status clipdat_sample_finish(clipdat_sample *s, bool unread, clip_error *err);

/* clipdat_picture_rank(): 0, 1, ... if `ext` (without its dot, any case) is that of a picture, else -1. Where a sample has
 * several, the lowest counts, in OpenCLIP's order: jpg, png, jpeg, webp. */
int clipdat_picture_rank(const char *ext);

/* ---- Sources -------------------------------------------------------------------------------------------------- */

/* next() says one of four things:        over = false                              over = true
 *     CLIP_OK                            `out` holds a sample                      the source is at its end
 *     an error                           this sample is broken, call again         the source is damaged beyond going on */
typedef struct clipdat_source clipdat_source;
struct clipdat_source {
    clip_status (*next)(clipdat_source *s, clipdat_sample *out, clip_error *err);
    void (*close)(clipdat_source *s);
    bool over;
    int64_t faults;            /* parts of a folder that could not be looked at: next() begins with an error for each */
    const clip_passed *passed; /* files of a folder that were passed over; NULL: not a folder */
    bool unread; /* the caller's to set, at any time: samples come without their pictures' bytes, which are not read */
};

/* clipdat_open(): whatever `path` names, told as clip_pairs_open() does. The strings in opt live as long as the source.
 * out  out  close() frees it; NULL on error
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (none of the kinds), CLIP_ENOMEM. */
clip_status clipdat_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err);
bool clipdat_is_tar(const char *path);

/* The kinds, each allocates its source. */
clip_status clipdat_folder_open(const char *path, clipdat_source **out, clip_error *err);
clip_status clipdat_tar_open(const char *path, clipdat_source **out, clip_error *err);
clip_status clipdat_table_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err);

/* ---- list.c: pictures below a directory ------------------------------------------------------------------------ */

typedef enum clipdat_known { CLIPDAT_UNKNOWN, CLIPDAT_PICTURE, CLIPDAT_OTHER } clipdat_known;

/* NULL: nobody asks, or wants to hear. */
typedef struct clipdat_list_options {
    const char *const *exclude; /* [n_exclude] patterns as the shell's; see clipdat_excluded() */
    int n_exclude;
    clip_passed *passed; /* the files passed over are added to it */
    /* Hears of each directory that cannot be listed to its end, and each name that cannot be looked
     * at. The message names it. */
    void (*fault)(void *user, const char *path, const char *message);
    /* What is known of a file without a picture's extension? CLIPDAT_UNKNOWN: it is opened. */
    clipdat_known (*known)(void *user, const char *path, const struct stat *st);
    /* A file was opened and is passed over. format NULL: it is not a picture. st NULL: there is no
     * `known`. */
    void (*other)(void *user, const char *path, const struct stat *st, const char *format);
    bool (*go_on)(void *user, int64_t names); /* asked now and then, with how many names have come by; false: stop */
    void *user;
} clipdat_list_options;

/* clipdat_list(): clip_list_pictures(), with a say in it. opt NULL: none. Told to stop, it gives what it has. */
clip_status clipdat_list(const char *path, const clipdat_list_options *opt, char ***out, size_t *n, clip_error *err);

/* clipdat_excluded(): does one of the patterns fit? One without a slash is of any name on the way from the root ("*.png", "drafts": with all that is
 * in it), one with a slash of the way as a whole ("2019/tests"). * matches everything, slashes too.
 * path  in   what follows the root
 * Errors: CLIP_ENOMEM */
clip_status clipdat_excluded(const char *const *patterns, int n, const char *path, bool *excluded);

/* ---- passed.c: files that are passed over, counted ------------------------------------------- */

/* clipdat_passed_add(): one more. name: the file's; of CLIP_PASSED_FORMAT the format's. p may be
 * NULL.
 * clipdat_passed_merge(): `more` as well. clipdat_passed_drop(): files with this extension do not
 * count.
 * clipdat_passed_sort(): into the order that clip.h promises, after all of them. */
void clipdat_passed_add(clip_passed *p, clip_passed_why why, const char *name);
void clipdat_passed_merge(clip_passed *sum, const clip_passed *more);
void clipdat_passed_drop(clip_passed *p, const char *extension);
void clipdat_passed_sort(clip_passed *p);

/* ---- folder.c -------------------------------------------------------------------------------------------------- */

/* clipdat_captions_beside(): add the captions in the text file beside a picture, one a line. *there: there is such a file.
 * CLIP_EIO, CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipdat_captions_beside(clipdat_sample *s, const char *picture, bool *there, clip_error *err);

/* ---- spec.c --------------------------------------------------------------------------------------------------- */

/* clipdat_expand(): the paths a specification names, in its order: split at "::", braces expanded as a shell does: {a,b},
 * {000..012} (with leading zeros as wide as they are written; downwards too), one inside the other. Braces that hold
 * neither stay as they are, and so does what exists under the name as written.
 * out  out  [*n]; free with clip_list_free()
 * Errors: CLIP_EINVAL (nothing named), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipdat_expand(const char *spec, char ***out, size_t *n, clip_error *err);

#endif
