/* Everything read from the file is checked: a damaged one gives CLIP_EFORMAT with its name, never a row that the arrays do not have. */
#include "index/catalogue.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MOST_ROWS (INT64_C(1) << 40)

#define ITEM "row, kind, path, text, size, mtime, taken, hash, sum"

static const char *const sql[CLIPIDX_STATEMENTS] = {
    [CLIPIDX_BEGIN] = "BEGIN IMMEDIATE",
    [CLIPIDX_COMMIT] = "COMMIT",
    [CLIPIDX_ROLLBACK] = "ROLLBACK",
    [CLIPIDX_INSERT] = "INSERT INTO items (" ITEM ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [CLIPIDX_HASHES] = "SELECT hash, size, row FROM items ORDER BY hash, size, row",
    [CLIPIDX_CHECK] = "PRAGMA integrity_check",
    [CLIPIDX_MOVE] = "UPDATE items SET row = ?2 WHERE row = ?1",
    [CLIPIDX_DELETE] = "DELETE FROM items WHERE row = ?1",
    [CLIPIDX_AT] = "SELECT " ITEM " FROM items WHERE row = ?1",
    [CLIPIDX_PICTURE] = "SELECT " ITEM " FROM items WHERE path = ?1 AND kind = 1",
    [CLIPIDX_SAME] = "SELECT " ITEM " FROM items WHERE path = ?1 AND kind = ?2 AND text = ?3",
    [CLIPIDX_SAME_TEXTS] =
        "SELECT other.row FROM items, items AS other WHERE items.path = ?1 AND items.kind = 2 AND other.path = ?2 AND other.kind = 2"
        " AND other.text = items.text LIMIT 1",
    [CLIPIDX_NEXT] = "SELECT " ITEM " FROM items WHERE row >= ?1 ORDER BY row LIMIT 1",
    [CLIPIDX_BYTES] = "SELECT " ITEM " FROM items WHERE hash = ?1 AND kind = 1 AND row >= ?2 ORDER BY row LIMIT 1",
    [CLIPIDX_TEXTS] = "SELECT " ITEM " FROM items WHERE path = ?1 AND kind = 2 AND row >= ?2 ORDER BY row LIMIT 1",
    [CLIPIDX_RENAME] = "UPDATE items SET path = ?2, size = ?3, mtime = ?4 WHERE row = ?1",
    [CLIPIDX_RENAME_TEXTS] = "UPDATE items SET path = ?2 WHERE path = ?1 AND kind = 2",
    [CLIPIDX_SET_META] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
    [CLIPIDX_GET_META] = "SELECT value FROM meta WHERE key = ?1",
    [CLIPIDX_SET_BITS] = "INSERT OR REPLACE INTO rows (name, bits) VALUES (?1, ?2)",
    [CLIPIDX_GET_BITS] = "SELECT bits FROM rows WHERE name = ?1",
    [CLIPIDX_ALL] = "SELECT " ITEM " FROM items ORDER BY row",
};

/* ---- Bitmaps ------------------------------------------------------------------------------------------------ */

clip_status clipidx_bits_reserve(clipidx_bits *b, int64_t rows)
{
    const size_t had = b->words;
    TRY(clipb_grow((void **)&b->word, &b->words, (size_t)(rows + 63) / 64, sizeof *b->word));
    if (b->words > had)
        memset(b->word + had, 0, (b->words - had) * sizeof *b->word);
    return CLIP_OK;
}

/* Of b, and not of `without`. */
static int64_t count_bits(const clipidx_bits *b, const clipidx_bits *without)
{
    int64_t n = 0;
    for (size_t i = 0; i < b->words; i++)
        n += __builtin_popcountll(b->word[i] & (i < without->words ? ~without->word[i] : ~UINT64_C(0)));
    return n;
}

void clipidx_state_free(clipidx_state *s)
{
    free(s->gone.word);
    free(s->text.word);
    *s = (clipidx_state){0};
}

/* ---- Statements --------------------------------------------------------------------------------------------- */

