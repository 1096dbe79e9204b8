/* eva.c: the Vision Transformers of timm that are not CLIP's: EVA (Fang et al. 2022,
 * arXiv:2211.07636; EVA-02, 2023, arXiv:2303.11331; EVA-CLIP, 2023, arXiv:2303.15389), the
 * Perception Encoder (Bolya et al. 2025, arXiv:2504.13181), MobileCLIP-B and ViTamin. For inference
 * alone.
 *
 *     stem -> [class, patches] + positions -> norm_pre -> blocks -> norm, pool -> head
 *     block:   x + proj(norm(attention(turn(q), turn(k), v)))    then    x + fc2(norm(f))
 *              f = swish(fc1_g(h)) fc1_x(h),  or gelu(w0(h)) w1(h),  or act(fc1(h))
 *
 * q, k, v and h are made from the norm of x. Where the norms stand behind, a block is
 * x + norm(proj(..)), then x + norm(fc2(f)). The inner norms, the turn and the class token are
 * choices of the configuration. A turn rotates pairs of numbers by angles that grow with the row
 * and with the column of a patch. The last norm stands behind the pool if that is a mean. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/stem.h"
#include "model/transformer.h"

#define PREFIX "visual.trunk."

typedef struct block {
    clipnn_layernorm norm1, norm2;
    clipnn_linear q, k, v, proj; /* [C, C] */
    clipnn_layernorm norm;       /* of the attention's result, if there are inner norms */
    clipnn_layernorm norm_in;    /* before a gated MLP with GELU */
    clipnn_linear gate, fc1;     /* [F, C]; gate only in a gated MLP */
    clipnn_layernorm norm_mlp;
    clipnn_linear fc2;           /* [C, F] */
} block;

typedef struct eva {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_linear patch_embed;
    clipmdl_stem stem;                    /* in place of patch_embed, if cfg.eva.stem says so */
    const float *class_token, *positions; /* [C], [c+G*G, C] */
    clipnn_layernorm norm_pre, norm;
    block *block; /* [layers] */
    clipnn_attention_pool pool;
    clipnn_linear head; /* [D, C] */
    float *angle;       /* [G*G, 2, C/heads], as clipk_rotate() reads it; NULL: nothing turns */
} eva;

typedef struct eva_acts {
    float *patches, *embed; /* [N*G*G, 3*P*P], [N*G*G, C] */
    float *x, *ln;          /* [T, C] */
    float *q, *k, *v;       /* [T, C] */
    float *gate, *fc;       /* [T, F] */
    float *pooled;          /* [N, C] */
    int32_t *off;
    clipmdl_stem_acts stem;
    clipnn_attention_pool_acts pool;
} eva_acts;

static int grid_of(const clipmdl_vision_config *v) { return v->image_size / v->patch_size; }
static int class_tokens(const eva *m) { return m->cfg.class_token ? 1 : 0; }

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    TRY(clipmdl_check_heads("vision", v->width, v->heads, file, err));
    if (v->layers < 1 || v->patch_size < 1 || v->patch_size > v->image_size || grid_of(v) > CLIPMDL_MOST_GRID)
        return clipb_fail(err, CLIP_EFORMAT, file, "an EVA of %d layers, and pictures of %d in patches of %d",
                          v->layers, v->image_size, v->patch_size);
    if (v->eva.stem != CLIPMDL_STEM_PATCHES && (v->patch_size != 16 || v->image_size % 16))
        return clipb_fail(err, CLIP_EFORMAT, file, "pictures of %d do not fit convolutions that make patches of 16",
                          v->image_size);
    if (v->eva.no_positions && v->class_token)
        return clipb_fail(err, CLIP_EFORMAT, file, "a class token without positions is not supported");
    if (v->eva.turn > 0 && v->width / v->heads % 4)
        return clipb_fail(err, CLIP_EFORMAT, file, "heads of %d numbers cannot be turned", v->width / v->heads);
    return CLIP_OK;
}

