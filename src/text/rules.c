/* The rules of OpenCLIP and of Hugging Face's transformers, a row each. */
#include "text/rules.h"

#include <stddef.h>

#include "text/vocab.h"

/* The regular expression ignores case, so that it finds a long s where the token has an s. The
 * token's name is compared exactly. */
static const cliptok_written openclip_written[] = {
    {CLIPTOK_START_OPENCLIP, CLIPTOK_IS_START},
    {CLIPTOK_END_OPENCLIP, CLIPTOK_IS_END},
    {"<\xC5\xBFtart_of_text>", CLIPTOK_IS_WORD},
    {NULL, CLIPTOK_IS_WORD},
};

/* A token that is written exactly has been found before cleaning. Another spelling is one match,
 * which the byte-level step takes apart again. */
static const cliptok_written huggingface_written[] = {
    {CLIPTOK_START, CLIPTOK_IS_BRACKET},
    {CLIPTOK_END, CLIPTOK_IS_BRACKET},
    {NULL, CLIPTOK_IS_WORD},
};

const cliptok_rules cliptok_openclip = {
    .name = "OpenCLIP",
    .unicode = &cliptok_unicode_python,
    .clean = cliptok_clean_openclip,
    .is_plain = cliptok_plain_openclip,
    .written = openclip_written,
    .long_s = true,
};

const cliptok_rules cliptok_huggingface = {
    .name = "Hugging Face",
    .unicode = &cliptok_unicode_rust,
    .clean = cliptok_clean_huggingface,
    .is_plain = cliptok_plain_huggingface,
    .written = huggingface_written,
    .one_by_one = true,
    .added_tokens = true,
    .by_class = true,
};

#define OPENCLIP_HF                                                                             \
    .unicode = &cliptok_unicode_rust, .mend = cliptok_mend_openclip, .clean = cliptok_clean_huggingface, \
    .is_plain = cliptok_plain_huggingface, .written = huggingface_written, .one_by_one = true, .added_tokens = true

/* open_clip.HFTokenizer, clean="whitespace": OpenCLIP mends a text, then transformers reads it. */
const cliptok_rules cliptok_openclip_hf = {
    .name = "OpenCLIP's HFTokenizer",
    OPENCLIP_HF,
    .tidy = CLIPTOK_TIDY_JOIN,
};

/* The same with strip_sep_token, for CLIPA. */
const cliptok_rules cliptok_openclip_clipa = {
    .name = "OpenCLIP's CLIPA",
    OPENCLIP_HF,
    .tidy = CLIPTOK_TIDY_JOIN,
    .end_is_zero = true,
};

/* open_clip.HFTokenizer, clean="canonicalize", for SigLIP and SigLIP 2. */
const cliptok_rules cliptok_openclip_canonical = {
    .name = "OpenCLIP's canonicalize",
    OPENCLIP_HF,
    .tidy = CLIPTOK_TIDY_JOIN | CLIPTOK_TIDY_UNDERSCORE | CLIPTOK_TIDY_PUNCTUATION | CLIPTOK_TIDY_LOWER,
};

/* transformers.SiglipTokenizer, which runs SentencePiece. */
const cliptok_rules cliptok_siglip = {
    .name = "SiglipTokenizer",
    .unicode = &cliptok_unicode_rust,
    .clean = cliptok_clean_huggingface,
    .is_plain = cliptok_plain_huggingface,
    .written = huggingface_written,
    .one_by_one = true,
    .added_tokens = true,
    .tidy = CLIPTOK_TIDY_SPACE_SIGNS,
    .tidy_parts = CLIPTOK_TIDY_JOIN | CLIPTOK_TIDY_PUNCTUATION | CLIPTOK_TIDY_LOWER_FIRST,
    .sentence_piece = true,
};

/* transformers.Siglip2Tokenizer. */
const cliptok_rules cliptok_siglip2 = {
    .name = "Siglip2Tokenizer",
    .unicode = &cliptok_unicode_rust,
    .clean = cliptok_clean_huggingface,
    .is_plain = cliptok_plain_huggingface,
    .written = huggingface_written,
    .one_by_one = true,
    .added_tokens = true,
    .lower = true,
};
