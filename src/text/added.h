/* added.h: special tokens that a checkpoint's files name, such as "<|endoftext|>". Hugging Face's
 * tokenizers look for them in a text before they do anything else. */
#ifndef CLIPTOK_ADDED_H
#define CLIPTOK_ADDED_H

#include "base/json.h"
#include "text/bpe.h"

typedef struct cliptok_added {
    char *text; /* the spelling to look for */
    size_t n;
    int32_t id;
    bool normalized; /* look for it in the cleaned text, else in the text as it came */
    bool strips_left, strips_right; /* white space beside it belongs to it */
} cliptok_added;

typedef struct cliptok_added_list {
    cliptok_added *token;
    size_t n, capacity;
    uint32_t first[2][257]; /* [normalized]: where the tokens begin that begin with this byte */
    int32_t start, end, unknown, pad; /* ids of bos_token, eos_token, unk_token, pad_token */
    int32_t vocab_size;  /* largest id + 1, of the vocabulary and of added tokens */
} cliptok_added_list;

/* cliptok_added_load(): the tokens that CLIPTokenizer.from_pretrained(dir) adds. They come from
 * "added_tokens_decoder" of tokenizer_config.json, or else from special_tokens_map.json,
 * added_tokens.json and tokenizer.json's "added_tokens". The special tokens (bos_token and so on)
 * come on top.
 * from_tokenizer  in   tokenizer.json's "added_tokens"; may be NULL
 * list            out  free with cliptok_added_free(), also after an error
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED ("single_word", or spaces in a normalised token),
 * CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_added_load(cliptok_added_list *list, const char *dir, const cJSON *from_tokenizer,
                               const cliptok_bpe *b, clip_error *err);

/* cliptok_object_read(): a JSON object in a file of the directory; *out stays where there is none.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_object_read(const char *dir, const char *name, cJSON **out, clip_error *err);

/* cliptok_added_put(): add a token by hand, with the given flags. A token with the same text and
 * `normalized` is replaced. Call cliptok_added_index() after the last.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_added_put(cliptok_added_list *list, const char *text, size_t n, cliptok_added token);
void cliptok_added_index(cliptok_added_list *list);
void cliptok_added_free(cliptok_added_list *list);

/* cliptok_added_find(): the first added token in [p, end). Where several begin, the longest counts.
 * normalized  in   look for the tokens of cleaned text, else for the others
 * at          out  where the token begins; not set where there is none
 * @return: NULL: there is none */
const cliptok_added *cliptok_added_find(const cliptok_added_list *list, bool normalized, const unsigned char *p,
                                        const unsigned char *end, const unsigned char **at);

#endif
