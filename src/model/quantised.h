/* quantised.h: weights in 8 bits in a file (docs/checkpoints.md). In place of a matrix NAME
 * [rows, K] there are
 *
 *     NAME            I8 [rows, depth]     the integers of clipk_weight_pack()
 *     NAME_scale      F32 [rows, 1]
 *     NAME_smoothing  F32 [n, K]           T of the 1st, 2nd, .. n-th part of the rows
 *
 * A layer's operand is made of a run of rows, and each operand has a T of its own. n is the least
 * number of equal parts that no run cuts. */
#ifndef CLIPMDL_QUANTISED_H
#define CLIPMDL_QUANTISED_H

#include "model/bind.h"
#include "model/save.h"

/* clipmdl_quantised_name(): the name of a tensor beside NAME. */
void clipmdl_quantised_name(char out[CLIPMDL_MAX_NAME], const char *name, const char *end);

/* ---- Reading --------------------------------------------------------------------------------- */

/* An operand [O, K], in one or several parts. parts 0: its weights are not in 8 bits */
typedef struct clipmdl_quantised {
    int parts, O, K;
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const clipmdl_tensor *q[CLIPMDL_MAX_PARTS], *scale[CLIPMDL_MAX_PARTS], *smoothing[CLIPMDL_MAX_PARTS];
} clipmdl_quantised;

/* clipmdl_is_quantised(): is this matrix in 8 bits in the binder's file? */
bool clipmdl_is_quantised(const clipmdl_binder *b, const char *name);

/* clipmdl_quantised_find(): the operand that these parts make. What is wrong with them is a fault
 * of the binder. */
bool clipmdl_quantised_find(clipmdl_binder *b, clipmdl_quantised *out, const clipmdl_part *part, int parts, int64_t O,
                            int64_t K);

/* clipmdl_quantised_pack(): fill w->panels. Only while placing. */
void clipmdl_quantised_pack(clipmdl_binder *b, const clipk_weight *w, const clipmdl_quantised *from);

/* ---- Writing --------------------------------------------------------------------------------- */

/* A binder's operands in 8 bits, by the parameters that they are made of. Starts as {0}. */
typedef struct clipmdl_integers {
    struct clipmdl_matrix *matrix;
    size_t n, capacity;
} clipmdl_integers;

/* clipmdl_integers_add(): keep what clipk_weight_pack() has made of these parts of parameters.
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_integers_add(clipmdl_integers *all, const clipk_set *set, const clipk_weight *w,
                                 const clipmdl_part *part, int parts);
void clipmdl_integers_free(clipmdl_integers *all);

/* clipmdl_save_quantised(): write the weights w of a model with its products in 8 bits. Other
 * numbers keep `type` if it has 16 bits. If it has not, tables of tokens and filters are rounded to
 * f16 where its range holds them, and the rest stays f32.
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status clipmdl_save_quantised(const char *path, const clipmdl_config *c, const clipmdl_params *p, float *w,
                                   clipk_type type, const clipmdl_family *family, clip_error *err);

#endif
