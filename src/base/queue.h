/* queue.h: work that is put in piece by piece, done by threads of the queue's own at the same time,
 * and taken out in the order it was put in.
 *
 *     clipb_queue_new(2, 64, sizeof(cell), work, user, &q);
 *     for (;;) {
 *         while (more && (c = clipb_queue_room(q))) { fill it;  clipb_queue_put(q); }
 *         if (!(c = clipb_queue_oldest(q)))                  waits until it is done; NULL: the queue is empty
 *             break;
 *         use it;  clipb_queue_pass(q);
 *     }
 *
 * Bounded: cells are a ring and used again, with what the last piece left in them. One thread puts,
 * takes and passes. */
#ifndef CLIPB_QUEUE_H
#define CLIPB_QUEUE_H

#include <stddef.h>

#include "base/status.h"

typedef struct clipb_queue clipb_queue;

typedef void clipb_queue_work(void *user, void *cell);

/* clipb_queue_new(): start the threads.
 * cells  in   of `size` bytes each, zeros at first; at least 1
 * nice   in   how much later than the caller the threads get the processor (setpriority()), 0: as
 *             it
 * out    out  free with clipb_queue_free()
 * Errors: CLIP_ELIMIT (the system allows no thread), CLIP_ENOMEM. */
clip_status clipb_queue_new(int threads, size_t cells, size_t size, int nice, clipb_queue_work *work, void *user,
                            clipb_queue **out);

void *clipb_queue_room(clipb_queue *q);    /* the next cell to fill; NULL: all are in use */
void clipb_queue_put(clipb_queue *q);      /* it is filled */
void *clipb_queue_oldest(clipb_queue *q);
void clipb_queue_pass(clipb_queue *q);     /* the oldest is free again */
double clipb_queue_waited(const clipb_queue *q); /* seconds, in clipb_queue_oldest() */

/* clipb_queue_free(): at any moment; waits only for the pieces begun.
 * drop  in   called for every cell there is, to free what it holds */
void clipb_queue_free(clipb_queue *q, void (*drop)(void *cell));

#endif
