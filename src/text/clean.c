/* Cleaning, a part common to all rules and a section for each. */
#include "text/clean.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/fix.h"
#include "text/html.h"

void cliptok_fill_plain(bool (*is_plain)(uint32_t c), bool plain[256])
{
    for (uint32_t c = 0; c < 256; c++)
        plain[c] = c < 128 && is_plain(c);
}

void cliptok_cleaner_free(cliptok_cleaner *c)
{
    cliptok_points_free(&c->text);
    cliptok_points_free(&c->line);
    cliptok_points_free(&c->spare);
    free(c->low);
}

static clip_status hand_on(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    return c->take(c->to, p, end, &c->enough);
}

/* Hand on plain text in blocks that end at a space. Leaves *at at the end, or at a word that is too
 * long for a block. */
static clip_status hand_on_plain(cliptok_cleaner *c, const unsigned char **at, const unsigned char *end)
{
    enum { BLOCK = 1024 };
    unsigned char low[BLOCK];
    const unsigned char *p = *at;
    while (p < end && !c->enough) {
        size_t n = (size_t)(end - p);
        if (n > BLOCK) {
            n = BLOCK;
            while (n > 0 && !cliptok_space(p[n - 1]))
                n--;
            if (n == 0)
                break;
        }
        for (size_t i = 0; i < n; i++)
            low[i] = (unsigned char)(p[i] | (p[i] - 'A' + 0u < 26u) << 5);
        TRY(hand_on(c, low, low + n));
        p += n;
    }
    *at = p;
    return CLIP_OK;
}

/* Hand on c->line, as UTF-8. */
static clip_status hand_on_line(cliptok_cleaner *c)
{
    size_t n = 0;
    TRY(clipb_grow((void **)&c->low, &c->low_capacity, 4 * c->line.n + 1, 1));
    for (size_t i = 0; i < c->line.n; i++)
        n += (size_t)cliptok_utf8_put(c->line.c[i], c->low + n);
    return hand_on(c, c->low, c->low + n);
}

/* ---- OpenCLIP -------------------------------------------------------------------------------- */

bool cliptok_plain_openclip(uint32_t c)
{
    return (c >= 0x20 && c < 0x7F && c != '&') || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* Put c->text into lower case, a run between spaces at a time, and hand it on. */
static clip_status lower_runs(cliptok_cleaner *c)
{
    for (size_t i = 0; i < c->text.n && !c->enough;) {
        const size_t from = i;
        while (i < c->text.n && !cliptok_python_space(c->text.c[i]))
            i++;
        if (i > from) {
            c->line.n = 0;
            TRY(cliptok_lower(c->text.c + from, i - from, &cliptok_unicode_python, &c->line));
            TRY(hand_on_line(c));
        }
        i++;
    }
    return CLIP_OK;
}

static clip_status decode(const unsigned char **p, const unsigned char *end, size_t limit, cliptok_points *out)
{
    out->n = 0;
    while (*p < end && out->n < limit)
        TRY(cliptok_points_put(out, cliptok_utf8_next(p, end)));
    return CLIP_OK;
}

/* Mend a line into c->text. *unescape becomes false at a '<', which ftfy takes as a sign of real
 * HTML. */
static clip_status mend_line(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end, bool *unescape)
{
    c->text.n = 0;
    while (p < end) {
        const unsigned char *from = p;
        TRY(decode(&p, end, CLIPTOK_FIX_MAX, &c->line));
        if (memchr(from, '<', (size_t)(p - from)))
            *unescape = false;
        TRY(cliptok_fix(&c->line, *unescape, &c->spare));
        TRY(cliptok_points_reserve(&c->text, c->line.n));
        if (c->line.n > 0)
            memcpy(c->text.c + c->text.n, c->line.c, c->line.n * sizeof *c->line.c);
        c->text.n += c->line.n;
    }
    cliptok_html_unescape(&c->text);
    cliptok_html_unescape(&c->text);
    return CLIP_OK;
}

/* Hand on c->text as it is, but for its white space. */
static clip_status hand_on_mended(cliptok_cleaner *c)
{
    c->line.n = 0;
    for (size_t i = 0; i < c->text.n; i++)
        TRY(cliptok_points_put(&c->line, cliptok_python_space(c->text.c[i]) ? ' ' : c->text.c[i]));
    return hand_on_line(c);
}

/* Lines one after the other; lower: in lower case, else as they are mended. */
static clip_status clean_lines(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end, bool lower)
{
    bool unescape = true;
    while (p < end && !c->enough) {
        const unsigned char *eol = memchr(p, '\n', (size_t)(end - p)), *line_end = eol ? eol + 1 : end;
        bool plain = true, bracket = false;
        for (const unsigned char *q = p; q < line_end; q++) {
            plain = plain && c->plain[*q];
            bracket = bracket || *q == '<';
        }
        if (plain)
            unescape = unescape && !bracket;
        if (plain && lower) {
            TRY(hand_on_plain(c, &p, line_end));
        } else if (plain) {
            TRY(hand_on(c, p, line_end));
            p = line_end;
        }
        if (p < line_end) {
            TRY(mend_line(c, p, line_end, &unescape));
            TRY(lower ? lower_runs(c) : hand_on_mended(c));
        }
        p = line_end;
    }
    return CLIP_OK;
}

clip_status cliptok_clean_openclip(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    return clean_lines(c, p, end, true);
}

clip_status cliptok_mend_openclip(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    return clean_lines(c, p, end, false);
}

/* ---- Hugging Face ---------------------------------------------------------------------------- */

bool cliptok_plain_huggingface(uint32_t c)
{
    return c < 128;
}

clip_status cliptok_clean_huggingface(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    bool plain = true;
    for (const unsigned char *q = p; q < end && plain; q++)
        plain = c->plain[*q];
    if (plain)
        TRY(hand_on_plain(c, &p, end));
    while (p < end && !c->enough) {
        bool space = false;
        c->text.n = 0;
        while (p < end && !space) {
            uint32_t point = cliptok_utf8_next(&p, end);
            space = cliptok_space(point);
            if (!space)
                TRY(cliptok_points_put(&c->text, point));
        }
        c->spare.n = c->line.n = 0;
        TRY(cliptok_nfc(c->text.c, c->text.n, &cliptok_unicode_rust, &c->spare));
        TRY(cliptok_lower(c->spare.c, c->spare.n, &cliptok_unicode_rust, &c->line));
        TRY(hand_on_line(c));
    }
    return CLIP_OK;
}
