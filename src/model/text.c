/* The text Transformer of CLIP:
 *
 *     tokens + positions -> causal blocks -> ln_final(end-of-text row) -> text_projection
 *
 * A batch is ragged: with causal attention nothing behind the pooled token reaches it, so a text ends there. */
#include <stdlib.h>

#include "model/model.h"

clip_status clipmdl_text_init(clipmdl_text *m, const clipmdl_config *c)
{
    const clipmdl_text_config *t = &c->text;
    *m = (clipmdl_text){.cfg = *t, .embed_dim = c->embed_dim};
    m->block = clipmdl_blocks_new(t->layers, t->width, t->heads, t->mlp, t->act);
    return m->block ? CLIP_OK : CLIP_ENOMEM;
}

void clipmdl_text_free(clipmdl_text *m) { free(m->block); }

void clipmdl_text_bind(clipmdl_binder *b, clipmdl_text *m)
{
    const clipmdl_text_config *t = &m->cfg;
    b->flags = CLIPMDL_TEXT_PARAM;
    b->group = 0;
    clipmdl_bind_table(b, &m->token_embedding, &m->d_token_embedding, "token_embedding.weight", t->vocab_size,
                       t->width);
    clipmdl_bind_matrix(b, &m->positional_embedding, &m->d_positional_embedding, "", "positional_embedding",
                        t->context_length, t->width);
    clipmdl_bind_finite(b, "", "positional_embedding"); /* what is behind a text is not looked at */
    clipmdl_blocks_bind(b, m->block, t->layers, "transformer.resblocks.", t->eps);
    clipmdl_bind_layernorm(b, &m->ln_final, "", "ln_final", t->width, t->eps);
    b->group++;
    if (m->embed_dim > 0)
        clipmdl_bind_projection(b, &m->text_projection, "text_projection", m->embed_dim, t->width);
    m->first_group = b->first_group;
}

int clipmdl_text_length(const clipmdl_text *m, const int32_t *ids, int n)
{
    int at = 0;
    if (m->cfg.pooling == CLIPMDL_POOL_ARGMAX) {
        for (int i = 1; i < n; i++)
            if (ids[i] > ids[at])
                at = i;
    } else {
        while (at < n && ids[at] != m->cfg.eos_id)
            at++;
        if (at == n) /* none: the peers' argmax over "is it the end token" gives the first */
            at = 0;
    }
    return at + 1;
}

static void layout(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T, bool tape,
                   const clipmdl_tap *tap)
{
    const size_t C = (size_t)m->cfg.width;
    *acts = (clipmdl_text_acts){.tap = tap};
    acts->x = CLIPB_NEW(a, float, (size_t)T * C);
    acts->pooled = CLIPB_NEW(a, float, (size_t)N * C);
    acts->read = CLIPB_NEW(a, int32_t, N);
    acts->block = CLIPB_NEW(a, clipnn_block_acts, m->cfg.layers);
    if (tape) {
        acts->mean_final = CLIPB_NEW(a, float, N);
        acts->rstd_final = CLIPB_NEW(a, float, N);
    }
    clipmdl_blocks_layout(a, acts->block, tape ? &acts->tape : NULL, acts->x, T, tap ? 0 : N, m->block, m->cfg.layers);
}

void clipmdl_text_layout(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T, bool tape)
{
    layout(a, acts, m, N, T, tape, NULL);
}

void clipmdl_text_layout_tap(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T,
                             const clipmdl_tap *tap)
{
    layout(a, acts, m, N, T, false, tap);
}

void clipmdl_text_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, const clipmdl_text *m, int N,
                               int T)
{
    clipmdl_blocks_layout_grads(a, g, k, T, N, m->block, clipnn_linear_work(k, N, m->cfg.width, m->embed_dim));
}

void clipmdl_text_forward(const clipk_ctx *k, clipmdl_text_acts *a, const clipmdl_text *m, const int32_t *ids,
                          const int32_t *off, int N, float *out)
{
    const int C = m->cfg.width;
    const clipnn_batch batch = {.B = N, .off = off, .causal = true};

    clipnn_token_embedding(k, a->x, m->token_embedding, m->positional_embedding, ids, &batch, C);
    for (int n = 0; n < N; n++)
        a->read[n] = off[n] + clipmdl_text_length(m, ids + off[n], off[n + 1] - off[n]) - 1;
    /* A row that asks alone is the last of its text: with a tap the padding is behind it, and all rows ask. */
    const float *last =
        clipmdl_blocks_forward(k, a->block, m->block, m->cfg.layers, &batch, a->tap ? NULL : a->read, a->tap);
    if (!last)
        return;
    clipnn_layernorm_forward(k, a->pooled, a->mean_final, a->rstd_final, last, a->tap ? a->read : NULL, &m->ln_final, N,
                             C);
    if (out)
        clipnn_linear_forward(k, out, NULL, clipk_rows(a->pooled, C), N, &m->text_projection, CLIPK_LINEAR, NULL);
}

void clipmdl_text_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const clipmdl_text_acts *a,
                           const clipmdl_text *m, const int32_t *ids, const int32_t *off, const float *dout, int N)
{
    const int C = m->cfg.width, L = m->cfg.layers;
    const clipnn_batch batch = {.B = N, .off = off, .causal = true};
    void *work = g->block.work;

    clipmdl_enter(g, L + 1);
    clipnn_linear_backward(k, m->first_group <= L ? g->pooled : NULL, dout, clipk_rows(a->pooled, C), N,
                           &m->text_projection, NULL, work);
    if (m->first_group > L)
        return;
    clipmdl_enter(g, L);
    clipnn_layernorm_backward(k, g->pooled, g->pooled, a->block[L - 1].out, a->mean_final, a->rstd_final, &m->ln_final,
                              NULL, N, C, work);
    clipmdl_blocks_backward(k, g, g->pooled, a->block, m->block, L, m->first_group > 0 ? m->first_group - 1 : 0, &batch,
                            a->read);
    if (m->first_group > 0)
        return;
    clipmdl_enter(g, 0);
    clipnn_token_embedding_backward(k, m->d_token_embedding, m->d_positional_embedding, g->x, ids, &batch, C);
}
