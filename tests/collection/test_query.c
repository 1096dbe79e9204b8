/* Queries to an index: their parts, what is refused, sums of terms, and dates as bounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clip.h"
#include "failing_alloc.h"

#define PARTS(...) (const char *const[]){__VA_ARGS__}, (int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *))

static void words_and_operators_become_terms(void **state)
{
    clip_query q;
    clip_error err;
    (void)state;
    assert_int_equal(clip_query_parse(NULL, 0, PARTS("a", "red", "balloon"), true, &q, &err), CLIP_OK);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.term[0].kind, CLIP_TERM_WORDS);
    assert_string_equal(q.term[0].text, "a red balloon");
    clip_query_free(&q);
    assert_int_equal(
        clip_query_parse(NULL, 0, PARTS("2:golden retriever", "+", "./pool.jpg", "-", "fruit"), true, &q, &err),
        CLIP_OK);
    assert_int_equal(q.n, 3);
    assert_true(q.term[0].weight == 2 && q.term[1].weight == 1 && q.term[2].weight == -1);
    assert_string_equal(q.term[0].text, "golden retriever");
    assert_int_equal(q.term[1].kind, CLIP_TERM_PICTURE);
    assert_int_equal(clip_query_towers(&q, 1), CLIP_TOWER_BOTH);
    clip_query_free(&q);
    assert_int_equal(q.n, 0);
    clip_query_free(&q); /* again */
    clip_query_free(NULL);
}

static void rows_come_first(void **state)
{
    const int64_t rows[] = {7, 3};
    clip_query q;
    clip_error err;
    (void)state;
    assert_int_equal(clip_query_parse(rows, 2, PARTS("-", "snow"), true, &q, &err), CLIP_OK);
    assert_int_equal(q.n, 3);
    assert_true(q.term[0].kind == CLIP_TERM_ROW && q.term[0].row == 7 && q.term[1].row == 3);
    assert_true(q.term[2].kind == CLIP_TERM_WORDS && q.term[2].weight == -1);
    clip_query_free(&q);
    assert_int_equal(clip_query_parse(rows, 2, NULL, 0, true, &q, &err), CLIP_OK);
    assert_int_equal(clip_query_towers(&q, 1), 0);
    clip_query_free(&q);
    assert_int_equal(clip_query_parse(rows, 2, PARTS("snow"), true, &q, &err), CLIP_EINVAL); /* no operator */
    assert_non_null(strstr(err.message, "missing in front"));
}

static void text_from_strangers_names_no_file(void **state)
{
    clip_query q;
    clip_error err;
    (void)state;
    assert_int_equal(clip_query_parse(NULL, 0, PARTS("/etc/passwd", "+", "a.png", "+", "./b"), false, &q, &err),
                     CLIP_OK);
    for (int i = 0; i < q.n; i++)
        assert_int_equal(q.term[i].kind, CLIP_TERM_WORDS);
    assert_int_equal(clip_query_towers(&q, 1), CLIP_TOWER_TEXT);
    clip_query_free(&q);
    assert_int_equal(clip_query_parse(NULL, 0, PARTS("\"a/b\""), true, &q, &err), CLIP_OK);
    assert_int_equal(q.term[0].kind, CLIP_TERM_WORDS);
    assert_string_equal(q.term[0].text, "a/b");
    clip_query_free(&q);
}

static void weights_that_are_words_stay_words(void **state)
{
    static const char *const words[] = {"3:30",    "16:9",    "2: dog", "0:dog", ".:dog",
                                        "1e3:dog", "nan:dog", "-2:dog", "2:"};
    clip_query q;
    clip_error err;
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_int_equal(clip_query_parse(NULL, 0, &words[i], 1, false, &q, &err), CLIP_OK);
        assert_string_equal(q.term[0].text, words[i]);
        assert_true(q.term[0].weight == 1);
        clip_query_free(&q);
    }
}

