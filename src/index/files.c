/* The arrays of an index, side by side: row i of each belongs to row i of the store. Vectors
 * cannot be made again. Codes and their bounds are computed from them, and computed again if
 * they are damaged. The axes of the codes are learned when there are enough vectors, and again
 * when there are many more. All arrays are then written once more, in files of another
 * generation. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "index/index.h"
#include "index/learn.h"

#define BLOCK 256          /* rows in hand at once */
#define LEARN_ROWS 16384   /* fewer are scanned in no time */
#define LEARN_GROWTH 4
#define LEARN_MOST_DIM 4096
#define LEARNED "learned" /* in the store */

/* Names of files: a new one each time they are rewritten ("vectors.npy", "vectors.1.npy", ..). */
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
} kinds[CLIPIDX_FILES] = {{"vectors", "<f2", 2}, {"heads", "|i1", 1},       {"head_bounds", "<f4", 4},
                          {"tails", "|u1", 1},   {"tail_bounds", "<f4", 4}, {"reflectors", "<f4", 4}};

static int columns_of(const clipidx_coder *c, int i)
{
    const int columns[CLIPIDX_FILES] = {c->D, c->H, 2, c->bytes, 1, c->D};
    return columns[i];
}

static clip_status open_array(clip_index *x, int i, clip_error *err)
{
    char name[64];
    name_of(name, kinds[i].name, x->state.generation);
    return clipidx_array_open(&x->array[i], x->dir, name, kinds[i].descr, kinds[i].bytes, columns_of(&x->coder, i),
                              x->write, err);
}

static clip_status create_array(const clip_index *x, const clipidx_coder *c, int i, int64_t generation,
                                clipidx_array *out, clip_error *err)
{
    char name[64];
    name_of(name, kinds[i].name, generation);
    return clipidx_array_create(out, x->dir, name, kinds[i].descr, kinds[i].bytes, columns_of(c, i), err);
}

