/* golden.h: reads the tables and files in tests/image/golden. The folder is the program's first
 * argument. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "image/image.h"

extern const char *golden_dir;

static inline void golden_path(char *path, size_t n, const char *name) { snprintf(path, n, "%s/%s", golden_dir, name); }

typedef struct golden_row {
    char name[64];
    int width, height;
    unsigned long long hash, hash_flat; /* without a background, and on 0x40C0FF */
} golden_row;
enum { GOLDEN_BACKGROUND = 0x40C0FF };

static inline FILE *golden_table(const char *name)
{
    char path[4096];
    golden_path(path, sizeof path, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", path);
    return f;
}

static inline bool golden_next(FILE *f, golden_row *r)
{
    return fscanf(f, "%63s %d %d %llx %llx", r->name, &r->width, &r->height, &r->hash, &r->hash_flat) == 5;
}

/* Whether this build reads a file of this name. */
static inline bool golden_readable(const char *name)
{
    static const char *const kinds[][2] = {{".webp", "WebP"}, {".gif", "GIF"},   {".tif", "TIFF"},
                                           {".avif", "AVIF"}, {".heic", "HEIC"}, {".jxl", "JXL"},
                                           {".jp2", "JP2"},   {".j2k", "JP2"},   {".svg", "SVG"}};
    if (strcmp(name, "sensor.dng") == 0)
        return !strstr(clipimg_formats(), "RAW (previews)");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(name, kinds[i][0]))
            return strstr(clipimg_formats(), kinds[i][1]) != NULL;
    return true;
}

static inline unsigned char *golden_file(const char *name, size_t *size)
{
    char path[4096];
    unsigned char *data;
    golden_path(path, sizeof path, name);
    if (clipb_read_file(path, 1 << 24, &data, size, NULL) < 0)
        fail_msg("%s cannot be read", path);
    return data;
}

#endif
