/* Scales and thresholds against all others that could have been chosen; their quality against
 * counting. */
#include "fixture.h"
#include "tasks/calibrate.h"
#include "tasks/multilabel.h"

enum { N = 90, L = 7 };

static float cosine[N * L];
static int32_t right[N];
static uint8_t yes[N * L];

/* Cosines as a model gives them: higher where the label is right, many of them equal. */
static void draw(uint64_t seed)
{
    clipb_rng r = clipb_rng_at(seed, 0, 0, 0);
    for (int n = 0; n < N; n++) {
        right[n] = (int32_t)clipb_rng_below(&r, L);
        for (int l = 0; l < L; l++) {
            yes[n * L + l] = l < L - 1 && (l == right[n] || clipb_rng_below(&r, 5) == 0); /* the last is never right */
            cosine[n * L + l] =
                roundf(100 * (0.2f + 0.07f * (float)yes[n * L + l] + 0.05f * clipb_rng_normal(&r))) / 100;
        }
    }
}

static double probability(int n, int l, double scale)
{
    double sum = 0;
    for (int i = 0; i < L; i++)
        sum += exp(scale * ((double)cosine[n * L + i] - (double)cosine[n * L + l]));
    return 1 / sum;
}

static double choice_nll(double scale)
{
    double sum = 0;
    for (int n = 0; n < N; n++)
        sum -= log(probability(n, right[n], scale));
    return sum / N;
}

static void the_scale_fits_best(void **state)
{
    (void)state;
    double scale, nll, ece, least = INFINITY;
    draw(1);
    assert_int_equal(cliptsk_fit_scale(cosine, right, N, L, &scale), CLIP_OK);
    for (double s = 0.01; s < 1e4; s *= 1.01)
        least = fmin(least, choice_nll(s));
    assert_true(choice_nll(scale) <= least + 1e-12);
    assert_true(choice_nll(1.02 * scale) > choice_nll(scale) && choice_nll(scale / 1.02) > choice_nll(scale));
    assert_int_equal(cliptsk_choice_errors(cosine, right, N, L, scale, &nll, &ece), CLIP_OK);
    assert_true(fabs(nll - choice_nll(scale)) < 1e-9);
}

/* Every picture into the bin of its best label's probability. */
static void choice_error_is_by_bins_of_the_best_label(void **state)
{
    (void)state;
    double gap[15] = {0}, want = 0, nll, ece;
    const double scale = 30;
    draw(2);
    for (int n = 0; n < N; n++) {
        int best = 0;
        for (int l = 1; l < L; l++)
            if (cosine[n * L + l] > cosine[n * L + best])
                best = l;
        const double p = probability(n, best, scale);
        gap[(int)fmin(14, p * 15)] += (best == right[n]) - p;
    }
    for (int b = 0; b < 15; b++)
        want += fabs(gap[b]) / N;
    assert_int_equal(cliptsk_choice_errors(cosine, right, N, L, scale, &nll, &ece), CLIP_OK);
    assert_true(fabs(ece - want) < 1e-6);
}

/* ---- Several labels -------------------------------------------------------------------------- */

typedef struct counts {
    int hits, taken, right;
} counts;

static counts count(int from, int to, float threshold)
{
    counts c = {0};
    for (int n = 0; n < N; n++)
        for (int l = from; l < to; l++) {
            const bool in = cosine[n * L + l] >= threshold;
            c.hits += in && yes[n * L + l];
            c.taken += in;
            c.right += yes[n * L + l];
        }
    return c;
}

static double f1(counts c) { return c.taken + c.right > 0 ? 2.0 * c.hits / (c.taken + c.right) : 0; }

static double best_f1(int from, int to)
{
    double best = 0;
    for (int i = 0; i < N * L; i++)
        best = fmax(best, f1(count(from, to, cosine[i])));
    return best;
}

static double loss(const float *threshold, double scale)
{
    double sum = 0;
    for (int i = 0; i < N * L; i++) {
        const double p = 1 / (1 + exp(-scale * ((double)cosine[i] - (double)threshold[i % L])));
        sum -= log(yes[i] ? p : 1 - p);
    }
    return sum;
}

static void thresholds_give_the_best_f1(void **state)
{
    (void)state;
    float threshold[L], all;
    double scale;
    for (uint64_t seed = 1; seed < 30; seed++) {
        draw(seed);
        assert_int_equal(cliptsk_fit_thresholds(cosine, yes, N, L, threshold, &all, &scale), CLIP_OK);
        assert_true(f1(count(0, L, all)) == best_f1(0, L));
        for (int l = 0; l < L - 1; l++) { /* the threshold before it was moved towards the one for all */
            const int pictures = count(l, l + 1, -1).right;
            const float own = all + (threshold[l] - all) * (float)(pictures + 20) / (float)pictures - 1e-4f;
            assert_true(f1(count(l, l + 1, own)) == best_f1(l, l + 1));
        }
        assert_true(threshold[L - 1] == all);
        assert_true(loss(threshold, scale) <= loss(threshold, 1.02 * scale) &&
                    loss(threshold, scale) <= loss(threshold, scale / 1.02));
    }
}

