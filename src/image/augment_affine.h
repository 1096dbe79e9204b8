/* augment_affine.h: the affine view of an augmentation. */
#ifndef CLIPIMG_AUGMENT_AFFINE_H
#define CLIPIMG_AUGMENT_AFFINE_H

#include "image/augment.h"

/* clipimg_affine_view(): draws a view of img and renders it into out's own pixels, [S, S]. CLIP_ENOMEM. */
clip_status clipimg_affine_view(const clipimg_affine *a, clipb_rng *rng, const clipimg_recipe *r, const clip_image *img,
                                const clip_image *out);

#endif
