/* The index as it is filled, changed, broken and mended. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "fixture.h"

#define D 12

static void fill(int N)
{
    clip_index *x;
    float *v = random_vectors(1, N, D);
    empty_dir();
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, N));
    OK(clipidx_close(x, &err));
    free(v);
}

static void check_items(int64_t items)
{
    clip_index *x;
    clip_index_info info;
    clip_item item;
    int64_t faults, cursor = 0, n = 0;
    OK(open_index(false, 0, &x));
    clipidx_get_info(x, &info);
    assert_int_equal(info.items, items);
    for (;;) {
        char name[16];
        OK(clipidx_next(x, &cursor, &item, &err));
        if (!item.kind)
            break;
        snprintf(name, sizeof name, "p%d", (int)(item.mtime / 1000000000));
        assert_string_equal(item.path, name);
        n++;
    }
    assert_int_equal(n, items);
    OK(clipidx_verify(x, NULL, NULL, &faults, &err));
    assert_int_equal(faults, 0);
    OK(clipidx_close(x, &err));
}

static void items_are_added_replaced_and_removed(void **state)
{
    (void)state;
    clip_index *x;
    clip_item item;
    clip_index_info info;
    float *v = random_vectors(2, 4, D), back[D];
    const clip_item some[] = {{.kind = 1, .path = "a", .size = 1, .hash = {7}},
                              {.kind = 2, .path = "a", .text = "words"},
                              {.kind = 1, .path = "a", .size = 2},
                              {.kind = 1, .path = "b\xfe"}};
    empty_dir();
    OK(open_index(true, D, &x));
    OK(clipidx_add(x, some, v, 4, &err)); /* the third replaces the first */
    clipidx_get_info(x, &info);
    assert_int_equal(info.rows, 4);
    assert_true(info.items == 3 && info.pictures == 2 && info.texts == 1);
    OK(clipidx_item_at(x, 0, &item, &err));
    assert_true(item.kind == 0 && !item.path);
    OK(clipidx_find(x, "a", &item, &err));
    assert_true(item.row == 2 && item.size == 2 && !item.text);
    OK(clipidx_rename(x, 2, "b\xfe", 5, 6, &err)); /* in the place of what was there; the text goes along */
    OK(clipidx_item_at(x, 1, &item, &err));
    assert_string_equal(item.path, "b\xfe");
    assert_string_equal(item.text, "words");
    OK(clipidx_find(x, "b\xfe", &item, &err));
    assert_true(item.row == 2 && item.size == 5 && item.mtime == 6);
    OK(clipidx_rename(x, 2, item.path, 8, 9, &err)); /* a string of its own */
    OK(clipidx_vector(x, 2, back, &err));
    double length = 0, dot = 0, squares = 0;
    for (int d = 0; d < D; d++) {
        length += (double)back[d] * back[d];
        dot += (double)back[d] * v[2 * D + d];
        squares += (double)v[2 * D + d] * v[2 * D + d];
    }
    assert_true(fabs(length - 1) < 2e-3 && fabs(dot / sqrt(squares) - 1) < 2e-3);
    assert_int_equal(clipidx_vector(x, 0, back, &err), CLIP_EINVAL);
    assert_int_equal(clipidx_rename(x, 1, "c", 0, 0, &err), CLIP_EINVAL);
    assert_int_equal(clipidx_remove(x, &(int64_t){4}, 1, &err), CLIP_EINVAL);
    v[0] = NAN;
    assert_int_equal(clipidx_add(x, some, v, 4, &err), CLIP_EINVAL);
    memset(v, 0, sizeof(float) * D);
    assert_int_equal(clipidx_add(x, some, v, 1, &err), CLIP_EINVAL);
    OK(clipidx_close(x, &err));
    OK(open_index(false, 0, &x));
    assert_int_equal(clipidx_add(x, some, v + D, 1, &err), CLIP_EINVAL);
    OK(clipidx_find(x, "b\xfe", &item, &err));
    assert_true(item.row == 1 && item.size == 8); /* two of four rows were gaps: they have been closed */
    OK(clipidx_close(x, &err));
    free(v);
}

