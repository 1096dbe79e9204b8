/* Groups of duplicates. Some rows at a time are queries against the rows behind them.
 *
 *     LINKED   a query and a row it finds are in one group (a forest of sets: Tarjan 1975)
 *     FIRST    a row that is in no group joins the group of the first query that finds it, and is
 *              then not a query itself
 *
 * A row is before another if its grade is lower, or equal and its number lower. The root of a
 * group is its first row. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "index/scan.h"

typedef struct finder {
    const clip_index *x;
    clip_duplicates_options o;
    clipidx_bits rows, late; /* that are looked at, of those the ones of a higher grade than 0 */
    bool any_late;
    int64_t *parent;       /* [rows] of the forest */
    int64_t *copy;         /* [rows] the next row of the same bytes, and from the last on to the first: rings */
    pthread_mutex_t mutex; /* of what found_row() writes */
    int64_t *query;        /* [CLIPIDX_SCAN_QUERIES] rows that ask now */
    int Q;
    uint64_t *asked_by; /* [rows] FIRST: a bit a query that has found it */
    int64_t *touched;   /* [n_touched] rows with such bits */
    int64_t n_touched;
} finder;

static bool is_before(const finder *f, int64_t a, int64_t b)
{
    const bool late_a = clipidx_bit(&f->late, a), late_b = clipidx_bit(&f->late, b);
    return late_a != late_b ? late_b : a < b;
}

