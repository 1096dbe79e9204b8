/* What clip.h promises about forked children. Models and contexts work, with one thread. A trainer,
 * an index and a stream of pairs of the parent are refused. All of them can be freed. The parent is
 * not disturbed.
 * usage: test_fork MODEL SAMPLES      models/emoji-clip models/samples */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clip.h"

static const char *path, *samples;
static const char *const words[] = {"a castle", "a bee", "a swan"};
enum { WORDS = 3, THREADS = 4, DEADLINE = 120 };

/* The child counts and prints its faults itself, because it must not go through cmocka. */
#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            fprintf(stderr, "child: line %d: %s\n", __LINE__, #condition); \
            _exit(1);                                                      \
        }                                                                  \
    } while (0)

/* in_child { .. } joined: the block runs in a forked child. A child that hangs is killed. */
static bool in_child(void)
{
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(DEADLINE);
        return true;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return false;
}

static clip_model *load(void)
{
    clip_model *m;
    clip_error err;
    if (clip_model_load(path, NULL, &m, &err) < 0)
        fail_msg("%s", err.message);
    return m;
}

static void model_and_context(void **state)
{
    (void)state;
    clip_model *m = load();
    clip_context *ctx;
    clip_model_info info;
    assert_int_equal(clip_context_new(m, THREADS, &ctx), CLIP_OK);
    clip_model_get_info(m, &info);
    const size_t D = (size_t)info.embed_dim, bytes = WORDS * D * sizeof(float);
    float *before = malloc(bytes), *after = malloc(bytes);
    assert_int_equal(clip_encode_text(ctx, words, WORDS, before), CLIP_OK);
    if (in_child()) {
        CHECK(clip_encode_text(ctx, words, WORDS, after) == CLIP_OK);
        CHECK(memcmp(before, after, bytes) == 0);
        clip_context_free(ctx);
        CHECK(clip_context_new(m, 2, &ctx) == CLIP_OK); /* the child's own context has threads */
        CHECK(clip_encode_text(ctx, words, WORDS, after) == CLIP_OK);
        CHECK(memcmp(before, after, bytes) == 0);
        clip_context_free(ctx);
        clip_model_free(m);
        _exit(0);
    }
    memset(after, 0, bytes);
    assert_int_equal(clip_encode_text(ctx, words, WORDS, after), CLIP_OK);
    assert_memory_equal(before, after, bytes);
    clip_context_free(ctx);
    clip_model_free(m);
    free(before);
    free(after);
}

typedef struct busy {
    clip_context *ctx;
    atomic_bool stop;
} busy;

static void nothing(void *user, int64_t i)
{
    (void)user;
    (void)i;
}

static void *keep_busy(void *user)
{
    busy *b = user;
    while (!atomic_load(&b->stop))
        clip_parallel(b->ctx, 100, nothing, NULL);
    return NULL;
}

/* A child can free a context, whatever its threads were doing during the fork. */
static void a_busy_context(void **state)
{
    (void)state;
    clip_model *m = load();
    busy b = {0};
    pthread_t thread;
    assert_int_equal(clip_context_new(m, THREADS, &b.ctx), CLIP_OK);
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, &b), 0);
    for (int i = 0; i < 50; i++)
        if (in_child()) {
            clip_context_free(b.ctx);
            _exit(0);
        }
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    clip_context_free(b.ctx);
    clip_model_free(m);
}

static void add(clip_index *x, const char *name, float first)
{
    const float vector[4] = {first, 1, 0, 0};
    const clip_item item = {.kind = CLIP_ITEM_PICTURE, .path = name};
    assert_int_equal(clip_index_add(x, &item, vector, 1, NULL), CLIP_OK);
}

