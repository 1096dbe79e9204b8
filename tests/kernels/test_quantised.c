/* Products in 8 bits. Every set, and bytes as well as pairs of 16-bit numbers, give the same bits
 * as the oracle. The oracle is held against the definition in double, with a rotation that is
 * written out: its errors must be those of rounding. */
#include "kernels_test.h"

#include "kernels/set.h"

/* Operands of one product, dense. */
typedef struct operands {
    int M, N, K;
    float *x, *W;
} operands;

static operands operands_new(int M, int N, int K)
{
    return (operands){M, N, K, random_floats((size_t)(M * K)), random_floats((size_t)(N * K))};
}

static void operands_free(operands *p)
{
    free(p->x);
    free(p->W);
}

static clipk_weight packed(const clipk_ctx *k, const clipk_format *f, const operands *p)
{
    clipk_weight w = {.format = f, .N = p->N, .K = p->K};
    w.panels = aligned_new(clipk_weight_bytes(k->set, f, p->N, p->K));
    clipk_weight_pack(k, &w, clipk_rows(p->W, p->K));
    return w;
}

/* x Wᵀ + e by this set, format and number of threads, `step` rows at a time. */
static float *product(const clipk_set *set, const clipk_format *f, int threads, const operands *p, int step,
                      const clipk_epilogue *e)
{
    clipk_ctx k = ctx_of(set, threads);
    clipk_weight w = packed(&k, f, p);
    float *y = floats_new((size_t)(p->M * p->N));
    for (int m = 0; m < p->M; m += step) {
        clipk_epilogue at = e ? *e : (clipk_epilogue){0};
        at.residual = at.residual ? at.residual + m * at.ld_residual : NULL;
        clipk_gemm(&k, y + m * p->N, p->N, clipk_rows(p->x + m * p->K, p->K), p->M - m < step ? p->M - m : step, &w,
                   &at);
    }
    free(w.panels);
    ctx_free(&k);
    return y;
}

static const clipk_format *const formats[] = {
    &clipk_formats[CLIPK_TILE_I8_QUADS], &clipk_formats[CLIPK_TILE_I8_PAIRS], &clipk_formats[CLIPK_TILE_I8_SIGNED]};
#define FORMATS ((int)(sizeof formats / sizeof *formats))

/* The wide set has no instruction for bytes. */
static bool has(const clipk_set *set, const clipk_format *f)
{
    return set == &clipk_set_wide ? !f->needs : clipk_set_has(set, f);
}

/* Every set and format, alone and with threads, row by row or in any steps. */
static void same_everywhere(const operands *p, const float *want, const char *what)
{
    const size_t bytes = sizeof *want * (size_t)(p->M * p->N);
    int tried = 0;
    for (int i = -1; i < 0 || clipk_set_usable(i); i++) {
        const clipk_set *set = i < 0 ? &clipk_set_wide : clipk_set_usable(i);
        if (set == &clipk_set_wide && !wide_runs())
            continue;
        for (int f = 0; f < FORMATS; f++) {
            if (!has(set, formats[f]))
                continue;
            const int steps[] = {p->M, 1, random_in(1, p->M)};
            for (int t = 1; t <= 3; t++) {
                float *y = product(set, formats[f], t, p, steps[t - 1], NULL);
                if (memcmp(y, want, bytes) != 0)
                    fail_msg("%s: %s, %s, %d threads, %d of %d rows at a time, N %d, K %d", what, clipk_set_name(set),
                             formats[f]->name, t, steps[t - 1], p->M, p->N, p->K);
                free(y);
                tried++;
            }
        }
    }
    assert_true(tried >= 6);
}

/* ---- The definition -------------------------------------------------------------------------- */

/* The numbers that are rotated together, and K filled up to such blocks. */
static int block_of(int K)
{
    static const int blocks[] = {256, 128, 64, 32};
    for (int i = 0; i < 4; i++)
        if ((K + blocks[i] - 1) / blocks[i] * blocks[i] * 16 <= K / 16 * 16 + K * 16)
            return blocks[i];
    return 16;
}

static int depth_of(int K) { return (K + block_of(K) - 1) / block_of(K) * block_of(K); }

/* Row k of the Hadamard matrix has the sign of the parity of k & i. Its numbers are 16 apart. */
static double rotated(const double *x, int k, int block)
{
    double sum = 0;
    for (int i = 0; i < block / 16; i++)
        sum += (__builtin_popcount((unsigned)(k / 16 & i)) & 1 ? -1 : 1) * x[i * 16 + k % 16];
    return sum;
}

