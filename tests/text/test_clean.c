/* What happens to a text before it is cut into words. Expected values are those of Python's html
 * and ftfy 6.3. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "text/fix.h"
#include "text/html.h"
#include "text/mojibake.h"

static cliptok_points points(const char *text)
{
    cliptok_points p = {0};
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    while (at < end)
        assert_int_equal(cliptok_points_put(&p, cliptok_utf8_next(&at, end)), CLIP_OK);
    return p;
}

static void expect(cliptok_points *p, const char *from, const char *expected)
{
    char got[4096];
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += (size_t)cliptok_utf8_put(p->c[i], (unsigned char *)got + n);
    got[n] = 0;
    if (strcmp(got, expected) != 0)
        fail_msg("'%s' became '%s', not '%s'", from, got, expected);
    cliptok_points_free(p);
}

static const cliptok_unicode *const unicode[] = {&cliptok_unicode_python, &cliptok_unicode_rust};

typedef struct example {
    const char *from, *to;
} example;

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int n;
        uint32_t c[8];
    } cases[] = {
        {"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 4, {'a', 0xE9, 0x20AC, 0x1F600}},
        {"\xFF", 1, {0xFFFD}},
        {"\xC3(", 2, {0xFFFD, '('}},
        {"\xE2\x82", 1, {0xFFFD}},                       /* a beginning is one replacement */
        {"\xE2\x82z", 2, {0xFFFD, 'z'}},
        {"\xF0\x9F\x98", 1, {0xFFFD}},
        {"\xC0\x80", 2, {0xFFFD, 0xFFFD}},               /* overlong */
        {"\xE0\x80\x80", 3, {0xFFFD, 0xFFFD, 0xFFFD}},
        {"\xED\xA0\x80", 3, {0xFFFD, 0xFFFD, 0xFFFD}},   /* a surrogate */
        {"\xF4\x90\x80\x80", 4, {0xFFFD, 0xFFFD, 0xFFFD, 0xFFFD}},
        {"\xF4\x8F\xBF\xBF", 1, {0x10FFFF}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cliptok_points p = points(cases[i].bytes);
        assert_int_equal(p.n, cases[i].n);
        assert_memory_equal(p.c, cases[i].c, p.n * sizeof *p.c);
        cliptok_points_free(&p);
    }
    assert_int_equal(cliptok_utf8_error((const unsigned char *)"0123456789\xEF\xBF\xBD\xE2\x28", 15), 13);
    assert_int_equal(cliptok_utf8_error((const unsigned char *)"0123456789\xEF\xBF\xBD", 13), 13);
}

