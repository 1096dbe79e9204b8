/* store.c: opens safetensors files, checks them, and lists their tensors. */
#include "model/store.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define MAX_HEADER ((size_t)16 << 20) /* the largest CLIP needs a quarter of a megabyte */
#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 1000
#define FINITE_PIECE ((size_t)256 << 10) /* bytes that are checked at a time */

static const struct {
    char name[8];
    size_t size;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
              {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

bool clipmdl_tensor_type(const clipmdl_tensor *t, clipk_type *out)
{
    if (strcmp(t->dtype, "F32") == 0)
        *out = CLIPK_F32;
    else if (strcmp(t->dtype, "F16") == 0)
        *out = CLIPK_F16;
    else if (strcmp(t->dtype, "BF16") == 0)
        *out = CLIPK_BF16;
    else
        return false;
    return true;
}

/* NaN and infinities have an exponent of all ones. A block at a time, so that compilers make
 * vectors of it. Files and machine are little-endian. */
static bool finite32(const unsigned char *data, size_t bytes)
{
    uint32_t block[1024], bad = 0;
    for (size_t at = 0; at < bytes && !bad; at += sizeof block) {
        const size_t size = bytes - at < sizeof block ? bytes - at : sizeof block;
        memcpy(block, data + at, size);
        for (size_t i = 0; i < size / sizeof *block; i++)
            bad |= (block[i] & 0x7F800000) == 0x7F800000;
    }
    return !bad;
}

static bool finite16(const unsigned char *data, size_t bytes, uint16_t ones)
{
    uint16_t block[2048], bad = 0;
    for (size_t at = 0; at < bytes && !bad; at += sizeof block) {
        const size_t size = bytes - at < sizeof block ? bytes - at : sizeof block;
        memcpy(block, data + at, size);
        for (size_t i = 0; i < size / sizeof *block; i++)
            bad |= (block[i] & ones) == ones;
    }
    return !bad;
}

bool clipmdl_tensor_has_shape(const clipmdl_tensor *t, int ndim, const int64_t *dim)
{
    int more = 0;
    while (more < t->ndim - ndim && t->dim[more] == 1)
        more++;
    return t->ndim - more == ndim && memcmp(t->dim + more, dim, (size_t)ndim * sizeof *dim) == 0;
}

typedef struct finite_job {
    const clipmdl_tensor *t;
    clipk_type type;
    atomic_bool bad;
} finite_job;

static void finite_piece(void *job, int64_t i, int thread)
{
    finite_job *j = job;
    const size_t at = (size_t)i * FINITE_PIECE, left = j->t->bytes - at;
    const size_t bytes = left < FINITE_PIECE ? left : FINITE_PIECE;
    const unsigned char *p = j->t->data + at;
    (void)thread;
    if (!(j->type == CLIPK_F32 ? finite32(p, bytes) : finite16(p, bytes, j->type == CLIPK_F16 ? 0x7C00 : 0x7F80)))
        atomic_store(&j->bad, true);
}

bool clipmdl_tensor_is_finite(const clipmdl_tensor *t, clipb_team *team)
{
    finite_job j = {.t = t};
    if (!clipmdl_tensor_type(t, &j.type))
        return true;
    const int64_t pieces = (int64_t)((t->bytes + FINITE_PIECE - 1) / FINITE_PIECE);
    clipb_team_run(pieces > 1 ? team : NULL, pieces, finite_piece, &j);
    return !j.bad;
}

/* A whole number of JSON in 0 .. 2^53, where doubles are exact. */
static bool whole(const cJSON *v, uint64_t *out)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 9007199254740992.0) ||
        v->valuedouble != (double)(uint64_t)v->valuedouble)
        return false;
    *out = (uint64_t)v->valuedouble;
    return true;
}

