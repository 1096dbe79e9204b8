/* resize.h: a resize of which only a window is computed. */
#ifndef CLIPIMG_RESIZE_H
#define CLIPIMG_RESIZE_H

#include "image/image.h"
#include "image/passes.h"

/* clipimg_resize_window(): the pixels [x, x + out->width) x [y, y + out->height) of what clipimg_resize() to width x height would
 * give, into out's own pixels. What lies outside of the window costs nothing, however large.
 * CLIP_ENOMEM. The window lies inside, all sides are at least 1: asserted. */
clip_status clipimg_resize_window(const clipimg_passes *passes, const clip_image *in, int64_t width, int64_t height,
                                  clipimg_filter filter, int64_t x, int64_t y, const clip_image *out);

#endif
