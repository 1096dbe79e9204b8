#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"

enum {
    SHORT = 64,       /* bytes: up to here looking for the best merge again and again is faster than a heap */
    MAX_TOKEN = 1024, /* bytes; the longest of CLIP's has 54 */
};
#define NO_RANK UINT32_MAX

struct cliptok_slot {
    uint32_t hash;
    int32_t id; /* -1: empty */
};

struct cliptok_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: empty */
    uint32_t rank;
    int32_t result;
};

/* ---- Tokens ------------------------------------------------------------------------------------------------- */

static uint32_t hash_bytes(const unsigned char *p, size_t n, int kind)
{
    uint64_t h = (n << 2 | (unsigned)kind) * 0x9E3779B97F4A7C15u;
    for (; n > 0; p += 8, n -= n < 8 ? n : 8) {
        uint64_t x = 0;
        if (n >= 8)
            memcpy(&x, p, 8);
        else
            for (size_t i = 0; i < n; i++)
                x |= (uint64_t)p[i] << (8 * i);
        h = (h ^ x) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 29);
}

/* A token's text as its bytes; returns the kind. Room for n bytes. */
static int to_bytes(const char *text, size_t n, unsigned char *out, size_t *n_out)
{
    static const char last[] = "</w>";
    bool ends = n >= 4 && memcmp(text + n - 4, last, 4) == 0;
    const unsigned char *p = (const unsigned char *)text, *end = p + n - (ends ? 4 : 0);
    for (*n_out = 0; p < end;) {
        uint32_t c = cliptok_utf8_next(&p, end);
        if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD))
            out[(*n_out)++] = (unsigned char)c;
        else if (c >= 0x100 && c <= 0x120)
            out[(*n_out)++] = (unsigned char)(c - 0x100);
        else if (c >= 0x121 && c <= 0x142)
            out[(*n_out)++] = (unsigned char)(c - 0x121 + 0x7F);
        else if (c == 0x143)
            out[(*n_out)++] = 0xAD;
        else {
            memcpy(out, text, n);
            *n_out = n;
            return CLIPTOK_FOREIGN;
        }
    }
    return ends ? CLIPTOK_LAST : CLIPTOK_INNER;
}

static bool is_token(const cliptok_bpe *b, int32_t id, const unsigned char *p, size_t n, int kind)
{
    const cliptok_token *t = &b->token[id];
    return t->n == n && (int)t->kind == kind && memcmp(b->bytes + t->at, p, n) == 0;
}

static int32_t find(const cliptok_bpe *b, const unsigned char *p, size_t n, int kind, uint32_t hash)
{
    for (size_t i = hash & (b->slots - 1);; i = (i + 1) & (b->slots - 1)) {
        struct cliptok_slot s = b->slot[i];
        if (s.id < 0)
            return -1;
        if (s.hash == hash && is_token(b, s.id, p, n, kind))
            return s.id;
    }
}

static void put_slot(struct cliptok_slot *slot, size_t slots, struct cliptok_slot s)
{
    size_t i = s.hash & (slots - 1);
    while (slot[i].id >= 0)
        i = (i + 1) & (slots - 1);
    slot[i] = s;
}

static clip_status resize_slots(cliptok_bpe *b, size_t slots)
{
    struct cliptok_slot *fresh = malloc(slots * sizeof *fresh);
    if (!fresh)
        return CLIP_ENOMEM;
    memset(fresh, 0xFF, slots * sizeof *fresh); /* every id -1 */
    for (size_t i = 0; i < b->slots; i++)
        if (b->slot[i].id >= 0)
            put_slot(fresh, slots, b->slot[i]);
    free(b->slot);
    b->slot = fresh;
    b->slots = slots;
    return CLIP_OK;
}

