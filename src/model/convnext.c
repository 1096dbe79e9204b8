/* convnext.c: ConvNeXt (Liu et al. 2022, arXiv:2201.03545), as timm has it (models/convnext.py),
 * with OpenCLIP's projection behind it. For inference alone. Pixels as [N, H, W, C]:
 *
 *     stem:    norm(conv 4x4/4)
 *     stage:   conv 2x2/2(norm(x)), but in the first; then blocks
 *     block:   x + gamma fc2(gelu(fc1(norm(depthwise 7x7(x)))))      gamma is folded into fc2
 *     head:    norm(mean over the map), then proj, or fc2(gelu(fc1)) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/filters.h"
#include "model/tower.h"

#define PREFIX "visual.trunk."
#define STEM 4

typedef struct block {
    clipk_depthwise_weight conv;
    clipnn_layernorm norm;
    clipnn_linear fc1, fc2; /* [4C, C], [C, 4C] */
} block;

typedef struct stage {
    clipnn_layernorm norm;
    clipnn_linear down; /* [C, 4 C/2] */
    block *block;       /* [blocks] */
    int blocks, C;
} stage;

typedef struct convnext {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_linear stem;
    clipnn_layernorm stem_norm;
    stage stage[4];
    block *blocks; /* of all stages */
    clipnn_layernorm norm;
    clipnn_linear fc1, proj; /* fc1: if the head is an MLP */
} convnext;

typedef struct convnext_acts {
    float *x, *y;        /* maps */
    float *wide;         /* 4 times as large */
    float *pooled, *fc1; /* [N, C], [N, 2D] */
    int32_t *off;
} convnext_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    for (int i = 0; i < 4; i++)
        if (v->stage[i] < 1)
            return clipb_fail(err, CLIP_EFORMAT, file, "stage %d of the ConvNeXt has no blocks", i + 1);
    if (v->width < 1 || v->width > CLIPMDL_MOST_SIDE / 32 || v->image_size < 32 || v->image_size % 32)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "a ConvNeXt of width %d for pictures of %d: sizes must be "
                          "multiples of 32", v->width, v->image_size);
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    convnext *m = (convnext *)t;
    const int G = c->vision.image_size / 32;
    int blocks = 0;
    m->cfg = c->vision;
    t->groups = 1;
    t->look = 3; /* the map of the third stage */
    t->tokens = G * G;
    for (int s = 0; s < 4; s++)
        blocks += m->cfg.stage[s];
    m->blocks = calloc((size_t)blocks, sizeof *m->blocks);
    if (!m->blocks)
        return CLIP_ENOMEM;
    block *p = m->blocks;
    for (int s = 0; s < 4; s++) {
        m->stage[s] = (stage){.block = p, .blocks = m->cfg.stage[s], .C = m->cfg.width << s};
        p += m->cfg.stage[s];
    }
    t->largest = &m->stage[3].block->fc1;
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((convnext *)t)->blocks); }

static void bind_block(clipmdl_binder *b, block *p, const char *prefix, int C, float eps)
{
    clipmdl_filters f = clipmdl_filters_begin(b, C, 1, 7);
    clipmdl_filters_read(&f, prefix, "conv_dw.weight", "conv_dw.bias", false);
    clipmdl_filters_depthwise(&f, &p->conv, 1);
    clipmdl_bind_layernorm(b, &p->norm, prefix, "norm", C, eps);
    clipmdl_bind_linear(b, &p->fc1, prefix, "mlp.fc1.weight", "mlp.fc1.bias", 0, 4 * C, 4 * C, C);
    clipmdl_bind_finite(b, prefix, "mlp.fc1.weight"); /* the activation of -inf is 0 */
    clipmdl_bind_finite(b, prefix, "mlp.fc1.bias");
    f = clipmdl_filters_begin(b, C, 4 * C, 1);
    clipmdl_filters_read(&f, prefix, "mlp.fc2.weight", "mlp.fc2.bias", true);
    clipmdl_filters_scale(&f, prefix, "gamma", 1);
    clipmdl_filters_linear(&f, &p->fc2);
}

static void bind_head(clipmdl_binder *b, convnext *m)
{
    const int D = m->tower.embed_dim, C = m->stage[3].C;
    clipmdl_bind_layernorm(b, &m->norm, PREFIX, "head.norm", C, m->cfg.eps);
    if (!m->cfg.mlp_head) {
        clipmdl_bind_linear(b, &m->proj, "visual.", "head.proj.weight", NULL, 0, D, D, C);
        return;
    }
    clipmdl_bind_linear(b, &m->fc1, "visual.", "head.mlp.fc1.weight", "head.mlp.fc1.bias", 0, 2 * D, 2 * D, C);
    clipmdl_bind_finite(b, "visual.", "head.mlp.fc1.weight");
    clipmdl_bind_finite(b, "visual.", "head.mlp.fc1.bias");
    clipmdl_bind_linear(b, &m->proj, "visual.", "head.mlp.fc2.weight", NULL, 0, D, D, 2 * D);
}

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    convnext *m = (convnext *)t;
    const float eps = m->cfg.eps;
    char prefix[CLIPMDL_MAX_NAME];
    clipmdl_bind_patches(b, &m->stem, PREFIX, "stem.0.weight", "stem.0.bias", m->cfg.width, STEM);
    clipmdl_bind_layernorm(b, &m->stem_norm, PREFIX, "stem.1", m->cfg.width, eps);
    for (int s = 0; s < 4; s++) {
        stage *g = &m->stage[s];
        snprintf(prefix, sizeof prefix, PREFIX "stages.%d.", s);
        if (s > 0) {
            clipmdl_bind_layernorm(b, &g->norm, prefix, "downsample.0", g->C / 2, eps);
            clipmdl_filters f = clipmdl_filters_begin(b, g->C, g->C / 2, 2);
            clipmdl_filters_read(&f, prefix, "downsample.1.weight", "downsample.1.bias", false);
            clipmdl_filters_columns(&f, &g->down);
        }
        for (int i = 0; i < g->blocks; i++) {
            snprintf(prefix, sizeof prefix, PREFIX "stages.%d.blocks.%d.", s, i);
            bind_block(b, &g->block[i], prefix, g->C, eps);
        }
    }
    bind_head(b, m);
}

