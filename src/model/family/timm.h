/* timm.h: image encoders that OpenCLIP takes from timm by their names. OpenCLIP's configuration
 * says the name and nothing else, so their numbers are here (timm 1.0,
 * models/vision_transformer.py). */
#ifndef CLIPMDL_TIMM_H
#define CLIPMDL_TIMM_H

#include "model/config.h"

/* name, width, layers, heads, width inside the MLP, patch, picture, activation. All are Vision
 * Transformers; SigLIP's have no class token and are pooled by attention. */
#define CLIPMDL_TIMM(X)                                                                    \
    X(vit_base_patch32_siglip_256, 768, 12, 12, 3072, 32, 256, CLIPK_GELU_TANH, SIGLIP)    \
    X(vit_base_patch16_siglip_224, 768, 12, 12, 3072, 16, 224, CLIPK_GELU, SIGLIP)         \
    X(vit_base_patch16_siglip_256, 768, 12, 12, 3072, 16, 256, CLIPK_GELU, SIGLIP)         \
    X(vit_base_patch16_siglip_384, 768, 12, 12, 3072, 16, 384, CLIPK_GELU, SIGLIP)         \
    X(vit_base_patch16_siglip_512, 768, 12, 12, 3072, 16, 512, CLIPK_GELU, SIGLIP)         \
    X(vit_large_patch16_siglip_256, 1024, 24, 16, 4096, 16, 256, CLIPK_GELU, SIGLIP)       \
    X(vit_large_patch16_siglip_384, 1024, 24, 16, 4096, 16, 384, CLIPK_GELU, SIGLIP)       \
    X(vit_large_patch16_siglip_512, 1024, 24, 16, 4096, 16, 512, CLIPK_GELU_TANH, SIGLIP)  \
    X(vit_so400m_patch14_siglip_224, 1152, 27, 16, 4304, 14, 224, CLIPK_GELU, SIGLIP)      \
    X(vit_so400m_patch14_siglip_378, 1152, 27, 16, 4304, 14, 378, CLIPK_GELU, SIGLIP)      \
    X(vit_so400m_patch14_siglip_384, 1152, 27, 16, 4304, 14, 384, CLIPK_GELU, SIGLIP)      \
    X(vit_so400m_patch16_siglip_256, 1152, 27, 16, 4304, 16, 256, CLIPK_GELU_TANH, SIGLIP) \
    X(vit_so400m_patch16_siglip_384, 1152, 27, 16, 4304, 16, 384, CLIPK_GELU_TANH, SIGLIP) \
    X(vit_so400m_patch16_siglip_512, 1152, 27, 16, 4304, 16, 512, CLIPK_GELU_TANH, SIGLIP) \
    X(vit_giantopt_patch16_siglip_256, 1536, 40, 16, 6144, 16, 256, CLIPK_GELU_TANH, SIGLIP) \
    X(vit_giantopt_patch16_siglip_384, 1536, 40, 16, 6144, 16, 384, CLIPK_GELU_TANH, SIGLIP) \
    X(vit_large_patch14_clip_224, 1024, 24, 16, 4096, 14, 224, CLIPK_GELU, CLIP)

/* clipmdl_timm_read(): the encoder of this name. *pool, *proj: what OpenCLIP's timm_pool and
 * timm_proj must be.
 * @return: false: the name is not in the table */
bool clipmdl_timm_read(const char *name, clipmdl_vision_config *out, const char **pool, const char **proj);

/* clipmdl_timm_name(): the name of such an encoder, or NULL. */
const char *clipmdl_timm_name(const clipmdl_vision_config *v);

#endif
