/* Jobs are in desks: a caller takes a free desk for one job and leaves it to the next caller. A
 * desk lives as long as its team, so a thread may look at one whose job has ended.
 *
 * A job is its desk's `left`, counting down. A thread that takes a number above 0 from it has a
 * piece. The desk's other fields then stay until the piece is done, because the caller waits for
 * it. A thread that comes late finds nothing left and touches nothing; if the next job is in the
 * desk by then, it takes a piece of that one. */
#include "base/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NANOSECONDS 30000 /* between two jobs of a forward pass; a longer wait is slept through */

typedef struct member {
    clipb_team *team;
    int number;
    pthread_t thread;
} member;

typedef struct desk {
    struct desk *next;
    clipb_piece *piece;
    void *job;
    int64_t n;
    pthread_cond_t finished; /* with the team's lock */
    _Atomic bool taken, caller_sleeps;
    _Alignas(64) _Atomic int64_t left; /* pieces that no thread has taken yet; below 1: none */
    _Alignas(64) _Atomic int64_t done;
} desk;

struct clipb_team {
    pid_t process; /* that made it: a fork of it has the team, but none of its threads */
    desk *_Atomic desks; /* the newest first; as many as there have been callers at the same time */
    int threads;
    member *members; /* [threads - 1] */
    _Alignas(64) pthread_mutex_t lock; /* for sleeping */
    pthread_cond_t work;
    _Atomic int sleepers;
    _Atomic bool closing;
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Do a piece of the desk's job. @return: false if there was none left */
static bool do_piece(clipb_team *t, desk *d, int thread)
{
    if (atomic_load(&d->left) < 1)
        return false;
    const int64_t taken = atomic_fetch_sub(&d->left, 1);
    if (taken < 1)
        return false;
    const int64_t n = d->n; /* the job cannot end before this piece does */
    d->piece(d->job, n - taken, thread);
    if (atomic_fetch_add(&d->done, 1) + 1 == n && atomic_load(&d->caller_sleeps)) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_signal(&d->finished);
        pthread_mutex_unlock(&t->lock);
    }
    return true;
}

static bool any_left(clipb_team *t)
{
    for (desk *d = atomic_load(&t->desks); d; d = d->next)
        if (atomic_load(&d->left) > 0)
            return true;
    return false;
}

static bool wanted(clipb_team *t) { return any_left(t) || atomic_load(&t->closing); }

/* A piece of each job in turn, while there are any. */
static void do_pieces(clipb_team *t, int thread)
{
    for (bool any = true; any;) {
        any = false;
        for (desk *d = atomic_load(&t->desks); d; d = d->next)
            any |= do_piece(t, d, thread);
    }
}

static void *member_main(void *arg)
{
    const member *m = arg;
    clipb_team *t = m->team;
    while (!atomic_load(&t->closing)) {
        do_pieces(t, m->number);
        for (int64_t end = now() + SPIN_NANOSECONDS; !wanted(t) && now() < end;)
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

/* NULL: out of memory */
static desk *add_desk(clipb_team *t)
{
    desk *d = aligned_alloc(64, (sizeof *d + 63) / 64 * 64);
    if (!d)
        return NULL;
    *d = (desk){.next = atomic_load(&t->desks), .taken = true};
    pthread_cond_init(&d->finished, NULL);
    while (!atomic_compare_exchange_weak(&t->desks, &d->next, d))
        ;
    return d;
}

static desk *take_desk(clipb_team *t)
{
    for (desk *d = atomic_load(&t->desks); d; d = d->next)
        if (!atomic_load(&d->taken) && !atomic_exchange(&d->taken, true))
            return d;
    return add_desk(t);
}

static bool all_done(desk *d) { return atomic_load(&d->done) == d->n; }

static void wait_for_begun(clipb_team *t, desk *d)
{
    for (int64_t end = now() + SPIN_NANOSECONDS; !all_done(d) && now() < end;)
        for (int i = 0; i < 20 && !all_done(d); i++)
            relax();
    if (all_done(d))
        return;
    pthread_mutex_lock(&t->lock); /* the thread with the last piece may be waiting for this core */
    atomic_store(&d->caller_sleeps, true);
    while (!all_done(d))
        pthread_cond_wait(&d->finished, &t->lock);
    atomic_store(&d->caller_sleeps, false);
    pthread_mutex_unlock(&t->lock);
}

/* The members are in another process. What they left in the team, such as a lock that they held, is
 * not looked at. */
static bool alone(const clipb_team *t) { return t->threads < 2 || getpid() != t->process; }

void clipb_team_run(clipb_team *t, int64_t n, clipb_piece *piece, void *job)
{
    desk *d = t && n > 1 && !alone(t) ? take_desk(t) : NULL;
    if (!d) {
        for (int64_t i = 0; i < n; i++)
            piece(job, i, 0);
        return;
    }
    d->piece = piece;
    d->job = job;
    d->n = n;
    atomic_store(&d->done, 0);
    atomic_store(&d->left, n); /* from here on the job is everybody's */
    if (atomic_load(&t->sleepers) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
    }
    while (do_piece(t, d, 0))
        ;
    wait_for_begun(t, d);
    atomic_store(&d->taken, false);
}

clipb_team *clipb_team_new(int threads)
{
    clipb_team *t = aligned_alloc(64, (sizeof *t + 63) / 64 * 64);
    if (!t)
        return NULL;
    *t = (clipb_team){.threads = 1, .process = getpid()};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    desk *first = threads > 1 ? add_desk(t) : NULL; /* one caller at a time never needs another */
    if (first)
        atomic_store(&first->taken, false);
    t->members = first ? calloc((size_t)threads - 1, sizeof *t->members) : NULL;
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
    const bool ours = getpid() == t->process;
    if (ours) {
        pthread_mutex_lock(&t->lock);
        atomic_store(&t->closing, true);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
        for (int i = 1; i < t->threads; i++)
            pthread_join(t->members[i - 1].thread, NULL);
        pthread_cond_destroy(&t->work);
        pthread_mutex_destroy(&t->lock);
    }
    for (desk *d = atomic_load(&t->desks), *next; d; d = next) {
        next = d->next;
        if (ours)
            pthread_cond_destroy(&d->finished);
        free(d);
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