/* Reads one entry of the header into *t. size: bytes of data in the file. */
static clip_status read_entry(const cJSON *e, const char *file, const unsigned char *data, size_t size,
                              clipmdl_tensor *t, clip_error *err)
{
    const char *name = e->string;
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(e, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(e, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(e, "data_offsets");
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets))
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' lacks dtype, shape or data_offsets", name);
    *t = (clipmdl_tensor){.name = name};
    size_t item = 0;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype->valuestring, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].name;
            item = dtypes[i].size;
        }
    if (!item)
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' has the unknown dtype '%s'", name, dtype->valuestring);
    size_t bytes = item;
    const cJSON *d;
    cJSON_ArrayForEach(d, shape)
    {
        uint64_t v;
        if (t->ndim == CLIPMDL_MAX_DIMS || !whole(d, &v) || __builtin_mul_overflow(bytes, v, &bytes))
            return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' has an impossible shape", name);
        t->dim[t->ndim++] = (int64_t)v;
    }
    uint64_t begin, end;
    const cJSON *first = offsets->child, *second = first ? first->next : NULL;
    if (!second || second->next || !whole(first, &begin) || !whole(second, &end) || begin > end)
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' has impossible data_offsets", name);
    if (end > size)
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' ends at byte %" PRIu64 " of %zu: the file is cut short",
                          name, end, size);
    if (end - begin != bytes)
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' has %" PRIu64 " bytes where its shape needs %zu", name,
                          end - begin, bytes);
    t->data = data + begin;
    t->bytes = bytes;
    return CLIP_OK;
}

static int by_data(const void *a, const void *b)
{
    const clipmdl_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const clipmdl_tensor *)a)->name, ((const clipmdl_tensor *)b)->name);
}

/* Map one file and append its tensors to the store. */
static clip_status read_shard(clipmdl_store *s, size_t *capacity, const char *file, clip_error *err)
{
    clipb_map *map = &s->map[s->shards];
    TRY(clipb_map_open(file, map, err));
    s->shards++; /* from here the store owns the mapping and the header */
    if (map->size < 8)
        return clipb_fail(err, CLIP_EFORMAT, file, "not a safetensors file: only %zu bytes long", map->size);
    uint64_t header = 0;
    for (int i = 0; i < 8; i++)
        header |= (uint64_t)map->data[i] << 8 * i;
    if (header > map->size - 8 || header > MAX_HEADER)
        return clipb_fail(err, CLIP_EFORMAT, file,
                          "not a safetensors file, or cut short: a header of %" PRIu64 " bytes in a file of %zu",
                          header, map->size);
    cJSON *root;
    TRY(clipb_json_parse((const char *)map->data + 8, (size_t)header, file, &root, err));
    s->header[s->shards - 1] = root;
    if (!cJSON_IsObject(root))
        return clipb_fail(err, CLIP_EFORMAT, file, "not a safetensors file: its header is not a JSON object");

    const unsigned char *data = map->data + 8 + header;
    size_t size = map->size - 8 - (size_t)header, first = s->n;
    const cJSON *e;
    cJSON_ArrayForEach(e, root)
    {
        if (strcmp(e->string, "__metadata__") == 0)
            continue;
        if (clipb_grow((void **)&s->tensor, capacity, s->n + 1, sizeof *s->tensor) < 0)
            return clipb_nomem(err, file);
        TRY(read_entry(e, file, data, size, &s->tensor[s->n], err));
        s->tensor[s->n++].map = map;
    }
    if (s->n == first)
        return CLIP_OK;
    qsort(s->tensor + first, s->n - first, sizeof *s->tensor, by_data);
    for (size_t i = first + 1; i < s->n; i++)
        if (s->tensor[i].data < s->tensor[i - 1].data + s->tensor[i - 1].bytes)
            return clipb_fail(err, CLIP_EFORMAT, file, "tensors '%s' and '%s' overlap", s->tensor[i - 1].name,
                              s->tensor[i].name);
    return CLIP_OK;
}

