/* match.h: whether a picture and a text belong together: a probability from their score.
 *
 * A pair's logit s = logit_scale * cosine tells which of several texts fits best, not whether one
 * fits. The probability is a logistic with a floor,
 *
 *     p(s) = 1 / (1 + exp(-(intercept + slope max(s - knot, 0)))),     slope >= 0
 *
 * fitted by maximum likelihood. With the knot at the lowest score it is Platt's (1999,
 * "Probabilistic outputs for support vector machines"; compared by Niculescu-Mizil and Caruana
 * 2005). The floor is there because the model does not know everything: a pair that it knows
 * nothing about scores as low as a wrong one, and below some score a lower one says nothing more. A
 * line through these scores would be wrong everywhere else.
 *
 * p is a probability among true pairs and as many wrong ones, which are hard. The pairs come in
 * batches. The neighbour of a pair is the pair in its batch whose text is most like its own, by the
 * text encoder. The wrong pairs are its picture with the neighbour's text and the neighbour's
 * picture with its text, each with half a weight. Neighbours are not chosen by score: such
 * negatives are those that the model is wrong about, and with enough of them a high score becomes
 * the sign of a wrong pair. */
#ifndef CLIPHD_MATCH_H
#define CLIPHD_MATCH_H

#include "base/status.h"
#include "kernels/kernels.h"

/* Pairs and wrong pairs with their scores: n of room for 3N. It starts as {0}; free it with
 * cliphd_scored_free(). */
typedef struct cliphd_scored {
    float *score, *weight;
    uint8_t *yes;
    uint8_t *half; /* 0 or 1, by the picture: equal pictures are always in the same half */
    int n;
} cliphd_scored;

/* cliphd_scored_pairs(): score true and wrong pairs. Batches are drawn at random by a fixed seed,
 * each within one half. Pairs with the same picture or the same text, bit for bit, are not wrong
 * for each other. A pair without a neighbour in its batch is left out.
 * image, text  in  [N, D] unit rows; pair i is image[i] and text[i]
 * Errors: CLIP_EINVAL (N < 2, batch < 2, no pair with a neighbour), CLIP_ENOMEM. */
clip_status cliphd_scored_pairs(const clipk_ctx *k, const float *image, const float *text, int N, int D,
                                double logit_scale, int batch, cliphd_scored *out);
void cliphd_scored_free(cliphd_scored *s);

typedef struct cliphd_law {
    double knot, slope, intercept;
} cliphd_law;

float cliphd_law_probability(const cliphd_law *m, float score);

/* cliphd_law_fit(): fit on the samples of one half, or of both (half -1). Quantiles of the scores
 * are tried as the knot.
 * Errors: CLIP_EINVAL (true pairs score no higher than wrong ones, or all samples are of one kind),
 * CLIP_ENOMEM. */
clip_status cliphd_law_fit(const clipk_ctx *k, const cliphd_scored *s, int half, cliphd_law *out);

/* cliphd_confusions(): the n smallest margins s_ii + s_jj - s_ij - s_ji (clip.h) among N pairs,
 * smallest first; equal ones by i, then j. Pairs with the same picture or text are left out.
 * out    out  [n]
 * found  out  how many of them there are
 * Errors: CLIP_EINVAL (N < 2, n < 1), CLIP_ENOMEM. */
clip_status cliphd_confusions(const clipk_ctx *k, const float *image, const float *text, int N, int D, int n,
                              clip_confusion *out, int *found);

#endif
