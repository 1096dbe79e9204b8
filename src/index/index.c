/* An index is its catalogue; the arrays follow. Rows are written behind those it knows, reach the disk, and only then become known, in one transaction of
 * SQLite. So after a crash at any moment the arrays hold what the catalogue knows, and perhaps rows nobody knows, which the next writer cuts off. */
#include "index/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/line.h"
#include "kernels/set.h"

clip_index_options clip_index_options_default(void) { return (clip_index_options){0}; }

void clipidx_warn(const clip_index *x, const char *fmt, ...)
{
    char line[1024];
    if (!x->warn)
        return;
    va_list ap;
    va_start(ap, fmt);
    clipb_line(line, sizeof line, fmt, ap);
    va_end(ap);
    x->warn(x->warn_user, line);
}

/* ---- Opening ------------------------------------------------------------------------------------------------ */

/* The directory, and those above it. */
static clip_status make_dir(clip_index *x, clip_error *err)
{
    char *path = strdup(x->dir);
    if (!path)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
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

/* What this handle has made leaves again, while nobody else can write it. */
static void unmake(const clip_index *x)
{
    static const char *const others[] = {"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "lock"};
    for (size_t i = 0; i < sizeof x->array / sizeof *x->array; i++)
        if (x->array[i].path)
            unlink(x->array[i].path);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *path = clipb_path_join(x->dir, others[i]);
        if (path)
            unlink(path);
        free(path);
    }
    if (x->dir_made)
        rmdir(x->dir);
}

/* An index is made in a directory of its own: somebody else's vectors.npy must not be taken for what a crash has left. Hidden files do not matter. */
static clip_status check_place(const clip_index *x, clip_error *err)
{
    bool ours = true, made = false;
    DIR *d = opendir(x->dir);
    if (!d)
        return clipb_fail(err, CLIP_EIO, x->dir, "%s", strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        made |= strcmp(e->d_name, "catalogue.db") == 0;
        ours &= e->d_name[0] == '.' || strcmp(e->d_name, "lock") == 0 || strncmp(e->d_name, "catalogue.db", 12) == 0;
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
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
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

static clip_status open_catalogue(clip_index *x, bool create, int dim, bool *fresh, clip_error *err)
{
    int64_t D;
    TRY(clipidx_catalogue_open(&x->catalogue, x->dir, x->write, create, fresh, err));
    if (*fresh && !create)
        return clipb_fail(err, CLIP_EFORMAT, x->catalogue.path, "the catalogue is empty");
    if (*fresh && (dim < CLIPIDX_LEAST_DIM || dim > CLIPIDX_MOST_DIM))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a new index needs a model, or a dimension from %d to %d",
                          CLIPIDX_LEAST_DIM, CLIPIDX_MOST_DIM);
    if (*fresh)
        TRY(clipidx_catalogue_make(&x->catalogue, dim, err));
    TRY(clipidx_catalogue_number(&x->catalogue, "dim", CLIPIDX_LEAST_DIM, CLIPIDX_MOST_DIM, &D, err));
    x->dim = (int)D;
    TRY(clipidx_catalogue_get(&x->catalogue, "model_id", x->model_id, sizeof x->model_id, err));
    TRY(clipidx_catalogue_get(&x->catalogue, "model_name", x->model_name, sizeof x->model_name, err));
    TRY(clipidx_catalogue_get(&x->catalogue, "model_path", x->model_path, sizeof x->model_path, err));
    return clipidx_catalogue_state(&x->catalogue, &x->state, err);
}

clip_status clipidx_check_process(const clip_index *x, clip_error *err)
{
    static const char forked[] = "was opened before this process was forked: it has to open it anew";
    return getpid() == x->process ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, forked);
}

/* A forked child lets go of its memory alone (https://sqlite.org/howtocorrupt.html, 2.6). */
static void close_files(clip_index *x)
{
    clipidx_files_close(x);
    if (getpid() == x->process)
        clipidx_catalogue_close(&x->catalogue);
    clipidx_state_free(&x->state);
}

static clip_status open_files(clip_index *x, const clip_index_options *opt, int dim, bool *fresh, clip_error *err)
{
    if (x->write) {
        if (opt->create) {
            TRY(make_dir(x, err));
            TRY(check_place(x, err));
        } else if (!clipb_is_dir(x->dir))
            return clipb_fail(err, CLIP_EIO, x->dir, "there is no such index");
        TRY(take_lock(x, err));
    }
    for (int tries = 0;; tries++) {
        TRY(open_catalogue(x, x->write && opt->create, dim, fresh, err));
        clip_status s = clipidx_files_open(x, err);
        const char *vectors = x->array[CLIPIDX_VECTORS].path;
        /* A writer may have put other files in the place of these, just after we had read their names. */
        if ((s != CLIP_EIO && (s < 0 || x->coded)) || x->write || tries == 8 || (vectors && access(vectors, F_OK) == 0))
            return s;
        close_files(x);
    }
}

static void free_index(clip_index *x)
{
    close_files(x);
    clipb_team_free(x->k.team);
    if (x->lock >= 0)
        close(x->lock); /* the parent still holds it */
    if (getpid() == x->process) {
        pthread_mutex_destroy(&x->mutex);
        pthread_mutex_destroy(&x->team_mutex);
    }
    free(x->dir);
    free(x);
}

clip_status clipidx_open(const char *dir, const clip_index_options *opt, int dim, clip_index **out, bool *fresh,
                         clip_error *err)
{
    clip_index *x = calloc(1, sizeof *x);
    *out = NULL;
    *fresh = false;
    if (!x)
        return clipb_fail(err, CLIP_ENOMEM, dir, "out of memory");
    *x = (clip_index){.dir = strdup(dir),
                      .process = getpid(),
                      .write = opt->write,
                      .lock = -1,
                      .k.set = clipk_set_find(NULL),
                      .threads = opt->threads ? opt->threads : clipb_cores(),
                      .warn = opt->warn,
                      .warn_user = opt->warn_user};
    pthread_mutex_init(&x->mutex, NULL);
    pthread_mutex_init(&x->team_mutex, NULL);
    clip_status s = x->dir ? open_files(x, opt, dim, fresh, err) : clipb_fail(err, CLIP_ENOMEM, dir, "out of memory");
    if (s == CLIP_OK && *fresh && opt->model_name)
        s = clipidx_claim(x, "", opt->model_name, err);
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

/* After a fault: all is as it was when it was last committed. */
static void roll_back(clip_index *x)
{
    clipidx_catalogue_rollback(&x->catalogue);
    if (clipidx_catalogue_state(&x->catalogue, &x->state, NULL) == CLIP_OK) {
        clipidx_files_cut(x, NULL);
        return;
    }
    x->state.rows = x->state.pictures = x->state.texts = 0;
    x->lost = true;
}

clip_status clipidx_claim(clip_index *x, const char *model_id, const char *model_name, clip_error *err)
{
    snprintf(x->model_id, sizeof x->model_id, "%s", model_id);
    snprintf(x->model_name, sizeof x->model_name, "%s", model_name);
    TRY(clipidx_remember(x, "model_id", x->model_id, err));
    TRY(clipidx_remember(x, "model_name", x->model_name, err));
    return clip_index_commit(x, err);
}

clip_status clipidx_recall(clip_index *x, const char *key, char *out, size_t size, clip_error *err)
{
    TRY(clipidx_check_process(x, err));
    pthread_mutex_lock(&x->mutex);
    clip_status s = clipidx_catalogue_get(&x->catalogue, key, out, size, err);
    pthread_mutex_unlock(&x->mutex);
    return s;
}

clip_status clipidx_remember(clip_index *x, const char *key, const char *value, clip_error *err)
{
    char now[256];
    TRY(clipidx_recall(x, key, now, sizeof now, err));
    if (!x->write || strcmp(now, value) == 0)
        return CLIP_OK;
    clip_status s = clipidx_catalogue_set(&x->catalogue, key, value, err);
    if (s < 0)
        roll_back(x);
    return s;
}

/* ---- Changing ----------------------------------------------------------------------------------------------- */

static clip_status writable(const clip_index *x, clip_error *err)
{
    TRY(clipidx_check_process(x, err));
    if (x->lost)
        return clipb_fail(err, CLIP_EIO, x->dir,
                          "could not be read again after a fault: nothing is written until it is opened anew");
    return x->write ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "the index is open for reading");
}

static clip_status remove_row(clip_index *x, int64_t row, clip_error *err)
{
    sqlite3_stmt *q;
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_DELETE, &q, err));
    sqlite3_bind_int64(q, 1, row);
    TRY(clipidx_run(&x->catalogue, q, err));
    *(clipidx_bit(&x->state.text, row) ? &x->state.texts : &x->state.pictures) -= 1;
    clipidx_bit_set(&x->state.gone, row);
    return CLIP_OK;
}

