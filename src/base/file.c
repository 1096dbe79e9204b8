#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapped.h"

int64_t clipb_mtime(const struct stat *st) { return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec; }

clip_status clipb_map_open(const char *path, clipb_map *out, clip_error *err)
{
    *out = (clipb_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no wait for the writer of a FIFO */
    if (fd < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    struct stat st;
    clip_status s = CLIP_OK;
    if (fstat(fd, &st) < 0)
        s = clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        s = clipb_fail(err, CLIP_EIO, path, "%s",
                       S_ISDIR(st.st_mode) ? "is a directory, not a file" : "is not a regular file");
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            s = clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, path, "cannot be mapped: %s",
                           strerror(errno));
        else
            *out = (clipb_map){p, (size_t)st.st_size, st.st_ino, clipb_mtime(&st), fd};
        if (s == CLIP_OK && !clipb_mapped_add(p, (size_t)st.st_size, path)) {
            clipb_map_close(out);
            return clipb_nomem(err, path);
        }
    }
    if (!out->data)
        close(fd);
    return s;
}

void clipb_map_close(clipb_map *m)
{
    if (m->data) {
        clipb_mapped_remove(m->data);
        munmap((void *)(uintptr_t)m->data, m->size);
        close(m->fd);
    }
    *m = (clipb_map){0};
}

clip_status clipb_map_check(const clipb_map *m, clip_error *err)
{
    struct stat st;
    if (!m->data || (fstat(m->fd, &st) == 0 && (uint64_t)st.st_size == m->size && clipb_mtime(&st) == m->mtime))
        return CLIP_OK;
    return clipb_fail(err, CLIP_EIO, clipb_mapped_file(m->data), "has been written to since it was opened");
}

void clipb_map_drop(const clipb_map *m, const void *at, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)at + page - 1) / page * page, to = ((uintptr_t)at + bytes) / page * page;
    if (m->data && from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Read an open file whole. `expected` is its likely size, which one read() then covers. */
static clip_status read_all(int fd, const char *name, size_t expected, size_t limit, unsigned char **data, size_t *size,
                            clip_error *err)
{
    size_t capacity = expected + 2, n = 0; /* one to see the end, one for the closing 0 */
    unsigned char *p = malloc(capacity);
    while (p) {
        const ssize_t got = read(fd, p + n, capacity - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got < 0)
                break;
            p[n] = 0;
            *data = p;
            *size = n;
            return CLIP_OK;
        }
        n += (size_t)got;
        if (n > limit) {
            free(p);
            return clipb_fail(err, CLIP_ELIMIT, name, "more than the %zu bytes allowed", limit);
        }
        if (n + 1 == capacity) {
            unsigned char *q = realloc(p, capacity *= 2);
            if (!q)
                free(p);
            p = q;
        }
    }
    const clip_status s = p ? clipb_fail(err, CLIP_EIO, name, "%s", strerror(errno)) : clipb_nomem(err, name);
    free(p);
    return s;
}

/* May the open file be read, and is it within the limit? */
static clip_status check_file(int fd, const char *name, bool any, size_t limit, size_t *expected, clip_error *err)
{
    struct stat st;
    *expected = 1 << 16;
    if (fstat(fd, &st) < 0)
        return clipb_fail(err, CLIP_EIO, name, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return clipb_fail(err, CLIP_EIO, name, "%s", strerror(EISDIR));
    if (!S_ISREG(st.st_mode))
        return any ? CLIP_OK : clipb_fail(err, CLIP_EIO, name, "is not a regular file");
    if ((uint64_t)st.st_size > limit)
        return clipb_fail(err, CLIP_ELIMIT, name, "%lld bytes are more than the %zu allowed", (long long)st.st_size,
                          limit);
    *expected = (size_t)st.st_size;
    return CLIP_OK;
}

static clip_status read_path(const char *path, bool any, size_t limit, unsigned char **data, size_t *size,
                             clip_error *err)
{
    const bool in = any && strcmp(path, "-") == 0;
    const char *name = in ? "standard input" : path;
    size_t expected;
    *data = NULL;
    *size = 0;
    const int fd =
        in ? STDIN_FILENO
           : open(path, O_RDONLY | O_CLOEXEC | (any ? 0 : O_NONBLOCK)); /* opening a pipe would wait for its writer */
    if (fd < 0)
        return clipb_fail(err, CLIP_EIO, name, "%s", strerror(errno));
    clip_status s = check_file(fd, name, any, limit, &expected, err);
    if (s == CLIP_OK)
        s = read_all(fd, name, expected, limit, data, size, err);
    if (!in)
        close(fd);
    return s;
}

clip_status clipb_read_file(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err)
{
    return read_path(path, false, limit, data, size, err);
}

clip_status clipb_read_named(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err)
{
    return read_path(path, true, limit, data, size, err);
}

/* ---- Writing --------------------------------------------------------------------------------- */

clip_status clipb_dir_sync(const char *dir, clip_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool failed = fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP);
    clip_status s = failed ? clipb_fail(err, CLIP_EIO, dir, "%s", strerror(errno)) : CLIP_OK;
    if (fd >= 0)
        close(fd);
    return s;
}

