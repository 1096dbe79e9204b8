/* The backward of rows and the optimizer's step: every set against the oracle, the oracle against
 * differences of a forward in double, threads. */
#include "kernels_test.h"

static float *copy_of(const float *x, size_t n)
{
    float *p = floats_new(n);
    memcpy(p, x, n * sizeof *p);
    return p;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static void check_sum_rows(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int T, int C, int more)
{
    const int64_t ldx = C + more;
    float *x = random_floats((size_t)(T * ldx)), *y = random_floats((size_t)C), *z = copy_of(y, (size_t)C),
          *was = copy_of(y, (size_t)C);
    void *work = aligned_new(clipk_sums_work(T, C));
    clipk_sum_rows(k, y, x, ldx, T, C, work);
    clipk_sum_rows(ref, z, x, ldx, T, C, work);
    for (int c = 0; c < C; c++) {
        double size = fabs(was[c]);
        for (int t = 0; t < T; t++)
            size += fabs(x[t * ldx + c]);
        CHECK_NEAR(y[c], z[c], (66 + T / 64) * EPS * size, "%s: sum of rows %dx%d: column %d", name, T, C, c);
    }
    free(x), free(y), free(z), free(was), free(work);
}

static void sums_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 70; C++)
        check_sum_rows(name, k, ref, random_in(0, 150), C, C % 3);
    check_sum_rows(name, k, ref, 333, 1027, 5);
    check_sum_rows(name, k, ref, 4321, 17, 0);
    for (size_t n = 0; n < 40000; n += n < 70 ? 1 : 7919) {
        float *x = random_floats(n);
        double a = clipk_sum_squares(k, x, n), b = clipk_sum_squares(ref, x, n);
        CHECK_NEAR(a, b, (double)n * 0x1p-53 * b, "%s: sum of %zu squares", name, n);
        free(x);
    }
    float big[9] = {3e38f, 0, 0, 0, 0, 0, 0, 0, -3e38f};
    CHECK_NEAR(clipk_sum_squares(k, big, 9), 18e76, 1e71, "%s: big squares", name);
    big[4] = NAN;
    assert_true(isnan(clipk_sum_squares(k, big, 9)));
}

static void sums_of_rows_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(sums_of);
}

/* ---- Activations ----------------------------------------------------------------------------- */

/* Every exponent with values between, then the usual range, densely. */
static float *all_kinds_of_floats(size_t *n)
{
    const uint32_t step = 104729;
    const size_t bits = 0x100000000u / step, dense = 40001;
    float *x = floats_new(bits + dense);
    for (size_t i = 0; i < bits; i++) {
        uint32_t u = (uint32_t)i * step;
        memcpy(x + i, &u, 4);
    }
    for (size_t i = 0; i < dense; i++)
        x[bits + i] = ((float)i - 20000) * 6e-4f;
    const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, -1e-45f, -52.1f, -52.3f,
                             -75,  -76,   13.2f,    -13.2f,    40,  -40,    64,      -64};
    memcpy(x, special, sizeof special);
    *n = bits + dense;
    return x;
}

static void act_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    size_t n;
    float *x = all_kinds_of_floats(&n), *dy = floats_new(n), *dx = floats_new(n), *want = floats_new(n),
          *y = floats_new(n), *z = floats_new(n);
    for (size_t i = 0; i < n; i++)
        dy[i] = i & 1 ? 1 : -2;
    for (clipk_act act = CLIPK_LINEAR; act <= CLIPK_TANH; act++) {
        clipk_act_backward(k, dx, y, dy, x, n, act);
        clipk_act_backward(ref, want, z, dy, x, n, act);
        const double tolerance = act >= CLIPK_GELU ? 3e-7 : 0;
        for (size_t i = 0; i < n; i++) {
            CHECK_NEAR(dx[i], want[i], tolerance * fabs(dy[i]), "%s: slope of act %d at %.9g", name, act, x[i]);
            if (isnan(dx[i]) != isnan(want[i]))
                fail_msg("%s: slope of act %d at %g is %g", name, act, x[i], dx[i]);
        }
        clipk_act_apply(k, z, x, n, act);
        for (size_t i = 0; i < n; i++)
            if (y[i] != z[i] && !(isnan(y[i]) && isnan(z[i])))
                fail_msg("%s: act %d of %.9g is %.9g in backward, %.9g in forward", name, act, x[i], y[i], z[i]);
        for (size_t m = 0; m < 40; m++) { /* tails, in place; then without y */
            const float *part = x + n - 20000;
            float *a = copy_of(dy, m), *b = copy_of(part, m), *c = copy_of(dy, m);
            clipk_act_backward(k, a, b, a, b, m, act);
            clipk_act_backward(k, c, NULL, c, part, m, act);
            for (size_t i = 0; i < m; i++)
                assert_true(b[i] == y[n - 20000 + i] && c[i] == a[i]);
            clipk_act_backward(k, want, NULL, dy, part, 40, act);
            assert_memory_equal(a, want, m * sizeof *a);
            free(a), free(b), free(c);
        }
    }
    free(x), free(dy), free(dx), free(want), free(y), free(z);
}

