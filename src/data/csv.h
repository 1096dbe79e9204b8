/* csv.h: tables of text, a row at a time (RFC 4180, with any separator).
 *
 *     clipdat_csv csv;
 *     TRY(clipdat_csv_open(&csv, path, err));
 *     csv.separator = ',';
 *     while ((s = clipdat_csv_row(&csv, err)) == CLIP_OK && csv.n > 0)
 *         use(clipdat_csv_field(&csv, 0));
 *     clipdat_csv_close(&csv);
 *
 * Rows end at LF, CRLF or CR. A field that opens with a quote may hold separators, line ends, and quotes written twice; a quote
 * further on is a character as any other. Empty lines are no rows. A mark of byte order (UTF-8) is skipped. */
#ifndef CLIPDAT_CSV_H
#define CLIPDAT_CSV_H

#include <stdio.h>

#include "data/data.h"

typedef struct clipdat_csv {
    FILE *f;
    const char *path;   /* the caller's, for messages */
    char separator;
    size_t line;        /* on which the current row starts, from 1 */
    size_t n;           /* its fields; 0: the end of the table */
    bool over;          /* after an error: nothing more can be read */
    /* inside */
    clipdat_bytes text; /* the fields, a 0 after each */
    size_t *at, at_capacity;
    size_t next_line;
} clipdat_csv;

clip_status clipdat_csv_open(clipdat_csv *c, const char *path, clip_error *err);
void clipdat_csv_close(clipdat_csv *c);

/* clipdat_csv_row(): the next row. An error that leaves `over` false is of this row alone.
 * CLIP_EFORMAT (a 0 byte; a quote that is never closed), CLIP_ELIMIT (CLIPDAT_MAX_ROW), CLIP_EIO, CLIP_ENOMEM. */
clip_status clipdat_csv_row(clipdat_csv *c, clip_error *err);

/* clipdat_csv_field(): field i < n; valid until the next row. */
const char *clipdat_csv_field(const clipdat_csv *c, size_t i);

/* clipdat_csv_rewind(): to the beginning again. CLIP_EIO (what is no file has none). */
clip_status clipdat_csv_rewind(clipdat_csv *c, clip_error *err);

#endif
