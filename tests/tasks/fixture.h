/* fixture.h: numbers drawn at random, and a context with a team, for tests of tasks. */
#ifndef TASKS_FIXTURE_H
#define TASKS_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/rng.h"
#include "failing_alloc.h"
#include "kernels/kernels.h"

typedef struct workspace {
    clipk_ctx k;
    clipb_block scratch;
} workspace;

static inline workspace workspace_new(int threads)
{
    workspace w = {.k.set = clipk_set_find(NULL)};
    assert_non_null(w.k.team = clipb_team_new(threads));
    assert_int_equal(clipb_block_reserve(&w.scratch, clipk_scratch_bytes(w.k.set, threads)), CLIP_OK);
    w.k.scratch = w.scratch.base;
    return w;
}

static inline void workspace_free(workspace *w)
{
    clipb_team_free(w->k.team);
    clipb_block_free(&w->scratch);
}

static inline void normals(clipb_rng *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = clipb_rng_normal(r);
}

static inline void unit_rows(float *x, int N, int D)
{
    for (int n = 0; n < N; n++) {
        double sum = 0;
        for (int d = 0; d < D; d++)
            sum += (double)x[n * D + d] * (double)x[n * D + d];
        for (int d = 0; d < D; d++)
            x[n * D + d] /= (float)sqrt(sum);
    }
}

static inline double dot_product(const float *a, const float *b, int D)
{
    double sum = 0;
    for (int d = 0; d < D; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

#endif