int clipb_create(const char *path)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -1;
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
}

/* The file to replace. A symbolic link is followed. */
static clip_status find_target(const char *path, char **out, clip_error *err)
{
    struct stat st;
    const bool there = lstat(path, &st) == 0, link = there && S_ISLNK(st.st_mode);
    *out = link ? realpath(path, NULL) : strdup(path);
    if (!*out && link && errno != ENOMEM)
        return clipb_fail(err, CLIP_EIO, path, "is a symbolic link that leads nowhere");
    if (!*out)
        return clipb_nomem(err, path);
    return there && (stat(*out, &st) < 0 || !S_ISREG(st.st_mode))
               ? clipb_fail(err, CLIP_EIO, path, "is not a regular file, which could be replaced")
               : CLIP_OK;
}

/* Open a temporary file under a free name. Another program may be writing the same file, or a user
 * may have a file of that name. */
static int open_temporary(clipb_output *o, size_t room)
{
    enum { TRIES = 1000 };
    int fd = -1;
    for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EEXIST); i++) {
        if (i == 0)
            snprintf(o->temporary, room, "%s.tmp", o->path);
        else
            snprintf(o->temporary, room, "%s.%d.tmp", o->path, i);
        fd = open(o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    }
    return fd;
}

clip_status clipb_output_open(clipb_output *o, const char *path, clip_error *err)
{
    *o = (clipb_output){0};
    clip_status s = find_target(path, &o->path, err);
    if (s < 0)
        return clipb_output_close(o, s, err);
    const size_t room = strlen(o->path) + 16;
    o->temporary = malloc(room);
    if (!o->temporary)
        return clipb_output_close(o, clipb_nomem(err, path), err);
    const int fd = open_temporary(o, room);
    o->f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (o->f)
        return CLIP_OK;
    s = clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, path, "%s", strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(o->temporary);
    }
    return clipb_output_close(o, s, err);
}

static clip_status fail_write(const clipb_output *o, clip_error *err)
{
    return clipb_fail(err, CLIP_EIO, o->path, "cannot be written: %s",
                      errno ? strerror(errno) : "the disk may be full");
}

clip_status clipb_output_write(clipb_output *o, const void *data, size_t size, clip_error *err)
{
    errno = 0;
    return size == 0 || fwrite(data, 1, size, o->f) == size ? CLIP_OK : fail_write(o, err);
}

clip_status clipb_output_close(clipb_output *o, clip_status s, clip_error *err)
{
    char *dir = NULL;
    if (s == CLIP_OK)
        s = (dir = clipb_path_dir(o->path)) ? CLIP_OK : clipb_nomem(err, o->path);
    errno = 0;
    if (s == CLIP_OK &&
        (fflush(o->f) != 0 || ferror(o->f) || (fsync(fileno(o->f)) < 0 && errno != EINVAL && errno != ENOTSUP)))
        s = fail_write(o, err);
    if (o->f && fclose(o->f) != 0 && s == CLIP_OK)
        s = fail_write(o, err);
    if (s == CLIP_OK && rename(o->temporary, o->path) < 0)
        s = fail_write(o, err);
    else if (s == CLIP_OK)
        s = clipb_dir_sync(dir, err);
    if (s < 0 && o->f)
        unlink(o->temporary);
    free(dir);
    free(o->path);
    free(o->temporary);
    *o = (clipb_output){0};
    return s;
}

