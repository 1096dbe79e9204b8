/* Learning stays fast because a merge touches only the words of its pair, and only the counts of
 * pairs beside it. The distinct words are kept with their counts. Every pair knows how often it
 * occurs, and in which words it occurs or once did. A heap has the most frequent pair on top.
 *
 *     l o w e r</w>  x 5   merge (l, o):   (l,o)->0  (o,w)-=5  (lo,w)+=5   ->   lo w e r</w>
 *
 * A new pair contains the token that has just been made. So the count of a pair can only fall after
 * that, and an entry of the heap is right or too high. One that is too high when it comes to the
 * top is put back with its present count. */
#include "text/learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"
#include "text/vocab.h"

enum {
    MAX_WORD = 256,     /* bytes */
    MAX_TEXT = 1 << 16, /* bytes */
    BYTES = 512,        /* ids of bytes; what is above 255 ends a word */
    PHRASE = 16,        /* letters: a longer "word" is more likely a phrase without blanks */
};

typedef struct word {
    size_t at; /* in `symbol` */
    uint32_t n;
    uint32_t letters; /* UTF-8 characters */
    int64_t count;
    int64_t alone; /* of these, as the whole of a text */
} word;

typedef struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *word; /* where it is, or was */
    size_t n, capacity;
} pair;

typedef struct entry {
    int64_t count;
    uint32_t pair;
} entry;

/* Open addressing: what is in a slot is an index plus one; 0: empty. */
typedef struct table {
    uint32_t *slot;
    size_t size; /* a power of two, at most half full */
} table;

struct cliptok_learner {
    cliptok *bytes;
    unsigned char byte[256]; /* of ids 0 to 255 */
    int32_t *ids; /* [MAX_TEXT] of the text being added, and its words' bytes */
    unsigned char *text;
    word *word;
    size_t n_words, word_capacity;
    int32_t *symbol;
    size_t n_symbols, symbol_capacity;
    table words, pairs;
    pair *pair;
    size_t n_pairs, pair_capacity;
    entry *heap;
    size_t n_heap, heap_capacity;
    cliptok_learner_stats stats;
};

