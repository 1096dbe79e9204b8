/* fuzz_image_raw.c: raw files, in the containers of several makers. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    if (size > 0 && data[0] == 'F')
        put(data, size, 0, "FUJIFILMCCD-RAW", 15);
    else if (size > 0 && data[0] == 0)
        put(data, size, 4, "ftypcrx ", 8);
    /* the others are recognised by their directories */
}
