/* tokenizer.h: CLIP's byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909, on bytes as GPT-2 does; openai/CLIP simple_tokenizer.py).
 *
 *     text -> clean -> words (a regular expression) -> bytes -> merges by rank -> ids
 *
 * Two programs define what a checkpoint was trained on, and they differ in small things: OpenCLIP's SimpleTokenizer and
 * transformers' CLIPTokenizer. A tokenizer here follows one of them, id for id. Immutable after loading; any number of threads. */
#ifndef CLIPTOK_TOKENIZER_H
#define CLIPTOK_TOKENIZER_H

#include "base/status.h"

typedef enum cliptok_rules {
    CLIPTOK_OPENCLIP,    /* open_clip.SimpleTokenizer, clean="lower" */
    CLIPTOK_HUGGINGFACE, /* transformers.CLIPTokenizer */
} cliptok_rules;

typedef struct cliptok cliptok;

/* cliptok_load(): find a tokenizer in `dir`: tokenizer.json, vocab.json + merges.txt, or bpe_simple_vocab_16e6.txt.gz.
 * rules  in   whose text cleaning and splitting to follow
 * out    out  free with cliptok_free(); NULL with CLIP_OK where the directory has none of these files
 * Errors: CLIP_EIO, CLIP_EFORMAT (names the file and the entry), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_load(const char *dir, cliptok_rules rules, cliptok **out, clip_error *err);
void cliptok_free(cliptok *t);

int cliptok_vocab_size(const cliptok *t); /* largest id + 1 */
int cliptok_start_id(const cliptok *t);
int cliptok_end_id(const cliptok *t);
const char *cliptok_source(const cliptok *t); /* "vocab.json + merges.txt, OpenCLIP's rules" */

/* cliptok_encode(): start token, the text's tokens, end token; no padding.
 * text      in   `size` bytes, UTF-8; invalid sequences are read as U+FFFD, a byte 0 is a character like others
 * ids       out  room for `capacity` ids (>= 2): a longer text is cut there, its last id being the end token
 * n         out  how many
 * Errors: CLIP_ENOMEM. Temporary memory is bounded by the capacity and the longest word, not by the text. */
clip_status cliptok_encode(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n);

#endif
