/* safetensors.c: reads a safetensors file.
 *
 *     8 bytes      N, little-endian: length of the header
 *     N bytes      JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]},
 *                  ..., "__metadata__": {..}}
 *     the rest     the data; offsets count from here
 *
 * Format: huggingface/safetensors. No two tensors overlap. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/reader.h"

#define MAX_HEADER ((size_t)16 << 20) /* the largest CLIP needs a quarter of a megabyte */

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
    const char *name = t->name;
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(e, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(e, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(e, "data_offsets");
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets))
        return clipb_fail(err, CLIP_EFORMAT, file, "tensor '%s' lacks dtype, shape or data_offsets", name);
    size_t item = 0;
    t->dtype = clipmdl_dtype(dtype->valuestring, &item);
    if (!t->dtype)
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

static clip_status read_metadata(clipmdl_store *s, const cJSON *e, const char *file, clip_error *err)
{
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(e, CLIPMDL_INT8_KEY);
    if (version && (!cJSON_IsString(version) || strcmp(version->valuestring, CLIPMDL_INT8_VERSION) != 0))
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "weights in 8 bits of the form %s: only form %s is known",
                          cJSON_IsString(version) ? version->valuestring : "(no text)", CLIPMDL_INT8_VERSION);
    s->quantised = s->quantised || version;
    return CLIP_OK;
}

static clip_status read_header(clipmdl_store *s, const clipb_map *map, const cJSON *root, size_t header,
                               const char *file, clip_error *err)
{
    if (!cJSON_IsObject(root))
        return clipb_fail(err, CLIP_EFORMAT, file, "not a safetensors file: its header is not a JSON object");
    const unsigned char *data = map->data + 8 + header;
    const size_t size = map->size - 8 - header, first = s->n;
    const cJSON *e;
    cJSON_ArrayForEach(e, root)
    {
        clipmdl_tensor *t;
        if (strcmp(e->string, "__metadata__") == 0) {
            TRY(read_metadata(s, e, file, err));
            continue;
        }
        if (clipmdl_store_add(s, e->string, strlen(e->string), &t) < 0)
            return clipb_nomem(err, file);
        TRY(read_entry(e, file, data, size, t, err));
        t->map = map;
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

static clip_status read_file(clipmdl_store *s, const clipb_map *map, const char *file, clip_error *err)
{
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
    const clip_status status = read_header(s, map, root, (size_t)header, file, err);
    cJSON_Delete(root);
    return status;
}

static bool knows(const clipb_map *map)
{
    (void)map;
    return true;
}

const clipmdl_file_format clipmdl_safetensors = {knows, read_file};
