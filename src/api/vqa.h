/* vqa.h: a head with the words it chooses among, as the files of this room see it. */
#ifndef CLIP_API_VQA_H
#define CLIP_API_VQA_H

#include "tasks/vqa_head.h"

struct clip_vqa {
    cliptsk_head net, blind;
    char **answer; /* [net.A], normalised, the most frequent first */
    cliptsk_head_fit fit;
};

/* vqa_look.c: what a head may see of a picture. */
cliptsk_look clip_vqa_sees(const clip_model *m);

#endif
