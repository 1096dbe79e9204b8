/* settings.h: what the files beside a vocabulary say: tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json. For tokenizers other than CLIP's, see added.h. */
#ifndef CLIPTOK_SETTINGS_H
#define CLIPTOK_SETTINGS_H

#include "text/added.h"
#include "text/vocabulary.h"

/* The special tokens by their roles. */
typedef enum cliptok_role {
    CLIPTOK_BOS,
    CLIPTOK_EOS,
    CLIPTOK_UNK,
    CLIPTOK_SEP,
    CLIPTOK_PAD,
    CLIPTOK_CLS,
    CLIPTOK_MASK,
    CLIPTOK_ROLES
} cliptok_role;

typedef struct cliptok_settings {
    char class[64];                  /* "tokenizer_class" without "Fast" at its end; "": none is named */
    cJSON *config, *special, *added; /* the files; NULL: there is none */
} cliptok_settings;

/* cliptok_settings_load(): read the files of a directory; each may be missing. Free with
 * cliptok_settings_free(), also after an error.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (padding in front), CLIP_ELIMIT,
 * CLIP_ENOMEM. */
clip_status cliptok_settings_load(cliptok_settings *s, const char *dir, clip_error *err);
void cliptok_settings_free(cliptok_settings *s);

/* cliptok_settings_tokens(): the added tokens of the files, and of a tokenizer.json's
 * "added_tokens". Special tokens come on top.
 * own   in   [CLIPTOK_ROLES] special tokens that the tokenizer's class has where the files name
 *            none;
 *            NULL: it has none
 * list  out  free with cliptok_added_free(), also after an error. Call cliptok_added_index()
 * role  out  [CLIPTOK_ROLES] ids; -1: there is no such token
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED ("single_word"), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_settings_tokens(const cliptok_settings *s, const cliptok_vocabulary *v,
                                    const char *const own[CLIPTOK_ROLES], cliptok_added_list *list,
                                    int32_t role[CLIPTOK_ROLES], const char *dir, clip_error *err);

/* cliptok_settings_find(): the id of an added token or a piece that is written like this.
 * @return: -1: there is none */
int32_t cliptok_settings_find(const cliptok_added_list *list, const cliptok_pieces *pieces, const char *text);

/* cliptok_settings_ends(): the tokens that a tokenizer.json's "post_processor" puts before a text
 * and behind it. An id that it does not name keeps its value.
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED (another kind, or several tokens in a row). */
clip_status cliptok_settings_ends(const cJSON *post_processor, const cliptok_added_list *list,
                                  const cliptok_pieces *pieces, int32_t *start, int32_t *end, const char *file,
                                  clip_error *err);

#endif
