/* write.h: write a vocabulary as the files that transformers and cliptok_load() read. A file
 * appears under its name once it is whole. */
#ifndef CLIPTOK_WRITE_H
#define CLIPTOK_WRITE_H

#include "text/bpe.h"

/* cliptok_write_vocab(): write vocab.json and merges.txt into `dir`.
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status cliptok_write_vocab(const cliptok_bpe *b, const char *dir, clip_error *err);

/* cliptok_write_settings(): write tokenizer_config.json and special_tokens_map.json into `dir`. By
 * them AutoTokenizer knows the kind of tokenizer.
 * context_length  in   ids in a text; transformers cuts longer ones where the caller asks for it
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status cliptok_write_settings(const char *dir, int context_length, clip_error *err);

#endif
