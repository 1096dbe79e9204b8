/* Tidying, a run between spaces at a time. */
#include "text/tidy.h"

#include <stdlib.h>
#include <string.h>

#include "text/rules.h"

static bool is_alnum(uint32_t c) { return c - '0' < 10u || (c | 32) - 'a' < 26u; }

static bool is_punctuation(uint32_t c) { return c > ' ' && c < 0x7F && !is_alnum(c); }

static void drop_punctuation(cliptok_points *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!is_punctuation(p->c[i]))
            p->c[n++] = p->c[i];
    p->n = n;
}

/* What becomes of the characters between two spaces: *run, or in `low`. */
static clip_status tidy_run(unsigned how, cliptok_points **run, cliptok_points *low)
{
    const bool lower = how & (CLIPTOK_TIDY_LOWER | CLIPTOK_TIDY_LOWER_FIRST);
    if (how & CLIPTOK_TIDY_PUNCTUATION && !(how & CLIPTOK_TIDY_LOWER_FIRST))
        drop_punctuation(*run);
    if (lower) {
        low->n = 0;
        TRY(cliptok_lower((*run)->c, (*run)->n, &cliptok_unicode_python, low));
        *run = low;
    }
    if (how & CLIPTOK_TIDY_PUNCTUATION)
        drop_punctuation(*run);
    return CLIP_OK;
}

static clip_status put_point(cliptok_bytes *out, uint32_t c)
{
    unsigned char bytes[4];
    return cliptok_bytes_put(out, bytes, (size_t)cliptok_utf8_put(c, bytes));
}

static clip_status put_runs(unsigned how, const unsigned char *p, const unsigned char *end, cliptok_points *run,
                            cliptok_points *low, cliptok_bytes *out)
{
    const bool join = how & CLIPTOK_TIDY_JOIN;
    const size_t from = out->n;
    while (p < end) {
        uint32_t c = 0;
        bool space = false;
        run->n = 0;
        while (p < end && !space) {
            c = cliptok_utf8_next(&p, end);
            c = (how & CLIPTOK_TIDY_UNDERSCORE && c == '_') || (how & CLIPTOK_TIDY_SPACE_SIGNS && c == 0x2581) ? ' '
                                                                                                               : c;
            space = cliptok_python_space(c);
            if (!space)
                TRY(cliptok_points_put(run, c));
        }
        cliptok_points *tidy = run;
        TRY(tidy_run(how, &tidy, low));
        if (join && tidy->n > 0 && out->n > from)
            TRY(put_point(out, ' '));
        for (size_t i = 0; i < tidy->n; i++)
            TRY(put_point(out, tidy->c[i]));
        if (space && !join)
            TRY(put_point(out, c));
    }
    return CLIP_OK;
}

clip_status cliptok_tidy(unsigned how, const unsigned char *text, size_t n, cliptok_bytes *out)
{
    cliptok_points run = {0}, low = {0};
    const clip_status s = n > 0 ? put_runs(how, text, text + n, &run, &low, out) : CLIP_OK;
    cliptok_points_free(&run);
    cliptok_points_free(&low);
    return s;
}

/* ---- The beginning of a text ----------------------------------------------------------------- */

typedef struct gathering {
    cliptok_bytes bytes;
    size_t enough;
} gathering;

static clip_status gather(void *to, const unsigned char *p, const unsigned char *end, bool *enough)
{
    gathering *g = to;
    *enough = g->bytes.n + (size_t)(end - p) >= g->enough;
    return cliptok_bytes_put(&g->bytes, p, (size_t)(end - p));
}

/* Where the text can be cut behind `enough` bytes: before a space that a letter or a digit
 * follows. */
static size_t cut(const char *text, size_t size, size_t enough)
{
    for (size_t i = enough; i + 1 < size; i++)
        if (text[i] == ' ' && is_alnum((unsigned char)text[i + 1]))
            return i;
    return size;
}

clip_status cliptok_tidy_begin(const cliptok_rules *rules, const char *text, size_t size, size_t enough,
                               cliptok_bytes *out, bool *all)
{
    const unsigned char *p = (const unsigned char *)text;
    out->n = 0;
    if (!rules->mend) {
        const size_t n = size > enough ? cut(text, size, enough) : size;
        *all = n == size;
        return cliptok_tidy(rules->tidy, p, n, out);
    }
    bool plain[256];
    gathering g = {.enough = enough};
    cliptok_cleaner mender = {.plain = plain, .take = gather, .to = &g};
    cliptok_fill_plain(cliptok_plain_openclip, plain);
    clip_status s = size > 0 ? rules->mend(&mender, p, p + size) : CLIP_OK;
    *all = !mender.enough;
    if (s == CLIP_OK)
        s = cliptok_tidy(rules->tidy, g.bytes.p, g.bytes.n, out);
    cliptok_cleaner_free(&mender);
    free(g.bytes.p);
    return s;
}
