/* t5.c: the text encoder of mT5 (Raffel et al. 2020, arXiv:1910.10683; Xue et al. 2021,
 * arXiv:2010.11934), for inference alone:
 *
 *     tokens -> blocks -> norm -> mean of the tokens -> [proj.0] -> proj
 *     block:   x + o(attention(q, k, v)), with q, k, v of norm(x)
 *              x + wo(gelu(wi_0(norm(x))) wi_1(norm(x)))
 *     norm:    x / sqrt(mean(x^2) + eps) * gain      (Zhang, Sennrich 2019, arXiv:1910.07467)
 *
 * No layer has a bias. Scores are not scaled, and each has a number added that belongs to the head
 * and to the distance of the two tokens. The padding is masked, so a text ends before it.
 *
 * clipk_attention() adds nothing to scores, so the L tokens of the context are L more numbers of
 * each head: those of k are 1 at the token's own place, those of q what is added there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/tower.h"

#define PREFIX "text.transformer."
#define BUCKETS 32       /* of distances, half of them for each direction */
#define FARTHEST 128     /* distances from here on are one bucket */

typedef struct t5_block {
    const float *norm_1, *norm_2; /* [C] */
    clipnn_linear q, k, v, o;     /* [C, C] */
    clipnn_linear wi_0, wi_1, wo; /* [F, C], [F, C], [C, F] */
} t5_block;

typedef struct t5 {
    clipmdl_tower tower;
    clipmdl_text_config cfg;
    clipnn_tokens embedding;  /* the table is in the file */
    const float *distance;    /* [BUCKETS, H]: what is added to scores */
    const float *norm;        /* [C] */
    t5_block *block;
    clipnn_linear first, proj; /* [P, C], [D, P] or [D, C] */
} t5;

typedef struct t5_acts {
    float *x, *norm, *part;  /* [T, C] */
    float *q, *k, *v, *y;    /* [T, H * wide] */
    float *gate, *fc;        /* [T, F] */
    float *pooled, *hidden;  /* [N, C], [N, P] */
} t5_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static int head_width(const clipmdl_text_config *t) { return t->width / t->heads; }
static int wide(const clipmdl_text_config *t) { return head_width(t) + t->context_length; }

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_text_config *t = &c->text;
    if (t->layers < 1)
        return clipb_fail(err, CLIP_EFORMAT, file, "a Transformer without layers");
    if (t->context_length < 2)
        return clipb_fail(err, CLIP_EFORMAT, file, "a context of %d has no room for start and end token",
                          t->context_length);
    TRY(clipmdl_check_heads("text", t->width, t->heads, file, err));
    if (t->pooling != CLIPNN_POOL_MEAN)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "mT5 is supported with the pooler \"mean_pooler\" alone");
    if (wide(t) > CLIPK_ATTENTION_D)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "mT5 with a context of more than %d tokens",
                          CLIPK_ATTENTION_D - head_width(t));
    return t->eps >= 0 ? CLIP_OK : clipb_fail(err, CLIP_EFORMAT, file, "a negative epsilon of the norms");
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    t5 *m = (t5 *)t;
    m->cfg = c->text;
    m->block = calloc((size_t)m->cfg.layers, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    t->layers = m->cfg.layers;
    t->tokens = m->cfg.context_length;
    t->groups = 1;
    t->largest = &m->block[0].wi_0;
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((t5 *)t)->block); }

