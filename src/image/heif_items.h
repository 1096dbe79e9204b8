/* heif_items.h: the table of contents of a HEIC or AVIF file, checked and cut down before libheif
 * sees it. */
#ifndef CLIPIMG_HEIF_ITEMS_H
#define CLIPIMG_HEIF_ITEMS_H

#include "image/decode.h"

/* The extras of a picture. NOTES: EXIF and XMP. ALPHA: its own; the alpha of its parts always
 * stays. */
enum { HEIF_THUMBNAILS = 1, HEIF_NOTES = 2, HEIF_ALPHA = 4 };

enum { HEIF_SAMPLES = 3 };

/* What decode_heif.c needs to know of the primary picture. */
typedef struct clipimg_heif_plan {
    unsigned char *copy;    /* of the file, in->size bytes, for libheif; free() it */
    bool turned;            /* by the container */
    uint32_t width, height; /* before it is turned or cropped; of a picture put together from tiles, else 0 */
    int samples;            /* some of those tiles, for themselves: */
    struct {
        uint16_t id;
        unsigned column, row;
    } sample[HEIF_SAMPLES];
} clipimg_heif_plan;

typedef struct clipimg_size {
    uint32_t width, height;
} clipimg_size;

/* The largest picture that the coded data say they hold; 0 x 0: they do not say. HEVC: of the
 * property hvcC, and of an item's data. AV1: of either (of av1C without its first four bytes). */
clipimg_size clipimg_hevc_config_size(const unsigned char *p, size_t size);
clipimg_size clipimg_hevc_data_size(const unsigned char *p, size_t size);
clipimg_size clipimg_av1_size(const unsigned char *p, size_t size);

/* clipimg_heif_trim(): a copy of the file with only the primary picture and what it is made of, as
 * far as libheif can tell.
 * keep  in   the extras that stay, if they are sound
 * Errors: CLIP_EFORMAT (the table is damaged, a picture that is made of itself), CLIP_ELIMIT (too
 * large, or too much to decode), CLIP_EUNSUPPORTED, CLIP_ENOMEM. */
clip_status clipimg_heif_trim(const clipimg_input *in, unsigned keep, clipimg_heif_plan *plan);

#endif
