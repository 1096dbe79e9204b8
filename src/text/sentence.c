/* Encoding by SentencePiece's kind of tokenizer. */
#include "text/sentence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/rules.h"
#include "text/settings.h"

enum { SIGN = sizeof CLIPTOK_SPACE_SIGN - 1 };

/* The work of one text. */
typedef struct output {
    const cliptok_sentence *t;
    cliptok_ids ids;
    cliptok_lattice lattice;
    cliptok_bytes text, part, spare, word;
    int32_t *symbol; /* of a word that is merged */
    size_t capacity;
    bool first; /* nothing of the text has been read */
} output;

static void free_output(output *o)
{
    free(o->lattice.node);
    free(o->text.p);
    free(o->part.p);
    free(o->spare.p);
    free(o->word.p);
    free(o->symbol);
}

static bool is_sign(const unsigned char *p, const unsigned char *end)
{
    return end - p >= SIGN && memcmp(p, CLIPTOK_SPACE_SIGN, SIGN) == 0;
}

/* ---- A word ---------------------------------------------------------------------------------- */

/* The bytes of a character that is no piece, as symbols; false: not all of them are pieces. */
static bool put_bytes(const cliptok_sentence *t, const unsigned char *p, size_t n, int32_t *symbol, size_t *k)
{
    for (size_t i = 0; i < n; i++)
        if (!t->v.byte_fallback || t->byte[p[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        symbol[(*k)++] = t->byte[p[i]];
    return true;
}

/* The symbols that are merged: characters, bytes of unknown characters, the unknown token. Unknown
 * characters wait for the next known one, and bytes pass by them, as in Hugging Face's
 * tokenizers. */
static size_t find_symbols(const cliptok_sentence *t, const unsigned char *p, const unsigned char *end, int32_t *symbol)
{
    size_t k = 0;
    bool unknown = false;
    while (p < end) {
        const unsigned char *from = p++;
        while (p < end && (*p & 0xC0) == 0x80)
            p++;
        const size_t n = (size_t)(p - from);
        const int32_t id = cliptok_pieces_find(&t->v.pieces, from, n);
        if (id >= 0) {
            if (unknown)
                symbol[k++] = t->v.unknown;
            unknown = false;
            symbol[k++] = id;
        } else if (!put_bytes(t, from, n, symbol, &k) && t->v.unknown >= 0) {
            if (unknown && !t->v.fuse_unknown)
                symbol[k++] = t->v.unknown;
            unknown = true;
        }
    }
    if (unknown)
        symbol[k++] = t->v.unknown;
    return k;
}

static clip_status encode_word(output *o, const unsigned char *p, const unsigned char *end)
{
    const size_t n = (size_t)(end - p);
    if (n == 0 || cliptok_full(&o->ids))
        return CLIP_OK;
    if (o->t->v.kind == CLIPTOK_MODEL_UNIGRAM)
        return cliptok_unigram_encode(&o->t->unigram, &o->lattice, p, n, &o->ids);
    TRY(clipb_grow((void **)&o->symbol, &o->capacity, n, sizeof *o->symbol));
    size_t k = find_symbols(o->t, p, end, o->symbol);
    TRY(cliptok_merges_apply(&o->t->v.merges, o->symbol, &k));
    for (size_t i = 0; i < k; i++)
        cliptok_put_id(&o->ids, o->symbol[i]);
    return CLIP_OK;
}

/* A text in which signs stand for spaces, cut before each sign, or only before the first sign of
 * several. The latter changes nothing where no piece has a sign behind another character. */
static clip_status encode_words(output *o, bool each, const unsigned char *p, const unsigned char *end)
{
    const unsigned char *from = p;
    bool sign = true;
    if (!each && o->t->crosses)
        return encode_word(o, p, end);
    while (p < end) {
        const bool here = is_sign(p, end);
        if (here && (each || !sign)) {
            TRY(encode_word(o, from, p));
            from = p;
        }
        sign = here;
        p += here ? SIGN : 1;
    }
    return encode_word(o, from, end);
}

/* ---- A part of a text ------------------------------------------------------------------------ */

/* What Metaspace does to one piece of text. */
static clip_status encode_with_signs(output *o, const unsigned char *p, const unsigned char *end, bool first)
{
    const cliptok_pipeline *l = &o->t->pipeline;
    if (!l->signs)
        return encode_words(o, false, p, end);
    o->word.n = 0;
    const bool prepend = l->prepend == CLIPTOK_PREPEND_ALWAYS || (l->prepend == CLIPTOK_PREPEND_FIRST && first);
    if (prepend && p < end && *p != ' ' && !is_sign(p, end))
        TRY(cliptok_bytes_put(&o->word, CLIPTOK_SPACE_SIGN, SIGN));
    while (p < end) {
        const unsigned char *space = memchr(p, ' ', (size_t)(end - p)), *to = space ? space : end;
        TRY(cliptok_bytes_put(&o->word, p, (size_t)(to - p)));
        if (space)
            TRY(cliptok_bytes_put(&o->word, CLIPTOK_SPACE_SIGN, SIGN));
        p = space ? space + 1 : end;
    }
    return o->word.n > 0 ? encode_words(o, l->split_signs, o->word.p, o->word.p + o->word.n) : CLIP_OK;
}

/* A normalized text without added tokens. */
static clip_status encode_normalized(output *o, const unsigned char *p, const unsigned char *end)
{
    bool first = o->first;
    if (p < end)
        o->first = false;
    if (!o->t->pipeline.split_white)
        return encode_with_signs(o, p, end, first);
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *from = p, *to = p;
        while (p < end && !cliptok_space(cliptok_utf8_next(&p, end)))
            to = p;
        if (to > from)
            TRY(encode_with_signs(o, from, to, first));
        first = false;
    }
    return CLIP_OK;
}

static bool replace_longest(const cliptok_charsmap *m, const unsigned char **p, const unsigned char *end,
                            const unsigned char **out, size_t *n)
{
    size_t length;
    const char *to = cliptok_charsmap_longest(m, *p, (size_t)(end - *p), &length);
    if (!to) {
        *out = *p;
        cliptok_utf8_next(p, end);
        *n = (size_t)(*p - *out);
        return false;
    }
    *out = (const unsigned char *)to;
    *n = strlen(to);
    *p += length;
    return true;
}

/* SentencePiece's normalizer. Appends to o->word. */
static clip_status normalize_itself(output *o, const unsigned char *p, const unsigned char *end)
{
    const cliptok_sentence *t = o->t;
    const char *space = t->escape_whitespaces ? CLIPTOK_SPACE_SIGN : " ";
    const size_t n_space = strlen(space), from = o->word.n;
    const unsigned char *c;
    size_t n;
    bool after_space = t->remove_extra_whitespaces;
    while (after_space && p < end) { /* spaces at the beginning */
        const unsigned char *at = p;
        replace_longest(&t->pipeline.charsmap, &p, end, &c, &n);
        if (n != 1 || *c != ' ') {
            p = at;
            break;
        }
    }
    if (p < end && t->add_dummy_prefix)
        TRY(cliptok_bytes_put(&o->word, space, n_space));
    while (p < end) {
        replace_longest(&t->pipeline.charsmap, &p, end, &c, &n);
        for (; after_space && n > 0 && *c == ' '; n--)
            c++;
        for (size_t i = 0; i < n; i++)
            TRY(cliptok_bytes_put(&o->word, c[i] == ' ' ? (const void *)space : c + i, c[i] == ' ' ? n_space : 1));
        if (n > 0)
            after_space = t->remove_extra_whitespaces && c[n - 1] == ' ';
    }
    while (t->remove_extra_whitespaces && o->word.n - from >= n_space &&
           memcmp(o->word.p + o->word.n - n_space, space, n_space) == 0)
        o->word.n -= n_space;
    return CLIP_OK;
}

/* SentencePiece itself: the part behind t->before, whose ids are taken off again. */
static clip_status encode_itself(output *o, const unsigned char *p, const unsigned char *end)
{
    const cliptok_sentence *t = o->t;
    const int room = o->ids.capacity - o->ids.n, skip = t->before_ids;
    int32_t few[512], *id = few;
    const size_t need = (size_t)room + (size_t)skip;
    if (need > sizeof few / sizeof *few && !(id = malloc(need * sizeof *id)))
        return CLIP_ENOMEM;
    const cliptok_ids given = o->ids;
    clip_status s = CLIP_OK;
    o->ids = (cliptok_ids){id, 0, room + skip};
    o->lattice.score = 0;
    o->word.n = o->spare.n = 0;
    if (s == CLIP_OK)
        s = cliptok_bytes_put(&o->spare, t->before, strlen(t->before));
    if (s == CLIP_OK)
        s = cliptok_tidy(t->base.rules->tidy_parts, p, (size_t)(end - p), &o->spare);
    if (s == CLIP_OK && o->spare.n > 0)
        s = normalize_itself(o, o->spare.p, o->spare.p + o->spare.n);
    if (s == CLIP_OK && o->word.n > 0)
        s = encode_words(o, false, o->word.p, o->word.p + o->word.n);
    const int n = o->ids.n;
    o->ids = given;
    for (int i = n >= skip ? skip : 0; i < n; i++)
        cliptok_put_id(&o->ids, id[i]);
    if (id != few)
        free(id);
    return s;
}

static const unsigned char *strip_left(const unsigned char *from, const unsigned char *to)
{
    const unsigned char *end = from;
    for (const unsigned char *p = from; p < to;)
        if (!cliptok_space(cliptok_utf8_next(&p, to)))
            end = p;
    return end;
}

static const unsigned char *strip_right(const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        const unsigned char *at = p;
        if (!cliptok_space(cliptok_utf8_next(&p, end)))
            return at;
    }
    return end;
}

/* A part between added tokens that are looked for in the text as it came. */
static clip_status encode_part(output *o, const unsigned char *p, const unsigned char *end)
{
    if (o->t->itself)
        return p < end ? encode_itself(o, p, end) : CLIP_OK;
    o->part.n = 0;
    if (o->t->base.rules->tidy_parts)
        TRY(cliptok_tidy(o->t->base.rules->tidy_parts, p, (size_t)(end - p), &o->part));
    else
        TRY(cliptok_bytes_put(&o->part, p, (size_t)(end - p)));
    TRY(cliptok_pipeline_normalize(&o->t->pipeline, &o->part, &o->spare));
    if (o->part.n == 0)
        return CLIP_OK;
    p = o->part.p;
    end = p + o->part.n;
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, true, p, end, &at);
        TRY(encode_normalized(o, p, a && a->strips_left ? strip_left(p, at) : at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
        p = a && a->strips_right ? strip_right(p, end) : p;
        o->first = false;
    }
    return CLIP_OK;
}

/* A tidied text: added tokens, parts between them. */
static clip_status encode_text(output *o, const unsigned char *p, const unsigned char *end)
{
    o->first = true;
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, false, p, end, &at);
        TRY(encode_part(o, p, a && a->strips_left ? strip_left(p, at) : at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
        p = a && a->strips_right ? strip_right(p, end) : p;
        o->first = false;
    }
    return CLIP_OK;
}

clip_status cliptok_sentence_before(const cliptok_sentence *t, cliptok_ids *out)
{
    output o = {.t = t, .ids = *out};
    const unsigned char *nothing = (const unsigned char *)"";
    const clip_status s = encode_itself(&o, nothing, nothing);
    *out = o.ids;
    free_output(&o);
    return s;
}

/* ---- The class ------------------------------------------------------------------------------- */

static clip_status encode(const cliptok *base, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    enum { AT_FIRST = 1 << 13 };
    const cliptok_sentence *t = (const cliptok_sentence *)base;
    output o = {.t = t};
    clip_status s = CLIP_OK;
    bool all = false;
    for (size_t enough = AT_FIRST; s == CLIP_OK && !all; enough *= 4) {
        o.ids = (cliptok_ids){ids, 0, capacity - (base->end >= 0)};
        o.lattice.score = 0;
        if (base->start >= 0)
            cliptok_put_id(&o.ids, base->start);
        o.text.n = o.spare.n = 0;
        s = cliptok_tidy_begin(base->rules, text, size, enough, t->itself ? &o.spare : &o.text, &all);
        if (s == CLIP_OK && t->itself && o.spare.n > 0) {
            s = cliptok_bytes_put(&o.text, CLIPTOK_SPACE_SIGN, SIGN);
            if (s == CLIP_OK)
                s = cliptok_bytes_put(&o.text, o.spare.p, o.spare.n);
        }
        if (s == CLIP_OK && o.text.n > 0)
            s = encode_text(&o, o.text.p, o.text.p + o.text.n);
        all = all || cliptok_full(&o.ids);
    }
    if (s == CLIP_OK && base->end >= 0 && !(t->keeps_end && o.ids.n > 0 && ids[o.ids.n - 1] == base->end))
        ids[o.ids.n++] = base->end;
    if (s == CLIP_OK)
        *n = o.ids.n;
    free_output(&o);
    return s;
}

static void release(cliptok *base)
{
    cliptok_sentence_release((cliptok_sentence *)base);
    free(base);
}

static clip_status load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err)
{
    const char *file = NULL;
    *out = NULL;
    if (!rules->added_tokens) /* SimpleTokenizer's own vocabulary */
        return CLIP_OK;
    cliptok_sentence *t = calloc(1, sizeof *t);
    if (!t)
        return clipb_nomem(err, dir);
    t->base = (cliptok){.class = &cliptok_sentence_piece, .rules = rules, .start = -1, .end = -1};
    clip_status s = cliptok_sentence_load(t, dir, &file, err);
    if (s == CLIP_OK && file) {
        snprintf(t->base.source, sizeof t->base.source, "%s, %s's rules", file, t->base.rules->name);
        *out = &t->base;
        return CLIP_OK;
    }
    release(&t->base);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}

static int32_t find(const cliptok *base, const char *text)
{
    const cliptok_sentence *t = (const cliptok_sentence *)base;
    return cliptok_settings_find(&t->added, &t->v.pieces, text);
}

const cliptok_class cliptok_sentence_piece = {load, encode, NULL, release, find};
