/* Ranks of queries among candidates, and their summary.
 *
 * Two passes. The first finds the score to beat: the queries against their own right candidates,
 * gathered a few at a time. The second takes all candidates, a block at a time as the packed
 * operand of a product, and counts higher scores. Both passes take their scores from the same
 * kernel, whose sums depend on D alone. So a right candidate, or a copy of it, has exactly the same
 * score in both. */
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/order.h"
#include "tasks/tasks.h"

#define QUERIES 256     /* of a block */
#define CANDIDATES 1024 /* of a block */
#define GATHERED 64     /* right candidates scored at a time, each against the queries of all of them */

typedef struct block {
    float *score;    /* [QUERIES, CANDIDATES] */
    float *gathered; /* [GATHERED, D] */
    float *best;     /* [Q] the score to beat */
    clipk_weight w;  /* candidates as an operand */
} block;

static void layout(clipb_arena *a, block *b, const clipk_set *set, int Q, int D)
{
    b->score = CLIPB_NEW(a, float, QUERIES * CANDIDATES);
    b->gathered = CLIPB_NEW(a, float, (size_t)GATHERED * (size_t)D);
    b->best = CLIPB_NEW(a, float, Q);
    b->w = (clipk_weight){.format = CLIPK_FORMAT_F32, .K = D};
    b->w.panels = clipb_arena_alloc(a, clipk_weight_bytes(set, CLIPK_FORMAT_F32, CANDIDATES, D), 1);
}

static int at_most(int n, int most) { return n < most ? n : most; }

/* best[q]: the highest score of a right candidate of q. Right candidates are taken in their order,
 * GATHERED at a time. Their queries follow each other as well, and are at most as many. */
static void best_right(const clipk_ctx *k, block *b, const float *query, int Q, const float *candidate, int D,
                       const int32_t *right, const int32_t *right_off)
{
    for (int q = 0; q < Q; q++)
        b->best[q] = -INFINITY;
    int first = 0; /* the query of right[r0] */
    for (int32_t r0 = 0; r0 < right_off[Q];) {
        const int n = at_most(right_off[Q] - r0, GATHERED);
        for (int i = 0; i < n; i++)
            for (int d = 0; d < D; d++)
                b->gathered[(size_t)i * (size_t)D + (size_t)d] =
                    candidate[(size_t)right[r0 + i] * (size_t)D + (size_t)d];
        int last = first;
        while (right_off[last + 1] < r0 + n)
            last++;
        b->w.N = n;
        clipk_weight_pack(k, &b->w, clipk_rows(b->gathered, D));
        clipk_gemm(k, b->score, n, clipk_rows(query + (size_t)first * (size_t)D, D), last - first + 1, &b->w, NULL);
        for (int q = first; q <= last; q++)
            for (int32_t r = right_off[q] > r0 ? right_off[q] : r0; r < right_off[q + 1] && r < r0 + n; r++) {
                const float s = b->score[(q - first) * n + (r - r0)];
                if (s > b->best[q])
                    b->best[q] = s;
            }
        r0 += n;
        first = right_off[last + 1] == r0 ? last + 1 : last;
    }
}

/* Counts every score that is not at most `best`, so that NaN counts as higher. */
static int count_higher(const float *score, int n, float best)
{
    int higher = 0;
    for (int c = 0; c < n; c++)
        higher += !(score[c] <= best);
    return higher;
}

static void count_all(const clipk_ctx *k, block *b, const float *query, int Q, const float *candidate, int C, int D,
                      int32_t *rank)
{
    for (int q = 0; q < Q; q++)
        rank[q] = 0;
    for (int c0 = 0; c0 < C; c0 += CANDIDATES) {
        b->w.N = at_most(C - c0, CANDIDATES);
        clipk_weight_pack(k, &b->w, clipk_rows(candidate + (size_t)c0 * (size_t)D, D));
        for (int q0 = 0; q0 < Q; q0 += QUERIES) {
            const int n = at_most(Q - q0, QUERIES);
            clipk_gemm(k, b->score, b->w.N, clipk_rows(query + (size_t)q0 * (size_t)D, D), n, &b->w, NULL);
            for (int q = 0; q < n; q++)
                rank[q0 + q] += count_higher(b->score + (size_t)q * (size_t)b->w.N, b->w.N, b->best[q0 + q]);
        }
    }
    for (int q = 0; q < Q; q++)
        rank[q] = at_most(rank[q], C - 1); /* a query that is NaN finds even its right candidates higher */
}

static clip_status check(int Q, int C, int D, const int32_t *right, const int32_t *right_off)
{
    if (!right || !right_off || Q < 1 || C < 1 || D < 1 || right_off[0] != 0)
        return CLIP_EINVAL;
    for (int q = 0; q < Q; q++)
        if (right_off[q + 1] <= right_off[q])
            return CLIP_EINVAL;
    for (int32_t r = 0; r < right_off[Q]; r++)
        if (right[r] < 0 || right[r] >= C)
            return CLIP_EINVAL;
    return CLIP_OK;
}

clip_status cliptsk_ranks(const clipk_ctx *k, const float *query, int Q, const float *candidate, int C, int D,
                          const int32_t *right, const int32_t *right_off, int32_t *rank)
{
    TRY(query && candidate && rank ? check(Q, C, D, right, right_off) : CLIP_EINVAL);
    clipb_block memory = {0};
    clipb_arena a = {0};
    block b;
    layout(&a, &b, k->set, Q, D);
    TRY(clipb_block_reserve(&memory, a.peak));
    a = clipb_arena_on(&memory);
    layout(&a, &b, k->set, Q, D);
    best_right(k, &b, query, Q, candidate, D, right, right_off);
    count_all(k, &b, query, Q, candidate, C, D, rank);
    clipb_block_free(&memory);
    return CLIP_OK;
}

/* ---- Summary --------------------------------------------------------------------------------- */

/* As get_clip_metrics() of OpenCLIP's train.py prints them: mean(rank) + 1 and floor(median(rank))
 * + 1. The median of an even number is the mean of the middle two. */
clip_status cliptsk_rank_summary(const int32_t *rank, int64_t Q, clip_rank_metrics *out)
{
    *out = (clip_rank_metrics){.queries = Q > 0 ? Q : 0};
    if (Q <= 0)
        return CLIP_OK;
    int32_t *sorted = (uint64_t)Q <= SIZE_MAX / sizeof *sorted ? malloc((size_t)Q * sizeof *sorted) : NULL;
    if (!sorted)
        return CLIP_ENOMEM;
    int64_t below[3] = {0}, sum = 0;
    for (int64_t q = 0; q < Q; q++) {
        sorted[q] = rank[q];
        sum += rank[q];
        below[0] += rank[q] < 1;
        below[1] += rank[q] < 5;
        below[2] += rank[q] < 10;
    }
    qsort(sorted, (size_t)Q, sizeof *sorted, clipb_order_i32);
    out->r1 = (double)below[0] / (double)Q;
    out->r5 = (double)below[1] / (double)Q;
    out->r10 = (double)below[2] / (double)Q;
    out->mean_rank = (double)sum / (double)Q + 1;
    out->median_rank = floor(((double)sorted[(Q - 1) / 2] + (double)sorted[Q / 2]) / 2) + 1;
    free(sorted);
    return CLIP_OK;
}
