/* store.h: what an index keeps of each row, as an interface. A kind of store is one file with
 * one table of functions (clipidx_store_kind): store_sqlite.c is the kind that ships.
 *
 *     meta    key -> text      dim, model_id, model_name, model_path, image_size, weights, rows,
 *                              pictures, texts, generation, learned, sources, updated, background
 *     bits    name -> bitmap   'gone': rows without an item. 'text': rows of that kind
 *     items   row -> kind, path, text, size, mtime, taken, hash, sum of the vector
 *
 * A row is the number of an item's vector in the arrays (files.c). Rows have gaps. The index
 * gives an item its row; no two items have the same row, or the same kind, path and text. The
 * bitmaps exist so that opening and searching need not visit the items.
 *
 * A store that is open for reading shows one committed state until it is closed. A writer
 * changes things within one transaction. Only one thread calls a store at a time, `newer` aside.
 * What is read may come from a damaged or hostile file. A store checks that values have their
 * type and bounded lengths; clipidx_store_find() and clipidx_state_read() check the rest. */
#ifndef CLIPIDX_STORE_H
#define CLIPIDX_STORE_H

#include <stdbool.h>

#include "base/status.h"

#define CLIPIDX_MOST_STRING ((size_t)1 << 24) /* bytes of a path or a text */

/* A bitmap over rows; bits beyond its words are 0. */
typedef struct clipidx_bits {
    uint64_t *word;
    size_t words; /* capacity */
} clipidx_bits;

static inline bool clipidx_bit(const clipidx_bits *b, int64_t i)
{
    return (size_t)(i / 64) < b->words && (b->word[i / 64] >> (i % 64) & 1);
}
static inline void clipidx_bit_set(clipidx_bits *b, int64_t i) { b->word[i / 64] |= UINT64_C(1) << (i % 64); }
static inline void clipidx_bit_clear(clipidx_bits *b, int64_t i) { b->word[i / 64] &= ~(UINT64_C(1) << (i % 64)); }

/* clipidx_bits_reserve(): room for so many rows. CLIP_ENOMEM */
clip_status clipidx_bits_reserve(clipidx_bits *b, int64_t rows);

/* Which items clipidx_store_find() visits. */
typedef enum clipidx_which {
    CLIPIDX_AT,      /* the item of key->row */
    CLIPIDX_NEXT,    /* the first item from key->row on */
    CLIPIDX_PICTURE, /* the picture of key->path */
    CLIPIDX_SAME,    /* the item of key->kind, path and text */
    CLIPIDX_COPY,    /* the first picture from key->row on whose bytes have key->hash */
    CLIPIDX_TEXT,    /* the first text from key->row on with key->path */
    CLIPIDX_ALL,     /* every item, by row */
    CLIPIDX_BYTES,   /* every item, by hash, size and row. Only these three are set; a hash of another
                      * length than 16 bytes reads as zeros */
} clipidx_which;

typedef struct clipidx_key {
    int64_t row;
    clip_item_kind kind;
    const char *path, *text; /* NULL: empty */
    const uint8_t *hash;     /* [16] */
} clipidx_key;

/* Receives an item. Its strings live until it returns; it must not call the store. `sum` is XXH3 of
 * the vector. Any status but CLIP_OK ends the visit and is passed on. */
typedef clip_status (*clipidx_take_fn)(void *user, const clip_item *item, uint64_t sum, clip_error *err);

typedef struct clipidx_store_kind clipidx_store_kind;

/* What every store begins with. */
typedef struct clipidx_store {
    const clipidx_store_kind *kind;
    char *path;    /* for messages; owned by the store */
    bool changing; /* a transaction is open */
} clipidx_store;

struct clipidx_store_kind {
    /* Its files in the directory of the index, up to a NULL. The first one is there if the store
     * is. The names of the others begin with that of the first. */
    const char *const *files;

    /* open: the store of the index in `dir`.
     * create  in   make it where it does not exist
     * fresh   out  it holds nothing yet: `make` makes it a store of vectors of `dim` numbers
     *              without rows
     * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (a later version), CLIP_ENOMEM; *out is
     * NULL then. */
    clip_status (*open)(const char *dir, bool write, bool create, clipidx_store **out, bool *fresh, clip_error *err);
    clip_status (*make)(clipidx_store *s, int dim, clip_error *err);
    void (*close)(clipidx_store *s);

