/* query.h: queries to an index. Each function does what its namesake in clip.h says. */
#ifndef CLIPCOL_QUERY_H
#define CLIPCOL_QUERY_H

#include "clip.h"

clip_status clipcol_query_parse(const int64_t *rows, int n_rows, const char *const *part, int n, bool pictures,
                                clip_query *out, clip_error *err);
clip_status clipcol_query_parse_line(const int64_t *rows, int n_rows, const char *line, bool pictures, clip_query *out,
                                     clip_error *err);
void clipcol_query_free(clip_query *q);
int clipcol_query_towers(const clip_query *q, int Q);
clip_status clipcol_query_embed(const clip_query_encoder *e, const clip_query *q, int Q, float *out, int *done,
                                clip_error *err);
clip_status clipcol_date_parse(const char *text, int64_t *begin, int64_t *end);

#endif
