/* loss.h: the contrastive losses, at the embeddings of a whole batch. */
#ifndef CLIPTRN_LOSS_H
#define CLIPTRN_LOSS_H

#include "base/arena.h"
#include "kernels/kernels.h"

typedef enum cliptrn_loss_kind {
    CLIPTRN_INFONCE, /* symmetric cross entropy over the batch (Radford et al. 2021, arXiv:2103.00020, figure 3) */
    CLIPTRN_SIGLIP,  /* every pair by itself, with a bias (Zhai et al. 2023, arXiv:2303.15343) */
} cliptrn_loss_kind;

/* Room for a batch of N; what is not said to be `out` is scratch. */
typedef struct cliptrn_loss_acts {
    float *Z;                    /* [N, N] */
    float *row_lse, *column_lse; /* [N] */
    double *row_loss, *row_dscale, *row_dbias; /* [N] */
    void *panels;
} cliptrn_loss_acts;

void cliptrn_loss_layout(clipb_arena *a, cliptrn_loss_acts *acts, const clipk_ctx *k, int N, int D);

typedef struct cliptrn_loss {
    double loss;
    double dscale, dbias; /* by the logarithm of the scale, as it is the parameter, and by the bias */
    double scale, bias;
} cliptrn_loss;

/* cliptrn_loss_backward(): the loss of v, t [N, D], unit rows, pair i being v[i] and t[i]; its
 * gradient at them in dv, dt [N, D].
 * l->scale  in   exp(logit_scale), 1/tau
 * l->bias   in   logit_bias; InfoNCE has none */
void cliptrn_loss_backward(const clipk_ctx *k, cliptrn_loss *l, float *dv, float *dt, const cliptrn_loss_acts *acts,
                           const float *v, const float *t, int N, int D, cliptrn_loss_kind kind);

#endif
