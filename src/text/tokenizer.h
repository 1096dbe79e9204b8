/* tokenizer.h: CLIP's byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909, on bytes as GPT-2
 * does; openai/CLIP, simple_tokenizer.py).
 *
 *     text -> clean -> words (a regular expression) -> bytes -> merges by rank -> ids
 *
 * Two programs define what a checkpoint was trained on, and they differ in small things: OpenCLIP's
 * SimpleTokenizer and transformers' CLIPTokenizer. A tokenizer here follows one of them, id for id.
 * Immutable after loading; any number of threads.
 *
 *                     OpenCLIP 3.3                                 transformers 5
 *     clean           ftfy.fix_text a line: mojibake, curly        NFC, spaces to one, lower case of
 *                     quotes, ligatures, width, controls, NFC;     each character
 *                     html.unescape twice; str.lower
 *     written-out     <start_of_text>, <end_of_text>               <|startoftext|>, <|endoftext|> and what the
 *     special tokens  in any case, where a word could begin        checkpoint adds, anywhere, as it is written
 *     words           's 't 're 've 'm 'll 'd, letters, one digit, other characters: the same for both
 *     unknown byte    cannot be                                    <|endoftext|>
 *
 * tools/parity_tokens.py compares with both. What Unicode is depends on their versions; ours
 * follows Python 3.11, regex 2026.11 and tokenizers 0.23 (src/text/unicode.inc). Known differences:
 * a capital sigma beside a mark that is new in Unicode 15 is never final for Python 3.11; text
 * escaped as HTML more than 32 times over is not unescaped to the end; a reference like &#000...;
 * of more than 4,300 digits is an exception in Python. */
#ifndef CLIPTOK_TOKENIZER_H
#define CLIPTOK_TOKENIZER_H

#include "base/status.h"

/* How a program turns text into words and these into tokens (rules.h). */
typedef struct cliptok_rules cliptok_rules;
extern const cliptok_rules cliptok_openclip;    /* open_clip.SimpleTokenizer, clean="lower" */
extern const cliptok_rules cliptok_huggingface; /* transformers.CLIPTokenizer */

typedef struct cliptok cliptok;

/* A kind of tokenizer. Its struct begins with a cliptok; a text is one call. */
typedef struct cliptok_class {
    /* As cliptok_load(). CLIP_OK and *out = NULL: `dir` has none of its files, and the next class
     * is asked. */
    clip_status (*load)(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err);
    /* As cliptok_encode(); the caller has checked `capacity` and set *n to 0. */
    clip_status (*encode)(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n);
    int32_t (*inner_id)(const cliptok *t, int32_t id); /* as cliptok_inner_id(); NULL: every id is its own */
    void (*free)(cliptok *t);
} cliptok_class;

extern const cliptok_class cliptok_byte_pair;

struct cliptok {
    const cliptok_class *class;
    const cliptok_rules *rules;
    int32_t start, end, pad;
    int vocab_size; /* largest id + 1 */
    char source[96];
};

/* cliptok_load(): find a tokenizer in `dir`: tokenizer.json, vocab.json + merges.txt, or
 * bpe_simple_vocab_16e6.txt.gz, the first that is there. By Hugging Face's rules also
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json count.
 * rules  in   whose text cleaning and splitting to follow
 * out    out  free with cliptok_free(); NULL with CLIP_OK where the directory has none of these
 *             files
 * Errors: CLIP_EIO, CLIP_EFORMAT (names the file and the entry), CLIP_EUNSUPPORTED (a
 * tokenizer.json that is not CLIP's kind), CLIP_ELIMIT (64 MB a file, 2^20 tokens), CLIP_ENOMEM. */
clip_status cliptok_load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err);
void cliptok_free(cliptok *t);

/* cliptok_new_bytes(): a tokenizer without merges: the ids of a word are those of its bytes, 0 to
 * 255, and of its last byte, 256 to 511 (cliptok_add_bytes()); start and end are 512 and 513. What
 * learning merges begins with. CLIP_ENOMEM. */
clip_status cliptok_new_bytes(const cliptok_rules *rules, cliptok **out);

int cliptok_vocab_size(const cliptok *t); /* largest id + 1 */
int cliptok_start_id(const cliptok *t);
int cliptok_end_id(const cliptok *t);
int cliptok_pad_id(const cliptok *t); /* what fills the context behind a text: pad_token, by default the end token; OpenCLIP has 0, which is "!" */
const cliptok_rules *cliptok_follows(const cliptok *t);
int32_t cliptok_inner_id(const cliptok *t, int32_t id); /* cliptok_bpe_inner() of bpe.h */
const char *cliptok_source(const cliptok *t); /* "vocab.json + merges.txt, OpenCLIP's rules" */

/* cliptok_encode(): start token, the text's tokens, end token; no padding.
 * text      in   `size` bytes, UTF-8; invalid sequences are read as U+FFFD, a byte 0 is a character
 *                like others
 * ids       out  room for `capacity` ids: a longer text is cut there, its last id being the end
 *                token
 * n         out  how many; 0 on error
 * Errors: CLIP_EINVAL (capacity < 2), CLIP_ENOMEM. Reads no further than there is room. Temporary
 * memory: none for ASCII without references and controls, else by OpenCLIP's rules up to 40 bytes a
 * character of the longest line, by Hugging Face's of the longest run between spaces; and 32 bytes
 * a byte of a word longer than 64. Time is linear but for that. */
clip_status cliptok_encode(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n);

#endif
