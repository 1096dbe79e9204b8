/* CLIP's byte-pair tokenizers, from text to ids:
 *
 *     text -> between added tokens -> clean (clean.h) -> words (split.h) -> ids (bpe.h)
 *
 * Each step hands its result on piece by piece. All steps stop when there is no more room for ids.
 * Nothing is kept between two calls. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/vocab.h"

typedef struct byte_pair {
    cliptok base;
    cliptok_bpe bpe;
    cliptok_added_list added; /* empty where the rules have no added tokens */
    cliptok_splitter splitter;
    bool plain[256]; /* bytes that the cleaning leaves alone */
} byte_pair;

/* What a call has encoded so far. */
typedef struct output {
    const byte_pair *t;
    cliptok_ids ids;
} output;

static clip_status encode_word(output *o, const cliptok_word *w)
{
    const cliptok_bpe *b = &o->t->bpe;
    switch (w->meaning) {
    case CLIPTOK_IS_START: cliptok_put_id(&o->ids, o->t->base.start); return CLIP_OK;
    case CLIPTOK_IS_END: cliptok_put_id(&o->ids, o->t->base.end); return CLIP_OK;
    case CLIPTOK_IS_BRACKET:
        TRY(cliptok_bpe_word(b, w->text, 2, &o->ids));
        TRY(cliptok_bpe_word(b, w->text + 2, w->n - 4, &o->ids));
        return cliptok_bpe_word(b, w->text + w->n - 2, 2, &o->ids);
    case CLIPTOK_IS_WORD: break;
    }
    return cliptok_bpe_word(b, w->text, w->n, &o->ids);
}

static clip_status encode_words(output *o, const unsigned char *p, const unsigned char *end)
{
    cliptok_word w;
    while (!cliptok_full(&o->ids) && cliptok_split(&o->t->splitter, &p, end, &w))
        TRY(encode_word(o, &w));
    return CLIP_OK;
}

/* Clean text: the added tokens that are looked for there, words between them. */
static clip_status encode_clean(void *to, const unsigned char *p, const unsigned char *end, bool *enough)
{
    output *o = to;
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, true, p, end, &at);
        TRY(encode_words(o, p, at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    *enough = cliptok_full(&o->ids);
    return CLIP_OK;
}

/* A text as it came: the added tokens that are looked for there, cleaned text between them. */
static clip_status encode_text(output *o, cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !cliptok_full(&o->ids)) {
        const unsigned char *at = end;
        const cliptok_added *a = cliptok_added_find(&o->t->added, false, p, end, &at);
        TRY(o->t->base.rules->clean(c, p, at));
        if (a)
            cliptok_put_id(&o->ids, a->id);
        p = at + (a ? a->n : 0);
    }
    return CLIP_OK;
}

/* What mended lines are handed on to. */
typedef struct mended {
    output *o;
    cliptok_cleaner *c;
} mended;

static clip_status encode_mended(void *to, const unsigned char *p, const unsigned char *end, bool *enough)
{
    const mended *m = to;
    TRY(encode_text(m->o, m->c, p, end));
    *enough = cliptok_full(&m->o->ids);
    return CLIP_OK;
}

/* A text whose lines OpenCLIP mends before the rules read them. */
static clip_status mend_and_encode(output *o, cliptok_cleaner *c, const unsigned char *p, const unsigned char *end)
{
    bool plain[256];
    mended m = {o, c};
    cliptok_cleaner mender = {.plain = plain, .take = encode_mended, .to = &m, .enough = c->enough};
    cliptok_fill_plain(cliptok_plain_openclip, plain);
    const clip_status s = o->t->base.rules->mend(&mender, p, end);
    cliptok_cleaner_free(&mender);
    return s;
}

static clip_status encode(const cliptok *base, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    const byte_pair *t = (const byte_pair *)base;
    output o = {.t = t, .ids = {ids, 0, capacity - 1}}; /* the end token has its place */
    cliptok_cleaner c = {.plain = t->plain, .take = encode_clean, .to = &o};
    const unsigned char *p = (const unsigned char *)text;
    cliptok_put_id(&o.ids, t->base.start);
    c.enough = cliptok_full(&o.ids);
    clip_status s = CLIP_OK;
    if (size > 0)
        s = t->base.rules->mend ? mend_and_encode(&o, &c, p, p + size) : encode_text(&o, &c, p, p + size);
    if (s == CLIP_OK) {
        *n = o.ids.n + 1;
        ids[o.ids.n] = t->base.end;
    }
    cliptok_cleaner_free(&c);
    return s;
}

/* ---- Loading --------------------------------------------------------------------------------- */

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
    if (!t->base.rules->added_tokens) {
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
    return cliptok_bpe_finish(&t->bpe, t->base.rules->one_by_one, unknown, where, err);
}

static void fill_tables(byte_pair *t)
{
    cliptok_splitter_init(&t->splitter, t->base.rules);
    cliptok_fill_plain(t->base.rules->is_plain, t->plain);
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

static clip_status load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err)
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
        snprintf(t->base.source, sizeof t->base.source, "%s, %s's rules", file, rules->name);
        *out = &t->base;
        return CLIP_OK;
    }
    release(&t->base);
    return s == CLIP_ENOMEM ? clipb_fail(err, s, dir, "out of memory") : s;
}

clip_status cliptok_new_bytes(const cliptok_rules *rules, cliptok **out)
{
    *out = NULL;
    byte_pair *t = calloc(1, sizeof *t);
    clip_status s = t ? cliptok_bpe_init(&t->bpe, 514, 0) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = cliptok_add_bytes(&t->bpe);
    if (s == CLIP_OK)
        s = cliptok_bpe_finish(&t->bpe, rules->one_by_one, -1, NULL, NULL);
    if (s < 0) {
        release(t ? &t->base : NULL);
        return s;
    }
    t->base.class = &cliptok_byte_pair;
    t->base.rules = rules;
    t->base.start = 512;
    t->base.end = 513;
    t->base.pad = rules->added_tokens ? t->base.end : 0;
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

static int32_t find(const cliptok *base, const char *text)
{
    return cliptok_bpe_find(&((const byte_pair *)base)->bpe, text, strlen(text));
}

const cliptok_class cliptok_byte_pair = {load, encode, inner_id, release, find};
