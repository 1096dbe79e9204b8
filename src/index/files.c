/* The arrays of an index, side by side: row i of each belongs to row i of the catalogue. The vectors cannot be had again; codes and their bounds can be
 * computed from them, and are, whenever they are not what they should be. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "index/index.h"

#define BLOCK 256 /* rows in hand at once */

/* Of the files, which come with a new name each time they are rewritten: "vectors.npy", "vectors.1.npy", .. */
static void name_of(char out[64], const char *what, int64_t generation)
{
    if (generation)
        snprintf(out, 64, "%s.%" PRId64 ".npy", what, generation);
    else
        snprintf(out, 64, "%s.npy", what);
}

static const struct kind {
    const char *name, *descr;
    size_t bytes;
    bool two; /* columns, not dim */
} kinds[CLIPIDX_ARRAYS] = {{"vectors", "<f2", 2, false}, {"codes", "|i1", 1, false}, {"bounds", "<f4", 4, true}};

static clip_status open_array(clip_index *x, int i, clip_error *err)
{
    char name[64];
    name_of(name, kinds[i].name, x->state.generation);
    return clipidx_array_open(&x->array[i], x->dir, name, kinds[i].descr, kinds[i].bytes, kinds[i].two ? 2 : x->dim, x->write, err);
}

static clip_status create_array(const clip_index *x, int i, int64_t generation, clipidx_array *out, clip_error *err)
{
    char name[64];
    name_of(name, kinds[i].name, generation);
    return clipidx_array_create(out, x->dir, name, kinds[i].descr, kinds[i].bytes, kinds[i].two ? 2 : x->dim, err);
}

static void unlink_arrays(const clip_index *x, int64_t generation)
{
    for (int i = 0; i < CLIPIDX_ARRAYS; i++) {
        char name[64];
        name_of(name, kinds[i].name, generation);
        char *path = clipb_path_join(x->dir, name);
        if (path)
            unlink(path);
        free(path);
    }
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

clip_status clipidx_files_code(clip_index *x, int64_t at, const uint16_t *vector, int n, clip_error *err)
{
    const size_t D = (size_t)x->dim;
    float bound[2 * BLOCK], *work = malloc(D * sizeof *work);
    int8_t *code = malloc(BLOCK * D);
    clip_status s = work && code ? CLIP_OK : clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    for (int i = 0; s == CLIP_OK && i < n; i++)
        clipidx_code(&x->coder, vector + (size_t)i * D, code + (size_t)i * D, bound + 2 * i, work);
    if (s == CLIP_OK)
        s = clipidx_array_write(&x->array[CLIPIDX_CODES], at, code, n, err);
    if (s == CLIP_OK)
        s = clipidx_array_write(&x->array[CLIPIDX_BOUNDS], at, bound, n, err);
    free(work);
    free(code);
    return s;
}

clip_status clipidx_files_add(clip_index *x, const uint16_t *vector, int64_t n, clip_error *err)
{
    const int64_t at = x->state.rows;
    TRY(clipidx_array_write(&x->array[CLIPIDX_VECTORS], at, vector, n, err));
    for (int64_t i = 0; i < n; i += BLOCK)
        TRY(clipidx_files_code(x, at + i, vector + (size_t)i * (size_t)x->dim, (int)(n - i < BLOCK ? n - i : BLOCK), err));
    return CLIP_OK;
}

clip_status clipidx_files_sync(clip_index *x, clip_error *err)
{
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        TRY(clipidx_array_sync(&x->array[i], err));
    return CLIP_OK;
}

clip_status clipidx_files_cut(clip_index *x, clip_error *err)
{
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        if (x->array[i].rows > x->state.rows)
            TRY(clipidx_array_cut(&x->array[i], x->state.rows, err));
    return CLIP_OK;
}

clip_status clipidx_map(const clip_index *x, clip_error *err)
{
    if (!x->write)
        return CLIP_OK;
    clip_index *w = (clip_index *)(uintptr_t)x; /* a writer's handle is for one thread, and this changes nothing that shows */
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        TRY(clipidx_array_map(&w->array[i], x->state.rows, err));
    return CLIP_OK;
}

/* ---- Opening ------------------------------------------------------------------------------------------------ */

/* Rows the catalogue knows and the vectors' file has not: they are forgotten, so that whoever fills the index embeds them again. */
static clip_status forget_lost_rows(clip_index *x, clip_error *err)
{
    clipidx_state *s = &x->state;
    const int64_t have = x->array[CLIPIDX_VECTORS].rows, lost = s->rows - have;
    sqlite3_stmt *q;
    if (lost <= 0)
        return CLIP_OK;
    TRY(clipidx_catalogue_begin(&x->catalogue, err));
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_DELETE, &q, err));
    for (int64_t row = have; row < s->rows; row++) {
        if (!clipidx_bit(&s->gone, row)) {
            sqlite3_bind_int64(q, 1, row);
            TRY(clipidx_run(&x->catalogue, q, err));
            *(clipidx_bit(&s->text, row) ? &s->texts : &s->pictures) -= 1;
        }
        s->gone.word[row / 64] &= ~(UINT64_C(1) << (row % 64));
        s->text.word[row / 64] &= ~(UINT64_C(1) << (row % 64));
    }
    s->rows = have;
    TRY(clipidx_catalogue_commit(&x->catalogue, s, err));
    clipidx_warn(x, "%s: %" PRId64 " rows are missing at its end: the index has forgotten them", x->array[CLIPIDX_VECTORS].path, lost);
    return CLIP_OK;
}

