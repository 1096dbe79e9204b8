/* write.h: a vocabulary as files that transformers, and cliptok_load(), read. Each appears under
 * its name when it is whole. */
#ifndef CLIPTOK_WRITE_H
#define CLIPTOK_WRITE_H

#include "text/bpe.h"

/* cliptok_write_vocab(): vocab.json and merges.txt into `dir`. CLIP_EIO, CLIP_ENOMEM. */
clip_status cliptok_write_vocab(const cliptok_bpe *b, const char *dir, clip_error *err);

/* cliptok_write_settings(): tokenizer_config.json and special_tokens_map.json, with which
 * AutoTokenizer knows what the two are.
 * context_length  in   ids in a text; what is longer is cut by who asks for truncation */
clip_status cliptok_write_settings(const char *dir, int context_length, clip_error *err);

#endif
