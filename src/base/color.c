/* Parses the colours of configurations and options. */
#include <stdlib.h>
#include <string.h>

#include "base/color.h"
#include "base/status.h"

clip_status clipb_background_parse(const char *text, int *background)
{
    static const struct {
        const char *name;
        int value;
    } names[] = {{"drop", -1}, {"white", 0xFFFFFF}, {"black", 0}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i].name) == 0) {
            *background = names[i].value;
            return CLIP_OK;
        }
    text += *text == '#';
    if (strlen(text) != 6 || strspn(text, "0123456789abcdefABCDEF") != 6)
        return CLIP_EINVAL;
    *background = (int)strtol(text, NULL, 16);
    return CLIP_OK;
}
