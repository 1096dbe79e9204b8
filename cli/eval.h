/* eval.h: what the kinds of `clip eval` share: labelled data, embedded. */
#ifndef EVAL_H
#define EVAL_H

#include "cli.h"

/* Which captions of a picture count. */
typedef enum eval_captions { EVAL_FIRST, EVAL_LAST, EVAL_ALL } eval_captions;

/* Pictures [n] embedded, with their captions: those of picture i are captions.item[first[i]] .. captions.item[first[i+1]-1]. */
typedef struct eval_data {
    float *image; /* [n, D] */
    int32_t *first; /* [n + 1] */
    cli_list captions;
    size_t n, capacity;
    long failed; /* samples that were reported and left out */
} eval_data;

/* The options that all kinds take, for their tables and their switches. */
enum { EVAL_CAPTIONS = CLI_LONG, EVAL_IMAGE_KEY, EVAL_CAPTION_KEY, EVAL_OWN };
#define EVAL_KEYS                                                                                                  \
    {EVAL_IMAGE_KEY, "image-key", "NAME", "the column of a table that holds the pictures' paths (default: filepath)"}, \
    {EVAL_CAPTION_KEY, "caption-key", "NAME", "the column of a table that holds the captions (default: title)"}

typedef struct eval_options {
    eval_captions captions;
    clip_pairs_options pairs;
} eval_options;

/* eval_option(): take one of the three. all: may --captions be "all"? */
int eval_option(const cli_args *a, int id, bool all, eval_options *o);

/* eval_operand(): the one operand, the data; NULL after a message. */
const char *eval_operand(const cli_args *a);

/* eval_read(): embed every picture of the data. eval_free() takes zeros. */
int eval_read(cli_session *s, const char *spec, const eval_options *o, eval_data *out);
void eval_free(eval_data *d);

extern const cli_command eval_retrieval, eval_zeroshot;

#endif
