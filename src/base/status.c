#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *clip_status_name(clip_status s)
{
    switch (s) {
#define X(name, code, message) case name: return #name;
        CLIP_STATUS_MAP(X)
#undef X
    }
    return "CLIP_E?";
}

const char *clip_status_message(clip_status s)
{
    switch (s) {
#define X(name, code, message) case name: return message;
        CLIP_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

clip_status clipb_fail(clip_error *err, clip_status code, const char *where, const char *fmt, ...)
{
    if (!err)
        return code;
    const size_t most = sizeof err->message - 256, length = where ? strlen(where) : 0;
    err->code = code;
    int n = 0;
    if (length > most) { /* its end tells more, and what is wrong with it must be read as well */
        for (where += length - most; (*where & 0xc0) == 0x80;)
            where++; /* not in the middle of a letter of UTF-8 */
        n = snprintf(err->message, sizeof err->message, "...%s: ", where);
    } else if (where) {
        n = snprintf(err->message, sizeof err->message, "%s: ", where);
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message + n, sizeof err->message - (size_t)n, fmt, ap);
    va_end(ap);
    return code;
}
