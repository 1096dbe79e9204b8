/* sentence.h: tokenizers of SentencePiece's kind, which write a space as U+2581 and cut a text into
 * pieces: by unigram scores (T5, XLM-R, SigLIP) or by merges of characters (Gemma, NLLB, SigLIP 2).
 *
 *     "Two cats" -> tidied (tidy.h) -> parts between added tokens -> pipeline.h -> "_Two_cats"
 *         -> words "_Two", "_cats" -> unigram.h or merges.h -> ids */
#ifndef CLIPTOK_SENTENCE_H
#define CLIPTOK_SENTENCE_H

#include "text/added.h"
#include "text/pipeline.h"
#include "text/unigram.h"
#include "text/vocabulary.h"

typedef struct cliptok_sentence {
    cliptok base;
    cliptok_vocabulary v;
    cliptok_unigram unigram;
    cliptok_added_list added;
    cliptok_pipeline pipeline;
    int32_t byte[256]; /* ids of "<0x00>" to "<0xFF>"; -1: there is none */
    bool crosses;      /* a piece has a space sign behind another character: words are not apart */
    bool keeps_end;    /* a text that ends in the end token gets no second one */
    /* SentencePiece itself: its own normalizer, and a text that is put before each part.
     * transformers does so to keep spaces at the beginning. */
    bool itself, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    char before[64];
    int before_ids; /* ids of `before`, which are taken off again */
} cliptok_sentence;

/* cliptok_sentence_load(): fill `t` from the files in a directory.
 * t      out  {0}; free with cliptok_sentence_release(), also after an error
 * found  out  the file that was read, a static string; NULL: there is none of this kind
 * Errors: as cliptok_load(). */
clip_status cliptok_sentence_load(cliptok_sentence *t, const char *dir, const char **found, clip_error *err);
void cliptok_sentence_release(cliptok_sentence *t);

/* cliptok_sentence_before(): append the ids of t->before by itself.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_sentence_before(const cliptok_sentence *t, cliptok_ids *out);

#endif
