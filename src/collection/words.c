/* clipcol_list_words(): the words of an index's texts, counted in a hash table with open
 * addressing. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "collection/collection.h"
#include "engine/engine.h"
#include "index/index.h"
#include "text/word.h"

enum { LONGEST = 64, LEAST_SLOTS = 1024 }; /* bytes of a word: longer ones are left out */

typedef struct word {
    char *text; /* NULL: a free slot */
    int64_t texts, last; /* in how many; the row of the last one */
} word;

typedef struct table {
    word *slot;
    size_t slots, n; /* a power of two; at most half of them are taken */
} table;

static word *slot_of(const table *t, const char *text)
{
    size_t i = (size_t)XXH3_64bits(text, strlen(text)) & (t->slots - 1);
    while (t->slot[i].text && strcmp(t->slot[i].text, text) != 0)
        i = (i + 1) & (t->slots - 1);
    return &t->slot[i];
}

static clip_status grow(table *t)
{
    table larger = {.slots = t->slots ? 2 * t->slots : LEAST_SLOTS, .n = t->n};
    larger.slot = calloc(larger.slots, sizeof *larger.slot);
    if (!larger.slot)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < t->slots; i++)
        if (t->slot[i].text)
            *slot_of(&larger, t->slot[i].text) = t->slot[i];
    free(t->slot);
    *t = larger;
    return CLIP_OK;
}

static clip_status count_words(table *t, const clip_item *item)
{
    char text[LONGEST + 1];
    const char *rest = item->text;
    for (size_t n; (n = cliptok_next_word(&rest, text, sizeof text)) > 0;) {
        if (n == LONGEST || strchr("'-", *text))
            continue;
        if (2 * (t->n + 1) > t->slots)
            TRY(grow(t));
        word *w = slot_of(t, text);
        if (!w->text) {
            if (!(w->text = strdup(text)))
                return CLIP_ENOMEM;
            w->last = -1;
            t->n++;
        }
        w->texts += w->last != item->row;
        w->last = item->row;
    }
    return CLIP_OK;
}

static clip_status count_all(const clip_index *x, table *t, clip_error *err)
{
    clip_item item;
    int64_t cursor = 0;
    for (;;) {
        TRY(clipidx_next(x, &cursor, &item, err));
        if (!item.kind)
            return CLIP_OK;
        if (item.kind == CLIP_ITEM_TEXT && count_words(t, &item) < 0)
            return clipb_fail(err, CLIP_ENOMEM, NULL, "%s", clipb_status_message(CLIP_ENOMEM));
    }
}

static int by_texts(const void *a, const void *b)
{
    const word *x = a, *y = b;
    if (!x->text || !y->text)
        return !x->text - !y->text;
    return x->texts != y->texts ? (x->texts < y->texts) - (x->texts > y->texts) : strcmp(x->text, y->text);
}

/* Sort the slots, and hand over the words. */
static clip_status list(table *t, char ***out, size_t *n, clip_error *err)
{
    char **words = malloc((t->n + 1) * sizeof *words);
    if (!words)
        return clipb_fail(err, CLIP_ENOMEM, NULL, "%s", clipb_status_message(CLIP_ENOMEM));
    if (t->n > 0)
        qsort(t->slot, t->slots, sizeof *t->slot, by_texts);
    for (size_t i = 0; i < t->n; i++) {
        words[i] = t->slot[i].text;
        t->slot[i].text = NULL;
    }
    *out = words;
    *n = t->n;
    return CLIP_OK;
}

clip_status clipcol_list_words(const clip_index *x, char ***out, size_t *n, clip_error *err)
{
    table t = {0};
    *out = NULL;
    *n = 0;
    clip_status s = count_all(x, &t, err);
    if (s == CLIP_OK)
        s = list(&t, out, n, err);
    for (size_t i = 0; i < t.slots; i++)
        free(t.slot[i].text);
    free(t.slot);
    return s;
}
