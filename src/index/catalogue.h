/* catalogue.h: what each row is, in SQLite.
 *
 *     meta   (key, value)      dim, model_id, model_name, model_path, weights, rows, pictures, texts, generation, learned, sources,
 *                          updated, background
 *     rows   (name, bits)      two bitmaps over the rows: 'gone' (removed: a gap in the arrays), 'text' (of that kind)
 *     items  (row, kind, path, text, size, mtime, taken, hash, sum)
 *
 * path and text are '' where an item has none; bytes as they came, UTF-8 or not. `sum` is XXH3 of the vector. The bitmaps are there so that opening and
 * searching need not walk the items. WAL mode: readers see the state at their opening for as long as they are open.
 *
 * A writer changes things within one transaction, begun by the first change and ended by clipidx_catalogue_commit() or .._rollback(). */
#ifndef CLIPIDX_CATALOGUE_H
#define CLIPIDX_CATALOGUE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/status.h"

#define CLIPIDX_VERSION 1
#define CLIPIDX_MOST_VALUE (1 << 26)           /* bytes of a row of SQLite, but for the bitmaps */
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
clip_status clipidx_bits_reserve(clipidx_bits *b, int64_t rows); /* CLIP_ENOMEM */
static inline void clipidx_bit_set(clipidx_bits *b, int64_t i) { b->word[i / 64] |= UINT64_C(1) << (i % 64); }

/* What is the same for all rows, and how many there are. */
typedef struct clipidx_state {
    int64_t rows, pictures, texts, generation;
    clipidx_bits gone, text;
} clipidx_state;

static inline int64_t clipidx_gaps(const clipidx_state *s) { return s->rows - s->pictures - s->texts; }

enum {
    CLIPIDX_BEGIN,
    CLIPIDX_COMMIT,
    CLIPIDX_ROLLBACK,
    CLIPIDX_CHECK,
    CLIPIDX_INSERT,
    CLIPIDX_DELETE,
    CLIPIDX_MOVE,
    CLIPIDX_RENAME,
    CLIPIDX_RENAME_TEXTS,
    CLIPIDX_AT,
    CLIPIDX_PICTURE,
    CLIPIDX_SAME,
    CLIPIDX_SAME_TEXTS,
    CLIPIDX_NEXT,
    CLIPIDX_BYTES,
    CLIPIDX_TEXTS,
    CLIPIDX_HASHES,
    CLIPIDX_ALL,
    CLIPIDX_SET_META,
    CLIPIDX_GET_META,
    CLIPIDX_SET_BITS,
    CLIPIDX_GET_BITS,
    CLIPIDX_STATEMENTS
};

typedef struct clipidx_catalogue {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statement[CLIPIDX_STATEMENTS]; /* made when first used */
    bool changing;                               /* within a writer's transaction */
    int64_t steps, most_steps;                   /* of SQLite's machine: that the statement under way has left; that each is given */
} clipidx_catalogue;

/* clipidx_catalogue_open(): dir/catalogue.db.
 * create  in   make it where there is none; *fresh says that it has no tables yet: clipidx_catalogue_make() makes them
 * A reader's state stays that of this moment until it is closed. Its schema is the one that
 * clipidx_catalogue_make() makes, word by word, and a value or a statement that takes more than
 * ours do is CLIP_EFORMAT. The database and what SQLite puts beside it are files, not links.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (a later version), CLIP_ENOMEM. Close it in any
 * case. */
clip_status clipidx_catalogue_open(clipidx_catalogue *c, const char *dir, bool write, bool create, bool *fresh,
                                   clip_error *err);
clip_status clipidx_catalogue_make(clipidx_catalogue *c, int dim, clip_error *err);
void clipidx_catalogue_close(clipidx_catalogue *c);

/* clipidx_catalogue_get(): a value of `meta` as text ("" where there is none), or as a number in lo .. hi. */
clip_status clipidx_catalogue_get(clipidx_catalogue *c, const char *key, char *out, size_t size, clip_error *err);
clip_status clipidx_catalogue_number(clipidx_catalogue *c, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                     clip_error *err);
clip_status clipidx_catalogue_set(clipidx_catalogue *c, const char *key, const char *value, clip_error *err);

/* clipidx_catalogue_state(): read it; what `s` held is replaced. */
clip_status clipidx_catalogue_state(clipidx_catalogue *c, clipidx_state *s, clip_error *err);
void clipidx_state_free(clipidx_state *s);

clip_status clipidx_catalogue_begin(clipidx_catalogue *c, clip_error *err);                          /* nothing within a transaction */
clip_status clipidx_catalogue_commit(clipidx_catalogue *c, const clipidx_state *s, clip_error *err); /* writes the state, too */
void clipidx_catalogue_rollback(clipidx_catalogue *c);

/* clipidx_catalogue_fail(): SQLite's last fault as a status, and said. clipidx_allow_steps(): what a
 * statement may take, by the size that the file has now. */
clip_status clipidx_catalogue_fail(const clipidx_catalogue *c, clip_error *err);
void clipidx_allow_steps(clipidx_catalogue *c);

/* Running a statement: clipidx_statement() makes or finds it; clipidx_step() is CLIP_OK with *row telling whether there is one;
 * clipidx_reset() when done with it, in any case. */
clip_status clipidx_statement(clipidx_catalogue *c, int which, sqlite3_stmt **out, clip_error *err);
clip_status clipidx_step(clipidx_catalogue *c, sqlite3_stmt *q, bool *row, clip_error *err);
void clipidx_reset(sqlite3_stmt *q);
clip_status clipidx_run(clipidx_catalogue *c, sqlite3_stmt *q, clip_error *err); /* a step without rows, and reset */

/* clipidx_column_item(): the columns that CLIPIDX_AT, _PICTURE, _SAME and _NEXT give, checked. Strings live until the statement's next step or reset. */
clip_status clipidx_column_item(clipidx_catalogue *c, sqlite3_stmt *q, int64_t rows, clip_item *out, clip_error *err);

/* clipidx_step_item(): the next item of CLIPIDX_ALL. Their rows rise: in a damaged file they might
 * not, and never end. row -1: before the first. */
clip_status clipidx_step_item(clipidx_catalogue *c, sqlite3_stmt *q, int64_t rows, clip_item *item, bool *more,
                              clip_error *err);

/* clipidx_column_sum(): and the sum of its vector. */
uint64_t clipidx_column_sum(sqlite3_stmt *q);

/* clipidx_bind_text(): NULL becomes ''. */
void clipidx_bind_text(sqlite3_stmt *q, int at, const char *text);

#endif
