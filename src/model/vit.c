/* vit.c: the Vision Transformer of CLIP:
 *
 *     patches -> conv1 -> [class, patches] + positions -> ln_pre
 *             -> blocks -> ln_post -> pool -> proj
 *
 * The configuration chooses class token, ln_pre, the bias of conv1, the pooling, and whether
 * transformers' pooler stands behind it. */
#include <math.h>
#include <stdlib.h>

#include "model/transformer.h"

typedef struct vit {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_linear conv1;               /* [C, 3*P*P] */
    const float *class_embedding;      /* [C]; NULL: no class token */
    const float *positional_embedding; /* [c+G*G, C]; c = 1 with a class token, otherwise 0 */
    clipnn_layernorm ln_pre;
    clipmdl_trunk trunk;
    float *d_class_embedding, *d_positional_embedding; /* training only */
} vit;

typedef struct vit_acts {
    float *patches; /* [N*K, 3*P*P] */
    float *embed;   /* [N*K, C]; in backward its gradient */
    float *tokens;  /* [N*(c+K), C]: before ln_pre */
    float *x;       /* after it; tokens itself without a tape or without ln_pre */
    float *mean_pre, *rstd_pre;
    int32_t *off;
    clipmdl_trunk_acts trunk;
} vit_acts;

static int kept_patches(const vit *m, const clipmdl_input *in) { return in->K ? in->K : m->tower.patches; }
static const char *prefix_of(const clipmdl_vision_config *v) { return v->trunk ? "visual.trunk." : "visual."; }
static int class_tokens(const vit *m) { return m->cfg.class_token ? 1 : 0; }
static int side_of(const vit *m) { return m->cfg.image_size / m->cfg.patch_size; }

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    if (v->layers < 1)
        return clipb_fail(err, CLIP_EFORMAT, file, "a Transformer without layers");
    TRY(clipmdl_check_heads("vision", v->width, v->heads, file, err));
    if (v->patch_size > v->image_size)
        return clipb_fail(err, CLIP_EFORMAT, file, "patches of %d do not fit pictures of %d", v->patch_size,
                          v->image_size);
    if (v->image_size / v->patch_size > CLIPMDL_MOST_GRID)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "more than %d patches a side", CLIPMDL_MOST_GRID);
    if (v->norm_last && v->pooling != CLIPNN_POOL_MEAN)
        return clipb_fail(err, CLIP_EFORMAT, file, "a norm stands behind the pooling only if that is a mean");
    if (v->pool_queries)
        TRY(clipmdl_check_heads("pooler's", c->embed_dim, v->pool_heads, file, err));
    if (!(v->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "a negative epsilon of the layer norms");
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    vit *m = (vit *)t;
    const clipmdl_vision_config *v = &c->vision;
    m->cfg = *v;
    m->trunk = (clipmdl_trunk){.layers = v->layers,
                               .width = v->width,
                               .embed_dim = c->embed_dim,
                               .has_pooler = v->pooler,
                               .projection = v->projection,
                               .eps = v->eps,
                               .pool = {.by = v->pooling, .skip = class_tokens(m)},
                               .norm_last = v->norm_last,
                               .layer_scale = v->layer_scale,
                               .queries = v->pool_queries};
    t->patches = side_of(m) * side_of(m);
    t->tokens = class_tokens(m) + t->patches;
    return clipmdl_trunk_init(t, &m->trunk, v->heads, v->mlp, v->act);
}

/* The blocks of a ViT for inference alone are not shown: heat maps would ask for backward. */
static clip_status init_scaled(clipmdl_tower *t, const clipmdl_config *c)
{
    TRY(init(t, c));
    t->block = NULL;
    return CLIP_OK;
}