clip_status clipidx_catalogue_fail(const clipidx_catalogue *c, clip_error *err)
{
    const int code = c->db ? sqlite3_errcode(c->db) & 0xff : SQLITE_NOMEM;
    const char *message = c->db ? sqlite3_errmsg(c->db) : "out of memory";
    switch (code) {
    case SQLITE_NOMEM: return clipb_fail(err, CLIP_ENOMEM, c->path, "out of memory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return clipb_fail(err, CLIP_EBUSY, c->path, "another process is writing it");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or column is missing: our statements are sound */
    case SQLITE_CONSTRAINT:
    case SQLITE_SCHEMA: return clipb_fail(err, CLIP_EFORMAT, c->path, "the catalogue is damaged: %s", message);
    case SQLITE_TOOBIG:
        return clipb_fail(err, CLIP_EFORMAT, c->path,
                          "the catalogue is damaged: a value in it is longer than any that is written");
    case SQLITE_INTERRUPT:
        return clipb_fail(err, CLIP_EFORMAT, c->path, "the catalogue is damaged: reading it does not come to an end");
    case SQLITE_FULL: return clipb_fail(err, CLIP_EIO, c->path, "cannot be written: the disk is full");
    case SQLITE_READONLY:
        return clipb_fail(err, CLIP_EIO, c->path, "cannot be written: it or its directory is read-only");
    default: return clipb_fail(err, CLIP_EIO, c->path, "%s", message);
    }
}

static clip_status damaged(const clipidx_catalogue *c, clip_error *err, const char *what)
{
    return clipb_fail(err, CLIP_EFORMAT, c->path, "the catalogue is damaged: %s", what);
}

clip_status clipidx_statement(clipidx_catalogue *c, int which, sqlite3_stmt **out, clip_error *err)
{
    clip_status s = CLIP_OK;
    if (!c->statement[which] &&
        sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &c->statement[which], NULL) != SQLITE_OK)
        s = clipidx_catalogue_fail(c, err);
    *out = c->statement[which];
    return s;
}

void clipidx_reset(sqlite3_stmt *q)
{
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
}

clip_status clipidx_step(clipidx_catalogue *c, sqlite3_stmt *q, bool *row, clip_error *err)
{
    c->steps = c->most_steps;
    const int code = sqlite3_step(q);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? CLIP_OK : clipidx_catalogue_fail(c, err);
}

clip_status clipidx_run(clipidx_catalogue *c, sqlite3_stmt *q, clip_error *err)
{
    bool row;
    clip_status s = clipidx_step(c, q, &row, err);
    clipidx_reset(q);
    return s;
}

void clipidx_bind_text(sqlite3_stmt *q, int at, const char *text)
{
    sqlite3_bind_text(q, at, text ? text : "", -1, SQLITE_STATIC);
}

/* A statement without parameters. */
static clip_status run_plain(clipidx_catalogue *c, int which, clip_error *err)
{
    sqlite3_stmt *q;
    TRY(clipidx_statement(c, which, &q, err));
    return clipidx_run(c, q, err);
}

/* ---- What is the same for all rows -------------------------------------------------------------------------- */

clip_status clipidx_catalogue_get(clipidx_catalogue *c, const char *key, char *out, size_t size, clip_error *err)
{
    sqlite3_stmt *q;
    bool row;
    out[0] = 0;
    TRY(clipidx_statement(c, CLIPIDX_GET_META, &q, err));
    clipidx_bind_text(q, 1, key);
    clip_status s = clipidx_step(c, q, &row, err);
    const char *text = s == CLIP_OK && row ? (const char *)sqlite3_column_text(q, 0) : NULL;
    if (text)
        snprintf(out, size, "%s", text);
    clipidx_reset(q);
    return s;
}

clip_status clipidx_catalogue_number(clipidx_catalogue *c, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                     clip_error *err)
{
    char text[32], *end;
    TRY(clipidx_catalogue_get(c, key, text, sizeof text, err));
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    if (!text[0] || *end || errno || n < lo || n > hi)
        return clipb_fail(err, CLIP_EFORMAT, c->path, "the catalogue is damaged: %s is '%s'", key, text);
    *out = n;
    return CLIP_OK;
}

