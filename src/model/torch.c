/* torch.c: reads what torch.save() and torch.jit.save() write: a pickle, and the numbers of its
 * tensors beside it.
 *
 *     zip archive     NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder
 *     legacy          pickles: a magic number, 1001, a dict with "little_endian", the value, a
 *                     list of keys. For each key follow the number of elements in 8 bytes, and
 *                     the elements
 *
 * In the pickle a tensor is a call of torch._utils._rebuild_tensor_v2(storage, offset, shape,
 * strides, ..). A storage is a persistent id: ("storage", torch.FloatStorage, key, device, number
 * of elements). Both are read as what they mean. Other calls are not made.
 * Format: PyTorch's torch/serialization.py and torch/csrc/jit/serialization/pickler.cpp. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/line.h"
#include "model/pickle.h"
#include "model/reader.h"
#include "model/zip.h"

enum {
    MOST_WRAPPED = 4,
    MOST_DEPTH = 32,         /* of modules in modules */
    MOST_PATH = 256,         /* bytes of a tensor's name, and of an archive's */
    MOST_KEY = 256,
    MOST_TENSORS = 1 << 16,
};

typedef struct archive {
    clipmdl_store *store;
    const clipb_map *map;
    const char *file;
    clip_error *err;
    clipmdl_pickle p;
    clipmdl_member *member; /* the storages among them are called `before` + key; the legacy format's, key */
    size_t n;
    char before[MOST_PATH];
    size_t copied; /* bytes of tensors that are not in the mapping */
    size_t visits; /* of attributes */
} archive;

typedef struct storage {
    const char *dtype;
    size_t item, elements;
    const char *key;
    size_t key_length;
} storage;

static const clipmdl_value *at(const archive *a, uint32_t place) { return &a->p.value[place]; }

/* ---- Faults ---------------------------------------------------------------------------------- */

/* What a value is, in words. */
static void describe(const archive *a, const clipmdl_value *v, char *out, size_t size)
{
    static const char *const kinds[] = {
        [CLIPMDL_NONE] = "None",        [CLIPMDL_BOOL] = "True or False", [CLIPMDL_INT] = "a number",
        [CLIPMDL_LONG] = "a number",    [CLIPMDL_FLOAT] = "a number",     [CLIPMDL_TEXT] = "a text",
        [CLIPMDL_BYTES] = "bytes",      [CLIPMDL_TUPLE] = "a tuple",      [CLIPMDL_LIST] = "a list",
        [CLIPMDL_SET] = "a set",        [CLIPMDL_DICT] = "a dict",        [CLIPMDL_GLOBAL] = "something to import",
        [CLIPMDL_CALL] = "an object",   [CLIPMDL_PERSISTENT] = "a storage"};
    const clipmdl_value *global = v->kind == CLIPMDL_CALL ? at(a, v->call.made_by) : v;
    if (global->kind != CLIPMDL_GLOBAL) {
        snprintf(out, size, "%s", kinds[v->kind]);
        return;
    }
    const clipmdl_value *module = at(a, global->global.module), *name = at(a, global->global.name);
    snprintf(out, size, "made by %.*s.%.*s, which is not called here",
             module->text.length < 100 ? (int)module->text.length : 100, module->text.p,
             name->text.length < 100 ? (int)name->text.length : 100, name->text.p);
}

__attribute__((format(printf, 3, 4))) static clip_status fault(archive *a, const char *name, const char *fmt, ...)
{
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    clipb_line(what, sizeof what, fmt, ap);
    va_end(ap);
    return clipb_fail(a->err, CLIP_EFORMAT, a->file, "tensor '%s' %s", name, what);
}

/* ---- Storages -------------------------------------------------------------------------------- */