static double act(double x, clipk_act a)
{
    switch (a) {
    case CLIPK_RELU: return fmax(x, 0);
    case CLIPK_GELU: return x * (1 + erf(x * M_SQRT1_2)) / 2;
    case CLIPK_QUICKGELU: return x / (1 + exp(-1.702 * x));
    case CLIPK_GELU_TANH: return x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
    case CLIPK_TANH: return tanh(x);
    default: return x;
    }
}

static void activations_have_their_derivatives(void **state)
{
    (void)state;
    for_each_set(act_of);
    clipk_ctx ref = ctx_new("ref", 1);
    const double h = 1e-5; /* differences are off by h^2 f''' / 6 and 1e-16 |f| / h */
    for (clipk_act a = CLIPK_LINEAR; a <= CLIPK_TANH; a++)
        for (int i = 0; i < 500; i++) {
            float x = random_float() * 8, one = 1, dx;
            clipk_act_backward(&ref, &dx, NULL, &one, &x, 1, a);
            CHECK_NEAR(dx, (act(x + h, a) - act(x - h, a)) / (2 * h), 1e-9 + 2 * EPS, "act %d at %.9g", a, x);
        }
    ctx_free(&ref);
}

/* ---- Norms ----------------------------------------------------------------------------------- */

typedef struct layernorm_case {
    int T, C;
    float *x, *dy, *gain, *residual, *mean, *rstd;
} layernorm_case;

static layernorm_case layernorm_new(const clipk_ctx *k, int T, int C, float offset)
{
    const size_t n = (size_t)T * (size_t)C;
    layernorm_case a = {T,
                        C,
                        random_floats(n),
                        random_floats(n),
                        random_floats((size_t)C),
                        random_floats(n),
                        floats_new((size_t)T),
                        floats_new((size_t)T)};
    float *y = floats_new(n);
    for (size_t i = 0; i < n; i++)
        a.x[i] += offset;
    clipk_layernorm(k, y, a.mean, a.rstd, a.x, NULL, a.gain, a.gain, 1e-5f, T, C);
    free(y);
    return a;
}

static void layernorm_free(layernorm_case *a)
{
    free(a->x), free(a->dy), free(a->gain), free(a->residual), free(a->mean), free(a->rstd);
}

/* The error allowed at column c of row t: the roundings of the sum of each of the three terms. */
static double layernorm_allowed(const layernorm_case *a, int t, int c)
{
    const double r = a->rstd[t], few = 10 * EPS, sum = (10 + a->C / 8.0) * EPS;
    double mean_h = 0, mean_hx = 0;
    for (int i = 0; i < a->C; i++) {
        const double h = fabs((double)a->dy[t * a->C + i] * a->gain[i]),
                     xh = fabs(a->x[t * a->C + i] - (double)a->mean[t]) * r;
        mean_h += h / a->C;
        mean_hx += h * xh / a->C;
    }
    const double h = fabs((double)a->dy[t * a->C + c] * a->gain[c]),
                 xh = fabs(a->x[t * a->C + c] - (double)a->mean[t]) * r;
    return r * (few * h + sum * mean_h + sum * xh * mean_hx) + few * fabs(a->residual[t * a->C + c]);
}

