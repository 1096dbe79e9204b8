/* zeroshot.h: what `clip classify` and `clip eval zeroshot` share.
 *
 *     hierarchy.c        a tree over labels
 *     confusion.c        which labels are mistaken for which
 *     eval_multilabel.c  several labels a picture */
#ifndef ZEROSHOT_H
#define ZEROSHOT_H

#include "eval.h"

/* A tree over labels. Its file has one name a line, indented below its parent. A name's score is
 * the sum of the probabilities of its leaves. */
typedef struct hierarchy_node {
    int parent; /* -1: none */
    int depth;  /* from 0 */
    int label;  /* of a leaf; -1: not a leaf */
    long line;  /* of the file, from 1 */
} hierarchy_node;

typedef struct cli_hierarchy {
    cli_list name;        /* [n] */
    hierarchy_node *node; /* [n], parents before their children */
    int *leaf;            /* [L] the node of a label */
    int depths;           /* levels */
} cli_hierarchy;

/* cli_hierarchy_read(): read a tree.
 * labels  in out  if empty, it becomes the tree's leaves; else it is an error if the two differ */
int cli_hierarchy_read(const char *path, cli_list *labels, cli_hierarchy *out);
void cli_hierarchy_free(cli_hierarchy *h); /* may be called on zeros */

/* cli_hierarchy_at(): the name at `depth` above a label, or the label's leaf if that is higher. */
int cli_hierarchy_at(const cli_hierarchy *h, int label, int depth);

/* cli_hierarchy_sums(): the probabilities of all names.
 * probability  in   [L] of the labels
 * sum          out  [n] */
void cli_hierarchy_sums(const cli_hierarchy *h, const float *probability, double *sum);

/* cli_hierarchy_best(): the best name at `depth`, where leaves that are higher count as well. */
int cli_hierarchy_best(const cli_hierarchy *h, const double *sum, int depth);

/* cli_hierarchy_pick(): leaves and the names above them, in the order of a printed tree: parents
 * before children, the more probable first.
 * hit     in   [k] labels of the leaves
 * sum     in   [n] from cli_hierarchy_sums()
 * picked  out  room for n nodes
 * @return: the number of nodes; -1 after "out of memory". */
int cli_hierarchy_pick(const cli_hierarchy *h, const cli_hit *hit, int k, const double *sum, int *picked);

/* The data that `clip eval zeroshot` measures. */
typedef struct zeroshot_data {
    const char *spec;
    cli_session *session;
    eval_data *data;
    const cli_list *labels;
    const float *label; /* [L, D] */
    size_t templates;
    const char *templates_arg; /* NULL: not given */
} zeroshot_data;

/* zeroshot_multilabel(): measure how well thresholds choose labels, and print the result.
 * threshold  in   [L]; not read if thresholds are fitted
 * fit        in   the file for thresholds fitted on every second picture; NULL: do not fit */
int zeroshot_multilabel(const zeroshot_data *z, const float *threshold, const char *fit, bool json);

/* cli_confusion_write(): write how often each label was taken for each other. FILE.csv becomes a
 * table for programs, any other name a page.
 * count  in   [L, L] number of pictures of label i that were taken for label j */
int cli_confusion_write(const char *path, const char *title, const cli_list *labels, const int32_t *count);

#endif
