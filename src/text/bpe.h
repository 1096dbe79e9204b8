/* bpe.h: byte-pair encoding of one word. Its bytes are joined two by two, in the order in which the
 * merges were learned.
 *
 *     "cats"  ->  c a t s</w>  ->  c at s</w>  ->  cat s</w>  ->  ids of "cat" and "s</w>"
 *
 * The last byte carries the end of the word: "s</w>" and "s" are two tokens. In files a token is
 * written with one character for each byte, as GPT-2 does. Printable Latin-1 characters stand for
 * themselves, U+0100 to U+0143 for the other bytes in their order.
 *
 *     space  "Ġ" U+0120          byte E2  "â"          byte 80  "Ģ" U+0122
 *
 * A cliptok_bpe is filled once. Then any number of threads may read it. Afterwards only the notes
 * about whole words change, one atomic byte for each token. */
#ifndef CLIPTOK_BPE_H
#define CLIPTOK_BPE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "text/merges.h"
#include "text/tokenizer.h"

enum {
    CLIPTOK_MAX_TOKENS = 1 << 20, /* ids, and ranks of merges, are below this */
    CLIPTOK_MAX_BYTES = 1024,     /* in a token; CLIP's longest token has 54 */
    CLIPTOK_TEXT = 2 * CLIPTOK_MAX_BYTES + sizeof "</w>",
};

/* The ids that have been encoded so far: id[0..n), at most `capacity`. */
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

/* A token stands within a word or at its end. FOREIGN: it has characters that GPT-2 does not use;
 * no word contains it, but it can be a special token. */
enum { CLIPTOK_INNER, CLIPTOK_LAST, CLIPTOK_FOREIGN };

typedef struct cliptok_bpe {
    uint32_t *token;     /* [n_tokens]: place in `pool` of the token with this id; 0: there is none */
    size_t n_tokens, token_capacity;
    unsigned char *pool; /* one record for each token: struct cliptok_token and its bytes */
    size_t n_pool, pool_capacity;
    uint32_t *slot;      /* hash table of tokens: [slots], a power of two, at most half full (bpe.c) */
    size_t slots, used_slots;
    cliptok_merges merges;
    int32_t last_result; /* id that the last merge made; in most files the next merge makes the next id */
    /* [n_tokens], for a token that ends a word: do the merges turn the word of these letters into
     * this token? Found out when the word is first seen. */
    atomic_uchar *whole;
    int32_t byte[2][256]; /* ids of the bytes within a word, and at its end */
} cliptok_bpe;

/* cliptok_bpe_init(): make room for about this many tokens and merges. Free with
 * cliptok_bpe_free(), also after an error.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_bpe_init(cliptok_bpe *b, size_t tokens, size_t merges);
void cliptok_bpe_free(cliptok_bpe *b);

/* cliptok_bpe_add(): give `id` to the token that files write as text[0..n).
 * file  in   for messages
 * Errors: CLIP_EFORMAT (the text is too long, or the text or the id is taken), CLIP_ENOMEM. */
clip_status cliptok_bpe_add(cliptok_bpe *b, const char *text, size_t n, int32_t id, const char *file, clip_error *err);

/* cliptok_bpe_add_byte(): the same for the token of a single byte, within a word or as its last. */
clip_status cliptok_bpe_add_byte(cliptok_bpe *b, int byte, bool last, int32_t id);

/* cliptok_bpe_merge(): add a merge of two tokens. It ranks after all merges before it.
 * result  in   id for the joint text, which is a new token; -1: the joint text is a token already
 * Errors: CLIP_EFORMAT (one of the three is not a token, or the pair has a merge), CLIP_ENOMEM. */
clip_status cliptok_bpe_merge(cliptok_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right,
                              int32_t result, const char *file, clip_error *err);

/* cliptok_bpe_finish(): call this when all tokens and merges are there.
 * one_by_one  in   Hugging Face's order of merges, else OpenCLIP's
 * unknown     in   id of bytes that have no token; -1: such a byte is CLIP_EFORMAT
 * Errors: CLIP_EFORMAT, CLIP_ENOMEM. */
clip_status cliptok_bpe_finish(cliptok_bpe *b, bool one_by_one, int32_t unknown, const char *file, clip_error *err);

/* cliptok_bpe_text(): the token of this id, as files write it.
 * text  out  [CLIPTOK_TEXT], ended by 0
 * @return: its length; 0: there is no such token */
size_t cliptok_bpe_text(const cliptok_bpe *b, int32_t id, char *text);

/* cliptok_bpe_parts(): the ids that the merge of this rank joins. */
void cliptok_bpe_parts(const cliptok_bpe *b, size_t rank, int32_t *left, int32_t *right);

/* cliptok_bpe_find(): the id of the token that files write as text[0..n).
 * @return: -1: there is none */
int32_t cliptok_bpe_find(const cliptok_bpe *b, const char *text, size_t n);

/* cliptok_bpe_bytes(): the bytes that a token stands for. They are valid until the next token is
 * added.
 * @return: how many */
size_t cliptok_bpe_bytes(const cliptok_bpe *b, int32_t id, const unsigned char **bytes);

/* cliptok_bpe_inner(): as cliptok_inner_id(). */
int32_t cliptok_bpe_inner(const cliptok_bpe *b, int32_t id);

/* cliptok_bpe_word(): append the ids of word[0..n), n > 0, as far as there is room. Time: n log n.
 * Memory: none for words of up to 64 bytes; for longer ones 32 bytes for each byte, or 48 where the
 * merges are not in_order.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_bpe_word(const cliptok_bpe *b, const unsigned char *word, size_t n, cliptok_ids *out);

#endif
