/* Opening, refreshing and closing an index. */
#include "index/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "kernels/set.h"

#define MOST_PICTURE 65536 /* pixels along a side */

/* The directory, and those above it. */
static clip_status make_dir(clip_index *x, clip_error *err)
{
    char *path = strdup(x->dir);
    if (!path)
        return clipb_nomem(err, x->dir);
    for (char *p = path + 1; *p; p++)
        if (*p == '/' && p[1]) {
            *p = 0;
            mkdir(path, 0777); /* what cannot be made shows at the end */
            *p = '/';
        }
    x->dir_made = mkdir(path, 0777) == 0;
    const int fault = x->dir_made || errno == EEXIST ? 0 : errno;
    free(path);
    return fault ? clipb_fail(err, CLIP_EIO, x->dir, "cannot be made: %s", strerror(fault)) : CLIP_OK;
}

static void unlink_in(const clip_index *x, const char *name)
{
    char *path = clipb_path_join(x->dir, name);
    if (path)
        unlink(path);
    free(path);
}

/* What this handle has made leaves again, while nobody else can write it. */
static void unmake(const clip_index *x)
{
    for (size_t i = 0; i < CLIPIDX_FILES; i++)
        if (x->array[i].path)
            unlink(x->array[i].path);
    for (const char *const *name = x->kind->files; *name; name++)
        unlink_in(x, *name);
    unlink_in(x, "lock");
    if (x->dir_made)
        rmdir(x->dir);
}

/* An index is made in a directory of its own: somebody else's vectors.npy must not be taken for
 * what a crash has left. Hidden files do not matter. */
static clip_status check_place(const clip_index *x, clip_error *err)
{
    const char *first = x->kind->files[0];
    bool ours = true, made = false;
    DIR *d = opendir(x->dir);
    if (!d)
        return clipb_fail(err, CLIP_EIO, x->dir, "%s", strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        made |= strcmp(e->d_name, first) == 0;
        ours &= e->d_name[0] == '.' || strcmp(e->d_name, "lock") == 0 || strncmp(e->d_name, first, strlen(first)) == 0;
    }
    closedir(d);
    return made || ours ? CLIP_OK
                        : clipb_fail(err, CLIP_EINVAL, x->dir,
                                     "is no index, and holds other files: an index is made in a directory of its own");
}

/* Held until the descriptor is closed, also by a crash. */
static clip_status take_lock(clip_index *x, clip_error *err)
{
    char *path = clipb_path_join(x->dir, "lock");
    struct stat st;
    if (!path)
        return clipb_nomem(err, x->dir);
    x->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    clip_status s = CLIP_OK;
    if (x->lock < 0)
        s = clipb_fail(err, CLIP_EIO, path, "%s",
                       errno == ELOOP ? "is a symbolic link, which is not followed" : strerror(errno));
    else if (fstat(x->lock, &st) < 0 || !S_ISREG(st.st_mode))
        s = clipb_fail(err, CLIP_EIO, path, "is not a regular file");
    else if (flock(x->lock, LOCK_EX | LOCK_NB) < 0)
        s = errno == EWOULDBLOCK ? clipb_fail(err, CLIP_EBUSY, x->dir, "another process is writing this index")
                                 : clipb_fail(err, CLIP_EIO, path, "cannot be locked: %s", strerror(errno));
    else if (fstat(x->lock, &st) == 0 && st.st_nlink == 0) /* its writer has just discarded the index */
        s = clipb_fail(err, CLIP_EBUSY, x->dir, "another process is writing this index");
    free(path);
    return s;
}

static clip_status open_store(clip_index *x, bool create, int dim, bool *fresh, clip_error *err)
{
    TRY(x->kind->open(x->dir, x->write, create, &x->store, fresh, err));
    if (*fresh && !create)
        return clipb_fail(err, CLIP_EFORMAT, x->store->path, "the catalogue is empty");
    if (*fresh && (dim < CLIPIDX_LEAST_DIM || dim > CLIPIDX_MOST_DIM))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a new index needs a model, or a dimension from %d to %d",
                          CLIPIDX_LEAST_DIM, CLIPIDX_MOST_DIM);
    return *fresh ? x->kind->make(x->store, dim, err) : CLIP_OK;
}

