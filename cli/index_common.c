/* Which index is meant, and how it is opened. Shared by `clip index` and `clip search`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

const char *cli_index_path(cli_args *a, const char *set)
{
    char *path = a->index_room;
    const char *variable = getenv("CLIP_INDEX"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n = -1;
    if (set)
        return set;
    if (variable && *variable)
        return variable;
    if (data && *data == '/') /* the XDG specification says to ignore relative paths */
        n = snprintf(path, CLI_PATH, "%s/clip/index", data);
    else if (home && *home)
        n = snprintf(path, CLI_PATH, "%s/.local/share/clip/index", home);
    if (n < 0 || n >= CLI_PATH) {
        cli_fail("$HOME is not set: name the index with --index DIR or $CLIP_INDEX");
        return NULL;
    }
    return path;
}

void cli_index_model(cli_args *a, const clip_index_info *info)
{
    const bool is_path = info->model_path[0] == '/'; /* else a name, or nothing was noted */
    if (!a->image_size)
        a->image_size = info->image_size;
    if (a->model_named || !*info->model_path || (is_path && access(info->model_path, F_OK) < 0))
        return;
    snprintf(a->model_room, sizeof a->model_room, "%s", info->model_path);
    a->model = a->model_room;
}

static void warn(void *user, const char *message)
{
    (void)user;
    cli_warn("%s", message);
}

static int open_with(const cli_args *a, const char *path, clip_index_options o, clip_index **out)
{
    clip_error err;
    o.threads = a->threads;
    o.warn = warn;
    switch (clip_index_open(path, &o, out, &err)) {
    case CLIP_OK: return CLI_DONE;
    case CLIP_EMISMATCH:
        return cli_fail(
            "%s. Embeddings of two models cannot be compared: name that model with --model, make another index "
            "with --index DIR, or delete %s and make it again",
            err.message, path);
    case CLIP_EFORMAT: return cli_fail(o.write ? "%s" : "%s. 'clip index' repairs what can be repaired.", err.message);
    case CLIP_EBUSY: return cli_fail("%s. It can be searched meanwhile.", err.message);
    default: return cli_fail("%s", err.message);
    }
}

int cli_index_open(const cli_args *a, const char *path, const cli_session *s, cli_index_mode mode, clip_index **out)
{
    clip_index_options o = clip_index_options_default();
    struct stat st;
    *out = NULL;
    if (mode != CLI_INDEX_MAKE && stat(path, &st) < 0 && errno == ENOENT)
        return cli_fail("%s: no index; 'clip index FOLDER' makes one (at --index DIR)", path);
    o.write = mode != CLI_INDEX_READ;
    o.create = mode == CLI_INDEX_MAKE;
    o.model = s ? s->model : NULL;
    return open_with(a, path, o, out);
}

int cli_index_make(const cli_args *a, const char *path, int dim, clip_index **out)
{
    clip_index_options o = clip_index_options_default();
    o.write = o.create = true;
    o.dim = dim;
    o.model_name = "unknown";
    return open_with(a, path, o, out);
}
