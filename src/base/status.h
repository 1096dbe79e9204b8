/* status.h: how an error travels from the line that finds it to the user. */
#ifndef CLIPB_STATUS_H
#define CLIPB_STATUS_H

#include "clip.h"

/* clipb_fail(): fill `err` (may be NULL) and return `code`. The message is always one line.
 * where  in   the file or thing at fault, printed before the message; only its end if it is long;
 *             NULL: the message says it
 * Use:  return clipb_fail(err, CLIP_EFORMAT, path, "tensor '%s' ends beyond the file", name); */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
clip_status clipb_fail(clip_error *err, clip_status code, const char *where, const char *fmt, ...);

/* clipb_nomem(): clipb_fail() with CLIP_ENOMEM and "out of memory". */
clip_status clipb_nomem(clip_error *err, const char *where);

/* clipb_status_name(), clipb_status_message(): clip_status_name(), clip_status_message() of
 * clip.h. */
const char *clipb_status_name(clip_status s);
const char *clipb_status_message(clip_status s);

/* TRY(expr): return an error to the caller. Only where nothing is owned, else `goto fail`. */
#define TRY(expr)                         \
    do {                                  \
        clip_status try_status = (expr);  \
        if (try_status < 0)               \
            return try_status;            \
    } while (0)

#endif
