/* feed.h: the pictures of one source that have to be read, one after the other.
 *
 * A folder is listed and looked through first, so that the amount of work is known. Tables and tars
 * are read as they come. */
#ifndef CLIPCOL_FEED_H
#define CLIPCOL_FEED_H

#include "collection/plan.h"

/* A picture on its way through the workers. It is used again and again: its buffers stay, except
 * for the bytes of the picture. */
typedef struct clipcol_parcel {
    clipdat_bytes path;
    clipdat_sample sample;  /* its captions, and its bytes where the source brings them */
    bool has_bytes;
    bool captions;          /* its captions are to be indexed */
    bool beside;            /* they are in the text file beside it */
    bool exact;             /* other captions of it are no longer valid */
    clip_item item;         /* size, mtime, taken, hash */
    clip_status status;     /* the outcome for this picture */
    clip_error err;
    bool gone;              /* the file no longer exists */
    bool decoded;
    float *pixels;          /* [3, S, S] */
} clipcol_parcel;

typedef struct clipcol_feed clipcol_feed;

typedef struct clipcol_feed_options {
    bool captions;              /* tables and tars bring theirs */
    clip_warn_fn warn;
    void *warn_user;
    bool (*go_on)(void *user);  /* asked now and then while a source is looked through; false: stop */
    void *user;
    clip_update_report *report; /* seen, todo, broken, passed, removed are counted here */
    clipcol_holds *holds;          /* folders that could not be listed to their end are added */
    clipcol_others *others;
} clipcol_feed_options;

/* clipcol_feed_open(): the source and the options must outlive the feed. A folder that cannot be
 * listed is reported, counted and held, and has no pictures. */
clip_status clipcol_feed_open(clip_index *x, const clipcol_source *source, const clipcol_feed_options *opt,
                              clipcol_feed **out, clip_error *err);

/* clipcol_feed_next(): the next picture that is new or changed, or whose captions have to be looked
 * at (then `unchanged`, with its item).
 * more  out  false: there is none, or go_on() said stop */
clip_status clipcol_feed_next(clipcol_feed *f, clipcol_parcel *p, bool *more, bool *unchanged, clip_error *err);

/* clipcol_feed_close(): hands over the paths of all pictures of the source, if the list is
 * complete. */
clip_status clipcol_feed_close(clipcol_feed *f, char ***seen, size_t *n, size_t *capacity, bool *whole);

void clipcol_parcel_drop(void *parcel);

#endif