clip_status clipidx_catalogue_set(clipidx_catalogue *c, const char *key, const char *value, clip_error *err)
{
    sqlite3_stmt *q;
    TRY(clipidx_catalogue_begin(c, err));
    TRY(clipidx_statement(c, CLIPIDX_SET_META, &q, err));
    clipidx_bind_text(q, 1, key);
    clipidx_bind_text(q, 2, value);
    return clipidx_run(c, q, err);
}

static clip_status set_number(clipidx_catalogue *c, const char *key, int64_t value, clip_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return clipidx_catalogue_set(c, key, text, err);
}

/* From now on a value may be as long as a bitmap over so many rows. */
static void allow_bits(clipidx_catalogue *c, int64_t rows)
{
    const int64_t bytes = rows / 8 + 1024;
    sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH,
                  bytes < CLIPIDX_MOST_VALUE ? CLIPIDX_MOST_VALUE
                  : bytes < INT_MAX          ? (int)bytes
                                             : INT_MAX);
}

static clip_status get_bits(clipidx_catalogue *c, const char *name, clipidx_bits *b, int64_t rows, clip_error *err)
{
    sqlite3_stmt *q;
    bool row;
    TRY(clipidx_statement(c, CLIPIDX_GET_BITS, &q, err));
    clipidx_bind_text(q, 1, name);
    allow_bits(c, rows);
    clip_status s = clipidx_step(c, q, &row, err);
    const void *blob = s == CLIP_OK && row ? sqlite3_column_blob(q, 0) : NULL;
    const size_t bytes = blob ? (size_t)sqlite3_column_bytes(q, 0) : 0;
    if (s == CLIP_OK && bytes != (size_t)(rows + 63) / 64 * 8) /* before room is made for as many rows as a damaged catalogue says */
        s = damaged(c, err, "a bitmap has not as many bits as there are rows");
    if (s == CLIP_OK && clipidx_bits_reserve(b, rows) < 0)
        s = clipb_fail(err, CLIP_ENOMEM, c->path, "out of memory");
    if (s == CLIP_OK && b->words > 0) {
        memset(b->word, 0, b->words * sizeof *b->word);
        if (bytes > 0)
            memcpy(b->word, blob, bytes);
        if (rows % 64 && b->word[rows / 64] >> (rows % 64))
            s = damaged(c, err, "a bitmap knows of rows that are not there");
    }
    clipidx_reset(q);
    return s;
}

static clip_status set_bits(clipidx_catalogue *c, const char *name, const clipidx_bits *b, int64_t rows,
                            clip_error *err)
{
    sqlite3_stmt *q;
    TRY(clipidx_statement(c, CLIPIDX_SET_BITS, &q, err));
    allow_bits(c, rows);
    clipidx_bind_text(q, 1, name);
    sqlite3_bind_blob64(q, 2, b->word ? (const void *)b->word : "", (sqlite3_uint64)(rows + 63) / 64 * 8,
                        SQLITE_STATIC);
    return clipidx_run(c, q, err);
}

clip_status clipidx_catalogue_state(clipidx_catalogue *c, clipidx_state *s, clip_error *err)
{
    TRY(clipidx_catalogue_number(c, "rows", 0, MOST_ROWS, &s->rows, err));
    TRY(clipidx_catalogue_number(c, "pictures", 0, s->rows, &s->pictures, err));
    TRY(clipidx_catalogue_number(c, "texts", 0, s->rows, &s->texts, err));
    TRY(clipidx_catalogue_number(c, "generation", 0, INT32_MAX, &s->generation, err));
    if (s->pictures + s->texts > s->rows)
        return damaged(c, err, "there are more items than rows");
    TRY(get_bits(c, "gone", &s->gone, s->rows, err));
    TRY(get_bits(c, "text", &s->text, s->rows, err));
    return count_bits(&s->gone, &(clipidx_bits){0}) == clipidx_gaps(s) && count_bits(&s->text, &s->gone) == s->texts
               ? CLIP_OK
               : damaged(c, err, "items, gaps and rows do not add up");
}

