/* Training steps from a checkpoint's weights on given batches: tools/trajectory.py compares them
 * with PyTorch's.
 * usage: run_steps DIRECTORY PAIRS.safetensors BATCH LR WARMUP
 * PAIRS has the form of batch.safetensors, with all batches one after the other. Prints a line of
 * JSON for each step; logit_scale is the parameter after the step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "step.h"
#include "train/optimizer.h"

static clip_status train(step *s, cliptrn_optimizer *o, int B)
{
    const size_t S = (size_t)s->net.config.vision.image_size;
    for (int i = 0; (i + 1) * B <= s->batch.N; i++) {
        const cliptrn_pairs batch = {.N = B,
                                     .pixels = s->pixels + (size_t)i * (size_t)B * 3 * S * S,
                                     .ids = s->ids,
                                     .off = s->off + (size_t)i * (size_t)B};
        cliptrn_loss loss;
        TRY(cliptrn_net_gradient(&s->net, &batch, i, &loss, NULL));
        const cliptrn_weights weights = cliptrn_net_weights(&s->net);
        const double norm = cliptrn_gradient_norm(&s->net.k, &weights), lr = cliptrn_learning_rate(&o->opt, i);
        cliptrn_optimizer_step(o, &s->net.k, &weights, norm);
        cliptrn_net_settle(&s->net);
        printf("{\"step\": %d, \"lr\": %.9g, \"loss\": %.9g, \"grad_norm\": %.9g, \"logit_scale\": %.9g}\n", i, lr,
               loss.loss, norm, (double)*cliptrn_net_number(&s->net, s->net.w, "logit_scale"));
        fflush(stdout);
    }
    return CLIP_OK;
}

int main(int argc, char **argv)
{
    const int B = argc == 6 ? atoi(argv[3]) : 0;
    if (B < 1) {
        fputs("usage: run_steps DIRECTORY PAIRS.safetensors BATCH LR WARMUP\n", stderr);
        return 2;
    }
    const cliptrn_optimizer_options opt = {.lr = atof(argv[4]),
                                           .beta1 = 0.9,
                                           .beta2 = 0.98,
                                           .eps = 1e-6,
                                           .weight_decay = 0.2,
                                           .grad_clip_norm = 1,
                                           .schedule = CLIPTRN_CONST,
                                           .warmup = atoi(argv[5])};
    step s;
    cliptrn_optimizer o = {0};
    clip_error err = {.message = "out of memory"};
    clip_status r = step_open(&s, argv[1], argv[2], &(cliptrn_net_options){0}, 0, &err);
    if (r == CLIP_OK)
        r = cliptrn_optimizer_init(&o, &opt, &s.net.params);
    if (r == CLIP_OK)
        r = train(&s, &o, B);
    if (r < 0)
        fprintf(stderr, "run_steps: %s\n", err.message);
    cliptrn_optimizer_free(&o);
    step_close(&s);
    return r < 0;
}
