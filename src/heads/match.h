/* match.h: do a picture and a text belong together? A probability from their score.
 *
 * A pair's logit s = logit_scale * cosine says which of several texts fits best, not whether one fits. The probability is a logistic with a floor,
 *
 *     p(s) = 1 / (1 + exp(-(intercept + slope max(s - knot, 0)))),     slope >= 0
 *
 * by maximum likelihood as Platt's (1999, "Probabilistic outputs for support vector machines"; compared by Niculescu-Mizil and Caruana 2005), which it is
 * where the knot is the lowest score. The floor is there because the model does not know everything: a pair it has no idea of scores as low as a wrong
 * one, and below some score a lower one says nothing more. Platt's line, straight through these, is wrong everywhere else too.
 *
 * What p is a probability among: true pairs and as many wrong ones, which are hard. The pairs come in batches; a pair's neighbour is the one in its batch
 * whose text is most like its own by the text encoder; the wrong pairs are its picture with the neighbour's text and the neighbour's picture with its text,
 * half a pair each. The neighbour is not the one that scores highest: negatives chosen by the score under judgement are the ones it is wrong about, and
 * with enough of them to choose from a high score becomes a sign of a wrong pair. */
#ifndef CLIPHD_MATCH_H
#define CLIPHD_MATCH_H

#include "base/status.h"
#include "kernels/kernels.h"

/* Pairs and wrong pairs, scored: n of room for 3N. Starts as {0}; cliphd_scored_free(). */
typedef struct cliphd_scored {
    float *score, *weight;
    uint8_t *yes;
    uint8_t *half; /* 0 or 1, by the picture: the same picture is always in the same half */
    int n;
} cliphd_scored;

/* cliphd_scored_pairs(): true and wrong pairs of image, text [N, D], unit rows, pair i being image[i] and text[i], in batches of `batch` drawn at random
 * (by a fixed seed), each within one half. Pairs with the same picture or the same text, bit for bit, are not wrong for each other; a pair that finds no
 * other in its batch is left out.
 * Errors: CLIP_EINVAL (N < 2, batch < 2, no pair with a neighbour), CLIP_ENOMEM. */
clip_status cliphd_scored_pairs(const clipk_ctx *k, const float *image, const float *text, int N, int D,
                                double logit_scale, int batch, cliphd_scored *out);
void cliphd_scored_free(cliphd_scored *s);

typedef struct cliphd_law {
    double knot, slope, intercept;
} cliphd_law;

float cliphd_law_probability(const cliphd_law *m, float score);

/* cliphd_law_fit(): from the samples of one half, or of both (half -1). The knot is tried at quantiles of the scores.
 * Errors: CLIP_EINVAL (true pairs score no higher than wrong ones, or all samples are of one kind), CLIP_ENOMEM. */
clip_status cliphd_law_fit(const clipk_ctx *k, const cliphd_scored *s, int half, cliphd_law *out);

/* cliphd_confusions(): the n smallest margins s_ii + s_jj - s_ij - s_ji (clip.h) among N pairs, smallest first; equal ones by i, then
 * j; pairs with the same picture or text are left out.
 * out    out  [n];   *found of them
 * Errors: CLIP_EINVAL (N < 2, n < 1), CLIP_ENOMEM. */
clip_status cliphd_confusions(const clipk_ctx *k, const float *image, const float *text, int N, int D, int n,
                               clip_confusion *out, int *found);

#endif