/* The item that a statement with its parameters bound gives leaves, if there is one. */
static clip_status remove_found(clip_index *x, sqlite3_stmt *q, bool *found, clip_error *err)
{
    clip_status s = clipidx_step(&x->catalogue, q, found, err);
    const int64_t row = s == CLIP_OK && *found ? sqlite3_column_int64(q, 0) : -1;
    clipidx_reset(q);
    if (row >= x->state.rows || (row >= 0 && clipidx_bit(&x->state.gone, row)))
        return clipb_fail(err, CLIP_EFORMAT, x->catalogue.path, "the catalogue is damaged: an item is in no row");
    return s < 0 || row < 0 ? s : remove_row(x, row, err);
}

/* An item of this kind, path and text leaves. */
static clip_status remove_same(clip_index *x, clip_item_kind kind, const char *path, const char *text, clip_error *err)
{
    sqlite3_stmt *q;
    bool found;
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_SAME, &q, err));
    clipidx_bind_text(q, 1, path);
    sqlite3_bind_int(q, 2, kind);
    clipidx_bind_text(q, 3, text);
    return remove_found(x, q, &found, err);
}

/* Texts of `path` that one of `old` equals leave. */
static clip_status remove_same_texts(clip_index *x, const char *old, const char *path, clip_error *err)
{
    bool found = true;
    while (found) {
        sqlite3_stmt *q;
        TRY(clipidx_statement(&x->catalogue, CLIPIDX_SAME_TEXTS, &q, err));
        clipidx_bind_text(q, 1, old);
        clipidx_bind_text(q, 2, path);
        TRY(remove_found(x, q, &found, err));
    }
    return CLIP_OK;
}

