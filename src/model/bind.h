/* bind.h: from the tensors of a file, or the parameters of a training session, to the operands of
 * the layers.
 *
 * A tower's bind function names every parameter once, with its shape. It runs twice. While
 * measuring (the arena has no memory) it finds the tensors, checks their shapes and counts bytes.
 * While placing, it converts and packs. Missing and misshapen tensors are collected, so that one
 * error names them all.
 *
 * In training, parameters are used in place. Trained parameters are packed at each use, locked ones
 * once. */
#ifndef CLIPMDL_BIND_H
#define CLIPMDL_BIND_H

#include "model/names.h"
#include "model/params.h"
#include "nn/nn.h"

typedef struct clipmdl_binder {
    /* From a file: */
    const clipmdl_store *store;
    const clipmdl_family *family; /* NULL: the code's names, of a training or a list */
    const char *prefix;
    const clipk_format *format; /* of matrices, except a ResNet's filters; NULL: f32 products */
    bool back; /* also pack transposed matrices, for the gradients of activations; parameters get no gradients */
    bool in_place; /* matrices whose rows are dense in a mapped file stay there, as views */
    /* Or from a training session: */
    const clipmdl_params *params;
    float *w, *g;      /* weights; gradients of the groups from first_group (NULL: not wanted) */
    int first_group;
    clipb_block *room; /* weights are packed here when used; grows to hold the largest */
    bool freeze_bn;    /* batch norms use their running statistics and learn nothing */
    struct clipmdl_integers *integers; /* what products in 8 bits become is kept here (quantised.h); NULL: not */
    /* Or only a list of all parameters: */
    clipmdl_params *list;

    int flags, group; /* of the next parameters: clipmdl_tower_bind() sets flags, the tower sets group */
    const clipk_ctx *k;
    clipb_arena arena;
    clipb_block scratch; /* a tensor that is put together before it is packed */
    clip_status status;  /* CLIP_ENOMEM, CLIP_ENOTFINITE; sticky */
    const clipmdl_tensor *not_finite; /* the tensor that holds NaN or infinity */
    int64_t parameters;  /* counted while measuring */
    int faults;
    char first_faults[512]; /* the first few, for the error */
    int odd_types;          /* tensors of a type that weights cannot have */
    const clipmdl_tensor *odd_type; /* the first of them */
    clip_warn_fn warn;      /* called for every fault; may be NULL */
    void *warn_user;
} clipmdl_binder;

/* Names are OpenCLIP's, in two pieces, `prefix` and `name`: ("visual.", "ln_pre.weight"). */

/* A vector [n] of f32. d: its gradient; NULL if not wanted. */
void clipmdl_bind_vector(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                         int64_t n);

/* A [rows, cols] f32 matrix that is not packed. */
void clipmdl_bind_matrix(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                         int64_t rows, int64_t cols);

/* Positions [first + side * side, C]. If a file's grid has another size, its positions are
 * resampled as the family does. */
void clipmdl_bind_positions(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                            const clipmdl_positions *p, int C);

/* gain and bias: name.weight, name.bias */
void clipmdl_bind_layernorm(clipmdl_binder *b, clipnn_layernorm *out, const char *prefix, const char *name, int C,
                            float eps);

/* Rows first .. first+O of the [total, I] matrix `weight`, packed in the binder's format.
 * bias  in  [total] or NULL */
void clipmdl_bind_linear(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *weight,
                         const char *bias, int first, int O, int total, int I);

/* This tensor's numbers must be finite, because the next layer would hide infinities. In other
 * tensors infinities reach the results, which are checked later. */
void clipmdl_bind_finite(clipmdl_binder *b, const char *prefix, const char *name);

/* A projection without bias: [I, O] if the family transposes it, otherwise [O, I]. */
void clipmdl_bind_projection(clipmdl_binder *b, clipnn_linear *out, const char *name, int O, int I);

/* The filters of a patch embedding, [O, 3, P, P] read as [O, 3*P*P]; `bias` [O] or NULL. */
void clipmdl_bind_patches(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *weight,
                          const char *bias, int O, int P);

/* A table that stays in the file, with its own type. */
void clipmdl_bind_table(clipmdl_binder *b, clipk_view *out, float **d, const char *prefix, const char *name,
                        int64_t rows, int64_t cols);

/* A convolution and the batch norm behind it: conv.weight [O, I, K, K] and
 * bn.{weight,bias,running_mean,running_var}. The norm is folded into the filters unless gradients
 * are wanted. clipmdl_bind_conv() makes a product over im2col's columns (or over pixels, K = 1).
 * clipmdl_bind_conv3x3() makes a 3x3 convolution. */
void clipmdl_bind_conv(clipmdl_binder *b, clipnn_conv1x1 *out, const char *prefix, const char *conv, const char *bn,
                       int O, int I, int K);
void clipmdl_bind_conv3x3(clipmdl_binder *b, clipnn_conv3x3 *out, const char *prefix, const char *conv, const char *bn,
                          int O, int I);

/* For towers that put their operands together themselves (filters.h).
 * clipmdl_binder_has(): is there such a tensor? false without a file.
 * clipmdl_bind_copy(): the numbers of a tensor as f32; they must be finite. free() them. NULL while
 * measuring, and where the tensor is missing.
 * clipmdl_bind_made(): the operand W [O, I] with its bias b [O].
 * w  in  NULL: measure */
bool clipmdl_binder_has(const clipmdl_binder *b, const char *prefix, const char *name);
float *clipmdl_bind_copy(clipmdl_binder *b, const char *prefix, const char *name, int ndim, const int64_t *dim);
void clipmdl_bind_made(clipmdl_binder *b, clipnn_linear *out, const float *w, const float *bias, int O, int I);

static inline bool clipmdl_binder_places(const clipmdl_binder *b)
{
    return b->arena.base != NULL && b->status == CLIP_OK;
}

#endif
