/* decode.h: what the readers of the single formats share with decode.c.
 *
 * A reader finds the size in the header, gets its pixels from clipimg_new() (which refuses what is too large before
 * anything is allocated for it), and fills them row by row. It leaves freeing after an error, and turning the picture
 * upright, to decode.c. Colours are those of Pillow's Image.open(..).convert("RGB"); where a reader departs, it says so. */
#ifndef CLIPIMG_DECODE_H
#define CLIPIMG_DECODE_H

#include "image/image.h"

typedef struct clipimg_input {
    const unsigned char *data;
    size_t size;
    const char *name; /* for messages */
    int64_t max_pixels;
    int enough;            /* the picture may come reduced, its shorter side at least this; 0: in full */
    bool flatten;          /* transparent parts are laid on `background`; else transparency is dropped */
    uint8_t background[3];
    clipimg_facts *facts;  /* for what the reader learns of the picture; NULL: nobody asks */
    clip_error *err;
} clipimg_input;

/* orientation  out  1..8 as EXIF counts them; left alone where the file says nothing. The facts' width and
 *                   height, if the reader fills them, are those before the picture is turned so */
typedef clip_status clipimg_reader(const clipimg_input *in, clip_image *out, int *orientation);

clipimg_reader clipimg_read_jpeg, clipimg_read_png, clipimg_read_webp, clipimg_read_gif, clipimg_read_bmp,
    clipimg_read_tiff, clipimg_read_heic, clipimg_read_avif, clipimg_read_pnm, clipimg_read_raw, clipimg_read_jxl,
    clipimg_read_jp2, clipimg_read_svg;

/* clipimg_is_raw(): is it a camera's raw file? Most are TIFFs, told by what their directories hold.
 * clipimg_develop_raw(): a picture from the sensor data, upright. Only where LibRaw is. */
bool clipimg_is_raw(const clipimg_input *in);
clip_status clipimg_develop_raw(const clipimg_input *in, clip_image *out);

/* clipimg_is_svg(): is the first element <svg>? Also of what is packed by gzip. */
bool clipimg_is_svg(const clipimg_input *in);

/* clipimg_allow(): may a picture have this size? CLIP_EFORMAT (a side of 0), CLIP_ELIMIT. */
clip_status clipimg_allow(const clipimg_input *in, uint64_t width, uint64_t height);

/* clipimg_new(): pixels for a picture of that size, not zeroed. CLIP_EFORMAT (a side of 0), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipimg_new(const clipimg_input *in, uint64_t width, uint64_t height, clip_image *out);

/* clipimg_pixels(): memory for a picture; free() it. Large ones lie on huge pages, where the system has them: faults, and walks along
 * columns, cost less. */
void *clipimg_pixels(size_t bytes);

static inline uint8_t *clipimg_row(const clip_image *img, size_t y) { return img->rgb + y * img->stride; }

/* a * b / 255 rounded, as Pillow's MULDIV255 */
static inline unsigned clipimg_mul255(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return (t + (t >> 8)) >> 8;
}

/* clipimg_flatten_row(): lay RGBA on the background: round((c * a + background * (255 - a)) / 255), as Pillow's paste() with a
 * mask. */
void clipimg_flatten_row(const clipimg_input *in, const uint8_t *rgba, uint8_t *rgb, size_t width);

/* clipimg_cmyk_row(): Pillow's CMYK to RGB (no colour management). inverted: 255 means no ink, as Adobe's JPEGs have it. */
void clipimg_cmyk_row(const uint8_t *cmyk, bool inverted, uint8_t *rgb, size_t width);

/* ---- exif.c ---- */

/* clipimg_exif_orientation(): tag 274 of an EXIF block (a TIFF header, "Exif\0\0" before it or not), of any type that holds
 * a number.
 * @return: 1..8; 1 for a value that is not one of these; 0: no such tag. */
int clipimg_exif_orientation(const unsigned char *exif, size_t size);

/* clipimg_exif_taken(): when the picture was taken (DateTimeOriginal, else DateTimeDigitized), in seconds since 1970; by its own offset from UTC
 * where it has one, else in this machine's time zone. 0: it does not say. */
int64_t clipimg_exif_taken(const unsigned char *exif, size_t size);

static inline void clipimg_note_taken(const clipimg_input *in, const unsigned char *exif, size_t size)
{
    if (in->facts && in->facts->taken == 0)
        in->facts->taken = clipimg_exif_taken(exif, size);
}

/* ---- png_notes.c ---- */

/* clipimg_read_png_notes(): the orientation (left alone where there is none) and the date from a PNG's chunks, those behind the
 * pixels as well. CLIP_ENOMEM. */
clip_status clipimg_read_png_notes(const clipimg_input *in, int *orientation);

/* ---- orientation.c ---- */

/* clipimg_xmp_orientation(): the same from XMP, where cameras that write no EXIF put it. */
int clipimg_xmp_orientation(const char *xmp, size_t size);

/* clipimg_turn(): turn or mirror img upright. CLIP_ENOMEM; img is then as it was. */
clip_status clipimg_turn(clip_image *img, int orientation);

/* clipimg_turn_rows(): the same, rows at a time, as they come.
 * rows    in   rows y and on of a picture of `height`
 * to      out  the upright picture, of the right size (width and height change places for 5..8); the pixels that come from `rows` are
 *              written */
void clipimg_turn_rows(const clip_image *rows, int y, int height, int orientation, const clip_image *to);

/* ---- integers in files ---- */

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
