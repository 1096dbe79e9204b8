/* Logistic regression against its formula in double, known optima, and itself with other threads;
 * AUC and ECE against brute force. */
#include "fixture.h"
#include "tasks/logistic.h"
#include "tasks/metrics.h"

enum { N = 2100, F = 37, C = 9, P = C * F + C }; /* more than two blocks of samples */

static float x[N * F], weight[N], theta[P], gradient[P];
static int32_t y[N];

/* Classes around means, some samples counting more than others. */
static cliptsk_samples draw(bool weighted)
{
    clipb_rng r = clipb_rng_at(1, 0, 0, 0);
    float mean[C * F];
    normals(&r, mean, C * F);
    normals(&r, x, N * F);
    for (int n = 0; n < N; n++) {
        y[n] = (int32_t)clipb_rng_below(&r, C);
        weight[n] = clipb_rng_between(&r, 0, 3);
        for (int f = 0; f < F; f++)
            x[n * F + f] += 0.4f * mean[y[n] * F + f];
    }
    return (cliptsk_samples){x, y, weighted ? weight : NULL, N, F, C};
}

static double value(const cliptsk_samples *s, double l2, const double *t)
{
    double f = 0, sum = 0, squares = 0;
    for (int n = 0; n < s->N; n++) {
        double z[C], most = -INFINITY, e = 0;
        for (int c = 0; c < C; c++) {
            z[c] = t[C * F + c];
            for (int i = 0; i < F; i++)
                z[c] += t[c * F + i] * (double)s->x[n * F + i];
            most = fmax(most, z[c]);
        }
        for (int c = 0; c < C; c++)
            e += exp(z[c] - most);
        const double w = s->weight ? (double)s->weight[n] : 1;
        f += w * (most + log(e) - z[s->y[n]]);
        sum += w;
    }
    for (int i = 0; i < C * F; i++)
        squares += t[i] * t[i];
    return (f + l2 / 2 * squares) / sum;
}

/* Along random directions the gradient's slope is that of the value, by central differences in
 * double. */
static void the_gradient_is_the_slope_of_the_value(void **state)
{
    (void)state;
    workspace w = workspace_new(2);
    cliptsk_samples s = draw(true);
    cliptsk_logistic *l;
    clipb_rng r = clipb_rng_at(2, 0, 0, 0);
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_OK);
    normals(&r, theta, P);
    double t[P], lo[P], hi[P];
    for (int i = 0; i < P; i++)
        t[i] = (double)(theta[i] *= 0.3f);
    const double f = cliptsk_logistic_value(l, 5, theta, gradient), exact = value(&s, 5, t);
    assert_true(fabs(f - exact) < 1e-5 * exact);
    for (int round = 0; round < 5; round++) {
        double slope = 0, scale = 0;
        for (int i = 0; i < P; i++) {
            const double d = (double)clipb_rng_normal(&r);
            lo[i] = t[i] - 1e-5 * d;
            hi[i] = t[i] + 1e-5 * d;
            slope += d * (double)gradient[i];
            scale += fabs(d * (double)gradient[i]);
        }
        const double difference = (value(&s, 5, hi) - value(&s, 5, lo)) / 2e-5;
        assert_true(fabs(difference - slope) < 1e-5 * scale);
    }
    cliptsk_logistic_free(l);
    workspace_free(&w);
}

/* At the optimum every derivative in double is 0 within the tolerance; another start finds the same
 * place. */
