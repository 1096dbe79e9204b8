/* Tidying, a run between spaces at a time. */
#include "text/tidy.h"

#include <stdlib.h>
#include <string.h>

#include "text/rules.h"

static bool is_alnum(uint32_t c)
{
    return c - '0' < 10u || (c | 32) - 'a' < 26u;
}

static bool is_punctuation(uint32_t c)
{
    return c > ' ' && c < 0x7F && !is_alnum(c);
}

static clip_status put_run(unsigned how, const cliptok_points *run, cliptok_points *low, cliptok_bytes *out)
{
    low->n = 0;
    if (how & CLIPTOK_TIDY_LOWER)
        TRY(cliptok_lower(run->c, run->n, &cliptok_unicode_python, low));
    for (size_t i = 0; i < run->n && (how & CLIPTOK_TIDY_LOWER_EACH); i++)
        TRY(cliptok_lower(run->c + i, 1, &cliptok_unicode_python, low));
    const cliptok_points *p = how & (CLIPTOK_TIDY_LOWER | CLIPTOK_TIDY_LOWER_EACH) ? low : run;
    for (size_t i = 0; i < p->n; i++) {
        unsigned char c[4];
        TRY(cliptok_bytes_put(out, c, (size_t)cliptok_utf8_put(p->c[i], c)));
    }
    return CLIP_OK;
}

static clip_status put_runs(unsigned how, const unsigned char *p, const unsigned char *end, cliptok_points *run,
                            cliptok_points *low, cliptok_bytes *out)
{
    const size_t from = out->n;
    while (p < end) {
        uint32_t c = 0;
        bool space = false;
        run->n = 0;
        while (p < end && !space) {
            c = cliptok_utf8_next(&p, end);
            c = (how & CLIPTOK_TIDY_UNDERSCORE && c == '_') || (how & CLIPTOK_TIDY_SPACE_SIGNS && c == 0x2581) ? ' ' : c;
            space = cliptok_python_space(c);
            if (!space && !(how & CLIPTOK_TIDY_PUNCTUATION && is_punctuation(c)))
                TRY(cliptok_points_put(run, c));
        }
        if (how & CLIPTOK_TIDY_JOIN && run->n > 0 && out->n > from)
            TRY(cliptok_bytes_put(out, " ", 1));
        TRY(put_run(how, run, low, out));
        if (space && !(how & CLIPTOK_TIDY_JOIN)) {
            unsigned char bytes[4];
            TRY(cliptok_bytes_put(out, bytes, (size_t)cliptok_utf8_put(c, bytes)));
        }
    }
    return CLIP_OK;
}

clip_status cliptok_tidy(unsigned how, const unsigned char *text, size_t n, cliptok_bytes *out)
{
    cliptok_points run = {0}, low = {0};
    const clip_status s = put_runs(how, text, text + n, &run, &low, out);
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
