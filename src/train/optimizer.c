/* optimizer.c: AdamW, the learning rate, and clipping by the norm of the gradient. */
#include "train/optimizer.h"

#include <math.h>

clip_status cliptrn_zeros(clipb_block *b, float **out, size_t n)
{
    TRY(clipb_block_reserve(b, n * sizeof(float)));
    *out = (float *)(void *)b->base;
    clipb_block_zero(b);
    return CLIP_OK;
}

clip_status cliptrn_optimizer_init(cliptrn_optimizer *o, const cliptrn_optimizer_options *opt,
                                   const clipmdl_params *params)
{
    *o = (cliptrn_optimizer){.opt = *opt};
    TRY(cliptrn_zeros(&o->first, &o->m, params->count));
    return cliptrn_zeros(&o->second, &o->v, params->count);
}

void cliptrn_optimizer_free(cliptrn_optimizer *o)
{
    clipb_block_free(&o->first);
    clipb_block_free(&o->second);
}

double cliptrn_learning_rate(const cliptrn_optimizer_options *o, int64_t step)
{
    if (step < o->warmup)
        return o->lr * (double)(step + 1) / (double)o->warmup;
    if (o->schedule == CLIPTRN_CONST)
        return o->lr;
    if (o->schedule == CLIPTRN_COSINE)
        return o->lr * 0.5 * (1 + cos(M_PI * (double)(step - o->warmup) / (double)(o->steps - o->warmup)));
    const int64_t left = o->steps - step;
    return left >= o->cooldown ? o->lr : o->lr * (double)left / (double)o->cooldown;
}

static bool is_moved(const cliptrn_weights *x, size_t i) { return !x->trains || x->trains[i]; }

double cliptrn_gradient_norm(const clipk_ctx *k, const cliptrn_weights *x)
{
    double sum = 0;
    for (size_t i = 0; i < x->params->n; i++) {
        const clipmdl_param *p = &x->params->param[i];
        if (is_moved(x, i))
            sum += clipk_sum_squares(k, x->g + p->at, p->count);
    }
    return sqrt(sum);
}

void cliptrn_optimizer_step(cliptrn_optimizer *o, const clipk_ctx *k, const cliptrn_weights *x, double norm)
{
    const cliptrn_optimizer_options *opt = &o->opt;
    const double lr = cliptrn_learning_rate(opt, o->step);
    const double t = (double)++o->step;
    /* torch.nn.utils.clip_grad_norm_ */
    const double scale = opt->grad_clip_norm > 0 ? fmin(1, opt->grad_clip_norm / (norm + 1e-6)) : 1;
    clipk_adamw_step s = {.lr = lr, .beta1 = opt->beta1, .beta2 = opt->beta2, .eps = opt->eps, .scale = scale,
                          .correction1 = 1 - pow(opt->beta1, t), .correction2 = 1 - pow(opt->beta2, t)};
    for (size_t i = 0; i < x->params->n; i++) {
        const clipmdl_param *p = &x->params->param[i];
        if (!is_moved(x, i))
            continue;
        s.weight_decay = p->ndim >= 2 ? opt->weight_decay : 0; /* not for gains, biases and logit_scale */
        clipk_adamw(k, x->w + p->at, o->m + p->at, o->v + p->at, x->g + p->at, p->count, &s);
    }
}
