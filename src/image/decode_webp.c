/* decode_webp.c: WebP by libwebp. Of an animation the first frame is read, on its canvas, which is
 * transparent black around it. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/decode.h"

static clip_status failed(const clipimg_input *in, VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return clipb_fail(in->err, CLIP_ELIMIT, in->name, "WebP: too large for libwebp");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name, "WebP: a feature that libwebp does not support");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return clipb_fail(in->err, CLIP_EFORMAT, in->name, "WebP: the file is truncated");
    default: return clipb_fail(in->err, CLIP_EFORMAT, in->name, "WebP: the data are damaged");
    }
}

/* Decodes a frame into rows of `channels` bytes per pixel.
 * to, bytes  where the rows start, and the room there */
static clip_status decode_into(const clipimg_input *in, const WebPIterator *f, int channels, uint8_t *to, size_t stride,
                               size_t bytes)
{
    WebPDecoderConfig c;
    WebPInitDecoderConfig(&c);
    c.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA = (WebPRGBABuffer){.rgba = to, .stride = (int)stride, .size = bytes};
    VP8StatusCode code = WebPDecode(f->fragment.bytes, f->fragment.size, &c);
    WebPFreeDecBuffer(&c.output);
    return code == VP8_STATUS_OK ? CLIP_OK : failed(in, code);
}

static clip_status flatten(const clipimg_input *in, const WebPIterator *f, uint8_t *rgb, size_t stride)
{
    size_t width = (size_t)f->width, height = (size_t)f->height;
    uint8_t *rgba = malloc(4 * width * height);
    if (!rgba)
        return clipb_nomem(in->err, in->name);
    clip_status s = decode_into(in, f, 4, rgba, 4 * width, 4 * width * height);
    for (size_t y = 0; s == CLIP_OK && y < height; y++)
        clipimg_flatten_row(in, rgba + 4 * width * y, rgb + stride * y, width);
    free(rgba);
    return s;
}

static clip_status read_frame(const clipimg_input *in, const WebPIterator *f, const clip_image *out)
{
    /* libwebp has checked that the frame lies on the canvas. Rows are written by our own offsets,
     * so we check again. */
    if (f->x_offset < 0 || f->y_offset < 0 || f->width < 1 || f->height < 1 || f->width > out->width - f->x_offset ||
        f->height > out->height - f->y_offset)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "WebP: a frame reaches beyond its canvas");
    if (f->width < out->width || f->height < out->height)
        for (int y = 0; y < out->height; y++)
            for (int x = 0; x < out->width; x++)
                memcpy(clipimg_row(out, (size_t)y) + 3 * x, in->flatten ? in->background : (const uint8_t[3]){0}, 3);
    size_t at = out->stride * (size_t)f->y_offset + 3 * (size_t)f->x_offset;
    if (in->flatten && f->has_alpha)
        return flatten(in, f, out->rgb + at, out->stride);
    return decode_into(in, f, 3, out->rgb + at, out->stride, out->stride * (size_t)out->height - at);
}

static int orientation_of(const clipimg_input *in, const WebPDemuxer *d)
{
    WebPChunkIterator c;
    int o = 0;
    if (WebPDemuxGetChunk(d, "EXIF", 1, &c)) {
        o = clipimg_exif_orientation(c.chunk.bytes, c.chunk.size);
        clipimg_note_taken(in, c.chunk.bytes, c.chunk.size);
        WebPDemuxReleaseChunkIterator(&c);
    }
    if (!o && WebPDemuxGetChunk(d, "XMP ", 1, &c)) {
        o = clipimg_xmp_orientation((const char *)c.chunk.bytes, c.chunk.size);
        WebPDemuxReleaseChunkIterator(&c);
    }
    return o;
}

clip_status clipimg_read_webp(const clipimg_input *in, clip_image *out, int *orientation)
{
    WebPDemuxState state;
    WebPDemuxer *d = WebPDemuxPartial(&(WebPData){in->data, in->size}, &state);
    if (!d || state != WEBP_DEMUX_DONE) {
        WebPDemuxDelete(d);
        return failed(in, state == WEBP_DEMUX_PARSE_ERROR ? VP8_STATUS_BITSTREAM_ERROR : VP8_STATUS_NOT_ENOUGH_DATA);
    }
    WebPIterator frame = {0};
    clip_status s =
        clipimg_new(in, WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH), WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT), out);
    if (s == CLIP_OK && !WebPDemuxGetFrame(d, 1, &frame))
        s = clipb_fail(in->err, CLIP_EFORMAT, in->name, "WebP: there is no frame in it");
    if (s == CLIP_OK)
        s = read_frame(in, &frame, out);
    int o = orientation_of(in, d);
    if (o)
        *orientation = o;
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(d);
    return s;
}