/* What storages and types of numbers are called in torch. */
static const struct {
    const char *name, *dtype;
} types[] = {
    {"FloatStorage", "F32"},   {"HalfStorage", "F16"},  {"BFloat16Storage", "BF16"}, {"DoubleStorage", "F64"},
    {"LongStorage", "I64"},    {"IntStorage", "I32"},   {"ShortStorage", "I16"},     {"CharStorage", "I8"},
    {"ByteStorage", "U8"},     {"BoolStorage", "BOOL"}, {"UntypedStorage", "U8"},    {"float32", "F32"},
    {"float16", "F16"},        {"bfloat16", "BF16"},    {"float64", "F64"},          {"int64", "I64"},
    {"int32", "I32"},          {"int16", "I16"},        {"int8", "I8"},              {"uint8", "U8"},
    {"bool", "BOOL"},          {"uint64", "U64"},       {"uint32", "U32"},           {"uint16", "U16"},
    {"float8_e4m3fn", "F8_E4M3"}, {"float8_e5m2", "F8_E5M2"},
};

/* A type by its global; NULL: none that is known. */
static const char *find_type(const archive *a, const clipmdl_value *v, size_t *item)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (clipmdl_is_global(&a->p, v, "torch", types[i].name) ||
            clipmdl_is_global(&a->p, v, "torch.storage", types[i].name))
            return clipmdl_dtype(types[i].dtype, item);
    return NULL;
}

static bool is_count(const clipmdl_value *v) { return v->kind == CLIPMDL_INT && v->number >= 0; }

/* A persistent id. NULL: it is a storage; else what is wrong. */
static const char *read_storage(const archive *a, const clipmdl_value *v, storage *out)
{
    uint32_t item[6];
    if (v->kind != CLIPMDL_PERSISTENT || at(a, v->id)->kind != CLIPMDL_TUPLE)
        return "has no storage";
    const int n = clipmdl_items(&a->p, at(a, v->id), 6, item);
    if (n < 5 || n > 6 || !clipmdl_is_text(at(a, item[0]), "storage") || at(a, item[2])->kind != CLIPMDL_TEXT)
        return "has a storage that is not one of PyTorch's";
    if (n == 6 && at(a, item[5])->kind != CLIPMDL_NONE)
        return "is in a view of a storage, as PyTorch 0.3 wrote it";
    const clipmdl_value *key = at(a, item[2]), *elements = at(a, item[4]);
    out->dtype = find_type(a, at(a, item[1]), &out->item);
    if (!out->dtype)
        return "has a storage of an unknown type";
    size_t bytes;
    if (!is_count(elements) || __builtin_mul_overflow((uint64_t)elements->number, out->item, &bytes))
        return "has a storage of an impossible size";
    out->elements = (size_t)elements->number;
    out->key = key->text.p;
    out->key_length = key->text.length;
    return NULL;
}

/* The member with a storage's numbers. NULL: not in the file. */
static const clipmdl_member *find_storage(const archive *a, const storage *s)
{
    char name[MOST_PATH + MOST_KEY];
    const size_t before = strlen(a->before);
    if (s->key_length > MOST_KEY)
        return NULL;
    memcpy(name, a->before, before);
    memcpy(name + before, s->key, s->key_length);
    return clipmdl_zip_find(a->member, a->n, name, before + s->key_length);
}

/* ---- Tensors --------------------------------------------------------------------------------- */

/* Whole numbers from 0 on: of a tuple, a list or a torch.Size. @return: how many; -1: something
 * else. */
static int read_counts(const archive *a, const clipmdl_value *v, int64_t out[CLIPMDL_MAX_DIMS])
{
    uint32_t item[CLIPMDL_MAX_DIMS];
    if (v->kind == CLIPMDL_CALL && clipmdl_is_global(&a->p, at(a, v->call.made_by), "torch", "Size") &&
        clipmdl_items(&a->p, at(a, v->call.with), 1, item) == 1)
        v = at(a, item[0]);
    if (v->kind != CLIPMDL_TUPLE && v->kind != CLIPMDL_LIST)
        return -1;
    const int n = clipmdl_items(&a->p, v, CLIPMDL_MAX_DIMS, item);
    for (int i = 0; i < n && n <= CLIPMDL_MAX_DIMS; i++) {
        if (!is_count(at(a, item[i])))
            return -1;
        out[i] = at(a, item[i])->number;
    }
    return n <= CLIPMDL_MAX_DIMS ? n : -1;
}

/* Do rows follow each other, as in C? */
static bool is_contiguous(const clipmdl_tensor *t, const int64_t *stride)
{
    int64_t next = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->dim[i] != 1 && stride[i] != next)
            return false;
        next *= t->dim[i];
    }
    return true;
}

