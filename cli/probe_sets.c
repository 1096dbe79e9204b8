/* Labelled pictures, and how they are split into parts. A picture's label is its caption. In a
 * folder without captions it is the folder's name. */
#include <stdlib.h>
#include <string.h>

#include "probe.h"

/* ---- Parts ----------------------------------------------------------------------------------- */

static int put(probe_part *p, const float *image, int32_t label, int D)
{
    if (p->n == p->capacity) {
        const size_t capacity = p->capacity ? 2 * p->capacity : 256;
        float *grown = realloc(p->image, capacity * (size_t)D * sizeof *grown);
        if (grown)
            p->image = grown;
        int32_t *labels = realloc(p->label, capacity * sizeof *labels);
        if (labels)
            p->label = labels;
        if (!grown || !labels)
            return cli_no_memory();
        p->capacity = capacity;
    }
    memcpy(p->image + p->n * (size_t)D, image, (size_t)D * sizeof *image);
    p->label[p->n++] = label;
    return CLI_DONE;
}

static void part_free(probe_part *p)
{
    free(p->image);
    free(p->label);
    *p = (probe_part){0};
}

void probe_sets_free(probe_sets *sets)
{
    cli_list_free(&sets->names);
    part_free(&sets->train);
    part_free(&sets->val);
    part_free(&sets->test);
}

/* ---- Labels ---------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The classes are the labels of the training data. */
static int name_classes(const eval_data *d, cli_list *names)
{
    char **sorted = malloc(d->n * sizeof *sorted);
    int code = sorted ? CLI_DONE : cli_no_memory();
    if (sorted) {
        memcpy(sorted, d->captions.item, d->n * sizeof *sorted); /* one caption for each picture */
        qsort(sorted, d->n, sizeof *sorted, by_text);
    }
    for (size_t i = 0; i < d->n && code == CLI_DONE; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            code = cli_list_add(names, sorted[i]);
    free(sorted);
    return code;
}

static int32_t class_of(const cli_list *names, const char *label)
{
    char *const *found = bsearch(&label, names->item, names->n, sizeof *names->item, by_text);
    return found ? (int32_t)(found - names->item) : -1;
}

/* ---- Splitting ------------------------------------------------------------------------------- */

/* A number that decides a picture's place in the order of its class. It depends on the name alone,
 * not on other pictures. */
static uint64_t draw(const char *key, int seed)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)seed * 0x9e3779b97f4a7c15u; /* FNV-1a */
    for (const char *s = key; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

typedef struct ticket {
    int32_t label;
    uint64_t number;
    size_t at;
} ticket;

static int by_class(const void *a, const void *b)
{
    const ticket *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Split each class, in the order drawn: a fifth for the test, a fifth of the others for validation,
 * the rest for training, up to `shots`. The first picture is always for training. */
static int cut(const eval_data *d, const probe_split *split, int D, probe_sets *sets)
{
    ticket *t = malloc(d->n * sizeof *t);
    if (!t)
        return cli_no_memory();
    for (size_t i = 0; i < d->n; i++)
        t[i] = (ticket){class_of(&sets->names, d->captions.item[i]), draw(d->keys.item[i], split->seed), i};
    qsort(t, d->n, sizeof *t, by_class);
    int code = CLI_DONE, rank = 0, kept = 0, others = 0;
    for (size_t i = 0; i < d->n && code == CLI_DONE; i++) {
        if (i == 0 || t[i].label != t[i - 1].label)
            rank = kept = others = 0;
        probe_part *to = &sets->train;
        if (!split->test && rank % 5 == 4)
            to = &sets->test;
        else if (split->want_val && !split->val && others++ % 5 == 3)
            to = &sets->val;
        rank++;
        if (to == &sets->train && split->shots > 0 && kept++ >= split->shots)
            continue;
        code = put(to, d->image + t[i].at * (size_t)D, t[i].label, D);
    }
    free(t);
    return code;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Read a part that has its own data. All its labels must be known. */
static int read_part(cli_session *s, const char *spec, const eval_options *o, const cli_list *names, probe_part *part,
                     long *failed)
{
    eval_data d;
    DO(eval_read(s, spec, o, &d));
    int code = CLI_DONE;
    for (size_t i = 0; i < d.n && code == CLI_DONE; i++) {
        const int32_t label = class_of(names, d.captions.item[i]);
        if (label < 0)
            code = cli_fail("%s: '%s', the label of %s, has no training picture", spec, d.captions.item[i],
                            d.keys.item[i]);
        else
            code = put(part, d.image + i * (size_t)s->D, label, s->D);
    }
    *failed += d.failed;
    eval_free(&d);
    return code;
}

int probe_read(cli_session *s, const probe_split *split, const eval_options *o, probe_sets *out)
{
    eval_data d;
    *out = (probe_sets){0};
    DO(eval_read(s, split->train, o, &d));
    out->failed = d.failed;
    out->passed = d.passed;
    int code = name_classes(&d, &out->names);
    if (code == CLI_DONE && out->names.n < 2)
        code = cli_fail("%s: all pictures have the label '%s': there is nothing to tell apart", split->train,
                        out->names.item[0]);
    if (code == CLI_DONE)
        code = cut(&d, split, s->D, out);
    eval_free(&d);
    if (code == CLI_DONE && split->val)
        code = read_part(s, split->val, o, &out->names, &out->val, &out->failed);
    if (code == CLI_DONE && split->test)
        code = read_part(s, split->test, o, &out->names, &out->test, &out->failed);
    return code;
}
