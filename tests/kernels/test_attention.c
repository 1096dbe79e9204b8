/* Attention: every set against the oracle on ragged batches. A sample's result does not depend on
 * the rest of its batch. */
#include "kernels_test.h"

#include <stdbool.h>

/* A ragged batch: each sample has one query, or as many queries as keys, or fewer. */
typedef struct batch {
    clipk_attention_shape s;
    int32_t q_off[9], k_off[9], k_end[8];
    int64_t ldq, ldk, ldv, ldy;
    float *q, *k, *v, *y, *lse;
} batch;

/* The smallest array that holds `rows` rows of `columns`, ld apart: it ends where the last row's
 * columns do. */
static size_t room(int rows, int columns, int64_t ld) { return rows ? (size_t)((rows - 1) * ld + columns) : 0; }

static void batch_new(batch *b, int B, int H, int D, int longest, bool causal, int queries)
{
    *b = (batch){.s = {.B = B, .H = H, .D = D, .causal = causal}};
    b->s.q_off = b->q_off;
    b->s.k_off = b->k_off;
    for (int i = 0; i < B; i++) {
        int nk = random_in(1, longest), nq = queries ? (queries < nk ? queries : nk) : nk;
        b->q_off[i + 1] = b->q_off[i] + nq;
        b->k_off[i + 1] = b->k_off[i] + nk;
    }
    int Tq = b->q_off[B], Tk = b->k_off[B], C = H * D;
    b->ldq = C + random_in(0, 3), b->ldk = C + random_in(0, 3), b->ldv = C + random_in(0, 3),
    b->ldy = C + random_in(0, 3);
    b->q = random_floats(room(Tq, C, b->ldq));
    b->k = random_floats(room(Tk, C, b->ldk));
    b->v = random_floats(room(Tk, C, b->ldv));
    b->y = random_floats(room(Tq, C, b->ldy));
    b->lse = floats_new((size_t)(H * Tq));
}

static void batch_free(batch *b) { free(b->q), free(b->k), free(b->v), free(b->y), free(b->lse); }

static void attend(const clipk_ctx *k, const batch *b, float *y, float *lse)
{
    clipk_attention(k, y, b->ldy, lse, b->q, b->ldq, b->k, b->ldk, b->v, b->ldv, &b->s);
}

/* Largest sum over d of |q k| / sqrt(D): the scale of the rounding of a score. */
static double largest_score(const batch *b)
{
    double most = 0;
    for (int s = 0; s < b->s.B; s++)
        for (int h = 0; h < b->s.H; h++)
            for (int i = b->q_off[s]; i < b->q_off[s + 1]; i++)
                for (int j = b->k_off[s]; j < b->k_off[s + 1]; j++) {
                    double sum = 0;
                    for (int d = h * b->s.D; d < (h + 1) * b->s.D; d++)
                        sum += fabs((double)b->q[i * b->ldq + d] * b->k[j * b->ldk + d]);
                    most = fmax(most, sum);
                }
    return most / sqrt(b->s.D);
}

/* The same by pairs of bf16. Both round alike, but a weight that is off by the rounding of exp may
 * fall on the other side of a tie: some of them, at 2^-9 of the largest. */
static void check_pairs(const char *name, const clipk_ctx *k, const clipk_ctx *ref, batch *b, double tolerance)
{
    const clipk_format *pairs = &clipk_formats[CLIPK_TILE_BF16_PAIRS];
    const int Tq = b->q_off[b->s.B], C = b->s.H * b->s.D;
    float *y = floats_new(room(Tq, C, b->ldy));
    if (!clipk_set_has(k->set, pairs)) {
        free(y);
        return;
    }
    memcpy(y, b->y, sizeof(float) * room(Tq, C, b->ldy));
    b->s.format = pairs;
    attend(k, b, b->y, NULL);
    attend(ref, b, y, NULL);
    b->s.format = NULL;
    for (int t = 0; t < Tq; t++)
        for (int c = 0; c < C; c++)
            CHECK_NEAR(b->y[t * b->ldy + c], y[t * b->ldy + c], tolerance + 0x1p-9,
                       "%s, pairs: H %d D %d causal %d: row %d column %d", name, b->s.H, b->s.D, b->s.causal, t, c);
    free(y);
}

