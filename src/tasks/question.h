/* question.h: questions in plain English, read by rules: what is asked for, the statement that an answer completes, and the words that could.
 *
 *     "How many dogs are there?"          count    "{} dogs"              one, two, three, ..
 *     "what color is the car?"            color    "a {} car"             red, green, ..
 *     "Is the man wearing a hat?"         yes/no   "the man wearing a hat"
 *     "what animal is on the bed?"        kind     "a {} on the bed"      cat, dog, ..
 *
 * Song et al. 2022, "CLIP Models are Few-shot Learners: Empirical Studies on VQA and Visual Entailment" (arXiv:2203.07190), turns questions into such
 * statements with a language model (T5) and lets CLIP rank the completed ones. Rules do the same for the questions that have a usual form. */
#ifndef CLIPTSK_QUESTION_H
#define CLIPTSK_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef enum cliptsk_question_type {
    CLIPTSK_YES_NO,
    CLIPTSK_COLOR,
    CLIPTSK_COUNT,
    CLIPTSK_KIND,
    CLIPTSK_WHERE,
    CLIPTSK_WHO,
    CLIPTSK_FREE,
    CLIPTSK_QUESTION_TYPES
} cliptsk_question_type;

#define CLIPTSK_MOST_STATEMENT 1024

typedef struct cliptsk_question {
    cliptsk_question_type type;
    char statement[CLIPTSK_MOST_STATEMENT]; /* with one "{}" for the answer; yes/no: without, it is what "yes" affirms */
    char kind[32];                          /* what the question names, "animal", where there are words for it; else "" */
} cliptsk_question;

/* cliptsk_question_type_name(): "yes/no", "color", "count", "kind", "where", "who", "other". */
const char *cliptsk_question_type_name(cliptsk_question_type t);

/* cliptsk_question_parse(): a text of any length; what goes beyond the statement's room is cut between words. */
void cliptsk_question_parse(const char *text, cliptsk_question *out);

/* cliptsk_question_words(): the answers that could be meant where none are given, ended by NULL; static. */
const char *const *cliptsk_question_words(const cliptsk_question *q);

/* cliptsk_is_filler(): a word that holds others together ("of", "with") and answers nothing. */
bool cliptsk_is_filler(const char *word);

/* cliptsk_next_word(): the next word of *text, which is moved behind it, in lower case and ended by 0; what is longer than room - 1 comes in pieces.
 * Returns its length, 0: there is none. */
size_t cliptsk_next_word(const char **text, char *out, size_t room);

/* cliptsk_words_of(): the words there are for a kind of things ("animal", "animals"), NULL: none. */
const char *const *cliptsk_words_of(const char *kind);

#endif
