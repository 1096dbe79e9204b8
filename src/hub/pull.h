/* pull.h: what a pull of one model knows. pull.c finds out which files it needs, fetch.c fetches
 * them. */
#ifndef CLIPHUB_PULL_H
#define CLIPHUB_PULL_H

#include "hub/http.h"
#include "hub/store.h"

enum { CLIPHUB_FILE = 256, CLIPHUB_ETAG = 130 };

typedef struct cliphub_file {
    char name[CLIPHUB_FILE]; /* in the repository */
    char etag[CLIPHUB_ETAG]; /* the name of its blob */
    int64_t size;            /* -1: the hub has not said it */
} cliphub_file;

typedef struct cliphub_puller {
    const char *text; /* the name as typed */
    cliphub_name name;
    char commit[41];  /* "": not known yet */
    const char *endpoint;
    char *token;      /* NULL: none */
    char *root, *folder, *blobs;
    cliphub_http *http;
    cliphub_file *file;
    size_t n, capacity;
    clip_pull_options opt;
    clip_pull_progress now;
    char now_file[CLIPHUB_FILE]; /* what now.file points to */
    bool stopped;     /* progress() has said stop; functions then return CLIP_EIO */
    clip_error *err;
} cliphub_puller;

/* cliphub_begin_file(): `name` is the file that progress() hears of next. */
void cliphub_begin_file(cliphub_puller *p, const char *name);

/* cliphub_tick(): tell the caller how far it is. @return: false: stop. A callback of http.h. */
bool cliphub_tick(void *puller);

/* cliphub_path(): the address of a file, behind the endpoint. @return: false: too long. */
bool cliphub_path(const cliphub_puller *p, const char *file, char *out, size_t size);

/* cliphub_refused(): the words for an answer that is not the file.
 * @return: CLIP_EIO */
clip_status cliphub_refused(cliphub_puller *p, const char *file, const cliphub_reply *r);

/* cliphub_fault(): the words for an outcome that is not an answer.
 * @return: CLIP_EIO, or CLIP_ENOMEM */
clip_status cliphub_fault(cliphub_puller *p, const char *file, cliphub_outcome outcome);

/* Trying again after a fault that may pass.
 * cliphub_wait_again(): wait a while, longer each time.
 * tries  inout  faults in a row
 * @return: false: it has been tried often enough, or the caller has said stop */
bool cliphub_wait_again(cliphub_puller *p, int *tries);

/* cliphub_blob_size(): the size of a blob that is complete; -1: it is not there. */
int64_t cliphub_blob_size(const cliphub_puller *p, const cliphub_file *f);

/* cliphub_part_size(): how much of an unfinished blob is there. */
int64_t cliphub_part_size(const cliphub_puller *p, const cliphub_file *f);

/* cliphub_fetch(): fetch a file into its blob, from the byte where an earlier call has stopped. */
clip_status cliphub_fetch(cliphub_puller *p, const cliphub_file *f);

#endif
