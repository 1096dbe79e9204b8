/* Pieces: a pool of records, a hash table, and the lengths that occur. */
#include "text/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum {
    MAX_PROBES = 512, /* in the hash table. Some 60 happen by chance; a file made to have more takes hours */
    ID_BITS = 21,     /* of a slot: id + 1. The bits above are the hash's, and save most looks at records */
    HEAD = 4,         /* bytes that choose the bucket of `lengths`; shorter pieces are always tried */
    LAST_BIT = 63,    /* in `lengths`: stands for pieces of so many bytes and for all longer ones */
};
#define ID_MASK ((1u << ID_BITS) - 1)

/* The hash grows with each byte, so that all beginnings of a text are hashed in one go. */
#define HASH_BEGIN 0x9E3779B97F4A7C15u

static inline uint64_t hash_byte(uint64_t h, unsigned char c) { return (h ^ c) * 0xFF51AFD7ED558CCDu; }

static inline uint32_t hash_end(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xC4CEB9FE1A85EC53u;
    return (uint32_t)(h >> 32);
}

static uint32_t hash_of(const unsigned char *p, size_t n)
{
    uint64_t h = HASH_BEGIN;
    for (size_t i = 0; i < n; i++)
        h = hash_byte(h, p[i]);
    return hash_end(h);
}

clip_status cliptok_pieces_init(cliptok_pieces *p, size_t pieces)
{
    *p = (cliptok_pieces){.n_pool = 1, .slots = 1024}; /* no record is at 0 */
    while (p->slots < 2 * pieces && p->slots < 2 * (size_t)CLIPTOK_MAX_PIECES)
        p->slots *= 2;
    p->slot = calloc(p->slots, sizeof *p->slot);
    return p->slot ? CLIP_OK : CLIP_ENOMEM;
}

void cliptok_pieces_free(cliptok_pieces *p)
{
    free(p->place);
    free(p->pool);
    free(p->slot);
    free(p->lengths);
    *p = (cliptok_pieces){0};
}

size_t cliptok_pieces_text(const cliptok_pieces *p, int32_t id, const unsigned char **text)
{
    if (id < 0 || (size_t)id >= p->n || p->place[id] == 0)
        return 0;
    uint16_t n;
    memcpy(&n, p->pool + p->place[id], sizeof n);
    *text = p->pool + p->place[id] + sizeof n;
    return n;
}

/* The slot of these bytes, or the empty one where they would be. */
static inline uint32_t *find_slot(const cliptok_pieces *p, const unsigned char *text, size_t n, uint32_t hash)
{
    for (size_t i = hash & (p->slots - 1);; i = (i + 1) & (p->slots - 1)) {
        const uint32_t s = p->slot[i];
        if (s == 0)
            return &p->slot[i];
        if ((s ^ hash) >> ID_BITS == 0) {
            const unsigned char *bytes = NULL;
            if (cliptok_pieces_text(p, (int32_t)(s & ID_MASK) - 1, &bytes) == n &&
                (n == 0 || memcmp(bytes, text, n) == 0))
                return &p->slot[i];
        }
    }
}

static clip_status resize(cliptok_pieces *p)
{
    const size_t slots = 2 * p->slots;
    uint32_t *fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < p->slots; i++)
        if (p->slot[i]) { /* not by id: of several ids with the same bytes only one is here */
            const unsigned char *text = NULL;
            const size_t n = cliptok_pieces_text(p, (int32_t)(p->slot[i] & ID_MASK) - 1, &text);
            size_t at = hash_of(text, n) & (slots - 1);
            while (fresh[at])
                at = (at + 1) & (slots - 1);
            fresh[at] = p->slot[i];
        }
    free(p->slot);
    p->slot = fresh;
    p->slots = slots;
    return CLIP_OK;
}

static clip_status place_record(cliptok_pieces *p, const char *text, size_t n, int32_t id)
{
    const uint16_t length = (uint16_t)n;
    const size_t need = (size_t)id + 1;
    TRY(clipb_grow((void **)&p->pool, &p->pool_capacity, p->n_pool + sizeof length + n, 1));
    if (need > p->n) {
        TRY(clipb_grow((void **)&p->place, &p->capacity, need, sizeof *p->place));
        memset(p->place + p->n, 0, (need - p->n) * sizeof *p->place);
        p->n = need;
    }
    p->place[id] = (uint32_t)p->n_pool;
    memcpy(p->pool + p->n_pool, &length, sizeof length);
    memcpy(p->pool + p->n_pool + sizeof length, text, n);
    p->n_pool += sizeof length + n;
    return CLIP_OK;
}

