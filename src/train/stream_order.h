/* stream_order.h: the samples that there are, and the order in which an epoch takes them. Only one
 * thread at a time may use it. */
#ifndef CLIPTRN_STREAM_ORDER_H
#define CLIPTRN_STREAM_ORDER_H

#include "data/data.h"
#include "train/stream.h"

/* An encoded sample, in one block. */
typedef struct cliptrn_sample {
    int64_t index;
    clip_status fault; /* not CLIP_OK: it is broken, and `text` is a message with its name */
    bool held;         /* the catalogue owns it; else the caller frees it with free() */
    int captions;
    size_t size;       /* bytes of the picture; 0: the picture is the file `key` */
    const uint8_t *bytes;
    char text[];       /* the key and the captions, each ended by 0; then the bytes */
} cliptrn_sample;

/* cliptrn_sample_caption(): caption i, below s->captions. */
const char *cliptrn_sample_caption(const cliptrn_sample *s, uint32_t i);

typedef struct cliptrn_order cliptrn_order;

/* Called for each sample that the scan finds broken. An error that it returns ends the scan. */
typedef clip_status cliptrn_broken_fn(void *user, int64_t index, const char *message);

/* cliptrn_order_open(): scan the sources.
 * out  out  at the beginning of epoch 0; free with cliptrn_order_close()
 * Errors: those of cliptrn_stream_open(), and those of `broken`. */
clip_status cliptrn_order_open(const cliptrn_stream_options *opt, cliptrn_broken_fn *broken, void *user,
                               cliptrn_order **out, clip_error *err);
void cliptrn_order_close(cliptrn_order *o);

/* cliptrn_order_samples(): the number of samples that the scan met, with broken ones. Indices are
 * below it. */
int64_t cliptrn_order_samples(const cliptrn_order *o);

/* cliptrn_order_fingerprint(): as cliptrn_stream_fingerprint(). */
uint64_t cliptrn_order_fingerprint(const cliptrn_order *o);

/* cliptrn_order_passed(): the files in folders that the scan passed over. */
const clip_passed *cliptrn_order_passed(const cliptrn_order *o);

/* cliptrn_order_seek(): go to a place.
 * Errors: CLIP_EMISMATCH (it lies beyond the data); those of cliptrn_order_next(). */
clip_status cliptrn_order_seek(cliptrn_order *o, cliptrn_position to, clip_error *err);

/* cliptrn_order_next(): the next sample of the epoch.
 * out  out  NULL at the end of an epoch; the next call then begins the next epoch
 * Errors: CLIP_EIO or CLIP_EFORMAT (a tar cannot be read, or has changed), CLIP_ENOMEM. */
clip_status cliptrn_order_next(cliptrn_order *o, cliptrn_sample **out, clip_error *err);

#endif
