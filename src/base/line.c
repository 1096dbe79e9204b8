#include "base/line.h"

#include <stdio.h>
#include <string.h>

/* The length of a valid sequence, else 0. RFC 3629: no surrogates, nothing overlong, nothing above
 * 10FFFF. */
static size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi;
        size_t n;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (s[0] >= rows[i].lo && s[0] <= rows[i].hi) {
            if (s[1] < rows[i].second_lo || s[1] > rows[i].second_hi)
                return 0;
            for (size_t k = 2; k < rows[i].n; k++)
                if ((s[k] & 0xc0) != 0x80) /* also stops at the end of the text */
                    return 0;
            return rows[i].n;
        }
    return 0;
}

size_t clipb_text_next(const char *text, int32_t *code)
{
    const unsigned char *s = (const unsigned char *)text;
    *code = s[0];
    if (s[0] < 0x80)
        return s[0] != 0;
    const size_t n = utf8_length(s);
    if (n == 0) {
        *code = CLIP_TEXT_INVALID;
        return 1;
    }
    *code = s[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++)
        *code = *code << 6 | (s[i] & 0x3f);
    return n;
}

bool clipb_text_shown(int32_t code)
{
    static const int32_t hidden[][2] = {
        {CLIP_TEXT_INVALID, 0x1f}, {0x7f, 0x9f},     /* C0, DEL and C1: U+009B is ESC [ in one */
        {0x61c, 0x61c}, {0x200e, 0x200f},            /* marks of the direction of text */
        {0x2028, 0x202e}, {0x2066, 0x206f},          /* separators of lines; embeddings, overrides, isolates */
        {0xfff9, 0xfffb},                            /* annotations */
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (code >= hidden[i][0] && code <= hidden[i][1])
            return false;
    return true;
}

void clipb_line(char *out, size_t size, const char *fmt, va_list ap)
{
    if (size == 0 || vsnprintf(out, size, fmt, ap) < 0)
        return;
    char *to = out;
    int32_t code;
    for (size_t n; (n = clipb_text_next(out, &code)) > 0; out += n)
        if (clipb_text_shown(code)) {
            memmove(to, out, n);
            to += n;
        } else {
            *to++ = '?';
        }
    *to = 0;
}
