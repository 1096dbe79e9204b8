/* team.h: threads that share out the pieces of a job.
 *
 * A forward pass is a hundred short jobs in a row, on machines that do other things too. So whoever
 * is there takes the next piece, the caller first of all, and the caller waits only for pieces that
 * somebody has begun: a thread that the system has put aside holds nobody up. (OpenMP's regions end
 * in a barrier for all their threads; with one of two cores taken by another program that made an
 * encoder ten times slower, where half as fast is what there is.)
 *
 * Pieces are independent, and no result may depend on who does which. A team serves one caller at a
 * time. In a forked child the caller does all pieces itself. */
#ifndef CLIPB_TEAM_H
#define CLIPB_TEAM_H

#include <stdint.h>

typedef struct clipb_team clipb_team;

/* Does piece i of a job. thread: 0 (the caller) .. threads-1, for finding the thread's own
 * scratch. */
typedef void clipb_piece(void *job, int64_t i, int thread);

/* clipb_team_new(): `threads` including the caller; 1 starts none. Free with clipb_team_free().
 * NULL: out of memory. */
clipb_team *clipb_team_new(int threads);
void clipb_team_free(clipb_team *t);
int clipb_team_threads(const clipb_team *t); /* NULL: 1 */

/* clipb_team_run(): do the pieces 0 .. n-1, and come back when all are done. t NULL: the caller
 * does them. */
void clipb_team_run(clipb_team *t, int64_t n, clipb_piece *piece, void *job);

/* clipb_cores(): how many this process may use. */
int clipb_cores(void);

#endif
