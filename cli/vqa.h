/* vqa.h: what the files of `clip vqa` share: tables of questions, their pictures embedded. */
#ifndef VQA_H
#define VQA_H

#include "cli.h"

/* The questions of a table whose pictures could be read. */
typedef struct vqa_data {
    clip_asked *asked; /* [n]; the table is [all] */
    size_t n, all;
    int32_t *row;      /* [n] of `image` */
    float *image;      /* [pictures, D] */
    size_t pictures;
    long failed;       /* pictures that were reported; their questions are left out */
} vqa_data;

/* vqa_read(): vqa_free() takes zeros, and what a failure left. */
int vqa_read(cli_session *s, const char *path, vqa_data *out);
void vqa_free(vqa_data *d);

/* vqa_evaluate(): `clip vqa --eval`: scores by type of question, beside what the question alone tells and what the most frequent answer of a type gets.
 * head     in   NULL: zero-shot
 * options  in   for every question */
int vqa_evaluate(cli_session *s, const char *path, const clip_vqa *head, const clip_question_options *options,
                 bool json);

#endif
