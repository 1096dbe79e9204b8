/* Ranks and classes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "failing_alloc.h"
#include "tasks/tasks.h"

enum { Q = 260, C = 1100, D = 300, RIGHT = 5 }; /* more than a block of each, and of the depth of the product */

static float query[Q * D], candidate[C * D];
static int32_t right[Q * RIGHT], right_off[Q + 1], rank[Q], expected[Q];
static clipb_block scratch;
static clipb_team *team;

static uint32_t random_state;

static uint32_t random_u32(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

static clipk_ctx context(const clipk_set *set, int threads)
{
    assert_int_equal(clipb_block_reserve(&scratch, clipk_scratch_bytes(set, threads)), CLIP_OK);
    clipb_team_free(team);
    assert_non_null(team = clipb_team_new(threads));
    return (clipk_ctx){set, team, scratch.base};
}

/* i = 0, 1, ...: the oracle, then every set of this machine; NULL after the last. */
static const clipk_set *set_number(int i) { return i == 0 ? clipk_set_find("ref") : clipk_set_usable(i - 1); }

/* One to RIGHT right candidates a query, more for some. */
static void random_right(void)
{
    int32_t n = 0;
    for (int q = 0; q < Q; q++) {
        right_off[q] = n;
        for (int i = (int)(random_u32() % RIGHT); i >= 0; i--)
            right[n++] = (int32_t)(random_u32() % C);
    }
    right_off[Q] = n;
}

static void random_vectors(bool whole)
{
    random_state = 7;
    for (int i = 0; i < Q * D; i++)
        query[i] = whole ? (float)(random_u32() % 5) - 2 : (float)random_u32() / 16777216 - 0.5f;
    for (int i = 0; i < C * D; i++)
        candidate[i] = whole ? (float)(random_u32() % 5) - 2 : (float)random_u32() / 16777216 - 0.5f;
}

/* The definition, in double. */
static void rank_plainly(void)
{
    static double score[C];
    for (int q = 0; q < Q; q++) {
        double best = -INFINITY;
        for (int c = 0; c < C; c++) {
            score[c] = 0;
            for (int d = 0; d < D; d++)
                score[c] += (double)query[q * D + d] * (double)candidate[c * D + d];
        }
        for (int32_t r = right_off[q]; r < right_off[q + 1]; r++)
            best = score[right[r]] > best ? score[right[r]] : best;
        expected[q] = 0;
        for (int c = 0; c < C; c++)
            expected[q] += score[c] > best;
    }
}

/* Small whole numbers: every score is exact, and ties are many. */
static void ranks_are_those_of_the_definition(void **state)
{
    (void)state;
    random_vectors(true);
    random_right();
    rank_plainly();
    const clipk_set *set;
    for (int i = 0; (set = set_number(i)); i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            clipk_ctx k = context(set, threads);
            memset(rank, 0xee, sizeof rank);
            assert_int_equal(cliptsk_ranks(&k, query, Q, candidate, C, D, right, right_off, rank), CLIP_OK);
            for (int q = 0; q < Q; q++)
                if (rank[q] != expected[q])
                    fail_msg("%s, %d threads, query %d: rank %d, not %d", clipk_set_name(set), threads, q, rank[q],
                             expected[q]);
        }
}

static void copies_tie_wherever_they_stand(void **state)
{
    (void)state;
    random_vectors(false);
    for (int c = C / 2; c < C; c++) /* the second half: the first again, backwards */
        memcpy(candidate + c * D, candidate + (C - 1 - c) * D, D * sizeof(float));
    const clipk_set *set;
    for (int i = 0; (set = set_number(i)); i++) {
        clipk_ctx k = context(set, 2);
        for (int q = 0; q < Q; q++) {
            right_off[q + 1] = q + 1;
            right[q] = (q * 31) % C;
        }
        assert_int_equal(cliptsk_ranks(&k, query, Q, candidate, C, D, right, right_off, expected), CLIP_OK);
        for (int q = 0; q < Q; q++)
            right[q] = C - 1 - right[q];
        assert_int_equal(cliptsk_ranks(&k, query, Q, candidate, C, D, right, right_off, rank), CLIP_OK);
        for (int q = 0; q < Q; q++) {
            if (rank[q] != expected[q])
                fail_msg("%s, query %d: rank %d by one copy, %d by the other", clipk_set_name(set), q, expected[q],
                         rank[q]);
            assert_int_equal(rank[q] % 2, 0); /* what is higher comes in pairs */
        }
    }
}

static void many_right_ones(void **state)
{
    (void)state;
    random_vectors(true);
    static int32_t all[C + 1];
    int32_t off[] = {0, C, C + 1}, two[2];
    for (int c = 0; c < C; c++)
        all[c] = c;
    all[C] = 3;
    clipk_ctx k = context(clipk_set_find(NULL), 1);
    assert_int_equal(cliptsk_ranks(&k, query, 2, candidate, C, D, all, off, two), CLIP_OK);
    assert_int_equal(two[0], 0); /* everything is right */
    for (int q = 0; q < Q; q++) {
        right_off[q + 1] = q + 1;
        right[q] = 3;
    }
    rank_plainly();
    assert_int_equal(two[1], expected[1]);
}

/* A model whose embeddings are NaN must not look perfect. */
static void what_is_no_number_ranks_last(void **state)
{
    (void)state;
    const int n = 5;
    float q[2 * 2] = {1, 0, NAN, 0}, c[5 * 2] = {1, 0, 0.5f, 0, NAN, 0, -1, 0, 0.25f, 0};
    int32_t r[2] = {1, 1}, off[3] = {0, 1, 2}, out[2];
    clipk_ctx k = context(clipk_set_find(NULL), 1);
    assert_int_equal(cliptsk_ranks(&k, q, 2, c, n, 2, r, off, out), CLIP_OK);
    assert_int_equal(out[0], 2);
    assert_int_equal(out[1], n - 1);
    r[0] = 2;
    assert_int_equal(cliptsk_ranks(&k, q, 2, c, n, 2, r, off, out), CLIP_OK);
    assert_int_equal(out[0], n - 1);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    clipk_ctx k = context(clipk_set_find(NULL), 1);
    float x[4] = {0};
    int32_t r[] = {0, 1}, off[] = {0, 1, 2}, out[2];
#define RANKS(nq, nc, d) cliptsk_ranks(&k, x, nq, x, nc, d, r, off, out)
    assert_int_equal(RANKS(2, 2, 2), CLIP_OK);
    assert_int_equal(RANKS(0, 2, 2), CLIP_EINVAL);
    assert_int_equal(RANKS(2, 0, 2), CLIP_EINVAL);
    assert_int_equal(RANKS(2, 2, 0), CLIP_EINVAL);
    r[1] = 2;
    assert_int_equal(RANKS(2, 2, 2), CLIP_EINVAL);
    r[1] = -1;
    assert_int_equal(RANKS(2, 2, 2), CLIP_EINVAL);
    r[1] = 1;
    off[1] = 0; /* none for the first */
    assert_int_equal(RANKS(2, 2, 2), CLIP_EINVAL);
    off[1] = 2;
    off[2] = 1;
    assert_int_equal(RANKS(2, 2, 2), CLIP_EINVAL);
}

static void failing_allocations(void **state)
{
    (void)state;
    clipk_ctx k = context(clipk_set_find(NULL), 1);
    float x[4] = {0};
    int32_t r[] = {0, 1}, off[] = {0, 1, 2}, out[2] = {0};
    clip_rank_metrics m;
    char *text;
    fail_alloc_at(1);
    assert_int_equal(RANKS(2, 2, 2), CLIP_ENOMEM);
    assert_true(fail_alloc_stop());
    fail_alloc_at(1);
    assert_int_equal(cliptsk_rank_summary(out, 2, &m), CLIP_ENOMEM);
    assert_true(fail_alloc_stop());
    fail_alloc_at(1);
    assert_int_equal(cliptsk_fill_template("{}", "x", &text), CLIP_ENOMEM);
    assert_true(fail_alloc_stop());
    assert_null(text);
}

/* As numpy: mean() + 1, floor(median()) + 1. */
static void the_summary_is_openclips(void **state)
{
    (void)state;
    clip_rank_metrics m;
    const int32_t odd[] = {9, 0, 4, 10, 0}, even[] = {3, 0}, one[] = {1000000};
    assert_int_equal(cliptsk_rank_summary(odd, 5, &m), CLIP_OK);
    assert_int_equal(m.queries, 5);
    assert_true(m.r1 == 0.4 && m.r5 == 0.6 && m.r10 == 0.8);
    assert_true(m.mean_rank == 23.0 / 5 + 1 && m.median_rank == 5);
    assert_int_equal(cliptsk_rank_summary(even, 2, &m), CLIP_OK);
    assert_true(m.r1 == 0.5 && m.r5 == 1 && m.r10 == 1);
    assert_true(m.mean_rank == 2.5 && m.median_rank == 2); /* floor(1.5) + 1 */
    assert_int_equal(cliptsk_rank_summary(one, 1, &m), CLIP_OK);
    assert_true(m.r10 == 0 && m.mean_rank == 1000001 && m.median_rank == 1000001);
    assert_int_equal(cliptsk_rank_summary(NULL, 0, &m), CLIP_OK);
    assert_true(m.queries == 0 && m.r1 == 0 && m.mean_rank == 0 && m.median_rank == 0);
}

static void templates_are_filled(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a photo of a {}.", "cat", "a photo of a cat."},
        {"{}", "", ""},
        {"{} and {}", "x{}y", "x{}y and x{}y"},
        {"{{}}", "cat", "{cat}"},
        {"{}{}", "ab", "abab"},
    };
    char *out;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cliptsk_fill_template(cases[i][0], cases[i][1], &out), CLIP_OK);
        assert_string_equal(out, cases[i][2]);
        free(out);
    }
    assert_int_equal(cliptsk_fill_template("a photo of a { }.", "cat", &out), CLIP_EINVAL);
    assert_null(out);
    char *label = malloc(CLIPTSK_MOST_TEXT + 1);
    memset(label, 'a', CLIPTSK_MOST_TEXT);
    label[CLIPTSK_MOST_TEXT] = 0;
    assert_int_equal(cliptsk_fill_template("{}", label, &out), CLIP_OK);
    assert_string_equal(out, label);
    free(out);
    assert_int_equal(cliptsk_fill_template("{}.", label, &out), CLIP_ELIMIT);
    assert_int_equal(cliptsk_fill_template("{} {}", label, &out), CLIP_ELIMIT);
    assert_null(out);
    free(label);
}

