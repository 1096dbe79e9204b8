#include <stdio.h>

#include "api/api.h"

const char *clip_version(void) { return CLIP_VERSION; }

const char *clip_build_info(void)
{
    static char info[256]; /* the same text whoever writes it first */
    int n = snprintf(info, sizeof info, "pictures: %s; instruction sets:", clipimg_formats());
    const clipk_set *set;
    for (int i = 0; (set = clipk_set_usable(i)) && n > 0 && n < (int)sizeof info; i++)
        n += snprintf(info + n, sizeof info - (size_t)n, " %s", clipk_set_name(set));
    return info;
}
