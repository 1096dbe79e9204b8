/* format.c: the table of weight formats. Packing and product read it; layers only carry a row. */
#include <string.h>

#include "kernels/kernels.h"

/* Of formats with the same precision, the fastest comes first. */
const clipk_format clipk_formats[CLIPK_TILES] = {
    [CLIPK_TILE_F32] = {"f32", "f32", NULL, CLIPK_TILE_F32, CLIPK_F32, 4, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_F16] = {"f16", "f32", NULL, CLIPK_TILE_F16, CLIPK_F16, 2, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_BF16] = {"bf16", "f32", NULL, CLIPK_TILE_BF16, CLIPK_BF16, 2, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_BF16_PAIRS] = {"bf16 pairs", "bf16", "AVX512_BF16 or BF16 of ARM", CLIPK_TILE_BF16_PAIRS, CLIPK_BF16, 2,
                               2, 0, CLIPK_X_BF16},
    [CLIPK_TILE_I8_QUADS] = {"int8 quads", "int8", "VNNI", CLIPK_TILE_I8_QUADS, CLIPK_F32, 1, 4, CLIPK_ROTATES,
                             CLIPK_X_U8},
    [CLIPK_TILE_I8_SIGNED] = {"int8 quads, signed", "int8", "DotProd", CLIPK_TILE_I8_SIGNED, CLIPK_F32, 1, 4,
                              CLIPK_ROTATES, CLIPK_X_I8},
    [CLIPK_TILE_I8_PAIRS] = {"int8 pairs", "int8", NULL, CLIPK_TILE_I8_PAIRS, CLIPK_F32, 2, 2, CLIPK_ROTATES,
                             CLIPK_X_I16},
};

const clipk_format *clipk_format_find(const char *precision, const clipk_set *set)
{
    const clipk_format *first = NULL;
    for (int i = CLIPK_TILES - 1; i >= 0; i--) {
        const clipk_format *f = &clipk_formats[i];
        if (strcmp(f->precision, precision) == 0 && (!first || !set || clipk_set_has(set, f)))
            first = f;
    }
    return first;
}

const clipk_format *clipk_format_for(const clipk_format *wanted, clipk_type type, int K)
{
    if (wanted->x != CLIPK_X_F32 && K <= CLIPK_FORMED_K)
        return wanted;
    for (int i = 0; i < CLIPK_TILES; i++)
        if (clipk_formats[i].x == CLIPK_X_F32 && clipk_formats[i].type == type)
            return &clipk_formats[i];
    return CLIPK_FORMAT_F32;
}
