/* color.h: a color as people and configurations write it. */
#ifndef CLIPB_COLOR_H
#define CLIPB_COLOR_H

#include "base/status.h"

/* clipb_background_parse(): clip_background_parse() of clip.h. CLIP_EINVAL. */
clip_status clipb_background_parse(const char *text, int *background);

#endif
