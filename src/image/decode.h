/* decode.h: the common ground of decode.c and the readers of the formats (decode_*.c).
 *
 * A reader finds the size in the header, gets its pixels from clipimg_new(), which refuses pictures
 * that are too large, and fills them row by row. decode.c frees the pixels after an error and turns
 * the picture upright. Colors are the ones of Pillow's Image.open(..).convert("RGB"); a reader that
 * departs from them says so in its file. */
#ifndef CLIPIMG_DECODE_H
#define CLIPIMG_DECODE_H

#include "image/image.h"

typedef struct clipimg_input {
    const unsigned char *data;
    size_t size;
    const char *name; /* for messages */
    int64_t max_pixels;
    int enough;            /* the picture may come reduced, its shorter side at least this; 0: full size */
    bool flatten;          /* lay transparent parts on `background`; false: drop transparency */
    uint8_t background[3];
    clipimg_facts *facts;  /* the reader writes what it learns of the picture; may be NULL */
    clip_error *err;
} clipimg_input;

/* A reader of one format.
 * orientation  out  1..8, as in EXIF; left as it is if the file does not say. A reader that writes
 *                   the facts' width and height gives the size before the picture is turned */
typedef clip_status clipimg_reader(const clipimg_input *in, clip_image *out, int *orientation);

clipimg_reader clipimg_read_jpeg, clipimg_read_png, clipimg_read_webp, clipimg_read_gif, clipimg_read_bmp,
    clipimg_read_tiff, clipimg_read_heic, clipimg_read_avif, clipimg_read_pnm, clipimg_read_raw, clipimg_read_jxl,
    clipimg_read_jp2, clipimg_read_svg;

/* clipimg_is_raw(): whether the file is a camera's raw file. Most are TIFF files, which their
 * directories give away.
 * clipimg_develop_raw(): make an upright picture from the sensor data. Needs LibRaw. */
bool clipimg_is_raw(const clipimg_input *in);
clip_status clipimg_develop_raw(const clipimg_input *in, clip_image *out);

/* clipimg_is_svg(): whether the first element is <svg>. Also looks into gzip. */
bool clipimg_is_svg(const clipimg_input *in);

/* ---- pixels.c ------------------------------------------------------------------------------ */

/* clipimg_allow(): whether a picture may have this size.
 * Errors: CLIP_EFORMAT (a side of 0), CLIP_ELIMIT. */
clip_status clipimg_allow(const clipimg_input *in, uint64_t width, uint64_t height);

/* clipimg_new(): pixels for a picture of this size, not zeroed.
 * Errors: CLIP_EFORMAT (a side of 0), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipimg_new(const clipimg_input *in, uint64_t width, uint64_t height, clip_image *out);

/* clipimg_pixels(): memory for a picture; free() it. Large pictures lie on huge pages where the
 * system has them, which makes page faults and walks along columns cheaper.
 * @return: NULL if there is no memory. */
void *clipimg_pixels(size_t bytes);

static inline uint8_t *clipimg_row(const clip_image *img, size_t y) { return img->rgb + y * img->stride; }

/* a * b / 255 rounded, as Pillow's MULDIV255. */
static inline unsigned clipimg_mul255(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return (t + (t >> 8)) >> 8;
}

/* clipimg_flatten_row(): lay RGBA on the background, as Pillow's paste() with a mask:
 * round((c * a + background * (255 - a)) / 255). */
void clipimg_flatten_row(const clipimg_input *in, const uint8_t *rgba, uint8_t *rgb, size_t width);

/* clipimg_cmyk_row(): CMYK to RGB as in Pillow, without color management.
 * inverted  in  255 means no ink, as in Adobe's JPEGs */
void clipimg_cmyk_row(const uint8_t *cmyk, bool inverted, uint8_t *rgb, size_t width);

/* ---- exif.c -------------------------------------------------------------------------------- */

/* clipimg_exif_orientation(): tag 274 of an EXIF block, whatever its number type.
 * exif  in  a TIFF header, with or without "Exif\0\0" before it
 * @return: 1..8; 1 for any other value; 0 without the tag. */
int clipimg_exif_orientation(const unsigned char *exif, size_t size);

/* clipimg_exif_taken(): when the picture was taken (DateTimeOriginal, else DateTimeDigitized). The
 * time zone is the block's own offset from UTC, else the one of this machine.
 * @return: seconds since 1970; 0: unknown. */
int64_t clipimg_exif_taken(const unsigned char *exif, size_t size);

/* clipimg_note_taken(): write the date into the facts, if they want it and have none. */
static inline void clipimg_note_taken(const clipimg_input *in, const unsigned char *exif, size_t size)
{
    if (in->facts && in->facts->taken == 0)
        in->facts->taken = clipimg_exif_taken(exif, size);
}

/* ---- png_notes.c --------------------------------------------------------------------------- */

/* clipimg_read_png_notes(): the orientation and the date from a PNG's chunks, before and after the
 * pixels.
 * orientation  out  left as it is if the file does not say
 * Errors: CLIP_ENOMEM. */
clip_status clipimg_read_png_notes(const clipimg_input *in, int *orientation);

/* ---- orientation.c ------------------------------------------------------------------------- */

/* clipimg_xmp_orientation(): the orientation from XMP, where cameras that write no EXIF put it.
 * @return: 1..8; 0 if there is none. */
int clipimg_xmp_orientation(const char *xmp, size_t size);

/* clipimg_turn(): turn or mirror img upright.
 * Errors: CLIP_ENOMEM; img is then unchanged. */
clip_status clipimg_turn(clip_image *img, int orientation);

/* clipimg_turn_rows(): the same for some rows, so that a picture can be turned while it is read.
 * rows    in   the rows from y on, of a picture of `height` rows
 * to      out  the upright picture, allocated (width and height change places for 5..8). Only the
 *              pixels that come from `rows` are written */
void clipimg_turn_rows(const clip_image *rows, int y, int height, int orientation, const clip_image *to);

/* ---- integers in files --------------------------------------------------------------------- */

static inline uint16_t clipimg_le16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint16_t clipimg_be16(const unsigned char *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t clipimg_le32(const unsigned char *p)
{
    return clipimg_le16(p) | (uint32_t)clipimg_le16(p + 2) << 16;
}
static inline uint32_t clipimg_be32(const unsigned char *p)
{
    return (uint32_t)clipimg_be16(p) << 16 | clipimg_be16(p + 2);
}

#endif
