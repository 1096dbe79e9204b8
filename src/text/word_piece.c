/* BERT's tokenizer (Devlin et al. 2018, arXiv:1810.04805), for Chinese-CLIP and CLIPA:
 *
 *     text -> tidy (tidy.h) -> parts between added tokens -> controls go, Chinese characters apart,
 *         without accents and in lower case -> words between spaces, signs of punctuation apart
 *         -> the longest piece that the word begins with, then the longest "##" piece, and so on
 *
 * A word whose rest is no piece is unknown as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/rules.h"
#include "text/settings.h"

typedef struct word_piece {
    cliptok base;
    cliptok_vocabulary v;
    cliptok_added_list added;
    bool clean, chinese_apart, strip_accents, lower;
} word_piece;

/* The work of one text. */
typedef struct output {
    const word_piece *t;
    cliptok_ids ids;
    cliptok_bytes text, part, word;
    cliptok_points a, b;
} output;

static void free_output(output *o)
{
    free(o->text.p);
    free(o->part.p);
    free(o->word.p);
    cliptok_points_free(&o->a);
    cliptok_points_free(&o->b);
}

/* ---- Normalizing ----------------------------------------------------------------------------- */

static clip_status put_cleaned(const word_piece *t, uint32_t c, cliptok_points *out)
{
    if (t->clean && c != '\t' && c != '\n' && c != '\r' && cliptok_bert_drops(c))
        return CLIP_OK;
    if (t->clean && cliptok_space(c))
        c = ' ';
    const bool apart = t->chinese_apart && cliptok_bert_chinese(c);
    if (apart)
        TRY(cliptok_points_put(out, ' '));
    TRY(cliptok_points_put(out, c));
    return apart ? cliptok_points_put(out, ' ') : CLIP_OK;
}

/* Append p[0..n) to `out`, normalized. a, b: any buffers. */
static clip_status normalize(const word_piece *t, const unsigned char *p, size_t n, cliptok_points *a,
                             cliptok_points *b, cliptok_bytes *out)
{
    a->n = 0;
    for (const unsigned char *end = p + n; p < end;)
        TRY(put_cleaned(t, cliptok_utf8_next(&p, end), a));
    if (t->strip_accents) {
        size_t k = 0;
        b->n = 0;
        TRY(cliptok_nfd(a->c, a->n, &cliptok_unicode_rust, b));
        TRY(cliptok_points_reserve(a, b->n));
        for (size_t i = 0; i < b->n; i++)
            if (!cliptok_bert_accent(b->c[i]))
                a->c[k++] = b->c[i];
        a->n = k;
    }
    const cliptok_points *last = a;
    if (t->lower) {
        b->n = 0;
        TRY(cliptok_lower(a->c, a->n, &cliptok_unicode_rust, b));
        last = b;
    }
    for (size_t i = 0; i < last->n; i++) {
        unsigned char c[4];
        TRY(cliptok_bytes_put(out, c, (size_t)cliptok_utf8_put(last->c[i], c)));
    }
    return CLIP_OK;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* The longest piece that p begins with; *n: its length. -1: there is none but `at_least` bytes. */
static int32_t longest_piece(const cliptok_pieces *pieces, const unsigned char *p, const unsigned char *end,
                             size_t at_least, size_t *n)
{
    cliptok_prefix f;
    int32_t best = -1, id;
    cliptok_prefix_begin(&f, pieces, p, end);
    while ((id = cliptok_prefix_next(&f)) >= 0)
        if (f.n > at_least) {
            best = id;
            *n = f.n;
        }
    return best;
}

static clip_status encode_word(output *o, const unsigned char *p, size_t n, int characters)
{
    const cliptok_vocabulary *v = &o->t->v;
    const size_t prefix = strlen(v->prefix);
    const int before = o->ids.n;
    o->word.n = 0;
    bool known = characters <= v->longest_word;
    if (known) {
        TRY(cliptok_bytes_put(&o->word, v->prefix, prefix));
        TRY(cliptok_bytes_put(&o->word, p, n));
    }
    for (size_t at = 0, length = 0; known && at < n;) {
        unsigned char *from = o->word.p + at; /* the prefix stands where the part before has been read */
        if (at > 0)
            memcpy(from, v->prefix, prefix);
        const size_t skip = at > 0 ? prefix : 0;
        const int32_t id = longest_piece(&v->pieces, from + prefix - skip, o->word.p + prefix + n, skip, &length);
        known = id >= 0;
        if (known)
            cliptok_put_id(&o->ids, id);
        at += known ? length - skip : 0;
    }
    if (!known) {
        o->ids.n = before;
        cliptok_put_id(&o->ids, v->unknown);
    }
    return CLIP_OK;
}

static clip_status encode_words(output *o, const unsigned char *p, const unsigned char *end)
{
    const unsigned char *from = p;
    int characters = 0;
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = p;
        const uint32_t c = cliptok_utf8_next(&p, end);
        const bool space = cliptok_space(c), apart = space || cliptok_bert_punctuation(c);
        if (apart && at > from)
            TRY(encode_word(o, from, (size_t)(at - from), characters));
        if (apart && !space && !cliptok_full(&o->ids))
            TRY(encode_word(o, at, (size_t)(p - at), 1));
        characters = apart ? 0 : characters + (characters < INT32_MAX);
        from = apart ? p : from;
    }
    return p > from && !cliptok_full(&o->ids) ? encode_word(o, from, (size_t)(p - from), characters) : CLIP_OK;
}

