/* Depthwise convolution, patches of channels: every set against the oracle. A picture's result is
 * the same in any batch, with any number of threads. */
#include "kernels_test.h"

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int N, int H, int W, int C, int K,
                  int stride)
{
    const int Ho = (H - 1) / stride + 1, Wo = (W - 1) / stride + 1;
    const size_t n = (size_t)(N * Ho * Wo * C);
    float *x = random_floats((size_t)(N * H * W * C)), *w = random_floats((size_t)(K * K * C)),
          *bias = random_floats((size_t)C), *y = floats_new(n), *z = floats_new(n);
    const clipk_depthwise_weight f = {K, stride, w, bias};
    for (clipk_act act = CLIPK_LINEAR; act <= CLIPK_GELU; act++) {
        clipk_depthwise(k, y, x, N, H, W, C, &f, act);
        clipk_depthwise(ref, z, x, N, H, W, C, &f, act);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y[i], z[i], (K * K + 4) * K * EPS, "%s: %dx%dx%dx%d by %d/%d: at %zu", name, N, H, W, C, K,
                       stride, i);
    }
    free(x), free(w), free(bias), free(y), free(z);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int n = 1; n < 40; n++)
        check(name, k, ref, random_in(1, 3), random_in(1, 12), random_in(1, 20), n, 1 + 2 * random_in(0, 3),
              random_in(1, 2));
    check(name, k, ref, 1, 14, 14, 96, 7, 1);
    check(name, k, ref, 2, 16, 16, 64, 7, 2);
}

static void convolutions_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

static void batches_and_threads_change_no_bit(void **state)
{
    (void)state;
    enum { N = 3, S = 9, C = 37, K = 5, ALL = N * S * S * C };
    float *x = random_floats(ALL), *w = random_floats(K * K * C), *y = floats_new(ALL), *z = floats_new(ALL);
    const clipk_depthwise_weight f = {K, 1, w, w};
    clipk_ctx one = ctx_new(NULL, 1);
    clipk_depthwise(&one, y, x, N, S, S, C, &f, CLIPK_LINEAR);
    for (int threads = 1; threads < 5; threads++) {
        clipk_ctx k = ctx_new(NULL, threads);
        for (int n = 0; n < N; n++)
            clipk_depthwise(&k, z + n * S * S * C, x + n * S * S * C, 1, S, S, C, &f, CLIPK_LINEAR);
        assert_memory_equal(y, z, sizeof(float) * ALL);
        ctx_free(&k);
    }
    ctx_free(&one);
    free(x), free(w), free(y), free(z);
}

static void columns_copy_every_patch(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        clipk_ctx k = ctx_new(NULL, random_in(1, 3));
        const int N = random_in(1, 3), H = random_in(1, 9), W = random_in(1, 9), C = random_in(1, 5),
                  pad = random_in(0, 2), least = H < W ? H : W;
        const int K = random_in(1, least + 2 * pad), stride = random_in(1, 3);
        const int Ho = (H + 2 * pad - K) / stride + 1, Wo = (W + 2 * pad - K) / stride + 1;
        float *x = random_floats((size_t)(N * H * W * C)), *y = floats_new((size_t)(N * Ho * Wo * K * K * C)), *at = y;
        clipk_columns(&k, y, x, N, H, W, C, K, stride, pad);
        for (int n = 0; n < N; n++)
            for (int h = 0; h < Ho; h++)
                for (int o = 0; o < Wo; o++)
                    for (int v = 0; v < K; v++)
                        for (int u = 0; u < K; u++)
                            for (int c = 0; c < C; c++, at++) {
                                const int r = h * stride - pad + v, s = o * stride - pad + u;
                                const bool in = r >= 0 && r < H && s >= 0 && s < W;
                                assert_true(*at == (in ? x[((n * H + r) * W + s) * C + c] : 0));
                            }
        free(x), free(y);
        ctx_free(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_those_of_the_oracle),
        cmocka_unit_test(batches_and_threads_change_no_bit),
        cmocka_unit_test(columns_copy_every_patch),
    };
    return cmocka_run_group_tests_name("depthwise", tests, NULL, NULL);
}
