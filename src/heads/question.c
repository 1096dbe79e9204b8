/* Questions by rules: the first row of the table that fits the words says what is asked for.
 *
 * A question is cut into words (lower case, no punctuation). Phrases that only say that there is a
 * picture ("in the picture", "do you see") are dropped. In a pattern "a|b" is either word, a "?"
 * after them makes them optional, and "*" takes one word or more, as few as possible; $1, $2, ..
 * stand for these words in the statement. A "*" that took only a pronoun ("what is this?") stands
 * for nothing. */
#include <stdio.h>
#include <string.h>

#include "heads/question.h"
#include "text/word.h"

enum { MOST_WORDS = 128, MOST_TEXT = CLIPHD_MOST_STATEMENT - 64, MOST_HOLES = 3 };

typedef struct rule {
    const char *pattern;
    cliphd_question_type type;
    const char *statement; /* NULL: "{} $2", where there are words for $1; otherwise the rule does not fit */
    const char *kind;
} rule;

#define BE "is|are|was|were|does|do|did|can|could|has|have|will|would|should"
#define THE "the|a|an|this|that|these|those|any|some?"

static const rule rules[] = {
    {"how many * are|is|were|was there", CLIPHD_COUNT, "{} $1", NULL},
    {"how many * are|is|were|was there *", CLIPHD_COUNT, "{} $1 $2", NULL},
    {"how many * are|is|were|was *", CLIPHD_COUNT, "{} $1 $2", NULL},
    {"how many * do|does|can|have|has *", CLIPHD_COUNT, "$2 {} $1", NULL},
    {"how many *", CLIPHD_COUNT, "{} $1", NULL},
    {"what is the number of *", CLIPHD_COUNT, "{} $1", NULL},

    {"what|which color|colour is|are|was|were " THE " *", CLIPHD_COLOR, "{} $1", NULL},
    {"what|which color|colour is|are|was|were", CLIPHD_COLOR, "{}", NULL},
    {"what|which is the color|colour of " THE " *", CLIPHD_COLOR, "{} $1", NULL},
    {"what|which color|colour * is|are *", CLIPHD_COLOR, "{} $1 $2", NULL},
    {"what|which color|colour *", CLIPHD_COLOR, "{} $1", NULL},

    {"where is|are|was|were " THE " *", CLIPHD_WHERE, "$1 {}", NULL},
    {"where *", CLIPHD_WHERE, "$1 {}", NULL},
    {"who is|are|was|were *", CLIPHD_WHO, "{} $1", NULL},
    {"who *", CLIPHD_WHO, "{} $1", NULL},

    {"what|which is|are|was|were|does|do " THE " * doing", CLIPHD_KIND, "$1 {}", "action"},
    {"what|which is|are|was|were " THE " * wearing", CLIPHD_KIND, "$1 wearing {}", "clothes"},
    {"what|which is|are|was|were " THE " * eating", CLIPHD_KIND, "$1 eating {}", "food"},
    {"what|which is|are|was|were " THE " * drinking", CLIPHD_KIND, "$1 drinking {}", "drink"},
    {"what|which is|are|was|were " THE " * riding|driving", CLIPHD_KIND, "$1 on {}", "vehicle"},
    {"what|which is|are|was|were " THE " * made of", CLIPHD_KIND, "{} $1", "material"},
    {"what|how is the weather like?", CLIPHD_KIND, "{}", "weather"},
    {"what|which time of? day|year? is it?", CLIPHD_KIND, "{}", "time"},
    {"how does|do|is|are " THE " * feel|feeling", CLIPHD_KIND, "{} $1", "emotion"},
    {"what|which shape is|are " THE " * thing|things|object|objects", CLIPHD_KIND, "$1 {}", "shape"},
    {"what|which kind|type|sort|breed|species of * is|are|was|were " THE " *", CLIPHD_KIND, NULL, NULL},
    {"what|which kind|type|sort|breed|species of * is|are", CLIPHD_KIND, NULL, NULL},
    {"what|which kind|type|sort|breed|species of *", CLIPHD_KIND, NULL, NULL},
    {"what|which * is|are|was|were|does|do|can|has " THE " *", CLIPHD_KIND, NULL, NULL},
    {"what|which * is|are|was|were|does|do|can", CLIPHD_KIND, NULL, NULL},
    {"what|which is|are the * of " THE " *", CLIPHD_KIND, NULL, NULL},
    {"what|which *", CLIPHD_KIND, NULL, NULL},
    {"what|which is|are the|a|an *", CLIPHD_FREE, "$1 {}", NULL},
    {"what|which is|are|was|were *", CLIPHD_FREE, "{} $1", NULL},
    {"what|which is|are|was|were", CLIPHD_FREE, "{}", NULL},
    {"what|which *", CLIPHD_FREE, "{} $1", NULL},

    {"do|can you see " THE " *", CLIPHD_YES_NO, "$1", NULL},
    {BE " there " THE " *", CLIPHD_YES_NO, "$1", NULL},
    {BE " it|this|that|these|those|they|you? " THE " *", CLIPHD_YES_NO, "$1", NULL},
    {"*", CLIPHD_FREE, "$1 {}", NULL},
};