/* ---- Changes ------------------------------------------------------------------------------------------------ */

clip_status clipidx_catalogue_begin(clipidx_catalogue *c, clip_error *err)
{
    if (c->changing) /* out of memory or of disk, SQLite may have ended the transaction by itself: going on would commit half of it */
        return sqlite3_get_autocommit(c->db)
                   ? clipb_fail(err, CLIP_EIO, c->path, "a fault has taken back what was not committed yet")
                   : CLIP_OK;
    TRY(run_plain(c, CLIPIDX_BEGIN, err));
    c->changing = true;
    return CLIP_OK;
}

clip_status clipidx_catalogue_commit(clipidx_catalogue *c, const clipidx_state *s, clip_error *err)
{
    TRY(set_number(c, "rows", s->rows, err));
    TRY(set_number(c, "pictures", s->pictures, err));
    TRY(set_number(c, "texts", s->texts, err));
    TRY(set_number(c, "generation", s->generation, err));
    TRY(set_bits(c, "gone", &s->gone, s->rows, err));
    TRY(set_bits(c, "text", &s->text, s->rows, err));
    TRY(run_plain(c, CLIPIDX_COMMIT, err));
    c->changing = false;
    clipidx_allow_steps(c);
    return CLIP_OK;
}

void clipidx_catalogue_rollback(clipidx_catalogue *c)
{
    if (c->changing && !sqlite3_get_autocommit(c->db)) /* a full disk makes SQLite roll back by itself */
        run_plain(c, CLIPIDX_ROLLBACK, NULL);
    c->changing = false;
}

/* ---- Items -------------------------------------------------------------------------------------------------- */

uint64_t clipidx_column_sum(sqlite3_stmt *q) { return (uint64_t)sqlite3_column_int64(q, 8); }

/* A string of an item: whole, and not longer than what is written. */
static const char *column_string(sqlite3_stmt *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    const size_t bytes = text ? (size_t)sqlite3_column_bytes(q, column) : 0;
    return text && bytes <= CLIPIDX_MOST_STRING && strlen(text) == bytes ? text : NULL;
}

clip_status clipidx_column_item(clipidx_catalogue *c, sqlite3_stmt *q, int64_t rows, clip_item *out, clip_error *err)
{
    const int64_t kind = sqlite3_column_int64(q, 1);
    *out = (clip_item){.row = sqlite3_column_int64(q, 0),
                       .size = sqlite3_column_int64(q, 4),
                       .mtime = sqlite3_column_int64(q, 5),
                       .taken = sqlite3_column_int64(q, 6)};
    const char *path = column_string(q, 2), *text = column_string(q, 3);
    const void *hash = sqlite3_column_blob(q, 7);
    if (!path || !text)
        return sqlite3_errcode(c->db) == SQLITE_NOMEM
                   ? clipidx_catalogue_fail(c, err)
                   : damaged(c, err, "an item has no path or text, or one that is too long");
    if (out->row < 0 || out->row >= rows || (kind != CLIP_ITEM_PICTURE && kind != CLIP_ITEM_TEXT))
        return damaged(c, err, "an item is of no kind or in no row");
    if (out->size < 0)
        return damaged(c, err, "the size of a file is negative");
    out->kind = (clip_item_kind)kind;
    out->path = *path || out->kind == CLIP_ITEM_PICTURE ? path : NULL;
    out->text = out->kind == CLIP_ITEM_TEXT ? text : NULL;
    if (hash && sqlite3_column_bytes(q, 7) == (int)sizeof out->hash)
        memcpy(out->hash, hash, sizeof out->hash);
    return CLIP_OK;
}

clip_status clipidx_step_item(clipidx_catalogue *c, sqlite3_stmt *q, int64_t rows, clip_item *item, bool *more,
                              clip_error *err)
{
    const int64_t last = item->row;
    TRY(clipidx_step(c, q, more, err));
    if (!*more)
        return CLIP_OK;
    TRY(clipidx_column_item(c, q, rows, item, err));
    return item->row > last ? CLIP_OK : damaged(c, err, "its rows are not in their order");
}
