/* adamw.c: the optimizer's step, cut into pieces and shared among threads. */
#include "base/number.h"
#include "kernels/set.h"

typedef struct adamw_job {
    const clipk_set *set;
    float *w, *m, *v;
    const float *g;
    int64_t n;
    const clipk_adamw_step *s;
} adamw_job;

static void adamw_piece(void *job, int64_t i, int thread)
{
    const adamw_job *j = job;
    const int64_t at = i * CLIPK_PIECE;
    (void)thread;
    j->set->adamw(j->w + at, j->m + at, j->v + at, j->g + at, clipb_min64(CLIPK_PIECE, j->n - at), j->s);
}

void clipk_adamw(const clipk_ctx *k, float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s)
{
    adamw_job j = {.set = k->set, .w = w, .m = m, .v = v, .g = g, .n = (int64_t)n, .s = s};
    clipb_team_run(clipk_team_for(k, j.n), clipb_ceil_div64(j.n, CLIPK_PIECE), adamw_piece, &j);
}
