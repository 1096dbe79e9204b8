/* Files that were opened and are not pictures, so that the next update need not open them again: on
 * a share each one is a round trip. The catalogue notes a hash of path, size and time of each, in
 * hexadecimal. The first hash is that of the formats of this build: another build looks again. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collection/plan.h"
#include "base/file.h"
#include "image/image.h"

#define KEY "others"
enum { DIGITS = 16, MOST = 1 << 18 }; /* beyond that files are opened again */

static uint64_t build_hash(void)
{
    const char *formats = clipimg_formats(), *version = CLIP_VERSION_STRING;
    return XXH3_64bits_withSeed(formats, strlen(formats), XXH3_64bits(version, strlen(version)));
}

static uint64_t hash_of(const char *path, int64_t size, int64_t mtime)
{
    const int64_t numbers[2] = {size, mtime};
    return XXH3_64bits_withSeed(path, strlen(path), XXH3_64bits(numbers, sizeof numbers));
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t sort_distinct(uint64_t *v, size_t n)
{
    size_t kept = 0;
    if (n > 0)
        qsort(v, n, sizeof *v, by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || v[i] != v[i - 1])
            v[kept++] = v[i];
    return kept;
}

/* Up to the first thing that is not a number; nothing of another build. */
static size_t read_numbers(const char *text, uint64_t *out)
{
    char digits[DIGITS + 1] = "", *end;
    size_t n = 0;
    for (size_t i = 0; strlen(text) >= DIGITS; i++, text += DIGITS) {
        memcpy(digits, text, DIGITS);
        const uint64_t v = strtoull(digits, &end, 16);
        if (*end || (i == 0 && v != build_hash()))
            return n;
        if (i > 0)
            out[n++] = v;
    }
    return n;
}

clip_status clipcol_others_recall(clip_index *x, clipcol_others *o, clip_error *err)
{
    const size_t size = ((size_t)MOST + 1) * DIGITS + 1;
    char *text = malloc(size);
    *o = (clipcol_others){0};
    clip_status s = text ? clipidx_recall(x, KEY, text, size, err) : CLIP_ENOMEM;
    if (s == CLIP_OK && !(o->known = malloc((strlen(text) / DIGITS + 1) * sizeof *o->known)))
        s = CLIP_ENOMEM;
    if (s == CLIP_OK)
        o->n_known = sort_distinct(o->known, read_numbers(text, o->known));
    free(text);
    return s == CLIP_ENOMEM ? clipb_nomem(err, x->dir) : s;
}

bool clipcol_others_have(const clipcol_others *o, const char *path, int64_t size, int64_t mtime)
{
    const uint64_t hash = hash_of(path, size, mtime);
    return o->n_known > 0 && bsearch(&hash, o->known, o->n_known, sizeof hash, by_number);
}

void clipcol_others_add(clipcol_others *o, const char *path, int64_t size, int64_t mtime)
{
    if (o->n_seen < MOST && clipb_grow((void **)&o->seen, &o->capacity, o->n_seen + 1, sizeof *o->seen) == CLIP_OK)
        o->seen[o->n_seen++] = hash_of(path, size, mtime);
}

static clip_status write_numbers(clip_index *x, const uint64_t *v, size_t n, clip_error *err)
{
    char *text = malloc((n + 1) * DIGITS + 1);
    if (!text)
        return clipb_nomem(err, x->dir);
    snprintf(text, DIGITS + 1, "%016" PRIx64, build_hash());
    for (size_t i = 0; i < n; i++)
        snprintf(text + (i + 1) * DIGITS, DIGITS + 1, "%016" PRIx64, v[i]);
    clip_status s = clipidx_remember(x, KEY, text, err);
    free(text);
    return s;
}

clip_status clipcol_others_remember(clip_index *x, clipcol_others *o, bool all, clip_error *err)
{
    for (size_t i = 0; !all && i < o->n_known && o->n_seen < MOST; i++) {
        if (clipb_grow((void **)&o->seen, &o->capacity, o->n_seen + 1, sizeof *o->seen) < 0)
            return clipb_nomem(err, x->dir);
        o->seen[o->n_seen++] = o->known[i];
    }
    o->n_seen = sort_distinct(o->seen, o->n_seen);
    if (o->n_seen == o->n_known && (o->n_seen == 0 || memcmp(o->seen, o->known, o->n_seen * sizeof *o->seen) == 0))
        return CLIP_OK;
    return write_numbers(x, o->seen, o->n_seen, err);
}

void clipcol_others_free(clipcol_others *o)
{
    free(o->known);
    free(o->seen);
    *o = (clipcol_others){0};
}
