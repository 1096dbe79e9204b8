#include "base/status.h"

#include <stdarg.h>
#include <string.h>

#include "base/line.h"

#include "base/plain.h"

const char *clipb_status_name(clip_status s)
{
    switch (s) {
#define X(name, code, message) case name: return #name;
        CLIP_STATUS_MAP(X)
#undef X
    }
    return "CLIP_E?";
}

const char *clipb_status_message(clip_status s)
{
    switch (s) {
#define X(name, code, message) case name: return message;
        CLIP_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

/* Of a longer name only the end is printed, so that the message has room. */
enum { LONGEST_NAME = 600 };

__attribute__((format(printf, 3, 4))) static void put(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    clipb_line(out, size, fmt, ap);
    va_end(ap);
}

clip_status clipb_fail(clip_error *err, clip_status code, const char *where, const char *fmt, ...)
{
    if (!err)
        return code;
    const locale_t before = uselocale(clipb_plain());
    err->code = code;
    size_t n = 0;
    if (where) {
        const size_t length = strlen(where);
        const bool whole = length <= LONGEST_NAME;
        put(err->message, sizeof err->message, "%s%s: ", whole ? "" : "...",
            whole ? where : where + length - LONGEST_NAME);
        n = strlen(err->message);
    }
    va_list ap;
    va_start(ap, fmt);
    clipb_line(err->message + n, sizeof err->message - n, fmt, ap);
    va_end(ap);
    uselocale(before);
    return code;
}

clip_status clipb_nomem(clip_error *err, const char *where)
{
    return clipb_fail(err, CLIP_ENOMEM, where, "out of memory");
}
