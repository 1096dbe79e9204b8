/* fix.h: ftfy.fix_text() (github.com/rspeer/python-ftfy, version 6.3), with which OpenCLIP's
 * tokenizer begins. */
#ifndef CLIPTOK_FIX_H
#define CLIPTOK_FIX_H

#include "text/unicode.h"

/* ftfy mends a line at a time, and a longer one in parts of so many characters. */
#define CLIPTOK_FIX_MAX 1000000

/* cliptok_fix(): mend `t`, one line or a part of one.
 * unescape  in   replace HTML's character references too; ftfy does until it has seen a '<' in this
 *                or an earlier line
 * spare     tmp  any buffer; what it holds afterwards is of no use
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_fix(cliptok_points *t, bool unescape, cliptok_points *spare);

#endif
