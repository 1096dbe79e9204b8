/* Mojibake, found and undone as ftfy does. */
#include "text/mojibake.h"

#include <stdlib.h>
#include <string.h>

#include "text/mojibake.inc"

#define PAST UINT32_MAX
#define COUNT(table) (sizeof(table) / sizeof *(table))

enum {
    CODINGS = 10,    /* Latin-1 and those of mojibake.inc */
    SLOPPY_LAST = 6, /* 1 .. 6 are Windows', in which 0x1A stands for U+FFFD */
    MACROMAN = 8,
    ROUNDS = 32,     /* layers of mojibake on top of each other; more than six have hardly been seen */
    DEPTH = 8,       /* pieces within pieces */
    WINDOW = 7,      /* characters that a rule looks at */
};

static int compare_to_glyph(const void *point, const void *glyph)
{
    uint32_t c = *(const uint32_t *)point, g = ((const struct glyph *)glyph)->point;
    return c < g ? -1 : c > g;
}

static const struct glyph *find_glyph(uint32_t c)
{
    static const struct glyph none;
    if (c < 0x80)
        return &none;
    const struct glyph *g = bsearch(&c, glyphs, COUNT(glyphs), sizeof *glyphs, compare_to_glyph);
    return g ? g : &none;
}

uint32_t cliptok_c1_meaning(uint32_t c)
{
    static const uint16_t windows1252[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
    };
    return windows1252[c & 31];
}

/* ---- Is it mojibake? ------------------------------------------------------------------------- */

static bool one_of(uint32_t c, const uint32_t *list)
{
    while (*list && *list != c)
        list++;
    return *list != 0;
}

#define ONE_OF(c, ...) one_of((c), (const uint32_t[]){__VA_ARGS__, 0})

static bool ascii_letter(uint32_t c)
{
    return (c | 32) - 'a' < 26u;
}

/* A character of the text and its kinds. Past the end: {PAST, 0}. */
typedef struct seen {
    uint32_t c, kinds;
} seen;

/* Two neighbours of these kinds hardly occur otherwise. */
static bool bad_pair(uint32_t a, uint32_t b)
{
    static const struct {
        uint32_t first, second;
    } pairs[] = {
        {BAD | LOWER_ACCENTED | UPPER_ACCENTED | BOX | START | END | CURRENCY | NUMERIC | LAW, BAD},
        {BAD, LOWER_ACCENTED | UPPER_ACCENTED | BOX | START | END | CURRENCY | NUMERIC | LAW},
        {LOWER_ACCENTED | LOWER_COMMON | BOX | END | CURRENCY | NUMERIC, UPPER_ACCENTED},
        {BOX | END | CURRENCY | NUMERIC, LOWER_ACCENTED},
        {LOWER_ACCENTED | BOX | END, CURRENCY},
        {UPPER_ACCENTED | BOX, NUMERIC | LAW},
        {CURRENCY | NUMERIC | BOX, START},
        {BOX, KAOMOJI | END},
        {LOWER_ACCENTED | UPPER_ACCENTED | CURRENCY | NUMERIC | START | END | LAW, BOX},
    };
    for (size_t i = 0; i < COUNT(pairs); i++)
        if ((a & pairs[i].first) && (b & pairs[i].second))
            return true;
    return false;
}

/* Three of them. */
static bool bad_triple(seen a, seen b, seen c)
{
    bool lower = a.c - 'a' < 26u, word = c.c == '_' || (c.c != PAST && cliptok_python_alnum(c.c));
    return (ascii_letter(a.c) && (b.kinds & (LOWER_COMMON | UPPER_COMMON)) && (c.kinds & BAD)) ||
           (cliptok_python_space(a.c) && (b.kinds & UPPER_ACCENTED) && (c.kinds & CURRENCY)) ||
           (lower && (b.kinds & UPPER_ACCENTED) && (c.kinds & (START | CURRENCY))) ||
           ((a.kinds & (LOWER_ACCENTED | UPPER_ACCENTED | BOX | CURRENCY | END)) && (b.kinds & START) &&
            (c.kinds & NUMERIC)) ||
           ((a.kinds & (LOWER_ACCENTED | UPPER_ACCENTED | CURRENCY | NUMERIC | BOX | LAW)) && (b.kinds & END) &&
            (c.kinds & START)) ||
           ((a.kinds & (LOWER_ACCENTED | UPPER_ACCENTED)) && (b.kinds & (START | END)) && word);
}

