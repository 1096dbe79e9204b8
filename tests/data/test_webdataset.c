/* test_webdataset.c: WebDataset tars: sound, odd, truncated, and with flipped bits. */
#include "fixture.h"

#include <stdbool.h>

#include "failing_alloc.h"

static tar_file tar;

static const char *read_tar(void)
{
    put("t.tar", tar.bytes, tar.n);
    return all_of(in_dir("t.tar"), NULL);
}

static int empty_tar(void **state)
{
    (void)state;
    tar.n = 0;
    return 0;
}

static void members_of_a_key_are_a_sample(void **state)
{
    (void)state;
    tar_text(&tar, "a/0.jpg", "P0");
    tar_text(&tar, "a/0.txt", "a red apple\n");
    tar_text(&tar, "a/1.txt", "a pear\r\nand more\n\n");
    tar_text(&tar, "a/1.cls", "7");
    tar_text(&tar, "a/1.PNG", "P1");
    tar_text(&tar, "b/1.json", "{\"caption\": \"one\", \"width\": 5}");
    tar_text(&tar, "b/1.webp", "P2");
    tar_end(&tar);
    assert_string_equal(read_tar(), "t.tar/a/0.jpg=P0: a red apple\n"
                                    "t.tar/a/1.PNG=P1: a pear\r\nand more\n"
                                    "t.tar/b/1.webp=P2: one\n");
}

static void captions_in_json_win(void **state)
{
    (void)state;
    tar_text(&tar, "0.txt", "text");
    tar_text(&tar, "0.json", "{\"captions\": [\"a\", \" b\\n\", \"\"], \"caption\": \"c\"}");
    tar_text(&tar, "0.png", "P");
    tar_text(&tar, "1.json", "{\"captions\": [\"d\"]}");
    tar_text(&tar, "1.txt", "text");
    tar_text(&tar, "1.png", "P");
    tar_text(&tar, "2.json", "{\"captions\": [], \"caption\": null}");
    tar_text(&tar, "2.txt", "text");
    tar_text(&tar, "2.png", "P");
    tar_text(&tar, "3.json", "{\"captions\": [\"x\", 3]}");
    tar_text(&tar, "3.png", "P");
    tar_text(&tar, "4.png", "P");
    tar_text(&tar, "4.json", "{\"caption\": [\"x\"]}");
    tar_text(&tar, "5.png", "P");
    tar_text(&tar, "5.json", "{\"caption\": ");
    tar_text(&tar, "6.png", "P");
    tar_text(&tar, "6.json", "[1]");
    tar_end(&tar);
    assert_string_equal(read_tar(),
                        "t.tar/0.png=P: a|b\n"
                        "t.tar/1.png=P: d\n"
                        "t.tar/2.png=P: text\n"
                        "EFORMAT t.tar: 3.json: \"captions\" must be a list of strings\n"
                        "EFORMAT t.tar: 4.json: \"captions\" must be a list of strings, \"caption\" a string\n"
                        "EFORMAT t.tar: 5.json: not valid JSON (line 1, byte 11)\n"
                        "EFORMAT t.tar/6.png: has no caption\n");
}

static void a_broken_sample_is_named_and_skipped(void **state)
{
    (void)state;
    tar_text(&tar, "0.txt", "no picture");
    tar_text(&tar, "1.png", "no caption");
    tar_text(&tar, "2.png", "");
    tar_text(&tar, "2.txt", "zero-length picture");
    tar_text(&tar, "3.png", "P");
    tar_text(&tar, "3.txt", " \n");
    tar_text(&tar, "4.png", "P");
    tar_text(&tar, "4.txt", "twice");
    tar_text(&tar, "4.png", "Q");
    tar_text(&tar, "4.txt", "twice");
    tar_text(&tar, "5.png", "P");
    tar_text(&tar, "5.txt", "sound");
    tar_text(&tar, "4.png", "P");
    tar_text(&tar, "4.txt", "the key again, later");
    tar_end(&tar);
    assert_string_equal(read_tar(), "EFORMAT t.tar: sample '0' has no picture\n"
                                    "EFORMAT t.tar/1.png: has no caption\n"
                                    "EFORMAT t.tar/2.png: the picture is empty\n"
                                    "EFORMAT t.tar/3.png: has no caption\n"
                                    "EFORMAT t.tar: 4.png: is there twice\n"
                                    "t.tar/5.png=P: sound\n"
                                    "t.tar/4.png=P: the key again, later\n");
}

static void the_best_of_several_pictures_counts(void **state)
{
    (void)state;
    tar_text(&tar, "0.webp", "W");
    tar_text(&tar, "0.jpg", "J");
    tar_text(&tar, "0.png", "P");
    tar_text(&tar, "0.txt", "in any order");
    tar_end(&tar);
    assert_string_equal(read_tar(), "t.tar/0.jpg=J: in any order\n");
}