static clip_status insert(clip_index *x, const clip_item *item, const uint16_t *vector, clip_error *err)
{
    const bool is_text = item->kind == CLIP_ITEM_TEXT;
    const char *text = is_text ? item->text : NULL;
    sqlite3_stmt *q;
    TRY(remove_same(x, item->kind, item->path, text, err));
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_INSERT, &q, err));
    sqlite3_bind_int64(q, 1, x->state.rows);
    sqlite3_bind_int(q, 2, item->kind);
    clipidx_bind_text(q, 3, item->path);
    clipidx_bind_text(q, 4, text);
    sqlite3_bind_int64(q, 5, item->size);
    sqlite3_bind_int64(q, 6, item->mtime);
    sqlite3_bind_int64(q, 7, item->taken);
    sqlite3_bind_blob(q, 8, item->hash, sizeof item->hash, SQLITE_STATIC);
    sqlite3_bind_int64(q, 9, (sqlite3_int64)XXH3_64bits(vector, (size_t)x->dim * sizeof *vector));
    TRY(clipidx_run(&x->catalogue, q, err));
    if (is_text)
        clipidx_bit_set(&x->state.text, x->state.rows);
    *(is_text ? &x->state.texts : &x->state.pictures) += 1;
    x->state.rows++;
    return CLIP_OK;
}

