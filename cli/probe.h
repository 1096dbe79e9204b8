/* probe.h: what the files of `clip probe` share: labelled pictures, split into parts. */
#ifndef PROBE_H
#define PROBE_H

#include "eval.h"

/* Pictures, each with the number of its class. */
typedef struct probe_part {
    float *image;   /* [n, D] */
    int32_t *label; /* [n] */
    size_t n, capacity;
} probe_part;

typedef struct probe_sets {
    cli_list names; /* of the classes, sorted */
    probe_part train, val, test;
    long failed;    /* samples that could not be read */
    clip_passed passed; /* files of the training data that were skipped */
} probe_sets;

/* Where the parts come from: specs for clip_pairs_open(). If test is NULL, a fifth of each class of
 * the training data is the test part. If val is NULL and want_val is set, a fifth of the rest is
 * the validation part. */
typedef struct probe_split {
    const char *train, *val, *test;
    bool want_val;
    int shots; /* training pictures to keep in each class; 0: all */
    int seed;
} probe_split;

/* probe_read(): read, embed and split. Free *out with probe_sets_free(), also after an error. */
int probe_read(cli_session *s, const probe_split *split, const eval_options *o, probe_sets *out);
void probe_sets_free(probe_sets *sets); /* may be called on zeros */

/* probe_apply(): classify the command's pictures with a stored probe (probe_apply.c). */
int probe_apply(cli_args *a, cli_session *s, const char *dir, int k);

#endif
