/* store.h: the tensors of a checkpoint: one safetensors file, or the shards that an index names.
 *
 *     8 bytes      N, little-endian: length of the header
 *     N bytes      JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]},
 *                  ..., "__metadata__": {..}}
 *     the rest     the data; offsets count from here
 *
 * Format: huggingface/safetensors. Everything is checked at opening. Afterwards a tensor's bytes
 * are inside its mapping, they are as many as its shape and type say, and no two tensors share
 * any. */
#ifndef CLIPMDL_STORE_H
#define CLIPMDL_STORE_H

#include "base/file.h"
#include "kernels/kernels.h"

#define CLIPMDL_MAX_DIMS 8

typedef struct clipmdl_tensor {
    const char *name;  /* lives in the store */
    const char *dtype; /* "F32", "I64", ... as the file says; static */
    int ndim;
    int64_t dim[CLIPMDL_MAX_DIMS];
    const unsigned char *data; /* no alignment is promised */
    size_t bytes;
    const clipb_map *map; /* NULL: the data is not in a mapping */
    bool used; /* set by whoever takes it; a tensor that nobody takes is unexpected */
} clipmdl_tensor;

typedef struct clipmdl_store {
    clipmdl_tensor *tensor; /* [n], ascending by name */
    size_t n;
    char *file;             /* the file opened: the index, where there are shards */
    /* owned */
    struct cJSON **header;
    clipb_map *map;
    size_t shards;
    unsigned char *joined; /* a tensor that a family has put together */
} clipmdl_store;

/* clipmdl_store_open(): map `path`, a .safetensors file or a .safetensors.index.json.
 * Errors: CLIP_EIO, CLIP_EFORMAT (file and tensor named), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipmdl_store_open(const char *path, clipmdl_store *out, clip_error *err);
void clipmdl_store_close(clipmdl_store *s);

/* clipmdl_store_check(): CLIP_EIO where one of the files has been written to since it was
 * opened. */
clip_status clipmdl_store_check(const clipmdl_store *s, clip_error *err);

/* clipmdl_store_find(): NULL where there is none of that name. The pointer lives as long as the
 * store. */
clipmdl_tensor *clipmdl_store_find(const clipmdl_store *s, const char *name);

/* clipmdl_tensor_type(): the kernels' type of a weight; false for a type that no weight has
 * (integers, f64). */
bool clipmdl_tensor_type(const clipmdl_tensor *t, clipk_type *out);

/* clipmdl_tensor_is_finite(): no number of a weight is NaN or infinite. */
bool clipmdl_tensor_is_finite(const clipmdl_tensor *t);

#endif
