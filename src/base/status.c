#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/plain.h"

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
    const locale_t before = uselocale(clipb_plain());
    err->code = code;
    int n = 0;
    if (where) {
        n = snprintf(err->message, sizeof err->message, "%s: ", where);
        if (n < 0 || n >= (int)sizeof err->message)
            n = 0;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message + n, sizeof err->message - (size_t)n, fmt, ap);
    va_end(ap);
    uselocale(before);
    return code;
}
