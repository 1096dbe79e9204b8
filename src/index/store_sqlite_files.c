/* The files of a catalogue, looked at without SQLite. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/store_sqlite.h"

char *clipidx_sqlite_uri(const char *path, const char *query)
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
            return clipb_fail(err, CLIP_ENOMEM, catalogue, "out of memory");
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
