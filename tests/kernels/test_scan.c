/* The parts of a search: integer products are exact in every set, f16 rounds as in the oracle, a
 * rotation keeps lengths. */
#include "kernels_test.h"
#include "kernels/set.h"

static void check_scan(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int rows, int D, int Q)
{
    const int Dp = clipk_scan_padded(D), limit = INT32_MAX / (128 * D) < INT16_MAX ? INT32_MAX / (128 * D) : INT16_MAX,
              ldo = rows + 3;
    int8_t *code = bytes_new((size_t)(rows * D));
    int16_t *q = bytes_new(2 * (size_t)(Q * Dp));
    int32_t *a = bytes_new(4 * (size_t)(Q * ldo)), *b = bytes_new(4 * (size_t)(Q * ldo));
    for (int i = 0; i < rows * D; i++)
        code[i] = (int8_t)(i % 5 ? random_in(-128, 127) : -128);
    for (int j = 0; j < Q; j++)
        for (int d = 0; d < Dp; d++)
            q[j * Dp + d] = (int16_t)(d >= D ? 0 : j % 3 ? random_in(-limit, limit) : limit);
    memset(a, 1, 4 * (size_t)(Q * ldo));
    memset(b, 1, 4 * (size_t)(Q * ldo));
    k->set->scan(a, ldo, code, rows, D, q, Q);
    ref->set->scan(b, ldo, code, rows, D, q, Q);
    for (int i = 0; i < Q * ldo; i++)
        if (a[i] != b[i])
            fail_msg("%s: scan of %d rows of %d, %d queries: query %d, row %d: %d, not %d", name, rows, D, Q, i / ldo,
                     i % ldo, a[i], b[i]);
    free(code), free(q), free(a), free(b);
}

static void check_nibbles(const char *name, const clipk_ctx *k, const clipk_ctx *ref, int rows, int B)
{
    const int padded = clipk_scan_padded(B),
              limit = INT32_MAX / (15 * 2 * B) < INT16_MAX ? INT32_MAX / (15 * 2 * B) : INT16_MAX;
    uint8_t *code = bytes_new((size_t)(rows * B));
    int16_t *q = bytes_new(2 * 2 * (size_t)padded);
    int32_t row[64], a[64], b[64], n = 0;
    for (int i = 0; i < rows * B; i++)
        code[i] = (uint8_t)(i % 5 ? random_in(0, 255) : 255);
    for (int d = 0; d < padded; d++) {
        q[d] = (int16_t)(d >= B ? 0 : rows % 2 ? random_in(-limit, limit) : limit);
        q[padded + d] = (int16_t)(d >= B ? 0 : rows % 2 ? random_in(-limit, limit) : limit);
    }
    for (int i = 0; i < rows && n < 64; i += 1 + i % 3)
        row[n++] = i;
    k->set->scan_nibbles(a, code, row, n, B, q);
    ref->set->scan_nibbles(b, code, row, n, B, q);
    for (int i = 0; i < n; i++)
        if (a[i] != b[i])
            fail_msg("%s: scan of %d rows picked, of %d bytes: row %d: %d, not %d", name, n, B, row[i], a[i], b[i]);
    free(code), free(q);
}

static void scan_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int D = 1; D < 140; D += D < 40 ? 1 : 7)
        for (int Q = 1; Q < 9; Q += 1 + D % 3)
            check_scan(name, k, ref, random_in(1, 23), D, Q);
    for (int B = 1; B < 140; B += B < 40 ? 1 : 7)
        check_nibbles(name, k, ref, random_in(1, 23), B);
    check_nibbles(name, k, ref, 100, 192);
    check_nibbles(name, k, ref, 8, CLIPK_SCAN_D / 2);
    check_scan(name, k, ref, 37, 512, 64);
    check_scan(name, k, ref, 5, 1030, 29);
    check_scan(name, k, ref, 6, CLIPK_SCAN_D, 7);
    check_scan(name, k, ref, 9, CLIPK_SCAN_D - 3, 1);
}

static void products_of_codes_are_exact(void **state)
{
    (void)state;
    for_each_set(scan_of);
}

