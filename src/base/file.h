/* file.h: files and paths.
 * Reading: files mapped or read whole. Writing: files and directories that are whole at any moment.
 * Also paths, and arrays that grow. */
#ifndef CLIPB_FILE_H
#define CLIPB_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* A read-only mapping of a whole file. An empty file has data NULL and size 0. */
typedef struct clipb_map {
    const unsigned char *data;
    size_t size;
    uint64_t inode;
    int64_t mtime; /* in nanoseconds */
    int fd;        /* the mapped file, also after a rename; valid where data is not NULL */
} clipb_map;

/* clipb_map_open(): map a regular file.
 * Errors: CLIP_EIO (missing, unreadable, a directory), CLIP_ENOMEM. */
clip_status clipb_map_open(const char *path, clipb_map *out, clip_error *err);
void clipb_map_close(clipb_map *m);

/* clipb_map_check(): is the file as it was when it was mapped? After a change the mapping may show
 * other bytes, or raise SIGBUS.
 * Errors: CLIP_EIO (the size or the modification time differs). */
clip_status clipb_map_check(const clipb_map *m, clip_error *err);

/* clipb_map_drop(): these bytes will not be read again soon. Their whole pages stop counting as
 * resident memory. */
void clipb_map_drop(const clipb_map *m, const void *at, size_t bytes);

/* clipb_read_file(): read a regular file whole. A pipe or a device is refused, because a path that
 * comes from a file must not make us wait, or read without end.
 * limit  in   the most bytes allowed
 * data   out  the bytes, and a 0 after them; free() them
 * Errors: CLIP_EIO, CLIP_ELIMIT, CLIP_ENOMEM.
 * clipb_read_named(): the same for a path that the user gave. It may be a pipe or a device. "-" is
 * standard input. */
clip_status clipb_read_file(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err);
clip_status clipb_read_named(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err);

/* ---- Writing: a file is either absent or whole, also after a kill or a power cut ------------- */

/* clipb_create(): make a new file for reading and writing. A file or symbolic link of that name is
 * removed first, so no link is followed.
 * @return: the descriptor, or -1 with errno set. */
int clipb_create(const char *path);

/* A file being written. Until it is closed it is called PATH.tmp, or PATH.1.tmp and so on if that
 * name is taken. A symbolic link at PATH is followed, and the file behind it is replaced.
 *     TRY(clipb_output_open(&o, path, err));
 *     s = clipb_output_write(&o, data, n, err);    or fprintf(o.f, ..); closing reports its errors
 *     return clipb_output_close(&o, s, err);
 * Errors: CLIP_EIO (also if the link is broken, or leads to a pipe, a device or a directory),
 * CLIP_ENOMEM. */
typedef struct clipb_output {
    FILE *f;
    char *path, *temporary;
} clipb_output;

clip_status clipb_output_open(clipb_output *o, const char *path, clip_error *err);
clip_status clipb_output_write(clipb_output *o, const void *data, size_t size, clip_error *err);

/* clipb_output_close(): finish the file. If s is CLIP_OK, the file is flushed to the disk and
 * renamed. If s is an error, or if one of these steps fails, the file is dropped.
 * @return: the first error. */
clip_status clipb_output_close(clipb_output *o, clip_status s, clip_error *err);

/* Files that belong together are written to a new directory, which then takes the place of the old
 * one:
 *     TRY(clipb_dir_new(path, &tmp, err));           makes .NAME.tmp, replacing an old one
 *     ... files into tmp, each through a clipb_output ...
 *     s = clipb_dir_replace(tmp, path, s, err);
 *     free(tmp);
 * A symbolic link at `path` is followed. A symbolic link at a temporary name is removed. Only one
 * process may write, any number may read.
 * Errors: CLIP_EIO (also if the directory has subdirectories), CLIP_ENOMEM. */
clip_status clipb_dir_new(const char *path, char **tmp, clip_error *err);

/* clipb_dir_check_empty(): is `path` absent, or an empty directory?
 * Errors: CLIP_EINVAL (it has content, or it is a file), CLIP_EIO. */
clip_status clipb_dir_check_empty(const char *path, clip_error *err);

/* clipb_dir_replace(): finish the directory. If s is CLIP_OK, tmp takes the place of path and the
 * old directory is removed. This is one step where the file system can exchange two names. If s is
 * an error, or if a step fails, tmp is removed and path stays as it was.
 * @return: the first error. */
clip_status clipb_dir_replace(const char *tmp, const char *path, clip_status s, clip_error *err);

/* clipb_dir_settle(): repair after an interrupted clipb_dir_replace(). Call it before looking for
 * `path`. On a file system that cannot exchange names, the directory may be called .NAME.old. */
clip_status clipb_dir_settle(const char *path, clip_error *err);

/* clipb_dir_sync(): write the names in a directory to the disk. File systems that do not support
 * this are accepted.
 * Errors: CLIP_EIO. */
clip_status clipb_dir_sync(const char *dir, clip_error *err);

/* clipb_path_dir(): the directory that `path` is in. "a/b" gives "a", "/b" gives "/", "b" ".".
 * @return: free() it; NULL: out of memory. */
char *clipb_path_dir(const char *path);

/* clipb_path_join(): "dir/name".
 * @return: free() it; NULL: out of memory. */
char *clipb_path_join(const char *dir, const char *name);

/* clipb_path_below(): the part of `path` behind the folder or tar `root`.
 * @return: "" if the two are the same, NULL if `path` is elsewhere or `root` is "". */
const char *clipb_path_below(const char *path, const char *root);

/* clipb_path_written(): `path` as an absolute path without "." and "..". It need not exist.
 * @return: free() it; NULL with errno set if memory or the current directory is missing. */
char *clipb_path_written(const char *path);

/* clipb_mtime(): when a file was changed, in nanoseconds since 1970. */
struct stat;
int64_t clipb_mtime(const struct stat *st);

bool clipb_is_file(const char *path);
bool clipb_is_dir(const char *path);

/* clipb_grow(): make *p, an array of *capacity elements of `size` bytes, hold at least `need`.
 * Use:  TRY(clipb_grow((void **)&list, &capacity, n + 1, sizeof *list));
 * Errors: CLIP_ENOMEM. The array is then unchanged. */
clip_status clipb_grow(void **p, size_t *capacity, size_t need, size_t size);

#endif