/* A picture takes the place of another whose texts are the same as its own. */
static void a_renamed_picture_takes_a_place(void **state)
{
    (void)state;
    clip_index *x;
    clip_item item;
    clip_index_info info;
    int64_t cursor = 0;
    float *v = random_vectors(2, 5, D);
    const clip_item some[] = {{.kind = 1, .path = "a"},
                              {.kind = 2, .path = "a", .text = "words"},
                              {.kind = 1, .path = "b"},
                              {.kind = 2, .path = "b", .text = "words"},
                              {.kind = 2, .path = "b", .text = "others"}};
    empty_dir();
    OK(open_index(true, D, &x));
    OK(clipidx_add(x, some, v, 5, &err));
    OK(clipidx_rename(x, 0, "b", 0, 0, &err));
    clipidx_get_info(x, &info);
    assert_true(info.rows == 5 && info.pictures == 1 && info.texts == 2);
    OK(clipidx_next_text(x, "b", &cursor, &item, &err));
    assert_true(item.row == 1);
    OK(clipidx_remove(x, (const int64_t[]){4, 4, 3}, 3, &err)); /* what is gone already does not matter */
    OK(clipidx_close(x, &err));
    OK(open_index(false, 0, &x));
    clipidx_get_info(x, &info);
    assert_int_equal(info.items, 2);
    OK(clipidx_close(x, &err));
    free(v);
}

/* A reader keeps its view while a writer removes, closes gaps and goes; a second writer is
 * refused. */
static void a_reader_keeps_its_view(void **state)
{
    (void)state;
    clip_index *r, *w, *second;
    clip_item item;
    clip_hit hit;
    int found;
    int64_t row[60];
    float *v = random_vectors(1, 100, D);
    fill(100);
    OK(open_index(false, 0, &r));
    OK(open_index(true, D, &w));
    assert_int_equal(open_index(true, D, &second), CLIP_EBUSY);
    for (int i = 0; i < 60; i++)
        row[i] = i;
    OK(clipidx_remove(w, row, 60, &err));
    OK(clipidx_close(w, &err));
    assert_int_equal(access(file("vectors.npy"), F_OK), -1); /* a new generation */
    OK(clipidx_search(r, v, 1, 1, NULL, &hit, &found, &err));
    assert_true(found == 1 && hit.row == 0 && hit.score > 0.999f);
    OK(clipidx_item_at(r, 0, &item, &err));
    assert_string_equal(item.path, "p0");
    OK(clipidx_close(r, &err));
    check_items(40);
    OK(open_index(false, 0, &r));
    OK(clipidx_search(r, v + 70 * D, 1, 1, NULL, &hit, &found, &err));
    assert_true(found == 1 && hit.row == 10 && hit.score > 0.999f);
    OK(clipidx_close(r, &err));
    free(v);
}

/* A writer is killed at any moment: what it had committed is there. */
static void what_was_committed_survives_a_kill(void **state)
{
    (void)state;
    float *v = random_vectors(1, 2000, D);
    for (int i = 0; i < 12; i++) {
        int pipes[2], last = 0, n;
        fill(10);
        assert_int_equal(pipe(pipes), 0);
        const pid_t child = fork();
        if (child == 0) {
            clip_index *x;
            if (open_index(true, D, &x) < 0)
                _exit(1);
            for (int at = 10; at < 2000; at += 5) {
                const int now = at + 5;
                if (add_pictures(x, v + at * D, at, 5) < 0 || clipidx_commit(x, &err) < 0 ||
                    write(pipes[1], &now, sizeof now) != sizeof now)
                    _exit(1);
            }
            for (;;)
                pause();
        }
        close(pipes[1]);
        for (int k = 0; k <= i && read(pipes[0], &n, sizeof n) == sizeof n; k++)
            last = n;
        usleep((useconds_t)(i * 137));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(pipes[0], &n, sizeof n) == sizeof n)
            last = n;
        close(pipes[0]);
        clip_index *x;
        OK(open_index(i % 2, D, &x));
        assert_true(x->state.pictures >= last && x->state.pictures % 5 == 0);
        const int64_t items = x->state.pictures;
        OK(clipidx_close(x, &err));
        check_items(items);
    }
    free(v);
}

static char warned[1024];
static void warn(void *user, const char *message)
{
    (void)user;
    snprintf(warned, sizeof warned, "%s", message);
}

static clip_status open_warned(bool write, clip_index **x)
{
    const clip_index_options o = {.write = write, .warn = warn};
    bool fresh;
    warned[0] = 0;
    return clipidx_open(dir, &clipidx_store_sqlite, &o, NULL, 0, x, &fresh, &err);
}

