/* decode_heif.c: HEIC and AVIF by libheif, which also turns the picture upright (an EXIF orientation in such a file repeats what the
 * container says, and counts for nothing). More than 8 bits a sample are brought to 8 by libheif.
 *
 * Of a damaged AVIF dav1d says so on standard error before we do: libheif leaves its logger on, and only another decoder, at half the
 * speed, would be silent. */
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "image/decode.h"

static clip_status failed(const clipimg_input *in, struct heif_error e)
{
    bool unsupported = e.code == heif_error_Unsupported_filetype || e.code == heif_error_Unsupported_feature;
    clip_status s = e.code == heif_error_Memory_allocation_error ? CLIP_ENOMEM : unsupported ? CLIP_EUNSUPPORTED : CLIP_EFORMAT;
    return clipb_fail(in->err, s, in->name, "HEIF: %s", e.message);
}

static clip_status copy_rows(const clipimg_input *in, const struct heif_image *img, bool alpha, const clip_image *out)
{
    int stride = 0;
    const uint8_t *p = heif_image_get_plane_readonly(img, heif_channel_interleaved, &stride);
    if (!p || heif_image_get_width(img, heif_channel_interleaved) != out->width ||
        heif_image_get_height(img, heif_channel_interleaved) != out->height)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "HEIF: the picture is not as large as it says");
    for (size_t y = 0; y < (size_t)out->height; y++, p += stride)
        if (alpha)
            clipimg_flatten_row(in, p, clipimg_row(out, y), (size_t)out->width);
        else
            memcpy(clipimg_row(out, y), p, out->stride);
    return CLIP_OK;
}

static clip_status read_picture(const clipimg_input *in, const struct heif_image_handle *h, clip_image *out)
{
    int width = heif_image_handle_get_width(h), height = heif_image_handle_get_height(h);
    TRY(clipimg_new(in, width < 0 ? 0 : (uint64_t)width, height < 0 ? 0 : (uint64_t)height, out));
    bool alpha = in->flatten && heif_image_handle_has_alpha_channel(h);
    enum heif_chroma layout = alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
    struct heif_image *img = NULL;
    struct heif_error e = heif_decode_image(h, &img, heif_colorspace_RGB, layout, NULL);
    clip_status s = e.code != heif_error_Ok ? failed(in, e) : copy_rows(in, img, alpha, out);
    heif_image_release(img);
    return s;
}

/* Does `t` show, small, what h shows? It has the same shape, to 1 %. */
static bool same_shape(const struct heif_image_handle *h, const struct heif_image_handle *t)
{
    const double x = (double)heif_image_handle_get_width(h) * heif_image_handle_get_height(t);
    const double y = (double)heif_image_handle_get_height(h) * heif_image_handle_get_width(t);
    return x < 1.01 * y && y < 1.01 * x;
}

static int shorter_side(const struct heif_image_handle *h)
{
    const int width = heif_image_handle_get_width(h), height = heif_image_handle_get_height(h);
    return width < height ? width : height;
}

/* The smallest thumbnail that is enough takes the place of the picture. */
static void take_thumbnail(const clipimg_input *in, struct heif_image_handle **h)
{
    enum { MOST = 16 };
    heif_item_id id[MOST];
    struct heif_image_handle *best = NULL;
    const int n = heif_image_handle_get_list_of_thumbnail_IDs(*h, id, MOST);
    for (int i = 0; i < n; i++) {
        struct heif_image_handle *t = NULL;
        if (heif_image_handle_get_thumbnail(*h, id[i], &t).code == heif_error_Ok && shorter_side(t) >= in->enough && same_shape(*h, t) &&
            (!best || shorter_side(t) < shorter_side(best))) {
            heif_image_handle_release(best);
            best = t;
        } else {
            heif_image_handle_release(t);
        }
    }
    if (best) {
        if (in->facts) {
            in->facts->width = heif_image_handle_get_width(*h);
            in->facts->height = heif_image_handle_get_height(*h);
        }
        heif_image_handle_release(*h);
        *h = best;
    }
}

/* The block begins with four bytes that say how far behind them the EXIF is. */
static void note_taken(const clipimg_input *in, const struct heif_image_handle *h)
{
    heif_item_id id;
    if (!in->facts || heif_image_handle_get_list_of_metadata_block_IDs(h, "Exif", &id, 1) != 1)
        return;
    const size_t size = heif_image_handle_get_metadata_size(h, id);
    unsigned char *block = size > 4 && size <= in->size ? malloc(size) : NULL;
    if (block && heif_image_handle_get_metadata(h, id, block).code == heif_error_Ok) {
        const size_t skip = clipimg_be32(block);
        if (skip < size - 4)
            clipimg_note_taken(in, block + 4 + skip, size - 4 - skip);
    }
    free(block);
}

clip_status clipimg_read_heif(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    struct heif_context *c = heif_context_alloc();
    if (!c)
        return clipb_fail(in->err, CLIP_ENOMEM, in->name, "out of memory");
    struct heif_image_handle *h = NULL;
    struct heif_error e = heif_context_read_from_memory_without_copy(c, in->data, in->size, NULL);
    if (e.code == heif_error_Ok)
        e = heif_context_get_primary_image_handle(c, &h);
    if (e.code == heif_error_Ok) {
        note_taken(in, h);
        if (in->enough > 0)
            take_thumbnail(in, &h);
    }
    clip_status s = e.code != heif_error_Ok ? failed(in, e) : read_picture(in, h, out);
    heif_image_handle_release(h);
    heif_context_free(c);
    return s;
}
