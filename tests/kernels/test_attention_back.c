/* The gradient of attention: every set against the oracle on ragged batches; the oracle against
 * finite differences of the formula in double; the same bits on any number of threads. */
#include "kernels_test.h"

#include <stdbool.h>

/* The arrays of a batch: first those with a row for each query, then those with a row for each
 * key. */
enum { Q, DY, Y, DQ, K, V, DK, DV, ARRAYS };

typedef struct batch {
    clipk_attention_shape s;
    int32_t q_off[9], k_off[9];
    float *x[ARRAYS], *lse;
    int64_t ld[ARRAYS];
} batch;

static int rows_of(const batch *b, int array) { return array < K ? b->q_off[b->s.B] : b->k_off[b->s.B]; }

/* The smallest array that holds the rows, ld apart: it ends where the last row's columns do. */
static size_t room(const batch *b, int array)
{
    const int rows = rows_of(b, array);
    return rows ? (size_t)((rows - 1) * b->ld[array] + b->s.H * b->s.D) : 0;
}

static float *at(const batch *b, int array, int row, int h) { return b->x[array] + row * b->ld[array] + h * b->s.D; }

/* keys[i], queries[i]: of sample i. wide: rows lie apart. y and lse come from the oracle. */
static void batch_new(batch *b, int B, int H, int D, const int *queries, const int *keys, bool causal, bool wide)
{
    *b = (batch){.s = {.B = B, .H = H, .D = D, .causal = causal}};
    b->s.q_off = b->q_off;
    b->s.k_off = b->k_off;
    for (int i = 0; i < B; i++) {
        b->q_off[i + 1] = b->q_off[i] + queries[i];
        b->k_off[i + 1] = b->k_off[i] + keys[i];
    }
    for (int a = 0; a < ARRAYS; a++) {
        b->ld[a] = H * D + (wide ? random_in(0, 3) : 0);
        b->x[a] = random_floats(room(b, a));
    }
    for (size_t i = 0; i < room(b, K); i++)
        b->x[K][i] *= 4; /* weights differ clearly */
    b->lse = floats_new((size_t)(H * b->q_off[B]));
    clipk_ctx ref = ctx_new("ref", 1);
    clipk_attention(&ref, b->x[Y], b->ld[Y], b->lse, b->x[Q], b->ld[Q], b->x[K], b->ld[K], b->x[V], b->ld[V], &b->s);
    ctx_free(&ref);
}

static void batch_free(batch *b)
{
    for (int a = 0; a < ARRAYS; a++)
        free(b->x[a]);
    free(b->lse);
}

/* Samples of 1 .. longest keys, with as many queries, or fewer, or sometimes none. */
static void batch_random(batch *b, int B, int H, int D, int longest, bool causal, bool fewer)
{
    int keys[8], queries[8];
    for (int i = 0; i < B; i++) {
        keys[i] = random_in(1, longest);
        queries[i] = fewer ? random_in(0, keys[i] < 20 ? keys[i] : 20) : keys[i];
    }
    batch_new(b, B, H, D, queries, keys, causal, true);
}

static void back(const clipk_ctx *k, const batch *b, float *dq, float *dk, float *dv)
{
    clipk_attention_backward(k, dq, b->ld[DQ], dk, b->ld[DK], dv, b->ld[DV], b->x[DY], b->ld[DY], b->x[Y], b->ld[Y],
                             b->lse, b->x[Q], b->ld[Q], b->x[K], b->ld[K], b->x[V], b->ld[V], &b->s);
}

/* ---- What rounding can do -------------------------------------------------------------------- */

static double size_of(const float *a, const float *b, int D)
{
    double s = 0;
    for (int d = 0; d < D; d++)
        s += fabs((double)a[d] * b[d]);
    return s;
}

/* The sums of dq, dk and dv, with absolute values: P (|dP| + |delta|) in place of dS = P (dP -
 * delta), where each again is a sum of absolute values. size[DQ] .. have the shape of the arrays,
 * dense. Returns the largest sum of |q k| / sqrt(D). */