/* Files that are shorter than they were. */
static void cut_files_are_noticed(void **state)
{
    (void)state;
    clip_index *x;
    fill(50);
    assert_int_equal(truncate(file("tails.npy"), CLIPIDX_ARRAY_HEADER + 7 * 6 + 3), 0);
    OK(open_warned(false, &x)); /* a reader goes without */
    assert_false(x->coded);
    assert_non_null(strstr(warned, "codes"));
    OK(clipidx_close(x, &err));
    unlink(file("tail_bounds.npy"));
    OK(open_warned(true, &x));
    assert_non_null(strstr(warned, "codes of 50"));
    OK(clipidx_close(x, &err));
    check_items(50);
    for (long size = CLIPIDX_ARRAY_HEADER + 48 * 2 * D - 1; size > CLIPIDX_ARRAY_HEADER; size -= 331) {
        const int64_t rows = (size - CLIPIDX_ARRAY_HEADER) / (2 * D);
        assert_int_equal(truncate(file("vectors.npy"), size), 0);
        assert_int_equal(open_warned(false, &x), CLIP_EFORMAT);
        assert_non_null(strstr(err.message, "vectors.npy"));
        OK(open_warned(true, &x));
        assert_non_null(strstr(warned, "forgotten"));
        assert_int_equal(x->state.pictures, rows);
        OK(clipidx_close(x, &err));
        check_items(rows);
    }
    fill(5); /* longer than it should be: rows that were never committed */
    const int fd = open(file("vectors.npy"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "0123456789012345678901234567890123456789", 40), 40);
    close(fd);
    check_items(5);
    fill(5);
    unlink(file("vectors.npy"));
    assert_int_equal(open_warned(false, &x), CLIP_EIO);
    OK(open_warned(true, &x));
    OK(clipidx_close(x, &err));
    check_items(0);
}

/* A writer that cannot open all files says so, and what it could not open stays. */
static void what_cannot_be_opened_stays(void **state)
{
    (void)state;
    clip_index *x;
    struct rlimit limit, few;
    fill(50);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    int failed = 0;
    for (few.rlim_cur = 4; few.rlim_cur < 40; few.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        const clip_status s = open_warned(true, &x);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        failed += s < 0;
        if (s == CLIP_OK)
            OK(clipidx_close(x, &err));
        OK(open_warned(false, &x));
        assert_true(x->coded);
        assert_string_equal(warned, "");
        OK(clipidx_close(x, &err));
    }
    assert_in_range(failed, 8, 30);
    check_items(50);
}

