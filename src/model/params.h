/* params.h: the parameters of a model as training, conversion and checkpoints see them: named f32 tensors in one block, in OpenCLIP's names
 * and layouts. Weights, gradients and the two moments of AdamW are four blocks of the same layout: the text tower's, from its embedding to its
 * projection, then the image tower's. Backward meets them from the end to the front, if it begins with pictures; so gradients can take the place
 * of the tape (train/net.c). */
#ifndef CLIPMDL_PARAMS_H
#define CLIPMDL_PARAMS_H

#include "model/config.h"

/* Whose it is, and what may be done with it. */
enum {
    CLIPMDL_IMAGE_PARAM = 1,
    CLIPMDL_TEXT_PARAM = 2,
    CLIPMDL_BUFFER_PARAM = 4,     /* running statistics: not trained */
    CLIPMDL_PROJECTION_PARAM = 8, /* used as x @ W: Hugging Face stores the transpose */
};

typedef struct clipmdl_param {
    char name[128];
    int ndim;         /* 0: a number */
    int64_t dim[4];
    size_t at, count; /* its numbers, from the front of the block; starts are multiples of 16 */
    int flags;
    int group;        /* what unlocks together: 0 the embedding, 1 .. layers the blocks, the last what is behind them */
} clipmdl_param;

typedef struct clipmdl_params {
    clipmdl_param *param; /* [n], in the order of the towers: image, text, logit_scale, logit_bias */
    size_t n, capacity;
    size_t count;         /* numbers in a block */
    uint32_t *slot;       /* [slots] a hash table: 1 + the place in `param`; 0: free */
    size_t slots;         /* a power of two */
} clipmdl_params;

/* clipmdl_params_list(): every parameter of such a model.
 * out  out  free with clipmdl_params_free(). CLIP_ENOMEM. */
clip_status clipmdl_params_list(const clipmdl_config *c, clipmdl_params *out);
void clipmdl_params_free(clipmdl_params *p);

/* clipmdl_params_add(): one more, [rows, dim[1], ..]; what is listed already stays as it is. For binders. CLIP_ENOMEM. */
clip_status clipmdl_params_add(clipmdl_params *p, const char *name, int64_t rows, int ndim, const int64_t *dim,
                               int flags, int group);

/* clipmdl_params_find(): NULL where there is none of that name. */
const clipmdl_param *clipmdl_params_find(const clipmdl_params *p, const char *name);

/* clipmdl_params_init(): OpenCLIP's initial weights (the distributions, not the draws, of its CLIP class; ln(1/0.07) or ln 10 and -10). */
void clipmdl_params_init(const clipmdl_params *p, const clipmdl_config *c, uint64_t seed, float *w);

/* clipmdl_params_read(): the weights of a checkpoint, of any family and type, as f32.
 * Errors: CLIP_EMISMATCH (missing or misshapen, named), CLIP_ENOTFINITE. A logit_bias that the file
 * lacks keeps what is in w. */
clip_status clipmdl_params_read(const clipmdl_params *p, const clipmdl_store *s, const clipmdl_family *family,
                                const char *prefix, float *w, clip_error *err);

#endif
