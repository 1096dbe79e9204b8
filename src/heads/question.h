/* question.h: questions in plain English, read by rules: what is asked for, the statement that an
 * answer completes, and words that could be the answer.
 *
 *     "How many dogs are there?"          count    "{} dogs"              one, two, three, ..
 *     "what color is the car?"            color    "a {} car"             red, green, ..
 *     "Is the man wearing a hat?"         yes/no   "the man wearing a hat"
 *     "what animal is on the bed?"        kind     "a {} on the bed"      cat, dog, ..
 *
 * Song et al. 2022, "CLIP Models are Few-shot Learners: Empirical Studies on VQA and Visual
 * Entailment" (arXiv:2203.07190), turn questions into such statements with a language model (T5),
 * and let CLIP rank the completed ones. Rules do the same for questions of a usual form. */
#ifndef CLIPHD_QUESTION_H
#define CLIPHD_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef enum cliphd_question_type {
    CLIPHD_YES_NO,
    CLIPHD_COLOR,
    CLIPHD_COUNT,
    CLIPHD_KIND,
    CLIPHD_WHERE,
    CLIPHD_WHO,
    CLIPHD_FREE,
    CLIPHD_QUESTION_TYPES
} cliphd_question_type;

#define CLIPHD_MOST_STATEMENT 1024

typedef struct cliphd_question {
    cliphd_question_type type;
    char statement[CLIPHD_MOST_STATEMENT]; /* with one "{}" for the answer; yes/no: what "yes" affirms, without "{}" */
    char kind[32]; /* the kind that is asked for, "animal", if there are words for it; else "" */
} cliphd_question;

/* cliphd_question_type_name(): "yes/no", "color", "count", "kind", "where", "who", "other". */
const char *cliphd_question_type_name(cliphd_question_type t);

/* cliphd_question_parse(): a text of any length. A statement beyond its room is cut between
 * words. */
void cliphd_question_parse(const char *text, cliphd_question *out);

/* cliphd_question_words(): possible answers where none are given.
 * @return: static, ended by NULL */
const char *const *cliphd_question_words(const cliphd_question *q);

/* cliphd_is_filler(): whether a word only connects others ("of", "with") and answers nothing. */
bool cliphd_is_filler(const char *word);

/* cliphd_words_of(): the words for a kind of things ("animal", "animals").
 * @return: static, ended by NULL; NULL: there are none */
const char *const *cliphd_words_of(const char *kind);

#endif
