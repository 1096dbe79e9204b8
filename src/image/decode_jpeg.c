/* decode_jpeg.c: JPEG by libjpeg-turbo with Pillow's settings (the defaults: slow integer DCT,
 * fancy upsampling), so that pixels agree bit for bit.
 *
 * The source manager owns all the bytes. At their end it suspends and does not invent an end
 * marker. So a truncated file is told from a whole one, and a file that lost only bytes behind the
 * last pixel is still read. Corrupt data that the library can bridge is bridged without a message.
 * All of this is as in Pillow. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image/decode.h"

enum { BAND = 32 };

/* A progressive file of a few kilobytes can ask for 65,535 passes over all its pixels. Encoders
 * write 10 scans, or 24 for CMYK. */
enum { FREE_SCANS = 32, MAX_SCANS = 500 };
#define MAX_SCANNED ((int64_t)1 << 32) /* pixels times scans, if there are more than FREE_SCANS */

typedef struct jpeg_state {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    clip_status status; /* of the fault that jumped */
    const clipimg_input *in;
    uint8_t *row;  /* CMYK, before conversion */
    uint8_t *band; /* [BAND, width] RGB, before turning */
} jpeg_state;

static void on_error(j_common_ptr c)
{
    jpeg_state *j = c->client_data;
    char message[JMSG_LENGTH_MAX];
    c->err->format_message(c, message);
    int code = c->err->msg_code;
    j->status = code == JERR_OUT_OF_MEMORY ? CLIP_ELIMIT
                : code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_CONVERSION_NOTIMPL ||
                        code == JERR_ARITH_NOTIMPL ? CLIP_EUNSUPPORTED : CLIP_EFORMAT;
    clipb_fail(j->in->err, j->status, j->in->name, "JPEG: %s", message);
    longjmp(j->jump, 1);
}

static void no_message(j_common_ptr c, int level)
{
    if (level < 0)
        c->err->num_warnings++;
}

static void limit_scans(j_common_ptr c)
{
    jpeg_state *j = c->client_data;
    const int64_t scan = j->d.input_scan_number, pixels = (int64_t)j->d.image_width * j->d.image_height;
    if (scan <= FREE_SCANS || (scan <= MAX_SCANS && scan * pixels <= MAX_SCANNED))
        return;
    j->status = clipb_fail(j->in->err, CLIP_ELIMIT, j->in->name, "JPEG: %lld scans over %lld pixels are too many",
                           (long long)scan, (long long)pixels);
    longjmp(j->jump, 1);
}

static void source_start(j_decompress_ptr d) { (void)d; }

static boolean source_at_end(j_decompress_ptr d)
{
    (void)d;
    return FALSE;
}

static void source_skip(j_decompress_ptr d, long n)
{
    size_t skip = n < 0 ? 0 : (size_t)n < d->src->bytes_in_buffer ? (size_t)n : d->src->bytes_in_buffer;
    d->src->next_input_byte += skip;
    d->src->bytes_in_buffer -= skip;
}

static clip_status truncated(const jpeg_state *j)
{
    return clipb_fail(j->in->err, CLIP_EFORMAT, j->in->name, "JPEG: the file is truncated");
}

/* As in Pillow, the first EXIF block and the last XMP block count. */
static int orientation_of(const jpeg_state *j)
{
    int from_exif = 0, from_xmp = 0;
    bool seen = false;
    for (jpeg_saved_marker_ptr m = j->d.marker_list; m; m = m->next) {
        static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0", 6) == 0 && !seen) {
            from_exif = clipimg_exif_orientation(m->data, m->data_length);
            clipimg_note_taken(j->in, m->data, m->data_length);
            seen = true;
        } else if (m->data_length > sizeof xmp && memcmp(m->data, xmp, sizeof xmp) == 0)
            from_xmp = clipimg_xmp_orientation((const char *)m->data + sizeof xmp, m->data_length - sizeof xmp);
    }
    return from_exif ? from_exif : from_xmp;
}

/* The library's own reduction: the lowest frequencies of each 8 x 8 block become 4 x 4, 2 x 2 or 1
 * pixels, and colors that were coded at half the resolution need not be enlarged first. Other
 * scales have no vector code and are slower than the next larger one of these. */
static void choose_scale(const clipimg_input *in, struct jpeg_decompress_struct *d)
{
    const int64_t shorter = d->image_width < d->image_height ? d->image_width : d->image_height;
    d->scale_denom = 8;
    for (d->scale_num = 1; d->scale_num < 8 && shorter * d->scale_num < (int64_t)in->enough * 8;)
        d->scale_num *= 2;
    jpeg_calc_output_dimensions(d);
}

