/* Unicode as Python and Rust see it: UTF-8, classes of characters, lower case, normal form C. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/file.h"

#include "text/unicode.inc"

const cliptok_unicode cliptok_unicode_python = {.column = 0, .splits_at_iota = true, .has_final_sigma = true};
const cliptok_unicode cliptok_unicode_rust = {.column = 1, .has_new_capitals = true};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- Runs of code points --------------------------------------------------------------------- */

clip_status cliptok_points_reserve(cliptok_points *p, size_t more)
{
    if (more <= p->capacity - p->n)
        return CLIP_OK;
    if (more > SIZE_MAX - p->n)
        return CLIP_ENOMEM;
    return clipb_grow((void **)&p->c, &p->capacity, p->n + more, sizeof *p->c);
}

clip_status cliptok_points_put(cliptok_points *p, uint32_t c)
{
    if (p->n == p->capacity)
        TRY(cliptok_points_reserve(p, 1));
    p->c[p->n++] = c;
    return CLIP_OK;
}

void cliptok_points_free(cliptok_points *p)
{
    free(p->c);
    *p = (cliptok_points){0};
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

uint32_t cliptok_utf8_next(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *p = *at;
    uint32_t lead = *p++;
    *at = p;
    if (lead < 0x80)
        return lead;
    int more = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
    if (more == 0)
        return 0xFFFD;
    /* Only the second byte has a range of its own. It keeps out overlong forms, surrogates, and
     * characters above U+10FFFF. */
    unsigned char lo = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char hi = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    uint32_t c = lead & (0x3Fu >> more);
    for (; more > 0; more--, lo = 0x80, hi = 0xBF) {
        if (p == end || *p < lo || *p > hi) {
            *at = p;
            return 0xFFFD;
        }
        c = c << 6 | (*p++ & 0x3Fu);
    }
    *at = p;
    return c;
}

int cliptok_utf8_put(uint32_t c, unsigned char *out)
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (unsigned char)(0x80 | (c & 0x3F));
    out[0] = (unsigned char)(0xF00u >> n | c);
    return n;
}

size_t cliptok_utf8_error(const unsigned char *p, size_t n)
{
    const unsigned char *at = p, *end = p + n;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080u) == 0)) { /* ASCII, mostly */
            at += 8;
            continue;
        }
        if (*at < 0x80) {
            at++;
            continue;
        }
        const unsigned char *from = at;
        if (cliptok_utf8_next(&at, end) == 0xFFFD && !(at - from == 3 && memcmp(from, "\xEF\xBF\xBD", 3) == 0))
            return (size_t)(from - p);
    }
    return n;
}

/* ---- Classes --------------------------------------------------------------------------------- */

/* Every table of unicode.inc is sorted. Its rows begin with their first and last point. */
static int compare_to_row(const void *point, const void *row)
{
    uint32_t c = *(const uint32_t *)point, range[2];
    memcpy(range, row, sizeof range);
    return c < range[0] ? -1 : c > range[1];
}

#define FIND(table, c) bsearch(&(c), table, COUNT(table), sizeof *(table), compare_to_row)

static const struct late_class *late_class(uint32_t c)
{
    if (c < late_classes[0].first || (c >= 0x3000 && c < 0xA7CB) || (c >= 0xAC00 && c < 0x10000))
        return NULL; /* most of what is written today */
    return FIND(late_classes, c);
}

bool cliptok_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r');
    return c == 0x85 || c == 0xA0 ||
           (c >= 0x1680 && (c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
                            c == 0x205F || c == 0x3000));
}

bool cliptok_python_space(uint32_t c)
{
    return cliptok_space(c) || (c >= 0x1C && c <= 0x1F);
}

static int general_kind(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO   ? CLIPTOK_LETTER
           : k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO ? CLIPTOK_NUMBER
                                                                    : CLIPTOK_OTHER;
}

int cliptok_kind(uint32_t c, const cliptok_unicode *u)
{
    if (cliptok_space(c))
        return CLIPTOK_SPACE;
    const struct late_class *late = late_class(c);
    if (late)
        return late->kind[u->column];
    /* The combining iota is not a letter, but the other case of one. When regex ignores case, it
     * finds the iota neither in \p{L} nor in the complement. */
    if (c == 0x345 && u->splits_at_iota)
        return CLIPTOK_NOTHING;
    return general_kind(c);
}

bool cliptok_python_alnum(uint32_t c)
{
    return !late_class(c) && general_kind(c) != CLIPTOK_OTHER;
}