static void other_members_are_passed_over(void **state)
{
    (void)state;
    tar_add(&tar, "a.b/", '5', NULL, 0);
    tar_text(&tar, "README", "no extension");
    tar_text(&tar, "a.b/._0.jpg", "macOS");
    tar_text(&tar, "a.b/.hidden.txt", "hidden");
    tar_text(&tar, "a.b/0.seg.png", "no picture of ours");
    tar_text(&tar, "a.b/0.jpg", "P");
    tar_add(&tar, "a.b/0.png", '2', NULL, 0);
    tar_add(&tar, "a.b/0.gif", '1', NULL, 0);
    tar_text(&tar, "a.b/0.txt", "zero\n");
    tar_end(&tar);
    assert_string_equal(read_tar(), "t.tar/a.b/0.jpg=P: zero\n");
}

/* PAX: names beyond 100 bytes and outside ASCII, in any locale. */
static void add_pax(const char *path, const char *data)
{
    char record[1200];
    size_t n = strlen(path) + 7, digits = n + 3 > 999 ? 4 : n + 3 > 99 ? 3 : 2;
    snprintf(record, sizeof record, "%zu path=%s\n", n + digits, path);
    assert_int_equal(strlen(record), n + digits);
    tar_add(&tar, "PaxHeader", 'x', record, strlen(record));
    tar_text(&tar, "short", data);
}

static void long_and_foreign_names_are_read(void **state)
{
    (void)state;
    char name[300], expected[2000], longer[300];
    memset(name, 'n', 250);
    strcpy(name + 250, ".png");
    strcpy(longer, name);
    strcpy(longer + 250, ".txt");
    add_pax(name, "P");
    add_pax(longer, "long");
    add_pax("\u00e9.png", "Q"); /* two names that become the same in a locale without them */
    add_pax("\u00e9.txt", "e");
    add_pax("\u00fc.png", "R");
    add_pax("\u00fc.txt", "u");
    tar_text(&tar, "\xe9\xff.png", "S"); /* not UTF-8 */
    tar_text(&tar, "\xe9\xff.txt", "raw");
    tar_end(&tar);
    snprintf(expected, sizeof expected,
             "t.tar/%s=P: long\nt.tar/\u00e9.png=Q: e\nt.tar/\u00fc.png=R: u\nt.tar/\xe9\xff.png=S: raw\n", name);
    assert_string_equal(read_tar(), expected);
}

static void gnu_names_and_gzip_are_read(void **state)
{
    (void)state;
    char name[201], command[1200], expected[300];
    memset(name, 'g', 196);
    strcpy(name + 196, ".png");
    put(name, "P", 1);
    put_text("0.png", "Q");
    put_text("0.txt", "zero");
    strcpy(name + 196, ".txt");
    put(name, "gnu", 3);
    snprintf(command, sizeof command,
             "cd %s && tar --format=gnu -czf t.tgz %.196s.png %s 0.png 0.txt && cp t.tgz t.tar.gz && cp t.tgz odd.tar",
             dir, name, name);
    assert_int_equal(system(command), 0);
    snprintf(expected, sizeof expected, "t.tgz/%.196s.png=P: gnu\nt.tgz/0.png=Q: zero\n", name);
    assert_string_equal(all_of(in_dir("t.tgz"), NULL), expected);
    assert_non_null(strstr(all_of(in_dir("t.tar.gz"), NULL), "t.tar.gz/0.png=Q: zero\n"));
    assert_non_null(strstr(all_of(in_dir("odd.tar"), NULL), "odd.tar/0.png=Q: zero\n"));
    struct stat whole;
    assert_int_equal(stat(in_dir("t.tgz"), &whole), 0);
    assert_int_equal(truncate(in_dir("t.tgz"), whole.st_size - 12), 0); /* without its checksum and one more byte */
    assert_string_equal(all_of(in_dir("t.tgz"), NULL),
                        "EFORMAT t.tgz: cannot be read as a tar: truncated gzip input\n");
}

static void a_file_that_is_not_a_tar_is_reported_once(void **state)
{
    (void)state;
    put_text("garbage.tar", "hello");
    put_text("empty.tar", "");
    tar_text(&tar, "0.png", "P");
    tar_text(&tar, "0.txt", "zero");
    tar_end(&tar);
    put("t.tar", tar.bytes, tar.n);
    char spec[512];
    snprintf(spec, sizeof spec, "%s::%s::%s", in_dir("garbage.tar"), in_dir("empty.tar"), in_dir("t.tar"));
    assert_string_equal(all_of(spec, NULL),
                        "EFORMAT garbage.tar: cannot be read as a tar: Unrecognized archive format\n"
                        "EFORMAT empty.tar: cannot be read as a tar: Unrecognized archive format\n"
                        "t.tar/0.png=P: zero\n");
    unsigned char nothing[1024] = {0};
    put("nothing.tar", nothing, sizeof nothing);
    assert_string_equal(all_of(in_dir("nothing.tar"), NULL), "");
}

