/* The loss of a batch and its gradient at a checkpoint's weights, as a file that tools/gradients.py
 * compares with PyTorch's.
 * usage: dump_step DIRECTORY BATCH.safetensors clip|siglip OUT.safetensors
 * OUT has `loss`, the gradient of every parameter under the parameter's name, and the running
 * statistics after the step under theirs. */
#include <stdio.h>
#include <string.h>

#include "model/save.h"
#include "step.h"

static clip_status write(const step *s, double loss, const char *path, clip_error *err)
{
    const cliptrn_net *n = &s->net;
    const float value = (float)loss;
    clipmdl_params only = {0};
    clipmdl_arrays a = {0};
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *p = &n->params.param[i];
        if (p->flags & CLIPMDL_BUFFER_PARAM)
            memcpy(n->g + p->at, n->w + p->at, p->count * sizeof(float));
    }
    clip_status r = clipmdl_params_add(&only, "loss", 1, 0, NULL, 0, 0);
    if (r == CLIP_OK)
        r = clipmdl_arrays_add(&a, &only, &value, "", &clipmdl_openclip, CLIPK_F32);
    if (r == CLIP_OK)
        r = clipmdl_arrays_add(&a, &n->params, n->g, "", &clipmdl_openclip, CLIPK_F32);
    if (r == CLIP_OK)
        r = clipmdl_arrays_write(&a, path, err);
    clipmdl_arrays_free(&a);
    clipmdl_params_free(&only);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 5 || (strcmp(argv[3], "clip") != 0 && strcmp(argv[3], "siglip") != 0)) {
        fputs("usage: dump_step DIRECTORY BATCH.safetensors clip|siglip OUT.safetensors\n", stderr);
        return 2;
    }
    const cliptrn_net_options opt = {.loss = strcmp(argv[3], "siglip") == 0 ? CLIPTRN_SIGLIP : CLIPTRN_INFONCE};
    step s;
    cliptrn_loss loss = {0};
    clip_error err = {.message = "out of memory"};
    clip_status r = step_open(&s, argv[1], argv[2], &opt, 0, &err);
    if (r == CLIP_OK)
        r = cliptrn_net_gradient(&s.net, &s.batch, 0, &loss, &err);
    if (r == CLIP_OK)
        cliptrn_net_settle(&s.net);
    if (r == CLIP_OK)
        r = write(&s, loss.loss, argv[4], &err);
    if (r < 0)
        fprintf(stderr, "dump_step: %s\n", err.message);
    step_close(&s);
    return r < 0;
}
