/* vocab.h: read the files that hold a vocabulary and its merges. They come from outside. Sizes are
 * bounded, ids in range, text is UTF-8, nothing is there twice, and merges join tokens to tokens.
 * Otherwise reading fails with CLIP_EFORMAT, and names file and entry. */
#ifndef CLIPTOK_VOCAB_H
#define CLIPTOK_VOCAB_H

#include "base/json.h"
#include "text/bpe.h"

/* The two special tokens: as Hugging Face's files and OpenAI name them, and as OpenCLIP does. */
#define CLIPTOK_START "<|startoftext|>"
#define CLIPTOK_END "<|endoftext|>"
#define CLIPTOK_START_OPENCLIP "<start_of_text>"
#define CLIPTOK_END_OPENCLIP "<end_of_text>"

/* cliptok_read_vocab(): fill `b`, which is {0}, from the first of these that `dir` has:
 *     tokenizer.json                Hugging Face's tokenizers, model BPE; merges are written as
 *                                   "a b" or as ["a", "b"]
 *     vocab.json, merges.txt        {"token": id, ...}; one merge on each line
 *     bpe_simple_vocab_16e6.txt.gz  a comment, then one merge on each line. Ids are given as by
 *                                   SimpleTokenizer: the bytes, the bytes at the end of a word, a
 *                                   token for each merge, start, end
 * b      out  free with cliptok_bpe_free(), also after an error
 * found  out  the files that were read, a static string; NULL: none of them is there
 * added  out  tokenizer.json's "added_tokens"; free with cJSON_Delete(); NULL: none
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (the tokenizer.json of another kind of
 * tokenizer), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_read_vocab(const char *dir, cliptok_bpe *b, const char **found, cJSON **added, clip_error *err);

/* cliptok_add_bytes(): give ids 0 to 511 as SimpleTokenizer does: the bytes, printable ones first,
 * then the same bytes at the end of a word. cliptok_byte_order(): the bytes of ids 0 to 255. */
void cliptok_byte_order(unsigned char byte[256]);
clip_status cliptok_add_bytes(cliptok_bpe *b);

#endif
