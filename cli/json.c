/* A writer of JSON: no tree, so that a million embeddings need no memory. */
#include <math.h>
#include <string.h>

#include "cli.h"

/* The length of the UTF-8 sequence at s; 0: it is none (RFC 3629: no surrogates, nothing overlong, nothing beyond 10FFFF). */
static int utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi;
        int n;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (s[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (s[0] >= rows[i].lo && s[0] <= rows[i].hi) {
            if (s[1] < rows[i].second_lo || s[1] > rows[i].second_hi)
                return 0;
            for (int k = 2; k < rows[i].n; k++)
                if ((s[k] & 0xc0) != 0x80) /* the 0 that ends the text is none either */
                    return 0;
            return rows[i].n;
        }
    return 0;
}

static void quoted(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int n = utf8_length(s);
        if (n == 0)
            fputs("\xef\xbf\xbd", f);
        else if (*s == '"' || *s == '\\')
            fprintf(f, "\\%c", *s);
        else if (*s == '\n')
            fputs("\\n", f);
        else if (*s == '\t')
            fputs("\\t", f);
        else if (*s < 0x20)
            fprintf(f, "\\u%04x", *s);
        else
            fwrite(s, 1, (size_t)n, f);
        s += n > 0 ? n : 1;
    }
    fputc('"', f);
}

static void before(cli_json *j, const char *key)
{
    if (j->comma)
        fputc(',', j->f);
    j->comma = true;
    if (key) {
        quoted(j->f, key);
        fputc(':', j->f);
    }
}

void cli_json_open(cli_json *j, const char *key, char bracket)
{
    before(j, key);
    fputc(bracket, j->f);
    j->comma = false;
}

void cli_json_close(cli_json *j, char bracket)
{
    fputc(bracket, j->f);
    j->comma = true;
}

void cli_json_string(cli_json *j, const char *key, const char *text)
{
    before(j, key);
    if (text)
        quoted(j->f, text);
    else
        fputs("null", j->f);
}

static bool is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    for (int n = 1; *s && n > 0; s += n)
        n = utf8_length(s);
    return !*s;
}

void cli_json_path(cli_json *j, const char *key, const char *path)
{
    char bytes[32];
    cli_json_string(j, key, path);
    if (is_utf8(path))
        return;
    snprintf(bytes, sizeof bytes, "%s_bytes", key);
    before(j, bytes);
    fputc('"', j->f);
    cli_write_base64(j->f, (const uint8_t *)path, strlen(path));
    fputc('"', j->f);
}

void cli_json_int(cli_json *j, const char *key, long long value)
{
    before(j, key);
    fprintf(j->f, "%lld", value);
}

void cli_json_number(cli_json *j, const char *key, double value)
{
    before(j, key);
    if (isfinite(value))
        fprintf(j->f, "%.9g", value);
    else
        fputs("null", j->f);
}

void cli_json_floats(cli_json *j, const char *key, const float *value, int n)
{
    cli_json_open(j, key, '[');
    for (int i = 0; i < n; i++)
        cli_json_number(j, NULL, (double)value[i]);
    cli_json_close(j, ']');
}

void cli_json_raw(cli_json *j, const char *key, const char *json)
{
    before(j, key);
    fputs(json, j->f);
}

void cli_json_line(cli_json *j)
{
    fputc('\n', j->f);
    j->comma = false;
}
