/* vqa_score.h: answers as VQA v2 compares and counts them (Goyal et al. 2017, arXiv:1612.00837; Antol et al. 2015, arXiv:1505.00468). */
#ifndef CLIPHD_VQA_SCORE_H
#define CLIPHD_VQA_SCORE_H

#include "base/status.h"

/* cliphd_answer_normalize(): what two answers have in common if they mean the same: lower case, no punctuation, no articles, "none" to "ten" as
 * digits, one space between words. (VQA's own script also puts apostrophes into some words that lack them; this leaves all apostrophes out.)
 * out  out  malloc'ed; not longer than `text`
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_answer_normalize(const char *text, char **out);

/* cliphd_answer_score(): what normalised `answer` is worth, where people said the normalised `truth` [n]: min(m / 3, 1), where m of them said
 * the same; where there are fewer than three answers any of them is right, 1. */
double cliphd_answer_score(const char *answer, const char *const *truth, int n);

#endif
