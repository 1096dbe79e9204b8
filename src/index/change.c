/* Changing an index. Rows are written behind those that the store knows, reach the disk, and
 * only then become known, in one transaction. So after a crash at any moment the arrays hold
 * what the store knows, and perhaps rows that it does not know, which the next writer cuts off. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "index/index.h"
#include "kernels/set.h"

/* After a fault: all is as it was when it was last committed. */
static void roll_back(clip_index *x)
{
    x->kind->rollback(x->store);
    if (clipidx_state_read(x->store, &x->state, NULL) == CLIP_OK) {
        clipidx_files_cut(x, NULL);
        return;
    }
    x->state.rows = x->state.pictures = x->state.texts = 0;
    x->lost = true;
}

static clip_status writable(const clip_index *x, clip_error *err)
{
    TRY(clipidx_check_process(x, err));
    if (x->lost)
        return clipb_fail(err, CLIP_EIO, x->dir,
                          "could not be read again after a fault: nothing is written until it is opened anew");
    return x->write ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, x->dir, "the index is open for reading");
}

static clip_status remove_row(clip_index *x, int64_t row, clip_error *err)
{
    TRY(x->kind->remove(x->store, row, err));
    *(clipidx_bit(&x->state.text, row) ? &x->state.texts : &x->state.pictures) -= 1;
    clipidx_bit_set(&x->state.gone, row);
    return CLIP_OK;
}

static clip_status take_row(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    (void)sum;
    (void)err;
    *(int64_t *)user = item->row;
    return CLIP_OK;
}

/* An item of this kind, path and text leaves. */
static clip_status remove_same(clip_index *x, clip_item_kind kind, const char *path, const char *text, clip_error *err)
{
    const clipidx_key key = {.kind = kind, .path = path, .text = text};
    int64_t row = -1;
    TRY(clipidx_store_find(x->store, CLIPIDX_SAME, &key, x->state.rows, take_row, &row, err));
    if (row >= 0 && clipidx_bit(&x->state.gone, row))
        return clipidx_store_damaged(x->store, err, "an item is in no row");
    return row < 0 ? CLIP_OK : remove_row(x, row, err);
}

static clip_status insert(clip_index *x, const clip_item *item, const uint16_t *vector, clip_error *err)
{
    clip_item row = *item;
    const bool is_text = item->kind == CLIP_ITEM_TEXT;
    row.row = x->state.rows;
    row.text = is_text ? item->text : NULL;
    TRY(remove_same(x, row.kind, row.path, row.text, err));
    TRY(x->kind->insert(x->store, &row, XXH3_64bits(vector, (size_t)x->dim * sizeof *vector), err));
    if (is_text)
        clipidx_bit_set(&x->state.text, x->state.rows);
    *(is_text ? &x->state.texts : &x->state.pictures) += 1;
    x->state.rows++;
    return CLIP_OK;
}

static clip_status add_some(clip_index *x, const clip_item *item, const float *vector, int N, uint16_t *half,
                            clip_error *err)
{
    const int64_t at = x->state.rows;
    float *unit = (float *)(void *)(half + (size_t)N * (size_t)x->dim + ((size_t)N * (size_t)x->dim & 1)); /* one row */
    for (int i = 0; i < N; i++) {
        clipidx_unit(unit, vector + (size_t)i * (size_t)x->dim, x->dim);
        x->set->to_f16(half + (size_t)i * (size_t)x->dim, unit, (size_t)x->dim);
    }
    if (clipidx_bits_reserve(&x->state.gone, at + N) < 0 || clipidx_bits_reserve(&x->state.text, at + N) < 0)
        return clipb_nomem(err, x->dir);
    TRY(x->kind->begin(x->store, err));
    TRY(clipidx_files_add(x, half, N, err));
    for (int i = 0; i < N; i++)
        TRY(insert(x, &item[i], half + (size_t)i * (size_t)x->dim, err));
    return CLIP_OK;
}

static clip_status check_item(const clip_index *x, const clip_item *item, const float *vector, float *unit,
                              clip_error *err)
{
    if (item->kind != CLIP_ITEM_PICTURE && item->kind != CLIP_ITEM_TEXT)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "an item is a picture or a text");
    if ((item->path && strlen(item->path) > CLIPIDX_MOST_STRING) ||
        (item->text && strlen(item->text) > CLIPIDX_MOST_STRING))
        return clipb_fail(err, CLIP_ELIMIT, x->dir, "a path or a text has more than %zu bytes", CLIPIDX_MOST_STRING);
    if (item->size < 0)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the size of a file is negative");
    if (item->kind == CLIP_ITEM_PICTURE ? !item->path || !*item->path : !item->text)
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a picture has a path, a text its words");
    if (!clipidx_unit(unit, vector, x->dim))
        return clipb_fail(err, CLIP_EINVAL, item->path ? item->path : item->text, "zero or non-finite vector");
    return CLIP_OK;
}

