/* tidy.h: what programs do to a text before a tokenizer sees it, for tokenizers that keep case and
 * spaces by themselves. clean.h is for CLIP's own. */
#ifndef CLIPTOK_TIDY_H
#define CLIPTOK_TIDY_H

#include "text/charsmap.h"

struct cliptok_rules;

/* Flags of a row of rules. */
enum {
    CLIPTOK_TIDY_JOIN = 1,         /* runs of white space become one space; none at the ends */
    CLIPTOK_TIDY_UNDERSCORE = 2,   /* "_" becomes a space */
    CLIPTOK_TIDY_PUNCTUATION = 4,  /* ASCII's punctuation goes */
    CLIPTOK_TIDY_LOWER = 8,        /* str.lower() */
    CLIPTOK_TIDY_LOWER_FIRST = 16, /* str.lower(), before punctuation goes */
    CLIPTOK_TIDY_SPACE_SIGNS = 32, /* U+2581 becomes a space */
};

/* cliptok_tidy(): append a text that is UTF-8, tidied.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_tidy(unsigned how, const unsigned char *text, size_t n, cliptok_bytes *out);

/* cliptok_tidy_begin(): the beginning of text[0..size), mended and tidied as the rules say, in
 * UTF-8. It ends where a word ends.
 * enough  in   go on until there are so many bytes, or the text ends
 * out     out  is overwritten
 * all     out  is it the whole text?
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_tidy_begin(const struct cliptok_rules *rules, const char *text, size_t size, size_t enough,
                               cliptok_bytes *out, bool *all);

#endif
