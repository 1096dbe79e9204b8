/* The losses and their gradients against the formulas in double, at batch sizes around a piece of
 * columns. The learning rates of every schedule. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/loss.h"
#include "train/optimizer.h"

#define D 16
#define MOST 150

static void unit_rows(float *x, int N, clipb_rng *r)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int d = 0; d < D; d++) {
            x[i * D + d] = clipb_rng_normal(r);
            sum += (double)x[i * D + d] * x[i * D + d];
        }
        for (int d = 0; d < D; d++)
            x[i * D + d] /= (float)sqrt(sum);
    }
}

/* log of the sum of exponentials of n numbers, `step` apart. */
static double lse(const double *z, int n, int step)
{
    double most = z[0], sum = 0;
    for (int i = 1; i < n; i++)
        most = fmax(most, z[i * step]);
    for (int i = 0; i < n; i++)
        sum += exp(z[i * step] - most);
    return most + log(sum);
}

/* The loss. dZ replaces Z. */
static double infonce(double *z, int N)
{
    double *row = calloc((size_t)N, sizeof *row), *column = calloc((size_t)N, sizeof *column), loss = 0;
    for (int i = 0; i < N; i++) {
        row[i] = lse(z + i * N, N, 1);
        column[i] = lse(z + i, N, N);
        loss += (0.5 * (row[i] + column[i]) - z[i * N + i]) / N;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            z[i * N + j] =
                (exp(z[i * N + j] - row[i]) + exp(z[i * N + j] - column[j])) / (2 * N) - (i == j ? 1.0 / N : 0);
    free(row);
    free(column);
    return loss;
}

static double sigmoid(double *z, int N)
{
    double loss = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            const double s = i == j ? 1 : -1, x = z[i * N + j];
            loss += log1p(exp(-s * x)) / N;
            z[i * N + j] = -s / (1 + exp(s * x)) / N;
        }
    return loss;
}

static void losses_equal_their_formulas_for(int N, cliptrn_loss_kind kind)
{
    static float v[MOST * D], t[MOST * D], dv[MOST * D], dt[MOST * D], first[MOST * D];
    static double z[MOST * MOST], logit[MOST * MOST];
    clipb_rng r = clipb_rng_at(7, 0, (uint64_t)N, (uint64_t)kind);
    const double scale = 12, bias = kind == CLIPTRN_SIGLIP ? -3 : 0;
    unit_rows(v, N, &r);
    unit_rows(t, N, &r);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int d = 0; d < D; d++)
                sum += (double)v[i * D + d] * t[j * D + d];
            logit[i * N + j] = scale * sum;
            z[i * N + j] = scale * sum + bias;
        }
    const double should = kind == CLIPTRN_INFONCE ? infonce(z, N) : sigmoid(z, N);
    double dscale = 0, dbias = 0;
    for (int i = 0; i < N * N; i++) {
        dscale += z[i] * logit[i];
        dbias += z[i];
    }
    for (int threads = 1; threads <= 3; threads++) {
        clipk_ctx k = {.set = clipk_set_find(NULL)};
        clipb_block memory = {0}, scratch = {0};
        clipb_arena a = {0};
        cliptrn_loss_acts acts;
        cliptrn_loss l = {.scale = scale, .bias = bias};
        assert_non_null(k.team = clipb_team_new(threads));
        assert_int_equal(clipb_block_reserve(&scratch, clipk_scratch_bytes(k.set, threads)), CLIP_OK);
        k.scratch = scratch.base;
        cliptrn_loss_layout(&a, &acts, &k, N, D);
        assert_int_equal(clipb_block_reserve(&memory, a.peak), CLIP_OK);
        a = clipb_arena_on(&memory);
        cliptrn_loss_layout(&a, &acts, &k, N, D);
        cliptrn_loss_backward(&k, &l, dv, dt, &acts, v, t, N, D, kind);
        assert_true(fabs(l.loss - should) <= 1e-6 * (1 + should));
        assert_true(fabs(l.dscale - dscale) <= 2e-6 * scale);
        assert_true(kind == CLIPTRN_INFONCE || fabs(l.dbias - dbias) <= 1e-6 * N);
        for (int i = 0; i < N; i++)
            for (int d = 0; d < D; d++) {
                double sum_v = 0, sum_t = 0;
                for (int j = 0; j < N; j++) {
                    sum_v += scale * z[i * N + j] * t[j * D + d];
                    sum_t += scale * z[j * N + i] * v[j * D + d];
                }
                assert_true(fabs(dv[i * D + d] - sum_v) <= 4e-6 * scale / N);
                assert_true(fabs(dt[i * D + d] - sum_t) <= 4e-6 * scale / N);
            }
        if (threads == 1)
            memcpy(first, dt, sizeof first);
        assert_memory_equal(first, dt, (size_t)(N * D) * sizeof(float));
        clipb_team_free(k.team);
        clipb_block_free(&memory);
        clipb_block_free(&scratch);
    }
}

static void losses_equal_their_formulas(void **state)
{
    static const int sizes[] = {1, 2, 63, 64, 65, MOST};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = CLIPTRN_INFONCE; kind <= CLIPTRN_SIGLIP; kind++)
            losses_equal_their_formulas_for(sizes[i], (cliptrn_loss_kind)kind);
}

/* open_clip_train/scheduler.py, computed by hand. */
static void learning_rates(void **state)
{
    const cliptrn_optimizer_options cosine = {.lr = 2, .schedule = CLIPTRN_COSINE, .warmup = 4, .steps = 12};
    const cliptrn_optimizer_options constant = {.lr = 2, .schedule = CLIPTRN_CONST, .warmup = 4, .steps = 12};
    const cliptrn_optimizer_options cooldown = {
        .lr = 2, .schedule = CLIPTRN_CONST_COOLDOWN, .warmup = 0, .cooldown = 4, .steps = 12};
    static const double rises[] = {0.5, 1, 1.5, 2};
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(cliptrn_learning_rate(&cosine, i) - rises[i]) < 1e-12);
        assert_true(fabs(cliptrn_learning_rate(&constant, i) - rises[i]) < 1e-12);
    }
    assert_true(fabs(cliptrn_learning_rate(&cosine, 4) - 2) < 1e-12);
    assert_true(fabs(cliptrn_learning_rate(&cosine, 8) - 1) < 1e-12);
    assert_true(fabs(cliptrn_learning_rate(&cosine, 10) - (1 - sqrt(0.5))) < 1e-12);
    assert_true(cliptrn_learning_rate(&constant, 11) == 2);
    assert_true(cliptrn_learning_rate(&cooldown, 0) == 2 && cliptrn_learning_rate(&cooldown, 8) == 2);
    assert_true(fabs(cliptrn_learning_rate(&cooldown, 9) - 1.5) < 1e-12);
    assert_true(fabs(cliptrn_learning_rate(&cooldown, 11) - 0.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_equal_their_formulas),
        cmocka_unit_test(learning_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
