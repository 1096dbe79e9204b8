/* ref_convert.c: the oracle of simd_convert.c. */
#include <assert.h>
#include <math.h>
#include <string.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static float from_f16(uint16_t h)
{
    int e = h >> 10 & 31, f = h & 1023;
    float v = e == 31 ? (f ? NAN : INFINITY) : e ? ldexpf((float)(1024 + f), e - 25) : ldexpf((float)f, -24);
    return h >> 15 ? -v : v;
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float v;
    memcpy(&v, &u, 4);
    return v;
}

static float one_to_f32(const char *p, clipk_type type)
{
    float f = 0;
    uint16_t h = 0;
    switch (type) {
    case CLIPK_F32: memcpy(&f, p, 4); return f;
    case CLIPK_F16: memcpy(&h, p, 2); return from_f16(h);
    case CLIPK_BF16: memcpy(&h, p, 2); return from_bf16(h);
    }
    assert(!"unknown type");
    return f;
}

void NAME(to_f32)(float *out, const void *in, clipk_type type, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = one_to_f32((const char *)in + i * clipk_type_size(type), type);
}

void NAME(to_f16)(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t sign = signbit(in[i]) ? 0x8000 : 0;
        const double x = fabs((double)in[i]);
        int e;
        if (isnan(in[i])) {
            out[i] = sign | 0x7e00;
            continue;
        }
        frexp(x, &e); /* x in 2^(e-1) .. 2^e: f16 numbers are 2^(e-11) apart there, and never less than 2^-24 */
        const double unit = ldexp(1, e - 11 > -24 ? e - 11 : -24), y = nearbyint(x / unit) * unit;
        if (!(y < 65520))
            out[i] = sign | 0x7c00;
        else if (y < 0x1p-14)
            out[i] = (uint16_t)(sign | (int)(y * 0x1p24));
        else {
            frexp(y, &e);
            out[i] = (uint16_t)(sign | ((e + 14) << 10 | ((int)ldexp(y, 11 - e) - 1024)));
        }
    }
}

void NAME(to_bf16)(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + i, 4);
        const uint32_t cut = u & 0xffff, half = 0x8000, odd = u >> 16 & 1;
        out[i] = (uint16_t)(isnan(in[i]) ? u >> 16 | 0x40 : (u >> 16) + (cut > half || (cut == half && odd)));
    }
}
