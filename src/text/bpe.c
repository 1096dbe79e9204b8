/* Byte-pair encoding: the tables of tokens and merges, and the encoding of a word. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"

enum {
    /* In a hash table. More than some 60 do not happen by chance. A file that was made to have more
     * would take hours. */
    MAX_PROBES = 512,
};

/* Both hash tables have slots of 32 bits, so that they stay in the caches. A slot holds the place
 * of its entry plus one, and above it some bits of the hash. These bits save most looks at other
 * entries. An empty slot is 0. */
#define TOKEN_BITS 24 /* in units of 4 bytes of the pool */

/* A record of the pool, at a multiple of 4. Its bytes follow it. */
typedef struct cliptok_token {
    int32_t id;
    uint16_t n;
    unsigned char kind;
    bool reachable; /* a byte, or the result of a merge already added */
} token;

static uint32_t slot_of(uint32_t hash, size_t entry, int bits)
{
    return (hash & ~0u << bits) | (uint32_t)entry;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static uint32_t hash_bytes(const unsigned char *p, size_t n, int kind)
{
    uint64_t h = (n << 2 | (unsigned)kind) * 0x9E3779B97F4A7C15u;
    for (; n > 0; p += 8, n -= n < 8 ? n : 8) {
        uint64_t x = 0;
        if (n >= 8)
            memcpy(&x, p, 8);
        else if (n >= 4) { /* two halves that overlap */
            uint32_t front, back;
            memcpy(&front, p, 4);
            memcpy(&back, p + n - 4, 4);
            x = (uint64_t)front << 32 | back;
        } else
            x = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
        h = (h ^ x) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 29);
}

/* The bytes that a token's text stands for, at most n. Returns the kind of token. */
static int to_bytes(const char *text, size_t n, unsigned char *out, size_t *n_out)
{
    bool ends = n >= 4 && memcmp(text + n - 4, "</w>", 4) == 0;
    const unsigned char *p = (const unsigned char *)text, *end = p + n - (ends ? 4 : 0);
    size_t k = 0;
    while (p < end) {
        uint32_t c = *p - 0x21u < 0x5E ? *p++ : cliptok_utf8_next(&p, end);
        if (c < 0x7F ? c > 0x20 : c >= 0xA1 && c <= 0xFF && c != 0xAD)
            out[k++] = (unsigned char)c;
        else if (c >= 0x100 && c <= 0x120)
            out[k++] = (unsigned char)(c - 0x100);
        else if (c >= 0x121 && c <= 0x142)
            out[k++] = (unsigned char)(c - 0x121 + 0x7F);
        else if (c == 0x143)
            out[k++] = 0xAD;
        else {
            memcpy(out, text, n);
            *n_out = n;
            return CLIPTOK_FOREIGN;
        }
    }
    *n_out = k;
    return ends ? CLIPTOK_LAST : CLIPTOK_INNER;
}

static token *record(const cliptok_bpe *b, uint32_t at)
{
    return (token *)(void *)(b->pool + at);
}

static const unsigned char *bytes_of(const token *t)
{
    return (const unsigned char *)(t + 1);
}

static bool is_token(const token *t, const unsigned char *p, size_t n, int kind)
{
    return t->n == n && t->kind == kind && memcmp(bytes_of(t), p, n) == 0;
}

/* NULL: there is none. */
static token *find(const cliptok_bpe *b, const unsigned char *p, size_t n, int kind, uint32_t hash)
{
    for (size_t i = hash & (b->slots - 1);; i = (i + 1) & (b->slots - 1)) {
        uint32_t s = b->slot[i];
        if (s == 0)
            return NULL;
        if ((s ^ hash) >> TOKEN_BITS == 0) {
            token *t = record(b, (s & ((1u << TOKEN_BITS) - 1)) * 4);
            if (is_token(t, p, n, kind))
                return t;
        }
    }
}

static token *find_text(const cliptok_bpe *b, const char *text, size_t n)
{
    unsigned char bytes[CLIPTOK_MAX_BYTES];
    size_t k;
    if (n > CLIPTOK_MAX_BYTES)
        return NULL;
    int kind = to_bytes(text, n, bytes, &k);
    return find(b, bytes, k, kind, hash_bytes(bytes, k, kind));
}

/* Returns the number of slots that it passed. */
static size_t put_slot(uint32_t *slot, size_t slots, uint32_t hash, uint32_t value)
{
    size_t i = hash & (slots - 1), probes = 0;
    for (; slot[i]; probes++)
        i = (i + 1) & (slots - 1);
    slot[i] = value;
    return probes;
}

static clip_status resize_slots(cliptok_bpe *b, size_t slots)
{
    uint32_t *fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < b->n_tokens; i++)
        if (b->token[i]) {
            const token *t = record(b, b->token[i]);
            uint32_t hash = hash_bytes(bytes_of(t), t->n, t->kind);
            put_slot(fresh, slots, hash, slot_of(hash, b->token[i] / 4, TOKEN_BITS));
        }
    free(b->slot);
    b->slot = fresh;
    b->slots = slots;
    return CLIP_OK;
}

