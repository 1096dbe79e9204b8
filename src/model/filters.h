/* filters.h: the filters of a convolution, put together from the tensors of a file before they are
 * packed: branches that are added up (RepVGG, Ding et al. 2021, arXiv:2101.03697), batch norms,
 * layer scales. For towers of inference alone, whose forward has one convolution in place of all.
 *
 *     begin, then add or read, then what changes them, then one of the last four
 *
 * While measuring, or where a tensor is missing, the filters have no memory, and the functions do
 * what they do for the binder alone. */
#ifndef CLIPMDL_FILTERS_H
#define CLIPMDL_FILTERS_H

#include "model/bind.h"

typedef struct clipmdl_filters {
    clipmdl_binder *binder;
    int O, I, K;  /* I: channels that one filter sees; 1 if depthwise */
    float *w, *b; /* [O, I, K, K], [O]; NULL while measuring */
} clipmdl_filters;

/* clipmdl_filters_begin(): all 0. */
clipmdl_filters clipmdl_filters_begin(clipmdl_binder *b, int O, int I, int K);

/* clipmdl_filters_read(): += a tensor of filters, and its bias.
 * weight  in  its shape is [O, I, K, K]; [O, I] if `linear`
 * bias    in  NULL: none */
void clipmdl_filters_read(clipmdl_filters *f, const char *prefix, const char *weight, const char *bias, bool linear);

/* clipmdl_filters_add(): += a branch: a convolution with a batch norm behind it, "conv.weight" and
 * "bn.". Its filters are k x k and stand in the middle of K x K. With `conv` NULL the branch is the
 * norm alone. `sign`: 1 or -1 */
void clipmdl_filters_add(clipmdl_filters *f, const char *prefix, const char *conv, const char *bn, int k, int sign);

/* clipmdl_filters_identity(): += the identity.
 * clipmdl_filters_scale(): each filter and bias times a number of the tensor [O], which may be
 * [O, 1, 1].
 * clipmdl_filters_norm_before(): put a batch norm before the convolution, which is 1x1. */
void clipmdl_filters_identity(clipmdl_filters *f);
void clipmdl_filters_scale(clipmdl_filters *f, const char *prefix, const char *gamma, int ndim);
void clipmdl_filters_norm_before(clipmdl_filters *f, const char *prefix, const char *bn);

/* The last step, which frees the filters.
 * clipmdl_filters_linear(): a product over columns in the order of clipk_im2col().
 * clipmdl_filters_columns(): a product over columns in the order of clipk_columns().
 * clipmdl_filters_conv3x3(): a convolution with K = 3, stride 1.
 * clipmdl_filters_depthwise(): filters of one channel each. */
void clipmdl_filters_linear(clipmdl_filters *f, clipnn_linear *out);
void clipmdl_filters_columns(clipmdl_filters *f, clipnn_linear *out);
void clipmdl_filters_conv3x3(clipmdl_filters *f, clipnn_conv3x3 *out);
void clipmdl_filters_depthwise(clipmdl_filters *f, clipk_depthwise_weight *out, int stride);

#endif
