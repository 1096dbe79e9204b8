/* spec.c: from a specification to paths: "::" and braces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/data.h"

#define MOST_BRACES 64 /* in a row or nested: the depth of the recursion */
#define WIDEST 18      /* digits of a number in {1..9} */

typedef struct expansion {
    char **item;
    size_t n, capacity;
    clip_error *err;
} expansion;

static clip_status add_path(expansion *x, char *path)
{
    clip_status s = path ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK && x->n == CLIPDAT_MAX_SOURCES)
        s = clipb_fail(x->err, CLIP_ELIMIT, NULL, "the braces expand to more than %zu names", CLIPDAT_MAX_SOURCES);
    if (s == CLIP_OK)
        s = clipb_grow((void **)&x->item, &x->capacity, x->n + 1, sizeof *x->item);
    if (s < 0) {
        free(path);
        return s;
    }
    x->item[x->n++] = path;
    return CLIP_OK;
}

/* The end of the brace that opens at `p`; NULL if there is none.
 * comma  out  whether a comma stands directly in it */
static const char *find_closing(const char *p, bool *comma)
{
    int depth = 0;
    *comma = false;
    for (; *p; p++) {
        if (*p == '{')
            depth++;
        else if (*p == ',' && depth == 1)
            *comma = true;
        else if (*p == '}' && --depth == 0)
            return p;
    }
    return NULL;
}

/* "{000..012}": the two ends, and the least width of its numbers. */
typedef struct range {
    long long from, to;
    int width;
} range;

/* Reads digits up to `stop`. Returns how many; 0 if there is no such number. */
static int read_number(const char *p, char stop, long long *v)
{
    size_t n = strspn(p, "0123456789");
    if (n == 0 || n > WIDEST || p[n] != stop)
        return 0;
    *v = strtoll(p, NULL, 10);
    return (int)n;
}

static bool read_range(const char *open, range *r)
{
    const char *first = open + 1, *second;
    const int n = read_number(first, '.', &r->from);
    if (n == 0 || first[n + 1] != '.')
        return false;
    second = first + n + 2;
    const int m = read_number(second, '}', &r->to);
    const bool padded = (n > 1 && *first == '0') || (m > 1 && *second == '0');
    r->width = !padded ? 1 : n > m ? n : m;
    return m > 0;
}

static clip_status expand(expansion *x, const char *text, size_t from, int depth);

/* Replaces open .. close in text by the n bytes at `middle`, and expands the result from there
 * on. */
static clip_status substitute(expansion *x, const char *text, const char *open, const char *close, const char *middle,
                              size_t n, int depth)
{
    const size_t head = (size_t)(open - text), tail = strlen(close + 1);
    char *s = malloc(head + n + tail + 1);
    if (!s)
        return CLIP_ENOMEM;
    memcpy(s, text, head);
    memcpy(s + head, middle, n);
    memcpy(s + head + n, close + 1, tail + 1);
    clip_status status = expand(x, s, head, depth + 1);
    free(s);
    return status;
}

static clip_status expand_range(expansion *x, const char *text, const char *open, const char *close, const range *r,
                                int depth)
{
    const long long step = r->from <= r->to ? 1 : -1;
    for (long long v = r->from;; v += step) {
        char number[WIDEST + 2];
        int n = snprintf(number, sizeof number, "%0*lld", r->width, v);
        TRY(substitute(x, text, open, close, number, (size_t)n, depth));
        if (v == r->to)
            return CLIP_OK;
    }
}

static clip_status expand_list(expansion *x, const char *text, const char *open, const char *close, int depth)
{
    int level = 0;
    const char *item = open + 1;
    for (const char *p = item; p <= close; p++) {
        if ((*p == ',' && level == 0) || p == close) {
            TRY(substitute(x, text, open, close, item, (size_t)(p - item), depth));
            item = p + 1;
        } else {
            level += *p == '{' ? 1 : *p == '}' ? -1 : 0;
        }
    }
    return CLIP_OK;
}

/* Expands the first brace at or after text + from that is a list or a range. */
static clip_status expand(expansion *x, const char *text, size_t from, int depth)
{
    if (depth > MOST_BRACES)
        return clipb_fail(x->err, CLIP_ELIMIT, NULL, "more than %d braces in one name", MOST_BRACES);
    for (const char *open = text + from; (open = strchr(open, '{')); open++) {
        bool comma;
        range r;
        const char *close = find_closing(open, &comma);
        if (!close)
            continue;
        if (comma)
            return expand_list(x, text, open, close, depth);
        if (read_range(open, &r))
            return expand_range(x, text, open, close, &r, depth);
    }
    return add_path(x, strdup(text));
}

static clip_status expand_all(expansion *x, const char *spec)
{
    if (access(spec, F_OK) == 0)
        return add_path(x, strdup(spec));
    for (const char *p = spec, *end; p; p = end ? end + 2 : NULL) {
        end = strstr(p, "::");
        char *piece = end ? strndup(p, (size_t)(end - p)) : strdup(p);
        if (!piece)
            return CLIP_ENOMEM;
        clip_status s = CLIP_OK;
        if (*piece == 0)
            s = clipb_fail(x->err, CLIP_EINVAL, NULL, "'%s': a name is missing before or after \"::\"", spec);
        else if (access(piece, F_OK) == 0)
            s = add_path(x, strdup(piece));
        else
            s = expand(x, piece, 0, 0);
        free(piece);
        TRY(s);
    }
    return CLIP_OK;
}

clip_status clipdat_expand(const char *spec, char ***out, size_t *n, clip_error *err)
{
    expansion x = {.err = err};
    *out = NULL;
    *n = 0;
    clip_status s = expand_all(&x, spec);
    if (s < 0) {
        clipdat_list_free(x.item, x.n);
        return s;
    }
    *out = x.item;
    *n = x.n;
    return CLIP_OK;
}
