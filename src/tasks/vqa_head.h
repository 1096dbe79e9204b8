/* vqa_head.h: a small network that answers, on the frozen embeddings v of a picture and t of a question, unit vectors of D numbers:
 *
 *     x = sqrt(D) [v, t, sqrt(D) v*t, |v - t|]        what the two say, where they agree, where they differ
 *     h = gelu(W1 x + b1)                             [H]
 *     p = softmax(W2 h + b2)                          over the answers of the training data, [A]
 *
 * trained on the cross entropy against the shares of the answers given, by AdamW with a cosine schedule. A tenth of the pictures is held back: the weights
 * kept are those of the epoch that answers best about them, and training ends when they have not been bettered for some epochs. */
#ifndef CLIPTSK_VQA_HEAD_H
#define CLIPTSK_VQA_HEAD_H

#include "model/params.h"
#include "nn/nn.h"

typedef struct cliptsk_head {
    int D, H, A;
    bool blind; /* without the picture, v = 0: what the questions alone tell */
    clipmdl_params params;
    float *w; /* [params.count] */
    clipnn_linear fc, out;
    clipb_block weights, panels;
} cliptsk_head;

/* Questions about pictures. Question i is about picture at[i].image, has the embedding at[i].question and the answers target_off[i] .. target_off[i + 1]. */
typedef struct cliptsk_asked {
    int32_t image, question;
} cliptsk_asked;

typedef struct cliptsk_head_data {
    const float *image, *question; /* unit rows [.., D] */
    const cliptsk_asked *at;       /* [n] */
    const int32_t *target, *target_off; /* [target_off[n]], [n + 1] */
    const float *worth;            /* [target_off[n]] of each answer, 0..1: what it scores, and its part of the loss */
    int n;
} cliptsk_head_data;

typedef struct cliptsk_head_options {
    int hidden, epochs, patience, batch;
    double lr, weight_decay, dropout;
    uint64_t seed;
    bool (*progress)(void *user, int epoch, double loss, double score); /* after each epoch; false: stop. May be NULL */
    void *user;
} cliptsk_head_options;

typedef struct cliptsk_head_fit {
    int epoch;              /* that was kept, from 1 */
    double score;           /* its mean worth on what was held back */
    int trained, held_back; /* questions */
} cliptsk_head_fit;

/* cliptsk_head_layout(): list and place the parameters, all 0. Free with cliptsk_head_free(), also after an error. CLIP_ENOMEM. */
clip_status cliptsk_head_layout(cliptsk_head *h, int D, int H, int A, bool blind);
void cliptsk_head_free(cliptsk_head *h);

/* cliptsk_head_pack(): make h->w ready for cliptsk_head_answer(). CLIP_ENOMEM. */
clip_status cliptsk_head_pack(const clipk_ctx *k, cliptsk_head *h);

/* cliptsk_head_answer(): out [N, A], probabilities.
 * image, question  in  row i of either is row i * image_step, i * question_step: 0 for one that all share
 * Errors: CLIP_ENOMEM. */
clip_status cliptsk_head_answer(const clipk_ctx *k, const cliptsk_head *h, const float *image, int image_step, const float *question, int question_step,
                                int N, float *out);

/* cliptsk_head_train(): h->w from nothing; packed. The result depends on the data, the options and the instruction set, not on the threads.
 * Errors: CLIP_EINVAL (fewer than two questions), CLIP_EDIVERGED, CLIP_ENOMEM. */
clip_status cliptsk_head_train(const clipk_ctx *k, cliptsk_head *h, const cliptsk_head_data *d, const cliptsk_head_options *o, cliptsk_head_fit *out);

#endif