/* x T H for rows of x, W T⁻¹ H for rows of W. */
static double *transformed(const float *x, const double *t, int rows, int K)
{
    const int block = block_of(K), depth = depth_of(K);
    double *in = bytes_new(sizeof *in * (size_t)depth), *out = bytes_new(sizeof *out * (size_t)(rows * depth));
    for (int r = 0; r < rows; r++) {
        for (int k = 0; k < depth; k++)
            in[k] = k < K ? x[r * K + k] * t[k] : 0;
        for (int k = 0; k < depth; k++)
            out[r * depth + k] = rotated(in + k / block * block, k % block, block);
    }
    free(in);
    return out;
}

static double largest(const double *x, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* Each product of two numbers may be off by half a step of each. And the errors must look like
 * those of 8 bits: a lost bit would double them. */
static void check_errors(const operands *p, const float *y)
{
    const int K = p->K, depth = depth_of(K), height = block_of(K) / 16;
    double *t = bytes_new(sizeof *t * (size_t)K), *inverse = bytes_new(sizeof *t * (size_t)K), mean = 0;
    double errors = 0, expected = 0;
    for (int k = 0; k < K; k++) {
        t[k] = 0;
        for (int n = 0; n < p->N; n++)
            t[k] += fabs((double)p->W[n * K + k]);
        mean += t[k] / K;
    }
    for (int k = 0; k < K; k++) {
        const int bits = (k / 16 & k / 32 & 1) + (k / 64 & k / 128 & 1);
        t[k] = sqrt(fmax(t[k] / mean, 1e-6)) * (bits % 2 ? -1 : 1);
        inverse[k] = 1 / t[k];
    }
    double *x = transformed(p->x, t, p->M, K), *W = transformed(p->W, inverse, p->N, K);
    for (int m = 0; m < p->M; m++)
        for (int n = 0; n < p->N; n++) {
            const double *a = x + m * depth, *b = W + n * depth;
            const double step_a = largest(a, depth) / 127, step_b = largest(b, depth) / 127;
            double want = 0, most = 0, variance = 0;
            for (int k = 0; k < depth; k++) {
                want += a[k] * b[k] / height;
                most += (fabs(a[k]) * step_b + fabs(b[k]) * step_a) / 2 + step_a * step_b / 4;
                variance += (a[k] * a[k] * step_b * step_b + b[k] * b[k] * step_a * step_a) / 12;
            }
            CHECK_NEAR(y[m * p->N + n], want, most / height * 1.001 + 1e-12, "y[%d,%d], N %d, K %d", m, n, p->N, K);
            errors += pow(y[m * p->N + n] - want, 2);
            expected += variance / height / height;
        }
    if (errors > 1.4 * expected)
        fail_msg("errors %g times those of rounding, M %d N %d K %d", errors / expected, p->M, p->N, K);
    free(t);
    free(inverse);
    free(x);
    free(W);
}

/* Channel c of x is large, of W small. */
static void make_outliers(operands *p, int n, float times)
{
    for (int i = 0; i < n; i++) {
        const int c = random_in(0, p->K - 1);
        for (int m = 0; m < p->M; m++)
            p->x[m * p->K + c] *= times;
        for (int r = 0; r < p->N; r++)
            p->W[r * p->K + c] /= times;
    }
}

static void try_shape(int M, int N, int K, int outliers)
{
    operands p = operands_new(M, N, K);
    make_outliers(&p, outliers, 100);
    float *y = product(clipk_set_find("ref"), formats[0], 1, &p, M, NULL);
    if (K > 64 && M * N >= 200) /* few errors tell nothing */
        check_errors(&p, y);
    same_everywhere(&p, y, "linear");
    free(y);
    operands_free(&p);
}

static void products_are_the_definition(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++)
        try_shape(random_in(1, 40), random_in(1, 70), random_in(1, 130), 0);
    for (int i = 0; i < 8; i++)
        try_shape(random_in(10, 40), random_in(20, 70), random_in(129, 900), i % 2 ? 4 : 0);
    try_shape(31, 65, 2600, 4); /* several slabs of pairs */
    try_shape(16, 40, 5200, 0); /* and of quads */
}

/* More rows than are formed at a time. */
static void many_rows(void **state)
{
    (void)state;
    try_shape(2300, 20, 1030, 0);
}

/* ---- Outliers -------------------------------------------------------------------------------- */

