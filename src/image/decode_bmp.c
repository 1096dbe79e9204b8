/* decode_bmp.c: Windows and OS/2 bitmaps.
 *
 *     14 bytes     "BM", size, 0, 0, where the pixels start
 *     12..124      the information header, its own size first:
 *                  12 OS/2, 40 Windows 3, 64 OS/2 2, 108 and 124 Windows 4 and 5
 *     (12)         masks of red, green, blue if a 40-byte header asks for them; larger headers
 *                  contain them
 *     colors       blue, green, red (, 0): as many as the header says, or 2^bits
 *     rows         bottom up (top down if the height is negative), padded to 4 bytes; or RLE
 *
 * A 32-bit bitmap has alpha only if it has a mask for it. Pixels that run-length encoding leaves
 * out are color 0. */
#include <stdlib.h>
#include <string.h>

#include "image/decode.h"

enum { RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3 };

typedef struct bmp_state {
    const clipimg_input *in;
    int32_t width, height;
    bool top_down;
    unsigned bits;
    uint32_t compression, mask[4]; /* red, green, blue, alpha */
    size_t pixels;                 /* where they start */
    uint8_t colour[256][3];
} bmp_state;

static clip_status damaged(const bmp_state *b, const char *what)
{
    return clipb_fail(b->in->err, CLIP_EFORMAT, b->in->name, "BMP: %s", what);
}

static clip_status unsupported(const bmp_state *b, const char *what, unsigned n)
{
    return clipb_fail(b->in->err, CLIP_EUNSUPPORTED, b->in->name, "BMP: not supported: %s %u", what, n);
}

/* Finds the masks.
 * extra  out  bytes between the header and the colors */
static clip_status read_masks(bmp_state *b, uint32_t header, size_t *extra)
{
    const unsigned char *p = b->in->data + 14 + 40;
    static const uint32_t rgb555[4] = {0x7C00, 0x3E0, 0x1F, 0}, bgrx[4] = {0xFF0000, 0xFF00, 0xFF, 0};
    static const uint32_t bgra[4] = {0xFF0000, 0xFF00, 0xFF, 0xFF000000};
    memcpy(b->mask, b->bits == 16 ? rgb555 : bgrx, sizeof b->mask);
    *extra = 0;
    if (b->compression != BITFIELDS)
        return CLIP_OK;
    if (b->bits != 16 && b->bits != 24 && b->bits != 32)
        return unsupported(b, "color masks with bits per pixel", b->bits);
    if (header == 40)
        *extra = 12;
    if (b->in->size < 14 + 40 + 12 || (header >= 56 && b->in->size < 14 + 56))
        return damaged(b, "the file is truncated");
    for (int c = 0; c < 4; c++)
        b->mask[c] = c < 3 || header >= 56 ? clipimg_le32(p + 4 * c) : 0;
    if (b->bits == 32 && (b->mask[0] | b->mask[1] | b->mask[2] | b->mask[3]) == 0)
        memcpy(b->mask, bgra, sizeof b->mask);
    return CLIP_OK;
}

static clip_status read_header(bmp_state *b, uint32_t *colours, size_t *colours_at, size_t *colour_bytes)
{
    const unsigned char *p = b->in->data + 14;
    uint32_t header = b->in->size < 18 ? 0 : clipimg_le32(p);
    size_t extra = 0;
    if (header != 12 && header != 40 && header != 52 && header != 56 && header != 64 && header != 108 && header != 124)
        return b->in->size < 18 ? damaged(b, "the file is truncated") : unsupported(b, "a header with bytes", header);
    if (b->in->size < 14 + header)
        return damaged(b, "the file is truncated");
    if (header == 12) {
        b->width = clipimg_le16(p + 4);
        b->height = clipimg_le16(p + 6);
        b->bits = clipimg_le16(p + 10);
    } else {
        b->width = (int32_t)clipimg_le32(p + 4);
        b->height = (int32_t)clipimg_le32(p + 8);
        b->bits = clipimg_le16(p + 14);
        b->compression = clipimg_le32(p + 16);
        *colours = clipimg_le32(p + 32);
    }
    b->top_down = b->height < 0;
    if (b->width < 1 || b->height == 0 || b->height == INT32_MIN)
        return damaged(b, "the width or height is not valid");
    b->height = b->top_down ? -b->height : b->height;
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return unsupported(b, "bits per pixel", b->bits);
    if (b->compression > BITFIELDS || (header == 64 && b->compression == BITFIELDS) ||
        (b->compression == RLE8 && b->bits != 8) || (b->compression == RLE4 && b->bits != 4))
        return unsupported(b, "compression", b->compression);
    TRY(read_masks(b, header, &extra));
    *colour_bytes = header == 12 ? 3 : 4;
    *colours_at = 14 + header + extra;
    if (*colours == 0 && b->bits <= 8)
        *colours = 1u << b->bits;
    return CLIP_OK;
}

