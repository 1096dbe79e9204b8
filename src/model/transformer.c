/* transformer.c: the trunk of a Transformer: blocks, norm, pooling, projection; forward and
 * backward. */
#include "model/transformer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/filters.h"

clip_status clipmdl_trunk_init(clipmdl_tower *t, clipmdl_trunk *m, int heads, int mlp, clipk_act act)
{
    m->block = calloc(m->layers, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    for (int i = 0; i < m->layers; i++) {
        m->block[i].width = m->width;
        m->block[i].heads = heads;
        m->block[i].mlp = mlp;
        m->block[i].act = act;
        m->block[i].post_norm = m->post_norm;
    }
    m->head = (clipnn_attention_pool){.width = m->width, .heads = heads, .mlp = mlp, .act = act};
    t->width = m->width;
    t->layers = m->layers;
    t->groups = m->layers + 2;
    t->look = m->layers - 1;
    t->norm = m->no_norm || m->norm_last ? NULL : &m->norm;
    t->block = m->block;
    t->largest = &m->block[0].c_fc;
    return CLIP_OK;
}

/* A linear layer [C, I] whose result is scaled by `gamma`, number by number. */
static void bind_scaled(clipmdl_binder *b, clipnn_linear *out, const char *layer, const char *name, const char *gamma,
                        int C, int I)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    if (!gamma) {
        clipmdl_bind_linear(b, out, layer, weight, bias, 0, C, C, I);
        return;
    }
    clipmdl_filters f = clipmdl_filters_begin(b, C, I, 1);
    clipmdl_filters_read(&f, layer, weight, bias, true);
    clipmdl_filters_scale(&f, layer, gamma, 1);
    clipmdl_filters_linear(&f, out);
}

static void bind_block(clipmdl_binder *b, clipnn_block *p, const char *layer, const clipmdl_trunk *m)
{
    const int C = p->width, F = p->mlp;
    const float eps = m->eps;
    clipmdl_bind_layernorm(b, &p->ln_1, layer, "ln_1", C, eps);
    clipmdl_bind_linear(b, &p->q, layer, "attn.in_proj_weight", "attn.in_proj_bias", 0, C, 3 * C, C);
    clipmdl_bind_linear(b, &p->kv, layer, "attn.in_proj_weight", "attn.in_proj_bias", C, 2 * C, 3 * C, C);
    p->attention = b->room ? NULL : p->q.w.format;
    bind_scaled(b, &p->out_proj, layer, "attn.out_proj", m->layer_scale ? "ls_1.gamma" : NULL, C, C);
    clipmdl_bind_layernorm(b, &p->ln_2, layer, "ln_2", C, eps);
    clipmdl_bind_linear(b, &p->c_fc, layer, "mlp.c_fc.weight", "mlp.c_fc.bias", 0, F, F, C);
    clipmdl_bind_finite(b, layer, "mlp.c_fc.weight"); /* the activation of -inf is 0 */
    clipmdl_bind_finite(b, layer, "mlp.c_fc.bias");
    bind_scaled(b, &p->c_proj, layer, "mlp.c_proj", m->layer_scale ? "ls_2.gamma" : NULL, C, F);
}

/* The probe is one row for all samples, and so is the gradient of its query, a sum over them. In
 * training it stays f32, where the sum of chunks is that of the batch. */
static void bind_query(clipmdl_binder *b, clipnn_linear *q, const char *prefix, const char *weight, const char *bias,
                       int C)
{
    const clipk_format *format = b->format;
    b->format = b->room ? NULL : format;
    clipmdl_bind_linear(b, q, prefix, weight, bias, 0, C, 3 * C, C);
    b->format = format;
}

