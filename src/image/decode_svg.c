/* decode_svg.c: SVG drawings by librsvg and Cairo. The picture has the size that the drawing
 * states, or is larger, so that small icons are not enlarged from their pixels. Without a base
 * address librsvg loads nothing from outside. What is not painted is transparent. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <librsvg/rsvg.h>
#include <zlib.h>

#include "image/decode.h"

#define MOST_TEXT ((size_t)64 << 20) /* bytes of a drawing */
#define MOST_PIXELS (1 << 24)        /* no model needs more, and some effects take long */
enum { SHORTER = 512, LONGEST = 32767 }; /* SHORTER: least pixels of the shorter side. LONGEST: Cairo's limit */

static clip_status too_long(const clipimg_input *in)
{
    return clipb_fail(in->err, CLIP_ELIMIT, in->name, "SVG: the text is longer than the %zu bytes allowed", MOST_TEXT);
}

/* ---- .svgz ---- */

/* *text: free() it, also on failure. */
static clip_status unpack_text(const clipimg_input *in, unsigned char **text, size_t *size)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in->data, .avail_in = (uInt)in->size};
    int code = inflateInit2(&z, 16 + MAX_WBITS);
    size_t room = 0;
    *text = NULL;
    while (code == Z_OK && z.avail_out == 0 && room < MOST_TEXT) {
        room = room ? 2 * room : MOST_TEXT >> 10;
        unsigned char *more = realloc(*text, room);
        if (!more) {
            code = Z_MEM_ERROR;
            break;
        }
        *text = more;
        z.next_out = more + z.total_out;
        z.avail_out = (uInt)(room - z.total_out);
        code = inflate(&z, Z_NO_FLUSH);
    }
    *size = z.total_out;
    inflateEnd(&z);
    if (code == Z_STREAM_END)
        return CLIP_OK;
    if (code == Z_MEM_ERROR)
        return clipb_nomem(in->err, in->name);
    if (*size == MOST_TEXT)
        return too_long(in);
    return clipb_fail(in->err, CLIP_EFORMAT, in->name, "SVG: the compressed text is damaged or truncated");
}

/* ---- Drawing ---- */

/* The size that the drawing states, else its view box, else the extent of what is painted. false if
 * there is none. */
static bool natural_size(RsvgHandle *h, double *width, double *height)
{
    gboolean has_width, has_height, has_box;
    RsvgLength w, l;
    RsvgRectangle box, ink;
    if (!rsvg_handle_get_intrinsic_size_in_pixels(h, width, height)) {
        rsvg_handle_get_intrinsic_dimensions(h, &has_width, &w, &has_height, &l, &has_box, &box);
        if (!has_box && !rsvg_handle_get_geometry_for_element(h, NULL, &ink, NULL, NULL))
            return false;
        *width = has_box ? box.width : ink.x + ink.width;
        *height = has_box ? box.height : ink.y + ink.height;
    }
    return *width > 0 && *height > 0 && isfinite(*width) && isfinite(*height);
}

/* Scales the size so that there are enough pixels, and not more than are allowed. */
static bool picture_size(const clipimg_input *in, double width, double height, int *w, int *h)
{
    const double shorter = width < height ? width : height, longer = width < height ? height : width;
    const double least = in->enough > SHORTER ? in->enough : SHORTER;
    const double most = in->max_pixels < MOST_PIXELS ? (double)in->max_pixels : MOST_PIXELS;
    double scale = shorter < least || in->enough > 0 ? least / shorter : 1;
    scale = fmin(scale, fmin(sqrt(most / (width * height)), LONGEST / longer));
    const double x = floor(width * scale + 1e-6), y = floor(height * scale + 1e-6);
    *w = x < 1 ? 1 : (int)x;
    *h = y < 1 ? 1 : (int)y;
    return isfinite(scale) && scale > 0;
}

/* Cairo's colors are multiplied by alpha. They are divided as in Cairo's own PNG writer. */
static void copy_row(const clipimg_input *in, const uint32_t *argb, uint8_t *rgba, uint8_t *rgb, size_t width)
{
    for (size_t x = 0; x < width; x++) {
        const uint32_t p = argb[x], a = p >> 24;
        for (int c = 0; c < 3; c++) {
            const uint32_t v = a ? ((p >> (16 - 8 * c) & 255) * 255 + a / 2) / a : 0;
            rgba[4 * x + (size_t)c] = rgb[3 * x + (size_t)c] = (uint8_t)v;
        }
        rgba[4 * x + 3] = (uint8_t)a;
    }
    if (in->flatten)
        clipimg_flatten_row(in, rgba, rgb, width);
}

static clip_status copy_picture(const clipimg_input *in, cairo_surface_t *surface, clip_image *out)
{
    const unsigned char *p = cairo_image_surface_get_data(surface);
    const size_t stride = (size_t)cairo_image_surface_get_stride(surface);
    uint8_t *rgba = malloc(4 * (size_t)out->width);
    if (!rgba)
        return clipb_nomem(in->err, in->name);
    for (size_t y = 0; y < (size_t)out->height; y++)
        copy_row(in, (const uint32_t *)(const void *)(p + y * stride), rgba, clipimg_row(out, y), (size_t)out->width);
    free(rgba);
    return CLIP_OK;
}

static clip_status failed(const clipimg_input *in, GError *e)
{
    const clip_status s = clipb_fail(in->err, CLIP_EFORMAT, in->name, "SVG: %s", e ? e->message : "cannot be drawn");
    g_clear_error(&e);
    return s;
}

static clip_status draw_picture(const clipimg_input *in, RsvgHandle *h, cairo_t *c, cairo_surface_t *surface,
                                clip_image *out)
{
    const RsvgRectangle all = {0, 0, out->width, out->height};
    GError *e = NULL;
    if (cairo_status(c) != CAIRO_STATUS_SUCCESS)
        return clipb_nomem(in->err, in->name);
    if (!rsvg_handle_render_document(h, c, &all, &e))
        return failed(in, e);
    cairo_surface_flush(surface);
    return copy_picture(in, surface, out);
}

static clip_status read_drawing(const clipimg_input *in, const unsigned char *text, size_t size, clip_image *out)
{
    GError *e = NULL;
    double width, height;
    int w, h;
    if (size > MOST_TEXT)
        return too_long(in);
    RsvgHandle *handle = rsvg_handle_new_from_data(text, size, &e);
    if (!handle)
        return failed(in, e);
    rsvg_handle_set_dpi(handle, 96);
    clip_status s = natural_size(handle, &width, &height) && picture_size(in, width, height, &w, &h)
                        ? clipimg_new(in, (uint64_t)w, (uint64_t)h, out)
                        : clipb_fail(in->err, CLIP_EFORMAT, in->name, "SVG: the drawing has no size");
    if (s == CLIP_OK) {
        cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, out->width, out->height);
        cairo_t *c = cairo_create(surface);
        s = draw_picture(in, handle, c, surface, out);
        cairo_destroy(c);
        cairo_surface_destroy(surface);
    }
    g_object_unref(handle);
    return s;
}

clip_status clipimg_read_svg(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    if (in->data[0] != 0x1F)
        return read_drawing(in, in->data, in->size, out);
    unsigned char *text;
    size_t size;
    clip_status s = unpack_text(in, &text, &size);
    if (s == CLIP_OK)
        s = read_drawing(in, text, size, out);
    free(text);
    return s;
}