/* The distance from the first to the last element, and one; false: beyond what can be. */
static bool find_extent(const clipmdl_tensor *t, const int64_t *stride, uint64_t *out)
{
    *out = 1;
    for (int i = 0; i < t->ndim; i++) {
        uint64_t way;
        if (__builtin_mul_overflow((uint64_t)(t->dim[i] - 1), (uint64_t)stride[i], &way) ||
            __builtin_add_overflow(*out, way, out))
            return false;
    }
    return true;
}

/* Copies the elements of a strided tensor in C's order. from: its first element. */
static void copy_strided(unsigned char *to, const unsigned char *from, const clipmdl_tensor *t, const int64_t *stride,
                         size_t item)
{
    int64_t index[CLIPMDL_MAX_DIMS] = {0};
    size_t place = 0; /* wraps around where a dimension of 1 has a stride without end */
    for (size_t done = 0; done < t->bytes; done += item) {
        memcpy(to + done, from + place, item);
        for (int i = t->ndim - 1; i >= 0; i--) {
            place += (size_t)stride[i] * item;
            if (++index[i] < t->dim[i])
                break;
            place -= (size_t)stride[i] * item * (size_t)t->dim[i];
            index[i] = 0;
        }
    }
}

/* Transposed and other strided tensors are copied. A tensor that repeats its numbers would make
 * much of a small file. */
static clip_status copy_tensor(archive *a, clipmdl_tensor *t, const unsigned char *first, const int64_t *stride,
                               size_t item)
{
    if (t->bytes > a->map->size - a->copied)
        return fault(a, t->name, "repeats numbers of its storage: more of them than the file holds");
    unsigned char *copy = clipmdl_store_keep(a->store, t->bytes);
    if (!copy)
        return clipb_nomem(a->err, a->file);
    copy_strided(copy, first, t, stride, item);
    a->copied += t->bytes;
    t->data = copy;
    return CLIP_OK;
}

/* Data of a tensor whose type and shape are known. */
static clip_status place_tensor(archive *a, clipmdl_tensor *t, const storage *s, int64_t offset, const int64_t *stride,
                                size_t item)
{
    const clipmdl_member *m = find_storage(a, s);
    uint64_t extent, elements = s->elements * s->item / item;
    if (!m || !m->data)
        return fault(a, t->name, "has its numbers in the storage '%.*s', which is not in the file",
                     s->key_length < 64 ? (int)s->key_length : 64, s->key);
    if (!m->stored)
        return fault(a, t->name, "is compressed or encrypted, which torch.save() does not do: save it again");
    if (m->size != s->elements * s->item)
        return fault(a, t->name, "has a storage of %zu bytes where %zu are said", m->size, s->elements * s->item);
    if (t->bytes == 0) {
        t->data = m->data;
    } else if (!find_extent(t, stride, &extent) || (uint64_t)offset > elements ||
               extent > elements - (uint64_t)offset) {
        return fault(a, t->name, "is not inside of its storage");
    } else {
        const unsigned char *first = m->data + (size_t)offset * item;
        if (!is_contiguous(t, stride))
            return copy_tensor(a, t, first, stride, item);
        t->data = first;
    }
    t->map = a->map;
    return CLIP_OK;
}

static bool has_items(const clipmdl_value *v) { return v->kind == CLIPMDL_DICT && v->first; }

/* torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks),
 * _rebuild_tensor() without the last two, _rebuild_tensor_v3() with the type behind them. A dict at
 * the end says {"neg": True} where the numbers are to be read with the other sign. */
