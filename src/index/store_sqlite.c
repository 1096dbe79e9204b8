/* The store that ships: SQLite, in catalogue.db.
 *
 *     meta   (key, value)
 *     rows   (name, bits)
 *     items  (row, kind, path, text, size, mtime, taken, hash, sum)
 *
 * path and text are '' where an item has none. They are bytes as they came, UTF-8 or not. WAL
 * mode: a reader holds one read transaction from opening to closing, so it sees one state.
 *
 * A catalogue may come from anywhere. SQLite is bounded before it reads anything. What differs
 * from the schema that clip makes is refused. */
#include "index/store_sqlite.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define APPLICATION_ID 0x434c4950 /* "CLIP": what file(1) shows, and who else's database this would be */
#define CATALOGUE "catalogue.db"

/* All that a catalogue of this version holds, word by word. SQLite computes what a schema asks for
 * (generated columns, CHECKs, indexes on expressions, triggers, views, virtual tables) whenever a
 * row is read or written, and that need never end: so nothing else is accepted. */
static const struct object {
    const char *type, *name, *table, *sql;
} schema[] = {
    {"table", "meta", "meta", "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID"},
    {"table", "rows", "rows", "CREATE TABLE rows (name TEXT PRIMARY KEY, bits BLOB) WITHOUT ROWID"},
    {"table", "items", "items",
     "CREATE TABLE items (row INTEGER PRIMARY KEY, kind INTEGER NOT NULL, path TEXT NOT NULL, text TEXT NOT NULL,"
     " size INTEGER, mtime INTEGER, taken INTEGER, hash BLOB, sum INTEGER)"},
    {"index", "items_path", "items", "CREATE UNIQUE INDEX items_path ON items (path, kind, text)"},
    {"index", "items_hash", "items", "CREATE INDEX items_hash ON items (hash)"},
};
enum { OBJECTS = sizeof schema / sizeof *schema };

#define ITEM "row, kind, path, text, size, mtime, taken, hash, sum"

/* Statements. The first are those of clipidx_which. */
enum {
    BEGIN = CLIPIDX_BYTES + 1, COMMIT, ROLLBACK, CHECK, INSERT, DELETE, MOVE, RENAME, SET_META, GET_META, SET_BITS,
    GET_BITS, STATEMENTS
};
_Static_assert((int)STATEMENTS == (int)CLIPIDX_SQLITE_STATEMENTS, "a store has room for each statement");

/* Of those that find items, parameter 1 is a row, 2 a kind, 3 a path, 4 a text, 5 a hash. */
static const char *const sql[STATEMENTS] = {
    [CLIPIDX_AT] = "SELECT " ITEM " FROM items WHERE row = ?1",
    [CLIPIDX_NEXT] = "SELECT " ITEM " FROM items WHERE row >= ?1 ORDER BY row LIMIT 1",
    [CLIPIDX_PICTURE] = "SELECT " ITEM " FROM items WHERE path = ?3 AND kind = 1",
    [CLIPIDX_SAME] = "SELECT " ITEM " FROM items WHERE path = ?3 AND kind = ?2 AND text = ?4",
    [CLIPIDX_COPY] = "SELECT " ITEM " FROM items WHERE hash = ?5 AND kind = 1 AND row >= ?1 ORDER BY row LIMIT 1",
    [CLIPIDX_TEXT] = "SELECT " ITEM " FROM items WHERE path = ?3 AND kind = 2 AND row >= ?1 ORDER BY row LIMIT 1",
    [CLIPIDX_ALL] = "SELECT " ITEM " FROM items ORDER BY row",
    [CLIPIDX_BYTES] = "SELECT hash, size, row FROM items ORDER BY hash, size, row",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [CHECK] = "PRAGMA integrity_check",
    [INSERT] = "INSERT INTO items (" ITEM ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [DELETE] = "DELETE FROM items WHERE row = ?1",
    [MOVE] = "UPDATE items SET row = ?2 WHERE row = ?1",
    [RENAME] = "UPDATE items SET path = ?2, size = ?3, mtime = ?4 WHERE row = ?1",
    [SET_META] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
    [GET_META] = "SELECT value FROM meta WHERE key = ?1",
    [SET_BITS] = "INSERT OR REPLACE INTO rows (name, bits) VALUES (?1, ?2)",
    [GET_BITS] = "SELECT bits FROM rows WHERE name = ?1",
};

