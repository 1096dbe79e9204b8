/* Small copies of pictures for a page: averaged down, written as PNG (ISO/IEC 15948) inside a data:
 * URI (RFC 2397). */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cli.h"

/* ---- Reducing -------------------------------------------------------------------------------- */

/* Every pixel is the mean of the box that it covers. */
static void reduce(const clip_image *in, clip_image *out)
{
    for (int y = 0; y < out->height; y++) {
        const int y0 = (int)((int64_t)y * in->height / out->height),
                  y1 = (int)((int64_t)(y + 1) * in->height / out->height);
        for (int x = 0; x < out->width; x++) {
            const int x0 = (int)((int64_t)x * in->width / out->width),
                      x1 = (int)((int64_t)(x + 1) * in->width / out->width);
            const uint64_t n = (uint64_t)(y1 - y0) * (uint64_t)(x1 - x0);
            uint64_t sum[3] = {n / 2, n / 2, n / 2};
            for (int v = y0; v < y1; v++)
                for (int u = x0; u < x1; u++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += in->rgb[(size_t)v * in->stride + 3 * (size_t)u + (size_t)c];
            for (int c = 0; c < 3; c++)
                out->rgb[(size_t)y * out->stride + 3 * (size_t)x + (size_t)c] = (uint8_t)(sum[c] / n);
        }
    }
}

static int scaled(int length, int longest, int side)
{
    int n = (int)(((int64_t)length * side + longest / 2) / longest);
    return n > 0 ? n : 1;
}

clip_status cli_thumbnail(const clip_image *img, int side, clip_image *out)
{
    const int longest = img->width > img->height ? img->width : img->height;
    const int fit = longest < side ? longest : side;
    const int w = scaled(img->width, longest, fit), h = scaled(img->height, longest, fit);
    *out = (clip_image){w, h, 3 * (size_t)w, malloc(3 * (size_t)w * (size_t)h)};
    if (!out->rgb) {
        *out = (clip_image){0};
        return CLIP_ENOMEM;
    }
    reduce(img, out);
    return CLIP_OK;
}

/* ---- PNG ------------------------------------------------------------------------------------- */

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    return p + 4;
}

/* Length, type, data, CRC of type and data. */
static uint8_t *put_chunk(uint8_t *p, const char *type, const uint8_t *data, size_t size)
{
    p = put32(p, (uint32_t)size);
    memcpy(p, type, 4);
    if (size > 0)
        memmove(p + 4, data, size);
    uint32_t crc = (uint32_t)crc32(0, p, (uInt)(size + 4));
    return put32(p + 4 + size, crc);
}

static int paeth(int a, int b, int c)
{
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Apply the Paeth filter (type 4) to every row. It is the best single choice for photos and
 * drawings. */
static void filter(const clip_image *img, uint8_t *out)
{
    const size_t w = 3 * (size_t)img->width;
    for (int y = 0; y < img->height; y++) {
        const uint8_t *row = img->rgb + (size_t)y * img->stride, *up = y > 0 ? row - img->stride : NULL;
        *out++ = 4;
        for (size_t i = 0; i < w; i++) {
            int a = i >= 3 ? row[i - 3] : 0, b = up ? up[i] : 0, c = up && i >= 3 ? up[i - 3] : 0;
            *out++ = (uint8_t)(row[i] - paeth(a, b, c));
        }
    }
}

int cli_encode_png(const clip_image *img, uint8_t **png, size_t *size)
{
    const size_t raw = (3 * (size_t)img->width + 1) * (size_t)img->height;
    uLongf packed = compressBound((uLong)raw);
    uint8_t *rows = malloc(raw), *p = malloc(packed + 128), *data = malloc(packed);
    *png = NULL;
    if (rows && p && data) {
        uint8_t header[13], *end = p;
        filter(img, rows);
        compress2(data, &packed, rows, (uLong)raw, 9); /* data has compressBound() bytes */
        put32(put32(header, (uint32_t)img->width), (uint32_t)img->height);
        memcpy(header + 8, "\x08\x02\x00\x00\x00", 5); /* 8 bits, RGB, deflate, not interlaced */
        memcpy(end, "\x89PNG\r\n\x1a\n", 8);
        end = put_chunk(end + 8, "IHDR", header, sizeof header);
        end = put_chunk(end, "IDAT", data, packed);
        end = put_chunk(end, "IEND", NULL, 0);
        *size = (size_t)(end - p);
        *png = p;
        p = NULL;
    }
    free(rows);
    free(data);
    free(p);
    return *png ? CLI_DONE : cli_no_memory();
}

void cli_write_base64(FILE *f, const uint8_t *s, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)s[i] << 16 | (i + 1 < n ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);
        char out[4] = {digit[v >> 18], digit[v >> 12 & 63], i + 1 < n ? digit[v >> 6 & 63] : '=',
                       i + 2 < n ? digit[v & 63] : '='};
        fwrite(out, 1, 4, f);
    }
}

int cli_write_data_uri(FILE *f, const clip_image *img)
{
    uint8_t *png;
    size_t size;
    DO(cli_encode_png(img, &png, &size));
    fputs("data:image/png;base64,", f);
    cli_write_base64(f, png, size);
    free(png);
    return CLI_DONE;
}
