/* Opening a catalogue that may come from anywhere. SQLite is bounded before it reads anything, and what
 * is not as we make it is refused. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "index/catalogue.h"

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
     "CREATE TABLE items (row INTEGER PRIMARY KEY, kind INTEGER NOT NULL, path TEXT NOT NULL, text TEXT NOT NULL, size INTEGER,"
     " mtime INTEGER, taken INTEGER, hash BLOB, sum INTEGER)"},
    {"index", "items_path", "items", "CREATE UNIQUE INDEX items_path ON items (path, kind, text)"},
    {"index", "items_hash", "items", "CREATE INDEX items_hash ON items (hash)"},
};
enum { OBJECTS = sizeof schema / sizeof *schema };

/* ---- Opening ------------------------------------------------------------------------------------------------ */

/* For file:PATH?..: what means something in a URI is written as %XX. */
static char *uri_of(const char *path, const char *query)
{
    char *uri = malloc(strlen(path) * 3 + strlen(query) + 8), *p = uri;
    if (!uri)
        return NULL;
    p += sprintf(p, "file:%s", path[0] == '/' ? "//" : "");
    for (const unsigned char *s = (const unsigned char *)path; *s; s++)
        p += *s == '%' || *s == '?' || *s == '#' ? sprintf(p, "%%%02X", *s) : sprintf(p, "%c", *s);
    strcpy(p, query);
    return uri;
}

static clip_status pragma(clipidx_catalogue *c, const char *text, int64_t *out, clip_error *err)
{
    sqlite3_stmt *q;
    bool row;
    if (sqlite3_prepare_v2(c->db, text, -1, &q, NULL) != SQLITE_OK)
        return clipidx_catalogue_fail(c, err);
    clip_status s = clipidx_step(c, q, &row, err);
    if (s == CLIP_OK && out)
        *out = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return s;
}

#define STEPS 4096 /* of SQLite's machine, between two looks at their number */

/* In a file whose pages refer to each other in circles a statement would go on for ever. */
static int spend_steps(void *catalogue)
{
    clipidx_catalogue *c = catalogue;
    c->steps -= STEPS;
    return c->steps < 0;
}

/* What any of our statements may take: less than a step a byte, and a second or two where the
 * catalogue is small. */
void clipidx_allow_steps(clipidx_catalogue *c)
{
    struct stat st;
    c->steps = c->most_steps = INT64_C(100000000) + (stat(c->path, &st) == 0 ? 16 * (int64_t)st.st_size : 0);
}

