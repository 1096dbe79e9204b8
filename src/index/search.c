/* The exact best k. A row whose score may reach the k-th best found so far is computed from its f16 vector, at once. So the order in which threads come to
 * the rows changes how many are computed, and never what is found: equal scores are ordered by row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/scan.h"

/* The best k of a query so far, the worst of them first (a heap), shared by the threads. */
typedef struct best {
    pthread_mutex_t mutex;
    clip_hit *hit;
    int n, k;
} best;

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

static void offer(best *b, _Atomic float *least, clip_hit hit)
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
    if (b->n == b->k && b->hit[0].score > -1 && b->hit[0].score > atomic_load_explicit(least, memory_order_relaxed))
        atomic_store_explicit(least, b->hit[0].score, memory_order_relaxed);
    pthread_mutex_unlock(&b->mutex);
}

static void found_row(void *user, const clipidx_scan *scan, int q, int64_t row)
{
    const float score = clipidx_scan_score(scan, q, row);
    if (score >= atomic_load_explicit(&scan->least[q], memory_order_relaxed)) /* false also where it is not a number: a damaged file */
        offer((best *)user + q, &scan->least[q], (clip_hit){row, score});
}

static int order(const void *a, const void *b) { return before(a, b) ? -1 : 1; }

clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter, clip_hit *hit, int *found,
                              clip_error *err)
{
    clipidx_bits rows;
    if (Q < 0 || k < 1)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a search is for one hit or more");
    TRY(clipidx_map(x, err));
    TRY(clipidx_filter(x, filter, &rows, err));
    best *b = malloc(((size_t)Q + 1) * sizeof *b);
    clipidx_scan scan = {.x = x, .rows = &rows, .row = found_row, .user = b};
    const bool bounded = filter && filter->min_score != 0 && filter->min_score > -1;
    clip_status s = b ? clipidx_scan_init(&scan, query, Q, bounded ? filter->min_score : -INFINITY, err)
                      : clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    if (s == CLIP_OK) {
        for (int q = 0; q < Q; q++) {
            b[q] = (best){.hit = hit + (size_t)q * (size_t)k, .k = k};
            pthread_mutex_init(&b[q].mutex, NULL);
        }
        clipidx_scan_run(&scan);
        for (int q = 0; q < Q; q++) {
            qsort(b[q].hit, (size_t)b[q].n, sizeof(clip_hit), order);
            found[q] = b[q].n;
            pthread_mutex_destroy(&b[q].mutex);
        }
    }
    clipidx_scan_free(&scan);
    free(rows.word);
    free(b);
    return s;
}