/* Token `id` is these bytes: true if neither was there. */
static clip_status add(cliptok_bpe *b, const unsigned char *p, size_t n, int kind, int32_t id, bool *fresh)
{
    uint32_t hash = hash_bytes(p, n, kind);
    size_t need = (size_t)id + 1;
    *fresh = false;
    if (need > b->n_tokens) {
        TRY(clipb_grow((void **)&b->token, &b->token_capacity, need, sizeof *b->token));
        memset(b->token + b->n_tokens, 0, (need - b->n_tokens) * sizeof *b->token);
        b->n_tokens = need;
    }
    if (b->token[id].kind != CLIPTOK_NO_TOKEN || find(b, p, n, kind, hash) >= 0)
        return CLIP_OK;
    TRY(clipb_grow((void **)&b->bytes, &b->byte_capacity, b->n_bytes + n, 1));
    if (2 * (b->used_slots + 1) > b->slots)
        TRY(resize_slots(b, 2 * b->slots));
    memcpy(b->bytes + b->n_bytes, p, n);
    b->token[id] = (cliptok_token){(uint32_t)b->n_bytes, (uint16_t)n, kind, n == 1 && kind != CLIPTOK_FOREIGN};
    b->n_bytes += n;
    put_slot(b->slot, b->slots, (struct cliptok_slot){hash, id});
    b->used_slots++;
    *fresh = true;
    return CLIP_OK;
}

clip_status cliptok_bpe_add(cliptok_bpe *b, const char *text, size_t n, int32_t id, const char *file, clip_error *err)
{
    unsigned char bytes[MAX_TOKEN];
    size_t k;
    bool fresh;
    if (n > MAX_TOKEN)
        return clipb_fail(err, CLIP_EFORMAT, file, "token '%.40s...' has %zu bytes, more than %d", text, n, MAX_TOKEN);
    int kind = to_bytes(text, n, bytes, &k);
    TRY(add(b, bytes, k, kind, id, &fresh));
    return fresh ? CLIP_OK : clipb_fail(err, CLIP_EFORMAT, file, "token '%.*s' or its id %d is there twice", (int)n, text, id);
}

clip_status cliptok_bpe_add_byte(cliptok_bpe *b, int byte, bool last, int32_t id)
{
    unsigned char p = (unsigned char)byte;
    bool fresh;
    return add(b, &p, 1, last ? CLIPTOK_LAST : CLIPTOK_INNER, id, &fresh);
}

int32_t cliptok_bpe_find(const cliptok_bpe *b, const char *text, size_t n)
{
    unsigned char bytes[MAX_TOKEN];
    if (n > MAX_TOKEN)
        return -1;
    size_t k;
    int kind = to_bytes(text, n, bytes, &k);
    return find(b, bytes, k, kind, hash_bytes(bytes, k, kind));
}

/* ---- Merges ------------------------------------------------------------------------------------------------- */

static size_t hash_pair(uint64_t pair)
{
    pair *= 0x9E3779B97F4A7C15u;
    return (size_t)(pair ^ pair >> 32);
}

static struct cliptok_merge *find_merge(const cliptok_bpe *b, uint64_t pair)
{
    size_t i = hash_pair(pair) & (b->merges - 1);
    while (b->merge[i].pair != pair && b->merge[i].pair != UINT64_MAX)
        i = (i + 1) & (b->merges - 1);
    return &b->merge[i];
}

