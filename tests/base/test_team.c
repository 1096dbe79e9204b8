/* A team of threads: every piece is done once, callers do not wait for each other, and nobody else
 * has a thread's number in its job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/team.h"
#include "failing_alloc.h"

enum { THREADS = 3, CALLERS = 3, JOBS = 3000, MOST_PIECES = 40 };

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }

static void wait_for(_Atomic int *count, int at_least)
{
    while (atomic_load(count) < at_least)
        nap();
}

/* ---- Many callers at once: faults are counted, because cmocka wants its own thread ----------- */

typedef struct counted {
    pthread_t caller;
    int done[MOST_PIECES];
    _Atomic bool busy[THREADS];
    _Atomic int faults;
} counted;

static _Thread_local bool in_piece;

static void count_piece(void *job, int64_t i, int thread)
{
    counted *c = job;
    const bool own = pthread_equal(pthread_self(), c->caller) != 0;
    const bool sound = thread >= 0 && thread < THREADS && own == (thread == 0) && !in_piece;
    if (!sound || atomic_exchange(&c->busy[thread], true)) {
        atomic_fetch_add(&c->faults, 1);
        return;
    }
    in_piece = true;
    c->done[i]++;
    in_piece = false;
    atomic_store(&c->busy[thread], false);
}

typedef struct caller {
    clipb_team *team;
    int number;
    _Atomic int *arrived;
    int faults;
    pthread_t thread;
} caller;

static void *call_often(void *arg)
{
    caller *c = arg;
    atomic_fetch_add(c->arrived, 1);
    wait_for(c->arrived, CALLERS);
    for (int j = 0; j < JOBS; j++) {
        const int n = (j * (c->number + 3)) % (MOST_PIECES + 1);
        counted job = {.caller = pthread_self()};
        clipb_team_run(c->team, n, count_piece, &job);
        for (int i = 0; i < MOST_PIECES; i++)
            c->faults += job.done[i] != (i < n);
        c->faults += job.faults;
    }
    return NULL;
}

static void callers_share_a_team(void **state)
{
    (void)state;
    clipb_team *t = clipb_team_new(THREADS);
    _Atomic int arrived = 0;
    caller c[CALLERS];
    assert_non_null(t);
    for (int i = 0; i < CALLERS; i++) {
        c[i] = (caller){.team = t, .number = i, .arrived = &arrived};
        assert_int_equal(pthread_create(&c[i].thread, NULL, call_often, &c[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].faults, 0);
    }
    clipb_team_free(t);
}

/* ---- A job that is held ---------------------------------------------------------------------- */

typedef struct held {
    clipb_team *team;
    _Atomic int begun, released;
    pthread_t thread;
} held;

static void hold_piece(void *job, int64_t i, int thread)
{
    held *h = job;
    (void)i;
    (void)thread;
    atomic_fetch_add(&h->begun, 1);
    wait_for(&h->released, 1);
}

static void *run_held(void *arg)
{
    held *h = arg;
    clipb_team_run(h->team, 2, hold_piece, h);
    return NULL;
}

/* Both threads of the team are in another caller's job, and stay there until release(). */
static void hold(held *h)
{
    *h = (held){.team = clipb_team_new(2)};
    assert_non_null(h->team);
    assert_int_equal(pthread_create(&h->thread, NULL, run_held, h), 0);
    wait_for(&h->begun, 2);
}

static void release(held *h)
{
    atomic_store(&h->released, 1);
    pthread_join(h->thread, NULL);
    clipb_team_free(h->team);
}

static void a_caller_waits_for_its_own_job_only(void **state)
{
    (void)state;
    held h;
    counted job = {.caller = pthread_self()};
    hold(&h);
    clipb_team_run(h.team, MOST_PIECES, count_piece, &job);
    for (int i = 0; i < MOST_PIECES; i++)
        assert_int_equal(job.done[i], 1);
    assert_int_equal(job.faults, 0);
    release(&h);
}

static void a_forked_child_works_alone(void **state)
{
    (void)state;
    held h;
    int status;
    hold(&h);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        counted job = {.caller = pthread_self()};
        alarm(60);
        clipb_team_run(h.team, MOST_PIECES, count_piece, &job);
        for (int i = 0; i < MOST_PIECES; i++)
            job.faults += job.done[i] != 1;
        clipb_team_free(h.team);
        _exit(job.faults != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    release(&h);
}

/* A caller that cannot have a desk of its own does its job by itself. */
static void memory_may_run_out(void **state)
{
    (void)state;
    held h;
    counted job = {.caller = pthread_self()};
    hold(&h);
    fail_alloc_at(1);
    clipb_team_run(h.team, MOST_PIECES, count_piece, &job);
    assert_true(fail_alloc_stop());
    for (int i = 0; i < MOST_PIECES; i++)
        assert_int_equal(job.done[i], 1);
    release(&h);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clipb_team *t = clipb_team_new(2);
        if (!fail_alloc_stop()) {
            clipb_team_free(t);
            break;
        }
        assert_null(t);
    }
}

/* ---- Fairness -------------------------------------------------------------------------------- */

enum { LONG_JOB = 4000 };

typedef struct long_job {
    clipb_team *team;
    _Atomic int helped; /* pieces that the caller did not do itself */
    _Atomic int done, enough;
    pthread_t thread;
} long_job;

static void nap_piece(void *job, int64_t i, int thread)
{
    long_job *l = job;
    (void)i;
    if (!atomic_load(&l->enough))
        nap();
    atomic_fetch_add(&l->helped, thread > 0);
    atomic_fetch_add(&l->done, 1);
}

static void *run_long(void *arg)
{
    long_job *l = arg;
    clipb_team_run(l->team, LONG_JOB, nap_piece, l);
    return NULL;
}

/* The caller's piece ends when the team's other thread has begun one. */
static void meet_piece(void *job, int64_t i, int thread)
{
    _Atomic int *helped = job;
    (void)i;
    if (thread > 0)
        atomic_store(helped, 1);
    wait_for(helped, 1);
}

static void a_long_job_does_not_keep_the_team(void **state)
{
    (void)state;
    long_job l = {.team = clipb_team_new(2)};
    _Atomic int helped = 0;
    assert_non_null(l.team);
    assert_int_equal(pthread_create(&l.thread, NULL, run_long, &l), 0);
    wait_for(&l.helped, 1);
    clipb_team_run(l.team, 2, meet_piece, &helped);
    assert_true(atomic_load(&l.done) < LONG_JOB);
    atomic_store(&l.enough, 1);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.done, LONG_JOB);
    clipb_team_free(l.team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_share_a_team),       cmocka_unit_test(a_caller_waits_for_its_own_job_only),
        cmocka_unit_test(a_forked_child_works_alone), cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(a_long_job_does_not_keep_the_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
