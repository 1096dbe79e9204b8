/* Results go to stdout, to a descriptor, pipe or device that cannot be replaced, or to a file. A
 * file is written under a temporary name in its folder, and renamed when it is complete. So FILE is
 * never partial. A signal that ends the program removes unfinished files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli.h"

/* ---- Cleaning up after a signal -------------------------------------------------------------- */

enum { MOST = 4 }; /* files open at once */

static char *volatile begun[MOST];

void cli_out_abandon(void)
{
    for (int i = 0; i < MOST; i++)
        if (begun[i])
            unlink(begun[i]);
}

static void on_signal(int number)
{
    cli_out_abandon();
    raise(number); /* SA_RESETHAND restored the default, which ends the program */
}

static void remember(char *path)
{
    static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        /* A signal that nohup ignores stays ignored. */
        if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(deadly[i], &act, NULL);
    for (int i = 0; i < MOST; i++)
        if (!begun[i]) {
            begun[i] = path;
            return;
        }
}

static void forget(const char *path)
{
    for (int i = 0; i < MOST; i++)
        if (begun[i] == path)
            begun[i] = NULL;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Our descriptor that a name leads to, as /dev/stdout and /dev/fd/3 do; -1: none. It may be a file
 * that whoever opened it still writes to. */
static int descriptor_of(const char *path)
{
    enum { MOST_LINKS = 8 };
    char at[PATH_MAX], real[PATH_MAX], own[32], to[PATH_MAX];
    int n = snprintf(at, sizeof at, "%s", path);
    snprintf(own, sizeof own, "/proc/%d/", (int)getpid());
    for (int i = 0; i < MOST_LINKS && n < (int)sizeof at; i++) {
        char *slash = strrchr(at, '/'), *name = slash ? slash + 1 : at, *end;
        const char *dir = slash == at ? "/" : slash ? at : ".";
        if (slash)
            *slash = 0;
        if (!realpath(dir, real))
            return -1;
        const size_t length = strlen(real);
        const long number = strtol(name, &end, 10);
        if (strncmp(real, own, strlen(own)) == 0 && length > 3 && strcmp(real + length - 3, "/fd") == 0)
            return end > name && !*end && number >= 0 && number <= INT_MAX ? (int)number : -1;
        char link[2 * PATH_MAX];
        snprintf(link, sizeof link, "%s/%s", real, name);
        const ssize_t k = readlink(link, to, sizeof to - 1);
        if (k <= 0)
            return -1;
        to[k] = 0;
        n = to[0] == '/' ? snprintf(at, sizeof at, "%s", to) : snprintf(at, sizeof at, "%s/%s", real, to);
    }
    return -1;
}

static bool is_null_device(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3); }

bool cli_is_stdout(const char *path)
{
    struct stat st, out;
    if (strcmp(path, "-") == 0 || descriptor_of(path) == STDOUT_FILENO)
        return true;
    const bool both = stat(path, &st) == 0 && fstat(STDOUT_FILENO, &out) == 0;
    return both && st.st_dev == out.st_dev && st.st_ino == out.st_ino && !is_null_device(&st);
}

int cli_not_stdout(const cli_args *a, const char *option, const char *path)
{
    if (!cli_is_stdout(path))
        return CLI_DONE;
    return cli_usage(a, "--%s: '%s' is standard output, where the results go; name a file", option, path);
}

int cli_only_file(const cli_args *a, const char *option, const char *path)
{
    struct stat st;
    const bool other =
        cli_is_stdout(path) || descriptor_of(path) >= 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode));
    return other ? cli_usage(a, "--%s: '%s' is not a file that can be replaced", option, path) : CLI_DONE;
}

/* An existing device or pipe is written to, not replaced. */
static bool replaceable(const char *path, mode_t *mode)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        *mode = st.st_mode & 0777;
        return S_ISREG(st.st_mode);
    }
    mode_t mask = umask(0);
    umask(mask);
    *mode = 0666 & ~mask;
    return true;
}

static int fail_errno(const char *path) { return cli_fail("%s: %s", path, strerror(errno)); }

static int open_temporary(cli_out *o, mode_t mode)
{
    if (!o->path || asprintf(&o->temporary, "%s.XXXXXX", o->path) < 0) {
        o->temporary = NULL;
        return cli_no_memory();
    }
    int fd = mkostemp(o->temporary, O_CLOEXEC);
    if (fd < 0) {
        free(o->temporary);
        o->temporary = NULL;
        return fail_errno(o->name);
    }
    remember(o->temporary);
    if (fchmod(fd, mode) < 0 || !(o->f = fdopen(fd, "wb"))) {
        close(fd);
        return fail_errno(o->name);
    }
    return CLI_DONE;
}

