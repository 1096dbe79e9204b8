/* Batch norm: every set against the oracle, the oracle against finite differences in double. The
 * number of threads does not change a bit. */
#include "kernels_test.h"

#define EPS_VAR 1e-5f

typedef struct norm {
    int T, C;
    clipk_act act;
    bool frozen;
    float *x, *residual, *dy, *gain, *bias;                   /* in */
    float *mean, *var, *rstd, *y, *dx, *dz, *dgain, *dbias;   /* out */
} norm;

static size_t count(const norm *n) { return (size_t)(n->T * n->C); }

static norm norm_new(int T, int C, clipk_act act, bool residual)
{
    norm n = {.T = T, .C = C, .act = act, .frozen = random_in(0, 3) == 0};
    float **rows[] = {&n.x, &n.residual, &n.dy, &n.y, &n.dx, &n.dz},
          **columns[] = {&n.gain, &n.bias, &n.mean, &n.var, &n.rstd, &n.dgain, &n.dbias};
    for (int i = 0; i < 6; i++)
        *rows[i] = random_floats(count(&n));
    for (int i = 0; i < 7; i++)
        *columns[i] = random_floats((size_t)C);
    for (size_t i = 0; i < count(&n); i++)
        n.x[i] = n.x[i] * (float)(1 + i % (size_t)C % 7) + 3 * n.gain[i % (size_t)C]; /* columns differ */
    if (!residual) {
        free(n.residual);
        n.residual = NULL;
    }
    return n;
}

static void norm_free(norm *n)
{
    free(n->x), free(n->residual), free(n->dy), free(n->y), free(n->dx), free(n->dz);
    free(n->gain), free(n->bias), free(n->mean), free(n->var), free(n->rstd), free(n->dgain), free(n->dbias);
}

static norm norm_copy(const norm *from)
{
    norm n = *from;
    float **rows[] = {&n.x, &n.residual, &n.dy, &n.y, &n.dx, &n.dz},
          **columns[] = {&n.gain, &n.bias, &n.mean, &n.var, &n.rstd, &n.dgain, &n.dbias};
    for (int i = 0; i < 13; i++) {
        float **p = i < 6 ? rows[i] : columns[i - 6];
        const size_t bytes = sizeof(float) * (i < 6 ? count(&n) : (size_t)n.C);
        if (*p)
            *p = memcpy(bytes_new(bytes), *p, bytes);
    }
    return n;
}

static void forward_and_backward(const clipk_ctx *k, norm *n)
{
    void *work = aligned_new(clipk_batchnorm_work(n->T, n->C));
    const clipk_batchnorm b = {n->mean, n->rstd, n->gain, n->bias};
    clipk_batchnorm_stats(k, n->mean, n->var, n->x, n->T, n->C, work);
    for (int c = 0; c < n->C; c++)
        n->rstd[c] = 1 / sqrtf(n->var[c] + EPS_VAR);
    clipk_batchnorm_forward(k, n->y, n->x, &b, n->residual, n->act, n->T, n->C);
    clipk_batchnorm_backward(k, n->dx, n->residual ? n->dz : NULL, n->dgain, n->dbias, n->dy, n->x,
                             n->residual ? n->y : NULL, &b, n->act, n->frozen, n->T, n->C, work);
    free(work);
}

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int T, int C, clipk_act act,
                  bool residual)
{
    norm n = norm_new(T, C, act, residual);
    norm m = norm_copy(&n);
    forward_and_backward(k, &n);
    forward_and_backward(ref, &m);
    for (int c = 0; c < C; c++) {
        /* sums of T numbers, f32 in parts of 512 rows by fours: at most 128 roundings of a part's
         * sum, of random sign */
        const double size = 20, sums = 24 * EPS * size * sqrt(T) * 4;
        CHECK_NEAR(n.mean[c], m.mean[c], 24 * EPS * size, "%s: %dx%d: mean of %d", name, T, C, c);
        CHECK_NEAR(n.var[c], m.var[c], 24 * EPS * size * (1 + m.var[c]), "%s: %dx%d: var of %d", name, T, C, c);
        if (m.var[c] > 0.1f) {
            CHECK_NEAR(n.dbias[c], m.dbias[c], sums, "%s: %dx%d: dbias of %d", name, T, C, c);
            CHECK_NEAR(n.dgain[c], m.dgain[c], sums * m.rstd[c] * 4, "%s: %dx%d: dgain of %d", name, T, C, c);
        }
    }
    for (size_t i = 0; i < count(&n); i++) {
        const size_t c = i % (size_t)C;
        const double size = EPS * 64 * (1 + 20 * (double)m.rstd[c]);
        CHECK_NEAR(n.y[i], m.y[i], size, "%s: %dx%d: y at %zu", name, T, C, i);
        if (m.var[c] < 0.1f || (act == CLIPK_RELU && fabsf(m.y[i]) < size)) /* rounding decides the sign */
            continue;
        CHECK_NEAR(n.dx[i], m.dx[i], 8 * size, "%s: %dx%d: dx at %zu", name, T, C, i);
        if (residual)
            assert_true(n.dz[i] == m.dz[i]);
    }
    norm_free(&n), norm_free(&m);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 70; C++)
        check(name, k, ref, random_in(1, 40), C, C % 2 ? CLIPK_RELU : CLIPK_LINEAR, C % 3 == 0);
    check(name, k, ref, 1500, 32, CLIPK_RELU, false); /* several parts */
    check(name, k, ref, 1027, 37, CLIPK_RELU, true);
    check(name, k, ref, 70, 2048, CLIPK_LINEAR, false);
}

