/* cpu.c: what the processor can do and the operating system saves. Compiled without flags of an
 * instruction set, so it runs everywhere. */
#include "kernels/set.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>

enum { KNOWN = 1, AVX2 = 2, AVX512 = 4, AVX512_BF16 = 8, AVX512_VNNI = 16, AVX_VNNI = 32 };

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

static int detect(void)
{
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    const uint64_t saved = saved_registers();
    unsigned a, b, c, d, a7, b7, c7, d7, a71 = 0, b71, c71, d71;
    int found = KNOWN;
    if ((saved & SAVES_YMM) != SAVES_YMM || !__get_cpuid(1, &a, &b, &c, &d) ||
        !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7) || !(c & bit_FMA) || !(c & bit_F16C) || !(b7 & bit_AVX2))
        return found;
    __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71);
    found |= AVX2 | (a71 & bit_AVXVNNI ? AVX_VNNI : 0);
    if ((saved & SAVES_ZMM) == SAVES_ZMM && (b7 & avx512) == avx512)
        found |= AVX512 | (a71 & bit_AVX512BF16 ? AVX512_BF16 : 0) | (c7 & bit_AVX512VNNI ? AVX512_VNNI : 0);
    return found;
}

/* Asked once: a virtual machine may take 50 microseconds for an answer. */
static bool has(int feature)
{
    static _Atomic int known;
    int features = atomic_load_explicit(&known, memory_order_relaxed);
    if (!features) {
        features = detect();
        atomic_store_explicit(&known, features, memory_order_relaxed);
    }
    return features & feature;
}

bool clipk_cpu_has_avx2(void) { return has(AVX2); }
bool clipk_cpu_has_avx512(void) { return has(AVX512); }
bool clipk_cpu_has_avx512_bf16(void) { return has(AVX512_BF16); }
bool clipk_cpu_has_avx512_vnni(void) { return has(AVX512_VNNI); }
bool clipk_cpu_has_avx_vnni(void) { return has(AVX_VNNI); }

#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#if !defined(HWCAP2_BF16) /* Linux before 5.6 */
#define HWCAP2_BF16 (1 << 14)
#endif

bool clipk_cpu_has_arm_bf16(void) { return getauxval(AT_HWCAP2) & HWCAP2_BF16; }
bool clipk_cpu_has_dotprod(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }

#elif defined(__aarch64__)

bool clipk_cpu_has_arm_bf16(void) { return false; }
bool clipk_cpu_has_dotprod(void) { return false; }

#endif