/* What is pooled is as wide as the embedding, and its norm is not one of the rows. */
static clip_status init_pooler(clipmdl_tower *t, const clipmdl_config *c)
{
    vit *m = (vit *)t;
    TRY(init_scaled(t, c));
    m->trunk.head = (clipnn_attention_pool){.width = c->embed_dim, .heads = c->vision.pool_heads};
    t->width = 0;
    t->norm = NULL;
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((vit *)t)->trunk.block); }

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    vit *m = (vit *)t;
    const char *prefix = prefix_of(&m->cfg);
    const int C = m->cfg.width;
    const clipmdl_positions positions = {class_tokens(m), side_of(m), clipmdl_stored_size(&m->cfg) / m->cfg.patch_size};
    clipmdl_bind_patches(b, &m->conv1, prefix, "conv1.weight", m->cfg.patch_bias ? "conv1.bias" : NULL, C,
                         m->cfg.patch_size);
    if (m->cfg.class_token)
        clipmdl_bind_vector(b, &m->class_embedding, &m->d_class_embedding, prefix, "class_embedding", C);
    clipmdl_bind_positions(b, &m->positional_embedding, &m->d_positional_embedding, prefix, "positional_embedding",
                           &positions, C);
    if (m->cfg.ln_pre)
        clipmdl_bind_layernorm(b, &m->ln_pre, prefix, "ln_pre", C, m->cfg.eps);
    clipmdl_trunk_bind(b, &m->trunk, prefix, "ln_post", "proj");
}

static bool projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    clipmdl_trunk_projection(c->vision.projection, prefix_of(&c->vision), "proj", name);
    return c->vision.projection != CLIPMDL_PROJECTION_NONE;
}

/* timm's init_weights_vit_timm(): the filters have PyTorch's default. */
static clipmdl_draw draw_trunk(const clipmdl_param *p, const clipmdl_config *c)
{
    if (clipmdl_name_ends(p->name, "conv1.weight") || clipmdl_name_ends(p->name, "conv1.bias"))
        return clipmdl_draw_linear(3.0 * c->vision.patch_size * c->vision.patch_size);
    if (clipmdl_name_ends(p->name, "bias"))
        return (clipmdl_draw){CLIPMDL_CONSTANT, 0};
    return (clipmdl_draw){CLIPMDL_NORMAL, clipmdl_name_ends(p->name, "probe") ? 1 / sqrt(c->vision.width) : 0.02};
}

