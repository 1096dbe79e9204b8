/* pixels.c: memory for pictures, and the conversion of RGBA and CMYK rows. */
#include "image/decode.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

void clipimg_free(clip_image *img)
{
    if (!img)
        return;
    free(img->rgb);
    *img = (clip_image){0};
}

void *clipimg_pixels(size_t bytes)
{
    const size_t huge = 2u << 20;
    if (bytes < 2 * huge || bytes > SIZE_MAX - huge)
        return malloc(bytes);
    void *p = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);
    if (p)
        madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

clip_status clipimg_allow(const clipimg_input *in, uint64_t width, uint64_t height)
{
    if (width == 0 || height == 0)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "a picture of %llu x %llu pixels has no content",
                          (unsigned long long)width, (unsigned long long)height);
    if (width > INT_MAX || height > INT_MAX || in->max_pixels < 1 || width > (uint64_t)in->max_pixels / height)
        return clipb_fail(in->err, CLIP_ELIMIT, in->name,
                          "%llu x %llu pixels are more than the %lld allowed (max_pixels, --max-pixels)",
                          (unsigned long long)width, (unsigned long long)height, (long long)in->max_pixels);
    return CLIP_OK;
}

clip_status clipimg_new(const clipimg_input *in, uint64_t width, uint64_t height, clip_image *out)
{
    TRY(clipimg_allow(in, width, height));
    size_t stride = 3 * (size_t)width, bytes;
    uint8_t *rgb = __builtin_mul_overflow(stride, (size_t)height, &bytes) ? NULL : clipimg_pixels(bytes);
    if (!rgb)
        return clipb_fail(in->err, CLIP_ENOMEM, in->name, "out of memory for %llu x %llu pixels",
                          (unsigned long long)width, (unsigned long long)height);
    *out = (clip_image){.width = (int)width, .height = (int)height, .stride = stride, .rgb = rgb};
    return CLIP_OK;
}

void clipimg_flatten_row(const clipimg_input *in, const uint8_t *rgba, uint8_t *rgb, size_t width)
{
    for (size_t x = 0; x < width; x++, rgba += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            unsigned t = (unsigned)(rgba[c] * rgba[3] + in->background[c] * (255 - rgba[3]) + 128);
            rgb[c] = (uint8_t)((t + (t >> 8)) >> 8);
        }
}

void clipimg_cmyk_row(const uint8_t *cmyk, bool inverted, uint8_t *rgb, size_t width)
{
    unsigned flip = inverted ? 255 : 0;
    for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        unsigned light = 255 - (cmyk[3] ^ flip);
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(light - clipimg_mul255(cmyk[c] ^ flip, light));
    }
}
