/* simd.h: the functions that the simd_*.c of one instruction set, or the ref_*.c of the oracle,
 * give to their table. list.h describes them.
 *
 * CLIPK_ISA: the name of the set, which every symbol carries: NAME(layernorm) is
 * clipk_layernorm_avx2. */
#ifndef CLIPK_SIMD_H
#define CLIPK_SIMD_H

#include "kernels/set.h"

#define CLIPK_CAT2(a, b) clipk_##a##_##b
#define CLIPK_CAT(a, b) CLIPK_CAT2(a, b)
#define NAME(x) CLIPK_CAT(x, CLIPK_ISA)
#define CLIPK_TEXT2(a) #a
#define CLIPK_TEXT(a) CLIPK_TEXT2(a)

#define KERNEL(type, name, parameters) type NAME(name) parameters;
#include "kernels/list.h"

#endif
