/* store.h: the tensors of a checkpoint: one file, or the shards that an index lists. A file is
 * safetensors (safetensors.c), or what torch.save() writes (torch.c); its first bytes tell.
 *
 * Everything is checked at opening. Afterwards a tensor's bytes are inside its mapping or in memory
 * of the store, and their number fits its shape and type. Rows follow each other (C order). */
#ifndef CLIPMDL_STORE_H
#define CLIPMDL_STORE_H

#include "base/file.h"
#include "kernels/kernels.h"

#define CLIPMDL_MAX_DIMS 8

/* In the metadata of a safetensors file: its matrices may be in 8 bits, in this form
 * (quantised.h). */
#define CLIPMDL_INT8_KEY "clip_int8"
#define CLIPMDL_INT8_VERSION "1"

typedef struct clipmdl_tensor {
    const char *name;  /* owned by the store */
    const char *dtype; /* "F32", "I64", ... as in the file; static */
    int ndim;
    int64_t dim[CLIPMDL_MAX_DIMS];
    const unsigned char *data; /* may be unaligned */
    size_t bytes;
    const clipb_map *map; /* NULL: the data is not in a mapping */
    bool used; /* set by the reader that takes it; a tensor that is never taken is an error */
} clipmdl_tensor;

typedef struct clipmdl_store {
    clipmdl_tensor *tensor; /* [n], ascending by name */
    size_t n;
    char *file;             /* the opened file: the index if there are shards */
    clipb_map *map;         /* [shards] */
    size_t shards;
    bool quantised;         /* its metadata says that matrices may be in 8 bits (quantised.h) */
    size_t capacity;        /* of tensor */
    struct clipmdl_kept *kept; /* names, and tensors that are not in a mapping */
} clipmdl_store;

/* clipmdl_store_open(): map `path`, a file of tensors or an index of such files (.json).
 * Errors: CLIP_EIO, CLIP_EFORMAT (file and tensor named), CLIP_EUNSUPPORTED, CLIP_ELIMIT,
 * CLIP_ENOMEM. */
clip_status clipmdl_store_open(const char *path, clipmdl_store *out, clip_error *err);
void clipmdl_store_close(clipmdl_store *s);

/* clipmdl_store_check(): is every file unchanged since it was opened?
 * Errors: CLIP_EIO. */
clip_status clipmdl_store_check(const clipmdl_store *s, clip_error *err);

/* clipmdl_store_keep(): memory that lives as long as the store. NULL: out of memory. */
void *clipmdl_store_keep(clipmdl_store *s, size_t bytes);

/* clipmdl_store_find(): the tensor of this name, or NULL. The pointer lives as long as the
 * store. */
clipmdl_tensor *clipmdl_store_find(const clipmdl_store *s, const char *name);

/* clipmdl_tensor_type(): a weight's type for the kernels. False for other types (integers, f64). */
bool clipmdl_tensor_type(const clipmdl_tensor *t, clipk_type *out);

/* clipmdl_tensor_has_shape(): leading dimensions of 1 do not count: [1, 1, C] is [C]. */
bool clipmdl_tensor_has_shape(const clipmdl_tensor *t, int ndim, const int64_t *dim);

/* clipmdl_tensor_is_finite(): false if a number of the weight is NaN or infinite.
 * team  in  shares the work; may be NULL */
bool clipmdl_tensor_is_finite(const clipmdl_tensor *t, clipb_team *team);

#endif
