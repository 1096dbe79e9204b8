/* charsmap.h: the "precompiled charsmap" of SentencePiece's models, which replaces characters and
 * sequences of characters (Unicode's NFKC and a few of its own). It is a double array (darts-clone)
 * over bytes, whose values are places in a list of replacements:
 *
 *     size of the array in bytes: 4 bytes | the array: 4 bytes each | replacements, each ended 
 *
 * Two programs read it in two ways. SentencePiece replaces the longest sequence. Hugging Face's
 * tokenizers look at a grapheme of less than 6 bytes, and else at each character, and take the
 * shortest entry there; the rest of such a grapheme is lost. */
#ifndef CLIPTOK_CHARSMAP_H
#define CLIPTOK_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* A growing run of bytes; {0} is an empty one. Free `p` at the end. */
typedef struct cliptok_bytes {
    unsigned char *p;
    size_t n, capacity;
} cliptok_bytes;

/* cliptok_bytes_put(): append some.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_bytes_put(cliptok_bytes *b, const void *p, size_t n);

typedef struct cliptok_charsmap {
    unsigned char *data; /* NULL: nothing is replaced */
    size_t units;        /* of the array, which begins at data + 4 */
    size_t size;
} cliptok_charsmap;

/* cliptok_charsmap_set(): take a copy of these bytes. Free with cliptok_charsmap_free().
 * Errors: CLIP_EFORMAT (the sizes do not fit, or a replacement is not UTF-8), CLIP_ENOMEM. */
clip_status cliptok_charsmap_set(cliptok_charsmap *m, const void *data, size_t size, const char *file, clip_error *err);
void cliptok_charsmap_free(cliptok_charsmap *m);

/* cliptok_charsmap_longest(): the longest entry that text[0..n) begins with.
 * length  out  bytes that it replaces; 0: there is none
 * @return: the replacement, ended by 0 */
const char *cliptok_charsmap_longest(const cliptok_charsmap *m, const unsigned char *text, size_t n, size_t *length);

/* cliptok_charsmap_apply(): append text[0..n), which is UTF-8, as Hugging Face's tokenizers replace
 * it.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_charsmap_apply(const cliptok_charsmap *m, const unsigned char *text, size_t n, cliptok_bytes *out);

#endif