static void html(void **state)
{
    (void)state;
    static const example cases[] = {
        {"&eacute;&Eacute;&amp;&lt;", "éÉ&<"},
        {"&amp;lt;", "&lt;"},
        {"&notit; &notin; &not", "¬it; ∉ ¬"},
        {"&copy2024", "©2024"},
        {"&NotEqualTilde;", "≂̸"},
        {"&CounterClockwiseContourIntegral;", "∳"},
        {"&unknown; &; & &a", "&unknown; &; & &a"},
        {"&#233;&#xE9;&#XE9&#233", "éééé"},
        {"&#0;&#128;&#x9f;&#129;", "\xEF\xBF\xBD€Ÿ\xC2\x81"},
        {"&#xD800;&#x110000;&#99999999999999999999;", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"&#1;&#x1f;&#xFDD0;&#xFFFF;&#127;|", "|"},
        {"&#; &#x; &#xg;", "&#; &#x; &#xg;"},
        {"&#9;&#10;&#12;&#13;", "\t\n\f\r"},
        {"&EACUTE; &AMP;&AMP", "&EACUTE; &&"},
    };
    static const example careful[] = {
        {"&eacute;&EACUTE;", "éÉ"},
        {"&amp &amp;", "&amp &"},
        {"BUNDESSTRA&SZLIG;E &FFLIG; &NAPOS;", "BUNDESSTRASSE FF ʼN"},
        {"&nTILDE;", "&nTILDE;"},
        {"&AMPX; &notit;", "&AMPX; &notit;"},
        {"&#233; &#xE9; &#12ab; &#59;", "é é &#12ab; &#59;"},
        {"&thisnameismuchlongerthanany;", "&thisnameismuchlongerthanany;"},
        {"&CounterClockwiseContourIntegral;", "&CounterClockwiseContourIntegral;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cliptok_points p = points(cases[i].from);
        cliptok_html_unescape(&p);
        expect(&p, cases[i].from, cases[i].to);
    }
    for (size_t i = 0; i < sizeof careful / sizeof *careful; i++) {
        cliptok_points p = points(careful[i].from);
        bool changed = cliptok_html_unescape_careful(&p);
        assert_int_equal(changed, strcmp(careful[i].from, careful[i].to) != 0);
        expect(&p, careful[i].from, careful[i].to);
    }
}

static void mojibake(void **state)
{
    (void)state;
    static const example cases[] = {
        {"schÃ¶n", "schön"},
        {"â€œquotedâ€\xC2\x9D", "“quoted”"},
        {"Ã la mode", "à la mode"},
        {"Ãƒ\xC2\xB6", "ö"},
        {"Ñ€Ð°Ð·", "раз"},
        {"ðŸ˜€", "😀"},
        {"вЂњ", "“"},
        {"‚Äúx‚Äù", "“x”"},
        {"â€\xEF\xBF\xBD", "\xEF\xBF\xBD"},
        {"\xC2\x91x\xC2\x92", "‘x’"},
        {"日本 Ã©tÃ©", "日本 été"},
        {"\xC2\xED\xC2\xA0", "\xC2\xED\xC2\xA0"},
        {"café, naïve, ¿qué?, 5 £, «x», §1, 10 °C, Ørsted, ¡Hola!",
         "café, naïve, ¿qué?, 5 £, «x», §1, 10 °C, Ørsted, ¡Hola!"},
        {"Μοιάζει με γλώσσα, как этот", "Μοιάζει με γλώσσα, как этот"},
    };
    for (size_t i = 0; i < 11; i++) {
        cliptok_points p = points(cases[i].from);
        bool changed = false;
        assert_true(cliptok_mojibake(p.c, p.n));
        assert_int_equal(cliptok_fix_encoding(&p, &changed), CLIP_OK);
        assert_true(changed);
        expect(&p, cases[i].from, cases[i].to);
    }
    for (size_t i = 12; i < sizeof cases / sizeof *cases; i++) {
        cliptok_points p = points(cases[i].from);
        assert_false(cliptok_mojibake(p.c, p.n));
        cliptok_points_free(&p);
    }
}

static void fix(void **state)
{
    (void)state;
    static const example cases[] = {
        {"ﬂuﬃeﬆ ŉ Ĳ ǆ", "fluffiest 'n IJ dž"},
        {"ＬＯＵＤ　ＮＯＩＳＥＳ ﾈｺ ￥", "LOUD NOISES ネコ ¥"},
        {"“a” ‘b’ ʼc‛ „d‟", "\"a\" 'b' 'c' \"d\""},
        {"a\r\nb\rc\xE2\x80\xA8""d\xE2\x80\xA9""e", "a\nb\nc\nd\ne"},
        {"\x1B[31mred\x1B[0m \x1B[1;4mx \x1B]y \x1B[", "red x ]y ["},
        {"a\x01\x0B\x1F\x7F\xEF\xBB\xBF\xEF\xBF\xBC\xE2\x81\xAA""b\t\fc", "ab\t\fc"},
        {"e\xCC\x81 \xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "é 한"},
        {"&amp;amp;amp;amp;lt;", "<"}, {"&eacute; &copy", "é &copy"},
        {"ＬＯＵＤ&ａｍｐ；amp;", "LOUD&"}, {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cliptok_points p = points(cases[i].from), spare = {0};
        assert_int_equal(cliptok_fix(&p, true, &spare), CLIP_OK);
        expect(&p, cases[i].from, cases[i].to);
        cliptok_points_free(&spare);
    }
    cliptok_points p = points("&amp;"), spare = {0};
    assert_int_equal(cliptok_fix(&p, false, &spare), CLIP_OK);
    expect(&p, "&amp;", "&amp;");
    cliptok_points_free(&spare);
}

static void lower(void **state)
{
    (void)state;
    static const struct {
        const char *from, *openclip, *huggingface;
    } cases[] = {
        {"ABC xyz", "abc xyz", "abc xyz"}, {"İÉẞK", "i̇éßk", "i̇éßk"},
        {"ΟΔΟΣ", "οδος", "οδοσ"}, {"Σ", "σ", "σ"},
        {"ΣΑΣ'Σ.", "σασ'ς.", "σασ'σ."},
        {"AΣ\xCC\x81" "b", "aσ\xCC\x81" "b", "aσ\xCC\x81" "b"}, {"AΣ\xCC\x81", "aς\xCC\x81", "aσ\xCC\x81"},
        {"\xEA\x9F\x8B", "\xEA\x9F\x8B", "ɤ"}, /* a capital of Unicode 16 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int rules = 0; rules < 2; rules++) {
            cliptok_points p = points(cases[i].from), out = {0};
            assert_int_equal(cliptok_lower(p.c, p.n, unicode[rules], &out), CLIP_OK);
            cliptok_points_free(&p);
            expect(&out, cases[i].from, rules ? cases[i].huggingface : cases[i].openclip);
        }
}

static void compose(void **state)
{
    (void)state;
    static const struct {
        const char *from, *openclip, *huggingface;
    } cases[] = {
        {"e\xCC\x81", "é", "é"}, {"o\xCC\x88\xCC\xA3", "ọ\xCC\x88", "ọ\xCC\x88"},
        {"\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC", "\xE0\xA4\x95\xE0\xA4\xBC"},
        /* a U+11A7 is kept */
        {"\xE1\x84\x8E\xE1\x85\xA3\xE1\x86\xA7", "\xEC\xB1\xA0\xE1\x86\xA7", "\xEC\xB1\xA0\xE1\x86\xA7"},
        /* Unicode 13 */
        {"\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0", "\xF0\x91\xA4\xB8", "\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0"},
        /* a mark of Unicode 15 */
        {"a\xF0\x90\xBB\xBD\xCC\xB4", "a\xF0\x90\xBB\xBD\xCC\xB4", "a\xF0\x90\xBB\xBD\xCC\xB4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int rules = 0; rules < 2; rules++) {
            cliptok_points p = points(cases[i].from), out = {0};
            assert_int_equal(cliptok_nfc(p.c, p.n, unicode[rules], &out), CLIP_OK);
            cliptok_points_free(&p);
            expect(&out, cases[i].from, rules ? cases[i].huggingface : cases[i].openclip);
        }
}

/* A hundred thousand marks in the worst order, and entities in a hundred thousand layers: a moment
 * each. */
static void hostile(void **state)
{
    (void)state;
    enum { N = 100000 };
    cliptok_points p = points("a"), out = {0};
    for (int i = 0; i < N; i++)
        assert_int_equal(cliptok_points_put(&p, i % 2 ? 0x334 : 0x301), CLIP_OK);
    assert_int_equal(cliptok_nfc(p.c, p.n, &cliptok_unicode_python, &out), CLIP_OK);
    /* All U+0334 (class 1), then all U+0301 (class 230). The first U+0301 melts into the a. */
    assert_int_equal(out.n, N);
    assert_int_equal(out.c[0], 0xE1);
    assert_int_equal(out.c[1], 0x334);
    assert_int_equal(out.c[N - 1], 0x301);
    p.n = 0;
    assert_int_equal(cliptok_points_put(&p, '&'), CLIP_OK);
    for (int i = 0; i < 4 * N; i++)
        assert_int_equal(cliptok_points_put(&p, (uint32_t)"amp;"[i % 4]), CLIP_OK);
    assert_int_equal(cliptok_fix(&p, true, &out), CLIP_OK);
    assert_true(p.n < 4 * N);
    cliptok_points_free(&p);
    cliptok_points_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8), cmocka_unit_test(html),    cmocka_unit_test(mojibake), cmocka_unit_test(fix),
        cmocka_unit_test(lower), cmocka_unit_test(compose), cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