/* As timm's freq_bands() and _build_grid(): f32 all the way. */
static clip_status make_angles(eva *m)
{
    const clipmdl_eva_config *e = &m->cfg.eva;
    const int G = grid_of(&m->cfg), D = m->cfg.width / m->cfg.heads, bands = D / 4;
    m->angle = malloc((size_t)G * (size_t)G * 2 * (size_t)D * sizeof *m->angle);
    if (!m->angle)
        return CLIP_ENOMEM;
    for (int i = 0; i < G * G; i++) {
        float *to = m->angle + (size_t)i * 2 * (size_t)D;
        for (int axis = 0; axis < 2; axis++) {
            const int at = (axis == 0) == e->columns_first ? i % G : i / G;
            const float place = (float)(at + e->turn_from) / (float)G * (float)e->turn;
            for (int b = 0; b < bands; b++) {
                const float band = 1 / powf(10000, (float)b / (float)bands), angle = place * band;
                float *pair = to + 2 * (axis * bands + b);
                pair[0] = pair[1] = cosf(angle);
                pair[D] = -sinf(angle);
                pair[D + 1] = sinf(angle);
            }
        }
    }
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    eva *m = (eva *)t;
    const clipmdl_vision_config *v = &c->vision;
    m->cfg = *v;
    t->patches = grid_of(v) * grid_of(v);
    t->tokens = class_tokens(m) + t->patches;
    t->width = v->width;
    t->layers = v->layers;
    t->groups = 1;
    t->look = v->layers - 1;
    t->norm = v->pooling == CLIPNN_POOL_MEAN ? NULL : &m->norm;
    if (v->eva.stem != CLIPMDL_STEM_PATCHES)
        clipmdl_stem_init(&m->stem, v);
    m->block = calloc((size_t)v->layers, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    t->largest = &m->block[0].fc1;
    m->pool = (clipnn_attention_pool){
        .width = v->width, .heads = v->eva.pool_heads, .mlp = 4 * v->width, .act = CLIPK_GELU};
    return v->eva.turn > 0 ? make_angles(m) : CLIP_OK;
}

static void free_blocks(clipmdl_tower *t)
{
    eva *m = (eva *)t;
    free(m->block);
    free(m->angle);
}

static void bind_attention(clipmdl_binder *b, const eva *m, block *p, const char *prefix)
{
    const int C = m->cfg.width;
    const clipmdl_eva_config *e = &m->cfg.eva;
    float *unused;
    if (e->split) {
        clipmdl_bind_linear(b, &p->q, prefix, "attn.q_proj.weight", "attn.q_proj.bias", 0, C, C, C);
        clipmdl_bind_linear(b, &p->k, prefix, "attn.k_proj.weight", NULL, 0, C, C, C);
        clipmdl_bind_linear(b, &p->v, prefix, "attn.v_proj.weight", "attn.v_proj.bias", 0, C, C, C);
    } else {
        const char *bias = e->k_bias ? "attn.qkv.bias" : NULL;
        clipmdl_bind_linear(b, &p->q, prefix, "attn.qkv.weight", bias, 0, C, 3 * C, C);
        clipmdl_bind_linear(b, &p->k, prefix, "attn.qkv.weight", bias, C, C, 3 * C, C);
        clipmdl_bind_linear(b, &p->v, prefix, "attn.qkv.weight", bias, 2 * C, C, 3 * C, C);
        if (!bias) {
            clipmdl_bind_vector(b, &p->q.b, &unused, prefix, "attn.q_bias", C);
            clipmdl_bind_vector(b, &p->v.b, &unused, prefix, "attn.v_bias", C);
        }
    }
    if (e->inner_norms)
        clipmdl_bind_layernorm(b, &p->norm, prefix, "attn.norm", C, m->cfg.eps);
    clipmdl_bind_linear(b, &p->proj, prefix, "attn.proj.weight", "attn.proj.bias", 0, C, C, C);
}

static void bind_finite(clipmdl_binder *b, const char *prefix, const char *weight, const char *bias)
{
    clipmdl_bind_finite(b, prefix, weight); /* the activation of -inf is 0 */
    clipmdl_bind_finite(b, prefix, bias);
}

static void bind_block(clipmdl_binder *b, const eva *m, block *p, const char *prefix)
{
    const int C = m->cfg.width, F = m->cfg.mlp;
    clipmdl_bind_layernorm(b, &p->norm1, prefix, "norm1", C, m->cfg.eps);
    bind_attention(b, m, p, prefix);
    clipmdl_bind_layernorm(b, &p->norm2, prefix, "norm2", C, m->cfg.eps);
    if (m->cfg.eva.geglu) {
        clipmdl_bind_layernorm(b, &p->norm_in, prefix, "mlp.norm", C, m->cfg.eps);
        clipmdl_bind_linear(b, &p->gate, prefix, "mlp.w0.weight", "mlp.w0.bias", 0, F, F, C);
        clipmdl_bind_linear(b, &p->fc1, prefix, "mlp.w1.weight", "mlp.w1.bias", 0, F, F, C);
        bind_finite(b, prefix, "mlp.w0.weight", "mlp.w0.bias");
        clipmdl_bind_linear(b, &p->fc2, prefix, "mlp.w2.weight", "mlp.w2.bias", 0, C, C, F);
        return;
    }
    if (m->cfg.eva.gated) {
        clipmdl_bind_linear(b, &p->gate, prefix, "mlp.fc1_g.weight", "mlp.fc1_g.bias", 0, F, F, C);
        clipmdl_bind_linear(b, &p->fc1, prefix, "mlp.fc1_x.weight", "mlp.fc1_x.bias", 0, F, F, C);
        bind_finite(b, prefix, "mlp.fc1_g.weight", "mlp.fc1_g.bias");
    } else {
        clipmdl_bind_linear(b, &p->fc1, prefix, "mlp.fc1.weight", "mlp.fc1.bias", 0, F, F, C);
        bind_finite(b, prefix, "mlp.fc1.weight", "mlp.fc1.bias");
    }
    if (m->cfg.eva.inner_norms)
        clipmdl_bind_layernorm(b, &p->norm_mlp, prefix, "mlp.norm", F, m->cfg.eps);
    clipmdl_bind_linear(b, &p->fc2, prefix, "mlp.fc2.weight", "mlp.fc2.bias", 0, C, C, F);
}

static void bind_positions(clipmdl_binder *b, eva *m)
{
    const clipmdl_vision_config *v = &m->cfg;
    const bool bare = v->eva.bare_class;
    const size_t C = (size_t)v->width;
    const clipmdl_positions p = {bare ? 0 : class_tokens(m), grid_of(v), clipmdl_stored_size(v) / v->patch_size};
    float *unused;
    clipmdl_bind_positions(b, &m->positions, &unused, PREFIX, "pos_embed", &p, v->width);
    if (!bare)
        return;
    /* A row of zeros in front, for the class token. */
    float *whole = CLIPB_NEW(&b->arena, float, C + (size_t)m->tower.patches *C);
    if (m->positions && clipmdl_binder_places(b)) {
        memset(whole, 0, C * sizeof *whole);
        memcpy(whole + C, m->positions, (size_t)m->tower.patches * C * sizeof *whole);
    }
    m->positions = whole;
}

static void bind_embedding(clipmdl_binder *b, eva *m)
{
    const clipmdl_vision_config *v = &m->cfg;
    float *unused;
    if (v->eva.stem != CLIPMDL_STEM_PATCHES)
        clipmdl_stem_bind(b, &m->stem, PREFIX "patch_embed.backbone.");
    else
        clipmdl_bind_patches(b, &m->patch_embed, PREFIX, "patch_embed.proj.weight",
                             v->patch_bias ? "patch_embed.proj.bias" : NULL, v->width, v->patch_size);
    if (v->class_token)
        clipmdl_bind_vector(b, &m->class_token, &unused, PREFIX, "cls_token", v->width);
    if (!v->eva.no_positions)
        bind_positions(b, m);
}

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    eva *m = (eva *)t;
    const clipmdl_vision_config *v = &m->cfg;
    const int C = v->width;
    bind_embedding(b, m);
    if (v->ln_pre)
        clipmdl_bind_layernorm(b, &m->norm_pre, PREFIX, "norm_pre", C, v->eps);
    for (int i = 0; i < v->layers; i++) {
        char prefix[CLIPMDL_MAX_NAME];
        snprintf(prefix, sizeof prefix, PREFIX "blocks.%d.", i);
        bind_block(b, m, &m->block[i], prefix);
    }
    clipmdl_bind_layernorm(b, &m->norm, PREFIX, v->pooling == CLIPNN_POOL_MEAN ? "fc_norm" : "norm", C, v->eps);
    if (v->pooling == CLIPNN_POOL_ATTENTION)
        clipmdl_trunk_bind_head(b, &m->pool, PREFIX, v->eps);
    if (v->eva.outer_head)
        clipmdl_bind_linear(b, &m->head, "visual.", "head.proj.weight", NULL, 0, t->embed_dim, t->embed_dim, C);
    else
        clipmdl_bind_linear(b, &m->head, PREFIX, "head.weight", "head.bias", 0, t->embed_dim, t->embed_dim, C);
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const eva *m = (const eva *)t;
    (void)layer;
    return (clipmdl_rows){.before = class_tokens(m), .side = grid_of(&m->cfg), .width = m->cfg.width};
}

