/* The matrix product against a sum in double, for every set: shapes, tails, strides, types, epilogues. */
#include "kernels_test.h"

typedef struct product {
    int M, N, K;
    int64_t rs, cs; /* of x */
    float *x, *W, *bias, *residual, *pre, *y;
    uint16_t *half; /* W in 16 bits, if type says so */
    clipk_type type;
    clipk_weight w;
} product;

/* Random x and W; W's numbers are such that 16 bits hold them exactly. */
static product product_new(const clipk_ctx *k, int M, int N, int K, bool transposed, clipk_type type)
{
    product p = {.M = M, .N = N, .K = K, .rs = transposed ? 1 : K + 3, .cs = transposed ? M + 2 : 1, .type = type};
    p.x = random_floats((size_t)(M + 2) * (size_t)(K + 3));
    p.W = random_floats((size_t)N * (size_t)K);
    p.bias = random_floats((size_t)N);
    p.residual = random_floats((size_t)M * (size_t)N);
    p.pre = random_floats((size_t)M * (size_t)N);
    p.y = random_floats((size_t)M * (size_t)N);
    p.half = aligned_new((size_t)N * (size_t)K * 2);
    for (int i = 0; i < N * K; i++) { /* multiples of 1/64 below 2: exact in f16 and in bf16 */
        const int v = random_in(0, 127);
        p.W[i] = (float)(v - 64) / 64;
        uint32_t bits;
        memcpy(&bits, &p.W[i], 4);
        if (type == CLIPK_BF16)
            p.half[i] = (uint16_t)(bits >> 16);
        else
            p.half[i] = v == 64 ? 0 : (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 0x3ff));
    }
    p.w = (clipk_weight){.type = type, .N = N, .K = K, .panels = aligned_new(clipk_weight_bytes(k->set, type, N, K))};
    const void *from = type == CLIPK_F32 ? (const void *)p.W : p.half;
    clipk_weight_pack(k, &p.w, (clipk_view){from, type, K, 1});
    return p;
}

static void product_free(product *p)
{
    free(p->x), free(p->W), free(p->bias), free(p->residual), free(p->pre), free(p->y), free(p->half), free(p->w.panels);
}

static double activated(double z, clipk_act act)
{
    switch (act) {
    case CLIPK_RELU: return z < 0 ? 0 : z;
    case CLIPK_GELU: return z * 0.5 * erfc(-z * 0.70710678118654752440);
    case CLIPK_QUICKGELU: return z / (1 + exp(-1.702 * z));
    default: return z;
    }
}

/* parts: 1 bias, 2 residual, 4 residual in y itself, 8 pre */
static void check(const char *name, const clipk_ctx *k, int M, int N, int K, bool transposed, clipk_type type, clipk_act act, int parts)
{
    product p = product_new(k, M, N, K, transposed, type);
    clipk_epilogue e = {.act = act, .bias = parts & 1 ? p.bias : NULL, .residual = parts & 2 ? p.residual : NULL, .ld_residual = N,
                        .pre = parts & 8 ? p.pre : NULL, .ld_pre = N};
    if (parts & 4) {
        e.residual = p.y;
        memcpy(p.y, p.residual, (size_t)M * (size_t)N * sizeof(float));
    }
    clipk_gemm(k, p.y, N, (clipk_view){p.x, CLIPK_F32, p.rs, p.cs}, M, &p.w, &e);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double z = 0, size = 0;
            for (int l = 0; l < K; l++) {
                double term = (double)p.x[i * p.rs + l * p.cs] * p.W[j * K + l];
                z += term;
                size += fabs(term);
            }
            if (parts & 1)
                z += p.bias[j], size += fabs((double)p.bias[j]);
            if (parts & 6)
                z += p.residual[i * N + j], size += fabs((double)p.residual[i * N + j]);
            const double tolerance = (K + 4) * EPS * size + 4e-7 * fmax(1, fabs(z)); /* the sum, and the activation behind it */
            const double y = p.y[i * N + j], should = activated(z, act);
            if (!(fabs(y - should) <= tolerance))
                fail_msg("%s: M %d N %d K %d type %d act %d parts %d: y[%d, %d] is %g, not %g", name, M, N, K, (int)type, (int)act, parts, i, j, y, should);
            if ((parts & 8) && !(fabs(p.pre[i * N + j] - z) <= tolerance))
                fail_msg("%s: pre[%d, %d] is %g, not %g", name, i, j, (double)p.pre[i * N + j], z);
        }
    product_free(&p);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    for (int round = 0; round < 60; round++) {
        const int K = round % 3 ? random_in(1, 80) : random_in(240, 800);
        check(name, k, random_in(1, round % 5 ? 40 : 300), random_in(1, 90), K, random_in(0, 1), (clipk_type)(round % 3), (clipk_act)random_in(0, 3), random_in(0, 15));
    }
}

