/* optimizer.h: AdamW, the learning rate, and clipping by the norm of the gradient, over any
 * parameters. */
#ifndef CLIPTRN_OPTIMIZER_H
#define CLIPTRN_OPTIMIZER_H

#include "base/arena.h"
#include "model/params.h"

/* OpenCLIP's --lr-scheduler. The rate rises over `warmup` steps and reaches lr at the last of
 * them. */
typedef enum cliptrn_schedule {
    CLIPTRN_COSINE,         /* then falls to 0 (Loshchilov and Hutter 2016, arXiv:1608.03983) */
    CLIPTRN_CONST,          /* then stays constant */
    CLIPTRN_CONST_COOLDOWN, /* then stays constant; falls linearly to 0 over the last `cooldown` steps */
} cliptrn_schedule;

typedef struct cliptrn_optimizer_options {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_clip_norm; /* 0: no clipping */
    cliptrn_schedule schedule;
    int64_t warmup, cooldown, steps;
} cliptrn_optimizer_options;

/* The weights that an optimizer changes, and their gradients. */
typedef struct cliptrn_weights {
    const clipmdl_params *params; /* parameters of two or more dimensions have weight decay */
    const bool *trains;           /* [params->n] which are trained; NULL: all */
    float *w;                     /* [params->count] */
    const float *g;               /* [params->count] gradients of the trained parameters */
} cliptrn_weights;

typedef struct cliptrn_optimizer {
    cliptrn_optimizer_options opt;
    float *m, *v; /* [params->count] the two moments */
    int64_t step; /* steps done */
    clipb_block first, second;
} cliptrn_optimizer;

/* cliptrn_optimizer_init(): moments of 0 for these parameters. Memory that no step touches stays
 * unused. Free with cliptrn_optimizer_free(), even after an error.
 * Errors: CLIP_ENOMEM. */
clip_status cliptrn_optimizer_init(cliptrn_optimizer *o, const cliptrn_optimizer_options *opt,
                                   const clipmdl_params *params);
void cliptrn_optimizer_free(cliptrn_optimizer *o);

/* cliptrn_learning_rate(): the rate of step 0, 1, .. */
double cliptrn_learning_rate(const cliptrn_optimizer_options *o, int64_t step);

/* cliptrn_gradient_norm(): the norm of the gradient of all trained parameters. NaN or infinite if a
 * gradient is. */
double cliptrn_gradient_norm(const clipk_ctx *k, const cliptrn_weights *x);

/* cliptrn_optimizer_step(): one step of AdamW.
 * norm  in  of the gradient, for clipping; not read if grad_clip_norm is 0 */
void cliptrn_optimizer_step(cliptrn_optimizer *o, const clipk_ctx *k, const cliptrn_weights *x, double norm);

/* cliptrn_zeros(): a block of n numbers, all 0.
 * Errors: CLIP_ENOMEM. */
clip_status cliptrn_zeros(clipb_block *b, float **out, size_t n);

#endif
