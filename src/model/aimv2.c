/* aimv2.c: the two encoders of AIMv2 (Fini et al. 2024, arXiv:2411.14402), as transformers'
 * Aimv2Model has them. For inference alone.
 *
 *     pictures:  norm(patches) + positions -> blocks -> norm -> pool by attention -> projection
 *     texts:     tokens + positions -> causal blocks -> norm -> row of the end token -> projection
 *     block:     x + out_proj(attention(norm(x)))
 *                then    x + down(silu(gate(h)) up(h)),  h = norm(x)
 *     norm:      gain x / sqrt(mean of x^2 + eps)    (RMSNorm, Zhang and Sennrich 2019,
 *                arXiv:1910.07467)
 *
 * No linear layer of a block has a bias. The pool's query is a parameter, in heads as it stands. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/tower.h"

typedef struct rms {
    const float *gain; /* [C] */
} rms;

typedef struct block {
    rms norm1, norm2;
    clipnn_linear q, k, v, out; /* [C, C] */
    clipnn_linear gate, up;     /* [F, C] */
    clipnn_linear down;         /* [C, F] */
} block;

typedef struct aimv2 {
    clipmdl_tower tower;
    int C, F, H, layers, patch, size; /* size: of pictures */
    float eps;
    bool picture;
    clipnn_pool pool;             /* texts */
    clipnn_tokens embedding;      /* texts; the table is in the file */
    clipnn_linear patches;        /* pictures, as all to `output` */
    rms norm_patches;
    const float *positions;       /* [G*G, C] */
    const float *query;           /* [C] */
    clipnn_linear key, value, output;
    block *block;                 /* [layers] */
    rms norm;
    clipnn_linear projection;     /* [D, C] */
} aimv2;

typedef struct aimv2_acts {
    float *x, *h, *q, *k, *v; /* [T, C] */
    float *gate, *up;         /* [T, F] */
    float *pixels;            /* [T, 3*P*P] */
    float *query, *pooled;    /* [N, C] */
    int32_t *off, *one;       /* [N + 1]: rows of each sample; one each */
    int32_t *read;            /* [N] */
} aimv2_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check_picture(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    TRY(clipmdl_check_heads("vision", v->width, v->heads, file, err));
    if (v->layers < 1 || v->patch_size < 1 || v->patch_size > v->image_size ||
        v->image_size / v->patch_size > CLIPMDL_MOST_GRID || !(v->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "an AIMv2 of %d layers, and pictures of %d in patches of %d",
                          v->layers, v->image_size, v->patch_size);
    if (clipmdl_stored_size(v) != v->image_size)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "its positions are for pictures of %d, and transformers "
                          "resamples none of AIMv2's", clipmdl_stored_size(v));
    return CLIP_OK;
}

