/* stem.h: convolutions in front of a Vision Transformer, in place of the patch embedding, as timm's
 * HybridEmbed has them. For inference alone. From pixels [N, 3, S, S] to rows [N, G, G, C].
 *
 *     CLIPMDL_STEM_CONVS   MobileCLIP-B (models/vision_transformer_hybrid.py):
 *                          gelu(conv 4x4/4), gelu(conv 2x2/2), conv 2x2/2
 *     CLIPMDL_STEM_STAGES  ViTamin (Chen et al. 2024, arXiv:2404.02132; models/vitamin.py):
 *                          conv 3x3(gelu(norm(conv 3x3/2))); two stages; conv 3x3/2(norm(x))
 *         stage:  blocks, the first of which halves the sides
 *         block:  shortcut(x) + conv 1x1(gelu(depthwise 3x3(gelu(conv 1x1(norm(x)))))), the
 *                 shortcut being x, or conv 1x1(mean of 3x3/2(x)) */
#ifndef CLIPMDL_STEM_H
#define CLIPMDL_STEM_H

#include "model/filters.h"

#define CLIPMDL_STEM_BLOCKS 8 /* at most, in both stages */

typedef struct clipmdl_stem_block {
    clipnn_layernorm norm;
    clipnn_linear in, out, shortcut; /* shortcut.w.N is 0 if there is no convolution */
    clipk_depthwise_weight conv;     /* stride 2: the shortcut has a mean */
    int I, O;                        /* channels */
} clipmdl_stem_block;

typedef struct clipmdl_stem {
    clipmdl_stem_kind kind;
    int S, C;               /* sides of the pictures; width of the rows */
    int width, outer;       /* channels of the first convolution, and in front of the last one */
    clipnn_linear conv[3];  /* [1]: CLIPMDL_STEM_CONVS */
    clipnn_layernorm norm, last_norm;
    clipnn_conv3x3 conv2;
    clipmdl_stem_block block[CLIPMDL_STEM_BLOCKS];
    int blocks;
} clipmdl_stem;

typedef struct clipmdl_stem_acts {
    float *x, *y, *wide, *other;
    void *work;
} clipmdl_stem_acts;

/* clipmdl_stem_init(): from a configuration whose eva.stem is one of these two. */
void clipmdl_stem_init(clipmdl_stem *m, const clipmdl_vision_config *v);

/* clipmdl_stem_bind(): name the parameters. prefix: "visual.trunk.patch_embed.backbone." */
void clipmdl_stem_bind(clipmdl_binder *b, clipmdl_stem *m, const char *prefix);
void clipmdl_stem_layout(clipb_arena *a, clipmdl_stem_acts *acts, const clipk_ctx *k, const clipmdl_stem *m, int N);
void clipmdl_stem_forward(const clipk_ctx *k, float *out, const clipmdl_stem_acts *a, const clipmdl_stem *m,
                          const float *pixels, int N);

#endif