static clipmdl_draw draw(const clipmdl_param *p, const clipmdl_config *c)
{
    const char *n = p->name;
    if (c->vision.trunk)
        return draw_trunk(p, c);
    const double C = c->vision.width;
    if (clipmdl_name_ends(n, "class_embedding") || clipmdl_name_ends(n, "positional_embedding") ||
        clipmdl_name_ends(n, "visual.proj"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(C)};
    if (clipmdl_name_ends(n, "in_proj_weight")) /* xavier_uniform_ */
        return (clipmdl_draw){CLIPMDL_UNIFORM, sqrt(6.0 / (4 * C))};
    if (clipmdl_name_ends(n, "c_fc.bias") || clipmdl_name_ends(n, "visual.proj.bias") ||
        clipmdl_name_ends(n, "pooler.bias"))
        return clipmdl_draw_linear(C);
    if (clipmdl_name_ends(n, "c_proj.bias"))
        return clipmdl_draw_linear(c->vision.mlp);
    if (clipmdl_name_ends(n, "conv1.bias"))
        return clipmdl_draw_linear(3.0 * c->vision.patch_size * c->vision.patch_size);
    return clipmdl_draw_linear((double)p->count / (double)p->dim[0]);
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const vit *m = (const vit *)t;
    (void)layer;
    return (clipmdl_rows){.before = class_tokens(m), .side = side_of(m), .width = m->cfg.width};
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const vit *m = (const vit *)t;
    vit_acts measured, *v = CLIPB_NEW(a, vit_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    const size_t C = m->cfg.width, P = m->cfg.patch_size, n = in->N;
    const size_t K = kept_patches(m, in), T = n * (class_tokens(m) + K);
    (void)k;
    *v = (vit_acts){0};
    v->x = v->tokens = CLIPB_NEW(a, float, T *C);
    v->off = CLIPB_NEW(a, int32_t, n + 1);
    if (tape) {
        if (m->cfg.ln_pre)
            v->x = CLIPB_NEW(a, float, T *C);
        v->mean_pre = CLIPB_NEW(a, float, T);
        v->rstd_pre = CLIPB_NEW(a, float, T);
    }
    clipmdl_trunk_layout(a, &v->trunk, &m->trunk, in->N, (int)T, tape);
    acts->pooled = v->trunk.pooled;
    const size_t mark = clipb_arena_mark(a);
    v->patches = CLIPB_NEW(a, float, n *K * 3 * P * P);
    v->embed = CLIPB_NEW(a, float, n *K *C);
    const size_t embedded = clipb_arena_mark(a);
    clipb_arena_reset(a, mark); /* the blocks begin when x is complete; in backward they are done by then */
    clipmdl_trunk_layout_blocks(a, &v->trunk, tape ? &acts->tape : NULL, &m->trunk, v->x, in->N, (int)T, acts->tap);
    if (tape && acts->tape.first < embedded)
        acts->tape.first = embedded;
}

static void layout_grads(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                         const clipmdl_input *in)
{
    const vit *m = (const vit *)t;
    clipmdl_trunk_grads measured, *own = CLIPB_NEW(a, clipmdl_trunk_grads, 1);
    const int C = m->cfg.width, P = m->cfg.patch_size, T = in->N * (class_tokens(m) + kept_patches(m, in));
    g->own = own;
    clipmdl_trunk_layout_grads(a, own ? own : &measured, k, &m->trunk, in->N, T, clipnn_linear_work(k, T, 3 * P * P, C),
                               g->relevance);
}

/* ---- Forward and backward -------------------------------------------------------------------- */

static clipnn_batch batch_of(const vit_acts *a, const clipmdl_input *in, int T)
{
    for (int n = 0; n <= in->N; n++)
        a->off[n] = n * T;
    return (clipnn_batch){.B = in->N, .off = a->off};
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const vit *m = (const vit *)t;
    const vit_acts *a = acts->own;
    const int N = in->N, C = m->cfg.width, P = m->cfg.patch_size, K = kept_patches(m, in), T = class_tokens(m) + K;

    clipnn_patchify(k, a->patches, in->pixels, in->kept, N, K, m->cfg.image_size, P);
    clipnn_linear_forward(k, a->embed, NULL, clipk_rows(a->patches, 3 * P * P), N * K, &m->conv1, CLIPK_LINEAR, NULL);
    clipnn_place_patches(k, a->tokens, a->embed, m->class_embedding, m->positional_embedding, in->kept, N, K, C);
    if (m->cfg.ln_pre)
        clipnn_layernorm_forward(k, a->x, a->mean_pre, a->rstd_pre, a->tokens, NULL, &m->ln_pre, N * T, C);

    const clipnn_batch batch = batch_of(a, in, T);
    clipmdl_trunk_forward(k, &a->trunk, &m->trunk, &batch, NULL, acts->tap, out);
}

static void backward(const clipk_ctx *k, const clipmdl_grads *grads, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout)
{
    const vit *m = (const vit *)t;
    const vit_acts *a = acts->own;
    const clipmdl_trunk_grads *g = grads->own;
    const int N = in->N, C = m->cfg.width, P = m->cfg.patch_size, K = kept_patches(m, in), T = class_tokens(m) + K;
    void *work = g->block.work;

    const clipnn_batch batch = batch_of(a, in, T);
    if (!clipmdl_trunk_backward(k, grads, g, &a->trunk, &m->trunk, &batch, dout))
        return;

    clipmdl_enter(grads, 0);
    if (m->cfg.ln_pre)
        clipnn_layernorm_backward(k, g->x, g->x, a->tokens, a->mean_pre, a->rstd_pre, &m->ln_pre, NULL, N * T, C, work);
    clipnn_place_patches_backward(k, a->embed, m->d_class_embedding, m->d_positional_embedding, g->x, in->kept, N, K, C,
                                  m->cfg.class_token);
    clipnn_patchify(k, a->patches, in->pixels, in->kept, N, K, m->cfg.image_size, P);
    clipnn_linear_dw(k, a->embed, clipk_rows(a->patches, 3 * P * P), N * K, &m->conv1, work); /* no dx */
}

const clipmdl_tower_kind clipmdl_vit = {
    .name = "ViT",
    .flags = CLIPMDL_IMAGE_PARAM,
    .projection = projection,
    .beta2 = 0.98,
    .eps = 1e-6,
    .check = check,
    .size = sizeof(vit),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .draw = draw,
    .rows = rows,
    .layout = layout,
    .forward = forward,
    .layout_grads = layout_grads,
    .backward = backward,
};

const clipmdl_tower_kind clipmdl_vit_scaled = {
    .name = "ViT with layer scale",
    .flags = CLIPMDL_IMAGE_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(vit),
    .init = init_scaled,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};

const clipmdl_tower_kind clipmdl_vit_pooler = {
    .name = "ViT with an attentional pooler",
    .flags = CLIPMDL_IMAGE_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(vit),
    .init = init_pooler,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};
