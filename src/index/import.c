/* Reads embeddings in the layout that export.c describes, in any number of shards
 * (img_emb_0.npy, img_emb_1.npy, ..). clip-retrieval itself writes metadata as Parquet. Reading
 * that takes a library larger than this one, so a message says which line of Python turns it
 * into JSON lines. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "index/index.h"
#include "index/npy.h"

enum { BATCH = 256, COMMIT_EVERY = 400 }; /* rows at once; batches */

/* ---- Which files ----------------------------------------------------------------------------- */

/* Shards by their number, as it is written ("0", "007"). */
typedef struct shards {
    char (*number)[24];
    size_t n, capacity;
} shards;

static int by_number(const void *a, const void *b)
{
    const long long x = atoll(a), y = atoll(b);
    return x != y ? (x > y) - (x < y) : strcmp(a, b);
}

/* Files PREFIX_<number>.SUFFIX in a directory. */
static clip_status list_shards(const char *folder, const char *prefix, const char *suffix, shards *out, clip_error *err)
{
    DIR *d = opendir(folder);
    const size_t before = strlen(prefix), after = strlen(suffix);
    clip_status s = CLIP_OK;
    *out = (shards){0};
    for (struct dirent *e; d && s == CLIP_OK && (e = readdir(d));) {
        const size_t length = strlen(e->d_name);
        if (length <= before + after || strncmp(e->d_name, prefix, before) != 0 ||
            strcmp(e->d_name + length - after, suffix) != 0)
            continue;
        const size_t digits = length - before - after;
        if (digits > 18 || strspn(e->d_name + before, "0123456789") != digits)
            continue;
        s = clipb_grow((void **)&out->number, &out->capacity, out->n + 1, sizeof *out->number);
        if (s == CLIP_OK)
            snprintf(out->number[out->n++], sizeof *out->number, "%.*s", (int)digits, e->d_name + before);
    }
    if (d)
        closedir(d);
    if (s < 0)
        return clipb_nomem(err, folder);
    if (out->n > 0)
        qsort(out->number, out->n, sizeof *out->number, by_number);
    return CLIP_OK;
}

/* A matrix that no metadata belong to would be left out without a word. */
static clip_status check_matrices(const char *dir, const char *prefix, const shards *metadata, clip_error *err)
{
    shards list = {0};
    char *folder = clipb_path_join(dir, prefix), name[16];
    snprintf(name, sizeof name, "%s_", prefix);
    clip_status s =
        folder ? list_shards(folder, name, ".npy", &list, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK && list.n > 0 && list.n != metadata->n)
        s = clipb_fail(err, CLIP_EMISMATCH, folder, "has %zu files, the metadata beside it %zu", list.n, metadata->n);
    for (size_t i = 0; s == CLIP_OK && i < list.n; i++)
        if (strcmp(list.number[i], metadata->number[i]) != 0)
            s = clipb_fail(err, CLIP_EMISMATCH, folder,
                           "has %s%s.npy where the metadata beside it have metadata_%s.jsonl", name, list.number[i],
                           metadata->number[i]);
    free(list.number);
    free(folder);
    return s;
}

static clip_status find_shards(const char *dir, shards *out, clip_error *err)
{
    char *folder = clipb_path_join(dir, "metadata");
    shards parquet = {0};
    clip_status s = folder ? list_shards(folder, "metadata_", ".jsonl", out, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK && out->n == 0) {
        s = list_shards(folder, "metadata_", ".parquet", &parquet, err);
        if (s == CLIP_OK && parquet.n > 0)
            s = clipb_fail(
                err, CLIP_EUNSUPPORTED, folder,
                "is in Parquet; for each file, Python turns it into what is read here: "
                "pandas.read_parquet('metadata_0.parquet').to_json('metadata_0.jsonl', orient='records', lines=True)");
        else if (s == CLIP_OK)
            s = clipb_fail(err, CLIP_EIO, dir,
                           "holds no embeddings: there is no metadata/metadata_0.jsonl (and img_emb/img_emb_0.npy)");
    }
    if (s == CLIP_OK)
        s = check_matrices(dir, "img_emb", out, err);
    if (s == CLIP_OK)
        s = check_matrices(dir, "text_emb", out, err);
    free(parquet.number);
    free(folder);
    if (s < 0) {
        free(out->number);
        *out = (shards){0};
    }
    return s;
}