static void check(const char *name, const clipk_ctx *k, const clipk_ctx *ref, batch *b, int longest)
{
    const int Tq = b->q_off[b->s.B], C = b->s.H * b->s.D;
    float *y = floats_new(room(Tq, C, b->ldy)), *lse = floats_new((size_t)(b->s.H * Tq));
    memcpy(y, b->y, sizeof(float) * room(Tq, C, b->ldy));
    attend(k, b, b->y, b->lse);
    attend(ref, b, y, lse);
    /* A score is off by D roundings at worst, by their root on average; p by as much and the
     * rounding of exp; |v| <= 1. */
    const double score = largest_score(b) * (4 + sqrt(b->s.D)) * EPS,
                 tolerance = 2 * score + (16 + longest / 8.0) * EPS;
    for (int t = 0; t < Tq; t++)
        for (int64_t c = 0; c < (t < Tq - 1 ? b->ldy : C); c++) {
            if (c < C)
                CHECK_NEAR(b->y[t * b->ldy + c], y[t * b->ldy + c], tolerance,
                           "%s: H %d D %d causal %d: row %d column %d", name, b->s.H, b->s.D, b->s.causal, t, (int)c);
            else
                assert_true(b->y[t * b->ldy + c] == y[t * b->ldy + c]); /* gaps between rows are unchanged */
        }
    for (int i = 0; i < b->s.H * Tq; i++)
        CHECK_NEAR(b->lse[i], lse[i], tolerance + 2 * EPS * fabs(lse[i]), "%s: D %d: lse %d", name, b->s.D, i);
    check_pairs(name, k, ref, b, tolerance);
    free(y), free(lse);
}

static void against_oracle(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    const int Ds[] = {1, 7, 8, 16, 32, 40, 64, 72, 80, 88, 104, 128, 256};
    for (int i = 0; i < 13; i++)
        for (int kind = 0; kind < 4; kind++) {
            int longest = i == 6 ? 300 : 70;
            batch b;
            batch_new(&b, 3, 2, Ds[i], longest, kind & 1, kind & 2 ? random_in(1, 20) : 0);
            check(name, k, ref, &b, longest);
            batch_free(&b);
        }
    batch b; /* more than one block of keys */
    for (int causal = 0; causal < 2; causal++) {
        batch_new(&b, 1, 1, 24, 1, causal, 0);
        batch_free(&b);
        b.q_off[1] = 37, b.k_off[1] = 2100;
        b.q = random_floats(room(37, 24, b.ldq)), b.k = random_floats(room(2100, 24, b.ldk)),
        b.v = random_floats(room(2100, 24, b.ldv));
        b.y = random_floats(room(37, 24, b.ldy)), b.lse = floats_new(37);
        for (size_t j = 0; j < room(2100, 24, b.ldk); j++)
            b.k[j] *= 8; /* scores of several tens: later blocks bring new maxima */
        check(name, k, ref, &b, 2100);
        batch_free(&b);
    }
}

static void attention_is_that_of_the_oracle(void **state)
{
    (void)state;
    for_each_set(against_oracle);
}

/* One sample, one head and one query of it, computed alone. */
static void alone(const clipk_ctx *k, const batch *b, int s, int h, int i, float *y, float *lse)
{
    const int nk = b->k_off[s + 1] - b->k_off[s], nq = b->q_off[s + 1] - b->q_off[s],
              most = b->s.k_end ? b->k_end[s] - b->k_off[s] : nk, sees = b->s.causal ? i + 1 + nk - nq : nk;
    const int32_t q_off[2] = {0, 1}, k_off[2] = {0, sees < most ? sees : most};
    const clipk_attention_shape one = {.B = 1, .H = 1, .D = b->s.D, .q_off = q_off, .k_off = k_off, .causal = false};
    const int64_t c = h * b->s.D;
    clipk_attention(k, y, b->s.D, lse, b->q + (b->q_off[s] + i) * b->ldq + c, b->ldq, b->k + b->k_off[s] * b->ldk + c,
                    b->ldk, b->v + b->k_off[s] * b->ldv + c, b->ldv, &one);
}