static clip_status check_text(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_text_config *t = &c->text;
    TRY(clipmdl_check_heads("text", t->width, t->heads, file, err));
    if (t->layers < 1 || t->context_length < 2 || !(t->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "an AIMv2 of %d layers, and texts of %d tokens", t->layers,
                          t->context_length);
    return CLIP_OK;
}

static clip_status init_blocks(aimv2 *m)
{
    clipmdl_tower *t = &m->tower;
    t->width = m->C;
    t->own_norm = true;
    t->layers = m->layers;
    t->groups = 1;
    t->look = m->layers - 1;
    m->block = calloc((size_t)m->layers, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    t->largest = &m->block[0].gate;
    return CLIP_OK;
}

static clip_status init_picture(clipmdl_tower *t, const clipmdl_config *c)
{
    aimv2 *m = (aimv2 *)t;
    const clipmdl_vision_config *v = &c->vision;
    const int G = v->image_size / v->patch_size;
    m->picture = true;
    m->C = v->width;
    m->F = v->mlp;
    m->H = v->heads;
    m->layers = v->layers;
    m->eps = v->eps;
    m->patch = v->patch_size;
    m->size = v->image_size;
    t->tokens = t->patches = G * G;
    return init_blocks(m);
}

static clip_status init_text(clipmdl_tower *t, const clipmdl_config *c)
{
    aimv2 *m = (aimv2 *)t;
    const clipmdl_text_config *x = &c->text;
    m->C = x->width;
    m->F = x->mlp;
    m->H = x->heads;
    m->layers = x->layers;
    m->eps = x->eps;
    m->size = x->vocab_size;
    m->pool = (clipnn_pool){.by = x->pooling, .eos_id = x->eos_id};
    t->tokens = x->context_length;
    return init_blocks(m);
}

static void free_blocks(clipmdl_tower *t) { free(((aimv2 *)t)->block); }

static void bind_rms(clipmdl_binder *b, rms *n, const char *prefix, const char *name, int C)
{
    float *unused;
    clipmdl_bind_vector(b, &n->gain, &unused, prefix, name, C);
}

static void bind_matrix(clipmdl_binder *b, clipnn_linear *l, const char *prefix, const char *weight, int O, int I)
{
    clipmdl_bind_linear(b, l, prefix, weight, NULL, 0, O, O, I);
}

static void bind_block(clipmdl_binder *b, const aimv2 *m, block *p, const char *prefix)
{
    const int C = m->C, F = m->F;
    bind_rms(b, &p->norm1, prefix, "rms_norm1.weight", C);
    bind_matrix(b, &p->q, prefix, "attention.q_proj.weight", C, C);
    bind_matrix(b, &p->k, prefix, "attention.k_proj.weight", C, C);
    bind_matrix(b, &p->v, prefix, "attention.v_proj.weight", C, C);
    bind_matrix(b, &p->out, prefix, "attention.out_proj.weight", C, C);
    bind_rms(b, &p->norm2, prefix, "rms_norm2.weight", C);
    bind_matrix(b, &p->gate, prefix, "ffn.gate_proj.weight", F, C);
    clipmdl_bind_finite(b, prefix, "ffn.gate_proj.weight"); /* the activation of -inf is 0 */
    bind_matrix(b, &p->up, prefix, "ffn.up_proj.weight", F, C);
    bind_matrix(b, &p->down, prefix, "ffn.down_proj.weight", C, F);
}

static void bind_blocks(clipmdl_binder *b, aimv2 *m, const char *prefix)
{
    char layer[CLIPMDL_MAX_NAME];
    for (int i = 0; i < m->layers; i++) {
        snprintf(layer, sizeof layer, "%sencoder.layers.%d.", prefix, i);
        bind_block(b, m, &m->block[i], layer);
    }
    bind_rms(b, &m->norm, prefix, "rms_norm.weight", m->C);
}

static void bind_picture(clipmdl_binder *b, clipmdl_tower *t)
{
    static const char prefix[] = "vision_model.", head[] = "vision_model.head.";
    aimv2 *m = (aimv2 *)t;
    const int C = m->C;
    float *unused;
    clipmdl_bind_patches(b, &m->patches, prefix, "embeddings.patch_embed.weight", "embeddings.patch_embed.bias", C,
                         m->patch);
    bind_rms(b, &m->norm_patches, prefix, "embeddings.rms_norm.weight", C);
    clipmdl_bind_matrix(b, &m->positions, &unused, prefix, "embeddings.position_embedding.weight", t->tokens, C);
    bind_blocks(b, m, prefix);
    clipmdl_bind_vector(b, &m->query, &unused, head, "cls_token", C);
    bind_matrix(b, &m->key, head, "k_proj.weight", C, C);
    bind_matrix(b, &m->value, head, "v_proj.weight", C, C);
    clipmdl_bind_linear(b, &m->output, head, "output_proj.weight", "output_proj.bias", 0, C, C, C);
    if (t->embed_dim)
        bind_matrix(b, &m->projection, "", "visual_projection.weight", t->embed_dim, C);
}

static void bind_text(clipmdl_binder *b, clipmdl_tower *t)
{
    static const char prefix[] = "text_model.";
    aimv2 *m = (aimv2 *)t;
    m->embedding.scale = 1;
    clipmdl_bind_table(b, &m->embedding.table, &m->embedding.dtable, prefix, "embeddings.token_embedding.weight",
                       m->size, m->C);
    clipmdl_bind_matrix(b, &m->embedding.pos, &m->embedding.dpos, prefix, "embeddings.position_embedding.weight",
                        t->tokens, m->C);
    clipmdl_bind_finite(b, prefix, "embeddings.position_embedding.weight"); /* rows behind a text are not used */
    bind_blocks(b, m, prefix);
    if (t->embed_dim)
        bind_matrix(b, &m->projection, "", "text_projection.weight", t->embed_dim, m->C);
}

static bool visual_projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    (void)c;
    snprintf(name, CLIPMDL_MAX_NAME, "visual_projection.weight");
    return true;
}

static bool text_projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    (void)c;
    snprintf(name, CLIPMDL_MAX_NAME, "text_projection.weight");
    return true;
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const aimv2 *m = (const aimv2 *)t;
    (void)layer;
    return m->picture ? (clipmdl_rows){.side = m->size / m->patch, .width = m->C}
                      : (clipmdl_rows){.before = t->tokens, .width = m->C};
}

