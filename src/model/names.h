/* names.h: where a file has each parameter. The code uses OpenCLIP's names, which are OpenAI's. A
 * family translates them. */
#ifndef CLIPMDL_NAMES_H
#define CLIPMDL_NAMES_H

#include "model/family/family.h"

/* A run of rows of a parameter, as the file stores it. */
typedef struct clipmdl_part {
    char name[CLIPMDL_MAX_NAME];
    int64_t first, rows, total; /* rows first .. first+rows of the file's tensor; total: all its rows */
} clipmdl_part;

#define CLIPMDL_MAX_PARTS 3

/* clipmdl_parts(): where a file has the rows first .. first+rows of the parameter `name`, which has
 * `total` rows. "in_proj" is the query, key and value projections, one below the other, which are
 * one tensor in OpenCLIP's Transformers and three in Hugging Face's. The tensors that a range of
 * rows touches are all in it.
 * family  in   NULL: parameters in memory, which have the code's names
 * part    out  [CLIPMDL_MAX_PARTS]
 * @return: how many parts. */
int clipmdl_parts(const clipmdl_family *family, const char *prefix, const char *name, int64_t first, int64_t rows,
                  int64_t total, clipmdl_part *part);

/* clipmdl_is_whole(): do all tensors of the file have these encoders' prefix? Then the file holds
 * nothing else. */
bool clipmdl_is_whole(const clipmdl_store *s, const char *prefix);

/* clipmdl_in_tower(): does a tensor, by its name, belong to one of these towers?
 * clipmdl_is_unread(): does it belong to a part of the model that is known and not read?
 * clipmdl_is_harmless(): is it a tensor that no model uses, like position_ids? */
bool clipmdl_in_tower(const clipmdl_family *family, const char *prefix, const char *name, int towers);
bool clipmdl_is_unread(const clipmdl_family *family, const char *prefix, const char *name);
bool clipmdl_is_harmless(const char *name);

#endif
