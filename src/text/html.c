/* Character references, by HTML 5's rules and by ftfy's. */
#include "text/html.h"

#include <string.h>
#include <utf8proc.h>

#include "text/mojibake.h"

#include "text/entities.inc"

/* Characters in a name, as the regular expressions of the two programs bound them. */
enum { NAME_MAX_HTML = 32, NAME_MAX_CAREFUL = 24 };

/* What a reference becomes. */
typedef struct meaning {
    uint32_t c[3];
    int n;
} meaning;

static bool is_digit(uint32_t c)
{
    return c - '0' < 10u;
}

static int hex_value(uint32_t c)
{
    return is_digit(c) ? (int)c - '0' : (c | 32) - 'a' < 6u ? (int)(c | 32) - 'a' + 10 : -1;
}

static bool is_letter(uint32_t c)
{
    return (c | 32) - 'a' < 26u;
}

static bool is_alnum(uint32_t c)
{
    return is_letter(c) || is_digit(c);
}

/* Compare the name in the list at *entry with name[0..n). Returns the length of the entry's name if
 * name[0..n) begins with it, else 0. *entry moves to the mark behind the entry's name. */
static size_t match_entry(const char **entry, const uint32_t *name, size_t n)
{
    const char *p = *entry;
    size_t k = 1;
    bool same = true;
    for (; *p != ';' && *p != '!'; p++, k++)
        same = same && k < n && name[k] == (unsigned char)*p;
    *entry = p;
    return same ? k : 0;
}

/* Look up name[0..n), the text behind the '&', perhaps with a ';' at its end. Returns the length of
 * the name: all of it, or the longest beginning that counts without a semicolon, or 0. */
static size_t find_entity(const uint32_t *name, size_t n, meaning *out)
{
    if (n < 2 || !is_letter(name[0]))
        return 0;
    size_t best = 0;
    const char *found = NULL, *p = entity_lists[name[0] < 'a' ? name[0] - 'A' : name[0] - 'a' + 26];
    while (*p) {
        size_t k = match_entry(&p, name, n);
        if (k > 0 && k + 1 == n && name[k] == ';')
            best = n, found = p;
        else if (k > best && *p == '!')
            best = k, found = p;
        p = strchr(p, ' ') + 1;
    }
    out->n = 0;
    for (; found && *found != ' '; ) {
        uint32_t c = 0;
        for (found++; hex_value((unsigned char)*found) >= 0; found++)
            c = c << 4 | (uint32_t)hex_value((unsigned char)*found);
        out->c[out->n++] = c;
    }
    return best;
}

/* Read the number at t[i..n), behind "&#". Returns how many characters it has; 0: there is none.
 * Numbers that are larger than any character stay larger. */
static size_t read_number(const uint32_t *t, size_t i, size_t n, uint32_t *value)
{
    size_t from = i;
    bool hex = i < n && (t[i] | 32) == 'x';
    i += hex;
    size_t digits = i;
    for (*value = 0; i < n && (hex ? hex_value(t[i]) >= 0 : is_digit(t[i])); i++)
        if (*value < 0x110000)
            *value = *value * (hex ? 16 : 10) + (uint32_t)hex_value(t[i]);
    return i > digits ? i - from : 0;
}

static meaning number_meaning(uint32_t v)
{
    if (v == 0 || (v >= 0xD800 && v < 0xE000) || v > 0x10FFFF)
        return (meaning){{0xFFFD}, 1};
    if (v >= 0x80 && v < 0xA0)
        return (meaning){{cliptok_c1_meaning(v)}, 1};
    bool none = (v < 0x20 && v != '\t' && v != '\n' && v != '\f' && v != '\r') || v == 0x7F ||
                (v >= 0xFDD0 && v < 0xFDF0) || (v & 0xFFFE) == 0xFFFE;
    return (meaning){{v}, !none};
}

void cliptok_html_unescape(cliptok_points *t)
{
    const uint32_t *c = t->c;
    size_t n = t->n, w = 0;
    for (size_t i = 0; i < n;) {
        meaning m = {{0}, 0};
        size_t used = 0; /* behind the '&' */
        if (c[i] == '&' && i + 1 < n && c[i + 1] == '#') {
            uint32_t value;
            used = read_number(c, i + 2, n, &value);
            if (used > 0) {
                m = number_meaning(value);
                used += 1;
                used += i + 1 + used < n && c[i + 1 + used] == ';';
            }
        } else if (c[i] == '&') {
            size_t k = 0;
            while (k < NAME_MAX_HTML && i + 1 + k < n && is_alnum(c[i + 1 + k]))
                k++;
            k += i + 1 + k < n && c[i + 1 + k] == ';';
            used = find_entity(c + i + 1, k, &m);
        }
        if (used == 0)
            t->c[w++] = c[i++];
        else {
            for (int k = 0; k < m.n; k++)
                t->c[w++] = m.c[k];
            i += 1 + used;
        }
    }
    t->n = w;
}

/* str.upper() of what an entity stands for. */
static meaning upper(meaning m)
{
    static const struct {
        uint32_t c;
        meaning to;
    } longer[] = {
        {0x00DF, {{'S', 'S'}, 2}}, {0x0149, {{0x2BC, 'N'}, 2}}, {0xFB00, {{'F', 'F'}, 2}}, {0xFB01, {{'F', 'I'}, 2}},
        {0xFB02, {{'F', 'L'}, 2}}, {0xFB03, {{'F', 'F', 'I'}, 3}}, {0xFB04, {{'F', 'F', 'L'}, 3}},
    };
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (m.n == 1 && m.c[0] == longer[i].c)
            return longer[i].to;
    for (int i = 0; i < m.n; i++)
        m.c[i] = (uint32_t)utf8proc_toupper((utf8proc_int32_t)m.c[i]);
    return m;
}

/* name[0..n) ends in its ';'. */
static bool careful_meaning(const uint32_t *name, size_t n, meaning *m)
{
    size_t used = find_entity(name, n, m);
    if (used == n)
        return true;
    if (used > 0) /* HTML reads it as something else */
        return false;
    uint32_t low[NAME_MAX_CAREFUL + 1];
    for (size_t i = 0; i < n; i++) {
        if (name[i] - 'a' < 26u)
            return false;
        low[i] = is_letter(name[i]) ? name[i] | 32 : name[i];
    }
    if (find_entity(low, n, m) != n)
        return false;
    *m = upper(*m);
    return true;
}

bool cliptok_html_unescape_careful(cliptok_points *t)
{
    const uint32_t *c = t->c;
    size_t n = t->n, w = 0;
    bool changed = false;
    for (size_t i = 0; i < n;) {
        meaning m = {{0}, 0};
        size_t end = i;
        if (c[i] == '&') {
            bool number = i + 1 < n && c[i + 1] == '#';
            size_t from = i + 1 + number, k = from;
            while (k < n && k - from <= NAME_MAX_CAREFUL && is_alnum(c[k]))
                k++;
            if (k > from && k - from <= NAME_MAX_CAREFUL && k < n && c[k] == ';') {
                uint32_t value;
                bool known;
                if (number) {
                    known = read_number(c, from, k, &value) == k - from;
                    if (known)
                        m = number_meaning(value);
                    known = known && !(m.n == 1 && m.c[0] == ';');
                } else
                    known = careful_meaning(c + from, k + 1 - from, &m);
                end = known ? k + 1 : i;
            }
        }
        if (end == i)
            t->c[w++] = c[i++];
        else {
            for (int k = 0; k < m.n; k++)
                t->c[w++] = m.c[k];
            i = end;
            changed = true;
        }
    }
    t->n = w;
    return changed;
}