/* Words of UTF-8 as Windows-1252, MacRoman, Windows-1257 and 1253 show them. */
static bool bad_latin(seen a, seen b, seen c)
{
    switch (a.c) {
    case 0x152: case 0x153: /* Œ œ before anything but a plain letter */
        return b.c != PAST && !ascii_letter(b.c);
    case 0xC2: case 0xC3: case 0xCE: case 0xD0: /* Â Ã Î Ð */
        return (b.kinds & (START | END)) || (a.c == 0xC3 && ONE_OF(b.c, 0xA0, 0xA1)) ||
               ONE_OF(b.c, 0x20AC, 0x153, 0x160, 0x161, 0xA2, 0xA3, 0x178, 0x17E, 0xA0, 0xAD, 0xAE, 0xA9, 0xB0, 0xB7,
                      0xBB, 0x2013, 0x2014, 0xB4);
    case 0xD7:
        return ONE_OF(b.c, 0xB2, 0xB3);
    case 0xE0: /* à: South Asian scripts */
        return ONE_OF(b.c, 0xB2, 0xB5, 0xB9, 0xBC, 0xBD, 0xBE);
    case 0x221A:
        return ONE_OF(b.c, 0xB1, 0x2202, 0x2020, 0x2260, 0xAE, 0x2122, 0xB4, 0x2264, 0x2265, 0xA5, 0xB5, 0xF8);
    case 0x2248:
        return ONE_OF(b.c, 0xB0, 0xA2);
    case 0x201A:
        return (b.c == 0xC4 &&
                ONE_OF(c.c, 0xEC, 0xEE, 0xEF, 0xF2, 0xF4, 0xFA, 0xF9, 0xFB, 0x2020, 0xB0, 0xA2, 0x3C0)) ||
               (ONE_OF(b.c, 0xE2, 0xF3) && ONE_OF(c.c, 0xE0, 0xE4, 0xB0, 0xEA));
    case 0x101: /* ā€ */
        return b.c == 0x20AC;
    case 0x3B2: /* β€ */
        return b.c == 0x20AC && ONE_OF(c.c, 0x2122, 0xA0, 0x386, 0xAD, 0xAE, 0xB0);
    default:
        return false;
    }
}

static bool arabic_tail(seen s)
{
    return (s.kinds & (COMMON | CURRENCY | BAD | NUMERIC | START)) || ONE_OF(s.c, 0x178, 0x160, 0xAE, 0xB0, 0xB5, 0xBB);
}

/* Scripts with their own alphabet, where a single pair may be right: Arabic as Windows-1252, then
 * Windows-1251 and 1253. */
static bool bad_script(const seen s[WINDOW])
{
    const uint32_t tail = C1 | BAD | START | END | CURRENCY;
    switch (s[0].c) {
    case 0xD8: case 0xD9: /* Ø Ù */
        return arabic_tail(s[1]) && ONE_OF(s[2].c, 0xD8, 0xD9) && arabic_tail(s[3]);
    case 0x432: /* вЂ */
        return s[1].c == 0x402;
    case 0x412: case 0x413: case 0x420: case 0x421: /* В Г Р С */
        return (((s[1].kinds & tail) || ONE_OF(s[1].c, 0xB0, 0xB5)) && ONE_OF(s[2].c, 0x412, 0x413, 0x420, 0x421)) ||
               /* "ГўВЂВ.x" */
               (s[0].c == 0x413 && s[1].c == 0x45E && s[2].c == 0x412 && s[3].c == 0x402 && s[4].c == 0x412 &&
                s[5].c != PAST && s[5].c != '\n' && (ascii_letter(s[6].c) || s[6].c == ' '));
    case 0x392: case 0x393: case 0x39E: case 0x39F: /* Β Γ Ξ Ο */
        return ((s[1].kinds & tail) || s[1].c == 0xB0) && ONE_OF(s[2].c, 0x392, 0x393, 0x39E, 0x39F);
    default:
        return false;
    }
}

