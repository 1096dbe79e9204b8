/* An index from elsewhere: catalogues that compute, values that are too large, pages in circles,
 * links and pipes in the place of files. Each is refused by name, in no time, and nothing outside
 * the index is touched. */
#include <fcntl.h>
#include <sqlite3.h>
#include <time.h>

#include "fixture.h"
#include "base/clock.h"

enum { D = 24, N = 40 };

static char outside[80]; /* a file of somebody's */

/* The files of a sound index, which is made once. */
static struct {
    char name[64];
    char *data;
    size_t size;
} sound[16];
static int n_sound;

static const char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%.63s", dir, name);
    return path;
}

static void make_sound(void)
{
    clip_index *x;
    float *v = random_vectors(1, N, D);
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, N));
    OK(clipidx_close(x, &err));
    free(v);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        assert_true(n_sound < 16 && strlen(e->d_name) < sizeof sound->name);
        memcpy(sound[n_sound].name, e->d_name, strlen(e->d_name) + 1);
        FILE *f = fopen(in_dir(sound[n_sound].name), "rb");
        assert_true(f && fstat(fileno(f), &st) == 0);
        sound[n_sound].size = (size_t)st.st_size;
        sound[n_sound].data = malloc((size_t)st.st_size + 1);
        assert_int_equal(fread(sound[n_sound].data, 1, (size_t)st.st_size, f), st.st_size);
        n_sound++;
        fclose(f);
    }
    closedir(d);
}

