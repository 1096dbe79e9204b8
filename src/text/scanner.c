/* The JSON scanner. */
#include "text/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "text/unicode.h"

enum {
    MAX_DEPTH = 64,
    DROP = 1 << 20, /* bytes */
};

clip_status cliptok_scan_fail(cliptok_scanner *s, const char *what)
{
    size_t line = 1;
    for (const char *p = s->begin; p < s->at; p++)
        line += *p == '\n';
    return clipb_fail(s->err, CLIP_EFORMAT, s->file, "%s (line %zu, byte %zu)", what, line, (size_t)(s->at - s->begin));
}

clip_status cliptok_scan_begin(cliptok_scanner *s, const char *text, size_t n, const char *file, clip_error *err)
{
    *s = (cliptok_scanner){.begin = text, .at = text, .end = text + n, .file = file, .err = err, .first = true};
    size_t bad = cliptok_utf8_error((const unsigned char *)text, n);
    if (bad < n) {
        s->at += bad;
        return cliptok_scan_fail(s, "not UTF-8");
    }
    return CLIP_OK;
}

/* Let go of pages that have been read, if they are many. */
static void drop_pages(cliptok_scanner *s, size_t many)
{
    if (s->map && (size_t)(s->at - s->dropped) >= many) {
        clipb_map_drop(s->map, s->dropped, (size_t)(s->at - s->dropped));
        s->dropped = s->at;
    }
}

clip_status cliptok_scan_mapped(cliptok_scanner *s, const clipb_map *map, const char *file, clip_error *err)
{
    const char *text = (const char *)map->data;
    *s = (cliptok_scanner){.begin = text, .at = text, .end = text + map->size, .file = file, .err = err,
                           .map = map, .dropped = text, .first = true};
    while (s->at < s->end) {
        size_t n = (size_t)(s->end - s->at) < DROP ? (size_t)(s->end - s->at) : DROP;
        while (n < (size_t)(s->end - s->at) && (s->at[n] & 0xC0) == 0x80)
            n++; /* not within a character */
        const size_t bad = cliptok_utf8_error((const unsigned char *)s->at, n);
        s->at += bad;
        if (bad < n)
            return cliptok_scan_fail(s, "not UTF-8");
        drop_pages(s, DROP);
    }
    drop_pages(s, 1);
    s->at = s->dropped = text;
    return CLIP_OK;
}

void cliptok_scan_end(cliptok_scanner *s)
{
    free(s->decoded[0]);
    free(s->decoded[1]);
    s->decoded[0] = s->decoded[1] = NULL;
}

bool cliptok_string_is(cliptok_string s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

char cliptok_scan_peek(cliptok_scanner *s)
{
    while (s->end - s->at >= 8 && memcmp(s->at, "        ", 8) == 0) /* indentation */
        s->at += 8;
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
    return s->at < s->end ? *s->at : 0;
}

clip_status cliptok_scan_open(cliptok_scanner *s, char bracket)
{
    if (cliptok_scan_peek(s) != bracket)
        return cliptok_scan_fail(s, bracket == '{' ? "an object should be here" : "a list should be here");
    s->at++;
    s->first = true;
    return CLIP_OK;
}

/* Before an element: the comma, or the closing bracket. */
static int next_element(cliptok_scanner *s, char close)
{
    char c = cliptok_scan_peek(s);
    bool first = s->first;
    s->first = false;
    drop_pages(s, DROP);
    if (c == close) {
        s->at++;
        return 0;
    }
    if (!first) {
        if (c != ',')
            return cliptok_scan_fail(s, "a comma or the closing bracket should be here");
        s->at++;
    }
    return 1;
}

int cliptok_scan_item(cliptok_scanner *s)
{
    return next_element(s, ']');
}

int cliptok_scan_key(cliptok_scanner *s, cliptok_string *key)
{
    int more = next_element(s, '}');
    if (more <= 0)
        return more;
    TRY(cliptok_scan_string(s, key));
    if (cliptok_scan_peek(s) != ':')
        return cliptok_scan_fail(s, "a colon should be here");
    s->at++;
    return 1;
}

/* Four hexadecimal digits at s->at; -1: they are not. */
static int32_t hex4(cliptok_scanner *s)
{
    int32_t v = 0;
    if (s->end - s->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)*s->at++, low = c | 32;
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* Decode one escape sequence to `out`; s->at is behind its backslash. Returns its length in bytes;
 * 0: it is not an escape sequence. */
static int escape(cliptok_scanner *s, char *out)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end)
        return 0;
    char c = *s->at++;
    const char *k = c ? strchr(plain, c) : NULL;
    if (k) {
        *out = meant[k - plain];
        return 1;
    }
    int32_t v = c == 'u' ? hex4(s) : -1;
    if (v >= 0xD800 && v < 0xDC00) { /* the first half of a pair */
        if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
            return 0;
        s->at += 2;
        int32_t low = hex4(s);
        v = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00) : -1;
    } else if (v >= 0xDC00 && v < 0xE000)
        v = -1;
    return v < 0 ? 0 : cliptok_utf8_put((uint32_t)v, (unsigned char *)out);
}

