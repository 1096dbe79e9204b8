/* scanner.h: read JSON from front to back, without a tree.
 *
 * A tokenizer.json holds a hundred thousand strings. Reading it once as a tree of cJSON takes 50 ms
 * and 20 MB, which matters to a program that embeds one line of text. Each call below reads one
 * thing. If something else is there, it fails with CLIP_EFORMAT, and names file and line.
 *
 *     TRY(cliptok_scan_open(&s, '{'));
 *     while ((more = cliptok_scan_key(&s, &key)) > 0)
 *         TRY(is_known(key) ? read_it(&s) : cliptok_scan_skip(&s));
 *     if (more < 0) return more; */
#ifndef CLIPTOK_SCANNER_H
#define CLIPTOK_SCANNER_H

#include <stdbool.h>

#include "base/file.h"

/* The bytes of a string. They lie in the file, or they live until the scanner reads the string
 * after the next one. */
typedef struct cliptok_string {
    const char *p;
    size_t n;
} cliptok_string;

typedef struct cliptok_scanner {
    const char *begin, *at, *end;
    const char *file; /* for messages */
    clip_error *err;
    const clipb_map *map; /* NULL: the text is not of a mapped file */
    const char *dropped;  /* pages of `map` before this have left the memory */
    bool first;      /* no comma is due before the next element */
    char *decoded[2]; /* the last two strings that had escapes */
    size_t capacity[2];
    int turn;
} cliptok_scanner;

/* cliptok_scan_begin(): begin to read text[0..n), which must outlive the scanner. Checks that it is
 * UTF-8. End with cliptok_scan_end(), also after an error. */
clip_status cliptok_scan_begin(cliptok_scanner *s, const char *text, size_t n, const char *file, clip_error *err);
void cliptok_scan_end(cliptok_scanner *s);

/* cliptok_scan_mapped(): the same for a mapped file, whose pages leave the memory when they have
 * been read. */
clip_status cliptok_scan_mapped(cliptok_scanner *s, const clipb_map *map, const char *file, clip_error *err);

/* cliptok_scan_peek(): the first character of the next thing: { [ " or the first of a number, true,
 * false or null; 0 at the end. */
char cliptok_scan_peek(cliptok_scanner *s);

/* cliptok_scan_open(): enter an object '{' or an array '['. */
clip_status cliptok_scan_open(cliptok_scanner *s, char bracket);

/* cliptok_scan_key(), cliptok_scan_item(): go on to the next member of an object, or element of an
 * array.
 * @return: 1: a member's key was read, or an element follows; 0: the object or array has ended;
 * negative: a status */
int cliptok_scan_key(cliptok_scanner *s, cliptok_string *key);
int cliptok_scan_item(cliptok_scanner *s);

/* Read a value. An integer outside [0, hi] is CLIP_EFORMAT. */
clip_status cliptok_scan_string(cliptok_scanner *s, cliptok_string *out);
clip_status cliptok_scan_integer(cliptok_scanner *s, int32_t hi, int32_t *out);
clip_status cliptok_scan_number(cliptok_scanner *s, double *out);
clip_status cliptok_scan_bool(cliptok_scanner *s, bool *out); /* null: *out keeps its value */
clip_status cliptok_scan_skip(cliptok_scanner *s);

bool cliptok_string_is(cliptok_string s, const char *text);

/* cliptok_scan_fail(): CLIP_EFORMAT, with `what`, the file and the line. */
clip_status cliptok_scan_fail(cliptok_scanner *s, const char *what);

#endif
