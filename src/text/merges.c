/* Merges: the table of pairs, and the merging of a word. */
#include "text/merges.h"

#include <stdlib.h>

#include "base/file.h"

enum {
    MAX_PROBES = 512, /* in the hash table. Some 60 happen by chance; a file made to have more takes hours */
    MERGE_BITS = 20,  /* of a slot: rank + 1. The bits above are the hash's, and save most looks at merges */
};
#define NO_RANK UINT32_MAX

/* ---- The table ------------------------------------------------------------------------------- */

static uint32_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32 ^ h >> 20);
}

/* The slot of this pair, or the empty one where it would be. */
static uint32_t *find_pair(const cliptok_merges *m, int32_t left, int32_t right, uint32_t hash)
{
    for (size_t i = hash & (m->pairs - 1);; i = (i + 1) & (m->pairs - 1)) {
        uint32_t s = m->pair[i];
        if (s == 0)
            return &m->pair[i];
        if ((s ^ hash) >> MERGE_BITS == 0) {
            const struct cliptok_merge *e = &m->merge[(s & ((1u << MERGE_BITS) - 1)) - 1];
            if (e->left == left && e->right == right)
                return &m->pair[i];
        }
    }
}

static uint32_t slot_of(uint32_t hash, size_t entry) { return (hash & ~0u << MERGE_BITS) | (uint32_t)entry; }

static clip_status resize_pairs(cliptok_merges *m, size_t pairs)
{
    uint32_t *fresh = calloc(pairs, sizeof *fresh);
    if (!fresh)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < m->n; i++) {
        uint32_t hash = hash_pair(m->merge[i].left, m->merge[i].right);
        size_t at = hash & (pairs - 1);
        while (fresh[at])
            at = (at + 1) & (pairs - 1);
        fresh[at] = slot_of(hash, i + 1);
    }
    free(m->pair);
    m->pair = fresh;
    m->pairs = pairs;
    return CLIP_OK;
}

clip_status cliptok_merges_init(cliptok_merges *m, size_t merges)
{
    *m = (cliptok_merges){.in_order = true};
    size_t pairs = 1024;
    while (pairs < 2 * merges && pairs < 2 * (size_t)CLIPTOK_MAX_MERGES)
        pairs *= 2;
    return resize_pairs(m, pairs);
}

void cliptok_merges_free(cliptok_merges *m)
{
    free(m->merge);
    free(m->pair);
    *m = (cliptok_merges){0};
}

clip_status cliptok_merges_add(cliptok_merges *m, int32_t left, int32_t right, int32_t result, const char **fault)
{
    if (m->n == CLIPTOK_MAX_MERGES) {
        *fault = "is one too many";
        return CLIP_EFORMAT;
    }
    if (2 * (m->n + 1) > m->pairs)
        TRY(resize_pairs(m, 2 * m->pairs));
    TRY(clipb_grow((void **)&m->merge, &m->capacity, m->n + 1, sizeof *m->merge));
    uint32_t hash = hash_pair(left, right), *slot = find_pair(m, left, right, hash);
    *fault = *slot ? "is there twice"
                   : "has the hash of too many others: the vocabulary is built to be slow, and is refused";
    if (*slot || ((size_t)(slot - m->pair) - hash) % m->pairs > MAX_PROBES)
        return CLIP_EFORMAT;
    *slot = slot_of(hash, m->n + 1);
    m->merge[m->n++] = (struct cliptok_merge){left, right, result};
    return CLIP_OK;
}

/* ---- A word ---------------------------------------------------------------------------------- */

/* The order of merges. OpenCLIP takes the pair with the lowest rank, merges it wherever it occurs,
 * from left to right, and looks again. Hugging Face merges one occurrence and looks again. If
 * merges are listed in the order in which they were learned (`in_order`), a new pair always ranks
 * after the pairs that are still to be merged. Then both orders give the same. */

static uint32_t rank_of(const cliptok_merges *m, int32_t left, int32_t right, int32_t *result)
{
    uint32_t rank = (*find_pair(m, left, right, hash_pair(left, right)) & ((1u << MERGE_BITS) - 1)) - 1;
    if (rank != NO_RANK)
        *result = m->merge[rank].result;
    return rank;
}

