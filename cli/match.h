/* match.h: what the files of `clip match` share: pairs, scored. */
#ifndef MATCH_H
#define MATCH_H

#include "eval.h"

typedef struct match_job {
    const char *texts_arg, *files_from, *fitted_arg, *output;
    int delimiter, hardest;
    int batch; /* 0: not given */
    eval_options eval;
    cli_session session;
    clip_match match;
    bool fitted; /* there are probabilities */
    bool json;
} match_job;

/* Pairs: every caption with its picture. */
typedef struct match_pairs {
    eval_data data;
    float *image, *text; /* [n, D] */
    int32_t *picture;    /* [n] of data */
    int n;
} match_pairs;

/* match_read(): embed them. match_pairs_free() takes zeros, and what a failure left. */
int match_read(match_job *j, const char *spec, match_pairs *out);
void match_pairs_free(match_pairs *p);

/* match_score(): a cosine as people (a line's beginning, no newline) or programs (keys of the object that is open) get it. */
void match_score(const match_job *j, cli_json *o, float cosine);

/* Modes of their own (match_sets.c). Each prints what it finds. */
int match_fit(match_job *j, const char *spec);
int match_evaluate(match_job *j, const char *spec);
int match_hardest(match_job *j, const char *spec);
int match_winoground(match_job *j, const char *spec);

#endif
