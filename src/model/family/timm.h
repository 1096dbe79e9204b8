/* timm.h: image encoders that OpenCLIP takes from timm by their names. OpenCLIP's configuration
 * says the name and nothing else, so their numbers are here (timm 1.0, models/). */
#ifndef CLIPMDL_TIMM_H
#define CLIPMDL_TIMM_H

#include "model/config.h"

/* name, kind (timm.c), then the numbers of this kind:
 * SIGLIP, CLIP      Vision Transformers: width, layers, heads, width inside the MLP, patch,
 *                   picture,
 *                   activation. SigLIP's have no class token and are pooled by attention.
 * EVA, EVA02, PE..  width, layers, heads, width inside the MLP, patch, picture
 * MCI               the same
 * VITAMIN           width, layers, heads, picture, channels of the first stage, without positions?
 * CONVNEXT, FASTVIT..  width of the first stage, blocks in each stage; ConvNeXt: epsilon of the
 *                   norms. Pictures may have any size that is a multiple of 32 or 64. */
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
    X(vit_pe_core_gigantic_patch14_448, PE_G, 1536, 50, 16, 8960, 14, 448)                 \
    X(vit_base_mci_224, MCI, 768, 12, 12, 3072, 16, 224)                                   \
    X(vitamin_small_224, VITAMIN, 384, 14, 6, 224, 64, false)                              \
    X(vitamin_base_224, VITAMIN, 768, 14, 12, 224, 128, false)                             \
    X(vitamin_large_224, VITAMIN, 1024, 31, 16, 224, 160, false)                           \
    X(vitamin_large_256, VITAMIN, 1024, 31, 16, 256, 160, false)                           \
    X(vitamin_large_336, VITAMIN, 1024, 31, 16, 336, 160, false)                           \
    X(vitamin_large_384, VITAMIN, 1024, 31, 16, 384, 160, false)                           \
    X(vitamin_large2_224, VITAMIN, 1024, 31, 16, 224, 160, false)                          \
    X(vitamin_large2_256, VITAMIN, 1024, 31, 16, 256, 160, false)                          \
    X(vitamin_large2_336, VITAMIN, 1024, 31, 16, 336, 160, false)                          \
    X(vitamin_large2_384, VITAMIN, 1024, 31, 16, 384, 160, false)                          \
    X(vitamin_xlarge_256, VITAMIN, 1152, 32, 16, 256, 192, true)                           \
    X(vitamin_xlarge_336, VITAMIN, 1152, 32, 16, 336, 192, true)                           \
    X(vitamin_xlarge_384, VITAMIN, 1152, 32, 16, 384, 192, true)                           \
    X(convnext_tiny, CONVNEXT, 96, 3, 3, 9, 3, 1e-6f)                                      \
    X(convnext_small, CONVNEXT, 96, 3, 3, 27, 3, 1e-6f)                                    \
    X(convnext_base, CONVNEXT, 128, 3, 3, 27, 3, 1e-6f)                                    \
    X(convnext_large, CONVNEXT, 192, 3, 3, 27, 3, 1e-6f)                                   \
    X(convnext_xlarge, CONVNEXT, 256, 3, 3, 27, 3, 1e-6f)                                  \
    X(convnext_xxlarge, CONVNEXT, 384, 3, 4, 30, 3, 1e-5f)                                 \
    X(fastvit_mci0, FASTVIT, 64, 2, 6, 10, 2)                                              \
    X(fastvit_mci1, FASTVIT, 64, 4, 12, 20, 4)                                             \
    X(fastvit_mci2, FASTVIT, 80, 4, 12, 24, 4)                                             \
    X(fastvit_mci3, FASTVIT_5, 96, 2, 12, 24, 4, 2)                                        \
    X(fastvit_mci4, FASTVIT_5, 128, 2, 12, 24, 4, 4)

/* clipmdl_timm_read(): the encoder of this name. *pool, *proj: what OpenCLIP's timm_pool and
 * timm_proj must be; where *proj is "linear", it may be "mlp" (mlp_head).
 * @return: false: the name is not in the table */
bool clipmdl_timm_read(const char *name, clipmdl_vision_config *out, const char **pool, const char **proj);

/* clipmdl_timm_name(): the name of such an encoder, or NULL.
 * pool, proj  out  may be NULL */
const char *clipmdl_timm_name(const clipmdl_vision_config *v, const char **pool, const char **proj);

#endif