static void check_layernorm(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int T, int C, float offset)
{
    const size_t n = (size_t)T * (size_t)C, bytes = n * sizeof(float);
    layernorm_case a = layernorm_new(ref, T, C, offset);
    float *dx = floats_new(n), *want = floats_new(n), *dgain = random_floats((size_t)C),
          *dbias = random_floats((size_t)C);
    float *gain_was = copy_of(dgain, (size_t)C), *bias_was = copy_of(dbias, (size_t)C);
    float *want_gain = copy_of(dgain, (size_t)C), *want_bias = copy_of(dbias, (size_t)C),
          *alone = copy_of(dgain, (size_t)C);
    void *work = aligned_new(clipk_sums_work(T, C));
    clipk_layernorm_backward(k, dx, dgain, dbias, a.dy, a.x, a.mean, a.rstd, a.gain, a.residual, T, C, work);
    clipk_layernorm_backward(ref, want, want_gain, want_bias, a.dy, a.x, a.mean, a.rstd, a.gain, a.residual, T, C,
                             work);
    for (int t = 0; t < T; t++)
        for (int c = 0; c < C; c++)
            CHECK_NEAR(dx[t * C + c], want[t * C + c], layernorm_allowed(&a, t, c),
                       "%s: layernorm %dx%d: dx of row %d column %d", name, T, C, t, c);
    for (int c = 0; c < C; c++) {
        double gains = fabs(gain_was[c]), biases = fabs(bias_was[c]);
        for (int t = 0; t < T; t++) {
            gains += fabs(a.dy[t * C + c] * (a.x[t * C + c] - (double)a.mean[t]) * a.rstd[t]);
            biases += fabs(a.dy[t * C + c]);
        }
        CHECK_NEAR(dgain[c], want_gain[c], (70 + T / 64) * EPS * gains, "%s: layernorm %dx%d: dgain %d", name, T, C, c);
        CHECK_NEAR(dbias[c], want_bias[c], (67 + T / 64) * EPS * biases, "%s: layernorm %dx%d: dbias %d", name, T, C,
                   c);
    }
    /* In place of the residual and of dy, without gradients of parameters. */
    clipk_layernorm_backward(k, a.residual, alone, NULL, a.dy, a.x, a.mean, a.rstd, a.gain, a.residual, T, C, work);
    assert_memory_equal(a.residual, dx, bytes);
    assert_memory_equal(alone, dgain, sizeof(float) * (size_t)C);
    clipk_layernorm_backward(k, want, NULL, bias_was, a.dy, a.x, a.mean, a.rstd, a.gain, NULL, T, C, work);
    assert_memory_equal(bias_was, dbias, sizeof(float) * (size_t)C);
    clipk_layernorm_backward(k, a.dy, NULL, NULL, a.dy, a.x, a.mean, a.rstd, a.gain, NULL, T, C, NULL);
    assert_memory_equal(a.dy, want, bytes);
    layernorm_free(&a);
    free(dx), free(want), free(dgain), free(dbias), free(gain_was), free(bias_was), free(want_gain), free(want_bias),
        free(alone), free(work);
}

static void layernorm_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 70; C++)
        check_layernorm(name, k, ref, random_in(1, 9), C, 0);
    check_layernorm(name, k, ref, 150, 96, 0);
    check_layernorm(name, k, ref, 130, 37, 3);
    check_layernorm(name, k, ref, 3, 1280, -2);
    check_layernorm(name, k, ref, 2, 4099, 0);
}

/* Sum of dy times the forward at x + e u, gain + e v, bias + e v. The bias starts at 0. */
static double layernorm_along(const layernorm_case *a, const float *u, const float *v, double e)
{
    double sum = 0;
    for (int t = 0; t < a->T; t++) {
        double mean = 0, var = 0;
        for (int c = 0; c < a->C; c++)
            mean += (a->x[t * a->C + c] + e * u[t * a->C + c]) / a->C;
        for (int c = 0; c < a->C; c++)
            var += pow(a->x[t * a->C + c] + e * u[t * a->C + c] - mean, 2) / a->C;
        for (int c = 0; c < a->C; c++)
            sum += a->dy[t * a->C + c] *
                   ((a->x[t * a->C + c] + e * u[t * a->C + c] - mean) / sqrt(var + 1e-5f) * (a->gain[c] + e * v[c]) +
                    e * v[c]);
    }
    return sum;
}