/* Token `id` is these bytes. *fresh: neither the id nor the bytes were there before. */
static clip_status add(cliptok_bpe *b, const unsigned char *p, size_t n, int kind, int32_t id, bool *fresh,
                       const char *file, clip_error *err)
{
    uint32_t hash = hash_bytes(p, n, kind);
    size_t need = (size_t)id + 1, size = (sizeof(token) + n + 3) & ~(size_t)3;
    *fresh = false;
    if (need > b->n_tokens) {
        TRY(clipb_grow((void **)&b->token, &b->token_capacity, need, sizeof *b->token));
        memset(b->token + b->n_tokens, 0, (need - b->n_tokens) * sizeof *b->token);
        b->n_tokens = need;
    }
    if (b->token[id] || find(b, p, n, kind, hash))
        return CLIP_OK;
    if (b->n_pool + size > (size_t)4 << TOKEN_BITS)
        return clipb_fail(err, CLIP_ELIMIT, file, "more than %d bytes of tokens", 4 << TOKEN_BITS);
    TRY(clipb_grow((void **)&b->pool, &b->pool_capacity, b->n_pool + size, 1));
    if (2 * (b->used_slots + 1) > b->slots)
        TRY(resize_slots(b, 2 * b->slots));
    b->token[id] = (uint32_t)b->n_pool;
    *record(b, b->token[id]) = (token){id, (uint16_t)n, (unsigned char)kind, n == 1 && kind != CLIPTOK_FOREIGN};
    memcpy(b->pool + b->n_pool + sizeof(token), p, n);
    b->n_pool += size;
    if (put_slot(b->slot, b->slots, hash, slot_of(hash, b->token[id] / 4, TOKEN_BITS)) > MAX_PROBES)
        return clipb_fail(err, CLIP_EFORMAT, file,
                          "token %d: "
                          "the vocabulary is built to be slow (hash collisions), and is refused",
                          id);
    b->used_slots++;
    *fresh = true;
    return CLIP_OK;
}

clip_status cliptok_bpe_add(cliptok_bpe *b, const char *text, size_t n, int32_t id, const char *file, clip_error *err)
{
    unsigned char bytes[CLIPTOK_MAX_BYTES];
    size_t k;
    bool fresh;
    if (n > CLIPTOK_MAX_BYTES)
        return clipb_fail(err, CLIP_EFORMAT, file, "token '%.40s...' has %zu bytes, more than %d", text, n,
                          CLIPTOK_MAX_BYTES);
    int kind = to_bytes(text, n, bytes, &k);
    TRY(add(b, bytes, k, kind, id, &fresh, file, err));
    return fresh ? CLIP_OK
                 : clipb_fail(err, CLIP_EFORMAT, file, "token '%.*s' or its id %d is there twice", (int)n, text, id);
}

clip_status cliptok_bpe_add_byte(cliptok_bpe *b, int byte, bool last, int32_t id)
{
    unsigned char p = (unsigned char)byte;
    bool fresh;
    return add(b, &p, 1, last ? CLIPTOK_LAST : CLIPTOK_INNER, id, &fresh, NULL, NULL);
}

size_t cliptok_bpe_text(const cliptok_bpe *b, int32_t id, char *text)
{
    if ((size_t)id >= b->n_tokens || !b->token[id])
        return 0;
    const token *t = record(b, b->token[id]);
    size_t k = 0;
    for (size_t i = 0; i < t->n; i++) {
        unsigned c = bytes_of(t)[i];
        if (t->kind != CLIPTOK_FOREIGN) /* to_bytes() backwards */
            c = c <= 0x20 ? c + 0x100 : c >= 0x7F && c <= 0xA0 ? c - 0x7F + 0x121 : c == 0xAD ? 0x143 : c;
        if (t->kind == CLIPTOK_FOREIGN)
            text[k++] = (char)c;
        else
            k += (size_t)cliptok_utf8_put(c, (unsigned char *)text + k);
    }
    strcpy(text + k, t->kind == CLIPTOK_LAST ? "</w>" : "");
    return k + strlen(text + k);
}

