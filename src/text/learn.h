/* learn.h: learn the vocabulary of a byte-pair encoding from captions (Sennrich et al. 2016,
 * arXiv:1508.07909).
 *
 *     start: every word is a sequence of bytes, and the last one carries the end of the word
 *     again and again: the pair of neighbours that occurs most often becomes a token
 *
 * Text is cleaned and cut into words as transformers' CLIPTokenizer does, because it is the reader
 * of such a vocabulary. Where pairs occur equally often, the one with the smaller ids comes first,
 * as in Hugging Face's BpeTrainer. The order of the captions makes no difference.
 *
 * In a script without blanks (cliptok_unspaced()) a "word" is a whole phrase. There a token has one
 * character (Chinese, kana) or at most four letters (Thai and its neighbours). It is learned both
 * within a word and at its end. So a word in a phrase has the same tokens as the word alone, but
 * for the end of the word at the last token.
 *
 *     TRY(cliptok_learner_new(&l));
 *     for every caption:  TRY(cliptok_learner_add(l, caption, strlen(caption)));
 *     TRY(cliptok_learner_finish(l, 4096, &bpe));
 *     TRY(cliptok_write_vocab(&bpe, dir, err)); */
#ifndef CLIPTOK_LEARN_H
#define CLIPTOK_LEARN_H

#include "text/bpe.h"

enum { CLIPTOK_LEAST_VOCAB = 514 }; /* 256 bytes, 256 bytes at the end of a word, start and end */

typedef struct cliptok_learner cliptok_learner;

/* cliptok_learner_new(): free with cliptok_learner_free().
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_learner_new(cliptok_learner **out);
void cliptok_learner_free(cliptok_learner *l);

/* cliptok_learner_add(): count the words of text[0..n), UTF-8. Words of more than 256 bytes do not
 * count, nor anything beyond the first 65,536 bytes of a text. Memory grows with the distinct
 * words.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_learner_add(cliptok_learner *l, const char *text, size_t n);

/* cliptok_learner_finish(): learn. Call it once; nothing can be added afterwards.
 * vocab_size  in   CLIPTOK_LEAST_VOCAB .. CLIPTOK_MAX_TOKENS
 * out         out  the vocabulary. Ids are in CLIP's order: bytes, bytes at the end of a word,
 *                  merges as they were learned, <|startoftext|>, <|endoftext|>. There are
 *                  fewer than asked for (out->n_tokens) where no pair occurs twice any more.
 *                  Free with cliptok_bpe_free(), also after an error.
 * Errors: CLIP_EINVAL (vocab_size), CLIP_ENOMEM. */
clip_status cliptok_learner_finish(cliptok_learner *l, int vocab_size, cliptok_bpe *out);

/* Counts of the texts so far. */
typedef struct cliptok_learner_stats {
    int64_t texts, words, distinct;
    int64_t by_heart; /* after learning: texts that are one word of 16 letters or more, and one token */
} cliptok_learner_stats;

cliptok_learner_stats cliptok_learner_count(const cliptok_learner *l);

#endif
