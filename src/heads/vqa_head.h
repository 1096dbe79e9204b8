/* vqa_head.h: a small network on a frozen CLIP that answers questions. It reads the embeddings v of
 * a picture and t of a question, unit vectors of D numbers, and the tokens y of the picture, T rows
 * of W numbers, which say what is where:
 *
 *     u = gelu(look y + pos)                    [T, C]  for each token y
 *     z = attention(ask t, keys u, values u)    [C]     by HEADS heads (Vaswani et al. 2017)
 *     x = [v, t, v*t, |v - t|, z, z * gate t]           where v and t agree and differ; what was
 *                                                       found, and the part of it that is asked for
 *     h = gelu(fc x)                            [H]
 *     p = softmax(out h)                        [A]     over the answers of the training data
 *
 * (v and t times sqrt(D): numbers of about 1.) Without tokens, T = 0, x ends with |v - t|. The loss
 * is the cross entropy against the shares of the given answers; the optimizer is AdamW with a
 * cosine schedule. A tenth of the pictures is held back. The weights kept are those of the epoch
 * that scores best on it, and training stops when some epochs have brought no improvement. */
#ifndef CLIPHD_VQA_HEAD_H
#define CLIPHD_VQA_HEAD_H

#include "model/bind.h"

enum { CLIPHD_HEAD_C = 128, CLIPHD_HEAD_HEADS = 8 };

/* A picture, as heads read it: v [D], then its tokens [T, W] in f16, in as many floats as hold
 * them. */
typedef struct cliphd_look {
    int D, T, W;
} cliphd_look;

static inline size_t cliphd_look_floats(const cliphd_look *l)
{
    return (size_t)l->D + ((size_t)l->T * (size_t)l->W + 1) / 2;
}

typedef struct cliphd_head {
    cliphd_look see; /* blind: T = 0 */
    int H, A;
    bool blind; /* without the picture: v = 0 */
    clipmdl_params params;
    float *w; /* [params.count] */
    clipnn_linear look, kv, ask, gate, fc, out;
    const float *pos; /* [T, C] */
    float *dpos;
    clipb_block weights, panels;
} cliphd_head;

/* cliphd_head_layout(): list and place the parameters, all 0. Free with cliphd_head_free(), also
 * after an error.
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_head_layout(cliphd_head *h, cliphd_look see, int H, int A, bool blind);
void cliphd_head_free(cliphd_head *h);

/* cliphd_head_pack(): pack h->w for cliphd_head_answer().
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_head_pack(const clipk_ctx *k, cliphd_head *h);

/* cliphd_head_answer(): out [N, A], probabilities.
 * image, image_step        in  row i is image + i * image_step
 * question, question_step  in  likewise; a step of 0: all rows share one
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_head_answer(const clipk_ctx *k, const cliphd_head *h, const float *image, size_t image_step,
                               const float *question, size_t question_step, int N, float *out);

/* ---- For training (vqa_train.c) -------------------------------------------------------------- */

/* N questions about B pictures: those about picture b are off[b] .. off[b + 1] - 1. */
typedef struct cliphd_head_acts {
    int N, B;
    int32_t *off, *tokens_off;  /* [B + 1] */
    float *tokens, *place;      /* [B*T, W], [B*T, C]: pos, for each picture */
    float *u, *kv;              /* [B*T, C], [B*T, 2C] */
    float *q, *z, *gate;        /* [N, C] */
    float *x;                   /* [N, X] */
    float *h, *z_out;           /* [N, H], [N, A]: logits */
    /* for backward only: */
    float *u_pre, *pre, *lse;   /* [B*T, C], [N, H], [HEADS, N] */
    float *dx, *dh, *dz_out;
    float *dz, *dq, *dgate, *du, *dkv;
    void *work;
} cliphd_head_acts;

/* cliphd_head_acts_reserve(): room for at most N questions about B pictures.
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_head_acts_reserve(clipb_block *block, cliphd_head_acts *s, const clipk_ctx *k,
                                     const cliphd_head *h, int N, int B, bool back);

/* cliphd_head_see(): put in picture b. cliphd_head_hear(): put in question i about it. */
void cliphd_head_see(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h, int b, const float *image);
void cliphd_head_hear(const cliphd_head_acts *s, const cliphd_head *h, int i, const float *image,
                      const float *question);

/* cliphd_head_bind(): bind the layers to h->w, with gradients in g, or packed (NULL).
 * room  in  in training: where weights are packed when they are used */
clip_status cliphd_head_bind(const clipk_ctx *k, cliphd_head *h, float *g, clipb_block *room);

/* cliphd_head_forward(), then cliphd_head_forward_out(): s->x and s->tokens to s->z_out. Dropout
 * changes s->h between the two. */
void cliphd_head_forward(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h);
void cliphd_head_forward_out(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h);

/* cliphd_head_backward_out(): s->dz_out to s->dh. cliphd_head_backward(): s->dh to the
 * parameters. */
void cliphd_head_backward_out(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h);
void cliphd_head_backward(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h);

/* Questions about pictures. Question i is about picture at[i].image, has the embedding
 * at[i].question, and the answers target_off[i] .. target_off[i + 1] - 1. */
typedef struct cliphd_asked {
    int32_t image, question;
} cliphd_asked;

typedef struct cliphd_head_data {
    cliphd_look see;
    const float *image;            /* rows of cliphd_look_floats() */
    const float *question;         /* unit rows [.., D] */
    const cliphd_asked *at;       /* [n] */
    const int32_t *target, *target_off; /* [target_off[n]], [n + 1] */
    const float *worth;            /* [target_off[n]] the score of each answer, 0..1, and its share of the loss */
    /* [.., A] of each question: log of the answers' probability without the picture, added while
     * learning. NULL: none. */
    const float *prior;
    int n;
} cliphd_head_data;

typedef struct cliphd_head_options {
    int hidden, epochs, patience, batch;
    double lr, weight_decay, dropout;
    uint64_t seed;
    bool (*progress)(void *user, int epoch, double loss, double score); /* after each epoch; false: stop. May be NULL */
    void *user;
} cliphd_head_options;

typedef struct cliphd_head_fit {
    int epoch;              /* whose weights were kept, from 1 */
    double score;           /* mean score on the questions held back */
    int trained, held_back; /* questions */
} cliphd_head_fit;

/* cliphd_head_train(): train h->w from the start, and pack it. The result depends on the data, the
 * options and the instruction set, not on the number of threads.
 * Errors: CLIP_EINVAL (fewer than two questions), CLIP_EDIVERGED, CLIP_ENOMEM. */
clip_status cliphd_head_train(const clipk_ctx *k, cliphd_head *h, const cliphd_head_data *d,
                              const cliphd_head_options *o, cliphd_head_fit *out);

#endif
