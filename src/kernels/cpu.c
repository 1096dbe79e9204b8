/* cpu.c: what the processor can do and the operating system saves. Compiled without flags of an
 * instruction set, so it runs everywhere. */
#include "kernels/set.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: which registers the operating system saves when it changes threads. OSXSAVE says whether it
 * can be read. */
static uint64_t saved_registers(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

#define SAVES_YMM 0x06u /* XMM and YMM */
#define SAVES_ZMM 0xe6u /* XMM, YMM, masks and both halves of ZMM */

bool clipk_cpu_has_avx2(void)
{
    unsigned a, b, c, d, a7, b7, c7, d7;
    if ((saved_registers() & SAVES_YMM) != SAVES_YMM)
        return false;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7))
        return false;
    return (c & bit_FMA) && (c & bit_F16C) && (b7 & bit_AVX2);
}

bool clipk_cpu_has_avx512(void)
{
    unsigned a, b, c, d;
    const unsigned all = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!clipk_cpu_has_avx2() || (saved_registers() & SAVES_ZMM) != SAVES_ZMM)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & all) == all;
}

bool clipk_cpu_has_avx512_bf16(void)
{
    unsigned a, b, c, d;
    return clipk_cpu_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16);
}

bool clipk_cpu_has_avx512_vnni(void)
{
    unsigned a, b, c, d;
    return clipk_cpu_has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_AVX512VNNI);
}

bool clipk_cpu_has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return clipk_cpu_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVXVNNI);
}

#else

bool clipk_cpu_has_avx2(void) { return false; }
bool clipk_cpu_has_avx512(void) { return false; }
bool clipk_cpu_has_avx512_bf16(void) { return false; }
bool clipk_cpu_has_avx512_vnni(void) { return false; }
bool clipk_cpu_has_avx_vnni(void) { return false; }

#endif
