/* csv.c: reads tables of text row by row. */
#include "data/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* The next character. Every kind of line end becomes '\n'. */
static int next_char(clipdat_csv *c)
{
    int ch = getc_unlocked(c->f);
    if (ch == '\r') {
        ch = getc_unlocked(c->f);
        if (ch != '\n') {
            ungetc(ch, c->f);
            ch = '\n';
        }
    }
    c->next_line += ch == '\n';
    return ch;
}

static clip_status put_char(clipdat_csv *c, char ch)
{
    if (c->text.n == c->text.capacity)
        TRY(clipdat_bytes_reserve(&c->text, c->text.n));
    c->text.p[c->text.n++] = ch;
    return c->text.n <= CLIPDAT_MAX_ROW ? CLIP_OK : CLIP_ELIMIT;
}

static clip_status start_field(clipdat_csv *c)
{
    TRY(clipb_grow((void **)&c->at, &c->at_capacity, c->n + 1, sizeof *c->at));
    c->at[c->n++] = c->text.n;
    return CLIP_OK;
}

/* Reads a row from its first character on. CLIP_EFORMAT: the file ended inside quotes.
 * zero  out  whether a 0 byte was in it */
static clip_status read_fields(clipdat_csv *c, int ch, bool *zero)
{
    enum { START, PLAIN, QUOTED, CLOSED } in = START;
    TRY(start_field(c));
    for (;; ch = next_char(c)) {
        if (ch == EOF && in == QUOTED)
            return CLIP_EFORMAT;
        if (ch == EOF || (in != QUOTED && (ch == '\n' || ch == c->separator))) {
            TRY(put_char(c, 0));
            if (ch != c->separator)
                return CLIP_OK;
            TRY(start_field(c));
            in = START;
        } else if (ch == '"' && in == START) {
            in = QUOTED;
        } else if (ch == '"' && in == QUOTED) {
            in = CLOSED; /* unless another quote follows */
        } else {
            TRY(put_char(c, (char)ch));
            *zero |= ch == 0;
            in = in == QUOTED || (in == CLOSED && ch == '"') ? QUOTED : PLAIN;
        }
    }
}

clip_status clipdat_csv_row(clipdat_csv *c, clip_error *err)
{
    bool zero = false;
    int ch;
    c->n = c->text.n = 0;
    do {
        c->line = c->next_line;
        ch = next_char(c);
    } while (ch == '\n');
    clip_status s = ch == EOF ? CLIP_OK : read_fields(c, ch, &zero);
    if (ferror(c->f))
        s = clipb_fail(err, CLIP_EIO, c->path, "%s", strerror(errno));
    else if (s == CLIP_EFORMAT)
        clipb_fail(err, s, c->path, "line %zu: a quote that opens here is not closed", c->line);
    else if (s == CLIP_ELIMIT)
        clipb_fail(err, s, c->path, "line %zu: longer than %zu bytes (is a quote not closed?)", c->line,
                   CLIPDAT_MAX_ROW);
    c->over = s < 0;
    if (s == CLIP_OK && zero)
        s = clipb_fail(err, CLIP_EFORMAT, c->path, "line %zu: holds a zero byte, so it is not text", c->line);
    if (s < 0)
        c->n = 0;
    return s;
}

const char *clipdat_csv_field(const clipdat_csv *c, size_t i) { return c->text.p + c->at[i]; }

clip_status clipdat_csv_rewind(clipdat_csv *c, clip_error *err)
{
    unsigned char mark[3];
    c->next_line = 1;
    if (fseek(c->f, 0, SEEK_SET) < 0)
        return clipb_fail(err, CLIP_EIO, c->path, "%s", strerror(errno));
    size_t n = fread(mark, 1, sizeof mark, c->f);
    if (n == 3 && memcmp(mark, "\xef\xbb\xbf", 3) == 0)
        return CLIP_OK;
    if (n >= 2 && (memcmp(mark, "\xff\xfe", 2) == 0 || memcmp(mark, "\xfe\xff", 2) == 0))
        return clipb_fail(err, CLIP_EFORMAT, c->path, "is UTF-16; save it as UTF-8");
    if (ferror(c->f) || fseek(c->f, 0, SEEK_SET) < 0)
        return clipb_fail(err, CLIP_EIO, c->path, "%s", strerror(errno));
    return CLIP_OK;
}

clip_status clipdat_csv_open(clipdat_csv *c, const char *path, clip_error *err)
{
    *c = (clipdat_csv){.path = path, .f = fopen(path, "rbe")};
    clip_status s = c->f ? clipdat_csv_rewind(c, err) : clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (s < 0)
        clipdat_csv_close(c);
    return s;
}

void clipdat_csv_close(clipdat_csv *c)
{
    if (c->f)
        fclose(c->f);
    free(c->text.p);
    free(c->at);
    *c = (clipdat_csv){0};
}
