/* fuzz_image_jpeg.c: JPEG. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 0, "\xff\xd8\xff", 3);
}
