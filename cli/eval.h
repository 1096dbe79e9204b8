/* eval.h: what the kinds of `clip eval` share: labelled data, embedded (eval_data.c). */
#ifndef EVAL_H
#define EVAL_H

#include "cli.h"

/* Which captions of a picture count. */
typedef enum eval_captions { EVAL_FIRST, EVAL_LAST, EVAL_ALL } eval_captions;

/* Embedded pictures [n] and their captions. Picture i has captions.item[first[i]] to
 * captions.item[first[i + 1] - 1]. */
typedef struct eval_data {
    float *image; /* [n, D] */
    int32_t *first; /* [n + 1] */
    int32_t *place; /* [n] in the stream of pairs, from 0 */
    cli_list keys; /* [n] names of the pictures */
    cli_list captions;
    size_t n, capacity;
    long failed; /* samples left out and folders that could not be listed, all reported */
    clip_passed passed; /* files in folders that were skipped */
} eval_data;

/* The options that all kinds of `clip eval` take, for their tables and switches. */
enum { EVAL_CAPTIONS = CLI_LONG, EVAL_IMAGE_KEY, EVAL_CAPTION_KEY, EVAL_OWN };
#define EVAL_KEYS                                                                    \
    {EVAL_IMAGE_KEY, "image-key", "NAME",                                            \
     "the column of a table that holds the pictures' paths (default: filepath)"},    \
    {EVAL_CAPTION_KEY, "caption-key", "NAME", "the column of a table that holds the captions (default: title)"}

typedef struct eval_options {
    eval_captions captions;
    clip_pairs_options pairs;
    bool quiet; /* do not report samples that cannot be read */
} eval_options;

/* eval_option(): read one of these three options.
 * all  in   --captions may be "all" */
int eval_option(const cli_args *a, int id, bool all, eval_options *o);

/* eval_operand(): the single operand, which names the data; NULL after a message. */
const char *eval_operand(const cli_args *a);

/* eval_read(): embed every picture of the data. */
int eval_read(cli_session *s, const char *spec, const eval_options *o, eval_data *out);
void eval_free(eval_data *d); /* may be called on zeros */

/* eval_cosines(): the cosine of every picture with each of the L labels.
 * spec   in   for messages
 * label  in   [L, D]
 * out    out  [n, L]; the caller free()s it, also after an error */
int eval_cosines(cli_session *s, const char *spec, const eval_data *d, const float *label, size_t L, float **out);

/* Retrieval in both directions (eval_retrieval.c). Rank 0 is best. */
typedef struct eval_retrieved {
    float *text;                     /* [C, D] the captions */
    int32_t *image_rank;             /* [n] of a picture's best placed caption */
    int32_t *text_rank;              /* [C] of a caption's picture */
    clip_rank_metrics image_to_text, text_to_image;
} eval_retrieved;

/* eval_retrieve(): embed the captions and rank both ways. Free *out with eval_retrieved_free(),
 * also after an error. */
int eval_retrieve(cli_session *s, const char *spec, const eval_data *d, eval_retrieved *out);
void eval_retrieved_free(eval_retrieved *r); /* may be called on zeros */

extern const cli_command eval_retrieval, eval_zeroshot;

#endif