clip_status clipidx_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err)
{
    TRY(writable(x, err));
    if (N < 0 || (N > 0 && (!item || !vector)))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the number of items is negative, or there are none");
    const size_t D = (size_t)x->dim;
    uint16_t *half = malloc(((size_t)N * D + 1) * sizeof *half + D * sizeof(float));
    if (!half)
        return clipb_nomem(err, x->dir);
    clip_status s = CLIP_OK;
    for (int i = 0; s == CLIP_OK && i < N; i++)
        s = check_item(x, &item[i], vector + (size_t)i * D, (float *)(void *)half, err);
    if (s == CLIP_OK) {
        s = add_some(x, item, vector, N, half, err);
        if (s < 0)
            roll_back(x);
    }
    free(half);
    return s;
}

clip_status clipidx_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err)
{
    TRY(writable(x, err));
    if (n < 0 || (n > 0 && !row))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "the number of rows is negative, or there are none");
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= x->state.rows)
            return clipb_fail(err, CLIP_EINVAL, x->dir, "there is no row %" PRId64, row[i]);
    clip_status s = n > 0 ? x->kind->begin(x->store, err) : CLIP_OK;
    for (int64_t i = 0; s == CLIP_OK && i < n; i++)
        if (!clipidx_bit(&x->state.gone, row[i]))
            s = remove_row(x, row[i], err);
    if (s < 0)
        roll_back(x);
    return s;
}

/* Texts of `old` go to `path`. An equal text of `path` leaves first. */
static clip_status rename_texts(clip_index *x, const char *old, const char *path, clip_error *err)
{
    for (int64_t row = 0;;) {
        clip_item text;
        TRY(clipidx_next_text(x, old, &row, &text, err));
        if (!text.kind)
            return CLIP_OK;
        TRY(remove_same(x, CLIP_ITEM_TEXT, path, text.text, err));
        TRY(x->kind->rename(x->store, text.row, path, text.size, text.mtime, err));
    }
}

static clip_status rename_items(clip_index *x, const clip_item *item, const char *path, int64_t size, int64_t mtime,
                                clip_error *err)
{
    TRY(x->kind->begin(x->store, err));
    if (strcmp(item->path, path) != 0) {
        char *old = strdup(item->path); /* the item's strings live until the next is read */
        clip_status s = old ? remove_same(x, CLIP_ITEM_PICTURE, path, NULL, err) : clipb_nomem(err, x->dir);
        if (s == CLIP_OK)
            s = rename_texts(x, old, path, err);
        free(old);
        TRY(s);
    }
    return x->kind->rename(x->store, item->row, path, size, mtime, err);
}

clip_status clipidx_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime,
                           clip_error *err)
{
    clip_item item;
    TRY(writable(x, err));
    TRY(clipidx_check_row(x, row, err));
    char *name = path ? strdup(path) : NULL; /* it may be a string of the item we had given last */
    clip_status s =
        path && !name ? clipb_nomem(err, x->dir) : clipidx_item_at(x, row, &item, err);
    if (s == CLIP_OK &&
        (item.kind != CLIP_ITEM_PICTURE || !name || !*name || strlen(name) > CLIPIDX_MOST_STRING || size < 0))
        s = clipb_fail(err, CLIP_EINVAL, x->dir, "a picture is renamed, and has a path and a size");
    else if (s == CLIP_OK) {
        s = rename_items(x, &item, name, size, mtime, err);
        if (s < 0)
            roll_back(x);
    }
    free(name);
    return s;
}

clip_status clipidx_commit(clip_index *x, clip_error *err)
{
    TRY(writable(x, err));
    if (!x->store->changing)
        return CLIP_OK;
    clip_status s = clipidx_files_sync(x, err);
    if (s == CLIP_OK)
        s = clipidx_store_commit(x->store, &x->state, err);
    if (s < 0)
        roll_back(x);
    return s;
}

clip_status clipidx_remember(clip_index *x, const char *key, const char *value, clip_error *err)
{
    char now[256];
    TRY(clipidx_recall(x, key, now, sizeof now, err));
    if (!x->write || strcmp(now, value) == 0)
        return CLIP_OK;
    clip_status s = x->kind->begin(x->store, err);
    if (s == CLIP_OK)
        s = x->kind->set(x->store, key, value, err);
    if (s < 0)
        roll_back(x);
    return s;
}
