/* list.c: the pictures below a directory.
 *
 * Directories wait on two stacks: real ones, and ones that symbolic links lead to, which are listed
 * when no real one is left. A set of the (device, inode) seen keeps each from being listed twice.
 * So loops of links, or many ways to one place, cost nothing, and a picture is found under its own
 * name, not under a link's.
 *
 * A picture's extension is believed, so a folder of pictures is listed without opening a file.
 * Other files are opened, and their first bytes decide. Whatever cannot be looked at is reported:
 * no part of a folder is left out silently. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/order.h"
#include "base/plain.h"
#include "data/data.h"
#include "image/image.h"

enum { OFTEN = 256, HEAD = 4096 };

typedef struct strings {
    char **item;
    size_t n, capacity;
} strings;

typedef struct walk {
    strings pictures;
    strings dirs, links; /* still to be listed; links only when dirs is empty */
    void *seen;          /* a tree of `place` */
    size_t root;         /* length of the root's path, with the slash behind it */
    int64_t names;       /* names seen so far */
    bool stopped;
    const clipdat_list_options *opt;
} walk;

typedef struct place {
    dev_t dev;
    ino_t ino;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return x->dev != y->dev ? (x->dev > y->dev) - (x->dev < y->dev) : (x->ino > y->ino) - (x->ino < y->ino);
}

static int last_first(const void *a, const void *b) { return clipb_order_strings(b, a); }

/* Takes `s`, also on error. */
static clip_status add_string(strings *list, char *s)
{
    if (!s)
        return CLIP_ENOMEM;
    if (clipb_grow((void **)&list->item, &list->capacity, list->n + 1, sizeof *list->item) < 0) {
        free(s);
        return CLIP_ENOMEM;
    }
    list->item[list->n++] = s;
    return CLIP_OK;
}

static void free_strings(strings *list)
{
    clipdat_list_free(list->item, list->n);
    *list = (strings){0};
}

/* Notes a place. *first: whether it is new. */
static clip_status note_place(walk *w, const struct stat *st, bool *first)
{
    place *p = malloc(sizeof *p);
    if (!p)
        return CLIP_ENOMEM;
    *p = (place){st->st_dev, st->st_ino};
    place **node = tsearch(p, &w->seen, by_place);
    *first = node && *node == p;
    if (!*first)
        free(p);
    return node ? CLIP_OK : CLIP_ENOMEM;
}

clip_status clipdat_excluded(const char *const *patterns, int n, const char *path, bool *excluded)
{
    *excluded = false;
    if (n == 0)
        return CLIP_OK;
    const size_t length = strlen(path);
    char *part = malloc(length + 1);
    if (!part)
        return CLIP_ENOMEM;
    const locale_t before = uselocale(clipb_plain()); /* '?' is a byte */
    for (size_t start = 0; start < length && !*excluded;) {
        const size_t end = start + strcspn(path + start, "/");
        memcpy(part, path, end);
        part[end] = 0;
        for (int i = 0; i < n && !*excluded; i++)
            *excluded = fnmatch(patterns[i], strchr(patterns[i], '/') ? part : part + start, 0) == 0;
        start = end + 1;
    }
    uselocale(before);
    free(part);
    return CLIP_OK;
}

/* ---- One name ---- */

static void report_fault(const walk *w, const char *path, const char *why)
{
    clip_error said;
    if (w->opt->fault && clipb_fail(&said, CLIP_EIO, path, "%s", why) < 0)
        w->opt->fault(w->opt->user, path, said.message);
}

static void pass_over(const walk *w, clip_passed_why why, const char *name)
{
    clipdat_passed_add(w->opt->passed, why, name);
}

/* Finds the format by the first bytes of a file. -1 if it cannot be read; errno says why. */
static int read_format(const char *path, const char **format, bool *reads)
{
    unsigned char head[HEAD];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    size_t n = 0;
    ssize_t got = 1;
    while (n < sizeof head && got > 0) {
        got = read(fd, head + n, sizeof head - n);
        n += got > 0 ? (size_t)got : 0;
        if (got < 0 && errno == EINTR)
            got = 1;
    }
    const int why = errno;
    close(fd);
    errno = why;
    *format = clipimg_format(head, n, reads);
    return got < 0 ? -1 : 0;
}

/* A file whose name does not say what it is. st NULL: unknown so far. Takes `path`. */
static clip_status tell_by_content(walk *w, char *path, const char *name, const struct stat *st)
{
    const clipdat_list_options *o = w->opt;
    struct stat asked;
    clipdat_known known = CLIPDAT_UNKNOWN;
    const char *format = NULL;
    bool reads = false;
    int failed = 0;
    if (!st && o->known && (failed = stat(path, &asked)) == 0)
        st = &asked;
    if (failed == 0 && o->known)
        known = o->known(o->user, path, st);
    if (failed == 0 && known == CLIPDAT_UNKNOWN && (!st || st->st_size > 0))
        failed = read_format(path, &format, &reads);
    if (failed == 0 && (known == CLIPDAT_PICTURE || (format && reads)))
        return add_string(&w->pictures, path);
    if (failed < 0 && errno != ENOENT) /* a file that has just been removed is not missed */
        report_fault(w, path, strerror(errno));
    else if (failed == 0)
        pass_over(w, format ? CLIP_PASSED_FORMAT : CLIP_PASSED_NOT_PICTURE, format ? format : name);
    if (failed == 0 && known == CLIPDAT_UNKNOWN && o->other)
        o->other(o->user, path, st, format);
    free(path);
    return CLIP_OK;
}

