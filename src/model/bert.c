/* bert.c: the text encoders of BERT (Devlin et al. 2018, arXiv:1810.04805), RoBERTa
 * (arXiv:1907.11692) and XLM-R (arXiv:1911.02116), and that of M2M-100 (arXiv:2010.11125):
 *
 *     scale tokens + [token type] + positions -> [ln_embedding] -> blocks -> [ln_final] -> pool
 *             -> [pooler] -> [text_projection.0] -> text_projection
 *
 * Every token sees every other one, except the padding, which is masked. So a text ends before its
 * padding, and no mask is needed. */
#include <math.h>
#include <stdlib.h>

#include "model/transformer.h"

typedef struct bert {
    clipmdl_tower tower;
    clipmdl_text_config cfg;
    clipnn_tokens embedding; /* the table is in the file */
    clipnn_layernorm ln_embedding;
    clipmdl_trunk trunk;
} bert;

typedef struct bert_acts {
    float *tokens; /* [T, C]: before ln_embedding */
    float *x;      /* after it; tokens itself without a tape or without ln_embedding */
    float *mean, *rstd;
    clipmdl_trunk_acts trunk;
} bert_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_text_config *t = &c->text;
    const int64_t rows = (int64_t)t->bert.first_position + t->context_length;
    if (t->layers < 1)
        return clipb_fail(err, CLIP_EFORMAT, file, "a Transformer without layers");
    if (t->context_length < 2)
        return clipb_fail(err, CLIP_EFORMAT, file, "a context of %d has no room for start and end token",
                          t->context_length);
    if (t->bert.positions && rows > t->bert.positions)
        return clipb_fail(err, CLIP_EFORMAT, file, "%d positions are too few for %d tokens", t->bert.positions,
                          t->context_length);
    if (!t->bert.positions && t->width < 4)
        return clipb_fail(err, CLIP_EFORMAT, file, "a text width of %d has no room for sines", t->width);
    TRY(clipmdl_check_heads("text", t->width, t->heads, file, err));
    if (!(t->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "a negative epsilon of the layer norms");
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    bert *m = (bert *)t;
    const clipmdl_text_config *cfg = &c->text;
    m->cfg = *cfg;
    m->trunk = (clipmdl_trunk){.layers = cfg->layers,
                               .width = cfg->width,
                               .embed_dim = c->embed_dim,
                               .post_norm = cfg->bert.post_norm,
                               .no_norm = !cfg->bert.ln_final,
                               .has_pooler = cfg->bert.pooler,
                               .projection = cfg->projection,
                               .proj_in = cfg->bert.proj_in,
                               .eps = cfg->eps,
                               .pool = {.by = cfg->pooling}};
    TRY(clipmdl_trunk_init(t, &m->trunk, cfg->heads, cfg->mlp, cfg->act));
    t->tokens = cfg->context_length;
    t->width = 0; /* hidden states have rows for the padding, which is not computed */
    return CLIP_OK;
}

static const char *projection_of(const clipmdl_text_config *t)
{
    return t->bert.proj_in.width ? "text_projection.2" : "text_projection";
}

static void free_blocks(clipmdl_tower *t) { free(((bert *)t)->trunk.block); }

/* Half of a row are sines, the other half cosines, in the order of operations of fairseq. */
static void fill_sines(float *pos, int first, int L, int C)
{
    const int half = C / 2;
    for (int p = 0; p < L; p++, pos += C) {
        for (int i = 0; i < half; i++) {
            const float angle = (float)(first + p) * expf((float)i * -(float)(log(10000) / (half - 1)));
            pos[i] = sinf(angle);
            pos[half + i] = cosf(angle);
        }
        if (C % 2)
            pos[C - 1] = 0;
    }
}

static void bind_positions(clipmdl_binder *b, bert *m, int C)
{
    const clipmdl_bert_config *cfg = &m->cfg.bert;
    if (cfg->positions) {
        const size_t before = (size_t)cfg->first_position * (size_t)C;
        clipmdl_bind_matrix(b, &m->embedding.pos, &m->embedding.dpos, cfg->names, "positional_embedding",
                            cfg->positions, C);
        clipmdl_bind_finite(b, cfg->names, "positional_embedding"); /* rows behind a text are not used */
        if (m->embedding.pos)
            m->embedding.pos += before;
        if (m->embedding.dpos)
            m->embedding.dpos += before;
        return;
    }
    float *sines = CLIPB_NEW(&b->arena, float, (size_t)m->cfg.context_length * (size_t)C);
    if (sines)
        fill_sines(sines, cfg->first_position, m->cfg.context_length, C);
    m->embedding.pos = sines;
}

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    bert *m = (bert *)t;
    const clipmdl_bert_config *cfg = &m->cfg.bert;
    const char *prefix = cfg->names;
    const int C = m->cfg.width;
    m->embedding.scale = cfg->scale;
    clipmdl_bind_table(b, &m->embedding.table, &m->embedding.dtable, prefix, "token_embedding.weight",
                       m->cfg.vocab_size, C);
    if (cfg->token_types)
        clipmdl_bind_matrix(b, &m->embedding.kind, &m->embedding.dkind, prefix, "token_type_embedding",
                            cfg->token_types, C);
    bind_positions(b, m, C);
    if (cfg->ln_embedding)
        clipmdl_bind_layernorm(b, &m->ln_embedding, prefix, "ln_embedding", C, m->cfg.eps);
    clipmdl_trunk_bind(b, &m->trunk, prefix, "ln_final", projection_of(&m->cfg));
}