static void norms_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

/* A mean far from zero does not make the variance less exact. */
static void far_mean(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    norm n = norm_new(2000, 19, CLIPK_LINEAR, false);
    for (size_t i = 0; i < count(&n); i++)
        n.x[i] = 1000 + n.dy[i];
    norm m = norm_copy(&n);
    forward_and_backward(k, &n);
    forward_and_backward(ref, &m);
    for (int c = 0; c < n.C; c++) {
        CHECK_NEAR(n.var[c], m.var[c], 24 * EPS, "%s: var of %d", name, c);
        CHECK_NEAR(n.var[c], 1.0 / 3, 0.05, "%s: var of %d", name, c);
    }
    norm_free(&n), norm_free(&m);
}

static void a_far_mean_takes_nothing_from_the_variance(void **state)
{
    (void)state;
    for_each_set(far_mean);
}

/* ---- Finite differences ---------------------------------------------------------------------- */

/* Sum of dy y, in double, at x + t u, gain + t v, bias + t w. frozen: with n's statistics. */
static double loss(const norm *n, const float *u, const float *v, const float *w, const float *r, double t)
{
    double sum = 0;
    for (int c = 0; c < n->C; c++) {
        double mean = 0, var = 0, rstd;
#define X(i) (n->x[(i) * n->C + c] + t * u[(i) * n->C + c])
        for (int i = 0; i < n->T; i++)
            mean += X(i) / n->T;
        for (int i = 0; i < n->T; i++)
            var += (X(i) - mean) * (X(i) - mean) / n->T;
        rstd = 1 / sqrt(var + EPS_VAR);
        if (n->frozen) {
            mean = n->mean[c];
            rstd = n->rstd[c];
        }
        for (int i = 0; i < n->T; i++) {
            double y = (X(i) - mean) * rstd * (n->gain[c] + t * v[c]) + n->bias[c] + t * w[c];
            if (n->residual)
                y += n->residual[i * n->C + c] + t * r[i * n->C + c];
            sum += n->act == CLIPK_RELU && y < 0 ? 0 : y * n->dy[i * n->C + c];
        }
    }
    return sum;
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    clipk_ctx ref = ctx_new("ref", 1);
    for (int round = 0; round < 60; round++) {
        norm n = norm_new(random_in(3, 30), random_in(1, 12), round % 2 ? CLIPK_RELU : CLIPK_LINEAR, round % 3 == 0);
        float *u = random_floats(count(&n)), *r = random_floats(count(&n)), *v = random_floats((size_t)n.C),
              *w = random_floats((size_t)n.C);
        memset(n.dgain, 0, sizeof(float) * (size_t)n.C);
        memset(n.dbias, 0, sizeof(float) * (size_t)n.C);
        forward_and_backward(&ref, &n);
        const double h = 1e-7, numeric = (loss(&n, u, v, w, r, h) - loss(&n, u, v, w, r, -h)) / (2 * h);
        const double exact = dot(n.dx, u, count(&n)) + dot(n.dgain, v, (size_t)n.C) + dot(n.dbias, w, (size_t)n.C) +
                             (n.residual ? dot(n.dz, r, count(&n)) : 0);
        CHECK_NEAR(exact, numeric, 1e-6 * (double)count(&n), "%dx%d, act %d, frozen %d", n.T, n.C, (int)n.act,
                   n.frozen);
        free(u), free(v), free(w), free(r);
        norm_free(&n);
    }
    ctx_free(&ref);
}

static void threads(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    const int shape[][2] = {{3000, 40}, {4100, 16}, {130, 1500}};
    for (int s = 0; s < 3; s++) {
        norm n = norm_new(shape[s][0], shape[s][1], CLIPK_RELU, s == 1);
        norm start = norm_copy(&n);
        forward_and_backward(k, &n);
        for (int t = 2; t < 6; t++) {
            clipk_ctx many = ctx_new(name, t);
            norm m = norm_copy(&start);
            forward_and_backward(&many, &m);
            const size_t row = sizeof(float) * count(&n), column = sizeof(float) * (size_t)n.C;
            assert_memory_equal(n.mean, m.mean, column);
            assert_memory_equal(n.var, m.var, column);
            assert_memory_equal(n.y, m.y, row);
            assert_memory_equal(n.dx, m.dx, row);
            assert_memory_equal(n.dgain, m.dgain, column);
            assert_memory_equal(n.dbias, m.dbias, column);
            norm_free(&m);
            ctx_free(&many);
        }
        norm_free(&n), norm_free(&start);
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for_each_set(threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_those_of_the_oracle),
        cmocka_unit_test(a_far_mean_takes_nothing_from_the_variance),
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests_name("batchnorm", tests, NULL, NULL);
}