int32_t cliptok_bpe_find(const cliptok_bpe *b, const char *text, size_t n)
{
    const token *t = find_text(b, text, n);
    return t ? t->id : -1;
}

size_t cliptok_bpe_bytes(const cliptok_bpe *b, int32_t id, const unsigned char **bytes)
{
    const token *t = record(b, b->token[id]);
    *bytes = bytes_of(t);
    return t->n;
}

int32_t cliptok_bpe_inner(const cliptok_bpe *b, int32_t id)
{
    if (id < 0 || (size_t)id >= b->n_tokens || b->token[id] == 0)
        return id;
    const token *t = record(b, b->token[id]);
    if (t->kind != CLIPTOK_LAST || t->n == 0)
        return id;
    for (const unsigned char *at = bytes_of(t), *end = at + t->n; at < end;)
        if (!cliptok_unspaced(cliptok_utf8_next(&at, end)))
            return id;
    const token *inner = find(b, bytes_of(t), t->n, CLIPTOK_INNER, hash_bytes(bytes_of(t), t->n, CLIPTOK_INNER));
    return inner ? inner->id : id;
}

/* ---- Merges ---------------------------------------------------------------------------------- */

/* The token that l and r become: a new one with the given id; with id -1 the token of their joint
 * text, or NULL if there is none. */
static clip_status join(cliptok_bpe *b, const token *l, const token *r, int32_t id, token **out, const char *file,
                        clip_error *err)
{
    unsigned char bytes[2 * CLIPTOK_MAX_BYTES];
    size_t n = l->n;
    bool fresh;
    *out = NULL;
    memcpy(bytes, bytes_of(l), l->n);
    if (l->kind == CLIPTOK_LAST) { /* no word has such a merge, but a file may */
        memcpy(bytes + n, "</w>", 4);
        n += 4;
    }
    memcpy(bytes + n, bytes_of(r), r->n);
    n += r->n;
    int kind = l->kind == CLIPTOK_FOREIGN || r->kind == CLIPTOK_FOREIGN ? CLIPTOK_FOREIGN : r->kind;
    if (n > CLIPTOK_MAX_BYTES || kind == CLIPTOK_FOREIGN)
        return CLIP_OK;
    if (id >= 0) {
        TRY(add(b, bytes, n, kind, id, &fresh, file, err));
        *out = fresh ? record(b, b->token[id]) : NULL;
        return CLIP_OK;
    }
    size_t next = (size_t)b->last_result + 1;
    token *guess = next < b->n_tokens && b->token[next] ? record(b, b->token[next]) : NULL;
    *out = guess && is_token(guess, bytes, n, kind) ? guess : find(b, bytes, n, kind, hash_bytes(bytes, n, kind));
    return CLIP_OK;
}

clip_status cliptok_bpe_merge(cliptok_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right,
                              int32_t result, const char *file, clip_error *err)
{
    size_t rank = b->merges.n;
    token *l = find_text(b, left, n_left), *r = find_text(b, right, n_right), *to;
    if (!l || !r)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: '%.*s' is not in the vocabulary", rank + 1,
                          (int)(l ? n_right : n_left), l ? right : left);
    if (l->n == 0 || r->n == 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: of nothing", rank + 1);
    int32_t from = l->id, with = r->id;
    bool ordered = l->reachable && r->reachable;
    TRY(join(b, l, r, result, &to, file, err)); /* may move the pool */
    if (!to)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: its result '%.*s%.*s' is %s the vocabulary", rank + 1,
                          (int)n_left, left, (int)n_right, right, result < 0 ? "not in" : "already in");
    const char *fault = NULL;
    clip_status s = cliptok_merges_add(&b->merges, from, with, to->id, &fault);
    if (s == CLIP_EFORMAT)
        return clipb_fail(err, s, file, "merge %zu: '%.*s %.*s' %s", rank + 1, (int)n_left, left, (int)n_right, right,
                          fault);
    TRY(s);
    b->last_result = to->id;
    b->merges.in_order = b->merges.in_order && ordered && !to->reachable;
    to->reachable = true;
    return CLIP_OK;
}

