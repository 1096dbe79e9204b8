/* file.h: files from outside, mapped or read whole; paths; growing arrays. */
#ifndef CLIPB_FILE_H
#define CLIPB_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* A read-only mapping of a whole file. An empty file has data NULL and size 0. */
typedef struct clipb_map {
    const unsigned char *data;
    size_t size;
} clipb_map;

/* clipb_map_open(): CLIP_EIO (missing, unreadable, a directory). */
clip_status clipb_map_open(const char *path, clipb_map *out, clip_error *err);
void clipb_map_close(clipb_map *m);

/* clipb_map_drop(): these bytes will not be read again soon; their pages stop counting as resident. Whole pages only. */
void clipb_map_drop(const clipb_map *m, const void *at, size_t bytes);

/* clipb_read_file(): the bytes of a file with a 0 after them; free() them.
 * limit  in   CLIP_ELIMIT beyond so many bytes
 * Reads pipes too (path "-" is standard input). */
clip_status clipb_read_file(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err);

/* clipb_path_join(): "dir/name", malloc'ed; NULL: out of memory. */
char *clipb_path_join(const char *dir, const char *name);

bool clipb_is_file(const char *path);
bool clipb_is_dir(const char *path);

/* clipb_grow(): make room in a growing array: *p of *capacity elements of `size` bytes holds at least `need` afterwards.
 * Use:  TRY(clipb_grow((void **)&list, &capacity, n + 1, sizeof *list)); */
clip_status clipb_grow(void **p, size_t *capacity, size_t need, size_t size);

#endif
