/* fuzz_image_gif.c: GIF. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 0, "GIF89a", 6);
}
