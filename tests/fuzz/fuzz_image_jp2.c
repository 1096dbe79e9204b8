/* fuzz_image_jp2.c: JPEG 2000, in boxes and bare. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    if (size > 0 && data[0] == 0xFF)
        put(data, size, 0, "\xFF\x4F\xFF\x51", 4);
    else
        put(data, size, 0, "\0\0\0\x0CjP  \r\n\x87\n", 12);
}
