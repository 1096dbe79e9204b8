/* test_table.c: tables of pairs (quoting, separators, faults), and specifications of sources. */
#include "fixture.h"

#include <stdbool.h>

#include "data/csv.h"
#include "failing_alloc.h"

static int with_pictures(void **state)
{
    int failed = fresh_dir(state);
    put_text("img/a.png", "A");
    put_text("img/b c.jpg", "B");
    put_text("d.png", "D");
    return failed;
}

static const char *table(const char *name, const char *text, const clip_pairs_options *opt)
{
    put_text(name, text);
    return all_of(in_dir(name), opt);
}

static void openclips_tables(void **state)
{
    (void)state;
    const char *expected = "img/a.png=A: an apple\nimg/b c.jpg=B: a bear, brown\n";
    assert_string_equal(table("t.tsv", "filepath\ttitle\nimg/a.png\tan apple\nimg/b c.jpg\ta bear, brown\n", NULL),
                        expected);
    assert_string_equal(table("t.csv", "filepath\ttitle\nimg/a.png\tan apple\nimg/b c.jpg\ta bear, brown", NULL),
                        expected);
    assert_string_equal(
        table("t.csv", "title,x,filepath\nan apple,1,img/a.png\n\"a bear, brown\",2,img/b c.jpg\n", NULL), expected);
    assert_string_equal(table("t.CSV", "title;filepath\r\nan apple;img/a.png\r\na bear, brown;img/b c.jpg\r\n", NULL),
                        expected);
    assert_string_equal(
        table("t.csv", "\xef\xbb\xbf\"filepath\",\"title\"\r\rimg/a.png,an apple\rimg/b c.jpg,\"a bear, brown\"\r",
              NULL),
        expected);
}

static void keys_and_separator_can_be_chosen(void **state)
{
    (void)state;
    clip_pairs_options opt = {"image", "caption", '|'};
    assert_string_equal(table("t.csv", "image|caption\nd.png|a, b\n", &opt), "d.png=D: a, b\n");
    opt = (clip_pairs_options){.caption_key = "text"};
    assert_string_equal(table("t.csv", "filepath,text\nd.png,x\n", &opt), "d.png=D: x\n");
    char absolute[600];
    snprintf(absolute, sizeof absolute, "filepath,title\n%s,by its full name\n", in_dir("d.png"));
    assert_string_equal(table("sub/t.csv", absolute, NULL), "d.png=D: by its full name\n");
}

static void rows_of_one_picture_are_one_sample(void **state)
{
    (void)state;
    assert_string_equal(
        table("t.csv", "filepath,title\nd.png,one\nd.png,two\nd.png,\nimg/a.png,three\nd.png,four\n", NULL),
        "d.png=D: one|two\nimg/a.png=A: three\nd.png=D: four\n");
    assert_string_equal(table("t.csv", "filepath,title\nd.png,one\nd.png\nd.png,two\nimg/a.png,\"open", NULL),
                        "d.png=D: one\n"
                        "EFORMAT t.csv: line 3: 1 fields, but the first line names 2\n"
                        "d.png=D: two\n"
                        "EFORMAT t.csv: line 5: a quote that opens here is not closed\n");
}

static void a_broken_row_is_named_and_skipped(void **state)
{
    (void)state;
    static const char text[] = "filepath,title\n"
                               "gone.png,a\n"
                               "\n"
                               ",b\n"
                               "d.png,c,d\n"
                               "img,a folder\n"
                               "img/a.png,\n"
                               "\"img/a.png\",\"two\nlines\"\n"
                               "d.\0png,zero\n"
                               "d.png,sound\n";
    put("t.csv", text, sizeof text - 1);
    assert_string_equal(
        all_of(in_dir("t.csv"), NULL),
        "EIO t.csv: line 2: gone.png: No such file or directory\n"
        "EFORMAT t.csv: line 4: the picture's name is empty\n"
        "EFORMAT t.csv: line 5: 3 fields, but the first line names 2 (is a separator in an unquoted caption?)\n"
        "EIO t.csv: line 6: img: Is a directory\n"
        "img/a.png=A: two\nlines\n"
        "EFORMAT t.csv: line 10: holds a zero byte, so it is not text\n"
        "d.png=D: sound\n");
    put("empty.png", "", 0);
    assert_string_equal(table("t.csv", "filepath,title\nempty.png,a\nd.png, \n", NULL),
                        "EFORMAT t.csv: line 2: empty.png: the picture is empty\n"
                        "EFORMAT t.csv: line 3: d.png: has no caption\n");
    mkfifo(in_dir("pipe.png"), 0600);
    assert_string_equal(table("t.csv", "filepath,title\npipe.png,nobody writes\n", NULL),
                        "EIO t.csv: line 2: pipe.png: is not a regular file\n");
}