/* A symbolic link, or a name whose type the directory does not give. Takes `path`. */
static clip_status take_unknown(walk *w, char *path, const char *name)
{
    struct stat st, link;
    const bool picture = clipdat_is_picture_name(name);
    if (stat(path, &st) < 0) {
        const int why = errno;
        const bool there = lstat(path, &link) == 0;
        if (there && picture) /* its reader will say what is wrong */
            return add_string(&w->pictures, path);
        if (there || errno != ENOENT)
            report_fault(w, path, there && why == ENOENT ? "is a link that leads nowhere" : strerror(why));
        free(path);
        return CLIP_OK;
    }
    if (S_ISDIR(st.st_mode))
        return add_string(lstat(path, &link) == 0 && S_ISLNK(link.st_mode) ? &w->links : &w->dirs, path);
    if (S_ISREG(st.st_mode))
        return picture ? add_string(&w->pictures, path) : tell_by_content(w, path, name, &st);
    pass_over(w, CLIP_PASSED_SPECIAL, name);
    free(path);
    return CLIP_OK;
}

static clip_status take_name(walk *w, const char *dir, const struct dirent *e)
{
    const char *name = e->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return CLIP_OK;
    if (name[0] == '.') {
        pass_over(w, CLIP_PASSED_HIDDEN, name);
        return CLIP_OK;
    }
    bool excluded;
    char *path = clipb_path_join(dir, name);
    clip_status s = CLIP_ENOMEM;
    if (path)
        s = clipdat_excluded(w->opt->exclude, w->opt->n_exclude, path + w->root, &excluded);
    if (s < 0 || excluded) {
        free(path);
        if (s == CLIP_OK)
            pass_over(w, CLIP_PASSED_EXCLUDED, name);
        return s;
    }
    switch (e->d_type) {
    case DT_REG:
        return clipdat_is_picture_name(name) ? add_string(&w->pictures, path) : tell_by_content(w, path, name, NULL);
    case DT_DIR: return add_string(&w->dirs, path);
    default: return take_unknown(w, path, name);
    }
}

/* ---- Directories ---- */

static bool may_go_on(walk *w)
{
    w->stopped = w->stopped || (w->opt->go_on && !w->opt->go_on(w->opt->user, w->names));
    return !w->stopped;
}

/* CLIP_EIO, without a message: it cannot be opened. If a listing breaks off, that is reported, and
 * the names so far count. */
static clip_status list_dir(walk *w, const char *path)
{
    struct stat st;
    bool first;
    DIR *d = opendir(path);
    if (!d || fstat(dirfd(d), &st) < 0) {
        const int why = errno;
        if (d)
            closedir(d);
        errno = why;
        return CLIP_EIO;
    }
    clip_status s = note_place(w, &st, &first);
    while (s == CLIP_OK && first && (w->names % OFTEN || may_go_on(w))) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno)
            report_fault(w, path, strerror(errno));
        if (!e)
            break;
        s = take_name(w, path, e);
        w->names++;
    }
    closedir(d);
    return s;
}

/* Lists both stacks and everything that they grow to. The links of a round are followed in the
 * order of their names, each with everything below it before the next. So the outcome does not
 * depend on the order in which the disk keeps names. */
static clip_status list_rest(walk *w)
{
    for (;;) {
        while (w->dirs.n > 0 && may_go_on(w)) {
            char *path = w->dirs.item[--w->dirs.n];
            clip_status s = list_dir(w, path);
            if (s == CLIP_EIO)
                report_fault(w, path, strerror(errno));
            free(path);
            if (s != CLIP_EIO)
                TRY(s);
        }
        if (w->links.n == 0 || w->stopped)
            return CLIP_OK;
        qsort(w->links.item, w->links.n, sizeof *w->links.item, last_first);
        strings round = w->links;
        w->links = w->dirs;
        w->dirs = round;
    }
}

clip_status clipdat_list(const char *path, const clipdat_list_options *opt, char ***out, size_t *n, clip_error *err)
{
    const clipdat_list_options standard = {0};
    walk w = {.opt = opt ? opt : &standard, .root = strlen(path)};
    w.root += w.root > 0 && path[w.root - 1] != '/'; /* as clipb_path_join() adds it */
    struct stat st;
    clip_status s;
    *out = NULL;
    *n = 0;
    if (stat(path, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (!S_ISDIR(st.st_mode))
        s = add_string(&w.pictures, strdup(path));
    else if ((s = list_dir(&w, path)) == CLIP_EIO)
        clipb_fail(err, s, path, "%s", strerror(errno));
    else if (s == CLIP_OK)
        s = list_rest(&w);
    free_strings(&w.dirs);
    free_strings(&w.links);
    tdestroy(w.seen, free);
    if (s < 0) {
        free_strings(&w.pictures);
        return s == CLIP_ENOMEM ? clipb_nomem(err, path) : s;
    }
    if (w.opt->passed)
        clipdat_passed_sort(w.opt->passed);
    if (w.pictures.n > 0)
        qsort(w.pictures.item, w.pictures.n, sizeof *w.pictures.item, clipb_order_strings);
    *out = w.pictures.item;
    *n = w.pictures.n;
    return CLIP_OK;
}

/* ---- For callers that only want to be warned ---- */

typedef struct listener {
    clip_warn_fn warn;
    void *user;
    int64_t faults;
} listener;

static void warn_of_fault(void *user, const char *path, const char *message)
{
    listener *l = user;
    (void)path;
    l->faults++;
    if (l->warn)
        l->warn(l->user, message);
}

clip_status clipdat_list_pictures(const char *path, clip_warn_fn warn, void *warn_user, clip_passed *passed,
                                  int64_t *faults, char ***out, size_t *n, clip_error *err)
{
    listener l = {warn, warn_user, 0};
    const clipdat_list_options o = {.fault = warn_of_fault, .user = &l, .passed = passed};
    clip_status s = clipdat_list(path, &o, out, n, err);
    if (faults)
        *faults = l.faults;
    return s;
}