static clip_status read_image_size(clip_index *x, clip_error *err)
{
    char text[16], *end;
    TRY(x->kind->get(x->store, "image_size", text, sizeof text, err));
    const long size = strtol(text, &end, 10);
    if (*end || size < 0 || size > MOST_PICTURE)
        return clipb_fail(err, CLIP_EFORMAT, x->store->path,
                          "the catalogue is damaged: '%s' is not a size of pictures", text);
    x->image_size = (int)size;
    return CLIP_OK;
}

static clip_status read_store(clip_index *x, clip_error *err)
{
    int64_t D;
    TRY(clipidx_store_number(x->store, "dim", CLIPIDX_LEAST_DIM, CLIPIDX_MOST_DIM, &D, err));
    x->dim = (int)D;
    TRY(x->kind->get(x->store, "model_id", x->model_id, sizeof x->model_id, err));
    TRY(x->kind->get(x->store, "model_name", x->model_name, sizeof x->model_name, err));
    TRY(x->kind->get(x->store, "model_path", x->model_path, sizeof x->model_path, err));
    TRY(read_image_size(x, err));
    return clipidx_state_read(x->store, &x->state, err);
}

/* A forked child lets go of its memory alone (https://sqlite.org/howtocorrupt.html, 2.6). */
static void close_parts(clip_index *x)
{
    clipidx_files_close(x);
    if (x->store && getpid() == x->process)
        x->kind->close(x->store);
    x->store = NULL;
    clipidx_state_free(&x->state);
}

/* The store, unless there is one, the state, and the arrays that belong to it. */
static clip_status open_parts(clip_index *x, bool create, int dim, bool *fresh, clip_error *err)
{
    for (int tries = 0;; tries++) {
        if (!x->store)
            TRY(open_store(x, create, dim, fresh, err));
        TRY(read_store(x, err));
        const clip_status s = clipidx_files_open(x, err);
        const char *vectors = x->array[CLIPIDX_VECTORS].path;
        /* A writer may have put other files in the place of these, just after their names were
         * read. */
        if ((s != CLIP_EIO && (s < 0 || x->coded)) || x->write || tries == 8 || (vectors && access(vectors, F_OK) == 0))
            return s;
        close_parts(x);
    }
}

static clip_status open_place(clip_index *x, bool create, int dim, bool *fresh, clip_error *err)
{
    if (x->write) {
        if (create) {
            TRY(make_dir(x, err));
            TRY(check_place(x, err));
        } else if (!clipb_is_dir(x->dir))
            return clipb_fail(err, CLIP_EIO, x->dir, "there is no such index");
        TRY(take_lock(x, err));
    }
    return open_parts(x, x->write && create, dim, fresh, err);
}

static void free_index(clip_index *x)
{
    if (x->array)
        close_parts(x);
    if (x->lock >= 0)
        close(x->lock); /* the parent still holds it */
    clipidx_shared_free(x->shared, getpid() != x->process);
    free(x->array);
    free(x->dir);
    free(x);
}

clip_status clipidx_open(const char *dir, const clipidx_store_kind *kind, const clip_index_options *opt,
                         clipb_team *team, int dim, clip_index **out, bool *fresh, clip_error *err)
{
    clip_index *x = calloc(1, sizeof *x);
    *out = NULL;
    *fresh = false;
    if (!x)
        return clipb_nomem(err, dir);
    *x = (clip_index){.dir = strdup(dir),
                      .process = getpid(),
                      .write = opt->write,
                      .lock = -1,
                      .kind = kind,
                      .array = calloc(CLIPIDX_FILES, sizeof *x->array),
                      .set = clipk_set_find(NULL),
                      .threads = opt->threads ? opt->threads : clipb_cores(),
                      .team = team,
                      .shared = clipidx_shared_new(),
                      .warn = opt->warn,
                      .warn_user = opt->warn_user};
    clip_status s = x->dir && x->array && x->shared ? open_place(x, opt->create, dim, fresh, err)
                                                    : clipb_nomem(err, dir);
    if (s == CLIP_OK && *fresh && opt->model_name)
        s = clipidx_claim(x, "", opt->model_name, 0, err);
    x->fresh = *fresh && opt->write && opt->create;
    if (s < 0 && x->fresh)
        unmake(x);
    if (s < 0) {
        free_index(x);
        return s;
    }
    if (!x->coded)
        clipidx_warn(x, "%s: codes are missing: searching is slower until somebody opens the index for writing",
                     x->dir);
    *out = x;
    return CLIP_OK;
}

