/* vocabulary.h: the vocabulary of a tokenizer that is not CLIP's, from tokenizer.json or from a
 * model file of SentencePiece, with its scores or merges. A file of 34 or 61 MB is read from front
 * to back, and never stands in memory as a whole. */
#ifndef CLIPTOK_VOCABULARY_H
#define CLIPTOK_VOCABULARY_H

#include "base/json.h"
#include "text/charsmap.h"
#include "text/merges.h"
#include "text/pieces.h"
#include "text/spm.h"

typedef enum cliptok_kind_of_model {
    CLIPTOK_MODEL_NONE,   /* of no known kind */
    CLIPTOK_MODEL_CLIP,   /* byte-pair encoding of words that end in "</w>" */
    CLIPTOK_MODEL_BYTES,  /* byte-pair encoding of bytes, as GPT-2's */
    CLIPTOK_MODEL_MERGES, /* byte-pair encoding of characters */
    CLIPTOK_MODEL_UNIGRAM,
    CLIPTOK_MODEL_WORD_PIECE,
} cliptok_kind_of_model;

typedef struct cliptok_vocabulary {
    cliptok_kind_of_model kind;
    cliptok_pieces pieces;
    double *score; /* unigram: [pieces.n]. -HUGE_VAL: not for use */
    size_t score_capacity;
    cliptok_merges merges;
    int32_t unknown; /* id; -1: there is none */
    bool byte_fallback, fuse_unknown;
    char prefix[16];  /* WordPiece: begins a piece that continues a word */
    int longest_word; /* WordPiece: longer words are unknown. In characters */
    cJSON *normalizer, *pre_tokenizer, *post_processor, *added_tokens; /* of tokenizer.json; NULL: null */
} cliptok_vocabulary;

/* cliptok_tokenizer_json_kind(): what kind of model a tokenizer.json has.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_ENOMEM. */
clip_status cliptok_tokenizer_json_kind(const char *path, cliptok_kind_of_model *out, clip_error *err);

/* cliptok_vocabulary_read_json(): read a tokenizer.json with merges, unigram or WordPiece.
 * v  out  free with cliptok_vocabulary_free(), also after an error
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (settings that change ids and are not known),
 * CLIP_ELIMIT (128 MB, 2^20 tokens), CLIP_ENOMEM. */
clip_status cliptok_vocabulary_read_json(cliptok_vocabulary *v, const char *path, clip_error *err);

/* cliptok_vocabulary_read_text(): read a vocab.txt, one piece on each line.
 * cliptok_vocabulary_free(): free what is in `v`. */
clip_status cliptok_vocabulary_read_text(cliptok_vocabulary *v, const char *path, clip_error *err);
void cliptok_vocabulary_free(cliptok_vocabulary *v);

/* cliptok_vocabulary_add(): give `id` to a piece, with this score.
 * Errors: as cliptok_pieces_add(). */
clip_status cliptok_vocabulary_add(cliptok_vocabulary *v, const char *text, size_t n, int32_t id, double score,
                                   const char *file, clip_error *err);

/* cliptok_vocabulary_merge_all(): the merges of a vocabulary that comes without. Any two pieces
 * whose joint text is a piece are merged; the rank is that of the joint piece's id, and then of the
 * shorter left part, as in transformers' generate_merges().
 * Errors: CLIP_EFORMAT, CLIP_ENOMEM. */
clip_status cliptok_vocabulary_merge_all(cliptok_vocabulary *v, const char *file, clip_error *err);

#endif
