/* text.c: the text Transformer of CLIP:
 *
 *     tokens + positions -> blocks -> ln_final -> pool -> text_projection
 *
 * A batch is ragged. If attention is causal and one row is pooled, later rows do not reach it, so a
 * text ends there. */
#include <math.h>
#include <stdlib.h>

#include "model/transformer.h"

typedef struct text {
    clipmdl_tower tower;
    clipmdl_text_config cfg;
    clipnn_tokens embedding; /* the table is in the file */
    clipmdl_trunk trunk;
} text;

typedef struct text_acts {
    float *x; /* [T, C] */
    clipmdl_trunk_acts trunk;
} text_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static const char *prefix_of(const clipmdl_text_config *t) { return t->custom ? "text." : ""; }

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_text_config *t = &c->text;
    if (t->layers < 1)
        return clipb_fail(err, CLIP_EFORMAT, file, "a Transformer without layers");
    if (t->context_length < 2)
        return clipb_fail(err, CLIP_EFORMAT, file, "a context of %d has no room for start and end token",
                          t->context_length);
    TRY(clipmdl_check_heads("text", t->width, t->heads, file, err));
    if (!(t->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "a negative epsilon of the layer norms");
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    text *m = (text *)t;
    m->cfg = c->text;
    m->trunk = (clipmdl_trunk){.layers = m->cfg.layers,
                               .width = m->cfg.width,
                               .embed_dim = c->embed_dim,
                               .causal = m->cfg.causal,
                               .layer_scale = m->cfg.layer_scale,
                               .projection = m->cfg.projection,
                               .eps = m->cfg.eps,
                               .pool = {.by = m->cfg.pooling, .eos_id = m->cfg.eos_id}};
    t->tokens = m->cfg.context_length;
    t->padded = m->cfg.padded;
    return clipmdl_trunk_init(t, &m->trunk, m->cfg.heads, m->cfg.mlp, m->cfg.act);
}

static void free_blocks(clipmdl_tower *t) { free(((text *)t)->trunk.block); }

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    text *m = (text *)t;
    const char *prefix = prefix_of(&m->cfg);
    const int C = m->cfg.width;
    m->embedding.scale = 1;
    clipmdl_bind_table(b, &m->embedding.table, &m->embedding.dtable, prefix, "token_embedding.weight",
                       m->cfg.vocab_size, C);
    clipmdl_bind_matrix(b, &m->embedding.pos, &m->embedding.dpos, prefix, "positional_embedding",
                        m->cfg.context_length, C);
    clipmdl_bind_finite(b, prefix, "positional_embedding"); /* the rows behind a text are not computed */
    clipmdl_trunk_bind(b, &m->trunk, prefix, "ln_final", "text_projection");
}

static bool projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    clipmdl_trunk_projection(c->text.projection, prefix_of(&c->text), "text_projection", name);
    return c->text.projection != CLIPMDL_PROJECTION_NONE;
}

static clipmdl_draw draw(const clipmdl_param *p, const clipmdl_config *c)
{
    const char *n = p->name;
    const double C = c->text.width, L = c->text.layers;
    if (clipmdl_name_ends(n, "token_embedding.weight"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 0.02};
    if (clipmdl_name_ends(n, "positional_embedding"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 0.01};
    if (clipmdl_name_ends(n, "attn.in_proj_weight") || clipmdl_name_ends(n, "text_projection") ||
        clipmdl_name_ends(n, "text_projection.weight"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(C)};
    if (clipmdl_name_ends(n, "text_projection.bias"))
        return (clipmdl_draw){CLIPMDL_CONSTANT, 0};
    if (clipmdl_name_ends(n, "attn.out_proj.weight") || clipmdl_name_ends(n, "c_proj.weight"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(C) / sqrt(2 * L)};
    if (clipmdl_name_ends(n, "c_fc.weight"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(2 * C)};
    return clipmdl_draw_linear(clipmdl_name_ends(n, "c_fc.bias") ? C : c->text.mlp);
}

/* A tap gets all rows: texts are padded to the context. */
static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    (void)layer;
    return (clipmdl_rows){.before = t->tokens, .width = t->width};
}

static int length(const clipmdl_tower *t, const int32_t *ids, int n)
{
    const text *m = (const text *)t;
    const bool ends = m->cfg.causal && clipnn_pools_one(&m->trunk.pool);
    return ends ? clipnn_pool_row(&m->trunk.pool, ids, n) + 1 : n;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const text *m = (const text *)t;
    text_acts measured, *v = CLIPB_NEW(a, text_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    const int N = in->N, T = in->off[N];
    (void)k;
    v->x = CLIPB_NEW(a, float, (size_t)T * m->cfg.width);
    clipmdl_trunk_layout(a, &v->trunk, &m->trunk, N, T, tape);
    acts->pooled = v->trunk.pooled;
    clipmdl_trunk_layout_blocks(a, &v->trunk, tape ? &acts->tape : NULL, &m->trunk, v->x, N, T, acts->tap);
}

static void layout_grads(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                         const clipmdl_input *in)
{
    const text *m = (const text *)t;
    clipmdl_trunk_grads measured, *own = CLIPB_NEW(a, clipmdl_trunk_grads, 1);
    g->own = own;
    clipmdl_trunk_layout_grads(a, own ? own : &measured, k, &m->trunk, in->N, in->off[in->N], 0, g->relevance);
}

/* ---- Forward and backward -------------------------------------------------------------------- */

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const text *m = (const text *)t;
    const text_acts *a = acts->own;
    const clipnn_batch batch = {.B = in->N, .off = in->off, .causal = m->cfg.causal};

    clipnn_token_embedding(k, a->x, &m->embedding, in->ids, &batch, m->cfg.width);
    clipmdl_trunk_forward(k, &a->trunk, &m->trunk, &batch, in->ids, acts->tap, out);
}

static void backward(const clipk_ctx *k, const clipmdl_grads *grads, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout)
{
    const text *m = (const text *)t;
    const text_acts *a = acts->own;
    const clipmdl_trunk_grads *g = grads->own;
    const clipnn_batch batch = {.B = in->N, .off = in->off, .causal = m->cfg.causal};

    if (!clipmdl_trunk_backward(k, grads, g, &a->trunk, &m->trunk, &batch, dout))
        return;
    clipmdl_enter(grads, 0);
    clipnn_token_embedding_backward(k, &m->embedding, g->x, in->ids, &batch, m->cfg.width);
}

const clipmdl_tower_kind clipmdl_text = {
    .name = "text Transformer",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(text),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .draw = draw,
    .rows = rows,
    .length = length,
    .layout = layout,
    .forward = forward,
    .layout_grads = layout_grads,
    .backward = backward,
};

const clipmdl_tower_kind clipmdl_text_scaled = {
    .name = "text Transformer with layer scale",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(text),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .length = length,
    .layout = layout,
    .forward = forward,
};
