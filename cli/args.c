/* Options. getopt_long and the help read the same rows, so that the two cannot differ. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { MOST = 128, JSON = 1000000, PULL, PRECISION, IMAGE_SIZE, LANGUAGE, BACKGROUND, MAX_PIXELS };

static char precision_help[256]; /* filled by write_precision_help() */

static const cli_option common[] = {
    {'m', "model", "DIR",
     "the checkpoint: a directory as Hugging Face or OpenCLIP lay it out, a .safetensors\n"
     "or .pt file, or the name of a model that 'clip pull' has fetched, such as\n"
     "ViT-B-32/laion2b_s34b_b79k (default: $CLIP_MODEL, else the model that ships with clip)"},
    {PULL, "pull", NULL, "fetch the model from the hub if it is not on this machine"},
    {'t', "threads", "N", "processor cores to use (default: all)"},
    {PRECISION, "precision", "TYPE", precision_help},
    {IMAGE_SIZE, "image-size", "N",
     "prepare pictures of N x N pixels instead of the model's size: its positions are\n"
     "resampled, and its embeddings cannot be compared with those of another size"},
    {LANGUAGE, "language", "NAME",
     "of the texts, for a model that asks for it (NLLB's encoder): deu_Latn, fra_Latn, ..\n"
     "(default: its tokenizer's, as 'clip info' tells)"},
    {BACKGROUND, "background", "COLOR",
     "lay transparent pictures on COLOR: #rrggbb, white or black; drop: drop transparency,\n"
     "as Pillow's convert(\"RGB\") does (default: as the model's checkpoint says, else drop)"},
    {MAX_PIXELS, "max-pixels", "N",
     "refuse pictures of more than N pixels (default: 178956970); if a picture is decoded\n"
     "at a reduced size, that size counts"},
    {JSON, "json", NULL, "results as JSON, for programs"},
    {'h', "help", NULL, "this text"},
    {0},
};

static bool has(const cli_option *table, const char *name)
{
    for (; table && table->id; table++)
        if (table->id != CLI_HEADING && strcmp(table->name, name) == 0)
            return true;
    return false;
}

/* Whether a common option applies to this command. */
static bool fits(const cli_args *a, const cli_option *o)
{
    const bool of_pictures = o->id == BACKGROUND || o->id == MAX_PIXELS;
    const bool of_model = o->id == 'm' || o->id == 't' || o->id == PULL;
    const bool hidden = of_model && a->command->opens_no_model;
    const bool of_encoders = o->id == PRECISION || o->id == IMAGE_SIZE;
    return !has(a->options, o->name) && !hidden && !(of_encoders && a->command->encodes_nothing) &&
           !(o->id == LANGUAGE && !a->command->reads_texts) && !(of_pictures && !a->command->reads_pictures);
}

/* Row i of the options: first the command's own, then the common ones whose names it does not use.
 * NULL after the last. */
static const cli_option *row(const cli_args *a, int i)
{
    static const cli_option heading = {CLI_HEADING, NULL, NULL, "as with every command"};
    bool headed = false;
    const cli_option *o = a->options;
    for (; o && o->id; o++) {
        headed |= o->id == CLI_HEADING;
        if (i-- == 0)
            return o;
    }
    if (headed && i-- == 0)
        return &heading;
    for (o = common; o->id; o++)
        if (fits(a, o) && i-- == 0)
            return o;
    return NULL;
}

/* ---- The default model ----------------------------------------------------------------------- */

/* PREFIX/share/clip/models/emoji-clip if the command is PREFIX/bin/clip. A build directory has the
 * same layout. */
static const char *default_model(cli_args *a)
{
    char *path = a->model_room;
    static const char model[] = "share/clip/models/emoji-clip";
    ssize_t n = readlink("/proc/self/exe", path, CLI_PATH - sizeof model);
    char *bin = n > 0 ? memrchr(path, '/', (size_t)n) : NULL,
         *prefix = bin ? memrchr(path, '/', (size_t)(bin - path)) : NULL;
    strcpy(prefix ? prefix + 1 : path, model);
    return path;
}

/* ---- Similar names --------------------------------------------------------------------------- */

static int least(int a, int b) { return a < b ? a : b; }

