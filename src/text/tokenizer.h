/* tokenizer.h: from a text to the ids of its tokens. Any number of threads may use a tokenizer.
 *
 * Two programs define what checkpoints of CLIP were trained on: OpenCLIP's SimpleTokenizer and
 * transformers' CLIPTokenizer. Both are byte-pair encodings (Sennrich et al. 2016,
 * arXiv:1508.07909; openai/CLIP, simple_tokenizer.py):
 *
 *     text -> clean -> words (a regular expression) -> bytes -> merges by rank -> ids
 *
 * They differ in small things. A tokenizer here follows one of them, and gives the same ids.
 *
 *                     OpenCLIP 3.3                           transformers 5
 *     clean           each line: ftfy.fix_text (mojibake,    NFC, spaces to one, lower case of
 *                     curly quotes, ligatures, width,        each character
 *                     controls, NFC), html.unescape twice,
 *                     str.lower
 *     written-out     <start_of_text>, <end_of_text>         <|startoftext|>, <|endoftext|> and
 *     special tokens  in any case, where a word could        the tokens that the checkpoint adds,
 *                     begin                                  anywhere, spelled exactly
 *     words           's 't 're 've 'm 'll 'd, letters, one digit, other characters: both the same
 *     unknown byte    cannot be                              <|endoftext|>
 *
 * The answers depend on the programs' versions of Unicode. Ours follow Python 3.11, regex 2026.11
 * and tokenizers 0.23 (src/text/unicode.inc). tools/parity_tokens.py compares with both programs.
 * Known differences:
 * - For Python 3.11, a capital sigma beside a mark that is new in Unicode 15 is never final.
 * - Text that is escaped as HTML more than 32 times over is not unescaped to the end.
 * - A reference such as &#000...; of more than 4,300 digits is an exception in Python. */
#ifndef CLIPTOK_TOKENIZER_H
#define CLIPTOK_TOKENIZER_H

#include "base/status.h"

/* How a program turns text into words and these into tokens (rules.h). */
typedef struct cliptok_rules cliptok_rules;
extern const cliptok_rules cliptok_openclip;    /* open_clip.SimpleTokenizer, clean="lower" */
extern const cliptok_rules cliptok_openclip_hf; /* open_clip.HFTokenizer, clean="whitespace" */
extern const cliptok_rules cliptok_huggingface; /* transformers.CLIPTokenizer, or the class the files name */
extern const cliptok_rules cliptok_openclip_clipa;     /* open_clip.HFTokenizer, strip_sep_token */
extern const cliptok_rules cliptok_openclip_canonical; /* open_clip.HFTokenizer, clean="canonicalize" */
extern const cliptok_rules cliptok_siglip;             /* transformers.SiglipTokenizer: the first SigLIP */
extern const cliptok_rules cliptok_siglip2;            /* transformers.Siglip2Tokenizer */

typedef struct cliptok cliptok;

/* A kind of tokenizer. Its struct begins with a cliptok. A whole text is one call. */
typedef struct cliptok_class {
    /* As cliptok_load(). CLIP_OK with *out = NULL: `dir` has no file of this kind, and the next
     * class is asked. */
    clip_status (*load)(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err);
    /* As cliptok_encode(); the caller has checked `capacity` and set *n to 0. */
    clip_status (*encode)(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n);
    int32_t (*inner_id)(const cliptok *t, int32_t id); /* as cliptok_inner_id(); NULL: every id is its own */
    void (*free)(cliptok *t);
    int32_t (*find)(const cliptok *t, const char *text); /* as cliptok_find(); NULL: it finds nothing */
} cliptok_class;

extern const cliptok_class cliptok_byte_pair, cliptok_sentence_piece, cliptok_word_piece;

struct cliptok {
    const cliptok_class *class;
    const cliptok_rules *rules;
    int32_t start, end, pad;
    int vocab_size; /* largest id + 1 */
    char source[96];
    char language[16]; /* as cliptok_language() */
};

