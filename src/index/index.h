/* index.h: an index as the files of this room see it. What it does is said in clip.h, whose clip_index_*() are here:
 *
 *     index.c       open, add, rename, remove, commit, close, the items        catalogue.c   SQLite: what each row is
 *     search.c      the best k                                                 array.c       rows in files
 *     filter.c      which rows a search looks at                               code.c        vectors to f16 and int8 and what they lose
 *     duplicates.c  near-identical pictures                                    verify.c      reading all of it again
 *
 * No model is known here: clip_index_open() in src/api asks it for its name. */
#ifndef CLIPIDX_INDEX_H
#define CLIPIDX_INDEX_H

#include <pthread.h>

#include "index/array.h"
#include "index/catalogue.h"
#include "kernels/kernels.h"

#define CLIPIDX_MOST_DIM 16384

struct clip_index {
    char *dir;
    bool write;
    int lock; /* descriptor that holds the writer's lock; -1: a reader */
    int dim;
    char model_id[33], model_name[256];
    clipidx_catalogue catalogue;
    pthread_mutex_t mutex; /* of the catalogue: its statements serve one thread at a time */
    clipidx_state state;
    clipidx_array vectors; /* [rows, D] f16 */
    clipk_ctx k;           /* its team comes with the first search */
    int threads;
    pthread_mutex_t team_mutex; /* a team serves one search at a time; who finds it busy searches alone */
    clip_warn_fn warn;
    void *warn_user;
};

/* clipidx_open(): clip_index_open() without the model: what of the options concerns one is not read, but for model_name and dim where the index is made.
 * fresh  out  it has just been made: nothing in it says whose it is */
clip_status clipidx_open(const char *dir, const clip_index_options *opt, int dim, clip_index **out, bool *fresh, clip_error *err);

/* clipidx_claim(): it is of this model from now on. */
clip_status clipidx_claim(clip_index *x, const char *model_id, const char *model_name, clip_error *err);

/* clipidx_remember(): a note that outlives this handle, if the index is open for writing and the note is new; clipidx_recall(): "" where there is none. */
clip_status clipidx_remember(clip_index *x, const char *key, const char *value, clip_error *err);
clip_status clipidx_recall(clip_index *x, const char *key, char *out, size_t size, clip_error *err);

/* clipidx_next_copy(), clipidx_next_text(): clip_index_next() among the pictures of these bytes, and among the texts that came with a picture. */
clip_status clipidx_next_copy(const clip_index *x, const uint8_t hash[16], int64_t *cursor, clip_item *out, clip_error *err);
clip_status clipidx_next_text(const clip_index *x, const char *path, int64_t *cursor, clip_item *out, clip_error *err);

/* clipidx_warn(): tell who opened it. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void clipidx_warn(const clip_index *x, const char *fmt, ...);

/* clipidx_map(): every row there is can be read. A reader has that from the beginning. */
clip_status clipidx_map(const clip_index *x, clip_error *err);

/* clipidx_filter(): out gets a bit a row that is there and meets the conditions; free(out->word). */
clip_status clipidx_filter(const clip_index *x, const clip_index_filter *f, clipidx_bits *out, clip_error *err);

/* code.c: a vector of any length, in f32 to unit length; false where it is no direction. */
bool clipidx_unit(float *out, const float *in, int D);

#endif
