/* format.c: the table of weight formats. Packing and product read it; layers only carry a row. */
#include <string.h>

#include "kernels/kernels.h"

const clipk_format clipk_formats[CLIPK_TILES] = {
    [CLIPK_TILE_F32] = {"f32", "f32", NULL, CLIPK_TILE_F32, CLIPK_F32, 4, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_F16] = {"f16", "f32", NULL, CLIPK_TILE_F16, CLIPK_F16, 2, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_BF16] = {"bf16", "f32", NULL, CLIPK_TILE_BF16, CLIPK_BF16, 2, 1, 0, CLIPK_X_F32},
    [CLIPK_TILE_BF16_PAIRS] = {"bf16 pairs", "bf16", "AVX512_BF16", CLIPK_TILE_BF16_PAIRS, CLIPK_BF16, 2, 2, 0,
                               CLIPK_X_BF16},
};

const clipk_format *clipk_format_find(const char *precision)
{
    for (int i = 0; i < CLIPK_TILES; i++)
        if (strcmp(clipk_formats[i].precision, precision) == 0)
            return &clipk_formats[i];
    return NULL;
}

const clipk_format *clipk_format_for(const clipk_format *wanted, clipk_type type)
{
    if (wanted->x != CLIPK_X_F32)
        return wanted;
    for (int i = 0; i < CLIPK_TILES; i++)
        if (clipk_formats[i].x == CLIPK_X_F32 && clipk_formats[i].type == type)
            return &clipk_formats[i];
    return wanted;
}
