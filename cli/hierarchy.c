/* A tree over labels, as people write one:
 *
 *     animals
 *         a cat
 *         a dog
 *     plants
 *         a tree
 *
 * Blanks and tabs count as one column each; what is indented deeper than the line before is below it. No line can be below itself, so there are no circles. */
#include <stdlib.h>
#include <string.h>

#include "zeroshot.h"

enum { DEEPEST = 100 };

static int find(const cli_list *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->item[i], text) == 0)
            return (int)i;
    return -1;
}

/* The open branch: nodes one below the other, and how far each is indented. */
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
    if (find(&h->name, text) >= 0)
        return cli_fail("%s: line %ld: '%s' is there twice", l->name, l->number, text);
    if (h->name.n == *capacity) {
        const size_t more = *capacity ? 2 * *capacity : 64;
        hierarchy_node *node = realloc(h->node, more * sizeof *node);
        if (!node)
            return cli_no_memory();
        h->node = node;
        *capacity = more;
    }
    const int id = (int)h->name.n, parent = b->n > 0 ? b->node[b->n - 1] : -1;
    h->node[id] = (hierarchy_node){.parent = parent, .depth = b->n, .label = 0};
    if (parent >= 0)
        h->node[parent].label = -1;
    if (b->n >= h->depths)
        h->depths = b->n + 1;
    b->node[b->n] = id;
    b->column[b->n++] = column;
    return cli_list_add(&h->name, text);
}

/* The leaves and the labels: the same names. */
static int match(const char *path, cli_list *labels, cli_hierarchy *h)
{
    const bool given = labels->n > 0;
    for (size_t i = 0; i < h->name.n && !given; i++)
        if (h->node[i].label >= 0)
            DO(cli_list_add(labels, h->name.item[i]));
    h->leaf = malloc((labels->n + 1) * sizeof *h->leaf);
    if (!h->leaf)
        return cli_no_memory();
    for (size_t l = 0; l < labels->n; l++)
        h->leaf[l] = -1;
    for (size_t i = 0; i < h->name.n; i++) {
        if (h->node[i].label < 0)
            continue;
        const int label = find(labels, h->name.item[i]);
        if (label < 0)
            return cli_fail("%s: '%s' has nothing below it and is not on the list of labels", path, h->name.item[i]);
        h->node[i].label = label;
        h->leaf[label] = (int)i;
    }
    for (size_t l = 0; l < labels->n; l++)
        if (h->leaf[l] < 0)
            return cli_fail("%s: the label '%s' is not among its leaves", path, labels->item[l]);
    return CLI_DONE;
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

int cli_hierarchy_best(const cli_hierarchy *h, const float *probability, int depth, double *sum)
{
    int best = -1;
    for (size_t i = 0; i < h->name.n; i++)
        sum[i] = 0;
    for (size_t i = 0; i < h->name.n; i++)
        if (h->node[i].label >= 0)
            sum[cli_hierarchy_at(h, h->node[i].label, depth)] += (double)probability[h->node[i].label];
    for (size_t i = 0; i < h->name.n; i++)
        if ((h->node[i].depth == depth || (h->node[i].depth < depth && h->node[i].label >= 0)) && (best < 0 || sum[i] > sum[best]))
            best = (int)i;
    return best;
}
