/* vqa.h: what the files of `clip vqa` share: tables of questions with embedded pictures. */
#ifndef VQA_H
#define VQA_H

#include "cli.h"

/* The questions of a table. Questions about broken pictures are at the end. */
typedef struct vqa_data {
    clip_asked *asked; /* [all]; the first n have a picture */
    size_t n, all;
    int32_t *row;      /* [n] of `image` */
    float *image;      /* [pictures, D] */
    size_t pictures;
    long failed;       /* broken pictures, all reported; their questions do not count */
} vqa_data;

/* vqa_read(): read a table and embed its pictures. Free *out with vqa_free(), also after an
 * error. */
int vqa_read(cli_session *s, const char *path, vqa_data *out);
void vqa_free(vqa_data *d); /* may be called on zeros */

/* vqa_evaluate(): `clip vqa --eval`: print scores by type of question. For comparison it prints the
 * scores of two ways that ignore the picture: from the question alone, and with the most frequent
 * answer of the type.
 * head     in   NULL: zero-shot
 * options  in   for every question */
int vqa_evaluate(cli_session *s, const char *path, const clip_vqa *head, const clip_question_options *options,
                 bool json);

#endif
