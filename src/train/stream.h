/* stream.h: batches to train on. They are read, decoded, augmented and tokenized in other threads,
 * ahead of the training step.
 *
 *     sources --scan--> catalogue --shuffle (stream_order.c)--> samples in order
 *             --workers (stream.c)--> cells in that order --> batches
 *
 * An epoch is every pair once, in an order of its own. Tables, folders, and tars that fit into
 * `memory` together are permuted as a whole. Larger tars are read one after the other, in shuffled
 * order, through a shuffle buffer. Where both kinds are given, they are mixed evenly.
 *
 * A batch is the next N sound samples in order. A broken sample is skipped, counted and named. The
 * rest of an epoch that does not fill a batch is dropped, as with OpenCLIP's drop_last. So batches
 * depend only on data, options and seed, and not on the number or the speed of workers or ranks. A
 * stream that is opened at batch.next of another stream goes on as that one did.
 *
 * With peers, every rank opens the stream with the same options, and gets its own part of each
 * batch. All ranks call next() together. */
#ifndef CLIPTRN_STREAM_H
#define CLIPTRN_STREAM_H

#include "base/peers.h"
#include "image/augment.h"
#include "text/tokenizer.h"

typedef struct cliptrn_stream cliptrn_stream;

/* A place between two samples: `sample` samples of epoch `epoch` lie before it. Both count from
 * 0. */
typedef struct cliptrn_position {
    int64_t epoch, sample;
} cliptrn_position;

typedef struct cliptrn_stream_options {
    const char *spec;                /* what clip_pairs_open() takes */
    const clip_pairs_options *pairs; /* NULL: defaults */
    const clipimg_recipe *recipe;
    int64_t max_pixels;              /* larger pictures count as broken; 0: the usual limit */
    const clipimg_augment *augment;  /* NULL: pictures as for inference */
    const cliptok *tokenizer;        /* must outlive the stream; all other pointers are copied */
    int context_length;
    int batch;                       /* pairs, of all ranks together */
    const clipb_peers *peers;        /* must outlive the stream; NULL: alone */
    int workers;                     /* threads that decode, at least 1 */
    uint64_t seed;
    int shuffle_buffer;              /* samples; 0: 10,000 */
    size_t memory;                   /* bytes of encoded samples to hold, of tars and in the shuffle buffer; 0: 1 GiB */
    cliptrn_position start;          /* {0, 0}: the beginning */
    clip_warn_fn warn;               /* called from open() and next(), for the first broken samples; NULL: silent */
    void *warn_user;
} cliptrn_stream_options;

/* A batch. Its memory belongs to the stream, and is valid until the next call. */
typedef struct cliptrn_batch {
    int N;                         /* pairs of this rank; alone, of the whole batch */
    int whole;                     /* pairs of all ranks */
    const int *holder;             /* [whole] the rank that has the pair; each rank has its own in order */
    const float *pixels;           /* [N, 3, S, S] */
    const int32_t *ids, *off;      /* text i is ids[off[i]] .. ids[off[i + 1] - 1], with start and end; off [N + 1] */
    const char *const *key;        /* [N] file, or TAR/MEMBER */
    const char *const *caption;    /* [N] the caption that was drawn */
    const int64_t *index;          /* [N] place in the catalogue, which has the order of the sources */
    int64_t epoch;
    cliptrn_position next;         /* where to start for the batch after this one */
} cliptrn_batch;

typedef struct cliptrn_stream_stats {
    int64_t seen;   /* samples delivered in batches, to all ranks */
    int64_t broken; /* samples found broken, by all ranks; each counts once */
    double waited;  /* seconds that next() waited for the workers */
} cliptrn_stream_stats;

/* cliptrn_stream_open(): scan the sources and start the workers. The scan reads only pictures of
 * tars that are held in memory.
 * out  out  free with cliptrn_stream_close(); NULL on error
 * Errors: those of clip_pairs_open(); CLIP_EIO (a folder that cannot be listed whole), CLIP_EFORMAT
 * (a damaged source, or fewer pairs than a batch), CLIP_EINVAL (options), CLIP_EMISMATCH (the start
 * lies beyond the data), CLIP_ELIMIT (threads), CLIP_ENOMEM. */
clip_status cliptrn_stream_open(const cliptrn_stream_options *opt, cliptrn_stream **out, clip_error *err);

/* cliptrn_stream_next(): the next batch. There always is one, epoch after epoch.
 * Errors: CLIP_EFORMAT (an epoch has fewer sound samples than a batch, or a tar has become
 * unreadable), CLIP_EIO (also where another rank fails), CLIP_ENOMEM. After an error every call
 * returns the same error. */
clip_status cliptrn_stream_next(cliptrn_stream *s, cliptrn_batch *out, clip_error *err);

/* cliptrn_stream_count(): the number of pairs in an epoch, without those that the scan found
 * broken. An epoch has count / N batches, if decoding finds no more broken ones. */
int64_t cliptrn_stream_count(const cliptrn_stream *s);

/* cliptrn_stream_fingerprint(): a hash of the file names and captions in their order. Other data
 * have another one. */
uint64_t cliptrn_stream_fingerprint(const cliptrn_stream *s);

/* cliptrn_stream_passed(): the files in folders that were passed over. */
const clip_passed *cliptrn_stream_passed(const cliptrn_stream *s);

cliptrn_stream_stats cliptrn_stream_get_stats(const cliptrn_stream *s);

/* cliptrn_stream_close(): close it at any moment. Waits only for pictures that are being
 * decoded. */
void cliptrn_stream_close(cliptrn_stream *s);

#endif
