/* What all kinds of stores have in common: the state of an index, and checks of what is read. */
#include "index/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MOST_ROWS (INT64_C(1) << 40)

clip_status clipidx_store_damaged(const clipidx_store *s, clip_error *err, const char *fault)
{
    return clipb_fail(err, CLIP_EFORMAT, s->path, "the catalogue is damaged: %s", fault);
}

/* ---- Bitmaps --------------------------------------------------------------------------------- */

clip_status clipidx_bits_reserve(clipidx_bits *b, int64_t rows)
{
    const size_t had = b->words;
    TRY(clipb_grow((void **)&b->word, &b->words, (size_t)(rows + 63) / 64, sizeof *b->word));
    if (b->words > had)
        memset(b->word + had, 0, (b->words - had) * sizeof *b->word);
    return CLIP_OK;
}

/* The bits of b that `without` has not. */
static int64_t count_bits(const clipidx_bits *b, const clipidx_bits *without)
{
    int64_t n = 0;
    for (size_t i = 0; i < b->words; i++)
        n += __builtin_popcountll(b->word[i] & (i < without->words ? ~without->word[i] : ~UINT64_C(0)));
    return n;
}

static clip_status read_bits(clipidx_store *s, const char *name, clipidx_bits *b, int64_t rows, clip_error *err)
{
    if (b->words > 0)
        memset(b->word, 0, b->words * sizeof *b->word);
    TRY(s->kind->get_bits(s, name, b, rows, err));
    return rows % 64 && b->word[rows / 64] >> (rows % 64)
               ? clipidx_store_damaged(s, err, "a bitmap knows of rows that are not there")
               : CLIP_OK;
}

/* ---- The state ------------------------------------------------------------------------------- */

clip_status clipidx_store_number(clipidx_store *s, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                 clip_error *err)
{
    char text[32], *end;
    TRY(s->kind->get(s, key, text, sizeof text, err));
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    if (!text[0] || *end || errno || n < lo || n > hi)
        return clipb_fail(err, CLIP_EFORMAT, s->path, "the catalogue is damaged: %s is '%s'", key, text);
    *out = n;
    return CLIP_OK;
}

clip_status clipidx_state_read(clipidx_store *s, clipidx_state *out, clip_error *err)
{
    TRY(clipidx_store_number(s, "rows", 0, MOST_ROWS, &out->rows, err));
    TRY(clipidx_store_number(s, "pictures", 0, out->rows, &out->pictures, err));
    TRY(clipidx_store_number(s, "texts", 0, out->rows, &out->texts, err));
    TRY(clipidx_store_number(s, "generation", 0, INT32_MAX, &out->generation, err));
    if (out->pictures + out->texts > out->rows)
        return clipidx_store_damaged(s, err, "there are more items than rows");
    TRY(read_bits(s, "gone", &out->gone, out->rows, err));
    TRY(read_bits(s, "text", &out->text, out->rows, err));
    return count_bits(&out->gone, &(clipidx_bits){0}) == clipidx_gaps(out) &&
                   count_bits(&out->text, &out->gone) == out->texts
               ? CLIP_OK
               : clipidx_store_damaged(s, err, "items, gaps and rows do not add up");
}

void clipidx_state_free(clipidx_state *s)
{
    free(s->gone.word);
    free(s->text.word);
    *s = (clipidx_state){0};
}

static clip_status set_number(clipidx_store *s, const char *key, int64_t value, clip_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return s->kind->set(s, key, text, err);
}

clip_status clipidx_store_commit(clipidx_store *s, const clipidx_state *state, clip_error *err)
{
    TRY(s->kind->begin(s, err));
    TRY(set_number(s, "rows", state->rows, err));
    TRY(set_number(s, "pictures", state->pictures, err));
    TRY(set_number(s, "texts", state->texts, err));
    TRY(set_number(s, "generation", state->generation, err));
    TRY(s->kind->set_bits(s, "gone", &state->gone, state->rows, err));
    TRY(s->kind->set_bits(s, "text", &state->text, state->rows, err));
    return s->kind->commit(s, err);
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* A visit whose items are checked before they are passed on. */
typedef struct visit {
    const clipidx_store *store;
    clipidx_which which;
    int64_t rows, least, n; /* least: the lowest row that may come now; n: items so far */
    clipidx_take_fn take;
    void *user;
} visit;

static clip_status take_checked(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    visit *v = user;
    if (v->which == CLIPIDX_BYTES) {
        if (++v->n > v->rows)
            return clipidx_store_damaged(v->store, err, "there are more items than rows");
        return item->row < 0 || item->row >= v->rows ? CLIP_OK : v->take(v->user, item, sum, err);
    }
    if (item->row < 0 || item->row >= v->rows || (item->kind != CLIP_ITEM_PICTURE && item->kind != CLIP_ITEM_TEXT))
        return clipidx_store_damaged(v->store, err, "an item is of no kind or in no row");
    if (item->size < 0)
        return clipidx_store_damaged(v->store, err, "the size of a file is negative");
    if (item->row < v->least) /* a visit of a damaged store might never end */
        return clipidx_store_damaged(v->store, err, "its rows are not in their order");
    v->least = item->row + 1;
    return v->take(v->user, item, sum, err);
}

clip_status clipidx_store_find(clipidx_store *s, clipidx_which which, const clipidx_key *key, int64_t rows,
                               clipidx_take_fn take, void *user, clip_error *err)
{
    const bool from_row = which == CLIPIDX_NEXT || which == CLIPIDX_COPY || which == CLIPIDX_TEXT;
    visit v = {.store = s,
               .which = which,
               .rows = rows,
               .least = from_row ? key->row : 0,
               .take = take,
               .user = user};
    return s->kind->find(s, which, key, take_checked, &v, err);
}
