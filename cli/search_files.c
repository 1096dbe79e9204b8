/* The state of the files that an index names, and their dates. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "search_common.h"

static int64_t nanoseconds(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool is_tar(const char *path)
{
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz"};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t e = strlen(endings[i]);
        if (n > e && strcasecmp(path + n - e, endings[i]) == 0)
            return true;
    }
    return false;
}

/* TAR/MEMBER: whether the tar exists. A member has the time of its tar. */
static bool in_tar(const char *path, struct stat *st)
{
    char *part = strdup(path), *slash = part;
    bool is = false;
    while (!is && slash && (slash = strchr(slash + 1, '/'))) {
        *slash = 0;
        is = is_tar(part) && stat(part, st) == 0 && S_ISREG(st->st_mode);
        *slash = '/';
    }
    free(part);
    return is;
}

search_file search_look(const clip_item *item, struct stat *st)
{
    const char *path = item->path;
    if (!path || strstr(path, "://"))
        return SEARCH_ELSEWHERE;
    if (stat(path, st) == 0) {
        if (!S_ISREG(st->st_mode))
            return SEARCH_GONE;
        const bool known = item->kind == CLIP_ITEM_PICTURE && (item->size || item->mtime);
        return known && (item->size != st->st_size || item->mtime != nanoseconds(st)) ? SEARCH_CHANGED : SEARCH_THERE;
    }
    if (errno == ENOTDIR && in_tar(path, st))
        return item->mtime && item->mtime != nanoseconds(st) ? SEARCH_CHANGED : SEARCH_ELSEWHERE;
    if (*path != '/')
        return SEARCH_ELSEWHERE; /* an imported relative name; its base folder is unknown */
    return errno == ENOENT || errno == ENOTDIR ? SEARCH_GONE : SEARCH_UNREACHABLE;
}

const char *search_fault(const clip_item *item)
{
    struct stat st;
    switch (search_look(item, &st)) {
    case SEARCH_GONE: return "gone";
    case SEARCH_UNREACHABLE: return "unreachable";
    case SEARCH_CHANGED: return "changed";
    default: return NULL;
    }
}

/* ---- Dates ----------------------------------------------------------------------------------- */

static int64_t whole_seconds(int64_t nanoseconds) { return nanoseconds / 1000000000 - (nanoseconds % 1000000000 < 0); }

int64_t search_when(const clip_item *item) { return item->taken ? item->taken : whole_seconds(item->mtime); }

/* ISO 8601, local time with its offset from UTC: "2023-05-17T14:03:21+02:00". */
static void json_date(cli_json *j, const char *key, int64_t seconds)
{
    char text[64];
    struct tm t;
    const time_t at = (time_t)seconds;
    if (!localtime_r(&at, &t) || t.tm_year > 9999 - 1900 || t.tm_year < -1900)
        return;
    const long east = t.tm_gmtoff / 60, distance = east < 0 ? -east : east;
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
             t.tm_hour, t.tm_min, t.tm_sec, east < 0 ? '-' : '+', distance / 60, distance % 60);
    cli_json_string(j, key, text);
}

void search_json_dates(cli_json *j, const clip_item *item)
{
    if (item->taken)
        json_date(j, "taken", item->taken);
    if (item->mtime)
        json_date(j, "mtime", whole_seconds(item->mtime));
}