void clipmdl_trunk_bind_head(clipmdl_binder *b, clipnn_attention_pool *p, const char *prefix, float eps)
{
    const int C = p->width, F = p->mlp;
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%sattn_pool.", prefix);
    clipmdl_bind_vector(b, &p->probe, &p->dprobe, name, "probe", C);
    bind_query(b, &p->q, name, "in_proj_weight", "in_proj_bias", C);
    clipmdl_bind_linear(b, &p->kv, name, "in_proj_weight", "in_proj_bias", C, 2 * C, 3 * C, C);
    clipmdl_bind_linear(b, &p->out_proj, name, "out_proj.weight", "out_proj.bias", 0, C, C, C);
    clipmdl_bind_layernorm(b, &p->ln, name, "ln_2", C, eps);
    clipmdl_bind_linear(b, &p->c_fc, name, "mlp.c_fc.weight", "mlp.c_fc.bias", 0, F, F, C);
    clipmdl_bind_linear(b, &p->c_proj, name, "mlp.c_proj.weight", "mlp.c_proj.bias", 0, C, C, F);
    clipmdl_bind_finite(b, name, "mlp.c_fc.weight"); /* as in a block */
    clipmdl_bind_finite(b, name, "mlp.c_fc.bias");
}

/* OpenCLIP's AttentionalPooler. Its norms have PyTorch's epsilon. Only the first query is read: the
 * others serve CoCa's decoder. The last norm stands behind it. Where the rows have another width
 * than it, q, k and v have weights of their own. */
static void bind_attentional_pooler(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix, const char *norm)
{
    clipnn_attention_pool *p = &m->head;
    const int C = m->width, D = p->width;
    const char *in_proj = C == D ? "attn.in_proj_weight" : "attn.split_weight";
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%sattn_pool.", prefix);
    clipmdl_bind_matrix(b, &p->probe, &p->dprobe, name, "query", m->queries, D);
    clipmdl_bind_layernorm(b, &p->ln_q, name, "ln_q", D, 1e-5f);
    clipmdl_bind_layernorm(b, &m->norm, name, "ln_k", C, 1e-5f);
    bind_query(b, &p->q, name, in_proj, "attn.in_proj_bias", D);
    clipmdl_bind_linear(b, &p->kv, name, in_proj, "attn.in_proj_bias", D, 2 * D, 3 * D, C);
    clipmdl_bind_linear(b, &p->out_proj, name, "attn.out_proj.weight", "attn.out_proj.bias", 0, D, D, D);
    clipmdl_bind_layernorm(b, &p->ln, prefix, norm, D, m->eps);
}

void clipmdl_trunk_projection(clipmdl_projection p, const char *prefix, const char *proj, char out[CLIPMDL_MAX_NAME])
{
    const bool layer = p == CLIPMDL_PROJECTION_LINEAR || p == CLIPMDL_PROJECTION_PLAIN;
    snprintf(out, CLIPMDL_MAX_NAME, "%s%s%s", prefix, proj, layer ? ".weight" : "");
}

static int pooled_width(const clipmdl_trunk *m) { return m->queries ? m->head.width : m->width; }

/* What the projection reads. */
static int projection_width(const clipmdl_trunk *m)
{
    return m->proj_in.width ? m->proj_in.width : pooled_width(m);
}

static void bind_pooler(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix)
{
    clipmdl_bind_linear(b, &m->pooler, prefix, "pooler.weight", "pooler.bias", 0, m->width, m->width, m->width);
    clipmdl_bind_finite(b, prefix, "pooler.weight"); /* tanh hides infinities */
    clipmdl_bind_finite(b, prefix, "pooler.bias");
}

/* Two layers are called as in a torch.nn.Sequential with an activation between them: "proj.0" and
 * `proj`, which is "proj.2". */
static void bind_proj_in(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix, const char *proj)
{
    const int C = m->width, H = m->proj_in.width;
    char layer[CLIPMDL_MAX_NAME];
    snprintf(layer, sizeof layer, "%s%.*s0.", prefix, (int)strlen(proj) - 1, proj);
    clipmdl_bind_linear(b, &m->first, layer, "weight", m->proj_in.bias ? "bias" : NULL, 0, H, H, C);
}

