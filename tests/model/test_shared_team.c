/* Contexts of one clip_team, each in its own thread, embed bit for bit like a context alone.
 * usage: test_shared_team MODEL SAMPLES      models/emoji-clip models/samples */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip.h"
#include "failing_alloc.h"

enum { PICTURES = 5, TEXTS = 4, CALLERS = 4, ROUNDS = 12, THREADS = 2, MOST_D = 1024 };

static const char *path, *samples;
static const char *const file[PICTURES] = {"bee", "castle", "guitar", "swan", "money"};
static const char *const text[TEXTS] = {"a castle", "a bee", "the flag of Iceland on a pole", "a swan"};

typedef struct embeddings {
    float image[PICTURES * MOST_D], text[TEXTS * MOST_D];
} embeddings;

typedef struct shared {
    clip_model *model;
    clip_image picture[PICTURES];
    int D;
} shared;

static clip_status embed(clip_context *ctx, const shared *s, embeddings *out)
{
    memset(out, 0, sizeof *out);
    const clip_status done = clip_encode_image(ctx, s->picture, PICTURES, out->image);
    return done < 0 ? done : clip_encode_text(ctx, text, TEXTS, out->text);
}

static void open_shared(shared *s)
{
    clip_error err;
    clip_model_info info;
    if (clip_model_load(path, NULL, &s->model, &err) < 0)
        fail_msg("%s", err.message);
    clip_model_get_info(s->model, &info);
    s->D = info.embed_dim;
    assert_in_range(s->D, 1, MOST_D);
    for (int i = 0; i < PICTURES; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s.png", samples, file[i]);
        if (clip_image_read(name, NULL, &s->picture[i], &err) < 0)
            fail_msg("%s", err.message);
    }
}

static void close_shared(shared *s)
{
    for (int i = 0; i < PICTURES; i++)
        clip_image_free(&s->picture[i]);
    clip_model_free(s->model);
}

typedef struct caller {
    const shared *s;
    const embeddings *expected;
    clip_context *ctx;
    embeddings got;
    int faults; /* counted here: cmocka works only in its own thread */
    pthread_t thread;
} caller;

static void *embed_often(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        c->faults += embed(c->ctx, c->s, &c->got) < 0;
        c->faults += memcmp(&c->got, c->expected, sizeof c->got) != 0;
    }
    return NULL;
}

static void contexts_of_a_team_work_at_once(void **state)
{
    (void)state;
    static embeddings alone;
    static caller c[CALLERS];
    shared s;
    clip_context *ctx;
    clip_team *team;
    open_shared(&s);
    assert_int_equal(clip_context_new(s.model, 1, &ctx), CLIP_OK);
    assert_int_equal(embed(ctx, &s, &alone), CLIP_OK);
    clip_context_free(ctx);
    assert_int_equal(clip_team_new(THREADS, &team), CLIP_OK);
    for (int i = 0; i < CALLERS; i++) {
        c[i] = (caller){.s = &s, .expected = &alone};
        assert_int_equal(clip_context_new_on(s.model, team, &c[i].ctx), CLIP_OK);
        assert_int_equal(clip_context_threads(c[i].ctx), THREADS);
    }
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, embed_often, &c[i]), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].faults, 0);
        clip_context_free(c[i].ctx);
    }
    clip_team_free(team);
    close_shared(&s);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    clip_team *team;
    clip_context *ctx;
    assert_int_equal(clip_team_new(-1, &team), CLIP_EINVAL);
    assert_null(team);
    assert_int_equal(clip_team_new(1025, &team), CLIP_EINVAL);
    assert_int_equal(clip_team_new(1, &team), CLIP_OK);
    assert_int_equal(clip_context_new_on(NULL, team, &ctx), CLIP_EINVAL);
    assert_null(ctx);
    clip_team_free(team);
    clip_team_free(NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    clip_team *team = NULL;
    clip_context *ctx;
    clip_error err;
    clip_model *m;
    if (clip_model_load(path, NULL, &m, &err) < 0)
        fail_msg("%s", err.message);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status s = clip_team_new(THREADS, &team);
        if (s == CLIP_OK)
            s = clip_context_new_on(m, team, &ctx);
        const bool failed = fail_alloc_stop();
        if (s == CLIP_OK)
            clip_context_free(ctx);
        clip_team_free(team);
        assert_int_equal(s, failed ? CLIP_ENOMEM : CLIP_OK);
        if (!failed)
            break;
    }
    clip_model_free(m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_of_a_team_work_at_once),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (argc != 3)
        return 2;
    path = argv[1];
    samples = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