static clip_status read_colours(bmp_state *b, uint32_t colours, size_t at, size_t bytes)
{
    const unsigned char *data = b->in->data;
    size_t start = clipimg_le32(data + 10), after = at;
    if (b->bits <= 8) {
        if (colours > 65536 || at + colours * bytes > b->in->size)
            return damaged(b, "the palette ends beyond the file");
        for (uint32_t i = 0; i < colours && i < 256; i++)
            for (int c = 0; c < 3; c++)
                b->colour[i][c] = data[at + i * bytes + 2 - (size_t)c];
        after += colours * bytes;
    }
    b->pixels = start == 0 || (b->bits <= 8 && start == at) ? after : start; /* some files count without the colors */
    return b->pixels > b->in->size ? damaged(b, "the file is truncated") : CLIP_OK;
}

/* ---- rows ---- */

static void indexed_row(const bmp_state *b, const unsigned char *p, uint8_t *rgb)
{
    unsigned per_byte = 8 / b->bits, mask = (1u << b->bits) - 1;
    for (unsigned x = 0; x < (unsigned)b->width; x++) {
        unsigned shift = 8 - b->bits * (x % per_byte + 1);
        memcpy(rgb + 3 * x, b->colour[p[x / per_byte] >> shift & mask], 3);
    }
}

/* The field of `mask` in a pixel, scaled to 0..255 as in Pillow: v * 255 / max, rounded down. */
static uint8_t mask_field(uint32_t pixel, uint32_t mask)
{
    if (mask == 0)
        return 0;
    int shift = __builtin_ctz(mask);
    uint64_t max = mask >> shift, value = (pixel & mask) >> shift;
    return (uint8_t)(value * 255 / max);
}

static void masked_row(const bmp_state *b, const unsigned char *p, uint8_t *rgb)
{
    size_t bytes = b->bits / 8;
    for (int32_t x = 0; x < b->width; x++, p += bytes, rgb += 3) {
        uint32_t pixel =
            clipimg_le16(p) | (bytes > 2 ? (uint32_t)p[2] << 16 : 0) | (bytes > 3 ? (uint32_t)p[3] << 24 : 0);
        uint8_t rgba[4];
        for (int c = 0; c < 4; c++)
            rgba[c] = mask_field(pixel, b->mask[c]);
        if (b->in->flatten && b->mask[3])
            clipimg_flatten_row(b->in, rgba, rgb, 1);
        else
            memcpy(rgb, rgba, 3);
    }
}

/* In nearly all files the fields are whole bytes in this order. */
static void bgr_row(const bmp_state *b, const unsigned char *p, uint8_t *rgb)
{
    size_t bytes = b->bits / 8;
    for (int32_t x = 0; x < b->width; x++, p += bytes, rgb += 3) {
        rgb[0] = p[2];
        rgb[1] = p[1];
        rgb[2] = p[0];
    }
}

