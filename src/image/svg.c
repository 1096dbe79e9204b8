/* svg.c: whether a file is an SVG drawing: a text whose first element is <svg>, also in gzip
 * (.svgz). */
#include <string.h>

#include <zlib.h>

#include "image/decode.h"

/* Skips white space, comments, instructions and a document type before the first element. NULL if
 * one of them does not end here. */
static const char *skip_prolog(const char *p, const char *end)
{
    if (end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    for (;;) {
        while (p < end && strchr(" \t\r\n", *p) && *p)
            p++;
        if (end - p < 4 || *p != '<' || (p[1] != '?' && p[1] != '!'))
            return p;
        if (memcmp(p, "<!--", 4) == 0) {
            p = memmem(p + 4, (size_t)(end - p - 4), "-->", 3);
        } else if (p[1] == '?') {
            p = memmem(p, (size_t)(end - p), "?>", 2);
        } else { /* a document type, with declarations in brackets */
            const char *close = memchr(p, '>', (size_t)(end - p)), *open = memchr(p, '[', (size_t)(end - p));
            p = open && (!close || open < close) ? memmem(open, (size_t)(end - open), "]", 1) : p;
        }
        p = p ? memchr(p, '>', (size_t)(end - p)) : NULL;
        if (!p)
            return NULL;
        p++;
    }
}

static bool is_drawing(const char *text, size_t size)
{
    const char *end = text + size, *p = skip_prolog(text, end);
    if (!p || p == end || *p != '<')
        return false;
    const char *name = ++p;
    while (p < end && *p && !strchr(" \t\r\n/>", *p)) {
        if (*p == ':')
            name = p + 1;
        p++;
    }
    return p - name == 3 && memcmp(name, "svg", 3) == 0;
}

bool clipimg_is_svg(const clipimg_input *in)
{
    enum { BEGINNING = 1 << 16 };
    if (in->size < 4)
        return false;
    if (in->data[0] != 0x1F || in->data[1] != 0x8B)
        return is_drawing((const char *)in->data, in->size < BEGINNING ? in->size : BEGINNING);
    char text[4096];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in->data};
    z.avail_in = in->size < BEGINNING ? (uInt)in->size : BEGINNING;
    z.next_out = (Bytef *)text;
    z.avail_out = sizeof text;
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return false;
    inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    return is_drawing(text, sizeof text - z.avail_out);
}
