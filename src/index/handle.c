/* What every function of a handle needs: warnings, the process that owns it, and the lock
 * against a refresh. */
#include <stdarg.h>
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

void clipidx_hold(const clip_index *x)
{
    if (getpid() == x->process)
        pthread_rwlock_rdlock(&x->shared->refresh);
}

void clipidx_release(const clip_index *x)
{
    if (getpid() == x->process)
        pthread_rwlock_unlock(&x->shared->refresh);
}