static void bind_block(clipmdl_binder *b, t5_block *p, const char *layer, int C, int F)
{
    float *unused; /* no gradients */
    clipmdl_bind_vector(b, &p->norm_1, &unused, layer, "layer.0.layer_norm.weight", C);
    clipmdl_bind_linear(b, &p->q, layer, "layer.0.SelfAttention.q.weight", NULL, 0, C, C, C);
    clipmdl_bind_linear(b, &p->k, layer, "layer.0.SelfAttention.k.weight", NULL, 0, C, C, C);
    clipmdl_bind_linear(b, &p->v, layer, "layer.0.SelfAttention.v.weight", NULL, 0, C, C, C);
    clipmdl_bind_linear(b, &p->o, layer, "layer.0.SelfAttention.o.weight", NULL, 0, C, C, C);
    clipmdl_bind_vector(b, &p->norm_2, &unused, layer, "layer.1.layer_norm.weight", C);
    clipmdl_bind_linear(b, &p->wi_0, layer, "layer.1.DenseReluDense.wi_0.weight", NULL, 0, F, F, C);
    clipmdl_bind_finite(b, layer, "layer.1.DenseReluDense.wi_0.weight"); /* the activation of -inf is 0 */
    clipmdl_bind_linear(b, &p->wi_1, layer, "layer.1.DenseReluDense.wi_1.weight", NULL, 0, F, F, C);
    clipmdl_bind_linear(b, &p->wo, layer, "layer.1.DenseReluDense.wo.weight", NULL, 0, C, C, F);
}

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    t5 *m = (t5 *)t;
    const clipmdl_text_config *cfg = &m->cfg;
    const int C = cfg->width, P = cfg->bert.proj_in.width;
    const char *distance = "block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    char layer[64];
    float *unused;
    m->embedding.scale = 1;
    clipmdl_bind_table(b, &m->embedding.table, &unused, PREFIX, "embed_tokens.weight", cfg->vocab_size, C);
    clipmdl_bind_matrix(b, &m->distance, &unused, PREFIX, distance, BUCKETS, cfg->heads);
    clipmdl_bind_finite(b, PREFIX, distance); /* short texts do not use all */
    for (int i = 0; i < cfg->layers; i++) {
        snprintf(layer, sizeof layer, PREFIX "block.%d.", i);
        bind_block(b, &m->block[i], layer, C, cfg->mlp);
    }
    clipmdl_bind_vector(b, &m->norm, &unused, PREFIX, "final_layer_norm.weight", C);
    if (P)
        clipmdl_bind_linear(b, &m->first, "text.", "proj.0.weight", NULL, 0, P, P, C);
    if (cfg->projection != CLIPMDL_PROJECTION_NONE)
        clipmdl_bind_linear(b, &m->proj, "text.", P ? "proj.2.weight" : "proj.weight", NULL, 0, t->embed_dim,
                            t->embed_dim, P ? P : C);
}

static bool projection(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME])
{
    snprintf(name, CLIPMDL_MAX_NAME, "text.proj%s.weight", c->text.bert.proj_in.width ? ".2" : "");
    return c->text.projection != CLIPMDL_PROJECTION_NONE;
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    (void)layer;
    return (clipmdl_rows){.before = t->tokens, .width = ((const t5 *)t)->cfg.width};
}

static int length(const clipmdl_tower *t, const int32_t *ids, int n)
{
    const int pad = ((const t5 *)t)->cfg.bert.pad_id;
    while (n > 1 && ids[n - 1] == pad)
        n--;
    return n;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const t5 *m = (const t5 *)t;
    t5_acts measured, *v = CLIPB_NEW(a, t5_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    const size_t N = (size_t)in->N, T = (size_t)in->off[in->N], C = (size_t)m->cfg.width, F = (size_t)m->cfg.mlp;
    const size_t heads = T * (size_t)m->cfg.heads * (size_t)wide(&m->cfg);
    (void)k;
    (void)tape;
    v->x = CLIPB_NEW(a, float, T *C);
    v->norm = CLIPB_NEW(a, float, T *C);
    v->part = CLIPB_NEW(a, float, T *C);
    v->q = CLIPB_NEW(a, float, heads);
    v->k = CLIPB_NEW(a, float, heads);
    v->v = CLIPB_NEW(a, float, heads);
    v->y = CLIPB_NEW(a, float, heads);
    v->gate = CLIPB_NEW(a, float, T *F);
    v->fc = CLIPB_NEW(a, float, T *F);
    v->pooled = CLIPB_NEW(a, float, N *C);
    v->hidden = CLIPB_NEW(a, float, N * (size_t)m->cfg.bert.proj_in.width);
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* transformers' _relative_position_bucket(). by: places from the query to the key */
static int bucket(int by)
{
    const int each = BUCKETS / 2, exact = each / 2, n = abs(by);
    int at = n;
    if (n >= exact) {
        const float farthest = (float)log((double)FARTHEST / exact);
        at = exact + (int)(logf((float)n / (float)exact) / farthest * (float)(each - exact));
        at = at < each ? at : each - 1;
    }
    return (by > 0 ? each : 0) + at;
}

/* The numbers of each head behind those of the layers. They are the same in every block.
 * clipk_attention() divides scores by the root of a head's width; q makes up for it. */
static void place_distances(const t5 *m, const t5_acts *a, const clipnn_batch *n)
{
    const int H = m->cfg.heads, D = head_width(&m->cfg), W = wide(&m->cfg), L = m->cfg.context_length;
    const size_t bytes = (size_t)clipnn_batch_rows(n) * (size_t)(H * W) * sizeof *a->q;
    const float root = sqrtf((float)W);
    memset(a->q, 0, bytes);
    memset(a->k, 0, bytes);
    memset(a->v, 0, bytes);
    for (int b = 0; b < n->B; b++)
        for (int t = n->off[b]; t < n->off[b + 1]; t++) {
            const int i = t - n->off[b];
            for (int h = 0; h < H; h++) {
                const size_t at = ((size_t)t * (size_t)H + (size_t)h) * (size_t)W + (size_t)D;
                a->k[at + (size_t)i] = 1;
                for (int j = 0; j < L && j < n->off[b + 1] - n->off[b]; j++)
                    a->q[at + (size_t)j] = root * m->distance[bucket(j - i) * H + h];
            }
        }
}

/* The rows of x [T, C] to the front of each head, times `scale`. */
static void spread(const t5 *m, float *heads, const float *x, float scale, int T)
{
    const int D = head_width(&m->cfg), W = wide(&m->cfg);
    for (int64_t i = 0; i < (int64_t)T * m->cfg.heads; i++)
        for (int d = 0; d < D; d++)
            heads[i * W + d] = scale * x[i * D + d];
}

static void attend(const clipk_ctx *k, const t5_acts *a, const t5 *m, const t5_block *p, const clipnn_batch *n)
{
    const int C = m->cfg.width, T = clipnn_batch_rows(n), H = m->cfg.heads, D = head_width(&m->cfg),
              W = wide(&m->cfg), ld = H * W;
    const clipk_view x = clipk_rows(a->norm, C);
    clipnn_rmsnorm_forward(k, a->norm, a->x, p->norm_1, m->cfg.eps, T, C);
    clipnn_linear_forward(k, a->part, NULL, x, T, &p->q, CLIPK_LINEAR, NULL);
    spread(m, a->q, a->part, sqrtf((float)W), T);
    clipnn_linear_forward(k, a->part, NULL, x, T, &p->k, CLIPK_LINEAR, NULL);
    spread(m, a->k, a->part, 1, T);
    clipnn_linear_forward(k, a->part, NULL, x, T, &p->v, CLIPK_LINEAR, NULL);
    spread(m, a->v, a->part, 1, T);
    /* Without a format: the positions in q and k would be rounded, too. */
    const clipk_attention_shape s = {.B = n->B, .H = H, .D = W, .q_off = n->off, .k_off = n->off};
    clipk_attention(k, a->y, ld, NULL, a->q, ld, a->k, ld, a->v, ld, &s);
    for (int64_t i = 0; i < (int64_t)T * H; i++)
        memcpy(a->part + i * D, a->y + i * W, (size_t)D * sizeof *a->part);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->part, C), T, &p->o, CLIPK_LINEAR, a->x);
}