static void unlink_arrays(const clip_index *x, int64_t generation)
{
    for (int i = 0; i < CLIPIDX_FILES; i++) {
        char name[64];
        name_of(name, kinds[i].name, generation);
        char *path = clipb_path_join(x->dir, name);
        if (path)
            unlink(path);
        free(path);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Codes and bounds of n vectors, into the arrays that are theirs in `array`. */
static clip_status write_codes(const clip_index *x, const clipidx_coder *c, clipidx_array array[CLIPIDX_ARRAYS],
                               int64_t at, const uint16_t *vector, int64_t n, clip_error *err)
{
    const size_t D = (size_t)c->D, H = (size_t)c->H, bytes = (size_t)c->bytes;
    float head_bound[2 * BLOCK], tail_bound[BLOCK];
    double *work = malloc(2 * D * sizeof *work);
    int8_t *head = malloc(BLOCK * H);
    uint8_t *tail = malloc(BLOCK * bytes);
    const void *const data[CLIPIDX_ARRAYS] = {[CLIPIDX_HEADS] = head,
                                              [CLIPIDX_HEAD_BOUNDS] = head_bound,
                                              [CLIPIDX_TAILS] = tail,
                                              [CLIPIDX_TAIL_BOUNDS] = tail_bound};
    clip_status s = work && head && tail ? CLIP_OK : clipb_nomem(err, x->dir);
    for (int64_t done = 0, m; s == CLIP_OK && done < n; done += m) {
        m = n - done < BLOCK ? n - done : BLOCK;
        for (size_t i = 0; i < (size_t)m; i++, vector += D)
            clipidx_code(c, vector,
                         &(clipidx_coded){head + i * H, tail + i * bytes, head_bound + 2 * i, tail_bound + i}, work);
        for (int i = CLIPIDX_HEADS; s == CLIP_OK && i < CLIPIDX_ARRAYS; i++)
            s = clipidx_array_write(&array[i], at + done, data[i], m, err);
    }
    free(work);
    free(head);
    free(tail);
    return s;
}

clip_status clipidx_files_code(clip_index *x, int64_t at, const uint16_t *vector, int64_t n, clip_error *err)
{
    return write_codes(x, &x->coder, x->array, at, vector, n, err);
}

clip_status clipidx_files_add(clip_index *x, const uint16_t *vector, int64_t n, clip_error *err)
{
    const int64_t at = x->state.rows;
    TRY(clipidx_array_write(&x->array[CLIPIDX_VECTORS], at, vector, n, err));
    return clipidx_files_code(x, at, vector, n, err);
}

clip_status clipidx_files_sync(clip_index *x, clip_error *err)
{
    for (int i = 0; i < CLIPIDX_FILES; i++)
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
    TRY(clipidx_check_process(x, err));
    for (int i = 0; i < CLIPIDX_FILES; i++)
        TRY(clipidx_array_check(&x->array[i], err));
    if (!x->write)
        return CLIP_OK;
    for (int i = 0; i < CLIPIDX_ARRAYS; i++)
        TRY(clipidx_array_map(&x->array[i], x->state.rows, err));
    return CLIP_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Rows that the store knows and the vectors' file does not have. They are forgotten, so that the
 * next update embeds them again. */
static clip_status forget_lost_rows(clip_index *x, clip_error *err)
{
    clipidx_state *s = &x->state;
    const int64_t have = x->array[CLIPIDX_VECTORS].rows, lost = s->rows - have;
    if (lost <= 0)
        return CLIP_OK;
    TRY(x->kind->begin(x->store, err));
    for (int64_t row = have; row < s->rows; row++) {
        if (!clipidx_bit(&s->gone, row)) {
            TRY(x->kind->remove(x->store, row, err));
            *(clipidx_bit(&s->text, row) ? &s->texts : &s->pictures) -= 1;
        }
        clipidx_bit_clear(&s->gone, row);
        clipidx_bit_clear(&s->text, row);
    }
    s->rows = have;
    TRY(clipidx_store_commit(x->store, s, err));
    clipidx_warn(x, "%s: %" PRId64 " rows are missing at its end: the index has forgotten them",
                 x->array[CLIPIDX_VECTORS].path, lost);
    return CLIP_OK;
}

/* A fault that may pass by itself (too many open files): no reason to make anything anew. */
static bool passing(const clip_index *x, int i, clip_status s)
{
    return s == CLIP_ENOMEM || (s == CLIP_EIO && x->write && x->array[i].path && access(x->array[i].path, F_OK) == 0);
}

static clip_status open_vectors(clip_index *x, clip_error *err)
{
    clipidx_array *a = &x->array[CLIPIDX_VECTORS];
    clip_status s = open_array(x, CLIPIDX_VECTORS, err);
    if (s == CLIP_EFORMAT && x->write && a->fd >= 0 && x->state.rows == 0)
        s = CLIP_EIO; /* a crash while it was made */
    else if (s == CLIP_EIO && (!x->write || passing(x, CLIPIDX_VECTORS, s)))
        return s;
    if (s == CLIP_EIO) { /* or it has been taken away */
        clipidx_array_close(a);
        s = create_array(x, &x->coder, CLIPIDX_VECTORS, x->state.generation, a, err);
    }
    return s == CLIP_OK && x->write ? forget_lost_rows(x, err) : s;
}

/* What the store knows of the reflectors of this generation's codes: how many rows they were
 * learned from (0: there are none), and their sum (XXH3). */
static clip_status recall_learned(clip_index *x, int64_t *rows, uint64_t *sum, clip_error *err)
{
    char text[64], *end;
    TRY(x->kind->get(x->store, LEARNED, text, sizeof text, err));
    *rows = strtoll(text, &end, 10);
    *sum = strtoull(end, NULL, 16);
    return CLIP_OK;
}

static clip_status note_learned(clip_index *x, int64_t rows, uint64_t sum, clip_error *err)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 " %016" PRIx64, rows, sum);
    TRY(x->kind->begin(x->store, err));
    return x->kind->set(x->store, LEARNED, text, err);
}

static uint64_t sum_of(const clipidx_array *a)
{
    return a->rows ? XXH3_64bits(clipidx_array_row(a, 0), (size_t)a->rows * a->row_bytes) : 0;
}

/* The coder of this generation's codes. *lost: the reflectors are not the ones it was made with.
 * They would be as orthogonal, and every answer wrong. */
static clip_status open_reflectors(clip_index *x, bool *lost, clip_error *err)
{
    clipidx_array *a = &x->array[CLIPIDX_REFLECTORS];
    int64_t learned;
    uint64_t sum;
    TRY(recall_learned(x, &learned, &sum, err));
    clip_status s = open_array(x, CLIPIDX_REFLECTORS, err);
    if (passing(x, CLIPIDX_REFLECTORS, s))
        return s;
    *lost = s < 0 || a->rows > clipidx_most_axes(x->dim) || (learned == 0) != (a->rows == 0);
    if (*lost || a->rows == 0)
        return CLIP_OK;
    TRY(clipidx_array_map(a, a->rows, err));
    *lost = sum_of(a) != sum;
    if (*lost)
        return CLIP_OK;
    clipidx_coder_free(&x->coder);
    s = clipidx_coder_init(&x->coder, x->set, x->dim, clipidx_array_row(a, 0), (int)a->rows);
    return s == CLIP_OK ? CLIP_OK
                        : clipb_fail(err, s, a->path,
                                     s == CLIP_ENOMEM ? "out of memory" : "holds a zero or non-finite reflector");
}

/* Empty files of codes and bounds, and then of reflectors, if these are lost. No code may
 * outlive the reflectors it was made with, not even in a crash. */
static clip_status empty_codes(clip_index *x, bool lost, clip_error *err)
{
    for (int i = CLIPIDX_HEADS; i < (lost ? CLIPIDX_FILES : CLIPIDX_ARRAYS); i++) {
        clipidx_array_close(&x->array[i]);
        TRY(create_array(x, &x->coder, i, x->state.generation, &x->array[i], err));
    }
    if (lost) {
        TRY(note_learned(x, 0, 0, err));
        TRY(clipidx_store_commit(x->store, &x->state, err));
    }
    return CLIP_OK;
}

/* Rows from `have` on. */
static clip_status code_again(clip_index *x, int64_t have, clip_error *err)
{
    const clipidx_array *vectors = &x->array[CLIPIDX_VECTORS];
    if (have == x->state.rows)
        return CLIP_OK;
    clipidx_warn(x, "%s: the codes of %" PRId64 " vectors are missing: they are computed again", x->dir,
                 x->state.rows - have);
    TRY(clipidx_array_map(&x->array[CLIPIDX_VECTORS], x->state.rows, err));
    TRY(clipidx_files_code(x, have, clipidx_array_row(vectors, have), x->state.rows - have, err));
    return clipidx_files_sync(x, err);
}

/* Reflectors, codes and bounds. If one is not usable, a writer makes all anew, and a reader does
 * without. */
static clip_status open_codes(clip_index *x, clip_error *err)
{
    bool lost;
    int64_t have = x->state.rows;
    TRY(open_reflectors(x, &lost, err));
    bool usable = !lost;
    for (int i = CLIPIDX_HEADS; i < CLIPIDX_ARRAYS && !lost; i++) {
        const clip_status s = open_array(x, i, err);
        if (passing(x, i, s))
            return s;
        usable &= s == CLIP_OK;
        if (x->array[i].rows < have)
            have = x->array[i].rows;
    }
    if (x->write && !usable)
        TRY(empty_codes(x, lost, err));
    if (x->write)
        TRY(code_again(x, usable ? have : 0, err));
    x->coded = x->write || (usable && have == x->state.rows);
    return CLIP_OK;
}

clip_status clipidx_files_open(clip_index *x, clip_error *err)
{
    if (clipidx_coder_init(&x->coder, x->set, x->dim, NULL, 0) < 0)
        return clipb_nomem(err, x->dir);
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
    for (int i = 0; i < CLIPIDX_FILES; i++)
        clipidx_array_close(&x->array[i]);
    clipidx_coder_free(&x->coder);
}

/* ---- All of it once more --------------------------------------------------------------------- */

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

/* Are there enough vectors to learn axes from, or many more than when it was done? */
static bool learning_is_due(clip_index *x)
{
    const int64_t rows = x->state.rows - clipidx_gaps(&x->state);
    int64_t learned;
    uint64_t sum;
    return rows >= LEARN_ROWS && x->dim <= LEARN_MOST_DIM && recall_learned(x, &learned, &sum, NULL) == CLIP_OK &&
           rows / LEARN_GROWTH >= learned;
}

/* Rows move towards the front, in order: none meets another. */
static clip_status renumber(clip_index *x, int64_t learned, uint64_t sum, clipidx_state *to, clip_error *err)
{
    *to =
        (clipidx_state){.pictures = x->state.pictures, .texts = x->state.texts, .generation = x->state.generation + 1};
    if (clipidx_bits_reserve(&to->gone, x->state.rows) < 0 || clipidx_bits_reserve(&to->text, x->state.rows) < 0)
        return clipb_nomem(err, x->dir);
    TRY(x->kind->begin(x->store, err));
    for (int64_t row = 0; row < x->state.rows; row++) {
        if (clipidx_bit(&x->state.gone, row))
            continue;
        if (clipidx_bit(&x->state.text, row))
            clipidx_bit_set(&to->text, to->rows);
        if (to->rows != row)
            TRY(x->kind->move(x->store, row, to->rows, err));
        to->rows++;
    }
    if (learned)
        TRY(note_learned(x, learned, sum, err));
    return clipidx_store_commit(x->store, to, err);
}

/* The reflectors of the codes from now on: as they are, or `learned`. */
static clip_status write_reflectors(const clip_index *x, bool learn, const clipidx_array *vectors, clipidx_array *to,
                                    clipidx_coder *coder, clip_error *err)
{
    const clipidx_array *from = &x->array[CLIPIDX_REFLECTORS];
    float *learned = learn ? malloc((size_t)clipidx_most_axes(x->dim) * (size_t)x->dim * sizeof *learned) : NULL;
    const float *reflector = learn ? learned : x->coder.axes ? clipidx_array_row(from, 0) : NULL;
    int axes = x->coder.axes;
    clip_status s = learn && !learned ? CLIP_ENOMEM : CLIP_OK;
    if (learned)
        s = clipidx_learn(x->set, clipidx_array_row(vectors, 0), vectors->rows, x->dim, learned, &axes);
    if (s == CLIP_OK)
        s = clipidx_coder_init(coder, x->set, x->dim, reflector, axes);
    if (s < 0)
        clipb_fail(err, s, x->dir,
                   s == CLIP_ENOMEM ? "out of memory" : "vectors are damaged: 'clip index --verify' finds them");
    if (s == CLIP_OK && axes > 0)
        s = clipidx_array_write(to, 0, reflector, axes, err);
    if (s == CLIP_OK)
        s = clipidx_array_sync(to, err);
    if (s == CLIP_OK)
        s = clipidx_array_map(to, axes, err);
    free(learned);
    return s;
}

static clip_status write_all(const clip_index *x, bool learn, clipidx_array fresh[CLIPIDX_FILES], clipidx_coder *coder,
                             clip_error *err)
{
    const int64_t generation = x->state.generation + 1;
    clipidx_array *vectors = &fresh[CLIPIDX_VECTORS];
    TRY(create_array(x, &x->coder, CLIPIDX_VECTORS, generation, vectors, err));
    TRY(copy_rows(x, &x->array[CLIPIDX_VECTORS], vectors, err));
    TRY(clipidx_array_map(vectors, vectors->rows, err));
    TRY(create_array(x, &x->coder, CLIPIDX_REFLECTORS, generation, &fresh[CLIPIDX_REFLECTORS], err));
    TRY(write_reflectors(x, learn, vectors, &fresh[CLIPIDX_REFLECTORS], coder, err));
    for (int i = CLIPIDX_HEADS; i < CLIPIDX_ARRAYS; i++)
        TRY(create_array(x, coder, i, generation, &fresh[i], err));
    if (vectors->rows > 0)
        TRY(write_codes(x, coder, fresh, 0, clipidx_array_row(vectors, 0), vectors->rows, err));
    for (int i = CLIPIDX_HEADS; i < CLIPIDX_ARRAYS; i++)
        TRY(clipidx_array_sync(&fresh[i], err));
    return clipb_dir_sync(x->dir, err);
}

clip_status clipidx_files_tidy(clip_index *x, clip_error *err)
{
    const bool learn = learning_is_due(x);
    if (clipidx_gaps(&x->state) <= x->state.rows / 4 && !learn)
        return CLIP_OK;
    const int64_t old = x->state.generation;
    clipidx_array fresh[CLIPIDX_FILES];
    clipidx_coder coder = {0};
    clipidx_state state = {0};
    for (int i = 0; i < CLIPIDX_FILES; i++)
        fresh[i] = (clipidx_array){.fd = -1};
    clip_status s = clipidx_map(x, err);
    if (s == CLIP_OK)
        s = write_all(x, learn, fresh, &coder, err);
    if (s == CLIP_OK)
        s = renumber(x, learn ? fresh[CLIPIDX_VECTORS].rows : 0, sum_of(&fresh[CLIPIDX_REFLECTORS]), &state, err);
    if (s < 0)
        x->kind->rollback(x->store);
    for (int i = 0; i < CLIPIDX_FILES; i++)
        clipidx_array_close(&fresh[i]);
    unlink_arrays(x, s < 0 ? old + 1 : old);
    clipidx_coder_free(&coder);
    clipidx_state_free(&state);
    return s;
}