clip_status clipidx_claim(clip_index *x, const char *model_id, const char *model_name, int image_size,
                          clip_error *err)
{
    char size[16] = "";
    snprintf(x->model_id, sizeof x->model_id, "%s", model_id);
    snprintf(x->model_name, sizeof x->model_name, "%s", model_name);
    x->image_size = image_size;
    if (image_size)
        snprintf(size, sizeof size, "%d", image_size);
    TRY(clipidx_remember(x, "image_size", size, err));
    TRY(clipidx_remember(x, "model_id", x->model_id, err));
    TRY(clipidx_remember(x, "model_name", x->model_name, err));
    return clipidx_commit(x, err);
}

/* ---- Refreshing ------------------------------------------------------------------------------ */

/* The parts that are opened anew: of `from`, to x. */
static void take_parts(clip_index *x, const clip_index *from)
{
    x->store = from->store;
    x->state = from->state;
    x->array = from->array;
    x->coder = from->coder;
    x->coded = from->coded;
}

static clip_status open_newer(clip_index *newer, const clip_index *x, clip_error *err)
{
    bool fresh;
    if (!newer->array)
        return clipb_nomem(err, x->dir);
    TRY(open_parts(newer, false, 0, &fresh, err));
    return newer->dim == x->dim && strcmp(newer->model_id, x->model_id) == 0
               ? CLIP_OK
               : clipb_fail(err, CLIP_EMISMATCH, x->dir,
                            "has become an index of another model: it has to be opened anew");
}

clip_status clipidx_refresh(clip_index *x, bool *changed, clip_error *err)
{
    clipidx_store *store;
    *changed = false;
    TRY(clipidx_check_process(x, err));
    if (x->write) /* nobody else can have written */
        return CLIP_OK;
    TRY(clipidx_check_free(x, err));
    TRY(x->kind->newer(x->store, x->dir, &store, err));
    if (!store)
        return CLIP_OK;
    clip_index newer = *x;
    take_parts(&newer, &(clip_index){.store = store, .array = calloc(CLIPIDX_FILES, sizeof *newer.array)});
    const clip_status s = open_newer(&newer, x, err);
    if (s == CLIP_OK) {
        const clip_index old = *x;
        clipidx_begin_swap(x);
        take_parts(x, &newer);
        clipidx_end_swap(x);
        take_parts(&newer, &old);
        *changed = true;
    }
    if (newer.array)
        close_parts(&newer);
    else
        x->kind->close(store);
    free(newer.array);
    return s;
}

/* ---- Closing --------------------------------------------------------------------------------- */

clip_status clipidx_close(clip_index *x, clip_error *err)
{
    if (!x)
        return CLIP_OK;
    const bool write = x->write && getpid() == x->process;
    clip_status s = write ? clipidx_commit(x, err) : CLIP_OK;
    clip_error why;
    if (write && s == CLIP_OK && clipidx_files_tidy(x, &why) < 0)
        clipidx_warn(x, "%s: its files stay as they are: %s", x->dir, why.message);
    free_index(x);
    return s;
}

void clipidx_discard(clip_index *x)
{
    if (!x || !x->fresh || x->state.rows > 0 || getpid() != x->process) {
        clipidx_close(x, NULL);
        return;
    }
    unmake(x);
    free_index(x);
}

void clipidx_get_info(const clip_index *x, clip_index_info *out)
{
    struct stat st;
    *out = (clip_index_info){.path = x->dir,
                             .model_name = x->model_name,
                             .model_path = x->model_path,
                             .image_size = x->image_size,
                             .dim = x->dim,
                             .items = x->state.pictures + x->state.texts,
                             .pictures = x->state.pictures,
                             .texts = x->state.texts,
                             .rows = x->state.rows};
    memcpy(out->model_id, x->model_id, sizeof out->model_id);
    out->bytes = stat(x->store->path, &st) == 0 ? st.st_size : 0;
    for (int i = 0; i < CLIPIDX_FILES; i++)
        out->bytes += x->array[i].path && stat(x->array[i].path, &st) == 0 ? st.st_size : 0;
    char updated[32];
    if (clipidx_recall(x, "updated", updated, sizeof updated, NULL) == CLIP_OK)
        out->updated = strtoll(updated, NULL, 10);
}