static double cosine(const float *a, const double *b, int n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) {
        ab += a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* A quantiser with one step for a row and nothing else. */
static void naive(float *out, const float *x, int rows, int K)
{
    for (int r = 0; r < rows; r++) {
        float most = 0;
        for (int k = 0; k < K; k++)
            most = fmaxf(most, fabsf(x[r * K + k]));
        for (int k = 0; k < K; k++)
            out[r * K + k] = rintf(x[r * K + k] / most * 127) * most / 127;
    }
}

static void exact(double *y, const float *x, const float *W, const operands *p)
{
    for (int m = 0; m < p->M; m++)
        for (int n = 0; n < p->N; n++) {
            y[m * p->N + n] = 0;
            for (int k = 0; k < p->K; k++)
                y[m * p->N + n] += (double)x[m * p->K + k] * W[n * p->K + k];
        }
}

static void outliers_do_no_harm(void **state)
{
    enum { M = 64, N = 96, K = 768 };
    (void)state;
    operands p = operands_new(M, N, K);
    make_outliers(&p, 4, 100);
    double *want = bytes_new(sizeof *want * M * N), *poor = bytes_new(sizeof *poor * M * N);
    float *x = floats_new(M * K), *W = floats_new(N * K);
    float *y = product(clipk_set_find(NULL), formats[1], 1, &p, M, NULL);
    exact(want, p.x, p.W, &p);
    naive(x, p.x, M, K);
    naive(W, p.W, N, K);
    exact(poor, x, W, &p);
    float *as_f32 = floats_new(M * N);
    for (int i = 0; i < M * N; i++)
        as_f32[i] = (float)poor[i];
    assert_true(cosine(as_f32, want, M * N) < 0.97);
    assert_true(cosine(y, want, M * N) > 0.9998);
    free(want);
    free(poor);
    free(as_f32);
    free(x);
    free(W);
    free(y);
    operands_free(&p);
}

/* ---- Outside of panels ----------------------------------------------------------------------- */

/* What every set unpacks is the same, and packs to the same panels. */
static void integers_go_there_and_back(void **state)
{
    enum { N = 77 };
    static const int depths[] = {1, 16, 70, 255, 300, 1030};
    (void)state;
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
        const int K = depths[d], depth = clipk_quantised_depth(K);
        operands p = operands_new(3, N, K);
        memset(p.W + 5 * K, 0, sizeof *p.W * (size_t)K);
        int8_t *first = NULL, *q = bytes_new((size_t)(N * depth));
        float *scale = floats_new(N), *t = floats_new((size_t)K), *scale0 = floats_new(N), *t0 = floats_new((size_t)K);
        assert_int_equal(depth, depth_of(K));
        for (int i = 0; clipk_set_usable(i); i++)
            for (int f = 0; f < FORMATS; f++) {
                clipk_ctx k = ctx_of(clipk_set_usable(i), 1 + f);
                const clipk_quantised from = {q, scale, t};
                clipk_weight w = packed(&k, formats[f], &p), again = w;
                const size_t bytes = clipk_weight_bytes(k.set, formats[f], N, K);
                clipk_weight_unpack(k.set, &w, q, scale, t);
                if (!first) {
                    first = bytes_new((size_t)(N * depth));
                    memcpy(first, q, (size_t)(N * depth));
                    memcpy(scale0, scale, sizeof *scale * N);
                    memcpy(t0, t, sizeof *t * (size_t)K);
                }
                assert_memory_equal(q, first, (size_t)(N * depth));
                assert_memory_equal(scale, scale0, sizeof *scale * N);
                assert_memory_equal(t, t0, sizeof *t * (size_t)K);
                assert_true(scale[5] == 1);
                again.panels = aligned_new(bytes);
                memset(again.panels, 0x55, bytes);
                clipk_weight_pack_quantised(&k, &again, &from);
                float y[2][3 * N];
                for (int j = 0; j < 2 && clipk_set_has(k.set, formats[f]); j++)
                    clipk_gemm(&k, y[j], N, clipk_rows(p.x, K), 3, j ? &again : &w, NULL);
                if (clipk_set_has(k.set, formats[f]))
                    assert_memory_equal(y[0], y[1], sizeof y[0]);
                free(w.panels);
                free(again.panels);
                ctx_free(&k);
            }
        free(first);
        free(q);
        free(scale);
        free(t);
        free(scale0);
        free(t0);
        operands_free(&p);
    }
}

/* W = diag(scale) q H diag(t), but for rounding. */
static void integers_are_the_weights(void **state)
{
    enum { N = 20, K = 300 };
    (void)state;
    operands p = operands_new(1, N, K);
    const int depth = clipk_quantised_depth(K), block = block_of(K);
    int8_t *q = bytes_new((size_t)(N * depth));
    double *row = bytes_new(sizeof *row * (size_t)depth);
    float *scale = floats_new(N), *t = floats_new(K);
    clipk_ctx k = ctx_of(clipk_set_find(NULL), 1);
    clipk_weight w = packed(&k, formats[1], &p);
    clipk_weight_unpack(k.set, &w, q, scale, t);
    for (int n = 0; n < N; n++) {
        for (int i = 0; i < depth; i++)
            row[i] = q[n * depth + i];
        for (int i = 0; i < K; i++) {
            const double is = scale[n] * rotated(row + i / block * block, i % block, block) * t[i];
            /* each of the numbers that are summed is off by half a step */
            CHECK_NEAR(is, p.W[n * K + i], scale[n] * fabs((double)t[i]) * block / 16 / 2, "W[%d,%d]", n, i);
        }
    }
    free(w.panels);
    ctx_free(&k);
    free(q);
    free(row);
    free(scale);
    free(t);
    operands_free(&p);
}