/* ---- Forward --------------------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *out, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const eva *m = (const eva *)t;
    eva_acts measured, *acts = CLIPB_NEW(a, eva_acts, 1);
    const size_t n = (size_t)in->N, C = (size_t)m->cfg.width, P = (size_t)m->cfg.patch_size, F = (size_t)m->cfg.mlp,
                 G2 = (size_t)t->patches, T = n * (size_t)t->tokens;
    (void)tape; /* no such tower is trained */
    out->own = acts;
    acts = acts ? acts : &measured;
    *acts = (eva_acts){0};
    acts->x = CLIPB_NEW(a, float, T *C);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    out->pooled = acts->pooled = CLIPB_NEW(a, float, n *C);
    const size_t mark = clipb_arena_mark(a);
    acts->embed = CLIPB_NEW(a, float, n *G2 *C);
    if (m->cfg.eva.stem != CLIPMDL_STEM_PATCHES)
        clipmdl_stem_layout(a, &acts->stem, k, &m->stem, 1);
    else
        acts->patches = CLIPB_NEW(a, float, n *G2 * 3 * P * P);
    clipb_arena_reset(a, mark); /* the blocks begin when x is complete */
    acts->ln = CLIPB_NEW(a, float, T *C);
    const size_t inside = clipb_arena_mark(a);
    acts->q = CLIPB_NEW(a, float, T *C);
    acts->k = CLIPB_NEW(a, float, T *C);
    acts->v = CLIPB_NEW(a, float, T *C);
    clipb_arena_reset(a, inside); /* attention is done when the MLP begins */
    acts->fc = CLIPB_NEW(a, float, T *F);
    if (m->cfg.eva.gated || m->cfg.eva.geglu)
        acts->gate = CLIPB_NEW(a, float, T *F);
    clipb_arena_reset(a, inside);
    if (m->cfg.pooling == CLIPNN_POOL_ATTENTION)
        clipnn_attention_pool_layout(a, &acts->pool, &m->pool, in->N, (int)T, false);
    out->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

