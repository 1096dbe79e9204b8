/* The command line of `clip train`. The settings come from the library's own table, so that the
 * help, the reading, a file of settings and the record of a run cannot differ. The rows before them
 * are options of the command. */
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum {
    CONFIG = CLI_LONG,
    OUTPUT,
    RESUME,
    VAL_DATA,
    SAVE_EVERY,
    SAVE_FREQUENCY,
    SETTING,
    MOST_SETTINGS = 96,
    MOST_GIVEN = 1000
};

static const cli_option own[] = {
    {CLI_HEADING, NULL, NULL, "Run"},
    {OUTPUT, "output", "DIR", "the folder of a new run, which must not hold a run yet"},
    {RESUME, "resume", "DIR",
     "continue the run in this folder; its settings stay, except --workers and --threads,\n"
     "which do not change the result"},
    {CONFIG, "config", "FILE",
     "settings as a JSON object, {\"batch-size\": 256, ...}; options on the command line win"},
    {VAL_DATA, "val-data", "SPEC", "other pairs, to measure retrieval on after each epoch"},
    {SAVE_EVERY, "save-every", "STEPS", "write a checkpoint every so many steps, and after each epoch"},
    {SAVE_FREQUENCY, "save-frequency", "EPOCHS",
     "keep the checkpoint of every so many epochs, as DIR/epoch_N (default: only the\n"
     "latest is kept, DIR/checkpoint)"},
};
enum { OWN = sizeof own / sizeof *own };

/* ---- The table ------------------------------------------------------------------------------- */

/* Settings that every command has as well are left to the common rows. */
static bool common(const char *name) { return strcmp(name, "threads") == 0; }

/* The rows, with a heading for each group, and defaults appended to the help. */
typedef struct table {
    cli_option row[OWN + 2 * MOST_SETTINGS];
    char *help[MOST_SETTINGS];
    int rows, helps;
} table;

static int fill(table *t)
{
    const clip_train_option *o;
    const char *group = "";
    memcpy(t->row, own, sizeof own);
    t->rows = OWN;
    for (int i = 0; (o = clip_train_option_at(i)) && i < MOST_SETTINGS; i++) {
        if (common(o->name))
            continue;
        if (strcmp(group, o->group) != 0)
            t->row[t->rows++] = (cli_option){CLI_HEADING, NULL, NULL, group = o->group};
        char *help = NULL;
        if (asprintf(&help, o->standard ? "%s (default: %s)" : "%s", o->help, o->standard) < 0)
            return cli_no_memory();
        t->help[t->helps++] = help;
        t->row[t->rows++] = (cli_option){SETTING + i, o->name, o->value, help};
    }
    return CLI_DONE;
}

static void clear(table *t)
{
    for (int i = 0; i < t->helps; i++)
        free(t->help[i]);
    free(t);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Settings of the command line wait until the file of settings is read, because they override
 * it. */
typedef struct given {
    const char *config;
    int setting[MOST_GIVEN];
    const char *value[MOST_GIVEN];
    int n;
} given;

/* Report the library's message about a value as a usage error. Its setting is named as an
 * option. */
static int refused(const cli_args *a, clip_status s, const clip_error *err)
{
    return s == CLIP_ENOMEM ? cli_no_memory() : cli_usage(a, "--%s", err->message);
}

static int set(const cli_args *a, const given *g, train_options *o)
{
    clip_error err;
    clip_status s = clip_train_options_new(&o->settings);
    if (s < 0)
        return cli_no_memory();
    if (g->config && clip_train_options_read(o->settings, g->config, &err) < 0)
        return cli_fail("%s", err.message);
    for (int i = 0; i < g->n; i++)
        if ((s = clip_train_options_set(o->settings, clip_train_option_at(g->setting[i])->name, g->value[i], &err)) < 0)
            return refused(a, s, &err);
    if (a->threads > 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", a->threads);
        if ((s = clip_train_options_set(o->settings, "threads", text, &err)) < 0)
            return refused(a, s, &err);
    }
    return CLI_DONE;
}

static int check(const cli_args *a, const given *g, const train_options *o)
{
    if (a->operands > 0)
        return cli_usage(a, "'%s': unexpected argument", a->operand[0]);
    if (!o->output && !o->resume)
        return cli_usage(a, "--output is missing: the folder of the new run (or --resume, to continue one)");
    if (!o->resume)
        return CLI_DONE;
    if (o->output)
        return cli_usage(a, "give only one: --output starts a run, --resume continues one");
    const char *changed = g->config ? "config" : o->val_data ? "val-data" : o->save_every ? "save-every" : NULL;
    if (!changed && o->save_frequency)
        changed = "save-frequency";
    for (int i = 0; i < g->n && !changed; i++)
        if (strcmp(clip_train_option_at(g->setting[i])->name, "workers") != 0)
            changed = clip_train_option_at(g->setting[i])->name;
    return changed ? cli_usage(a, "--%s: --resume keeps the settings of the run", changed) : CLI_DONE;
}

static int take(const cli_args *a, int id, given *g, train_options *o)
{
    switch (id) {
    case OUTPUT: o->output = a->value; return CLI_DONE;
    case RESUME: o->resume = a->value; return CLI_DONE;
    case CONFIG: g->config = a->value; return CLI_DONE;
    case VAL_DATA: o->val_data = a->value; return CLI_DONE;
    case SAVE_EVERY: return cli_number(a, 1, 1000000000, &o->save_every);
    case SAVE_FREQUENCY: return cli_number(a, 0, 1000000, &o->save_frequency);
    default:
        if (g->n == MOST_GIVEN)
            return cli_usage(a, "more than %d options", MOST_GIVEN);
        g->setting[g->n] = id - SETTING;
        g->value[g->n++] = a->value ? a->value : "true";
        return CLI_DONE;
    }
}

int train_options_read(cli_args *a, train_options *o, bool *stop)
{
    table *t = calloc(1, sizeof *t);
    given g = {0};
    *o = (train_options){0};
    *stop = false;
    int code = t ? fill(t) : cli_no_memory();
    if (code == CLI_DONE)
        a->options = t->row;
    for (int id; code == CLI_DONE && (id = cli_next(a)) != 0;) {
        if (id < 0) {
            *stop = true;
            code = a->code;
            break;
        }
        code = take(a, id, &g, o);
    }
    if (code == CLI_DONE && !*stop)
        code = check(a, &g, o);
    if (code == CLI_DONE && !*stop)
        code = set(a, &g, o);
    a->options = NULL;
    if (t)
        clear(t);
    return code;
}

void train_options_free(train_options *o)
{
    clip_train_options_free(o->settings);
    *o = (train_options){0};
}
