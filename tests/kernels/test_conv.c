/* Convolution, patches, pooling: every set against the oracle. A picture's result is the same in
 * any batch, with any number of threads. */
#include "kernels_test.h"

typedef struct conv {
    int N, H, W, I, O;
    float *x, *w, *y, *bias, *residual, *pre;
} conv;

static size_t pixels(const conv *c) { return (size_t)(c->N * c->H * c->W); }

static conv conv_new(int N, int H, int W, int I, int O)
{
    conv c = {.N = N, .H = H, .W = W, .I = I, .O = O};
    c.x = random_floats(pixels(&c) * (size_t)I);
    c.w = random_floats((size_t)(O * I * 9));
    c.y = floats_new(pixels(&c) * (size_t)O);
    c.bias = random_floats((size_t)O);
    c.residual = random_floats(pixels(&c) * (size_t)O);
    c.pre = floats_new(pixels(&c) * (size_t)O);
    return c;
}

static void conv_free(conv *c) { free(c->x), free(c->w), free(c->y), free(c->bias), free(c->residual), free(c->pre); }

/* The pictures n0 .. n1 of c. */
static void convolve(const clipk_ctx *k, const conv *c, int n0, int n1, const clipk_epilogue *e, float *y)
{
    clipk_conv3x3_weight w = {c->O, c->I, aligned_new(clipk_conv3x3_bytes(k->set, c->O, c->I))};
    void *work = aligned_new(clipk_conv3x3_work(k, n1 - n0, c->H, c->W, c->I, c->O));
    clipk_conv3x3_pack(k, &w, c->w);
    clipk_conv3x3(k, y, c->x + (size_t)(n0 * c->H * c->W * c->I), n1 - n0, c->H, c->W, &w, e, work);
    free(w.panels), free(work);
}

/* The largest sum of |x w| over a 3x3 window and its surroundings: the scale of rounding.
 * Winograd's transforms mix the 6x6 pixels around a tile, so a tile's error follows its largest
 * pixels. */
static double loudest(const clipk_ctx *ref, const conv *c)
{
    conv a = conv_new(c->N, c->H, c->W, c->I, c->O);
    double most = 0;
    for (size_t i = 0; i < pixels(c) * (size_t)c->I; i++)
        a.x[i] = fabsf(c->x[i]);
    for (size_t i = 0; i < (size_t)(c->O * c->I * 9); i++)
        a.w[i] = fabsf(c->w[i]);
    convolve(ref, &a, 0, c->N, NULL, a.y);
    for (size_t i = 0; i < pixels(c) * (size_t)c->O; i++)
        most = fmax(most, a.y[i]);
    conv_free(&a);
    return most;
}

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int N, int H, int W, int I, int O)
{
    conv c = conv_new(N, H, W, I, O);
    float *y = floats_new(pixels(&c) * (size_t)O), *pre = floats_new(pixels(&c) * (size_t)O);
    clipk_epilogue e = {.bias = c.bias,
                        .residual = c.residual,
                        .ld_residual = O,
                        .pre = c.pre,
                        .ld_pre = O,
                        .act = CLIPK_RELU},
                   f = e;
    f.pre = pre;
    const double tolerance = (4 + 24 / sqrt(I)) * EPS * (loudest(ref, &c) + 2);
    convolve(k, &c, 0, N, &e, c.y);
    convolve(ref, &c, 0, N, &f, y);
    for (size_t i = 0; i < pixels(&c) * (size_t)O; i++) {
        CHECK_NEAR(c.y[i], y[i], tolerance, "%s: %dx%dx%d, %d to %d: at %zu", name, N, H, W, I, O, i);
        CHECK_NEAR(c.pre[i], pre[i], tolerance, "%s: %dx%dx%d, %d to %d: pre at %zu", name, N, H, W, I, O, i);
    }
    e = (clipk_epilogue){.residual = c.residual, .ld_residual = O, .act = CLIPK_GELU}; /* y += ... */
    memcpy(y, c.residual, sizeof(float) * pixels(&c) * (size_t)O);
    f = e;
    f.residual = y;
    convolve(k, &c, 0, N, &e, c.y);
    convolve(k, &c, 0, N, &f, y);
    assert_memory_equal(y, c.y, sizeof(float) * pixels(&c) * (size_t)O);
    convolve(k, &c, 0, N, NULL, c.y);
    convolve(ref, &c, 0, N, NULL, y);
    for (size_t i = 0; i < pixels(&c) * (size_t)O; i++)
        CHECK_NEAR(c.y[i], y[i], tolerance, "%s: %dx%dx%d, %d to %d: plain at %zu", name, N, H, W, I, O, i);
    free(y), free(pre);
    conv_free(&c);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int n = 1; n < 12; n++)
        check(name, k, ref, 1 + n % 2, n, 1 + n * 5 % 11, random_in(1, 40), random_in(1, 70));
    check(name, k, ref, 2, 7, 7, 64, 48);
    check(name, k, ref, 1, 14, 14, 80, 80);
    check(name, k, ref, 1, 3, 5, 300, 33);
    check(name, k, ref, 1, 29, 30, 3, 8); /* more tiles than a strip */
}

