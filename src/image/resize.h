/* resize.h: a resize that computes only a window of the result. */
#ifndef CLIPIMG_RESIZE_H
#define CLIPIMG_RESIZE_H

#include "image/image.h"
#include "image/passes.h"

/* clipimg_resize_window(): a window of the picture that clipimg_resize() to width x height would
 * give. The rest of that picture costs nothing, however large it is.
 * x, y  in  the window's corner. All sides are at least 1 and the window lies inside: asserted
 * out   in  the window's size; the caller's pixels are written
 * Errors: CLIP_ENOMEM. */
clip_status clipimg_resize_window(const clipimg_passes *passes, const clip_image *in, int64_t width, int64_t height,
                                  clipimg_filter filter, int64_t x, int64_t y, const clip_image *out);

#endif
