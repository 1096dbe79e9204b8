/* vocab.h: the files that hold a vocabulary and its merges. All of them are from outside: sizes are
 * bounded, ids in range, text is UTF-8, nothing is there twice, merges join tokens to tokens; else
 * CLIP_EFORMAT with file and entry. */
#ifndef CLIPTOK_VOCAB_H
#define CLIPTOK_VOCAB_H

#include "base/json.h"
#include "text/bpe.h"

/* The two special tokens as Hugging Face's files and OpenAI name them, and as OpenCLIP's
 * SimpleTokenizer does. */
#define CLIPTOK_START "<|startoftext|>"
#define CLIPTOK_END "<|endoftext|>"
#define CLIPTOK_START_OPENCLIP "<start_of_text>"
#define CLIPTOK_END_OPENCLIP "<end_of_text>"

/* cliptok_read_vocab(): fill `b`, which is {0}, from the first that `dir` has of
 *     tokenizer.json                of Hugging Face's tokenizers, model BPE; merges as "a b" or as ["a", "b"]
 *     vocab.json, merges.txt        {"token": id, ...}; a merge a line
 *     bpe_simple_vocab_16e6.txt.gz  a merge a line, after a line of comment; ids are given as SimpleTokenizer does: the bytes, the
 *                                   bytes at the end of a word, a token a merge, start, end
 * found  out  what was read, a static string; NULL: none of them is there
 * added  out  tokenizer.json's "added_tokens", to be freed with cJSON_Delete(); NULL: none
 * In any case free `b`. Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (a tokenizer.json of
 * another kind), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_read_vocab(const char *dir, cliptok_bpe *b, const char **found, cJSON **added, clip_error *err);

/* cliptok_add_bytes(): ids 0 to 511 as SimpleTokenizer gives them: the bytes, printable ones first,
 * then the same at the end of a word. cliptok_byte_order(): the bytes of ids 0 to 255. */
void cliptok_byte_order(unsigned char byte[256]);
clip_status cliptok_add_bytes(cliptok_bpe *b);

#endif
