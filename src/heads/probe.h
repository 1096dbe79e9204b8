/* probe.h: clip_probe, as its files see it. */
#ifndef CLIPHD_PROBE_H
#define CLIPHD_PROBE_H

#include "heads/probe_kinds.h"

struct clip_probe {
    clip_probe_info info;
    char **name;   /* [C] */
    int *pictures; /* [C] pictures kept of each class: NEIGHBOURS and CACHE */
    int C, D, N;   /* N: pictures kept */
    float *theta;  /* LINEAR: [C*D + C] weights, then biases */
    float *key;    /* [N, D], ordered by class */
    int32_t *y;    /* [N] */
    float *text;   /* CACHE: [C, D] */
    double logit_scale;
};

/* cliphd_probe_allocate(): room for the arrays of its kind, by C, D and N.
 * Errors: CLIP_ENOMEM. Free it with cliphd_probe_free() also then. */
clip_status cliphd_probe_allocate(clip_probe *p);

/* cliphd_probe_cache(): the probe as a cache; it points into the probe. */
cliphd_cache cliphd_probe_cache(const clip_probe *p);

#endif
