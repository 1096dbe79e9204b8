/* step.h: the input of a gradient: a checkpoint directory of OpenCLIP, and a batch.safetensors as
 * tools/dump_gradients.py writes it. */
#ifndef TEST_STEP_H
#define TEST_STEP_H

#include "train/net.h"

typedef struct step {
    cliptrn_net net;
    cliptrn_pairs batch;
    float *pixels;
    int32_t *ids, *off;
    const clipmdl_family *family; /* OpenCLIP's, or SigLIP's where there is a config.json */
} step;

/* step_open(): load the checkpoint's weights and the batch. Close it even after an error. */
clip_status step_open(step *s, const char *dir, const char *batch, const cliptrn_net_options *opt, int threads,
                      clip_error *err);
void step_close(step *s);

#endif
