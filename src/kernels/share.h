/* share.h: n pieces of a job, shared among threads. Which thread does which piece is left to chance: pieces are independent,
 * and no result may depend on it. One thread opens no parallel region. */
#ifndef CLIPK_SHARE_H
#define CLIPK_SHARE_H

#include <omp.h>
#include <stdint.h>

/* Does piece i. `thread` (0 .. threads-1) is for finding the thread's own scratch. */
typedef void clipk_piece(void *job, int64_t i, int thread);

static inline void clipk_share(int threads, int64_t n, clipk_piece *piece, void *job)
{
    if (threads > n)
        threads = (int)n;
    if (threads < 2) {
        for (int64_t i = 0; i < n; i++)
            piece(job, i, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        piece(job, i, omp_get_thread_num());
}

#endif
