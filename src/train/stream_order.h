/* stream_order.h: which samples there are, and in which order an epoch takes them. One thread at a
 * time. */
#ifndef CLIPTRN_STREAM_ORDER_H
#define CLIPTRN_STREAM_ORDER_H

#include "data/data.h"
#include "train/stream.h"

/* An encoded sample, in one block. */
typedef struct cliptrn_sample {
    int64_t index;
    clip_status fault; /* not CLIP_OK: it is broken, and text says why, whole with its name */
    bool held;         /* by the catalogue; else whoever has it frees it with free() */
    int captions;
    size_t size;       /* of the picture's bytes; 0: they are in the file `key` */
    const uint8_t *bytes;
    char text[];       /* the key, the captions, a 0 after each; then the bytes */
} cliptrn_sample;

const char *cliptrn_sample_caption(const cliptrn_sample *s, uint32_t i);

typedef struct cliptrn_order cliptrn_order;

/* Told of sample `index`, which the scan found broken. Its error ends the scan. */
typedef clip_status cliptrn_broken_fn(void *user, int64_t index, const char *message);

/* cliptrn_order_open(): scan the sources.
 * out  out  at the beginning of epoch 0; free with cliptrn_order_close() */
clip_status cliptrn_order_open(const cliptrn_stream_options *opt, cliptrn_broken_fn *broken, void *user,
                               cliptrn_order **out, clip_error *err);
void cliptrn_order_close(cliptrn_order *o);

/* cliptrn_order_samples(): how many the scan met, broken ones included: indices are below that. */
int64_t cliptrn_order_samples(const cliptrn_order *o);

/* cliptrn_order_fingerprint(): of the file names and captions the scan met, in their order: other
 * data have another. */
uint64_t cliptrn_order_fingerprint(const cliptrn_order *o);

/* cliptrn_order_passed(): the files in folders that the scan passed over. */
const clip_passed *cliptrn_order_passed(const cliptrn_order *o);

/* cliptrn_order_seek(): CLIP_EMISMATCH (beyond the data); those of cliptrn_order_next(). */
clip_status cliptrn_order_seek(cliptrn_order *o, cliptrn_position to, clip_error *err);

/* cliptrn_order_next(): the next sample of the epoch; NULL at its end, and the order is at the
 * beginning of the next one.
 * Errors: a tar that cannot be read, or is no longer as it was; CLIP_ENOMEM. */
clip_status cliptrn_order_next(cliptrn_order *o, cliptrn_sample **out, clip_error *err);

#endif
