/* Wrong pairs, the probability fitted to them, and confusions, against brute force and data of a
 * known law. */
#include "fixture.h"
#include "heads/match.h"
#include "tasks/metrics.h"

enum { N = 700, D = 24 }; /* more than a block of confusions a side */

static float image[N * D], text[N * D];

/* Random texts, and pictures near them. The model does not know every third pair. */
static void draw(void)
{
    clipb_rng r = clipb_rng_at(1, 0, 0, 0);
    normals(&r, image, N * D);
    normals(&r, text, N * D);
    for (int n = 0; n < N; n++)
        for (int d = 0; d < D; d++)
            image[n * D + d] = n % 3 ? image[n * D + d] * 0.7f + text[n * D + d] : image[n * D + d];
    memcpy(text + 7 * D, text + 3 * D, D * sizeof *text);    /* pairs 3 and 7 have the same text, */
    memcpy(image + 20 * D, image + 11 * D, D * sizeof *image); /* 11 and 20 the same picture */
    unit_rows(image, N, D);
    unit_rows(text, N, D);
}

/* One batch holds a whole half, so every neighbour can be found by looking at all pairs. */
static void wrong_pairs_are_the_hardest(void **state)
{
    (void)state;
    draw();
    workspace w = workspace_new(2);
    cliphd_scored s, again;
    assert_int_equal(cliphd_scored_pairs(&w.k, image, text, N, D, 10, N, &s), CLIP_OK);
    assert_int_equal(s.n, 3 * N);
    int ones = 0, found = 0;
    for (int at = 0; at < N; at++)
        ones += s.half[3 * at];
    assert_true(ones > N / 3 && ones < 2 * N / 3);
    for (int i = 0; i < N; i++) { /* the sample of pair i, by its score */
        const float own = (float)(10 * dot_product(image + i * D, text + i * D, D));
        for (int at = 0; at < N; at++) {
            if (s.score[3 * at] != own)
                continue;
            found++;
            double best = -2;
            int near = -1;
            for (int other = 0; other < N; other++) {
                bool here = false; /* in the same half? */
                const float score = (float)(10 * dot_product(image + other * D, text + other * D, D));
                for (int b = 0; b < N && !here; b++)
                    here = s.score[3 * b] == score && s.half[3 * b] == s.half[3 * at];
                if (!here || other == i || memcmp(text + other * D, text + i * D, D * sizeof *text) == 0 ||
                    memcmp(image + other * D, image + i * D, D * sizeof *image) == 0)
                    continue;
                const double likeness = dot_product(text + i * D, text + other * D, D);
                if (likeness > best) {
                    best = likeness;
                    near = other;
                }
            }
            assert_true(s.yes[3 * at] && !s.yes[3 * at + 1] && !s.yes[3 * at + 2]);
            assert_true(s.weight[3 * at] == s.weight[3 * at + 1] + s.weight[3 * at + 2]);
            assert_true(s.score[3 * at + 1] == (float)(10 * dot_product(image + i * D, text + near * D, D)));
            assert_true(s.score[3 * at + 2] == (float)(10 * dot_product(image + near * D, text + i * D, D)));
            break;
        }
        if (i == 60)
            break; /* of all, these are enough */
    }
    assert_int_equal(found, 61);
    workspace one = workspace_new(1);
    assert_int_equal(cliphd_scored_pairs(&one.k, image, text, N, D, 10, N, &again), CLIP_OK);
    assert_memory_equal(s.score, again.score, 3 * N * sizeof(float));
    cliphd_scored_free(&s);
    cliphd_scored_free(&again);
    workspace_free(&w);
    workspace_free(&one);
}

/* Samples drawn from the law itself: the parameters are found again, and the probabilities are
 * calibrated on samples that were not fitted. */
static void a_law_is_found_again(void **state)
{
    (void)state;
    enum { M = 40000 };
    const cliphd_law law = {2, 1.5, -1};
    workspace w = workspace_new(2);
    cliphd_law m;
    cliphd_scored s = {malloc(M * sizeof(float)), malloc(M * sizeof(float)), malloc(M), malloc(M), M};
    float *p = malloc(M * sizeof *p);
    clipb_rng r = clipb_rng_at(2, 0, 0, 0);
    for (int i = 0; i < M; i++) {
        s.score[i] = clipb_rng_between(&r, -4, 6);
        s.yes[i] = clipb_rng_float(&r) < cliphd_law_probability(&law, s.score[i]);
        s.weight[i] = 1;
        s.half[i] = (uint8_t)(i & 1);
    }
    assert_int_equal(cliphd_law_fit(&w.k, &s, 0, &m), CLIP_OK);
    assert_true(fabs(m.knot - law.knot) < 0.5 && fabs(m.slope - law.slope) < 0.2 &&
                fabs(m.intercept - law.intercept) < 0.15);
    for (int i = 0; i < M; i++) {
        p[i] = cliphd_law_probability(&m, s.score[i]);
        s.weight[i] = (float)s.half[i]; /* the other half alone counts */
    }
    assert_true(cliptsk_ece(p, s.yes, s.weight, M, CLIPTSK_BINS) < 0.015);

    for (int i = 0; i < M; i++)
        s.yes[i] = !s.yes[i];
    assert_int_equal(cliphd_law_fit(&w.k, &s, 1, &m), CLIP_EINVAL); /* wrong pairs score higher */
    memset(s.yes, 1, M);
    assert_int_equal(cliphd_law_fit(&w.k, &s, -1, &m), CLIP_EINVAL); /* nothing to tell apart */
    free(p);
    cliphd_scored_free(&s);
    workspace_free(&w);
}

