/* array.h: a matrix that grows at its end, in a file that NumPy reads:
 * np.load(path, mmap_mode="r").
 *
 *     128 bytes    "\x93NUMPY", version 1.0, and a header that says type and shape. It is padded,
 *                  so that it can be rewritten in place as rows come
 *     rows         C order, one after the other
 *
 * Rows are written once and never changed. A reader maps the rows that it knows, and a writer
 * does not disturb it. The store says which rows count. The shape in the header is for NumPy,
 * and may lag behind after a crash. */
#ifndef CLIPIDX_ARRAY_H
#define CLIPIDX_ARRAY_H

#include <stdbool.h>

#include "base/status.h"

#define CLIPIDX_ARRAY_HEADER 128

typedef struct clipidx_array {
    const char *descr; /* NumPy's name of the type: "<f2" */
    int columns;
    size_t row_bytes;
    char *path;
    int fd;            /* -1: closed */
    bool write;
    int64_t rows;      /* whole rows that the file holds */
    unsigned char *map;
    size_t map_bytes;
    int64_t mapped;    /* rows */
} clipidx_array;

/* clipidx_array_open(): the file dir/name. `bytes` of a number go with `descr`.
 * Errors: CLIP_EIO, CLIP_EFORMAT (another header), CLIP_ENOMEM. Close it in any case. */
clip_status clipidx_array_open(clipidx_array *a, const char *dir, const char *name, const char *descr, size_t bytes,
                               int columns, bool write, clip_error *err);

/* clipidx_array_create(): a new file without rows, in the place of what there may be. */
clip_status clipidx_array_create(clipidx_array *a, const char *dir, const char *name, const char *descr, size_t bytes,
                                 int columns, clip_error *err);
void clipidx_array_close(clipidx_array *a);

/* clipidx_array_write(): rows at .. at + n from `data`; at is not beyond the rows there are. */
clip_status clipidx_array_write(clipidx_array *a, int64_t at, const void *data, int64_t n, clip_error *err);

/* clipidx_array_cut(): rows beyond so many leave. */
clip_status clipidx_array_cut(clipidx_array *a, int64_t rows, clip_error *err);

/* clipidx_array_sync(): the header says what there is, and all of it is on the disk. */
clip_status clipidx_array_sync(clipidx_array *a, clip_error *err);

/* clipidx_array_map(): the first so many rows can be read through clipidx_array_row(); earlier
 * pointers die. */
clip_status clipidx_array_map(clipidx_array *a, int64_t rows, clip_error *err);

/* clipidx_array_check(): CLIP_EIO where the file no longer holds all that is mapped: reading the
 * rest would raise SIGBUS. */
clip_status clipidx_array_check(const clipidx_array *a, clip_error *err);

static inline const void *clipidx_array_row(const clipidx_array *a, int64_t row)
{
    return a->map + CLIPIDX_ARRAY_HEADER + (size_t)row * a->row_bytes;
}

#endif