static void layernorm_has_its_derivative(void **state)
{
    (void)state;
    for_each_set(layernorm_of);
    clipk_ctx k = ctx_new(NULL, 1);
    for (int C = 5; C < 200; C += 19) { /* with fewer columns, numbers may be so close that differences vanish */
        const int T = random_in(1, 90);
        layernorm_case a = layernorm_new(&k, T, C, 0.5f);
        float *u = random_floats((size_t)(T * C)), *v = random_floats((size_t)C), *dx = floats_new((size_t)(T * C));
        float *dgain = calloc((size_t)C, sizeof(float)), *dbias = calloc((size_t)C, sizeof(float));
        void *work = aligned_new(clipk_sums_work(T, C));
        clipk_layernorm_backward(&k, dx, dgain, dbias, a.dy, a.x, a.mean, a.rstd, a.gain, NULL, T, C, work);
        double along = 0, allowed = 0;
        for (int i = 0; i < T * C; i++)
            along += (double)dx[i] * u[i], allowed += layernorm_allowed(&a, i / C, i % C) * fabs(u[i]);
        for (int c = 0; c < C; c++)
            along += (double)(dgain[c] + dbias[c]) * v[c],
                allowed += 70 * EPS * (fabs(dgain[c]) + fabs(dbias[c])) * fabs(v[c]);
        const double e = 1e-6, difference = (layernorm_along(&a, u, v, e) - layernorm_along(&a, u, v, -e)) / (2 * e);
        CHECK_NEAR(along, difference, allowed, "layernorm %dx%d against differences", T, C);
        layernorm_free(&a);
        free(u), free(v), free(dx), free(dgain), free(dbias), free(work);
    }
    ctx_free(&k);
}

static void l2norm_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int C = 1; C < 1100; C += C < 70 ? 1 : 239) {
        const size_t n = (size_t)(3 * C);
        float *y = random_floats(n), *dy = random_floats(n), *dx = floats_new(n), *want = floats_new(n), norm[3];
        clipk_l2norm(ref, y, norm, 3, C);
        clipk_l2norm_backward(k, dx, dy, y, norm, 3, C);
        clipk_l2norm_backward(ref, want, dy, y, norm, 3, C);
        for (int i = 0; i < 3 * C; i++) {
            double dot = 0;
            for (int c = 0; c < C; c++)
                dot += fabs(y[i / C * C + c] * dy[i / C * C + c]);
            CHECK_NEAR(dx[i], want[i], (4 * fabs(dy[i]) + (8 + C / 32.0) * fabs(y[i]) * dot) * EPS / norm[i / C],
                       "%s: l2norm %d: %d", name, C, i);
        }
        clipk_l2norm_backward(k, dy, dy, y, norm, 3, C);
        assert_memory_equal(dy, dx, n * sizeof(float));
        free(y), free(dy), free(dx), free(want);
    }
}

static double l2norm_along(const float *x, const float *dy, const float *u, int C, double e)
{
    double square = 0, dot = 0;
    for (int c = 0; c < C; c++) {
        square += (x[c] + e * u[c]) * (x[c] + e * u[c]);
        dot += dy[c] * (x[c] + e * u[c]);
    }
    return dot / sqrt(square);
}

static void l2norm_has_its_derivative(void **state)
{
    (void)state;
    for_each_set(l2norm_of);
    clipk_ctx k = ctx_new(NULL, 1);
    for (int C = 2; C < 600; C += 37) {
        float *x = random_floats((size_t)C), *y = copy_of(x, (size_t)C), *dy = random_floats((size_t)C),
              *u = random_floats((size_t)C), norm;
        float *dx = floats_new((size_t)C);
        clipk_l2norm(&k, y, &norm, 1, C);
        clipk_l2norm_backward(&k, dx, dy, y, &norm, 1, C);
        double along = 0, size = 0;
        for (int c = 0; c < C; c++)
            along += (double)dx[c] * u[c], size += fabs((double)dx[c] * u[c]);
        const double e = 1e-5, difference = (l2norm_along(x, dy, u, C, e) - l2norm_along(x, dy, u, C, -e)) / (2 * e);
        CHECK_NEAR(along, difference, 2e-6 * size, "l2norm %d against differences", C);
        free(x), free(y), free(dy), free(u), free(dx);
    }
    ctx_free(&k);
}

/* ---- The optimizer's step -------------------------------------------------------------------- */

