/* The public functions of an index. The bodies are in src/index and src/collection. */
#include "index/index.h"

clip_index_options clip_index_options_default(void) { return (clip_index_options){0}; }

clip_duplicates_options clip_duplicates_options_default(void) { return (clip_duplicates_options){.score = 0.97f}; }

clip_status clip_index_refresh(clip_index *x, bool *changed, clip_error *err)
{
    bool ignored;
    return clipidx_refresh(x, changed ? changed : &ignored, err);
}

void clip_index_hold(const clip_index *x) { clipidx_hold(x); }

void clip_index_release(const clip_index *x) { clipidx_release(x); }

clip_status clip_index_close(clip_index *x, clip_error *err) { return clipidx_close(x, err); }

void clip_index_discard(clip_index *x) { clipidx_discard(x); }

clip_status clip_index_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err)
{
    return clipidx_add(x, item, vector, N, err);
}

clip_status clip_index_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime,
                              clip_error *err)
{
    return clipidx_rename(x, row, path, size, mtime, err);
}

clip_status clip_index_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err)
{
    return clipidx_remove(x, row, n, err);
}

clip_status clip_index_commit(clip_index *x, clip_error *err) { return clipidx_commit(x, err); }

clip_status clip_index_verify(clip_index *x, clip_warn_fn warn, void *warn_user, int64_t *faults, clip_error *err)
{
    return clipidx_verify(x, warn, warn_user, faults, err);
}

clip_status clip_index_import_info(const char *dir, int *dim, int64_t *rows, clip_error *err)
{
    return clipidx_import_info(dir, dim, rows, err);
}

/* Functions that read hold the index, so that they see one state of it. */
#define HELD(x, expr)                \
    do {                             \
        clipidx_hold(x);             \
        const clip_status s_ = expr; \
        clipidx_release(x);          \
        return s_;                   \
    } while (0)

void clip_index_get_info(const clip_index *x, clip_index_info *out)
{
    clipidx_hold(x);
    clipidx_get_info(x, out);
    clipidx_release(x);
}

clip_status clip_index_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_item_at(x, row, out, err));
}

clip_status clip_index_find(const clip_index *x, const char *path, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_find(x, path, out, err));
}

clip_status clip_index_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err)
{
    HELD(x, clipidx_next(x, cursor, out, err));
}

clip_status clip_index_vector(const clip_index *x, int64_t row, float *out, clip_error *err)
{
    HELD(x, clipidx_vector(x, row, out, err));
}

clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k, const clip_index_filter *filter,
                              clip_hit *hit, int *found, clip_error *err)
{
    HELD(x, clipidx_search(x, query, Q, k, filter, hit, found, err));
}

clip_status clip_index_duplicates(const clip_index *x, const clip_duplicates_options *opt, int64_t **row,
                                  int64_t **group, int64_t *n, clip_error *err)
{
    const clip_duplicates_options o = opt ? *opt : clip_duplicates_options_default();
    HELD(x, clipidx_duplicates(x, &o, row, group, n, err));
}

clip_status clip_index_export(const clip_index *x, const char *dir, int64_t *rows, clip_error *err)
{
    HELD(x, clipidx_export(x, dir, rows, err));
}