bool cliptok_python_digit(uint32_t c)
{
    return !late_class(c) && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

/* Whole blocks, because marks and signs stand among the letters. Hangul, Tibetan and the scripts of
 * India are not here: they have blanks or dots. */
int cliptok_unspaced(uint32_t c)
{
    enum { LETTERS = 4 }; /* about a syllable */
    static const struct {
        uint32_t first, last;
        int most;
    } blocks[] = {
        {0x0E00, 0x0EFF, LETTERS}, /* Thai, Lao */
        {0x1000, 0x109F, LETTERS}, /* Burmese */
        {0x1780, 0x17FF, LETTERS}, /* Khmer */
        {0x1950, 0x19DF, LETTERS}, /* Tai Le, New Tai Lue */
        {0x1A20, 0x1AAF, LETTERS}, /* Tai Tham */
        {0x1B00, 0x1B7F, LETTERS}, /* Balinese */
        {0x2E80, 0x2FDF, 1},       /* radicals */
        {0x3005, 0x312F, 1},       /* marks of repetition, hiragana, katakana, bopomofo */
        {0x31A0, 0x31BF, 1},       /* bopomofo */
        {0x31F0, 0x31FF, 1},       /* katakana */
        {0x3400, 0x4DBF, 1},       /* Chinese characters */
        {0x4E00, 0xA4CF, 1},       /* Chinese characters, Yi */
        {0xA980, 0xA9FF, LETTERS}, /* Javanese, Burmese */
        {0xAA60, 0xAADF, LETTERS}, /* Burmese, Tai Viet */
        {0xF900, 0xFAFF, 1},       /* Chinese characters */
        {0xFF66, 0xFF9F, 1},       /* katakana of half width */
        {0x11700, 0x1174F, LETTERS}, /* Ahom */
        {0x16FE0, 0x18DFF, 1},       /* Tangut, Khitan */
        {0x1AFF0, 0x1B2FF, 1},       /* kana, Nushu */
        {0x20000, 0x3FFFF, 1},       /* Chinese characters */
    };
    for (size_t i = 0; i < COUNT(blocks) && c >= blocks[i].first; i++)
        if (c <= blocks[i].last)
            return blocks[i].most;
    return 0;
}

/* ---- Lower case ------------------------------------------------------------------------------ */

static bool case_ignorable(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return FIND(more_ignorable, c) != NULL;
    }
}

static bool cased(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || FIND(more_cased, c);
}

/* Unicode 3.13, Final_Sigma: there is a cased letter before it, and none after it. Case-ignorable
 * characters between do not count. */
static bool final_sigma(const uint32_t *word, size_t n, size_t i)
{
    size_t before = i, after = i + 1;
    while (before > 0 && case_ignorable(word[before - 1]))
        before--;
    if (before == 0 || !cased(word[before - 1]))
        return false;
    while (after < n && case_ignorable(word[after]))
        after++;
    return after == n || !cased(word[after]);
}

clip_status cliptok_lower(const uint32_t *word, size_t n, const cliptok_unicode *u, cliptok_points *out)
{
    TRY(cliptok_points_reserve(out, n));
    for (size_t i = 0; i < n; i++) {
        uint32_t c = word[i];
        if (c < 0x80)
            c |= (uint32_t)(c - 'A' < 26u) << 5;
        else if (c == 0x130) { /* the one capital whose lower case is two characters */
            TRY(cliptok_points_put(out, 'i'));
            c = 0x307;
        } else if (c == 0x3A3 && u->has_final_sigma)
            c = final_sigma(word, n, i) ? 0x3C2 : 0x3C3;
        else {
            const struct late_capital *late = c < late_capitals[0].first ? NULL : FIND(late_capitals, c);
            if (!late)
                c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
            else if (u->has_new_capitals)
                c = (uint32_t)((int32_t)c + late->add);
        }
        TRY(cliptok_points_put(out, c));
    }
    return CLIP_OK;
}

/* ---- Normal form C --------------------------------------------------------------------------- */

