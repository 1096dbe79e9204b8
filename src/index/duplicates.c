/* Rows in turn, some at a time, are queries against those that come after them; who is found is in one group with its finder (a forest of sets: Tarjan 1975).
 * The root of a group is its earliest row. */
#include <stdlib.h>
#include <string.h>

#include "index/scan.h"

typedef struct groups {
    pthread_mutex_t mutex;
    int64_t *parent;     /* [rows] */
    const int64_t *rows; /* [Q] of the queries */
    float score;
} groups;

static int64_t root_of(int64_t *parent, int64_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static void join(int64_t *parent, int64_t a, int64_t b)
{
    a = root_of(parent, a);
    b = root_of(parent, b);
    parent[a < b ? b : a] = a < b ? a : b;
}

static void found_row(void *user, const clipidx_scan *scan, int q, int64_t row)
{
    groups *g = user;
    if (row <= g->rows[q])
        return;
    pthread_mutex_lock(&g->mutex);
    const bool known = root_of(g->parent, g->rows[q]) == root_of(g->parent, row);
    pthread_mutex_unlock(&g->mutex);
    if (known || !(clipidx_scan_score(scan, q, row) >= g->score))
        return;
    pthread_mutex_lock(&g->mutex);
    join(g->parent, g->rows[q], row);
    pthread_mutex_unlock(&g->mutex);
}

/* Equal bytes. Items come in the order of their hashes. */
static clip_status join_copies(clip_index *x, const clipidx_bits *rows, int64_t *parent, clip_error *err)
{
    static const uint8_t unknown[16] = {0};
    uint8_t last[16] = {0};
    int64_t last_row = -1;
    sqlite3_stmt *q;
    bool more = true;
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_HASHES, &q, err));
    clip_status s = CLIP_OK;
    while (s == CLIP_OK && more) {
        s = clipidx_step(&x->catalogue, q, &more, err);
        const void *hash = s == CLIP_OK && more ? sqlite3_column_blob(q, 0) : NULL;
        const int64_t row = hash ? sqlite3_column_int64(q, 1) : -1;
        if (!hash || sqlite3_column_bytes(q, 0) != (int)sizeof last || row < 0 || row >= x->state.rows || !clipidx_bit(rows, row))
            continue;
        if (last_row >= 0 && memcmp(hash, last, sizeof last) == 0 && memcmp(hash, unknown, sizeof unknown) != 0)
            join(parent, last_row, row);
        memcpy(last, hash, sizeof last);
        last_row = row;
    }
    clipidx_reset(q);
    return s;
}

static clip_status join_near(const clip_index *x, const clipidx_bits *rows, groups *g, clip_error *err)
{
    const size_t D = (size_t)x->dim;
    float *query = malloc(CLIPIDX_SCAN_QUERIES * D * sizeof *query);
    int64_t row_of[CLIPIDX_SCAN_QUERIES];
    clip_status s = query ? CLIP_OK : clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    g->rows = row_of;
    for (int64_t row = 0; s == CLIP_OK && row < x->state.rows;) {
        int Q = 0;
        for (; row < x->state.rows && Q < CLIPIDX_SCAN_QUERIES; row++) {
            if (!clipidx_bit(rows, row))
                continue;
            float *v = query + (size_t)Q * D;
            x->k.set->to_f32(v, clipidx_array_row(&x->array[CLIPIDX_VECTORS], row), CLIPK_F16, D);
            if (clipidx_unit(v, v, x->dim)) /* else it is damaged, and near nothing */
                row_of[Q++] = row;
        }
        clipidx_scan scan = {.x = x, .rows = rows, .begin = Q ? row_of[0] : 0, .row = found_row, .user = g};
        if (Q > 0)
            s = clipidx_scan_init(&scan, query, Q, g->score, err);
        if (Q > 0 && s == CLIP_OK)
            clipidx_scan_run(&scan);
        clipidx_scan_free(&scan);
    }
    free(query);
    return s;
}

/* Groups of two and more, in the order of their roots. */
static clip_status list_groups(const clip_index *x, int64_t *parent, int64_t **row, int64_t **group, int64_t *n, clip_error *err)
{
    const int64_t N = x->state.rows;
    int64_t *at = calloc((size_t)N + 1, sizeof *at), members = 0, groups_there = 0; /* at[root]: how many; then where its next row goes */
    for (int64_t i = 0; at && i < N; i++)
        at[root_of(parent, i)]++;
    for (int64_t i = 0; at && i < N; i++) {
        members += at[i] > 1 ? at[i] : 0;
        groups_there += at[i] > 1;
    }
    *row = at ? malloc(((size_t)members + 1) * sizeof **row) : NULL;
    *group = *row ? malloc(((size_t)groups_there + 1) * sizeof **group) : NULL;
    if (!*group) {
        free(*row);
        free(at);
        *row = NULL;
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    }
    int64_t next = 0;
    *n = 0;
    for (int64_t i = 0; i < N; i++) {
        const int64_t size = at[i];
        if (size > 1)
            (*group)[(*n)++] = next;
        at[i] = size > 1 ? next : -1;
        next += size > 1 ? size : 0;
    }
    (*group)[*n] = next;
    for (int64_t i = 0; i < N; i++)
        if (at[root_of(parent, i)] >= 0)
            (*row)[at[root_of(parent, i)]++] = i;
    free(at);
    return CLIP_OK;
}

clip_status clip_index_duplicates(const clip_index *x, float score, const clip_index_filter *filter, int64_t **row, int64_t **group, int64_t *n,
                                  clip_error *err)
{
    clip_index *w = (clip_index *)(uintptr_t)x; /* the catalogue, behind its mutex */
    clip_index_filter pictures = filter ? *filter : (clip_index_filter){0};
    clipidx_bits rows;
    pictures.kinds = CLIP_ITEM_PICTURE;
    *row = *group = NULL;
    *n = 0;
    TRY(clipidx_map(x, err));
    TRY(clipidx_filter(x, &pictures, &rows, err));
    groups g = {.parent = malloc(((size_t)x->state.rows + 1) * sizeof *g.parent), .score = score};
    for (int64_t i = 0; g.parent && i < x->state.rows; i++)
        g.parent[i] = i;
    pthread_mutex_init(&g.mutex, NULL);
    pthread_mutex_lock(&w->mutex);
    clip_status s = g.parent ? join_copies(w, &rows, g.parent, err) : clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    pthread_mutex_unlock(&w->mutex);
    if (s == CLIP_OK)
        s = join_near(x, &rows, &g, err);
    if (s == CLIP_OK)
        s = list_groups(x, g.parent, row, group, n, err);
    pthread_mutex_destroy(&g.mutex);
    free(g.parent);
    free(rows.word);
    return s;
}
