/* bpe.h: byte-pair encoding of one word: its bytes, joined two by two, the earliest learned merge
 * first.
 *
 *     "cats"  ->  c a t s</w>  ->  c at s</w>  ->  cat s</w>  ->  ids of "cat" and "s</w>"
 *
 * The last byte carries the end of the word: "s</w>" and "s" are two tokens. In files a token is
 * written with one character a byte, GPT-2's: printable Latin-1 characters stand for themselves,
 * the other bytes for U+0100 to U+0143 in their order.
 *
 *     space  "Ġ" U+0120          byte E2  "â"          byte 80  "Ģ" U+0122
 *
 * Filled once, then read by any number of threads. The only thing that changes afterwards is what
 * is known about tokens that are whole words, one atomic byte a token. */
#ifndef CLIPTOK_BPE_H
#define CLIPTOK_BPE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "text/tokenizer.h"

enum {
    CLIPTOK_MAX_TOKENS = 1 << 20, /* ids, and ranks of merges, are below this */
    CLIPTOK_MAX_BYTES = 1024,     /* of a token; the longest of CLIP's has 54 */
    CLIPTOK_TEXT = 2 * CLIPTOK_MAX_BYTES + sizeof "</w>",
};

/* What has been encoded so far: id[0..n), never more than `capacity`. */
typedef struct cliptok_ids {
    int32_t *id;
    int n, capacity;
} cliptok_ids;

static inline bool cliptok_full(const cliptok_ids *out) { return out->n == out->capacity; }
static inline void cliptok_put_id(cliptok_ids *out, int32_t id)
{
    if (out->n < out->capacity)
        out->id[out->n++] = id;
}

/* Tokens of other characters than GPT-2's are FOREIGN: no word contains them, but they can be
 * special. */
enum { CLIPTOK_INNER, CLIPTOK_LAST, CLIPTOK_FOREIGN };

typedef struct cliptok_bpe {
    uint32_t *token;     /* [n_tokens]: where in `pool` the token of this id is; 0: there is none */
    size_t n_tokens, token_capacity;
    unsigned char *pool; /* a record a token: struct cliptok_token and its bytes */
    size_t n_pool, pool_capacity;
    uint32_t *slot;      /* hash table of tokens: [slots], a power of two, at most half full; see bpe.c */
    size_t slots, used_slots;
    struct cliptok_merge *merge; /* [n_merges], by rank */
    size_t n_merges, merge_capacity;
    uint32_t *pair;      /* hash table of merges, likewise: [pairs] */
    size_t pairs;
    int32_t last_result;  /* of the merge added last: in most files the next one's is the next id */
    atomic_uchar *whole;  /* [n_tokens] of a token that ends a word: is it also what the word of these letters becomes? */
    int32_t byte[2][256]; /* ids of the bytes within a word, and at its end */
    bool in_order;        /* every merge comes after those that make its parts */
    bool one_by_one;      /* if not: Hugging Face's order, else OpenCLIP's; see bpe.c */
} cliptok_bpe;

/* cliptok_bpe_init(): make room for about so many tokens and merges. CLIP_ENOMEM; in any case free
 * with cliptok_bpe_free(). */
clip_status cliptok_bpe_init(cliptok_bpe *b, size_t tokens, size_t merges);
void cliptok_bpe_free(cliptok_bpe *b);

/* cliptok_bpe_add(): token `text`, as files write it, gets `id`. CLIP_EFORMAT: too long, or the
 * text or the id is taken. */
clip_status cliptok_bpe_add(cliptok_bpe *b, const char *text, size_t n, int32_t id, const char *file, clip_error *err);

/* cliptok_bpe_add_byte(): the same for the token of a single byte. */
clip_status cliptok_bpe_add_byte(cliptok_bpe *b, int byte, bool last, int32_t id);

/* cliptok_bpe_merge(): add a merge of two tokens, each next one ranking after the last.
 * result  in   id that their joint text gets now; -1: it has one
 * CLIP_EFORMAT: one of the three is no token, or the pair has a merge. */
clip_status cliptok_bpe_merge(cliptok_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right,
                              int32_t result, const char *file, clip_error *err);

/* cliptok_bpe_finish(): all is added. A byte without a token becomes `unknown`; -1: such a byte is
 * CLIP_EFORMAT. */
clip_status cliptok_bpe_finish(cliptok_bpe *b, bool one_by_one, int32_t unknown, const char *file, clip_error *err);

/* cliptok_bpe_text(): how files write the token of this id.
 * text  out  [CLIPTOK_TEXT], with a 0 after it
 * Returns its length; 0: there is none. */
size_t cliptok_bpe_text(const cliptok_bpe *b, int32_t id, char *text);

/* cliptok_bpe_parts(): the ids that the merge of this rank joins. */
void cliptok_bpe_parts(const cliptok_bpe *b, size_t rank, int32_t *left, int32_t *right);

/* cliptok_bpe_find(): id of the token that files write like this; -1: none. */
int32_t cliptok_bpe_find(const cliptok_bpe *b, const char *text, size_t n);

/* cliptok_bpe_bytes(): what a token stands for, n bytes; valid until the next token is added. */
size_t cliptok_bpe_bytes(const cliptok_bpe *b, int32_t id, const unsigned char **bytes);

/* cliptok_bpe_inner(): of a token that ends a word and has only characters of scripts without
 * blanks (cliptok_unspaced()): the id of the same characters within a word. Of any other, and where
 * there is none: `id`. */
int32_t cliptok_bpe_inner(const cliptok_bpe *b, int32_t id);

/* cliptok_bpe_word(): append the ids of word[0..n), n > 0, as far as there is room. Memory: none
 * for words of up to 64 bytes, 32 bytes a byte beyond (48 if merges are not in_order). Time: n log
 * n. CLIP_ENOMEM. */
clip_status cliptok_bpe_word(const cliptok_bpe *b, const unsigned char *word, size_t n, cliptok_ids *out);

#endif