/* cliptok_load(): load the tokenizer of a directory from the first of these that is there:
 *     tokenizer.json                           of any kind
 *     spiece.model, sentencepiece.bpe.model, tokenizer.model      SentencePiece (sentence.h)
 *     vocab.txt                                                   WordPiece (word_piece.c)
 *     vocab.json + merges.txt, bpe_simple_vocab_16e6.txt.gz       CLIP (vocab.h)
 * By Hugging Face's rules, tokenizer_config.json, special_tokens_map.json and added_tokens.json are
 * read as well. By OpenCLIP's SimpleTokenizer, only CLIP's files count.
 * rules  in   the program whose cleaning and splitting to follow
 * out    out  free with cliptok_free(); NULL with CLIP_OK where the directory has none of the files
 * Errors: CLIP_EIO, CLIP_EFORMAT (names the file and the entry), CLIP_EUNSUPPORTED (a step or a
 * setting that is not known), CLIP_ELIMIT (CLIP: 64 MB a file; others: 128 MB; 2^20 tokens),
 * CLIP_ENOMEM. */
clip_status cliptok_load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err);
void cliptok_free(cliptok *t);

/* cliptok_new_bytes(): a tokenizer without merges, from which merges are learned. A word becomes
 * its bytes: ids 0 to 255, and 256 to 511 for its last byte (cliptok_add_bytes()). Start and end
 * are 512 and 513.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_new_bytes(const cliptok_rules *rules, cliptok **out);

int cliptok_vocab_size(const cliptok *t); /* largest id + 1 */

/* cliptok_start_id(), cliptok_end_id(): the token before a text, and behind it.
 * @return: -1: there is none (T5, SigLIP and Gemma have no start) */
int cliptok_start_id(const cliptok *t);
int cliptok_end_id(const cliptok *t);

/* cliptok_pad_id(): the id that fills the context behind a text. Hugging Face: pad_token, by
 * default the end token. OpenCLIP: 0, which is also the id of "!". */
int cliptok_pad_id(const cliptok *t);

/* cliptok_follows(): the rules that the tokenizer was loaded with. */
const cliptok_rules *cliptok_follows(const cliptok *t);

/* cliptok_is_byte_pair(): whether it is CLIP's byte-pair encoding. */
bool cliptok_is_byte_pair(const cliptok *t);

/* cliptok_inner_id(): the token with the same spelling within a word, for a token that ends a word
 * and has only characters of scripts without blanks. For any other token: `id`. */
int32_t cliptok_inner_id(const cliptok *t, int32_t id);

/* cliptok_find(): the id of a special token or a piece that is written like this, such as
 * "deu_Latn".
 * @return: -1: there is none */
int32_t cliptok_find(const cliptok *t, const char *text);

/* cliptok_language(): the language whose token begins a text (NLLB), "eng_Latn". The caller may put
 * another one in place of the first id. "": texts have no language. */
const char *cliptok_language(const cliptok *t);

const char *cliptok_source(const cliptok *t); /* as "vocab.json + merges.txt, OpenCLIP's rules" */

/* cliptok_encode(): the start token, the text's tokens, the end token, as far as there is a start
 * and an end. No padding. Reads the text only as far as there is room for ids.
 * text      in   `size` bytes of UTF-8. Invalid sequences are read as U+FFFD. A byte 0 is a
 *                character like others.
 * ids       out  room for `capacity` ids. A longer text is cut; the last id is then the end token,
 *                if
 *                there is one.
 * n         out  number of ids; 0 on error
 * Errors: CLIP_EINVAL (capacity < 2), CLIP_ENOMEM. Time is linear in the text, and n log n in the
 * length of a word. Temporary memory: - none for ASCII without references and controls; - else, by
 * OpenCLIP's rules, up to 40 bytes for each character of the longest line; - else, by Hugging
 * Face's rules, up to 40 bytes for each character of the longest run between
 *   spaces;
 * - and 32 bytes for each byte of a word that is longer than 64 bytes; - tokenizers other than
 * CLIP's: some copies of the beginning that is read, 8 KB or up to four times
 *   what the ids need, and 16 or 44 bytes for each byte of its longest word. */
clip_status cliptok_encode(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n);

#endif
