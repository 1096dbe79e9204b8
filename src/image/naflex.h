/* naflex.h: a picture as patches that keep its shape. */
#ifndef CLIPIMG_NAFLEX_H
#define CLIPIMG_NAFLEX_H

#include "image/image.h"

/* clipimg_naflex(): prepare a picture by a recipe of the mode CLIPIMG_NAFLEX.
 * width, height  in   the picture's full size. The grid is computed from it
 * out            out  [clipimg_floats(r)]
 * Errors: CLIP_EINVAL (too long for the recipe's patches), CLIP_ENOMEM. */
clip_status clipimg_naflex(const clipimg_recipe *r, const clip_image *img, int width, int height, float *out);

/* preprocess.c: what each of the 256 levels of a channel becomes. */
void clipimg_levels(const clipimg_recipe *r, float level[3][256]);

#endif
