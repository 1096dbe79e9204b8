/* Words of a text, as questions and the index of captions count them. */
#include "text/word.h"

#include <stdbool.h>

static bool is_letter(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '\'' || c == '-';
}

size_t cliptok_next_word(const char **text, char *out, size_t room)
{
    size_t n = 0;
    for (; **text && n + 1 < room; (*text)++) {
        const unsigned char c = (unsigned char)(**text >= 'A' && **text <= 'Z' ? **text + 'a' - 'A' : **text);
        if (is_letter(c))
            out[n++] = (char)c;
        else if (n > 0)
            break;
    }
    out[n] = 0;
    return n;
}