/* ---- Statements ------------------------------------------------------------------------------ */

static clip_status fail(const clipidx_sqlite *c, clip_error *err)
{
    const int code = c->db ? sqlite3_errcode(c->db) & 0xff : SQLITE_NOMEM;
    const char *message = c->db ? sqlite3_errmsg(c->db) : "out of memory";
    switch (code) {
    case SQLITE_NOMEM: return clipb_nomem(err, c->store.path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return clipb_fail(err, CLIP_EBUSY, c->store.path, "another process is writing it");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or column is missing: our statements are sound */
    case SQLITE_CONSTRAINT:
    case SQLITE_SCHEMA: return clipb_fail(err, CLIP_EFORMAT, c->store.path, "the catalogue is damaged: %s", message);
    case SQLITE_TOOBIG:
        return clipb_fail(err, CLIP_EFORMAT, c->store.path,
                          "the catalogue is damaged: a value in it is longer than any that is written");
    case SQLITE_INTERRUPT:
        return clipidx_store_damaged(&c->store, err, "reading it does not come to an end");
    case SQLITE_FULL: return clipb_fail(err, CLIP_EIO, c->store.path, "cannot be written: the disk is full");
    case SQLITE_READONLY:
        return clipb_fail(err, CLIP_EIO, c->store.path, "cannot be written: it or its directory is read-only");
    default: return clipb_fail(err, CLIP_EIO, c->store.path, "%s", message);
    }
}

static clip_status prepare(clipidx_sqlite *c, int which, sqlite3_stmt **out, clip_error *err)
{
    clip_status s = CLIP_OK;
    if (!c->statement[which] &&
        sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &c->statement[which], NULL) != SQLITE_OK)
        s = fail(c, err);
    *out = c->statement[which];
    return s;
}

static void reset(sqlite3_stmt *q)
{
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
}

static clip_status step(clipidx_sqlite *c, sqlite3_stmt *q, bool *row, clip_error *err)
{
    c->steps = c->most_steps;
    const int code = sqlite3_step(q);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? CLIP_OK : fail(c, err);
}

static clip_status run(clipidx_sqlite *c, sqlite3_stmt *q, clip_error *err)
{
    bool row;
    clip_status s = step(c, q, &row, err);
    reset(q);
    return s;
}

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    sqlite3_bind_text(q, at, text ? text : "", -1, SQLITE_STATIC);
}

