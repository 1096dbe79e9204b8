/* An index that stays open while another handle or process writes it. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fixture.h"

enum { D = 16, N = 40 };

static float *vectors;

static int make(void **state)
{
    vectors = random_vectors(5, 2 * N, D);
    return dir_make(state);
}

static int leave(void **state)
{
    free(vectors);
    return dir_remove(state);
}

/* Pictures from .. from + n are added, those of `gone` removed. */
static void write_some(int from, int n, const char *const *gone)
{
    clip_index *x;
    clip_item item;
    OK(open_index(true, D, &x));
    OK(add_pictures(x, vectors + from * D, from, n));
    for (; *gone; gone++) {
        OK(clipidx_find(x, *gone, &item, &err));
        OK(clipidx_remove(x, &item.row, 1, &err));
    }
    OK(clipidx_close(x, &err));
}

/* Is picture i the best hit for its vector? Otherwise there must not be a picture of its name. */
static bool finds(const clip_index *x, int i)
{
    clip_hit hit;
    clip_item item;
    char name[16];
    int found;
    snprintf(name, sizeof name, "p%d", i);
    OK(clipidx_search(x, vectors + i * D, 1, 1, NULL, &hit, &found, &err));
    OK(clipidx_item_at(x, hit.row, &item, &err));
    const bool is = found == 1 && strcmp(item.path, name) == 0;
    OK(clipidx_find(x, name, &item, &err));
    assert_int_equal(item.kind != 0, is);
    return is;
}

static bool refresh(clip_index *x)
{
    bool changed;
    OK(clipidx_refresh(x, &changed, &err));
    return changed;
}

/* A process that writes when a byte comes. It is made before SQLite is used here: a forked child
 * must not share it. */
static pid_t start_writer(const char *const *gone, int start[2])
{
    assert_int_equal(pipe(start), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(start[0], &byte, 1) == 1)
            write_some(N, 1, gone);
        _exit(0);
    }
    return child;
}

static void let_it_write(pid_t child, const int start[2])
{
    int status;
    assert_int_equal(write(start[1], "", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(start[0]);
    close(start[1]);
}

/* One handle is refreshed and another is not. Where `gone` is most of the index, the writer
 * renumbers rows. */
static void check_refresh(int n, const char *const *gone)
{
    clip_index *fresh, *stale;
    int start[2];
    empty_dir();
    const pid_t child = start_writer(gone, start);
    write_some(0, n, (const char *const[]){NULL});
    OK(open_index(false, 0, &fresh));
    OK(open_index(false, 0, &stale));
    refresh(fresh); /* the first may say so without need */
    assert_false(refresh(fresh));
    assert_true(finds(fresh, 0) && finds(fresh, 3) && !finds(fresh, N));
    let_it_write(child, start);
    assert_true(finds(fresh, 0) && !finds(fresh, N)); /* before it is refreshed */
    assert_true(refresh(fresh));
    assert_true(!finds(fresh, 0) && finds(fresh, 3) && finds(fresh, N));
    assert_true(finds(stale, 0) && finds(stale, 3) && !finds(stale, N));
    assert_false(refresh(fresh));
    write_some(N + 1, 1, (const char *const[]){"p3", NULL}); /* a writer of the same process */
    assert_true(refresh(fresh));
    assert_false(refresh(fresh));
    assert_true(!finds(fresh, 3) && finds(fresh, N) && finds(fresh, N + 1));
    assert_true(finds(stale, 3));
    assert_true(refresh(stale));
    assert_true(!finds(stale, 3) && finds(stale, N + 1));
    OK(clipidx_close(fresh, &err));
    OK(clipidx_close(stale, &err));
}

static void a_refresh_shows_what_was_committed(void **state)
{
    (void)state;
    check_refresh(N, (const char *const[]){"p0", NULL});
}

static void a_refresh_follows_rows_that_move(void **state)
{
    (void)state;
    check_refresh(6, (const char *const[]){"p0", "p1", "p2", NULL});
}

/* Whatever goes wrong, the handle answers as before. */
static void a_failed_refresh_changes_nothing(void **state)
{
    (void)state;
    clip_index *x, *w;
    bool changed;
    char aside[80];
    empty_dir();
    write_some(0, N, (const char *const[]){NULL});
    OK(open_index(false, 0, &x));
    snprintf(aside, sizeof aside, "%s.aside", dir);
    assert_int_equal(rename(dir, aside), 0);
    assert_int_equal(clipidx_refresh(x, &changed, &err), CLIP_EIO);
    assert_true(finds(x, 0));
    assert_int_equal(mkdir(dir, 0777), 0);
    OK(open_index(true, 2 * D, &w)); /* another index in its place */
    OK(clipidx_close(w, &err));
    assert_int_equal(clipidx_refresh(x, &changed, &err), CLIP_EMISMATCH);
    assert_true(finds(x, 0));
    empty_dir();
    write_some(N, 3, (const char *const[]){NULL}); /* one of the same kind */
    assert_true(refresh(x));
    assert_true(finds(x, N) && !finds(x, 0));
    OK(clipidx_close(x, &err));
    OK(open_index(true, 0, &w)); /* a writer is always current */
    assert_false(refresh(w));
    OK(clipidx_close(w, &err));
    empty_dir();
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rename(aside, dir), 0);
}

static atomic_bool done;

static void *ask_until_done(void *handle)
{
    clip_index *x = handle;
    do {
        clip_hit hit[3];
        clip_item item;
        clip_error why;
        int found;
        clipidx_hold(x);
        const clip_index_filter filter = {.patterns = (const char *const[]){"p*"}, .n_patterns = 1};
        bool ok = clipidx_search(x, vectors, 1, 3, &filter, hit, &found, &why) == CLIP_OK && found == 3 &&
                  clipidx_item_at(x, hit[0].row, &item, &why) == CLIP_OK && strcmp(item.path, "p0") == 0;
        clipidx_release(x);
        if (!ok)
            return NULL;
    } while (!atomic_load(&done));
    return x;
}

/* Searches on other threads see the index before or after. */
static void searches_see_before_or_after(void **state)
{
    (void)state;
    pthread_t thread[3];
    clip_index *x;
    empty_dir();
    write_some(0, 5, (const char *const[]){NULL});
    OK(open_index(false, 0, &x));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ask_until_done, x), 0);
    for (int i = 5; i < 25; i++) {
        write_some(i, 1, (const char *const[]){NULL});
        assert_true(refresh(x));
        assert_true(finds(x, i));
    }
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++) {
        void *out;
        pthread_join(thread[i], &out);
        assert_ptr_equal(out, x);
    }
    OK(clipidx_close(x, &err));
}

