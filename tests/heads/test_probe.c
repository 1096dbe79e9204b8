/* The kinds of probe against brute force, and what the search finds. */
#include "fixture.h"
#include "heads/probe_kinds.h"

enum { N = 1100, Q = 300, D = 20, C = 7, K = 11 }; /* more than a block of keys, and of queries */

static float key[N * D], query[Q * D], text[C * D], p[Q * C];
static int32_t y[N], query_y[Q];

static void draw(float noise)
{
    clipb_rng r = clipb_rng_at(1, 0, 0, 0);
    normals(&r, text, C * D);
    normals(&r, key, N * D);
    normals(&r, query, Q * D);
    for (int n = 0; n < N; n++)
        for (int d = 0; d < D; d++)
            key[n * D + d] = text[(y[n] = n % C) * D + d] + noise * key[n * D + d];
    for (int q = 0; q < Q; q++)
        for (int d = 0; d < D; d++)
            query[q * D + d] = text[(query_y[q] = q % C) * D + d] + noise * query[q * D + d];
    unit_rows(text, C, D);
    unit_rows(key, N, D);
    unit_rows(query, Q, D);
}

static void the_nearest_keys_vote(void **state)
{
    (void)state;
    draw(2);
    workspace w = workspace_new(2);
    assert_int_equal(cliphd_neighbours(&w.k, key, y, N, D, C, query, Q, K, p), CLIP_OK);
    for (int q = 0; q < Q; q++) {
        double votes[C] = {0}, sum = 0;
        bool taken[N] = {false};
        for (int i = 0; i < K; i++) {
            int near = -1;
            double best = -2;
            for (int n = 0; n < N; n++) {
                const double s = dot_product(query + q * D, key + n * D, D);
                if (!taken[n] && s > best) {
                    best = s;
                    near = n;
                }
            }
            taken[near] = true;
            votes[y[near]] += exp(best / 0.07);
            sum += exp(best / 0.07);
        }
        for (int c = 0; c < C; c++)
            assert_true(fabs(votes[c] / sum - (double)p[q * C + c]) < 1e-4);
    }
    assert_int_equal(cliphd_neighbours(&w.k, key, y, 3, D, C, query, Q, K, p), CLIP_OK); /* fewer keys than K */
    assert_true(fabsf(p[0] + p[1] + p[2] - 1) < 1e-5f);
    workspace_free(&w);
}

static void a_cache_follows_its_formula(void **state)
{
    (void)state;
    draw(2);
    workspace w = workspace_new(2);
    cliphd_cache c = {key, y, text, N, D, C, 12, 0.3, 4};
    assert_int_equal(cliphd_cache_predict(&w.k, &c, query, Q, p), CLIP_OK);
    for (int q = 0; q < Q; q++) {
        double z[C], sum = 0;
        for (int i = 0; i < C; i++)
            z[i] = 12 * dot_product(query + q * D, text + i * D, D);
        for (int n = 0; n < N; n++)
            z[y[n]] += 0.3 * exp(-4 * (1 - dot_product(query + q * D, key + n * D, D)));
        for (int i = 0; i < C; i++)
            sum += exp(z[i] - z[0]);
        for (int i = 0; i < C; i++)
            assert_true(fabs(exp(z[i] - z[0]) / sum - (double)p[q * C + i]) < 1e-3);
    }
    workspace_free(&w);
}

/* Words that mislead (those of the next class): the pictures must win. With good words and random
 * pictures the words must win. */
static void a_sweep_trusts_what_is_better(void **state)
{
    (void)state;
    draw(1);
    workspace w = workspace_new(1);
    double accuracy;
    const cliptsk_samples val = {query, query_y, NULL, Q, D, C};
    float moved[C * D];
    memcpy(moved, text + D, (C - 1) * D * sizeof *text);
    memcpy(moved + (C - 1) * D, text, D * sizeof *text);
    cliphd_cache c = {.key = key, .y = y, .text = moved, .N = N, .D = D, .C = C, .logit_scale = 5};
    assert_int_equal(cliphd_cache_sweep(&w.k, &c, &val, &accuracy), CLIP_OK);
    assert_true(c.alpha > 0 && accuracy > 0.9);
    for (int n = 0; n < N; n++)
        y[n] = (n / C) % C;
    c.text = text;
    assert_int_equal(cliphd_cache_sweep(&w.k, &c, &val, &accuracy), CLIP_OK);
    assert_true(accuracy > 0.9);
    workspace_free(&w);
}

/* Noise in as many features as there are samples: the search must not choose the weakest
 * regularisation. */
static void a_search_avoids_weak_regularisation(void **state)
{
    (void)state;
    draw(1.5f);
    workspace w = workspace_new(2);
    const cliptsk_samples train = {key, y, NULL, 140, D, C}, val = {key + 140 * D, y + 140, NULL, N - 140, D, C},
                          none = {.F = D, .C = C};
    float theta[C * D + C], again[C * D + C];
    double l2 = 0, accuracy, weak = 1e-6, zero;
    cliptsk_logistic_report r;
    assert_int_equal(cliphd_probe_linear(&w.k, &train, &val, 1e-5, 1000, &l2, &accuracy, theta, &r), CLIP_OK);
    assert_true(l2 > 1e-3 && l2 < 1e4 && accuracy > 0.7 && r.converged);
    assert_true(fabs(log10(l2) * 8 - round(log10(l2) * 8)) < 1e-9); /* on the grid of 8 a decade */
    assert_int_equal(cliptsk_logistic_predict(&w.k, theta, query, Q, D, C, p), CLIP_OK);
    assert_true(cliphd_accuracy(p, query_y, Q, C) > 0.7);
    assert_int_equal(cliphd_probe_linear(&w.k, &train, &none, 1e-5, 1000, &weak, &zero, again, &r), CLIP_OK);
    assert_true(weak == 1e-6 && zero == 0);
    assert_int_equal(cliptsk_logistic_predict(&w.k, again, val.x, Q, D, C, p), CLIP_OK);
    assert_true(cliphd_accuracy(p, val.y, Q, C) < accuracy);
    workspace_free(&w);
}

static clip_status all(const clipk_ctx *k)
{
    const cliptsk_samples train = {key, y, NULL, 40, D, C}, val = {query, query_y, NULL, 30, D, C};
    cliphd_cache c = {.key = key, .y = y, .text = text, .N = 40, .D = D, .C = C, .logit_scale = 5};
    float theta[C * D + C];
    double l2, accuracy;
    cliptsk_logistic_report r;
    TRY(cliphd_probe_linear(k, &train, &val, 1e-3, 3, &l2, &accuracy, theta, &r));
    TRY(cliphd_cache_sweep(k, &c, &val, &accuracy));
    return cliphd_neighbours(k, key, y, 40, D, C, query, 10, 3, p);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    draw(1);
    workspace w = workspace_new(1);
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
        cmocka_unit_test(the_nearest_keys_vote),
        cmocka_unit_test(a_cache_follows_its_formula),
        cmocka_unit_test(a_sweep_trusts_what_is_better),
        cmocka_unit_test(a_search_avoids_weak_regularisation),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
