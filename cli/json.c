/* A JSON writer that builds no tree, so that a million embeddings need no memory. */
#include <math.h>
#include <string.h>

#include "cli.h"

/* Characters that could control a terminal are escaped. A JSON reader gets the same text. */
static void quoted(FILE *f, const char *text)
{
    int32_t code;
    fputc('"', f);
    for (size_t n; (n = clip_text_next(text, &code)) > 0; text += n)
        if (code == CLIP_TEXT_INVALID)
            fputs("\xef\xbf\xbd", f);
        else if (code == '"' || code == '\\')
            fprintf(f, "\\%c", (char)code);
        else if (code == '\n')
            fputs("\\n", f);
        else if (code == '\t')
            fputs("\\t", f);
        else if (!clip_text_shown(code)) /* all of these are below U+10000 */
            fprintf(f, "\\u%04x", (unsigned)code);
        else
            fwrite(text, 1, n, f);
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
    int32_t code;
    for (size_t n; (n = clip_text_next(text, &code)) > 0; text += n)
        if (code == CLIP_TEXT_INVALID)
            return false;
    return true;
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
