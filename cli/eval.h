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
    int32_t *place; /* [n] in the stream of pairs, from 0 */
    cli_list keys; /* [n] what the pictures are called */
    cli_list captions;
    size_t n, capacity;
    long failed; /* samples that were reported and left out, and parts of folders that could not be listed */
    clip_passed passed; /* files in folders that were passed over */
} eval_data;

/* The options that all kinds take, for their tables and their switches. */
enum { EVAL_CAPTIONS = CLI_LONG, EVAL_IMAGE_KEY, EVAL_CAPTION_KEY, EVAL_OWN };
#define EVAL_KEYS                                                                                                  \
    {EVAL_IMAGE_KEY, "image-key", "NAME", "the column of a table that holds the pictures' paths (default: filepath)"}, \
    {EVAL_CAPTION_KEY, "caption-key", "NAME", "the column of a table that holds the captions (default: title)"}

typedef struct eval_options {
    eval_captions captions;
    clip_pairs_options pairs;
    bool quiet; /* no word about samples that cannot be read */
} eval_options;

/* eval_option(): take one of the three. all: may --captions be "all"? */
int eval_option(const cli_args *a, int id, bool all, eval_options *o);

/* eval_operand(): the one operand, the data; NULL after a message. */
const char *eval_operand(const cli_args *a);

/* eval_read(): embed every picture of the data. eval_free() takes zeros. */
int eval_read(cli_session *s, const char *spec, const eval_options *o, eval_data *out);
void eval_free(eval_data *d);

/* Both ways of retrieval (eval_retrieval.c). */
typedef struct eval_retrieved {
    float *text;                     /* [C, D] the captions */
    int32_t *image_rank, *text_rank; /* [n] of the best placed caption of a picture, [C] of the picture of a caption; 0 is best */
    clip_rank_metrics image_to_text, text_to_image;
} eval_retrieved;

/* eval_retrieve(): eval_retrieved_free() takes zeros, and what a failure left. */
int eval_retrieve(cli_session *s, const char *spec, const eval_data *d, eval_retrieved *out);
void eval_retrieved_free(eval_retrieved *r);

extern const cli_command eval_retrieval, eval_zeroshot;

#endif
