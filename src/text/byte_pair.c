/* CLIP's byte-pair tokenizers, from text to ids. Both rules are the same from the words on; before that
 *
 *     OpenCLIP       a line: ftfy.fix_text, html.unescape twice;  a run between spaces: str.lower
 *     Hugging Face   a text: out with the added tokens;           a run between spaces: NFC, lower-case
 *
 * Lines, pieces and runs are worked on one after the other, and no further than there is room for
 * ids. Most are plain ASCII, which changes in nothing but its case. They go from the caller's
 * memory to the words through a buffer on the stack. Nothing is kept between two calls. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/fix.h"
#include "text/html.h"
#include "text/unicode.h"
#include "text/vocab.h"

typedef struct byte_pair {
    cliptok base;
    cliptok_bpe bpe;
    cliptok_added_list added; /* Hugging Face's rules only */
    unsigned char kind[128];  /* of ASCII */
    bool plain[256];          /* bytes that the cleaning leaves alone */
} byte_pair;

/* The work of one call: what is encoded so far, and buffers that grow when first needed. */
typedef struct work {
    const byte_pair *t;
    cliptok_ids ids;
    cliptok_points text, line, spare;
    unsigned char *low;
    size_t low_capacity;
} work;

/* ---- Words -------------------------------------------------------------------------------------------------- */

/* "'s", "'re" and so on at p, which is an apostrophe: the length, 0 if it is none. OpenCLIP ignores case where there is none
 * left, but for one letter: the long s, whose capital is S. */
