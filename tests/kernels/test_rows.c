/* Rows and single numbers: every set against the oracle, tails, special values, threads. */
#include "kernels_test.h"

#include "kernels/set.h"

static void check_layernorm(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int T, int C, float offset,
                            bool gather)
{
    float *x = random_floats((size_t)(T * C)), *gain = random_floats((size_t)C), *bias = random_floats((size_t)C);
    float *y = floats_new((size_t)(T * C)), *z = floats_new((size_t)(T * C));
    float *stat[4];
    int32_t *rows = bytes_new((size_t)T * 4);
    for (int i = 0; i < 4; i++)
        stat[i] = floats_new((size_t)T);
    for (int i = 0; i < T * C; i++)
        x[i] += offset;
    for (int t = 0; t < T; t++)
        rows[t] = random_in(0, T - 1);
    clipk_layernorm(k, y, stat[0], stat[1], x, gather ? rows : NULL, gain, bias, 1e-5f, T, C);
    clipk_layernorm(ref, z, stat[2], stat[3], x, gather ? rows : NULL, gain, bias, 1e-5f, T, C);
    /* The mean is off by a few roundings of `offset`, and so is every difference from it. */
    const double mu = (8 + C / 64.0) * EPS * (fabs(offset) + 1);
    for (int t = 0; t < T; t++) {
        double r = stat[3][t];
        CHECK_NEAR(stat[0][t], stat[2][t], mu, "%s: layernorm %dx%d: mean of row %d", name, T, C, t);
        CHECK_NEAR(stat[1][t], r, r * ((8 + C / 64.0) * EPS + mu * r), "%s: layernorm %dx%d: rstd of row %d", name, T,
                   C, t);
        for (int c = 0; c < C; c++) {
            double v = fabs(x[(gather ? rows[t] : t) * C + c] - (double)stat[2][t]) * r;
            CHECK_NEAR(y[t * C + c], z[t * C + c],
                       (v * ((12 + C / 64.0) * EPS + mu * r) + mu * r) * fabs(gain[c]) +
                           2 * EPS * (fabs(z[t * C + c]) + 1),
                       "%s: layernorm %dx%d: row %d column %d", name, T, C, t, c);
        }
    }
    if (!gather) { /* in place, without the statistics */
        clipk_layernorm(k, x, NULL, NULL, x, NULL, gain, bias, 1e-5f, T, C);
        assert_memory_equal(x, y, sizeof(float) * (size_t)(T * C));
    }
    for (int i = 0; i < 4; i++)
        free(stat[i]);
    free(rows), free(x), free(y), free(z), free(gain), free(bias);
}

static void layernorm_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 70; C++)
        check_layernorm(name, k, ref, 3, C, 0, C & 1);
    check_layernorm(name, k, ref, 5, 768, 0, false);
    check_layernorm(name, k, ref, 5, 1280, 100, true); /* mean = 100 deviations */
    check_layernorm(name, k, ref, 2, 4099, -30, false);
}

static void layernorm_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(layernorm_of);
}

static void l2norm_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 1100; C += C < 70 ? 1 : 239) {
        float *x = random_floats((size_t)(2 * C)), *z = floats_new((size_t)(2 * C)), a[2], b[2];
        memcpy(z, x, sizeof(float) * (size_t)(2 * C));
        clipk_l2norm(k, x, a, 2, C);
        clipk_l2norm(ref, z, b, 2, C);
        for (int i = 0; i < 2; i++)
            CHECK_NEAR(a[i], b[i], (4 + C / 64.0) * EPS * b[i], "%s: l2norm %d: length", name, C);
        for (int i = 0; i < 2 * C; i++)
            CHECK_NEAR(x[i], z[i], (6 + C / 64.0) * EPS * fabs(z[i]), "%s: l2norm %d: column %d", name, C, i);
        free(x), free(z);
    }
    float zero[3] = {0, 0, 0}, length;
    clipk_l2norm(k, zero, &length, 1, 3);
    assert_true(zero[0] == 0 && zero[2] == 0 && length == 1e-12f);
}

static void l2norm_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(l2norm_of);
}

