/* What every function of a handle needs: warnings, the process that owns it, holds against a
 * refresh, and the threads that search. */
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/line.h"
#include "index/index.h"

void clipidx_warn(const clip_index *x, const char *fmt, ...)
{
    char line[1024];
    if (!x->warn)
        return;
    va_list ap;
    va_start(ap, fmt);
    clipb_line(line, sizeof line, fmt, ap);
    va_end(ap);
    x->warn(x->warn_user, line);
}

clip_status clipidx_check_process(const clip_index *x, clip_error *err)
{
    static const char forked[] = "was opened before this process was forked: it has to open it anew";
    return getpid() == x->process ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, forked);
}

clipidx_shared *clipidx_shared_new(void)
{
    clipidx_shared *shared = calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    pthread_mutex_init(&shared->store, NULL);
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->released, NULL);
    return shared;
}

void clipidx_shared_free(clipidx_shared *shared, bool forked)
{
    if (!shared)
        return;
    clipb_team_free(shared->own_team);
    if (!forked) {
        pthread_mutex_destroy(&shared->store);
        pthread_mutex_destroy(&shared->lock);
        pthread_cond_destroy(&shared->released);
    }
    free(shared);
}

/* ---- Holds ---- */

static _Thread_local int64_t own_holds; /* this thread's, of any index */

void clipidx_hold(const clip_index *x)
{
    clipidx_shared *shared = x->shared;
    if (getpid() == x->process) {
        pthread_mutex_lock(&shared->lock);
        while (shared->refreshing && own_holds == 0)
            pthread_cond_wait(&shared->released, &shared->lock);
        shared->holds++;
        pthread_mutex_unlock(&shared->lock);
    }
    own_holds++;
}

void clipidx_release(const clip_index *x)
{
    clipidx_shared *shared = x->shared;
    own_holds--;
    if (getpid() == x->process) {
        pthread_mutex_lock(&shared->lock);
        if (--shared->holds == 0)
            pthread_cond_broadcast(&shared->released);
        pthread_mutex_unlock(&shared->lock);
    }
}

clip_status clipidx_check_free(const clip_index *x, clip_error *err)
{
    return own_holds == 0
               ? CLIP_OK : clipb_fail(err, CLIP_EBUSY, x->dir, "a thread that holds an index cannot refresh one");
}

void clipidx_begin_swap(const clip_index *x)
{
    clipidx_shared *shared = x->shared;
    pthread_mutex_lock(&shared->lock);
    shared->refreshing = true;
    while (shared->holds > 0)
        pthread_cond_wait(&shared->released, &shared->lock);
}

void clipidx_end_swap(const clip_index *x)
{
    clipidx_shared *shared = x->shared;
    shared->refreshing = false;
    pthread_cond_broadcast(&shared->released);
    pthread_mutex_unlock(&shared->lock);
}

/* ---- Threads ---- */

clipb_team *clipidx_team(const clip_index *x)
{
    clipidx_shared *shared = x->shared;
    if (x->team || x->threads < 2)
        return x->team;
    pthread_mutex_lock(&shared->lock);
    if (!shared->own_team)
        shared->own_team = clipb_team_new(x->threads); /* without one the caller does it alone */
    clipb_team *team = shared->own_team;
    pthread_mutex_unlock(&shared->lock);
    return team;
}