clip_status cliptok_pieces_add(cliptok_pieces *p, const char *text, size_t n, int32_t id, const char *file,
                               clip_error *err)
{
    if (n > CLIPTOK_MAX_PIECE)
        return clipb_fail(err, CLIP_EFORMAT, file, "token '%.40s...' has %zu bytes, more than %d", text, n,
                          CLIPTOK_MAX_PIECE);
    if (id < 0 || id >= CLIPTOK_MAX_PIECES)
        return clipb_fail(err, CLIP_ELIMIT, file, "more than %d tokens", CLIPTOK_MAX_PIECES);
    if ((size_t)id < p->n && p->place[id])
        return clipb_fail(err, CLIP_EFORMAT, file, "id %d of token '%.*s' is there twice", id, (int)n, text);
    if (2 * (p->used + 1) > p->slots)
        TRY(resize(p));
    const uint32_t hash = hash_of((const unsigned char *)text, n);
    uint32_t *slot = find_slot(p, (const unsigned char *)text, n, hash);
    TRY(place_record(p, text, n, id));
    if (*slot == 0 && ((size_t)(slot - p->slot) - hash) % p->slots > MAX_PROBES)
        return clipb_fail(err, CLIP_EFORMAT, file,
                          "token %d: the vocabulary is built to be slow (hash collisions), and is refused", id);
    p->used += *slot == 0;
    *slot = (hash & ~ID_MASK) | (uint32_t)(id + 1);
    return CLIP_OK;
}

static size_t bucket_of(const cliptok_pieces *p, const unsigned char *head)
{
    uint32_t h;
    memcpy(&h, head, HEAD);
    return (size_t)((h * 0x9E3779B97F4A7C15u) >> 40) & (p->buckets - 1);
}

clip_status cliptok_pieces_finish(cliptok_pieces *p)
{
    p->buckets = 256;
    while (p->buckets < p->used / 2 && p->buckets < 1 << 19)
        p->buckets *= 2;
    p->lengths = calloc(p->buckets, sizeof *p->lengths);
    if (!p->lengths)
        return CLIP_ENOMEM;
    for (size_t id = 0; id < p->n; id++) {
        const unsigned char *text = NULL;
        const size_t n = cliptok_pieces_text(p, (int32_t)id, &text);
        if (n >= HEAD)
            p->lengths[bucket_of(p, text)] |= (uint64_t)1 << (n < LAST_BIT ? n : LAST_BIT);
        p->longest = n > p->longest ? n : p->longest;
    }
    return CLIP_OK;
}

int32_t cliptok_pieces_find(const cliptok_pieces *p, const void *text, size_t n)
{
    const uint32_t s = *find_slot(p, text, n, hash_of(text, n));
    return (int32_t)(s & ID_MASK) - 1;
}

void cliptok_prefix_begin(cliptok_prefix *f, const cliptok_pieces *p, const unsigned char *at, const unsigned char *end)
{
    const size_t left = (size_t)(end - at);
    *f = (cliptok_prefix){.pieces = p, .at = at, .room = left < p->longest ? left : p->longest, .hash = HASH_BEGIN};
    f->lengths = (1u << HEAD) - 1;
    if (left >= HEAD)
        f->lengths |= p->lengths[bucket_of(p, at)];
}

int32_t cliptok_prefix_next(cliptok_prefix *f)
{
    while (f->n < f->room) {
        const uint64_t after = f->n < LAST_BIT ? f->lengths >> f->n >> 1 : f->lengths >> LAST_BIT;
        if (after == 0)
            return -1; /* no longer piece begins like this */
        f->hash = hash_byte(f->hash, f->at[f->n++]);
        if ((after & 1) == 0)
            continue;
        const uint32_t hash = hash_end(f->hash), s = *find_slot(f->pieces, f->at, f->n, hash);
        if (s)
            return (int32_t)(s & ID_MASK) - 1;
    }
    return -1;
}
