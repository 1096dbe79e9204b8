/* mojibake.h: text that was written as UTF-8 and read as something else ("schÃ¶n" for "schön"),
 * found and undone as ftfy's fix_encoding() does it (github.com/rspeer/python-ftfy, version 6.3):
 * OpenCLIP's tokenizer begins with ftfy, so a caption like that has the ids of the mended one. */
#ifndef CLIPTOK_MOJIBAKE_H
#define CLIPTOK_MOJIBAKE_H

#include "text/unicode.h"

/* cliptok_mojibake(): does c[0..n) hold a sequence of characters that hardly occurs but for this
 * reason? */
bool cliptok_mojibake(const uint32_t *c, size_t n);

/* cliptok_fix_encoding(): mend `t`; *changed becomes true if that did anything. CLIP_ENOMEM. */
clip_status cliptok_fix_encoding(cliptok_points *t, bool *changed);

/* cliptok_c1_meaning(): what a control character U+0080-U+009F means: its byte in Windows-1252,
 * itself where that is unassigned. */
uint32_t cliptok_c1_meaning(uint32_t c);

#endif