static void a_probability_is_one_half_or_more(void **state)
{
    (void)state;
    const cliphd_law m = {0, 2, 0};
    assert_true(cliphd_law_probability(&m, 0) == 0.5f && cliphd_law_probability(&m, -9) == 0.5f);
    assert_true(fabsf(cliphd_law_probability(&m, 1) - 0.880797f) < 1e-6f);
    assert_true(cliphd_law_probability(&m, 1e30f) == 1 && isnan(cliphd_law_probability(&m, NAN)));
}

static void the_hardest_couples_are_found(void **state)
{
    (void)state;
    enum { K = 25 };
    draw();
    workspace w = workspace_new(2);
    clip_confusion got[K];
    int found;
    assert_int_equal(cliphd_confusions(&w.k, image, text, N, D, K, got, &found), CLIP_OK);
    assert_int_equal(found, K);
    for (int at = 0; at < K; at++) {
        const int i = got[at].i, j = got[at].j;
        const double margin = dot_product(image + i * D, text + i * D, D) +
                              dot_product(image + j * D, text + j * D, D) -
                              dot_product(image + i * D, text + j * D, D) - dot_product(image + j * D, text + i * D, D);
        assert_true(i < j && fabs(margin - (double)got[at].margin) < 1e-5);
        assert_true(at == 0 || got[at].margin >= got[at - 1].margin);
        assert_false((i == 3 && j == 7) || (i == 11 && j == 20));
    }
    int better = 0; /* pairs below the last one kept */
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) {
            const double margin =
                dot_product(image + i * D, text + i * D, D) + dot_product(image + j * D, text + j * D, D) -
                dot_product(image + i * D, text + j * D, D) - dot_product(image + j * D, text + i * D, D);
            better += margin < (double)got[K - 1].margin - 1e-5 && !(i == 3 && j == 7) && !(i == 11 && j == 20);
        }
    assert_true(better < K);
    assert_int_equal(cliphd_confusions(&w.k, image, text, 2, D, K, got, &found), CLIP_OK);
    assert_int_equal(found, 1);
    assert_int_equal(cliphd_confusions(&w.k, image, text, 1, D, K, got, &found), CLIP_EINVAL);
    workspace_free(&w);
}

static clip_status all(const clipk_ctx *k)
{
    cliphd_scored s;
    cliphd_law m;
    clip_confusion c[3];
    int found;
    TRY(cliphd_scored_pairs(k, image, text, 60, D, 10, 16, &s));
    clip_status status = cliphd_law_fit(k, &s, -1, &m);
    cliphd_scored_free(&s);
    TRY(status);
    return cliphd_confusions(k, image, text, 60, D, 3, c, &found);
}

static void bad_pairs_are_refused_and_any_allocation_may_fail(void **state)
{
    (void)state;
    draw();
    workspace w = workspace_new(1);
    cliphd_scored s;
    assert_int_equal(cliphd_scored_pairs(&w.k, image, text, 1, D, 10, 16, &s), CLIP_EINVAL);
    assert_int_equal(cliphd_scored_pairs(&w.k, image, text, N, D, 10, 1, &s), CLIP_EINVAL);
    for (int n = 1; n < 60; n++)
        memcpy(text + n * D, text, D * sizeof *text);
    assert_int_equal(cliphd_scored_pairs(&w.k, image, text, 60, D, 10, 16, &s), CLIP_EINVAL); /* one text for all */
    draw();
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status status = all(&w.k);
        if (!fail_alloc_stop()) {
            assert_int_equal(status, CLIP_OK);
            break;
        }
        assert_int_equal(status, CLIP_ENOMEM);
    }
    workspace_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_pairs_are_the_hardest),
        cmocka_unit_test(a_law_is_found_again),
        cmocka_unit_test(a_probability_is_one_half_or_more),
        cmocka_unit_test(the_hardest_couples_are_found),
        cmocka_unit_test(bad_pairs_are_refused_and_any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