/* Memory for rows is limited by max_pixels. A file of several scans needs memory for all its
 * coefficients, at any scale. The limit is the memory for three colors at full resolution of the
 * largest allowed picture. */
static clip_status allow_coefficients(jpeg_state *j)
{
    struct jpeg_decompress_struct *d = &j->d;
    int64_t n = 0;
    for (int i = 0; i < d->num_components && jpeg_has_multiple_scans(d); i++)
        n += (int64_t)d->comp_info[i].width_in_blocks * d->comp_info[i].height_in_blocks * DCTSIZE2;
    return n / 3 > j->in->max_pixels ? clipimg_allow(j->in, d->image_width, d->image_height) : CLIP_OK;
}

/* Rows go straight to their place. CMYK is converted on the way. A picture that has to be turned is
 * turned in bands that stay in the cache, which saves a second picture and half of the time. */
static clip_status read_rows(jpeg_state *j, const clip_image *out, int orientation)
{
    struct jpeg_decompress_struct *d = &j->d;
    int height = (int)d->output_height;
    clip_image band =
        orientation > 1 ? (clip_image){(int)d->output_width, BAND, 3 * (size_t)d->output_width, j->band} : *out;
    for (int y = 0, in_band = 0; y < height;) {
        JSAMPROW rows[4];
        int n = 0, room = orientation > 1 ? BAND - in_band : height - y, at = orientation > 1 ? in_band : y;
        for (; n < 4 && n < room; n++)
            rows[n] = j->row ? j->row : clipimg_row(&band, (size_t)(at + n));
        int got = (int)jpeg_read_scanlines(d, rows, j->row ? 1 : (JDIMENSION)n);
        if (got == 0)
            return truncated(j);
        if (j->row)
            clipimg_cmyk_row(j->row, true, clipimg_row(&band, (size_t)at), (size_t)band.width);
        y += got;
        in_band += got;
        if (orientation > 1 && (in_band == BAND || y == height)) {
            band.height = in_band;
            clipimg_turn_rows(&band, y - in_band, height, orientation, out);
            in_band = 0;
        }
    }
    return CLIP_OK;
}

static clip_status read_all(jpeg_state *j, clip_image *out)
{
    struct jpeg_decompress_struct *d = &j->d;
    jpeg_create_decompress(d);
    d->client_data = j; /* jpeg_create_decompress() has cleared it */
    d->src = &j->source;
    d->progress = &j->progress;
    jpeg_save_markers(d, JPEG_APP0 + 1, 0xFFFF);
    if (jpeg_read_header(d, TRUE) != JPEG_HEADER_OK)
        return truncated(j);
    if (d->num_components != 1 && d->num_components != 3 && d->num_components != 4)
        return clipb_fail(j->in->err, CLIP_EUNSUPPORTED, j->in->name, "JPEG: %d components are not supported",
                          d->num_components);
    int orientation = orientation_of(j);
    bool swapped = orientation >= 5;
    TRY(allow_coefficients(j));
    d->out_color_space = d->num_components == 4 ? JCS_CMYK : JCS_RGB;
    d->output_width = d->image_width;
    d->output_height = d->image_height;
    if (j->in->facts) {
        j->in->facts->width = (int)(swapped ? d->image_height : d->image_width);
        j->in->facts->height = (int)(swapped ? d->image_width : d->image_height);
    }
    if (j->in->enough > 0)
        choose_scale(j->in, d);
    TRY(clipimg_new(j->in, swapped ? d->output_height : d->output_width, swapped ? d->output_width : d->output_height,
                    out));
    if ((d->num_components == 4 && !(j->row = malloc(4 * (size_t)d->output_width))) ||
        (orientation > 1 && !(j->band = malloc(BAND * 3 * (size_t)d->output_width))))
        return clipb_nomem(j->in->err, j->in->name);
    if (!jpeg_start_decompress(d))
        return truncated(j);
    return read_rows(j, out, orientation);
}

static clip_status read_guarded(jpeg_state *j, clip_image *out)
{
    return setjmp(j->jump) ? j->status : read_all(j, out);
}

clip_status clipimg_read_jpeg(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation; /* the picture is turned here */
    jpeg_state j = {.in = in, .progress.progress_monitor = limit_scans};
    j.d.err = jpeg_std_error(&j.errors);
    j.errors.error_exit = on_error;
    j.errors.emit_message = no_message;
    j.d.client_data = &j; /* needed if jpeg_create_decompress() fails */
    j.source = (struct jpeg_source_mgr){
        .next_input_byte = in->data,
        .bytes_in_buffer = in->size,
        .init_source = source_start,
        .fill_input_buffer = source_at_end,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_start,
    };
    clip_status s = read_guarded(&j, out);
    jpeg_destroy_decompress(&j.d);
    free(j.row);
    free(j.band);
    return s;
}