static bool projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    clipmdl_trunk_projection(c->text.projection, c->text.bert.names, projection_of(&c->text), name);
    return c->text.projection != CLIPMDL_PROJECTION_NONE;
}

/* As BERT is initialised; the projection as in CLIP. */
static clipmdl_draw draw(const clipmdl_param *p, const clipmdl_config *c)
{
    if (clipmdl_name_ends(p->name, "bias"))
        return (clipmdl_draw){CLIPMDL_CONSTANT, 0};
    if (clipmdl_name_ends(p->name, "text_projection"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(c->text.width)};
    return (clipmdl_draw){CLIPMDL_NORMAL, 0.02};
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    (void)layer;
    return (clipmdl_rows){.before = t->tokens, .width = ((const bert *)t)->cfg.width};
}

static int length(const clipmdl_tower *t, const int32_t *ids, int n)
{
    const int pad = ((const bert *)t)->cfg.bert.pad_id;
    while (n > 1 && ids[n - 1] == pad)
        n--;
    return n;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const bert *m = (const bert *)t;
    bert_acts measured, *v = CLIPB_NEW(a, bert_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    const int N = in->N, T = in->off[N];
    const size_t each = (size_t)T * (size_t)m->cfg.width;
    (void)k;
    *v = (bert_acts){0};
    v->x = v->tokens = CLIPB_NEW(a, float, each);
    if (tape && m->cfg.bert.ln_embedding) {
        v->x = CLIPB_NEW(a, float, each);
        v->mean = CLIPB_NEW(a, float, (size_t)T);
        v->rstd = CLIPB_NEW(a, float, (size_t)T);
    }
    clipmdl_trunk_layout(a, &v->trunk, &m->trunk, N, T, tape);
    clipmdl_trunk_layout_blocks(a, &v->trunk, tape ? &acts->tape : NULL, &m->trunk, v->x, N, T, acts->tap);
}

static void layout_grads(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                         const clipmdl_input *in)
{
    const bert *m = (const bert *)t;
    clipmdl_trunk_grads measured, *own = CLIPB_NEW(a, clipmdl_trunk_grads, 1);
    const int T = in->off[in->N];
    g->own = own;
    clipmdl_trunk_layout_grads(a, own ? own : &measured, k, &m->trunk, in->N, T, clipk_sums_work(T, m->cfg.width),
                               g->relevance);
}

/* ---- Forward and backward -------------------------------------------------------------------- */

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const bert *m = (const bert *)t;
    const bert_acts *a = acts->own;
    const clipnn_batch batch = {.B = in->N, .off = in->off};
    const int C = m->cfg.width;

    clipnn_token_embedding(k, a->tokens, &m->embedding, in->ids, &batch, C);
    if (m->cfg.bert.ln_embedding)
        clipnn_layernorm_forward(k, a->x, a->mean, a->rstd, a->tokens, NULL, &m->ln_embedding,
                                 clipnn_batch_rows(&batch), C);
    clipmdl_trunk_forward(k, &a->trunk, &m->trunk, &batch, in->ids, acts->tap, out);
}

static void backward(const clipk_ctx *k, const clipmdl_grads *grads, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout)
{
    const bert *m = (const bert *)t;
    const bert_acts *a = acts->own;
    const clipmdl_trunk_grads *g = grads->own;
    const clipnn_batch batch = {.B = in->N, .off = in->off};
    const int C = m->cfg.width;

    if (!clipmdl_trunk_backward(k, grads, g, &a->trunk, &m->trunk, &batch, dout))
        return;
    clipmdl_enter(grads, 0);
    if (m->cfg.bert.ln_embedding)
        clipnn_layernorm_backward(k, g->x, g->x, a->tokens, a->mean, a->rstd, &m->ln_embedding, NULL,
                                  clipnn_batch_rows(&batch), C, g->block.work);
    clipnn_token_embedding_backward(k, &m->embedding, g->x, in->ids, &batch, C);
}

const clipmdl_tower_kind clipmdl_bert = {
    .name = "BERT",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(bert),
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
