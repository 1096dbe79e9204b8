/* `left` counts down the pieces of a job. A thread that takes a number above 0 from it owns a
 * piece. The job's other fields stay valid until all pieces are done. A late thread finds no
 * piece left and reads nothing else. */
#include "base/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define SPIN_SECONDS 30e-6 /* the wait between two jobs of a forward pass; longer waits sleep */

typedef struct member {
    clipb_team *team;
    int number;
    pthread_t thread;
} member;

struct clipb_team {
    pid_t process; /* the process that made the team; a fork of it has none of the threads */
    /* the job */
    clipb_piece *piece;
    void *job;
    int64_t n;
    _Alignas(64) _Atomic int64_t left; /* pieces not taken yet; below 1: none */
    _Alignas(64) _Atomic int64_t done;
    /* sleeping */
    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t work, finished;
    _Atomic int sleepers;
    _Atomic bool caller_sleeps, closing;
    int threads;
    member *members; /* [threads - 1] */
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Do pieces until none are left. */
static void work(clipb_team *t, int thread)
{
    while (atomic_load(&t->left) > 0) {
        int64_t taken = atomic_fetch_sub(&t->left, 1);
        if (taken < 1)
            return;
        const int64_t n = t->n; /* the job does not end before this piece */
        t->piece(t->job, n - taken, thread);
        if (atomic_fetch_add(&t->done, 1) + 1 == n && atomic_load(&t->caller_sleeps)) {
            pthread_mutex_lock(&t->lock);
            pthread_cond_signal(&t->finished);
            pthread_mutex_unlock(&t->lock);
        }
    }
}

static bool wanted(clipb_team *t) { return atomic_load(&t->left) > 0 || atomic_load(&t->closing); }

static void *member_main(void *arg)
{
    const member *m = arg;
    clipb_team *t = m->team;
    while (!atomic_load(&t->closing)) {
        work(t, m->number);
        for (double end = clipb_now() + SPIN_SECONDS; !wanted(t) && clipb_now() < end;)
            for (int i = 0; i < 20 && !wanted(t); i++)
                relax();
        if (wanted(t))
            continue;
        pthread_mutex_lock(&t->lock);
        atomic_fetch_add(&t->sleepers, 1);
        while (!wanted(t))
            pthread_cond_wait(&t->work, &t->lock);
        atomic_fetch_sub(&t->sleepers, 1);
        pthread_mutex_unlock(&t->lock);
    }
    return NULL;
}

static bool all_done(clipb_team *t) { return atomic_load(&t->done) == t->n; }

/* True in a forked child, where the other threads do not exist. The child must not touch the lock,
 * which one of them may have held. */
static bool alone(const clipb_team *t) { return t->threads < 2 || getpid() != t->process; }

void clipb_team_run(clipb_team *t, int64_t n, clipb_piece *piece, void *job)
{
    if (!t || n < 2 || alone(t)) {
        for (int64_t i = 0; i < n; i++)
            piece(job, i, 0);
        return;
    }
    t->piece = piece;
    t->job = job;
    t->n = n;
    atomic_store(&t->done, 0);
    atomic_store(&t->left, n); /* from here on all threads take pieces */
    if (atomic_load(&t->sleepers) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
    }
    work(t, 0);
    for (double end = clipb_now() + SPIN_SECONDS; !all_done(t) && clipb_now() < end;)
        for (int i = 0; i < 20 && !all_done(t); i++)
            relax();
    if (all_done(t))
        return;
    pthread_mutex_lock(&t->lock); /* the thread with the last piece may need this core */
    atomic_store(&t->caller_sleeps, true);
    while (!all_done(t))
        pthread_cond_wait(&t->finished, &t->lock);
    atomic_store(&t->caller_sleeps, false);
    pthread_mutex_unlock(&t->lock);
}

clipb_team *clipb_team_new(int threads)
{
    clipb_team *t = aligned_alloc(64, (sizeof *t + 63) / 64 * 64);
    if (!t)
        return NULL;
    *t = (clipb_team){.threads = 1, .process = getpid()};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->finished, NULL);
    t->members = threads > 1 ? calloc((size_t)threads - 1, sizeof *t->members) : NULL;
    bool started = threads < 2 || t->members;
    for (int i = 1; started && i < threads; i++) {
        member *m = &t->members[i - 1];
        *m = (member){.team = t, .number = i};
        started = pthread_create(&m->thread, NULL, member_main, m) == 0;
        t->threads += started;
    }
    if (!started) {
        clipb_team_free(t);
        return NULL;
    }
    return t;
}

void clipb_team_free(clipb_team *t)
{
    if (!t)
        return;
    if (!alone(t)) {
        pthread_mutex_lock(&t->lock);
        atomic_store(&t->closing, true);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
        for (int i = 1; i < t->threads; i++)
            pthread_join(t->members[i - 1].thread, NULL);
        pthread_cond_destroy(&t->finished);
        pthread_cond_destroy(&t->work);
        pthread_mutex_destroy(&t->lock);
    }
    free(t->members);
    free(t);
}

int clipb_team_threads(const clipb_team *t) { return t ? t->threads : 1; }

int clipb_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? n : 1;
}
