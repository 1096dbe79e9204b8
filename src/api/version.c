#include <pthread.h>
#include <stdio.h>

#include "engine/engine.h"
#include "hub/hub.h"

const char *clip_version(void) { return CLIP_VERSION_STRING; }

static char info[512];

static void write_info(void)
{
    int n = snprintf(info, sizeof info, "pictures: %s; pull: %s; instruction sets:", clipimg_formats(),
                     cliphub_fetcher() ? cliphub_fetcher() : "not built in");
    char with[64];
    const clipk_set *set;
    for (int i = 0; (set = clipk_set_usable(i)) && n > 0 && n < (int)sizeof info; i++)
        n += snprintf(info + n, sizeof info - (size_t)n, " %s%s", clipk_set_name(set),
                      clipeng_precisions_note(set, with));
}

const char *clip_precision_at(int i) { return clipeng_precision_at(i); }

const char *clip_build_info(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, write_info);
    return info;
}