static void pick_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    int32_t dot[100], a[100], b[100];
    float bound[200];
    for (int rows = 1; rows <= 100; rows += 3) {
        for (int i = 0; i < rows; i++) {
            dot[i] = random_in(-1000, 1000) * 1000; /* no rounding moves these sums across the threshold */
            bound[2 * i] = 0.25f;
            bound[2 * i + 1] = (float)random_in(0, 4);
        }
        bound[1] = NAN;
        const int n = k->set->scan_pick(a, dot, bound, rows, 0.5f, 8, 2, 10003),
                  m = ref->set->scan_pick(b, dot, bound, rows, 0.5f, 8, 2, 10003);
        if (n != m || n < 1)
            fail_msg("%s: %d of %d rows picked, not %d", name, n, rows, m);
        assert_memory_equal(a, b, 4 * (size_t)n);
        assert_int_equal(k->set->scan_pick(a, dot, bound, rows, 0.5f, 8, 2, -INFINITY), rows);
    }
}

static void rows_above_a_bound_are_picked(void **state)
{
    (void)state;
    for_each_set(pick_of);
}

static void f16_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    enum { N = 4096 };
    float x[N];
    uint16_t a[N], b[N];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < N; i++) {
            const uint32_t u = round ? random_u32() : (uint32_t)i << 20 | (i % 3 ? 0 : 0x1000);
            memcpy(&x[i], &u, 4);
            if (round % 2)
                x[i] = random_float() * (round % 4 == 1 ? 1 : 6e-5f);
        }
        k->set->to_f16(a, x, N - (size_t)round % 9);
        ref->set->to_f16(b, x, N - (size_t)round % 9);
        for (int i = 0; i < N - round % 9; i++)
            if (a[i] != b[i] && !isnan(x[i]))
                fail_msg("%s: %.9g becomes %04x, not %04x", name, (double)x[i], a[i], b[i]);
            else if (isnan(x[i]))
                assert_true((a[i] & 0x7c00) == 0x7c00 && (a[i] & 0x3ff));
    }
}

static void f32_is_rounded_to_f16(void **state)
{
    (void)state;
    for_each_set(f16_of);
}

static void dot_of(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    for (int D = 1; D < 1100; D += D < 70 ? 1 : 97) {
        float *x = random_floats((size_t)D), *q = random_floats((size_t)D), *y = random_floats(1024);
        unsigned char *half = bytes_new(2 * (size_t)D + 1);
        double sum = 0, squares = 0;
        ref->set->to_f16((uint16_t *)(void *)half, x, (size_t)D);
        memmove(half + 1, half, 2 * (size_t)D); /* at an odd address */
        for (int d = 0; d < D; d++)
            sum += fabs((double)x[d] * q[d]);
        CHECK_NEAR(k->set->dot_f16(q, half + 1, D), ref->set->dot_f16(q, half + 1, D),
                   (D / 16.0 + 16) * EPS * sum * 1.01, "%s: product of %d with f16", name, D);
        float z[1024];
        memcpy(z, y, sizeof z);
        const int P = 1 << D % 11;
        k->set->hadamard(y, P);
        ref->set->hadamard(z, P);
        for (int i = 0; i < P; i++)
            squares += (double)z[i] * z[i];
        for (int i = 0; i < P; i++)
            CHECK_NEAR(y[i], z[i], 14 * EPS * sqrt(squares), "%s: number %d of a rotation of %d", name, i, P);
        double normal[1100], turned[1100], length = 0;
        squares = 0;
        for (int d = 0; d < D; d++)
            squares += (double)q[d] * q[d], length += (double)x[d] * x[d];
        for (int d = 0; d < D; d++)
            normal[d] = q[d] * sqrt(2 / squares), turned[d] = x[d];
        k->set->reflect(turned, normal, D);
        for (int d = 0; d < D; d++)
            length -= turned[d] * turned[d];
        CHECK_NEAR(length, 0, 1e-10, "%s: length of %d numbers, reflected", name, D);
        ref->set->reflect(turned, normal, D); /* and back */
        for (int d = 0; d < D; d++)
            CHECK_NEAR(turned[d], x[d], 1e-12, "%s: number %d of %d reflected twice", name, d, D);
        free(x), free(q), free(y), free(half);
    }
}

static void a_product_with_f16_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(dot_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_codes_are_exact),
        cmocka_unit_test(rows_above_a_bound_are_picked),
        cmocka_unit_test(f32_is_rounded_to_f16),
        cmocka_unit_test(a_product_with_f16_is_that_of_the_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
