/* names.h: one parameter, many names. The code speaks OpenCLIP's (which are OpenAI's); a scheme says where a file has it. */
#ifndef CLIPMDL_NAMES_H
#define CLIPMDL_NAMES_H

#include "model/config.h"

#define CLIPMDL_MAX_NAME 192

/* A run of rows of a parameter, as it lies in a file. */
typedef struct clipmdl_part {
    char name[CLIPMDL_MAX_NAME];
    int64_t first, rows, total; /* rows first .. first+rows of the file's tensor, which has `total` */
} clipmdl_part;

#define CLIPMDL_MAX_PARTS 3

/* clipmdl_parts(): where rows first .. first+rows of the parameter `name` (of `total` rows) are in a file.
 * "in_proj" stands for the query, key and value projections one below the other: one tensor in OpenCLIP's Transformers,
 * three in Hugging Face's and in every attention pool; there first and rows are multiples of total/3.
 * part  out  [CLIPMDL_MAX_PARTS]
 * Returns how many parts. */
int clipmdl_parts(clipmdl_scheme scheme, const char *prefix, const char *name, int64_t first, int64_t rows, int64_t total, clipmdl_part *part);

/* clipmdl_find(): the encoders in a file, told by the names of its tensors, whatever stands before them.
 * within  in   only those whose names begin so; NULL: all
 * found   out  [CLIPMDL_MAX_FOUND], in the order of their names; what is beyond is passed over
 * Returns how many there are. */
#define CLIPMDL_MAX_FOUND 8
int clipmdl_find(const clipmdl_store *s, const char *within, clipmdl_found *found);

/* clipmdl_projection_transposed(): "visual.proj" and "text_projection" are [width, embed] (x @ W) in this scheme. */
static inline bool clipmdl_projection_transposed(clipmdl_scheme scheme) { return scheme == CLIPMDL_OPENCLIP; }

#endif