static clip_status read_tensor(archive *a, clipmdl_tensor *t, const clipmdl_value *with)
{
    enum { STORAGE, OFFSET, SHAPE, STRIDES, TYPE = 6, MOST = 8 };
    uint32_t item[MOST];
    int64_t stride[CLIPMDL_MAX_DIMS];
    storage s;
    const int n = clipmdl_items(&a->p, with, MOST, item);
    if (with->kind != CLIPMDL_TUPLE || n <= STRIDES || n > MOST)
        return fault(a, t->name, "is not made as PyTorch makes tensors");
    for (int i = TYPE; i < n; i++)
        if (has_items(at(a, item[i])))
            return fault(a, t->name, "has bits that change its numbers (negative or conjugate): save it after "
                                     "resolve_neg() and resolve_conj()");
    const char *wrong = read_storage(a, at(a, item[STORAGE]), &s);
    if (wrong)
        return fault(a, t->name, "%s", wrong);
    size_t size = s.item;
    t->dtype = n > TYPE && at(a, item[TYPE])->kind == CLIPMDL_GLOBAL ? find_type(a, at(a, item[TYPE]), &size) : s.dtype;
    if (!t->dtype)
        return fault(a, t->name, "has numbers of an unknown type");
    t->ndim = read_counts(a, at(a, item[SHAPE]), t->dim);
    if (t->ndim < 0 || read_counts(a, at(a, item[STRIDES]), stride) != t->ndim || !is_count(at(a, item[OFFSET])))
        return fault(a, t->name, "has an impossible shape, stride or offset");
    t->bytes = size;
    for (int i = 0; i < t->ndim; i++)
        if (__builtin_mul_overflow(t->bytes, (uint64_t)t->dim[i], &t->bytes) || t->bytes > INT64_MAX)
            return fault(a, t->name, "has an impossible shape");
    return place_tensor(a, t, &s, at(a, item[OFFSET])->number, stride, size);
}

/* The arguments of the call that makes a tensor, which others may wrap as a parameter. NULL: the
 * value is not a tensor. */
static const clipmdl_value *find_tensor(const archive *a, const clipmdl_value *v)
{
    static const char module[] = "torch._utils";
    static const char *const makers[] = {"_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_tensor_v3"},
                      *const wrappers[] = {"_rebuild_parameter", "_rebuild_parameter_with_state"};
    for (int i = 0; i < MOST_WRAPPED && v->kind == CLIPMDL_CALL; i++) {
        const clipmdl_value *by = at(a, v->call.made_by), *with = at(a, v->call.with);
        for (size_t k = 0; k < sizeof makers / sizeof *makers; k++)
            if (clipmdl_is_global(&a->p, by, module, makers[k]))
                return with;
        if (!clipmdl_is_global(&a->p, by, module, wrappers[0]) && !clipmdl_is_global(&a->p, by, module, wrappers[1]))
            return NULL;
        if (with->kind != CLIPMDL_TUPLE || !with->first)
            return NULL;
        v = at(a, a->p.cell[with->first].value);
    }
    return NULL;
}

static clip_status add_tensor(archive *a, const char *name, size_t length, const clipmdl_value *with)
{
    clipmdl_tensor *t;
    if (memchr(name, 0, length) || length >= MOST_PATH)
        return clipb_fail(a->err, CLIP_EFORMAT, a->file, "a tensor has an impossible name: '%.*s'",
                          (int)(length < MOST_PATH ? length : MOST_PATH), name);
    if (a->store->n >= MOST_TENSORS)
        return clipb_fail(a->err, CLIP_ELIMIT, a->file, "holds more than %d tensors", MOST_TENSORS);
    if (clipmdl_store_add(a->store, name, length, &t) < 0)
        return clipb_nomem(a->err, a->file);
    return read_tensor(a, t, with);
}

/* ---- Which of the values are the weights ----------------------------------------------------- */

static bool is_dict(const archive *a, const clipmdl_value *v)
{
    return v->kind == CLIPMDL_DICT || (v->kind == CLIPMDL_CALL && clipmdl_is_global(&a->p, at(a, v->call.made_by),
                                                                                   "collections", "OrderedDict"));
}

/* A module that torch.jit.save() wrote: its attributes. NULL: it is something else. */
static const clipmdl_value *attributes(const archive *a, const clipmdl_value *v)
{
    static const char package[] = "__torch__";
    const clipmdl_value *class = v->kind == CLIPMDL_CALL ? at(a, v->call.made_by) : v;
    if (v->kind != CLIPMDL_CALL || class->kind != CLIPMDL_GLOBAL || !is_dict(a, at(a, v->call.state)))
        return NULL;
    const clipmdl_value *module = at(a, class->global.module);
    const size_t n = strlen(package);
    return module->text.length >= n && memcmp(module->text.p, package, n) == 0 ? at(a, v->call.state) : NULL;
}

