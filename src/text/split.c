/* Splitting, one word a call. ASCII characters are looked up in a table. */
#include "text/split.h"

#include <string.h>

void cliptok_splitter_init(cliptok_splitter *s, const cliptok_rules *rules)
{
    s->rules = rules;
    for (uint32_t c = 0; c < 128; c++)
        s->kind[c] = (unsigned char)cliptok_kind(c, rules->unicode);
}

/* The length of "'s", "'re" and so on at p, which is an apostrophe; 0: there is none. OpenCLIP
 * ignores case. In lower case that matters for one letter: the long s, whose capital is S. */
static size_t contraction(const cliptok_rules *rules, const unsigned char *p, size_t n)
{
    static const char pairs[][3] = {"re", "ve", "ll"};
    if (n >= 2 && (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd'))
        return 2;
    if (rules->long_s && n >= 3 && p[1] == 0xC5 && p[2] == 0xBF)
        return 3;
    for (size_t i = 0; n >= 3 && i < sizeof pairs / sizeof *pairs; i++)
        if (p[1] == pairs[i][0] && p[2] == pairs[i][1])
            return 3;
    return 0;
}

/* The special token written out at p, which is a '<'; NULL: there is none. */
static const cliptok_written *find_written(const cliptok_rules *rules, const unsigned char *p, size_t n)
{
    for (const cliptok_written *w = rules->written; w->text; w++) {
        const size_t k = strlen(w->text);
        if (n >= k && memcmp(p, w->text, k) == 0)
            return w;
    }
    return NULL;
}

/* The kind of the character at *p, which moves behind it. */
static inline int next_kind(const cliptok_splitter *s, const unsigned char **p, const unsigned char *end)
{
    if (**p < 0x80)
        return s->kind[*(*p)++];
    return cliptok_kind(cliptok_utf8_next(p, end), s->rules->unicode);
}

bool cliptok_split(const cliptok_splitter *s, const unsigned char **at, const unsigned char *end, cliptok_word *out)
{
    const unsigned char *p = *at, *word = p;
    int kind = CLIPTOK_SPACE;
    while (p < end && (kind == CLIPTOK_SPACE || kind == CLIPTOK_NOTHING)) {
        word = p;
        kind = next_kind(s, &p, end);
    }
    *at = p;
    if (kind == CLIPTOK_SPACE || kind == CLIPTOK_NOTHING)
        return false;
    const size_t left = (size_t)(end - word);
    const cliptok_written *w = *word == '<' ? find_written(s->rules, word, left) : NULL;
    const size_t n = w ? strlen(w->text) : *word == '\'' ? contraction(s->rules, word, left) : 0;
    if (n > 0)
        p = word + n;
    else if (kind != CLIPTOK_NUMBER)
        for (const unsigned char *q = p; q < end && next_kind(s, &q, end) == kind;)
            p = q;
    *at = p;
    *out = (cliptok_word){word, (size_t)(p - word), w ? w->meaning : CLIPTOK_IS_WORD};
    return true;
}
