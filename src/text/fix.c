/* ftfy repeats its steps until none of them changes anything. Our steps work on the whole line, in
 * the same order. The order matters because a step may produce text for the next: a reference may
 * stand for a part of mojibake, which may hold a curly quote. One step of ftfy is missing: joining
 * UTF-16 surrogates, which decoded UTF-8 never contains. */
#include "text/fix.h"

#include <string.h>
#include <utf8proc.h>

#include "text/html.h"
#include "text/mojibake.h"

/* A text that is escaped more often than this stays half escaped. Each layer costs a pass over the
 * line, and a hostile line can have as many layers as letters. */
enum { ROUNDS = 32 };

static void swap(cliptok_points *a, cliptok_points *b)
{
    cliptok_points c = *a;
    *a = *b;
    *b = c;
}

/* The two or three letters that a Latin ligature, or a letter of an old encoding, stands for. NULL:
 * c is neither. */
static const char *ligature(uint32_t c)
{
    switch (c) {
    case 0x132: return "IJ";
    case 0x133: return "ij";
    case 0x149: return "\xCA\xBCn"; /* U+02BC, n */
    case 0x1C4: return "D\xC5\xBD"; /* with caron: U+017D, U+017E */
    case 0x1C5: return "D\xC5\xBE";
    case 0x1C6: return "d\xC5\xBE";
    case 0x1C7: return "LJ";
    case 0x1C8: return "Lj";
    case 0x1C9: return "lj";
    case 0x1CA: return "NJ";
    case 0x1CB: return "Nj";
    case 0x1CC: return "nj";
    case 0x1F1: return "DZ";
    case 0x1F2: return "Dz";
    case 0x1F3: return "dz";
    case 0xFB00: return "ff";
    case 0xFB01: return "fi";
    case 0xFB02: return "fl";
    case 0xFB03: return "ffi";
    case 0xFB04: return "ffl";
    case 0xFB05: return "\xC5\xBFt"; /* U+017F, t */
    case 0xFB06: return "st";
    default: return NULL;
    }
}

static uint32_t uncurl(uint32_t c)
{
    return c == 0x2BC || (c >= 0x2018 && c <= 0x201B) ? '\'' : c >= 0x201C && c <= 0x201F ? '"' : c;
}

/* The steps that look at a single character: C1 controls, ligatures, width, quotes. */
static clip_status put_plain(uint32_t c, cliptok_points *out)
{
    if (c >= 0x80 && c < 0xA0)
        c = cliptok_c1_meaning(c);
    const unsigned char *l = (const unsigned char *)ligature(c);
    if (l) {
        for (const unsigned char *end = l + strlen((const char *)l); l < end;)
            TRY(cliptok_points_put(out, uncurl(cliptok_utf8_next(&l, end))));
        return CLIP_OK;
    }
    if (c >= 0xFF01 && c < 0xFFF0) { /* half and full width: their compatible characters */
        utf8proc_int32_t part[8];
        int last = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, part, 8,
                                                     UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, &last);
        for (utf8proc_ssize_t i = 0; i < n && i < 8; i++)
            TRY(cliptok_points_put(out, uncurl((uint32_t)part[i])));
        return CLIP_OK;
    }
    return cliptok_points_put(out, c == 0x3000 ? ' ' : uncurl(c));
}

static clip_status plain_characters(cliptok_points *t, cliptok_points *spare, bool *changed)
{
    spare->n = 0;
    TRY(cliptok_points_reserve(spare, t->n));
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i];
        if (c < 0x80 || (c >= 0xA0 && c < 0x132))
            TRY(cliptok_points_put(spare, c));
        else {
            size_t from = spare->n;
            TRY(put_plain(c, spare));
            *changed = *changed || spare->n != from + 1 || spare->c[from] != c;
        }
    }
    swap(t, spare);
    return CLIP_OK;
}

static bool line_breaks(cliptok_points *t)
{
    size_t w = 0;
    bool changed = false;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i];
        if (c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85) {
            i += c == '\r' && i + 1 < t->n && t->c[i + 1] == '\n';
            c = '\n';
            changed = true;
        }
        t->c[w++] = c;
    }
    t->n = w;
    return changed;
}

/* The length of a terminal's escape sequence at c[0..n); 0: there is none. */
static size_t terminal_escape(const uint32_t *c, size_t n)
{
    if (n < 3 || c[0] != 0x1B || c[1] != '[')
        return 0;
    size_t i = 2;
    while (i < n && (c[i] == ';' || cliptok_python_digit(c[i])))
        i++;
    return i < n && (c[i] | 32) - 'a' < 26u ? i + 1 : 0;
}

static bool terminal_escapes(cliptok_points *t)
{
    size_t w = 0, i = 0, n = t->n;
    while (i < n) {
        size_t k = t->c[i] == 0x1B ? terminal_escape(t->c + i, n - i) : 0;
        if (k == 0)
            t->c[w++] = t->c[i++];
        i += k;
    }
    t->n = w;
    return w != n;
}

/* Control characters that show nothing. Joiners and marks of direction stay, because they change
 * what is seen. C1 controls stay, because they are signs of mojibake. */
static bool invisible(uint32_t c)
{
    return c <= 0x08 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) ||
           c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

static bool controls(cliptok_points *t)
{
    size_t w = 0, n = t->n;
    for (size_t i = 0; i < n; i++)
        if (!invisible(t->c[i]))
            t->c[w++] = t->c[i];
    t->n = w;
    return w != n;
}

static clip_status compose(cliptok_points *t, cliptok_points *spare, bool *changed)
{
    spare->n = 0;
    TRY(cliptok_nfc(t->c, t->n, &cliptok_unicode_python, spare));
    *changed = *changed || spare->n != t->n || memcmp(spare->c, t->c, t->n * sizeof *t->c) != 0;
    swap(t, spare);
    return CLIP_OK;
}

clip_status cliptok_fix(cliptok_points *t, bool unescape, cliptok_points *spare)
{
    bool changed = true;
    for (int round = 0; changed && t->n > 0 && round < ROUNDS; round++) {
        changed = unescape && cliptok_html_unescape_careful(t);
        uint32_t all = 0;
        for (size_t i = 0; i < t->n; i++)
            all |= t->c[i];
        if (all >= 0x80) {
            TRY(cliptok_fix_encoding(t, &changed));
            TRY(plain_characters(t, spare, &changed));
        }
        changed |= line_breaks(t);
        changed |= terminal_escapes(t);
        changed |= controls(t);
        if (all >= 0x80)
            TRY(compose(t, spare, &changed));
    }
    return CLIP_OK;
}