/* The value of the last item with this key. NULL: there is none. */
static const clipmdl_value *look_up(const archive *a, const clipmdl_value *dict, const char *key)
{
    const clipmdl_value *found = NULL;
    for (uint32_t c = dict->first; c; c = a->p.cell[a->p.cell[c].next].next)
        if (clipmdl_is_text(at(a, a->p.cell[c].value), key))
            found = at(a, a->p.cell[a->p.cell[c].next].value);
    return found;
}

/* Checkpoints of training hold the weights beside other things. */
static const clipmdl_value *find_weights(const archive *a)
{
    static const char *const keys[] = {"state_dict", "model_state_dict", "model", "module"};
    const clipmdl_value *v = at(a, a->p.root);
    for (int depth = 0; depth < MOST_WRAPPED && is_dict(a, v); depth++) {
        const clipmdl_value *inside = NULL;
        for (size_t i = 0; i < sizeof keys / sizeof *keys && !inside; i++)
            inside = look_up(a, v, keys[i]);
        if (!inside || (inside->kind != CLIPMDL_DICT && inside->kind != CLIPMDL_CALL) || find_tensor(a, inside))
            return v;
        v = inside;
    }
    return v;
}

/* The tensors of a dict. Numbers and texts among them are not weights. Anything else might be. */
static clip_status add_dict(archive *a, const clipmdl_value *dict)
{
    for (uint32_t c = dict->first; c; c = a->p.cell[a->p.cell[c].next].next) {
        const clipmdl_value *key = at(a, a->p.cell[c].value), *v = at(a, a->p.cell[a->p.cell[c].next].value),
                            *with = find_tensor(a, v);
        if (key->kind != CLIPMDL_TEXT)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "the weights have a key that is not a text");
        if (with) {
            TRY(add_tensor(a, key->text.p, key->text.length, with));
        } else if (v->kind > CLIPMDL_BYTES) {
            char what[256];
            describe(a, v, what, sizeof what);
            return clipb_fail(a->err, CLIP_EUNSUPPORTED, a->file, "'%.*s' among the weights is not a tensor: it is %s",
                              key->text.length < 128 ? (int)key->text.length : 128, key->text.p, what);
        }
    }
    return CLIP_OK;
}

/* The tensors of a module and of the modules in it. path [length] stands before their names. Other
 * attributes are for the module's code, which is not run. */
static clip_status add_module(archive *a, const clipmdl_value *module, char path[MOST_PATH], size_t length, int depth)
{
    for (uint32_t c = module->first; c; c = a->p.cell[a->p.cell[c].next].next) {
        const clipmdl_value *key = at(a, a->p.cell[c].value), *v = at(a, a->p.cell[a->p.cell[c].next].value),
                            *with = find_tensor(a, v), *inner = attributes(a, v);
        if (depth == MOST_DEPTH || a->visits++ > a->p.cells) /* without sharing, half of them */
            return clipb_fail(a->err, CLIP_ELIMIT, a->file, "holds modules within modules without end");
        if (!with && !inner)
            continue;
        if (key->kind != CLIPMDL_TEXT || key->text.length >= MOST_PATH - length - 1)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "a module's attribute has an impossible name");
        memcpy(path + length, key->text.p, key->text.length);
        size_t whole = length + key->text.length;
        if (with) {
            TRY(add_tensor(a, path, whole, with));
        } else {
            path[whole++] = '.';
            TRY(add_module(a, inner, path, whole, depth + 1));
        }
    }
    return CLIP_OK;
}

static clip_status add_weights(archive *a)
{
    const clipmdl_value *v = find_weights(a), *module = attributes(a, v);
    const size_t before = a->store->n;
    char path[MOST_PATH], what[256];
    describe(a, v, what, sizeof what);
    if (module)
        TRY(add_module(a, module, path, 0, 0));
    else if (is_dict(a, v))
        TRY(add_dict(a, v));
    else
        return clipb_fail(a->err, CLIP_EUNSUPPORTED, a->file, "its weights are not a dict of tensors: they are %s. "
                          "model.state_dict() has to be saved, not the model", what);
    return a->store->n > before ? CLIP_OK : clipb_fail(a->err, CLIP_EFORMAT, a->file, "holds no tensors");
}

