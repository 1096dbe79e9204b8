/* heif_streams.c: how large a picture the coded data of an item hold, by the headers of HEVC (the
 * sequence parameter set, H.265 7.3.2.2) and AV1 (the sequence header, 5.5). The table of contents
 * may state a smaller size, but a decoder would still make the whole picture. */
#include "image/heif_items.h"

/* Bits of a header, high ones first. Beyond the end they are 0. In HEVC the 3 in the bytes 0 0 3 is
 * skipped. */
typedef struct bits {
    const unsigned char *data;
    size_t size, at; /* bytes */
    unsigned left;   /* bits of the byte at `at` */
    int zeros;       /* zero bytes right before it; -1: not counted (AV1) */
} bits;

static unsigned get_bit(bits *b)
{
    if (b->at >= b->size)
        return 0;
    const unsigned bit = b->data[b->at] >> --b->left & 1;
    if (b->left == 0) {
        if (b->zeros >= 0)
            b->zeros = b->data[b->at] ? 0 : b->zeros + 1;
        b->at++;
        b->left = 8;
        if (b->zeros >= 2 && b->at < b->size && b->data[b->at] == 3) {
            b->at++;
            b->zeros = 0;
        }
    }
    return bit;
}

static uint32_t get_bits(bits *b, unsigned n)
{
    uint32_t v = 0;
    for (; n > 0; n--)
        v = v << 1 | get_bit(b);
    return v;
}

/* Exponential Golomb codes: n zeros, a 1, and n more bits. */
static uint32_t get_golomb(bits *b)
{
    unsigned n = 0;
    while (n < 32 && b->at < b->size && !get_bit(b))
        n++;
    return n < 32 ? (1u << n) - 1 + get_bits(b, n) : UINT32_MAX;
}

static void skip_bits(bits *b, unsigned n)
{
    for (; n > 0; n--)
        get_bit(b);
}

/* ---- HEVC ---- */

static clipimg_size hevc_size(const unsigned char *unit, size_t size)
{
    bits b = {.data = unit, .size = size, .at = 2, .left = 8};
    bool profile[8], level[8];
    skip_bits(&b, 4);
    const unsigned layers = get_bits(&b, 3);
    skip_bits(&b, 1 + 96);
    for (unsigned i = 0; i < layers; i++) {
        profile[i] = get_bit(&b);
        level[i] = get_bit(&b);
    }
    if (layers > 0)
        skip_bits(&b, 2 * (8 - layers));
    for (unsigned i = 0; i < layers; i++)
        skip_bits(&b, 88 * profile[i] + 8 * level[i]);
    get_golomb(&b);
    if (get_golomb(&b) == 3)
        skip_bits(&b, 1);
    const uint32_t width = get_golomb(&b), height = get_golomb(&b);
    return (clipimg_size){width, height};
}

static clipimg_size larger(clipimg_size a, clipimg_size b)
{
    return (uint64_t)a.width * a.height < (uint64_t)b.width * b.height ? b : a;
}

enum { PARAMETER_SET = 33 };

static clipimg_size unit_size(const unsigned char *unit, size_t size)
{
    return size > 2 && (unit[0] >> 1 & 63) == PARAMETER_SET ? hevc_size(unit, size) : (clipimg_size){0};
}

clipimg_size clipimg_hevc_config_size(const unsigned char *p, size_t size)
{
    clipimg_size most = {0};
    size_t at = 23;
    for (unsigned lists = size > 22 ? p[22] : 0; lists > 0 && size >= at + 3; lists--) {
        unsigned units = clipimg_be16(p + at + 1);
        at += 3;
        for (; units > 0 && size >= at + 2 && size - at - 2 >= clipimg_be16(p + at); units--) {
            most = larger(most, unit_size(p + at + 2, clipimg_be16(p + at)));
            at += 2 + (size_t)clipimg_be16(p + at);
        }
    }
    return most;
}

clipimg_size clipimg_hevc_data_size(const unsigned char *p, size_t size)
{
    clipimg_size most = {0};
    for (size_t at = 0; size - at >= 4 && size - at - 4 >= clipimg_be32(p + at); at += 4 + (size_t)clipimg_be32(p + at))
        most = larger(most, unit_size(p + at + 4, clipimg_be32(p + at)));
    return most;
}

/* ---- AV1 ---- */

static void skip_timing(bits *b)
{
    skip_bits(b, 64);
    if (get_bit(b))
        get_golomb(b);
}

/* Skips an operating point: what a decoder must be capable of. */
static void skip_point(bits *b, bool model, unsigned delay_bits, bool display)
{
    skip_bits(b, 12);
    if (get_bits(b, 5) > 7)
        skip_bits(b, 1);
    if (model && get_bit(b))
        skip_bits(b, 2 * delay_bits + 1);
    if (display && get_bit(b))
        skip_bits(b, 4);
}

static clipimg_size av1_size(const unsigned char *header, size_t size)
{
    bits b = {.data = header, .size = size, .left = 8, .zeros = -1};
    skip_bits(&b, 4);
    if (get_bit(&b))
        skip_bits(&b, 5);
    else {
        bool model = false;
        unsigned delay_bits = 0;
        if (get_bit(&b)) {
            skip_timing(&b);
            if ((model = get_bit(&b))) {
                delay_bits = get_bits(&b, 5) + 1;
                skip_bits(&b, 42);
            }
        }
        const bool display = get_bit(&b);
        for (unsigned n = get_bits(&b, 5) + 1; n > 0; n--)
            skip_point(&b, model, delay_bits, display);
    }
    const unsigned w = get_bits(&b, 4) + 1, h = get_bits(&b, 4) + 1;
    const uint32_t width = get_bits(&b, w) + 1, height = get_bits(&b, h) + 1;
    return (clipimg_size){width, height};
}

clipimg_size clipimg_av1_size(const unsigned char *p, size_t size)
{
    enum { SEQUENCE_HEADER = 1 };
    clipimg_size most = {0};
    for (size_t at = 0; at < size;) {
        const unsigned head = p[at], type = head >> 3 & 15;
        uint64_t bytes = 0;
        at += head & 4 ? 2 : 1;
        for (unsigned shift = 0; head & 2 && at < size && shift < 56; shift += 7) {
            bytes |= (uint64_t)(p[at] & 127) << shift;
            if (!(p[at++] & 128))
                break;
        }
        if (at > size || !(head & 2) || bytes > size - at)
            bytes = at < size ? size - at : 0;
        if (type == SEQUENCE_HEADER)
            most = larger(most, av1_size(p + at, (size_t)bytes));
        at += (size_t)bytes;
    }
    return most;
}
