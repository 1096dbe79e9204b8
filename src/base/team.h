/* team.h: threads that share the pieces of a job.
 *
 * A forward pass is a hundred short jobs in a row, on machines that also do other work. So any free
 * thread takes the next piece, and the caller takes pieces as well. The caller waits only for
 * pieces that have begun, so a thread that the system has put aside delays nobody. (OpenMP's
 * regions end in a barrier for all threads. With one of two cores busy, that made an encoder ten
 * times slower instead of two.)
 *
 * Pieces are independent. No result may depend on which thread does a piece. A team serves one
 * caller at a time. In a forked child the caller does all pieces itself. */
#ifndef CLIPB_TEAM_H
#define CLIPB_TEAM_H

#include <stdint.h>

typedef struct clipb_team clipb_team;

/* Does piece i of a job.
 * thread  in   0 (the caller) .. threads - 1, to find the thread's own scratch */
typedef void clipb_piece(void *job, int64_t i, int thread);

/* clipb_team_new(): start threads - 1 threads. The caller is the other one.
 * @return: free with clipb_team_free(); NULL: out of memory. */
clipb_team *clipb_team_new(int threads);
void clipb_team_free(clipb_team *t);
int clipb_team_threads(const clipb_team *t); /* NULL: 1 */

/* clipb_team_run(): do the pieces 0 .. n - 1 and return when all are done.
 * t  in   NULL: the caller does all pieces */
void clipb_team_run(clipb_team *t, int64_t n, clipb_piece *piece, void *job);

/* clipb_cores(): the number of cores that this process may use. */
int clipb_cores(void);

#endif
