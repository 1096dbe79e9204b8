/* save.h: write tensors in safetensors' format. store.h, OpenCLIP and transformers read it. The
 * family writes the configuration beside them (family/family.h). */
#ifndef CLIPMDL_SAVE_H
#define CLIPMDL_SAVE_H

#include "model/names.h"
#include "model/params.h"

/* clipmdl_to_f16(): to nearest, ties to even. Numbers that round beyond 65,504 become infinity. */
uint16_t clipmdl_to_f16(float f);

/* ---- Tensors --------------------------------------------------------------------------------- */

/* A tensor to be written. */
typedef struct clipmdl_array {
    char name[CLIPMDL_MAX_NAME];
    clipk_type type;
    int ndim;
    int64_t dim[4];    /* as stored */
    const float *data; /* owned by the caller; needed until the file is written */
    const int8_t *integers; /* I8, instead of data and type; NULL: not */
    bool transpose;    /* data is [dim[1], dim[0]] */
} clipmdl_array;

/* Starts as {0}. Weights and optimizer state are written and read in the same way:
 *     TRY(clipmdl_arrays_add(&a, p, m, "exp_avg.", &clipmdl_openclip, CLIPK_F32));
 *     TRY(clipmdl_arrays_add(&a, p, v, "exp_avg_sq.", &clipmdl_openclip, CLIPK_F32));
 *     TRY(clipmdl_arrays_write(&a, path, err));
 * To read:  clipmdl_params_read(p, store, &clipmdl_openclip, "exp_avg.", m, err) */
typedef struct clipmdl_arrays {
    clipmdl_array *array;
    size_t n, capacity;
    bool quantised; /* the metadata says so (store.h) */
} clipmdl_arrays;

/* clipmdl_arrays_add(): add every parameter of a block, in a family's names and layouts. logit_bias
 * is left out if the family has none.
 * clipmdl_arrays_add_param(): add one of them.
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_arrays_add(clipmdl_arrays *a, const clipmdl_params *p, const float *block, const char *prefix,
                               const clipmdl_family *family, clipk_type type);
clip_status clipmdl_arrays_add_param(clipmdl_arrays *a, const clipmdl_param *q, const float *block, const char *prefix,
                                     const clipmdl_family *family, clipk_type type);
void clipmdl_arrays_free(clipmdl_arrays *a);

/* clipmdl_arrays_write(): one safetensors file, byte for byte as safetensors' own writer makes it:
 * sorted, without holes, the data at a multiple of 8, metadata {"format": "pt"}. Numbers are
 * rounded to the nearest, ties to even. The data is not copied. The file appears only when it is
 * complete.
 * Errors: CLIP_ELIMIT (a number beyond the type's range; the tensor is named), CLIP_EIO,
 * CLIP_ENOMEM. */
clip_status clipmdl_arrays_write(clipmdl_arrays *a, const char *path, clip_error *err);

/* clipmdl_save_weights(): adds the weights w of a model and writes them. */
clip_status clipmdl_save_weights(const char *path, const clipmdl_params *p, const float *w, clipk_type type,
                                 const clipmdl_family *family, clip_error *err);

#endif
