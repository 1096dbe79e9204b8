/* unicode.h: the part of Unicode that tokenizers need, as the programs that they follow see it.
 *
 * The library utf8proc knows the characters. unicode.inc lists where OpenCLIP (Python's str and
 * unicodedata, module regex) and Hugging Face's tokenizers (Oniguruma, Rust) differ from it. Most
 * differences come from their versions of Unicode. */
#ifndef CLIPTOK_UNICODE_H
#define CLIPTOK_UNICODE_H

#include <stdbool.h>

#include "base/status.h"

/* What a program knows of characters: its version of Unicode and the libraries that read it. */
typedef struct cliptok_unicode {
    int column;            /* of the tables in unicode.inc */
    bool splits_at_iota;   /* U+0345 is neither a letter nor among the other characters */
    bool has_final_sigma;  /* lower case looks at the letters beside a capital sigma */
    bool has_new_capitals; /* capitals that came after Python's Unicode have a lower case */
} cliptok_unicode;

extern const cliptok_unicode cliptok_unicode_python, cliptok_unicode_rust;

/* A growing run of code points; {0} is an empty one. */
typedef struct cliptok_points {
    uint32_t *c;
    size_t n, capacity;
} cliptok_points;

/* cliptok_points_reserve(): make room for `more` points beyond n. Growing moves `c`.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_points_reserve(cliptok_points *p, size_t more);

/* cliptok_points_put(): append one.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_points_put(cliptok_points *p, uint32_t c);
void cliptok_points_free(cliptok_points *p);

/* cliptok_utf8_next(): read one character from [*at, end), which must not be empty, and move *at
 * behind it. An invalid sequence is U+FFFD, one for each maximal subpart (Unicode 3.9, table 3-8).
 * Python's errors="replace" and Rust's from_utf8_lossy do the same. */
uint32_t cliptok_utf8_next(const unsigned char **at, const unsigned char *end);

/* cliptok_utf8_put(): write `c`.
 * @return: the number of bytes, 1 to 4 */
int cliptok_utf8_put(uint32_t c, unsigned char *out);

/* cliptok_utf8_error(): where the first invalid sequence begins; n if there is none. */
size_t cliptok_utf8_error(const unsigned char *p, size_t n);

/* The class of a character in the regular expression that finds words: \p{L}, \p{N}, \s, or
 * [^\s\p{L}\p{N}]. NOTHING: the character is in none of them. */
enum { CLIPTOK_OTHER, CLIPTOK_LETTER, CLIPTOK_NUMBER, CLIPTOK_SPACE, CLIPTOK_NOTHING };
int cliptok_kind(uint32_t c, const cliptok_unicode *u);

/* cliptok_space(): \s, in both programs. cliptok_python_space(): str.isspace(). */
bool cliptok_space(uint32_t c);
bool cliptok_python_space(uint32_t c);
bool cliptok_python_alnum(uint32_t c); /* str.isalnum() */
bool cliptok_python_digit(uint32_t c); /* \d: category Nd */

/* cliptok_unspaced(): the number of characters that a token may have, for a character of a script
 * without blanks between words (classes ID and SA of UAX #14). 1: Chinese characters and kana. 4:
 * letters of Thai, Lao, Burmese, Khmer and their neighbours. 0: other scripts, any number. */
int cliptok_unspaced(uint32_t c);

/* cliptok_lower(): append the lower case of word[0..n) to `out`: str.lower(), or Rust's
 * to_lowercase() of each character. The rule for the final sigma looks around, so `word` must begin
 * and end at a space or at an end of its text.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_lower(const uint32_t *word, size_t n, const cliptok_unicode *u, cliptok_points *out);

/* cliptok_nfc(): append the normal form C of text[0..n) to `out`.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_nfc(const uint32_t *text, size_t n, const cliptok_unicode *u, cliptok_points *out);

/* cliptok_nfd(): append the normal form D of text[0..n) to `out`.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_nfd(const uint32_t *text, size_t n, const cliptok_unicode *u, cliptok_points *out);

/* What Hugging Face's BERT tokenizer knows of characters: it drops some, strips accents, sets
 * Chinese characters apart, and makes each sign of punctuation a word. */
bool cliptok_bert_drops(uint32_t c);
bool cliptok_bert_accent(uint32_t c);
bool cliptok_bert_chinese(uint32_t c);
bool cliptok_bert_punctuation(uint32_t c);

#endif