/* A header that claims 1 GiB or more, with and without the bytes, which are a hole in the file. */
static void sizes_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        off_t next; /* where the next member is; 0: nowhere */
        const char *says;
    } cases[] = {
        {"07777777777", 0, "EFORMAT t.tar: damaged or cut short: Truncated "},
        {"10000000001", ((off_t)1 << 30) + 2048,
         "ELIMIT t.tar: 0.png: 1073741825 bytes are more than the 1073741824 allowed\nt.tar/1.png=P: one\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tar.n = 0;
        tar_text(&tar, "0.txt", "x");
        tar_text(&tar, "0.png", "P");
        memcpy(tar.bytes + 1024 + 124, cases[i].size, 11);
        tar_sum(tar.bytes + 1024);
        put("t.tar", tar.bytes, tar.n);
        tar.n = 0;
        tar_text(&tar, "1.txt", "one");
        tar_text(&tar, "1.png", "P");
        tar_end(&tar);
        FILE *f = fopen(in_dir("t.tar"), "r+b");
        assert_non_null(f);
        if (cases[i].next > 0) {
            assert_int_equal(fseeko(f, cases[i].next, SEEK_SET), 0);
            assert_int_equal(fwrite(tar.bytes, 1, tar.n, f), tar.n);
        }
        fclose(f);
        if (strncmp(all_of(in_dir("t.tar"), NULL), cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("case %zu: %s", i, told);
    }
}

static size_t sample_tar(void)
{
    tar_text(&tar, "0.png", "P0");
    tar_text(&tar, "0.txt", "zero");
    tar_text(&tar, "1.txt", "one");
    tar_text(&tar, "1.png", "P1");
    tar_text(&tar, "1.json", "{\"captions\": [\"one\", \"1\"]}");
    tar_text(&tar, "2.cls", "7");
    size_t end = tar.n;
    tar_end(&tar);
    return end;
}

static void every_cut_is_reported_and_samples_before_it_are_read(void **state)
{
    (void)state;
    static const char *const whole[] = {
        "",
        "t.tar/0.png=P0: zero\n",
        "t.tar/0.png=P0: zero\nt.tar/1.png=P1: one\n", /* cut before its JSON: the sample so far is sound */
        "t.tar/0.png=P0: zero\nt.tar/1.png=P1: one|1\n",
    };
    const size_t end = sample_tar(), full = tar.n;
    for (size_t i = 0; i <= 4 * full / 512; i++) {
        static const size_t into[] = {0, 1, 300, 511};
        const size_t cut = i / 4 * 512 + into[i % 4];
        tar.n = cut;
        const char *says = read_tar();
        const char *fault = strstr(says, "EFORMAT");
        if (cut >= end + 512) {
            assert_string_equal(says, whole[3]);
            continue;
        }
        if (!fault || strstr(fault, "\nt.tar/"))
            fail_msg("cut at %zu: %s", cut, says);
        bool prefix = false;
        for (int samples = 0; samples < 4; samples++)
            prefix |= (size_t)(fault - says) == strlen(whole[samples]) &&
                      strncmp(says, whole[samples], strlen(whole[samples])) == 0;
        if (!prefix)
            fail_msg("cut at %zu: %s", cut, says);
    }
}

static void no_flipped_bit_harms(void **state)
{
    (void)state;
    sample_tar();
    for (size_t i = 0; i < tar.n; i += i % 512 < 345 ? 3 : 23) { /* more bytes of headers than of padding and data */
        tar.bytes[i] ^= (unsigned char)(1 << i * 5 % 8);
        read_tar();
        tar.bytes[i] ^= (unsigned char)(1 << i * 5 % 8);
    }
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    sample_tar();
    put("t.tar", tar.bytes, tar.n);
    for (long n = 1;; n++) {
        clip_pairs *p;
        clip_pair pair;
        clip_error err;
        int without = 0;
        fail_alloc_at(n);
        clip_status s = clipdat_pairs_open(in_dir("t.tar"), NULL, &p, &err);
        without += s == CLIP_ENOMEM;
        for (int i = 0; p && i < 10; i++) {
            s = clipdat_pairs_next(p, &pair, &err);
            without += s == CLIP_ENOMEM;
            if (s < 0)
                assert_int_equal(s, CLIP_ENOMEM);
        }
        clipdat_pairs_close(p);
        if (!fail_alloc_stop())
            break;
        assert_int_equal(without, 1);
        assert_non_null(strstr(err.message, "t.tar: out of memory"));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, empty_tar)
    const struct CMUnitTest tests[] = {
        T(members_of_a_key_are_a_sample),
        T(captions_in_json_win),
        T(a_broken_sample_is_named_and_skipped),
        T(the_best_of_several_pictures_counts),
        T(other_members_are_passed_over),
        T(long_and_foreign_names_are_read),
        T(gnu_names_and_gzip_are_read),
        T(a_file_that_is_not_a_tar_is_reported_once),
        T(sizes_are_bounded),
        T(every_cut_is_reported_and_samples_before_it_are_read),
        T(no_flipped_bit_harms),
        T(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