static clip_status resize_merges(cliptok_bpe *b, size_t merges)
{
    cliptok_bpe old = *b;
    b->merge = malloc(merges * sizeof *b->merge);
    if (!b->merge) {
        b->merge = old.merge;
        return CLIP_ENOMEM;
    }
    memset(b->merge, 0xFF, merges * sizeof *b->merge); /* every pair UINT64_MAX */
    b->merges = merges;
    for (size_t i = 0; i < old.merges; i++)
        if (old.merge[i].pair != UINT64_MAX)
            *find_merge(b, old.merge[i].pair) = old.merge[i];
    free(old.merge);
    return CLIP_OK;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

clip_status cliptok_bpe_merge(cliptok_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right, int32_t result,
                              const char *file, clip_error *err)
{
    char joint[2 * MAX_TOKEN];
    size_t rank = b->used_merges;
    if (n_left == 0 || n_right == 0 || n_left > MAX_TOKEN || n_right > MAX_TOKEN)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: a token without or with too many bytes", rank + 1);
    int32_t l = cliptok_bpe_find(b, left, n_left), r = cliptok_bpe_find(b, right, n_right);
    if (l < 0 || r < 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: '%.*s' is not in the vocabulary", rank + 1, (int)(l < 0 ? n_left : n_right),
                          l < 0 ? left : right);
    memcpy(joint, left, n_left);
    memcpy(joint + n_left, right, n_right);
    size_t n = n_left + n_right;
    if (result >= 0)
        TRY(cliptok_bpe_add(b, joint, n, result, file, err));
    else if ((result = cliptok_bpe_find(b, joint, n)) < 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: its result '%.*s' is not in the vocabulary", rank + 1, (int)n, joint);
    if (2 * (b->used_merges + 1) > b->merges)
        TRY(resize_merges(b, 2 * b->merges));
    struct cliptok_merge *m = find_merge(b, pair_of(l, r));
    if (m->pair != UINT64_MAX)
        return clipb_fail(err, CLIP_EFORMAT, file, "merge %zu: '%.*s %.*s' is there twice", rank + 1, (int)n_left, left, (int)n_right, right);
    *m = (struct cliptok_merge){pair_of(l, r), (uint32_t)rank, result};
    b->used_merges++;
    b->in_order = b->in_order && b->token[l].reachable && b->token[r].reachable && !b->token[result].reachable;
    b->token[result].reachable = true;
    return CLIP_OK;
}

/* ---- Life --------------------------------------------------------------------------------------------------- */

clip_status cliptok_bpe_init(cliptok_bpe *b, size_t tokens, size_t merges)
{
    *b = (cliptok_bpe){.in_order = true};
    size_t slots = 1024, pairs = 1024;
    while (slots < 2 * tokens && slots < 2 * CLIPTOK_MAX_TOKENS)
        slots *= 2;
    while (pairs < 2 * merges && pairs < 2 * CLIPTOK_MAX_TOKENS)
        pairs *= 2;
    TRY(resize_slots(b, slots));
    return resize_merges(b, pairs);
}

void cliptok_bpe_free(cliptok_bpe *b)
{
    free(b->token);
    free(b->bytes);
    free(b->slot);
    free(b->merge);
    free(b->whole);
    *b = (cliptok_bpe){0};
}

clip_status cliptok_bpe_finish(cliptok_bpe *b, cliptok_rules rules, int32_t unknown, const char *file, clip_error *err)
{
    b->one_by_one = rules == CLIPTOK_HUGGINGFACE;
    for (int last = 0; last < 2; last++)
        for (int i = 0; i < 256; i++) {
            unsigned char p = (unsigned char)i;
            int kind = last ? CLIPTOK_LAST : CLIPTOK_INNER;
            int32_t id = find(b, &p, 1, kind, hash_bytes(&p, 1, kind));
            if (id < 0 && unknown < 0)
                return clipb_fail(err, CLIP_EFORMAT, file, "no token for byte %02X%s", i, last ? " at the end of a word" : "");
            b->byte[last][i] = id < 0 ? unknown : id;
        }
    b->whole = malloc(b->n_tokens * sizeof *b->whole);
    if (!b->whole)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < b->n_tokens; i++)
        atomic_init(&b->whole[i], 0);
    return CLIP_OK;
}

/* ---- A word ------------------------------------------------------------------------------------------------- */

/* The order of merges. OpenCLIP takes the pair with the lowest rank and merges it wherever it occurs, from left to right, then
 * looks again. Hugging Face merges one occurrence, then looks again. As long as merges are listed in the order in which they
 * were learned (`in_order`) nothing new can come before what is still to be merged, and the two are the same. */

static uint32_t rank_of(const cliptok_bpe *b, int32_t left, int32_t right, int32_t *result)
{
    const struct cliptok_merge *m = find_merge(b, pair_of(left, right));
    *result = m->result;
    return m->pair == UINT64_MAX ? NO_RANK : m->rank;
}

static int start_word(const cliptok_bpe *b, const unsigned char *word, size_t n, int32_t *id)
{
    for (size_t i = 0; i + 1 < n; i++)
        id[i] = b->byte[0][word[i]];
    id[n - 1] = b->byte[1][word[n - 1]];
    return (int)n;
}

/* id[0..n), n <= SHORT, merged in place; returns how many are left. */
static int merge_short(const cliptok_bpe *b, int32_t *id, int n)
{
    uint32_t rank[SHORT]; /* of the pair that begins here */
    int32_t result[SHORT];
    bool once = b->one_by_one && !b->in_order;
    for (int i = 0; i + 1 < n; i++)
        rank[i] = rank_of(b, id[i], id[i + 1], &result[i]);
    for (;;) {
        uint32_t best = NO_RANK;
        for (int i = 0; i + 1 < n; i++)
            best = rank[i] < best ? rank[i] : best;
        if (best == NO_RANK)
            return n;
        int w = 0;
        bool merged = false, changed = false; /* has any merge been done in this round; was it the symbol before this one */
        for (int i = 0; i < n; w++) {
            bool here = i + 1 < n && rank[i] == best && !(once && merged);
            id[w] = here ? result[i] : id[i];
            if (w > 0 && (here || changed))
                rank[w - 1] = rank_of(b, id[w - 1], id[w], &result[w - 1]);
            if (!here && i + 1 < n)
                rank[w] = rank[i], result[w] = result[i];
            i += here ? 2 : 1;
            merged = merged || here;
            changed = here;
        }
        n = w;
    }
}

/* The heap: the lowest rank first, of equal ones the leftmost. */
typedef struct heap {
    uint64_t *key; /* rank << 32 | position */
    size_t n;
} heap;

static void sift_down(heap *h, size_t i)
{
    uint64_t key = h->key[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        child += child + 1 < h->n && h->key[child + 1] < h->key[child];
        if (h->key[child] >= key)
            break;
        h->key[i] = h->key[child];
        i = child;
    }
    h->key[i] = key;
}

static void push(heap *h, uint64_t key)
{
    size_t i = h->n++;
    for (; i > 0 && h->key[(i - 1) / 2] > key; i = (i - 1) / 2)
        h->key[i] = h->key[(i - 1) / 2];
    h->key[i] = key;
}

static uint64_t pop(heap *h)
{
    uint64_t top = h->key[0];
    h->key[0] = h->key[--h->n];
    if (h->n > 0)
        sift_down(h, 0);
    return top;
}

/* A long word: symbols in a list, their pairs in a heap. A key in the heap is out of date if its symbol has another rank by now. */
typedef struct word {
    int32_t *id, *prev, *next; /* [n]; next is n at the end, prev -1 at the beginning */
    uint32_t *rank;            /* of the pair that begins here; NO_RANK: none, or the symbol is gone */
    int32_t n;
    heap heap;
    uint64_t *later; /* OpenCLIP's order: pairs that arose in this round and would come before the rest of it */
    size_t n_later;
} word;

static void new_pair(const cliptok_bpe *b, word *w, int32_t i, uint32_t round)
{
    int32_t result;
    w->rank[i] = w->next[i] < w->n ? rank_of(b, w->id[i], w->id[w->next[i]], &result) : NO_RANK;
    uint64_t key = (uint64_t)w->rank[i] << 32 | (uint32_t)i;
    if (w->rank[i] == NO_RANK)
        return;
    if (w->rank[i] < round && !b->one_by_one)
        w->later[w->n_later++] = key;
    else
        push(&w->heap, key);
}

static void merge_long(const cliptok_bpe *b, word *w)
{
    for (int32_t i = 0; i < w->n; i++) {
        int32_t result;
        w->prev[i] = i - 1;
        w->next[i] = i + 1;
        w->rank[i] = i + 1 < w->n ? rank_of(b, w->id[i], w->id[i + 1], &result) : NO_RANK;
        if (w->rank[i] != NO_RANK)
            w->heap.key[w->heap.n++] = (uint64_t)w->rank[i] << 32 | (uint32_t)i;
    }
    for (size_t i = w->heap.n / 2; i-- > 0;)
        sift_down(&w->heap, i);
    while (w->heap.n > 0 || w->n_later > 0) {
        uint32_t round = w->heap.n > 0 ? (uint32_t)(w->heap.key[0] >> 32) : NO_RANK;
        while (w->heap.n > 0 && w->heap.key[0] >> 32 == round) {
            int32_t i = (int32_t)(uint32_t)pop(&w->heap);
            if (w->rank[i] != round)
                continue;
            int32_t gone = w->next[i], after = w->next[gone];
            rank_of(b, w->id[i], w->id[gone], &w->id[i]);
            w->next[i] = after;
            w->rank[gone] = NO_RANK;
            if (after < w->n)
                w->prev[after] = i;
            new_pair(b, w, i, round);
            if (w->prev[i] >= 0)
                new_pair(b, w, w->prev[i], round);
        }
        while (w->n_later > 0)
            push(&w->heap, w->later[--w->n_later]);
    }
}

static clip_status encode_long(const cliptok_bpe *b, const unsigned char *bytes, size_t n, cliptok_ids *out)
{
    /* Each merge takes one symbol and one key away and makes at most two keys: never more than 2n. */
    if (n > INT32_MAX / 4)
        return CLIP_ENOMEM;
    size_t room = n * (4 * sizeof(int32_t) + 2 * sizeof(uint64_t));
    bool later = !b->in_order && !b->one_by_one;
    uint64_t *memory = malloc(room + (later ? 2 * n * sizeof(uint64_t) : 0));
    if (!memory)
        return CLIP_ENOMEM;
    word w = {.n = (int32_t)n, .heap = {memory, 0}, .later = memory + 4 * n};
    w.id = (int32_t *)(memory + 2 * n);
    w.prev = w.id + n;
    w.next = w.prev + n;
    w.rank = (uint32_t *)(w.next + n);
    start_word(b, bytes, n, w.id);
    merge_long(b, &w);
    for (int32_t i = 0; i < w.n && !cliptok_full(out); i = w.next[i])
        cliptok_put_id(out, w.id[i]);
    free(memory);
    return CLIP_OK;
}

clip_status cliptok_bpe_word(const cliptok_bpe *b, const unsigned char *bytes, size_t n, cliptok_ids *out)
{
    enum { UNKNOWN, WHOLE, IN_PARTS };
    if (n > SHORT)
        return encode_long(b, bytes, n, out);
    /* Most words are one token, but not every token that spells a word is what its letters merge to: found out when first seen. */
    int32_t token = find(b, bytes, n, CLIPTOK_LAST, hash_bytes(bytes, n, CLIPTOK_LAST));
    int known = token < 0 ? IN_PARTS : atomic_load_explicit(&b->whole[token], memory_order_relaxed);
    if (known == WHOLE) {
        cliptok_put_id(out, token);
        return CLIP_OK;
    }
    int32_t id[SHORT];
    int k = merge_short(b, id, start_word(b, bytes, n, id));
    if (known == UNKNOWN)
        atomic_store_explicit(&b->whole[token], (unsigned char)(k == 1 && id[0] == token ? WHOLE : IN_PARTS), memory_order_relaxed);
    for (int i = 0; i < k; i++)
        cliptok_put_id(out, id[i]);
    return CLIP_OK;
}
