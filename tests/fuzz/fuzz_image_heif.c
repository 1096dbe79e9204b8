/* fuzz_image_heif.c: HEIC and AVIF. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 4, "ftyp", 4);
    put(data, size, 8, size > 8 && data[8] == 'h' ? "heic" : "avif", 4);
}