static void a_header_that_does_not_fit_is_found_at_once(void **state)
{
    (void)state;
    assert_string_equal(table("t.csv", "image,title\nd.png,a\n", NULL),
                        "open: EFORMAT t.csv: its first line names no column 'filepath', only: image, title\n");
    assert_string_equal(table("t.tsv", "filepath,title\nd.png,a\n", NULL),
                        "open: EFORMAT t.tsv: its first line names no column 'filepath', only: filepath,title\n");
    assert_string_equal(table("t.csv", "filepath;text;x\n", NULL),
                        "open: EFORMAT t.csv: its first line names no column 'title', only: filepath, text, x\n");
    const char *nothing = "open: EFORMAT t.csv: is empty: a first line that names the columns is missing\n";
    assert_string_equal(table("t.csv", "", NULL), nothing);
    assert_string_equal(table("t.csv", "\n\r\n", NULL), nothing);
    assert_string_equal(table("t.csv", "filepath,title\n", NULL), "");
    assert_string_equal(table("t.csv", "\xff\xfe" "f", NULL), "open: EFORMAT t.csv: is UTF-16; save it as UTF-8\n");
    assert_string_equal(table("t.csv", "\"filepath,title\nd.png,a\n", NULL),
                        "open: EFORMAT t.csv: line 1: a quote that opens here is not closed\n");
}

/* A text as rows: fields joined by '/', rows by '.'. */
static const char *rows(const char *text, size_t size)
{
    static char out[256];
    clipdat_csv csv;
    clip_error err;
    *out = 0;
    put("rows", text, size);
    assert_int_equal(clipdat_csv_open(&csv, in_dir("rows"), &err), CLIP_OK);
    csv.separator = ',';
    clip_status s;
    while ((s = clipdat_csv_row(&csv, &err)) == CLIP_OK && csv.n > 0) {
        for (size_t i = 0; i < csv.n; i++)
            sprintf(out + strlen(out), "%s%s", i ? "/" : "", clipdat_csv_field(&csv, i));
        strcat(out, ".");
    }
    if (s < 0)
        strcat(out, "!");
    clipdat_csv_close(&csv);
    return out;
}

static void quoting_follows_rfc_4180(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a,b\nc,d\n", "a/b.c/d."},
        {"a,b\r\nc,d", "a/b.c/d."},
        {"a\rb\r\r\nc\n\n\n", "a.b.c."},
        {"a,,\n,\n", "a//./."},
        {"\"a,b\",\"c\"\"d\"\"\"\n", "a,b/c\"d\"."},
        {"\"a\nb\r\nc\"\n", "a\nb\nc."},
        {"\"\"\n\"\",\"\"\n", "./."},
        {"a\"b,c\"\n", "a\"b/c\"."},
        {"\"a\"b\"\n", "ab\"."},
        {" \"a\"\n", " \"a\"."},
        {"a,\"b", "!"},
        {"\"", "!"},
        {"\"\"", "."},
        {",", "/."},
        {"", ""},
        {"\n", ""},
        {"\xef\xbb\xbf\"a\"\n", "a."},
        {"\xef\xbb", "\xef\xbb."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(rows(cases[i][0], strlen(cases[i][0])), cases[i][1]) != 0)
            fail_msg("case %zu gives \"%s\", not \"%s\"", i, rows(cases[i][0], strlen(cases[i][0])), cases[i][1]);
}

static void a_row_is_bounded(void **state)
{
    (void)state;
    const size_t n = CLIPDAT_MAX_ROW + 100;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    assert_string_equal(rows(text, n), "!");
    memset(text, ',', n);
    assert_string_equal(rows(text, n), "!");
    memcpy(text, "filepath,title\n", 15);
    put("t.csv", text, n);
    assert_string_equal(all_of(in_dir("t.csv"), NULL),
                        "ELIMIT t.csv: line 2: longer than 1048576 bytes (is a quote not closed?)\n");
    free(text);
}

static void every_cut_and_flip_of_a_table(void **state)
{
    (void)state;
    static const char text[] = "filepath,title\nd.png,\"one, \"\"two\"\"\"\r\nd.png,three\nimg/a.png,four\n";
    char bytes[sizeof text];
    for (size_t cut = 0; cut < sizeof text; cut++) {
        put("t.csv", text, cut);
        all_of(in_dir("t.csv"), NULL);
    }
    for (size_t bit = 0; bit < 8 * (sizeof text - 1); bit++) {
        memcpy(bytes, text, sizeof text);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        put("t.csv", bytes, sizeof text - 1);
        all_of(in_dir("t.csv"), NULL);
    }
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    put_text("t.csv", "filepath,title\nd.png,one\nd.png,two\nimg/a.png,three\ngone.png,x\n");
    for (long n = 1;; n++) {
        clip_pairs *p;
        clip_pair pair;
        clip_error err;
        int without = 0; /* failing allocations of the stream, or of one picture */
        fail_alloc_at(n);
        without += clipdat_pairs_open(in_dir("t.csv"), NULL, &p, &err) == CLIP_ENOMEM;
        for (int i = 0; p && i < 10; i++) {
            clip_status s = clipdat_pairs_next(p, &pair, &err);
            without += s < 0 && strstr(err.message, "out of memory");
        }
        clipdat_pairs_close(p);
        if (!fail_alloc_stop())
            break;
        if (without != 1)
            fail_msg("allocation %ld fails: out of memory %d times", n, without);
    }
}

