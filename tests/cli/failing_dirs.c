/* failing_dirs.c: the command on a disk that fails. Linked with all of cli/; libclip's calls of the
 * system pass through here.
 *   FAIL_LIST=NAME   the listing of a folder whose path ends in NAME breaks off after two names
 *   FAIL_STAT=NAME   a file whose path ends in NAME has a stale handle, as on a share
 *   NOTE_OPEN=FILE   files that are opened are noted in FILE, one on each line */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int fits(const char *variable, const char *path)
{
    const char *end = getenv(variable);
    const size_t n = strlen(path), e = end ? strlen(end) : 0;
    return e > 0 && n >= e && strcmp(path + n - e, end) == 0;
}

static void *real(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    return f ? f : (abort(), NULL);
}

EXPORT struct dirent64 *readdir64(DIR *d)
{
    static int names;
    char link[64], path[PATH_MAX];
    struct dirent64 *(*f)(DIR *);
    *(void **)&f = real("readdir64");
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd(d));
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = 0;
    if (!fits("FAIL_LIST", path))
        return f(d);
    if (++names <= 2)
        return f(d);
    errno = EIO;
    return NULL;
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
    int (*f)(const char *, struct stat64 *);
    *(void **)&f = real("stat64");
    return fits("FAIL_STAT", path) ? (errno = ESTALE, -1) : f(path, st);
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
    int (*f)(const char *, struct stat64 *);
    *(void **)&f = real("lstat64");
    return fits("FAIL_STAT", path) ? (errno = ESTALE, -1) : f(path, st);
}

EXPORT int open64(const char *path, int flags, ...)
{
    int (*f)(const char *, int, ...);
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    *(void **)&f = real("open64");
    const char *to = getenv("NOTE_OPEN");
    FILE *notes = to && strcmp(path, to) != 0 ? fopen(to, "a") : NULL;
    if (notes) {
        fprintf(notes, "%s\n", path);
        fclose(notes);
    }
    return f(path, flags, mode);
}
