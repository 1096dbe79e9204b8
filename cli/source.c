/* Where pictures come from: arguments, folders, and a list in a file or on standard input. The list
 * is never held in memory as a whole. */
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

#define FEW_PICTURES 4 /* for more, packing the weights takes less time than reading them unpacked */

static void fault(void *user, const char *message)
{
    (void)user;
    cli_fail("%s", message);
}

static int add_folder(cli_source *s, const char *path)
{
    char **found;
    size_t n;
    int64_t faults;
    clip_error err;
    if (clip_list_pictures(path, fault, NULL, &s->passed, &faults, &found, &n, &err) < 0) {
        s->failed++;
        cli_fail("%s", err.message);
        return CLI_DONE;
    }
    s->failed += (long)faults;
    if (n == 0 && faults == 0) {
        s->failed++;
        cli_fail("%s: no picture in it", path);
    }
    int code = CLI_DONE;
    for (size_t i = 0; i < n && code == CLI_DONE; i++)
        code = cli_list_add(&s->files, found[i]);
    clip_list_free(found, n);
    return code;
}

int cli_source_open(const cli_args *a, const char *files_from, int delimiter, cli_source *out)
{
    int code = CLI_DONE;
    *out = (cli_source){0};
    for (int i = 0; i < a->operands && code == CLI_DONE; i++) {
        struct stat st;
        const char *path = a->operand[i];
        if (strcmp(path, "-") == 0) {
            if (files_from)
                code = cli_usage(a, "give only one list of pictures: '-' or --files-from");
            files_from = "-";
        } else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            code = add_folder(out, path);
        } else {
            code = cli_list_add(&out->files, path); /* reading it will report any error */
            if (code == CLI_DONE && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
                code = cli_list_add(&out->pipes, path);
        }
    }
    cli_passed_say(&out->passed);
    if (code == CLI_DONE && files_from)
        code = cli_lines_open(&out->list, files_from, delimiter);
    if (code != CLI_DONE)
        cli_source_close(out);
    return code;
}

int cli_few_pictures(const cli_source *s)
{
    return !s->list.open && s->files.n <= FEW_PICTURES ? CLIP_TOWER_IMAGE : 0;
}

void cli_source_close(cli_source *s)
{
    cli_list_free(&s->files);
    cli_list_free(&s->pipes);
    cli_lines_close(&s->list);
}
