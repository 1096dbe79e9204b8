/* reader.h: what reads a file of tensors into a store. A format is a row; store.c asks each whether
 * it knows the file's first bytes. */
#ifndef CLIPMDL_READER_H
#define CLIPMDL_READER_H

#include "model/store.h"

typedef struct clipmdl_file_format {
    bool (*knows)(const clipb_map *map);
    /* Adds every tensor of the file.
     * Errors: CLIP_EFORMAT (file and fault named), CLIP_EUNSUPPORTED, CLIP_ELIMIT, CLIP_ENOMEM. */
    clip_status (*read)(clipmdl_store *s, const clipb_map *map, const char *file, clip_error *err);
} clipmdl_file_format;

extern const clipmdl_file_format clipmdl_safetensors, clipmdl_torch_zip, clipmdl_torch_legacy;

/* clipmdl_store_add(): one more tensor, whose other fields are 0. The pointer lives until the next
 * call. name [length] is copied.
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_store_add(clipmdl_store *s, const char *name, size_t length, clipmdl_tensor **out);

/* clipmdl_dtype(): the name of a type of numbers as tensors have it, static; NULL: unknown.
 * size  out  bytes of a number */
const char *clipmdl_dtype(const char *name, size_t *size);

#endif