static void softmax_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const float scales[] = {1, 100, -3, 0};
    for (int C = 1; C < 1100; C += C < 70 ? 1 : 239)
        for (int s = 0; s < 4; s++) {
            float *x = random_floats((size_t)C), *z = floats_new((size_t)C);
            memcpy(z, x, sizeof(float) * (size_t)C);
            clipk_softmax(k, x, scales[s], 1, C);
            clipk_softmax(ref, z, scales[s], 1, C);
            for (int c = 0; c < C; c++)
                CHECK_NEAR(x[c], z[c], z[c] * EPS * (12 + C / 16.0 + 3 * fabs(scales[s])) + 1e-44,
                           "%s: softmax %d: column %d", name, C, c);
            free(x), free(z);
        }
    float big[5] = {3e38f, 3e38f, -INFINITY, -3e38f, 0};
    clipk_softmax(k, big, 1, 1, 5);
    assert_true(big[0] == 0.5f && big[1] == 0.5f && big[2] == 0 && big[3] == 0 && big[4] == 0);
    float bad[19] = {0};
    bad[18] = NAN;
    clipk_softmax(k, bad, 1, 1, 19);
    assert_true(isnan(bad[0]) && isnan(bad[18]));
}

static void softmax_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(softmax_of);
}

/* Every exponent, with values between. */
static float *all_kinds_of_floats(size_t *n)
{
    const uint32_t step = 104729;
    *n = 0x100000000u / step;
    float *x = floats_new(*n);
    for (size_t i = 0; i < *n; i++) {
        uint32_t u = (uint32_t)i * step;
        memcpy(x + i, &u, 4);
    }
    const float special[] = {0.0f,   -0.0f,   INFINITY, -INFINITY, NAN, 1e-45f, -1e-45f, 88.7f,
                             -87.4f, -103.9f, 5.5f,     -5.5f,     40,  -40,    64,      -64};
    memcpy(x, special, sizeof special);
    return x;
}

static void activations_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    size_t n;
    float *x = all_kinds_of_floats(&n), *y = floats_new(n), *z = floats_new(n);
    for (clipk_act act = CLIPK_LINEAR; act <= CLIPK_TANH; act++) {
        clipk_act_apply(k, y, x, n, act);
        clipk_act_apply(ref, z, x, n, act);
        double tolerance = act >= CLIPK_GELU ? 2e-7 : 0;
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y[i], z[i], tolerance * fmax(1, fabs(x[i])), "%s: act %d of %g", name, act, x[i]);
        for (size_t i = 0; i < n; i++)
            if (isnan(y[i]) != isnan(x[i]))
                fail_msg("%s: act %d of %g is %g", name, act, x[i], y[i]);
    }
    for (size_t i = 1; i < 40; i++) { /* tails, in place */
        float *a = bytes_new(i * 4);
        memcpy(a, x + n / 2, i * 4);
        clipk_act_apply(k, a, a, i, CLIPK_QUICKGELU);
        clipk_act_apply(k, y, x + n / 2, n / 2, CLIPK_QUICKGELU);
        for (size_t j = 0; j < i; j++)
            assert_true(a[j] == y[j] || isnan(y[j]));
        free(a);
    }
    free(x), free(y), free(z);
}

static void activations_are_right_for_every_exponent(void **state)
{
    (void)state;
    for_each_set(activations_of);
}

static void to_f32_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const size_t n = 65536;
    unsigned char *in = bytes_new(2 * n + 1);
    float *y = floats_new(n), *z = floats_new(n);
    for (size_t i = 0; i < n; i++)
        in[1 + 2 * i] = (unsigned char)(i & 255), in[2 + 2 * i] = (unsigned char)(i >> 8);
    for (clipk_type type = CLIPK_F16; type <= CLIPK_BF16; type++) {
        clipk_to_f32(k, y, in + 1, type, n);
        clipk_to_f32(ref, z, in + 1, type, n);
        for (size_t i = 0; i < n; i++)
            if (memcmp(y + i, z + i, 4) != 0 && !(isnan(y[i]) && isnan(z[i])))
                fail_msg("%s: type %d: %04zx is %g, not %g", name, type, i, y[i], z[i]);
        for (size_t m = 0; m < 40; m++) {
            float *out = floats_new(m);
            unsigned char *tail = bytes_new(2 * m);
            memcpy(tail, in + 1 + 2 * 15000, 2 * m);
            clipk_to_f32(k, out, tail, type, m);
            assert_memory_equal(out, z + 15000, 4 * m);
            free(out), free(tail);
        }
    }
    clipk_to_f32(k, y, z, CLIPK_F32, n);
    assert_memory_equal(y, z, 4 * n);
    free(in), free(y), free(z);
}