/* ---- Directories ----------------------------------------------------------------------------- */

/* The directory behind symbolic links. If nothing is there, `path` without slashes at its end. */
static clip_status real_dir(const char *path, char **out, clip_error *err)
{
    *out = realpath(path, NULL);
    if (!*out && errno == ENOENT) {
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/')
            n--;
        *out = strndup(path, n);
    } else if (!*out && errno != ENOMEM) {
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    }
    return *out ? CLIP_OK : clipb_nomem(err, path);
}

/* .NAME.ending beside dir/NAME */
static clip_status sibling(const char *path, const char *ending, char **out, clip_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t dir = slash ? (size_t)(slash - path) + 1 : 0, size = strlen(path) + strlen(ending) + 2;
    *out = malloc(size);
    if (!*out)
        return clipb_nomem(err, path);
    snprintf(*out, size, "%.*s.%s%s", (int)dir, path, path + dir, ending);
    return CLIP_OK;
}

/* Remove a directory and the files in it. A missing directory is fine. Of a symbolic link only the
 * link is removed, because the target is not ours. */
static clip_status remove_dir(const char *path, clip_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return unlink(path) == 0 ? CLIP_OK : clipb_fail(err, CLIP_EIO, path, "cannot be removed: %s", strerror(errno));
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        const int fault = errno;
        if (fd >= 0)
            close(fd);
        return fault == ENOENT ? CLIP_OK : clipb_fail(err, CLIP_EIO, path, "%s", strerror(fault));
    }
    int fault = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(d), e->d_name, 0) < 0)
            fault = errno;
    closedir(d);
    if (rmdir(path) < 0 && !fault)
        fault = errno;
    return fault ? clipb_fail(err, CLIP_EIO, path, "cannot be removed: %s", strerror(fault)) : CLIP_OK;
}

clip_status clipb_dir_new(const char *path, char **tmp, clip_error *err)
{
    char *dir;
    *tmp = NULL;
    TRY(real_dir(path, &dir, err));
    clip_status s = sibling(dir, ".tmp", tmp, err);
    if (s == CLIP_OK)
        s = remove_dir(*tmp, err);
    if (s == CLIP_OK && mkdir(*tmp, 0777) < 0)
        s = clipb_fail(err, CLIP_EIO, path, "cannot be made: %s", strerror(errno));
    free(dir);
    if (s < 0) {
        free(*tmp);
        *tmp = NULL;
    }
    return s;
}

clip_status clipb_dir_check_empty(const char *path, clip_error *err)
{
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT
                   ? CLIP_OK
                   : clipb_fail(err, errno == ENOTDIR ? CLIP_EINVAL : CLIP_EIO, path, "%s", strerror(errno));
    bool empty = true;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    closedir(d);
    return empty ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, path, "is there already, and not empty");
}

/* Exchange two names in one step. False where the file system cannot. */
static bool exchange(const char *a, const char *b)
{
#ifdef RENAME_EXCHANGE
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#else
    (void)a;
    (void)b;
    return false;
#endif
}

typedef struct names {
    char *dir, *old, *parent;
} names;

