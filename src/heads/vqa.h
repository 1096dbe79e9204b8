/* vqa.h: a head with the words it chooses among, as the files of this room see it. */
#ifndef CLIPHD_VQA_H
#define CLIPHD_VQA_H

#include "heads/vqa_head.h"

struct clip_vqa {
    cliphd_head net, blind;
    char **answer; /* [net.A], normalised, the most frequent first */
    cliphd_head_fit fit;
};

/* vqa_look.c: what a head may see of a picture. */
cliphd_look cliphd_vqa_sees(const clip_model *m);

#endif
