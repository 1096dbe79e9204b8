/* fuzz_image_jxl.c: JPEG XL, in boxes and bare. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    if (size > 0 && data[0] == 0xFF)
        put(data, size, 0, "\xFF\x0A", 2);
    else
        put(data, size, 0, "\0\0\0\x0CJXL \r\n\x87\n", 12);
}
