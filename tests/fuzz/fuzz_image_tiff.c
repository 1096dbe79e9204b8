/* fuzz_image_tiff.c: TIFF, of either byte order. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    if (size > 0 && data[0] == 'M')
        put(data, size, 0, "MM\0*", 4);
    else
        put(data, size, 0, "II*\0", 4);
}
