/* queue.h: work done by the queue's own threads, and taken out in the order in which it was put in.
 *
 *     clipb_queue_new(2, 64, sizeof(cell), 0, work, user, &q);
 *     for (;;) {
 *         while (more && (c = clipb_queue_room(q))) { fill it;  clipb_queue_put(q); }
 *         if (!(c = clipb_queue_oldest(q)))            waits for the work; NULL: nothing is queued
 *             break;
 *         use it;  clipb_queue_pass(q);
 *     }
 *
 * The cells are a ring of fixed size. A reused cell holds the content of its last use. Only one
 * thread may put, take and pass. */
#ifndef CLIPB_QUEUE_H
#define CLIPB_QUEUE_H

#include <stddef.h>

#include "base/status.h"

typedef struct clipb_queue clipb_queue;

typedef void clipb_queue_work(void *user, void *cell);

/* clipb_queue_new(): start the threads.
 * cells  in   number of cells, at least 1, each of `size` bytes and zeroed
 * nice   in   how much the threads' priority is below the caller's (setpriority()); 0: the same
 * out    out  free with clipb_queue_free()
 * Errors: CLIP_ELIMIT (the system allows no thread), CLIP_ENOMEM. */
clip_status clipb_queue_new(int threads, size_t cells, size_t size, int nice, clipb_queue_work *work, void *user,
                            clipb_queue **out);

void *clipb_queue_room(clipb_queue *q);    /* the next cell to fill; NULL: all are in use */
void clipb_queue_put(clipb_queue *q);      /* the cell is filled */
void *clipb_queue_oldest(clipb_queue *q);
void clipb_queue_pass(clipb_queue *q);     /* the oldest cell is free again */
double clipb_queue_waited(const clipb_queue *q); /* seconds spent in clipb_queue_oldest() */

/* clipb_queue_free(): may be called at any moment. It waits only for work that has begun.
 * drop  in   called for every cell, to free its content; may be NULL */
void clipb_queue_free(clipb_queue *q, void (*drop)(void *cell));

#endif
