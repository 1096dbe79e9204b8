/* optimizer.h: AdamW, the learning rate, and what holds the two in bounds. */
#ifndef CLIPTRN_OPTIMIZER_H
#define CLIPTRN_OPTIMIZER_H

#include "train/net.h"

/* OpenCLIP's --lr-scheduler. The rate rises over `warmup` steps, to lr at the last of them, then: */
typedef enum cliptrn_schedule {
    CLIPTRN_COSINE,         /* falls to 0 over the rest of the run (Loshchilov and Hutter 2016, arXiv:1608.03983) */
    CLIPTRN_CONST,          /* stays */
    CLIPTRN_CONST_COOLDOWN, /* stays, and over the last `cooldown` steps falls to 0 in a line */
} cliptrn_schedule;

typedef struct cliptrn_optimizer_options {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_clip_norm; /* 0: none */
    cliptrn_schedule schedule;
    int64_t warmup, cooldown, steps;
} cliptrn_optimizer_options;

typedef struct cliptrn_optimizer {
    cliptrn_optimizer_options opt;
    float *m, *v; /* the two moments, laid out as the weights */
    int64_t step; /* how many have been taken */
    clipb_block first, second;
} cliptrn_optimizer;

/* Free with cliptrn_optimizer_free(), also after an error. CLIP_ENOMEM. */
clip_status cliptrn_optimizer_init(cliptrn_optimizer *o, const cliptrn_optimizer_options *opt, const cliptrn_net *n);
void cliptrn_optimizer_free(cliptrn_optimizer *o);

/* cliptrn_learning_rate(): of step 0, 1, .. */
double cliptrn_learning_rate(const cliptrn_optimizer_options *o, int64_t step);

/* cliptrn_gradient_norm(): of the parameters that are trained. Not finite where a gradient is not. */
double cliptrn_gradient_norm(const cliptrn_net *n);

/* cliptrn_optimizer_step(): n->w moves against n->g, whose norm is `norm`; logit_scale is clamped to [0, ln 100]. */
void cliptrn_optimizer_step(cliptrn_optimizer *o, cliptrn_net *n, double norm);

#endif
