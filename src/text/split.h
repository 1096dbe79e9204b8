/* split.h: clean text cut into words, as CLIP's regular expression does:
 *
 *     special | 's|'t|'re|'ve|'m|'ll|'d | \p{L}+ | \p{N} | [^\s\p{L}\p{N}]+ */
#ifndef CLIPTOK_SPLIT_H
#define CLIPTOK_SPLIT_H

#include "text/rules.h"

/* Filled once, then read by any number of threads. */
typedef struct cliptok_splitter {
    const cliptok_rules *rules;
    unsigned char kind[128]; /* of ASCII characters; see cliptok_kind() */
} cliptok_splitter;

/* A word of clean text, or a special token that is written out there. */
typedef struct cliptok_word {
    const unsigned char *text;
    size_t n;
    cliptok_meaning meaning;
} cliptok_word;

/* cliptok_splitter_init(): fill `s` for these rules. */
void cliptok_splitter_init(cliptok_splitter *s, const cliptok_rules *rules);

/* cliptok_split(): find the next word in [*p, end) and move *p behind it.
 * @return: false: no word is left */
bool cliptok_split(const cliptok_splitter *s, const unsigned char **p, const unsigned char *end, cliptok_word *out);

#endif
