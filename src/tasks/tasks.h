/* tasks.h: what embeddings are used for: ranks, and classes made of words. The vectors come from
 * anywhere; nothing here knows a model. */
#ifndef CLIPTSK_TASKS_H
#define CLIPTSK_TASKS_H

#include "base/status.h"
#include "kernels/kernels.h"

/* cliptsk_ranks(): for each query, how many candidates score strictly higher than its best right
 * one. Scores are dot products. They are computed in blocks, so the matrix [Q, C] is never held.
 * Equal candidates tie exactly, wherever they stand.
 * query      in   [Q, D]
 * candidate  in   [C, D]
 * right      in   [right_off[Q]] right[right_off[q]] .. right[right_off[q+1]-1] are right for q, at
 *                 least one each
 * rank       out  [Q] 0 .. C-1. A score that is not a number counts as higher, so a broken model
 *                 ranks last
 * Errors: CLIP_EINVAL (Q, C or D < 1; a query without a right candidate; a candidate that does not
 * exist), CLIP_ENOMEM. */
clip_status cliptsk_ranks(const clipk_ctx *k, const float *query, int Q, const float *candidate, int C, int D,
                          const int32_t *right, const int32_t *right_off, int32_t *rank);

/* cliptsk_rank_summary(): clip_rank_summary() of clip.h. */
clip_status cliptsk_rank_summary(const int32_t *rank, int64_t Q, clip_rank_metrics *out);

enum { CLIPTSK_MOST_TEXT = 1 << 16 }; /* bytes of a filled template; the longest context takes a few thousand */

/* cliptsk_fill_template(): `text` with every "{}" replaced by `label`.
 * out  out  malloc'ed
 * Errors: CLIP_EINVAL (no "{}" in it), CLIP_ELIMIT (longer than CLIPTSK_MOST_TEXT), CLIP_ENOMEM. */
clip_status cliptsk_fill_template(const char *text, const char *label, char **out);

/* The direction of a class, from its T templates (arXiv:2103.00020, 3.1.4): m / |m|, m = 1/T Σₜ
 * unit[t]. cliptsk_class_add() adds one of them to sum [D], which begins at 0.
 * cliptsk_class_embedding() makes the direction of the sum. */
void cliptsk_class_add(float *sum, const float *unit, int D);
void cliptsk_class_embedding(const clipk_ctx *k, float *sum, int T, int D);

#endif
