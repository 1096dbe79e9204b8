/* decode_heif.c: HEIC and AVIF by libheif, which also turns the picture upright: an EXIF
 * orientation in such a file repeats the container's and does not count. libheif converts samples
 * of more than 8 bits to 8.
 *
 * dav1d reports a damaged AVIF on standard error before we do. libheif leaves dav1d's logger on;
 * only another decoder, at half the speed, would be silent. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "image/heif_items.h"

static clip_status failed(const clipimg_input *in, struct heif_error e)
{
    bool unsupported = e.code == heif_error_Unsupported_filetype || e.code == heif_error_Unsupported_feature;
    clip_status s = e.code == heif_error_Memory_allocation_error ? CLIP_ELIMIT
                    : unsupported                                ? CLIP_EUNSUPPORTED
                                                                 : CLIP_EFORMAT;
    return clipb_fail(in->err, s, in->name, "HEIF: %.*s", (int)strcspn(e.message, "\n"), e.message);
}

static clip_status copy_rows(const clipimg_input *in, const struct heif_image *img, bool alpha, const clip_image *out)
{
    int stride = 0;
    const uint8_t *p = heif_image_get_plane_readonly(img, heif_channel_interleaved, &stride);
    if (!p || heif_image_get_width(img, heif_channel_interleaved) != out->width ||
        heif_image_get_height(img, heif_channel_interleaved) != out->height)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "HEIF: the decoded picture does not have its declared size");
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

/* ---- thumbnails ---- */

/* Whether `t` has the shape of h, to 1 %. */
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

/* The smallest thumbnail that is large enough; NULL if there is none. */
static struct heif_image_handle *find_thumbnail(const clipimg_input *in, const struct heif_image_handle *h)
{
    enum { MOST = 16 };
    heif_item_id id[MOST];
    struct heif_image_handle *best = NULL;
    const int n = in->enough > 0 ? heif_image_handle_get_list_of_thumbnail_IDs(h, id, MOST) : 0;
    for (int i = 0; i < n; i++) {
        struct heif_image_handle *t = NULL;
        if (heif_image_handle_get_thumbnail(h, id[i], &t).code == heif_error_Ok && shorter_side(t) >= in->enough &&
            same_shape(h, t) && (!best || shorter_side(t) < shorter_side(best))) {
            heif_image_handle_release(best);
            best = t;
        } else {
            heif_image_handle_release(t);
        }
    }
    return best;
}

/* Decodes a picture as it is stored, without turning or cropping. NULL on failure. */
static struct heif_image *decode_stored(const struct heif_image_handle *h)
{
    struct heif_decoding_options *o = heif_decoding_options_alloc();
    struct heif_image *img = NULL;
    if (o)
        o->ignore_transformations = 1;
    if (!o || heif_decode_image(h, &img, heif_colorspace_RGB, heif_chroma_interleaved_RGB, o).code != heif_error_Ok)
        img = NULL;
    heif_decoding_options_free(o);
    return img;
}

enum { CELLS = 4 };

/* The mean of the cell (i, j) of CELLS x CELLS over the pixels [x0, x1) x [y0, y1). */
static void cell_mean(const struct heif_image *img, const double box[4], int i, int j, double mean[3])
{
    int stride = 0;
    const uint8_t *p = heif_image_get_plane_readonly(img, heif_channel_interleaved, &stride);
    const int width = heif_image_get_width(img, heif_channel_interleaved),
              height = heif_image_get_height(img, heif_channel_interleaved);
    int x0 = (int)(box[0] + (box[2] - box[0]) * i / CELLS), x1 = (int)(box[0] + (box[2] - box[0]) * (i + 1) / CELLS);
    int y0 = (int)(box[1] + (box[3] - box[1]) * j / CELLS), y1 = (int)(box[1] + (box[3] - box[1]) * (j + 1) / CELLS);
    x0 = x0 < width ? x0 : width - 1;
    y0 = y0 < height ? y0 : height - 1;
    x1 = x1 <= x0 ? x0 + 1 : x1 < width ? x1 : width;
    y1 = y1 <= y0 ? y0 + 1 : y1 < height ? y1 : height;
    mean[0] = mean[1] = mean[2] = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            for (int c = 0; c < 3; c++)
                mean[c] += p[(size_t)y * (size_t)stride + 3 * (size_t)x + (size_t)c] / ((double)(x1 - x0) * (y1 - y0));
}

