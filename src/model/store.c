/* store.c: opens files of tensors by their readers, and lists the tensors. */
#include "model/store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/reader.h"

#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 1000
#define FINITE_PIECE ((size_t)256 << 10) /* bytes that are checked at a time */

static const struct {
    char name[8];
    size_t size;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
              {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

const char *clipmdl_dtype(const char *name, size_t *size)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *size = dtypes[i].size;
            return dtypes[i].name;
        }
    return NULL;
}

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

/* ---- What a store owns ----------------------------------------------------------------------- */

#define PIECE ((size_t)32 << 10)

struct clipmdl_kept {
    struct clipmdl_kept *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

/* Names are small and many: they share pieces. */
void *clipmdl_store_keep(clipmdl_store *s, size_t bytes)
{
    struct clipmdl_kept *k = s->kept;
    const size_t room = bytes + (16 - bytes % 16);
    if (room < bytes)
        return NULL;
    if (!k || k->size - k->used < room) {
        const size_t size = room > PIECE ? room : PIECE;
        k = size <= SIZE_MAX - sizeof *k ? malloc(sizeof *k + size) : NULL;
        if (!k)
            return NULL;
        *k = (struct clipmdl_kept){.next = s->kept, .size = size};
        s->kept = k;
    }
    k->used += room;
    return k->data + k->used - room;
}

clip_status clipmdl_store_add(clipmdl_store *s, const char *name, size_t length, clipmdl_tensor **out)
{
    TRY(clipb_grow((void **)&s->tensor, &s->capacity, s->n + 1, sizeof *s->tensor));
    char *copy = clipmdl_store_keep(s, length + 1);
    if (!copy)
        return CLIP_ENOMEM;
    memcpy(copy, name, length);
    copy[length] = 0;
    *out = &s->tensor[s->n++];
    **out = (clipmdl_tensor){.name = copy};
    return CLIP_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const clipmdl_tensor *)a)->name, ((const clipmdl_tensor *)b)->name);
}

/* The formats, in the order in which they are asked. The last one takes every file, and says what
 * is wrong with it. */
static const clipmdl_file_format *const readers[] = {&clipmdl_torch_zip, &clipmdl_torch_legacy, &clipmdl_safetensors};

/* Map one file and append its tensors to the store. */
static clip_status read_shard(clipmdl_store *s, const char *file, clip_error *err)
{
    clipb_map *map = &s->map[s->shards];
    TRY(clipb_map_open(file, map, err));
    s->shards++; /* from here the store owns the mapping */
    size_t i = 0;
    while (!readers[i]->knows(map))
        i++;
    return readers[i]->read(s, map, file, err);
}

/* The distinct file names in an index's "weight_map", each beside the index. */
static clip_status read_index(clipmdl_store *s, const char *path, const cJSON *index, clip_error *err)
{
    const cJSON *weights = cJSON_GetObjectItemCaseSensitive(index, "weight_map"), *e;
    if (!cJSON_IsObject(weights) || !weights->child)
        return clipb_fail(err, CLIP_EFORMAT, path, "has no \"weight_map\"");
    const char *names[MAX_SHARDS];
    size_t n = 0;
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
    char *dir = clipb_path_dir(path);
    clip_status status = s->map && dir ? CLIP_OK : clipb_nomem(err, path);
    for (size_t i = 0; status == CLIP_OK && i < n; i++) {
        char *file = clipb_path_join(dir, names[i]);
        status = file ? read_shard(s, file, err) : clipb_nomem(err, path);
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
        s->map = calloc(1, sizeof *s->map);
        status = s->map ? read_shard(s, path, err) : clipb_nomem(err, path);
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
    for (size_t i = 0; i < s->shards; i++)
        clipb_map_close(&s->map[i]);
    for (struct clipmdl_kept *k = s->kept, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    free(s->map);
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