static void any_start_finds_the_optimum(void **state)
{
    (void)state;
    workspace w = workspace_new(2);
    cliptsk_samples s = draw(false);
    cliptsk_logistic *l;
    cliptsk_logistic_report r;
    static float other[P];
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_OK);
    memset(theta, 0, sizeof theta);
    cliptsk_logistic_fit(l, &(cliptsk_logistic_options){3, 1e-5, 1000}, theta, &r);
    assert_true(r.converged && r.iterations > 3 && r.iterations < 200);
    double t[P];
    for (int i = 0; i < P; i++)
        t[i] = (double)theta[i];
    for (int i = 0; i < P; i += 7) {
        const double at = t[i];
        t[i] = at + 1e-4;
        const double above = value(&s, 3, t);
        t[i] = at - 1e-4;
        const double below = value(&s, 3, t);
        t[i] = at;
        assert_true(fabs(above - below) / 2e-4 < 3e-5);
    }
    clipb_rng g = clipb_rng_at(3, 0, 0, 0);
    normals(&g, other, P);
    cliptsk_logistic_fit(l, &(cliptsk_logistic_options){3, 1e-5, 1000}, other, &r);
    for (int i = 0; i < C * F; i++) /* b may differ by a constant */
        assert_true(fabsf(other[i] - theta[i]) < 0.01f);
    cliptsk_logistic_free(l);
    workspace_free(&w);
}

/* x = 1 for all samples: the probabilities are the shares of the classes. Two classes and one
 * feature of 0 or 1: the log-odds ratio of the table. */
static void closed_forms_are_found(void **state)
{
    (void)state;
    workspace w = workspace_new(1);
    cliptsk_logistic *l;
    cliptsk_logistic_report r;
    const float ones[6] = {1, 1, 1, 1, 1, 1};
    const int32_t classes[6] = {0, 0, 0, 1, 1, 2};
    float small[6] = {0}, p[3];
    assert_int_equal(cliptsk_logistic_new(&w.k, &(cliptsk_samples){ones, classes, NULL, 6, 1, 3}, &l), CLIP_OK);
    cliptsk_logistic_fit(l, &(cliptsk_logistic_options){0, 1e-6, 100}, small, &r);
    cliptsk_logistic_free(l);
    assert_int_equal(cliptsk_logistic_predict(&w.k, small, ones, 1, 1, 3, p), CLIP_OK);
    for (int c = 0; c < 3; c++)
        assert_true(fabsf(p[c] - (float)(3 - c) / 6) < 1e-4f);

    const float bit[4] = {0, 0, 1, 1}, count[4] = {30, 10, 5, 20}; /* weights stand for the cells of a table */
    const int32_t outcome[4] = {0, 1, 0, 1};
    float two[4] = {0};
    assert_int_equal(cliptsk_logistic_new(&w.k, &(cliptsk_samples){bit, outcome, count, 4, 1, 2}, &l), CLIP_OK);
    cliptsk_logistic_fit(l, &(cliptsk_logistic_options){0, 1e-7, 100}, two, &r);
    cliptsk_logistic_free(l);
    assert_true(fabs((double)(two[3] - two[2]) - log(10.0 / 30)) < 1e-3);
    assert_true(fabs((double)(two[1] - two[0]) - log((20.0 / 5) / (10.0 / 30))) < 1e-3);
    workspace_free(&w);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    cliptsk_samples s = draw(true);
    static float first[P];
    for (int threads = 1; threads <= 3; threads++) {
        workspace w = workspace_new(threads);
        cliptsk_logistic *l;
        cliptsk_logistic_report r;
        assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_OK);
        memset(theta, 0, sizeof theta);
        cliptsk_logistic_fit(l, &(cliptsk_logistic_options){0.1, 1e-5, 40}, theta, &r);
        if (threads == 1)
            memcpy(first, theta, sizeof first);
        assert_memory_equal(first, theta, sizeof first);
        cliptsk_logistic_free(l);
        workspace_free(&w);
    }
}

static void bad_samples_are_refused(void **state)
{
    (void)state;
    workspace w = workspace_new(1);
    cliptsk_samples s = draw(true);
    cliptsk_logistic *l;
    y[5] = C;
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_EINVAL);
    y[5] = -1;
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_EINVAL);
    y[5] = 0;
    x[77] = NAN;
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_EINVAL);
    x[77] = 0;
    weight[3] = -1;
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_EINVAL);
    weight[3] = 1;
    s.C = 1;
    assert_int_equal(cliptsk_logistic_new(&w.k, &s, &l), CLIP_EINVAL);
    s.C = C;
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status status = cliptsk_logistic_new(&w.k, &s, &l);
        if (!fail_alloc_stop()) {
            assert_int_equal(status, CLIP_OK);
            break;
        }
        assert_int_equal(status, CLIP_ENOMEM);
        assert_null(l);
    }
    cliptsk_logistic_free(l);
    workspace_free(&w);
}