/* A stray Â or Ã between words. */
static bool bad_word(const seen s[WINDOW], bool first)
{
    bool lower = s[0].c - 'a' < 26u;
    return (lower && ONE_OF(s[1].c, 0xC2, 0xC3) && s[2].c == ' ') ||
           (lower && cliptok_python_space(s[1].c) && ONE_OF(s[2].c, 0xC2, 0xC3) && s[3].c == ' ') ||
           (first && ONE_OF(s[0].c, 0xC2, 0xC3) && s[1].c == ' ') ||
           ((lower || (s[0].kinds & END) || ONE_OF(s[0].c, '.', ',', '?', '!')) && s[1].c == 0xC2 &&
            (s[2].c == ' ' || (s[2].kinds & (START | END))));
}

bool cliptok_mojibake(const uint32_t *c, size_t n)
{
    seen s[WINDOW];
    for (size_t k = 0; k < WINDOW; k++)
        s[k] = k < n ? (seen){c[k], find_glyph(c[k])->kinds} : (seen){PAST, 0};
    for (size_t i = 0; i < n; i++) {
        if ((s[0].kinds | s[1].kinds | s[2].kinds) &&
            ((s[0].kinds & C1) || bad_pair(s[0].kinds, s[1].kinds) ||
             ((s[0].kinds & UPPER_ACCENTED) && s[1].c == 0xB0) || bad_triple(s[0], s[1], s[2]) ||
             bad_latin(s[0], s[1], s[2]) || bad_script(s) || bad_word(s, i == 0)))
            return true;
        memmove(s, s + 1, (WINDOW - 1) * sizeof *s);
        s[WINDOW - 1] = i + WINDOW < n ? (seen){c[i + WINDOW], find_glyph(c[i + WINDOW])->kinds} : (seen){PAST, 0};
    }
    return false;
}

/* ---- Undo it --------------------------------------------------------------------------------- */

/* Which encodings can write all of t: bit k for encoding k. */
static unsigned possible_codings(const cliptok_points *t)
{
    unsigned can = (1u << CODINGS) - 1;
    for (size_t i = 0; i < t->n && can; i++) {
        uint32_t c = t->c[i];
        if (c < 0x80) {
            if (c == 0x1A)
                for (int k = 1; k <= SLOPPY_LAST; k++)
                    can &= ~(1u << k);
            continue;
        }
        const struct glyph *g = find_glyph(c);
        for (int k = 0; k < CODINGS; k++)
            if (k == 0 ? c > 0xFF : g->byte[k - 1] == 0)
                can &= ~(1u << k);
    }
    return can;
}

static void encode(const cliptok_points *t, int coding, unsigned char *out)
{
    for (size_t i = 0; i < t->n; i++)
        out[i] = coding == 0 || t->c[i] < 0x80 ? (unsigned char)t->c[i] : find_glyph(t->c[i])->byte[coding - 1];
}

static bool tail_byte(unsigned char b)
{
    return b >= 0x80 && b < 0xC0;
}

/* The length of the sequence at b[0..n) that would be UTF-8 if a space in it were the byte A0; 0:
 * there is none. Many programs turn A0 into a space. Byte 85 does not count, because it stands for
 * a very common character. */
