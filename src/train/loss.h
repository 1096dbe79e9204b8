/* loss.h: the contrastive losses, at the embeddings of a whole batch. */
#ifndef CLIPTRN_LOSS_H
#define CLIPTRN_LOSS_H

#include "base/arena.h"
#include "kernels/kernels.h"

typedef enum cliptrn_loss_kind {
    CLIPTRN_INFONCE, /* symmetric cross entropy over the batch (arXiv:2103.00020, figure 3) */
    CLIPTRN_SIGLIP,  /* every pair by itself, with a bias (arXiv:2303.15343) */
} cliptrn_loss_kind;

/* Working memory for a batch of N pairs. */
typedef struct cliptrn_loss_acts {
    float *Z;                    /* [N, N] */
    float *row_lse, *column_lse; /* [N] */
    double *row_loss, *row_dscale, *row_dbias; /* [N] */
    void *panels;
} cliptrn_loss_acts;

/* cliptrn_loss_layout(): place the working memory for N embeddings of D numbers in an arena. */
void cliptrn_loss_layout(clipb_arena *a, cliptrn_loss_acts *acts, const clipk_ctx *k, int N, int D);

typedef struct cliptrn_loss {
    double loss;
    double dscale, dbias; /* gradients of the parameters: of logit_scale = ln scale, and of logit_bias */
    double scale, bias;
} cliptrn_loss;

/* cliptrn_loss_backward(): the loss of a batch, and its gradient at the embeddings.
 * l->scale, l->bias  in   exp(logit_scale), which is 1/tau; logit_bias, which InfoNCE does not read
 * l->loss and others out  the loss, and its gradient at the two parameters
 * dv, dt             out  [N, D] the gradient at v and t
 * acts               tmp  of cliptrn_loss_layout()
 * v, t               in   [N, D] unit rows; pair i is v[i] and t[i] */
void cliptrn_loss_backward(const clipk_ctx *k, cliptrn_loss *l, float *dv, float *dt, const cliptrn_loss_acts *acts,
                           const float *v, const float *t, int N, int D, cliptrn_loss_kind kind);

#endif
