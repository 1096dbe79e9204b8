/* mojibake.h: find and undo text that was written as UTF-8 and read in another encoding, such as
 * "schÃ¶n" for "schön". This is ftfy's fix_encoding() (github.com/rspeer/python-ftfy, version 6.3),
 * which is a part of OpenCLIP's cleaning. */
#ifndef CLIPTOK_MOJIBAKE_H
#define CLIPTOK_MOJIBAKE_H

#include "text/unicode.h"

/* cliptok_mojibake(): does c[0..n) hold a sequence of characters that hardly occurs otherwise? */
bool cliptok_mojibake(const uint32_t *c, size_t n);

/* cliptok_fix_encoding(): mend `t`. Sets *changed to true if that changed anything.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_fix_encoding(cliptok_points *t, bool *changed);

/* cliptok_c1_meaning(): the Windows-1252 character of a control character U+0080-U+009F; the
 * control character itself where Windows-1252 has none. */
uint32_t cliptok_c1_meaning(uint32_t c);

#endif
