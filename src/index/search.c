/* The exact best k. A row whose score may reach the k-th best found so far is computed from its f16
 * vector at once. The order in which threads come to the rows changes how many are computed, and
 * never what is found: equal scores are ordered by row. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "index/scan.h"

/* The best k of a query so far, the worst of them first (a heap), shared by the threads. */
typedef struct best {
    pthread_mutex_t mutex;
    clip_hit *hit;
    int n, k;
} best;

static bool before(const clip_hit *a, const clip_hit *b)
{
    return a->score > b->score || (a->score == b->score && a->row < b->row);
}

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
    /* False also where it is not a number, in a damaged file. */
    if (score >= atomic_load_explicit(&scan->least[q], memory_order_relaxed))
        offer((best *)user + q, &scan->least[q], (clip_hit){row, score});
}

static int order(const void *a, const void *b) { return before(a, b) ? -1 : 1; }

/* The best k of these rows for each query. */
static clip_status search_rows(const clip_index *x, const float *query, int Q, int k, const clipidx_bits *rows,
                               float least, clip_hit *hit, int *found, clip_error *err)
{
    best *b = malloc(((size_t)Q + 1) * sizeof *b);
    clipidx_scan scan = {.x = x, .rows = rows, .row = found_row, .user = b};
    clip_status s =
        b ? clipidx_scan_init(&scan, query, Q, least, err) : clipb_nomem(err, x->dir);
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
    free(b);
    return s;
}

/* ---- Without copies -------------------------------------------------------------------------- */

/* What tells whether a hit is a copy of one of those before it, which are kept. */
typedef struct kept {
    const clip_index *x;
    float bound;
    clip_item *item; /* [k] row, kind, size and hash */
    float *vector;   /* [D] of the hit in hand */
    int n;
} kept;

static bool same_bytes(const clip_item *a, const clip_item *b)
{
    static const uint8_t unknown[sizeof a->hash] = {0};
    return memcmp(a->hash, b->hash, sizeof a->hash) == 0 && a->size == b->size &&
           memcmp(a->hash, unknown, sizeof unknown) != 0;
}

static bool is_copy(const kept *u, const clip_item *item)
{
    const clipidx_array *vectors = &u->x->array[CLIPIDX_VECTORS];
    for (int i = 0; i < u->n; i++)
        if (u->item[i].kind == item->kind &&
            (same_bytes(&u->item[i], item) ||
             u->x->set->dot_f16(u->vector, clipidx_array_row(vectors, u->item[i].row), u->x->dim) >= u->bound))
            return true;
    return false;
}

/* The first k of the n hits that are no copies of each other, into `out`. */
static clip_status keep_unique(kept *u, const clip_hit *hit, int n, int k, clip_hit *out, clip_error *err)
{
    const clip_index *x = u->x;
    u->n = 0;
    for (int i = 0; i < n && u->n < k; i++) {
        clip_item item;
        TRY(clipidx_item_at(x, hit[i].row, &item, err));
        x->set->to_f32(u->vector, clipidx_array_row(&x->array[CLIPIDX_VECTORS], hit[i].row), CLIPK_F16,
                       (size_t)x->dim);
        if (is_copy(u, &item))
            continue;
        item.row = hit[i].row;
        out[u->n] = hit[i];
        u->item[u->n++] = item;
    }
    return CLIP_OK;
}

/* Of one query: more and more hits, until so many are left or there are no others. */
static clip_status search_unique(kept *u, const float *query, int k, const clipidx_bits *rows, float least,
                                 clip_hit *hit, int *found, clip_error *err)
{
    const int64_t all = u->x->state.rows;
    clip_hit *wide = NULL;
    size_t capacity = 0;
    clip_status s = CLIP_OK;
    *found = 0;
    for (int64_t n = 2 * (int64_t)k; s == CLIP_OK; n *= 4) {
        int got;
        n = n < all ? n : all > k ? all : k;
        s = n <= INT_MAX ? clipb_grow((void **)&wide, &capacity, (size_t)n, sizeof *wide) : CLIP_ENOMEM;
        if (s < 0)
            clipb_nomem(err, u->x->dir);
        if (s == CLIP_OK)
            s = search_rows(u->x, query, 1, (int)n, rows, least, wide, &got, err);
        if (s == CLIP_OK)
            s = keep_unique(u, wide, got, k, hit, err);
        if (s == CLIP_OK && (u->n == k || got < n || n >= all))
            break;
    }
    if (s == CLIP_OK)
        *found = u->n;
    free(wide);
    return s;
}

static clip_status search_all_unique(const clip_index *x, const float *query, int Q, int k, const clipidx_bits *rows,
                                     float least, float bound, clip_hit *hit, int *found, clip_error *err)
{
    kept u = {.x = x,
              .bound = bound,
              .item = malloc((size_t)k * sizeof *u.item),
              .vector = malloc((size_t)x->dim * sizeof *u.vector)};
    clip_status s = u.item && u.vector ? CLIP_OK : clipb_nomem(err, x->dir);
    for (int q = 0; q < Q && s == CLIP_OK; q++)
        s = search_unique(&u, query + (size_t)q * (size_t)x->dim, k, rows, least, hit + (size_t)q * (size_t)k,
                          &found[q], err);
    free(u.item);
    free(u.vector);
    return s;
}

clip_status clipidx_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter,
                           clip_hit *hit, int *found, clip_error *err)
{
    const float least = filter && filter->min_score != 0 && filter->min_score > -1 ? filter->min_score : -INFINITY;
    clipidx_bits rows;
    if (Q < 0 || k < 1 || (Q > 0 && (!query || !hit || !found)))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a search is for one hit or more");
    TRY(clipidx_map(x, err));
    TRY(clipidx_filter(x, filter, &rows, err));
    const clip_status s = filter && filter->unique != 0
                              ? search_all_unique(x, query, Q, k, &rows, least, filter->unique, hit, found, err)
                              : search_rows(x, query, Q, k, &rows, least, hit, found, err);
    free(rows.word);
    return s;
}
