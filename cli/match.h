/* match.h: what the files of `clip match` share: scored pairs (match_pairs.c). */
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
    bool fitted; /* probabilities are available */
    bool json;
} match_job;

/* Pairs: every caption and its picture. */
typedef struct match_pairs {
    eval_data data;
    float *image, *text; /* [n, D] */
    int32_t *picture;    /* [n] of data */
    int n;
} match_pairs;

/* match_read(): embed the pairs. Free *out with match_pairs_free(), also after an error. */
int match_read(match_job *j, const char *spec, match_pairs *out);
void match_pairs_free(match_pairs *p); /* may be called on zeros */

/* match_score(): print a cosine, and its probability if there is one. As text it begins a line. As
 * JSON it adds keys to the open object. */
void match_score(const match_job *j, cli_json *o, float cosine);

/* Further modes (match_sets.c). Each prints its result. */
int match_fit(match_job *j, const char *spec);
int match_evaluate(match_job *j, const char *spec);
int match_hardest(match_job *j, const char *spec);
int match_winoground(match_job *j, const char *spec);

#endif
