/* "More like number 3". The last answer is kept below $XDG_STATE_HOME, as texts that end in zero
 * bytes: the index, then the row, path and text of each hit. Path and text decide which item is
 * meant, because rows may have moved since. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "search_common.h"

/* "" if there is no folder for it. */
static void state_path(char out[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (state && state[0] == '/')
        n = snprintf(out, PATH_MAX, "%s/clip/last-search", state);
    else if (home && home[0] == '/')
        n = snprintf(out, PATH_MAX, "%s/.local/state/clip/last-search", home);
    if (n <= 0 || n >= PATH_MAX)
        out[0] = 0;
}

static void write_all(const search *s, const search_answer *r, const char *index, FILE *f)
{
    fprintf(f, "%s%c", index, 0);
    for (int64_t i = 0; i < r->group[r->groups]; i++) {
        clip_item item;
        if (clip_index_item_at(s->index, r->hit[i].row, &item, NULL) < 0)
            item = (clip_item){0};
        fprintf(f, "%lld%c%s%c%s%c", (long long)r->hit[i].row, 0, item.path ? item.path : "", 0,
                item.text ? item.text : "", 0);
    }
}

void search_remember(const search *s, const search_answer *r)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    char *index = realpath(s->index_path, NULL);
    state_path(path);
    if (index && *path) {
        cli_make_folders(path);
        snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
        const int fd = mkstemp(temporary);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
        if (f) {
            write_all(s, r, index, f);
            const bool bad = ferror(f);
            if (fclose(f) != 0 || bad || rename(temporary, path) < 0)
                unlink(temporary);
        }
    }
    free(index);
}

static int next_text(FILE *f, char **text, size_t *capacity)
{
    return getdelim(text, capacity, 0, f) > 0 ? CLI_DONE : CLI_FAILED;
}

/* The item's row if it still holds that item; else the row where its picture is now. */
static int locate(const search *s, int64_t row, const char *path, const char *text, int64_t *out)
{
    clip_item item;
    clip_error err;
    if (row < s->info.rows) {
        if (clip_index_item_at(s->index, row, &item, &err) < 0)
            return cli_fail("%s", err.message);
        *out = row;
        if (item.kind && strcmp(item.path ? item.path : "", path) == 0 && strcmp(item.text ? item.text : "", text) == 0)
            return CLI_DONE;
    }
    if (clip_index_find(s->index, path, &item, &err) < 0)
        return cli_fail("%s", err.message);
    if (!item.kind || *text)
        return cli_fail("'%s' of the last answer is no longer in the index", *text ? text : path);
    *out = item.row;
    return CLI_DONE;
}

static int resolve_number(const search *s, FILE *f, const char *path, long wanted, int64_t *row)
{
    char *part[3] = {0}, *index = realpath(s->index_path, NULL);
    size_t capacity[3] = {0};
    int code = CLI_DONE, got = next_text(f, &part[0], &capacity[0]);
    if (!index || got != CLI_DONE)
        code = cli_fail("%s: cannot be read", index ? path : s->index_path);
    else if (strcmp(part[0], index) != 0)
        code = cli_fail("the last answer is from another index, %s", part[0]);
    for (long n = 1; n <= wanted && code == CLI_DONE; n++)
        for (int i = 0; i < 3 && code == CLI_DONE; i++)
            if (next_text(f, &part[i], &capacity[i]) != CLI_DONE)
                code = cli_fail("the last answer has no number %ld", wanted);
    if (code == CLI_DONE) {
        char *end;
        const long long at = strtoll(part[0], &end, 10);
        code = end == part[0] || *end || at < 0 ? cli_fail("%s: not written by clip search", path)
                                                : locate(s, at, part[1], part[2], row);
    }
    for (int i = 0; i < 3; i++)
        free(part[i]);
    free(index);
    return code;
}

static int resolve_path(const search *s, const char *like, int64_t *row)
{
    clip_item item;
    clip_error err;
    char *whole = NULL;
    clip_status status = clip_index_find(s->index, like, &item, &err);
    if (status == CLIP_OK && !item.kind && (whole = realpath(like, NULL)))
        status = clip_index_find(s->index, whole, &item, &err);
    free(whole);
    if (status < 0)
        return cli_fail("%s", err.message);
    if (!item.kind)
        return cli_fail("--like: '%s' is not in the index (to search with the picture itself: clip search %s)",
                        like, like);
    *row = item.row;
    return CLI_DONE;
}

int search_resolve(const search *s, const char *like, int64_t *row)
{
    char path[PATH_MAX], *end;
    errno = 0;
    const long number = strtol(like, &end, 10);
    if (end == like || *end)
        return resolve_path(s, like, row);
    if (errno || number < 1)
        return cli_usage(s->args, "--like: '%s' is not a number of an answer; numbers start at 1", like);
    state_path(path);
    FILE *f = NULL;
    if (*path)
        DO(cli_own_open(path, O_RDONLY, "rb", &f));
    if (!f)
        return cli_fail("--like %s: there is no last answer yet", like);
    const int code = resolve_number(s, f, path, number, row);
    fclose(f);
    return code;
}
