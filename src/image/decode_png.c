/* decode_png.c: PNG by libpng. 16-bit samples keep their high byte, as Pillow does for color. (In
 * grey Pillow clips all samples above 255 to white.) Of an animated PNG the default picture is
 * read. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "image/decode.h"

/* libpng unpacks only pixels: kilobytes of compressed text can become gigabytes. */
static const png_byte unread[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0zTXt";

typedef struct png_state {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    clip_status status;
    const clipimg_input *in;
    size_t at;
    uint8_t *rgba; /* one row; of an interlaced picture all rows */
} png_state;

static void on_error(png_structp png, png_const_charp message)
{
    png_state *p = png_get_error_ptr(png);
    p->status = clipb_fail(p->in->err, CLIP_EFORMAT, p->in->name, "PNG: %s", message);
    longjmp(p->jump, 1);
}

static void no_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep to, size_t n)
{
    png_state *p = png_get_io_ptr(png);
    if (n > p->in->size - p->at)
        png_error(png, "the file is truncated");
    memcpy(to, p->in->data + p->at, n);
    p->at += n;
}

/* Asks for rows of 8-bit RGB, or of RGBA if transparency counts. Returns the number of channels. */
static size_t set_output(png_state *p, int depth, int type)
{
    png_structp png = p->png;
    bool transparent = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, p->info, PNG_INFO_tRNS);
    bool flatten = p->in->flatten && transparent;
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (flatten)
        png_set_tRNS_to_alpha(png);
    if (depth == 16)
        png_set_strip_16(png);
    if (!(type & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(png);
    if (!flatten)
        png_set_strip_alpha(png);
    return flatten ? 4 : 3;
}

static clip_status read_pixels(png_state *p, const clip_image *out, size_t channels)
{
    size_t width = (size_t)out->width, height = (size_t)out->height;
    int passes = png_set_interlace_handling(p->png);
    png_read_update_info(p->png, p->info);
    if (png_get_rowbytes(p->png, p->info) != width * channels)
        return clipb_fail(p->in->err, CLIP_EFORMAT, p->in->name, "PNG: rows of %zu bytes where %zu are expected",
                          (size_t)png_get_rowbytes(p->png, p->info), width * channels);
    size_t kept = passes > 1 ? height : 1, bytes;
    if (channels == 4 && (__builtin_mul_overflow(4 * width, kept, &bytes) || !(p->rgba = malloc(bytes))))
        return clipb_nomem(p->in->err, p->in->name);
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < height; y++) {
            uint8_t *row = p->rgba ? p->rgba + 4 * width * (y % kept) : clipimg_row(out, y);
            png_read_row(p->png, row, NULL);
            if (p->rgba && pass == passes - 1)
                clipimg_flatten_row(p->in, row, clipimg_row(out, y), width);
        }
    return CLIP_OK;
}

static clip_status read_all(png_state *p, clip_image *out)
{
    png_uint_32 width, height;
    int depth, type;
    png_set_read_fn(p->png, p, read_bytes);
    /* clipimg_new() is stricter and has a better message */
    png_set_user_limits(p->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_keep_unknown_chunks(p->png, PNG_HANDLE_CHUNK_NEVER, unread, sizeof unread / 5);
    png_read_info(p->png, p->info);
    png_get_IHDR(p->png, p->info, &width, &height, &depth, &type, NULL, NULL, NULL);
    TRY(clipimg_new(p->in, width, height, out));
    TRY(read_pixels(p, out, set_output(p, depth, type)));
    return CLIP_OK; /* a fault behind the pixels does no harm */
}

static clip_status read_guarded(png_state *p, clip_image *out)
{
    return setjmp(p->jump) ? p->status : read_all(p, out);
}

clip_status clipimg_read_png(const clipimg_input *in, clip_image *out, int *orientation)
{
    png_state p = {.in = in};
    p.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &p, on_error, no_warning);
    p.info = p.png ? png_create_info_struct(p.png) : NULL;
    clip_status s = p.info ? read_guarded(&p, out) : clipb_nomem(in->err, in->name);
    png_destroy_read_struct(&p.png, &p.info, NULL);
    free(p.rgba);
    return s == CLIP_OK ? clipimg_read_png_notes(in, orientation) : s;
}
