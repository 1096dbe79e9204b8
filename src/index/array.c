#include "index/array.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mapped.h"

#define HEADER CLIPIDX_ARRAY_HEADER

static clip_status fail(const clipidx_array *a, clip_error *err, const char *what)
{
    return clipb_fail(err, CLIP_EIO, a->path, "%s: %s", what, errno ? strerror(errno) : "the disk may be full");
}

/* ---- The header ------------------------------------------------------------------------------ */

/* What stands before the number of rows, and from there to the end. */
static int header_begin(const clipidx_array *a, char *out, size_t size)
{
    static const char magic[10] = {(char)0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, HEADER - 10, 0};
    memcpy(out, magic, sizeof magic);
    return 10 + snprintf(out + 10, size - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", a->descr);
}

static void header_of(const clipidx_array *a, int64_t rows, char out[HEADER])
{
    char text[HEADER + 64];
    int n = header_begin(a, text, sizeof text);
    n += snprintf(text + n, sizeof text - (size_t)n, "%" PRId64 ", %d), }", rows, a->columns);
    memset(text + n, ' ', (size_t)(HEADER - n));
    text[HEADER - 1] = '\n';
    memcpy(out, text, HEADER);
}

/* Is it ours, for any number of rows? */
static bool header_fits(const clipidx_array *a, const char *header)
{
    char want[HEADER];
    int64_t rows = 0;
    for (int n = header_begin(a, want, sizeof want), digits = 0; digits < 18 && header[n] >= '0' && header[n] <= '9';
         n++, digits++)
        rows = rows * 10 + (header[n] - '0');
    header_of(a, rows, want);
    return memcmp(header, want, HEADER) == 0;
}

/* ---- The file -------------------------------------------------------------------------------- */

static clip_status write_at(const clipidx_array *a, const void *data, size_t bytes, off_t at, clip_error *err)
{
    for (const char *p = data; bytes > 0;) {
        errno = 0;
        ssize_t n = pwrite(a->fd, p, bytes, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(a, err, "cannot be written");
        p += n;
        at += n;
        bytes -= (size_t)n;
    }
    return CLIP_OK;
}

static clip_status begin(clipidx_array *a, const char *dir, const char *name, const char *descr, size_t bytes,
                         int columns, bool write, clip_error *err)
{
    *a = (clipidx_array){
        .descr = descr, .columns = columns, .row_bytes = bytes * (size_t)columns, .fd = -1, .write = write};
    a->path = clipb_path_join(dir, name);
    return a->path ? CLIP_OK : clipb_nomem(err, dir);
}

clip_status clipidx_array_create(clipidx_array *a, const char *dir, const char *name, const char *descr, size_t bytes,
                                 int columns, clip_error *err)
{
    char header[HEADER];
    TRY(begin(a, dir, name, descr, bytes, columns, true, err));
    if ((a->fd = clipb_create(a->path)) < 0)
        return clipb_fail(err, CLIP_EIO, a->path, "%s", strerror(errno));
    header_of(a, 0, header);
    return write_at(a, header, HEADER, 0, err);
}

clip_status clipidx_array_open(clipidx_array *a, const char *dir, const char *name, const char *descr, size_t bytes,
                               int columns, bool write, clip_error *err)
{
    char header[HEADER];
    struct stat st;
    TRY(begin(a, dir, name, descr, bytes, columns, write, err));
    a->fd = open(a->path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (a->fd < 0)
        return clipb_fail(err, CLIP_EIO, a->path, "%s",
                          errno == ELOOP ? "is a symbolic link, which is not followed" : strerror(errno));
    if (fstat(a->fd, &st) < 0)
        return clipb_fail(err, CLIP_EIO, a->path, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return clipb_fail(err, CLIP_EIO, a->path, "is not a regular file");
    if (pread(a->fd, header, HEADER, 0) != HEADER || !header_fits(a, header))
        return clipb_fail(err, CLIP_EFORMAT, a->path, "is not an array [rows, %d] of %s as this index writes them",
                          columns, descr);
    a->rows = (int64_t)(((size_t)st.st_size - HEADER) / a->row_bytes);
    return CLIP_OK;
}

static void unmap(clipidx_array *a)
{
    if (a->map) {
        clipb_mapped_remove(a->map);
        munmap(a->map, a->map_bytes);
    }
    a->map = NULL;
    a->map_bytes = 0;
    a->mapped = 0;
}

void clipidx_array_close(clipidx_array *a)
{
    if (!a->path)
        return;
    unmap(a);
    if (a->fd >= 0)
        close(a->fd);
    free(a->path);
    *a = (clipidx_array){.fd = -1};
}

clip_status clipidx_array_write(clipidx_array *a, int64_t at, const void *data, int64_t n, clip_error *err)
{
    TRY(write_at(a, data, (size_t)n * a->row_bytes, HEADER + (off_t)at * (off_t)a->row_bytes, err));
    if (at + n > a->rows)
        a->rows = at + n;
    return CLIP_OK;
}

clip_status clipidx_array_cut(clipidx_array *a, int64_t rows, clip_error *err)
{
    errno = 0;
    if (a->mapped > rows)
        unmap(a);
    if (ftruncate(a->fd, HEADER + (off_t)rows * (off_t)a->row_bytes) < 0)
        return fail(a, err, "cannot be cut");
    a->rows = rows;
    return CLIP_OK;
}

clip_status clipidx_array_sync(clipidx_array *a, clip_error *err)
{
    char header[HEADER];
    header_of(a, a->rows, header);
    TRY(write_at(a, header, HEADER, 0, err));
    errno = 0;
    return fdatasync(a->fd) < 0 && errno != EINVAL && errno != ENOTSUP ? fail(a, err, "cannot be written") : CLIP_OK;
}

clip_status clipidx_array_map(clipidx_array *a, int64_t rows, clip_error *err)
{
    if (rows <= a->mapped)
        return CLIP_OK;
    if (rows > a->rows)
        return clipb_fail(err, CLIP_EFORMAT, a->path, "holds %" PRId64 " rows where the catalogue knows %" PRId64,
                          a->rows, rows);
    unmap(a);
    const size_t bytes = HEADER + (size_t)rows * a->row_bytes;
    void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, a->fd, 0);
    if (p == MAP_FAILED)
        return clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, a->path, "cannot be mapped: %s",
                          strerror(errno));
    if (!clipb_mapped_add(p, bytes, a->path)) {
        munmap(p, bytes);
        return clipb_nomem(err, a->path);
    }
    a->map = p;
    a->map_bytes = bytes;
    a->mapped = rows;
    return CLIP_OK;
}

clip_status clipidx_array_check(const clipidx_array *a, clip_error *err)
{
    struct stat st;
    if (!a->map || (fstat(a->fd, &st) == 0 && (uint64_t)st.st_size >= a->map_bytes))
        return CLIP_OK;
    return clipb_fail(err, CLIP_EIO, a->path, "has been cut short by another program since it was opened");
}