static void an_index(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_fork.XXXXXX", place[64], command[128];
    clip_index *x;
    clip_index_options o = clip_index_options_default();
    clip_index_info info;
    clip_item item;
    clip_hit hit;
    clip_error err;
    int found;
    const float query[4] = {1, 1, 0, 0};
    assert_non_null(mkdtemp(dir));
    snprintf(place, sizeof place, "%s/index", dir);
    o.write = o.create = true;
    o.dim = 4;
    o.model_name = "none";
    o.threads = THREADS;
    assert_int_equal(clip_index_open(place, &o, &x, NULL), CLIP_OK);
    add(x, "/a.png", 1);
    if (in_child()) {
        clip_index_discard(x); /* the parent's handle made it, so it stays */
        _exit(0);
    }
    if (in_child()) {
        const clip_item more = {.kind = CLIP_ITEM_PICTURE, .path = "/b.png"};
        CHECK(clip_index_add(x, &more, query, 1, &err) == CLIP_EINVAL && strstr(err.message, "forked"));
        CHECK(clip_index_commit(x, NULL) == CLIP_EINVAL);
        CHECK(clip_index_remove(x, &(int64_t){0}, 1, NULL) == CLIP_EINVAL);
        CHECK(clip_index_search(x, query, 1, 1, NULL, &hit, &found, NULL) == CLIP_EINVAL);
        CHECK(clip_index_item_at(x, 0, &item, NULL) == CLIP_EINVAL && !item.kind);
        CHECK(clip_index_verify(x, NULL, NULL, &(int64_t){0}, NULL) == CLIP_EINVAL);
        CHECK(clip_index_close(x, NULL) == CLIP_OK);
        clip_index *second;
        clip_index_options w = o;
        CHECK(clip_index_open(place, &w, &second, NULL) == CLIP_EBUSY); /* the parent still writes */
        _exit(0);
    }
    add(x, "/c.png", -1);
    assert_int_equal(clip_index_close(x, NULL), CLIP_OK);
    o.write = o.create = false;
    assert_int_equal(clip_index_open(place, &o, &x, NULL), CLIP_OK);
    clip_index_get_info(x, &info);
    assert_int_equal(info.items, 2);
    assert_int_equal(clip_index_search(x, query, 1, 1, NULL, &hit, &found, NULL), CLIP_OK);
    if (in_child()) {
        CHECK(clip_index_search(x, query, 1, 1, NULL, &hit, &found, NULL) == CLIP_EINVAL);
        CHECK(clip_index_close(x, NULL) == CLIP_OK);
        CHECK(clip_index_open(place, &o, &x, NULL) == CLIP_OK);
        CHECK(clip_index_search(x, query, 1, 1, NULL, &hit, &found, NULL) == CLIP_OK && found == 1);
        CHECK(clip_index_close(x, NULL) == CLIP_OK);
        _exit(0);
    }
    assert_int_equal(clip_index_item_at(x, hit.row, &item, NULL), CLIP_OK);
    assert_string_equal(item.path, "/a.png");
    assert_int_equal(clip_index_close(x, NULL), CLIP_OK);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_trainer(void **state)
{
    (void)state;
    char table[1024];
    clip_train_options *o;
    clip_trainer *t;
    clip_train_step step;
    clip_error err;
    snprintf(table, sizeof table, "%s/samples.tsv", samples);
    const char *const settings[][2] = {{"train-data", table}, {"pretrained", path}, {"batch-size", "4"},
                                       {"workers", "2"},      {"threads", "2"},     {"lr", "1e-5"}};
    assert_int_equal(clip_train_options_new(&o), CLIP_OK);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (clip_train_options_set(o, settings[i][0], settings[i][1], &err) < 0)
            fail_msg("%s", err.message);
    if (clip_trainer_new(o, NULL, NULL, &t, &err) < 0)
        fail_msg("%s", err.message);
    if (in_child()) {
        CHECK(clip_trainer_step(t, &step, &err) == CLIP_EINVAL && strstr(err.message, "forked"));
        CHECK(clip_trainer_save(t, "/nowhere/run", NULL) == CLIP_EINVAL);
        clip_trainer_free(t);
        clip_train_options_free(o);
        _exit(0);
    }
    for (int i = 0; i < 2; i++)
        if (clip_trainer_step(t, &step, &err) < 0)
            fail_msg("%s", err.message);
    clip_trainer_free(t);
    clip_train_options_free(o);
}

static void a_stream_of_pairs(void **state)
{
    (void)state;
    char table[1024];
    clip_pairs *p;
    clip_pair pair;
    int n = 0;
    snprintf(table, sizeof table, "%s/samples.tsv", samples);
    assert_int_equal(clip_pairs_open(table, NULL, &p, NULL), CLIP_OK);
    assert_int_equal(clip_pairs_next(p, &pair, NULL), CLIP_OK);
    if (in_child()) {
        CHECK(clip_pairs_next(p, &pair, NULL) == CLIP_EINVAL && !pair.key);
        clip_pairs_close(p);
        _exit(0);
    }
    do {
        n++;
        assert_int_equal(clip_pairs_next(p, &pair, NULL), CLIP_OK);
    } while (pair.key);
    assert_int_equal(n, 36);
    clip_pairs_close(p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_and_context), cmocka_unit_test(a_busy_context),    cmocka_unit_test(an_index),
        cmocka_unit_test(a_trainer),         cmocka_unit_test(a_stream_of_pairs),
    };
    if (argc != 3)
        return 2;
    path = argv[1];
    samples = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