static int64_t root_of(int64_t *parent, int64_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static void join(finder *f, int64_t a, int64_t b)
{
    a = root_of(f->parent, a);
    b = root_of(f->parent, b);
    if (is_before(f, a, b))
        f->parent[b] = a;
    else
        f->parent[a] = b;
}

/* ---- Equal bytes ----------------------------------------------------------------------------- */

/* The item before, of those with a hash. */
typedef struct copy_finder {
    finder *f;
    clip_item last; /* row -1: none */
} copy_finder;

/* Rings of equal hash and size. Items come in that order. */
static clip_status take_copy(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    static const uint8_t unknown[sizeof item->hash] = {0};
    copy_finder *c = user;
    finder *f = c->f;
    const int64_t row = item->row, last = c->last.row;
    (void)sum;
    (void)err;
    if (!clipidx_bit(&f->rows, row) || memcmp(item->hash, unknown, sizeof unknown) == 0)
        return CLIP_OK;
    if (last >= 0 && memcmp(item->hash, c->last.hash, sizeof item->hash) == 0 && item->size == c->last.size) {
        f->copy[row] = f->copy[last];
        f->copy[last] = row;
    }
    c->last = *item;
    return CLIP_OK;
}

static clip_status find_copies(finder *f, clip_error *err)
{
    const clip_index *x = f->x;
    copy_finder c = {.f = f, .last.row = -1};
    pthread_mutex_lock(&x->shared->store);
    const clip_status s =
        clipidx_store_find(x->store, CLIPIDX_BYTES, &(clipidx_key){0}, x->state.rows, take_copy, &c, err);
    pthread_mutex_unlock(&x->shared->store);
    return s;
}

static void join_copies(finder *f)
{
    for (int64_t i = 0; i < f->x->state.rows; i++)
        if (f->copy[i] != i)
            join(f, i, f->copy[i]);
}

/* ---- Near ones: linked ----------------------------------------------------------------------- */

static void found_linked(void *user, const clipidx_scan *scan, int q, int64_t row)
{
    finder *f = user;
    if (row <= f->query[q])
        return;
    pthread_mutex_lock(&f->mutex);
    const bool known = root_of(f->parent, f->query[q]) == root_of(f->parent, row);
    pthread_mutex_unlock(&f->mutex);
    if (known || !(clipidx_scan_score(scan, q, row) >= f->o.score))
        return;
    pthread_mutex_lock(&f->mutex);
    join(f, f->query[q], row);
    pthread_mutex_unlock(&f->mutex);
}

/* ---- Near ones: near the first --------------------------------------------------------------- */

static void touch(finder *f, int q, int64_t row)
{
    if (!f->asked_by[row])
        f->touched[f->n_touched++] = row;
    f->asked_by[row] |= UINT64_C(1) << q;
}

static void found_first(void *user, const clipidx_scan *scan, int q, int64_t row)
{
    finder *f = user;
    if (row == f->query[q] || !(clipidx_scan_score(scan, q, row) >= f->o.score))
        return;
    pthread_mutex_lock(&f->mutex);
    touch(f, q, row);
    pthread_mutex_unlock(&f->mutex);
}

/* A query that no earlier first has found is itself the first of a group. It and all it has found
 * leave `rows`. */
static void settle(finder *f)
{
    uint64_t firsts = 0;
    for (int q = 0; q < f->Q; q++) {
        const int64_t row = f->query[q];
        if (f->asked_by[row] & firsts)
            continue;
        firsts |= UINT64_C(1) << q;
        for (int64_t i = f->copy[row]; i != row; i = f->copy[i])
            if (clipidx_bit(&f->rows, i))
                touch(f, q, i);
    }
    for (int q = 0; q < f->Q; q++)
        if (firsts >> q & 1)
            clipidx_bit_clear(&f->rows, f->query[q]);
    for (int64_t i = 0; i < f->n_touched; i++) {
        const int64_t row = f->touched[i];
        const uint64_t by = f->asked_by[row] & firsts;
        f->asked_by[row] = 0;
        if (!by || !clipidx_bit(&f->rows, row))
            continue;
        f->parent[row] = f->query[__builtin_ctzll(by)];
        clipidx_bit_clear(&f->rows, row);
    }
    f->n_touched = 0;
}

/* ---- Near ones: asking ----------------------------------------------------------------------- */

/* The next queries, from *row on. A damaged vector is near nothing. */
static void gather(finder *f, bool late, int64_t *row, float *vector)
{
    const clip_index *x = f->x;
    for (f->Q = 0; *row < x->state.rows && f->Q < CLIPIDX_SCAN_QUERIES; ++*row) {
        float *v = vector + (size_t)f->Q * (size_t)x->dim;
        if (!clipidx_bit(&f->rows, *row) || clipidx_bit(&f->late, *row) != late)
            continue;
        x->set->to_f32(v, clipidx_array_row(&x->array[CLIPIDX_VECTORS], *row), CLIPK_F16, (size_t)x->dim);
        if (clipidx_unit(v, v, x->dim))
            f->query[f->Q++] = *row;
    }
}

static clip_status ask_all(finder *f, bool late, float *vector, clip_error *err)
{
    const bool first = f->o.grouping == CLIP_GROUP_FIRST;
    for (int64_t row = 0; row < f->x->state.rows;) {
        gather(f, late, &row, vector);
        if (f->Q == 0)
            break;
        clipidx_scan scan = {.x = f->x,
                             .rows = &f->rows,
                             .begin = f->any_late && !late ? 0 : f->query[0],
                             .row = first ? found_first : found_linked,
                             .user = f};
        clip_status s = clipidx_scan_init(&scan, vector, f->Q, f->o.score, err);
        if (s == CLIP_OK)
            clipidx_scan_run(&scan);
        clipidx_scan_free(&scan);
        TRY(s);
        if (first)
            settle(f);
    }
    return CLIP_OK;
}

static clip_status find_near(finder *f, clip_error *err)
{
    const size_t rows = (size_t)f->x->state.rows + 1;
    const bool first = f->o.grouping == CLIP_GROUP_FIRST;
    int64_t query[CLIPIDX_SCAN_QUERIES];
    float *vector = malloc(CLIPIDX_SCAN_QUERIES * (size_t)f->x->dim * sizeof *vector);
    f->query = query;
    f->asked_by = first ? calloc(rows, sizeof *f->asked_by) : NULL;
    f->touched = first ? malloc(rows * sizeof *f->touched) : NULL;
    clip_status s = vector && (!first || (f->asked_by && f->touched))
                        ? CLIP_OK : clipb_nomem(err, f->x->dir);
    if (s == CLIP_OK && !first)
        f->any_late = false; /* links have no direction */
    if (s == CLIP_OK)
        s = ask_all(f, false, vector, err);
    if (s == CLIP_OK)
        s = ask_all(f, true, vector, err);
    free(vector);
    free(f->asked_by);
    free(f->touched);
    return s;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* Groups of two and more, in the order of their roots' rows, each in the order of "before". */
static clip_status list_groups(const finder *f, int64_t **row, int64_t **group, int64_t *n, clip_error *err)
{
    const int64_t N = f->x->state.rows;
    int64_t *parent = f->parent;
    int64_t *at = calloc((size_t)N + 1, sizeof *at); /* at[root]: how many; then where its next row goes */
    int64_t members = 0, groups_there = 0;
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
        return clipb_nomem(err, f->x->dir);
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
    for (int late = 0; late < 2; late++)
        for (int64_t i = 0; i < N; i++)
            if (at[root_of(parent, i)] >= 0 && clipidx_bit(&f->late, i) == late)
                (*row)[at[root_of(parent, i)]++] = i;
    free(at);
    return CLIP_OK;
}

/* Which rows there are, and room for what is found of them. */
static clip_status prepare(finder *f, clip_error *err)
{
    const clip_index *x = f->x;
    const int64_t N = x->state.rows;
    clip_index_filter pictures = f->o.filter ? *f->o.filter : (clip_index_filter){0};
    pictures.kinds = CLIP_ITEM_PICTURE;
    TRY(clipidx_filter(x, &pictures, &f->rows, err));
    f->parent = malloc(((size_t)N + 1) * sizeof *f->parent);
    f->copy = malloc(((size_t)N + 1) * sizeof *f->copy);
    if (clipidx_bits_reserve(&f->late, N) < 0 || !f->parent || !f->copy)
        return clipb_nomem(err, x->dir);
    for (int64_t i = 0; i < N; i++) {
        const int grade = f->o.grade ? f->o.grade[i] : 0;
        f->parent[i] = f->copy[i] = i;
        if (grade < 0)
            clipidx_bit_clear(&f->rows, i);
        else if (grade > 0)
            clipidx_bit_set(&f->late, i);
        f->any_late |= grade > 0;
    }
    return CLIP_OK;
}

static clip_status find(finder *f, clip_error *err)
{
    TRY(prepare(f, err));
    TRY(find_copies(f, err));
    if (f->o.grouping != CLIP_GROUP_FIRST)
        join_copies(f);
    return f->o.grouping == CLIP_GROUP_BYTES ? CLIP_OK : find_near(f, err);
}

clip_status clipidx_duplicates(const clip_index *x, const clip_duplicates_options *opt, int64_t **row,
                               int64_t **group, int64_t *n, clip_error *err)
{
    finder f = {.x = x, .o = *opt};
    *row = *group = NULL;
    *n = 0;
    if (f.o.grouping < CLIP_GROUP_FIRST || f.o.grouping > CLIP_GROUP_BYTES)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "there is no such grouping of duplicates");
    TRY(clipidx_map(x, err));
    pthread_mutex_init(&f.mutex, NULL);
    clip_status s = find(&f, err);
    if (s == CLIP_OK)
        s = list_groups(&f, row, group, n, err);
    pthread_mutex_destroy(&f.mutex);
    free(f.rows.word);
    free(f.late.word);
    free(f.parent);
    free(f.copy);
    return s;
}