static void fill(void)
{
    empty_dir();
    for (int i = 0; i < n_sound; i++) {
        FILE *f = fopen(in_dir(sound[i].name), "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(sound[i].data, 1, sound[i].size, f), sound[i].size);
        fclose(f);
    }
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(file("catalogue.db"), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

/* All that an index is asked for, until something is wrong. */
static clip_status use(bool write)
{
    clip_index *x;
    clip_item item;
    clip_hit hit[N];
    int found;
    int64_t *row = NULL, *group = NULL, groups, faults;
    float *v = random_vectors(2, 1, D);
    clip_status s = open_index(write, D, &x);
    const clip_index_filter filter = {.patterns = (const char *const[]){"*"}, .n_patterns = 1};
    if (s == CLIP_OK)
        s = clipidx_search(x, v, 1, N, &filter, hit, &found, &err);
    for (int64_t cursor = 0; s == CLIP_OK;) {
        s = clipidx_next(x, &cursor, &item, &err);
        if (!item.kind)
            break;
    }
    if (s == CLIP_OK)
        s = clipidx_duplicates(x, &(clip_duplicates_options){.score = 0.97f}, &row, &group, &groups, &err);
    if (s == CLIP_OK)
        s = clipidx_verify(x, NULL, NULL, &faults, &err);
    clipidx_close(x, NULL);
    free(v), free(row), free(group);
    return s;
}

/* For reading and for writing, with a word of why. */
static void refused(clip_status status, const char *word, const char *what)
{
    for (int write = 0; write < 2; write++) {
        const double started = clipb_now();
        const clip_status s = use(write);
        if (s != status || !strstr(err.message, word))
            fail_msg("%s: %s, %s", what, clipb_status_name(s), err.message);
        if (clipb_now() - started > 20)
            fail_msg("%s: took %g s", what, clipb_now() - started);
    }
}

/* ---- Schemas --------------------------------------------------------------------------------- */

#define ITEMS(kind, path, more, end)                                                 \
    "DROP TABLE items; CREATE TABLE items (row INTEGER PRIMARY KEY, " kind ", " path \
    ", text TEXT NOT NULL, size INTEGER, mtime INTEGER, "                            \
    "taken INTEGER, hash BLOB, sum INTEGER" more ")" end                             \
    "; CREATE UNIQUE INDEX items_path ON items (path, kind, text); CREATE INDEX items_hash ON items (hash);"
#define KIND "kind INTEGER NOT NULL"
#define PATH "path TEXT NOT NULL"
#define LONG "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n)"

static void foreign_schemas_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"CREATE VIEW more AS SELECT " LONG, "'more'"},
        {"CREATE TRIGGER often AFTER INSERT ON items BEGIN SELECT " LONG "; END", "'often'"},
        {"CREATE TABLE other (x)", "'other'"},
        {"CREATE VIRTUAL TABLE words USING fts5(x)", "'words"},
        {"CREATE INDEX by_size ON items (hex(zeroblob(size)))", "'by_size'"},
        {"CREATE INDEX some ON items (size) WHERE length(zeroblob(size)) > 1", "'some'"},
        {"ANALYZE", "'sqlite_stat1'"},
        {"DROP INDEX items_hash", "'items_hash' is missing"},
        {"DROP INDEX items_hash; CREATE INDEX items_hash ON items (hash DESC)", "'items_hash' is another"},
        {"DROP INDEX items_hash; CREATE INDEX items_hash ON items (hash, hex(zeroblob(1000)))",
         "'items_hash' is another"},
        {"DROP INDEX items_path; CREATE INDEX items_path ON items (path, kind, text)", "'items_path' is another"},
        {ITEMS(KIND, PATH, ", big AS (hex(zeroblob(500000000)))", ""), "'items' is another"},
        {ITEMS(KIND, "path TEXT NOT NULL AS (hex(zeroblob(500000000)))", "", ""), "'items' is another"},
        {ITEMS(KIND, PATH, ", CHECK (length(hex(zeroblob(100000000))) > 1)", ""), "'items' is another"},
        {ITEMS(KIND, "path TEXT NOT NULL COLLATE NOCASE", "", ""), "'items' is another"},
        {ITEMS(KIND, PATH, "", " WITHOUT ROWID"), "'items' is another"},
        {ITEMS("kind BLOB DEFAULT (zeroblob(100000000))", PATH, "", ""), "'items' is another"},
        {"DROP TABLE items; CREATE VIEW items AS SELECT 1 AS row", "'items' is another"},
        {"ALTER TABLE meta RENAME TO old; CREATE TABLE meta (key TEXT PRIMARY KEY, value);"
         " INSERT INTO meta SELECT * FROM old; DROP TABLE old",
         "'meta' is another"},
        {"ALTER TABLE rows ADD COLUMN extra DEFAULT 5", "'rows' is another"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill();
        run_sql(cases[i][0]);
        refused(CLIP_EFORMAT, cases[i][1], cases[i][0]);
    }
    fill();
    run_sql(
        /* what people may do with it is nothing to refuse */
        "VACUUM; PRAGMA default_cache_size = 100000000; PRAGMA journal_mode = DELETE;");
    assert_int_equal(use(false), CLIP_OK);
    assert_int_equal(use(true), CLIP_OK);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static void hostile_values_are_refused(void **state)
{
    static const char *const cases[] = {
        "UPDATE items SET path = hex(zeroblob(35000000)) WHERE row = 7",
        "UPDATE items SET path = hex(zeroblob(10000000)) WHERE row = 7",
        "UPDATE items SET path = 'a' || char(0) || 'b' WHERE row = 7",
        "UPDATE items SET text = hex(zeroblob(10000000)) WHERE row = 7",
        "UPDATE items SET size = -1 WHERE row = 7",
        "UPDATE items SET row = 1000 WHERE row = 7",
        "UPDATE items SET row = -1 WHERE row = 7",
        "UPDATE items SET kind = 4294967297 WHERE row = 7",
        "UPDATE items SET kind = 'picture' WHERE row = 7",
        "UPDATE meta SET value = '1000000000000' WHERE key = 'rows'",
        "UPDATE meta SET value = '-1' WHERE key = 'pictures'",
        "UPDATE meta SET value = 1e300 WHERE key = 'dim'",
        "UPDATE meta SET value = hex(zeroblob(35000000)) WHERE key = 'dim'",
        "UPDATE rows SET bits = zeroblob(70000000) WHERE name = 'gone'",
        "UPDATE rows SET bits = 'x' WHERE name = 'text'",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill();
        run_sql(cases[i]);
        refused(CLIP_EFORMAT, "damaged", cases[i]);
    }
}

/* All children of the items' root are one leaf: a walk comes by the same rows again and again. */
static void a_tree_that_is_a_circle_is_refused(void **state)
{
    enum { MANY = 3000 };
    unsigned char page[65536];
    sqlite3_stmt *q;
    sqlite3 *db;
    clip_index *x;
    (void)state;
    float *v = random_vectors(1, MANY, D);
    empty_dir();
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, MANY));
    OK(clipidx_close(x, &err));
    free(v);
    run_sql("PRAGMA journal_mode = DELETE");
    assert_int_equal(sqlite3_open(file("catalogue.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(
            db, "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'items'", -1,
            &q, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    const off_t root = sqlite3_column_int64(q, 0), size = sqlite3_column_int64(q, 1);
    sqlite3_finalize(q);
    sqlite3_close(db);
    const int fd = open(file("catalogue.db"), O_RDWR);
    assert_int_equal(pread(fd, page, (size_t)size, (root - 1) * size), size);
    assert_int_equal(page[0], 5); /* an inner page of a table */
    const int cells = page[3] << 8 | page[4];
    for (int i = 1; i < cells; i++)
        memcpy(page + (page[12 + 2 * i] << 8 | page[13 + 2 * i]), page + (page[12] << 8 | page[13]), 4);
    assert_int_equal(pwrite(fd, page, (size_t)size, (root - 1) * size), size);
    close(fd);
    refused(CLIP_EFORMAT, "damaged", "pages in circles");
}

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *const names[] = {"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "catalogue.db-journal",
                                    "lock",         "vectors.npy",      "heads.npy",        "head_bounds.npy",
                                    "tails.npy",    "tail_bounds.npy",  "reflectors.npy"};
enum { NAMES = sizeof names / sizeof *names };

static void put_outside(const char *text)
{
    FILE *f = fopen(outside, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void check_outside(const char *text, const char *what)
{
    char is[64] = "";
    FILE *f = fopen(outside, "rb");
    if (!f || fread(is, 1, sizeof is - 1, f) != strlen(text) || strcmp(is, text) != 0)
        fail_msg("%s: the file outside is now '%s'", what, is);
    fclose(f);
}

static void links_are_not_followed(void **state)
{
    char target[128];
    (void)state;
    snprintf(target, sizeof target, "../%s", outside);
    for (int i = 0; i < NAMES; i++)
        for (int gone = 0; gone < 2; gone++) {
            fill();
            put_outside("mine");
            unlink(file(names[i]));
            assert_int_equal(symlink(gone ? "../clip-index-nowhere" : target, file(names[i])), 0);
            const clip_status s = use(true);
            if (s == CLIP_OK ? !gone : s != CLIP_EIO || !strstr(err.message, "link"))
                fail_msg("%s: %s, %s", names[i], clipb_status_name(s), err.message);
            check_outside("mine", names[i]);
            assert_int_equal(access("clip-index-nowhere", F_OK), -1);
        }
    unlink(outside);
}

/* Nothing waits for the other end of a pipe. */
static void nothing_waits_for_a_pipe(void **state)
{
    (void)state;
    alarm(100);
    for (int i = 0; i < NAMES; i++) {
        fill();
        unlink(file(names[i]));
        assert_int_equal(mkfifo(file(names[i]), 0600), 0);
        for (int write = 0; write < 2; write++) {
            const clip_status s = use(write); /* a reader goes without codes, and needs no lock */
            if (s != CLIP_EIO && !(s == CLIP_OK && !write && (i > 5 || i == 4)))
                fail_msg("%s: %s, %s", names[i], clipb_status_name(s), err.message);
        }
    }
    alarm(0);
}

/* A rollback journal that names a second one, as SQLite does for databases that are changed
 * together: it would delete that. */
static void a_journal_deletes_nothing_else(void **state)
{
    static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char tail[12] = {0};
    (void)state;
    fill();
    put_outside("mine");
    char *name = realpath(outside, NULL);
    unsigned sum = 0;
    for (size_t i = 0; i < strlen(name); i++)
        sum += (unsigned char)name[i];
    const unsigned numbers[] = {0x40000000 / 4096 + 1, (unsigned)strlen(name), sum};
    for (int i = 0; i < 12; i++)
        tail[i] = (unsigned char)(numbers[i / 4] >> (24 - 8 * (i % 4)));
    FILE *f = fopen(file("catalogue.db-journal"), "wb");
    assert_non_null(f);
    fwrite(magic, 1, 8, f); /* a header without pages: it is played back */
    fwrite("\0\0\0\0\0\0\0\0\0\0\0\1\0\0\2\0\0\0\20\0", 1, 20, f);
    for (int i = 28; i < 512; i++)
        fputc(0, f);
    fwrite(tail, 1, 4, f);
    fputs(name, f);
    fwrite(tail + 4, 1, 8, f);
    fwrite(magic, 1, 8, f);
    fclose(f);
    refused(CLIP_EFORMAT, "journal", "a journal that names another");
    check_outside("mine", "a journal that names another");
    unlink(outside);
    free(name);
}

/* The directory itself may be reached through a link. */
static void the_directory_may_be_a_link(void **state)
{
    char inner[64], link[80];
    (void)state;
    fill();
    strcpy(inner, dir);
    snprintf(link, sizeof link, "%s-link", inner);
    assert_int_equal(symlink(inner, link), 0);
    strcpy(dir, link);
    assert_int_equal(use(false), CLIP_OK);
    assert_int_equal(use(true), CLIP_OK);
    strcpy(dir, inner);
    unlink(link);
}

static int make(void **state)
{
    const int code = dir_make(state);
    snprintf(outside, sizeof outside, "%s-outside", dir);
    make_sound();
    return code;
}

static int leave(void **state)
{
    while (n_sound > 0)
        free(sound[--n_sound].data);
    return dir_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_schemas_are_refused),
        cmocka_unit_test(hostile_values_are_refused),
        cmocka_unit_test(a_tree_that_is_a_circle_is_refused),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(nothing_waits_for_a_pipe),
        cmocka_unit_test(a_journal_deletes_nothing_else),
        cmocka_unit_test(the_directory_may_be_a_link),
    };
    return cmocka_run_group_tests(tests, make, leave);
}
