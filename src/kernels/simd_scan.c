/* simd_scan.c: what searching many vectors is made of. One thread, a piece of the rows. */
#include "kernels/simd.h"
#include "kernels/vec.h"

#define ACCS 4

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
        else if (em < 0x38800000) { /* a denormal of f16: adding 0.5 leaves its multiple of 2^-24, rounded, in the last bits */
            memcpy(&f, &em, 4);
            f += 0.5f;
            memcpy(&h, &f, 4);
            h -= 0x3f000000;
        } else
            h = (em - 0x38000000 + 0xfff + (em >> 13 & 1)) >> 13;
        out[i] = (uint16_t)(h | (u >> 16 & 0x8000));
    }
}

float NAME(dot_f16)(const float *q, const void *x, int D)
{
    const char *p = x;
    vf s[ACCS] = {{0}};
    int d = 0;
    for (; d + ACCS * CLIPK_VL <= D; d += ACCS * CLIPK_VL)
        for (int i = 0; i < ACCS; i++)
            s[i] += vload(q + d + i * CLIPK_VL) * vload_f16(p + 2 * (d + i * CLIPK_VL));
    for (int i = 0; d < D; d += CLIPK_VL, i++) {
        const int n = D - d < CLIPK_VL ? D - d : CLIPK_VL;
        uint16_t rest[CLIPK_VL] = {0};
        memcpy(rest, p + 2 * d, 2 * (size_t)n);
        s[i] += (n < CLIPK_VL ? vload_n(q + d, n) : vload(q + d)) * vload_f16(rest);
    }
    return vsum((s[0] + s[1]) + (s[2] + s[3]));
}