/* Replace the file behind a symbolic link, not the link. */
static int open_behind(cli_out *o, const char *path, mode_t mode)
{
    struct stat st;
    o->path = realpath(path, NULL);
    if (!o->path && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return cli_fail("%s: is a broken symbolic link", path);
    if (!o->path)
        o->path = strdup(path);
    return open_temporary(o, mode);
}

/* Go on writing at the current position of one of our descriptors. */
static int open_copy(cli_out *o, const char *path, int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0 && (o->f = fdopen(copy, "wb")))
        return CLI_DONE;
    const int code = fail_errno(path);
    if (copy >= 0)
        close(copy);
    return code;
}

int cli_out_open(cli_out *o, const char *path)
{
    mode_t mode;
    *o = (cli_out){.name = path ? path : "standard output"};
    if (!path || cli_is_stdout(path)) {
        o->f = stdout;
        return CLI_DONE;
    }
    int code = CLI_DONE;
    const int fd = descriptor_of(path);
    if (fd >= 0)
        code = open_copy(o, path, fd);
    else if (replaceable(path, &mode))
        code = open_behind(o, path, mode);
    else if (!(o->f = fopen(path, "wbe")))
        code = fail_errno(path);
    if (code != CLI_DONE)
        cli_out_discard(o);
    return code;
}

int cli_out_open_own(cli_out *o, const char *path)
{
    const mode_t mask = umask(0);
    umask(mask);
    *o = (cli_out){.name = path, .path = strdup(path)};
    const int code = open_temporary(o, 0666 & ~mask);
    if (code != CLI_DONE)
        cli_out_discard(o);
    return code;
}

int cli_own_open(const char *path, int flags, const char *mode, FILE **out)
{
    struct stat st;
    *out = NULL;
    const int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0)
        return errno == ENOENT && !(flags & O_CREAT) ? CLI_DONE
               : errno == ELOOP                      ? cli_fail("%s: is a symbolic link, which is not followed", path)
                                                     : fail_errno(path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return cli_fail("%s: is not a regular file", path);
    }
    if (!(*out = fdopen(fd, mode))) {
        close(fd);
        return fail_errno(path);
    }
    return CLI_DONE;
}

/* If the reader has closed the pipe, end without a message. */
static int fail_write(const cli_out *o)
{
    if (o->f == stdout && errno == EPIPE)
        return CLI_FAILED;
    return errno ? fail_errno(o->name) : cli_fail("%s: cannot be written", o->name);
}

int cli_out_check(cli_out *o)
{
    errno = 0;
    return fflush(o->f) != 0 || ferror(o->f) ? fail_write(o) : CLI_DONE;
}

/* Errors of streams other than stdout are reported when they are closed. */
int cli_out_pause(void)
{
    cli_out out = {.f = stdout, .name = "standard output"};
    DO(cli_out_check(&out));
    fflush(NULL);
    return CLI_DONE;
}

int cli_out_close(cli_out *o)
{
    int code = cli_out_check(o);
    if (o->f != stdout) {
        FILE *f = o->f;
        o->f = NULL;
        if (fclose(f) != 0 && code == CLI_DONE)
            code = fail_errno(o->name);
    }
    if (code == CLI_DONE && o->temporary) {
        if (rename(o->temporary, o->path) < 0)
            code = fail_errno(o->name);
        else {
            forget(o->temporary);
            free(o->temporary);
            o->temporary = NULL;
        }
    }
    cli_out_discard(o);
    return code;
}

/* NumPy's format 1.0: magic, version, length of the header, a Python dictionary padded to 128 bytes
 * in all. */
void cli_npy_head(const long long *shape, int n, char out[CLI_NPY_HEAD])
{
    char head[CLI_NPY_HEAD + 1];
    const char *order = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? ">" : "<";
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10); /* 0x76 = 118 bytes follow */
    int at = 10 + snprintf(head + 10, sizeof head - 10, "{'descr': '%sf4', 'fortran_order': False, 'shape': (", order);
    for (int i = 0; i < n; i++)
        at += snprintf(head + at, sizeof head - (size_t)at, i ? ", %lld" : "%lld", shape[i]);
    at += snprintf(head + at, sizeof head - (size_t)at, n == 1 ? ",), }" : "), }");
    head[at] = ' ';
    head[CLI_NPY_HEAD - 1] = '\n';
    memcpy(out, head, CLI_NPY_HEAD);
}

void cli_npy_header(FILE *f, const long long *shape, int n)
{
    char head[CLI_NPY_HEAD];
    cli_npy_head(shape, n, head);
    fwrite(head, 1, sizeof head, f);
}

void cli_make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

void cli_out_discard(cli_out *o)
{
    if (o->f && o->f != stdout)
        fclose(o->f);
    if (o->temporary) {
        unlink(o->temporary);
        forget(o->temporary);
    }
    free(o->temporary);
    free(o->path);
    *o = (cli_out){0};
}
