/* coca.c: the text encoder of CoCa (Yu et al. 2022, arXiv:2205.01917), as OpenCLIP has it:
 *
 *     [tokens, class] + positions -> blocks -> class -> ln_final -> text_projection
 *
 * A class token stands behind the whole context, and is pooled. A mask hides keys from all queries.
 * It is meant for the padding, but stands one row too far (`correct_cls_mask` of OpenCLIP's is
 * false, and the published weights were trained so). With L tokens of context:
 *
 *     row 0        is seen
 *     row 1 .. L   is seen if the token before it is not padding; row L is the class token
 *
 * So the first token of the padding is seen, and the class token does not see itself unless a text
 * fills the context. A hidden row changes nothing but its own result, so only the rows that are
 * seen are computed, and the class token. */
#include <stdlib.h>
#include <string.h>

#include "model/transformer.h"

typedef struct coca {
    clipmdl_tower tower;
    clipmdl_text_config cfg;
    clipk_view table;        /* [V, C]: in the file */
    const float *class_token, *positions; /* [C], [L+1, C] */
    clipmdl_trunk trunk;
} coca;

typedef struct coca_acts {
    float *x;                /* [T, C] */
    int32_t *off, *key_end;  /* [N+1], [N] */
    clipmdl_trunk_acts trunk;
} coca_acts;

#define PAD 0         /* of OpenCLIP's own tokenizer */
#define ROWS_BEHIND 2 /* the first token of the padding, and the class token */

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    return clipmdl_text.check(c, file, err);
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    coca *m = (coca *)t;
    m->cfg = c->text;
    m->trunk = (clipmdl_trunk){.layers = m->cfg.layers,
                               .width = m->cfg.width,
                               .embed_dim = c->embed_dim,
                               .causal = m->cfg.causal,
                               .layer_scale = m->cfg.layer_scale,
                               .projection = m->cfg.projection,
                               .eps = m->cfg.eps,
                               .pool = {.by = CLIPNN_POOL_LAST}};
    TRY(clipmdl_trunk_init(t, &m->trunk, m->cfg.heads, m->cfg.mlp, m->cfg.act));
    t->tokens = m->cfg.context_length + 1;
    t->width = 0; /* hidden states have rows for the padding, which is not computed */
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((coca *)t)->trunk.block); }

static const char *prefix_of(const clipmdl_text_config *t) { return t->custom ? "text." : ""; }

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    coca *m = (coca *)t;
    const char *prefix = prefix_of(&m->cfg);
    const int C = m->cfg.width;
    float *unused; /* no gradients */
    clipmdl_bind_table(b, &m->table, &unused, prefix, "token_embedding.weight", m->cfg.vocab_size, C);
    clipmdl_bind_vector(b, &m->class_token, &unused, prefix, "cls_emb", C);
    clipmdl_bind_matrix(b, &m->positions, &unused, prefix, "positional_embedding", m->cfg.context_length + 1, C);
    clipmdl_bind_finite(b, prefix, "positional_embedding"); /* the rows that are hidden are not computed */
    clipmdl_trunk_bind(b, &m->trunk, prefix, "ln_final", "text_projection");
}

static bool projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    clipmdl_trunk_projection(c->text.projection, prefix_of(&c->text), "text_projection", name);
    return c->text.projection != CLIPMDL_PROJECTION_NONE;
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    (void)layer;
    return (clipmdl_rows){.before = t->tokens, .width = ((const coca *)t)->cfg.width};
}

static int length(const clipmdl_tower *t, const int32_t *ids, int n)
{
    (void)t;
    while (n > 1 && ids[n - 1] == PAD)
        n--;
    return n;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const coca *m = (const coca *)t;
    coca_acts measured, *v = CLIPB_NEW(a, coca_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    const int N = in->N, T = in->off[N] + ROWS_BEHIND * N; /* at most */
    (void)k;
    (void)tape;
    v->x = CLIPB_NEW(a, float, (size_t)T * (size_t)m->cfg.width);
    v->off = CLIPB_NEW(a, int32_t, (size_t)N + 1);
    v->key_end = CLIPB_NEW(a, int32_t, (size_t)N);
    clipmdl_trunk_layout(a, &v->trunk, &m->trunk, N, T, false);
    clipmdl_trunk_layout_blocks(a, &v->trunk, NULL, &m->trunk, v->x, N, T, NULL);
}

/* ---- Forward --------------------------------------------------------------------------------- */

static void add(float *y, const float *x, int C)
{
    for (int c = 0; c < C; c++)
        y[c] += x[c];
}

/* The n ids of a text become rows at x. *seen: does the class token see itself?
 * @return: how many rows */
static int embed(const clipk_ctx *k, const coca *m, float *x, const int32_t *ids, int n, bool *seen)
{
    const int L = m->cfg.context_length, C = m->cfg.width;
    const size_t id_bytes = (size_t)C * clipk_type_size(m->table.type);
    const float *from = x;
    for (int j = 0; j < L && j <= n; j++) {
        if (j > 0 && ids[j - 1] == PAD)
            continue;
        const int id = j < n ? ids[j] : PAD;
        clipk_to_f32(k, x, (const char *)m->table.p + (size_t)id * id_bytes, m->table.type, (size_t)C);
        add(x, m->positions + (size_t)j * (size_t)C, C);
        x += C;
    }
    memcpy(x, m->class_token, (size_t)C * sizeof *x);
    add(x, m->positions + (size_t)L * (size_t)C, C);
    *seen = n == L && ids[L - 1] != PAD;
    return (int)((x - from) / C) + 1;
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const coca *m = (const coca *)t;
    const coca_acts *a = acts->own;
    a->off[0] = 0;
    for (int i = 0; i < in->N; i++) {
        bool seen;
        const int n = in->off[i + 1] - in->off[i];
        float *x = a->x + (size_t)a->off[i] * (size_t)m->cfg.width;
        a->off[i + 1] = a->off[i] + embed(k, m, x, in->ids + in->off[i], n, &seen);
        a->key_end[i] = a->off[i + 1] - (seen ? 0 : 1);
    }
    const clipnn_batch batch = {.B = in->N, .off = a->off, .causal = m->cfg.causal, .key_end = a->key_end};
    clipmdl_trunk_forward(k, &a->trunk, &m->trunk, &batch, NULL, NULL, out);
}

const clipmdl_tower_kind clipmdl_coca = {
    .name = "text Transformer with a class token",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(coca),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .length = length,
    .layout = layout,
    .forward = forward,
};