const char *cliphd_question_type_name(cliphd_question_type t)
{
    static const char *const name[CLIPHD_QUESTION_TYPES] = {"yes/no", "color", "count", "kind",
                                                             "where",  "who",   "other"};
    return name[t];
}

/* ---- Words ----------------------------------------------------------------------------------- */

typedef struct words {
    char text[MOST_TEXT]; /* one after the other, each ended by 0 */
    const char *word[MOST_WORDS];
    int n;
} words;

/* Cut into words. Words without room are left out. */
static void cut(const char *text, words *w)
{
    char word[MOST_TEXT];
    size_t at = 0, n;
    w->n = 0;
    while (w->n < MOST_WORDS && (n = cliptok_next_word(&text, word, sizeof word)) > 0) {
        if (at + n + 1 > sizeof w->text)
            return;
        w->word[w->n++] = memcpy(w->text + at, word, n + 1);
        at += n + 1;
    }
}

static bool is(const char *word, const char *choices) /* "a|b" */
{
    const size_t n = strlen(word);
    for (const char *c = choices;; c++) {
        const size_t m = strcspn(c, "| ?");
        if (m == n && memcmp(word, c, n) == 0)
            return true;
        c += m;
        if (*c != '|')
            return false;
    }
}

/* Phrases that only say that there is a picture. */
static const char *const empty[] = {"in|on|of the|this|that picture|image|photo|photograph|scene|shot|drawing",
                                    "do|can you see",
                                    "can be seen",
                                    "is|are shown",
                                    "is|are visible",
                                    "is|are pictured",
                                    "shown",
                                    "pictured",
                                    "visible",
                                    "here"};

static int words_in(const char *pattern)
{
    int n = 1;
    for (; *pattern; pattern++)
        n += *pattern == ' ';
    return n;
}

static const char *next_word(const char *pattern)
{
    pattern += strcspn(pattern, " ");
    return *pattern ? pattern + 1 : pattern;
}

static void drop_empty(words *w)
{
    for (size_t e = 0; e < sizeof empty / sizeof *empty; e++) {
        const int m = words_in(empty[e]);
        for (int at = w->n - m; at > 0; at--) {
            const char *p = empty[e];
            int i = 0;
            for (; i < m && is(w->word[at + i], p); i++)
                p = next_word(p);
            if (i < m)
                continue;
            memmove(w->word + at, w->word + at + m, (size_t)(w->n - at - m) * sizeof *w->word);
            w->n -= m;
        }
    }
}

/* ---- Rules ----------------------------------------------------------------------------------- */

typedef struct span {
    int from, to;
} span;

/* Whether the pattern fits the words from `at` on. Holes h, h+1, .. are filled. */
static bool fits(const char *pattern, const words *w, int at, span hole[MOST_HOLES], int h)
{
    if (!*pattern)
        return at == w->n;
    const char *rest = next_word(pattern);
    if (*pattern == '*') {
        for (int to = at + 1; to <= w->n; to++) {
            hole[h] = (span){at, to};
            if (fits(rest, w, to, hole, h + 1))
                return true;
        }
        return false;
    }
    if (at < w->n && is(w->word[at], pattern) && fits(rest, w, at + 1, hole, h))
        return true;
    const size_t n = strcspn(pattern, " ");
    return pattern[n - 1] == '?' && fits(rest, w, at, hole, h);
}

static void put(char *out, const char *text, size_t n)
{
    const size_t at = strlen(out);
    if (at + n + 2 > CLIPHD_MOST_STATEMENT)
        return;
    if (at > 0)
        out[at] = ' ';
    memcpy(out + at + (at > 0), text, n);
    out[at + (at > 0) + n] = 0;
}

static void fill(const char *statement, const words *w, const span *hole, char *out)
{
    *out = 0;
    for (const char *p = statement; *p; p = next_word(p)) {
        if (*p != '$') {
            put(out, p, strcspn(p, " "));
            continue;
        }
        const span s = hole[p[1] - '1'];
        if (s.to - s.from == 1 && is(w->word[s.from], "it|this|that|these|those|they|there|he|she"))
            continue;
        for (int i = s.from; i < s.to; i++)
            put(out, w->word[i], strlen(w->word[i]));
    }
}

/* A rule for things that have a name, which is the last word of $1. */
static bool fits_kind(const rule *r, const words *w, const span *hole, cliphd_question *out)
{
    const char *kind = r->kind ? r->kind : w->word[hole[0].to - 1];
    if (!cliphd_words_of(kind))
        return false;
    snprintf(out->kind, sizeof out->kind, "%s", kind);
    fill(r->statement ? r->statement : "{} $2", w, hole, out->statement);
    return true;
}

void cliphd_question_parse(const char *text, cliphd_question *out)
{
    words w;
    cut(text, &w);
    drop_empty(&w);
    *out = (cliphd_question){.type = CLIPHD_FREE};
    for (const rule *r = rules; r < rules + sizeof rules / sizeof *rules; r++) {
        span hole[MOST_HOLES] = {0};
        if (!fits(r->pattern, &w, 0, hole, 0))
            continue;
        out->type = r->type;
        if (r->type != CLIPHD_KIND) {
            fill(r->statement, &w, hole, out->statement);
            return;
        }
        if (fits_kind(r, &w, hole, out))
            return;
    }
    strcpy(out->statement, "{}"); /* the text has no word */
}
