/* unigram.h: the unigram language model of SentencePiece (Kudo 2018, arXiv:1804.10959). Each piece
 * has a score, the logarithm of its probability. Of all ways to cut a text into pieces, the one
 * with the highest sum of scores is taken (Viterbi):
 *
 *     best(0) = 0,    best(j) = max over pieces text[i..j) of best(i) + score(text[i..j))
 *
 * A character that is no piece is "unknown", at ten less than the lowest score. Unknown characters
 * in a row are one id. */
#ifndef CLIPTOK_UNIGRAM_H
#define CLIPTOK_UNIGRAM_H

#include "text/bpe.h"
#include "text/pieces.h"

typedef struct cliptok_unigram {
    const cliptok_pieces *pieces;
    double *score;  /* [pieces->n] */
    double unknown; /* score of an unknown character */
    int32_t unknown_id;
    const int32_t *byte; /* [256]: ids of the bytes of unknown characters; -1: none. NULL: they are unknown_id */
    bool single;         /* sums are rounded to float, as SentencePiece does; else Hugging Face's tokenizers */
} cliptok_unigram;

/* The work of one text; {0} to begin with. Free `node` at the end. */
typedef struct cliptok_lattice {
    struct cliptok_node *node;
    size_t capacity;
    double score; /* of the text so far. It matters for the rounding */
} cliptok_lattice;

/* cliptok_unigram_encode(): append the ids of text[0..n), which is UTF-8, as far as there is room.
 * Time is linear; memory: 16 bytes for each byte.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_unigram_encode(const cliptok_unigram *u, cliptok_lattice *l, const unsigned char *text, size_t n,
                                   cliptok_ids *out);

#endif
