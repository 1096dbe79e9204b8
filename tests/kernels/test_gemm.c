/* The matrix product of every set against a plain loop in double: random shapes, strides, types and
 * epilogues. The tiles of 64-byte vectors are tested wherever they were compiled. Bit for bit the
 * same: rows alone or together, columns alone or together, any number of threads. */
#include "kernels_test.h"

#include "kernels/set.h"

typedef void gemm_test(const clipk_set *set);

static void on_each(gemm_test *f)
{
    for (int i = 0; clipk_set_usable(i); i++)
        f(clipk_set_usable(i));
    f(clipk_set_find("ref"));
    if (wide_runs())
        f(&clipk_set_wide);
}

/* ---- A product ------------------------------------------------------------------------------- */

/* All arrays of one product, allocated to the byte. */
typedef struct product {
    int M, N, K;
    float *x, *y, *bias, *residual, *pre;
    int64_t xrs, xcs, ldy, ld_residual, ld_pre;
    clipk_type from;       /* of the view */
    const clipk_format *format;
    char *W;               /* as stored, at any address */
    char *W_block;
    int64_t wrs, wcs;
    double *w;             /* its values [N, K] */
    clipk_act act;
    bool in_place;         /* the residual is y */
} product;

static uint16_t random_16(clipk_type type)
{
    if (random_in(0, 20) == 0)
        return (uint16_t)(random_in(0, 1) << 15 | random_in(0, 40)); /* zeros and denormals */
    return type == CLIPK_F16 ? (uint16_t)(random_in(0, 1) << 15 | random_in(0x2000, 0x3c00))
                             : (uint16_t)(random_in(0, 1) << 15 | random_in(0x3c00, 0x3f80));
}