static clip_status add_some(clip_index *x, const clip_item *item, const float *vector, int N, uint16_t *half,
                            clip_error *err)
{
    const int64_t at = x->state.rows;
    float *unit = (float *)(void *)(half + (size_t)N * (size_t)x->dim + ((size_t)N * (size_t)x->dim & 1)); /* one row */
    for (int i = 0; i < N; i++) {
        clipidx_unit(unit, vector + (size_t)i * (size_t)x->dim, x->dim);
        x->k.set->to_f16(half + (size_t)i * (size_t)x->dim, unit, (size_t)x->dim);
    }
    if (clipidx_bits_reserve(&x->state.gone, at + N) < 0 || clipidx_bits_reserve(&x->state.text, at + N) < 0)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    TRY(clipidx_catalogue_begin(&x->catalogue, err));
    TRY(clipidx_files_add(x, half, N, err));
    for (int i = 0; i < N; i++)
        TRY(insert(x, &item[i], half + (size_t)i * (size_t)x->dim, err));
    return CLIP_OK;
}

static clip_status check_item(const clip_index *x, const clip_item *item, const float *vector, float *unit,
                              clip_error *err)
{
    if (item->kind != CLIP_ITEM_PICTURE && item->kind != CLIP_ITEM_TEXT)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "an item is a picture or a text");
    if ((item->path && strlen(item->path) > CLIPIDX_MOST_STRING) ||
        (item->text && strlen(item->text) > CLIPIDX_MOST_STRING))
        return clipb_fail(err, CLIP_ELIMIT, x->dir, "a path or a text has more than %zu bytes", CLIPIDX_MOST_STRING);
    if (item->size < 0)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the size of a file is negative");
    if (item->kind == CLIP_ITEM_PICTURE ? !item->path || !*item->path : !item->text)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a picture has a path, a text its words");
    if (!clipidx_unit(unit, vector, x->dim))
        return clipb_fail(err, CLIP_EINVAL, item->path ? item->path : item->text, "its vector is no direction");
    return CLIP_OK;
}

clip_status clip_index_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err)
{
    TRY(writable(x, err));
    if (N < 0 || (N > 0 && (!item || !vector)))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the number of items is negative, or there are none");
    const size_t D = (size_t)x->dim;
    uint16_t *half = malloc(((size_t)N * D + 1) * sizeof *half + D * sizeof(float));
    if (!half)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    clip_status s = CLIP_OK;
    for (int i = 0; s == CLIP_OK && i < N; i++)
        s = check_item(x, &item[i], vector + (size_t)i * D, (float *)(void *)half, err);
    if (s == CLIP_OK) {
        s = add_some(x, item, vector, N, half, err);
        if (s < 0)
            roll_back(x);
    }
    free(half);
    return s;
}

static clip_status check_row(const clip_index *x, int64_t row, clip_error *err)
{
    return row >= 0 && row < x->state.rows && !clipidx_bit(&x->state.gone, row)
               ? CLIP_OK
               : clipb_fail(err, CLIP_EINVAL, x->dir, "row %" PRId64 " holds no item", row);
}

clip_status clip_index_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err)
{
    TRY(writable(x, err));
    if (n < 0 || (n > 0 && !row))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the number of rows is negative, or there are none");
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= x->state.rows)
            return clipb_fail(err, CLIP_EINVAL, x->dir, "there is no row %" PRId64, row[i]);
    clip_status s = n > 0 ? clipidx_catalogue_begin(&x->catalogue, err) : CLIP_OK;
    for (int64_t i = 0; s == CLIP_OK && i < n; i++)
        if (!clipidx_bit(&x->state.gone, row[i]))
            s = remove_row(x, row[i], err);
    if (s < 0)
        roll_back(x);
    return s;
}

static clip_status rename_items(clip_index *x, int64_t row, const char *old, const char *path, int64_t size,
                                int64_t mtime, clip_error *err)
{
    sqlite3_stmt *q;
    TRY(clipidx_catalogue_begin(&x->catalogue, err));
    if (strcmp(old, path) != 0) {
        TRY(remove_same(x, CLIP_ITEM_PICTURE, path, NULL, err));
        TRY(remove_same_texts(x, old, path, err));
    }
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_RENAME, &q, err));
    sqlite3_bind_int64(q, 1, row);
    clipidx_bind_text(q, 2, path);
    sqlite3_bind_int64(q, 3, size);
    sqlite3_bind_int64(q, 4, mtime);
    TRY(clipidx_run(&x->catalogue, q, err));
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_RENAME_TEXTS, &q, err));
    clipidx_bind_text(q, 1, old);
    clipidx_bind_text(q, 2, path);
    return clipidx_run(&x->catalogue, q, err);
}

