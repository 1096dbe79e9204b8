/* zeroshot.h: what `clip classify` and `clip eval zeroshot` do with labels beyond the best one: hierarchies (hierarchy.c), which labels are taken
 * for which (confusion.c), several labels a picture (eval_multilabel.c). */
#ifndef ZEROSHOT_H
#define ZEROSHOT_H

#include "eval.h"

/* A tree over labels, from a file with one name a line, indented below its parent. A name's score is the sum of its leaves' probabilities. */
typedef struct hierarchy_node {
    int parent; /* -1: none */
    int depth;  /* from 0 */
    int label;  /* of a leaf; -1: it has children */
    long line;  /* of the file, from 1 */
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

/* cli_hierarchy_sums(): from the probabilities [L] of the labels, those of all names: sum [n]. */
void cli_hierarchy_sums(const cli_hierarchy *h, const float *probability, double *sum);

/* cli_hierarchy_best(): the best name at `depth`; leaves that lie higher take part. */
int cli_hierarchy_best(const cli_hierarchy *h, const double *sum, int depth);

/* cli_hierarchy_pick(): these leaves and the names above them, as a tree is printed: parents before what is below them, the more probable first.
 * hit     in   [k] the leaves, by their labels
 * sum     in   [n] from cli_hierarchy_sums()
 * picked  out  room for [n] nodes; how many is returned, -1 after "out of memory" */
int cli_hierarchy_pick(const cli_hierarchy *h, const cli_hit *hit, int k, const double *sum, int *picked);

/* What `clip eval zeroshot` has read when it measures. */
typedef struct zeroshot_data {
    const char *spec;
    cli_session *session;
    eval_data *data;
    const cli_list *labels;
    const float *label; /* [L, D] */
    size_t templates;
    const char *templates_arg; /* NULL: not given */
} zeroshot_data;

/* zeroshot_cosines(): of every picture with every label, [n, L]; *out is the caller's to free(), also on failure. */
int zeroshot_cosines(const zeroshot_data *z, float **out);

/* zeroshot_multilabel(): measure labels by thresholds, and print it.
 * threshold  in   [L]; not read where they are fitted
 * fit        in   where to write those that are fitted on every second picture; NULL: nothing is fitted */
int zeroshot_multilabel(const zeroshot_data *z, const float *threshold, const char *fit, bool json);

/* cli_confusion_write(): how often each label was taken for each. FILE.csv is for programs, any other name gets a page.
 * count  in  [L, L]: of the pictures of label i, those taken for label j */
int cli_confusion_write(const char *path, const char *title, const cli_list *labels, const int32_t *count);

#endif
