/* net.h: the pair of towers in training: weights, and their gradient on a batch. */
#ifndef CLIPTRN_NET_H
#define CLIPTRN_NET_H

#include "base/peers.h"
#include "model/params.h"
#include "model/tower.h"
#include "train/loss.h"
#include "train/optimizer.h"

/* What is trained. Unlocked groups are OpenCLIP's --lock-image-unlocked-groups: with 0 a locked
 * tower stays as it is, with 1 its projection learns, with 2 also its last block, and so on. */
typedef struct cliptrn_net_options {
    cliptrn_loss_kind loss;
    bool lock_image, lock_text;
    int image_unlocked, text_unlocked; /* groups */
    bool freeze_bn;                    /* batch norms use their running statistics and leave them */
    double patch_dropout;              /* share of a picture's patches that a step leaves out */
    int chunk;                         /* samples whose tape is held at once; 0: all */
    uint64_t seed;
    const clipb_peers *peers;          /* who train the same net; must outlive it; NULL: alone */
    const clipk_set *set;              /* NULL: the best one here */
    const clipk_format *format;        /* of products, forward and backward; NULL: f32. The set must have it */
} cliptrn_net_options;

/* N pairs: pixels [N, 3, S, S]; text i is ids[off[i]] .. ids[off[i + 1] - 1], cut to the length
 * that its tower needs. With peers, they are this rank's part of a batch of `whole` pairs. */
typedef struct cliptrn_pairs {
    int N;
    const float *pixels;
    const int32_t *ids, *off;
    int whole;         /* not read alone */
    const int *holder; /* [whole] the rank that has the pair; each rank has its own in order */
} cliptrn_pairs;

typedef struct cliptrn_net {
    clipmdl_config config;
    cliptrn_net_options opt;
    clipmdl_params params;
    float *w, *g; /* [params.count]: weights; gradients, which the tape of the next step overwrites */
    clipmdl_tower *image, *text;
    bool *trains; /* [params.n] by the locks of opt */
    const float *bound; /* the g that the towers are bound to */
    clipk_ctx k;
    clipb_block weights, tape, image_panels, text_panels, room, scratch, batch, grads;
} cliptrn_net;

/* cliptrn_net_init(): weights drawn by opt->seed; clipmdl_params_read() can replace them. Zero the
 * struct before.
 * threads  in   0: all
 * Free with cliptrn_net_free(), also after an error.
 * Errors: CLIP_ENOMEM, CLIP_EUNSUPPORTED (the tower does not have such a setting). */
clip_status cliptrn_net_init(cliptrn_net *n, const clipmdl_config *c, const cliptrn_net_options *opt, int threads,
                             clip_error *err);
void cliptrn_net_free(cliptrn_net *n);

/* cliptrn_net_weights(): what an optimizer moves, until the next gradient. */
cliptrn_weights cliptrn_net_weights(const cliptrn_net *n);

/* cliptrn_net_gradient(): n->g becomes the gradient of the loss on a batch at the weights n->w.
 * With peers, all ranks call it together. Loss and gradient are those of the whole batch, with the
 * same bits in every rank.
 * step  in   seeds the draws of this step (patch dropout)
 * Errors: CLIP_ENOMEM, CLIP_EIO (a peer is gone). */
clip_status cliptrn_net_gradient(cliptrn_net *n, const cliptrn_pairs *batch, int64_t step, cliptrn_loss *out,
                                 clip_error *err);

/* cliptrn_net_settle(): the end of a step, after the optimizer. logit_scale is clamped to [0, ln
 * 100]. The running statistics of batch norms move by a tenth, PyTorch's default, towards the
 * statistics of the batch, which the gradient has left in n->g. */
void cliptrn_net_settle(cliptrn_net *n);

/* cliptrn_net_number(): the place of the parameter `name` in a block of weights or gradients. The
 * model must have it. */
float *cliptrn_net_number(const cliptrn_net *n, float *block, const char *name);

#endif
