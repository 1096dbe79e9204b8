/* clip embed: pictures and texts to vectors. Rows are written as they come, so memory does not grow
 * with their number. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli.h"

enum { TEXT = CLI_LONG, TEXTS_FROM, FILES_FROM, NAMES, TOKENS, LAYER, FINAL_NORM, POOLED, PROJECTED, TEXT_BATCH = 64 };

static const cli_option options[] = {
    {'o', "output", "FILE",
     "write to FILE instead of standard output: FILE.npy becomes a NumPy array [rows, D] of\n"
     "float32, any other name gets JSON lines"},
    {NAMES, "names", "FILE",
     "also write the name of each row, one a line: the picture's path or the text;\n"
     "'-' is standard output, if -o names another file for the rows"},
    {FILES_FROM, "files-from", "FILE", "read names of pictures from FILE, one a line; '-' is standard input"},
    {TEXT, "text", "TEXT", "embed TEXT; may be given several times"},
    {TEXTS_FROM, "texts-from", "FILE", "embed each line of FILE; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from, '-' and --names"},
    {CLI_HEADING, NULL, NULL, "Inner states of an encoder, for models that are built on it:"},
    {TOKENS, "tokens", NULL,
     "hidden states of every token, [rows, tokens, width]: for a text its whole context, padded as the\n"
     "checkpoint does; for a picture the class token, then its patches row by row"},
    {LAYER, "layer", "N",
     "the layer for --tokens: -1 the last (default), -2 the one before it; 0 the first layer's input"},
    {FINAL_NORM, "final-norm", "on|off",
     "with or without the encoder's last layer norm (default: on for the last layer of texts alone,\n"
     "as transformers' last_hidden_state)"},
    {POOLED, "pooled", NULL,
     "the state after the last layer from which the embedding is made (transformers' pooler_output)"},
    {PROJECTED, "projected", NULL, "the embedding before it is scaled to length 1 (text_embeds, image_embeds)"},
    {0},
};

/* ---- Writing rows ---------------------------------------------------------------------------- */

typedef struct sink {
    cli_out out, names;
    const char *path, *names_path;
    bool npy;
    int delimiter;
    cli_kind kind;
    int tokens, width; /* of a row: `tokens` vectors of `width`; 1 unless all tokens are wanted */
    long long rows;
} sink;

/* Written again at the end, when the number of rows is known. Its length does not depend on that
 * number. */
