/* same_index.c: same_index A B: whether two indexes hold the same items with the same vectors, in
 * any order. Prints the first difference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

typedef struct entry {
    clip_item item;
    float *vector;
} entry;

typedef struct entries {
    entry *e;
    size_t n;
    int dim;
} entries;

static void die(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

static char *copy(const char *s)
{
    char *out = strdup(s ? s : "");
    if (!out)
        die("out of memory");
    return out;
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int paths = strcmp(x->item.path, y->item.path);
    return paths                          ? paths
           : x->item.kind != y->item.kind ? (int)x->item.kind - (int)y->item.kind
                                          : strcmp(x->item.text, y->item.text);
}

static entries read_index(const char *path)
{
    clip_index *x;
    clip_error err;
    clip_index_info info;
    entries all = {0};
    if (clip_index_open(path, NULL, &x, &err) < 0)
        die(err.message);
    clip_index_get_info(x, &info);
    all.dim = info.dim;
    all.e = calloc((size_t)info.items + 1, sizeof *all.e);
    if (!all.e)
        die("out of memory");
    for (int64_t cursor = 0; all.n <= (size_t)info.items;) {
        entry *e = &all.e[all.n];
        if (clip_index_next(x, &cursor, &e->item, &err) < 0)
            die(err.message);
        if (!e->item.kind)
            break;
        e->item.path = copy(e->item.path);
        e->item.text = copy(e->item.text);
        e->vector = malloc((size_t)info.dim * sizeof(float));
        if (!e->vector || clip_index_vector(x, e->item.row, e->vector, &err) < 0)
            die("a vector cannot be read");
        all.n++;
    }
    if (all.n != (size_t)info.items)
        die("the index does not hold as many items as it says");
    clip_index_close(x, NULL);
    qsort(all.e, all.n, sizeof *all.e, by_name);
    return all;
}

static void release(entries *all)
{
    for (size_t i = 0; i < all->n; i++) {
        free((char *)(uintptr_t)all->e[i].item.path);
        free((char *)(uintptr_t)all->e[i].item.text);
        free(all->e[i].vector);
    }
    free(all->e);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    entries a = read_index(argv[1]), b = read_index(argv[2]);
    if (a.dim != b.dim)
        die("vectors of different sizes");
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        const clip_item *x = &a.e[i].item, *y = &b.e[i].item;
        if (by_name(&a.e[i], &b.e[i]) != 0) {
            printf("%s '%s' is not in both\n", by_name(&a.e[i], &b.e[i]) < 0 ? x->path : y->path,
                   by_name(&a.e[i], &b.e[i]) < 0 ? x->text : y->text);
            return 1;
        }
        if (x->size != y->size || x->mtime != y->mtime || x->taken != y->taken ||
            memcmp(x->hash, y->hash, sizeof x->hash) != 0 ||
            memcmp(a.e[i].vector, b.e[i].vector, (size_t)a.dim * sizeof(float)) != 0) {
            printf("%s '%s' differs\n", x->path, x->text);
            return 1;
        }
    }
    if (a.n != b.n)
        die("one of them has more items");
    release(&a);
    release(&b);
    return 0;
}