static int length(const clipmdl_tower *t, const int32_t *ids, int n)
{
    return clipnn_pool_row(&((const aimv2 *)t)->pool, ids, n) + 1;
}

/* ---- Forward --------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *out, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const aimv2 *m = (const aimv2 *)t;
    aimv2_acts measured, *acts = CLIPB_NEW(a, aimv2_acts, 1);
    const size_t n = (size_t)in->N, C = (size_t)m->C, F = (size_t)m->F, P = (size_t)m->patch,
                 T = m->picture ? n * (size_t)t->tokens : (size_t)in->off[in->N];
    (void)k;
    (void)tape; /* no such tower is trained */
    out->own = acts;
    acts = acts ? acts : &measured;
    *acts = (aimv2_acts){0};
    acts->x = CLIPB_NEW(a, float, T *C);
    acts->h = CLIPB_NEW(a, float, T *C);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    acts->one = CLIPB_NEW(a, int32_t, n + 1);
    acts->read = CLIPB_NEW(a, int32_t, n);
    acts->query = CLIPB_NEW(a, float, n *C);
    out->pooled = acts->pooled = CLIPB_NEW(a, float, n *C);
    const size_t inside = clipb_arena_mark(a);
    acts->pixels = CLIPB_NEW(a, float, T * 3 * P * P);
    clipb_arena_reset(a, inside); /* the blocks begin when x is complete */
    acts->q = CLIPB_NEW(a, float, T *C);
    acts->k = CLIPB_NEW(a, float, T *C);
    acts->v = CLIPB_NEW(a, float, T *C);
    clipb_arena_reset(a, inside); /* attention is done when the MLP begins */
    acts->gate = CLIPB_NEW(a, float, T *F);
    acts->up = CLIPB_NEW(a, float, T *F);
    out->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

/* y may be x. */
static void normalise(const clipk_ctx *k, const aimv2 *m, float *y, const float *x, const rms *n, int T)
{
    clipnn_rmsnorm_forward(k, y, x, n->gain, m->eps, T, m->C);
}

static void multiply(const clipk_ctx *k, float *y, const float *x, int T, const clipnn_linear *l, int I,
                     const float *residual)
{
    clipnn_linear_forward(k, y, NULL, clipk_rows(x, I), T, l, CLIPK_LINEAR, residual);
}

static void block_forward(const clipk_ctx *k, const aimv2 *m, const block *p, const aimv2_acts *a,
                          const clipnn_batch *n)
{
    const int C = m->C, F = m->F, T = clipnn_batch_rows(n);
    const clipk_attention_shape s = {
        .B = n->B, .H = m->H, .D = C / m->H, .q_off = n->off, .k_off = n->off, .causal = n->causal,
        .format = p->q.w.format};
    normalise(k, m, a->h, a->x, &p->norm1, T);
    multiply(k, a->q, a->h, T, &p->q, C, NULL);
    multiply(k, a->k, a->h, T, &p->k, C, NULL);
    multiply(k, a->v, a->h, T, &p->v, C, NULL);
    clipk_attention(k, a->h, C, NULL, a->q, C, a->k, C, a->v, C, &s);
    multiply(k, a->x, a->h, T, &p->out, C, a->x);
    normalise(k, m, a->h, a->x, &p->norm2, T);
    multiply(k, a->gate, a->h, T, &p->gate, C, NULL);
    multiply(k, a->up, a->h, T, &p->up, C, NULL);
    clipk_swish_product(k, a->up, a->gate, a->up, (size_t)T * (size_t)F);
    multiply(k, a->x, a->up, T, &p->down, F, a->x);
}

