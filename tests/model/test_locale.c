/* A program that has set a locale reads and writes the same files as one that has not: decimal
 * commas, and the i of Turkish.
 * usage: test_locale GOLDEN */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clip.h"
#include "engine/train_options.h"
#include "own_dir.h"

static const char *golden;

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* glibc's LC_NUMERIC of German, as localedef writes it: a magic number, the number of fields, the
 * start of each, and the fields. So no package of locales is needed. False if this libc uses
 * another form. */
static bool decimal_commas(void)
{
    struct {
        uint32_t magic, n, offset[6];
        char fields[24];
        uint32_t comma, dot;
    } numeric = {0x20031115 ^ LC_NUMERIC, 6, {32, 34, 36, 56, 60, 40}, {0}, ',', '.'};
    char half[8];
    memcpy(numeric.fields, ",\0.\0\3\3\0\0UTF-8", 14);
    mkdir(in_dir("comma"), 0700);
    write_file(in_dir("comma/LC_NUMERIC"), &numeric, sizeof numeric);
    const bool set = setlocale(LC_NUMERIC, "comma") != NULL;
    snprintf(half, sizeof half, "%.1f", 0.5);
    return set && strcmp(half, "0,5") == 0;
}

/* All files that a program writes, for comparison with and without a locale. */
static void write_all(const char *name)
{
    char folder[512], file[600];
    clip_model *m;
    clip_error err = {0};
    clip_model_info info;
    clip_train_options *o;
    const clip_match match = {.knot = 0.5, .slope = 1.25, .intercept = -2.5, .batch = 16, .pairs = 100,
                              .accuracy = 0.75, .auc = 0.875, .ece = 0.125};
    clip_match again;
    snprintf(folder, sizeof folder, "%s", in_dir(name));
    assert_int_equal(clip_model_load(golden, NULL, &m, &err), CLIP_OK);
    clip_model_get_info(m, &info);
    assert_true(fabsf(info.mean[0] - 0.48145466f) < 1e-7f);
    assert_int_equal(clip_convert(golden, folder, &(clip_convert_options){.type = "f16"}, &err), CLIP_OK);
    snprintf(file, sizeof file, "%s/hf", folder);
    assert_int_equal(clip_convert(golden, file, &(clip_convert_options){.layout = "hf"}, &err), CLIP_OK);
    snprintf(file, sizeof file, "%s/match.json", folder);
    assert_int_equal(clip_match_save(m, &match, file, &err), CLIP_OK);
    assert_int_equal(clip_match_load(m, file, &again, &err), CLIP_OK);
    assert_true(again.slope == 1.25 && again.intercept == -2.5 && again.ece == 0.125);
    clip_model_free(m);

    assert_int_equal(clip_train_options_new(&o), CLIP_OK);
    assert_int_equal(clip_train_options_set(o, "lr", "0.00125", &err), CLIP_OK);
    assert_int_equal(clipeng_train_options_parse(o, "{\"wd\": 0.25}", "settings", &err), CLIP_OK);
    assert_int_equal(clip_train_options_set(o, "lr", "0,5", &err), CLIP_EINVAL);
    assert_int_equal(clip_train_options_set(o, "lr", "nonsense", &err), CLIP_EINVAL);
    assert_null(strstr(err.message, "0,"));
    assert_true(clipeng_train_real(o, CLIP_TRAIN_LR) == 0.00125 && clipeng_train_real(o, CLIP_TRAIN_WD) == 0.25);
    char *settings = clipeng_train_options_json(o);
    assert_non_null(settings);
    snprintf(file, sizeof file, "%s/settings.json", folder);
    write_file(file, settings, strlen(settings));
    free(settings);
    clip_train_options_free(o);
}

static void decimals_are_the_same(void **state)
{
    (void)state;
    static const char *const files[] = {"open_clip_config.json", "hf/config.json", "hf/preprocessor_config.json",
                                        "match.json", "settings.json"};
    write_all("plain");
    if (!decimal_commas()) {
        print_message("skipped: this libc does not take the test's locale\n");
        skip();
    }
    write_all("german");
    char half[8];
    snprintf(half, sizeof half, "%.1f", 0.5);
    assert_string_equal(half, "0,5"); /* the program's locale is unchanged */
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char command[1400];
        snprintf(command, sizeof command, "cmp %s/plain/%s %s/german/%s", dir, files[i], dir, files[i]);
        if (system(command) != 0)
            fail_msg("%s differs", files[i]);
    }
}

/* In Turkish the small letter of I is not i. localedef is part of libc. The description of the
 * language is in a package that may be missing. */
static void endings_are_the_same(void **state)
{
    (void)state;
    static const char gif[] = "GIF89a\1\0\1\0\200\0\0\0\0\0\377\377\377,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";
    char command[700];
    clip_pairs *pairs;
    clip_pair pair;
    clip_error err;
    mkdir(in_dir("folder"), 0700);
    write_file(in_dir("folder/a.GIF"), gif, sizeof gif - 1);
    write_file(in_dir("folder/a.txt"), "a dot", 5);
    snprintf(command, sizeof command, "localedef -i tr_TR -f UTF-8 %s/tr_TR.UTF-8 >%s/said 2>&1", dir, dir);
    if (system(command) != 0 || !setlocale(LC_ALL, "tr_TR.UTF-8") || toupper('i') == 'I') {
        print_message("skipped: no Turkish locale can be made here\n");
        skip();
    }
    assert_int_equal(clip_pairs_open(in_dir("folder"), NULL, &pairs, &err), CLIP_OK);
    assert_int_equal(clip_pairs_next(pairs, &pair, &err), CLIP_OK);
    assert_non_null(pair.key);
    assert_string_equal(pair.captions[0], "a dot");
    clip_pairs_close(pairs);
    setlocale(LC_ALL, "C");
}

static int setup(void **state) { return make_dir(state) == 0 && setenv("LOCPATH", dir, 1) == 0 ? 0 : -1; }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decimals_are_the_same), cmocka_unit_test(endings_are_the_same)};
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, setup, remove_dir);
}