/* ---- A zip archive --------------------------------------------------------------------------- */

static bool knows_zip(const clipb_map *map) { return map->size >= 4 && memcmp(map->data, "PK\3\4", 4) == 0; }

/* The member NAME/data.pkl; a->before becomes "NAME/data/". */
static clip_status find_pickle(archive *a, const clipmdl_member **out)
{
    static const char ending[] = "/data.pkl";
    const size_t n = strlen(ending);
    *out = NULL;
    for (size_t i = 0; i < a->n; i++) {
        const clipmdl_member *m = &a->member[i];
        if (m->length <= n || memcmp(m->name + m->length - n, ending, n) != 0 ||
            memchr(m->name, '/', m->length) != m->name + m->length - n)
            continue;
        if (*out)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "a zip archive with several data.pkl");
        *out = m;
    }
    if (!*out || (*out)->length >= MOST_PATH)
        return clipb_fail(a->err, CLIP_EFORMAT, a->file,
                          "a zip archive without NAME/data.pkl: not a file of torch.save()");
    if (!(*out)->stored)
        return clipb_fail(a->err, CLIP_EFORMAT, a->file,
                          "its data.pkl is compressed or encrypted, which torch.save() does not do: save it again");
    snprintf(a->before, sizeof a->before, "%.*sdata/", (int)((*out)->length - n + 1), (*out)->name);
    return CLIP_OK;
}

static clip_status check_byteorder(archive *a)
{
    char name[MOST_PATH];
    const int n = snprintf(name, sizeof name, "%.*sbyteorder", (int)(strlen(a->before) - strlen("data/")), a->before);
    const clipmdl_member *m =
        n < MOST_PATH ? clipmdl_zip_find(a->member, a->n, name, (size_t)n) : NULL;
    if (m && (m->size != 6 || memcmp(m->data, "little", 6) != 0))
        return clipb_fail(a->err, CLIP_EUNSUPPORTED, a->file, "its numbers are not little-endian");
    return CLIP_OK;
}

static void close_archive(archive *a)
{
    clipmdl_pickle_free(&a->p);
    free(a->member);
}

static clip_status read_zip(clipmdl_store *s, const clipb_map *map, const char *file, clip_error *err)
{
    archive a = {.store = s, .map = map, .file = file, .err = err};
    const clipmdl_member *pickle;
    TRY(clipmdl_zip_read(map, file, &a.member, &a.n, err));
    clip_status status = find_pickle(&a, &pickle);
    if (status == CLIP_OK)
        status = check_byteorder(&a);
    if (status == CLIP_OK)
        status = clipmdl_pickle_read(pickle->data, pickle->size, file, &a.p, err);
    if (status == CLIP_OK)
        status = add_weights(&a);
    close_archive(&a);
    return status;
}

const clipmdl_file_format clipmdl_torch_zip = {knows_zip, read_zip};

/* ---- The legacy format ----------------------------------------------------------------------- */

/* A pickle of protocol 2 to 5. Safetensors, whose first bytes could be the same, has '{' there. */
static bool knows_legacy(const clipb_map *map)
{
    const unsigned char *b = map->data;
    return map->size >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 && (map->size < 9 || b[8] != '{');
}

/* Reads a pickle, which the caller looks at and frees, and goes on behind it. */
static clip_status next_pickle(archive *a, size_t *place)
{
    TRY(clipmdl_pickle_read(a->map->data + *place, a->map->size - *place, a->file, &a->p, a->err));
    *place += a->p.bytes;
    return CLIP_OK;
}

