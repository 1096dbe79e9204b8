/* fuzz_image_png.c: PNG. Checksums are corrected, so that the code behind them is reached. */
#include "fuzz_image.h"

#include <zlib.h>

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 0, "\x89PNG\r\n\x1a\n", 8);
    for (size_t at = 8; at + 12 <= size;) {
        size_t n = big32(data + at);
        if (n > size - at - 12)
            return;
        uint32_t crc = (uint32_t)crc32(0, data + at + 4, (uInt)n + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + n + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        at += n + 12;
    }
}
