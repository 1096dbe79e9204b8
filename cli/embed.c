/* clip embed: pictures and texts to vectors. Rows leave as they come, so memory does not grow with their number. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli.h"

enum { TEXT = CLI_LONG, TEXTS_FROM, FILES_FROM, NAMES, TEXT_BATCH = 64 };

static const cli_option options[] = {
    {'o', "output", "FILE", "write to FILE instead of standard output: FILE.npy is a float32 array [rows, D] of\n"
                            "NumPy's, any other name gets JSON lines"},
    {NAMES, "names", "FILE", "also write the name of each row, one a line: the picture's path or the text"},
    {FILES_FROM, "files-from", "FILE", "read names of pictures from FILE, one a line; '-' is standard input"},
    {TEXT, "text", "TEXT", "embed TEXT; may be given several times"},
    {TEXTS_FROM, "texts-from", "FILE", "embed each line of FILE; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from, '-' and --names"},
    {0},
};

/* ---- Where rows go --------------------------------------------------------------------------------------- */

typedef struct sink {
    cli_out out, names;
    const char *path, *names_path;
    bool npy;
    int delimiter, D;
    long long rows;
} sink;

/* NumPy's format 1.0: magic, version, length of the header, a Python dictionary padded to 128 bytes in all. It is written
 * again at the end, when the number of rows is known; its length does not depend on it. */
static int write_header(sink *s)
{
    char head[129];
    const char *order = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? ">" : "<";
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10); /* 0x76 = 118 bytes follow */
    int n = snprintf(head + 10, sizeof head - 10, "{'descr': '%sf4', 'fortran_order': False, 'shape': (%lld, %d), }", order, s->rows, s->D);
    head[10 + n] = ' ';
    head[127] = '\n';
    fwrite(head, 1, 128, s->out.f);
    return cli_out_check(&s->out);
}

static int sink_open(sink *s)
{
    DO(cli_out_open(&s->out, s->path));
    if (s->npy && fseek(s->out.f, 0, SEEK_CUR) != 0)
        return cli_fail("%s: an array can only be written to a file (leave out -o for JSON lines)", s->path);
    if (s->npy)
        DO(write_header(s));
    return s->names_path ? cli_out_open(&s->names, s->names_path) : CLI_DONE;
}

static int sink_row(sink *s, const char *kind, const char *name, const float *embedding)
{
    if (s->names.f) {
        if (s->delimiter == '\n' && strchr(name, '\n'))
            return cli_fail("%s: a name with a newline in it; use -0", name);
        fputs(name, s->names.f);
        fputc(s->delimiter, s->names.f);
    }
    s->rows++;
    if (s->npy) {
        fwrite(embedding, sizeof *embedding, (size_t)s->D, s->out.f);
    } else {
        cli_json j = {.f = s->out.f};
        cli_json_open(&j, NULL, '{');
        cli_json_string(&j, kind, name);
        cli_json_floats(&j, "embedding", embedding, s->D);
        cli_json_close(&j, '}');
        cli_json_line(&j);
    }
    if (ferror(s->out.f))
        return cli_out_check(&s->out);
    return s->names.f && ferror(s->names.f) ? cli_out_check(&s->names) : CLI_DONE;
}

static int sink_close(sink *s)
{
    if (s->npy) {
        DO(cli_out_check(&s->out));
        rewind(s->out.f);
        DO(write_header(s));
    }
    if (s->names.f)
        DO(cli_out_close(&s->names));
    return cli_out_close(&s->out);
}

/* ---- Pictures and texts ---------------------------------------------------------------------------------- */

typedef struct job {
    const char *files_from, *texts_from;
    cli_list text;
    cli_session session;
    cli_source source;
    cli_lines lines;
    sink sink;
} job;

static int picture_row(void *user, cli_picture *p, const float *embedding)
{
    job *j = user;
    return embedding ? sink_row(&j->sink, "path", p->path, embedding) : CLI_DONE;
}

/* The next text: those of --text, then the lines of --texts-from. NULL: no more. */
static int next_text(job *j, size_t at, char **out)
{
    *out = NULL;
    if (at < j->text.n)
        *out = j->text.item[at];
    else if (j->lines.f)
        DO(cli_lines_next(&j->lines, out));
    if (*out && at >= j->text.n) { /* lists written on Windows */
        size_t n = strlen(*out);
        if (n > 0 && (*out)[n - 1] == '\r')
            (*out)[n - 1] = 0;
    }
    return CLI_DONE;
}

/* Up to TEXT_BATCH of them; none: they are at an end. */
static int fill(job *j, size_t *at, cli_list *batch)
{
    char *text;
    *batch = (cli_list){0};
    while (batch->n < TEXT_BATCH) {
        DO(next_text(j, *at, &text));
        if (!text)
            break;
        DO(cli_list_add(batch, text));
        ++*at;
    }
    return CLI_DONE;
}