/* The distinct file names in an index's "weight_map", each beside the index. */
static clip_status read_index(clipmdl_store *s, const char *path, const cJSON *index, clip_error *err)
{
    const cJSON *weights = cJSON_GetObjectItemCaseSensitive(index, "weight_map"), *e;
    if (!cJSON_IsObject(weights) || !weights->child)
        return clipb_fail(err, CLIP_EFORMAT, path, "has no \"weight_map\"");
    const char *names[MAX_SHARDS];
    size_t n = 0, capacity = 0;
    cJSON_ArrayForEach(e, weights)
    {
        const char *name = cJSON_IsString(e) ? e->valuestring : "";
        if (!*name || *name == '.' || strchr(name, '/'))
            return clipb_fail(err, CLIP_EFORMAT, path,
                              "tensor '%s' is said to be in '%s', which is not a file beside the index", e->string,
                              name);
        size_t i = n; /* shards come in runs: try the last one first */
        while (i > 0 && strcmp(names[i - 1], name) != 0)
            i--;
        if (i > 0)
            continue;
        if (n == MAX_SHARDS)
            return clipb_fail(err, CLIP_ELIMIT, path, "names more than %d files", MAX_SHARDS);
        names[n++] = name;
    }
    s->map = calloc(n, sizeof *s->map);
    s->header = calloc(n, sizeof *s->header);
    char *dir = clipb_path_dir(path);
    clip_status status = s->map && s->header && dir ? CLIP_OK : clipb_nomem(err, path);
    for (size_t i = 0; status == CLIP_OK && i < n; i++) {
        char *file = clipb_path_join(dir, names[i]);
        status = file ? read_shard(s, &capacity, file, err) : clipb_nomem(err, path);
        free(file);
    }
    free(dir);
    return status;
}

clip_status clipmdl_store_open(const char *path, clipmdl_store *s, clip_error *err)
{
    *s = (clipmdl_store){.file = strdup(path)};
    clip_status status = s->file ? CLIP_OK : clipb_nomem(err, path);
    size_t length = strlen(path);
    if (status == CLIP_OK && length > 5 && strcmp(path + length - 5, ".json") == 0) {
        cJSON *index;
        status = clipb_json_read(path, MAX_INDEX, &index, err);
        if (status == CLIP_OK) {
            status = read_index(s, path, index, err);
            cJSON_Delete(index);
        }
    } else if (status == CLIP_OK) {
        size_t capacity = 0;
        s->map = calloc(1, sizeof *s->map);
        s->header = calloc(1, sizeof *s->header);
        status = s->map && s->header ? read_shard(s, &capacity, path, err) : clipb_nomem(err, path);
    }
    if (status == CLIP_OK && s->n > 0)
        qsort(s->tensor, s->n, sizeof *s->tensor, by_name);
    for (size_t i = 1; status == CLIP_OK && i < s->n; i++)
        if (strcmp(s->tensor[i - 1].name, s->tensor[i].name) == 0)
            status = clipb_fail(err, CLIP_EFORMAT, path, "tensor '%s' is there twice", s->tensor[i].name);
    if (status < 0)
        clipmdl_store_close(s);
    return status;
}

void clipmdl_store_close(clipmdl_store *s)
{
    for (size_t i = 0; i < s->shards; i++) {
        cJSON_Delete(s->header[i]);
        clipb_map_close(&s->map[i]);
    }
    free(s->header);
    free(s->map);
    free(s->joined);
    free(s->tensor);
    free(s->file);
    *s = (clipmdl_store){0};
}

clipmdl_tensor *clipmdl_store_find(const clipmdl_store *s, const char *name)
{
    clipmdl_tensor key = {.name = name};
    return s->n ? bsearch(&key, s->tensor, s->n, sizeof key, by_name) : NULL;
}

clip_status clipmdl_store_check(const clipmdl_store *s, clip_error *err)
{
    for (size_t i = 0; i < s->shards; i++)
        TRY(clipb_map_check(&s->map[i], err));
    return CLIP_OK;
}