static clip_status read_beginning(archive *a, size_t *place)
{
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    TRY(next_pickle(a, place));
    const clipmdl_value *v = at(a, a->p.root);
    const bool is_magic = v->kind == CLIPMDL_LONG && v->text.length == 10 && memcmp(v->text.p, magic, 10) == 0;
    clipmdl_pickle_free(&a->p);
    if (!is_magic)
        return clipb_fail(a->err, CLIP_EUNSUPPORTED, a->file, "a pickle that torch.save() has not written");
    TRY(next_pickle(a, place)); /* the version, which is always 1001 */
    clipmdl_pickle_free(&a->p);
    TRY(next_pickle(a, place));
    v = at(a, a->p.root);
    const clipmdl_value *little = v->kind == CLIPMDL_DICT ? look_up(a, v, "little_endian") : NULL;
    const bool is_little = little && little->kind == CLIPMDL_BOOL && little->number == 1;
    clipmdl_pickle_free(&a->p);
    return is_little ? CLIP_OK
                     : clipb_fail(a->err, CLIP_EUNSUPPORTED, a->file, "its numbers are not little-endian");
}

/* Lists the storages that the pickle names; where they are is not known yet. */
static clip_status list_storages(archive *a)
{
    size_t capacity = 0, n = 0;
    storage s;
    for (size_t i = 0; i < a->p.n; i++) {
        if (at(a, (uint32_t)i)->kind != CLIPMDL_PERSISTENT || read_storage(a, at(a, (uint32_t)i), &s))
            continue; /* whoever needs it says so */
        if (clipb_grow((void **)&a->member, &capacity, n + 1, sizeof *a->member) < 0)
            return clipb_nomem(a->err, a->file);
        a->member[n++] = (clipmdl_member){.name = s.key, .length = s.key_length, .size = s.elements * s.item,
                                          .stored = true};
    }
    if (n > 0)
        qsort(a->member, n, sizeof *a->member, clipmdl_member_order);
    for (size_t i = 0; i < n; i++)
        if (a->n == 0 || clipmdl_member_order(&a->member[a->n - 1], &a->member[i]) != 0)
            a->member[a->n++] = a->member[i];
    return CLIP_OK;
}

/* The storages follow the list of their keys. */
static clip_status place_storages(archive *a, const clipmdl_pickle *keys, size_t place)
{
    const clipmdl_value *list = &keys->value[keys->root];
    if (list->kind != CLIPMDL_LIST)
        return clipb_fail(a->err, CLIP_EFORMAT, a->file, "lists no storages behind its pickle");
    for (uint32_t c = list->first; c; c = keys->cell[c].next) {
        const clipmdl_value *key = &keys->value[keys->cell[c].value];
        const bool is_key = key->kind == CLIPMDL_TEXT;
        const storage s = {.key = key->text.p, .key_length = is_key ? key->text.length : MOST_KEY + 1};
        clipmdl_member *m = (clipmdl_member *)find_storage(a, &s);
        if (!m || m->data)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "lists a storage that no tensor has, or one twice");
        const size_t left = a->map->size - place;
        if (left < 8 || m->size > left - 8)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "storage '%.*s' ends beyond the file: it is cut short",
                              m->length < 64 ? (int)m->length : 64, m->name);
        uint64_t elements = 0;
        for (int i = 0; i < 8; i++)
            elements |= (uint64_t)a->map->data[place + i] << 8 * i;
        if (elements ? m->size % elements != 0 || m->size / elements > 8 : m->size > 0)
            return clipb_fail(a->err, CLIP_EFORMAT, a->file, "storage '%.*s' is said to have %" PRIu64 " elements in "
                              "%zu bytes", m->length < 64 ? (int)m->length : 64, m->name, elements, m->size);
        m->data = a->map->data + place + 8;
        place += 8 + m->size;
    }
    return CLIP_OK;
}

static clip_status read_legacy_file(archive *a)
{
    size_t place = 0;
    TRY(read_beginning(a, &place));
    TRY(next_pickle(a, &place));
    TRY(list_storages(a));
    clipmdl_pickle keys;
    TRY(clipmdl_pickle_read(a->map->data + place, a->map->size - place, a->file, &keys, a->err));
    const clip_status s = place_storages(a, &keys, place + keys.bytes);
    clipmdl_pickle_free(&keys);
    return s < 0 ? s : add_weights(a);
}

static clip_status read_legacy(clipmdl_store *s, const clipb_map *map, const char *file, clip_error *err)
{
    archive a = {.store = s, .map = map, .file = file, .err = err};
    const clip_status status = read_legacy_file(&a);
    close_archive(&a);
    return status;
}

const clipmdl_file_format clipmdl_torch_legacy = {knows_legacy, read_legacy};
