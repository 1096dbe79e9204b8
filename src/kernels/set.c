/* set.c: the list of tables, and which of them run here. */
#include <string.h>

#include "base/number.h"
#include "kernels/set.h"

static bool always(void) { return true; }

/* Best first. The oracle is last: it is found only by its name. */
static const struct {
    const clipk_set *set;
    bool (*runs)(void);
} sets[] = {
#if defined(__x86_64__)
    {&clipk_set_avx512, clipk_cpu_has_avx512},
    {&clipk_set_avx2, clipk_cpu_has_avx2},
#elif defined(__aarch64__)
    {&clipk_set_neon, always},
#endif
    {&clipk_set_generic, always},
    {&clipk_set_ref, always},
};

#define SETS (sizeof sets / sizeof *sets)

const clipk_set *clipk_set_find(const char *name)
{
    for (size_t i = 0; i < SETS; i++)
        if ((!name || strcmp(name, sets[i].set->name) == 0) && sets[i].runs())
            return sets[i].set;
    return NULL;
}

const clipk_set *clipk_set_usable(int i)
{
    for (size_t s = 0; s < SETS - 1; s++)
        if (sets[s].runs() && i-- == 0)
            return sets[s].set;
    return NULL;
}

/* Formats whose tiles only some sets have. */
static const struct {
    const clipk_set *set;
    clipk_tile tile;
    bool (*runs)(void);
} special_tiles[] = {
#if defined(__x86_64__)
    {&clipk_set_avx512, CLIPK_TILE_BF16_PAIRS, clipk_cpu_has_avx512_bf16},
    {&clipk_set_avx512, CLIPK_TILE_I8_QUADS, clipk_cpu_has_avx512_vnni},
    {&clipk_set_avx2, CLIPK_TILE_I8_QUADS, clipk_cpu_has_avx_vnni},
#elif defined(__aarch64__)
    {&clipk_set_neon, CLIPK_TILE_BF16_PAIRS, clipk_cpu_has_arm_bf16},
    {&clipk_set_neon, CLIPK_TILE_I8_SIGNED, clipk_cpu_has_dotprod},
#endif
    {&clipk_set_ref, CLIPK_TILE_BF16_PAIRS, always},
    {&clipk_set_ref, CLIPK_TILE_I8_QUADS, always},
    {&clipk_set_ref, CLIPK_TILE_I8_SIGNED, always},
};

bool clipk_set_has(const clipk_set *set, const clipk_format *format)
{
    for (size_t i = 0; format->needs && i < sizeof special_tiles / sizeof *special_tiles; i++)
        if (special_tiles[i].set == set && special_tiles[i].tile == format->tile)
            return special_tiles[i].runs();
    return !format->needs;
}

const char *clipk_set_name(const clipk_set *set) { return set->name; }

size_t clipk_scratch_bytes(const clipk_set *set, int threads)
{
    size_t most = clipk_gemm_scratch(set) + CLIPK_GEMM_FORMED;
    clipb_raise(&most, CLIPK_ATTENTION_SCRATCH);
    clipb_raise(&most, CLIPK_ATTENTION_BACK_SCRATCH);
    return clipb_round_up_size(most, CLIPK_ALIGN) * threads;
}