static clip_status open_vectors(clip_index *x, clip_error *err)
{
    clipidx_array *a = &x->array[CLIPIDX_VECTORS];
    clip_status s = open_array(x, CLIPIDX_VECTORS, err);
    if (s == CLIP_EFORMAT && x->write && a->fd >= 0 && x->state.rows == 0)
        s = CLIP_EIO; /* a crash while it was made */
    else if (s == CLIP_EIO && (!x->write || (a->path && access(a->path, F_OK) == 0)))
        return s;
    if (s == CLIP_EIO) { /* or it has been taken away */
        clipidx_array_close(a);
        s = create_array(x, CLIPIDX_VECTORS, x->state.generation, a, err);
    }
    return s == CLIP_OK && x->write ? forget_lost_rows(x, err) : s;
}

/* Rows from `have` on, of both. */
static clip_status code_again(clip_index *x, int64_t have, clip_error *err)
{
    const clipidx_array *vectors = &x->array[CLIPIDX_VECTORS];
    if (have < x->state.rows)
        clipidx_warn(x, "%s: the codes of %" PRId64 " vectors are missing: they are computed again", x->dir, x->state.rows - have);
    TRY(clipidx_array_map(&x->array[CLIPIDX_VECTORS], x->state.rows, err));
    for (int64_t at = have; at < x->state.rows; at += BLOCK)
        TRY(clipidx_files_code(x, at, clipidx_array_row(vectors, at), (int)(x->state.rows - at < BLOCK ? x->state.rows - at : BLOCK), err));
    return CLIP_OK;
}

/* Codes and bounds, each usable or made anew; a reader goes without. */
static clip_status open_codes(clip_index *x, clip_error *err)
{
    int64_t have = x->state.rows;
    for (int i = CLIPIDX_CODES; i <= CLIPIDX_BOUNDS; i++) {
        clip_status s = open_array(x, i, err);
        if (s == CLIP_ENOMEM)
            return s;
        if (s < 0 && x->write) {
            clipidx_array_close(&x->array[i]);
            TRY(create_array(x, i, x->state.generation, &x->array[i], err));
        } else if (s < 0) {
            clipidx_array_close(&x->array[i]);
        }
        if (x->array[i].rows < have)
            have = x->array[i].rows;
    }
    if (x->write) {
        TRY(code_again(x, have, err));
        x->coded = true;
        return CLIP_OK;
    }
    x->coded = have == x->state.rows;
    if (!x->coded)
        clipidx_warn(x, "%s: codes are missing: searching is slower until somebody opens the index for writing", x->dir);
    return CLIP_OK;
}

