/* fuzz_image_pnm.c: PNM, P1 to P7. */
#include "fuzz_image.h"

static void prepare(unsigned char *data, size_t size)
{
    if (size > 2 && (data[1] < '1' || data[1] > '7'))
        data[1] = (unsigned char)('1' + data[1] % 7);
    put(data, size, 0, "P", 1);
    put(data, size, 2, "\n", 1);
}
