/* kernels_test.h: common parts of the tests of kernels: random numbers, buffers without a byte to
 * spare, a context for each set. */
#ifndef KERNELS_TEST_H
#define KERNELS_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

#define EPS 0x1p-24 /* half the distance from 1.0f to the next number */

static uint64_t random_state = 88172645463325252u;

static inline uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static inline int random_in(int lo, int hi) { return lo + (int)(random_u32() % (uint32_t)(hi - lo + 1)); }
static inline float random_float(void) { return (float)((int32_t)random_u32() >> 8) * 0x1p-23f; } /* -1 .. 1 */

/* malloc()ed to the byte, so that the sanitizer sees a read beyond the end. */
static inline void *bytes_new(size_t n)
{
    void *p = malloc(n ? n : 1);
    assert_non_null(p);
    return p;
}

static inline float *floats_new(size_t n) { return bytes_new(n * sizeof(float)); }

static inline float *random_floats(size_t n)
{
    float *p = floats_new(n);
    for (size_t i = 0; i < n; i++)
        p[i] = random_float();
    return p;
}

static inline void *aligned_new(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
    assert_non_null(p);
    return p;
}

/* simd_*.c with the vectors of AVX-512 on any machine: the compiler splits them (meson.build). */
extern const clipk_set clipk_set_wide;

static inline bool wide_runs(void)
{
#if defined(__x86_64__)
    return clipk_set_find("avx2"); /* its instructions are those of AVX2 */
#else
    return true;
#endif
}

static inline clipk_ctx ctx_of(const clipk_set *set, int threads)
{
    clipk_ctx k = {set, NULL, NULL};
    assert_non_null(set);
    if (threads > 1)
        assert_non_null(k.team = clipb_team_new(threads));
    k.scratch = aligned_new(clipk_scratch_bytes(set, threads));
    return k;
}

static inline clipk_ctx ctx_new(const char *set, int threads)
{
    return ctx_of(set && !strcmp(set, "wide") ? &clipk_set_wide : clipk_set_find(set), threads);
}

static inline void ctx_free(clipk_ctx *k)
{
    clipb_team_free(k->team);
    free(k->scratch);
}

/* Runs f for every set of this machine, and for the wide one, with the oracle; one thread each. */
typedef void set_test(const char *name, const clipk_ctx *k, const clipk_ctx *ref);

static inline void for_each_set(set_test *f)
{
    clipk_ctx ref = ctx_new("ref", 1), wide = ctx_new("wide", 1);
    for (int i = 0; clipk_set_usable(i); i++) {
        clipk_ctx k = ctx_of(clipk_set_usable(i), 1);
        f(clipk_set_name(k.set), &k, &ref);
        ctx_free(&k);
    }
    if (wide_runs())
        f("wide", &wide, &ref);
    ctx_free(&wide);
    ctx_free(&ref);
}

#define CHECK_NEAR(got, want, tolerance, ...)                                                                        \
    do {                                                                                                             \
        double got_ = (got), want_ = (want), tolerance_ = (tolerance);                                               \
        if (!(fabs(got_ - want_) <= tolerance_) && !(isnan(got_) && isnan(want_)) && got_ != want_) {                \
            fprintf(stderr, __VA_ARGS__);                                                                            \
            fail_msg(": got %.9g, want %.9g, differ by %.3g, allowed %.3g", got_, want_, got_ - want_, tolerance_);  \
        }                                                                                                            \
    } while (0)

#endif