    /* newer: another store of the same place, open for reading, that shows what has been
     * committed since `s` was opened. *out is NULL if nothing has been. Cheap then, but for the
     * first call. Other threads may call other functions of `s` meanwhile. */
    clip_status (*newer)(clipidx_store *s, const char *dir, clipidx_store **out, clip_error *err);

    /* begin: does nothing within a transaction, but fails with CLIP_EIO if a fault has ended it. */
    clip_status (*begin)(clipidx_store *s, clip_error *err);
    clip_status (*commit)(clipidx_store *s, clip_error *err);
    void (*rollback)(clipidx_store *s);

    /* get: "" where there is no such key; cut to `size`. set: within a transaction, like all
     * changes below. */
    clip_status (*get)(clipidx_store *s, const char *key, char *out, size_t size, clip_error *err);
    clip_status (*set)(clipidx_store *s, const char *key, const char *value, clip_error *err);

    /* get_bits: CLIP_EFORMAT if the bitmap has not (rows + 63) / 64 words, before room is made
     * for them. */
    clip_status (*get_bits)(clipidx_store *s, const char *name, clipidx_bits *b, int64_t rows, clip_error *err);
    clip_status (*set_bits)(clipidx_store *s, const char *name, const clipidx_bits *b, int64_t rows, clip_error *err);

    clip_status (*find)(clipidx_store *s, clipidx_which which, const clipidx_key *key, clipidx_take_fn take, void *user,
                        clip_error *err);

    /* insert: item->row is free. remove: nothing happens where the row is free. move: `to` is free.
     * rename: only path, size and mtime change. */
    clip_status (*insert)(clipidx_store *s, const clip_item *item, uint64_t sum, clip_error *err);
    clip_status (*remove)(clipidx_store *s, int64_t row, clip_error *err);
    clip_status (*move)(clipidx_store *s, int64_t row, int64_t to, clip_error *err);
    clip_status (*rename)(clipidx_store *s, int64_t row, const char *path, int64_t size, int64_t mtime,
                          clip_error *err);

    /* check: read everything that the store has of its own; `tell` hears of each fault. */
    clip_status (*check)(clipidx_store *s, void (*tell)(void *user, const char *fault), void *user, clip_error *err);
};

extern const clipidx_store_kind clipidx_store_sqlite;

/* clipidx_store_find(): the kind's `find`, with every item checked: CLIP_EFORMAT where its row
 * is not below `rows`, where it has no kind or a negative size, and where rows are not in their
 * order. */
clip_status clipidx_store_find(clipidx_store *s, clipidx_which which, const clipidx_key *key, int64_t rows,
                               clipidx_take_fn take, void *user, clip_error *err);

/* clipidx_store_number(): a value of `meta` as a number in lo .. hi. CLIP_EFORMAT: it is not
 * one. */
clip_status clipidx_store_number(clipidx_store *s, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                 clip_error *err);

/* clipidx_store_damaged(): CLIP_EFORMAT, "the catalogue is damaged: .." */
clip_status clipidx_store_damaged(const clipidx_store *s, clip_error *err, const char *fault);

/* How many rows there are, and of which kind. */
typedef struct clipidx_state {
    int64_t rows, pictures, texts; /* rows = pictures + texts + gaps */
    int64_t generation;            /* part of the arrays' names */
    clipidx_bits gone, text;
} clipidx_state;

static inline int64_t clipidx_gaps(const clipidx_state *s) { return s->rows - s->pictures - s->texts; }

/* clipidx_state_read(): replaces what `out` held. CLIP_EFORMAT: its parts contradict each other. */
clip_status clipidx_state_read(clipidx_store *s, clipidx_state *out, clip_error *err);
void clipidx_state_free(clipidx_state *s);

/* clipidx_store_commit(): write the state, and commit. */
clip_status clipidx_store_commit(clipidx_store *s, const clipidx_state *state, clip_error *err);

#endif
