/* augment.h: random views and colors of a picture, for training.
 *
 *     view (crop or affine, 8 bits) -> color jitter -> grey
 *          -> flip, contrast, channel shift, (v - mean) / std -> erasing
 *
 * The view is torchvision's RandomResizedCrop, as in OpenCLIP's training, or an affine map, which
 * suits small pictures. Random numbers are drawn in the order of the arrows, all from the generator
 * that the caller gives: the same generator gives the same picture. */
#ifndef CLIPIMG_AUGMENT_H
#define CLIPIMG_AUGMENT_H

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "image/image.h"

/* An affine view. Beyond the picture its edge pixels are repeated. A picture that is not square is
 * first made square in the recipe's mode. */
typedef struct clipimg_affine {
    bool on;       /* use this view instead of the crop */
    float zoom[2]; /* range of the share of the side that is seen: 0.5 is twice as close */
    float aspect;  /* width / height, or height / width, is up to 1 + aspect */
    float shift;   /* the centre moves by up to this share of the side, in x and in y */
    float rotate;  /* up to so many degrees, either way */
} clipimg_affine;

typedef struct clipimg_augment {
    float scale[2], ratio[2]; /* RandomResizedCrop: ranges of the share of the area, and of width / height */
    clipimg_affine affine;
    float color_jitter[4];    /* as in ColorJitter: brightness, contrast, saturation, hue */
    float color_jitter_prob;  /* of all four together */
    float gray_scale_prob;
    float hflip;              /* probability of a horizontal flip */
    float contrast;           /* the distance from mid-grey is multiplied by 1 - contrast .. 1 + contrast */
    float channel_shift;      /* each channel moves up to this far, either way; white is 1 */
    float re_prob;            /* probability of timm's random erasing: a box of 1/50 to 1/3 of the
                               * area gets the mean color */
} clipimg_augment;

/* clipimg_augment_default(): OpenCLIP's defaults. scale 0.9 .. 1, ratio 3/4 .. 4/3, nothing
 * else. */
clipimg_augment clipimg_augment_default(void);

/* clipimg_augment_json(): read settings from an object. Missing keys keep their defaults.
 *     {"scale": [0.9, 1], "ratio": [0.75, 1.333], "color_jitter": [0.4, 0.4, 0.4, 0.1],
 *      "color_jitter_prob": 0.8, "gray_scale_prob": 0.2, "hflip": 0.5,
 *      "affine": {"zoom": [0.6, 1.05], "aspect": 0.1, "shift": 0.15, "rotate": 10},
 *      "contrast": 0.2, "channel_shift": 0.05, "re_prob": 0.25}
 * file  in   for messages
 * Errors: CLIP_EFORMAT (an unknown key, a value out of range, a crop together with an affine
 * view). */
clip_status clipimg_augment_json(const cJSON *o, clipimg_augment *out, const char *file, clip_error *err);

/* clipimg_augment_apply(): prepare a picture with random changes.
 * out  out  [3, S, S]
 * Errors: CLIP_EINVAL (an empty picture), CLIP_ENOMEM. */
clip_status clipimg_augment_apply(const clipimg_augment *a, clipb_rng *rng, const clipimg_recipe *r,
                                  const clip_image *img, float *out);

/* ---- The parts, for tests ------------------------------------------------------------------ */

typedef struct clipimg_box {
    int x, y, width, height;
} clipimg_box;

/* clipimg_augment_box(): RandomResizedCrop.get_params(). */
clipimg_box clipimg_augment_box(const clipimg_augment *a, clipb_rng *rng, int width, int height);

/* augment_color.c: Pillow's ImageEnhance and torchvision's adjust_hue, bit for bit, in place.
 * rgb, n  in/out  n pixels */
void clipimg_brightness(uint8_t *rgb, size_t n, float factor);
void clipimg_contrast(uint8_t *rgb, size_t n, float factor);
void clipimg_saturation(uint8_t *rgb, size_t n, float factor); /* 0: grey, as convert("L") */
void clipimg_hue(uint8_t *rgb, size_t n, float turn);          /* -1/2 .. 1/2 of the circle */

#endif