/* Nothing in the file may compute, and nothing in it may be larger than what is written. */
static void bound(clipidx_catalogue *c)
{
    static const int off[] = {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                              SQLITE_DBCONFIG_ENABLE_VIEW};
    static const int limits[][2] = {{SQLITE_LIMIT_LENGTH, CLIPIDX_MOST_VALUE}, {SQLITE_LIMIT_SQL_LENGTH, 4096},
                                    {SQLITE_LIMIT_COLUMN, 16},         {SQLITE_LIMIT_EXPR_DEPTH, 16},
                                    {SQLITE_LIMIT_VDBE_OP, 10000},     {SQLITE_LIMIT_ATTACHED, 0}};
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        sqlite3_db_config(c->db, off[i], 0, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(c->db, limits[i][0], limits[i][1]);
    clipidx_allow_steps(c);
    sqlite3_progress_handler(c->db, STEPS, spend_steps, c);
}

static clip_status connect(clipidx_catalogue *c, bool write, bool create, bool immutable, clip_error *err)
{
    char *dir = clipb_path_dir(c->path), *real = dir ? realpath(dir, NULL) : NULL, *uri = NULL;
    if (!real && dir && errno != ENOMEM) {
        free(dir);
        return clipb_fail(err, CLIP_EIO, c->path, "%s", strerror(errno));
    }
    free(dir);
    char *path = real ? clipb_path_join(real, CATALOGUE)
                      : NULL; /* the index's directory may lie behind symbolic links, the file may not */
    if (path)
        uri = uri_of(path, immutable ? "?immutable=1" : "");
    free(real);
    free(path);
    if (!uri)
        return clipb_fail(err, CLIP_ENOMEM, c->path, "out of memory");
    const int flags = (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | (create ? SQLITE_OPEN_CREATE : 0) |
                      SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    const int code = sqlite3_open_v2(uri, &c->db, flags, NULL);
    free(uri);
    if (code != SQLITE_OK)
        return clipidx_catalogue_fail(c, err);
    bound(c);
    sqlite3_busy_timeout(c->db, 10000); /* for moments of recovery and checkpoints: writers are kept apart by the index's own lock */
    TRY(pragma(c, "PRAGMA cell_size_check = ON", NULL, err));
    return pragma(c, "PRAGMA cache_size = -8000", NULL, err); /* KiB; else the file says how much is kept in memory */
}

static bool same_text(sqlite3_stmt *q, int column, const char *text)
{
    const char *there = (const char *)sqlite3_column_text(q, column);
    return there && strcmp(there, text) == 0;
}

/* The row of a statement over sqlite_master: one of ours? *found counts it. */
static clip_status check_object(clipidx_catalogue *c, sqlite3_stmt *q, unsigned *found, clip_error *err)
{
    const char *type = (const char *)sqlite3_column_text(q, 0), *name = (const char *)sqlite3_column_text(q, 1);
    int i = 0;
    while (i < OBJECTS && !same_text(q, 1, schema[i].name))
        i++;
    type = type ? type : "object";
    name = name ? name : "";
    if (i == OBJECTS)
        return clipb_fail(err, CLIP_EFORMAT, c->path,
                          "the catalogue is not as clip makes it: it holds the %.16s '%.64s'", type, name);
    if (!same_text(q, 0, schema[i].type) || !same_text(q, 2, schema[i].table) || !same_text(q, 3, schema[i].sql) ||
        *found >> i & 1)
        return clipb_fail(err, CLIP_EFORMAT, c->path,
                          "the catalogue is not as clip makes it: its %.16s '%.64s' is another: %.400s", type, name,
                          sqlite3_column_text(q, 3) ? (const char *)sqlite3_column_text(q, 3) : "");
    *found |= 1u << i;
    return CLIP_OK;
}

static clip_status check_schema(clipidx_catalogue *c, clip_error *err)
{
    sqlite3_stmt *q;
    bool more = true;
    unsigned found = 0;
    if (sqlite3_prepare_v2(c->db, "SELECT type, name, tbl_name, sql FROM sqlite_master", -1, &q, NULL) != SQLITE_OK)
        return clipidx_catalogue_fail(c, err);
    clip_status s = CLIP_OK;
    while (s == CLIP_OK && more) {
        s = clipidx_step(c, q, &more, err);
        if (s == CLIP_OK && more)
            s = check_object(c, q, &found, err);
    }
    sqlite3_finalize(q);
    for (int i = 0; s == CLIP_OK && i < OBJECTS; i++)
        if (!(found >> i & 1))
            s = clipb_fail(err, CLIP_EFORMAT, c->path, "the catalogue is not as clip makes it: the %s '%s' is missing",
                           schema[i].type, schema[i].name);
    return s;
}

/* Is it ours? *fresh: there is nothing in it at all. */
static clip_status identify(clipidx_catalogue *c, bool *fresh, clip_error *err)
{
    int64_t application = 0, version = 0, tables_there = 0;
    TRY(pragma(c, "PRAGMA application_id", &application, err));
    TRY(pragma(c, "PRAGMA user_version", &version, err));
    TRY(pragma(c, "SELECT count(*) FROM sqlite_master", &tables_there, err));
    *fresh = application == 0 && tables_there == 0;
    if (*fresh)
        return CLIP_OK;
    if (application != APPLICATION_ID)
        return clipb_fail(err, CLIP_EFORMAT, c->path, "is a database of something else");
    if (version > CLIPIDX_VERSION)
        return clipb_fail(err, CLIP_EUNSUPPORTED, c->path,
                          "was made by a later version of clip (format %" PRId64 ", this one knows %d)", version,
                          CLIPIDX_VERSION);
    return check_schema(c, err);
}

/* A reader's transaction, held until it closes: it sees one state. */
static clip_status open_for_reading(clipidx_catalogue *c, bool immutable, bool *fresh, clip_error *err)
{
    TRY(connect(c, false, false, immutable, err));
    TRY(pragma(c, "BEGIN", NULL, err));
    return identify(c, fresh, err);
}

static void disconnect(clipidx_catalogue *c)
{
    for (int i = 0; i < CLIPIDX_STATEMENTS; i++) {
        sqlite3_finalize(c->statement[i]);
        c->statement[i] = NULL;
    }
    sqlite3_close(c->db);
    c->db = NULL;
}

/* Nobody has left anything beside it that SQLite would have to look into. */
static bool at_rest(const char *path)
{
    char name[4096];
    struct stat st;
    return snprintf(name, sizeof name, "%s-wal", path) < (int)sizeof name && (stat(name, &st) < 0 || st.st_size == 0);
}

/* A rollback journal can name a second one, which SQLite deletes when it has played the first back:
 * any file there is. Ours never do, for we attach no databases. The name, with the journal's magic
 * number behind it, is the end of the file. */
static bool names_another(const char *journal)
{
    static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char end[8];
    struct stat st;
    const int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const bool is = fd >= 0 && fstat(fd, &st) == 0 &&
                    pread(fd, end, sizeof end, st.st_size - (off_t)sizeof end) == sizeof end &&
                    memcmp(end, magic, sizeof end) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* The database and what SQLite writes beside it: nothing there, or files. */
static clip_status check_files(const clipidx_catalogue *c, clip_error *err)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    clip_status s = CLIP_OK;
    for (size_t i = 0; s == CLIP_OK && i < sizeof endings / sizeof *endings; i++) {
        char *path;
        struct stat st;
        if (asprintf(&path, "%s%s", c->path, endings[i]) < 0)
            return clipb_fail(err, CLIP_ENOMEM, c->path, "out of memory");
        if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
            s = clipb_fail(err, CLIP_EIO, path, "%s",
                           S_ISLNK(st.st_mode) ? "is a symbolic link, which is not followed" : "is not a regular file");
        else if (i == 3 && names_another(path))
            s = clipb_fail(err, CLIP_EFORMAT, path,
                           "is not a journal of clip's: it names another file, which would be deleted");
        free(path);
    }
    return s;
}

clip_status clipidx_catalogue_open(clipidx_catalogue *c, const char *dir, bool write, bool create, bool *fresh,
                                   clip_error *err)
{
    *c = (clipidx_catalogue){.path = clipb_path_join(dir, CATALOGUE)};
    if (!c->path)
        return clipb_fail(err, CLIP_ENOMEM, dir, "out of memory");
    TRY(check_files(c, err));
    if (!create && !clipb_is_file(c->path))
        return clipb_fail(err, CLIP_EIO, dir,
                          clipb_is_dir(dir) ? "is no index: it has no catalogue.db" : "there is no such index");
    if (!write) {
        clip_status s = open_for_reading(c, false, fresh, err);
        if (s == CLIP_EIO && at_rest(c->path)) { /* in a directory that is read-only SQLite cannot make the file by which readers and a writer agree */
            disconnect(c);
            s = open_for_reading(c, true, fresh, err);
        }
        return s;
    }
    TRY(connect(c, true, create, false, err));
    TRY(identify(c, fresh, err));
    TRY(pragma(c, "PRAGMA journal_mode = WAL", NULL, err));
    return pragma(c, "PRAGMA synchronous = FULL", NULL, err);
}

static clip_status make_objects(clipidx_catalogue *c, int dim)
{
    char begin[128], rows[256];
    snprintf(begin, sizeof begin, "BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, CLIPIDX_VERSION);
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

clip_status clipidx_catalogue_make(clipidx_catalogue *c, int dim, clip_error *err)
{
    if (make_objects(c, dim) == CLIP_OK)
        return CLIP_OK;
    clip_status s = clipidx_catalogue_fail(c, err);
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return s;
}

void clipidx_catalogue_close(clipidx_catalogue *c)
{
    disconnect(c);
    free(c->path);
    *c = (clipidx_catalogue){0};
}
