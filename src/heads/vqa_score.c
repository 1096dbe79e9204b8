#include "heads/vqa_score.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Punctuation is removed. Between two letters it separates them. Within a number it stays ("3.5")
 * or is joined over ("1,000"). */
static void clean(const char *text, char *to)
{
    for (const char *p = text; *p; p++) {
        const bool in_number = p > text && is_digit(p[-1]) && is_digit(p[1]);
        if (*p == '\'' || (*p == '.' && !in_number) || (*p == ',' && in_number))
            continue;
        if (*p >= 'A' && *p <= 'Z')
            *to++ = (char)(*p - 'A' + 'a');
        else if (strchr(" \t\r\n\v\f;/[]\"{}()=+\\_-><@`,?!", *p))
            *to++ = ' ';
        else
            *to++ = *p;
    }
    *to = 0;
}

static const char *replaced(const char *word)
{
    static const char *const pairs[][2] = {{"a", ""},    {"an", ""},     {"the", ""},    {"none", "0"}, {"zero", "0"},
                                           {"one", "1"}, {"two", "2"},   {"three", "3"}, {"four", "4"}, {"five", "5"},
                                           {"six", "6"}, {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(word, pairs[i][0]) == 0)
            return pairs[i][1];
    return word;
}

clip_status cliphd_answer_normalize(const char *text, char **out)
{
    char *copy = malloc(strlen(text) + 1), *to = malloc(strlen(text) + 1), *rest = copy, *word;
    *out = to;
    if (!copy || !to) {
        free(copy);
        free(to);
        *out = NULL;
        return CLIP_ENOMEM;
    }
    clean(text, copy);
    while ((word = strsep(&rest, " "))) {
        const char *w = replaced(word);
        const size_t n = strlen(w);
        if (n == 0)
            continue;
        if (to > *out)
            *to++ = ' ';
        memcpy(to, w, n);
        to += n;
    }
    *to = 0;
    free(copy);
    return CLIP_OK;
}

double cliphd_answer_score(const char *answer, const char *const *truth, int n)
{
    int m = 0;
    for (int i = 0; i < n; i++)
        m += strcmp(answer, truth[i]) == 0;
    if (n < 3)
        return m > 0;
    return m >= 3 ? 1 : m / 3.0;
}