typedef struct add_job {
    float *y;
    const float *x;
    int64_t n;
} add_job;

#define PIECE 8192

static void multiply_piece(void *job, int64_t i, int thread)
{
    const add_job *j = job;
    const int64_t end = clipb_min64((i + 1) * PIECE, j->n);
    (void)thread;
    for (int64_t c = i * PIECE; c < end; c++)
        j->y[c] *= j->x[c];
}

static void add_piece(void *job, int64_t i, int thread)
{
    const add_job *j = job;
    const int64_t end = clipb_min64((i + 1) * PIECE, j->n);
    (void)thread;
    for (int64_t c = i * PIECE; c < end; c++)
        j->y[c] += j->x[c];
}

/* a->x += norm(y), y [T, C] */
static void add_norm(const clipk_ctx *k, const eva *m, const eva_acts *a, float *y, const clipnn_layernorm *norm, int T)
{
    add_job j = {a->x, y, (int64_t)T * m->cfg.width};
    clipnn_layernorm_forward(k, y, NULL, NULL, y, NULL, norm, T, m->cfg.width);
    clipb_team_run(k->team, clipb_ceil_div64(j.n, PIECE), add_piece, &j);
}

static void attention_forward(const clipk_ctx *k, const eva *m, const block *p, const eva_acts *a,
                              const clipnn_batch *n)
{
    const int C = m->cfg.width, H = m->cfg.heads, T = clipnn_batch_rows(n), each = m->tower.tokens;
    const bool post = m->cfg.eva.post_norm;
    const float *h = post ? a->x : a->ln;
    if (!post)
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->x, NULL, &p->norm1, T, C);
    clipnn_linear_forward(k, a->q, NULL, clipk_rows(h, C), T, &p->q, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->k, NULL, clipk_rows(h, C), T, &p->k, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->v, NULL, clipk_rows(h, C), T, &p->v, CLIPK_LINEAR, NULL);
    if (m->angle) {
        clipk_rotate(k, a->q, m->angle, each, class_tokens(m), T, H, C / H);
        clipk_rotate(k, a->k, m->angle, each, class_tokens(m), T, H, C / H);
    }
    const clipk_attention_shape s = {
        .B = n->B, .H = H, .D = C / H, .q_off = n->off, .k_off = n->off, .format = p->q.w.format};
    clipk_attention(k, a->ln, C, NULL, a->q, C, a->k, C, a->v, C, &s);
    if (m->cfg.eva.inner_norms)
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->ln, NULL, &p->norm, T, C);
    clipnn_linear_forward(k, post ? a->q : a->x, NULL, clipk_rows(a->ln, C), T, &p->proj, CLIPK_LINEAR,
                          post ? NULL : a->x);
    if (post)
        add_norm(k, m, a, a->q, &p->norm1, T);
}

