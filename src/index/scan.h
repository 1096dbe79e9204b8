/* scan.h: many queries against all rows: which rows may reach a score, by their codes. Reads the
 * heads of all rows, and the tails of those whose heads leave it open: at most a sixth of the
 * f32 vectors, at best a thirtieth.
 *
 *     clipidx_scan scan = {.x = x, .rows = &rows, .row = take, .user = ..};
 *     TRY(clipidx_scan_init(&scan, query, Q, least, err));
 *     clipidx_scan_run(&scan);
 *     clipidx_scan_free(&scan);                                            in any case
 *
 * take(user, &scan, q, row) is called, on any thread, for every row of `rows` whose score for
 * query q may be least[q] or more, and for some others. It may raise least[q]. The index must be
 * mapped (clipidx_map()). */
#ifndef CLIPIDX_SCAN_H
#define CLIPIDX_SCAN_H

#include <stdatomic.h>

#include "index/index.h"

#define CLIPIDX_SCAN_QUERIES 64 /* so many at once cost least each */

typedef struct clipidx_scan {
    const clip_index *x;
    const clipidx_bits *rows;
    int64_t begin; /* rows before it are passed over */
    void (*row)(void *user, const struct clipidx_scan *scan, int q, int64_t row);
    void *user;
    /* clipidx_scan_init() */
    int Q;
    _Atomic float *least; /* [Q] */
    float *unit;          /* [Q, D] */
    int16_t *head, *tail; /* their codes, [Q, clipk_scan_padded(H)] and [Q, 2, clipk_scan_padded(bytes)] */
    clipidx_query *query; /* [Q] */
    int piece;            /* rows that a thread takes at once */
} clipidx_scan;

/* clipidx_scan_init(): Q queries of any length. May be called again once it is freed.
 * Errors: CLIP_EINVAL (a zero or non-finite query), CLIP_ENOMEM. */
clip_status clipidx_scan_init(clipidx_scan *scan, const float *query, int Q, float least, clip_error *err);
void clipidx_scan_run(clipidx_scan *scan);
void clipidx_scan_free(clipidx_scan *scan); /* what clipidx_scan_init() has made */

/* clipidx_scan_score(): the score itself, in f32 from the f16 vector, whose length is 1 but for
 * rounding. */
static inline float clipidx_scan_score(const clipidx_scan *scan, int q, int64_t row)
{
    const void *vector = clipidx_array_row(&scan->x->array[CLIPIDX_VECTORS], row);
    return clipk_cosine(scan->x->set->dot_f16(scan->query[q].unit, vector, scan->x->dim));
}

#endif