clip_status clip_index_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime,
                              clip_error *err)
{
    clip_item item;
    TRY(writable(x, err));
    TRY(check_row(x, row, err));
    char *name = path ? strdup(path) : NULL; /* it may be a string of the item we had given last */
    clip_status s =
        path && !name ? clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory") : clip_index_item_at(x, row, &item, err);
    if (s == CLIP_OK &&
        (item.kind != CLIP_ITEM_PICTURE || !name || !*name || strlen(name) > CLIPIDX_MOST_STRING || size < 0))
        s = clipb_fail(err, CLIP_EINVAL, x->dir, "a picture is renamed, and has a path and a size");
    else if (s == CLIP_OK) {
        s = rename_items(x, row, item.path, name, size, mtime, err);
        if (s < 0)
            roll_back(x);
    }
    free(name);
    return s;
}

clip_status clip_index_commit(clip_index *x, clip_error *err)
{
    TRY(writable(x, err));
    if (!x->catalogue.changing)
        return CLIP_OK;
    clip_status s = clipidx_files_sync(x, err);
    if (s == CLIP_OK)
        s = clipidx_catalogue_commit(&x->catalogue, &x->state, err);
    if (s < 0)
        roll_back(x);
    return s;
}

clip_status clip_index_close(clip_index *x, clip_error *err)
{
    if (!x)
        return CLIP_OK;
    const bool write = x->write && getpid() == x->process;
    clip_status s = write ? clip_index_commit(x, err) : CLIP_OK;
    clip_error why;
    if (write && s == CLIP_OK && clipidx_files_tidy(x, &why) < 0)
        clipidx_warn(x, "%s: its files stay as they are: %s", x->dir, why.message);
    free_index(x);
    return s;
}

void clip_index_discard(clip_index *x)
{
    if (!x || !x->fresh || x->state.rows > 0 || getpid() != x->process) {
        clip_index_close(x, NULL);
        return;
    }
    unmake(x);
    free_index(x);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

void clip_index_get_info(const clip_index *x, clip_index_info *out)
{
    struct stat st;
    *out = (clip_index_info){.path = x->dir,
                             .model_name = x->model_name,
                             .model_path = x->model_path,
                             .dim = x->dim,
                             .items = x->state.pictures + x->state.texts,
                             .pictures = x->state.pictures,
                             .texts = x->state.texts,
                             .rows = x->state.rows};
    memcpy(out->model_id, x->model_id, sizeof out->model_id);
    out->bytes = stat(x->catalogue.path, &st) == 0 ? st.st_size : 0;
    for (int i = 0; i < CLIPIDX_FILES; i++)
        out->bytes += x->array[i].path && stat(x->array[i].path, &st) == 0 ? st.st_size : 0;
    char updated[32];
    if (clipidx_recall((clip_index *)(uintptr_t)x, "updated", updated, sizeof updated, NULL) == CLIP_OK) /* behind its mutex */
        out->updated = strtoll(updated, NULL, 10);
}

/* A thread's copy of the strings of the last item it was given. */
typedef struct strings {
    char *p;
    size_t capacity;
} strings;

static pthread_key_t strings_key;
static bool strings_key_made;

static void free_strings(void *p)
{
    free(((strings *)p)->p);
    free(p);
}

static void make_strings_key(void) { strings_key_made = pthread_key_create(&strings_key, free_strings) == 0; }

static clip_status keep_strings(const clip_index *x, clip_item *item, clip_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_strings_key);
    strings *s = strings_key_made ? pthread_getspecific(strings_key) : NULL;
    if (!s && strings_key_made) {
        s = calloc(1, sizeof *s);
        if (s && pthread_setspecific(strings_key, s) != 0) {
            free(s);
            s = NULL;
        }
    }
    const size_t a = item->path ? strlen(item->path) + 1 : 0, b = item->text ? strlen(item->text) + 1 : 0;
    if (!s || clipb_grow((void **)&s->p, &s->capacity, a + b, 1) < 0)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    if (item->path)
        item->path = memcpy(s->p, item->path, a);
    if (item->text)
        item->text = memcpy(s->p + a, item->text, b);
    return CLIP_OK;
}

