/* fuzz_image_webp.c: WebP. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 0, "RIFF", 4);
    put(data, size, 8, "WEBP", 4);
}