static clip_status encode_part(output *o, const unsigned char *p, const unsigned char *end)
{
    o->part.n = 0;
    TRY(normalize(o->t, p, (size_t)(end - p), &o->a, &o->b, &o->part));
    if (o->part.n == 0)
        return CLIP_OK;
    p = o->part.p;
    end = p + o->part.n;
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, true, p, end, &at);
        TRY(encode_words(o, p, at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    return CLIP_OK;
}

static clip_status encode_text(output *o, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, false, p, end, &at);
        TRY(encode_part(o, p, at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    return CLIP_OK;
}

static clip_status encode(const cliptok *base, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    enum { AT_FIRST = 1 << 13 };
    output o = {.t = (const word_piece *)base};
    clip_status s = CLIP_OK;
    bool all = false;
    for (size_t enough = AT_FIRST; s == CLIP_OK && !all; enough *= 4) {
        o.ids = (cliptok_ids){ids, 0, capacity - (base->end >= 0)};
        if (base->start >= 0)
            cliptok_put_id(&o.ids, base->start);
        s = cliptok_tidy_begin(base->rules, text, size, enough, &o.text, &all);
        if (s == CLIP_OK && o.text.n > 0)
            s = encode_text(&o, o.text.p, o.text.p + o.text.n);
        all = all || cliptok_full(&o.ids);
    }
    if (s == CLIP_OK && base->end >= 0)
        ids[o.ids.n++] = base->end;
    if (s == CLIP_OK)
        *n = o.ids.n;
    free_output(&o);
    return s;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* As transformers' BertTokenizer: from tokenizer_config.json. */
static clip_status read_flags(word_piece *t, const cliptok_settings *s, const char *dir, clip_error *err)
{
    t->clean = t->chinese_apart = t->lower = true;
    if (!s->config)
        return t->strip_accents = true, CLIP_OK;
    TRY(clipb_json_bool(s->config, "do_lower_case", &t->lower, dir, err));
    TRY(clipb_json_bool(s->config, "tokenize_chinese_chars", &t->chinese_apart, dir, err));
    t->strip_accents = t->lower;
    return clipb_json_bool(s->config, "strip_accents", &t->strip_accents, dir, err);
}

/* As a tokenizer.json has it, where no class is named that says it. */
static clip_status read_normalizer(word_piece *t, const char *dir, clip_error *err)
{
    const cJSON *o = t->v.normalizer;
    const char *type = "", *split = "";
    TRY(clipb_json_string(o, "type", &type, dir, err));
    TRY(clipb_json_string(t->v.pre_tokenizer, "type", &split, dir, err));
    if (strcmp(type, "BertNormalizer") != 0 || strcmp(split, "BertPreTokenizer") != 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, dir, "WordPiece with normalizer \"%s\" and pre-tokenizer \"%s\"",
                          type, split);
    TRY(clipb_json_bool(o, "clean_text", &t->clean, dir, err));
    TRY(clipb_json_bool(o, "handle_chinese_chars", &t->chinese_apart, dir, err));
    TRY(clipb_json_bool(o, "lowercase", &t->lower, dir, err));
    t->strip_accents = t->lower;
    return clipb_json_bool(o, "strip_accents", &t->strip_accents, dir, err);
}

static clip_status normalize_added(word_piece *t)
{
    for (size_t i = 0; i < t->added.n; i++) {
        cliptok_added *a = &t->added.token[i];
        cliptok_bytes out = {0};
        cliptok_points one = {0}, two = {0};
        clip_status s = CLIP_OK;
        if (a->normalized)
            s = normalize(t, (const unsigned char *)a->text, a->n, &one, &two, &out);
        cliptok_points_free(&one);
        cliptok_points_free(&two);
        if (s == CLIP_OK && out.p) {
            free(a->text);
            a->text = (char *)out.p;
            a->n = out.n;
        } else
            free(out.p);
        TRY(s);
    }
    cliptok_added_index(&t->added);
    return CLIP_OK;
}

static void make_end_zero(word_piece *t)
{
    for (size_t i = 0; i < t->added.n; i++)
        if (t->added.token[i].id == t->base.end)
            t->added.token[i].id = 0;
    t->base.end = 0;
}

static clip_status finish(word_piece *t, const cliptok_settings *s, bool bert, const char *dir, clip_error *err)
{
    static const char *const own[CLIPTOK_ROLES] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    int32_t role[CLIPTOK_ROLES];
    TRY(cliptok_settings_tokens(s, &t->v, bert ? own : NULL, &t->added, role, dir, err));
    TRY(bert ? read_flags(t, s, dir, err) : read_normalizer(t, dir, err));
    TRY(normalize_added(t));
    t->base.vocab_size = t->added.vocab_size;
    t->base.start = t->base.end = -1;
    if (bert) {
        t->v.unknown = role[CLIPTOK_UNK];
        t->base.start = role[CLIPTOK_CLS];
        t->base.end = role[CLIPTOK_SEP];
    } else if (cJSON_IsObject(t->v.post_processor))
        TRY(cliptok_settings_ends(t->v.post_processor, &t->added, &t->v.pieces, &t->base.start, &t->base.end, dir,
                                  err));
    t->base.pad = role[CLIPTOK_PAD] >= 0 ? role[CLIPTOK_PAD] : t->base.end >= 0 ? t->base.end : 0;
    if (t->v.unknown < 0)
        return clipb_fail(err, CLIP_EFORMAT, dir, "no token for unknown words");
    if (t->base.rules->end_is_zero)
        make_end_zero(t);
    return CLIP_OK;
}

static clip_status load_from(word_piece *t, const char *dir, const char *name, const char *path, const char **found,
                             clip_error *err)
{
    const bool json = strcmp(name, "tokenizer.json") == 0;
    cliptok_kind_of_model kind = CLIPTOK_MODEL_WORD_PIECE;
    cliptok_settings s;
    if (json)
        TRY(cliptok_tokenizer_json_kind(path, &kind, err));
    if (kind != CLIPTOK_MODEL_WORD_PIECE)
        return CLIP_OK;
    *found = name;
    clip_status status = cliptok_settings_load(&s, dir, err);
    if (status == CLIP_OK)
        status = json ? cliptok_vocabulary_read_json(&t->v, path, err) : cliptok_vocabulary_read_text(&t->v, path, err);
    if (status == CLIP_OK)
        status = finish(t, &s, !json || strcmp(s.class, "BertTokenizer") == 0, dir, err);
    cliptok_settings_free(&s);
    return status;
}

static void release(cliptok *base)
{
    word_piece *t = (word_piece *)base;
    cliptok_vocabulary_free(&t->v);
    cliptok_added_free(&t->added);
    free(t);
}

static clip_status load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    const char *found = NULL;
    clip_status s = CLIP_OK;
    *out = NULL;
    if (!rules->added_tokens) /* SimpleTokenizer's own vocabulary */
        return CLIP_OK;
    word_piece *t = calloc(1, sizeof *t);
    if (!t)
        return clipb_nomem(err, dir);
    t->base = (cliptok){.class = &cliptok_word_piece, .rules = rules};
    for (int i = 0; i < 2 && s == CLIP_OK && !found; i++) {
        char *path = clipb_path_join(dir, names[i]);
        s = !path ? CLIP_ENOMEM : clipb_is_file(path) ? load_from(t, dir, names[i], path, &found, err) : CLIP_OK;
        free(path);
    }
    if (s == CLIP_OK && found) {
        snprintf(t->base.source, sizeof t->base.source, "%s, %s's rules", found, rules->name);
        *out = &t->base;
        return CLIP_OK;
    }
    release(&t->base);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}

static int32_t find(const cliptok *base, const char *text)
{
    const word_piece *t = (const word_piece *)base;
    return cliptok_settings_find(&t->added, &t->v.pieces, text);
}

const cliptok_class cliptok_word_piece = {load, encode, NULL, release, find};
