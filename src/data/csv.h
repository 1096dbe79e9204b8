/* csv.h: reads tables of text row by row (RFC 4180, with any separator).
 *
 *     clipdat_csv csv;
 *     TRY(clipdat_csv_open(&csv, path, err));
 *     csv.separator = ',';
 *     while ((s = clipdat_csv_row(&csv, err)) == CLIP_OK && csv.n > 0)
 *         use(clipdat_csv_field(&csv, 0));
 *     clipdat_csv_close(&csv);
 *
 * Rows end at LF, CRLF or CR. A field that begins with a quote may hold separators, line ends, and
 * quotes, which are written twice. A quote elsewhere is an ordinary character. Empty lines are
 * skipped, and so is a byte order mark (UTF-8). */
#ifndef CLIPDAT_CSV_H
#define CLIPDAT_CSV_H

#include <stdio.h>

#include "data/data.h"

typedef struct clipdat_csv {
    FILE *f;
    const char *path;   /* for messages; must live as long as this */
    char separator;
    size_t line;        /* where the current row starts, from 1 */
    size_t n;           /* fields of the current row; 0: the end of the table */
    bool over;          /* after an error: whether the table cannot be read further */
    /* private */
    clipdat_bytes text; /* the fields, with a 0 after each */
    size_t *at, at_capacity;
    size_t next_line;
} clipdat_csv;

/* clipdat_csv_open(): open a table. Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status clipdat_csv_open(clipdat_csv *c, const char *path, clip_error *err);
void clipdat_csv_close(clipdat_csv *c);

/* clipdat_csv_row(): read the next row. After an error with `over` false the next call goes on with
 * the row after it.
 * Errors: CLIP_EFORMAT (a 0 byte, a quote that is not closed), CLIP_ELIMIT (CLIPDAT_MAX_ROW),
 * CLIP_EIO, CLIP_ENOMEM. */
clip_status clipdat_csv_row(clipdat_csv *c, clip_error *err);

/* clipdat_csv_field(): field i < n; valid until the next row. */
const char *clipdat_csv_field(const clipdat_csv *c, size_t i);

/* clipdat_csv_rewind(): go back to the beginning. Errors: CLIP_EIO (also: not a regular file). */
clip_status clipdat_csv_rewind(clipdat_csv *c, clip_error *err);

#endif
