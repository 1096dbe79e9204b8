/* One file of the hub becomes a blob of the cache. Its bytes are appended to blobs/ETAG.clip-part,
 * which stays whatever happens. Once it has the right size and hash it takes its name. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/pull.h"

enum { MOST_TRIES = 5 };

/* ---- Names and sizes ------------------------------------------------------------------------- */

static bool blob_path(const cliphub_puller *p, const cliphub_file *f, const char *ending, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/%s%s", p->blobs, f->etag, ending) < PATH_MAX;
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

int64_t cliphub_blob_size(const cliphub_puller *p, const cliphub_file *f)
{
    char path[PATH_MAX];
    const int64_t size = blob_path(p, f, "", path) ? size_of(path) : -1;
    return f->size < 0 || size == f->size ? size : -1;
}

int64_t cliphub_part_size(const cliphub_puller *p, const cliphub_file *f)
{
    char path[PATH_MAX];
    const int64_t size = blob_path(p, f, CLIPHUB_PART, path) ? size_of(path) : -1;
    return size > 0 && (f->size < 0 || size <= f->size) ? size : 0;
}

/* ---- Trying again ---------------------------------------------------------------------------- */

bool cliphub_wait_again(cliphub_puller *p, int *tries)
{
    static const int wait_ms[MOST_TRIES] = {100, 300, 1000, 3000, 5000};
    if (*tries >= MOST_TRIES)
        return false;
    for (int left = wait_ms[(*tries)++]; left > 0; left -= 100) {
        if (!cliphub_tick(p))
            return false;
        poll(NULL, 0, 100);
    }
    return true;
}

static bool may_pass(long code) { return code == 408 || code == 429 || code >= 500; }

/* ---- The part of a blob ---------------------------------------------------------------------- */

typedef struct part {
    cliphub_puller *p;
    const cliphub_file *f;
    const char *path;
    int fd;
    int64_t have;    /* bytes */
    int64_t before;  /* bytes of the files before this one */
    int fault;       /* errno of a failed write */
    bool begun;      /* the answer under way has sent bytes */
    bool misplaced;  /* it does not begin where it was asked to */
    bool too_long;
} part;

static void set_have(part *t, int64_t have)
{
    t->have = have;
    t->p->now.done = t->before + have;
}

static bool start_again(part *t)
{
    if (ftruncate(t->fd, 0) < 0)
        t->fault = errno;
    set_have(t, 0);
    return t->fault == 0;
}

static bool write_all(part *t, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t put = pwrite(t->fd, bytes, n, t->have);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            t->fault = put < 0 ? errno : ENOSPC;
            return false;
        }
        set_have(t, t->have + put);
        t->p->now.fetched += put;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

/* A server that does not know ranges sends the whole file. */
static bool begin(part *t, const cliphub_reply *reply)
{
    const int64_t from = reply->code == 206 ? reply->from : 0;
    t->begun = true;
    if (from == t->have)
        return true;
    t->misplaced = from != 0;
    return from == 0 && start_again(t);
}

static bool on_bytes(void *user, const cliphub_reply *reply, const void *bytes, size_t n)
{
    part *t = user;
    if (!t->begun && !begin(t, reply))
        return false;
    t->too_long = t->f->size >= 0 && t->have + (int64_t)n > t->f->size;
    return !t->too_long && write_all(t, bytes, n);
}

static clip_status fail_write(const part *t)
{
    return clipb_fail(t->p->err, CLIP_EIO, t->path,
                      "cannot be written: %s. What has come of %s stays; 'clip pull' goes on from there",
                      strerror(t->fault), t->f->name);
}

/* ---- Fetching -------------------------------------------------------------------------------- */

/* One request. *again: it may help to try again. */
static clip_status request(part *t, const char *address, bool *again)
{
    cliphub_reply reply;
    t->begun = t->misplaced = t->too_long = false;
    const cliphub_outcome outcome = cliphub_http_get(t->p->http, address, t->have, on_bytes, t, &reply);
    *again = outcome == CLIPHUB_BROKEN || (outcome == CLIPHUB_ANSWERED && may_pass(reply.code)) || t->misplaced;
    if (t->fault)
        return fail_write(t);
    if (t->misplaced || (outcome == CLIPHUB_ANSWERED && reply.code == 416)) {
        *again = true;
        return start_again(t) ? clipb_fail(t->p->err, CLIP_EIO, t->p->text, "%s: the server sends another part than "
                                           "it was asked for", t->f->name)
                              : fail_write(t);
    }
    if (t->too_long)
        return clipb_fail(t->p->err, CLIP_EFORMAT, t->p->text, "%s: the server sends more than the %lld bytes that it "
                          "has said", t->f->name, (long long)t->f->size);
    if (outcome != CLIPHUB_ANSWERED)
        return cliphub_fault(t->p, t->f->name, outcome);
    if (reply.code != 200 && reply.code != 206)
        return cliphub_refused(t->p, t->f->name, &reply);
    if (!t->begun && t->have > 0 && reply.code == 200) /* a whole file without bytes */
        return start_again(t) ? CLIP_OK : fail_write(t);
    *again = t->f->size >= 0 && t->have < t->f->size;
    return *again ? clipb_fail(t->p->err, CLIP_EIO, t->p->text, "%s: the server ends it after %lld of %lld bytes",
                               t->f->name, (long long)t->have, (long long)t->f->size)
                  : CLIP_OK;
}

/* Request until all bytes are there. */
static clip_status complete(part *t)
{
    char address[1024];
    if (!cliphub_path(t->p, t->f->name, address, sizeof address))
        return clipb_fail(t->p->err, CLIP_EFORMAT, t->p->text, "the name of a file is too long");
    for (int tries = 0;;) {
        if (t->f->size >= 0 && t->have == t->f->size && (t->have > 0 || t->begun))
            return CLIP_OK;
        const int64_t had = t->have;
        bool again;
        const clip_status s = request(t, address, &again);
        if (s == CLIP_OK)
            return s;
        tries = t->have > had ? 0 : tries;
        if (!again || !cliphub_wait_again(t->p, &tries))
            return s;
    }
}

/* All bytes, with the right hash. Bytes from an earlier call may be wrong; then all of them are
 * fetched once more. */
static clip_status complete_soundly(part *t)
{
    for (bool fresh = t->have == 0;; fresh = true) {
        bool same;
        TRY(complete(t));
        TRY(cliphub_check_hash(t->fd, t->path, t->f->etag, cliphub_tick, t->p, &same, t->p->err));
        if (same)
            return CLIP_OK;
        if (t->p->stopped)
            return CLIP_EIO;
        if (!start_again(t))
            return fail_write(t);
        if (fresh)
            return clipb_fail(t->p->err, CLIP_EFORMAT, t->p->text, "%s: its hash is not the one that the hub has for "
                              "it (%s); nothing of it is kept", t->f->name, t->f->etag);
    }
}

/* The part takes the blob's name. A blob that is a link is replaced, and not written through. */
static clip_status finish(const part *t)
{
    char path[PATH_MAX];
    blob_path(t->p, t->f, "", path);
    if ((fsync(t->fd) < 0 && errno != EINVAL && errno != ENOTSUP) || rename(t->path, path) < 0)
        return clipb_fail(t->p->err, CLIP_EIO, path, "cannot be written: %s", strerror(errno));
    return clipb_dir_sync(t->p->blobs, t->p->err);
}

static clip_status fetch_part(cliphub_puller *p, const cliphub_file *f, const char *path)
{
    struct stat st;
    part t = {.p = p, .f = f, .path = path};
    t.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (t.fd < 0)
        return clipb_fail(p->err, CLIP_EIO, path, "cannot be written: %s", strerror(errno));
    clip_status s = fstat(t.fd, &st) == 0 && S_ISREG(st.st_mode)
                        ? CLIP_OK : clipb_fail(p->err, CLIP_EIO, path, "is not a regular file");
    if (s == CLIP_OK) {
        const int64_t had = cliphub_part_size(p, f);
        t.before = p->now.done - had; /* pull.c has counted it */
        t.have = st.st_size;
        if (f->size >= 0 && t.have > f->size && !start_again(&t))
            s = fail_write(&t);
        set_have(&t, t.have);
    }
    if (s == CLIP_OK)
        s = complete_soundly(&t);
    if (s == CLIP_OK)
        s = finish(&t);
    close(t.fd);
    return s;
}

static bool on_wait(void *user, const char *holder)
{
    cliphub_puller *p = user;
    p->now.waiting = holder;
    const bool goes_on = cliphub_tick(p);
    p->now.waiting = NULL;
    return goes_on;
}

clip_status cliphub_fetch(cliphub_puller *p, const cliphub_file *f)
{
    char path[PATH_MAX];
    cliphub_lock lock;
    bool stopped;
    if (!blob_path(p, f, CLIPHUB_PART, path))
        return clipb_fail(p->err, CLIP_EIO, p->blobs, "this path is too long");
    cliphub_begin_file(p, f->name);
    const int64_t counted = cliphub_part_size(p, f), before = p->now.done;
    TRY(cliphub_lock_take(p->root, p->name.repo, f->etag, on_wait, p, &lock, &stopped, p->err));
    if (stopped)
        return CLIP_EIO;
    clip_status s = CLIP_OK;
    const int64_t size = cliphub_blob_size(p, f); /* another process may have fetched it meanwhile */
    p->now.done = before - counted;
    if (size >= 0) {
        p->now.done += size;
    } else {
        p->now.done += cliphub_part_size(p, f);
        s = fetch_part(p, f, path);
    }
    cliphub_lock_free(&lock);
    return s;
}