void cliptok_bpe_parts(const cliptok_bpe *b, size_t rank, int32_t *left, int32_t *right)
{
    *left = b->merges.merge[rank].left;
    *right = b->merges.merge[rank].right;
}

/* ---- Life ------------------------------------------------------------------------------------ */

clip_status cliptok_bpe_init(cliptok_bpe *b, size_t tokens, size_t merges)
{
    *b = (cliptok_bpe){.n_pool = 4}; /* no record is at 0 */
    size_t slots = 1024;
    while (slots < 2 * tokens && slots < 2 * CLIPTOK_MAX_TOKENS)
        slots *= 2;
    TRY(resize_slots(b, slots));
    return cliptok_merges_init(&b->merges, merges);
}

void cliptok_bpe_free(cliptok_bpe *b)
{
    free(b->token);
    free(b->pool);
    free(b->slot);
    cliptok_merges_free(&b->merges);
    free(b->whole);
    *b = (cliptok_bpe){0};
}

clip_status cliptok_bpe_finish(cliptok_bpe *b, bool one_by_one, int32_t unknown, const char *file, clip_error *err)
{
    b->merges.one_by_one = one_by_one;
    for (int last = 0; last < 2; last++)
        for (int i = 0; i < 256; i++) {
            unsigned char p = (unsigned char)i;
            int kind = last ? CLIPTOK_LAST : CLIPTOK_INNER;
            const token *t = find(b, &p, 1, kind, hash_bytes(&p, 1, kind));
            if (!t && unknown < 0)
                return clipb_fail(err, CLIP_EFORMAT, file, "no token for byte %02X%s", i,
                                  last ? " at the end of a word" : "");
            b->byte[last][i] = t ? t->id : unknown;
        }
    b->whole = malloc(b->n_tokens * sizeof *b->whole);
    if (!b->whole)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < b->n_tokens; i++)
        atomic_init(&b->whole[i], 0);
    return CLIP_OK;
}

/* ---- A word ---------------------------------------------------------------------------------- */

static void start_word(const cliptok_bpe *b, const unsigned char *word, size_t n, int32_t *id)
{
    for (size_t i = 0; i + 1 < n; i++)
        id[i] = b->byte[0][word[i]];
    id[n - 1] = b->byte[1][word[n - 1]];
}

static clip_status encode_long(const cliptok_bpe *b, const unsigned char *bytes, size_t n, cliptok_ids *out)
{
    int32_t *id = n > INT32_MAX / 4 ? NULL : malloc(n * sizeof *id);
    if (!id)
        return CLIP_ENOMEM;
    start_word(b, bytes, n, id);
    clip_status s = cliptok_merges_apply(&b->merges, id, &n);
    for (size_t i = 0; s == CLIP_OK && i < n; i++)
        cliptok_put_id(out, id[i]);
    free(id);
    return s;
}

clip_status cliptok_bpe_word(const cliptok_bpe *b, const unsigned char *bytes, size_t n, cliptok_ids *out)
{
    enum { UNKNOWN, WHOLE, IN_PARTS };
    if (n > CLIPTOK_SHORT)
        return encode_long(b, bytes, n, out);
    /* Most words are one token. But the letters of a token's word need not merge to that token. It
     * is found out when the word is first seen. */
    const token *t = find(b, bytes, n, CLIPTOK_LAST, hash_bytes(bytes, n, CLIPTOK_LAST));
    int known = t ? atomic_load_explicit(&b->whole[t->id], memory_order_relaxed) : IN_PARTS;
    if (known == WHOLE) {
        cliptok_put_id(out, t->id);
        return CLIP_OK;
    }
    int32_t id[CLIPTOK_SHORT];
    size_t k = n;
    start_word(b, bytes, n, id);
    TRY(cliptok_merges_apply(&b->merges, id, &k));
    if (known == UNKNOWN)
        atomic_store_explicit(&b->whole[t->id], (unsigned char)(k == 1 && id[0] == t->id ? WHOLE : IN_PARTS),
                              memory_order_relaxed);
    for (size_t i = 0; i < k; i++)
        cliptok_put_id(out, id[i]);
    return CLIP_OK;
}
