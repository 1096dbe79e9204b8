/* line.h: text from outside (names of files, tensors and keys, captions) made safe to print.
 * clipb_text_shown() decides which characters are printed. */
#ifndef CLIPB_LINE_H
#define CLIPB_LINE_H

#include <stdarg.h>
#include <stddef.h>

#include "clip.h"

/* clipb_text_next(), clipb_text_shown(): clip_text_next(), clip_text_shown() of clip.h. */
size_t clipb_text_next(const char *text, int32_t *code);
bool clipb_text_shown(int32_t code);

/* clipb_line(): vsnprintf() to one line in out [size], cut at the end. '?' replaces every character
 * that must not be shown. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 0)))
#endif
void clipb_line(char *out, size_t size, const char *fmt, va_list ap);

#endif
