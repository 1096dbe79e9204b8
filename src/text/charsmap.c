/* The double array, and its two readings. */
#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/file.h"
#include "text/unicode.h"

clip_status cliptok_bytes_put(cliptok_bytes *b, const void *p, size_t n)
{
    if (n > b->capacity - b->n)
        TRY(clipb_grow((void **)&b->p, &b->capacity, b->n + n, 1));
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return CLIP_OK;
}

clip_status cliptok_charsmap_set(cliptok_charsmap *m, const void *data, size_t size, const char *file, clip_error *err)
{
    const unsigned char *p = data;
    if (size == 0)
        return CLIP_OK;
    const uint32_t bytes = size < 4 ? 0 : p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (bytes < 4 || bytes % 4 != 0 || bytes > size - 4)
        return clipb_fail(err, CLIP_EFORMAT, file, "the precompiled charsmap is damaged: its sizes do not fit");
    if (cliptok_utf8_error(p + 4 + bytes, size - 4 - bytes) < size - 4 - bytes)
        return clipb_fail(err, CLIP_EFORMAT, file, "the precompiled charsmap is damaged: a replacement is not UTF-8");
    m->data = malloc(size + 1);
    if (!m->data)
        return CLIP_ENOMEM;
    memcpy(m->data, data, size);
    m->data[size] = 0; /* ends the last replacement */
    m->units = bytes / 4;
    m->size = size;
    return CLIP_OK;
}

void cliptok_charsmap_free(cliptok_charsmap *m)
{
    free(m->data);
    *m = (cliptok_charsmap){0};
}

/* ---- The array ------------------------------------------------------------------------------- */

/* The unit at this place; places beyond the end have no children and no value. */
static uint32_t unit_at(const cliptok_charsmap *m, uint32_t at)
{
    if (at >= m->units)
        return 0x80000000u;
    const unsigned char *p = m->data + 4 + 4 * (size_t)at;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

/* Walk down text[0..n): the longest entry, or the shortest. Returns the place of its replacement;
 * -1: there is none. */
static int64_t walk(const cliptok_charsmap *m, const unsigned char *text, size_t n, bool longest, size_t *length)
{
    int64_t found = -1;
    uint32_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < n && text[i] != 0; i++) {
        at ^= text[i];
        const uint32_t unit = unit_at(m, at);
        if ((unit & (0x80000000u | 0xFF)) != text[i])
            break;
        at ^= offset_of(unit);
        if (unit >> 8 & 1) {
            const size_t value = unit_at(m, at) & 0x7FFFFFFFu, list = 4 + 4 * m->units;
            found = (int64_t)(value < m->size - list ? list + value : m->size);
            *length = i + 1;
            if (!longest)
                break;
        }
    }
    return found;
}

const char *cliptok_charsmap_longest(const cliptok_charsmap *m, const unsigned char *text, size_t n, size_t *length)
{
    *length = 0;
    const int64_t at = m->data ? walk(m, text, n, true, length) : -1;
    return at < 0 ? NULL : (const char *)m->data + at;
}

/* Append the replacement of the shortest entry that text[0..n) begins with; false: there is
 * none. */
static bool replace(const cliptok_charsmap *m, const unsigned char *text, size_t n, cliptok_bytes *out, clip_status *s)
{
    size_t length;
    const int64_t at = walk(m, text, n, false, &length);
    if (at >= 0)
        *s = cliptok_bytes_put(out, m->data + at, strlen((const char *)m->data + at));
    return at >= 0;
}

/* ---- Hugging Face's reading ------------------------------------------------------------------ */

static const unsigned char *end_of_grapheme(const unsigned char *p, const unsigned char *end)
{
    utf8proc_int32_t state = 0;
    utf8proc_int32_t before = (utf8proc_int32_t)cliptok_utf8_next(&p, end);
    while (p < end) {
        const unsigned char *next = p;
        const utf8proc_int32_t c = (utf8proc_int32_t)cliptok_utf8_next(&next, end);
        if (utf8proc_grapheme_break_stateful(before, c, &state))
            break;
        before = c;
        p = next;
    }
    return p;
}

clip_status cliptok_charsmap_apply(const cliptok_charsmap *m, const unsigned char *text, size_t n, cliptok_bytes *out)
{
    enum { SHORT = 6 };
    const unsigned char *p = text, *const end = text + n;
    if (!m->data)
        return cliptok_bytes_put(out, text, n);
    while (p < end) {
        clip_status s = CLIP_OK;
        const unsigned char *to = p + 1;
        if (to < end && (*p >= 0x80 || *to >= 0x80 || *p == '\r'))
            to = end_of_grapheme(p, end);
        if (to - p < SHORT && replace(m, p, (size_t)(to - p), out, &s)) {
            TRY(s);
            p = to;
        }
        while (p < to) {
            const unsigned char *next = p;
            cliptok_utf8_next(&next, end);
            if (!replace(m, p, (size_t)(next - p), out, &s))
                s = cliptok_bytes_put(out, p, (size_t)(next - p));
            TRY(s);
            p = next;
        }
    }
    return CLIP_OK;
}
