/* decode_jxl.c: JPEG XL by libjxl, which also turns the picture upright: an EXIF orientation in
 * such a file does not count. Reads the first frame, in the file's colors, at 8 bits.
 *
 * Some builds of libjxl (Debian's) report a damaged file on standard error before we do, and it
 * cannot be switched off. The decoder is not told that the input ends here: then it asks for more
 * if a file is truncated, without a report. */
#include <stdlib.h>
#include <string.h>

#include <jxl/decode.h>

#include "image/decode.h"

enum { MOST_EXIF = 1 << 16 };

typedef struct reader {
    const clipimg_input *in;
    JxlDecoder *d;
    JxlPixelFormat format;
    uint8_t *rgba;       /* NULL: rows go straight to the picture */
    unsigned char *exif; /* [MOST_EXIF], while its box is read */
} reader;

/* ---- EXIF ------------------------------------------------------------------------------------ */

/* The first four bytes of the box give the distance to the EXIF. */
static void end_box(reader *r)
{
    if (!r->exif)
        return;
    const size_t size = MOST_EXIF - JxlDecoderReleaseBoxBuffer(r->d);
    const size_t skip = size > 4 ? clipimg_be32(r->exif) : 0;
    if (size > 4 && skip < size - 4)
        clipimg_note_taken(r->in, r->exif + 4 + skip, size - 4 - skip);
    free(r->exif);
    r->exif = NULL;
}

static void begin_box(reader *r)
{
    JxlBoxType type;
    end_box(r);
    if (!r->in->facts || JxlDecoderGetBoxType(r->d, type, JXL_TRUE) != JXL_DEC_SUCCESS || memcmp(type, "Exif", 4) != 0)
        return;
    r->exif = calloc(1, MOST_EXIF);
    if (r->exif && JxlDecoderSetBoxBuffer(r->d, r->exif, MOST_EXIF) != JXL_DEC_SUCCESS) {
        free(r->exif);
        r->exif = NULL;
    }
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static clip_status begin_picture(reader *r, clip_image *out)
{
    JxlBasicInfo info;
    if (JxlDecoderGetBasicInfo(r->d, &info) != JXL_DEC_SUCCESS)
        return clipb_fail(r->in->err, CLIP_EFORMAT, r->in->name, "JPEG XL: the data are damaged");
    for (uint32_t i = 0; i < info.num_extra_channels; i++) {
        JxlExtraChannelInfo extra;
        if (JxlDecoderGetExtraChannelInfo(r->d, i, &extra) == JXL_DEC_SUCCESS && extra.type == JXL_CHANNEL_BLACK)
            return clipb_fail(r->in->err, CLIP_EUNSUPPORTED, r->in->name, "JPEG XL: CMYK is not supported");
    }
    TRY(clipimg_new(r->in, info.xsize, info.ysize, out));
    const bool alpha = r->in->flatten && info.alpha_bits > 0;
    r->format = (JxlPixelFormat){alpha ? 4 : 3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
    if (alpha && !(r->rgba = clipimg_pixels(4 * (size_t)out->width * (size_t)out->height)))
        return clipb_nomem(r->in->err, r->in->name);
    return CLIP_OK;
}

static clip_status set_buffer(reader *r, const clip_image *out)
{
    size_t wanted;
    const size_t bytes = r->format.num_channels * (size_t)out->width * (size_t)out->height;
    if (JxlDecoderImageOutBufferSize(r->d, &r->format, &wanted) != JXL_DEC_SUCCESS || wanted > bytes ||
        JxlDecoderSetImageOutBuffer(r->d, &r->format, r->rgba ? r->rgba : out->rgb, bytes) != JXL_DEC_SUCCESS)
        return clipb_fail(r->in->err, CLIP_EFORMAT, r->in->name, "JPEG XL: the data are damaged");
    return CLIP_OK;
}

/* The decoder asks for input and buffers, and tells what it has found. EXIF may follow the
 * picture. Of an animation only the first frame is decoded. */
static clip_status read_events(reader *r, clip_image *out)
{
    bool whole = false;
    for (;;) {
        const JxlDecoderStatus s = JxlDecoderProcessInput(r->d);
        if (s == JXL_DEC_BASIC_INFO) {
            TRY(begin_picture(r, out));
        } else if (s == JXL_DEC_NEED_IMAGE_OUT_BUFFER && !whole) {
            TRY(set_buffer(r, out));
        } else if (s == JXL_DEC_BOX) {
            begin_box(r);
        } else if (s == JXL_DEC_BOX_NEED_MORE_OUTPUT) {
            end_box(r); /* the date lies in the first MOST_EXIF bytes */
        } else if (s == JXL_DEC_FULL_IMAGE) {
            whole = true;
            if (!r->in->facts)
                return CLIP_OK;
        } else if (whole) {
            return CLIP_OK; /* a fault behind the picture does no harm */
        } else {
            const char *why = s == JXL_DEC_NEED_MORE_INPUT ? "the file is truncated" : "the data are damaged";
            return clipb_fail(r->in->err, CLIP_EFORMAT, r->in->name, "JPEG XL: %s", why);
        }
    }
}

static clip_status read_picture(reader *r, clip_image *out)
{
    const int events = JXL_DEC_BASIC_INFO | JXL_DEC_FULL_IMAGE | (r->in->facts ? JXL_DEC_BOX : 0);
    if (JxlDecoderSubscribeEvents(r->d, events) != JXL_DEC_SUCCESS ||
        JxlDecoderSetUnpremultiplyAlpha(r->d, JXL_TRUE) != JXL_DEC_SUCCESS ||
        JxlDecoderSetInput(r->d, r->in->data, r->in->size) != JXL_DEC_SUCCESS)
        return clipb_nomem(r->in->err, r->in->name);
    /* a libjxl without Brotli cannot unpack boxes: the date is then unknown */
    JxlDecoderSetDecompressBoxes(r->d, JXL_TRUE);
    TRY(read_events(r, out));
    for (size_t y = 0; r->rgba && y < (size_t)out->height; y++)
        clipimg_flatten_row(r->in, r->rgba + 4 * y * (size_t)out->width, clipimg_row(out, y), (size_t)out->width);
    return CLIP_OK;
}

clip_status clipimg_read_jxl(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    reader r = {.in = in, .d = JxlDecoderCreate(NULL)};
    if (!r.d)
        return clipb_nomem(in->err, in->name);
    const clip_status s = read_picture(&r, out);
    end_box(&r);
    JxlDecoderDestroy(r.d);
    free(r.rgba);
    return s;
}