static int texts(job *j, bool quiet)
{
    const size_t D = (size_t)j->session.D;
    float *embedding = malloc(TEXT_BATCH * D * sizeof *embedding);
    int code = embedding ? CLI_DONE : cli_no_memory();
    size_t at = 0;
    if (!quiet)
        cli_progress_start("texts", j->lines.f ? 0 : (long)j->text.n);
    for (bool more = true; more && code == CLI_DONE;) {
        cli_list batch;
        code = fill(j, &at, &batch);
        more = batch.n == TEXT_BATCH;
        if (code == CLI_DONE && batch.n > 0)
            code = cli_status(clip_encode_text(j->session.ctx, (const char *const *)batch.item, (int)batch.n, embedding), "texts");
        for (size_t i = 0; i < batch.n && code == CLI_DONE; i++)
            code = sink_row(&j->sink, "text", batch.item[i], embedding + i * D);
        if (!quiet)
            cli_progress_step((long)batch.n);
        cli_list_free(&batch);
    }
    cli_progress_end();
    free(embedding);
    return code == CLI_DONE && at == 0 ? cli_fail("%s: no text in it", j->lines.name) : code;
}

static int work(cli_args *a, job *j)
{
    const bool pictures = a->operands > 0 || j->files_from, words = j->text.n > 0 || j->texts_from;
    const bool quiet = !j->sink.path && isatty(STDOUT_FILENO);
    if (!pictures && !words)
        return cli_usage(a, "nothing to embed: pictures, --text or --texts-from are missing");
    if (pictures)
        DO(cli_source_open(a, j->files_from, j->sink.delimiter, &j->source));
    if (j->texts_from)
        DO(cli_lines_open(&j->lines, j->texts_from, '\n'));
    DO(cli_open(a, (pictures ? CLIP_TOWER_IMAGE : 0) | (words ? CLIP_TOWER_TEXT : 0), &j->session));
    j->sink.D = j->session.D;
    DO(sink_open(&j->sink));
    if (pictures)
        DO(cli_each_picture(&j->session, &j->source, 0, quiet, picture_row, j));
    if (words)
        DO(texts(j, quiet));
    if (j->sink.rows == 0)
        return CLI_FAILED; /* every picture was broken, and that has been said */
    if (j->sink.npy && !j->sink.names_path && j->source.failed > 0)
        cli_warn("rows are missing for the pictures that could not be read; --names tells which is which");
    long long rows = j->sink.rows;
    DO(sink_close(&j->sink));
    if (a->json && j->sink.path) {
        cli_json o = {.f = stdout};
        cli_json_open(&o, NULL, '{');
        cli_json_string(&o, "output", j->sink.path);
        cli_json_int(&o, "rows", rows);
        cli_json_int(&o, "embed_dim", j->sink.D);
        cli_json_int(&o, "failed", j->source.failed);
        cli_json_close(&o, '}');
        cli_json_line(&o);
    }
    return j->source.failed > 0 ? CLI_FAILED : CLI_DONE;
}

static bool ends_in_npy(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && strcasecmp(path + n - 4, ".npy") == 0;
}

static int parse(cli_args *a, job *j)
{
    j->sink.delimiter = '\n';
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'o':
            j->sink.path = a->value;
            j->sink.npy = ends_in_npy(a->value);
            break;
        case NAMES: j->sink.names_path = a->value; break;
        case FILES_FROM: j->files_from = a->value; break;
        case TEXTS_FROM: j->texts_from = a->value; break;
        case TEXT: DO(cli_list_add(&j->text, a->value)); break;
        case '0': j->sink.delimiter = 0; break;
        default: return a->code;
        }
    return work(a, j);
}

static int run(cli_args *a)
{
    job j = {0};
    int code = parse(a, &j);
    cli_out_discard(&j.sink.out);
    cli_out_discard(&j.sink.names);
    cli_source_close(&j.source);
    cli_lines_close(&j.lines);
    cli_list_free(&j.text);
    cli_close(&j.session);
    return code;
}

const cli_command cli_embed = {
    .name = "embed",
    .operands = "[OPTIONS] [PICTURE|FOLDER|-]...",
    .summary = "pictures and texts to vectors",
    .help = "Turns pictures and texts into vectors of length 1 in one space: the product of two is their cosine, and what\n"
            "belongs together has a high one. A FOLDER means every picture below it; '-' reads names from standard input.\n"
            "Rows come in the order given: pictures of arguments, pictures of a list, --text, --texts-from.\n"
            "\n"
            "Without -o each row is a line of JSON: {\"path\": ..., \"embedding\": [...]} or {\"text\": ..., ...}.\n"
            "A picture that cannot be read is reported and skipped; the exit code is then 1. Names in JSON that are no\n"
            "UTF-8 get U+FFFD in place of the faulty bytes; --names keeps them as they are.",
    .examples = "clip embed cat.jpg dog.jpg\n"
                "clip embed holidays/ -o holidays.npy --names holidays.txt\n"
                "find /photos -name '*.jpg' -print0 | clip embed -0 - -o photos.npy --names photos.txt -0\n"
                "clip embed --text 'a sunset at the sea' --text 'a birthday cake'",
    .options = options,
    .run = run,
};