static void alone_or_not(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    for (int round = 0; round < 8; round++) {
        batch b;
        int D = random_in(1, 90);
        batch_new(&b, 4, 3, D, round == 7 ? 1500 : 90, round & 1, round & 2 ? 5 : round == 7 ? 40 : 0);
        const int Tq = b.q_off[4];
        for (int s = 0; s < 4 && round >= 4; s++) { /* the last rows are no keys */
            b.k_end[s] = b.k_off[s] + random_in(1, b.k_off[s + 1] - b.k_off[s]);
            b.s.k_end = b.k_end;
        }
        attend(k, &b, b.y, b.lse);
        for (int s = 0; s < 4; s++)
            for (int h = 0; h < 3; h++)
                for (int i = 0; i < b.q_off[s + 1] - b.q_off[s]; i++) {
                    float y[90], lse;
                    alone(k, &b, s, h, i, y, &lse);
                    if (memcmp(y, b.y + (b.q_off[s] + i) * b.ldy + h * D, sizeof(float) * (size_t)D) ||
                        lse != b.lse[h * Tq + b.q_off[s] + i])
                        fail_msg("%s: query %d of sample %d differs when alone", name, i, s);
                }
        float *y = floats_new(room(Tq, 3 * D, b.ldy));
        for (int threads = 2; threads < 8; threads++) {
            clipk_ctx many = ctx_new(name, threads);
            if (threads == 5) {
                b.s.format = &clipk_formats[CLIPK_TILE_BF16_PAIRS]; /* f32 where the set does not have it */
                attend(k, &b, b.y, NULL);
            }
            memcpy(y, b.y, sizeof(float) * room(Tq, 3 * D, b.ldy));
            for (int t = 0; t < Tq; t++)
                memset(y + t * b.ldy, 0, sizeof(float) * (size_t)(3 * D));
            attend(&many, &b, y, NULL);
            assert_memory_equal(y, b.y, sizeof(float) * room(Tq, 3 * D, b.ldy));
            ctx_free(&many);
        }
        free(y);
        batch_free(&b);
    }
}

static void a_query_alone_gives_the_same_bits(void **state)
{
    (void)state;
    for_each_set(alone_or_not);
}

/* NaN in a query spoils that query. NaN in a key or value spoils every query that sees it, and
 * maybe some others of its block. Infinite scores give NaN, as everywhere. Large scores take all
 * weight. */
static void special_values_of(const char *name, const clipk_ctx *k, const clipk_format *format)
{
    enum { T = 40, D = 16 };
    const int32_t off[2] = {0, T};
    const clipk_attention_shape s = {
        .B = 1, .H = 1, .D = D, .q_off = off, .k_off = off, .causal = true, .format = format};
    const float large = format->x == CLIPK_X_F32 ? 1e15f : 0x1p50f; /* of few bits */
    float *q = random_floats(T * D), *x = random_floats(T * D), *y = floats_new(T * D);
    q[7 * D + 3] = NAN;
    x[20 * D] = NAN;
    clipk_attention(k, y, D, NULL, q, D, x, D, x, D, &s);
    for (int t = 0; t < T; t++)
        if (t < 8 || t >= 20 ? isnan(y[t * D + 1]) != (t == 7 || t >= 20) : false)
            fail_msg("%s: row %d is %g", name, t, y[t * D + 1]);
    for (int i = 0; i < T * D; i++)
        q[i] = x[i] = 1e30f; /* every score is inf */
    clipk_attention(k, y, D, NULL, q, D, x, D, x, D, &s);
    assert_true(isnan(y[0]) && isnan(y[T * D - 1]));
    for (int i = 0; i < T * D; i++)
        q[i] = large, x[i] = i / D == 3 ? large : 0; /* scores of 1e31 and 0 */
    clipk_attention(k, y, D, NULL, q, D, x, D, x, D, &s);
    assert_true(y[2 * D] == 0 && y[3 * D] == large && y[30 * D] == large);
    free(q), free(x), free(y);
}

static void special_values(const char *name, const clipk_ctx *k, const clipk_ctx *ref)
{
    (void)ref;
    special_values_of(name, k, CLIPK_FORMAT_F32);
    if (clipk_set_has(k->set, &clipk_formats[CLIPK_TILE_BF16_PAIRS]))
        special_values_of(name, k, &clipk_formats[CLIPK_TILE_BF16_PAIRS]);
}

static void special_values_spoil_what_they_reach(void **state)
{
    (void)state;
    for_each_set(special_values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_that_of_the_oracle),
        cmocka_unit_test(a_query_alone_gives_the_same_bits),
        cmocka_unit_test(special_values_spoil_what_they_reach),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