static void mlp_forward(const clipk_ctx *k, const eva *m, const block *p, const eva_acts *a, int T)
{
    const int C = m->cfg.width, F = m->cfg.mlp;
    const bool post = m->cfg.eva.post_norm, gated = m->cfg.eva.gated, geglu = m->cfg.eva.geglu;
    const float *h = post ? a->x : a->ln;
    if (!post)
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->x, NULL, &p->norm2, T, C);
    if (geglu)
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->ln, NULL, &p->norm_in, T, C);
    if (gated || geglu)
        clipnn_linear_forward(k, a->gate, NULL, clipk_rows(h, C), T, &p->gate, geglu ? CLIPK_GELU : CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->fc, NULL, clipk_rows(h, C), T, &p->fc1, gated || geglu ? CLIPK_LINEAR : m->cfg.act,
                          NULL);
    add_job product = {a->fc, a->gate, (int64_t)T * F};
    if (geglu)
        clipb_team_run(k->team, clipb_ceil_div64(product.n, PIECE), multiply_piece, &product);
    if (gated)
        clipk_swish_product(k, a->fc, a->gate, a->fc, (size_t)T * (size_t)F);
    if (m->cfg.eva.inner_norms)
        clipnn_layernorm_forward(k, a->fc, NULL, NULL, a->fc, NULL, &p->norm_mlp, T, F);
    clipnn_linear_forward(k, post ? a->ln : a->x, NULL, clipk_rows(a->fc, F), T, &p->fc2, CLIPK_LINEAR,
                          post ? NULL : a->x);
    if (post)
        add_norm(k, m, a, a->ln, &p->norm2, T);
}

