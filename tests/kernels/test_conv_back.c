/* The backward of convolutions: every set against the oracle, the oracle against the definition of
 * a derivative. The number of threads does not change a bit. */
#include "kernels_test.h"

typedef struct conv {
    int N, H, W, I, O;
    float *x, *w, *dy, *dx, *dw;
} conv;

static size_t pixels(const conv *c) { return (size_t)(c->N * c->H * c->W); }
static size_t x_count(const conv *c) { return pixels(c) * (size_t)c->I; }
static size_t y_count(const conv *c) { return pixels(c) * (size_t)c->O; }
static size_t w_count(const conv *c) { return (size_t)(c->O * c->I * 9); }

static conv conv_new(int N, int H, int W, int I, int O)
{
    conv c = {.N = N, .H = H, .W = W, .I = I, .O = O};
    c.x = random_floats(x_count(&c));
    c.w = random_floats(w_count(&c));
    c.dy = random_floats(y_count(&c));
    c.dx = floats_new(x_count(&c));
    c.dw = random_floats(w_count(&c)); /* the gradient is added to it */
    return c;
}

static void conv_free(conv *c) { free(c->x), free(c->w), free(c->dy), free(c->dx), free(c->dw); }

static void filters(const clipk_ctx *k, const conv *c, float *dw)
{
    void *work = aligned_new(clipk_conv3x3_filters_work(k, c->N, c->H, c->W, c->I, c->O));
    clipk_conv3x3_filters(k, dw, c->dy, c->x, c->N, c->H, c->W, c->I, c->O, work);
    free(work);
}

/* y from x, or dx from dy. */
static void convolve(const clipk_ctx *k, const conv *c, bool back, float *y)
{
    const int I = back ? c->O : c->I, O = back ? c->I : c->O;
    clipk_conv3x3_weight w = {O, I, aligned_new(clipk_conv3x3_bytes(k->set, O, I))};
    void *work = aligned_new(clipk_conv3x3_work(k, c->N, c->H, c->W, I, O));
    if (back)
        clipk_conv3x3_pack_back(k, &w, c->w);
    else
        clipk_conv3x3_pack(k, &w, c->w);
    clipk_conv3x3(k, y, back ? c->dy : c->x, c->N, c->H, c->W, &w, NULL, work);
    free(w.panels), free(work);
}

/* The largest sum of |terms|: the scale of rounding. */
static double loudest(const clipk_ctx *ref, const conv *c, bool of_filters)
{
    conv a = conv_new(c->N, c->H, c->W, c->I, c->O);
    double most = 0;
    for (size_t i = 0; i < x_count(c); i++)
        a.x[i] = fabsf(c->x[i]);
    for (size_t i = 0; i < y_count(c); i++)
        a.dy[i] = fabsf(c->dy[i]);
    for (size_t i = 0; i < w_count(c); i++) {
        a.w[i] = fabsf(c->w[i]);
        a.dw[i] = fabsf(c->dw[i]);
    }
    if (of_filters)
        filters(ref, &a, a.dw);
    else
        convolve(ref, &a, true, a.dx);
    for (size_t i = 0; i < (of_filters ? w_count(c) : x_count(c)); i++)
        most = fmax(most, of_filters ? a.dw[i] : a.dx[i]);
    conv_free(&a);
    return most;
}

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int N, int H, int W, int I, int O)
{
    conv c = conv_new(N, H, W, I, O);
    float *dw = floats_new(w_count(&c)), *dx = floats_new(x_count(&c));
    memcpy(dw, c.dw, sizeof(float) * w_count(&c));
    const int tiles = N * ((H + 3) / 4) * ((W + 3) / 4); /* each has an error of its own, of random sign */
    const double for_x = (4 + 24 / sqrt(O)) * EPS * (loudest(ref, &c, false) + 2),
                 for_w = (4 + 48 / sqrt(tiles)) * EPS * (loudest(ref, &c, true) + 2);
    filters(k, &c, c.dw);
    filters(ref, &c, dw);
    convolve(k, &c, true, c.dx);
    convolve(ref, &c, true, dx);
    for (size_t i = 0; i < w_count(&c); i++)
        CHECK_NEAR(c.dw[i], dw[i], for_w, "%s: %dx%dx%d, %d to %d: dw at %zu", name, N, H, W, I, O, i);
    for (size_t i = 0; i < x_count(&c); i++)
        CHECK_NEAR(c.dx[i], dx[i], for_x, "%s: %dx%dx%d, %d to %d: dx at %zu", name, N, H, W, I, O, i);
    free(dw), free(dx);
    conv_free(&c);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int n = 1; n < 12; n++)
        check(name, k, ref, 1 + n % 2, n, 1 + n * 5 % 11, random_in(1, 40), random_in(1, 70));
    check(name, k, ref, 3, 7, 7, 64, 48);
    check(name, k, ref, 9, 33, 30, 3, 8); /* several strips in a part */
    check(name, k, ref, 1, 3, 5, 300, 33);
    check(name, k, ref, 2, 4, 4, 290, 270); /* groups of channels */
}

