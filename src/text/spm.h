/* spm.h: read the model files of SentencePiece (spiece.model, sentencepiece.bpe.model,
 * tokenizer.model). They are a protocol buffer, sentencepiece_model.proto, of which only the needed
 * fields are read. Files come from outside: every length is checked. */
#ifndef CLIPTOK_SPM_H
#define CLIPTOK_SPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CLIPTOK_SPM_UNIGRAM = 1, CLIPTOK_SPM_BPE = 2 };
enum {
    CLIPTOK_SPM_NORMAL = 1,
    CLIPTOK_SPM_UNKNOWN,
    CLIPTOK_SPM_CONTROL,
    CLIPTOK_SPM_USER_DEFINED,
    CLIPTOK_SPM_UNUSED,
    CLIPTOK_SPM_BYTE,
};

typedef struct cliptok_spm_piece {
    const char *text; /* in the file; UTF-8 */
    size_t n;
    float score;
    int type;
} cliptok_spm_piece;

typedef struct cliptok_spm {
    const unsigned char *begin, *end, *at; /* of the file; at: behind the last piece that was read */
    const char *file;
    clip_error *err;
    int pieces, number; /* how many; how many have been read */
    int model_type, unknown_id;
    bool byte_fallback, whitespace_is_suffix;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    const unsigned char *charsmap; /* in the file */
    size_t charsmap_size;
} cliptok_spm;

/* cliptok_spm_begin(): read the settings, and count the pieces. The file must outlive `s`.
 * Errors: CLIP_EFORMAT. */
clip_status cliptok_spm_begin(cliptok_spm *s, const void *data, size_t size, const char *file, clip_error *err);

/* cliptok_spm_next(): read the next piece, in the order of ids.
 * @return: 1; 0: there is none; negative: a status */
int cliptok_spm_next(cliptok_spm *s, cliptok_spm_piece *piece);

#endif