static size_t altered_sequence(const unsigned char *b, size_t n)
{
    if (n >= 2 && b[1] == ' ' &&
        (b[0] == 0xC2 || b[0] == 0xC3 || b[0] == 0xC5 || b[0] == 0xCE || b[0] == 0xD0 || b[0] == 0xD9))
        return 2;
    if (n >= 3 && b[0] >= 0xE0 && b[0] <= 0xE3) {
        if (b[0] >= 0xE2 && b[1] == ' ' && tail_byte(b[2]) && b[2] != 0x85 && b[2] != 0xA0)
            return 3;
        if (tail_byte(b[1]) && b[1] != 0x85 && b[1] != 0xA0 && b[2] == ' ')
            return 3;
    }
    if (n >= 4 && b[0] == 0xF0) {
        int spaces = 0, tails = 0;
        for (int k = 1; k < 4; k++)
            spaces += b[k] == ' ', tails += tail_byte(b[k]);
        if (spaces == 1 && tails == 2)
            return 4;
    }
    return 0;
}

/* "Ã la" is a word of its own, not the beginning of "àla". Portuguese has longer words: às, àquele,
 * àquela, àquilo. */
static bool a_grave_word(const unsigned char *b, size_t n)
{
    static const char *const joined[] = {" ", "quele", "quela", "quilo", "s "};
    if (n < 2 || b[0] != 0xC3 || b[1] != ' ')
        return false;
    for (size_t k = 0; k < COUNT(joined); k++) {
        size_t len = strlen(joined[k]);
        if (n - 2 >= len && memcmp(b + 2, joined[k], len) == 0)
            return false;
    }
    return true;
}

/* Put A0 back in place of spaces, from[0..n) -> to. Returns the new length, at most n * 3 / 2. */
static size_t restore_a0(const unsigned char *from, size_t n, unsigned char *to)
{
    size_t w = 0, r = 0;
    bool any = false;
    for (size_t i = 0; i < n && !any; i++)
        any = altered_sequence(from + i, n - i) > 0;
    for (size_t i = 0; i < n; i++) {
        to[w++] = from[i];
        if (any && a_grave_word(from + i, n - i)) {
            to[w++] = 0xA0;
            to[w++] = ' ';
            i++;
        }
    }
    while (any && r < w) {
        size_t k = altered_sequence(to + r, w - r);
        for (size_t j = 0; j < k; j++)
            if (to[r + j] == ' ')
                to[r + j] = 0xA0;
        r += k ? k : 1;
    }
    return w;
}

/* The length of the UTF-8 sequence at b[0..n) in which some bytes have become 1A, or one has become
 * '?'; 0: there is none. */
static size_t lossy_sequence(const unsigned char *b, size_t n)
{
    #define SUB(k) (b[k] == 0x1A)
    #define ASK(k) (b[k] == 0x1A || b[k] == '?')
    #define ANY(k) (b[k] == 0x1A || tail_byte(b[k]))
    if (n >= 2 && b[0] >= 0xC2 && b[0] <= 0xDF && (SUB(1) || (b[0] <= 0xC3 && b[1] == '?')))
        return 2;
    if (n >= 6 && b[0] == 0xED && b[1] >= 0xA0 && b[1] <= 0xAF && b[3] == 0xED && b[4] >= 0xB0 && b[4] <= 0xBF &&
        ((ASK(2) && (ASK(5) || tail_byte(b[5]))) || ((ASK(2) || tail_byte(b[2])) && ASK(5))))
        return 6;
    if (n >= 3 && b[0] >= 0xE0 && b[0] <= 0xEF && ((ASK(1) && ANY(2)) || (ANY(1) && ASK(2))))
        return 3;
    if (n >= 4 && b[0] >= 0xF0 && b[0] <= 0xF4 &&
        ((ASK(1) && ANY(2) && ANY(3)) || (ANY(1) && ASK(2) && ANY(3)) || (ANY(1) && ANY(2) && ASK(3))))
        return 4;
    return n >= 1 && SUB(0);
    #undef SUB
    #undef ASK
    #undef ANY
}