static void gradients_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* y is linear in x and in w, so that the derivative along x itself, and along w itself, is y: <dy,
 * y> = <dx, x> = <dw, w>. */
static void a_linear_function_is_its_own_derivative(void **state)
{
    (void)state;
    clipk_ctx ref = ctx_new("ref", 1);
    for (int round = 0; round < 40; round++) {
        conv c = conv_new(random_in(1, 3), random_in(1, 9), random_in(1, 9), random_in(1, 20), random_in(1, 20));
        float *y = floats_new(y_count(&c));
        memset(c.dw, 0, sizeof(float) * w_count(&c));
        convolve(&ref, &c, false, y);
        convolve(&ref, &c, true, c.dx);
        filters(&ref, &c, c.dw);
        const double want = dot(c.dy, y, y_count(&c)), tolerance = 2 * EPS * (double)y_count(&c) * c.I * 9;
        CHECK_NEAR(dot(c.dx, c.x, x_count(&c)), want, tolerance, "dx");
        CHECK_NEAR(dot(c.dw, c.w, w_count(&c)), want, tolerance, "dw");
        free(y);
        conv_free(&c);
    }
    ctx_free(&ref);
}

static void threads(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const int shape[][5] = {{5, 9, 6, 12, 20}, {3, 17, 7, 70, 130}, {2, 33, 34, 8, 40}};
    (void)ref;
    for (int s = 0; s < 3; s++) {
        conv c = conv_new(shape[s][0], shape[s][1], shape[s][2], shape[s][3], shape[s][4]);
        float *dw = floats_new(w_count(&c)), *was = floats_new(w_count(&c));
        memcpy(was, c.dw, sizeof(float) * w_count(&c));
        filters(k, &c, c.dw);
        for (int n = 2; n < 6; n++) {
            clipk_ctx many = ctx_new(name, n);
            memcpy(dw, was, sizeof(float) * w_count(&c));
            filters(&many, &c, dw);
            assert_memory_equal(dw, c.dw, sizeof(float) * w_count(&c));
            ctx_free(&many);
        }
        free(dw), free(was);
        conv_free(&c);
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for_each_set(threads);
}

static void avgpool(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)name;
    for (int C = 1; C < 40; C++) {
        const int N = 2, H = random_in(2, 9), W = random_in(2, 9);
        const size_t in = (size_t)(N * H * W * C), out = (size_t)(N * (H / 2) * (W / 2) * C);
        float *x = random_floats(in), *y = floats_new(out), *dy = random_floats(out), *dx = floats_new(in),
              *want = floats_new(in);
        clipk_avgpool2x2_backward(k, dx, dy, N, H, W, C);
        clipk_avgpool2x2_backward(ref, want, dy, N, H, W, C);
        assert_memory_equal(dx, want, sizeof(float) * in); /* a quarter is exact */
        clipk_avgpool2x2(ref, y, x, N, H, W, C);
        CHECK_NEAR(dot(dx, x, in), dot(dy, y, out), 4 * EPS * (double)out, "avgpool");
        free(x), free(y), free(dy), free(dx), free(want);
    }
}

static void avgpool_backward_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(avgpool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_oracle),
        cmocka_unit_test(a_linear_function_is_its_own_derivative),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(avgpool_backward_is_that_of_the_oracle),
    };
    return cmocka_run_group_tests_name("conv back", tests, NULL, NULL);
}