static void pool_picture(const clipk_ctx *k, const aimv2 *m, const aimv2_acts *a, const clipnn_batch *n)
{
    const int C = m->C, N = n->B, T = clipnn_batch_rows(n);
    for (int i = 0; i <= N; i++)
        a->one[i] = i;
    for (size_t i = 0; i < (size_t)N; i++)
        memcpy(a->query + i * (size_t)C, m->query, (size_t)C * sizeof *a->query);
    const clipk_attention_shape s = {.B = N, .H = m->H, .D = C / m->H, .q_off = a->one, .k_off = n->off};
    normalise(k, m, a->h, a->x, &m->norm, T);
    multiply(k, a->k, a->h, T, &m->key, C, NULL);
    multiply(k, a->v, a->h, T, &m->value, C, NULL);
    clipk_attention(k, a->query, C, NULL, a->query, C, a->k, C, a->v, C, &s);
    multiply(k, a->pooled, a->query, N, &m->output, C, NULL);
}

static void pool_text(const clipk_ctx *k, const aimv2 *m, const aimv2_acts *a, const clipnn_batch *n,
                      const int32_t *ids)
{
    const size_t C = (size_t)m->C;
    clipnn_pool_rows(a->read, &m->pool, ids, n);
    for (size_t i = 0; i < (size_t)n->B; i++)
        memcpy(a->pooled + i * C, a->x + (size_t)a->read[i] * C, C * sizeof *a->x);
    normalise(k, m, a->pooled, a->pooled, &m->norm, n->B);
}

static void embed(const clipk_ctx *k, const aimv2 *m, const aimv2_acts *a, const clipmdl_input *in,
                  const clipnn_batch *n)
{
    const int C = m->C, P = m->patch, N = in->N, G2 = m->tower.tokens;
    if (!m->picture) {
        clipnn_token_embedding(k, a->x, &m->embedding, in->ids, n, C);
        return;
    }
    clipnn_patchify(k, a->pixels, in->pixels, NULL, N, G2, m->size, P);
    multiply(k, a->h, a->pixels, N * G2, &m->patches, 3 * P * P, NULL);
    normalise(k, m, a->h, a->h, &m->norm_patches, N * G2);
    clipnn_place_patches(k, a->x, a->h, NULL, m->positions, NULL, N, G2, C);
}

/* clipmdl_tap_rows(), with this norm. */
static bool tap_rows(const clipk_ctx *k, const aimv2 *m, const clipmdl_tap *tap, int layer, const float *x, int T)
{
    if (!tap || !tap->normed || tap->layer != layer)
        return clipmdl_tap_rows(k, tap, layer, x, T, m->C);
    normalise(k, m, tap->rows, x, &m->norm, T);
    return tap->ends;
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const aimv2 *m = (const aimv2 *)t;
    const aimv2_acts *a = acts->own;
    for (int n = 0; n <= in->N; n++)
        a->off[n] = m->picture ? n * t->tokens : in->off[n];
    const clipnn_batch batch = {.B = in->N, .off = a->off, .causal = !m->picture};
    embed(k, m, a, in, &batch);
    for (int i = 0; i <= m->layers; i++) {
        if (tap_rows(k, m, acts->tap, i, a->x, clipnn_batch_rows(&batch)))
            return;
        if (i < m->layers)
            block_forward(k, m, &m->block[i], a, &batch);
    }
    if (m->picture)
        pool_picture(k, m, a, &batch);
    else
        pool_text(k, m, a, &batch, in->ids);
    if (out)
        multiply(k, out, a->pooled, in->N, &m->projection, m->C, NULL);
}

const clipmdl_tower_kind clipmdl_aimv2 = {
    .name = "AIMv2",
    .flags = CLIPMDL_IMAGE_PARAM,
    .projection = visual_projection,
    .check = check_picture,
    .size = sizeof(aimv2),
    .init = init_picture,
    .free = free_blocks,
    .bind = bind_picture,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};

const clipmdl_tower_kind clipmdl_aimv2_text = {
    .name = "text Transformer of AIMv2",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = text_projection,
    .check = check_text,
    .size = sizeof(aimv2),
    .init = init_text,
    .free = free_blocks,
    .bind = bind_text,
    .rows = rows,
    .length = length,
    .layout = layout,
    .forward = forward,
};