static double value_16(uint16_t h, clipk_type type)
{
    if (type == CLIPK_BF16) {
        uint32_t u = (uint32_t)h << 16;
        float f;
        memcpy(&f, &u, 4);
        return f;
    }
    const int e = h >> 10 & 31, m = h & 1023;
    return (h >> 15 ? -1 : 1) * (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
}

/* To 8 bits, ties to even (as rint() does). */
static double to_bf16(double x)
{
    int e;
    frexp(x, &e);
    return ldexp(rint(ldexp(x, 8 - e)), e - 8);
}

#define PAIRS (&clipk_formats[CLIPK_TILE_BF16_PAIRS])

static bool multiplies_pairs(const clipk_set *set) { return set == &clipk_set_wide || clipk_set_has(set, PAIRS); }

static void fill_weights(product *p)
{
    const size_t size = clipk_type_size(p->from);
    const bool columns = random_in(0, 2) == 0;
    p->wcs = columns ? p->N + random_in(0, 3) : random_in(0, 5) ? 1 : 2;
    p->wrs = columns ? 1 : p->K * p->wcs + random_in(0, 3);
    const size_t span = (size_t)((p->N - 1) * p->wrs + (p->K - 1) * p->wcs + 1) * size, off = (size_t)random_in(0, 3);
    p->W_block = bytes_new(span + off);
    p->W = p->W_block + off;
    p->w = bytes_new(sizeof(double) * (size_t)p->N * (size_t)p->K);
    for (int n = 0; n < p->N; n++)
        for (int k = 0; k < p->K; k++) {
            char *at = p->W + (size_t)(n * p->wrs + k * p->wcs) * size;
            if (p->from == CLIPK_F32) {
                float f = random_float();
                memcpy(at, &f, 4);
                p->w[n * p->K + k] = f;
            } else {
                uint16_t h = random_16(p->from);
                memcpy(at, &h, 2);
                p->w[n * p->K + k] = value_16(h, p->from);
            }
            if (p->format == PAIRS)
                p->w[n * p->K + k] = to_bf16(p->w[n * p->K + k]);
        }
}

/* How x lies in memory. */
enum { DENSE, ROWS_APART, BAD_DISTANCE, COLUMNS, NEITHER, LIES };

static product product_new(const clipk_set *set, int M, int N, int K, int lie)
{
    product p = {.M = M, .N = N, .K = K, .from = (clipk_type)random_in(0, 2)};
    p.format = random_in(0, 2) ? clipk_format_for(CLIPK_FORMAT_F32, p.from, K) : CLIPK_FORMAT_F32;
    if (multiplies_pairs(set) && random_in(0, 2) == 0)
        p.format = PAIRS;
    p.xcs = lie == COLUMNS ? M + random_in(0, 5) : lie == NEITHER ? 2 : 1;
    p.xrs = lie == DENSE          ? K
            : lie == ROWS_APART   ? K + random_in(0, 9)
            : lie == BAD_DISTANCE ? (K + 1023) / 1024 * 1024
            : lie == COLUMNS      ? 1
                                  : 2 * K + 1;
    p.x = random_floats((size_t)((M - 1) * p.xrs + (K - 1) * p.xcs + 1));
    p.ldy = N + random_in(0, 3);
    p.ld_residual = N + random_in(0, 3);
    p.ld_pre = N + random_in(0, 3);
    p.y = random_floats((size_t)((M - 1) * p.ldy + N));
    p.bias = random_in(0, 1) ? random_floats((size_t)N) : NULL;
    p.residual = random_in(0, 1) ? random_floats((size_t)((M - 1) * p.ld_residual + N)) : NULL;
    p.in_place = !p.residual && random_in(0, 1);
    p.pre = random_in(0, 1) ? random_floats((size_t)((M - 1) * p.ld_pre + N)) : NULL;
    p.act = (clipk_act)random_in(0, 3);
    fill_weights(&p);
    return p;
}

static void product_free(product *p)
{
    free(p->x);
    free(p->y);
    free(p->bias);
    free(p->residual);
    free(p->pre);
    free(p->W_block);
    free(p->w);
}

static clipk_view w_of(const product *p, int row)
{
    return (clipk_view){p->W + (size_t)(row * p->wrs) * clipk_type_size(p->from), p->from, p->wrs, p->wcs};
}

static clipk_weight pack(const clipk_ctx *k, const product *p, int from, int N)
{
    void *panels = aligned_new(clipk_weight_bytes(k->set, p->format, N, p->K));
    clipk_weight w = {.format = p->format, .N = N, .K = p->K, .panels = panels};
    clipk_weight_pack(k, &w, w_of(p, from));
    return w;
}

/* W as it is, in two pieces if it can be cut at a panel. *rest: free() it. */
static clipk_weight unpacked(const clipk_set *set, const product *p, char **rest)
{
    clipk_weight w = {.format = p->format, .N = p->N, .K = p->K, .W = w_of(p, 0)};
    const int panels = (p->N - 1) / clipk_panel_rows(set), cut = random_in(0, panels) * clipk_panel_rows(set);
    *rest = NULL;
    if (cut == 0)
        return w;
    const size_t size = clipk_type_size(p->from);
    const size_t span = (size_t)((p->N - 1 - cut) * p->wrs + (p->K - 1) * p->wcs + 1) * size;
    w.rest = *rest = bytes_new(span);
    w.split = cut;
    memcpy(*rest, w_of(p, cut).p, span);
    return w;
}

static clipk_view x_of(const product *p, int row)
{
    return (clipk_view){p->x + row * p->xrs, CLIPK_F32, p->xrs, p->xcs};
}

/* Rows m0 .. m0+M and columns n0 .. n0+w->N into y and pre, which have the product's own size. */
static void multiply(const clipk_ctx *k, const product *p, const clipk_weight *w, float *y, float *pre, int m0, int M,
                     int n0)
{
    clipk_epilogue e = {
        .bias = p->bias ? p->bias + n0 : NULL, .act = p->act, .ld_residual = p->ld_residual, .ld_pre = p->ld_pre};
    e.residual = p->residual ? p->residual + m0 * p->ld_residual + n0 : NULL;
    e.pre = pre ? pre + m0 * p->ld_pre + n0 : NULL;
    if (p->in_place) {
        e.residual = y + m0 * p->ldy + n0;
        e.ld_residual = p->ldy;
    }
    clipk_gemm(k, y + m0 * p->ldy + n0, p->ldy, x_of(p, m0), M, w, &e);
}

static float *copy_of(const float *p, size_t n)
{
    float *c = floats_new(n);
    memcpy(c, p, n * sizeof(float));
    return c;
}

static size_t y_size(const product *p) { return (size_t)((p->M - 1) * p->ldy + p->N); }
static size_t pre_size(const product *p) { return (size_t)((p->M - 1) * p->ld_pre + p->N); }

/* ---- Against a plain loop -------------------------------------------------------------------- */

static double act_of(double z, clipk_act a)
{
    switch (a) {
    case CLIPK_RELU: return z < 0 ? 0 : z;
    case CLIPK_GELU: return z * 0.5 * erfc(-z * sqrt(0.5));
    case CLIPK_QUICKGELU: return z / (1 + exp(-1.702 * z));
    case CLIPK_GELU_TANH: return z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z))) / 2;
    case CLIPK_TANH: return tanh(z);
    default: return z;
    }
}

