/* The hub's cache, written: folders, links, references, locks. Blobs are written by fetch.c. */
#include "hub/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 200 };

/* ---- Folders --------------------------------------------------------------------------------- */

clip_status cliphub_make_folder(const char *dir, clip_error *err)
{
    char *path = strdup(dir);
    if (!path)
        return clipb_nomem(err, dir);
    int fault = 0;
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        fault = mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : errno;
        if (!slash || (fault && fault != EROFS && fault != EACCES))
            break; /* a folder above may be there, and yet not be writable */
        *slash = '/';
    }
    free(path);
    if (!fault && !clipb_is_dir(dir))
        fault = ENOTDIR;
    return fault ? clipb_fail(err, CLIP_EIO, dir, "cannot be made: %s", strerror(fault)) : CLIP_OK;
}

clip_status cliphub_enter_folder(const char *dir, const char *name, char **out, clip_error *err)
{
    struct stat st;
    *out = clipb_path_join(dir, name);
    if (!*out)
        return clipb_nomem(err, dir);
    clip_status s = CLIP_OK;
    if (mkdir(*out, 0777) < 0 && errno != EEXIST)
        s = clipb_fail(err, CLIP_EIO, *out, "cannot be made: %s", strerror(errno));
    else if (lstat(*out, &st) < 0 || !S_ISDIR(st.st_mode))
        s = clipb_fail(err, CLIP_EFORMAT, *out, "must be a folder, and not a link");
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    return s;
}

/* dir becomes dir/name. */
static clip_status descend(char **dir, const char *name, clip_error *err)
{
    char *deeper;
    TRY(cliphub_enter_folder(*dir, name, &deeper, err));
    free(*dir);
    *dir = deeper;
    return CLIP_OK;
}

/* Make the folders in front of the last name of `path`, below *dir. *dir becomes the deepest.
 * @return: the last name, in path; NULL on error. */
static const char *descend_to(char **dir, const char *path, clip_status *s, clip_error *err)
{
    *s = CLIP_OK;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        char *name = strndup(path, (size_t)(slash - path));
        *s = name ? descend(dir, name, err) : clipb_nomem(err, path);
        free(name);
        if (*s < 0)
            return NULL;
    }
    return path;
}

/* ---- Links and references -------------------------------------------------------------------- */

static clip_status make_link(const char *path, const char *target, clip_error *err)
{
    char is[PATH_MAX];
    const ssize_t n = readlink(path, is, sizeof is - 1);
    if (n > 0 && (size_t)n == strlen(target) && memcmp(is, target, (size_t)n) == 0)
        return CLIP_OK;
    unlink(path);
    if (symlink(target, path) == 0 || errno == EEXIST) /* another process has just made it */
        return CLIP_OK;
    return clipb_fail(err, CLIP_EIO, path, "cannot be made: %s", strerror(errno));
}

clip_status cliphub_link(const char *folder, const char *commit, const char *file, const char *etag, clip_error *err)
{
    char target[PATH_MAX], *dir, *path = NULL;
    clip_status s;
    TRY(cliphub_enter_folder(folder, "snapshots", &dir, err));
    s = descend(&dir, commit, err);
    const char *name = s == CLIP_OK ? descend_to(&dir, file, &s, err) : NULL;
    if (name) {
        const bool deeper = name != file;
        snprintf(target, sizeof target, "%s../../blobs/%s", deeper ? "../" : "", etag);
        path = clipb_path_join(dir, name);
        s = path ? make_link(path, target, err) : clipb_nomem(err, file);
    }
    free(path);
    free(dir);
    return s;
}

clip_status cliphub_write_ref(const char *folder, const char *revision, const char *commit, clip_error *err)
{
    char *dir, *path = NULL;
    clipb_output o;
    clip_status s;
    TRY(cliphub_enter_folder(folder, "refs", &dir, err));
    const char *name = descend_to(&dir, revision, &s, err);
    if (name) {
        struct stat st;
        path = clipb_path_join(dir, name);
        s = path ? CLIP_OK : clipb_nomem(err, folder);
        if (path && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
            unlink(path); /* clipb_output_open() would follow it */
        if (s == CLIP_OK)
            s = clipb_output_open(&o, path, err);
        if (s == CLIP_OK)
            s = clipb_output_close(&o, clipb_output_write(&o, commit, strlen(commit), err), err);
    }
    free(path);
    free(dir);
    return s;
}

/* ---- Locks ----------------------------------------------------------------------------------- */

/* What the holder has written into the lock. huggingface_hub writes nothing. */
static void read_holder(int fd, char *out, size_t size)
{
    char text[128];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    snprintf(out, size, "%s", *text ? text : "another process");
}

static void write_holder(int fd)
{
    char host[64] = "", text[128];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (pwrite(fd, text, (size_t)n, 0) < 0 || ftruncate(fd, n) < 0) {
    } /* then it is only "another process" */
}

/* Some versions of huggingface_hub remove a lock's file when they let go of it. */
static bool is_still_there(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

static clip_status take(const char *path, cliphub_wait wait, void *user, cliphub_lock *lock, bool *stopped,
                        clip_error *err)
{
    char holder[128];
    for (;;) {
        lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (lock->fd < 0)
            return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
        while (flock(lock->fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EWOULDBLOCK)
                return CLIP_OK; /* no locks here */
            poll(NULL, 0, WAIT_MS); /* a short wait is not worth telling, and the holder may be about to write */
            read_holder(lock->fd, holder, sizeof holder);
            *stopped = !wait(user, holder);
            if (*stopped) {
                cliphub_lock_free(lock);
                return CLIP_OK;
            }
        }
        if (is_still_there(lock->fd, path))
            break;
        cliphub_lock_free(lock);
    }
    write_holder(lock->fd);
    return CLIP_OK;
}

clip_status cliphub_lock_take(const char *root, const char *repo, const char *etag, cliphub_wait wait, void *user,
                              cliphub_lock *lock, bool *stopped, clip_error *err)
{
    char *locks = clipb_path_join(root, ".locks"), *dir = locks ? cliphub_repo_folder(locks, repo) : NULL,
         *stem = dir ? clipb_path_join(dir, etag) : NULL, *path = NULL;
    lock->fd = -1;
    *stopped = false;
    clip_status s = stem && asprintf(&path, "%s.lock", stem) >= 0 ? cliphub_make_folder(dir, err)
                                                                  : clipb_nomem(err, repo);
    if (s == CLIP_OK)
        s = take(path, wait, user, lock, stopped, err);
    free(path);
    free(stem);
    free(dir);
    free(locks);
    return s;
}

void cliphub_lock_free(cliphub_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}
