/* team.h: threads that share out the pieces of jobs.
 *
 * A forward pass is a hundred short jobs in a row, on machines that do other things as well. So any
 * thread that is free takes the next piece, the caller first of all. The caller waits only for
 * pieces of its own job that another thread has begun: a thread that the system has put aside holds
 * nobody up. (OpenMP's regions end in a barrier for all their threads. With one of two cores taken
 * by another program, that made an encoder ten times slower, where half the speed is available.)
 *
 * Several callers may each have a job on one team at the same time. A caller works on its own job
 * only. The other threads take a piece of each job in turn.
 *
 * Pieces are independent, and no result may depend on which thread does a piece. In a forked child
 * the caller does all pieces itself. */
#ifndef CLIPB_TEAM_H
#define CLIPB_TEAM_H

#include <stdint.h>

typedef struct clipb_team clipb_team;

/* Does piece i of a job. thread: 0 (the caller) .. threads-1. No two threads that work on the job
 * at the same time have the same number, so it can pick a part of the job's scratch. */
typedef void clipb_piece(void *job, int64_t i, int thread);

/* clipb_team_new(): `threads` including a caller; 1 starts none. clipb_team_free(): after the last
 * job has returned.
 * @return: NULL: out of memory */
clipb_team *clipb_team_new(int threads);
void clipb_team_free(clipb_team *t);
int clipb_team_threads(const clipb_team *t); /* NULL: 1 */

/* clipb_team_run(): do the pieces 0 .. n-1, and return when all are done. Any number of threads may
 * call it for one team at the same time. t NULL: the caller does all pieces. */
void clipb_team_run(clipb_team *t, int64_t n, clipb_piece *piece, void *job);

/* clipb_cores(): how many this process may use. */
int clipb_cores(void);

#endif
