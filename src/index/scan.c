/* The rows of a block are scanned for all queries while their codes are near; those whose upper bound (code.h) is too low are never looked at again. */
#include "index/scan.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 256                 /* rows scanned, then picked from */
#define PIECE_BYTES (1024 * 1024) /* of codes */

clip_status clipidx_scan_init(clipidx_scan *scan, const float *query, int Q, float least, clip_error *err)
{
    const clip_index *x = scan->x;
    const size_t D = (size_t)x->dim, padded = (size_t)clipk_scan_padded(x->dim), n = (size_t)Q + 1;
    const int blocks = PIECE_BYTES / (BLOCK * x->dim);
    scan->Q = Q;
    scan->piece = BLOCK * (blocks > 0 ? blocks : 1);
    scan->least = malloc(n * sizeof *scan->least);
    scan->unit = malloc(n * D * sizeof *scan->unit);
    scan->code = malloc(n * padded * sizeof *scan->code);
    scan->query = malloc(n * sizeof *scan->query);
    if (!scan->least || !scan->unit || !scan->code || !scan->query)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    for (size_t q = 0; q < (size_t)Q; q++) {
        if (!clipidx_unit(scan->unit + q * D, query + q * D, x->dim))
            return clipb_fail(err, CLIP_EINVAL, x->dir, "query %zu is no direction", q + 1);
        clipidx_code_query(&x->coder, scan->unit + q * D, scan->code + q * padded, &scan->query[q], scan->unit + (n - 1) * D);
        atomic_init(&scan->least[q], least);
    }
    return CLIP_OK;
}

void clipidx_scan_free(clipidx_scan *scan)
{
    free((void *)scan->least);
    free(scan->unit);
    free(scan->code);
    free(scan->query);
}

/* Without codes every row may be good enough. */
static void take_rows(const clipidx_scan *scan, int64_t at, int rows)
{
    for (int64_t row = at; row < at + rows; row++)
        for (int q = 0; clipidx_bit(scan->rows, row) && q < scan->Q; q++)
            scan->row(scan->user, scan, q, row);
}

static void scan_rows(const clipidx_scan *scan, int64_t at, int rows)
{
    const clip_index *x = scan->x;
    const clipk_set *set = x->k.set;
    const float *bound = clipidx_array_row(&x->array[CLIPIDX_BOUNDS], at);
    int32_t dot[CLIPIDX_SCAN_QUERIES * BLOCK], pick[BLOCK];
    for (int q0 = 0, Q; q0 < scan->Q; q0 += Q) {
        Q = scan->Q - q0 < CLIPIDX_SCAN_QUERIES ? scan->Q - q0 : CLIPIDX_SCAN_QUERIES;
        set->scan(dot, BLOCK, clipidx_array_row(&x->array[CLIPIDX_CODES], at), rows, x->dim, scan->code + (size_t)q0 * (size_t)clipk_scan_padded(x->dim), Q);
        for (int q = 0; q < Q; q++) {
            const clipidx_query *query = &scan->query[q0 + q];
            const float least = atomic_load_explicit(&scan->least[q0 + q], memory_order_relaxed);
            const int n = set->scan_pick(pick, dot + q * BLOCK, bound, rows, query->scale, query->slack, least - query->rest);
            for (int i = 0; i < n; i++)
                if (clipidx_bit(scan->rows, at + pick[i]))
                    scan->row(scan->user, scan, q0 + q, at + pick[i]);
        }
    }
}

static bool any_wanted(const clipidx_scan *scan, int64_t at, int rows)
{
    uint64_t any = 0;
    for (int64_t i = at / 64; i <= (at + rows - 1) / 64; i++)
        any |= scan->rows->word[i];
    return any != 0;
}

static void scan_piece(void *job, int64_t i, int thread)
{
    const clipidx_scan *scan = job;
    const int64_t begin = scan->begin + i * scan->piece, N = scan->x->state.rows, end = N - begin < scan->piece ? N : begin + scan->piece;
    (void)thread;
    for (int64_t at = begin; at < end; at += BLOCK) {
        const int rows = (int)(end - at < BLOCK ? end - at : BLOCK);
        if (!any_wanted(scan, at, rows))
            continue;
        if (scan->x->coded)
            scan_rows(scan, at, rows);
        else
            take_rows(scan, at, rows);
    }
}

void clipidx_scan_run(clipidx_scan *scan)
{
    clip_index *w = (clip_index *)(uintptr_t)scan->x; /* its team has a mutex of its own */
    const bool team = pthread_mutex_trylock(&w->team_mutex) == 0;
    if (team && !w->k.team && w->threads > 1)
        w->k.team = clipb_team_new(w->threads); /* without one the caller does it alone */
    clipb_team_run(team ? w->k.team : NULL, (w->state.rows - scan->begin + scan->piece - 1) / scan->piece, scan_piece, scan);
    if (team)
        pthread_mutex_unlock(&w->team_mutex);
}