/* The rows of the last block to a->pooled. */
static void pool(const clipk_ctx *k, const eva *m, const eva_acts *a, const clipnn_batch *n)
{
    const int C = m->cfg.width, T = clipnn_batch_rows(n);
    if (m->cfg.pooling == CLIPNN_POOL_ATTENTION) {
        clipnn_layernorm_forward(k, a->ln, NULL, NULL, a->x, NULL, &m->norm, T, C);
        clipnn_attention_pool_forward(k, a->pooled, &a->pool, &m->pool, a->ln, n);
    } else if (m->cfg.pooling == CLIPNN_POOL_MEAN) {
        clipnn_pool_mean(k, a->pooled, a->x, class_tokens(m), n, C);
        clipnn_layernorm_forward(k, a->pooled, NULL, NULL, a->pooled, NULL, &m->norm, n->B, C);
    } else {
        clipnn_layernorm_forward(k, a->pooled, NULL, NULL, a->x, n->off, &m->norm, n->B, C);
    }
}

/* Pixels to a->x. The maps of a stem are large: one picture at a time. */
static void embed(const clipk_ctx *k, const eva *m, const eva_acts *a, const clipmdl_input *in)
{
    const clipmdl_vision_config *v = &m->cfg;
    const int N = in->N, C = v->width, P = v->patch_size, G2 = m->tower.patches;
    if (v->eva.stem != CLIPMDL_STEM_PATCHES) {
        for (size_t n = 0; n < (size_t)N; n++)
            clipmdl_stem_forward(k, a->embed + n * (size_t)G2 * (size_t)C, &a->stem, &m->stem,
                                 in->pixels + n * 3 * (size_t)v->image_size * (size_t)v->image_size, 1);
    } else {
        clipnn_patchify(k, a->patches, in->pixels, NULL, N, G2, v->image_size, P);
        clipnn_linear_forward(k, a->embed, NULL, clipk_rows(a->patches, 3 * P * P), N * G2, &m->patch_embed,
                              CLIPK_LINEAR, NULL);
    }
    if (v->eva.no_positions)
        memcpy(a->x, a->embed, (size_t)N * (size_t)G2 * (size_t)C * sizeof *a->x);
    else
        clipnn_place_patches(k, a->x, a->embed, m->class_token, m->positions, NULL, N, G2, C);
    if (v->ln_pre)
        clipnn_layernorm_forward(k, a->x, NULL, NULL, a->x, NULL, &m->norm_pre, N * m->tower.tokens, C);
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const eva *m = (const eva *)t;
    const eva_acts *a = acts->own;
    const clipmdl_vision_config *v = &m->cfg;
    const int N = in->N, C = v->width, T = N * t->tokens;
    embed(k, m, a, in);
    for (int n = 0; n <= N; n++)
        a->off[n] = n * t->tokens;
    const clipnn_batch batch = {.B = N, .off = a->off};
    for (int i = 0; i < v->layers; i++) {
        if (clipmdl_tap_rows(k, acts->tap, i, a->x, T, C))
            return;
        attention_forward(k, m, &m->block[i], a, &batch);
        mlp_forward(k, m, &m->block[i], a, T);
    }
    if (clipmdl_tap_rows(k, acts->tap, v->layers, a->x, T, C))
        return;
    pool(k, m, a, &batch);
    if (out)
        clipnn_linear_forward(k, out, NULL, clipk_rows(a->pooled, C), N, &m->head, CLIPK_LINEAR, NULL);
}

const clipmdl_tower_kind clipmdl_eva = {
    .name = "EVA",
    .flags = CLIPMDL_IMAGE_PARAM,
    .check = check,
    .size = sizeof(eva),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};
