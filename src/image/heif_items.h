/* heif_items.h: the table of contents of a HEIC or AVIF file. It is checked and cut down before
 * libheif sees the file. */
#ifndef CLIPIMG_HEIF_ITEMS_H
#define CLIPIMG_HEIF_ITEMS_H

#include "image/decode.h"

/* The extras of a picture. NOTES: EXIF and XMP. ALPHA: the picture's own transparency; the one of
 * its parts always stays. */
enum { HEIF_THUMBNAILS = 1, HEIF_NOTES = 2, HEIF_ALPHA = 4 };

enum { HEIF_SAMPLES = 3 };

/* What decode_heif.c needs to know of the primary picture. */
typedef struct clipimg_heif_plan {
    unsigned char *copy;    /* of the file, in->size bytes, for libheif; free() it */
    bool turned;            /* by the container */
    uint32_t width, height; /* of a picture made of tiles, before it is turned or cropped; else 0 */
    int samples;            /* tiles below that can be decoded on their own */
    struct {
        uint16_t id;
        unsigned column, row;
    } sample[HEIF_SAMPLES];
} clipimg_heif_plan;

typedef struct clipimg_size {
    uint32_t width, height;
} clipimg_size;

/* clipimg_hevc_config_size(), clipimg_hevc_data_size(), clipimg_av1_size(): the size of the largest
 * picture in coded data, by the data's own headers.
 * p, size  in  HEVC: the property hvcC, or an item's data. AV1: an item's data, or the property
 *              av1C without its first four bytes
 * @return: 0 x 0 if the data do not say. */
clipimg_size clipimg_hevc_config_size(const unsigned char *p, size_t size);
clipimg_size clipimg_hevc_data_size(const unsigned char *p, size_t size);
clipimg_size clipimg_av1_size(const unsigned char *p, size_t size);

/* clipimg_heif_trim(): copy the file with only the primary picture and its parts visible to
 * libheif.
 * keep  in   the extras that stay, if they are sound
 * Errors: CLIP_EFORMAT (a damaged table, a picture that contains itself), CLIP_ELIMIT (too large,
 * or too much to decode), CLIP_EUNSUPPORTED, CLIP_ENOMEM. */
clip_status clipimg_heif_trim(const clipimg_input *in, unsigned keep, clipimg_heif_plan *plan);

#endif
