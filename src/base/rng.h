/* rng.h: random numbers that are a function of their place. The numbers of sample 17 in epoch 3 do
 * not depend on other samples, on threads or on interruptions.
 *
 *     clipb_rng r = clipb_rng_at(seed, CLIPB_RNG_AUGMENT, epoch, sample);
 *     float zoom = 0.6f + 0.4f * clipb_rng_float(&r);
 *
 * SplitMix64 (Steele, Lea and Flood 2014), started with a hash of the place. */
#ifndef CLIPB_RNG_H
#define CLIPB_RNG_H

#include <math.h>
#include <stdint.h>

/* Streams, one for each use. They are independent of each other. */
enum { CLIPB_RNG_INIT, CLIPB_RNG_SHUFFLE, CLIPB_RNG_CAPTION, CLIPB_RNG_AUGMENT, CLIPB_RNG_PATCHES };

typedef struct clipb_rng {
    uint64_t state;
} clipb_rng;

static inline uint64_t clipb_rng_next(clipb_rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline clipb_rng clipb_rng_at(uint64_t seed, int stream, uint64_t a, uint64_t b)
{
    clipb_rng r = {seed};
    const uint64_t place[3] = {(uint64_t)stream, a, b};
    for (int i = 0; i < 3; i++)
        r.state = clipb_rng_next(&r) ^ place[i];
    clipb_rng_next(&r);
    return r;
}

/* In [0, 1), a multiple of 2^-24. */
static inline float clipb_rng_float(clipb_rng *r) { return (float)(clipb_rng_next(r) >> 40) * 0x1p-24f; }

static inline float clipb_rng_between(clipb_rng *r, float lo, float hi) { return lo + (hi - lo) * clipb_rng_float(r); }

/* In [0, n). The bias is below 2^-32. */
static inline uint32_t clipb_rng_below(clipb_rng *r, uint32_t n)
{
    return (uint32_t)((clipb_rng_next(r) >> 32) * n >> 32);
}

/* Normal, mean 0 and deviation 1 (Box and Muller 1958). */
static inline float clipb_rng_normal(clipb_rng *r)
{
    double u = ((double)(clipb_rng_next(r) >> 11) + 0.5) * 0x1p-53, v = (double)(clipb_rng_next(r) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

#endif
