/* store.h: the hub's cache, written. hub.h has the layout. */
#ifndef CLIPHUB_STORE_H
#define CLIPHUB_STORE_H

#include "hub/hub.h"

/* cliphub_make_folder(): make a folder and the folders above it.
 * cliphub_enter_folder(): make DIR/NAME, which must not be a link.
 * out  out  free() it
 * Errors: CLIP_EIO, CLIP_EFORMAT (a link, or a file, has this name), CLIP_ENOMEM. */
clip_status cliphub_make_folder(const char *dir, clip_error *err);
clip_status cliphub_enter_folder(const char *dir, const char *name, char **out, clip_error *err);

/* cliphub_link(): make the entry `file` of a snapshot a link to a blob.
 * folder  in   models--ORG--NAME
 * file    in   may have one folder in it: "0_CLIPModel/config.json" */
clip_status cliphub_link(const char *folder, const char *commit, const char *file, const char *etag, clip_error *err);

/* cliphub_write_ref(): let refs/REVISION name the commit. */
clip_status cliphub_write_ref(const char *folder, const char *revision, const char *commit, clip_error *err);

/* A lock that huggingface_hub takes as well, while it writes the blob. */
typedef struct cliphub_lock {
    int fd; /* -1: not held */
} cliphub_lock;

/* cliphub_lock_take(): wait for the lock of a blob. A file system without locks is accepted.
 * wait     in   called again and again while another process holds the lock; false: stop waiting
 * stopped  out  wait() said stop; the lock is not held
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
typedef bool (*cliphub_wait)(void *user, const char *holder);
clip_status cliphub_lock_take(const char *root, const char *repo, const char *etag, cliphub_wait wait, void *user,
                              cliphub_lock *lock, bool *stopped, clip_error *err);
void cliphub_lock_free(cliphub_lock *lock);

/* cliphub_check_hash(): compare an open file with its ETag: 64 hexadecimal digits are the SHA-256
 * of its bytes, 40 are git's SHA-1. Any other ETag says nothing of the bytes.
 * tick     in   called often; false: stop
 * same     out  also true where the ETag says nothing; false if stopped
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status cliphub_check_hash(int fd, const char *path, const char *etag, bool (*tick)(void *user), void *user,
                               bool *same, clip_error *err);

#endif
