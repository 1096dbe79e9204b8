/* zip.c: reads the directory of a zip archive. */
#include "model/zip.h"

#include <stdlib.h>
#include <string.h>

enum { LOCAL = 30, ENTRY = 46, END = 22, END64 = 56, LOCATOR = 20, MOST_COMMENT = 65535 };

static uint16_t u16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t u32(const unsigned char *p) { return u16(p) | (uint32_t)u16(p + 2) << 16; }
static uint64_t u64(const unsigned char *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

static bool is(const unsigned char *p, int a, int b) { return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b; }

/* Is [at, at + bytes) inside of `size` bytes? */
static bool inside(uint64_t at, uint64_t bytes, uint64_t size) { return at <= size && bytes <= size - at; }

/* The place of the directory, by the end of the file. */
static bool find_directory(const clipb_map *map, uint64_t *at, uint64_t *bytes)
{
    const size_t most = map->size < END + MOST_COMMENT ? map->size : END + MOST_COMMENT;
    for (size_t back = END; back <= most; back++) {
        const unsigned char *end = map->data + map->size - back;
        if (!is(end, 5, 6) || u16(end + 20) != back - END)
            continue;
        *bytes = u32(end + 12);
        *at = u32(end + 16);
        const size_t before = map->size - back;
        if (before < LOCATOR || !is(end - LOCATOR, 6, 7))
            return inside(*at, *bytes, before);
        const uint64_t large = u64(end - LOCATOR + 8);
        if (!inside(large, END64, before) || !is(map->data + large, 6, 6))
            return false;
        *bytes = u64(map->data + large + 40);
        *at = u64(map->data + large + 48);
        return inside(*at, *bytes, before);
    }
    return false;
}

/* The numbers of an entry that do not fit into 32 bits are in its extra field. */
static bool read_large(const unsigned char *extra, size_t size, uint64_t *const number[3])
{
    while (size >= 4) {
        const size_t bytes = u16(extra + 2);
        if (bytes > size - 4)
            return false;
        if (u16(extra) == 1) {
            size_t used = 0;
            for (int i = 0; i < 3; i++)
                if (*number[i] == UINT32_MAX) {
                    if (bytes - used < 8)
                        return false;
                    *number[i] = u64(extra + 4 + used);
                    used += 8;
                }
            return true;
        }
        extra += 4 + bytes;
        size -= 4 + bytes;
    }
    return true;
}

/* One entry of the directory, of which `left` bytes remain. *bytes: how many it takes. */
static bool read_entry(const clipb_map *map, const unsigned char *e, size_t left, clipmdl_member *m, size_t *bytes)
{
    if (left < ENTRY || !is(e, 1, 2))
        return false;
    const size_t name = u16(e + 28), extra = u16(e + 30), comment = u16(e + 32);
    if (left - ENTRY < name + extra + comment)
        return false;
    uint64_t packed = u32(e + 20), size = u32(e + 24), local = u32(e + 42);
    if (!read_large(e + ENTRY + name, extra, (uint64_t *const[3]){&size, &packed, &local}))
        return false;
    *bytes = ENTRY + name + extra + comment;
    if (!inside(local, LOCAL, map->size) || !is(map->data + local, 3, 4))
        return false;
    const uint64_t at = local + LOCAL + u16(map->data + local + 26) + u16(map->data + local + 28);
    if (!inside(at, packed, map->size))
        return false;
    const bool encrypted = u16(e + 8) & 1, stored = u16(e + 10) == 0 && size == packed;
    *m = (clipmdl_member){(const char *)e + ENTRY, name, map->data + at, (size_t)packed, stored && !encrypted};
    return true;
}

int clipmdl_member_order(const void *a, const void *b)
{
    const clipmdl_member *x = a, *y = b;
    const size_t n = x->length < y->length ? x->length : y->length;
    const int order = n ? memcmp(x->name, y->name, n) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static clip_status read_entries(const clipb_map *map, const char *file, clipmdl_member **out, size_t *n,
                                clip_error *err)
{
    uint64_t at, left;
    size_t capacity = 0, bytes;
    if (!find_directory(map, &at, &left))
        return clipb_fail(err, CLIP_EFORMAT, file, "a zip archive without its directory: the file is cut short");
    for (const unsigned char *e = map->data + at; left > 0; e += bytes, left -= bytes) {
        if (clipb_grow((void **)out, &capacity, *n + 1, sizeof **out) < 0)
            return clipb_nomem(err, file);
        if (!read_entry(map, e, (size_t)left, &(*out)[*n], &bytes))
            return clipb_fail(err, CLIP_EFORMAT, file,
                              "member %zu of the zip archive is damaged, or not inside of the file", *n);
        ++*n;
    }
    if (*n > 0)
        qsort(*out, *n, sizeof **out, clipmdl_member_order);
    for (size_t i = 1; i < *n; i++)
        if (clipmdl_member_order(&(*out)[i - 1], &(*out)[i]) == 0)
            return clipb_fail(err, CLIP_EFORMAT, file, "the zip archive holds '%.*s' twice", (int)(*out)[i].length,
                              (*out)[i].name);
    return CLIP_OK;
}

clip_status clipmdl_zip_read(const clipb_map *map, const char *file, clipmdl_member **out, size_t *n, clip_error *err)
{
    *out = NULL;
    *n = 0;
    const clip_status s = read_entries(map, file, out, n, err);
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    return s;
}

const clipmdl_member *clipmdl_zip_find(const clipmdl_member *member, size_t n, const char *name, size_t length)
{
    const clipmdl_member key = {.name = name, .length = length};
    return n ? bsearch(&key, member, n, sizeof key, clipmdl_member_order) : NULL;
}
