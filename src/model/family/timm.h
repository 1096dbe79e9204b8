/* timm.h: image encoders that OpenCLIP takes from timm by their names. OpenCLIP's configuration
 * says the name and nothing else, so their numbers are here (timm 1.0, models/). */
#ifndef CLIPMDL_TIMM_H
#define CLIPMDL_TIMM_H

#include "model/config.h"

/* name, kind (timm.c), then the numbers of this kind:
 * SIGLIP, CLIP      Vision Transformers: width, layers, heads, width inside the MLP, patch, picture,
 *                   activation. SigLIP's have no class token and are pooled by attention.
 * EVA, EVA02, PE..  width, layers, heads, width inside the MLP, patch, picture */
#define CLIPMDL_TIMM(X)                                                                    \
    X(vit_base_patch32_siglip_256, SIGLIP, 768, 12, 12, 3072, 32, 256, CLIPK_GELU_TANH)    \
    X(vit_base_patch16_siglip_224, SIGLIP, 768, 12, 12, 3072, 16, 224, CLIPK_GELU)         \
    X(vit_base_patch16_siglip_256, SIGLIP, 768, 12, 12, 3072, 16, 256, CLIPK_GELU)         \
    X(vit_base_patch16_siglip_384, SIGLIP, 768, 12, 12, 3072, 16, 384, CLIPK_GELU)         \
    X(vit_base_patch16_siglip_512, SIGLIP, 768, 12, 12, 3072, 16, 512, CLIPK_GELU)         \
    X(vit_large_patch16_siglip_256, SIGLIP, 1024, 24, 16, 4096, 16, 256, CLIPK_GELU)       \
    X(vit_large_patch16_siglip_384, SIGLIP, 1024, 24, 16, 4096, 16, 384, CLIPK_GELU)       \
    X(vit_large_patch16_siglip_512, SIGLIP, 1024, 24, 16, 4096, 16, 512, CLIPK_GELU_TANH)  \
    X(vit_so400m_patch14_siglip_224, SIGLIP, 1152, 27, 16, 4304, 14, 224, CLIPK_GELU)      \
    X(vit_so400m_patch14_siglip_378, SIGLIP, 1152, 27, 16, 4304, 14, 378, CLIPK_GELU)      \
    X(vit_so400m_patch14_siglip_384, SIGLIP, 1152, 27, 16, 4304, 14, 384, CLIPK_GELU)      \
    X(vit_so400m_patch16_siglip_256, SIGLIP, 1152, 27, 16, 4304, 16, 256, CLIPK_GELU_TANH) \
    X(vit_so400m_patch16_siglip_384, SIGLIP, 1152, 27, 16, 4304, 16, 384, CLIPK_GELU_TANH) \
    X(vit_so400m_patch16_siglip_512, SIGLIP, 1152, 27, 16, 4304, 16, 512, CLIPK_GELU_TANH) \
    X(vit_giantopt_patch16_siglip_256, SIGLIP, 1536, 40, 16, 6144, 16, 256, CLIPK_GELU_TANH) \
    X(vit_giantopt_patch16_siglip_384, SIGLIP, 1536, 40, 16, 6144, 16, 384, CLIPK_GELU_TANH) \
    X(vit_large_patch14_clip_224, CLIP, 1024, 24, 16, 4096, 14, 224, CLIPK_GELU)           \
    X(eva_giant_patch14_224, EVA, 1408, 40, 16, 6144, 14, 224)                             \
    X(eva02_base_patch16_clip_224, EVA02, 768, 12, 12, 2048, 16, 224)                      \
    X(eva02_large_patch14_clip_224, EVA02, 1024, 24, 16, 2730, 14, 224)                    \
    X(eva02_large_patch14_clip_336, EVA02, 1024, 24, 16, 2730, 14, 336)                    \
    X(eva02_enormous_patch14_clip_224, EVA02_E, 1792, 64, 16, 15360, 14, 224)              \
    X(vit_pe_core_tiny_patch16_384, PE, 192, 12, 3, 768, 16, 384)                          \
    X(vit_pe_core_small_patch16_384, PE, 384, 12, 6, 1536, 16, 384)                        \
    X(vit_pe_core_base_patch16_224, PE, 768, 12, 12, 3072, 16, 224)                        \
    X(vit_pe_core_large_patch14_336, PE, 1024, 24, 16, 4096, 14, 336)                      \
    X(vit_pe_core_gigantic_patch14_448, PE_G, 1536, 50, 16, 8960, 14, 448)

/* clipmdl_timm_read(): the encoder of this name. *pool, *proj: what OpenCLIP's timm_pool and
 * timm_proj must be.
 * @return: false: the name is not in the table */
bool clipmdl_timm_read(const char *name, clipmdl_vision_config *out, const char **pool, const char **proj);

/* clipmdl_timm_name(): the name of such an encoder, or NULL.
 * pool, proj  out  may be NULL */
const char *clipmdl_timm_name(const clipmdl_vision_config *v, const char **pool, const char **proj);

#endif
