/* peers.h: the processes that train one model together, and what they exchange.
 *
 * This is a table of functions, so that a message passing library or the pipes of a test can stand
 * behind it. NULL means a process alone. It exchanges nothing, and no function is called. */
#ifndef CLIPB_PEERS_H
#define CLIPB_PEERS_H

#include "base/status.h"

typedef struct clipb_peers clipb_peers;

/* Every rank calls the same functions in the same order, with the same sizes. After an error the
 * ranks cannot go on together.
 * Errors of both: CLIP_EIO (a peer is gone), CLIP_ENOMEM. */
struct clipb_peers {
    int rank, size; /* 0 <= rank < size */
    void *user;

    /* gather(): every rank gives `bytes` bytes and gets those of all ranks, in their order.
     * all  inout  [size][bytes]; the own part is in its place before the call */
    clip_status (*gather)(const clipb_peers *p, void *all, size_t bytes, clip_error *err);

    /* sum(): x[n] becomes the sum over all ranks, with the same bits in every rank. */
    clip_status (*sum)(const clipb_peers *p, float *x, size_t n, clip_error *err);
};

static inline int clipb_peers_rank(const clipb_peers *p) { return p ? p->rank : 0; }
static inline int clipb_peers_size(const clipb_peers *p) { return p ? p->size : 1; }

#endif
