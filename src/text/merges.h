/* merges.h: the merges of a byte-pair encoding, and what they make of a word. Symbols are ids; the
 * pair with the lowest rank is joined first.
 *
 * Filled once, then read by any number of threads. */
#ifndef CLIPTOK_MERGES_H
#define CLIPTOK_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    CLIPTOK_MAX_MERGES = (1 << 20) - 2,
    CLIPTOK_SHORT = 64, /* symbols of a word that is merged without memory of its own */
};

typedef struct cliptok_merges {
    struct cliptok_merge *merge; /* [n], by rank */
    size_t n, capacity;
    uint32_t *pair; /* hash table of merges: [pairs], a power of two, at most half full */
    size_t pairs;
    bool one_by_one; /* merge one occurrence and look again, as Hugging Face does; else all of a rank */
    bool in_order;   /* every merge comes after the merges that make its parts: both orders are the same */
} cliptok_merges;

struct cliptok_merge {
    int32_t left, right, result;
};

/* cliptok_merges_init(): make room for about this many. Free with cliptok_merges_free(), also after
 * an error.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_merges_init(cliptok_merges *m, size_t merges);
void cliptok_merges_free(cliptok_merges *m);

/* cliptok_merges_add(): the pair becomes `result`. It ranks after all merges before it.
 * fault  out  why the merge cannot be added, where the status is CLIP_EFORMAT
 * Errors: CLIP_EFORMAT (the pair is there, or too many pairs share a hash), CLIP_ENOMEM. */
clip_status cliptok_merges_add(cliptok_merges *m, int32_t left, int32_t right, int32_t result, const char **fault);

/* cliptok_merges_apply(): merge the symbols id[0..*n) in place. Time: n log n.
 * Memory: none for up to CLIPTOK_SHORT symbols; else 28 bytes for each, or 44 where the merges are
 * neither in_order nor one_by_one.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_merges_apply(const cliptok_merges *m, int32_t *id, size_t *n);

#endif
