#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/index.h"
#include "kernels/set.h"

#define BLOCK 1024 /* rows of a piece */

/* The best k of a query so far, the worst of them first (a heap), shared by the threads. */
typedef struct best {
    pthread_mutex_t mutex;
    clip_hit *hit;
    int n, k;
} best;

typedef struct job {
    const clip_index *x;
    const clipidx_bits *rows;
    const float *query; /* [Q, D], of unit length */
    int Q;
    float min_score;
    best *best; /* [Q] */
} job;

static bool before(const clip_hit *a, const clip_hit *b) { return a->score > b->score || (a->score == b->score && a->row < b->row); }

static void sift_down(clip_hit *h, int n, int i)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && before(&h[child], &h[child + 1]);
        if (!before(&h[i], &h[child]))
            return;
        const clip_hit t = h[i];
        h[i] = h[child];
        h[child] = t;
    }
}

static void offer(best *b, clip_hit hit)
{
    pthread_mutex_lock(&b->mutex);
    if (b->n < b->k) {
        int i = b->n++;
        for (; i > 0 && before(&b->hit[(i - 1) / 2], &hit); i = (i - 1) / 2)
            b->hit[i] = b->hit[(i - 1) / 2];
        b->hit[i] = hit;
    } else if (before(&hit, &b->hit[0])) {
        b->hit[0] = hit;
        sift_down(b->hit, b->n, 0);
    }
    pthread_mutex_unlock(&b->mutex);
}

static void search_block(void *arg, int64_t i, int thread)
{
    const job *j = arg;
    const int64_t end = (i + 1) * BLOCK < j->x->state.rows ? (i + 1) * BLOCK : j->x->state.rows;
    (void)thread;
    for (int64_t row = i * BLOCK; row < end; row++)
        for (int q = 0; clipidx_bit(j->rows, row) && q < j->Q; q++) {
            const clip_hit hit = {row, j->x->k.set->dot_f16(j->query + (size_t)q * (size_t)j->x->dim, clipidx_array_row(&j->x->vectors, row), j->x->dim)};
            if (hit.score >= j->min_score)
                offer(&j->best[q], hit);
        }
}

static void share(const clip_index *x, int64_t pieces, clipb_piece *piece, void *arg)
{
    clip_index *w = (clip_index *)(uintptr_t)x;
    const bool team = pthread_mutex_trylock(&w->team_mutex) == 0;
    if (team && !w->k.team && x->threads > 1)
        clipb_team_new(x->threads, &w->k.team); /* without one the caller does it alone */
    clipb_team_run(team ? x->k.team : NULL, pieces, piece, arg);
    if (team)
        pthread_mutex_unlock(&w->team_mutex);
}

static int order(const void *a, const void *b) { return before(a, b) ? -1 : 1; }

clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter, clip_hit *hit, int *found,
                              clip_error *err)
{
    const size_t D = (size_t)x->dim;
    if (Q < 0 || k < 1)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a search is for one hit or more");
    clipidx_bits rows = {0};
    job j = {.x = x, .rows = &rows, .Q = Q, .min_score = filter && filter->min_score != 0 ? filter->min_score : -INFINITY};
    float *unit = malloc((size_t)Q * D * sizeof *unit + 1);
    j.query = unit;
    j.best = calloc((size_t)Q + 1, sizeof *j.best);
    clip_status s = unit && j.best ? CLIP_OK : clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    for (int q = 0; s == CLIP_OK && q < Q; q++) {
        j.best[q] = (best){.hit = hit + (size_t)q * (size_t)k, .k = k};
        if (!clipidx_unit(unit + (size_t)q * D, query + (size_t)q * D, x->dim))
            s = clipb_fail(err, CLIP_EINVAL, x->dir, "query %d is no direction", q + 1);
    }
    if (s == CLIP_OK)
        s = clipidx_map(x, err);
    if (s == CLIP_OK)
        s = clipidx_filter(x, filter, &rows, err);
    if (s == CLIP_OK) {
        for (int q = 0; q < Q; q++)
            pthread_mutex_init(&j.best[q].mutex, NULL);
        share(x, (x->state.rows + BLOCK - 1) / BLOCK, search_block, &j);
        for (int q = 0; q < Q; q++) {
            qsort(j.best[q].hit, (size_t)j.best[q].n, sizeof(clip_hit), order);
            found[q] = j.best[q].n;
            pthread_mutex_destroy(&j.best[q].mutex);
        }
    }
    free(rows.word);
    free(unit);
    free(j.best);
    return s;
}