/* A statement whose parameters are n numbers. */
static clip_status run_numbers(clipidx_sqlite *c, int which, const int64_t *value, int n, clip_error *err)
{
    sqlite3_stmt *q;
    TRY(prepare(c, which, &q, err));
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(q, i + 1, value[i]);
    return run(c, q, err);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static clip_status pragma(clipidx_sqlite *c, const char *text, int64_t *out, clip_error *err)
{
    sqlite3_stmt *q;
    bool row;
    if (sqlite3_prepare_v2(c->db, text, -1, &q, NULL) != SQLITE_OK)
        return fail(c, err);
    clip_status s = step(c, q, &row, err);
    if (s == CLIP_OK && out)
        *out = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return s;
}

#define STEPS 4096 /* of SQLite's machine, between two looks at their number */

/* In a file whose pages refer to each other in circles a statement would go on for ever. */
static int spend_steps(void *catalogue)
{
    clipidx_sqlite *c = catalogue;
    c->steps -= STEPS;
    return c->steps < 0;
}

/* What any of our statements may take: less than a step a byte, and a second or two where the
 * catalogue is small. */
static void allow_steps(clipidx_sqlite *c)
{
    struct stat st;
    c->steps = c->most_steps = INT64_C(100000000) + (stat(c->store.path, &st) == 0 ? 16 * (int64_t)st.st_size : 0);
}

/* Nothing in the file may compute, and nothing in it may be larger than what is written. */
static void bound(clipidx_sqlite *c)
{
    static const int off[] = {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                              SQLITE_DBCONFIG_ENABLE_VIEW};
    static const int limits[][2] = {{SQLITE_LIMIT_LENGTH, CLIPIDX_SQLITE_MOST_VALUE}, {SQLITE_LIMIT_SQL_LENGTH, 4096},
                                    {SQLITE_LIMIT_COLUMN, 16},         {SQLITE_LIMIT_EXPR_DEPTH, 16},
                                    {SQLITE_LIMIT_VDBE_OP, 10000},     {SQLITE_LIMIT_ATTACHED, 0}};
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        sqlite3_db_config(c->db, off[i], 0, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(c->db, limits[i][0], limits[i][1]);
    allow_steps(c);
    sqlite3_progress_handler(c->db, STEPS, spend_steps, c);
}

static clip_status connect(clipidx_sqlite *c, bool write, bool create, clip_error *err)
{
    char *uri;
    TRY(clipidx_sqlite_uri(c->store.path, c->immutable ? "?immutable=1" : "", &uri, err));
    const int flags = (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | (create ? SQLITE_OPEN_CREATE : 0) |
                      SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    const int code = sqlite3_open_v2(uri, &c->db, flags, NULL);
    free(uri);
    if (code != SQLITE_OK)
        return fail(c, err);
    bound(c);
    /* For moments of recovery and checkpoints. Writers are kept apart by the index's own lock. */
    sqlite3_busy_timeout(c->db, 10000);
    TRY(pragma(c, "PRAGMA cell_size_check = ON", NULL, err));
    return pragma(c, "PRAGMA cache_size = -8000", NULL, err); /* KiB; else the file says how much is kept in memory */
}

static bool same_text(sqlite3_stmt *q, int column, const char *text)
{
    const char *there = (const char *)sqlite3_column_text(q, column);
    return there && strcmp(there, text) == 0;
}

/* The row of a statement over sqlite_master: one of ours? *found counts it. */
static clip_status check_object(clipidx_sqlite *c, sqlite3_stmt *q, unsigned *found, clip_error *err)
{
    const char *type = (const char *)sqlite3_column_text(q, 0), *name = (const char *)sqlite3_column_text(q, 1);
    int i = 0;
    while (i < OBJECTS && !same_text(q, 1, schema[i].name))
        i++;
    type = type ? type : "object";
    name = name ? name : "";
    if (i == OBJECTS)
        return clipb_fail(err, CLIP_EFORMAT, c->store.path,
                          "the catalogue is not as clip makes it: it holds the %.16s '%.64s'", type, name);
    if (!same_text(q, 0, schema[i].type) || !same_text(q, 2, schema[i].table) || !same_text(q, 3, schema[i].sql) ||
        *found >> i & 1)
        return clipb_fail(err, CLIP_EFORMAT, c->store.path,
                          "the catalogue is not as clip makes it: its %.16s '%.64s' is another: %.400s", type, name,
                          sqlite3_column_text(q, 3) ? (const char *)sqlite3_column_text(q, 3) : "");
    *found |= 1u << i;
    return CLIP_OK;
}

static clip_status check_schema(clipidx_sqlite *c, clip_error *err)
{
    sqlite3_stmt *q;
    bool more = true;
    unsigned found = 0;
    if (sqlite3_prepare_v2(c->db, "SELECT type, name, tbl_name, sql FROM sqlite_master", -1, &q, NULL) != SQLITE_OK)
        return fail(c, err);
    clip_status s = CLIP_OK;
    while (s == CLIP_OK && more) {
        s = step(c, q, &more, err);
        if (s == CLIP_OK && more)
            s = check_object(c, q, &found, err);
    }
    sqlite3_finalize(q);
    for (int i = 0; s == CLIP_OK && i < OBJECTS; i++)
        if (!(found >> i & 1))
            s = clipb_fail(err, CLIP_EFORMAT, c->store.path,
                           "the catalogue is not as clip makes it: the %s '%s' is missing", schema[i].type,
                           schema[i].name);
    return s;
}

/* Is it ours? *fresh: there is nothing in it at all. */
static clip_status identify(clipidx_sqlite *c, bool *fresh, clip_error *err)
{
    int64_t application = 0, version = 0, tables_there = 0;
    TRY(pragma(c, "PRAGMA application_id", &application, err));
    TRY(pragma(c, "PRAGMA user_version", &version, err));
    TRY(pragma(c, "SELECT count(*) FROM sqlite_master", &tables_there, err));
    *fresh = application == 0 && tables_there == 0;
    if (*fresh)
        return CLIP_OK;
    if (application != APPLICATION_ID)
        return clipb_fail(err, CLIP_EFORMAT, c->store.path, "is a database of something else");
    if (version > CLIPIDX_SQLITE_VERSION)
        return clipb_fail(err, CLIP_EUNSUPPORTED, c->store.path,
                          "was made by a later version of clip (format %" PRId64 ", this one knows %d)", version,
                          CLIPIDX_SQLITE_VERSION);
    return check_schema(c, err);
}

/* A reader's transaction, held until it closes: it sees one state. */
static clip_status open_for_reading(clipidx_sqlite *c, bool *fresh, clip_error *err)
{
    TRY(connect(c, false, false, err));
    TRY(pragma(c, "BEGIN", NULL, err));
    return identify(c, fresh, err);
}

static void disconnect(clipidx_sqlite *c)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(c->statement[i]);
        c->statement[i] = NULL;
    }
    sqlite3_close(c->db);
    c->db = NULL;
}

static clip_status open_database(clipidx_sqlite *c, const char *dir, bool write, bool create, bool *fresh,
                                 clip_error *err)
{
    struct stat st;
    TRY(clipidx_sqlite_check_files(c->store.path, err));
    if (!create && !clipb_is_file(c->store.path))
        return clipb_fail(err, CLIP_EIO, dir,
                          clipb_is_dir(dir) ? "is no index: it has no catalogue.db" : "there is no such index");
    if (stat(c->store.path, &st) == 0) { /* before it is opened: a file that replaces it meanwhile is a newer one */
        c->device = (uint64_t)st.st_dev;
        c->inode = (uint64_t)st.st_ino;
    }
    if (!write) {
        clip_status s = open_for_reading(c, fresh, err);
        /* In a directory that is read-only SQLite cannot make the file by which readers and a
         * writer agree. */
        if (s == CLIP_EIO && clipidx_sqlite_at_rest(c->store.path)) {
            disconnect(c);
            c->immutable = true;
            s = open_for_reading(c, fresh, err);
        }
        return s;
    }
    TRY(connect(c, true, create, err));
    TRY(identify(c, fresh, err));
    TRY(pragma(c, "PRAGMA journal_mode = WAL", NULL, err));
    return pragma(c, "PRAGMA synchronous = FULL", NULL, err);
}

static void close_store(clipidx_store *s)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    if (c->watch)
        close_store(&c->watch->store);
    disconnect(c);
    free(s->path);
    free(c);
}

