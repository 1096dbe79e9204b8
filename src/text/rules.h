/* rules.h: everything in which the programs that tokenizers follow differ, as one row of settings
 * for each program. Code reads a field; it does not ask which program it is. */
#ifndef CLIPTOK_RULES_H
#define CLIPTOK_RULES_H

#include "text/clean.h"
#include "text/tidy.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* What a written-out special token stands for. */
typedef enum cliptok_meaning {
    CLIPTOK_IS_WORD,    /* a word like others, although it looks like a special token */
    CLIPTOK_IS_START,   /* the token that starts a text */
    CLIPTOK_IS_END,     /* the token that ends a text */
    CLIPTOK_IS_BRACKET, /* three words: two bytes of bracket, a name, two bytes of bracket */
} cliptok_meaning;

/* A special token as it can be written in clean text. It begins with '<'. */
typedef struct cliptok_written {
    const char *text;
    cliptok_meaning meaning;
} cliptok_written;

struct cliptok_rules {
    const char *name;               /* the program, as in "OpenCLIP's rules" */
    const cliptok_unicode *unicode; /* what the program knows of characters */
    cliptok_clean_text *clean;      /* from a text to clean text */
    cliptok_clean_text *mend;       /* before anything else; NULL: nothing */
    bool (*is_plain)(uint32_t c);   /* does cleaning change nothing but the case of this ASCII character? */
    const cliptok_written *written; /* ended by a row of NULL */
    bool long_s;                    /* "'ſ" is a contraction, as "'s" is */
    bool one_by_one;                /* the order of merges: one at a time, or all of a rank (bpe.c) */
    bool added_tokens;              /* files name special tokens, more of them, and the padding (added.h) */
    unsigned tidy;                  /* other tokenizers than CLIP's: what is done to a text (tidy.h) */
    unsigned tidy_parts;            /* the same for each part between added tokens */
    bool sentence_piece;            /* SentencePiece itself reads its model file, not Hugging Face's tokenizers */
    bool by_class;                  /* the class that files name may have rules of its own: SiglipTokenizer */
    bool lower;                     /* the normalizer begins with lower case, as Siglip2Tokenizer's */
    bool end_is_zero;               /* the end token becomes id 0, as by OpenCLIP's strip_sep_token */
};

#endif