static double sizes(const batch *b, double *size[ARRAYS])
{
    const int D = b->s.D, C = b->s.H * D, Tq = b->q_off[b->s.B];
    double most = 0;
    for (int a = 0; a < ARRAYS; a++)
        size[a] = calloc((size_t)(rows_of(b, a) * C + 1), sizeof(double));
    for (int s = 0; s < b->s.B; s++)
        for (int h = 0; h < b->s.H; h++)
            for (int i = b->q_off[s]; i < b->q_off[s + 1]; i++)
                for (int j = b->k_off[s]; j < b->k_off[s + 1]; j++) {
                    if (b->s.causal && j - b->k_off[s + 1] > i - b->q_off[s + 1])
                        continue;
                    const float *q = at(b, Q, i, h), *k = at(b, K, j, h), *v = at(b, V, j, h), *dy = at(b, DY, i, h);
                    double score = 0;
                    for (int d = 0; d < D; d++)
                        score += (double)q[d] * k[d];
                    most = fmax(most, size_of(q, k, D) / sqrt(D));
                    const double p = exp(score / sqrt(D) - b->lse[h * Tq + i]);
                    const double ds = p * (size_of(dy, v, D) + size_of(dy, at(b, Y, i, h), D)) / sqrt(D);
                    for (int d = 0; d < D; d++) {
                        size[DQ][i * C + h * D + d] += ds * fabsf(k[d]);
                        size[DK][j * C + h * D + d] += ds * fabsf(q[d]);
                        size[DV][j * C + h * D + d] += p * fabsf(dy[d]);
                    }
                }
    return most;
}

/* The error allowed, relative to those sums. A score is off by D roundings at worst, by their root
 * on average, and so is P. dP and delta are off likewise; exp and the sum over up to `longest` add
 * more. */
static double roundings(const batch *b, double score, int longest)
{
    return ((2 * score + 2) * (4 + sqrt(b->s.D)) + 16 + sqrt(longest)) * EPS;
}

static void free_sizes(double *size[ARRAYS])
{
    for (int a = 0; a < ARRAYS; a++)
        free(size[a]);
}

/* ---- Against the oracle ---------------------------------------------------------------------- */

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, batch *b, int longest)
{
    static const char *const names[] = {[DQ] = "dq", [DK] = "dk", [DV] = "dv"};
    static const int outputs[] = {DQ, DK, DV};
    const int C = b->s.H * b->s.D;
    float *want[ARRAYS] = {NULL};
    double *size[ARRAYS];
    const double allowed = roundings(b, sizes(b, size), longest);
    for (int o = 0; o < 3; o++) {
        const int a = outputs[o];
        want[a] = floats_new(room(b, a));
        memcpy(want[a], b->x[a], sizeof(float) * room(b, a));
    }
    back(ref, b, want[DQ], want[DK], want[DV]);
    back(k, b, b->x[DQ], b->x[DK], b->x[DV]);
    for (int o = 0; o < 3; o++) {
        const int a = outputs[o], rows = rows_of(b, a);
        for (int t = 0; t < rows; t++)
            for (int64_t c = 0; c < (t < rows - 1 ? b->ld[a] : C); c++) {
                const float x = b->x[a][t * b->ld[a] + c], y = want[a][t * b->ld[a] + c];
                if (c < C)
                    CHECK_NEAR(x, y, allowed * size[a][t * C + c] + 1e-37,
                               "%s: H %d D %d causal %d: %s row %d column %d", name, b->s.H, b->s.D, b->s.causal,
                               names[a], t, (int)c);
                else
                    assert_true(x == y); /* gaps between rows are unchanged */
            }
        free(want[a]);
    }
    free_sizes(size);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const int Ds[] = {1, 7, 8, 16, 33, 40, 64, 72, 80, 128, 256};
    batch b;
    for (int i = 0; i < 11; i++)
        for (int kind = 0; kind < 4; kind++) {
            batch_random(&b, 4, 2, Ds[i], 70, kind & 1, kind & 2);
            check(name, k, ref, &b, 70);
            batch_free(&b);
        }
    /* More than one part of the keys, more than one group of the queries, and queries that see no
     * key of a part. */
    const struct {
        int D, queries, keys;
    } large[] = {{8, 300, 300}, {64, 197, 197}, {100, 180, 190}, {256, 90, 130}, {24, 20, 600}, {8, 530, 530}};
    for (int i = 0; i < 6; i++)
        for (int causal = 0; causal < 2; causal++) {
            batch_new(&b, 1, 1, large[i].D, &large[i].queries, &large[i].keys, causal, true);
            check(name, k, ref, &b, large[i].keys);
            batch_free(&b);
        }
}