/* A threshold stands in the middle of a gap. Between neighbours that are adjacent in f32 it is the
 * upper one. */
static void a_threshold_stands_in_the_middle_of_a_gap(void **state)
{
    (void)state;
    const float apart[2] = {0.5f, 0.25f}, near[2] = {nextafterf(0.25f, 1), 0.25f};
    const uint8_t y[2] = {1, 0};
    float t, all;
    double scale;
    assert_int_equal(cliptsk_fit_thresholds(apart, y, 2, 1, &t, &all, &scale), CLIP_OK);
    assert_true(t == 0.375f && all == 0.375f);
    assert_int_equal(cliptsk_fit_thresholds(near, y, 2, 1, &t, &all, &scale), CLIP_OK);
    assert_true(t == near[0]);
}

/* By its definition: over the distinct cosines in falling order, precision times the gain of
 * recall. */
static double average_precision(int l)
{
    double sum = 0, recall = 0;
    for (float t = 2; t > -2;) {
        float next = -2;
        for (int n = 0; n < N; n++)
            if (cosine[n * L + l] < t && cosine[n * L + l] > next)
                next = cosine[n * L + l];
        t = next;
        const counts c = count(l, l + 1, t);
        sum += (double)c.hits / c.taken * ((double)c.hits / c.right - recall);
        recall = (double)c.hits / c.right;
        if (c.taken == N)
            break;
    }
    return sum;
}

static void multilabel_metrics_are_counted(void **state)
{
    (void)state;
    const float threshold[L] = {0.2f, 0.22f, 0.24f, 0.26f, 0.28f, 0.9f, 0.25f}; /* the last but one takes nothing */
    clip_multilabel_metrics m;
    counts all = {0};
    double each = 0, map = 0;
    draw(3);
    for (int l = 0; l < L; l++) {
        const counts c = count(l, l + 1, threshold[l]);
        all = (counts){all.hits + c.hits, all.taken + c.taken, all.right + c.right};
        if (c.right > 0) {
            each += f1(c) / (L - 1);
            map += average_precision(l) / (L - 1);
        }
    }
    assert_int_equal(cliptsk_multilabel(cosine, yes, N, L, threshold, 30, &m), CLIP_OK);
    assert_int_equal(m.labels, L - 1);
    assert_true(m.precision == (double)all.hits / all.taken && m.recall == (double)all.hits / all.right &&
                m.f1 == f1(all));
    assert_true(fabs(m.label_f1 - each) < 1e-12 && fabs(m.map - map) < 1e-12);
    assert_true(m.ece > 0 && m.ece < 1);
}

static void what_cannot_be_fitted_is_refused(void **state)
{
    (void)state;
    float t[L] = {0}, all;
    double scale, nll, ece;
    clip_multilabel_metrics m;
    draw(4);
    assert_int_equal(cliptsk_fit_scale(cosine, right, 0, L, &scale), CLIP_EINVAL);
    right[3] = L;
    assert_int_equal(cliptsk_fit_scale(cosine, right, N, L, &scale), CLIP_EINVAL);
    assert_int_equal(cliptsk_choice_errors(cosine, right, N, L, 1, &nll, &ece), CLIP_EINVAL);
    t[2] = NAN;
    assert_int_equal(cliptsk_multilabel(cosine, yes, N, L, t, 1, &m), CLIP_EINVAL);
    cosine[5] = INFINITY;
    assert_int_equal(cliptsk_fit_thresholds(cosine, yes, N, L, t, &all, &scale), CLIP_EINVAL);
    cosine[5] = 0;
    memset(yes, 0, sizeof yes);
    assert_int_equal(cliptsk_fit_thresholds(cosine, yes, N, L, t, &all, &scale), CLIP_EINVAL);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    float t[L], all;
    double scale, nll, ece;
    clip_multilabel_metrics m;
    draw(5);
    for (int which = 0; which < 3; which++)
        for (long n = 1;; n++) {
            fail_alloc_at(n);
            const clip_status s = which == 0   ? cliptsk_fit_thresholds(cosine, yes, N, L, t, &all, &scale)
                                  : which == 1 ? cliptsk_multilabel(cosine, yes, N, L, t, 1, &m)
                                               : cliptsk_choice_errors(cosine, right, N, L, 1, &nll, &ece);
            if (!fail_alloc_stop()) {
                assert_true(n > 1);
                assert_int_equal(s, CLIP_OK);
                break;
            }
            assert_int_equal(s, CLIP_ENOMEM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scale_fits_best),
        cmocka_unit_test(choice_error_is_by_bins_of_the_best_label),
        cmocka_unit_test(thresholds_give_the_best_f1),
        cmocka_unit_test(a_threshold_stands_in_the_middle_of_a_gap),
        cmocka_unit_test(multilabel_metrics_are_counted),
        cmocka_unit_test(what_cannot_be_fitted_is_refused),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
