/* index.h: an index as the files of this room see it. What it does is said in clip.h: the bodies of
 * clip_index_*() are here as clipidx_*(), with the same parameters and errors.
 *
 *     index.c       open, refresh, close              store.h         what each row is: interface
 *     change.c      add, rename, remove, commit       store_sqlite.c  the store that ships
 *     items.c       the items, one by one             files.c         the arrays, together
 *     search.c      the best k, on scan.c             array.c         one of them
 *     filter.c      which rows a search looks at      code.c          vectors in few bytes
 *     duplicates.c  near-identical pictures           learn.c         on which axes
 *     verify.c      reading all of it again           export.c, import.c, npy.c   other layouts
 *     handle.c      warnings, forks, locks
 *
 * No model is known here: clipcol_index_open() in src/collection/open.c asks it for its name. */
#ifndef CLIPIDX_INDEX_H
#define CLIPIDX_INDEX_H

#include <pthread.h>

#include "index/array.h"
#include "index/code.h"
#include "index/store.h"
#include "kernels/kernels.h"

enum {
    CLIPIDX_VECTORS, CLIPIDX_HEADS, CLIPIDX_HEAD_BOUNDS, CLIPIDX_TAILS, CLIPIDX_TAIL_BOUNDS, /* with a row an item */
    CLIPIDX_ARRAYS,
    CLIPIDX_REFLECTORS = CLIPIDX_ARRAYS, CLIPIDX_FILES
};

/* What the threads that read an index change of it. */
typedef struct clipidx_shared {
    pthread_mutex_t store;   /* a store serves one thread at a time */
    pthread_mutex_t lock;    /* of the fields below */
    pthread_cond_t released; /* no hold is left, or the refresh is done */
    int64_t holds;
    bool refreshing;      /* a refresh waits for the holds to end */
    clipb_team *own_team; /* made by the first search where the options gave none; NULL before */
} clipidx_shared;

struct clip_index {
    char *dir;
    pid_t process; /* that opened it: a forked child must not touch the store, nor what it locks */
    bool write, lost; /* lost: after a fault its state could not be read again */
    bool fresh, dir_made; /* this handle has made it, and its directory */
    int lock; /* descriptor that holds the writer's lock; -1: a reader */
    int dim, image_size; /* image_size: of the model's pictures, if it is not the checkpoint's own; otherwise 0 */
    char model_id[33], model_name[256], model_path[4096];
    const clipidx_store_kind *kind;
    clipidx_store *store;
    clipidx_state state;
    /* [CLIPIDX_FILES] vectors [rows, D] f16; heads [rows, H] and tails [rows, (D - H + 1) / 2] in
     * bytes, bounds of both in f32 (code.h); reflectors [H, D] f32, or none. */
    clipidx_array *array;
    bool coded;            /* codes and bounds are there: a writer always has them */
    clipidx_coder coder;
    const clipk_set *set;
    int threads;
    clipb_team *team; /* the caller's; NULL: shared->own_team, of so many threads */
    clipidx_shared *shared;
    clip_warn_fn warn;
    void *warn_user;
};

/* ---- index.c ---- */

/* clipidx_open(): clipcol_index_open() without the model. Of the options `model`, `dim` and `team`
 * are not read.
 * kind   in   where it keeps what each row is
 * team   in   the threads of `team`; NULL: it starts its own
 * dim    in   where the index is made; it then also takes model_name from the options
 * fresh  out  it has just been made: nothing in it says which model it belongs to */
clip_status clipidx_open(const char *dir, const clipidx_store_kind *kind, const clip_index_options *opt,
                         clipb_team *team, int dim, clip_index **out, bool *fresh, clip_error *err);
clip_status clipidx_refresh(clip_index *x, bool *changed, clip_error *err);
clip_status clipidx_close(clip_index *x, clip_error *err);
void clipidx_discard(clip_index *x);
void clipidx_get_info(const clip_index *x, clip_index_info *out);

/* clipidx_claim(): it belongs to this model from now on.
 * image_size  in  of its pictures, if that is not the checkpoint's own; otherwise 0 */
clip_status clipidx_claim(clip_index *x, const char *model_id, const char *model_name, int image_size,
                          clip_error *err);

/* ---- change.c ---- */

clip_status clipidx_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err);
clip_status clipidx_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime, clip_error *err);
clip_status clipidx_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err);
clip_status clipidx_commit(clip_index *x, clip_error *err);

/* clipidx_remember(): a note that outlives this handle, if the index is open for writing and the
 * note is new. */
clip_status clipidx_remember(clip_index *x, const char *key, const char *value, clip_error *err);

/* ---- items.c ---- */

clip_status clipidx_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err);
clip_status clipidx_find(const clip_index *x, const char *path, clip_item *out, clip_error *err);
clip_status clipidx_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err);
clip_status clipidx_vector(const clip_index *x, int64_t row, float *out, clip_error *err);

/* clipidx_next_copy(), clipidx_next_text(): clipidx_next() among the pictures of these bytes,
 * and among the texts that came with a picture. */