clip_status clipidx_files_open(clip_index *x, clip_error *err)
{
    TRY(open_vectors(x, err));
    TRY(open_codes(x, err));
    if (x->write) {
        TRY(clipb_dir_sync(x->dir, err)); /* for those that are new: no commit may survive without its rows */
        unlink_arrays(x, x->state.generation + 1); /* a crash may have left them */
        if (x->state.generation > 0)
            unlink_arrays(x, x->state.generation - 1);
        return clipidx_files_cut(x, err);
    }
    for (int i = 0; i < (x->coded ? CLIPIDX_ARRAYS : 1); i++)
        TRY(clipidx_array_map(&x->array[i], x->state.rows, err));
    return CLIP_OK;
}

void clipidx_files_close(clip_index *x)
{
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        clipidx_array_close(&x->array[i]);
}

/* ---- Closing gaps ------------------------------------------------------------------------------------------- */

/* The rows that are not gone, from one array to another. */
static clip_status copy_rows(const clip_index *x, const clipidx_array *from, clipidx_array *to, clip_error *err)
{
    int64_t at = 0;
    for (int64_t row = 0, end; row < x->state.rows; row = end) {
        end = row + 1;
        if (clipidx_bit(&x->state.gone, row))
            continue;
        while (end < x->state.rows && end - row < 16 * BLOCK && !clipidx_bit(&x->state.gone, end))
            end++;
        TRY(clipidx_array_write(to, at, clipidx_array_row(from, row), end - row, err));
        at += end - row;
    }
    return clipidx_array_sync(to, err);
}

/* Rows move towards the front, in order: none meets another. */
static clip_status renumber(clip_index *x, clipidx_state *to, clip_error *err)
{
    sqlite3_stmt *q;
    *to = (clipidx_state){.pictures = x->state.pictures, .texts = x->state.texts, .generation = x->state.generation + 1};
    if (clipidx_bits_reserve(&to->gone, x->state.rows) < 0 || clipidx_bits_reserve(&to->text, x->state.rows) < 0)
        return clipb_fail(err, CLIP_ENOMEM, x->dir, "out of memory");
    TRY(clipidx_catalogue_begin(&x->catalogue, err));
    TRY(clipidx_statement(&x->catalogue, CLIPIDX_MOVE, &q, err));
    for (int64_t row = 0; row < x->state.rows; row++) {
        if (clipidx_bit(&x->state.gone, row))
            continue;
        if (clipidx_bit(&x->state.text, row))
            clipidx_bit_set(&to->text, to->rows);
        if (to->rows != row) {
            sqlite3_bind_int64(q, 1, row);
            sqlite3_bind_int64(q, 2, to->rows);
            TRY(clipidx_run(&x->catalogue, q, err));
        }
        to->rows++;
    }
    return clipidx_catalogue_commit(&x->catalogue, to, err);
}

clip_status clipidx_files_compact(clip_index *x, clip_error *err)
{
    const int64_t old = x->state.generation;
    clipidx_array fresh[CLIPIDX_ARRAYS];
    clipidx_state state = {0};
    clip_status s = clipidx_map(x, err);
    for (int i = 0; i < CLIPIDX_ARRAYS; i++) {
        fresh[i] = (clipidx_array){.fd = -1};
        if (s == CLIP_OK)
            s = create_array(x, i, old + 1, &fresh[i], err);
        if (s == CLIP_OK)
            s = copy_rows(x, &x->array[i], &fresh[i], err);
    }
    if (s == CLIP_OK)
        s = clipb_dir_sync(x->dir, err);
    if (s == CLIP_OK)
        s = renumber(x, &state, err);
    if (s < 0)
        clipidx_catalogue_rollback(&x->catalogue);
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        clipidx_array_close(&fresh[i]);
    unlink_arrays(x, s < 0 ? old + 1 : old);
    clipidx_state_free(&state);
    return s;
}