/* ---- AUC and ECE ----------------------------------------------------------------------------- */

static void auc_is_that_of_all_pairs(void **state)
{
    (void)state;
    enum { M = 300 };
    float score[M], w[M];
    uint8_t yes[M];
    clipb_rng r = clipb_rng_at(4, 0, 0, 0);
    for (int i = 0; i < M; i++) {
        yes[i] = (uint8_t)clipb_rng_below(&r, 2);
        score[i] = (float)clipb_rng_below(&r, 20) + (float)yes[i] * 3; /* many ties */
        w[i] = clipb_rng_between(&r, 0.5f, 2);
    }
    for (int weighted = 0; weighted < 2; weighted++) {
        double right = 0, all = 0, auc = 0;
        for (int i = 0; i < M; i++)
            for (int j = 0; j < M; j++)
                if (yes[i] && !yes[j]) {
                    const double pair = weighted ? (double)w[i] * (double)w[j] : 1;
                    all += pair;
                    right += pair * (score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0);
                }
        assert_int_equal(cliptsk_auc(score, yes, weighted ? w : NULL, M, &auc), CLIP_OK);
        assert_true(fabs(auc - right / all) < 1e-9);
    }
    double auc;
    score[9] = NAN;
    assert_int_equal(cliptsk_auc(score, yes, NULL, M, &auc), CLIP_EINVAL);
    memset(yes, 1, sizeof yes);
    score[9] = 0;
    assert_int_equal(cliptsk_auc(score, yes, NULL, M, &auc), CLIP_EINVAL);
    fail_alloc_at(1);
    clip_status s = cliptsk_auc(score, yes, NULL, M, &auc);
    fail_alloc_stop();
    assert_int_equal(s, CLIP_ENOMEM);
}

static void ece_is_by_bins(void **state)
{
    (void)state;
    enum { M = 500 };
    float p[M], w[M];
    uint8_t yes[M];
    clipb_rng r = clipb_rng_at(5, 0, 0, 0);
    for (int i = 0; i < M; i++) {
        p[i] = i == 0 ? 0 : i == 1 ? 1 : clipb_rng_float(&r);
        yes[i] = clipb_rng_float(&r) < p[i] * p[i];
        w[i] = clipb_rng_between(&r, 0.5f, 2);
    }
    double ece = 0, total = 0;
    for (int b = 0; b < 10; b++) {
        double in = 0, mean_p = 0, mean_yes = 0;
        for (int i = 0; i < M; i++)
            if (p[i] * 10 >= (float)b && (p[i] * 10 < (float)(b + 1) || b == 9)) {
                in += (double)w[i];
                mean_p += (double)w[i] * (double)p[i];
                mean_yes += (double)w[i] * (double)yes[i];
            }
        ece += in > 0 ? in * fabs(mean_yes / in - mean_p / in) : 0;
        total += in;
    }
    assert_true(fabs(cliptsk_ece(p, yes, w, M, 10) - ece / total) < 1e-9);
    assert_true(ece / total > 0.1); /* p² is not p */
    const float quarter[4] = {0.25f, 0.25f, 0.25f, 0.25f};
    const uint8_t one[4] = {0, 1, 0, 0};
    assert_true(cliptsk_ece(quarter, one, NULL, 4, CLIPTSK_BINS) == 0);
    assert_true(cliptsk_ece(quarter, one, NULL, 0, CLIPTSK_BINS) == 0);
    p[3] = NAN;
    assert_true(isnan(cliptsk_ece(p, yes, NULL, M, 10)));
    p[3] = 1.5f;
    assert_true(isnan(cliptsk_ece(p, yes, NULL, M, 10)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_the_slope_of_the_value),
        cmocka_unit_test(any_start_finds_the_optimum),
        cmocka_unit_test(closed_forms_are_found),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(bad_samples_are_refused),
        cmocka_unit_test(auc_is_that_of_all_pairs),
        cmocka_unit_test(ece_is_by_bins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