static void bad_queries_are_refused(void **state)
{
    static const char *const many[] = {
        "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+",
        "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+",
        "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a", "+", "a"};
    static const struct {
        const char *part[3];
        int n;
        const char *why;
    } bad[] = {{{NULL}, 0, "empty"},
               {{""}, 1, "empty"},
               {{"\"\""}, 1, "empty"},
               {{"+"}, 1, "missing"},
               {{"a", "+"}, 2, "nothing follows"},
               {{"a", "+", "+"}, 3, "missing"},
               {{"a", "2:b"}, 2, "missing"},
               {{NULL}, 1, "missing"}};
    clip_query q;
    clip_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(clip_query_parse(NULL, 0, bad[i].part, bad[i].n, false, &q, &err), CLIP_EINVAL);
        assert_non_null(strstr(err.message, bad[i].why));
        assert_int_equal(q.n, 0);
    }
    assert_int_equal(clip_query_parse(NULL, 0, many, (int)(sizeof many / sizeof *many), false, &q, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_parse(NULL, 0, many, 63, false, &q, &err), CLIP_OK);
    assert_int_equal(q.n, CLIP_QUERY_TERMS);
    clip_query_free(&q);
    assert_int_equal(clip_query_parse(NULL, 1, NULL, 0, false, &q, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_parse(NULL, 0, NULL, -1, false, &q, &err), CLIP_EINVAL);
}

static void parsing_survives_failing_allocations(void **state)
{
    clip_query q;
    clip_error err;
    (void)state;
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        const clip_status s = clip_query_parse_line(NULL, 0, "a\tb\t+\tc", false, &q, &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(s, CLIP_OK);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
        assert_int_equal(q.n, 0);
    }
    clip_query_free(&q);
}

static void lines_are_split_at_tabs(void **state)
{
    const int64_t rows[] = {7};
    char many[4 * CLIP_QUERY_TERMS + 2];
    clip_query q;
    clip_error err;
    (void)state;
    assert_int_equal(clip_query_parse_line(NULL, 0, "2:golden retriever\t-\tfruit + snow", false, &q, &err), CLIP_OK);
    assert_int_equal(q.n, 2);
    assert_string_equal(q.term[0].text, "golden retriever");
    assert_string_equal(q.term[1].text, "fruit + snow");
    assert_true(q.term[0].weight == 2 && q.term[1].weight == -1);
    clip_query_free(&q);
    assert_int_equal(clip_query_parse_line(rows, 1, "-\tsnow", false, &q, &err), CLIP_OK);
    assert_true(q.n == 2 && q.term[0].row == 7);
    clip_query_free(&q);
    for (int i = 0; i < 4 * CLIP_QUERY_TERMS; i += 4)
        memcpy(many + i, "a\t+\t", 4);
    many[4 * CLIP_QUERY_TERMS - 3] = 0; /* as many terms as there may be */
    assert_int_equal(clip_query_parse_line(NULL, 0, many, false, &q, &err), CLIP_OK);
    assert_int_equal(q.n, CLIP_QUERY_TERMS);
    clip_query_free(&q);
    memcpy(many + 4 * CLIP_QUERY_TERMS - 3, "\t+\ta", 5);
    assert_int_equal(clip_query_parse_line(NULL, 0, many, false, &q, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_parse_line(NULL, 0, "", false, &q, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_parse_line(NULL, 0, NULL, false, &q, &err), CLIP_EINVAL);
}

/* ---- Sums ---- */

typedef struct asked {
    clip_index *index;
    char dir[64];
} asked;

static int open_index(void **state)
{
    static asked a;
    const clip_index_options o = {.write = true, .create = true, .dim = 4, .model_name = "none"};
    const clip_item item[] = {{.kind = CLIP_ITEM_PICTURE, .path = "a"}, {.kind = CLIP_ITEM_PICTURE, .path = "b"}};
    const float vector[] = {1, 0, 0, 0, 0, 2, 0, 0};
    strcpy(a.dir, "/tmp/clip-query-XXXXXX");
    if (!mkdtemp(a.dir) || clip_index_open(a.dir, &o, &a.index, NULL) < 0 ||
        clip_index_add(a.index, item, vector, 2, NULL) < 0 || clip_index_commit(a.index, NULL) < 0)
        return -1;
    *state = &a;
    return 0;
}

static int close_index(void **state)
{
    asked *a = *state;
    char command[128];
    clip_index_close(a->index, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", a->dir);
    return system(command);
}

static void terms_are_summed_to_unit_length(void **state)
{
    const asked *a = *state;
    const clip_query_encoder e = {.index = a->index};
    const float third[] = {0, 0, 5, 0};
    const clip_query q[] = {
        {{{.kind = CLIP_TERM_ROW, .weight = 3, .row = 0}, {.kind = CLIP_TERM_ROW, .weight = -4, .row = 1}}, 2},
        {{{.kind = CLIP_TERM_VECTOR, .weight = 0.5f, .vector = third}}, 1}};
    float out[8];
    int done;
    clip_error err;
    assert_int_equal(clip_query_embed(&e, q, 2, out, &done, &err), CLIP_OK);
    assert_int_equal(done, 2);
    const float want[] = {0.6f, -0.8f, 0, 0, 0, 0, 1, 0};
    for (int i = 0; i < 8; i++)
        assert_true(fabsf(out[i] - want[i]) < 1e-6f);
}

static void bad_terms_are_refused(void **state)
{
    const asked *a = *state;
    const clip_query_encoder e = {.index = a->index}, none = {0};
    const float zero[4] = {0}, x[] = {1, 0, 0, 0}, broken[] = {NAN, 0, 0, 0};
    const clip_term bad[] = {{.kind = CLIP_TERM_ROW, .weight = 0},
                             {.kind = CLIP_TERM_ROW, .weight = INFINITY},
                             {.kind = CLIP_TERM_ROW, .weight = 1, .row = -1},
                             {.kind = CLIP_TERM_ROW, .weight = 1, .row = 2},
                             {.kind = CLIP_TERM_VECTOR, .weight = 1},
                             {.kind = CLIP_TERM_VECTOR, .weight = 1, .vector = zero},
                             {.kind = CLIP_TERM_VECTOR, .weight = 1, .vector = broken},
                             {.kind = CLIP_TERM_WORDS, .weight = 1, .text = "no model"},
                             {.kind = CLIP_TERM_PICTURE, .weight = 1, .text = "no.png"},
                             {.kind = 0, .weight = 1},
                             {.kind = 9, .weight = 1, .text = "x"}};
    float out[8];
    int done;
    clip_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const clip_query q[] = {{{{.kind = CLIP_TERM_ROW, .weight = 1, .row = 0}}, 1}, {{bad[i]}, 1}};
        assert_int_equal(clip_query_embed(&e, q, 2, out, &done, &err), CLIP_EINVAL);
        assert_true(done <= 1 && *err.message);
    }
    const clip_query cancels = {
        {{.kind = CLIP_TERM_ROW, .weight = 1, .row = 0}, {.kind = CLIP_TERM_VECTOR, .weight = -1, .vector = x}}, 2};
    assert_int_equal(clip_query_embed(&e, &cancels, 1, out, &done, &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "cancel"));
    assert_int_equal(clip_query_embed(&e, &(clip_query){0}, 1, out, &done, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_embed(&none, &cancels, 1, out, &done, &err), CLIP_EINVAL);
    assert_int_equal(clip_query_embed(NULL, &cancels, 1, out, &done, &err), CLIP_EINVAL);
}

/* ---- Dates ---- */

static void dates_are_half_open_intervals(void **state)
{
    int64_t begin, end;
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(clip_date_parse("2023", &begin, &end), CLIP_OK);
    assert_true(begin == 1672531200 && end == 1704067200);
    assert_int_equal(clip_date_parse("2023-12", &begin, &end), CLIP_OK);
    assert_true(begin == 1701388800 && end == 1704067200);
    assert_int_equal(clip_date_parse("2024-02-29", &begin, &end), CLIP_OK);
    assert_true(end - begin == 86400);
    assert_int_equal(clip_date_parse("1970", &begin, &end), CLIP_OK);
    assert_true(begin == 1); /* 0 is no bound */
    static const char *const bad[] = {"",     "23",    "2023-13", "2023-02-29", "2023-1",  "2023-1-1",   "2023-01-01x",
                                      "0999", "2023-", " 2023",   "20230101",   "2023-00", "2023-01-00", "99999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(clip_date_parse(bad[i], &begin, &end), CLIP_EINVAL);
    assert_int_equal(clip_date_parse(NULL, &begin, &end), CLIP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_operators_become_terms),
        cmocka_unit_test(rows_come_first),
        cmocka_unit_test(text_from_strangers_names_no_file),
        cmocka_unit_test(weights_that_are_words_stay_words),
        cmocka_unit_test(lines_are_split_at_tabs),
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(parsing_survives_failing_allocations),
        cmocka_unit_test_setup_teardown(terms_are_summed_to_unit_length, open_index, close_index),
        cmocka_unit_test_setup_teardown(bad_terms_are_refused, open_index, close_index),
        cmocka_unit_test(dates_are_half_open_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