static void check(const clipk_set *set, const product *p, const float *y, const float *pre)
{
    const char *name = clipk_set_name(set);
    const bool pairs = p->format == PAIRS;
    /* Pairs may also lose the rounding of denormals, or the denormals themselves. */
    const double smallest = pairs ? 0x1p-125 : 0x1p-149;
    for (int m = 0; m < p->M; m++) {
        for (int n = 0; n < p->N; n++) {
            double z = 0, size = 0;
            for (int k = 0; k < p->K; k++) {
                const double x = p->x[m * p->xrs + k * p->xcs], t = (pairs ? to_bf16(x) : x) * p->w[n * p->K + k];
                z += t;
                size += fabs(t);
            }
            const float *r = p->residual   ? &p->residual[m * p->ld_residual + n]
                             : p->in_place ? &p->y[m * p->ldy + n]
                                           : NULL;
            double b = p->bias ? p->bias[n] : 0, c = r ? *r : 0;
            z += b + c;
            double tolerance = EPS * (p->K * size + 3 * (fabs(b) + fabs(c) + fabs(z))) + p->K * smallest;
            if (pre)
                CHECK_NEAR(pre[m * p->ld_pre + n], z, tolerance, "%s: pre[%d,%d] of %d x %d x %d", name, m, n, p->M,
                           p->N, p->K);
            tolerance = 1.2 * tolerance + (p->act > CLIPK_RELU ? 2e-7 * fmax(1, fabs(z)) : 0);
            CHECK_NEAR(y[m * p->ldy + n], act_of(z, p->act), tolerance,
                       "%s: y[%d,%d] of %d x %d x %d, type %d from %d, act %d", name, m, n, p->M, p->N, p->K,
                       (int)p->format->tile, (int)p->from, (int)p->act);
        }
        for (int64_t n = p->N; n < p->ldy && m + 1 < p->M; n++)
            assert_memory_equal(&y[m * p->ldy + n], &p->y[m * p->ldy + n], sizeof(float)); /* gaps are unchanged */
        for (int64_t n = p->N; pre && n < p->ld_pre && m + 1 < p->M; n++)
            assert_memory_equal(&pre[m * p->ld_pre + n], &p->pre[m * p->ld_pre + n], sizeof(float));
    }
}

/* The whole product; then with two and three threads, row by row, in columns, and with a W that is
 * not packed: the same bits. */
static void try_product(const clipk_set *set, int M, int N, int K, int lie)
{
    product p = product_new(set, M, N, K, lie);
    clipk_ctx k[3] = {ctx_of(set, 1), ctx_of(set, 2), ctx_of(set, 3)};
    clipk_weight w = pack(&k[0], &p, 0, N);
    const size_t bytes = sizeof(float) * y_size(&p), pre_bytes = sizeof(float) * pre_size(&p);
    float *y = copy_of(p.y, y_size(&p)), *pre = p.pre ? copy_of(p.pre, pre_size(&p)) : NULL;
    multiply(&k[0], &p, &w, y, pre, 0, M, 0);
    check(set, &p, y, pre);
    for (int t = 0; t < 7; t++) {
        float *again = copy_of(p.y, y_size(&p)), *pre_again = p.pre ? copy_of(p.pre, pre_size(&p)) : NULL;
        if (t < 2) {
            clipk_weight v = pack(&k[t + 1], &p, 0, N);
            assert_memory_equal(v.panels, w.panels,
                                (size_t)p.format->bytes * (size_t)((N + set->nr - 1) / set->nr * set->nr) *
                                    (size_t)clipk_panel_depth(p.format, K));
            multiply(&k[t + 1], &p, &v, again, pre_again, 0, M, 0);
            free(v.panels);
        } else if (t == 2) {
            for (int m = 0; m < M; m++)
                multiply(&k[0], &p, &w, again, pre_again, m, 1, 0);
        } else if (t == 3) {
            for (int m = 0, step; m < M; m += step) {
                step = random_in(1, M - m);
                multiply(&k[1], &p, &w, again, pre_again, m, step, 0);
            }
        } else if (t == 4) {
            for (int n = 0, step; n < N; n += step) {
                step = random_in(1, N - n);
                clipk_weight v = pack(&k[0], &p, n, step);
                multiply(&k[0], &p, &v, again, pre_again, 0, M, n);
                free(v.panels);
            }
        } else {
            char *rest;
            clipk_weight v = unpacked(set, &p, &rest);
            multiply(&k[t - 5], &p, &v, again, pre_again, 0, M, 0);
            free(rest);
        }
        if (memcmp(y, again, bytes) != 0 || (pre && memcmp(pre, pre_again, pre_bytes) != 0))
            fail_msg("%s: way %d of %d x %d x %d differs in some bit", clipk_set_name(set), t, M, N, K);
        free(again);
        free(pre_again);
    }
    for (int t = 0; t < 3; t++)
        ctx_free(&k[t]);
    free(w.panels);
    free(y);
    free(pre);
    product_free(&p);
}