static int write_header(sink *s)
{
    const long long states[] = {s->rows, s->tokens, s->width}, rows[] = {s->rows, s->width};
    if (s->kind == CLI_STATES)
        cli_npy_header(s->out.f, states, 3);
    else
        cli_npy_header(s->out.f, rows, 2);
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

static void write_json(sink *s, const char *what, const char *name, const float *row)
{
    static const char *const keys[] = {"embedding", "states", "pooled", "projected"};
    cli_json j = {.f = s->out.f};
    cli_json_open(&j, NULL, '{');
    cli_json_path(&j, what, name);
    if (s->kind == CLI_STATES) {
        cli_json_open(&j, keys[s->kind], '[');
        for (int t = 0; t < s->tokens; t++)
            cli_json_floats(&j, NULL, row + (size_t)t * (size_t)s->width, s->width);
        cli_json_close(&j, ']');
    } else {
        cli_json_floats(&j, keys[s->kind], row, s->width);
    }
    cli_json_close(&j, '}');
    cli_json_line(&j);
}

/* what: "path" or "text" */
static int sink_row(sink *s, const char *what, const char *name, const float *row)
{
    if (s->names.f) {
        if (s->delimiter == '\n' && strchr(name, '\n'))
            return cli_fail("%s: a name with a newline in it; use -0", name);
        fputs(name, s->names.f);
        fputc(s->delimiter, s->names.f);
    }
    s->rows++;
    if (s->npy)
        fwrite(row, sizeof *row, (size_t)s->tokens * (size_t)s->width, s->out.f);
    else
        write_json(s, what, name, row);
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

/* ---- Pictures and texts ---------------------------------------------------------------------- */

typedef struct job {
    const char *files_from, *texts_from;
    clip_hidden_options hidden;
    bool of_states; /* an option was given that needs hidden states */
    cli_list text;
    cli_session session;
    cli_source source;
    cli_lines lines;
    sink sink;
} job;

static int picture_row(void *user, cli_picture *p, const float *row)
{
    job *j = user;
    return row ? sink_row(&j->sink, "path", p->path, row) : CLI_DONE;
}

/* The next text: from --text, then from the lines of --texts-from. NULL: no more. */
static int next_text(job *j, size_t at, char **out)
{
    *out = NULL;
    if (at < j->text.n)
        *out = j->text.item[at];
    else if (j->lines.open)
        DO(cli_lines_next(&j->lines, out));
    return CLI_DONE;
}

/* Collect up to TEXT_BATCH texts. Once there is one, do not wait for more. No text: the end of the
 * input. */
static int fill(job *j, size_t *at, cli_list *batch)
{
    char *text;
    while (batch->n < TEXT_BATCH) {
        if (batch->n > 0 && *at >= j->text.n && j->lines.open && !cli_lines_ready(&j->lines))
            break;
        DO(next_text(j, *at, &text));
        if (!text)
            break;
        DO(cli_list_add(batch, text));
        ++*at;
    }
    return CLI_DONE;
}

static clip_status encode(const cli_session *s, const cli_list *batch, float *out)
{
    const char *const *text = (const char *const *)batch->item;
    const clip_hidden hidden = cli_hidden(s, out);
    return s->kind == CLI_EMBEDDING ? clip_encode_text(s->ctx, text, (int)batch->n, out)
                                    : clip_hidden_text(s->ctx, text, (int)batch->n, &s->hidden, &hidden);
}

static int texts(job *j, bool quiet)
{
    float *row = malloc(TEXT_BATCH * j->session.row * sizeof *row);
    int code = row ? CLI_DONE : cli_no_memory();
    size_t at = 0;
    if (!quiet)
        cli_progress_start("texts", j->lines.open ? 0 : (long)j->text.n);
    for (bool more = true; more && code == CLI_DONE;) {
        cli_list batch = {0};
        const int list = fill(j, &at, &batch); /* a list's error is reported after its texts */
        more = batch.n > 0;
        if (batch.n > 0)
            code = cli_encoded(j->session.ctx, encode(&j->session, &batch, row), "texts");
        for (size_t i = 0; i < batch.n && code == CLI_DONE; i++)
            code = sink_row(&j->sink, "text", batch.item[i], row + i * j->session.row);
        if (!quiet)
            cli_progress_step((long)batch.n);
        cli_list_free(&batch);
        if (code == CLI_DONE)
            code = list;
    }
    cli_progress_end();
    free(row);
    return code == CLI_DONE && at == 0 ? cli_fail("%s: no text in it", j->lines.name) : code;
}

/* Load the model, and set what its encoders are asked for. */
static int open_encoders(const cli_args *a, job *j, bool pictures, bool words)
{
    cli_session *s = &j->session;
    const clip_model_info *i = &s->info;
    const int towers = (pictures ? CLIP_TOWER_IMAGE : 0) | (words ? CLIP_TOWER_TEXT : 0);
    const bool projects = j->sink.kind == CLI_EMBEDDING || j->sink.kind == CLI_PROJECTED;
    const int few = cli_few_pictures(&j->source) | (j->texts_from ? 0 : cli_few_texts(j->text.n));
    DO(projects ? cli_open(a, towers, few, s) : cli_open_encoders(a, towers, few, s));
    s->kind = j->sink.kind;
    s->hidden = j->hidden;
    j->sink.tokens = 1;
    j->sink.width = s->D;
    if (projects)
        return CLI_DONE;
    if (pictures && i->max_patches > 0)
        return cli_fail("%s: the pictures of a %s differ in their number of tokens", a->model, i->vision_kind);
    if (pictures && i->vision_tokens == 0)
        return cli_fail("%s: a %s has no tokens, and no state before its projection", a->model, i->vision_kind);
    if (words && i->text_tokens == 0)
        return cli_fail("%s: a text encoder that masks its padding gives embeddings, and no states", a->model);
    const int layers = pictures ? i->vision_layers[0] : i->text_layers;
    if (j->hidden.layer > layers || j->hidden.layer < -layers - 1)
        return cli_fail(
            "--layer %d: the %s encoder has %d layers: 1 to %d or %d to -1; 0 is the input of the first",
            j->hidden.layer, pictures ? "image" : "text", layers, layers, -layers);
    if (pictures && j->hidden.final_norm > 0 && !i->vision_norm)
        return cli_fail("--final-norm on: the last norm of this %s stands behind the mean of its tokens, so their "
                        "states have none", i->vision_kind);
    j->sink.width = pictures ? i->vision_width : i->text_width;
    if (s->kind == CLI_STATES)
        j->sink.tokens = pictures ? i->vision_tokens : i->text_tokens;
    s->row = (size_t)j->sink.tokens * (size_t)j->sink.width;
    return CLI_DONE;
}

static void print_summary(const job *j, long long rows)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "output", j->sink.path);
    cli_json_int(&o, "rows", rows);
    if (j->sink.kind == CLI_STATES)
        cli_json_int(&o, "tokens", j->sink.tokens);
    cli_json_int(&o, j->sink.kind == CLI_EMBEDDING || j->sink.kind == CLI_PROJECTED ? "embed_dim" : "width",
                 j->sink.width);
    cli_json_int(&o, "failed", j->source.failed);
    if (j->source.given > 0)
        cli_passed_json(&o, &j->source.passed);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

/* Rows, their names and the summary of --json: only one of them can go to standard output. */
static int check_outputs(const cli_args *a, sink *s)
{
    if (s->path && !s->npy && cli_is_stdout(s->path))
        s->path = NULL;
    const char *taken = !s->path ? "rows" : a->json ? "summary of --json" : NULL;
    if (taken && s->names_path && cli_is_stdout(s->names_path))
        return cli_usage(a, "--names: '%s' is standard output, where the %s %s; name a file%s", s->names_path, taken,
                         s->path ? "goes" : "go", s->path ? "" : ", or another with -o");
    return CLI_DONE;
}

static int embed_inputs(cli_args *a, job *j)
{
    DO(check_outputs(a, &j->sink));
    const bool pictures = a->operands > 0 || j->files_from, words = j->text.n > 0 || j->texts_from;
    const bool quiet = !j->sink.path && isatty(STDOUT_FILENO);
    if (!pictures && !words)
        return cli_usage(a, "nothing to embed: pictures, --text or --texts-from are missing");
    if (j->of_states && j->sink.kind != CLI_STATES)
        return cli_usage(a, "--layer and --final-norm go with --tokens");
    if (pictures && words && (j->sink.kind == CLI_STATES || j->sink.kind == CLI_POOLED))
        return cli_usage(a, "hidden states of pictures and texts differ in size: give only one kind");
    if (pictures)
        DO(cli_source_open(a, j->files_from, j->sink.delimiter, &j->source));
    if (j->texts_from)
        DO(cli_lines_open(&j->lines, j->texts_from, '\n'));
    DO(open_encoders(a, j, pictures, words));
    DO(sink_open(&j->sink));
    if (pictures)
        DO(cli_each_picture(&j->session, &j->source, 0, quiet, picture_row, j));
    if (words)
        DO(texts(j, quiet));
    if (j->sink.rows == 0)
        return CLI_FAILED; /* every picture was broken, and has been reported */
    if (j->sink.npy && !j->sink.names_path && j->source.failed > 0)
        cli_warn("pictures that could not be read have no row; --names tells which picture each row is");
    long long rows = j->sink.rows;
    DO(sink_close(&j->sink));
    if (a->json && j->sink.path)
        print_summary(j, rows);
    return j->source.failed > 0 ? CLI_FAILED : CLI_DONE;
}

static bool ends_in_npy(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && strcasecmp(path + n - 4, ".npy") == 0;
}

static int set_kind(const cli_args *a, job *j, cli_kind kind)
{
    if (j->sink.kind != CLI_EMBEDDING && j->sink.kind != kind)
        return cli_usage(a, "--tokens, --pooled, --projected: one at a time");
    j->sink.kind = kind;
    return CLI_DONE;
}

static int set_final_norm(const cli_args *a, job *j)
{
    const bool on = strcmp(a->value, "on") == 0;
    if (!on && strcmp(a->value, "off") != 0)
        return cli_usage(a, "--final-norm: '%s' is not on or off", a->value);
    j->hidden.final_norm = on;
    j->of_states = true;
    return CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    j->sink.delimiter = '\n';
    j->hidden = clip_hidden_options_default();
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
        case TOKENS: DO(set_kind(a, j, CLI_STATES)); break;
        case POOLED: DO(set_kind(a, j, CLI_POOLED)); break;
        case PROJECTED: DO(set_kind(a, j, CLI_PROJECTED)); break;
        case FINAL_NORM: DO(set_final_norm(a, j)); break;
        case LAYER:
            DO(cli_number(a, -100000, 100000, &j->hidden.layer));
            j->of_states = true;
            break;
        default: return a->code;
        }
    return embed_inputs(a, j);
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
    .help =
        "Turns pictures and texts into vectors of length 1 in one space. The product of two vectors is\n"
        "their cosine, which is high for pictures and texts that belong together. A FOLDER means every\n"
        "picture below it; '-' reads names from standard input. Rows come in this order: pictures of\n"
        "arguments, pictures of a list, --text, --texts-from.\n"
        "\n"
        "Without -o each row is a line of JSON: {\"path\": ..., \"embedding\": [...]} or {\"text\": ..., ...}.\n"
        "A picture that cannot be read is reported and skipped; the exit code is then 1. In JSON, U+FFFD\n"
        "replaces bytes of names that are not UTF-8; --names keeps the bytes.",
    .examples =
        "clip embed cat.jpg dog.jpg\n"
        "clip embed holidays/ -o holidays.npy --names holidays.txt\n"
        "find /photos -name '*.jpg' -print0 | clip embed -0 - -o photos.npy --names photos.txt -0\n"
        "clip embed --text 'a sunset at the sea' --text 'a birthday cake'\n"
        "clip embed -m sd15/text_encoder --text 'a sunset at the sea' --tokens -o states.npy\n"
        "clip embed -m sdxl.safetensors:conditioner.embedders.1 --text 'a sunset' --tokens --layer -2 -o states.npy\n"
        "clip embed -m clip-vit-large-patch14-336 cat.jpg --tokens --layer -2 -o patches.npy",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
