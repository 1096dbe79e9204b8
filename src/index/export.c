/* Embeddings out, in the layout of clip-retrieval (rom1504/clip-retrieval, "clip inference"):
 *
 *     DIR/img_emb/img_emb_0.npy      [N, D]
 *     DIR/text_emb/text_emb_0.npy    [N, D]
 *     DIR/metadata/metadata_0.jsonl  N lines {"image_path": .., "caption": ..}
 *
 * Row i of each belong together. Here a picture and its captions are items of their own, there
 * they share a row: a picture with three captions leaves in three rows, one without a caption
 * beside a row of zeros. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "index/index.h"
#include "kernels/set.h"

/* ---- Rows ------------------------------------------------------------------------------------ */

typedef struct target {
    const clip_index *x;
    clipidx_array image, text; /* fd -1: the index has none */
    FILE *metadata;
    char *metadata_path;
    int64_t rows;
    float *unit;    /* [D] */
    uint16_t *half; /* [D] */
} target;

static clip_status fail_write(const char *path, clip_error *err)
{
    return clipb_fail(err, CLIP_EIO, path, "cannot be written: %s", strerror(errno));
}

/* A row of zeros where there is no item. */
static clip_status write_vector(target *o, clipidx_array *a, int64_t item, clip_error *err)
{
    if (a->fd < 0)
        return CLIP_OK;
    memset(o->half, 0, (size_t)o->x->dim * sizeof *o->half);
    if (item >= 0) {
        TRY(clipidx_vector(o->x, item, o->unit, err));
        o->x->set->to_f16(o->half, o->unit, (size_t)o->x->dim); /* back to the very bits it was */
    }
    return clipidx_array_write(a, o->rows, o->half, 1, err);
}

static clip_status write_metadata(target *o, const char *path, const char *caption, clip_error *err)
{
    cJSON *line = cJSON_CreateObject();
    bool whole = line && (!path || cJSON_AddStringToObject(line, "image_path", path));
    whole = whole && (!caption || cJSON_AddStringToObject(line, "caption", caption));
    char *text = whole ? clipb_json_print(line, false) : NULL;
    cJSON_Delete(line);
    if (!text)
        return clipb_nomem(err, o->metadata_path);
    fprintf(o->metadata, "%s\n", text);
    cJSON_free(text);
    return ferror(o->metadata) ? fail_write(o->metadata_path, err) : CLIP_OK;
}

/* One row: a picture, a text, or both (-1: none). */
static clip_status write_row(target *o, int64_t picture, int64_t text, clip_error *err)
{
    char *caption = NULL, *path = NULL;
    clip_item item = {0};
    clip_status s = text >= 0 ? clipidx_item_at(o->x, text, &item, err) : CLIP_OK;
    if (s == CLIP_OK && text >= 0)
        caption = strdup(item.text ? item.text : "");
    if (s == CLIP_OK && picture >= 0)
        s = clipidx_item_at(o->x, picture, &item, err);
    if (s == CLIP_OK && item.path)
        path = strdup(item.path);
    if (s == CLIP_OK && ((text >= 0 && !caption) || (item.path && !path)))
        s = clipb_nomem(err, o->x->dir);
    if (s == CLIP_OK)
        s = write_vector(o, &o->image, picture, err);
    if (s == CLIP_OK)
        s = write_vector(o, &o->text, text, err);
    if (s == CLIP_OK)
        s = write_metadata(o, path, caption, err);
    o->rows++;
    free(caption);
    free(path);
    return s;
}

/* ---- Which texts belong to which picture ----------------------------------------------------- */

typedef struct caption {
    uint64_t path; /* hash of it */
    int64_t row;   /* of the text; -1 once it has been written */
} caption;

