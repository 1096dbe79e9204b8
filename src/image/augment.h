/* augment.h: a picture as training sees it: another view, other colours, each time.
 *
 *     view (crop or affine, 8 bits) -> color_jitter -> grey -> flip, contrast, channel shift, (v - mean) / std -> erasing
 *
 * The view is torchvision's RandomResizedCrop, as OpenCLIP trains, or an affine map for small pictures. All that is drawn is drawn from
 * the generator given, in the order of the arrows: the same generator, the same picture. */
#ifndef CLIPIMG_AUGMENT_H
#define CLIPIMG_AUGMENT_H

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "image/image.h"

/* An affine view. Edge pixels are repeated beyond the picture; what is not square is first brought to shape as the recipe's mode says. */
typedef struct clipimg_affine {
    bool on;       /* in place of the crop */
    float zoom[2]; /* range of the share of the picture's side that is seen: 0.5 is twice as close */
    float aspect;  /* the view is up to 1 + aspect as wide as high, or as high as wide */
    float shift;   /* its centre moves by up to this share of the side, either way, in x and in y */
    float rotate;  /* degrees, either way */
} clipimg_affine;

typedef struct clipimg_augment {
    float scale[2], ratio[2]; /* RandomResizedCrop: range of the area's share, and of width / height */
    clipimg_affine affine;
    float color_jitter[4];    /* brightness, contrast, saturation, hue: ColorJitter's */
    float color_jitter_prob;  /* of all four together */
    float gray_scale_prob;
    float hflip;              /* probability of left for right */
    float contrast;           /* distance from mid-grey is multiplied by 1 - contrast .. 1 + contrast */
    float channel_shift;      /* each channel moves by up to this, either way; white is 1 */
    float re_prob;            /* probability of timm's random erasing: 1/50 to 1/3 of the area becomes the mean colour */
} clipimg_augment;

/* clipimg_augment_default(): OpenCLIP's: scale 0.9 .. 1, ratio 3/4 .. 4/3, no more. */
clipimg_augment clipimg_augment_default(void);

/* clipimg_augment_json(): settings from an object, what it lacks as it is by default:
 *     {"scale": [0.9, 1], "ratio": [0.75, 1.333], "color_jitter": [0.4, 0.4, 0.4, 0.1], "color_jitter_prob": 0.8, "gray_scale_prob": 0.2,
 *      "hflip": 0.5, "affine": {"zoom": [0.6, 1.05], "aspect": 0.1, "shift": 0.15, "rotate": 10}, "contrast": 0.2,
 *      "channel_shift": 0.05, "re_prob": 0.25}
 * file  in   for messages
 * Errors: CLIP_EFORMAT (a key that is none of these, a value out of range, a crop and an affine view together). */
clip_status clipimg_augment_json(const cJSON *o, clipimg_augment *out, const char *file, clip_error *err);

/* clipimg_augment_apply(): img to out [3, S, S]. CLIP_EINVAL (an empty picture), CLIP_ENOMEM. */
clip_status clipimg_augment_apply(const clipimg_augment *a, clipb_rng *rng, const clipimg_recipe *r,
                                  const clip_image *img, float *out);

/* ---- The parts, for tests ---- */

typedef struct clipimg_box {
    int x, y, width, height;
} clipimg_box;

/* clipimg_augment_box(): RandomResizedCrop.get_params(). */
clipimg_box clipimg_augment_box(const clipimg_augment *a, clipb_rng *rng, int width, int height);

/* augment_color.c: Pillow's ImageEnhance and torchvision's adjust_hue on n pixels of RGB, bit for bit, in place. */
void clipimg_brightness(uint8_t *rgb, size_t n, float factor);
void clipimg_contrast(uint8_t *rgb, size_t n, float factor);
void clipimg_saturation(uint8_t *rgb, size_t n, float factor); /* 0: grey, as convert("L") */
void clipimg_hue(uint8_t *rgb, size_t n, float turn);          /* -1/2 .. 1/2 of the circle */

#endif