static clipidx_sqlite *new_store(const char *dir)
{
    clipidx_sqlite *c = calloc(1, sizeof *c);
    char *path = clipb_path_join(dir, CATALOGUE);
    if (c && path) {
        c->store = (clipidx_store){.kind = &clipidx_store_sqlite, .path = path};
        return c;
    }
    free(path);
    free(c);
    return NULL;
}

static clip_status open_store(const char *dir, bool write, bool create, clipidx_store **out, bool *fresh,
                              clip_error *err)
{
    clipidx_sqlite *c = new_store(dir);
    *out = NULL;
    if (!c)
        return clipb_nomem(err, dir);
    const clip_status s = open_database(c, dir, write, create, fresh, err);
    if (s < 0)
        close_store(&c->store);
    else
        *out = &c->store;
    return s;
}

/* ---- Opening again --------------------------------------------------------------------------- */

/* A connection in no transaction, which stays with the store. It sees commits that the store's
 * own does not. */
static clip_status open_watch(clipidx_sqlite *c, const char *dir, clip_error *err)
{
    clipidx_sqlite *watch = new_store(dir);
    clip_status s = watch ? clipidx_sqlite_check_files(watch->store.path, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK)
        s = connect(watch, false, false, err);
    if (s < 0 && watch)
        close_store(&watch->store);
    else
        c->watch = watch;
    return s;
}

