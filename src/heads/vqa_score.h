/* vqa_score.h: comparing and scoring answers as VQA v2 does (Goyal et al. 2017, arXiv:1612.00837;
 * Antol et al. 2015, arXiv:1505.00468). */
#ifndef CLIPHD_VQA_SCORE_H
#define CLIPHD_VQA_SCORE_H

#include "base/status.h"

/* cliphd_answer_normalize(): the form in which answers are compared: lower case, no punctuation, no
 * articles, "none" to "ten" as digits, one space between words. VQA's own script also adds
 * apostrophes to some words that lack them; here all apostrophes are left out.
 * out  out  malloc'ed; not longer than `text`
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_answer_normalize(const char *text, char **out);

/* cliphd_answer_score(): the score of a normalised answer: min(m / 3, 1), where m of the normalised
 * `truth` [n] are equal to it. With fewer than three answers each of them scores 1. */
double cliphd_answer_score(const char *answer, const char *const *truth, int n);

#endif
