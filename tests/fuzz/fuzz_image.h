/* fuzz_image.h: the common part of the picture formats' targets. Each defines how its input is made
 * to look like its format:
 *
 *     static void prepare(unsigned char *data, size_t size);     e.g. write the magic number
 *
 * A picture of up to a megapixel is decoded with and without a background, in full or reduced, and
 * every pixel is read. */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

static void prepare(unsigned char *data, size_t size);

static inline void put(unsigned char *data, size_t size, size_t at, const char *what, size_t n)
{
    if (size >= at + n)
        memcpy(data + at, what, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1); /* its end is the end of a heap block */
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    prepare(copy, size);
    clip_image img;
    clip_error err;
    clip_image_options o = {
        .max_pixels = 1 << 20, .background = size % 2 ? 0x808080 : -1, .enough = size % 4 < 2 ? 0 : 16};
    if (clipimg_decode(copy, size, "fuzz", &o, NULL, &img, &err) == CLIP_OK) {
        unsigned sum = 0;
        for (int y = 0; y < img.height; y++)
            for (size_t x = 0; x < 3 * (size_t)img.width; x++)
                sum += img.rgb[(size_t)y * img.stride + x];
        volatile unsigned keep = sum;
        (void)keep;
    }
    clipimg_free(&img);
    free(copy);
    return 0;
}

#endif
