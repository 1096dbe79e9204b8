/* store_sqlite.h: the store that ships, as its own file and its tests see it. */
#ifndef CLIPIDX_STORE_SQLITE_H
#define CLIPIDX_STORE_SQLITE_H

#include <sqlite3.h>

#include "index/store.h"

#define CLIPIDX_SQLITE_VERSION 1
#define CLIPIDX_SQLITE_MOST_VALUE (1 << 26) /* bytes of a row of SQLite, but for the bitmaps */

enum { CLIPIDX_SQLITE_STATEMENTS = 20 };

typedef struct clipidx_sqlite {
    clipidx_store store;
    sqlite3 *db;
    sqlite3_stmt *statement[CLIPIDX_SQLITE_STATEMENTS]; /* prepared when first used */
    int64_t steps, most_steps;    /* of SQLite's machine: left to the statement that runs; given to each */
    bool immutable;               /* read from a directory where SQLite cannot make its files */
    uint64_t device, inode;       /* of the database when it was opened */
    struct clipidx_sqlite *watch; /* sees commits at once, in no transaction; NULL: not needed so far */
    int64_t seen;                 /* what `watch` had last seen before this store was opened */
} clipidx_sqlite;

/* ---- store_sqlite_files.c ---- */

/* clipidx_sqlite_check_files(): the database and the files that SQLite keeps beside it are not
 * there, or are regular files. Errors: CLIP_EIO, CLIP_EFORMAT (a journal that names another
 * file), CLIP_ENOMEM. */
clip_status clipidx_sqlite_check_files(const char *catalogue, clip_error *err);

/* clipidx_sqlite_uri(): what SQLite opens, with `query` behind it. The directory may lie behind
 * symbolic links, the file may not. free(*uri). Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status clipidx_sqlite_uri(const char *catalogue, const char *query, char **uri, clip_error *err);

/* clipidx_sqlite_at_rest(): nothing lies beside the database that SQLite would have to read.
 * clipidx_sqlite_is_same(): the file of that name is still this one. */
bool clipidx_sqlite_at_rest(const char *catalogue);
bool clipidx_sqlite_is_same(const char *catalogue, uint64_t device, uint64_t inode);

#endif
