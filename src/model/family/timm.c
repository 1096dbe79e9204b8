/* timm.c: the table of timm's encoders. */
#include "model/family/timm.h"

#include <string.h>

#include "model/tower.h"

typedef struct timm_model {
    const char *name, *pool, *proj;
    clipmdl_vision_config config;
} timm_model;

#define VIT(w, n, h, f, p, s) \
    .image_size = s, .patch_size = p, .width = w, .heads = h, .layers = n, .mlp = f, .trunk = true

#define SIGLIP(w, n, h, f, p, s, activation)                                                                     \
    "map", "none",                                                                                               \
    {                                                                                                            \
        VIT(w, n, h, f, p, s), .tower = &clipmdl_vit, .pooling = CLIPNN_POOL_ATTENTION, .eps = 1e-6f,            \
                               .act = activation, .projection = CLIPMDL_PROJECTION_NONE, .patch_bias = true      \
    }
#define CLIP(w, n, h, f, p, s, activation)                                                                       \
    "token", NULL,                                                                                               \
    {                                                                                                            \
        VIT(w, n, h, f, p, s), .tower = &clipmdl_vit, .pooling = CLIPNN_POOL_FIRST, .eps = 1e-5f,                \
                               .act = activation, .projection = CLIPMDL_PROJECTION_LINEAR, .class_token = true,  \
                               .ln_pre = true                                                                    \
    }

/* models/eva.py */
#define TOKEN(w, n, h, f, p, s, ...)                                                                             \
    "token", NULL,                                                                                               \
    {                                                                                                            \
        VIT(w, n, h, f, p, s), .tower = &clipmdl_eva, .pooling = CLIPNN_POOL_FIRST, .eps = 1e-6f,                \
                               .act = CLIPK_GELU, .projection = CLIPMDL_PROJECTION_LINEAR, .class_token = true,  \
                               .patch_bias = true, .eva = {__VA_ARGS__}                                          \
    }
#define EVA(w, n, h, f, p, s) TOKEN(w, n, h, f, p, s, .turn = 0)
#define EVA02(w, n, h, f, p, s) TOKEN(w, n, h, f, p, s, .split = true, .inner_norms = true, .gated = true, .turn = 16)
#define EVA02_E(w, n, h, f, p, s) TOKEN(w, n, h, f, p, s, .post_norm = true)
#define MAP(w, n, h, f, p, s, cls, from)                                                                         \
    "map", NULL,                                                                                                 \
    {                                                                                                            \
        VIT(w, n, h, f, p, s), .tower = &clipmdl_eva, .pooling = CLIPNN_POOL_ATTENTION, .eps = 1e-5f,            \
                               .act = CLIPK_GELU, .projection = CLIPMDL_PROJECTION_LINEAR, .class_token = cls,   \
                               .ln_pre = true,                                                                   \
                               .eva = {.k_bias = true, .turn = (s) / (p), .turn_from = from,                     \
                                       .columns_first = true, .pool_heads = 8}                                   \
    }
#define PE(w, n, h, f, p, s) MAP(w, n, h, f, p, s, true, 1)
#define PE_G(w, n, h, f, p, s) MAP(w, n, h, f, p, s, false, 0)

/* models/vision_transformer_hybrid.py, models/vitamin.py */
#define MCI(w, n, h, f, p, s)                                                                                    \
    "token", NULL,                                                                                               \
    {                                                                                                            \
        VIT(w, n, h, f, p, s), .tower = &clipmdl_eva, .pooling = CLIPNN_POOL_FIRST, .eps = 1e-6f,                \
                               .act = CLIPK_GELU, .projection = CLIPMDL_PROJECTION_LINEAR, .class_token = true,  \
                               .eva = {.k_bias = true, .bare_class = true, .stem = CLIPMDL_STEM_CONVS}           \
    }
