/* Memory that runs out at every allocation in turn, and a transaction that SQLite ends by
 * itself: an error each time, and an index that is whole. */
#include "failing_alloc.h"
#include "fixture.h"
#include "index/store_sqlite.h"

enum { D = 24, N = 12, K = 3 };

static char name[N][8];
static clip_item item[N];
static float *vector;

static int make(void **state)
{
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "p%d", i);
        item[i] =
            (clip_item){.kind = CLIP_ITEM_PICTURE, .path = name[i], .size = i / 2, .hash = {(uint8_t)(i / 2 + 1)}};
    }
    vector = random_vectors(1, N, D);
    return dir_make(state);
}

static int leave(void **state)
{
    free(vector);
    return dir_remove(state);
}

static clip_status ask(clip_index *x)
{
    static const char *const patterns[] = {"p1*"};
    const clip_index_filter filter = {.patterns = patterns, .n_patterns = 1};
    clip_hit hit[2 * K];
    clip_item found;
    int n[2];
    int64_t *row, *group, groups, faults;
    TRY(clipidx_search(x, vector, 2, K, &filter, hit, n, &err));
    TRY(clipidx_item_at(x, hit[0].row, &found, &err));
    TRY(clipidx_duplicates(x, &(clip_duplicates_options){.score = 0.99f}, &row, &group, &groups, &err));
    assert_true(groups >= 1);
    free(row);
    free(group);
    TRY(clipidx_verify(x, NULL, NULL, &faults, &err));
    assert_int_equal(faults, 0);
    return CLIP_OK;
}

static clip_status live(void)
{
    const int64_t rows[] = {0, 1, 2, 3};
    clip_index *x;
    TRY(open_index(true, D, &x));
    clip_status s = clipidx_add(x, item, vector, N, &err);
    if (s == CLIP_OK)
        s = clipidx_commit(x, &err);
    if (s == CLIP_OK)
        s = ask(x);
    if (s == CLIP_OK)
        s = clipidx_rename(x, 5, "elsewhere", 1, 2, &err);
    if (s == CLIP_OK)
        s = clipidx_remove(x, rows, 4, &err); /* more than a quarter: closing moves the others */
    const clip_status closed = clipidx_close(x, s < 0 ? NULL : &err);
    return s < 0 ? s : closed;
}

static void check(void)
{
    clip_index *x;
    int64_t faults;
    clip_index_info info;
    OK(open_index(true, D, &x));
    OK(clipidx_verify(x, NULL, NULL, &faults, &err));
    assert_int_equal(faults, 0);
    clipidx_get_info(x, &info);
    assert_true(info.items == 0 || info.items == N || info.items == N - 4);
    OK(clipidx_close(x, &err));
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    long n = 1;
    for (;; n++) {
        empty_dir();
        fail_alloc_at(n);
        const clip_status s = live();
        if (!fail_alloc_stop()) {
            assert_int_equal(s, CLIP_OK);
            break;
        }
        if (s != CLIP_OK && s != CLIP_ENOMEM) /* without threads it searches alone, without room gaps stay */
            fail_msg("allocation %ld: %s, %s", n, clipb_status_name(s), err.message);
        check();
    }
    assert_true(n > 20);
}

/* What an export has begun leaves again. */
static void a_failed_export_leaves_nothing(void **state)
{
    static const char *const made[] = {"x/img_emb/img_emb_0.npy", "x/img_emb", "x/metadata/metadata_0.jsonl",
                                       "x/metadata", "x"};
    (void)state;
    clip_index *x;
    int64_t rows;
    long n = 1;
    empty_dir();
    OK(open_index(true, D, &x));
    OK(clipidx_add(x, item, vector, N, &err));
    for (clip_status s = CLIP_ENOMEM; s < 0; n++) {
        fail_alloc_at(n);
        s = clipidx_export(x, file("x"), &rows, &err);
        assert_int_equal(s, fail_alloc_stop() ? CLIP_ENOMEM : CLIP_OK);
        assert_int_equal(access(file("x"), F_OK), s < 0 ? -1 : 0);
    }
    assert_true(n > 10 && rows == N);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        assert_int_equal(remove(file(made[i])), 0);
    OK(clipidx_close(x, &err));
}

/* As after a full disk: what had been added since the last commit is gone, and nothing of it may
 * be committed. */
static void a_failed_change_is_rolled_back(void **state)
{
    (void)state;
    clip_index *x;
    clip_index_info info;
    for (int how = 0; how < 3; how++) {
        empty_dir();
        OK(open_index(true, D, &x));
        OK(clipidx_add(x, item, vector, 4, &err));
        OK(clipidx_commit(x, &err));
        OK(clipidx_add(x, item + 4, vector + 4 * D, 4, &err));
        assert_int_equal(sqlite3_exec(((clipidx_sqlite *)x->store)->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        const clip_status s = how == 0   ? clipidx_commit(x, &err)
                              : how == 1 ? clipidx_remember(x, "note", "of something", &err)
                                         : clipidx_add(x, item + 8, vector + 8 * D, 2, &err);
        assert_int_equal(s, CLIP_EIO);
        clipidx_get_info(x, &info);
        assert_int_equal(info.rows, 4);
        OK(clipidx_add(x, item + 4, vector + 4 * D, 2, &err));
        OK(clipidx_close(x, &err));
        OK(open_index(false, D, &x));
        clipidx_get_info(x, &info);
        assert_true(info.items == 6 && info.rows == 6);
        clipidx_close(x, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_failed_export_leaves_nothing),
        cmocka_unit_test(a_failed_change_is_rolled_back),
    };
    return cmocka_run_group_tests(tests, make, leave);
}