/* ---- Specifications ---- */

static const char *expanded(const char *spec)
{
    static char out[4096];
    char **list;
    size_t n;
    clip_error err = {0};
    *out = 0;
    clip_status s = clipdat_expand(spec, &list, &n, &err);
    if (s < 0) {
        assert_null(list);
        return strcpy(out, clipb_status_name(s));
    }
    for (size_t i = 0; i < n; i++)
        sprintf(out + strlen(out), "%s%s", i ? " " : "", list[i]);
    clipdat_list_free(list, n);
    return out;
}

static void braces_expand_as_in_a_shell(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a.tar", "a.tar"},
        {"a.tar::b", "a.tar b"},
        {"{08..11}", "08 09 10 11"},
        {"{8..11}", "8 9 10 11"},
        {"{2..0}", "2 1 0"},
        {"{001..2}", "001 002"},
        {"{98..0100}", "0098 0099 0100"},
        {"x{a,b}y", "xay xby"},
        {"{a,b}{1..2}", "a1 a2 b1 b2"},
        {"{a{1,2},b{3..4}}.tar", "a1.tar a2.tar b3.tar b4.tar"},
        {"{a,}", "a "},
        {"{a}", "{a}"},
        {"{}", "{}"},
        {"{a", "{a"},
        {"a}{b,c}", "a}b a}c"},
        {"{a{b,c}", "{ab {ac"},
        {"{x{1..2}}", "{x1} {x2}"},
        {"{1...2}", "{1...2}"},
        {"{1..b}", "{1..b}"},
        {"{1..}", "{1..}"},
        {"{-1..1}", "{-1..1}"},
        {"{9223372036854775807..9223372036854775808}", "{9223372036854775807..9223372036854775808}"},
        {"s{0..1}::t{0..1}", "s0 s1 t0 t1"},
        {"", "CLIP_EINVAL"},
        {"a::", "CLIP_EINVAL"},
        {"::a", "CLIP_EINVAL"},
        {"{0..999999999999999999}", "CLIP_ELIMIT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(expanded(cases[i][0]), cases[i][1]) != 0)
            fail_msg("%s gives \"%s\", not \"%s\"", cases[i][0], expanded(cases[i][0]), cases[i][1]);
    char deep[65 * 5 + 1] = "";
    for (int i = 0; i < 65; i++)
        strcat(deep, "{a,b}");
    assert_string_equal(expanded(deep), "CLIP_ELIMIT");
}

static void an_existing_name_is_not_expanded(void **state)
{
    (void)state;
    put_text("x{1,2}::y/t.csv", "filepath,title\n../d.png,odd\n");
    assert_string_equal(all_of(in_dir("x{1,2}::y/t.csv"), NULL), "x{1,2}::y/../d.png=D: odd\n");
}

static void expansion_survives_failing_allocations(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        char **list;
        size_t count;
        fail_alloc_at(n);
        clip_status s = clipdat_expand("a{1..3}{x,y}::b::c{1,{2..20}}", &list, &count, NULL);
        if (!fail_alloc_stop()) {
            assert_int_equal(count, 6 + 1 + 20);
            clipdat_list_free(list, count);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
        assert_null(list);
    }
}

static void sources_follow_each_other(void **state)
{
    (void)state;
    put_text("1.tsv", "filepath\ttitle\nd.png\tone\n");
    put_text("2.tsv", "filepath\ttitle\nd.png\ttwo\n");
    char spec[600];
    snprintf(spec, sizeof spec, "%s/{1,2}.tsv::%s", dir, in_dir("img"));
    assert_string_equal(all_of(spec, NULL), "d.png=D: one\nd.png=D: two\nimg/a.png=A: img\nimg/b c.jpg=B: img\n");
    snprintf(spec, sizeof spec, "%s/{1..3}.tsv", dir);
    assert_string_equal(all_of(spec, NULL), "open: EIO 3.tsv: No such file or directory\n");
    assert_string_equal(
        all_of(in_dir("d.png"), NULL),
        "open: EUNSUPPORTED d.png: is neither a directory nor a .tar, .tar.gz, .tgz, .tsv or .csv file\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, with_pictures)
    const struct CMUnitTest tests[] = {
        T(openclips_tables),
        T(keys_and_separator_can_be_chosen),
        T(rows_of_one_picture_are_one_sample),
        T(a_broken_row_is_named_and_skipped),
        T(a_header_that_does_not_fit_is_found_at_once),
        T(quoting_follows_rfc_4180),
        T(a_row_is_bounded),
        T(every_cut_and_flip_of_a_table),
        T(every_failing_allocation_is_survived),
        T(braces_expand_as_in_a_shell),
        T(an_existing_name_is_not_expanded),
        T(expansion_survives_failing_allocations),
        T(sources_follow_each_other),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
