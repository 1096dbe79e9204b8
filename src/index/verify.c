/* Everything is read: the store's own pages, every item, the sum of every vector, and whether
 * every code keeps its promise. */
#include <stdlib.h>
#include <xxhash.h>

#include "base/file.h"
#include "index/index.h"

typedef struct verifier {
    clip_index *x;
    clip_warn_fn warn;
    void *user;
    double *work;   /* [2 D] */
    int64_t *lost;  /* [n_lost] rows whose vector is not what it was */
    size_t n_lost, capacity;
    int64_t faults, items;
} verifier;

static void tell(verifier *v, const char *what, const char *more)
{
    clip_error line; /* which puts the words together */
    clipb_fail(&line, CLIP_EFORMAT, v->x->dir, "%s%s", what, more);
    v->faults++;
    if (v->warn)
        v->warn(v->user, line.message);
}

static void tell_store(void *user, const char *fault) { tell(user, "the catalogue is damaged: ", fault); }

static bool code_holds(verifier *v, const uint16_t *vector, int64_t row)
{
    const clipidx_array *a = v->x->array;
    return clipidx_code_holds(&v->x->coder, vector, clipidx_array_row(&a[CLIPIDX_HEADS], row),
                              clipidx_array_row(&a[CLIPIDX_HEAD_BOUNDS], row),
                              clipidx_array_row(&a[CLIPIDX_TAILS], row),
                              clipidx_array_row(&a[CLIPIDX_TAIL_BOUNDS], row), v->work);
}

static clip_status check_row(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    verifier *v = user;
    clip_index *x = v->x;
    const clipidx_state *s = &x->state;
    const uint16_t *vector = clipidx_array_row(&x->array[CLIPIDX_VECTORS], item->row);
    const char *name = item->path ? item->path : item->text;
    v->items++;
    if (clipidx_bit(&s->gone, item->row) || clipidx_bit(&s->text, item->row) != (item->kind == CLIP_ITEM_TEXT)) {
        tell(v, "the catalogue contradicts itself about ", name);
    } else if (XXH3_64bits(vector, (size_t)x->dim * sizeof *vector) != sum) {
        tell(v, "the vector is not what was written, of ", name);
        if (clipb_grow((void **)&v->lost, &v->capacity, v->n_lost + 1, sizeof *v->lost) < 0)
            return clipb_nomem(err, x->dir);
        v->lost[v->n_lost++] = item->row;
    } else if (x->coded && !code_holds(v, vector, item->row)) {
        tell(v, "the code does not fit the vector of ", name);
        return x->write ? clipidx_files_code(x, item->row, vector, 1, err) : CLIP_OK;
    }
    return CLIP_OK;
}

static clip_status check_rows(verifier *v, clip_error *err)
{
    const clip_index *x = v->x;
    TRY(clipidx_store_find(x->store, CLIPIDX_ALL, &(clipidx_key){0}, x->state.rows, check_row, v, err));
    if (v->items != x->state.pictures + x->state.texts)
        tell(v, "the catalogue has not as many items as it says", "");
    return CLIP_OK;
}

clip_status clipidx_verify(clip_index *x, clip_warn_fn warn, void *warn_user, int64_t *faults, clip_error *err)
{
    *faults = 0;
    TRY(clipidx_map(x, err));
    verifier v = {.x = x, .warn = warn, .user = warn_user, .work = malloc(2 * (size_t)x->dim * sizeof *v.work)};
    if (!v.work)
        return clipb_nomem(err, x->dir);
    pthread_mutex_lock(&x->shared->store);
    clip_status s = x->kind->check(x->store, tell_store, &v, err);
    if (s == CLIP_OK)
        s = check_rows(&v, err);
    pthread_mutex_unlock(&x->shared->store);
    if (s == CLIP_OK && x->write && v.n_lost > 0)
        s = clipidx_remove(x, v.lost, (int64_t)v.n_lost, err);
    *faults = v.faults;
    free(v.work);
    free(v.lost);
    return s;
}