static size_t replace_lossy(const unsigned char *from, size_t n, unsigned char *to)
{
    size_t w = 0;
    for (size_t i = 0; i < n;) {
        size_t k = lossy_sequence(from + i, n - i);
        if (k == 0)
            to[w++] = from[i++];
        else {
            memcpy(to + w, "\xEF\xBF\xBD", 3);
            w += 3;
            i += k;
        }
    }
    return w;
}

/* "$" of Python's regular expressions: the end, or a newline that ends the text. */
static bool at_end(const unsigned char *p, const unsigned char *end)
{
    return p == end || (p + 1 == end && *p == '\n');
}

/* CESU-8 at p, where ftfy's expression finds it: two surrogates of three bytes. It may also be cut
 * off by the end of the text; only the case of one missing byte with six left gets through there,
 * and makes a character of the newline. */
static bool cesu(const unsigned char *p, const unsigned char *end)
{
    static const unsigned char lo[6] = {0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80},
                               hi[6] = {0xED, 0xAF, 0xBF, 0xED, 0xBF, 0xBF};
    if (end - p < 6)
        return false;
    for (int k = 0; k < 6; k++)
        if (p[k] < lo[k] || p[k] > hi[k])
            return k > 0 && at_end(p + k, end);
    return true;
}

/* Decode strict UTF-8; with `variants` also CESU-8, and C0 80 for U+0000. False: it is not that. */
static bool decode(const unsigned char *p, size_t n, bool variants, cliptok_points *out)
{
    const unsigned char *end = p + n;
    out->n = 0;
    while (p < end) {
        if (variants && *p == 0xC0 && end - p > 1 && (p[1] == 0x80 || at_end(p + 1, end))) {
            out->c[out->n++] = 0;
            p += 2;
        } else if (variants && *p == 0xED && cesu(p, end)) {
            out->c[out->n++] =
                0x10000 + ((p[1] & 0x0Fu) << 16) + ((p[2] & 0x3Fu) << 10) + ((p[4] & 0x0Fu) << 6) + (p[5] & 0x3Fu);
            p += 6;
        } else {
            const unsigned char *from = p;
            uint32_t c = cliptok_utf8_next(&p, end);
            if (c == 0xFFFD && !(p - from == 3 && memcmp(from, "\xEF\xBF\xBD", 3) == 0))
                return false;
            out->c[out->n++] = c;
        }
    }
    return true;
}

/* Write all of t in one of the encodings that can, and read the result as UTF-8. *done: there is
 * such an encoding. The text may still be the same (a U+FFFD that stays one). */
static clip_status recode(cliptok_points *t, unsigned can, bool *done, bool *changed)
{
    /* restore_a0() adds a half, replace_lossy() triples. */
    unsigned char *a = malloc(t->n * 2 + 1), *b = malloc(t->n * 5 + 1);
    cliptok_points out = {0};
    clip_status s = a && b ? cliptok_points_reserve(&out, t->n * 2) : CLIP_ENOMEM;
    for (int k = 0; s == CLIP_OK && k < CODINGS && !*done; k++) {
        if (!(can >> k & 1))
            continue;
        size_t n = t->n;
        encode(t, k, a);
        if (k != MACROMAN) { /* there it would be an en dash with a space behind it */
            n = restore_a0(a, n, b);
            memcpy(a, b, n);
        }
        if (k >= 1 && k <= SLOPPY_LAST) {
            n = replace_lossy(a, n, b);
        } else
            memcpy(b, a, n);
        *done = decode(b, n, memchr(b, 0xED, n) || memchr(b, 0xC0, n), &out);
    }
    if (*done) {
        *changed = *changed || out.n != t->n || memcmp(out.c, t->c, out.n * sizeof *out.c) != 0;
        cliptok_points old = *t;
        *t = out;
        out = old;
    }
    free(a);
    free(b);
    cliptok_points_free(&out);
    return s;
}

