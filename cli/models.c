/* clip models: which models are on this machine, which are recommended, which are known by name. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

enum { KNOWN = CLI_LONG };

typedef struct listing {
    cli_json j;
    bool json;
    int n; /* models shown */
} listing;

/* OpenCLIP's name of a repository, or "". Several names may share one; the first is shown. */
static const char *name_of(const char *repository)
{
    int n;
    const clip_known_model *known = clip_known_models(&n);
    for (int i = 0; i < n; i++)
        if (strcmp(known[i].repository, repository) == 0)
            return known[i].name;
    return "";
}

static void show_cached(void *user, const clip_cached_model *m)
{
    listing *job = user;
    char bytes[32];
    const char *name = name_of(m->repository);
    job->n++;
    if (job->json) {
        cli_json_open(&job->j, NULL, '{');
        cli_json_string(&job->j, "repository", m->repository);
        if (*name)
            cli_json_string(&job->j, "name", name);
        if (m->path)
            cli_json_path(&job->j, "path", m->path);
        cli_json_int(&job->j, "bytes", m->bytes);
        cli_json_raw(&job->j, "whole", m->whole ? "true" : "false");
        cli_json_close(&job->j, '}');
        return;
    }
    printf("  %8s  %-7s  ", cli_bytes(m->bytes, bytes), m->whole ? "whole" : "partial");
    cli_print_plain(stdout, m->repository);
    printf(*name ? "  (%s)\n" : "\n", name);
}

/* "151 M parameters, about 605 MB". The size is that of numbers of 32 bits. */
static const char *size_of(const clip_known_model *m, char out[96])
{
    char bytes[32];
    if (m->parameters == 0)
        return strcpy(out, "");
    snprintf(out, 96, "%.0f M parameters, about %s", (double)m->parameters / 1e6, cli_bytes(4 * m->parameters, bytes));
    return out;
}

static const clip_known_model *find(const char *name)
{
    int n;
    const clip_known_model *known = clip_known_models(&n);
    for (int i = 0; i < n; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

static void print_recommended(void)
{
    int n;
    char size[96];
    const clip_recommended_model *r = clip_recommended_models(&n);
    printf("\nrecommended:\n");
    for (int i = 0; i < n; i++) {
        const clip_known_model *m = find(r[i].name);
        printf("  for %-15s  clip pull %s  (%s)\n", r[i].purpose, r[i].name, m ? size_of(m, size) : "");
    }
}

/* Whether all words occur in the name, whatever the capitals. */
static bool matches(const clip_known_model *m, char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcasestr(m->name, words[i]) && !strcasestr(m->repository, words[i]))
            return false;
    return true;
}

static int print_known(char *const *words, int n_words)
{
    int n, shown = 0;
    char size[96];
    const clip_known_model *known = clip_known_models(&n);
    for (int i = 0; i < n; i++) {
        if (!matches(&known[i], words, n_words))
            continue;
        shown++;
        printf("%-60s %s\n", known[i].name, size_of(&known[i], size));
    }
    return shown > 0 ? CLI_DONE : cli_fail("no known name matches; any ORG/NAME of the hub can be tried");
}

static void json_known(cli_json *j)
{
    int n;
    const clip_known_model *known = clip_known_models(&n);
    cli_json_open(j, "known", '[');
    for (int i = 0; i < n; i++) {
        cli_json_open(j, NULL, '{');
        cli_json_string(j, "name", known[i].name);
        cli_json_string(j, "repository", known[i].repository);
        if (known[i].parameters > 0)
            cli_json_int(j, "parameters", known[i].parameters);
        cli_json_close(j, '}');
    }
    cli_json_close(j, ']');
    const clip_recommended_model *r = clip_recommended_models(&n);
    cli_json_open(j, "recommended", '[');
    for (int i = 0; i < n; i++) {
        cli_json_open(j, NULL, '{');
        cli_json_string(j, "purpose", r[i].purpose);
        cli_json_string(j, "name", r[i].name);
        cli_json_close(j, '}');
    }
    cli_json_close(j, ']');
}

static int list_cached(listing *job, int *others)
{
    clip_error err;
    return clip_cached_models(show_cached, job, others, &err) < 0 ? cli_fail("%s", err.message) : CLI_DONE;
}

static int print_json(void)
{
    listing job = {.j = {.f = stdout}, .json = true};
    int others;
    cli_json_open(&job.j, NULL, '{');
    cli_json_open(&job.j, "cached", '[');
    DO(list_cached(&job, &others));
    cli_json_close(&job.j, ']');
    json_known(&job.j);
    cli_json_close(&job.j, '}');
    cli_json_line(&job.j);
    return CLI_DONE;
}

static int print_people(void)
{
    listing job = {0};
    int others, n;
    printf("on this machine:\n");
    DO(list_cached(&job, &others));
    if (job.n == 0)
        printf("  none\n");
    if (others > 0)
        printf("  and %d other repositor%s, which %s not of CLIP's kind\n", others, others == 1 ? "y" : "ies",
               others == 1 ? "is" : "are");
    print_recommended();
    clip_known_models(&n);
    printf("\n%d names are known: 'clip models --known' lists them, 'clip models WORD' those with WORD in them.\n"
           "Any other repository of the hub is called ORG/NAME.\n", n);
    return CLI_DONE;
}

static int run(cli_args *a)
{
    bool known = false;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case KNOWN: known = true; break;
        default: return a->code;
        }
    if (a->json)
        return print_json();
    return known || a->operands > 0 ? print_known(a->operand, a->operands) : print_people();
}

static const cli_option options[] = {
    {KNOWN, "known", NULL, "list the names that are known"},
    {0},
};

const cli_command cli_models = {
    .name = "models",
    .operands = "[OPTIONS] [WORD...]",
    .summary = "the models on this machine, and those known by name",
    .help =
        "Lists the models in the Hugging Face hub's cache, with their size on the disk, and recommends one\n"
        "for photographs, one for many languages and one for a small machine. With WORDs it lists the\n"
        "known names that have all of them. Sizes after \"about\" are computed: 4 bytes a parameter.\n"
        "\n"
        "The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub.",
    .examples = "clip models\n"
                "clip models siglip2\n"
                "clip models --json | jq '.cached[].repository'",
    .options = options,
    .encodes_nothing = true,
    .opens_no_model = true,
    .run = run,
};