/* Layer 0 is the stem, 1 .. 4 are the stages. */
static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const clipmdl_vision_config *v = &((const convnext *)t)->cfg;
    const int s = layer > 0 ? layer - 1 : 0;
    return (clipmdl_rows){.side = v->image_size / STEM >> s, .width = v->width << s};
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* The first stage has the largest maps. */
static void layout(clipb_arena *a, clipmdl_acts *out, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const convnext *m = (const convnext *)t;
    convnext_acts measured, *acts = CLIPB_NEW(a, convnext_acts, 1);
    const size_t n = (size_t)in->N, S = (size_t)m->cfg.image_size / STEM, C = (size_t)m->cfg.width, T = n * S * S,
                 wide = 4 * C > 3 * STEM * STEM ? 4 * C : 3 * STEM * STEM;
    (void)k;
    (void)tape; /* no such tower is trained */
    out->own = acts;
    out->pooled = NULL;
    acts = acts ? acts : &measured;
    acts->x = CLIPB_NEW(a, float, T *C);
    acts->y = CLIPB_NEW(a, float, T *C);
    acts->wide = CLIPB_NEW(a, float, T *wide);
    acts->pooled = CLIPB_NEW(a, float, n * 8 * C);
    acts->fc1 = CLIPB_NEW(a, float, n * 2 * (size_t)t->embed_dim);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    out->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

static void block_forward(const clipk_ctx *k, const block *p, const convnext_acts *a, int N, int S, int C)
{
    const int T = N * S * S;
    clipk_depthwise(k, a->y, a->x, N, S, S, C, &p->conv, CLIPK_LINEAR);
    clipnn_layernorm_forward(k, a->y, NULL, NULL, a->y, NULL, &p->norm, T, C);
    clipnn_linear_forward(k, a->wide, NULL, clipk_rows(a->y, C), T, &p->fc1, CLIPK_GELU, NULL);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->wide, 4 * C), T, &p->fc2, CLIPK_LINEAR, a->x);
}

static void head_forward(const clipk_ctx *k, const convnext *m, const convnext_acts *a, int N, float *out)
{
    const int D = m->tower.embed_dim, C = m->stage[3].C;
    for (int n = 0; n <= N; n++)
        a->off[n] = n * m->tower.tokens;
    const clipnn_batch batch = {.B = N, .off = a->off};
    clipnn_pool_mean(k, a->pooled, a->x, 0, &batch, C);
    clipnn_layernorm_forward(k, a->pooled, NULL, NULL, a->pooled, NULL, &m->norm, N, C);
    if (m->cfg.mlp_head)
        clipnn_linear_forward(k, a->fc1, NULL, clipk_rows(a->pooled, C), N, &m->fc1, CLIPK_GELU, NULL);
    clipnn_linear_forward(k, out, NULL, m->cfg.mlp_head ? clipk_rows(a->fc1, 2 * D) : clipk_rows(a->pooled, C), N,
                          &m->proj, CLIPK_LINEAR, NULL);
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const convnext *m = (const convnext *)t;
    const convnext_acts *a = acts->own;
    const int N = in->N;
    int S = m->cfg.image_size / STEM, C = m->cfg.width;
    clipnn_patchify(k, a->wide, in->pixels, NULL, N, S * S, m->cfg.image_size, STEM);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->wide, 3 * STEM * STEM), N * S * S, &m->stem, CLIPK_LINEAR, NULL);
    clipnn_layernorm_forward(k, a->x, NULL, NULL, a->x, NULL, &m->stem_norm, N * S * S, C);
    clipmdl_tap_rows(k, acts->tap, 0, a->x, N * S * S, C);
    for (int s = 0; s < 4; s++) {
        const stage *g = &m->stage[s];
        if (s > 0) {
            clipnn_layernorm_forward(k, a->y, NULL, NULL, a->x, NULL, &g->norm, N * S * S, C);
            clipk_columns(k, a->wide, a->y, N, S, S, C, 2, 2, 0);
            S /= 2;
            clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->wide, 4 * C), N * S * S, &g->down, CLIPK_LINEAR, NULL);
            C = g->C;
        }
        for (int i = 0; i < g->blocks; i++)
            block_forward(k, &g->block[i], a, N, S, C);
        clipmdl_tap_rows(k, acts->tap, s + 1, a->x, N * S * S, C);
    }
    if (out)
        head_forward(k, m, a, N, out);
}

const clipmdl_tower_kind clipmdl_convnext = {
    .name = "ConvNeXt",
    .flags = CLIPMDL_IMAGE_PARAM,
    .chunk = 8,
    .check = check,
    .size = sizeof(convnext),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};