#define VITAMIN(w, n, h, s, c, none)                                                                             \
    "", "linear",                                                                                                \
    {                                                                                                            \
        VIT(w, n, h, 2 * (w), 16, s), .tower = &clipmdl_eva, .pooling = CLIPNN_POOL_MEAN, .eps = 1e-6f,          \
                               .act = CLIPK_GELU,                                                                \
                               .eva = {.k_bias = true, .geglu = true, .outer_head = true, .no_positions = none,  \
                                       .stem = CLIPMDL_STEM_STAGES, .stem_width = c,                             \
                                       .stem_stage = {c, 2 * (c)}}                                               \
    }

/* models/convnext.py */
#define CONVNEXT(w, a, b, c, d, e)                                                                               \
    "", "linear",                                                                                                \
    {                                                                                                            \
        .tower = &clipmdl_convnext, .image_size = 224, .width = w, .stage = {a, b, c, d}, .eps = e,              \
        .act = CLIPK_GELU, .trunk = true                                                                         \
    }

/* models/fastvit.py */
#define FASTVIT(w, a, b, c, d)                                                                                   \
    "avg", NULL,                                                                                                 \
    {                                                                                                            \
        .tower = &clipmdl_fastvit, .image_size = 256, .width = w, .stage = {a, b, c, d}, .eps = 1e-5f,           \
        .act = CLIPK_GELU, .trunk = true, .mlp_ratio = 3, .squeezes = true                                       \
    }
#define FASTVIT_5(w, a, b, c, d, e)                                                                              \
    "avg", NULL,                                                                                                 \
    {                                                                                                            \
        .tower = &clipmdl_fastvit, .image_size = 256, .width = w, .stage = {a, b, c, d, e}, .eps = 1e-5f,        \
        .act = CLIPK_GELU, .trunk = true, .mlp_ratio = 4, .layer_norms = true, .plain_stem = true                \
    }

static const timm_model models[] = {
#define X(name, kind, ...) {#name, kind(__VA_ARGS__)},
    CLIPMDL_TIMM(X)
#undef X
};

bool clipmdl_timm_read(const char *name, clipmdl_vision_config *out, const char **pool, const char **proj)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0) {
            *out = models[i].config;
            *pool = models[i].pool;
            *proj = models[i].proj;
            return true;
        }
    return false;
}

static bool same_blocks(const clipmdl_eva_config *a, const clipmdl_eva_config *b)
{
    return a->split == b->split && a->k_bias == b->k_bias && a->inner_norms == b->inner_norms &&
           a->gated == b->gated && a->post_norm == b->post_norm && a->turn == b->turn &&
           a->turn_from == b->turn_from && a->columns_first == b->columns_first && a->pool_heads == b->pool_heads &&
           a->geglu == b->geglu && a->bare_class == b->bare_class && a->no_positions == b->no_positions &&
           a->outer_head == b->outer_head && a->stem == b->stem && a->stem_width == b->stem_width;
}

/* What has stages takes pictures of any size. */
static bool is(const clipmdl_vision_config *a, const clipmdl_vision_config *b)
{
    return a->tower == b->tower && (a->image_size == b->image_size || a->stage[0] > 0) &&
           memcmp(a->stage, b->stage, sizeof a->stage) == 0 && a->patch_size == b->patch_size &&
           a->width == b->width && a->heads == b->heads && a->layers == b->layers && a->mlp == b->mlp &&
           a->pooling == b->pooling && a->eps == b->eps && a->act == b->act && a->projection == b->projection &&
           a->class_token == b->class_token && a->ln_pre == b->ln_pre && a->patch_bias == b->patch_bias &&
           same_blocks(&a->eva, &b->eva);
}

const char *clipmdl_timm_name(const clipmdl_vision_config *v, const char **pool, const char **proj)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (is(v, &models[i].config)) {
            if (pool)
                *pool = models[i].pool;
            if (proj)
                *proj = v->mlp_head ? "mlp" : models[i].proj;
            return models[i].name;
        }
    return NULL;
}