static clip_status read_rows(const bmp_state *b, const clip_image *out)
{
    size_t bytes = ((size_t)b->width * b->bits + 31) / 32 * 4, used = ((size_t)b->width * b->bits + 7) / 8;
    /* the last row's padding may be missing */
    size_t left = b->in->size - b->pixels, need = bytes * (size_t)(b->height - 1) + used;
    if (left < need)
        return damaged(b, "the file is truncated");
    bool alpha = b->in->flatten && b->mask[3];
    bool plain = b->bits >= 24 && b->mask[0] == 0xFF0000 && b->mask[1] == 0xFF00 && b->mask[2] == 0xFF && !alpha;
    void (*row)(const bmp_state *, const unsigned char *, uint8_t *) = b->bits <= 8 ? indexed_row
                                                                       : plain      ? bgr_row
                                                                                    : masked_row;
    for (size_t y = 0; y < (size_t)b->height; y++)
        row(b, b->in->data + b->pixels + y * bytes, clipimg_row(out, b->top_down ? y : (size_t)b->height - 1 - y));
    return CLIP_OK;
}

/* ---- run-length encoding ---- */

typedef struct rle_state {
    const bmp_state *b;
    const clip_image *out;
    size_t at;
    int64_t x, y; /* counted from the first row in the file */
} rle_state;

static void put_pixel(rle_state *r, unsigned index)
{
    if (r->x < r->b->width && r->y < r->b->height) {
        size_t y = (size_t)(r->b->top_down ? r->y : r->b->height - 1 - r->y);
        memcpy(clipimg_row(r->out, y) + 3 * r->x, r->b->colour[index], 3);
    }
    r->x++;
}

static unsigned nibble(unsigned byte, unsigned i) { return i % 2 ? byte & 15 : byte >> 4; }

enum { RLE_MORE, RLE_END, RLE_CUT };

/* Executes one command of two or more bytes. */
static int rle_step(rle_state *r)
{
    const unsigned char *p = r->b->in->data + r->at;
    size_t left = r->b->in->size - r->at;
    bool four = r->b->compression == RLE4;
    unsigned count = p[0], code = p[1];
    r->at += 2;
    if (count > 0) {
        for (unsigned i = 0; i < count; i++)
            put_pixel(r, four ? nibble(code, i) : code);
    } else if (code == 0) {
        r->x = 0;
        r->y++;
    } else if (code == 1) {
        return RLE_END;
    } else if (code == 2) {
        if (left < 4)
            return RLE_CUT;
        r->x += p[2];
        r->y += p[3];
        r->at += 2;
    } else {
        size_t bytes = four ? (code + 1) / 2 : code, padded = (bytes + 1) / 2 * 2;
        if (left < 2 + bytes)
            return RLE_CUT;
        for (unsigned i = 0; i < code; i++)
            put_pixel(r, four ? nibble(p[2 + i / 2], i) : p[2 + i]);
        r->at += left < 2 + padded ? bytes : padded;
    }
    return RLE_MORE;
}

static clip_status read_rle(const bmp_state *b, const clip_image *out)
{
    rle_state r = {.b = b, .out = out, .at = b->pixels};
    int what = RLE_MORE;
    for (size_t i = 0; i < (size_t)b->width * (size_t)b->height; i++)
        memcpy(out->rgb + 3 * i, b->colour[0], 3);
    while (what == RLE_MORE && r.y < b->height && r.at + 2 <= b->in->size)
        what = rle_step(&r);
    /* all pixels were there, but the end mark may be missing */
    bool last = r.y >= b->height || (r.y == b->height - 1 && r.x >= b->width);
    return what == RLE_END || last ? CLIP_OK : damaged(b, "the file is truncated");
}

clip_status clipimg_read_bmp(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    bmp_state b = {.in = in};
    uint32_t colours = 0;
    size_t at = 0, bytes = 0;
    TRY(read_header(&b, &colours, &at, &bytes));
    TRY(read_colours(&b, colours, at, bytes));
    TRY(clipimg_new(in, (uint64_t)b.width, (uint64_t)b.height, out));
    return b.compression == RLE8 || b.compression == RLE4 ? read_rle(&b, out) : read_rows(&b, out);
}
