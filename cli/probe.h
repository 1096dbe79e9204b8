/* probe.h: what the files of `clip probe` share: labelled pictures, cut into parts. */
#ifndef PROBE_H
#define PROBE_H

#include "eval.h"

/* Pictures with the number of their class. */
typedef struct probe_part {
    float *image;   /* [n, D] */
    int32_t *label; /* [n] */
    size_t n, capacity;
} probe_part;

typedef struct probe_sets {
    cli_list names; /* of the classes, by their text */
    probe_part train, val, test;
    long failed;    /* samples that could not be read */
    clip_passed passed; /* of the training data */
} probe_sets;

typedef struct probe_split {
    const char *train, *val, *test; /* what clip_pairs_open() takes; val and test NULL: a fifth of the pictures of each class is taken from what is there */
    bool want_val;                  /* false: without val there is no validation part */
    int shots;                      /* keep so many training pictures a class; 0: all */
    int seed;
} probe_split;

/* probe_read(): read, embed and cut. probe_sets_free() takes zeros, and what a failure left. */
int probe_read(cli_session *s, const probe_split *split, const eval_options *o, probe_sets *out);
void probe_sets_free(probe_sets *sets);

/* probe_apply(): classify the command's pictures by a probe that was stored (probe_apply.c). */
int probe_apply(cli_args *a, cli_session *s, const char *dir, int k);

#endif
