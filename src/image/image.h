/* image.h: from an encoded picture to the tensor that an image encoder reads.
 *
 *     bytes -> decode (8-bit RGB, upright) -> resize, crop or pad (Pillow's arithmetic)
 *           -> (v / 255 - mean) / std */
#ifndef CLIPIMG_IMAGE_H
#define CLIPIMG_IMAGE_H

#include <stdbool.h>

#include "base/status.h"

/* ---- decode.c, pixels.c -------------------------------------------------------------------- */

/* clipimg_formats(): the formats that this build reads, "JPEG PNG WebP GIF BMP TIFF HEIC PNM". */
const char *clipimg_formats(void);

/* clipimg_format(): find a picture's format by its first bytes.
 * bytes, size  in   the file or its beginning; 4 KiB are enough
 * reads        out  whether this build reads the format; may be NULL
 * @return: "JPEG", "JPEG XL", ..; NULL if the bytes are not a picture. */
const char *clipimg_format(const void *bytes, size_t size, bool *reads);

/* What a file says of its picture. */
typedef struct clipimg_facts {
    int64_t taken;     /* when it was taken, by its EXIF, in seconds since 1970; 0: unknown */
    int width, height; /* at full size, upright. The decoded picture may be smaller */
} clipimg_facts;

/* clipimg_options_default(), clipimg_read(), clipimg_free(): as in clip.h.
 * clipimg_decode(): clip_image_decode(), which also gives the facts (may be NULL). */
clip_image_options clipimg_options_default(void);
clip_status clipimg_read(const char *path, const clip_image_options *opt, clip_image *out, clip_error *err);
clip_status clipimg_decode(const void *bytes, size_t size, const char *name, const clip_image_options *opt,
                           clipimg_facts *facts, clip_image *out, clip_error *err);
void clipimg_free(clip_image *img);

/* ---- resize.c ------------------------------------------------------------------------------ */

typedef enum clipimg_filter { CLIPIMG_BILINEAR, CLIPIMG_BICUBIC } clipimg_filter;

/* clipimg_resize(): Image.resize((width, height), filter) of Pillow 13, bit for bit. Two
 * antialiased passes over 8-bit samples, with 22-bit coefficients.
 * out  out  allocated here, stride 3 * width; free with clipimg_free()
 * Errors: CLIP_EINVAL (a side < 1), CLIP_ENOMEM. */
clip_status clipimg_resize(const clip_image *in, int width, int height, clipimg_filter filter, clip_image *out);

/* ---- preprocess.c -------------------------------------------------------------------------- */

/* How a picture becomes S x S pixels, or patches. */
typedef enum clipimg_mode {
    CLIPIMG_SHORTEST, /* shortest side to S, centre crop (torchvision's Resize + CenterCrop) */
    CLIPIMG_LONGEST,  /* longest side to S, centred on fill_color (OpenCLIP's ResizeKeepRatio +
                       * CenterCropOrPad) */
    CLIPIMG_SQUASH,   /* both sides to S */
    CLIPIMG_CORNER,   /* longest side to S, in the upper left corner on black (OWLv2's; corner.c) */
    CLIPIMG_NAFLEX,   /* at most so many patches, in the picture's own shape (SigLIP 2's; naflex.c) */
} clipimg_mode;

/* Whose rounding of sizes and crop offsets. */
typedef enum clipimg_flavour {
    CLIPIMG_OPENCLIP,    /* torchvision's */
    CLIPIMG_HUGGINGFACE, /* CLIPImageProcessor's */
} clipimg_flavour;

typedef struct clipimg_recipe {
    int size; /* S; CLIPIMG_NAFLEX: the most that a shorter side can have */
    int patch, most; /* CLIPIMG_NAFLEX: the side of a patch; patches of a picture */
    clipimg_mode mode;
    clipimg_filter filter;
    clipimg_flavour flavour;
    uint8_t fill_color[3];
    int background; /* under transparent parts, as in clip_image_options */
    float mean[3], std[3];
} clipimg_recipe;

/* clipimg_recipe_options(): the options to read pictures with for this recipe. */
clip_image_options clipimg_recipe_options(const clipimg_recipe *r);

/* What stands before the patches of CLIPIMG_NAFLEX: the number of rows, and that of columns. */
#define CLIPIMG_NAFLEX_HEAD 2

/* clipimg_floats(): the length of a prepared picture: 3 * S * S; 2 + most * patch * patch * 3. */
size_t clipimg_floats(const clipimg_recipe *r);

/* clipimg_check_prepared(): does a prepared picture begin as the recipe's should?
 * Errors: CLIP_EINVAL (CLIPIMG_NAFLEX: not a grid, or one of more than `most` patches). */
clip_status clipimg_check_prepared(const clipimg_recipe *r, const float *prepared);

/* Where the pixels of a prepared picture are: that of channel c at (x, y) is number
 * clipimg_place(). */
typedef struct clipimg_places {
    size_t height, width;
    size_t patch; /* 0: pixels [3, height, width] */
} clipimg_places;

clipimg_places clipimg_places_of(const clipimg_recipe *r, const float *prepared);

static inline size_t clipimg_place(const clipimg_places *p, size_t c, size_t y, size_t x)
{
    const size_t P = p->patch;
    return P ? CLIPIMG_NAFLEX_HEAD + (((y / P * (p->width / P) + x / P) * P + y % P) * P + x % P) * 3 + c
             : (c * p->height + y) * p->width + x;
}

/* clipimg_window(): the part of a picture of width x height that the S x S pixels show. It reaches
 * beyond the picture where the picture is padded.
 * Errors: CLIP_EINVAL (a side < 1). */
clip_status clipimg_window(const clipimg_recipe *r, int width, int height, clip_window *out);

/* clipimg_preprocess(): prepare a picture.
 * out  out  [clipimg_floats(r)]: pixels [3, S, S]; CLIPIMG_NAFLEX: rows, columns, and patches
 *           [rows * columns, patch, patch, 3] with zeros behind them
 * Errors: CLIP_EINVAL (an empty picture, or one too long for its patches), CLIP_ENOMEM. */
clip_status clipimg_preprocess(const clipimg_recipe *r, const clip_image *img, float *out);

/* clipimg_preprocess_reduced(): the same for a picture that was decoded at a reduced size.
 * width, height  in  the picture's full size. The crop is computed from it, to the pixel */
clip_status clipimg_preprocess_reduced(const clipimg_recipe *r, const clip_image *img, int width, int height,
                                       float *out);

#endif