static void feed(const clipk_ctx *k, const t5_acts *a, const t5 *m, const t5_block *p, int T)
{
    const int C = m->cfg.width, F = m->cfg.mlp;
    clipnn_rmsnorm_forward(k, a->norm, a->x, p->norm_2, m->cfg.eps, T, C);
    clipnn_linear_forward(k, a->gate, NULL, clipk_rows(a->norm, C), T, &p->wi_0, m->cfg.act, NULL);
    clipnn_linear_forward(k, a->fc, NULL, clipk_rows(a->norm, C), T, &p->wi_1, CLIPK_LINEAR, NULL);
    for (size_t i = 0; i < (size_t)T * (size_t)F; i++)
        a->fc[i] *= a->gate[i];
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->fc, F), T, &p->wo, CLIPK_LINEAR, a->x);
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const t5 *m = (const t5 *)t;
    const t5_acts *a = acts->own;
    const clipnn_batch batch = {.B = in->N, .off = in->off};
    const int C = m->cfg.width, N = in->N, T = clipnn_batch_rows(&batch), P = m->cfg.bert.proj_in.width;

    clipnn_token_embedding(k, a->x, &m->embedding, in->ids, &batch, C);
    place_distances(m, a, &batch);
    for (int i = 0; i < m->cfg.layers; i++) {
        attend(k, a, m, &m->block[i], &batch);
        feed(k, a, m, &m->block[i], T);
    }
    clipnn_rmsnorm_forward(k, a->norm, a->x, m->norm, m->cfg.eps, T, C);
    clipnn_pool_mean(k, a->pooled, a->norm, 0, &batch, C);
    if (P)
        clipnn_linear_forward(k, a->hidden, NULL, clipk_rows(a->pooled, C), N, &m->first, m->cfg.bert.proj_in.act,
                              NULL);
    if (m->cfg.projection == CLIPMDL_PROJECTION_NONE)
        memcpy(out, a->pooled, (size_t)N * (size_t)C * sizeof *out);
    else
        clipnn_linear_forward(k, out, NULL, P ? clipk_rows(a->hidden, P) : clipk_rows(a->pooled, C), N, &m->proj,
                              CLIPK_LINEAR, NULL);
}

const clipmdl_tower_kind clipmdl_t5 = {
    .name = "mT5",
    .flags = CLIPMDL_TEXT_PARAM,
    .projection = projection,
    .check = check,
    .size = sizeof(t5),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .length = length,
    .layout = layout,
    .forward = forward,
};