static void flip(const char *name, long at, int with)
{
    FILE *f = fopen(file(name), "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    const int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ with, f);
    fclose(f);
}

static void verifying_finds_damage(void **state)
{
    (void)state;
    clip_index *x;
    int64_t faults;
    fill(50);
    flip("vectors.npy", CLIPIDX_ARRAY_HEADER + 7 * 2 * D + 5, 4);
    OK(open_warned(false, &x));
    OK(clipidx_verify(x, warn, NULL, &faults, &err));
    assert_int_equal(faults, 1);
    assert_non_null(strstr(warned, "p7"));
    OK(clipidx_close(x, &err));
    OK(open_warned(true, &x));
    OK(clipidx_verify(x, warn, NULL, &faults, &err));
    assert_int_equal(faults, 1);
    OK(clipidx_close(x, &err));
    check_items(49);
    flip("tails.npy", CLIPIDX_ARRAY_HEADER + 9 * 6 + 3, 64);
    OK(open_warned(true, &x));
    OK(clipidx_verify(x, warn, NULL, &faults, &err));
    assert_int_equal(faults, 1);
    OK(clipidx_close(x, &err));
    check_items(49);
    flip("vectors.npy", 30, 1); /* the header */
    assert_int_equal(open_warned(false, &x), CLIP_EFORMAT);
    assert_int_equal(open_warned(true, &x), CLIP_EFORMAT);
    FILE *f = fopen(file("catalogue.db"), "wb");
    fputs("this is no database, and longer than a few bytes so that it is looked into", f);
    fclose(f);
    assert_int_equal(open_warned(false, &x), CLIP_EFORMAT);
    assert_non_null(strstr(err.message, "catalogue.db"));
    empty_dir();
    assert_int_equal(open_warned(false, &x), CLIP_EIO);
    assert_int_equal(open_warned(true, &x), CLIP_EIO);
    assert_int_equal(access(file("catalogue.db"), F_OK), -1);
}

/* Every page of the catalogue overwritten in turn, and bits of it: an error or an index, never a
 * crash. */
static void any_catalogue_is_an_error_or_an_index(void **state)
{
    (void)state;
    clipb_rng r = clipb_rng_at(4, 0, 0, 0);
    fill(30);
    FILE *f = fopen(file("catalogue.db"), "rb");
    static char sound[1 << 20], bad[1 << 20];
    const size_t n = fread(sound, 1, sizeof sound, f);
    fclose(f);
    int opened = 0;
    for (int i = 0; i < 300; i++) {
        clip_index *x;
        clip_item item;
        clip_hit hit[40];
        int found;
        int64_t cursor = 0, faults;
        float *v = random_vectors(1, 1, D);
        memcpy(bad, sound, n);
        if (i % 3 == 0)
            memset(bad + clipb_rng_below(&r, (uint32_t)n / 512) * 512, (int)clipb_rng_below(&r, 256), 512);
        for (int k = 0; k < i % 3 * 4; k++)
            bad[clipb_rng_below(&r, (uint32_t)n)] ^= (char)(1 << clipb_rng_below(&r, 8));
        unlink(file("catalogue.db-wal")), unlink(file("catalogue.db-shm"));
        f = fopen(file("catalogue.db"), "wb");
        assert_int_equal(fwrite(bad, 1, n, f), n);
        fclose(f);
        if (open_warned(false, &x) == CLIP_OK) {
            opened++;
            clipidx_search(x, v, 1, 40, NULL, hit, &found, &err);
            while (clipidx_next(x, &cursor, &item, &err) == CLIP_OK && item.kind)
                ;
            clipidx_find(x, "p3", &item, &err);
            clipidx_verify(x, NULL, NULL, &faults, &err);
            clipidx_close(x, &err);
        }
        free(v);
    }
    assert_in_range(opened, 20, 280);
}

/* What would run when the catalogue is read. */
static void a_catalogue_that_computes_is_refused(void **state)
{
    static const char *const sql[] = {
        "ALTER TABLE items RENAME TO kept; CREATE VIEW items AS WITH RECURSIVE c (n) AS"
        " (SELECT 0 UNION ALL SELECT n + 1 FROM c) SELECT kept.* FROM kept, c",
        "CREATE TRIGGER more AFTER DELETE ON items BEGIN DELETE FROM meta; END"};
    (void)state;
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        clip_index *x;
        sqlite3 *db;
        fill(5);
        assert_int_equal(sqlite3_open(file("catalogue.db"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(open_index(false, 0, &x), CLIP_EFORMAT);
        assert_int_equal(open_index(true, D, &x), CLIP_EFORMAT);
    }
}

/* No room: an error that says so, and what was there is there. */
static void a_full_disk_keeps_what_was_there(void **state)
{
    (void)state;
    float *v = random_vectors(1, 3000, D);
    fill(100);
    const pid_t child = fork();
    if (child == 0) {
        clip_index *x;
        signal(SIGXFSZ, SIG_IGN);
        if (open_index(true, D, &x) < 0)
            _exit(1);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, 20000});
        clip_status s = CLIP_OK;
        for (int at = 100; s == CLIP_OK && at < 3000; at += 100)
            s = add_pictures(x, v + at * D, at, 100);
        if (s != CLIP_EIO || !strstr(err.message, dir))
            _exit(2);
        /* The handle goes on from the last commit. This fails where we are not root. */
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
        _exit(clipidx_close(x, &err) == CLIP_OK ? 0 : 3);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    check_items(100);
    free(v);
}

static void a_read_only_directory_can_be_searched(void **state)
{
    (void)state;
    clip_index *x;
    fill(10);
    unlink(file("catalogue.db-shm"));
    chmod(dir, 0555);
    OK(open_index(false, 0, &x)); /* also where not even SQLite's own files can be made */
    OK(clipidx_close(x, &err));
    if (geteuid() != 0)
        assert_int_equal(open_index(true, D, &x), CLIP_EIO);
    chmod(dir, 0755);
    check_items(10);
}

/* What NumPy reads. */
static void numpy_reads_the_header(void **state)
{
    (void)state;
    char head[CLIPIDX_ARRAY_HEADER];
    fill(30);
    FILE *f = fopen(file("vectors.npy"), "rb");
    assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
    fclose(f);
    static const char want[] =
        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f2', 'fortran_order': False, 'shape': (30, 12), }   ";
    assert_memory_equal(head, want, sizeof want - 1);
    assert_int_equal(head[sizeof head - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_added_replaced_and_removed),
        cmocka_unit_test(a_reader_keeps_its_view),
        cmocka_unit_test(what_was_committed_survives_a_kill),
        cmocka_unit_test(cut_files_are_noticed),
        cmocka_unit_test(verifying_finds_damage),
        cmocka_unit_test(any_catalogue_is_an_error_or_an_index),
        cmocka_unit_test(a_full_disk_keeps_what_was_there),
        cmocka_unit_test(a_read_only_directory_can_be_searched),
        cmocka_unit_test(numpy_reads_the_header),
        cmocka_unit_test(a_renamed_picture_takes_a_place),
        cmocka_unit_test(a_catalogue_that_computes_is_refused),
        cmocka_unit_test(what_cannot_be_opened_stays),
    };
    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
