/* added.h: tokens that Hugging Face's tokenizers find in a text before anything else happens to it:
 * "<|endoftext|>" and others a checkpoint may name, each in one of several files. */
#ifndef CLIPTOK_ADDED_H
#define CLIPTOK_ADDED_H

#include "base/json.h"
#include "text/bpe.h"

typedef struct cliptok_added {
    char *text; /* as it is looked for */
    size_t n;
    int32_t id;
    bool normalized; /* looked for in the normalised text, else in the text as it came */
} cliptok_added;

typedef struct cliptok_added_list {
    cliptok_added *token;
    size_t n, capacity;
    bool begins[2][256];         /* [normalized]: the first bytes */
    bool any[2];                 /* [normalized]: is there one? */
    int32_t start, end, unknown, pad; /* ids of bos_token, eos_token, unk_token, pad_token */
    int32_t vocab_size;          /* largest id + 1, those of the vocabulary included */
} cliptok_added_list;

/* cliptok_added_load(): what CLIPTokenizer.from_pretrained(dir) adds: tokenizer_config.json's
 * "added_tokens_decoder"; without it special_tokens_map.json, added_tokens.json and
 * tokenizer.json's "added_tokens" (`from_tokenizer`, may be NULL); and the special tokens,
 * bos_token and so on. Free with cliptok_added_free() in any case.
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED ("single_word"; spaces in a normalised one), CLIP_ELIMIT,
 * CLIP_ENOMEM. */
clip_status cliptok_added_load(cliptok_added_list *list, const char *dir, const cJSON *from_tokenizer,
                               const cliptok_bpe *b, clip_error *err);
void cliptok_added_free(cliptok_added_list *list);

/* cliptok_added_find(): the first of them in [p, end), of several that begin there the longest: *at
 * is where. NULL: none. */
const cliptok_added *cliptok_added_find(const cliptok_added_list *list, bool normalized, const unsigned char *p,
                                        const unsigned char *end, const unsigned char **at);

#endif