static int by_path(const void *a, const void *b)
{
    const caption *p = a, *q = b;
    if (p->path != q->path)
        return p->path < q->path ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

static uint64_t hash_path(const char *path) { return path ? XXH3_64bits(path, strlen(path)) : 0; }

/* All texts, sorted by path: 16 bytes each. */
static clip_status list_captions(const clip_index *x, caption **list, size_t *n, clip_error *err)
{
    clip_item item;
    size_t capacity = 0;
    int64_t cursor = 0;
    for (*n = 0;;) {
        TRY(clipidx_next(x, &cursor, &item, err));
        if (!item.kind)
            break;
        if (item.kind != CLIP_ITEM_TEXT)
            continue;
        if (clipb_grow((void **)list, &capacity, *n + 1, sizeof **list) < 0)
            return clipb_nomem(err, x->dir);
        (*list)[(*n)++] = (caption){hash_path(item.path), item.row};
    }
    if (*n > 0)
        qsort(*list, *n, sizeof **list, by_path);
    return CLIP_OK;
}

static size_t first_of(const caption *list, size_t n, uint64_t path)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (list[mid].path < path)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* A picture with each of its captions, or alone. Where the hashes of two paths are equal (one of
 * 2^64 pairs), a caption goes with the wrong picture. */
static clip_status write_picture(target *o, int64_t picture, const char *path, caption *list, size_t n, clip_error *err)
{
    const uint64_t hash = hash_path(path);
    int64_t written = 0;
    for (size_t i = first_of(list, n, hash); i < n && list[i].path == hash; i++) {
        if (list[i].row < 0)
            continue;
        TRY(write_row(o, picture, list[i].row, err));
        list[i].row = -1;
        written++;
    }
    return written ? CLIP_OK : write_row(o, picture, -1, err);
}

static clip_status write_rows(target *o, caption *list, size_t n, clip_error *err)
{
    clip_item item;
    for (int64_t cursor = 0;;) {
        TRY(clipidx_next(o->x, &cursor, &item, err));
        if (!item.kind)
            break;
        if (item.kind == CLIP_ITEM_PICTURE)
            TRY(write_picture(o, item.row, item.path, list, n, err));
    }
    for (size_t i = 0; i < n; i++)
        if (list[i].row >= 0)
            TRY(write_row(o, -1, list[i].row, err));
    return CLIP_OK;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static clip_status make_folder(const char *dir, const char *name, char **path, clip_error *err)
{
    *path = clipb_path_join(dir, name);
    if (!*path)
        return clipb_nomem(err, dir);
    return mkdir(*path, 0777) < 0 ? clipb_fail(err, CLIP_EIO, *path, "cannot be made: %s", strerror(errno)) : CLIP_OK;
}

static clip_status open_array(clipidx_array *a, const char *dir, const char *folder, const char *name, int dim,
                              clip_error *err)
{
    char *path;
    clip_status s = make_folder(dir, folder, &path, err);
    if (s == CLIP_OK)
        s = clipidx_array_create(a, path, name, "<f2", 2, dim, err);
    free(path);
    return s;
}

static clip_status open_out(target *o, const char *dir, clip_error *err)
{
    char *folder;
    const int D = o->x->dim;
    clip_status s = CLIP_OK;
    if (o->x->state.pictures > 0)
        s = open_array(&o->image, dir, "img_emb", "img_emb_0.npy", D, err);
    if (s == CLIP_OK && o->x->state.texts > 0)
        s = open_array(&o->text, dir, "text_emb", "text_emb_0.npy", D, err);
    TRY(s);
    s = make_folder(dir, "metadata", &folder, err);
    if (s == CLIP_OK)
        o->metadata_path = clipb_path_join(folder, "metadata_0.jsonl");
    free(folder);
    TRY(s);
    o->unit = malloc((size_t)D * sizeof *o->unit);
    o->half = malloc((size_t)D * sizeof *o->half);
    if (!o->metadata_path || !o->unit || !o->half)
        return clipb_nomem(err, dir);
    const int fd = clipb_create(o->metadata_path);
    o->metadata = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!o->metadata && fd >= 0)
        close(fd);
    return o->metadata ? CLIP_OK : fail_write(o->metadata_path, err);
}

static clip_status close_out(target *o, clip_status s, clip_error *err)
{
    if (s == CLIP_OK && o->image.fd >= 0)
        s = clipidx_array_sync(&o->image, err);
    if (s == CLIP_OK && o->text.fd >= 0)
        s = clipidx_array_sync(&o->text, err);
    if (o->metadata && fclose(o->metadata) != 0 && s == CLIP_OK)
        s = fail_write(o->metadata_path, err);
    clipidx_array_close(&o->image);
    clipidx_array_close(&o->text);
    free(o->metadata_path);
    free(o->unit);
    free(o->half);
    return s;
}

/* What has been made in `dir`, and the folder itself. */
static void take_back(const char *dir, bool keep_dir)
{
    static const char *const made[] = {"img_emb/img_emb_0.npy",     "img_emb", "text_emb/text_emb_0.npy", "text_emb",
                                       "metadata/metadata_0.jsonl", "metadata"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char *path = clipb_path_join(dir, made[i]);
        if (path)
            remove(path);
        free(path);
    }
    if (!keep_dir)
        rmdir(dir);
}

clip_status clipidx_export(const clip_index *x, const char *dir, int64_t *rows, clip_error *err)
{
    target o = {.x = x, .image.fd = -1, .text.fd = -1};
    caption *list = NULL;
    size_t n = 0;
    *rows = 0;
    TRY(clipb_dir_check_empty(dir, err));
    const bool was_there = clipb_is_dir(dir);
    if (!was_there && mkdir(dir, 0777) < 0)
        return clipb_fail(err, CLIP_EIO, dir, "cannot be made: %s", strerror(errno));
    clip_status s = open_out(&o, dir, err);
    if (s == CLIP_OK)
        s = list_captions(x, &list, &n, err);
    if (s == CLIP_OK)
        s = write_rows(&o, list, n, err);
    free(list);
    *rows = o.rows;
    s = close_out(&o, s, err);
    if (s < 0)
        take_back(dir, was_there);
    return s;
}