/* ---- One shard ------------------------------------------------------------------------------- */

typedef struct source {
    clipidx_npy image, text; /* data NULL: there is none */
    char *metadata_path;
    clipb_map metadata;
    size_t at; /* its next line begins there */
    int64_t rows;
} source;

static clip_status open_matrix(const char *dir, const char *prefix, const char *number, clipidx_npy *out,
                               clip_error *err)
{
    char *path;
    if (asprintf(&path, "%s/%s/%s_%s.npy", dir, prefix, prefix, number) < 0)
        return clipb_nomem(err, dir);
    clip_status s = clipb_is_file(path) ? clipidx_npy_open(path, out, err) : CLIP_OK;
    free(path);
    return s;
}

static void close_shard(source *i)
{
    clipidx_npy_close(&i->image);
    clipidx_npy_close(&i->text);
    clipb_map_close(&i->metadata);
    free(i->metadata_path);
}

static clip_status open_shard(source *i, const char *dir, const char *number, clip_error *err)
{
    *i = (source){0};
    if (asprintf(&i->metadata_path, "%s/metadata/metadata_%s.jsonl", dir, number) < 0) {
        i->metadata_path = NULL;
        return clipb_nomem(err, dir);
    }
    TRY(open_matrix(dir, "img_emb", number, &i->image, err));
    TRY(open_matrix(dir, "text_emb", number, &i->text, err));
    if (!i->image.data && !i->text.data)
        return clipb_fail(err, CLIP_EIO, dir, "there is neither img_emb/img_emb_%s.npy nor text_emb/text_emb_%s.npy",
                          number, number);
    if (i->image.data && i->text.data && (i->image.rows != i->text.rows || i->image.columns != i->text.columns))
        return clipb_fail(err, CLIP_EMISMATCH, dir,
                          "img_emb_%s.npy is [%" PRId64 ", %d], text_emb_%s.npy [%" PRId64 ", %d]", number,
                          i->image.rows, i->image.columns, number, i->text.rows, i->text.columns);
    i->rows = i->image.data ? i->image.rows : i->text.rows;
    return clipb_map_open(i->metadata_path, &i->metadata, err);
}

clip_status clipidx_import_info(const char *dir, int *dim, int64_t *rows, clip_error *err)
{
    shards list;
    TRY(find_shards(dir, &list, err));
    clip_status s = CLIP_OK;
    *dim = 0;
    *rows = 0;
    for (size_t k = 0; k < list.n && s == CLIP_OK; k++) {
        source i;
        s = open_shard(&i, dir, list.number[k], err);
        const int D = i.image.data ? i.image.columns : i.text.columns;
        if (s == CLIP_OK && *dim && *dim != D)
            s = clipb_fail(err, CLIP_EMISMATCH, dir, "shard %s has %d columns, those before it %d", list.number[k], D,
                           *dim);
        *dim = D;
        *rows += i.rows;
        close_shard(&i);
    }
    free(list.number);
    return s;
}

/* ---- Items ----------------------------------------------------------------------------------- */

typedef struct batch {
    clip_item item[BATCH];
    float *vector; /* [BATCH, D] */
    int n;
    char *last;    /* path of the picture in the row before: a picture with several captions has several rows */
} batch;

static void clear(batch *b)
{
    for (int i = 0; i < b->n; i++) {
        free((char *)(uintptr_t)b->item[i].path); /* ours, though an item does not say so */
        free((char *)(uintptr_t)b->item[i].text);
    }
    b->n = 0;
}

static clip_status flush(clip_index *x, batch *b, clip_error *err)
{
    clip_status s = b->n > 0 ? clipidx_add(x, b->item, b->vector, b->n, err) : CLIP_OK;
    clear(b);
    return s;
}

