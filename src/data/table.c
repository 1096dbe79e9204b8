/* table.c: rows of a table with a picture's name and a caption. Adjacent rows of one picture are
 * one sample. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/plain.h"
#include "data/csv.h"

typedef struct table {
    clipdat_source source;
    clipdat_csv csv;
    char *path, *dir;
    size_t columns, image, caption;
    bool ahead;         /* csv holds a row that no sample has taken yet */
    clip_status fault;  /* of the row that was read ahead, to see whether it belongs to the sample */
    clip_error said;
} table;

/* ---- The header ---- */

static bool find_column(const clipdat_csv *c, const char *name, size_t *out)
{
    for (*out = 0; *out < c->n; ++*out)
        if (strcmp(clipdat_csv_field(c, *out), name) == 0)
            return true;
    return false;
}

static clip_status no_column(const table *t, const char *name, clip_error *err)
{
    clipdat_bytes names = {0};
    clip_status s = CLIP_OK;
    for (size_t i = 0; i < t->csv.n && i < 32 && s == CLIP_OK; i++) {
        const char *field = clipdat_csv_field(&t->csv, i);
        s = clipdat_bytes_add(&names, ", ", i > 0 ? 2 : 0);
        if (s == CLIP_OK)
            s = clipdat_bytes_add(&names, field, strnlen(field, 64));
    }
    if (s == CLIP_OK)
        s = clipb_fail(err, CLIP_EFORMAT, t->path, "its first line names no column '%s', only: %s", name, names.p);
    free(names.p);
    return s;
}

/* Reads the first line with this separator. *found: whether it has both columns. */
static clip_status read_header(table *t, char separator, const clip_pairs_options *opt, bool *found, clip_error *err)
{
    TRY(clipdat_csv_rewind(&t->csv, err));
    t->csv.separator = separator;
    TRY(clipdat_csv_row(&t->csv, err));
    if (t->csv.n == 0)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "is empty: a first line that names the columns is missing");
    t->columns = t->csv.n;
    bool image = find_column(&t->csv, opt->image_key, &t->image),
         caption = find_column(&t->csv, opt->caption_key, &t->caption);
    *found = image && caption;
    return CLIP_OK;
}

/* OpenCLIP writes tabs into files called .csv, and spreadsheets in half of Europe write semicolons.
 * The right separator is the one that shows both columns. */
static clip_status find_separator(table *t, const clip_pairs_options *opt, clip_error *err)
{
    const char tab[] = "\t", any[] = ",\t;", given[] = {opt->separator, 0};
    const char *dot = strrchr(t->path, '.');
    const char *candidates = opt->separator ? given : dot && strcasecmp_l(dot, ".tsv", clipb_plain()) == 0 ? tab : any;
    char best = *candidates;
    size_t most = 0, which;
    bool found = false;
    for (const char *c = candidates; *c && !found; c++) {
        TRY(read_header(t, *c, opt, &found, err));
        if (t->columns > most) {
            most = t->columns;
            best = *c;
        }
    }
    if (found)
        return CLIP_OK;
    TRY(read_header(t, best, opt, &found, err)); /* for the message */
    return no_column(t, find_column(&t->csv, opt->image_key, &which) ? opt->caption_key : opt->image_key, err);
}

/* ---- Rows ---- */

static clip_status check_row(const table *t, clip_error *err)
{
    const size_t n = t->csv.n, line = t->csv.line;
    if (n > t->columns)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "line %zu: %zu fields, but the first line names %zu "
                          "(is a separator in an unquoted caption?)", line, n, t->columns);
    if (t->image >= n || t->caption >= n)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "line %zu: %zu fields, but the first line names %zu", line, n,
                          t->columns);
    if (!*clipdat_csv_field(&t->csv, t->image))
        return clipb_fail(err, CLIP_EFORMAT, t->path, "line %zu: the picture's name is empty", line);
    return CLIP_OK;
}

/* Reads a row if none is waiting. CLIP_OK with csv.n == 0: the end. */
static clip_status need_row(table *t, clip_error *err)
{
    if (t->ahead)
        return CLIP_OK;
    if (t->fault < 0) {
        clip_status s = t->fault;
        t->fault = CLIP_OK;
        if (err)
            *err = t->said;
        return s;
    }
    clip_status s = clipdat_csv_row(&t->csv, err);
    if (s == CLIP_OK && t->csv.n > 0) {
        TRY(check_row(t, err));
        t->ahead = true;
    }
    return s;
}

/* Takes the next rows if they have the same picture. Any other row, or a broken one, waits for the
 * next call. */
static clip_status more_captions(table *t, clipdat_sample *s, const char *name)
{
    while (s->text.n < CLIPDAT_MAX_TEXT / 2) {
        t->fault = need_row(t, &t->said);
        if (t->fault < 0 || !t->ahead || strcmp(clipdat_csv_field(&t->csv, t->image), name) != 0)
            break;
        t->ahead = false;
        const char *caption = clipdat_csv_field(&t->csv, t->caption);
        TRY(clipdat_sample_caption(s, caption, strlen(caption)));
    }
    return CLIP_OK;
}

static clip_status table_next(clipdat_source *source, clipdat_sample *s, clip_error *err)
{
    table *t = (table *)source;
    clipdat_sample_clear(s);
    clip_status status = need_row(t, err);
    if (!t->ahead) {
        source->over = status == CLIP_OK || t->csv.over;
        return status;
    }
    t->ahead = false;
    const char *file = clipdat_csv_field(&t->csv, t->image), *caption = clipdat_csv_field(&t->csv, t->caption);
    const size_t line = t->csv.line;
    char *name = strdup(file), *path = *file == '/' || !t->dir ? strdup(file) : clipb_path_join(t->dir, file);
    clip_error why = {0};
    status = name && path ? clipdat_sample_caption(s, caption, strlen(caption)) : CLIP_ENOMEM;
    if (status == CLIP_OK)
        status = more_captions(t, s, name);
    if (status == CLIP_OK)
        status = clipdat_sample_picture(s, path, source->unread, &why);
    if (status == CLIP_OK)
        status = clipdat_sample_finish(s, source->unread, &why);
    if (status < 0 && *why.message)
        clipb_fail(err, status, t->path, "line %zu: %.900s", line, why.message);
    free(name);
    free(path);
    return status;
}

/* ---- Open and close ---- */

static void table_close(clipdat_source *source)
{
    table *t = (table *)source;
    clipdat_csv_close(&t->csv);
    free(t->path);
    free(t->dir);
    free(t);
}

clip_status clipdat_table_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err)
{
    *out = NULL;
    table *t = calloc(1, sizeof *t);
    if (!t)
        return CLIP_ENOMEM;
    t->source = (clipdat_source){.next = table_next, .close = table_close};
    const char *slash = strrchr(path, '/');
    t->path = strdup(path);
    if (slash)
        t->dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    clip_status s = t->path && (t->dir || !slash) ? clipdat_csv_open(&t->csv, t->path, err) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = find_separator(t, opt, err);
    if (s < 0) {
        table_close(&t->source);
        return s;
    }
    *out = &t->source;
    return CLIP_OK;
}