/* ---- Epilogues and what is not a number ------------------------------------------------------ */

static void epilogues_follow(void **state)
{
    enum { M = 37, N = 70, K = 300 };
    (void)state;
    operands p = operands_new(M, N, K);
    float *bias = random_floats(N), *residual = random_floats(M * N);
    for (int i = 0; clipk_set_usable(i); i++)
        for (int f = 0; f < FORMATS; f++) {
            const clipk_set *set = clipk_set_usable(i);
            if (!clipk_set_has(set, formats[f]))
                continue;
            float *z = product(set, formats[f], 2, &p, M, NULL);
            for (int act = CLIPK_LINEAR; act <= CLIPK_GELU_TANH; act++) {
                const clipk_epilogue e = {
                    .bias = bias, .residual = residual, .ld_residual = N, .act = (clipk_act)act};
                float *y = product(set, formats[f], 2, &p, M, &e);
                clipk_ctx k = ctx_of(set, 1);
                for (int j = 0; j < M * N; j++) {
                    float want = z[j] + bias[j % N] + residual[j];
                    clipk_act_apply(&k, &want, &want, 1, (clipk_act)act);
                    CHECK_NEAR(y[j], want, 8 * EPS * (fabsf(z[j]) + 2), "%s, act %d, y[%d]", clipk_set_name(set),
                               act, j);
                }
                ctx_free(&k);
                free(y);
            }
            free(z);
        }
    free(bias);
    free(residual);
    operands_free(&p);
}

static void what_is_not_finite_stays_so(void **state)
{
    enum { M = 9, N = 40, K = 260 };
    (void)state;
    operands p = operands_new(M, N, K);
    p.x[2 * K + 5] = NAN;
    p.x[4 * K + K - 1] = INFINITY;
    memset(p.x + 6 * K, 0, sizeof *p.x * K);
    for (int i = 0; clipk_set_usable(i); i++)
        for (int f = 0; f < FORMATS; f++) {
            if (!clipk_set_has(clipk_set_usable(i), formats[f]))
                continue;
            float *y = product(clipk_set_usable(i), formats[f], 1, &p, M, NULL);
            for (int j = 0; j < M * N; j++) {
                assert_int_equal(isfinite(y[j]) != 0, j / N != 2 && j / N != 4);
                assert_true(j / N != 6 || y[j] == 0);
            }
            free(y);
        }
    operands_free(&p);
}

static void long_rows_stay_out(void **state)
{
    (void)state;
    for (int i = 0; i < CLIPK_TILES; i++) {
        const clipk_format *f = &clipk_formats[i];
        assert_ptr_equal(clipk_format_for(f, f->type, CLIPK_FORMED_K), f);
        assert_int_equal(clipk_format_for(f, f->type, CLIPK_FORMED_K + 1)->x, CLIPK_X_F32);
    }
    clipk_ctx k = ctx_of(clipk_set_find(NULL), 1);
    operands p = operands_new(2, 3, CLIPK_FORMED_K);
    for (int f = 0; f < FORMATS; f++) /* the longest row of x fits into the scratch */
        if (clipk_set_has(k.set, formats[f]))
            free(product(k.set, formats[f], 1, &p, 2, NULL));
    operands_free(&p);
    ctx_free(&k);
}

static void empty_columns_and_rows(void **state)
{
    enum { M = 20, N = 33, K = 140 };
    (void)state;
    operands p = operands_new(M, N, K);
    for (int n = 0; n < N; n++)
        p.W[n * K + 7] = 0;
    memset(p.W + 3 * K, 0, sizeof *p.W * K);
    float *y = product(clipk_set_find("ref"), formats[0], 1, &p, M, NULL);
    check_errors(&p, y);
    same_everywhere(&p, y, "with zeros");
    free(y);
    memset(p.W, 0, sizeof *p.W * N * K);
    y = product(clipk_set_find("ref"), formats[0], 1, &p, M, NULL);
    for (int i = 0; i < M * N; i++)
        assert_true(y[i] == 0);
    same_everywhere(&p, y, "nothing but zeros");
    free(y);
    operands_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_the_definition), cmocka_unit_test(many_rows),
        cmocka_unit_test(outliers_do_no_harm),         cmocka_unit_test(epilogues_follow),
        cmocka_unit_test(what_is_not_finite_stays_so), cmocka_unit_test(empty_columns_and_rows),
        cmocka_unit_test(long_rows_stay_out),          cmocka_unit_test(integers_go_there_and_back),
        cmocka_unit_test(integers_are_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
