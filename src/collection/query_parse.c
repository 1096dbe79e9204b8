/* Reading a query from its parts, which are arguments or lie between the tabs of a line.
 *
 *     query    = term (("+" | "-") term)...     each a part of its own
 *     term     = [weight ":"] (picture | words)
 *     picture  = "-" | a file | what looks like a path
 *
 * Words that follow each other without an operator are one text, so `clip search a red balloon`
 * needs no quotes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/plain.h"
#include "base/status.h"
#include "collection/query.h"
#include "data/data.h"

typedef struct parser {
    bool pictures; /* parts may name pictures */
    clip_query *q;
    clip_error *err;
} parser;

static bool is_operator(const char *s) { return (s[0] == '+' || s[0] == '-') && !s[1]; }

static bool is_quoted(const char *s)
{
    const size_t n = strlen(s);
    return n >= 2 && s[0] == '"' && s[n - 1] == '"';
}

static bool is_picture(const parser *p, const char *s)
{
    struct stat st;
    if (!p->pictures || is_quoted(s))
        return false;
    if (stat(s, &st) == 0)
        return !S_ISDIR(st.st_mode) || strchr(s, '/');
    return s[0] == '/' || strncmp(s, "./", 2) == 0 || strncmp(s, "../", 3) == 0 ||
           ((strchr(s, '/') || clipdat_is_picture_name(s)) && !strchr(s, ' '));
}

/* "2:dog": the length of the weight with its colon, else 0. "3:30", "16:9" and "2: dog" are
 * words. */
static size_t weight_length(const char *s, float *weight)
{
    const size_t n = strspn(s, "0123456789.");
    char *end;
    if (n == 0 || s[n] != ':' || !s[n + 1] || strchr(" 0123456789", s[n + 1]))
        return 0;
    const float w = strtof_l(s, &end, clipb_plain());
    if (end != s + n || !(w > 0) || !isfinite(w))
        return 0;
    *weight = w;
    return n + 1;
}

/* Append a term; `length` bytes of its text are copied. */
static clip_status add_term(const parser *p, clip_term t, size_t length)
{
    if (p->q->n == CLIP_QUERY_TERMS)
        return clipb_fail(p->err, CLIP_EINVAL, NULL, "a query has at most %d terms", CLIP_QUERY_TERMS);
    if (t.kind != CLIP_TERM_ROW) {
        if (length == 0)
            return clipb_fail(p->err, CLIP_EINVAL, NULL, "a term of the query is empty");
        if (!(t.text = strndup(t.text, length)))
            return clipb_nomem(p->err, NULL);
    }
    p->q->term[p->q->n++] = t;
    return CLIP_OK;
}

static clip_status add_part(const parser *p, const char *part, float sign)
{
    clip_term t = {.weight = 1, .text = part};
    if (!p->pictures || access(part, F_OK) < 0) /* a file may be called "2:a.png" */
        t.text += weight_length(part, &t.weight);
    const bool picture = (p->pictures && strcmp(t.text, "-") == 0) || is_picture(p, t.text);
    t.kind = picture ? CLIP_TERM_PICTURE : CLIP_TERM_WORDS;
    t.weight *= sign;
    size_t length = strlen(t.text);
    if (!picture && is_quoted(t.text)) {
        t.text++;
        length -= 2;
    }
    return add_term(p, t, length);
}

/* Two parts without an operator: more of the same text, or a slip. */
static clip_status continue_words(const parser *p, const char *part)
{
    clip_term *last = &p->q->term[p->q->n - 1];
    float weight;
    char *text;
    if (last->kind != CLIP_TERM_WORDS || is_picture(p, part) || is_quoted(part) || weight_length(part, &weight))
        return clipb_fail(p->err, CLIP_EINVAL, NULL, "'%s': '+' or '-' is missing in front of it%s", part,
                          last->kind == CLIP_TERM_WORDS && is_picture(p, part)
                              ? " (it names a file; quoted with its neighbours it is words)"
                              : "");
    if (asprintf(&text, "%s %s", last->text, part) < 0)
        return clipb_nomem(p->err, NULL);
    free((char *)last->text);
    last->text = text;
    return CLIP_OK;
}

static clip_status parse(const parser *p, const int64_t *rows, int n_rows, const char *const *part, int n)
{
    float sign = 1;
    bool term_next = n_rows == 0;
    for (int i = 0; i < n_rows; i++)
        TRY(add_term(p, (clip_term){.kind = CLIP_TERM_ROW, .weight = 1, .row = rows[i]}, 0));
    for (int i = 0; i < n; i++) {
        if (!part[i])
            return clipb_fail(p->err, CLIP_EINVAL, NULL, "a part of the query is missing");
        if (!term_next && is_operator(part[i])) {
            if (i + 1 == n)
                return clipb_fail(p->err, CLIP_EINVAL, NULL, "nothing follows the '%s'", part[i]);
            sign = part[i][0] == '-' ? -1 : 1;
            term_next = true;
        } else if (term_next) {
            if (strcmp(part[i], "+") == 0)
                return clipb_fail(p->err, CLIP_EINVAL, NULL, "a term is missing in front of the '+'");
            TRY(add_part(p, part[i], sign));
            term_next = false;
        } else {
            TRY(continue_words(p, part[i]));
        }
    }
    return p->q->n > 0 ? CLIP_OK : clipb_fail(p->err, CLIP_EINVAL, NULL, "the query is empty");
}

clip_status clipcol_query_parse(const int64_t *rows, int n_rows, const char *const *part, int n, bool pictures,
                                clip_query *out, clip_error *err)
{
    const parser p = {pictures, out, err};
    *out = (clip_query){0};
    if (n_rows < 0 || n < 0 || (n_rows > 0 && !rows) || (n > 0 && !part))
        return clipb_fail(err, CLIP_EINVAL, NULL, "rows or parts of the query are missing");
    const clip_status s = parse(&p, rows, n_rows, part, n);
    if (s < 0)
        clipcol_query_free(out);
    return s;
}

clip_status clipcol_query_parse_line(const int64_t *rows, int n_rows, const char *line, bool pictures, clip_query *out,
                                     clip_error *err)
{
    enum { MOST = 2 * CLIP_QUERY_TERMS }; /* a term and an operator each */
    const char *part[MOST];
    int n = 0;
    *out = (clip_query){0};
    if (!line)
        return clipb_fail(err, CLIP_EINVAL, NULL, "a line of the query is missing");
    char *copy = strdup(line), *rest = copy;
    if (!copy)
        return clipb_nomem(err, NULL);
    while (rest && n < MOST)
        part[n++] = strsep(&rest, "\t");
    const clip_status s =
        rest ? clipb_fail(err, CLIP_EINVAL, NULL, "a query has at most %d terms", CLIP_QUERY_TERMS)
             : clipcol_query_parse(rows, n_rows, part, n, pictures, out, err);
    free(copy);
    return s;
}

void clipcol_query_free(clip_query *q)
{
    for (int i = 0; q && i < q->n; i++)
        free((char *)q->term[i].text);
    if (q)
        *q = (clip_query){0};
}
