/* Which rows a search looks at, as a bitmap. Kinds and gaps are bitmaps already. Only patterns,
 * folders and dates visit the items. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/plain.h"
#include "index/index.h"

static bool path_fits(const clip_index_filter *f, const char *path)
{
    const locale_t before = uselocale(clipb_plain()); /* '?' is a byte */
    bool fits = f->n_patterns == 0;
    for (int i = 0; i < f->n_patterns && !fits; i++)
        fits = fnmatch(f->patterns[i], path ? path : "", 0) == 0;
    uselocale(before);
    return fits;
}

/* A folder is called as it is said (an address, a name that was imported), from the current
 * directory on (it may be gone, or lie behind a symbolic link), and by its real name. */
enum { NAMES = 3 };

static void free_names(char **name, int n)
{
    for (int i = 0; name && i < NAMES * n; i++)
        free(name[i]);
    free(name);
}

static clip_status find_names(const clip_index_filter *f, char ***out, clip_error *err)
{
    char **name = *out = calloc(NAMES * (size_t)f->n_below + 1, sizeof *name);
    for (int i = 0; i < f->n_below; i++, name += NAMES) {
        if (!name)
            return CLIP_ENOMEM;
        if (!*f->below[i])
            continue; /* nothing is below "" */
        errno = 0;
        name[0] = strdup(f->below[i]);
        if (!name[0])
            return CLIP_ENOMEM;
        if (f->below_as_written)
            continue;
        name[1] = clipb_path_written(f->below[i]);
        if (!name[1] && errno != ENOMEM)
            return clipb_fail(err, CLIP_EIO, f->below[i], "%s", strerror(errno));
        name[2] = realpath(f->below[i], NULL); /* NULL where nothing is there */
        if (!name[1] || (!name[2] && errno == ENOMEM))
            return CLIP_ENOMEM;
    }
    return CLIP_OK;
}

static bool place_fits(char *const *below, int n, const char *path)
{
    for (int i = 0; path && i < NAMES * n; i++)
        if (below[i] && clipb_path_below(path, below[i]))
            return true;
    return n == 0;
}

static bool date_fits(const clip_index_filter *f, const clip_item *item)
{
    const int64_t when = item->taken ? item->taken : item->mtime / 1000000000 - (item->mtime % 1000000000 < 0);
    if (!item->taken && !item->mtime)
        return !f->after && !f->before;
    return (!f->after || when >= f->after) && (!f->before || when < f->before);
}

/* The items that meet the conditions, as bits. */
typedef struct fitting {
    const clip_index_filter *filter;
    char *const *below;
    clipidx_bits bits;
} fitting;

static clip_status take_fitting(void *user, const clip_item *item, uint64_t sum, clip_error *err)
{
    fitting *f = user;
    (void)sum;
    (void)err;
    if (path_fits(f->filter, item->path) && place_fits(f->below, f->filter->n_below, item->path) &&
        date_fits(f->filter, item))
        clipidx_bit_set(&f->bits, item->row);
    return CLIP_OK;
}

static clip_status keep_fitting(const clip_index *x, const clip_index_filter *filter, char *const *below,
                                clipidx_bits *out, clip_error *err)
{
    fitting f = {.filter = filter, .below = below};
    TRY(clipidx_bits_reserve(&f.bits, (int64_t)out->words * 64));
    pthread_mutex_lock(&x->shared->store);
    const clip_status s =
        clipidx_store_find(x->store, CLIPIDX_ALL, &(clipidx_key){0}, x->state.rows, take_fitting, &f, err);
    pthread_mutex_unlock(&x->shared->store);
    for (size_t i = 0; s == CLIP_OK && i < out->words; i++)
        out->word[i] &= f.bits.word[i];
    free(f.bits.word);
    return s;
}

clip_status clipidx_filter(const clip_index *x, const clip_index_filter *f, clipidx_bits *out, clip_error *err)
{
    const clipidx_state *s = &x->state;
    const int kinds = f && f->kinds ? f->kinds : CLIP_ITEM_PICTURE | CLIP_ITEM_TEXT;
    *out = (clipidx_bits){0};
    if (f && (f->n_patterns < 0 || (f->n_patterns > 0 && !f->patterns) || f->n_below < 0 ||
              (f->n_below > 0 && !f->below) || (kinds & ~(CLIP_ITEM_PICTURE | CLIP_ITEM_TEXT))))
        return clipb_fail(err, CLIP_EINVAL, x->dir, "a filter has kinds, patterns or folders that there are not");
    if (clipidx_bits_reserve(out, s->rows) < 0)
        return clipb_nomem(err, x->dir);
    for (int64_t i = 0; i < (s->rows + 63) / 64; i++) {
        const uint64_t there = s->rows - i * 64 < 64 ? (UINT64_C(1) << (s->rows - i * 64)) - 1 : ~UINT64_C(0);
        const uint64_t text = s->text.word[i];
        out->word[i] =
            there & ~s->gone.word[i] & ((kinds & CLIP_ITEM_PICTURE ? ~text : 0) | (kinds & CLIP_ITEM_TEXT ? text : 0));
    }
    if (!f || (f->n_patterns == 0 && f->n_below == 0 && !f->after && !f->before))
        return CLIP_OK;
    char **below;
    clip_status status = find_names(f, &below, err);
    if (status == CLIP_OK)
        status = keep_fitting(x, f, below, out, err);
    free_names(below, f->n_below);
    if (status == CLIP_ENOMEM)
        clipb_nomem(err, x->dir);
    if (status < 0) {
        free(out->word);
        *out = (clipidx_bits){0};
    }
    return status;
}
