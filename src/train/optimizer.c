#include "train/optimizer.h"

#include <math.h>

clip_status cliptrn_optimizer_init(cliptrn_optimizer *o, const cliptrn_optimizer_options *opt, const cliptrn_net *n)
{
    *o = (cliptrn_optimizer){.opt = *opt};
    TRY(cliptrn_zeros(&o->first, &o->m, n->params.count));
    return cliptrn_zeros(&o->second, &o->v, n->params.count);
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

double cliptrn_gradient_norm(const cliptrn_net *n)
{
    double sum = 0;
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *p = &n->params.param[i];
        if (cliptrn_net_trains(n, p))
            sum += clipk_sum_squares(&n->k, n->g + p->at, p->count);
    }
    return sqrt(sum);
}

void cliptrn_optimizer_step(cliptrn_optimizer *o, cliptrn_net *n, double norm)
{
    const cliptrn_optimizer_options *p = &o->opt;
    const double lr = cliptrn_learning_rate(p, o->step);
    const double t = (double)++o->step;
    /* torch.nn.utils.clip_grad_norm_ */
    const double scale = p->grad_clip_norm > 0 ? fmin(1, p->grad_clip_norm / (norm + 1e-6)) : 1;
    clipk_adamw_step s = {.lr = lr, .beta1 = p->beta1, .beta2 = p->beta2, .eps = p->eps, .scale = scale,
                          .correction1 = 1 - pow(p->beta1, t), .correction2 = 1 - pow(p->beta2, t)};
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *q = &n->params.param[i];
        if (!cliptrn_net_trains(n, q))
            continue;
        s.weight_decay = q->ndim >= 2 ? p->weight_decay : 0; /* gains, biases and logit_scale are left alone */
        clipk_adamw(&n->k, n->w + q->at, o->m + q->at, o->v + q->at, n->g + q->at, q->count, &s);
    }
    cliptrn_net_move_statistics(n);
    float *scale_log = cliptrn_net_number(n, n->w, "logit_scale");
    *scale_log = fminf(fmaxf(*scale_log, 0), logf(100));
}
