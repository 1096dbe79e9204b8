/* simd_convert.c: numbers from one type to another. One thread. */
#include "kernels/vec.h"

/* Inlined once for each type of 16 bits, which is then a constant. */
static inline __attribute__((always_inline)) void widen(float *out, const char *p, clipk_type type, size_t n)
{
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL)
        vstore(out + i, vload_any(p + 2 * i, type));
    if (i < n) {
        char last[2 * CLIPK_VL] = {0};
        memcpy(last, p + 2 * i, 2 * (n - i));
        vstore_n(out + i, vload_any(last, type), (int)(n - i));
    }
}

void NAME(to_f32)(float *out, const void *in, clipk_type type, size_t n)
{
    switch (type) {
    case CLIPK_F32: memcpy(out, in, n * 4); return;
    case CLIPK_F16: widen(out, in, CLIPK_F16, n); return;
    case CLIPK_BF16: widen(out, in, CLIPK_BF16, n); return;
    }
    assert(!"unknown type");
}

void NAME(to_f16)(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) {
        uint32_t u, em;
        float f = in[i];
        memcpy(&u, &f, 4);
        em = u & 0x7fffffff;
        uint32_t h;
        if (em >= 0x7f800000) /* infinity, NaN */
            h = em > 0x7f800000 ? 0x7e00 : 0x7c00;
        else if (em >= 0x477ff000) /* rounds to more than 65504 */
            h = 0x7c00;
        else if (em < 0x38800000) { /* denormal: + 0.5 leaves its multiple of 2^-24 in the low bits */
            memcpy(&f, &em, 4);
            f += 0.5f;
            memcpy(&h, &f, 4);
            h -= 0x3f000000;
        } else
            h = (em - 0x38000000 + 0xfff + (em >> 13 & 1)) >> 13;
        out[i] = (uint16_t)(h | (u >> 16 & 0x8000));
    }
}

void NAME(to_bf16)(uint16_t *out, const float *in, size_t n)
{
    vh h;
    size_t i = 0;
    for (; i + CLIPK_VL <= n; i += CLIPK_VL) {
        h = vto_bf16(vload(in + i));
        memcpy(out + i, &h, sizeof h);
    }
    if (i < n) {
        h = vto_bf16(vload_n(in + i, (int)(n - i)));
        memcpy(out + i, &h, 2 * (n - i));
    }
}
