/* A tree over labels, as people write one:
 *
 *     animals
 *         a cat
 *         a dog
 *     plants
 *         a tree
 *
 * A blank and a tab count as one column each. A line that is indented deeper than the line before
 * is its child. No line can be its own descendant, so there are no cycles. */
#include <stdlib.h>
#include <string.h>

#include "zeroshot.h"

enum { DEEPEST = 100 };

/* The open branch: nodes from the root down, and the indentation of each. */
typedef struct branch {
    int node[DEEPEST];
    size_t column[DEEPEST];
    int n;
} branch;

static int add(const cli_lines *l, char *line, branch *b, cli_hierarchy *h, size_t *capacity)
{
    const size_t column = strspn(line, " \t");
    char *text = line + column;
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]))
        text[--n] = 0;
    if (n == 0)
        return CLI_DONE;
    while (b->n > 0 && b->column[b->n - 1] >= column)
        b->n--;
    if (b->n == DEEPEST)
        return cli_fail("%s: line %ld is more than %d levels deep", l->name, l->number, DEEPEST);
    if (h->name.n == *capacity) {
        const size_t more = *capacity ? 2 * *capacity : 64;
        hierarchy_node *node = realloc(h->node, more * sizeof *node);
        if (!node)
            return cli_no_memory();
        h->node = node;
        *capacity = more;
    }
    const int id = (int)h->name.n, parent = b->n > 0 ? b->node[b->n - 1] : -1;
    h->node[id] = (hierarchy_node){.parent = parent, .depth = b->n, .label = 0, .line = l->number};
    if (parent >= 0)
        h->node[parent].label = -1;
    if (b->n >= h->depths)
        h->depths = b->n + 1;
    b->node[b->n] = id;
    b->column[b->n++] = column;
    return cli_list_add(&h->name, text);
}

static int check_names(const char *path, const cli_hierarchy *h)
{
    cli_name *sorted;
    DO(cli_list_sort(&h->name, &sorted));
    int code = CLI_DONE;
    for (size_t i = 1; i < h->name.n && code == CLI_DONE; i++)
        if (strcmp(sorted[i].text, sorted[i - 1].text) == 0)
            code = cli_fail("%s: line %ld: '%s' occurs twice", path, h->node[sorted[i].at].line, sorted[i].text);
    free(sorted);
    return code;
}

static int match_leaves(const char *path, const cli_list *labels, const cli_name *sorted, cli_hierarchy *h)
{
    for (size_t l = 0; l < labels->n; l++)
        h->leaf[l] = -1;
    for (size_t i = 0; i < h->name.n; i++) {
        if (h->node[i].label < 0)
            continue;
        const int32_t label = cli_list_find(sorted, labels->n, h->name.item[i]);
        if (label < 0)
            return cli_fail("%s: the leaf '%s' is not on the list of labels", path, h->name.item[i]);
        h->node[i].label = label;
        h->leaf[label] = (int)i;
    }
    for (size_t l = 0; l < labels->n; l++)
        if (h->leaf[l] < 0)
            return cli_fail("%s: the label '%s' is not among its leaves", path, labels->item[l]);
    return CLI_DONE;
}

/* The leaves and the labels have to be the same names. */
static int match(const char *path, cli_list *labels, cli_hierarchy *h)
{
    cli_name *sorted = NULL;
    const bool given = labels->n > 0;
    for (size_t i = 0; i < h->name.n && !given; i++)
        if (h->node[i].label >= 0)
            DO(cli_list_add(labels, h->name.item[i]));
    h->leaf = malloc((labels->n + 1) * sizeof *h->leaf);
    if (!h->leaf)
        return cli_no_memory();
    int code = cli_list_sort(labels, &sorted);
    if (code == CLI_DONE)
        code = match_leaves(path, labels, sorted, h);
    free(sorted);
    return code;
}

int cli_hierarchy_read(const char *path, cli_list *labels, cli_hierarchy *h)
{
    cli_lines l;
    char *line;
    branch b = {.n = 0};
    size_t capacity = 0;
    *h = (cli_hierarchy){0};
    int code = cli_lines_open(&l, path, '\n');
    while (code == CLI_DONE && (code = cli_lines_next(&l, &line)) == CLI_DONE && line)
        code = add(&l, line, &b, h, &capacity);
    cli_lines_close(&l);
    if (code == CLI_DONE && h->name.n == 0)
        code = cli_fail("%s: no label in it", path);
    if (code == CLI_DONE)
        code = check_names(path, h);
    return code == CLI_DONE ? match(path, labels, h) : code;
}

void cli_hierarchy_free(cli_hierarchy *h)
{
    cli_list_free(&h->name);
    free(h->node);
    free(h->leaf);
    *h = (cli_hierarchy){0};
}

int cli_hierarchy_at(const cli_hierarchy *h, int label, int depth)
{
    int i = h->leaf[label];
    while (h->node[i].depth > depth)
        i = h->node[i].parent;
    return i;
}

void cli_hierarchy_sums(const cli_hierarchy *h, const float *probability, double *sum)
{
    for (size_t i = 0; i < h->name.n; i++)
        sum[i] = h->node[i].label >= 0 ? (double)probability[h->node[i].label] : 0;
    for (size_t i = h->name.n; i-- > 0;) /* children come after their parents */
        if (h->node[i].parent >= 0)
            sum[h->node[i].parent] += sum[i];
    for (size_t i = 0; i < h->name.n; i++)
        sum[i] = sum[i] > 1 ? 1 : sum[i]; /* rounding */
}

int cli_hierarchy_best(const cli_hierarchy *h, const double *sum, int depth)
{
    int best = -1;
    for (size_t i = 0; i < h->name.n; i++)
        if ((h->node[i].depth == depth || (h->node[i].depth < depth && h->node[i].label >= 0)) &&
            (best < 0 || sum[i] > sum[best]))
            best = (int)i;
    return best;
}

/* ---- Printing order -------------------------------------------------------------------------- */

typedef struct ordering {
    const cli_hierarchy *h;
    const double *sum;
} ordering;

/* Compare two names where their branches part. The more probable comes first; of equal ones the
 * earlier in the file. */
static int as_printed(const void *a, const void *b, void *user)
{
    const ordering *o = user;
    const hierarchy_node *node = o->h->node;
    int x = *(const int *)a, y = *(const int *)b;
    const int deeper = node[x].depth - node[y].depth;
    while (node[x].depth > node[y].depth)
        x = node[x].parent;
    while (node[y].depth > node[x].depth)
        y = node[y].parent;
    if (x == y)
        return deeper; /* one is an ancestor of the other */
    while (node[x].parent != node[y].parent) {
        x = node[x].parent;
        y = node[y].parent;
    }
    return o->sum[x] != o->sum[y] ? (o->sum[x] < o->sum[y] ? 1 : -1) : x - y;
}

int cli_hierarchy_pick(const cli_hierarchy *h, const cli_hit *hit, int k, const double *sum, int *picked)
{
    bool *in = calloc(h->name.n, sizeof *in);
    int n = 0;
    if (!in) {
        cli_no_memory();
        return -1;
    }
    for (int i = 0; i < k; i++)
        for (int at = h->leaf[hit[i].label]; at >= 0 && !in[at]; at = h->node[at].parent) {
            in[at] = true;
            picked[n++] = at;
        }
    free(in);
    qsort_r(picked, (size_t)n, sizeof *picked, as_printed, &(ordering){h, sum});
    return n;
}
