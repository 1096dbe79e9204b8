/* vqa.h: a head with the answers that it chooses among, as the files of this room see it. */
#ifndef CLIPHD_VQA_H
#define CLIPHD_VQA_H

#include "heads/vqa_head.h"

#define CLIPHD_MOST_ANSWERS 1000000

struct clip_vqa {
    cliphd_head net, blind;
    char **answer; /* [net.A] normalised, the most frequent first */
    cliphd_head_fit fit;
};

/* cliphd_vqa_sees(): what a head reads of a picture with this model (vqa_look.c). */
cliphd_look cliphd_vqa_sees(const clip_model *m);

#endif