/* ---- Tables ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static uint64_t hash_word(const int32_t *id, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = mix(h, (uint64_t)id[i]);
    return h;
}

static uint64_t hash_pair(int32_t left, int32_t right) { return mix(mix(0, (uint64_t)left), (uint64_t)right); }

static uint64_t hash_of_word(const cliptok_learner *l, size_t i)
{
    return hash_word(l->symbol + l->word[i].at, l->word[i].n);
}

static uint64_t hash_of_pair(const cliptok_learner *l, size_t i)
{
    return hash_pair(l->pair[i].left, l->pair[i].right);
}

/* Room for one more than n. */
static clip_status table_reserve(table *t, size_t n, const cliptok_learner *l,
                                 uint64_t (*hash_of)(const cliptok_learner *, size_t))
{
    if (2 * (n + 1) <= t->size)
        return CLIP_OK;
    table bigger = {.size = t->size ? 2 * t->size : 1024};
    bigger.slot = calloc(bigger.size, sizeof *bigger.slot);
    if (!bigger.slot || n >= UINT32_MAX - 1) {
        free(bigger.slot);
        return CLIP_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        size_t s = hash_of(l, i) & (bigger.size - 1);
        while (bigger.slot[s])
            s = (s + 1) & (bigger.size - 1);
        bigger.slot[s] = (uint32_t)i + 1;
    }
    free(t->slot);
    *t = bigger;
    return CLIP_OK;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static uint32_t letters_of(const unsigned char *text, size_t n)
{
    uint32_t letters = 0;
    for (size_t i = 0; i < n; i++)
        letters += (text[i] & 0xC0) != 0x80;
    return letters;
}

/* Count a word or a piece of one. text [n]: its bytes. whole: its text has nothing else. */
static clip_status count_word(cliptok_learner *l, const int32_t *id, const unsigned char *text, size_t n, bool whole)
{
    if (n > MAX_WORD)
        return CLIP_OK;
    TRY(table_reserve(&l->words, l->n_words, l, hash_of_word));
    size_t s = hash_word(id, n) & (l->words.size - 1);
    for (; l->words.slot[s]; s = (s + 1) & (l->words.size - 1)) {
        word *w = &l->word[l->words.slot[s] - 1];
        if (w->n == n && memcmp(l->symbol + w->at, id, n * sizeof *id) == 0) {
            w->count++;
            w->alone += whole;
            return CLIP_OK;
        }
    }
    TRY(clipb_grow((void **)&l->word, &l->word_capacity, l->n_words + 1, sizeof *l->word));
    TRY(clipb_grow((void **)&l->symbol, &l->symbol_capacity, l->n_symbols + n, sizeof *l->symbol));
    memcpy(l->symbol + l->n_symbols, id, n * sizeof *id);
    l->word[l->n_words++] = (word){l->n_symbols, (uint32_t)n, letters_of(text, n), 1, whole};
    l->n_symbols += n;
    l->words.slot[s] = (uint32_t)l->n_words;
    return CLIP_OK;
}

clip_status cliptok_learner_new(cliptok_learner **out)
{
    cliptok_learner *l = *out = calloc(1, sizeof *l);
    if (!l)
        return CLIP_ENOMEM;
    cliptok_byte_order(l->byte);
    l->ids = malloc(MAX_TEXT * sizeof *l->ids);
    l->text = malloc(MAX_TEXT);
    clip_status s = l->ids && l->text ? cliptok_new_bytes(&cliptok_huggingface, &l->bytes) : CLIP_ENOMEM;
    if (s < 0) {
        cliptok_learner_free(l);
        *out = NULL;
    }
    return s;
}

/* A piece of a script without blanks counts twice, within a word and at its end, so that both
 * become tokens. Its place says little in such a script. */
static clip_status count_piece(cliptok_learner *l, int32_t *id, const unsigned char *text, size_t n, bool unspaced,
                               bool whole)
{
    TRY(count_word(l, id, text, n, whole));
    if (!unspaced)
        return CLIP_OK;
    id[n - 1] = (id[n - 1] + BYTES / 2) % BYTES; /* with the end of a word, or without */
    return count_word(l, id, text, n, false);
}

/* Count a word in the pieces that merges are learned from. It is cut around every Chinese character
 * and kana, and where letters of Thai and its neighbours begin or end. There a "word" is a whole
 * phrase, whose parts occur in other phrases. */
static clip_status count_pieces(cliptok_learner *l, int32_t *id, size_t n, bool whole)
{
    unsigned char *text = l->text;
    for (size_t i = 0; i < n; i++)
        text[i] = l->byte[id[i] % (BYTES / 2)];
    const unsigned char *at = text, *end = text + n, *piece = text;
    int last = 0;
    for (int most; at < end; last = most) {
        const unsigned char *from = at;
        most = cliptok_unspaced(cliptok_utf8_next(&at, end));
        if (from > piece && (most == 1 || most != last)) {
            TRY(count_piece(l, id + (piece - text), piece, (size_t)(from - piece), last > 0, false));
            piece = from;
        }
    }
    return count_piece(l, id + (piece - text), piece, (size_t)(end - piece), last > 0, whole && piece == text);
}

clip_status cliptok_learner_add(cliptok_learner *l, const char *text, size_t n)
{
    int n_ids;
    TRY(cliptok_encode(l->bytes, text, n, l->ids, MAX_TEXT, &n_ids));
    int32_t *id = l->ids + 1, *end = l->ids + n_ids - 1, *first = id; /* without start and end */
    for (int32_t *p = id; p < end; p++)
        if (*p >= BYTES / 2) {
            TRY(count_pieces(l, id, (size_t)(p + 1 - id), id == first && p + 1 == end));
            l->stats.words++;
            id = p + 1;
        }
    l->stats.texts++;
    l->stats.distinct = (int64_t)l->n_words;
    return CLIP_OK;
}

cliptok_learner_stats cliptok_learner_count(const cliptok_learner *l) { return l->stats; }

void cliptok_learner_free(cliptok_learner *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_pairs; i++)
        free(l->pair[i].word);
    cliptok_free(l->bytes);
    free(l->ids);
    free(l->text);
    free(l->word);
    free(l->symbol);
    free(l->words.slot);
    free(l->pairs.slot);
    free(l->pair);
    free(l->heap);
    free(l);
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

/* The pair occurs `count` times more, or fewer, in word w. */
static clip_status count_pair(cliptok_learner *l, int32_t left, int32_t right, int64_t count, uint32_t w)
{
    TRY(table_reserve(&l->pairs, l->n_pairs, l, hash_of_pair));
    size_t s = hash_pair(left, right) & (l->pairs.size - 1);
    pair *p = NULL;
    for (; !p && l->pairs.slot[s]; s = (s + 1) & (l->pairs.size - 1)) {
        pair *q = &l->pair[l->pairs.slot[s] - 1];
        if (q->left == left && q->right == right)
            p = q;
    }
    if (!p) {
        TRY(clipb_grow((void **)&l->pair, &l->pair_capacity, l->n_pairs + 1, sizeof *l->pair));
        p = &l->pair[l->n_pairs++];
        *p = (pair){.left = left, .right = right};
        l->pairs.slot[s] = (uint32_t)l->n_pairs;
    }
    p->count += count;
    if (count > 0 && (p->n == 0 || p->word[p->n - 1] != w)) {
        TRY(clipb_grow((void **)&p->word, &p->capacity, p->n + 1, sizeof *p->word));
        p->word[p->n++] = w;
    }
    return CLIP_OK;
}

/* Join left and right in word i, wherever they are neighbours, from left to right. */
static clip_status merge_word(cliptok_learner *l, uint32_t i, int32_t left, int32_t right, int32_t joint)
{
    word *w = &l->word[i];
    int32_t *id = l->symbol + w->at;
    uint32_t n = 0;
    for (uint32_t r = 0; r < w->n; n++) {
        if (r + 1 == w->n || id[r] != left || id[r + 1] != right) {
            id[n] = id[r++];
            continue;
        }
        if (n > 0) {
            TRY(count_pair(l, id[n - 1], left, -w->count, i));
            TRY(count_pair(l, id[n - 1], joint, w->count, i));
        }
        r += 2;
        if (r < w->n) {
            TRY(count_pair(l, right, id[r], -w->count, i));
            TRY(count_pair(l, joint, id[r], w->count, i));
        }
        id[n] = joint;
    }
    w->n = n;
    return CLIP_OK;
}

/* ---- The heap -------------------------------------------------------------------------------- */

static bool above(const cliptok_learner *l, entry a, entry b)
{
    const pair *p = &l->pair[a.pair], *q = &l->pair[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void sift_down(cliptok_learner *l, size_t i)
{
    const entry e = l->heap[i];
    for (size_t child; (child = 2 * i + 1) < l->n_heap; i = child) {
        child += child + 1 < l->n_heap && above(l, l->heap[child + 1], l->heap[child]);
        if (!above(l, l->heap[child], e))
            break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = e;
}

/* Pairs from `first` on are new. */
static clip_status push_pairs(cliptok_learner *l, size_t first)
{
    TRY(clipb_grow((void **)&l->heap, &l->heap_capacity, l->n_heap + l->n_pairs - first + 1, sizeof *l->heap));
    for (size_t i = first; i < l->n_pairs; i++) {
        const entry e = {l->pair[i].count, (uint32_t)i};
        if (e.count < 2)
            continue;
        size_t at = l->n_heap++;
        for (; at > 0 && above(l, e, l->heap[(at - 1) / 2]); at = (at - 1) / 2)
            l->heap[at] = l->heap[(at - 1) / 2];
        l->heap[at] = e;
    }
    return CLIP_OK;
}

/* The most frequent pair leaves the heap; NULL: none occurs twice. */
static pair *pop(cliptok_learner *l)
{
    while (l->n_heap > 0) {
        const entry top = l->heap[0];
        pair *p = &l->pair[top.pair];
        if (p->count == top.count || p->count < 2)
            l->heap[0] = l->heap[--l->n_heap];
        else
            l->heap[0].count = p->count;
        if (l->n_heap > 0)
            sift_down(l, 0);
        if (p->count == top.count)
            return p;
    }
    return NULL;
}

/* ---- Learning -------------------------------------------------------------------------------- */

/* Would the token of this pair have more letters than its script allows? */
static bool too_long(const pair *p, const cliptok_bpe *b)
{
    unsigned char text[2 * MAX_WORD];
    const unsigned char *left, *right, *at = text;
    const size_t n = cliptok_bpe_bytes(b, p->left, &left), m = cliptok_bpe_bytes(b, p->right, &right);
    memcpy(text, left, n);
    memcpy(text + n, right, m);
    for (int letters = 0; at < text + n + m;) {
        const int most = cliptok_unspaced(cliptok_utf8_next(&at, text + n + m));
        if (most > 0 && ++letters > most)
            return true;
    }
    return false;
}

/* Give the pair's merge the next id, and rewrite its words. A pair whose text is a token already,
 * by another pair, is passed over. So every token has one merge, and ids and ranks go together. */
static clip_status learn_pair(cliptok_learner *l, pair *p, cliptok_bpe *b)
{
    char text[2 * CLIPTOK_TEXT], right[CLIPTOK_TEXT];
    if (too_long(p, b))
        return CLIP_OK;
    const size_t n = cliptok_bpe_text(b, p->left, text), m = cliptok_bpe_text(b, p->right, right);
    memcpy(text + n, right, m);
    const int32_t joint = (int32_t)b->n_tokens;
    if (cliptok_bpe_find(b, text, n + m) >= 0)
        return CLIP_OK;
    TRY(cliptok_bpe_merge(b, text, n, right, m, joint, NULL, NULL));
    const size_t first = l->n_pairs;
    /* The array may move. The list of words stays: new pairs all contain `joint`, so that nothing
     * is added to this one. */
    const pair was = *p;
    for (size_t i = 0; i < was.n; i++)
        TRY(merge_word(l, was.word[i], was.left, was.right, joint));
    return push_pairs(l, first);
}

static clip_status learn(cliptok_learner *l, size_t merges, cliptok_bpe *b)
{
    for (size_t i = 0; i < l->n_words; i++)
        for (uint32_t j = 0; j + 1 < l->word[i].n; j++) {
            const int32_t *id = l->symbol + l->word[i].at + j;
            TRY(count_pair(l, id[0], id[1], l->word[i].count, (uint32_t)i));
        }
    TRY(push_pairs(l, 0));
    for (pair *p; b->merges.n < merges && (p = pop(l)) != NULL;)
        TRY(learn_pair(l, p, b));
    return CLIP_OK;
}

clip_status cliptok_learner_finish(cliptok_learner *l, int vocab_size, cliptok_bpe *out)
{
    *out = (cliptok_bpe){0};
    if (vocab_size < CLIPTOK_LEAST_VOCAB || vocab_size > CLIPTOK_MAX_TOKENS)
        return CLIP_EINVAL;
    const size_t merges = (size_t)(vocab_size - CLIPTOK_LEAST_VOCAB);
    TRY(cliptok_bpe_init(out, (size_t)vocab_size, merges));
    TRY(cliptok_add_bytes(out));
    TRY(learn(l, merges, out));
    for (size_t i = 0; i < l->n_words; i++)
        if (l->word[i].n == 1 && l->word[i].letters >= PHRASE)
            l->stats.by_heart += l->word[i].alone;
    const int32_t start = (int32_t)out->n_tokens;
    TRY(cliptok_bpe_add(out, CLIPTOK_START, strlen(CLIPTOK_START), start, NULL, NULL));
    return cliptok_bpe_add(out, CLIPTOK_END, strlen(CLIPTOK_END), start + 1, NULL, NULL);
}