static void bind_projection(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix, const char *proj)
{
    char weight[CLIPMDL_MAX_NAME], bias[CLIPMDL_MAX_NAME];
    clipmdl_trunk_projection(m->projection, prefix, proj, weight);
    snprintf(bias, sizeof bias, "%s%s.bias", prefix, proj);
    const int I = projection_width(m);
    switch (m->projection) {
    case CLIPMDL_PROJECTION_MATRIX: clipmdl_bind_projection(b, &m->proj, weight, m->embed_dim, I); break;
    case CLIPMDL_PROJECTION_LINEAR:
        clipmdl_bind_linear(b, &m->proj, "", weight, bias, 0, m->embed_dim, m->embed_dim, I);
        break;
    case CLIPMDL_PROJECTION_PLAIN:
        clipmdl_bind_linear(b, &m->proj, "", weight, NULL, 0, m->embed_dim, m->embed_dim, I);
        break;
    case CLIPMDL_PROJECTION_NONE: break;
    }
}

void clipmdl_trunk_bind(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix, const char *norm, const char *proj)
{
    char layer[CLIPMDL_MAX_NAME];
    m->first_group = b->first_group;
    for (int i = 0; i < m->layers; i++) {
        snprintf(layer, sizeof layer, "%stransformer.resblocks.%d.", prefix, i);
        b->group = i + 1;
        bind_block(b, &m->block[i], layer, m);
    }
    if (m->queries)
        bind_attentional_pooler(b, m, prefix, norm);
    else if (!m->no_norm)
        clipmdl_bind_layernorm(b, &m->norm, prefix, norm, m->width, m->eps);
    b->group = m->layers + 1;
    if (m->pool.by == CLIPNN_POOL_ATTENTION && !m->queries)
        clipmdl_trunk_bind_head(b, &m->head, prefix, m->eps);
    if (m->has_pooler)
        bind_pooler(b, m, prefix);
    if (m->embed_dim > 0 && m->proj_in.width)
        bind_proj_in(b, m, prefix, proj);
    if (m->embed_dim > 0)
        bind_projection(b, m, prefix, proj);
}

/* ---- Layout ---------------------------------------------------------------------------------- */

/* Do all rows go through the last block? If one row is pooled, only that one has to. There are two
 * exceptions. A tap behind the last block wants all rows. And with a tap, causal samples are
 * padded: a single query must be the last row of its sample, and the pooled row is not. */
static bool reads_all(const clipmdl_trunk *m, const clipmdl_tap *tap)
{
    return !clipnn_pools_one(&m->pool) || (tap && (tap->layer == m->layers || m->causal));
}

void clipmdl_trunk_layout(clipb_arena *a, clipmdl_trunk_acts *acts, const clipmdl_trunk *m, int N, int T, bool tape)
{
    const size_t n = N, C = m->width, rows = clipnn_pools_one(&m->pool) || m->norm_last ? n : (size_t)T;
    *acts = (clipmdl_trunk_acts){0};
    acts->pooled = CLIPB_NEW(a, float, n * (size_t)pooled_width(m));
    acts->read = CLIPB_NEW(a, int32_t, n);
    if (m->has_pooler)
        acts->bare = CLIPB_NEW(a, float, n *C);
    acts->block = CLIPB_NEW(a, clipnn_block_acts, m->layers);
    if (!clipnn_pools_one(&m->pool) && !m->no_norm)
        acts->normed = CLIPB_NEW(a, float, rows *C);
    if (m->pool.by == CLIPNN_POOL_ATTENTION)
        clipnn_attention_pool_layout(a, &acts->head, &m->head, N, T, tape);
    const size_t hidden = n * (size_t)m->proj_in.width;
    if (hidden)
        acts->hidden = CLIPB_NEW(a, float, hidden);
    if (tape) {
        acts->mean = CLIPB_NEW(a, float, rows);
        acts->rstd = CLIPB_NEW(a, float, rows);
        acts->pre = CLIPB_NEW(a, float, hidden);
        if (m->has_pooler)
            acts->sum = CLIPB_NEW(a, float, n *C);
    }
}