/* The rest of a string from its first escape on. */
static clip_status string_with_escapes(cliptok_scanner *s, const char *from, cliptok_string *out)
{
    int turn = s->turn ^= 1;
    size_t n = (size_t)(s->at - from);
    TRY(clipb_grow((void **)&s->decoded[turn], &s->capacity[turn], n + 4, 1));
    memcpy(s->decoded[turn], from, n);
    while (s->at < s->end && *s->at != '"') {
        TRY(clipb_grow((void **)&s->decoded[turn], &s->capacity[turn], n + 4, 1));
        if ((unsigned char)*s->at < 0x20)
            return cliptok_scan_fail(s, "a control character in a string");
        if (*s->at != '\\')
            s->decoded[turn][n++] = *s->at++;
        else {
            s->at++;
            int k = escape(s, s->decoded[turn] + n);
            if (k == 0)
                return cliptok_scan_fail(s, "not an escape sequence");
            n += (size_t)k;
        }
    }
    *out = (cliptok_string){s->decoded[turn], n};
    return CLIP_OK;
}

clip_status cliptok_scan_string(cliptok_scanner *s, cliptok_string *out)
{
    if (cliptok_scan_peek(s) != '"')
        return cliptok_scan_fail(s, "a string should be here");
    const char *from = ++s->at;
    while (s->at < s->end && *s->at != '"' && *s->at != '\\' && (unsigned char)*s->at >= 0x20)
        s->at++;
    *out = (cliptok_string){from, (size_t)(s->at - from)};
    if (s->at < s->end && *s->at != '"')
        TRY(string_with_escapes(s, from, out));
    if (s->at == s->end)
        return cliptok_scan_fail(s, "a string without an end");
    s->at++;
    return CLIP_OK;
}

clip_status cliptok_scan_integer(cliptok_scanner *s, int32_t hi, int32_t *out)
{
    cliptok_scan_peek(s);
    const char *from = s->at;
    int64_t v = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9' && v <= hi)
        v = v * 10 + (*s->at++ - '0');
    char next = s->at < s->end ? *s->at : 0;
    bool more = next == '.' || next == 'e' || next == 'E' || (next >= '0' && next <= '9');
    if (s->at == from || more || v > hi || (*from == '0' && s->at - from > 1))
        return cliptok_scan_fail(s, "a whole number should be here, and not so large a one");
    *out = (int32_t)v;
    return CLIP_OK;
}

static bool is_of_number(char c)
{
    return c - '0' + 0u < 10u || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

clip_status cliptok_scan_number(cliptok_scanner *s, double *out)
{
    enum { LONGEST = 63 };
    char digits[LONGEST + 1];
    size_t n = 0;
    cliptok_scan_peek(s);
    while (n < LONGEST && s->at + n < s->end && is_of_number(s->at[n]))
        n++;
    memcpy(digits, s->at, n);
    digits[n] = 0;
    char *end;
    *out = strtod_l(digits, &end, clipb_plain());
    if (n == 0 || n == LONGEST || end != digits + n || *out - *out != 0)
        return cliptok_scan_fail(s, "a number should be here");
    s->at += n;
    return CLIP_OK;
}

static bool literal(cliptok_scanner *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

/* A value that is neither a string nor a bracket. */
static clip_status skip_simple(cliptok_scanner *s)
{
    if (literal(s, "true") || literal(s, "false") || literal(s, "null"))
        return CLIP_OK;
    const char *from = s->at;
    while (s->at < s->end && is_of_number(*s->at))
        s->at++;
    return s->at > from ? CLIP_OK : cliptok_scan_fail(s, "a value should be here");
}

clip_status cliptok_scan_skip(cliptok_scanner *s)
{
    char open[MAX_DEPTH];
    int depth = 0;
    do {
        char c = cliptok_scan_peek(s);
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return cliptok_scan_fail(s, "nested too deep");
            open[depth++] = c;
            TRY(cliptok_scan_open(s, c));
        } else if (c == '"') {
            cliptok_string ignored;
            TRY(cliptok_scan_string(s, &ignored));
        } else
            TRY(skip_simple(s));
        while (depth > 0) { /* to the next value, out of what ends here */
            cliptok_string ignored;
            int more = open[depth - 1] == '{' ? cliptok_scan_key(s, &ignored) : cliptok_scan_item(s);
            if (more < 0)
                return (clip_status)more;
            if (more > 0)
                break;
            depth--;
        }
    } while (depth > 0);
    return CLIP_OK;
}

clip_status cliptok_scan_bool(cliptok_scanner *s, bool *out)
{
    cliptok_scan_peek(s);
    if (literal(s, "true"))
        *out = true;
    else if (literal(s, "false"))
        *out = false;
    else if (!literal(s, "null"))
        return cliptok_scan_fail(s, "true or false should be here");
    return CLIP_OK;
}
