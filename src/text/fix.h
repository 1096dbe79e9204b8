/* fix.h: ftfy.fix_text() (github.com/rspeer/python-ftfy, version 6.3), the first step of OpenCLIP's
 * cleaning. */
#ifndef CLIPTOK_FIX_H
#define CLIPTOK_FIX_H

#include "text/unicode.h"

/* ftfy mends one line at a time. It cuts longer lines into parts of this many characters. */
#define CLIPTOK_FIX_MAX 1000000

/* cliptok_fix(): mend `t`, which is one line or a part of one.
 * unescape  in   also replace HTML's character references. ftfy does so until it has seen a '<' in
 *                this line or an earlier one.
 * spare     tmp  any buffer; its content afterwards is undefined
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_fix(cliptok_points *t, bool unescape, cliptok_points *spare);

#endif
