/* params.h: the parameters of a model for training, conversion and checkpoints: named f32 tensors
 * in one block, in OpenCLIP's names and layouts. Weights, gradients and the two moments of AdamW
 * are four blocks of the same layout.
 *
 * The text tower's parameters come first, from its embedding to its projection, then the image
 * tower's. Backward begins with pictures and so goes through the block from the end to the front:
 * gradients can take the place of the tape (train/net.c). */
#ifndef CLIPMDL_PARAMS_H
#define CLIPMDL_PARAMS_H

#include "model/config.h"
#include "model/positions.h"

/* Flags of a parameter: its tower, and how it is treated. */
enum {
    CLIPMDL_IMAGE_PARAM = 1,
    CLIPMDL_TEXT_PARAM = 2,
    CLIPMDL_BUFFER_PARAM = 4,     /* running statistics: not trained */
    CLIPMDL_PROJECTION_PARAM = 8, /* used as x @ W; some families store the transpose */
    CLIPMDL_LARGE_PARAM = 16,     /* a table of tokens, or filters */
};

typedef struct clipmdl_param {
    char name[128];
    int ndim;         /* 0: a single number */
    int64_t dim[4];
    size_t at, count; /* its numbers in the block; every start is a multiple of 16 */
    int flags;
    int group;        /* parameters of a group are unlocked together (tower.h) */
    clipmdl_positions positions; /* of a grid; otherwise 0 */
} clipmdl_param;

typedef struct clipmdl_params {
    clipmdl_param *param; /* [n], in the order of the towers: image, text, logit_scale, logit_bias */
    size_t n, capacity;
    size_t count;         /* numbers in a block */
    uint32_t *slot;       /* [slots] a hash table: 1 + the index in `param`; 0: free */
    size_t slots;         /* a power of two */
} clipmdl_params;

/* clipmdl_params_list(): every parameter of a model with this configuration, which has both towers.
 * out  out  free with clipmdl_params_free()
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_params_list(const clipmdl_config *c, clipmdl_params *out);
void clipmdl_params_free(clipmdl_params *p);

/* clipmdl_params_add(): add a parameter [rows, dim[1], ..]. Used by binders. A name that is listed
 * already is left as it is.
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_params_add(clipmdl_params *p, const char *name, int64_t rows, int ndim, const int64_t *dim,
                               int flags, int group);

/* clipmdl_params_find(): the parameter of this name, or NULL. */
const clipmdl_param *clipmdl_params_find(const clipmdl_params *p, const char *name);

/* clipmdl_params_init(): initial weights from the distributions (not the draws) of OpenCLIP's CLIP
 * class. logit_scale is ln(1/0.07); with a logit_bias it is ln 10, and the bias -10. */
void clipmdl_params_init(const clipmdl_params *p, const clipmdl_config *c, uint64_t seed, float *w);

/* clipmdl_params_missing(): the first parameter that the file lacks, or has in another shape; NULL:
 * all are there. Towers can read weights whose branches have been joined, in which a layout's
 * tensors are no longer there. A logit_bias may be missing. */
const clipmdl_param *clipmdl_params_missing(const clipmdl_params *p, const clipmdl_store *s,
                                            const clipmdl_family *family, const char *prefix);

/* clipmdl_params_read(): the weights of a checkpoint, of any family and any type, as f32. If the
 * file has no logit_bias, w keeps its own.
 * Errors: CLIP_EUNSUPPORTED (weights in 8 bits), CLIP_EMISMATCH (missing or misshapen, named),
 * CLIP_ENOTFINITE, CLIP_ENOMEM. */
clip_status clipmdl_params_read(const clipmdl_params *p, const clipmdl_store *s, const clipmdl_family *family,
                                const char *prefix, float *w, clip_error *err);

#endif