/* The distance, in levels, between the thumbnail and a tile of the picture. INFINITY if the tile
 * cannot be read. */
static double distance(const struct heif_image *thumbnail, const struct heif_image *tile, const clipimg_heif_plan *plan,
                       int k)
{
    const double w = heif_image_get_width(tile, heif_channel_interleaved),
                 h = heif_image_get_height(tile, heif_channel_interleaved);
    const double scale_x = heif_image_get_width(thumbnail, heif_channel_interleaved) / (double)plan->width;
    const double scale_y = heif_image_get_height(thumbnail, heif_channel_interleaved) / (double)plan->height;
    const double x = w * plan->sample[k].column, y = h * plan->sample[k].row;
    const double in_tile[4] = {0, 0, fmin(w, plan->width - x), fmin(h, plan->height - y)};
    const double in_thumbnail[4] = {x * scale_x, y * scale_y, (x + in_tile[2]) * scale_x, (y + in_tile[3]) * scale_y};
    if (in_tile[2] < 1 || in_tile[3] < 1)
        return INFINITY;
    double sum = 0;
    for (int i = 0; i < CELLS * CELLS; i++) {
        double a[3], b[3];
        cell_mean(tile, in_tile, i % CELLS, i / CELLS, a);
        cell_mean(thumbnail, in_thumbnail, i % CELLS, i / CELLS, b);
        for (int c = 0; c < 3; c++)
            sum += fabs(a[c] - b[c]);
    }
    return sum / (3 * CELLS * CELLS);
}

/* Whether the thumbnail shows the picture. Some of the picture's tiles are compared with it. */
static bool is_confirmed(struct heif_context *c, const struct heif_image_handle *t, const clipimg_heif_plan *plan)
{
    enum { MOST = 12 }; /* levels that coding and scaling may change */
    struct heif_image *thumbnail = plan->samples ? decode_stored(t) : NULL;
    bool same = thumbnail != NULL;
    for (int k = 0; same && k < plan->samples; k++) {
        struct heif_image_handle *h = NULL;
        struct heif_image *tile = NULL;
        if (heif_context_get_image_handle(c, plan->sample[k].id, &h).code == heif_error_Ok)
            tile = decode_stored(h);
        same = tile && distance(thumbnail, tile, plan, k) <= MOST;
        heif_image_release(tile);
        heif_image_handle_release(h);
    }
    heif_image_release(thumbnail);
    return same;
}

/* Reads a thumbnail in place of the picture. @return: false if there is no sound thumbnail. */
static bool read_thumbnail(const clipimg_input *in, struct heif_context *c, const struct heif_image_handle *h,
                           const clipimg_heif_plan *plan, clip_image *out)
{
    clip_error unused = {0};
    clipimg_input quiet = *in;
    quiet.err = &unused;
    struct heif_image_handle *t = plan->samples ? find_thumbnail(in, h) : NULL;
    const bool good = t && is_confirmed(c, t, plan) && read_picture(&quiet, t, out) == CLIP_OK;
    heif_image_handle_release(t);
    if (!good)
        clipimg_free(out);
    else if (in->facts) {
        in->facts->width = heif_image_handle_get_width(h);
        in->facts->height = heif_image_handle_get_height(h);
    }
    return good;
}

/* ---- the file ---- */

