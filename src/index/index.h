/* index.h: an index as the files of this room see it. What it does is said in clip.h, whose clip_index_*() are here:
 *
 *     index.c       open, add, rename, remove, commit, close, the items        catalogue.c   SQLite: what each row is; catalogue_open.c
 *     search.c      the best k, on scan.c                                      files.c       the arrays beside it, as one; array.c each of them
 *     filter.c      which rows a search looks at                               code.c        vectors to int8 and what they lose; learn.c on which axes
 *     duplicates.c  near-identical pictures                                    verify.c      reading all of it again
 *
 * No model is known here: clip_index_open() in src/api asks it for its name. */
#ifndef CLIPIDX_INDEX_H
#define CLIPIDX_INDEX_H

#include <pthread.h>

#include "index/array.h"
#include "index/catalogue.h"
#include "index/code.h"
#include "kernels/kernels.h"

enum {
    CLIPIDX_VECTORS, CLIPIDX_HEADS, CLIPIDX_HEAD_BOUNDS, CLIPIDX_TAILS, CLIPIDX_TAIL_BOUNDS, CLIPIDX_ARRAYS, /* with a row an item */
    CLIPIDX_REFLECTORS = CLIPIDX_ARRAYS, CLIPIDX_FILES
};

struct clip_index {
    char *dir;
    pid_t process; /* that opened it: a fork must not touch SQLite's handles, nor what they lock */
    bool write, lost; /* lost: after a fault its state could not be read again */
    bool fresh, dir_made; /* this handle has made it, and its directory */
    int lock; /* descriptor that holds the writer's lock; -1: a reader */
    int dim;
    char model_id[33], model_name[256], model_path[4096];
    clipidx_catalogue catalogue;
    pthread_mutex_t mutex; /* of the catalogue: its statements serve one thread at a time */
    clipidx_state state;
    clipidx_array array[CLIPIDX_FILES]; /* vectors [rows, D] f16; heads [rows, H] and tails [rows, (D - H + 1) / 2] in bytes, bounds of both in
                                         * f32 (code.h); reflectors [H, D] f32, or none */
    bool coded;            /* codes and bounds are there: a writer always has them */
    clipidx_coder coder;
    clipk_ctx k;           /* its team comes with the first search */
    int threads;
    pthread_mutex_t team_mutex; /* a team serves one search at a time; who finds it busy searches alone */
    clip_warn_fn warn;
    void *warn_user;
};

/* clipidx_open(): clip_index_open() without the model: what of the options concerns one is not read, but for model_name and dim where the index is made.
 * fresh  out  it has just been made: nothing in it says whose it is */
clip_status clipidx_open(const char *dir, const clip_index_options *opt, int dim, clip_index **out, bool *fresh,
                         clip_error *err);

/* clipidx_claim(): it is of this model from now on. */
clip_status clipidx_claim(clip_index *x, const char *model_id, const char *model_name, clip_error *err);

/* clipidx_remember(): a note that outlives this handle, if the index is open for writing and the note is new; clipidx_recall(): "" where there is none. */
clip_status clipidx_remember(clip_index *x, const char *key, const char *value, clip_error *err);
clip_status clipidx_recall(clip_index *x, const char *key, char *out, size_t size, clip_error *err);

/* clipidx_next_copy(), clipidx_next_text(): clip_index_next() among the pictures of these bytes, and among the texts that came with a picture. */
clip_status clipidx_next_copy(const clip_index *x, const uint8_t hash[16], int64_t *cursor, clip_item *out,
                              clip_error *err);
clip_status clipidx_next_text(const clip_index *x, const char *path, int64_t *cursor, clip_item *out, clip_error *err);

/* clipidx_check_process(): CLIP_EINVAL in a forked child of the process that opened it. */
clip_status clipidx_check_process(const clip_index *x, clip_error *err);

/* clipidx_warn(): tell who opened it. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void clipidx_warn(const clip_index *x, const char *fmt, ...);

/* files.c. Rows are written from state.rows on; clipidx_files_cut(): what lies beyond state.rows leaves.
 * clipidx_files_open() repairs what it can where the index is open for writing: the state may then have fewer rows.
 * clipidx_files_tidy(): where it is worth it, gaps leave and axes are learned: rows have other numbers from then on; only before closing. On error all is as it was. */
clip_status clipidx_files_open(clip_index *x, clip_error *err);
clip_status clipidx_files_add(clip_index *x, const uint16_t *vector, int64_t n, clip_error *err);
clip_status clipidx_files_code(clip_index *x, int64_t at, const uint16_t *vector, int64_t n, clip_error *err); /* codes and bounds alone */
clip_status clipidx_files_sync(clip_index *x, clip_error *err);
clip_status clipidx_files_cut(clip_index *x, clip_error *err);
clip_status clipidx_files_tidy(clip_index *x, clip_error *err);
void clipidx_files_close(clip_index *x);

/* clipidx_map(): every row there is can be read. A reader has that from the beginning. */
clip_status clipidx_map(const clip_index *x, clip_error *err);

/* clipidx_filter(): out gets a bit a row that is there and meets the conditions; free(out->word). */
clip_status clipidx_filter(const clip_index *x, const clip_index_filter *f, clipidx_bits *out, clip_error *err);

#endif