/* Merge id[0..n), n <= CLIPTOK_SHORT, in place. Returns how many are left. */
static int merge_short(const cliptok_merges *m, int32_t *id, int n)
{
    uint32_t rank[CLIPTOK_SHORT]; /* of the pair that begins here */
    int32_t result[CLIPTOK_SHORT];
    bool once = m->one_by_one && !m->in_order;
    for (int i = 0; i + 1 < n; i++)
        rank[i] = rank_of(m, id[i], id[i + 1], &result[i]);
    for (;;) {
        uint32_t best = NO_RANK;
        for (int i = 0; i + 1 < n; i++)
            best = rank[i] < best ? rank[i] : best;
        if (best == NO_RANK)
            return n;
        int w = 0;
        bool merged = false;  /* has this round done any merge? */
        bool changed = false; /* did a merge make the symbol before this one? */
        for (int i = 0; i < n; w++) {
            bool here = i + 1 < n && rank[i] == best && !(once && merged);
            id[w] = here ? result[i] : id[i];
            if (w > 0 && (here || changed))
                rank[w - 1] = rank_of(m, id[w - 1], id[w], &result[w - 1]);
            if (!here && i + 1 < n)
                rank[w] = rank[i], result[w] = result[i];
            i += here ? 2 : 1;
            merged = merged || here;
            changed = here;
        }
        n = w;
    }
}

/* The heap: the lowest rank is on top; of equal ranks, the leftmost. */
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

/* A long word: its symbols are a list, their pairs a heap. A key in the heap is out of date if its
 * symbol has another rank by now. */
typedef struct word {
    int32_t *id, *prev, *next; /* [n]; next is n at the end, prev -1 at the beginning */
    uint32_t *rank;            /* of the pair that begins here; NO_RANK: none, or the symbol is gone */
    int32_t n;
    heap heap;
    uint64_t *later; /* OpenCLIP's order: new pairs that rank before this round, kept for the next */
    size_t n_later;
} word;

static void new_pair(const cliptok_merges *m, word *w, int32_t i, uint32_t round)
{
    int32_t result;
    w->rank[i] = w->next[i] < w->n ? rank_of(m, w->id[i], w->id[w->next[i]], &result) : NO_RANK;
    uint64_t key = (uint64_t)w->rank[i] << 32 | (uint32_t)i;
    if (w->rank[i] == NO_RANK)
        return;
    if (w->rank[i] < round && !m->one_by_one)
        w->later[w->n_later++] = key;
    else
        push(&w->heap, key);
}

static void merge_long(const cliptok_merges *m, word *w)
{
    for (int32_t i = 0; i < w->n; i++) {
        int32_t result;
        w->prev[i] = i - 1;
        w->next[i] = i + 1;
        w->rank[i] = i + 1 < w->n ? rank_of(m, w->id[i], w->id[i + 1], &result) : NO_RANK;
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
            rank_of(m, w->id[i], w->id[gone], &w->id[i]);
            w->next[i] = after;
            w->rank[gone] = NO_RANK;
            if (after < w->n)
                w->prev[after] = i;
            new_pair(m, w, i, round);
            if (w->prev[i] >= 0)
                new_pair(m, w, w->prev[i], round);
        }
        while (w->n_later > 0)
            push(&w->heap, w->later[--w->n_later]);
    }
}

static clip_status merge_many(const cliptok_merges *m, int32_t *id, size_t *n)
{
    /* Each merge takes one symbol and one key away, and makes at most two keys. So there are never
     * more than 2n keys. */
    if (*n > INT32_MAX / 4)
        return CLIP_ENOMEM;
    bool later = !m->in_order && !m->one_by_one;
    size_t room = *n * (3 * sizeof(int32_t) + 2 * sizeof(uint64_t));
    uint64_t *memory = malloc(room + (later ? 2 * *n * sizeof(uint64_t) : 0));
    if (!memory)
        return CLIP_ENOMEM;
    uint64_t *behind = memory + 2 * *n;
    word w = {.id = id, .n = (int32_t)*n, .heap = {memory, 0}, .later = behind};
    w.prev = (int32_t *)(later ? behind + 2 * *n : behind);
    w.next = w.prev + *n;
    w.rank = (uint32_t *)(w.next + *n);
    merge_long(m, &w);
    size_t k = 0;
    for (int32_t i = 0; i < w.n; i = w.next[i])
        id[k++] = id[i];
    *n = k;
    free(memory);
    return CLIP_OK;
}

clip_status cliptok_merges_apply(const cliptok_merges *m, int32_t *id, size_t *n)
{
    if (*n > CLIPTOK_SHORT)
        return merge_many(m, id, n);
    if (*n > 1)
        *n = (size_t)merge_short(m, id, (int)*n);
    return CLIP_OK;
}
