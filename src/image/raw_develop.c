/* raw_develop.c: develops a camera's sensor data with LibRaw, in the camera's own white balance.
 * Four sensor pixels (red, green, green, blue) become one. So no colors are guessed, and half of a
 * sensor is more than any model looks at. */
#include <libraw/libraw.h>

#include "image/decode.h"

static clip_status failed(const clipimg_input *in, int code)
{
    const bool unknown = code == LIBRAW_FILE_UNSUPPORTED || code == LIBRAW_NOT_IMPLEMENTED;
    const clip_status s = code == LIBRAW_UNSUFFICIENT_MEMORY ? CLIP_ENOMEM : unknown ? CLIP_EUNSUPPORTED : CLIP_EFORMAT;
    return clipb_fail(in->err, s, in->name, "LibRaw: %s", libraw_strerror(code));
}

static clip_status copy_picture(const clipimg_input *in, const libraw_processed_image_t *p, clip_image *out)
{
    const size_t width = p->width, height = p->height;
    const bool known = p->type == LIBRAW_IMAGE_BITMAP && p->bits == 8 && (p->colors == 3 || p->colors == 1);
    if (!known || p->data_size < width * height * p->colors)
        return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name, "LibRaw: %d colors of %d bits are not supported",
                          p->colors, p->bits);
    TRY(clipimg_new(in, width, height, out));
    const uint8_t *from = p->data;
    for (size_t y = 0; y < height; y++) {
        uint8_t *to = clipimg_row(out, y);
        for (size_t x = 0; x < 3 * width; x++)
            to[x] = from[p->colors == 3 ? x : x / 3];
        from += width * p->colors;
    }
    return CLIP_OK;
}

static clip_status develop_sensor(const clipimg_input *in, libraw_data_t *raw, clip_image *out)
{
    int code = libraw_open_buffer(raw, (void *)(uintptr_t)in->data, in->size); /* LibRaw only reads it */
    if (code != LIBRAW_SUCCESS)
        return failed(in, code);
    TRY(clipimg_allow(in, ((uint64_t)raw->sizes.raw_width + 1) / 2, ((uint64_t)raw->sizes.raw_height + 1) / 2));
    if ((code = libraw_unpack(raw)) != LIBRAW_SUCCESS || (code = libraw_dcraw_process(raw)) != LIBRAW_SUCCESS)
        return failed(in, code);
    if (in->facts && in->facts->taken == 0 && raw->other.timestamp > 0)
        in->facts->taken = raw->other.timestamp;
    libraw_processed_image_t *p = libraw_dcraw_make_mem_image(raw, &code);
    if (!p)
        return failed(in, code);
    const clip_status s = copy_picture(in, p, out);
    libraw_dcraw_clear_mem(p);
    return s;
}

clip_status clipimg_develop_raw(const clipimg_input *in, clip_image *out)
{
    libraw_data_t *raw = libraw_init(LIBRAW_OPIONS_NO_DATAERR_CALLBACK);
    if (!raw)
        return clipb_nomem(in->err, in->name);
    raw->params.half_size = 1;
    raw->params.use_camera_wb = 1;
    raw->params.output_bps = 8;
    const clip_status s = develop_sensor(in, raw, out);
    libraw_close(raw);
    return s;
}