/* The number of insertions, deletions, replacements and swaps of neighbours that turn a into b
 * (optimal string alignment distance). */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    int d[LONGEST + 1][LONGEST + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > LONGEST || m > LONGEST)
        return INT_MAX;
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *const *names, int n)
{
    const char *best = NULL;
    int best_distance = INT_MAX;
    for (int i = 0; i < n; i++) {
        int d = distance(word, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    int length = (int)strnlen(word, 64);
    return best_distance <= (length < 5 ? 1 : 2) ? best : NULL;
}

/* ---- Help ------------------------------------------------------------------------------------ */

static void print_options(const cli_args *a)
{
    enum { COLUMN = 26 };
    const cli_option *o;
    for (int i = 0; (o = row(a, i)); i++) {
        char left[80];
        if (o->id == CLI_HEADING) {
            printf("%s%s:\n", i > 0 ? "\n" : "", o->help);
            continue;
        }
        int n = o->id < CLI_LONG ? snprintf(left, sizeof left, "  -%c, --%s", o->id, o->name)
                                 : snprintf(left, sizeof left, "      --%s", o->name);
        if (o->value)
            n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->value);
        printf("%s%s", left, n >= COLUMN ? "\n" : "");
        int pad = n >= COLUMN ? COLUMN : COLUMN - n;
        for (const char *line = o->help; line; pad = COLUMN) {
            const char *end = strchr(line, '\n');
            printf("%*s%.*s\n", pad, "", end ? (int)(end - line) : (int)strlen(line), line);
            line = end ? end + 1 : NULL;
        }
    }
}

static void print_indented(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        printf("  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* "f32, bf16" */
static const char *list_precisions(char out[64])
{
    const char *p;
    int n = 0;
    *out = 0;
    for (int i = 0; (p = clip_precision_at(i)) && n < 64; i++)
        n += snprintf(out + n, 64 - (size_t)n, "%s%s", i ? ", " : "", p);
    return out;
}

static void write_precision_help(void)
{
    char all[64];
    const char *first = clip_precision_at(0);
    snprintf(precision_help, sizeof precision_help,
             "number format of the encoders' matrix products: %s;\n"
             "all but %s are less exact, and faster on processors that have them, which\n"
             "'clip --version' tells (default: %s; int8 for a file of 8 bits)",
             list_precisions(all), first, first);
}

void cli_print_help(const cli_args *a)
{
    const cli_command *c = a->command;
    write_precision_help();
    printf("usage: %s %s\n\n%s\n", a->title, c->operands, c->help);
    if (c->kinds) {
        printf("\ncommands:\n");
        for (const cli_command *const *k = c->kinds; *k; k++)
            printf("  %-12s%s\n", (*k)->name, (*k)->summary);
        printf("\n'%s COMMAND --help' tells more about a command.\n", a->title);
    } else {
        const cli_option *first = row(a, 0);
        printf(first->id == CLI_HEADING ? "\n" : "\noptions:\n");
        print_options(a);
    }
    printf("\nexamples:\n");
    print_indented(c->examples);
}

int cli_usage(const cli_args *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say("", format, ap);
    va_end(ap);
    fprintf(stderr, "usage: %s %s\nTry '%s --help'.\n", a->title, a->command->operands, a->title);
    return CLI_USAGE;
}

/* ---- Reading options ------------------------------------------------------------------------- */

static int stop(cli_args *a, int code)
{
    a->code = code;
    return -1;
}

/* Report an option that getopt_long does not know. A letter is in optopt; a long name was all of
 * argv[optind - 1]. */
static int unknown_option(cli_args *a, const struct option *longs, int n)
{
    const char *word = a->argv[optind - 1];
    for (int i = 0; optopt && i < n; i++)
        if (longs[i].val == optopt)
            return stop(a, cli_usage(a, "option '--%s' takes no value", longs[i].name));
    if (optopt)
        return stop(a, cli_usage(a, "unknown option '-%c'", optopt));
    const char *names[MOST];
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    int matches = 0;
    for (int i = 0; i < n; i++) {
        names[i] = longs[i].name;
        matches += strncmp(longs[i].name, typed, strlen(typed)) == 0;
    }
    if (matches > 1)
        return stop(a, cli_usage(a, "option '--%s' is ambiguous", typed));
    const char *near = cli_nearest(typed, names, n);
    if (near)
        return stop(a, cli_usage(a, "unknown option '--%s'; did you mean '--%s'?", typed, near));
    return stop(a, cli_usage(a, "unknown option '--%s'", typed));
}

static int all_read(cli_args *a)
{
    a->operand = a->argv + optind;
    a->operands = a->argc - optind;
    const char *set = getenv("CLIP_MODEL");
    if (!a->model && set && *set)
        a->model = set;
    a->model_named = a->model;
    if (!a->model)
        a->model = default_model(a);
    return 0;
}

clip_image_options cli_image_options(const cli_args *a, clip_image_options o)
{
    if (a->background_set)
        o.background = a->background;
    if (a->max_pixels > 0)
        o.max_pixels = a->max_pixels;
    return o;
}

const char *cli_background_words(int background, char out[16])
{
    snprintf(out, 16, background < 0 ? "drop" : "#%06x", (unsigned)background);
    return out;
}

static int set_background(cli_args *a)
{
    a->background_set = true;
    return clip_background_parse(a->value, &a->background) == CLIP_OK
               ? CLI_DONE : cli_usage(a, "--background: '%s' is none of #rrggbb, white, black, drop", a->value);
}

static int set_precision(cli_args *a)
{
    char all[64];
    const char *p;
    a->precision = a->value;
    for (int i = 0; (p = clip_precision_at(i)); i++)
        if (strcmp(a->value, p) == 0)
            return CLI_DONE;
    return cli_usage(a, "--precision: '%s' is none of %s", a->value, list_precisions(all));
}

/* Read an option that every command takes, or every command that reads pictures. *taken: it was
 * such an option. */
static int take_common(cli_args *a, int id, bool *taken)
{
    *taken = true;
    switch (id) {
    case 'm': a->model = a->value; return CLI_DONE;
    case PULL: a->pull = true; return CLI_DONE;
    case 't': return cli_number(a, 1, 1024, &a->threads);
    case PRECISION: return set_precision(a);
    case LANGUAGE: a->language = a->value; return CLI_DONE;
    case IMAGE_SIZE: return cli_number(a, 1, INT_MAX, &a->image_size);
    case BACKGROUND: return set_background(a);
    case MAX_PIXELS: return cli_number(a, 1, INT_MAX, &a->max_pixels);
    case JSON: a->json = true; return CLI_DONE;
    default: *taken = false; return CLI_DONE;
    }
}

int cli_no_folder(const cli_args *a, const char *what, const char *path)
{
    return strcmp(path, "-") == 0 ? cli_usage(a, "%s: '-' is not a folder ('./-' names one)", what) : CLI_DONE;
}

/* Find the row of the option that getopt_long returned. Sets its name, and refuses '-' where a
 * folder is expected. */
static int found(cli_args *a, int id)
{
    char what[64];
    const cli_option *o = NULL, *r;
    for (int i = 0; (r = row(a, i)); i++)
        if (r->id == id)
            o = r;
    if (!o)
        return CLI_DONE;
    a->name = o->name;
    snprintf(what, sizeof what, "--%s", o->name);
    return o->value && strcmp(o->value, "DIR") == 0 ? cli_no_folder(a, what, optarg) : CLI_DONE;
}

int cli_next(cli_args *a)
{
    struct option longs[MOST] = {0};
    char shorts[2 * MOST + 2] = ":", *s = shorts + 1;
    const cli_option *o;
    int n = 0;
    for (int i = 0; n < MOST - 1 && (o = row(a, i)); i++) {
        if (o->id == CLI_HEADING)
            continue;
        longs[n++] = (struct option){o->name, o->value ? required_argument : no_argument, NULL, o->id};
        if (o->id < CLI_LONG)
            *s++ = (char)o->id;
        if (o->id < CLI_LONG && o->value)
            *s++ = ':';
    }
    opterr = 0;
    for (int id; (id = getopt_long(a->argc, a->argv, shorts, longs, NULL)) != -1;) {
        a->value = optarg;
        if ((a->code = found(a, id)) != CLI_DONE)
            return -1;
        bool taken;
        if ((a->code = take_common(a, id, &taken)) != CLI_DONE)
            return -1;
        if (taken)
            continue;
        switch (id) {
        case 'h': cli_print_help(a); return stop(a, CLI_DONE);
        case ':': return stop(a, cli_usage(a, "option '%s' needs a value", a->argv[optind - 1]));
        case '?': return unknown_option(a, longs, n);
        default: return id;
        }
    }
    return all_read(a);
}

int cli_number(const cli_args *a, int lo, int hi, int *out)
{
    char *end;
    errno = 0;
    long v = strtol(a->value, &end, 10);
    if (end == a->value || *end || errno || v < lo || v > hi)
        return cli_usage(a, "--%s: '%s' is not a whole number from %d to %d", a->name, a->value, lo, hi);
    *out = (int)v;
    return CLI_DONE;
}

int cli_decimal(const cli_args *a, double lo, double hi, double *out)
{
    char *end;
    const double v = strtod(a->value, &end);
    if (end == a->value || *end || !(v >= lo && v <= hi))
        return cli_usage(a, "--%s: '%s' is not a number from %g to %g", a->name, a->value, lo, hi);
    *out = v;
    return CLI_DONE;
}
