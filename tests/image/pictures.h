/* pictures.h: pictures that C and tools/dump_images.py make alike, and a hash of their pixels. */
#ifndef PICTURES_H
#define PICTURES_H

#include <stdint.h>
#include <stdlib.h>

#include "clip.h"

/* Byte i of a picture of noise: a mix of seed and i, so that it can be made in any order.
 * extremes  in  only 0 and 255 */
static inline uint8_t noise_byte(uint32_t seed, uint32_t i, int extremes)
{
    uint32_t x = i * 2654435761u + seed;
    x = (x ^ x >> 15) * 0x2c1b3c6du;
    x = (x ^ x >> 12) * 0x297a2d39u;
    x ^= x >> 15;
    return extremes ? (x & 1 ? 255 : 0) : (uint8_t)(x >> 24);
}

static inline clip_image noise_picture(int width, int height, uint32_t seed, int extremes)
{
    clip_image p = {.width = width, .height = height, .stride = 3 * (size_t)width};
    size_t n = p.stride * (size_t)height;
    p.rgb = malloc(n);
    if (!p.rgb)
        abort();
    for (size_t i = 0; i < n; i++)
        p.rgb[i] = noise_byte(seed, (uint32_t)i, extremes);
    return p;
}

/* FNV-1a of bytes, 64 bits. */
static inline uint64_t fnv(const void *data, size_t n, uint64_t h)
{
    for (const uint8_t *p = data; n-- > 0; p++)
        h = (h ^ *p) * 1099511628211u;
    return h;
}
#define FNV_START 14695981039346656037u

static inline uint64_t picture_hash(const clip_image *p)
{
    uint64_t h = FNV_START;
    for (int y = 0; y < p->height; y++)
        h = fnv(p->rgb + (size_t)y * p->stride, 3 * (size_t)p->width, h);
    return h;
}

#endif