static void gradients_are_those_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void any_threads(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    for (int round = 0; round < 6; round++) {
        batch b;
        batch_random(&b, 5, 3, random_in(20, 90), round == 5 ? 280 : 90, round & 1, round & 2);
        back(k, &b, b.x[DQ], b.x[DK], b.x[DV]);
        for (int threads = 2; threads < 4; threads++) {
            clipk_ctx many = ctx_new(name, threads);
            float *x[ARRAYS];
            for (int a = 0; a < ARRAYS; a++) {
                x[a] = floats_new(room(&b, a));
                memcpy(x[a], b.x[a], sizeof(float) * room(&b, a));
                for (int t = 0; t < rows_of(&b, a); t++)
                    memset(x[a] + t * b.ld[a], 0, sizeof(float) * (size_t)(b.s.H * b.s.D));
            }
            back(&many, &b, x[DQ], x[DK], x[DV]);
            for (int a = 0; a < ARRAYS; a++) {
                if (a == DQ || a == DK || a == DV)
                    assert_memory_equal(x[a], b.x[a], sizeof(float) * room(&b, a));
                free(x[a]);
            }
            ctx_free(&many);
        }
        batch_free(&b);
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for_each_set(any_threads);
}

/* ---- Finite differences ---------------------------------------------------------------------- */

/* Sum of dy . attention(q + t uq, k + t uk, v + t uv), from the formula. u [ARRAYS] has the shape
 * of the arrays, dense. */
static double loss(const batch *b, double *const u[ARRAYS], double t)
{
    const int D = b->s.D, C = b->s.H * D;
    double total = 0;
    for (int s = 0; s < b->s.B; s++)
        for (int h = 0; h < b->s.H; h++)
            for (int i = b->q_off[s]; i < b->q_off[s + 1]; i++) {
                double sum = 0, weighted = 0;
                for (int j = b->k_off[s]; j < b->k_off[s + 1]; j++) {
                    if (b->s.causal && j - b->k_off[s + 1] > i - b->q_off[s + 1])
                        continue;
                    double score = 0, value = 0;
                    for (int d = 0; d < D; d++) {
                        const int iq = i * C + h * D + d, ik = j * C + h * D + d;
                        score += (at(b, Q, i, h)[d] + t * u[Q][iq]) * (at(b, K, j, h)[d] + t * u[K][ik]);
                        value += at(b, DY, i, h)[d] * (at(b, V, j, h)[d] + t * u[V][ik]);
                    }
                    sum += exp(score / sqrt(D));
                    weighted += exp(score / sqrt(D)) * value;
                }
                total += weighted / sum;
            }
    return total;
}

static void differences(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    static const int inputs[] = {Q, K, V}, outputs[] = {DQ, DK, DV};
    (void)ref;
    for (int round = 0; round < 8; round++) {
        batch b;
        batch_random(&b, 3, 2, random_in(3, 70), 40, round & 1, round & 2);
        const int C = b.s.H * b.s.D;
        back(k, &b, b.x[DQ], b.x[DK], b.x[DV]);
        double *size[ARRAYS], *u[ARRAYS], slope = 0, scale = 0;
        const double allowed = roundings(&b, sizes(&b, size), 40);
        for (int a = 0; a < ARRAYS; a++)
            u[a] = calloc((size_t)(rows_of(&b, a) * C + 1), sizeof(double));
        for (int o = 0; o < 3; o++)
            for (int t = 0; t < rows_of(&b, inputs[o]); t++)
                for (int c = 0; c < C; c++) {
                    const double step = u[inputs[o]][t * C + c] = random_float();
                    slope += step * b.x[outputs[o]][t * b.ld[outputs[o]] + c];
                    const double weighs = step * size[outputs[o]][t * C + c];
                    scale += weighs * weighs; /* a direction that is independent of roundings */
                }
        /* The error of this difference is of order t^4. */
        const double t = 1e-3;
        const double want =
            (8 * (loss(&b, u, t) - loss(&b, u, -t)) - (loss(&b, u, 2 * t) - loss(&b, u, -2 * t))) / (12 * t);
        CHECK_NEAR(slope, want, allowed * sqrt(scale), "%s: D %d causal %d: slope", name, b.s.D, b.s.causal);
        for (int a = 0; a < ARRAYS; a++)
            free(u[a]);
        free_sizes(size);
        batch_free(&b);
    }
}

/* The oracle too. */
static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    for_each_set(differences);
    clipk_ctx ref = ctx_new("ref", 1);
    differences("ref", &ref, &ref);
    ctx_free(&ref);
}

/* ---- Special values -------------------------------------------------------------------------- */

/* NaN in a key or value does not reach earlier queries that share its block. */
static void special_values(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    const int n = 40;
    batch b;
    batch_new(&b, 1, 1, 16, &n, &n, true, false);
    for (int array = K; array <= V; array++) {
        const float was = *at(&b, array, 20, 0);
        *at(&b, array, 20, 0) = NAN;
        back(k, &b, b.x[DQ], b.x[DK], b.x[DV]);
        *at(&b, array, 20, 0) = was;
        for (int i = 0; i < n; i++)
            if (isnan(at(&b, DQ, i, 0)[1]) != (i >= 20))
                fail_msg("%s: NaN in key 20: dq of query %d is %g", name, i, at(&b, DQ, i, 0)[1]);
    }
    batch_free(&b);
}

static void special_values_spoil_what_they_reach(void **state)
{
    (void)state;
    for_each_set(special_values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_oracle),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(special_values_spoil_what_they_reach),
    };
    return cmocka_run_group_tests_name("attention backward", tests, NULL, NULL);
}