static void a_class_is_the_mean_of_its_templates(void **state)
{
    (void)state;
    const float unit[] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0};
    float out[4] = {0};
    clipk_ctx k = context(clipk_set_find(NULL), 1);
    for (int t = 0; t < 3; t++)
        cliptsk_class_add(out, unit + 4 * t, 4);
    cliptsk_class_embedding(&k, out, 3, 4);
    assert_true(fabsf(out[0] - 1 / sqrtf(5)) < 1e-6f && fabsf(out[1] - 2 / sqrtf(5)) < 1e-6f);
    assert_true(out[2] == 0 && out[3] == 0);
    memcpy(out, unit, sizeof out);
    cliptsk_class_embedding(&k, out, 1, 4);
    assert_memory_equal(out, unit, sizeof out);
}

static int free_scratch(void **state)
{
    (void)state;
    clipb_team_free(team);
    clipb_block_free(&scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_those_of_the_definition), cmocka_unit_test(copies_tie_wherever_they_stand),
        cmocka_unit_test(many_right_ones),                   cmocka_unit_test(what_is_no_number_ranks_last),
        cmocka_unit_test(wrong_arguments_are_refused),       cmocka_unit_test(failing_allocations),
        cmocka_unit_test(the_summary_is_openclips),          cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(a_class_is_the_mean_of_its_templates),
    };
    return cmocka_run_group_tests(tests, NULL, free_scratch);
}