/* The bytes of the first note of this type; free() it. NULL: no such note, or no memory. */
static unsigned char *read_note(const struct heif_image_handle *h, const char *type, size_t *size)
{
    heif_item_id id;
    if (heif_image_handle_get_list_of_metadata_block_IDs(h, type, &id, 1) < 1)
        return NULL;
    *size = heif_image_handle_get_metadata_size(h, id);
    unsigned char *note = malloc(*size ? *size : 1);
    if (note && heif_image_handle_get_metadata(h, id, note).code != heif_error_Ok) {
        free(note);
        note = NULL;
    }
    return note;
}

/* The date, and the orientation from XMP if the container does not turn the picture and EXIF has
 * none. Pillow does this for AVIF, pillow-heif does not for HEIC. */
static void read_notes(const clipimg_input *in, const struct heif_image_handle *h, int *orientation)
{
    size_t size = 0;
    int o = 0;
    unsigned char *exif = read_note(h, "Exif", &size);
    const size_t skip =
        exif && size > 4 ? clipimg_be32(exif) : 0; /* the first four bytes give the distance to the EXIF */
    if (exif && size > 4 && skip < size - 4) {
        clipimg_note_taken(in, exif + 4 + skip, size - 4 - skip);
        o = clipimg_exif_orientation(exif + 4 + skip, size - 4 - skip);
    }
    free(exif);
    unsigned char *xmp = orientation && !o ? read_note(h, "mime", &size) : NULL;
    if (xmp && (o = clipimg_xmp_orientation((const char *)xmp, size)) > 0)
        *orientation = o;
    free(xmp);
}

/* opened  out  the file could be opened, so that any fault is the picture's own */
static clip_status read_file(const clipimg_input *in, unsigned keep, const clipimg_heif_plan *plan, int *orientation,
                             clip_image *out, bool *opened)
{
    struct heif_context *c = heif_context_alloc();
    if (!c)
        return clipb_nomem(in->err, in->name);
    struct heif_image_handle *h = NULL;
    struct heif_error e = heif_context_read_from_memory_without_copy(c, plan->copy, in->size, NULL);
    if (e.code == heif_error_Ok)
        e = heif_context_get_primary_image_handle(c, &h);
    clip_status s = e.code == heif_error_Ok ? CLIP_OK : failed(in, e);
    *opened = s == CLIP_OK;
    if (*opened && keep & HEIF_NOTES)
        read_notes(in, h, plan->turned ? NULL : orientation);
    if (*opened && !read_thumbnail(in, c, h, plan, out))
        s = read_picture(in, h, out);
    heif_image_handle_release(h);
    heif_context_free(c);
    return s;
}

static clip_status read_heif(const clipimg_input *in, bool avif, clip_image *out, int *orientation)
{
    const unsigned thumbnails = in->enough > 0 ? HEIF_THUMBNAILS : 0, notes = in->facts || avif ? HEIF_NOTES : 0;
    const unsigned alpha = in->flatten ? HEIF_ALPHA : 0, keep[] = {thumbnails | notes | alpha, notes | alpha, alpha};
    int unused = 1; /* see read_notes() */
    clip_status s = CLIP_EFORMAT;
    bool opened = false;
    /* a fault in opening may come from the extras: try with fewer */
    for (int i = 0; i < 3 && s == CLIP_EFORMAT && !opened; i++) {
        clipimg_heif_plan plan;
        s = clipimg_heif_trim(in, keep[i], &plan);
        if (s == CLIP_OK)
            s = read_file(in, keep[i], &plan, avif ? orientation : &unused, out, &opened);
        free(plan.copy);
    }
    return s;
}

clip_status clipimg_read_heic(const clipimg_input *in, clip_image *out, int *orientation)
{
    return read_heif(in, false, out, orientation);
}

clip_status clipimg_read_avif(const clipimg_input *in, clip_image *out, int *orientation)
{
    return read_heif(in, true, out, orientation);
}