clip_status clipidx_next_copy(const clip_index *x, const uint8_t hash[16], int64_t *cursor, clip_item *out,
                              clip_error *err);
clip_status clipidx_next_text(const clip_index *x, const char *path, int64_t *cursor, clip_item *out, clip_error *err);

/* clipidx_recall(): a note of clipidx_remember(); "" where there is none. */
clip_status clipidx_recall(const clip_index *x, const char *key, char *out, size_t size, clip_error *err);

/* clipidx_check_row(): CLIP_EINVAL where the row holds no item. */
clip_status clipidx_check_row(const clip_index *x, int64_t row, clip_error *err);

/* ---- search.c, duplicates.c, verify.c, export.c, import.c. opt and report are not NULL ---- */

clip_status clipidx_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter,
                           clip_hit *hit, int *found, clip_error *err);
clip_status clipidx_duplicates(const clip_index *x, const clip_duplicates_options *opt, int64_t **row, int64_t **group,
                               int64_t *n, clip_error *err);
clip_status clipidx_verify(clip_index *x, clip_warn_fn warn, void *warn_user, int64_t *faults, clip_error *err);
clip_status clipidx_export(const clip_index *x, const char *dir, int64_t *rows, clip_error *err);
clip_status clipidx_import_info(const char *dir, int *dim, int64_t *rows, clip_error *err);
clip_status clipidx_import(clip_index *x, const char *dir, clip_import_report *report, clip_error *err);

/* clipidx_import_look(): show items that clipidx_import() would add, with their unit vectors, one
 * after the other until *more is false. All metadata are looked through before. */
typedef clip_status clipidx_look_fn(void *user, const clip_item *item, const float *unit, bool *more);
clip_status clipidx_import_look(const clip_index *x, const char *dir, clipidx_look_fn *look, void *user,
                                clip_error *err);

/* ---- handle.c ---- */

/* clipidx_check_process(): CLIP_EINVAL in a forked child of the process that opened it. */
clip_status clipidx_check_process(const clip_index *x, clip_error *err);

/* clipidx_hold(), clipidx_release(): between them the index is not refreshed. Holds nest. A thread
 * without a hold waits for a refresh that waits, so that endless searches cannot keep a refresh
 * waiting. In a forked child nothing is held.
 * No function of this room holds an index: each caller does, around what must be of one state.
 * src/api does so for the functions of this room, src/collection where it reads an index that may
 * be refreshed. */
void clipidx_hold(const clip_index *x);
void clipidx_release(const clip_index *x);

/* clipidx_check_free(): CLIP_EBUSY where this thread holds an index, this one or another. Two
 * threads that each held an index and refreshed the other's would wait for ever. */
clip_status clipidx_check_free(const clip_index *x, clip_error *err);

/* clipidx_begin_swap(): wait until nobody holds the index, and let nobody hold it until
 * clipidx_end_swap(). */
void clipidx_begin_swap(const clip_index *x);
void clipidx_end_swap(const clip_index *x);

/* clipidx_team(): the threads that search. NULL: the caller alone. */
clipb_team *clipidx_team(const clip_index *x);

/* clipidx_shared_new(): NULL: out of memory. clipidx_shared_free(): takes NULL; `forked`: the
 * locks are another process's. */
clipidx_shared *clipidx_shared_new(void);
void clipidx_shared_free(clipidx_shared *shared, bool forked);

/* clipidx_warn(): a line to `warn`. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void clipidx_warn(const clip_index *x, const char *fmt, ...);

/* ---- files.c ---- */

/* Rows are written from state.rows on. clipidx_files_cut(): rows from state.rows on leave the
 * arrays.
 * clipidx_files_open() repairs what it can where the index is open for writing: the state may
 * then have fewer rows.
 * clipidx_files_tidy(): where it is worth it, gaps leave and axes are learned. Rows have other
 * numbers from then on: only before closing. On error all is as it was. */
clip_status clipidx_files_open(clip_index *x, clip_error *err);
clip_status clipidx_files_add(clip_index *x, const uint16_t *vector, int64_t n, clip_error *err);
clip_status clipidx_files_code(clip_index *x, int64_t at, const uint16_t *vector, int64_t n,
                               clip_error *err); /* codes and bounds alone */
clip_status clipidx_files_sync(clip_index *x, clip_error *err);
clip_status clipidx_files_cut(clip_index *x, clip_error *err);
clip_status clipidx_files_tidy(clip_index *x, clip_error *err);
void clipidx_files_close(clip_index *x);

/* clipidx_map(): every row there is can be read. A reader has that from the beginning. */
clip_status clipidx_map(const clip_index *x, clip_error *err);

/* ---- filter.c ---- */

/* clipidx_filter(): out gets a bit a row that is there and meets the conditions;
 * free(out->word). */
clip_status clipidx_filter(const clip_index *x, const clip_index_filter *f, clipidx_bits *out, clip_error *err);

#endif
