/* The heads of a block are scanned for all queries while they are near. Rows whose upper bound
 * (code.h) is too low are never looked at again; of the others the tails are read, which leave
 * few. */
#include "index/scan.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 256                 /* rows scanned, then picked from */
#define PIECE_BYTES (1024 * 1024) /* of codes */

static int16_t *head_of(const clipidx_scan *scan, int q)
{
    return scan->head + (size_t)q * (size_t)clipk_scan_padded(scan->x->coder.H);
}

static int16_t *tail_of(const clipidx_scan *scan, int q)
{
    return scan->tail + 2 * (size_t)q * (size_t)clipk_scan_padded(scan->x->coder.bytes);
}

clip_status clipidx_scan_init(clipidx_scan *scan, const float *query, int Q, float least, clip_error *err)
{
    const clip_index *x = scan->x;
    const size_t D = (size_t)x->dim, n = (size_t)Q + 1;
    const int blocks = PIECE_BYTES / (BLOCK * x->dim);
    double *work = malloc(2 * D * sizeof *work);
    scan->Q = Q;
    scan->piece = BLOCK * (blocks > 0 ? blocks : 1);
    scan->least = malloc(n * sizeof *scan->least);
    scan->unit = malloc(n * D * sizeof *scan->unit);
    scan->query = malloc(n * sizeof *scan->query);
    scan->head = malloc(n * (size_t)clipk_scan_padded(x->coder.H) * sizeof *scan->head);
    scan->tail = malloc(2 * n * (size_t)clipk_scan_padded(x->coder.bytes) * sizeof *scan->tail);
    clip_status s = work && scan->least && scan->unit && scan->query && scan->head && scan->tail
                        ? CLIP_OK : clipb_nomem(err, x->dir);
    for (int q = 0; s == CLIP_OK && q < Q; q++) {
        float *unit = scan->unit + (size_t)q * D;
        if (!clipidx_unit(unit, query + (size_t)q * D, x->dim))
            s = clipb_fail(err, CLIP_EINVAL, x->dir, "query %d is a zero or non-finite vector", q + 1);
        else
            clipidx_code_query(&x->coder, unit, head_of(scan, q), tail_of(scan, q), &scan->query[q], work);
        atomic_init(&scan->least[q], least);
    }
    free(work);
    return s;
}

void clipidx_scan_free(clipidx_scan *scan)
{
    free((void *)scan->least);
    free(scan->unit);
    free(scan->query);
    free(scan->head);
    free(scan->tail);
}

/* Without codes every row may be good enough. */
static void take_rows(const clipidx_scan *scan, int64_t at, int rows)
{
    for (int64_t row = at; row < at + rows; row++)
        for (int q = 0; clipidx_bit(scan->rows, row) && q < scan->Q; q++)
            scan->row(scan->user, scan, q, row);
}

/* Passes on the rows at + pick[n] that may be good enough by both parts. `dot` holds the
 * products of their heads with a query. */
static void scan_tails(const clipidx_scan *scan, int q, int64_t at, const int32_t *dot, int32_t *pick, int n)
{
    const clip_index *x = scan->x;
    const clipidx_query *query = &scan->query[q];
    const float *head = clipidx_array_row(&x->array[CLIPIDX_HEAD_BOUNDS], at),
                *tail = clipidx_array_row(&x->array[CLIPIDX_TAIL_BOUNDS], at);
    int32_t tail_dot[BLOCK];
    int wanted = 0;
    for (int i = 0; i < n; i++)
        if (clipidx_bit(scan->rows, at + pick[i]))
            pick[wanted++] = pick[i];
    x->set->scan_nibbles(tail_dot, clipidx_array_row(&x->array[CLIPIDX_TAILS], at), pick, wanted, x->coder.bytes,
                         tail_of(scan, q));
    for (int i = 0; i < wanted; i++) {
        const int row = pick[i];
        const float most = ((float)dot[row] * query->scale + query->step) * head[2 * row] +
                           ((float)tail_dot[i] * query->tail_scale - query->tail_offset) * head[2 * row + 1] +
                           tail[row] * query->length + query->rest;
        if (!(most < atomic_load_explicit(&scan->least[q], memory_order_relaxed))) /* also where it is not a number */
            scan->row(scan->user, scan, q, at + row);
    }
}

static void scan_rows(const clipidx_scan *scan, int64_t at, int rows)
{
    const clip_index *x = scan->x;
    const clipk_set *set = x->set;
    const float *bound = clipidx_array_row(&x->array[CLIPIDX_HEAD_BOUNDS], at);
    int32_t dot[CLIPIDX_SCAN_QUERIES * BLOCK], pick[BLOCK];
    for (int q0 = 0, Q; q0 < scan->Q; q0 += Q) {
        Q = scan->Q - q0 < CLIPIDX_SCAN_QUERIES ? scan->Q - q0 : CLIPIDX_SCAN_QUERIES;
        set->scan(dot, BLOCK, clipidx_array_row(&x->array[CLIPIDX_HEADS], at), rows, x->coder.H, head_of(scan, q0), Q);
        for (int q = 0; q < Q; q++) {
            const clipidx_query *query = &scan->query[q0 + q];
            const float least = atomic_load_explicit(&scan->least[q0 + q], memory_order_relaxed) - query->head_rest;
            const int n =
                set->scan_pick(pick, dot + q * BLOCK, bound, rows, query->scale, query->step, query->length, least);
            if (n > 0)
                scan_tails(scan, q0 + q, at, dot + q * BLOCK, pick, n);
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
    const int64_t begin = scan->begin + i * scan->piece, N = scan->x->state.rows,
                  end = N - begin < scan->piece ? N : begin + scan->piece;
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
    const clip_index *x = scan->x;
    const int64_t pieces = (x->state.rows - scan->begin + scan->piece - 1) / scan->piece;
    clipb_team_run(clipidx_team(x), pieces, scan_piece, scan);
}
