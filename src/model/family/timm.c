/* timm.c: the table of timm's encoders. */
#include "model/family/timm.h"

#include <string.h>

#include "model/tower.h"

typedef enum pooled_as { SIGLIP, CLIP } pooled_as;

typedef struct timm_model {
    const char *name;
    int width, layers, heads, mlp, patch, size;
    clipk_act act;
    pooled_as as;
} timm_model;

static const timm_model models[] = {
#define X(name, width, layers, heads, mlp, patch, size, act, as) \
    {#name, width, layers, heads, mlp, patch, size, act, as},
    CLIPMDL_TIMM(X)
#undef X
};

static clipmdl_vision_config config_of(const timm_model *m)
{
    const bool siglip = m->as == SIGLIP;
    return (clipmdl_vision_config){.tower = &clipmdl_vit,
                                   .image_size = m->size,
                                   .patch_size = m->patch,
                                   .width = m->width,
                                   .heads = m->heads,
                                   .layers = m->layers,
                                   .mlp = m->mlp,
                                   .pooling = siglip ? CLIPNN_POOL_ATTENTION : CLIPNN_POOL_FIRST,
                                   .eps = siglip ? 1e-6f : 1e-5f,
                                   .act = m->act,
                                   .projection = siglip ? CLIPMDL_PROJECTION_NONE : CLIPMDL_PROJECTION_LINEAR,
                                   .trunk = true,
                                   .class_token = !siglip,
                                   .ln_pre = !siglip,
                                   .patch_bias = siglip};
}

bool clipmdl_timm_read(const char *name, clipmdl_vision_config *out, const char **pool, const char **proj)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0) {
            *out = config_of(&models[i]);
            *pool = models[i].as == SIGLIP ? "map" : "token";
            *proj = models[i].as == SIGLIP ? "none" : NULL;
            return true;
        }
    return false;
}

static bool is(const clipmdl_vision_config *a, const clipmdl_vision_config *b)
{
    return a->tower == b->tower && a->image_size == b->image_size && a->patch_size == b->patch_size &&
           a->width == b->width && a->heads == b->heads && a->layers == b->layers && a->mlp == b->mlp &&
           a->pooling == b->pooling && a->eps == b->eps && a->act == b->act && a->projection == b->projection &&
           a->class_token == b->class_token && a->ln_pre == b->ln_pre && a->patch_bias == b->patch_bias;
}

const char *clipmdl_timm_name(const clipmdl_vision_config *v)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const clipmdl_vision_config c = config_of(&models[i]);
        if (is(v, &c))
            return models[i].name;
    }
    return NULL;
}