static void products_equal_sums(void **state)
{
    (void)state;
    for_each_set(against_oracle);
    clipk_ctx ref = ctx_new("ref", 1); /* the oracle is one of the sets that a model can run on */
    against_oracle("ref", &ref, &ref);
    ctx_free(&ref);
}

/* The same rows in one call, alone, and on any number of threads. */
static void rows_alone(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    enum { M = 530, N = 70, K = 300 };
    product p = product_new(k, M, N, K, false, CLIPK_F32);
    clipk_epilogue e = {.bias = p.bias, .act = CLIPK_GELU};
    const clipk_view x = {p.x, CLIPK_F32, p.rs, p.cs};
    float *y = aligned_new(sizeof(float) * M * N);
    clipk_gemm(k, y, N, x, M, &p.w, &e);
    for (int threads = 1; threads <= 3; threads++) {
        clipk_ctx many = ctx_new(name, threads);
        clipk_gemm(&many, p.y, N, x, M, &p.w, &e);
        assert_memory_equal(y, p.y, sizeof(float) * M * N);
        for (int from = 0, n; from < M; from += n) {
            n = random_in(1, 30) < M - from ? random_in(1, M - from < 30 ? M - from : 30) : M - from;
            clipk_gemm(&many, p.y, N, (clipk_view){p.x + from * p.rs, CLIPK_F32, p.rs, p.cs}, n, &p.w, &e);
            assert_memory_equal(y + (size_t)from * N, p.y, sizeof(float) * (size_t)n * N);
        }
        ctx_free(&many);
    }
    free(y);
    product_free(&p);
}

static void batches_equal_singles(void **state)
{
    (void)state;
    for_each_set(rows_alone);
}

static void spreads(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    (void)name;
    enum { M = 9, N = 33, K = 270 };
    product p = product_new(k, M, N, K, false, CLIPK_F32);
    p.x[4 * p.rs + 7] = NAN;
    p.x[5 * p.rs + 260] = INFINITY;
    p.W[3] = 1;
    clipk_gemm(k, p.y, N, (clipk_view){p.x, CLIPK_F32, p.rs, p.cs}, M, &p.w, NULL);
    for (int j = 0; j < N; j++) {
        assert_true(isnan(p.y[4 * N + j]));
        assert_false(isfinite(p.y[5 * N + j]));
        assert_true(isfinite(p.y[3 * N + j]) && isfinite(p.y[6 * N + j]));
    }
    product_free(&p);
}

static void nan_and_inf_stay_in_their_rows(void **state)
{
    (void)state;
    for_each_set(spreads);
}

/* 16-bit numbers at odd addresses, and into f32 panels. */
static void weights_convert(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    (void)name;
    enum { N = 21, K = 37 };
    product p = product_new(k, 1, N, K, false, CLIPK_BF16);
    char *odd = malloc(N * K * 2 + 1);
    memcpy(odd + 1, p.half, N * K * 2);
    clipk_weight w = {.type = CLIPK_F32, .N = N, .K = K, .panels = aligned_new(clipk_weight_bytes(k->set, CLIPK_F32, N, K))};
    float *y = aligned_new(sizeof(float) * N);
    clipk_weight_pack(k, &w, (clipk_view){odd + 1, CLIPK_BF16, K, 1});
    clipk_gemm(k, p.y, N, clipk_rows(p.x, p.rs), 1, &p.w, NULL);
    clipk_gemm(k, y, N, clipk_rows(p.x, p.rs), 1, &w, NULL);
    assert_memory_equal(y, p.y, sizeof(float) * N);
    free(odd);
    free(y);
    free(w.panels);
    product_free(&p);
}

static void types_and_addresses(void **state)
{
    (void)state;
    for_each_set(weights_convert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_sums),
        cmocka_unit_test(batches_equal_singles),
        cmocka_unit_test(nan_and_inf_stay_in_their_rows),
        cmocka_unit_test(types_and_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
