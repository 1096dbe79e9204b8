/* index_feed.h: the pictures of one source, one after the other, those that need a look inside.
 *
 * A folder is listed and looked through first, so that one knows how much there is to do; tables and tars are read as they come. */
#ifndef CLIPCOL_FEED_H
#define CLIPCOL_FEED_H

#include "collection/plan.h"

/* A picture on its way through the workers. Used again and again: its buffers stay, except for a picture's bytes. */
typedef struct clipcol_parcel {
    clipdat_bytes path;
    clipdat_sample sample;  /* its captions; its bytes, where they came with it */
    bool has_bytes;
    bool captions;          /* they are to be indexed: */
    bool beside;            /* they are in the text file beside it */
    bool exact;             /* and what was known of others no longer holds */
    clip_item item;         /* size, mtime, taken, hash */
    clip_status status;     /* what became of it */
    clip_error err;
    bool gone;              /* there is no such file any more */
    bool decoded;
    float *pixels;          /* [3, S, S] */
} clipcol_parcel;

typedef struct clipcol_feed clipcol_feed;

typedef struct clipcol_feed_options {
    bool captions;              /* of tables and tars */
    clip_warn_fn warn;
    void *warn_user;
    bool (*go_on)(void *user);  /* asked now and then while much is looked through; false: stop */
    void *user;
    clip_update_report *report; /* seen, todo, broken, passed, removed are counted here */
    clipcol_holds *holds;          /* folders that could not be listed to their end are added */
    clipcol_others *others;
} clipcol_feed_options;

/* clipcol_feed_open(): all that is pointed at outlives it. A folder that cannot be listed is told,
 * counted and held, and has no pictures. */
clip_status clipcol_feed_open(clip_index *x, const clipcol_source *source, const clipcol_feed_options *opt, clipcol_feed **out,
                           clip_error *err);

/* clipcol_feed_next(): the next picture that is new or changed, or whose captions have to be looked at (then `unchanged`, with its item).
 * *more false: there is none; or it was told to stop. */
clip_status clipcol_feed_next(clipcol_feed *f, clipcol_parcel *p, bool *more, bool *unchanged, clip_error *err);

/* clipcol_feed_close(): hands over the paths of all its pictures, where it has a list of them that is whole. */
clip_status clipcol_feed_close(clipcol_feed *f, char ***seen, size_t *n, size_t *capacity, bool *whole);

void clipcol_parcel_drop(void *parcel);

#endif