static void any_type_becomes_f32(void **state)
{
    (void)state;
    for_each_set(to_f32_of);
}

/* All exponents, halves and their neighbours, then random numbers; tails of every length. */
static void to_bf16_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    enum { N = 4096 };
    float x[N];
    uint16_t a[N], b[N];
    for (int round = 0; round < 40; round++) {
        const size_t n = N - (size_t)round;
        for (int i = 0; i < N; i++) {
            const uint32_t u =
                round ? random_u32()
                      : (uint32_t)(i >> 3) << 23 | (uint32_t)(i >> 2 & 1) << 16 | (0x7fff + (uint32_t)(i & 3));
            memcpy(&x[i], &u, 4);
        }
        k->set->to_bf16(a, x, n);
        ref->set->to_bf16(b, x, n);
        for (size_t i = 0; i < n; i++)
            if (a[i] != b[i])
                fail_msg("%s: %.9g becomes %04x, not %04x", name, (double)x[i], a[i], b[i]);
    }
}

static void f32_is_rounded_to_bf16(void **state)
{
    (void)state;
    for_each_set(to_bf16_of);
}

/* Heads of every width, rows that stay, tails. */
static void rotate(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int D = 2; D < 100; D += 2) {
        const int H = random_in(1, 3), each = random_in(2, 5), skip = random_in(0, 1), T = 2 * each;
        const size_t n = (size_t)(T * H * D);
        float *x = random_floats(n), *y = floats_new(n), *angle = random_floats((size_t)((each - skip) * 2 * D));
        memcpy(y, x, n * sizeof *x);
        clipk_rotate(k, x, angle, each, skip, T, H, D);
        clipk_rotate(ref, y, angle, each, skip, T, H, D);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(x[i], y[i], 4 * EPS, "%s: rotate %d heads of %d: at %zu", name, H, D, i);
        free(x), free(y), free(angle);
    }
}

static void rotation_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(rotate);
}

static void swish(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int round = 0; round < 60; round++) {
        const size_t n = 400 + (size_t)round;
        float *g = random_floats(n), *x = random_floats(n), *y = floats_new(n), *z = floats_new(n);
        for (size_t i = 0; i < n; i++)
            g[i] = i == 7 ? -INFINITY : g[i] * (float)(round + 1) * 4;
        clipk_swish_product(k, y, g, x, n);
        clipk_swish_product(ref, z, g, x, n);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y[i], z[i], 1e-6 * (1 + fabs((double)z[i])), "%s: swish of %g: at %zu", name, (double)g[i], i);
        clipk_swish_product(k, g, g, x, n); /* in place */
        assert_memory_equal(g, y, n * sizeof *g);
        free(g), free(x), free(y), free(z);
    }
}

static void swish_product_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(swish);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    enum { T = 211, C = 333 };
    float *x = random_floats(T * C), *gain = random_floats(C), *y[3], *z[3];
    for (int t = 0; t < 3; t++) {
        clipk_ctx k = ctx_new(NULL, t + 1);
        y[t] = floats_new(T * C), z[t] = floats_new(T * C);
        clipk_layernorm(&k, y[t], NULL, NULL, x, NULL, gain, gain, 1e-5f, T, C);
        clipk_act_apply(&k, z[t], x, T * C, CLIPK_GELU);
        clipk_softmax(&k, z[t], 2, T, C);
        clipk_l2norm(&k, z[t], NULL, T, C);
        assert_memory_equal(y[t], y[0], sizeof(float) * T * C);
        assert_memory_equal(z[t], z[0], sizeof(float) * T * C);
        ctx_free(&k);
    }
    for (int t = 0; t < 3; t++)
        free(y[t]), free(z[t]);
    free(x), free(gain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layernorm_is_that_of_the_oracle),
        cmocka_unit_test(l2norm_is_that_of_the_oracle),
        cmocka_unit_test(softmax_is_that_of_the_oracle),
        cmocka_unit_test(activations_are_right_for_every_exponent),
        cmocka_unit_test(any_type_becomes_f32),
        cmocka_unit_test(f32_is_rounded_to_bf16),
        cmocka_unit_test(rotation_is_that_of_the_oracle),
        cmocka_unit_test(swish_product_is_that_of_the_oracle),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