static size_t contraction(const byte_pair *t, const unsigned char *p, size_t n)
{
    static const char pairs[][3] = {"re", "ve", "ll"};
    if (n >= 2 && (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd'))
        return 2;
    if (t->base.rules == CLIPTOK_OPENCLIP && n >= 3 && p[1] == 0xC5 && p[2] == 0xBF)
        return 3;
    for (size_t i = 0; n >= 3 && i < sizeof pairs / sizeof *pairs; i++)
        if (p[1] == pairs[i][0] && p[2] == pairs[i][1])
            return 3;
    return 0;
}

static bool begins(const unsigned char *p, size_t n, const char *with)
{
    size_t k = strlen(with);
    return n >= k && memcmp(p, with, k) == 0;
}

/* A special token written out at p, which is a '<': encode it and return its length, 0 if there is none. */
static size_t special(work *w, const unsigned char *p, size_t n, clip_status *s)
{
    static const char long_s[] = "<\xC5\xBFtart_of_text>";
    if (w->t->base.rules == CLIPTOK_OPENCLIP) {
        if (begins(p, n, CLIPTOK_START_OPENCLIP)) {
            cliptok_put_id(&w->ids, w->t->base.start);
            return strlen(CLIPTOK_START_OPENCLIP);
        }
        if (begins(p, n, CLIPTOK_END_OPENCLIP)) {
            cliptok_put_id(&w->ids, w->t->base.end);
            return strlen(CLIPTOK_END_OPENCLIP);
        }
        if (begins(p, n, long_s)) { /* found as the special token, but it is not called that */
            *s = cliptok_bpe_word(&w->t->bpe, p, strlen(long_s), &w->ids);
            return strlen(long_s);
        }
        return 0;
    }
    /* Only what is not written exactly like the token comes here. It is one match, taken apart again by the byte-level step. */
    size_t name = begins(p, n, CLIPTOK_START) ? strlen(CLIPTOK_START) - 4
                  : begins(p, n, CLIPTOK_END) ? strlen(CLIPTOK_END) - 4
                                              : 0;
    const size_t part[] = {2, name, 2};
    for (int i = 0; name > 0 && i < 3 && *s == CLIP_OK; i++) {
        *s = cliptok_bpe_word(&w->t->bpe, p, part[i], &w->ids);
        p += part[i];
    }
    return name > 0 ? name + 4 : 0;
}

/* The kind of the character at *p, which moves behind it. */
static inline int next_kind(const byte_pair *t, const unsigned char **p, const unsigned char *end)
{
    if (**p < 0x80)
        return t->kind[*(*p)++];
    return cliptok_kind(cliptok_utf8_next(p, end), t->base.rules);
}

/* Clean lower-case text into words and these into ids:
 *     special | 's|'t|'re|'ve|'m|'ll|'d | \p{L}+ | \p{N} | [^\s\p{L}\p{N}]+ */
static clip_status encode_words(work *w, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !cliptok_full(&w->ids)) {
        const unsigned char *word = p;
        size_t n = 0;
        clip_status s = CLIP_OK;
        int kind = next_kind(w->t, &p, end);
        if (kind == CLIPTOK_SPACE || kind == CLIPTOK_NOTHING)
            continue;
        if (*word == '<' && (n = special(w, word, (size_t)(end - word), &s)) > 0) {
            TRY(s);
            p = word + n;
            continue;
        }
        if (*word == '\'' && (n = contraction(w->t, word, (size_t)(end - word))) > 0)
            p = word + n;
        else if (kind != CLIPTOK_NUMBER)
            for (const unsigned char *q = p; q < end && next_kind(w->t, &q, end) == kind;)
                p = q;
        TRY(cliptok_bpe_word(&w->t->bpe, word, (size_t)(p - word), &w->ids));
    }
    return CLIP_OK;
}

/* ---- Runs --------------------------------------------------------------------------------------------------- */

/* Plain text, as far as its words fit in the buffer: returns where the rest begins, a word too long for it or the end. */
static clip_status encode_plain(work *w, const unsigned char **at, const unsigned char *end)
{
    enum { BLOCK = 1024 };
    unsigned char low[BLOCK];
    const unsigned char *p = *at;
    while (p < end && !cliptok_full(&w->ids)) {
        size_t n = (size_t)(end - p);
        if (n > BLOCK) {
            n = BLOCK;
            while (n > 0 && w->t->kind[p[n - 1]] != CLIPTOK_SPACE)
                n--;
            if (n == 0)
                break;
        }
        for (size_t i = 0; i < n; i++)
            low[i] = (unsigned char)(p[i] | (p[i] - 'A' + 0u < 26u) << 5);
        TRY(encode_words(w, low, low + n));
        p += n;
    }
    *at = p;
    return CLIP_OK;
}

/* w->line as UTF-8 in w->low. */
static clip_status line_to_utf8(work *w, size_t *n)
{
    TRY(clipb_grow((void **)&w->low, &w->low_capacity, 4 * w->line.n + 1, 1));
    *n = 0;
    for (size_t i = 0; i < w->line.n; i++)
        *n += (size_t)cliptok_utf8_put(w->line.c[i], w->low + *n);
    return CLIP_OK;
}

static clip_status decode(const unsigned char **p, const unsigned char *end, size_t limit, cliptok_points *out)
{
    out->n = 0;
    while (*p < end && out->n < limit)
        TRY(cliptok_points_put(out, cliptok_utf8_next(p, end)));
    return CLIP_OK;
}

/* ---- OpenCLIP ----------------------------------------------------------------------------------------------- */

/* w->text, cleaned: cut at spaces, lower-case, words. */
static clip_status encode_openclip_runs(work *w)
{
    for (size_t i = 0; i < w->text.n && !cliptok_full(&w->ids);) {
        size_t from = i, n;
        while (i < w->text.n && !cliptok_python_space(w->text.c[i]))
            i++;
        if (i > from) {
            w->line.n = 0;
            TRY(cliptok_lower(w->text.c + from, i - from, CLIPTOK_OPENCLIP, &w->line));
            TRY(line_to_utf8(w, &n));
            TRY(encode_words(w, w->low, w->low + n));
        }
        i++;
    }
    return CLIP_OK;
}

/* A line that is not plain. *unescape: no '<' has been seen, for ftfy the sign of real HTML. */
static clip_status encode_openclip_line(work *w, const unsigned char *p, const unsigned char *end, bool *unescape)
{
    w->text.n = 0;
    while (p < end) {
        const unsigned char *from = p;
        TRY(decode(&p, end, CLIPTOK_FIX_MAX, &w->line));
        if (memchr(from, '<', (size_t)(p - from)))
            *unescape = false;
        TRY(cliptok_fix(&w->line, *unescape, &w->spare));
        TRY(cliptok_points_reserve(&w->text, w->line.n));
        if (w->line.n > 0)
            memcpy(w->text.c + w->text.n, w->line.c, w->line.n * sizeof *w->line.c);
        w->text.n += w->line.n;
    }
    cliptok_html_unescape(&w->text);
    cliptok_html_unescape(&w->text);
    return encode_openclip_runs(w);
}

static clip_status encode_openclip(work *w, const unsigned char *p, const unsigned char *end)
{
    bool unescape = true;
    while (p < end && !cliptok_full(&w->ids)) {
        const unsigned char *eol = memchr(p, '\n', (size_t)(end - p)), *line_end = eol ? eol + 1 : end;
        bool plain = true, bracket = false;
        for (const unsigned char *q = p; q < line_end; q++) {
            plain = plain && w->t->plain[*q];
            bracket = bracket || *q == '<';
        }
        if (plain) {
            unescape = unescape && !bracket;
            TRY(encode_plain(w, &p, line_end));
        }
        if (p < line_end)
            TRY(encode_openclip_line(w, p, line_end, &unescape));
        p = line_end;
    }
    return CLIP_OK;
}

/* ---- Hugging Face ------------------------------------------------------------------------------------------- */

/* Normalised text: the added tokens that are looked for there, words between them. */
static clip_status encode_normalized(work *w, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !cliptok_full(&w->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&w->t->added, true, p, end, &at);
        TRY(encode_words(w, p, at));
        if (a)
            cliptok_put_id(&w->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    return CLIP_OK;
}

/* A piece of text between added tokens, a run between spaces at a time. */
static clip_status encode_huggingface_piece(work *w, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !cliptok_full(&w->ids)) {
        bool space = false;
        size_t n;
        w->text.n = 0;
        while (p < end && !space) {
            uint32_t c = cliptok_utf8_next(&p, end);
            space = cliptok_space(c);
            if (!space)
                TRY(cliptok_points_put(&w->text, c));
        }
        w->spare.n = w->line.n = 0;
        TRY(cliptok_nfc(w->text.c, w->text.n, CLIPTOK_HUGGINGFACE, &w->spare));
        TRY(cliptok_lower(w->spare.c, w->spare.n, CLIPTOK_HUGGINGFACE, &w->line));
        TRY(line_to_utf8(w, &n));
        TRY(encode_normalized(w, w->low, w->low + n));
    }
    return CLIP_OK;
}

static bool any_normalized(const cliptok_added_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->token[i].normalized)
            return true;
    return false;
}

