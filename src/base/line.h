/* line.h: text from outside (names of files, tensors and keys, captions) on its way to a person.
 * What may be shown is said by clipb_text_shown(). */
#ifndef CLIPB_LINE_H
#define CLIPB_LINE_H

#include <stdarg.h>
#include <stddef.h>

#include "clip.h"

/* clipb_text_next(), clipb_text_shown(): clip_text_next(), clip_text_shown() of clip.h. */
size_t clipb_text_next(const char *text, int32_t *code);
bool clipb_text_shown(int32_t code);

/* clipb_line(): vsnprintf() into out [size], cut where it does not fit, as one line: '?' stands for
 * each character that is not shown. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 0)))
#endif
void clipb_line(char *out, size_t size, const char *fmt, va_list ap);

#endif