/* ---- Holds ---- */

typedef struct refresher {
    clip_index *x;
    atomic_bool done;
} refresher;

static void *refresh_once(void *user)
{
    refresher *r = user;
    bool changed;
    clip_error why;
    const clip_status s = clipidx_refresh(r->x, &changed, &why);
    atomic_store(&r->done, true);
    return s == CLIP_OK && changed ? r : NULL;
}

static void *hold_once(void *x)
{
    clipidx_hold(x);
    const bool new = ((clip_index *)x)->state.pictures == 6;
    clipidx_release(x);
    return new ? x : NULL;
}

static void wait_for_refreshing(clip_index *x)
{
    for (bool waits = false; !waits; usleep(100)) {
        pthread_mutex_lock(&x->shared->lock);
        waits = x->shared->refreshing;
        pthread_mutex_unlock(&x->shared->lock);
    }
}

/* A hold keeps a search and its items in one state, and nests while a refresh waits. A thread
 * that begins to hold then waits for the refresh. */
static void a_refresh_waits_for_holds(void **state)
{
    (void)state;
    pthread_t thread, late;
    refresher r = {0};
    bool changed;
    void *out;
    empty_dir();
    write_some(0, 6, (const char *const[]){NULL});
    OK(open_index(false, 0, &r.x));
    clipidx_hold(r.x);
    assert_int_equal(clipidx_refresh(r.x, &changed, &err), CLIP_EBUSY);
    write_some(6, 2, (const char *const[]){"p0", "p1", NULL});
    assert_int_equal(pthread_create(&thread, NULL, refresh_once, &r), 0);
    wait_for_refreshing(r.x);
    assert_int_equal(pthread_create(&late, NULL, hold_once, r.x), 0);
    for (int i = 0; i < 20; i++) {
        clipidx_hold(r.x);
        assert_true(finds(r.x, 0) && !finds(r.x, 6));
        clipidx_release(r.x);
        usleep(1000);
    }
    assert_false(atomic_load(&r.done));
    clipidx_release(r.x);
    pthread_join(thread, &out);
    assert_ptr_equal(out, &r);
    pthread_join(late, &out);
    assert_ptr_equal(out, r.x);
    assert_true(!finds(r.x, 0) && finds(r.x, 6));
    OK(clipidx_close(r.x, &err));
}

/* Simultaneous searches, of two indexes on one team. */
static void searches_share_a_team(void **state)
{
    (void)state;
    const clip_index_options o = {0};
    clipb_team *team = clipb_team_new(3);
    pthread_t thread[4];
    clip_index *x[2];
    bool fresh;
    assert_non_null(team);
    empty_dir();
    write_some(0, 5, (const char *const[]){NULL});
    for (int i = 0; i < 2; i++)
        OK(clipidx_open(dir, &clipidx_store_sqlite, &o, team, 0, &x[i], &fresh, &err));
    atomic_store(&done, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ask_until_done, x[i % 2]), 0);
    for (int i = 0; i < 100; i++)
        assert_true(finds(x[i % 2], 3));
    atomic_store(&done, true);
    for (int i = 0; i < 4; i++) {
        void *out;
        pthread_join(thread[i], &out);
        assert_ptr_equal(out, x[i % 2]);
    }
    for (int i = 0; i < 2; i++) {
        assert_null(x[i]->shared->own_team);
        OK(clipidx_close(x[i], &err));
    }
    clipb_team_free(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refresh_shows_what_was_committed),
        cmocka_unit_test(a_refresh_follows_rows_that_move),
        cmocka_unit_test(a_failed_refresh_changes_nothing),
        cmocka_unit_test(searches_see_before_or_after),
        cmocka_unit_test(a_refresh_waits_for_holds),
        cmocka_unit_test(searches_share_a_team),
    };
    return cmocka_run_group_tests(tests, make, leave);
}
