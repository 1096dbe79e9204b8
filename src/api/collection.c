/* The public functions that keep an index up to date, and on queries. The bodies are in
 * src/collection. */
#include "collection/collection.h"
#include "collection/query.h"
#include "index/index.h"

clip_status clip_index_open(const char *dir, const clip_index_options *opt, clip_index **out, clip_error *err)
{
    return clipcol_index_open(dir, opt, out, err);
}

clip_image_options clip_index_image_options(const clip_index *x, const clip_model *m)
{
    return clipcol_index_image_options(x, m);
}
clip_update_options clip_update_options_default(void) { return clipcol_update_options_default(); }

clip_status clip_index_update(clip_index *x, clip_context *ctx, const char *const *paths, int n,
                              const clip_update_options *opt, clip_update_report *report, clip_error *err)
{
    return clipcol_update(x, ctx, paths, n, opt, report, err);
}

clip_status clip_index_sources(const clip_index *x, char ***out, size_t *n, bool *captions, clip_error *err)
{
    clipidx_hold(x);
    const clip_status s = clipcol_list_sources(x, out, n, captions, err);
    clipidx_release(x);
    return s;
}

clip_status clip_index_forget(clip_index *x, const char *const *paths, int n, int64_t *removed, clip_error *err)
{
    return clipcol_forget_sources(x, paths, n, removed, err);
}

clip_status clip_index_import(clip_index *x, clip_context *ctx, const char *dir, clip_import_report *report,
                              clip_error *err)
{
    return clipcol_import(x, ctx, dir, report, err);
}

clip_status clip_index_words(const clip_index *x, char ***out, size_t *n, clip_error *err)
{
    clipidx_hold(x);
    const clip_status s = clipcol_list_words(x, out, n, err);
    clipidx_release(x);
    return s;
}

/* ---- Queries ---- */

clip_status clip_query_parse(const int64_t *rows, int n_rows, const char *const *part, int n, bool pictures,
                             clip_query *out, clip_error *err)
{
    return clipcol_query_parse(rows, n_rows, part, n, pictures, out, err);
}

clip_status clip_query_parse_line(const int64_t *rows, int n_rows, const char *line, bool pictures, clip_query *out,
                                  clip_error *err)
{
    return clipcol_query_parse_line(rows, n_rows, line, pictures, out, err);
}

void clip_query_free(clip_query *q) { clipcol_query_free(q); }

int clip_query_towers(const clip_query *q, int Q) { return clipcol_query_towers(q, Q); }

clip_status clip_query_embed(const clip_query_encoder *e, const clip_query *q, int Q, float *out, int *done,
                             clip_error *err)
{
    return clipcol_query_embed(e, q, Q, out, done, err);
}

clip_status clip_date_parse(const char *text, int64_t *begin, int64_t *end)
{
    return clipcol_date_parse(text, begin, end);
}
