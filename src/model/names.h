/* names.h: one parameter, many names. The code speaks OpenCLIP's, which are OpenAI's; a family says
 * where a file has the parameter. */
#ifndef CLIPMDL_NAMES_H
#define CLIPMDL_NAMES_H

#include "model/family/family.h"

/* A run of rows of a parameter, as it lies in a file. */
typedef struct clipmdl_part {
    char name[CLIPMDL_MAX_NAME];
    int64_t first, rows, total; /* rows first .. first+rows of the file's tensor, which has `total` */
} clipmdl_part;

#define CLIPMDL_MAX_PARTS 3

/* clipmdl_parts(): where rows first .. first+rows of the parameter `name` (of `total` rows) are in
 * a file. "in_proj" stands for the query, key and value projections one below the other: one tensor
 * in OpenCLIP's Transformers, three in Hugging Face's and in every attention pool; there first and
 * rows are multiples of total/3.
 * part  out  [CLIPMDL_MAX_PARTS]
 * Returns how many parts. */
int clipmdl_parts(const clipmdl_family *family, const char *prefix, const char *name, int64_t first, int64_t rows,
                  int64_t total, clipmdl_part *part);

/* clipmdl_is_whole(): every tensor of the file has these encoders' prefix, so nothing else is in
 * it. */
bool clipmdl_is_whole(const clipmdl_store *s, const char *prefix);

/* clipmdl_in_tower(): is a tensor part of one of these towers, by its name? clipmdl_is_harmless():
 * one that carries nothing that is used, like position_ids. */
bool clipmdl_in_tower(const clipmdl_family *family, const char *prefix, const char *name, int towers);
bool clipmdl_is_harmless(const char *name);

#endif
