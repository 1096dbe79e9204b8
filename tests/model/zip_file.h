/* zip_file.h: a zip archive in memory, as torch.save() writes it, or with faults. */
#ifndef ZIP_FILE_H
#define ZIP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct entry {
    const char *name;
    const void *data;
    size_t size;
    int method, flags; /* 0: stored; 1: encrypted */
    uint32_t size_said; /* 0: size */
} entry;

static inline unsigned char *put(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *p++ = (unsigned char)(i < 8 ? v >> 8 * i : 0);
    return p;
}

static inline unsigned char *put_bytes(unsigned char *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

/* large: sizes and places as zip64 has them. @return: bytes written. */
static inline size_t zip_of(unsigned char *out, const entry *e, int n, bool large)
{
    unsigned char *p = out;
    size_t at[16];
    for (int i = 0; i < n; i++) {
        const size_t name = strlen(e[i].name);
        at[i] = (size_t)(p - out);
        p = put_bytes(p, "PK\3\4", 4);
        p = put(p, 0, 22);
        p = put(p, name, 2);
        p = put(p, 3, 2); /* an extra field of 3 bytes, as torch pads with one */
        p = put_bytes(p, e[i].name, name);
        p = put(p, 0, 3);
        p = put_bytes(p, e[i].data, e[i].size);
    }
    const size_t directory = (size_t)(p - out);
    for (int i = 0; i < n; i++) {
        const size_t name = strlen(e[i].name), size = e[i].size_said ? e[i].size_said : e[i].size;
        p = put_bytes(p, "PK\1\2", 4);
        p = put(p, 0, 4);
        p = put(p, (uint64_t)e[i].flags, 2);
        p = put(p, (uint64_t)e[i].method, 2);
        p = put(p, 0, 8);
        p = put(p, large ? UINT32_MAX : size, 4);
        p = put(p, large ? UINT32_MAX : size, 4);
        p = put(p, name, 2);
        p = put(p, large ? 28 : 0, 2);
        p = put(p, 0, 10);
        p = put(p, large ? UINT32_MAX : at[i], 4);
        p = put_bytes(p, e[i].name, name);
        if (large) {
            p = put(put(p, 1, 2), 24, 2);
            p = put(put(put(p, size, 8), size, 8), at[i], 8);
        }
    }
    const size_t end = (size_t)(p - out);
    if (large) {
        p = put(put_bytes(p, "PK\6\6", 4), 44, 8);
        p = put(put(p, 0, 12), (uint64_t)n, 8);
        p = put(put(put(p, (uint64_t)n, 8), end - directory, 8), directory, 8);
        p = put(put_bytes(p, "PK\6\7", 4), 0, 4);
        p = put(put(p, end, 8), 1, 4);
    }
    p = put(put_bytes(p, "PK\5\6", 4), 0, 4);
    p = put(put(p, (uint64_t)n, 2), (uint64_t)n, 2);
    p = put(p, large ? UINT32_MAX : end - directory, 4);
    p = put(p, large ? UINT32_MAX : directory, 4);
    p = put(p, 0, 2);
    return (size_t)(p - out);
}

#endif
