/* color.h: parsing the colours of configurations and options. */
#ifndef CLIPB_COLOR_H
#define CLIPB_COLOR_H

#include "clip.h"

/* clipb_background_parse(): clip_background_parse() of clip.h. */
clip_status clipb_background_parse(const char *text, int *background);

#endif
