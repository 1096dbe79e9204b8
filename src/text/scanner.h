/* scanner.h: JSON read from front to back, without a tree.
 *
 * A tokenizer.json holds a hundred thousand strings: as a tree of cJSON it takes 50 ms and 20 MB to
 * read once, which a program that embeds one line of text would notice. Each call consumes one
 * thing and fails with CLIP_EFORMAT, file and line otherwise.
 *
 *     TRY(cliptok_scan_open(&s, '{'));
 *     while ((more = cliptok_scan_key(&s, &key)) > 0)
 *         TRY(key is one of ours ? read it : cliptok_scan_skip(&s));
 *     if (more < 0) return more; */
#ifndef CLIPTOK_SCANNER_H
#define CLIPTOK_SCANNER_H

#include <stdbool.h>

#include "base/status.h"

/* Bytes of a string; they live in the file, or until the scanner reads the next string but one. */
typedef struct cliptok_string {
    const char *p;
    size_t n;
} cliptok_string;

typedef struct cliptok_scanner {
    const char *begin, *at, *end;
    const char *file; /* for messages */
    clip_error *err;
    bool first;      /* no comma is due before the next element */
    char *decoded[2]; /* the last two strings that had escapes */
    size_t capacity[2];
    int turn;
} cliptok_scanner;

/* cliptok_scan_begin(): read text[0..n), which must outlive the scanner and is checked to be UTF-8;
 * end with cliptok_scan_end(). */
clip_status cliptok_scan_begin(cliptok_scanner *s, const char *text, size_t n, const char *file, clip_error *err);
void cliptok_scan_end(cliptok_scanner *s);

/* cliptok_scan_peek(): the first character of what comes next: { [ " or one of a number, true,
 * false, null; 0 at the end. */
char cliptok_scan_peek(cliptok_scanner *s);

/* cliptok_scan_open(): enter an object '{' or an array '['. */
clip_status cliptok_scan_open(cliptok_scanner *s, char bracket);

/* cliptok_scan_key(), cliptok_scan_item(): 1: a member's key was read, or an element follows; 0:
 * the object or array was closed; negative: a status. */
int cliptok_scan_key(cliptok_scanner *s, cliptok_string *key);
int cliptok_scan_item(cliptok_scanner *s);

/* Values. Integers: CLIP_EFORMAT outside [0, hi]. */
clip_status cliptok_scan_string(cliptok_scanner *s, cliptok_string *out);
clip_status cliptok_scan_integer(cliptok_scanner *s, int32_t hi, int32_t *out);
clip_status cliptok_scan_skip(cliptok_scanner *s);

bool cliptok_string_is(cliptok_string s, const char *text);

/* cliptok_scan_fail(): CLIP_EFORMAT with file and line. */
clip_status cliptok_scan_fail(cliptok_scanner *s, const char *what);

#endif