static clip_status fix_encoding(cliptok_points *t, int depth, bool *changed);

/* The length of what looks like UTF-8 sequences at c[i..n); 0: not here. */
static size_t embedded(const uint32_t *c, size_t i, size_t n)
{
    static const uint32_t lead[] = {LEAD2, LEAD3, LEAD4};
    size_t from = i;
    if (i > 0 && (find_glyph(c[i - 1])->kinds & TAIL_STRICT))
        return 0; /* in the middle of something worse */
    for (bool more = true; more;) {
        more = false;
        for (size_t k = 0; k < COUNT(lead) && !more; k++) {
            if (i >= n || !(find_glyph(c[i])->kinds & lead[k]))
                continue;
            size_t tails = 0;
            while (tails <= k && i + 1 + tails < n &&
                   (c[i + 1 + tails] == ' ' || (find_glyph(c[i + 1 + tails])->kinds & TAIL)))
                tails++;
            if (tails > k) {
                i += 1 + tails;
                more = true;
            }
        }
    }
    return i - from;
}

/* No encoding explains the whole text: mend each piece that looks like it on its own. */
static clip_status fix_embedded(cliptok_points *t, int depth, bool *changed)
{
    cliptok_points out = {0}, piece = {0};
    clip_status s = cliptok_points_reserve(&out, t->n);
    for (size_t i = 0; s == CLIP_OK && i < t->n;) {
        size_t k = t->c[i] < 0x80 ? 0 : embedded(t->c, i, t->n);
        if (k == 0 || k == t->n || !cliptok_mojibake(t->c + i, k)) {
            k = k ? k : 1;
            if ((s = cliptok_points_reserve(&out, k)) == CLIP_OK)
                memcpy(out.c + out.n, t->c + i, k * sizeof *out.c);
            out.n += k;
        } else {
            piece.n = 0;
            if ((s = cliptok_points_reserve(&piece, k)) == CLIP_OK) {
                memcpy(piece.c, t->c + i, k * sizeof *piece.c);
                piece.n = k;
                s = fix_encoding(&piece, depth + 1, changed);
            }
            if (s == CLIP_OK && (s = cliptok_points_reserve(&out, piece.n)) == CLIP_OK) {
                memcpy(out.c + out.n, piece.c, piece.n * sizeof *out.c);
                out.n += piece.n;
            }
        }
        i += k;
    }
    if (s == CLIP_OK) {
        cliptok_points old = *t;
        *t = out;
        out = old;
    }
    cliptok_points_free(&out);
    cliptok_points_free(&piece);
    return s;
}

/* One step, the most likely cause first. */
static clip_status fix_one(cliptok_points *t, int depth, bool *changed)
{
    if (!cliptok_mojibake(t->c, t->n))
        return CLIP_OK;
    unsigned can = possible_codings(t);
    bool done = false;
    if (can)
        TRY(recode(t, can, &done, changed));
    if (!done && depth < DEPTH)
        TRY(fix_embedded(t, depth, changed));
    if (done || *changed)
        return CLIP_OK;
    /* Latin-1 that was meant as Windows-1252, as a whole or in single characters. Nobody writes
     * these controls. */
    for (size_t i = 0; i < t->n; i++)
        if (t->c[i] >= 0x80 && t->c[i] < 0xA0) {
            uint32_t meant = cliptok_c1_meaning(t->c[i]);
            *changed = *changed || meant != t->c[i];
            t->c[i] = meant;
        }
    return CLIP_OK;
}

static clip_status fix_encoding(cliptok_points *t, int depth, bool *changed)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool step = false;
        TRY(fix_one(t, depth, &step));
        if (!step)
            break;
        *changed = true;
    }
    return CLIP_OK;
}

clip_status cliptok_fix_encoding(cliptok_points *t, bool *changed)
{
    return fix_encoding(t, 0, changed);
}
