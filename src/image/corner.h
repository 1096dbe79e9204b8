/* corner.h: a picture in the upper left corner of a square, made smaller by a blur. */
#ifndef CLIPIMG_CORNER_H
#define CLIPIMG_CORNER_H

#include "image/image.h"

/* clipimg_corner(): prepare a picture by a recipe of the mode CLIPIMG_CORNER.
 * out  out  [3, S, S]
 * Errors: CLIP_ENOMEM. */
clip_status clipimg_corner(const clipimg_recipe *r, const clip_image *img, float *out);

#endif
