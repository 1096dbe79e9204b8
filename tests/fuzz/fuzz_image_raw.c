/* fuzz_image_raw.c: raw files, in the containers of several makers. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    switch (size > 0 ? data[0] : 0) {
    case 'F': put(data, size, 0, "FUJIFILMCCD-RAW", 15); break;
    case 0: put(data, size, 4, "ftypcrx ", 8); break;
    default: put(data, size, 8, "CR", 2); break; /* so that a TIFF of any kind is one */
    }
}