/* Without a tape all blocks except the last share the same acts. */
void clipmdl_trunk_layout_blocks(clipb_arena *a, clipmdl_trunk_acts *acts, clipmdl_tape *tape, const clipmdl_trunk *m,
                                 float *x, int N, int T, const clipmdl_tap *tap)
{
    clipnn_block_acts shared, one; /* while measuring, acts->block has no memory: `one` takes its place */
    const size_t mark = clipb_arena_mark(a);
    if (tape) {
        clipnn_block_layout_shared(a, &shared, T, m->block);
        *tape = (clipmdl_tape){.first = clipb_arena_mark(a), .layers = m->layers};
    }
    for (int i = 0; i < m->layers; i++) {
        const int R = i < m->layers - 1 || reads_all(m, tap) ? 0 : N;
        if (tape) {
            clipnn_block_layout_tape(a, &one, &shared, x, T, R, m->block);
            tape->all = clipb_arena_mark(a);
            if (i == 0)
                tape->block = tape->all - tape->first;
        } else {
            clipb_arena_reset(a, mark); /* a block begins when the one before is done */
            clipnn_block_layout(a, &one, x, T, R, m->block);
        }
        x = one.out;
        if (acts->block)
            acts->block[i] = one;
    }
}

void clipmdl_trunk_layout_grads(clipb_arena *a, clipmdl_trunk_grads *g, const clipk_ctx *k, const clipmdl_trunk *m,
                                int N, int T, size_t work, const clipnn_relevance *relevance)
{
    const size_t C = (size_t)m->width;
    if (m->embed_dim > 0)
        clipb_raise(&work, clipnn_linear_work(k, N, projection_width(m), m->embed_dim));
    if (m->proj_in.width)
        clipb_raise(&work, clipnn_linear_work(k, N, m->width, m->proj_in.width));
    if (m->has_pooler)
        clipb_raise(&work, clipnn_linear_work(k, N, m->width, m->width));
    *g = (clipmdl_trunk_grads){.x = CLIPB_NEW(a, float, (size_t)T *C)};
    g->pooled = CLIPB_NEW(a, float, (size_t)N *C);
    g->hidden = CLIPB_NEW(a, float, (size_t)N * (size_t)m->proj_in.width);
    if (m->has_pooler)
        g->bare = CLIPB_NEW(a, float, (size_t)N *C);
    clipnn_block_layout_grads(a, &g->block, k, T, N, m->block, work);
    g->block.relevance = relevance;
    if (m->pool.by == CLIPNN_POOL_ATTENTION) {
        clipnn_attention_pool_layout_grads(a, &g->head, k, &m->head, N, T);
        g->head.relevance = relevance;
    }
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* The output of the last block: [N, C] if `read` is given, otherwise [T, C]. NULL if the tap ends
 * the forward. */
static const float *blocks_forward(const clipk_ctx *k, const clipmdl_trunk_acts *a, const clipmdl_trunk *m,
                                   const clipnn_batch *n, const int32_t *read, const clipmdl_tap *tap)
{
    const float *x = a->block[0].x;
    for (int i = 0; i <= m->layers; i++) {
        if (clipmdl_tap_rows(k, tap, i, x, clipnn_batch_rows(n), m->width))
            return NULL;
        if (i == m->layers)
            break;
        clipnn_block_forward(k, &a->block[i], &m->block[i], n, i == m->layers - 1 ? read : NULL);
        x = a->block[i].out;
    }
    return x;
}

/* From x, the output of the last block, to out [N, C]. x is [T, C], or [N, C] if one row of each
 * sample is pooled and `read` is NULL. */
static void pool_rows(const clipk_ctx *k, float *out, const clipmdl_trunk_acts *a, const clipmdl_trunk *m,
                      const clipnn_batch *n, const float *x, const int32_t *read)
{
    const int N = n->B, T = clipnn_batch_rows(n), C = m->width;
    if (m->norm_last) {
        clipnn_pool_mean(k, a->normed, x, m->pool.skip, n, C);
        clipnn_layernorm_forward(k, out, a->mean, a->rstd, a->normed, NULL, &m->norm, N, C);
    } else if (!clipnn_pools_one(&m->pool)) {
        if (!m->no_norm)
            clipnn_layernorm_forward(k, a->normed, a->mean, a->rstd, x, NULL, &m->norm, T, C);
        const float *rows = m->no_norm ? x : a->normed;
        if (m->pool.by == CLIPNN_POOL_ATTENTION)
            clipnn_attention_pool_forward(k, out, &a->head, &m->head, rows, n);
        else
            clipnn_pool_mean(k, out, rows, m->pool.skip, n, C);
    } else if (!m->no_norm) {
        clipnn_layernorm_forward(k, out, a->mean, a->rstd, x, read, &m->norm, N, C);
    } else {
        for (size_t b = 0; b < (size_t)N; b++)
            memcpy(out + b * (size_t)C, x + (read ? (size_t)read[b] : b) * (size_t)C, (size_t)C * sizeof *x);
    }
}

/* To a->pooled. */
static void pool(const clipk_ctx *k, const clipmdl_trunk_acts *a, const clipmdl_trunk *m, const clipnn_batch *n,
                 const float *x, const int32_t *read)
{
    pool_rows(k, m->has_pooler ? a->bare : a->pooled, a, m, n, x, read);
    if (m->has_pooler)
        clipnn_linear_forward(k, a->pooled, a->sum, clipk_rows(a->bare, m->width), n->B, &m->pooler, CLIPK_TANH, NULL);
}

static void project(const clipk_ctx *k, const clipmdl_trunk_acts *a, const clipmdl_trunk *m, int N, float *out)
{
    const int C = pooled_width(m), H = m->proj_in.width;
    if (m->projection == CLIPMDL_PROJECTION_NONE) {
        memcpy(out, a->pooled, (size_t)N * (size_t)C * sizeof *out);
        return;
    }
    if (H)
        clipnn_linear_forward(k, a->hidden, a->pre, clipk_rows(a->pooled, C), N, &m->first, m->proj_in.act, NULL);
    clipnn_linear_forward(k, out, NULL, H ? clipk_rows(a->hidden, H) : clipk_rows(a->pooled, C), N, &m->proj,
                          CLIPK_LINEAR, NULL);
}

void clipmdl_trunk_forward(const clipk_ctx *k, const clipmdl_trunk_acts *a, const clipmdl_trunk *m,
                           const clipnn_batch *n, const int32_t *ids, const clipmdl_tap *tap, float *out)
{
    const bool all = reads_all(m, tap);
    if (clipnn_pools_one(&m->pool))
        clipnn_pool_rows(a->read, &m->pool, ids, n);
    const float *x = blocks_forward(k, a, m, n, all ? NULL : a->read, tap);
    if (!x)
        return;
    pool(k, a, m, n, x, all ? a->read : NULL);
    if (out)
        project(k, a, m, n->B, out);
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* From dout to g->pooled. wanted: the gradient of the parameters alone will not do. */
static void project_backward(const clipk_ctx *k, const clipmdl_trunk_grads *g, const clipmdl_trunk_acts *a,
                             const clipmdl_trunk *m, const float *dout, int N, bool wanted)
{
    const int C = m->width, H = m->proj_in.width;
    void *work = g->block.work;
    if (m->projection == CLIPMDL_PROJECTION_NONE) {
        memcpy(g->pooled, dout, (size_t)N * (size_t)C * sizeof *dout);
        return;
    }
    if (H) {
        clipnn_linear_backward(k, g->hidden, dout, clipk_rows(a->hidden, H), N, &m->proj, NULL, work);
        if (m->proj_in.act != CLIPK_LINEAR)
            clipk_act_backward(k, g->hidden, NULL, g->hidden, a->pre, (size_t)N * (size_t)H, m->proj_in.act);
        dout = g->hidden;
    }
    clipnn_linear_backward(k, wanted ? g->pooled : NULL, dout, clipk_rows(a->pooled, C), N, H ? &m->first : &m->proj,
                           NULL, work);
}

/* Through the pooler: g->pooled from the gradient of its result to that of what it reads. */
static void pooler_backward(const clipk_ctx *k, const clipmdl_trunk_grads *g, const clipmdl_trunk_acts *a,
                            const clipmdl_trunk *m, int N, bool wanted)
{
    const size_t n = (size_t)N * (size_t)m->width;
    clipk_act_backward(k, g->bare, NULL, g->pooled, a->sum, n, CLIPK_TANH);
    clipnn_linear_backward(k, wanted ? g->pooled : NULL, g->bare, clipk_rows(a->bare, m->width), N, &m->pooler, NULL,
                           g->block.work);
}

/* From g->pooled, or behind a head from g->x, to the gradient of the last block's output: [N, C] if
 * one row is pooled, otherwise [T, C]. */
static float *pool_backward(const clipk_ctx *k, const clipmdl_trunk_grads *g, const clipmdl_trunk_acts *a,
                            const clipmdl_trunk *m, const clipnn_batch *n)
{
    const bool one = clipnn_pools_one(&m->pool);
    const int rows = one ? n->B : clipnn_batch_rows(n), C = m->width;
    float *d = one ? g->pooled : g->x;
    if (m->norm_last) {
        clipnn_layernorm_backward(k, g->pooled, g->pooled, a->normed, a->mean, a->rstd, &m->norm, NULL, n->B, C,
                                  g->block.work);
        clipnn_pool_mean_backward(k, d, g->pooled, m->pool.skip, n, C);
        return d;
    }
    if (m->pool.by == CLIPNN_POOL_MEAN)
        clipnn_pool_mean_backward(k, d, g->pooled, m->pool.skip, n, C);
    if (!m->no_norm)
        clipnn_layernorm_backward(k, d, d, a->block[m->layers - 1].out, a->mean, a->rstd, &m->norm, NULL, rows, C,
                                  g->block.work);
    return d;
}

bool clipmdl_trunk_backward(const clipk_ctx *k, const clipmdl_grads *g, const clipmdl_trunk_grads *own,
                            const clipmdl_trunk_acts *a, const clipmdl_trunk *m, const clipnn_batch *n,
                            const float *dout)
{
    const int L = m->layers, first = m->first_group;
    const int32_t *read = clipnn_pools_one(&m->pool) ? a->read : NULL;

    const bool head = m->pool.by == CLIPNN_POOL_ATTENTION;
    if (g->relevance && !head)
        clipnn_pool_relevance(g->relevance->r, &m->pool, a->read, n);
    clipmdl_enter(g, L + 1);
    project_backward(k, own, a, m, dout, n->B, first <= L || head || m->has_pooler);
    if (m->has_pooler)
        pooler_backward(k, own, a, m, n->B, first <= L || head);
    if (head)
        clipnn_attention_pool_backward(k, first <= L ? own->x : NULL, own->pooled, &own->head, &a->head, &m->head,
                                       m->no_norm ? a->block[L - 1].out : a->normed, n);
    if (first > L)
        return false;
    clipmdl_enter(g, L);
    const float *d = pool_backward(k, own, a, m, n);
    for (int i = L - 1; i >= 0 && i + 1 >= first; i--) {
        if (i < L - 1)
            clipmdl_enter(g, i + 1);
        clipnn_block_backward(k, own->x, d, &own->block, &a->block[i], &m->block[i], n, i == L - 1 ? read : NULL);
        d = own->x;
    }
    return first == 0;
}