/* SQLite says whether a connection has seen a commit since it was last asked (PRAGMA
 * data_version), but only of that connection. So a new store takes the watch over. What it has
 * seen is from before the new store was opened: a commit in between is taken up once more. */
static clip_status open_newer(clipidx_store *s, const char *dir, clipidx_store **out, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    const bool watched = c->watch && !c->immutable && clipidx_sqlite_is_same(c->store.path, c->device, c->inode);
    int64_t version = 0;
    bool fresh;
    *out = NULL;
    if (!watched && c->watch) {
        close_store(&c->watch->store);
        c->watch = NULL;
    }
    if (!watched && !c->immutable)
        TRY(open_watch(c, dir, err));
    if (c->watch)
        TRY(pragma(c->watch, "PRAGMA data_version", &version, err));
    if (watched && version == c->seen)
        return CLIP_OK;
    TRY(open_store(dir, false, false, out, &fresh, err));
    ((clipidx_sqlite *)*out)->watch = c->watch;
    ((clipidx_sqlite *)*out)->seen = version;
    c->watch = NULL;
    return CLIP_OK;
}

static clip_status make_objects(clipidx_sqlite *c, int dim)
{
    char begin[128], rows[256];
    snprintf(begin, sizeof begin, "BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, CLIPIDX_SQLITE_VERSION);
    snprintf(
        rows, sizeof rows,
        "INSERT INTO meta VALUES ('dim', %d), ('rows', 0), ('pictures', 0), ('texts', 0), ('generation', 0); COMMIT",
        dim);
    c->steps = c->most_steps;
    int code = sqlite3_exec(c->db, begin, NULL, NULL, NULL);
    for (int i = 0; i < OBJECTS && code == SQLITE_OK; i++)
        code = sqlite3_exec(c->db, schema[i].sql, NULL, NULL, NULL);
    return code == SQLITE_OK && sqlite3_exec(c->db, rows, NULL, NULL, NULL) == SQLITE_OK ? CLIP_OK : CLIP_EIO;
}

static clip_status make_tables(clipidx_store *s, int dim, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    if (make_objects(c, dim) == CLIP_OK)
        return CLIP_OK;
    const clip_status status = fail(c, err);
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- Meta and bits --------------------------------------------------------------------------- */

static clip_status get_meta(clipidx_store *s, const char *key, char *out, size_t size, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    bool row;
    out[0] = 0;
    TRY(prepare(c, GET_META, &q, err));
    bind_text(q, 1, key);
    clip_status status = step(c, q, &row, err);
    const char *text = status == CLIP_OK && row ? (const char *)sqlite3_column_text(q, 0) : NULL;
    if (text)
        snprintf(out, size, "%s", text);
    reset(q);
    return status;
}

static clip_status set_meta(clipidx_store *s, const char *key, const char *value, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    TRY(prepare(c, SET_META, &q, err));
    bind_text(q, 1, key);
    bind_text(q, 2, value);
    return run(c, q, err);
}

/* From now on a value may be as long as a bitmap over so many rows. */
static void allow_bits(clipidx_sqlite *c, int64_t rows)
{
    const int64_t bytes = rows / 8 + 1024, most = bytes < INT_MAX ? bytes : INT_MAX;
    sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, most > CLIPIDX_SQLITE_MOST_VALUE ? (int)most : CLIPIDX_SQLITE_MOST_VALUE);
}

static clip_status get_bits(clipidx_store *s, const char *name, clipidx_bits *b, int64_t rows, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    bool row;
    TRY(prepare(c, GET_BITS, &q, err));
    bind_text(q, 1, name);
    allow_bits(c, rows);
    clip_status status = step(c, q, &row, err);
    const void *blob = status == CLIP_OK && row ? sqlite3_column_blob(q, 0) : NULL;
    const size_t bytes = blob ? (size_t)sqlite3_column_bytes(q, 0) : 0;
    if (status == CLIP_OK && bytes != (size_t)(rows + 63) / 64 * 8)
        status = clipidx_store_damaged(s, err, "a bitmap has not as many bits as there are rows");
    if (status == CLIP_OK && clipidx_bits_reserve(b, rows) < 0)
        status = clipb_nomem(err, s->path);
    if (status == CLIP_OK && bytes > 0)
        memcpy(b->word, blob, bytes);
    reset(q);
    return status;
}

static clip_status set_bits(clipidx_store *s, const char *name, const clipidx_bits *b, int64_t rows, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    TRY(prepare(c, SET_BITS, &q, err));
    allow_bits(c, rows);
    bind_text(q, 1, name);
    sqlite3_bind_blob64(q, 2, b->word ? (const void *)b->word : "", (sqlite3_uint64)(rows + 63) / 64 * 8,
                        SQLITE_STATIC);
    return run(c, q, err);
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static clip_status begin(clipidx_store *s, clip_error *err)
{
    /* Without memory or disk, SQLite may have ended the transaction by itself. Going on would
     * commit half of it. */
    if (s->changing)
        return sqlite3_get_autocommit(((clipidx_sqlite *)s)->db)
                   ? clipb_fail(err, CLIP_EIO, s->path, "a fault has taken back what was not committed yet")
                   : CLIP_OK;
    TRY(run_numbers((clipidx_sqlite *)s, BEGIN, NULL, 0, err));
    s->changing = true;
    return CLIP_OK;
}

static clip_status commit(clipidx_store *s, clip_error *err)
{
    TRY(run_numbers((clipidx_sqlite *)s, COMMIT, NULL, 0, err));
    s->changing = false;
    allow_steps((clipidx_sqlite *)s);
    return CLIP_OK;
}

static void roll_back(clipidx_store *s)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    if (s->changing && !sqlite3_get_autocommit(c->db)) /* a full disk makes SQLite roll back by itself */
        run_numbers(c, ROLLBACK, NULL, 0, NULL);
    s->changing = false;
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* A string of an item: whole, and not longer than what is written. */
static const char *column_string(sqlite3_stmt *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    const size_t bytes = text ? (size_t)sqlite3_column_bytes(q, column) : 0;
    return text && bytes <= CLIPIDX_MOST_STRING && strlen(text) == bytes ? text : NULL;
}

static void column_hash(sqlite3_stmt *q, int column, clip_item *out)
{
    const void *hash = sqlite3_column_blob(q, column);
    if (hash && sqlite3_column_bytes(q, column) == (int)sizeof out->hash)
        memcpy(out->hash, hash, sizeof out->hash);
}

static clip_status column_item(clipidx_sqlite *c, sqlite3_stmt *q, clip_item *out, clip_error *err)
{
    const int64_t kind = sqlite3_column_int64(q, 1);
    *out = (clip_item){.row = sqlite3_column_int64(q, 0),
                       .size = sqlite3_column_int64(q, 4),
                       .mtime = sqlite3_column_int64(q, 5),
                       .taken = sqlite3_column_int64(q, 6)};
    const char *path = column_string(q, 2), *text = column_string(q, 3);
    column_hash(q, 7, out);
    if (!path || !text)
        return sqlite3_errcode(c->db) == SQLITE_NOMEM
                   ? fail(c, err)
                   : clipidx_store_damaged(&c->store, err, "an item has no path or text, or one that is too long");
    if (kind == CLIP_ITEM_PICTURE || kind == CLIP_ITEM_TEXT)
        out->kind = (clip_item_kind)kind;
    out->path = *path || kind == CLIP_ITEM_PICTURE ? path : NULL;
    out->text = kind == CLIP_ITEM_TEXT ? text : NULL;
    return CLIP_OK;
}

static clip_status take_row(clipidx_sqlite *c, sqlite3_stmt *q, clipidx_which which, clipidx_take_fn take, void *user,
                            clip_error *err)
{
    clip_item item = {0};
    if (which == CLIPIDX_BYTES) {
        column_hash(q, 0, &item);
        item.size = sqlite3_column_int64(q, 1);
        item.row = sqlite3_column_int64(q, 2);
        return take(user, &item, 0, err);
    }
    TRY(column_item(c, q, &item, err));
    return take(user, &item, (uint64_t)sqlite3_column_int64(q, 8), err);
}

static void bind_key(sqlite3_stmt *q, const clipidx_key *key)
{
    const int n = sqlite3_bind_parameter_count(q);
    if (n >= 1)
        sqlite3_bind_int64(q, 1, key->row);
    if (n >= 2)
        sqlite3_bind_int(q, 2, (int)key->kind);
    if (n >= 3)
        bind_text(q, 3, key->path);
    if (n >= 4)
        bind_text(q, 4, key->text);
    if (n >= 5)
        sqlite3_bind_blob(q, 5, key->hash, sizeof((clip_item *)0)->hash, SQLITE_STATIC);
}

static clip_status find(clipidx_store *s, clipidx_which which, const clipidx_key *key, clipidx_take_fn take, void *user,
                        clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    bool more = true;
    TRY(prepare(c, which, &q, err));
    bind_key(q, key);
    clip_status status = CLIP_OK;
    while (status == CLIP_OK && more) {
        status = step(c, q, &more, err);
        if (status == CLIP_OK && more)
            status = take_row(c, q, which, take, user, err);
    }
    reset(q);
    return status;
}

static clip_status insert(clipidx_store *s, const clip_item *item, uint64_t sum, clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    TRY(prepare(c, INSERT, &q, err));
    sqlite3_bind_int64(q, 1, item->row);
    sqlite3_bind_int(q, 2, (int)item->kind);
    bind_text(q, 3, item->path);
    bind_text(q, 4, item->text);
    sqlite3_bind_int64(q, 5, item->size);
    sqlite3_bind_int64(q, 6, item->mtime);
    sqlite3_bind_int64(q, 7, item->taken);
    sqlite3_bind_blob(q, 8, item->hash, sizeof item->hash, SQLITE_STATIC);
    sqlite3_bind_int64(q, 9, (sqlite3_int64)sum);
    return run(c, q, err);
}

static clip_status remove_row(clipidx_store *s, int64_t row, clip_error *err)
{
    return run_numbers((clipidx_sqlite *)s, DELETE, (const int64_t[]){row}, 1, err);
}

static clip_status move_row(clipidx_store *s, int64_t row, int64_t to, clip_error *err)
{
    return run_numbers((clipidx_sqlite *)s, MOVE, (const int64_t[]){row, to}, 2, err);
}

static clip_status rename_row(clipidx_store *s, int64_t row, const char *path, int64_t size, int64_t mtime,
                              clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    TRY(prepare(c, RENAME, &q, err));
    sqlite3_bind_int64(q, 1, row);
    bind_text(q, 2, path);
    sqlite3_bind_int64(q, 3, size);
    sqlite3_bind_int64(q, 4, mtime);
    return run(c, q, err);
}

static clip_status check_pages(clipidx_store *s, void (*tell)(void *user, const char *fault), void *user,
                               clip_error *err)
{
    clipidx_sqlite *c = (clipidx_sqlite *)s;
    sqlite3_stmt *q;
    bool more = true;
    TRY(prepare(c, CHECK, &q, err));
    clip_status status = CLIP_OK;
    while (status == CLIP_OK && more) {
        status = step(c, q, &more, err);
        const char *text = status == CLIP_OK && more ? (const char *)sqlite3_column_text(q, 0) : NULL;
        if (text && sqlite3_stricmp(text, "ok") != 0)
            tell(user, text);
    }
    reset(q);
    return status;
}

static const char *const files[] = {CATALOGUE, CATALOGUE "-wal", CATALOGUE "-shm", NULL};

const clipidx_store_kind clipidx_store_sqlite = {
    .files = files,
    .open = open_store,
    .make = make_tables,
    .close = close_store,
    .newer = open_newer,
    .begin = begin,
    .commit = commit,
    .rollback = roll_back,
    .get = get_meta,
    .set = set_meta,
    .get_bits = get_bits,
    .set_bits = set_bits,
    .find = find,
    .insert = insert,
    .remove = remove_row,
    .move = move_row,
    .rename = rename_row,
    .check = check_pages,
};