static void convolutions_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

static void batches_and_threads(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const int shape[][5] = {{5, 9, 6, 12, 20}, {3, 7, 7, 70, 130}, {2, 33, 34, 8, 40}};
    (void)ref;
    for (int s = 0; s < 3; s++) {
        conv c = conv_new(shape[s][0], shape[s][1], shape[s][2], shape[s][3], shape[s][4]);
        const size_t one = (size_t)(c.H * c.W * c.O);
        float *y = floats_new(one * (size_t)c.N);
        convolve(k, &c, 0, c.N, NULL, c.y);
        for (int threads = 1; threads < 8; threads++) {
            clipk_ctx many = ctx_new(name, threads);
            convolve(&many, &c, 0, c.N, NULL, y);
            assert_memory_equal(y, c.y, sizeof(float) * one * (size_t)c.N);
            for (int n = 0; n < c.N; n++) {
                convolve(&many, &c, n, n + 1, NULL, y);
                assert_memory_equal(y, c.y + (size_t)n * one, sizeof(float) * one);
            }
            ctx_free(&many);
        }
        free(y);
        conv_free(&c);
    }
}

static void batches_and_threads_change_no_bit(void **state)
{
    (void)state;
    for_each_set(batches_and_threads);
}

static void avgpool(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 40; C++) {
        const int N = 2, H = random_in(2, 9), W = random_in(2, 9);
        const size_t n = (size_t)(N * (H / 2) * (W / 2) * C);
        float *x = random_floats((size_t)(N * H * W * C)), *y = floats_new(n), *z = floats_new(n);
        clipk_avgpool2x2(k, y, x, N, H, W, C);
        clipk_avgpool2x2(ref, z, x, N, H, W, C);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y[i], z[i], 4 * EPS, "%s: avgpool %dx%dx%d: at %zu", name, H, W, C, i);
        free(x), free(y), free(z);
    }
}

static void avgpool_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(avgpool);
}

static void im2col_copies_every_patch(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        clipk_ctx k = ctx_new(NULL, random_in(1, 3));
        const int N = random_in(1, 3), H = random_in(1, 9), W = random_in(1, 9), C = random_in(1, 5),
                  pad = random_in(0, 3);
        const int kh = random_in(1, H + 2 * pad), kw = random_in(1, W + 2 * pad), stride = random_in(1, 3);
        const int Ho = (H + 2 * pad - kh) / stride + 1, Wo = (W + 2 * pad - kw) / stride + 1;
        float *x = random_floats((size_t)(N * H * W * C)), *y = floats_new((size_t)(N * Ho * Wo * kh * kw * C)),
              *at = y;
        clipk_im2col(&k, y, x, N, C, H, W, kh, kw, stride, pad);
        for (int n = 0; n < N; n++)
            for (int h = 0; h < Ho; h++)
                for (int w = 0; w < Wo; w++)
                    for (int c = 0; c < C; c++)
                        for (int v = 0; v < kh; v++)
                            for (int u = 0; u < kw; u++, at++) {
                                int r = h * stride - pad + v, s = w * stride - pad + u;
                                bool in = r >= 0 && r < H && s >= 0 && s < W;
                                assert_true(*at == (in ? x[((n * C + c) * H + r) * W + s] : 0));
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
        cmocka_unit_test(avgpool_is_that_of_the_oracle),
        cmocka_unit_test(im2col_copies_every_patch),
    };
    return cmocka_run_group_tests_name("conv", tests, NULL, NULL);
}
