/* image.h: from an encoded picture to the tensor an image encoder reads.
 *
 *     bytes -> decode (8-bit RGB, upright) -> resize, crop or pad (Pillow's arithmetic) -> (v/255 - mean) / std */
#ifndef CLIPIMG_IMAGE_H
#define CLIPIMG_IMAGE_H

#include <stdbool.h>

#include "base/status.h"

/* ---- decode.c and decode_*.c ---- (clip_image_read(), clip_image_decode(), clip_image_free() of clip.h are defined there) */

/* clipimg_formats(): what this build reads, "JPEG PNG WebP GIF BMP TIFF HEIC AVIF PNM". */
const char *clipimg_formats(void);

/* clipimg_format(): the name of a picture's format, "JPEG", "JPEG XL", .., told by its first bytes; NULL: not a picture.
 * bytes, size  in   the file, or its beginning: 4 KiB are enough
 * reads        out  does this build read the format? May be NULL */
const char *clipimg_format(const void *bytes, size_t size, bool *reads);

/* What a file says of its picture. */
typedef struct clipimg_facts {
    int64_t taken;     /* when it was taken, by its EXIF, in seconds since 1970; 0: the file does not say */
    int width, height; /* in full, and upright: those of `out`, unless it has come reduced */
} clipimg_facts;

/* clipimg_decode(): clip_image_decode(), and the facts (may be NULL). */
clip_status clipimg_decode(const void *bytes, size_t size, const char *name, const clip_image_options *opt,
                           clipimg_facts *facts, clip_image *out, clip_error *err);

/* ---- resize.c ---- */

typedef enum clipimg_filter { CLIPIMG_BILINEAR, CLIPIMG_BICUBIC } clipimg_filter;

/* clipimg_resize(): Image.resize((width, height), filter) of Pillow 13, bit for bit: two passes, antialiased, 8-bit with 22-bit
 * coefficients.
 * out  out  allocated here, stride 3*width; clip_image_free(). CLIP_EINVAL (a side < 1), CLIP_ENOMEM. */
clip_status clipimg_resize(const clip_image *in, int width, int height, clipimg_filter filter, clip_image *out);

/* ---- preprocess.c ---- */

typedef enum clipimg_mode {
    CLIPIMG_SHORTEST, /* shortest side to S, centre crop S x S (torchvision's Resize + CenterCrop) */
    CLIPIMG_LONGEST,  /* longest side to S, centred on fill_color (OpenCLIP's ResizeKeepRatio + CenterCropOrPad) */
    CLIPIMG_SQUASH,   /* both sides to S */
} clipimg_mode;

typedef enum clipimg_flavour {
    CLIPIMG_OPENCLIP,    /* torchvision's rounding of sizes and crop offsets */
    CLIPIMG_HUGGINGFACE, /* CLIPImageProcessor's */
} clipimg_flavour;

typedef struct clipimg_recipe {
    int size; /* S */
    clipimg_mode mode;
    clipimg_filter filter;
    clipimg_flavour flavour;
    uint8_t fill_color[3];
    int background; /* of transparent pictures, as in clip_image_options */
    float mean[3], std[3];
} clipimg_recipe;

/* clipimg_recipe_options(): what pictures for this recipe are read with. */
clip_image_options clipimg_recipe_options(const clipimg_recipe *r);

/* clipimg_window(): what of a picture of width x height the S x S pixels show; beyond its edges where it is padded. CLIP_EINVAL (a side < 1). */
clip_status clipimg_window(const clipimg_recipe *r, int width, int height, clip_window *out);

/* clipimg_preprocess(): img to out [3, S, S]. CLIP_EINVAL (an empty picture), CLIP_ENOMEM. */
clip_status clipimg_preprocess(const clipimg_recipe *r, const clip_image *img, float *out);

/* clipimg_preprocess_reduced(): img is what a picture of width x height came reduced to, whose place in the square it gets to the pixel. */
clip_status clipimg_preprocess_reduced(const clipimg_recipe *r, const clip_image *img, int width, int height,
                                       float *out);

#endif