/* Row `i` of a matrix as an item, if it is a direction (zeros stand for none). *added counts it. */
static clip_status add_row(clip_index *x, batch *b, const clipidx_npy *a, int64_t i, clip_item_kind kind,
                           const char *path, const char *text, int64_t *added, clip_error *err)
{
    float *v = b->vector + (size_t)b->n * (size_t)x->dim;
    struct stat st;
    clipidx_npy_row(a, x->set, i, v);
    if (!clipidx_unit(v, v, x->dim))
        return CLIP_OK;
    clip_item item = {.kind = kind, .path = path ? strdup(path) : NULL, .text = text ? strdup(text) : NULL};
    if ((path && !item.path) || (text && !item.text)) {
        free((char *)(uintptr_t)item.path);
        free((char *)(uintptr_t)item.text);
        return clipb_nomem(err, x->dir);
    }
    if (path && stat(path, &st) == 0) { /* unchanged since, it need not be embedded again */
        item.size = st.st_size;
        item.mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    b->item[b->n++] = item;
    ++*added;
    return b->n == BATCH ? flush(x, b, err) : CLIP_OK;
}

/* What a line says. The strings live in the tree. A path is image_path, else url, as in lists of
 * pictures on the web. */
static clip_status read_line(source *in, int64_t number, cJSON **tree, const char **path, const char **caption_text,
                             clip_error *err)
{
    const char *line = (const char *)in->metadata.data + in->at;
    if (in->at == in->metadata.size)
        return clipb_fail(err, CLIP_EMISMATCH, in->metadata_path,
                          "ends after %" PRId64 " lines; the embeddings beside it have %" PRId64 " rows", number,
                          in->rows);
    const char *end = memchr(line, '\n', in->metadata.size - in->at);
    const size_t n = end ? (size_t)(end - line) + 1 : in->metadata.size - in->at;
    in->at += n;
    clip_error inner;
    clip_status s = clipb_json_parse(line, n, NULL, tree, &inner);
    if (s == CLIP_OK && !cJSON_IsObject(*tree))
        s = clipb_fail(&inner, CLIP_EFORMAT, NULL, "is not a JSON object");
    *path = *caption_text = NULL;
    if (s == CLIP_OK)
        s = clipb_json_string(*tree, "url", path, NULL, &inner);
    if (s == CLIP_OK)
        s = clipb_json_string(*tree, "image_path", path, NULL, &inner);
    if (s == CLIP_OK)
        s = clipb_json_string(*tree, "caption", caption_text, NULL, &inner);
    return s < 0 ? clipb_fail(err, s, in->metadata_path, "line %" PRId64 ": %s", number + 1, inner.message) : CLIP_OK;
}

static clip_status add_picture(clip_index *x, batch *b, source *in, int64_t i, const char *path, clip_import_report *r,
                               clip_error *err)
{
    const int64_t before = r->pictures;
    TRY(add_row(x, b, &in->image, i, CLIP_ITEM_PICTURE, path, NULL, &r->pictures, err));
    free(b->last);
    b->last = r->pictures > before ? strdup(path) : NULL; /* NULL, also out of memory: nothing is passed over */
    return CLIP_OK;
}

static clip_status add_pair(clip_index *x, batch *b, source *in, int64_t i, clip_import_report *r, clip_error *err)
{
    cJSON *tree = NULL;
    const char *path, *text;
    const int64_t before = r->pictures + r->texts;
    clip_status s = read_line(in, i, &tree, &path, &text, err);
    const bool again = s == CLIP_OK && path && b->last && strcmp(path, b->last) == 0;
    if (s == CLIP_OK && path && *path && in->image.data && !again)
        s = add_picture(x, b, in, i, path, r, err);
    if (s == CLIP_OK && text && *text && in->text.data)
        s = add_row(x, b, &in->text, i, CLIP_ITEM_TEXT, path, text, &r->texts, err);
    r->rows++;
    r->empty += s == CLIP_OK && !again && r->pictures + r->texts == before;
    cJSON_Delete(tree);
    return s;
}

static clip_status add_shard(clip_index *x, batch *b, source *in, clip_import_report *r, clip_error *err)
{
    for (int64_t i = 0; i < in->rows; i++) {
        TRY(add_pair(x, b, in, i, r, err));
        if (i % (BATCH * COMMIT_EVERY) == BATCH * COMMIT_EVERY - 1)
            TRY(clipidx_commit(x, err));
    }
    return CLIP_OK;
}

static clip_status check_shard(const clip_index *x, source *in, clip_error *err)
{
    const int D = in->image.data ? in->image.columns : in->text.columns;
    if (D != x->dim)
        return clipb_fail(err, CLIP_EMISMATCH, in->metadata_path,
                          "the embeddings beside it have %d columns, the index %d", D, x->dim);
    for (int64_t i = 0; i < in->rows; i++) {
        cJSON *tree = NULL;
        const char *path, *text;
        clip_status s = read_line(in, i, &tree, &path, &text, err);
        cJSON_Delete(tree);
        TRY(s);
    }
    return in->at == in->metadata.size ? CLIP_OK
                                       : clipb_fail(err, CLIP_EMISMATCH, in->metadata_path,
                                                    "has more lines than the %" PRId64 " rows beside it", in->rows);
}

/* Before anything is added: a line too many or too few says that names and vectors do not belong
 * together, perhaps from the first row on. */
static clip_status check_shards(const clip_index *x, const char *dir, const shards *list, clip_error *err)
{
    clip_status s = CLIP_OK;
    for (size_t k = 0; k < list->n && s == CLIP_OK; k++) {
        source i;
        s = open_shard(&i, dir, list->number[k], err);
        if (s == CLIP_OK)
            s = check_shard(x, &i, err);
        close_shard(&i);
    }
    return s;
}

/* What `look` is to see of a line; *more: it wants the next one, too. */
static clip_status show_line(const clip_index *x, source *in, int64_t i, float *unit, clipidx_look_fn *look, void *user,
                             bool *more, clip_error *err)
{
    cJSON *tree = NULL;
    const char *path, *text;
    clip_status s = read_line(in, i, &tree, &path, &text, err);
    const struct {
        const clipidx_npy *matrix;
        clip_item item;
    } sides[] = {{&in->image, {.kind = CLIP_ITEM_PICTURE, .path = path}},
                 {&in->text, {.kind = CLIP_ITEM_TEXT, .path = path, .text = text}}};
    for (int k = 0; k < 2 && s == CLIP_OK && *more; k++) {
        const char *what = k == 0 ? path : text;
        if (!what || !*what || !sides[k].matrix->data)
            continue;
        clipidx_npy_row(sides[k].matrix, x->set, i, unit);
        if (clipidx_unit(unit, unit, x->dim))
            s = look(user, &sides[k].item, unit, more);
    }
    cJSON_Delete(tree);
    return s;
}

clip_status clipidx_import_look(const clip_index *x, const char *dir, clipidx_look_fn *look, void *user,
                                clip_error *err)
{
    shards list = {0};
    bool more = true;
    float *unit = malloc((size_t)x->dim * sizeof *unit);
    clip_status s = unit ? find_shards(dir, &list, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK)
        s = check_shards(x, dir, &list, err);
    for (size_t k = 0; k < list.n && s == CLIP_OK && more; k++) {
        source in;
        s = open_shard(&in, dir, list.number[k], err);
        for (int64_t i = 0; s == CLIP_OK && more && i < in.rows; i++)
            s = show_line(x, &in, i, unit, look, user, &more, err);
        close_shard(&in);
    }
    free(list.number);
    free(unit);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}

clip_status clipidx_import(clip_index *x, const char *dir, clip_import_report *report, clip_error *err)
{
    batch *b = calloc(1, sizeof *b);
    shards list = {0};
    *report = (clip_import_report){0};
    if (b)
        b->vector = malloc(BATCH * (size_t)x->dim * sizeof *b->vector);
    clip_status s = b && b->vector ? find_shards(dir, &list, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK)
        s = check_shards(x, dir, &list, err);
    for (size_t k = 0; k < list.n && s == CLIP_OK; k++) {
        source i;
        s = open_shard(&i, dir, list.number[k], err);
        if (s == CLIP_OK)
            s = add_shard(x, b, &i, report, err);
        close_shard(&i);
    }
    if (s == CLIP_OK)
        s = flush(x, b, err);
    if (s == CLIP_OK)
        s = clipidx_commit(x, err);
    if (b) {
        clear(b);
        free(b->vector);
        free(b->last);
    }
    free(b);
    free(list.number);
    return s;
}
