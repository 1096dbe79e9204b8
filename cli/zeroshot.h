/* zeroshot.h: what `clip eval zeroshot` tells beyond ranks: a hierarchy's levels (hierarchy.c), which labels are taken for which (confusion.c). */
#ifndef ZEROSHOT_H
#define ZEROSHOT_H

#include "cli.h"

/* A tree over labels, from a file with one name a line, indented below its parent. A name's score is the sum of its leaves' probabilities. */
typedef struct hierarchy_node {
    int parent; /* -1: none */
    int depth;  /* from 0 */
    int label;  /* of a leaf; -1: it has children */
} hierarchy_node;

typedef struct cli_hierarchy {
    cli_list name;        /* [n] */
    hierarchy_node *node; /* [n], parents before their children */
    int *leaf;            /* [L] the node of a label */
    int depths;           /* levels */
} cli_hierarchy;

/* cli_hierarchy_read(): an empty list of labels becomes the tree's leaves; else the two must be the same. cli_hierarchy_free() takes zeros. */
int cli_hierarchy_read(const char *path, cli_list *labels, cli_hierarchy *out);
void cli_hierarchy_free(cli_hierarchy *h);

/* cli_hierarchy_at(): the name at `depth` above a label, or its leaf where that lies higher. */
int cli_hierarchy_at(const cli_hierarchy *h, int label, int depth);

/* cli_hierarchy_best(): the best name at `depth` by the probabilities [L] of the labels; sum: room for [n]. */
int cli_hierarchy_best(const cli_hierarchy *h, const float *probability, int depth, double *sum);

/* cli_confusion_write(): how often each label was taken for each. FILE.csv is for programs, any other name gets a page.
 * count  in  [L, L]: of the pictures of label i, those taken for label j */
int cli_confusion_write(const char *path, const char *title, const cli_list *labels, const int32_t *count);

#endif
