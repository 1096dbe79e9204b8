/* Reading items one by one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "index/index.h"

/* A thread's copy of the strings of the last item it was given. */
typedef struct strings {
    char *p;
    size_t capacity;
} strings;

static pthread_key_t strings_key;
static bool strings_key_made;

static void free_strings(void *p)
{
    free(((strings *)p)->p);
    free(p);
}

static void make_strings_key(void) { strings_key_made = pthread_key_create(&strings_key, free_strings) == 0; }

static clip_status keep_strings(const clip_index *x, clip_item *item, clip_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_strings_key);
    strings *s = strings_key_made ? pthread_getspecific(strings_key) : NULL;
    if (!s && strings_key_made) {
        s = calloc(1, sizeof *s);
        if (s && pthread_setspecific(strings_key, s) != 0) {
            free(s);
            s = NULL;
        }
    }
    const size_t a = item->path ? strlen(item->path) + 1 : 0, b = item->text ? strlen(item->text) + 1 : 0;
    if (!s || clipb_grow((void **)&s->p, &s->capacity, a + b, 1) < 0)
        return clipb_nomem(err, x->dir);
    if (item->path)
        item->path = memcpy(s->p, item->path, a);
    if (item->text)
        item->text = memcpy(s->p + a, item->text, b);
    return CLIP_OK;
}

/* What receives the one item that is asked for. */
typedef struct wanted {
    const clip_index *x;
    clip_item *out;
} wanted;

static clip_status keep_item(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    const wanted *w = user;
    (void)sum;
    *w->out = *item;
    return keep_strings(w->x, w->out, err);
}

/* One item; all 0 where there is none. */
static clip_status find_item(const clip_index *x, clipidx_which which, const clipidx_key *key, clip_item *out,
                             clip_error *err)
{
    wanted w = {x, out};
    *out = (clip_item){0};
    TRY(clipidx_check_process(x, err));
    pthread_mutex_lock(&x->shared->store);
    const clip_status s = clipidx_store_find(x->store, which, key, x->state.rows, keep_item, &w, err);
    pthread_mutex_unlock(&x->shared->store);
    return s;
}

/* The next item from the cursor on, which then points behind it. */
static clip_status find_next(const clip_index *x, clipidx_which which, clipidx_key key, int64_t *cursor, clip_item *out,
                             clip_error *err)
{
    key.row = *cursor;
    TRY(find_item(x, which, &key, out, err));
    if (out->kind)
        *cursor = out->row + 1;
    return CLIP_OK;
}

clip_status clipidx_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err)
{
    return find_item(x, CLIPIDX_AT, &(clipidx_key){.row = row}, out, err);
}

clip_status clipidx_find(const clip_index *x, const char *path, clip_item *out, clip_error *err)
{
    TRY(path ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "no path to find"));
    return find_item(x, CLIPIDX_PICTURE, &(clipidx_key){.path = path}, out, err);
}

clip_status clipidx_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err)
{
    TRY(cursor ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "no cursor"));
    return find_next(x, CLIPIDX_NEXT, (clipidx_key){0}, cursor, out, err);
}

clip_status clipidx_next_copy(const clip_index *x, const uint8_t hash[16], int64_t *cursor, clip_item *out,
                              clip_error *err)
{
    return find_next(x, CLIPIDX_COPY, (clipidx_key){.hash = hash}, cursor, out, err);
}

clip_status clipidx_next_text(const clip_index *x, const char *path, int64_t *cursor, clip_item *out, clip_error *err)
{
    return find_next(x, CLIPIDX_TEXT, (clipidx_key){.path = path}, cursor, out, err);
}

clip_status clipidx_check_row(const clip_index *x, int64_t row, clip_error *err)
{
    return row >= 0 && row < x->state.rows && !clipidx_bit(&x->state.gone, row)
               ? CLIP_OK
               : clipb_fail(err, CLIP_EINVAL, x->dir, "row %" PRId64 " holds no item", row);
}

clip_status clipidx_vector(const clip_index *x, int64_t row, float *out, clip_error *err)
{
    TRY(out ? clipidx_check_row(x, row, err) : clipb_fail(err, CLIP_EINVAL, x->dir, "no room for a vector"));
    TRY(clipidx_map(x, err));
    x->set->to_f32(out, clipidx_array_row(&x->array[CLIPIDX_VECTORS], row), CLIPK_F16, (size_t)x->dim);
    return CLIP_OK;
}

clip_status clipidx_recall(const clip_index *x, const char *key, char *out, size_t size, clip_error *err)
{
    TRY(clipidx_check_process(x, err));
    pthread_mutex_lock(&x->shared->store);
    clip_status s = x->kind->get(x->store, key, out, size, err);
    pthread_mutex_unlock(&x->shared->store);
    return s;
}
