/* The pictures below a directory.
 *
 * Directories wait on two stacks: those that are really there, and those that symbolic links lead to, which wait until no other does.
 * A set of the (device, inode) seen keeps each from being listed twice, so links that form a loop, or many ways to one place, cost
 * nothing, and a picture is found under its own name rather than a link's. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/plain.h"
#include "data/data.h"

enum { OFTEN = 256 };

typedef struct strings {
    char **item;
    size_t n, capacity;
} strings;

typedef struct walk {
    strings pictures;
    strings dirs, links; /* still to be listed; a link to a directory waits until no directory does */
    void *seen;          /* tree of `place` */
    size_t root;         /* length of its name, with the slash behind it */
    int64_t names;       /* that have come by */
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

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int last_first(const void *a, const void *b) { return by_bytes(b, a); }

/* Takes `s`, also on error. */
static clip_status add(strings *list, char *s)
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
    clip_list_free(list->item, list->n);
    *list = (strings){0};
}

/* Notes a place; *first: it was not known before. */
static clip_status visit(walk *w, const struct stat *st, bool *first)
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

/* Is one of the names on the way to `path` excluded? A pattern with a slash is of the whole way from the root, one without of any single name. */
bool clipdat_excluded(const char *const *patterns, int n, const char *path)
{
    char part[4096];
    const size_t length = strlen(path);
    if (n == 0 || length >= sizeof part)
        return false;
    const locale_t before = uselocale(clipb_plain()); /* '?' is a byte */
    bool fits = false;
    for (size_t start = 0; start < length && !fits;) {
        const size_t end = start + strcspn(path + start, "/");
        memcpy(part, path, end);
        part[end] = 0;
        for (int i = 0; i < n && !fits; i++)
            fits = fnmatch(patterns[i], strchr(patterns[i], '/') ? part : part + start, 0) == 0;
        start = end + 1;
    }
    uselocale(before);
    return fits;
}

/* One name in `dir`. What cannot be looked at, and what is neither file nor directory, is passed over. */
static clip_status take(walk *w, const char *dir, const struct dirent *e)
{
    const bool picture = clip_is_picture_name(e->d_name);
    if (e->d_name[0] == '.' || (e->d_type == DT_REG && !picture))
        return CLIP_OK;
    char *path = clipb_path_join(dir, e->d_name);
    if (!path)
        return CLIP_ENOMEM;
    if (w->opt && clipdat_excluded(w->opt->exclude, w->opt->n_exclude, path + w->root)) {
        free(path);
        return CLIP_OK;
    }
    if (e->d_type == DT_REG) /* the most frequent case by far: spare the stat() */
        return add(&w->pictures, path);
    struct stat st, link;
    if (stat(path, &st) == 0 && lstat(path, &link) == 0) {
        if (S_ISDIR(st.st_mode))
            return add(S_ISLNK(link.st_mode) ? &w->links : &w->dirs, path);
        if (S_ISREG(st.st_mode) && picture)
            return add(&w->pictures, path);
    }
    free(path);
    return CLIP_OK;
}

static bool go_on(walk *w)
{
    w->stopped = w->stopped || (w->opt && w->opt->go_on && !w->opt->go_on(w->opt->user, w->names));
    return !w->stopped;
}

/* CLIP_EIO, without a message: it cannot be listed. */
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
    clip_status s = visit(w, &st, &first);
    for (struct dirent *e; s == CLIP_OK && first && (w->names % OFTEN || go_on(w)) && (e = readdir(d)); w->names++)
        s = take(w, path, e);
    closedir(d);
    return s;
}

/* Everything on the two stacks, and what they grow to. The links of a round are followed in the order of their names, each with
 * all below it before the next, so the outcome does not depend on the order in which the disk keeps names. */
static clip_status list_rest(walk *w)
{
    for (;;) {
        while (w->dirs.n > 0 && go_on(w)) {
            char *path = w->dirs.item[--w->dirs.n];
            clip_status s = list_dir(w, path);
            clip_error said;
            if (s == CLIP_EIO && w->opt && w->opt->warn && clipb_fail(&said, s, path, "%s", strerror(errno)) < 0)
                w->opt->warn(w->opt->warn_user, said.message);
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

bool clip_is_picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && clipdat_picture_rank(dot + 1) >= 0;
}

clip_status clip_list_pictures(const char *path, char ***out, size_t *n, clip_error *err)
{
    return clipdat_list(path, NULL, out, n, err);
}

clip_status clipdat_list(const char *path, const clipdat_list_options *opt, char ***out, size_t *n, clip_error *err)
{
    walk w = {.opt = opt, .root = strlen(path)};
    w.root += w.root > 0 && path[w.root - 1] != '/'; /* as clipb_path_join() puts it */
    struct stat st;
    clip_status s;
    *out = NULL;
    *n = 0;
    if (stat(path, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (!S_ISDIR(st.st_mode))
        s = add(&w.pictures, strdup(path));
    else if ((s = list_dir(&w, path)) == CLIP_EIO)
        clipb_fail(err, s, path, "%s", strerror(errno));
    else if (s == CLIP_OK)
        s = list_rest(&w);
    free_strings(&w.dirs);
    free_strings(&w.links);
    tdestroy(w.seen, free);
    if (s < 0) {
        free_strings(&w.pictures);
        return s == CLIP_ENOMEM ? clipb_fail(err, s, path, "out of memory") : s;
    }
    if (w.pictures.n > 0)
        qsort(w.pictures.item, w.pictures.n, sizeof *w.pictures.item, by_bytes);
    *out = w.pictures.item;
    *n = w.pictures.n;
    return CLIP_OK;
}

void clip_list_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}
