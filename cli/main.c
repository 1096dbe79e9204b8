/* clip COMMAND [OPTIONS]: the table of commands, and the call of the chosen one. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* To add a command: write its file, declare it in cli.h, add it here. */
static const cli_command *const commands[] = {
    &cli_models, &cli_pull,   &cli_info,  &cli_embed, &cli_classify, &cli_explain, &cli_match, &cli_vqa,
    &cli_index,  &cli_search, &cli_eval,  &cli_probe, &cli_train,    &cli_convert, &cli_bench, NULL};

static const cli_command root = {
    .name = "clip",
    .operands = "COMMAND [OPTIONS]",
    .help =
        "Pictures and words in one space: a CLIP model that labels pictures by words you choose, and turns pictures\n"
        "and words into vectors that can be compared.",
    .examples = "clip classify --labels 'a cat,a dog,a bird' photo.jpg\n"
                "clip embed holidays/ -o holidays.npy --names holidays.txt\n"
                "clip train --train-data 'pairs-{000..009}.tar' --output runs/first\n"
                "clip info --model path/to/ViT-B-32",
    .kinds = commands,
};

static const cli_command *find(const cli_command *const *table, const char *name)
{
    for (; *table; table++)
        if (strcmp((*table)->name, name) == 0)
            return *table;
    return NULL;
}

static int unknown_command(const cli_args *a, const char *name)
{
    const char *names[32];
    int n = 0;
    for (const cli_command *const *c = a->command->kinds; *c && n < 32; c++)
        names[n++] = (*c)->name;
    if (name[0] == '-')
        return cli_usage(a, "unknown option '%s' (options follow the %s)", name,
                         a->command == &root ? "command" : "kind");
    const char *what = a->command == &root ? "command" : "kind", *near = cli_nearest(name, names, n);
    if (near)
        return cli_usage(a, "unknown %s '%s'; did you mean '%s'?", what, name, near);
    return cli_usage(a, "unknown %s '%s'", what, name);
}

/* argv[0] names the command. If it has subcommands, argv[1] names one. */
static int dispatch(cli_args *a)
{
    a->options = a->command->options;
    if (!a->command->kinds)
        return a->command->run(a);
    const char *word = a->argc > 1 ? a->argv[1] : NULL;
    if (!word)
        return cli_usage(a, "%s is missing", a->command == &root ? "a command" : "the kind");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_print_help(a);
        return CLI_DONE;
    }
    if (a->command == &root && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)) {
        printf("clip %s\n%s\n", clip_version(), clip_build_info());
        return CLI_DONE;
    }
    const cli_command *c = find(a->command->kinds, word);
    if (!c)
        return unknown_command(a, word);
    size_t n = strlen(a->title);
    snprintf(a->title + n, sizeof a->title - n, " %s", c->name);
    a->command = c;
    a->argc--;
    a->argv++;
    return dispatch(a);
}

/* Occupy standard streams that are closed with something unusable. Otherwise the next file that is
 * opened would get their number: a model would be read as the list of '-', or a message written
 * into an index. */
static bool keep_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    cli_args a = {.command = &root, .title = "clip", .argc = argc, .argv = argv};
    if (!keep_closed_streams())
        return CLI_FAILED; /* there is nowhere to report it */
    cli_catch_cut_files();
    int code = dispatch(&a);
    cli_progress_end();
    return code == CLI_DONE ? cli_out_pause() : code; /* the last write may fail */
}
