/* save.h: writing checkpoints: tensors in safetensors' format, configurations of both layouts. What is written here, store.h, config.h,
 * OpenCLIP and transformers read. */
#ifndef CLIPMDL_SAVE_H
#define CLIPMDL_SAVE_H

#include "model/names.h"
#include "model/params.h"

/* clipmdl_to_f16(): to the nearest, ties to even; beyond 65,504 and its rounding: infinity. */
uint16_t clipmdl_to_f16(float f);

/* ---- Tensors ------------------------------------------------------------------------------------------------ */

/* One tensor of a file to be. */
typedef struct clipmdl_array {
    char name[CLIPMDL_MAX_NAME];
    clipk_type type;
    int ndim;
    int64_t dim[4];    /* as stored */
    const float *data; /* the caller's until the file is written */
    bool transpose;    /* data is [dim[1], dim[0]] */
} clipmdl_array;

/* Starts as {0}. Weights and optimizer state are the same to it:
 *     TRY(clipmdl_arrays_add(&a, p, m, "exp_avg.", CLIPMDL_OPENCLIP, CLIPK_F32));
 *     TRY(clipmdl_arrays_add(&a, p, v, "exp_avg_sq.", CLIPMDL_OPENCLIP, CLIPK_F32));
 *     TRY(clipmdl_arrays_write(&a, path, err));
 * and back:  clipmdl_params_read(p, store, CLIPMDL_OPENCLIP, "exp_avg.", m, err) */
typedef struct clipmdl_arrays {
    clipmdl_array *array;
    size_t n, capacity;
} clipmdl_arrays;

/* clipmdl_arrays_add(): every parameter of a block, named and laid out by a scheme. Hugging Face's has no logit_bias: it is left out. CLIP_ENOMEM. */
clip_status clipmdl_arrays_add(clipmdl_arrays *a, const clipmdl_params *p, const float *block, const char *prefix,
                               clipmdl_scheme scheme, clipk_type type);
void clipmdl_arrays_free(clipmdl_arrays *a);

/* clipmdl_arrays_write(): one safetensors file, byte for byte as safetensors' own writer makes it: sorted, without holes, the data at a multiple
 * of 8; metadata {"format": "pt"}. Numbers are rounded to the nearest, ties to even. No second copy is held. The file appears when it is whole.
 * Errors: CLIP_ELIMIT (a number beyond the type's range; the tensor is named), CLIP_EIO, CLIP_ENOMEM. */
clip_status clipmdl_arrays_write(clipmdl_arrays *a, const char *path, clip_error *err);

/* clipmdl_weights_file(): what a layout calls its weights. */
static inline const char *clipmdl_weights_file(clipmdl_scheme scheme)
{
    return scheme == CLIPMDL_OPENCLIP ? "open_clip_model.safetensors" : "model.safetensors";
}

/* clipmdl_save_weights(): the three calls above, for the weights w of a model. */
clip_status clipmdl_save_weights(const char *path, const clipmdl_params *p, const float *w, clipk_type type,
                                 clipmdl_scheme scheme, clip_error *err);

/* ---- Configuration ------------------------------------------------------------------------------------------ */

/* What a configuration says besides the towers. */
typedef struct clipmdl_recipe {
    float mean[3], std[3];
    const char *interpolation; /* "bicubic", "bilinear" */
    const char *resize_mode;   /* "shortest", "longest", "squash" */
    uint8_t fill_color[3];     /* around a "longest" picture */
    int background;            /* of transparent pictures, 0xRRGGBB; -1: none */
    int start_id, end_id;      /* of the tokenizer; -1: there is none */
    bool logit_bias;           /* the weights have one */
    bool own_tokenizer;        /* beside the weights, in files that AutoTokenizer reads; else OpenCLIP takes the one of CLIP */
} clipmdl_recipe;

/* clipmdl_save_config(): open_clip_config.json, or config.json and preprocessor_config.json, into the directory. transformers cannot pad pictures:
 * there "longest" becomes "shortest", which is the same for squares.
 * Errors: CLIP_EUNSUPPORTED for what the layout has no words for (Hugging Face's: a ResNet, no norm before the Transformer; OpenCLIP's:
 * different activations in the towers), CLIP_EIO, CLIP_ENOMEM. */
clip_status clipmdl_save_config(const char *dir, clipmdl_scheme scheme, const clipmdl_config *c,
                                const clipmdl_recipe *r, clip_error *err);

#endif
