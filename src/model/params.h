/* params.h: the parameters of a model as training, conversion and checkpoints see them: named f32
 * tensors in one block, in OpenCLIP's names and layouts. Weights, gradients and the two moments of
 * AdamW are four blocks of the same layout.
 *
 * The text tower's parameters come first, from its embedding to its projection, then the image
 * tower's. Backward meets them from the end to the front if it begins with pictures, so gradients
 * can take the place of the tape (train/net.c). */
#ifndef CLIPMDL_PARAMS_H
#define CLIPMDL_PARAMS_H

#include "model/config.h"

/* What a parameter belongs to, and how it is treated. */
enum {
    CLIPMDL_IMAGE_PARAM = 1,
    CLIPMDL_TEXT_PARAM = 2,
    CLIPMDL_BUFFER_PARAM = 4,     /* running statistics: not trained */
    CLIPMDL_PROJECTION_PARAM = 8, /* used as x @ W; some families store the transpose */
};

typedef struct clipmdl_param {
    char name[128];
    int ndim;         /* 0: a number */
    int64_t dim[4];
    size_t at, count; /* its numbers, from the front of the block; starts are multiples of 16 */
    int flags;
    int group;        /* what unlocks together (tower.h) */
} clipmdl_param;

typedef struct clipmdl_params {
    clipmdl_param *param; /* [n], in the order of the towers: image, text, logit_scale, logit_bias */
    size_t n, capacity;
    size_t count;         /* numbers in a block */
    uint32_t *slot;       /* [slots] a hash table: 1 + the place in `param`; 0: free */
    size_t slots;         /* a power of two */
} clipmdl_params;

/* clipmdl_params_list(): every parameter of a model with this configuration, which has both towers.
 * out  out  free with clipmdl_params_free(). CLIP_ENOMEM. */
clip_status clipmdl_params_list(const clipmdl_config *c, clipmdl_params *out);
void clipmdl_params_free(clipmdl_params *p);

/* clipmdl_params_add(): add [rows, dim[1], ..]. A name that is listed already stays as it is. For
 * binders. CLIP_ENOMEM. */
clip_status clipmdl_params_add(clipmdl_params *p, const char *name, int64_t rows, int ndim, const int64_t *dim,
                               int flags, int group);

/* clipmdl_params_find(): NULL where there is none of that name. */
const clipmdl_param *clipmdl_params_find(const clipmdl_params *p, const char *name);

/* clipmdl_params_init(): initial weights from the distributions (not the draws) of OpenCLIP's CLIP
 * class. logit_scale is ln(1/0.07); with a logit_bias it is ln 10, and the bias -10. */
void clipmdl_params_init(const clipmdl_params *p, const clipmdl_config *c, uint64_t seed, float *w);

/* clipmdl_params_read(): the weights of a checkpoint, of any family and any type, as f32. Where the
 * file has no logit_bias, the one in w stays.
 * Errors: CLIP_EMISMATCH (missing or misshapen, named), CLIP_ENOTFINITE, CLIP_ENOMEM. */
clip_status clipmdl_params_read(const clipmdl_params *p, const clipmdl_store *s, const clipmdl_family *family,
                                const char *prefix, float *w, clip_error *err);

#endif