static clip_status replace(const char *tmp, const names *n, clip_error *err)
{
    TRY(clipb_dir_sync(tmp, err));
    if (rename(tmp, n->dir) == 0) /* the old name was free, or an empty directory */
        return clipb_dir_sync(n->parent, err);
    if (errno != ENOTEMPTY && errno != EEXIST)
        return clipb_fail(err, CLIP_EIO, n->dir, "cannot be replaced: %s", strerror(errno));
    if (exchange(tmp, n->dir)) {
        TRY(clipb_dir_sync(n->parent, err));
        remove_dir(tmp, NULL); /* clipb_dir_new() reports files that stay */
        return CLIP_OK;
    }
    TRY(remove_dir(n->old, err));
    if (rename(n->dir, n->old) < 0)
        return clipb_fail(err, CLIP_EIO, n->dir, "cannot be replaced: %s", strerror(errno));
    if (rename(tmp, n->dir) < 0) {
        clip_status s = clipb_fail(err, CLIP_EIO, n->dir, "cannot be replaced: %s", strerror(errno));
        if (rename(n->old, n->dir) < 0)
            clipb_fail(err, s, n->dir, "cannot be replaced, and is now called %s", n->old);
        return s;
    }
    TRY(clipb_dir_sync(n->parent, err));
    remove_dir(n->old, NULL);
    return CLIP_OK;
}

clip_status clipb_dir_replace(const char *tmp, const char *path, clip_status s, clip_error *err)
{
    names n = {0};
    if (s == CLIP_OK)
        s = real_dir(path, &n.dir, err);
    if (s == CLIP_OK)
        s = sibling(n.dir, ".old", &n.old, err);
    if (s == CLIP_OK)
        s = (n.parent = clipb_path_dir(n.dir)) ? CLIP_OK : clipb_nomem(err, path);
    if (s == CLIP_OK)
        s = replace(tmp, &n, err);
    if (s < 0)
        remove_dir(tmp, NULL);
    free(n.dir);
    free(n.old);
    free(n.parent);
    return s;
}

clip_status clipb_dir_settle(const char *path, clip_error *err)
{
    char *dir, *old = NULL, *tmp = NULL;
    TRY(real_dir(path, &dir, err));
    clip_status s = sibling(dir, ".old", &old, err);
    if (s == CLIP_OK)
        s = sibling(dir, ".tmp", &tmp, err);
    if (s == CLIP_OK && !clipb_is_dir(dir) && clipb_is_dir(old) && rename(old, dir) < 0)
        s = clipb_fail(err, CLIP_EIO, dir, "%s", strerror(errno));
    if (s == CLIP_OK && clipb_is_dir(dir)) {
        remove_dir(old, NULL);
        remove_dir(tmp, NULL);
    }
    free(dir);
    free(old);
    free(tmp);
    return s;
}

/* ---- Paths and arrays ------------------------------------------------------------------------ */

char *clipb_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

char *clipb_path_join(const char *dir, const char *name)
{
    size_t d = strlen(dir), n = strlen(name);
    while (d > 1 && dir[d - 1] == '/')
        d--;
    char *p = malloc(d + n + 2);
    if (!p)
        return NULL;
    memcpy(p, dir, d);
    size_t slash = d > 0 && dir[d - 1] == '/' ? 0 : 1;
    p[d] = '/';
    memcpy(p + d + slash, name, n + 1);
    return p;
}

const char *clipb_path_below(const char *path, const char *root)
{
    const size_t n = strlen(root);
    if (n == 0 || strncmp(path, root, n) != 0)
        return NULL;
    if (path[n] == 0)
        return path + n;
    return root[n - 1] == '/' ? path + n : path[n] == '/' ? path + n + 1 : NULL;
}

char *clipb_path_written(const char *path)
{
    char *whole = *path == '/' ? strdup("/") : realpath(".", NULL);
    for (size_t n; whole && *path; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        if (n == 0 || (n == 1 && *path == '.'))
            continue;
        char *name = strndup(path, n), *next = NULL;
        if (name)
            next = strcmp(name, "..") == 0 ? clipb_path_dir(whole) : clipb_path_join(whole, name);
        free(name);
        free(whole);
        whole = next;
    }
    return whole;
}

bool clipb_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool clipb_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

clip_status clipb_grow(void **p, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return CLIP_OK;
    size_t want = *capacity > SIZE_MAX / 2 ? need : *capacity * 2, bytes;
    if (want < need)
        want = need;
    if (want < 16)
        want = 16;
    if (__builtin_mul_overflow(want, size, &bytes))
        return CLIP_ENOMEM;
    void *q = realloc(*p, bytes);
    if (!q)
        return CLIP_ENOMEM;
    *p = q;
    *capacity = want;
    return CLIP_OK;
}