static clip_status encode_huggingface(work *w, const unsigned char *p, const unsigned char *end)
{
    bool normalized = any_normalized(&w->t->added);
    while (p < end && !cliptok_full(&w->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&w->t->added, false, p, end, &at);
        bool plain = !normalized;
        for (const unsigned char *q = p; q < at && plain; q++)
            plain = w->t->plain[*q];
        if (plain)
            TRY(encode_plain(w, &p, at));
        TRY(encode_huggingface_piece(w, p, at));
        if (a)
            cliptok_put_id(&w->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    return CLIP_OK;
}

static clip_status encode(const cliptok *base, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    const byte_pair *t = (const byte_pair *)base;
    work w = {.t = t, .ids = {ids, 0, capacity - 1}}; /* the end token has its place */
    const unsigned char *p = (const unsigned char *)text;
    cliptok_put_id(&w.ids, t->base.start);
    clip_status s = CLIP_OK;
    if (size > 0)
        s = t->base.rules == CLIPTOK_OPENCLIP ? encode_openclip(&w, p, p + size) : encode_huggingface(&w, p, p + size);
    if (s == CLIP_OK) {
        *n = w.ids.n + 1;
        ids[w.ids.n] = t->base.end;
    }
    cliptok_points_free(&w.text);
    cliptok_points_free(&w.line);
    cliptok_points_free(&w.spare);
    free(w.low);
    return s;
}

/* ---- Loading ------------------------------------------------------------------------------------------------ */

static int32_t find_either(const cliptok_bpe *b, const char *one, const char *other)
{
    int32_t id = cliptok_bpe_find(b, one, strlen(one));
    return id >= 0 ? id : cliptok_bpe_find(b, other, strlen(other));
}

static clip_status find_specials(byte_pair *t, const char *dir, const char *file, const cJSON *added, clip_error *err)
{
    char where[4352];
    int32_t unknown = -1;
    snprintf(where, sizeof where, "%.4096s, %s", dir, file);
    if (t->base.rules == CLIPTOK_OPENCLIP) {
        t->base.start = find_either(&t->bpe, CLIPTOK_START, CLIPTOK_START_OPENCLIP);
        t->base.end = find_either(&t->bpe, CLIPTOK_END, CLIPTOK_END_OPENCLIP);
        t->base.vocab_size = (int)t->bpe.n_tokens;
    } else {
        TRY(cliptok_added_load(&t->added, dir, added, &t->bpe, err));
        t->base.start = t->added.start;
        t->base.end = t->added.end;
        t->base.pad = t->added.pad;
        unknown = t->added.unknown;
        t->base.vocab_size = t->added.vocab_size;
    }
    if (t->base.start < 0 || t->base.end < 0)
        return clipb_fail(err, CLIP_EFORMAT, where, "no token '%s'", t->base.start < 0 ? CLIPTOK_START : CLIPTOK_END);
    return cliptok_bpe_finish(&t->bpe, t->base.rules, unknown, where, err);
}

static void fill_tables(byte_pair *t)
{
    for (uint32_t c = 0; c < 128; c++) {
        t->kind[c] = (unsigned char)cliptok_kind(c, t->base.rules);
        bool text = (c >= 0x20 && c < 0x7F) || c == '\t' || c == '\n' || c == '\f' || c == '\r';
        t->plain[c] = t->base.rules == CLIPTOK_HUGGINGFACE || (text && c != '&');
    }
}

static void release(cliptok *base)
{
    byte_pair *t = (byte_pair *)base;
    if (!t)
        return;
    cliptok_bpe_free(&t->bpe);
    cliptok_added_free(&t->added);
    free(t);
}

static clip_status load(const char *dir, cliptok_rules rules, cliptok **out, clip_error *err)
{
    cJSON *added = NULL;
    const char *file = NULL;
    *out = NULL;
    byte_pair *t = calloc(1, sizeof *t);
    if (!t)
        return clipb_nomem(err, dir);
    t->base.class = &cliptok_byte_pair;
    t->base.rules = rules;
    clip_status s = cliptok_read_vocab(dir, &t->bpe, &file, &added, err);
    if (s == CLIP_OK && file)
        s = find_specials(t, dir, file, added, err);
    cJSON_Delete(added);
    if (s == CLIP_OK && file) {
        fill_tables(t);
        snprintf(t->base.source, sizeof t->base.source, "%s, %s rules", file,
                 rules == CLIPTOK_OPENCLIP ? "OpenCLIP's" : "Hugging Face's");
        *out = &t->base;
        return CLIP_OK;
    }
    release(t ? &t->base : NULL);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}

clip_status cliptok_new_bytes(cliptok_rules rules, cliptok **out)
{
    *out = NULL;
    byte_pair *t = calloc(1, sizeof *t);
    clip_status s = t ? cliptok_bpe_init(&t->bpe, 514, 0) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = cliptok_add_bytes(&t->bpe);
    if (s == CLIP_OK)
        s = cliptok_bpe_finish(&t->bpe, rules, -1, NULL, NULL);
    if (s < 0) {
        release(t ? &t->base : NULL);
        return s;
    }
    t->base.class = &cliptok_byte_pair;
    t->base.rules = rules;
    t->base.start = 512;
    t->base.end = 513;
    t->base.pad = rules == CLIPTOK_OPENCLIP ? 0 : t->base.end;
    t->base.vocab_size = 514;
    fill_tables(t);
    snprintf(t->base.source, sizeof t->base.source, "bytes");
    *out = &t->base;
    return CLIP_OK;
}

static int32_t inner_id(const cliptok *base, int32_t id)
{
    return cliptok_bpe_inner(&((const byte_pair *)base)->bpe, id);
}

const cliptok_class cliptok_byte_pair = {load, encode, inner_id, release};