static void small_shapes(const clipk_set *set)
{
    for (int i = 0; i < 250; i++)
        try_product(set, random_in(1, 40), random_in(1, 70), random_in(1, 40), i % LIES);
    for (int M = 1; M < 20; M++)
        try_product(set, M, 33, 17, DENSE);
}

/* K of one and of several blocks. Nearly every shape has more than one panel and tile. */
static void deep_shapes(const clipk_set *set)
{
    for (int i = 0; i < 40; i++)
        try_product(set, random_in(1, 30), random_in(1, 70), random_in(240, 800), i % LIES);
}

/* Shapes that gemm.c treats in different ways. */
static void large_shapes(const clipk_set *set)
{
    try_product(set, 500, 40, 20, DENSE);    /* several bands */
    try_product(set, 4100, 40, 20, DENSE);   /* pieces have several bands, and the next is fetched ahead */
    try_product(set, 300, 20, 300, COLUMNS);
    try_product(set, 20, 300, 1024, BAD_DISTANCE);
    try_product(set, 90, 50, 1290, ROWS_APART); /* several slabs */
    try_product(set, 83, 300, 2048, BAD_DISTANCE);
    try_product(set, 83, 33, 2100, COLUMNS);
    if (set != clipk_set_find("ref"))
        try_product(set, 80, 2000, 1281, DENSE); /* more panels than can wait together */
}

/* ---- What is not a number -------------------------------------------------------------------- */

static void not_numbers_of(const clipk_set *set, const clipk_format *format)
{
    enum { M = 9, N = 37, K = 301 };
    clipk_ctx k = ctx_of(set, 1);
    float *x = random_floats(M * K), *W = random_floats(N * K), *y = floats_new(M * N);
    for (int act = CLIPK_LINEAR; act <= CLIPK_TANH; act++) {
        x[2 * K + 5] = NAN;
        x[4 * K + K - 1] = INFINITY;
        W[7 * K + 3] = NAN;
        W[N * K - 1] = -INFINITY;
        clipk_weight w = {.format = format, .N = N, .K = K};
        w.panels = aligned_new(clipk_weight_bytes(set, format, N, K));
        clipk_weight_pack(&k, &w, clipk_rows(W, K));
        clipk_gemm(&k, y, N, clipk_rows(x, K), M, &w, &(clipk_epilogue){.act = (clipk_act)act});
        for (int m = 0; m < M; m++)
            for (int n = 0; n < N; n++) {
                double z = 0;
                for (int i = 0; i < K; i++)
                    z += (double)x[m * K + i] * W[n * K + i];
                const bool vanishes = z == -INFINITY && act != CLIPK_LINEAR && act != CLIPK_TANH;
                double want = vanishes ? 0 : act_of(z, (clipk_act)act); /* the limit */
                if (isnan(want) != isnan(y[m * N + n]) || isinf(want) != isinf(y[m * N + n]))
                    fail_msg("%s, act %d: y[%d,%d] is %g, should be %g", clipk_set_name(set), act, m, n,
                             (double)y[m * N + n], want);
            }
        free(w.panels);
    }
    free(x);
    free(W);
    free(y);
    ctx_free(&k);
}

