/* npy.h: reads a NumPy file of f32 or i32 in C order, for the tests. `data` is allocated, `count`
 * is the number of elements, `dim` the shape. */
#ifndef NPY_H
#define NPY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct npy {
    void *data;
    size_t count;
    int ndim;
    long dim[8];
} npy;

/* Returns 0 on any doubt, so that no test goes on with half a file. */
static inline int npy_read(const char *path, const char *descr, npy *out)
{
    unsigned char head[10];
    char text[65536];
    memset(out, 0, sizeof *out);
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY\x01", 7) != 0)
        return f ? fclose(f), 0 : 0;
    size_t n = (size_t)head[8] | (size_t)head[9] << 8;
    int sound = fread(text, 1, n, f) == n;
    text[sound ? n : 0] = 0;
    const char *shape = strstr(text, "'shape': (");
    sound = sound && strstr(text, descr) && strstr(text, "'fortran_order': False") && shape;
    out->count = 1;
    for (const char *p = shape ? shape + 10 : ""; sound && *p && *p != ')' && out->ndim < 8;) {
        char *end;
        long d = strtol(p, &end, 10);
        if (end == p)
            break;
        out->dim[out->ndim++] = d;
        out->count *= (size_t)d;
        p = end + strspn(end, ", ");
    }
    if (sound) {
        out->data = malloc(out->count * 4 + 1);
        sound = out->data && fread(out->data, 4, out->count, f) == out->count && fgetc(f) == EOF;
    }
    fclose(f);
    if (!sound) {
        free(out->data);
        out->data = NULL;
    }
    return sound;
}

#endif
