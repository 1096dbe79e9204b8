/* The public functions on errors, text from outside and mapped files. The bodies are in
 * src/base. */
#include "base/color.h"
#include "base/line.h"
#include "base/mapped.h"
#include "base/status.h"

const char *clip_status_name(clip_status s) { return clipb_status_name(s); }

const char *clip_status_message(clip_status s) { return clipb_status_message(s); }

size_t clip_text_next(const char *text, int32_t *code) { return clipb_text_next(text, code); }

bool clip_text_shown(int32_t code) { return clipb_text_shown(code); }

const char *clip_mapped_file(const void *address) { return clipb_mapped_file(address); }

clip_status clip_background_parse(const char *text, int *background)
{
    return clipb_background_parse(text, background);
}
