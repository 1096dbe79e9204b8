/* fuzz_image_bmp.c: BMP. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 0, "BM", 2);
}