/* The one item that a statement with its parameters bound gives; all 0 where there is none. */
static clip_status read_item(const clip_index *x, sqlite3_stmt *q, clip_item *out, clip_error *err)
{
    clipidx_catalogue *c = (clipidx_catalogue *)(uintptr_t)&x->catalogue; /* behind its mutex */
    bool found;
    *out = (clip_item){0};
    clip_status s = clipidx_step(c, q, &found, err);
    if (s == CLIP_OK && found)
        s = clipidx_column_item(c, q, x->state.rows, out, err);
    if (s == CLIP_OK)
        s = keep_strings(x, out, err);
    clipidx_reset(q);
    return s;
}

/* The item that a statement finds by a path or a hash, where it takes one, and a row, which the cursor then leaves behind. */
static clip_status item_by(const clip_index *x, int statement, const char *path, const uint8_t *hash, int64_t *cursor,
                           clip_item *out, clip_error *err)
{
    clip_index *w = (clip_index *)(uintptr_t)x;
    sqlite3_stmt *q;
    int at = 0;
    *out = (clip_item){0};
    TRY(clipidx_check_process(x, err));
    pthread_mutex_lock(&w->mutex);
    clip_status s = clipidx_statement(&w->catalogue, statement, &q, err);
    if (s == CLIP_OK) {
        if (path)
            clipidx_bind_text(q, ++at, path);
        if (hash)
            sqlite3_bind_blob(q, ++at, hash, sizeof out->hash, SQLITE_STATIC);
        if (cursor)
            sqlite3_bind_int64(q, ++at, *cursor);
        s = read_item(x, q, out, err);
    }
    pthread_mutex_unlock(&w->mutex);
    if (s == CLIP_OK && out->kind && cursor && out->row < *cursor) /* whoever walks would go round in circles */
        return clipb_fail(err, CLIP_EFORMAT, x->catalogue.path,
                          "the catalogue is damaged: its rows are not in their order");
    if (s == CLIP_OK && out->kind && cursor)
        *cursor = out->row + 1;
    return s;
}

clip_status clip_index_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err)
{
    return item_by(x, CLIPIDX_AT, NULL, NULL, &row, out, err);
}

clip_status clip_index_find(const clip_index *x, const char *path, clip_item *out, clip_error *err)
{
    TRY(path ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "no path to find"));
    return item_by(x, CLIPIDX_PICTURE, path, NULL, NULL, out, err);
}

clip_status clip_index_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err)
{
    TRY(cursor ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "no cursor"));
    return item_by(x, CLIPIDX_NEXT, NULL, NULL, cursor, out, err);
}

clip_status clipidx_next_copy(const clip_index *x, const uint8_t hash[16], int64_t *cursor, clip_item *out,
                              clip_error *err)
{
    return item_by(x, CLIPIDX_BYTES, NULL, hash, cursor, out, err);
}

clip_status clipidx_next_text(const clip_index *x, const char *path, int64_t *cursor, clip_item *out, clip_error *err)
{
    return item_by(x, CLIPIDX_TEXTS, path, NULL, cursor, out, err);
}

clip_status clip_index_vector(const clip_index *x, int64_t row, float *out, clip_error *err)
{
    TRY(out ? check_row(x, row, err) : clipb_fail(err, CLIP_EINVAL, x->dir, "no room for a vector"));
    TRY(clipidx_map(x, err));
    x->k.set->to_f32(out, clipidx_array_row(&x->array[CLIPIDX_VECTORS], row), CLIPK_F16, (size_t)x->dim);
    return CLIP_OK;
}