static void not_numbers(const clipk_set *set)
{
    not_numbers_of(set, CLIPK_FORMAT_F32);
    if (multiplies_pairs(set))
        not_numbers_of(set, PAIRS);
}

/* y [M, N] of 16 bits, ldy apart, is y in f32, rounded. Gaps between rows stay. */
static void check_rounded(const clipk_ctx *k, const product *p, const clipk_weight *w)
{
    const clipk_epilogue e = {.bias = p->bias, .act = p->act};
    clipk_epilogue rounds = e;
    float *y = copy_of(p->y, y_size(p));
    uint16_t *half = bytes_new(y_size(p) * sizeof *half), want;
    rounds.rounds = true;
    memset(half, 0x5a, y_size(p) * sizeof *half);
    clipk_gemm(k, y, p->ldy, x_of(p, 0), p->M, w, &e);
    clipk_gemm(k, half, p->ldy, x_of(p, 0), p->M, w, &rounds);
    for (size_t i = 0; i < y_size(p); i++) {
        k->set->to_bf16(&want, y + i, 1);
        if (i % (size_t)p->ldy >= (size_t)p->N)
            want = 0x5a5a;
        if (half[i] != want)
            fail_msg("%s, M %d N %d K %d: number %zu is %x, should be %x", clipk_set_name(k->set), p->M, p->N, p->K, i,
                     half[i], want);
    }
    free(half);
    free(y);
}

/* Rows of bf16 give the bits of the same rows in f32. */
static void check_half_rows(const clipk_ctx *k, const product *p, const clipk_weight *w)
{
    const int ld = p->K + 2 * random_in(0, 3);
    const size_t n = (size_t)((p->M - 1) * ld + p->K);
    float *x = random_floats(n), *y = copy_of(p->y, y_size(p)), *again = copy_of(p->y, y_size(p));
    uint16_t *half = bytes_new(n * sizeof *half);
    k->set->to_bf16(half, x, n);
    clipk_gemm(k, y, p->ldy, clipk_rows(x, ld), p->M, w, NULL);
    clipk_gemm(k, again, p->ldy, (clipk_view){half, CLIPK_BF16, ld, 1}, p->M, w, NULL);
    assert_memory_equal(y, again, y_size(p) * sizeof *y);
    free(x), free(y), free(again), free(half);
}

static void half_rows(const clipk_set *set)
{
    for (int i = 0; i < 40; i++) {
        clipk_ctx k = ctx_of(set, 1 + i % 3);
        product p = product_new(set, random_in(1, 70), random_in(1, 150), 2 * random_in(1, 600), DENSE);
        if (multiplies_pairs(set) && i % 2)
            p.format = PAIRS;
        clipk_weight w = pack(&k, &p, 0, p.N);
        check_rounded(&k, &p, &w);
        if (p.format == PAIRS)
            check_half_rows(&k, &p, &w);
        free(w.panels);
        product_free(&p);
        ctx_free(&k);
    }
}

static void small_products_are_right(void **state) { (void)state, on_each(small_shapes); }
static void deep_products_are_right(void **state) { (void)state, on_each(deep_shapes); }
static void large_products_are_right(void **state) { (void)state, on_each(large_shapes); }
static void rows_of_bf16_save_memory_alone(void **state) { (void)state, on_each(half_rows); }
static void nan_and_infinity_reach_their_rows(void **state) { (void)state, on_each(not_numbers); }

static void sets_are_found_by_name(void **state)
{
    (void)state;
    assert_null(clipk_set_find("sse7"));
    assert_ptr_equal(clipk_set_find(NULL), clipk_set_usable(0));
    assert_non_null(clipk_set_find("generic"));
    for (int i = 0; clipk_set_usable(i); i++) {
        const clipk_set *s = clipk_set_usable(i);
        assert_ptr_equal(clipk_set_find(clipk_set_name(s)), s);
        clipk_ctx k = ctx_of(s, 2);
        assert_true(clipk_fma_peak(&k, CLIPK_FORMAT_F32, 0.001) > 0);
        ctx_free(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_found_by_name),
        cmocka_unit_test(small_products_are_right),
        cmocka_unit_test(deep_products_are_right),
        cmocka_unit_test(large_products_are_right),
        cmocka_unit_test(rows_of_bf16_save_memory_alone),
        cmocka_unit_test(nan_and_infinity_reach_their_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
