/* preprocess.c: the S x S pixels that a checkpoint's image encoder was trained to see.
 *
 *             resized to                              placed
 *   shortest  S and [S long / short], rounded down    centre crop: offset (side - S) / 2, rounded
 *                                                     half to even in OpenCLIP (torchvision), down
 *                                                     in Hugging Face
 *   longest   round(side / (long / S)), half to even  centred on fill_color, the odd pixel at the
 *                                                     right and below
 *   squash    S and S
 *   corner    as corner.c has it
 *   naflex    patches instead, as naflex.c has it
 *
 * Then (v / 255 - mean) / std, each operation rounded to f32: torch's ToTensor and Normalize, bit
 * for bit. Only the crop of the resized picture is computed.
 *
 * The picture is RGB before it is resized, as in OpenCLIP's WebDataset reader and Hugging Face's
 * processor. OpenCLIP's transform on an opened file converts at the end: it resizes palettes and
 * alpha, with other results. Hugging Face means the Pillow backend, CLIPImageProcessorPil, which
 * checkpoints were made with. The default since transformers 5 is torchvision on tensors, which
 * rounds its 8-bit bicubic differently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/corner.h"
#include "image/naflex.h"
#include "image/resize.h"

/* Where the S x S pixels come from. */
typedef struct plan {
    int64_t width, height; /* to resize to */
    int64_t x, y;          /* the window of the resized picture */
    int w, h;
    int left, top;         /* where it goes on the S x S canvas */
} plan;

static int64_t crop_offset(clipimg_flavour flavour, int64_t extra)
{
    int64_t half = extra / 2;
    return flavour == CLIPIMG_OPENCLIP && extra % 2 && half % 2 ? half + 1 : half;
}

static plan make_plan(const clipimg_recipe *r, int width, int height)
{
    int64_t S = r->size, longer = width > height ? width : height, shorter = width > height ? height : width;
    plan p = {.width = S, .height = S, .w = r->size, .h = r->size};
    if (r->mode == CLIPIMG_SHORTEST) {
        int64_t other = (int64_t)((double)(S * longer) / (double)shorter);
        *(width > height ? &p.width : &p.height) = other;
        p.x = crop_offset(r->flavour, p.width - S);
        p.y = crop_offset(r->flavour, p.height - S);
    } else if (r->mode == CLIPIMG_LONGEST) {
        double ratio = (double)longer / (double)S;
        p.width = (int64_t)rint(width / ratio);
        p.height = (int64_t)rint(height / ratio);
        p.w = p.width < 1 ? 1 : (int)p.width; /* the peers fail here */
        p.h = p.height < 1 ? 1 : (int)p.height;
        p.width = p.w;
        p.height = p.h;
        p.left = (r->size - p.w) / 2;
        p.top = (r->size - p.h) / 2;
    }
    return p;
}

clip_status clipimg_window(const clipimg_recipe *r, int width, int height, clip_window *out)
{
    if (width < 1 || height < 1 || r->size < 1)
        return CLIP_EINVAL;
    if (r->mode == CLIPIMG_NAFLEX) {
        *out = (clip_window){0, 0, width, height};
        return CLIP_OK;
    }
    if (r->mode == CLIPIMG_CORNER) {
        const double longer = width > height ? width : height;
        *out = (clip_window){0, 0, longer, longer};
        return CLIP_OK;
    }
    const plan p = make_plan(r, width, height);
    /* the picture's pixels in one pixel of the model */
    const double across = (double)width / (double)p.width, down = (double)height / (double)p.height;
    *out =
        (clip_window){(double)(p.x - p.left) * across, (double)(p.y - p.top) * down, r->size * across, r->size * down};
    return CLIP_OK;
}

size_t clipimg_floats(const clipimg_recipe *r)
{
    if (r->mode == CLIPIMG_NAFLEX)
        return CLIPIMG_NAFLEX_HEAD + (size_t)r->most * 3 * (size_t)r->patch * (size_t)r->patch;
    return 3 * (size_t)r->size * (size_t)r->size;
}

clip_status clipimg_check_prepared(const clipimg_recipe *r, const float *prepared)
{
    const float rows = prepared[0], columns = prepared[1];
    if (r->mode != CLIPIMG_NAFLEX)
        return CLIP_OK;
    return rows >= 1 && columns >= 1 && rows == floorf(rows) && columns == floorf(columns) &&
                   (double)rows * columns <= r->most
               ? CLIP_OK
               : CLIP_EINVAL;
}

clipimg_places clipimg_places_of(const clipimg_recipe *r, const float *prepared)
{
    const size_t P = (size_t)r->patch, S = (size_t)r->size;
    return r->mode == CLIPIMG_NAFLEX ? (clipimg_places){(size_t)prepared[0] * P, (size_t)prepared[1] * P, P}
                                     : (clipimg_places){S, S, 0};
}

clip_image_options clipimg_recipe_options(const clipimg_recipe *r)
{
    clip_image_options o = clipimg_options_default();
    o.background = r->background;
    return o;
}

void clipimg_levels(const clipimg_recipe *r, float level[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            level[c][v] = ((float)v / 255.0f - r->mean[c]) / r->std[c];
}

static void normalise(const clipimg_recipe *r, const uint8_t *rgb, float *out)
{
    size_t plane = (size_t)r->size * (size_t)r->size;
    float level[3][256];
    clipimg_levels(r, level);
    for (size_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++)
            out[c * plane + i] = level[c][rgb[3 * i + (size_t)c]];
}

clip_status clipimg_preprocess_reduced(const clipimg_recipe *r, const clip_image *img, int width, int height,
                                       float *out)
{
    if (!img->rgb || img->width < 1 || img->height < 1 || img->stride / 3 < (size_t)img->width || width < 1 ||
        height < 1 || r->size < 1)
        return CLIP_EINVAL;
    if (r->mode == CLIPIMG_CORNER)
        return clipimg_corner(r, img, out);
    if (r->mode == CLIPIMG_NAFLEX)
        return clipimg_naflex(r, img, width, height, out);
    plan p = make_plan(r, width, height);
    size_t S = (size_t)r->size;
    uint8_t *canvas = malloc(3 * S * S);
    if (!canvas)
        return CLIP_ENOMEM;
    if (p.w < r->size || p.h < r->size)
        for (size_t i = 0; i < S * S; i++)
            memcpy(canvas + 3 * i, r->fill_color, 3);
    clip_image window = {.width = p.w, .height = p.h, .stride = 3 * S};
    window.rgb = canvas + window.stride * (size_t)p.top + 3 * (size_t)p.left;
    clip_status s = clipimg_resize_window(clipimg_best_passes(), img, p.width, p.height, r->filter, p.x, p.y, &window);
    if (s == CLIP_OK)
        normalise(r, canvas, out);
    free(canvas);
    return s;
}

clip_status clipimg_preprocess(const clipimg_recipe *r, const clip_image *img, float *out)
{
    return clipimg_preprocess_reduced(r, img, img->width, img->height, out);
}