static void adamw_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    clipk_adamw_step s = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.2, .scale = 0.37};
    for (size_t n = 1; n < 20000; n += n < 40 ? 1 : 6007) {
        float *w = random_floats(n), *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
        for (int t = 1; t <= 4; t++) {
            float *g = random_floats(n), *w2 = copy_of(w, n), *m2 = copy_of(m, n), *v2 = copy_of(v, n),
                  *was = copy_of(w, n), *m_was = copy_of(m, n);
            s.correction1 = 1 - pow(s.beta1, t), s.correction2 = 1 - pow(s.beta2, t);
            clipk_adamw(k, w, m, v, g, n, &s);
            clipk_adamw(ref, w2, m2, v2, g, n, &s);
            for (size_t i = 0; i < n; i++) {
                const double moved = s.lr / s.correction1 * (fabs(m_was[i]) + fabs(g[i] * s.scale)) /
                                     (sqrt(v2[i] / s.correction2) + s.eps);
                CHECK_NEAR(m[i], m2[i], 4 * EPS * (fabs(m_was[i]) + fabs(g[i])), "%s: adamw: m[%zu] in step %d", name,
                           i, t);
                CHECK_NEAR(v[i], v2[i], 8 * EPS * v2[i] + 1e-44, "%s: adamw: v[%zu] in step %d", name, i, t);
                CHECK_NEAR(w[i], w2[i], 3 * EPS * fabs(was[i]) + 12 * EPS * moved, "%s: adamw: w[%zu] in step %d", name,
                           i, t);
            }
            free(g), free(w2), free(m2), free(v2), free(was), free(m_was);
        }
        free(w), free(m), free(v);
    }
}

/* torch.optim.AdamW(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1) on w = (1, -2, 0.5),
 * gradients (0.1, -0.3, 2), then (-0.2, 0, 1). */
static void adamw_steps_as_pytorch_does(void **state)
{
    (void)state;
    for_each_set(adamw_of);
    clipk_ctx k = ctx_new(NULL, 1);
    const float g[2][3] = {{0.1f, -0.3f, 2}, {-0.2f, 0, 1}};
    const float want[3] = {0.991672099f, -1.97931147f, 0.479688704f};
    float w[3] = {1, -2, 0.5f}, m[3] = {0}, v[3] = {0};
    clipk_adamw_step s = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .scale = 1};
    for (int t = 1; t <= 2; t++) {
        s.correction1 = 1 - pow(s.beta1, t), s.correction2 = 1 - pow(s.beta2, t);
        clipk_adamw(&k, w, m, v, g[t - 1], 3, &s);
    }
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(w[i], want[i], 4 * EPS * fabs(want[i]), "PyTorch's w[%d]", i);
    ctx_free(&k);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* Every function on `threads` threads: all results, one after the other. */
static float *everything(int threads, const float *x, size_t *n)
{
    enum { T = 517, C = 333, TC = T * C };
    clipk_ctx k = ctx_new(NULL, threads);
    float *out = calloc(6 * TC + 4 * C, sizeof *out), *dx = out, *a = dx + TC, *l2 = a + TC, *w = l2 + TC, *m = w + TC,
          *v = m + TC;
    float *sums = v + TC, *mean = floats_new(T), *rstd = floats_new(T);
    void *work = aligned_new(clipk_sums_work(T, C));
    const clipk_adamw_step s = {
        .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .scale = 1, .correction1 = 0.1, .correction2 = 0.02};
    clipk_layernorm(&k, dx, mean, rstd, x, NULL, x, x, 1e-5f, T, C);
    clipk_layernorm_backward(&k, dx, sums, sums + C, x + C, x, mean, rstd, x, x, T, C, work);
    clipk_sum_rows(&k, sums + 2 * C, x, C, T, C, work);
    clipk_act_backward(&k, a, NULL, x + C, x, TC, CLIPK_GELU);
    clipk_l2norm_backward(&k, l2, x + C, x, rstd, T, C);
    clipk_adamw(&k, w, m, v, x, TC, &s);
    const double squares = clipk_sum_squares(&k, x, TC);
    memcpy(sums + 3 * C, &squares, sizeof squares);
    free(mean), free(rstd), free(work);
    ctx_free(&k);
    *n = 6 * TC + 4 * C;
    return out;
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    float *x = random_floats(518 * 333), *one, *more;
    size_t n;
    one = everything(1, x, &n);
    for (int threads = 2; threads <= 3; threads++) {
        more = everything(threads, x, &n);
        assert_memory_equal(more, one, n * sizeof *one);
        free(more);
    }
    free(x), free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_rows_are_those_of_the_oracle),
        cmocka_unit_test(activations_have_their_derivatives),
        cmocka_unit_test(layernorm_has_its_derivative),
        cmocka_unit_test(l2norm_has_its_derivative),
        cmocka_unit_test(adamw_steps_as_pytorch_does),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests_name("rows_back", tests, NULL, NULL);
}
