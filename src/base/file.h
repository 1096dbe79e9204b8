/* file.h: files from outside, mapped or read whole; files and directories written so that they are
 * whole at any moment; paths; growing arrays. */
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
    int fd;        /* where data is not NULL: of the file that is mapped, whatever its name is now */
} clipb_map;

/* clipb_map_open(): CLIP_EIO (missing, unreadable, a directory). */
clip_status clipb_map_open(const char *path, clipb_map *out, clip_error *err);
void clipb_map_close(clipb_map *m);

/* clipb_map_check(): CLIP_EIO where the file has another size or time of change than when it was
 * mapped: what is read now may be something else, or raise SIGBUS. */
clip_status clipb_map_check(const clipb_map *m, clip_error *err);

/* clipb_map_drop(): these bytes will not be read again soon; their pages stop counting as resident.
 * Whole pages only. */
void clipb_map_drop(const clipb_map *m, const void *at, size_t bytes);

/* clipb_read_file(): the bytes of a regular file with a 0 after them; free() them.
 * limit  in   CLIP_ELIMIT beyond so many bytes
 * CLIP_EIO for a pipe or a device: a path that stands in a file must not make us wait, or read
 * without end. clipb_read_named(): the same for a path that a person has given, which may be a pipe
 * or a device ("-": standard input). */
clip_status clipb_read_file(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err);
clip_status clipb_read_named(const char *path, size_t limit, unsigned char **data, size_t *size, clip_error *err);

/* ---- Writing: who finds a name finds all of it, also after a kill or a power cut ---- */

/* clipb_create(): a new file of ours, for reading and writing. What has its name is removed first,
 * so no symbolic link is followed. Returns the descriptor; -1: see errno. */
int clipb_create(const char *path);

/* A file being written beside its place, as PATH.tmp (PATH.1.tmp, .. where there is such a file
 * already). A symbolic link that a person names is followed: the file behind it is replaced.
 * CLIP_EIO where the link leads nowhere, or to what cannot be replaced (a pipe, a device, a
 * directory).
 *     TRY(clipb_output_open(&o, path, err));
 *     s = clipb_output_write(&o, data, n, err);      or fprintf(o.f, ..), whose faults show at closing
 *     return clipb_output_close(&o, s, err); */
typedef struct clipb_output {
    FILE *f;
    char *path, *temporary;
} clipb_output;

clip_status clipb_output_open(clipb_output *o, const char *path, clip_error *err);
clip_status clipb_output_write(clipb_output *o, const void *data, size_t size, clip_error *err);

/* clipb_output_close(): where s is CLIP_OK: flush, to the disk, rename; else, or if that fails, the
 * file is dropped. Returns the first fault. */
clip_status clipb_output_close(clipb_output *o, clip_status s, clip_error *err);

/* A directory of files that belong together is written to a fresh one, which then takes the place
 * of the last:
 *     TRY(clipb_dir_new(path, &tmp, err));           .NAME.tmp beside it; what an interrupted run left there is removed
 *     ... files into tmp, each through a clipb_output ...
 *     s = clipb_dir_replace(tmp, path, s, err);
 *     free(tmp);
 * A symbolic link at `path` is followed, one at a temporary name is removed. The directories hold
 * files only; CLIP_EIO if there are others below. One process writes, any read. */
clip_status clipb_dir_new(const char *path, char **tmp, clip_error *err);

/* clipb_dir_check_empty(): nothing is there, or an empty directory. Errors: CLIP_EINVAL (something
 * is in it, or it is a file), CLIP_EIO. */
clip_status clipb_dir_check_empty(const char *path, clip_error *err);

/* clipb_dir_replace(): where s is CLIP_OK put tmp in the place of path, in one step where the file
 * system can exchange two names, and remove what was there; else, or if that fails, tmp is removed
 * and path is as it was. */
clip_status clipb_dir_replace(const char *tmp, const char *path, clip_status s, clip_error *err);

/* clipb_dir_settle(): call it before looking for `path`: an interrupted clipb_dir_replace() may
 * have left it as .NAME.old, on a file system that cannot exchange names. */
clip_status clipb_dir_settle(const char *path, clip_error *err);

/* clipb_dir_sync(): a name is on the disk when its directory is. Some file systems cannot say so,
 * and need not. CLIP_EIO. */
clip_status clipb_dir_sync(const char *dir, clip_error *err);

/* clipb_path_dir(): the directory that `path` is in: of "a/b" it is "a", of "/b" "/", of "b" ".";
 * malloc'ed; NULL: out of memory. */
char *clipb_path_dir(const char *path);

/* clipb_path_join(): "dir/name", malloc'ed; NULL: out of memory. */
char *clipb_path_join(const char *dir, const char *name);

/* clipb_path_below(): what of `path` follows the folder or tar `root`: "" where it is that itself,
 * NULL where it is elsewhere. Nothing is below "". */
const char *clipb_path_below(const char *path, const char *root);

/* clipb_path_written(): `path` from the current directory on, without "." and "..", whether it is
 * there or not; malloc'ed; NULL: out of memory, or the current directory is gone (errno). */
char *clipb_path_written(const char *path);

bool clipb_is_file(const char *path);
bool clipb_is_dir(const char *path);

/* clipb_grow(): make room in a growing array: *p of *capacity elements of `size` bytes holds at
 * least `need` afterwards.
 * Use:  TRY(clipb_grow((void **)&list, &capacity, n + 1, sizeof *list)); */
clip_status clipb_grow(void **p, size_t *capacity, size_t need, size_t size);

#endif
