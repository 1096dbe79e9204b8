/* augment_affine.h: the affine view of an augmentation. */
#ifndef CLIPIMG_AUGMENT_AFFINE_H
#define CLIPIMG_AUGMENT_AFFINE_H

#include "image/augment.h"

/* clipimg_affine_view(): draw a random view of img and render it.
 * out  in  the caller's pixels [S, S] are written
 * Errors: CLIP_ENOMEM. */
clip_status clipimg_affine_view(const clipimg_affine *a, clipb_rng *rng, const clipimg_recipe *r, const clip_image *img,
                                const clip_image *out);

#endif
