/* passed.c: counts files that are passed over, by the reason. */
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum { MOST_EXTENSIONS = CLIP_PASSED_KINDS - 16, LONGEST = 10 };

/* ".txt" of "Notes.TXT". "" if the name has no extension, or none that looks like one. */
static void extension_of(const char *name, char out[LONGEST + 2])
{
    const char *dot = strrchr(name, '.');
    size_t n = dot ? strlen(dot) : 0;
    out[0] = 0;
    if (n < 2 || n > LONGEST + 1)
        return;
    if (strspn(dot + 1, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != n - 1)
        return;
    for (size_t i = 0; i <= n; i++)
        out[i] = (char)(dot[i] >= 'A' && dot[i] <= 'Z' ? dot[i] - 'A' + 'a' : dot[i]);
}

static clip_passed_kind *find_kind(clip_passed *p, clip_passed_why why, const char *name)
{
    for (int i = 0; i < p->kinds; i++)
        if (p->kind[i].why == why && strcmp(p->kind[i].name, name) == 0)
            return &p->kind[i];
    return NULL;
}

/* If there is no room for another kind, the file counts as one that is not a picture. */
static clip_passed_kind *kind_of(clip_passed *p, clip_passed_why why, const char *name)
{
    clip_passed_kind *k = find_kind(p, why, name);
    if (!k && p->kinds >= (why == CLIP_PASSED_NOT_PICTURE ? MOST_EXTENSIONS : CLIP_PASSED_KINDS - 1)) {
        why = CLIP_PASSED_NOT_PICTURE;
        name = "";
        k = find_kind(p, why, name);
    }
    if (!k) {
        k = &p->kind[p->kinds++];
        *k = (clip_passed_kind){.why = why};
        strncat(k->name, name, sizeof k->name - 1);
    }
    return k;
}

static void count_files(clip_passed *p, clip_passed_why why, const char *name, int64_t n)
{
    kind_of(p, why, name)->n += n;
    p->n += n;
}

void clipdat_passed_add(clip_passed *p, clip_passed_why why, const char *name)
{
    char extension[LONGEST + 2] = "";
    if (!p)
        return;
    if (why == CLIP_PASSED_NOT_PICTURE)
        extension_of(name, extension);
    count_files(p, why, why == CLIP_PASSED_FORMAT ? name : extension, 1);
}

void clipdat_passed_merge(clip_passed *sum, const clip_passed *more)
{
    for (int i = 0; i < more->kinds; i++)
        count_files(sum, more->kind[i].why, more->kind[i].name, more->kind[i].n);
    clipdat_passed_sort(sum);
}

void clipdat_passed_drop(clip_passed *p, const char *extension)
{
    clip_passed_kind *k = find_kind(p, CLIP_PASSED_NOT_PICTURE, extension);
    if (!k)
        return;
    p->n -= k->n;
    memmove(k, k + 1, (size_t)(&p->kind[p->kinds--] - (k + 1)) * sizeof *k);
}

static int by_reason(const void *a, const void *b)
{
    const clip_passed_kind *x = a, *y = b;
    if (x->why != y->why)
        return x->why < y->why ? -1 : 1;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return strcmp(x->name, y->name);
}

void clipdat_passed_sort(clip_passed *p) { qsort(p->kind, (size_t)p->kinds, sizeof *p->kind, by_reason); }
