/* clean.h: from a text to clean text, which is UTF-8 in lower case, mended or normalised.
 *
 *     OpenCLIP      each line: ftfy.fix_text, html.unescape twice;  between spaces: str.lower
 *     Hugging Face                                                  between spaces: NFC, lower case
 *
 * Lines and runs between spaces are cleaned one after the other, and each is handed on at once.
 * Most lines are plain ASCII, where only the case changes. They pass through a buffer on the
 * stack. */
#ifndef CLIPTOK_CLEAN_H
#define CLIPTOK_CLEAN_H

#include "text/unicode.h"

/* cliptok_take: receives clean text [p, end), which holds whole words. The text lies in a buffer
 * that is valid during the call. Sets *enough once no more text is needed. */
typedef clip_status cliptok_take(void *to, const unsigned char *p, const unsigned char *end, bool *enough);

/* The work of one call. Set the first four members, then call a cliptok_clean_text. */
typedef struct cliptok_cleaner {
    const bool *plain; /* [256], of cliptok_fill_plain() */
    cliptok_take *take;
    void *to;
    bool enough;
    cliptok_points text, line, spare; /* buffers that grow when first needed */
    unsigned char *low;
    size_t low_capacity;
} cliptok_cleaner;

/* cliptok_clean_text: clean the text [p, end) and hand it to c->take, until that has enough.
 * Errors: CLIP_ENOMEM, and those of c->take. */
typedef clip_status cliptok_clean_text(cliptok_cleaner *c, const unsigned char *p, const unsigned char *end);

/* The cleaning of each program, and whether it leaves an ASCII character as it is but for its
 * case. */
cliptok_clean_text cliptok_clean_openclip, cliptok_clean_huggingface;

/* cliptok_mend_openclip(): OpenCLIP's cleaning without the lower case, for the tokenizer of another
 * program. Each line is handed on; white space, as Python sees it, has become a space where a line
 * was not plain. */
cliptok_clean_text cliptok_mend_openclip;
bool cliptok_plain_openclip(uint32_t c);
bool cliptok_plain_huggingface(uint32_t c);

/* cliptok_fill_plain(): a table of bytes: true for the ASCII characters that `is_plain` accepts. */
void cliptok_fill_plain(bool (*is_plain)(uint32_t c), bool plain[256]);

/* cliptok_cleaner_free(): free the buffers. */
void cliptok_cleaner_free(cliptok_cleaner *c);

#endif
