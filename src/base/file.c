#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

clip_status clipb_map_open(const char *path, clipb_map *out, clip_error *err)
{
    *out = (clipb_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO without a writer must not hang us */
    if (fd < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    struct stat st;
    clip_status s = CLIP_OK;
    if (fstat(fd, &st) < 0)
        s = clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        s = clipb_fail(err, CLIP_EIO, path, "%s", S_ISDIR(st.st_mode) ? "is a directory, not a file" : "is not a regular file");
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            s = clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, path, "cannot be mapped: %s", strerror(errno));
        else
            *out = (clipb_map){p, (size_t)st.st_size};
    }
    close(fd);
    return s;
}

void clipb_map_close(clipb_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (clipb_map){0};
}

void clipb_map_drop(const clipb_map *m, const void *at, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)at + page - 1) / page * page, to = ((uintptr_t)at + bytes) / page * page;
    if (m->data && from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

clip_status clipb_read_file(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err)
{
    *data = NULL;
    *size = 0;
    bool in = strcmp(path, "-") == 0;
    const char *name = in ? "standard input" : path;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return clipb_fail(err, CLIP_EIO, name, "%s", strerror(errno));
    struct stat st;
    size_t capacity = 1 << 16, n = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if ((uint64_t)st.st_size > limit) {
            if (!in)
                close(fd);
            return clipb_fail(err, CLIP_ELIMIT, name, "%lld bytes are more than the %zu allowed", (long long)st.st_size, limit);
        }
        capacity = (size_t)st.st_size + 2; /* one to see the end, one for the closing 0 */
    }
    clip_status s = CLIP_OK;
    unsigned char *p = malloc(capacity);
    for (;;) {
        if (!p) {
            s = clipb_fail(err, CLIP_ENOMEM, name, "out of memory");
            break;
        }
        ssize_t got = read(fd, p + n, capacity - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            s = clipb_fail(err, CLIP_EIO, name, "%s", strerror(errno));
            break;
        }
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > limit) {
            s = clipb_fail(err, CLIP_ELIMIT, name, "more than the %zu bytes allowed", limit);
            break;
        }
        if (n + 1 == capacity) {
            capacity *= 2;
            unsigned char *q = realloc(p, capacity);
            if (!q)
                free(p);
            p = q;
        }
    }
    if (!in)
        close(fd);
    if (s < 0) {
        free(p);
        return s;
    }
    p[n] = 0;
    *data = p;
    *size = n;
    return CLIP_OK;
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
