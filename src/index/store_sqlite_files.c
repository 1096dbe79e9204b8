/* The files of a catalogue, looked at without SQLite. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "index/store_sqlite.h"

/* What means something in a URI is written as %XX. */
static char *uri_of(const char *path, const char *query)
{
    char *uri = malloc(strlen(path) * 3 + strlen(query) + 8), *p = uri;
    if (!uri)
        return NULL;
    p += sprintf(p, "file:%s", path[0] == '/' ? "//" : "");
    for (const unsigned char *s = (const unsigned char *)path; *s; s++)
        p += *s == '%' || *s == '?' || *s == '#' ? sprintf(p, "%%%02X", *s) : sprintf(p, "%c", *s);
    strcpy(p, query);
    return uri;
}

clip_status clipidx_sqlite_uri(const char *catalogue, const char *query, char **uri, clip_error *err)
{
    const char *slash = strrchr(catalogue, '/');
    char *dir = clipb_path_dir(catalogue), *real = dir ? realpath(dir, NULL) : NULL;
    const int fault = dir && !real ? errno : 0;
    char *path = real ? clipb_path_join(real, slash ? slash + 1 : catalogue) : NULL;
    *uri = path ? uri_of(path, query) : NULL;
    free(dir);
    free(real);
    free(path);
    if (*uri)
        return CLIP_OK;
    return fault && fault != ENOMEM ? clipb_fail(err, CLIP_EIO, catalogue, "%s", strerror(fault))
                                    : clipb_nomem(err, catalogue);
}

bool clipidx_sqlite_at_rest(const char *path)
{
    char name[4096];
    struct stat st;
    return snprintf(name, sizeof name, "%s-wal", path) < (int)sizeof name && (stat(name, &st) < 0 || st.st_size == 0);
}

/* A rollback journal can name a second one, which SQLite deletes when it has played the first back:
 * any file there is. Ours never do, for we attach no databases. The name, with the journal's magic
 * number behind it, is the end of the file. */
static bool names_another(const char *journal)
{
    static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char end[8];
    struct stat st;
    const int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const bool is = fd >= 0 && fstat(fd, &st) == 0 &&
                    pread(fd, end, sizeof end, st.st_size - (off_t)sizeof end) == sizeof end &&
                    memcmp(end, magic, sizeof end) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

clip_status clipidx_sqlite_check_files(const char *catalogue, clip_error *err)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    clip_status s = CLIP_OK;
    for (size_t i = 0; s == CLIP_OK && i < sizeof endings / sizeof *endings; i++) {
        char *path;
        struct stat st;
        if (asprintf(&path, "%s%s", catalogue, endings[i]) < 0)
            return clipb_nomem(err, catalogue);
        if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
            s = clipb_fail(err, CLIP_EIO, path, "%s",
                           S_ISLNK(st.st_mode) ? "is a symbolic link, which is not followed" : "is not a regular file");
        else if (i == 3 && names_another(path))
            s = clipb_fail(err, CLIP_EFORMAT, path,
                           "is not a journal of clip's: it names another file, which would be deleted");
        free(path);
    }
    return s;
}

bool clipidx_sqlite_is_same(const char *catalogue, uint64_t device, uint64_t inode)
{
    struct stat st;
    return stat(catalogue, &st) == 0 && (uint64_t)st.st_dev == device && (uint64_t)st.st_ino == inode;
}
