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
    clipmdl_bind_table(b, &m->token_embedding, "token_embedding.weight", t->vocab_size, t->width);
    clipmdl_bind_matrix(b, &m->positional_embedding, "", "positional_embedding", t->context_length, t->width);
    clipmdl_blocks_bind(b, m->block, t->layers, "transformer.resblocks.", t->eps);
    clipmdl_bind_layernorm(b, &m->ln_final, "", "ln_final", t->width, t->eps);
    clipmdl_bind_projection(b, &m->text_projection, "text_projection", m->embed_dim, t->width);
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

void clipmdl_text_layout(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T)
{
    const size_t C = (size_t)m->cfg.width;
    acts->x = CLIPB_NEW(a, float, (size_t)T * C);
    acts->pooled = CLIPB_NEW(a, float, (size_t)N * C);
    acts->read = CLIPB_NEW(a, int32_t, N);
    clipmdl_blocks_layout(a, &acts->block, &acts->last, acts->x, T, N, m->block);
}

void clipmdl_text_forward(const clipk_ctx *k, clipmdl_text_acts *a, const clipmdl_text *m, const int32_t *ids, const int32_t *off, int N, float *out)
{
    const int C = m->cfg.width;
    const clipnn_batch batch = {.B = N, .off = off, .causal = true};

    clipnn_token_embedding(k, a->x, m->token_embedding, m->positional_embedding, ids, &batch, C);
    for (int n = 0; n < N; n++)
        a->read[n] = off[n + 1] - 1;
    const float *end_rows = clipmdl_blocks_forward(k, &a->block, &a->last, a->x, m->block, m->cfg.layers, &batch, a->read);

    clipk_layernorm(k, a->pooled, NULL, NULL, end_rows, NULL, m->ln_final.gain, m->ln_final.bias, m->ln_final.eps, N, C);
    clipnn_linear_forward(k, out, clipk_rows(a->pooled, C), N, &m->text_projection, CLIPK_LINEAR, NULL);
}