static int combining_class(uint32_t c)
{
    return utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

static bool odd(uint32_t c, const cliptok_unicode *u)
{
    const struct odd_mark *m = c < odd_marks[0].first ? NULL : FIND(odd_marks, c);
    return m && m->unknown[u->column];
}

/* Characters that normalization leaves as they are, and that do not change the character before
 * them. A text can be cut there. The list has only those that texts are made of, and U+11A7, the
 * Hangul "no final consonant", which utf8proc 2.8 swallows. */
static bool inert(uint32_t c, const cliptok_unicode *u)
{
    static const uint32_t ranges[][2] = {
        {0x0400, 0x0482}, {0x05D0, 0x060F}, {0x0620, 0x064A},   {0x11A7, 0x11A7}, {0x2010, 0x202F},
        {0x2190, 0x2199}, {0x2500, 0x2ADB}, {0x3041, 0x3098},   {0x309D, 0x31FF}, {0x4E00, 0x9FFF},
        {0xAC00, 0xD7A3}, {0xFE0E, 0xFE0F}, {0x1F000, 0x1FAFF},
    };
    return c < 0x300 || FIND(ranges, c) || odd(c, u);
}

/* Canonical order: marks between starters are sorted by class, and keep their order within a class.
 * A text may be all marks, so more than a few are not sorted in quadratic time. */
static clip_status order_marks(int32_t *c, size_t n)
{
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            int32_t x = c[i];
            int class = combining_class((uint32_t)x);
            size_t k = i;
            for (; k > 0 && combining_class((uint32_t)c[k - 1]) > class; k--)
                c[k] = c[k - 1];
            c[k] = x;
        }
        return CLIP_OK;
    }
    size_t start[257] = {0};
    int32_t *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < n; i++)
        start[combining_class((uint32_t)c[i]) + 1]++;
    for (int k = 0; k < 256; k++)
        start[k + 1] += start[k];
    for (size_t i = 0; i < n; i++)
        sorted[start[combining_class((uint32_t)c[i])]++] = c[i];
    memcpy(c, sorted, n * sizeof *c);
    free(sorted);
    return CLIP_OK;
}

/* Normalize a piece without odd marks: decompose, order, compose, in place at the end of `out`. */
static clip_status normalize(const uint32_t *text, size_t n, cliptok_points *out)
{
    size_t from = out->n;
    for (size_t i = 0; i < n; i++) {
        utf8proc_int32_t part[8];
        int last = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)text[i], part, 8,
                                                     UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &last);
        TRY(cliptok_points_reserve(out, 8));
        for (utf8proc_ssize_t j = 0; j < k && j < 8; j++)
            out->c[out->n++] = (uint32_t)part[j];
    }
    for (size_t i = from; i < out->n;) {
        size_t end = i;
        while (end < out->n && combining_class(out->c[end]) != 0)
            end++;
        TRY(order_marks((int32_t *)(out->c + i), end - i));
        i = end + 1;
    }
    utf8proc_ssize_t k = utf8proc_normalize_utf32(
        (utf8proc_int32_t *)(out->c + from), (utf8proc_ssize_t)(out->n - from), UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (k >= 0)
        out->n = from + (size_t)k;
    return CLIP_OK;
}

clip_status cliptok_nfc(const uint32_t *text, size_t n, const cliptok_unicode *u, cliptok_points *out)
{
    TRY(cliptok_points_reserve(out, n));
    for (size_t i = 0; i < n;) {
        size_t end = i + 1; /* a piece: a character and everything that may combine with it */
        while (end < n && !inert(text[end], u))
            end++;
        if (odd(text[i], u)) { /* nothing combines with it, and utf8proc must not see it */
            TRY(cliptok_points_put(out, text[i++]));
            if (i == end)
                continue;
        } else if (end == i + 1 && inert(text[i], u)) {
            TRY(cliptok_points_put(out, text[i++]));
            continue;
        }
        TRY(normalize(text + i, end - i, out));
        i = end;
    }
    return CLIP_OK;
}

/* ---- Normal form D, BERT --------------------------------------------------------------------- */

clip_status cliptok_nfd(const uint32_t *text, size_t n, const cliptok_unicode *u, cliptok_points *out)
{
    size_t from = out->n; /* where the marks begin that are not yet in order */
    TRY(cliptok_points_reserve(out, n));
    for (size_t i = 0; i < n; i++) {
        utf8proc_int32_t part[8] = {(utf8proc_int32_t)text[i]};
        int last = 0;
        utf8proc_ssize_t k = 1;
        if (!odd(text[i], u))
            k = utf8proc_decompose_char((utf8proc_int32_t)text[i], part, 8, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
                                        &last);
        for (utf8proc_ssize_t j = 0; j < k && j < 8; j++) {
            const uint32_t c = (uint32_t)part[j];
            const bool starter = odd(c, u) || combining_class(c) == 0;
            if (starter)
                TRY(order_marks((int32_t *)out->c + from, out->n - from));
            TRY(cliptok_points_put(out, c));
            from = starter ? out->n : from;
        }
    }
    return n > 0 ? order_marks((int32_t *)out->c + from, out->n - from) : CLIP_OK;
}

bool cliptok_bert_drops(uint32_t c) { return FIND(bert_dropped, c) != NULL; }
bool cliptok_bert_accent(uint32_t c) { return c >= 0x300 && FIND(bert_accents, c) != NULL; }
bool cliptok_bert_punctuation(uint32_t c) { return FIND(bert_punctuation, c) != NULL; }

bool cliptok_bert_chinese(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
        {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
    };
    return c >= 0x3400 && FIND(ranges, c) != NULL;
}
