/* fastvit.c: FastViT (Vasu et al. 2023, arXiv:2303.14189), the image encoders of MobileCLIP
 * (arXiv:2311.17049) and MobileCLIP 2 (arXiv:2508.20691), as timm has them (models/fastvit.py). For
 * inference alone. Pixels as [N, H, W, C]:
 *
 *     stem:       gelu(conv 3x3/2), gelu(depthwise 3x3/2), gelu(conv 1x1)
 *     stage:      down, but in the first; positions, if it has attention; then blocks
 *     down:       gelu(squeeze(depthwise 7x7/2)), each channel making two; gelu(conv 1x1)
 *     positions:  x + depthwise 7x7(x)
 *     block:      depthwise 3x3(x), or x + proj(attention(norm(x)));  then x + mlp(x)
 *     mlp:        fc2(gelu(fc1(depthwise 7x7(x))))
 *     head:       gelu(squeeze(depthwise 3x3)), each channel making two; fc(mean over the map)
 *     squeeze:    x sigmoid(fc2(relu(fc1(mean over the map))))
 *
 * Training has several branches, with batch norms and layer scales, in place of each of these
 * convolutions. A file has the branches, which are put together here, or their sum
 * ("reparam_conv"). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/filters.h"
#include "model/tower.h"

#define PREFIX "visual.trunk."
#define HEAD 32 /* numbers in an attention head */

typedef struct squeeze {
    clipnn_linear fc1, fc2; /* fc1.w.N is 0 if there is none */
} squeeze;

typedef struct block {
    clipk_depthwise_weight mixer; /* of a block without attention */
    clipnn_layernorm norm;        /* otherwise: a batch norm is folded into qkv */
    clipnn_linear qkv, proj;
    clipk_depthwise_weight conv;
    clipnn_linear fc1, fc2;
} block;

typedef struct stage {
    clipk_depthwise_weight down, positions;
    squeeze squeeze;
    clipnn_linear proj;
    block *block; /* [blocks] */
    int blocks, C;
    bool attends;
} stage;

typedef struct fastvit {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_linear stem0, stem2;
    clipk_depthwise_weight stem1;
    stage stage[CLIPMDL_MOST_STAGES];
    int stages;
    block *blocks; /* of all stages */
    clipk_depthwise_weight final;
    squeeze squeeze;
    clipnn_linear head;
} fastvit;

typedef struct fastvit_acts {
    float *x, *y, *wide;      /* maps */
    float *mean, *fc1, *gate; /* squeeze, and the pooled rows: [N, C] each */
    int32_t *off;
} fastvit_acts;

/* ---- The model ------------------------------------------------------------------------------- */

static int stages_of(const clipmdl_vision_config *v)
{
    int n = 0;
    while (n < CLIPMDL_MOST_STAGES && v->stage[n] > 0)
        n++;
    return n;
}

static int side_of(const clipmdl_vision_config *v, int s) { return v->image_size / (4 << s); }

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    const int n = stages_of(v);
    if (n < 4 || v->width < 1 || v->width > CLIPMDL_MOST_SIDE / 64 || (v->width << 3) % HEAD || v->mlp_ratio < 1 ||
        v->mlp_ratio > 16)
        return clipb_fail(err, CLIP_EFORMAT, file, "a FastViT of width %d and %d stages is impossible", v->width, n);
    if (v->image_size < 2 << n || v->image_size % (2 << n))
        return clipb_fail(err, CLIP_EUNSUPPORTED, file,
                          "pictures of %d for a FastViT of %d stages: sizes must be multiples of %d", v->image_size, n,
                          2 << n);
    return CLIP_OK;
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    fastvit *m = (fastvit *)t;
    int blocks = 0;
    m->cfg = c->vision;
    m->stages = stages_of(&m->cfg);
    const int G = side_of(&m->cfg, m->stages - 1);
    t->groups = 1;
    t->look = 3; /* the map of the third stage */
    t->tokens = G * G;
    for (int s = 0; s < m->stages; s++)
        blocks += m->cfg.stage[s];
    m->blocks = calloc((size_t)blocks, sizeof *m->blocks);
    if (!m->blocks)
        return CLIP_ENOMEM;
    block *p = m->blocks;
    for (int s = 0; s < m->stages; s++) {
        m->stage[s] =
            (stage){.block = p, .blocks = m->cfg.stage[s], .C = m->cfg.width << s, .attends = s >= 3};
        p += m->cfg.stage[s];
    }
    t->largest = &m->stage[m->stages - 1].block->fc1;
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((fastvit *)t)->blocks); }

/* Names are `part` and what follows. */
static const char *join(char out[CLIPMDL_MAX_NAME], const char *part, const char *name)
{
    snprintf(out, CLIPMDL_MAX_NAME, "%s%s", part, name);
    return out;
}

/* timm's MobileOneBlock: K x K, 1 x 1 and identity, each with its norm. Or their sum. */
static void add_branches(clipmdl_filters *f, const char *prefix, const char *part, bool scale, bool identity)
{
    char a[CLIPMDL_MAX_NAME], b[CLIPMDL_MAX_NAME];
    if (clipmdl_binder_has(f->binder, prefix, join(a, part, "reparam_conv.weight"))) {
        clipmdl_filters_read(f, prefix, a, join(b, part, "reparam_conv.bias"), false);
        return;
    }
    clipmdl_filters_add(f, prefix, join(a, part, "conv_kxk.0.conv.weight"), join(b, part, "conv_kxk.0.bn"), f->K, 1);
    if (scale && f->K > 1)
        clipmdl_filters_add(f, prefix, join(a, part, "conv_scale.conv.weight"), join(b, part, "conv_scale.bn"), 1, 1);
    if (identity)
        clipmdl_filters_add(f, prefix, NULL, join(b, part, "identity"), 1, 1);
}

static void bind_1x1(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *part, int C)
{
    clipmdl_filters f = clipmdl_filters_begin(b, C, C, 1);
    add_branches(&f, prefix, part, false, true);
    clipmdl_filters_linear(&f, out);
}

/* O, I, weight [O, I, 1, 1] and bias */
static void bind_pixel(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *part, int O, int I,
                       const char *gamma)
{
    char weight[CLIPMDL_MAX_NAME], bias[CLIPMDL_MAX_NAME];
    clipmdl_filters f = clipmdl_filters_begin(b, O, I, 1);
    clipmdl_filters_read(&f, prefix, join(weight, part, "weight"), join(bias, part, "bias"), false);
    if (gamma)
        clipmdl_filters_scale(&f, prefix, gamma, 3);
    clipmdl_filters_linear(&f, out);
}

/* timm's SqueezeExcite, C channels through R. */
static void bind_squeeze(clipmdl_binder *b, squeeze *p, const char *prefix, const char *part, int C, int R)
{
    char name[CLIPMDL_MAX_NAME];
    bind_pixel(b, &p->fc1, prefix, join(name, part, "se.fc1."), R, C, NULL);
    bind_pixel(b, &p->fc2, prefix, join(name, part, "se.fc2."), C, R, NULL);
}

/* timm's make_divisible() of C / 4, by 8. */
static int squeezed(int C)
{
    const int n = (C / 4 + 4) / 8 * 8;
    return n < 8 ? 8 : n;
}

static void bind_down(clipmdl_binder *b, const fastvit *m, stage *g, const char *prefix)
{
    const int C = g->C;
    clipmdl_filters f = clipmdl_filters_begin(b, C, 1, 7);
    if (clipmdl_binder_has(b, prefix, "downsample.proj.0.reparam_conv.weight")) {
        clipmdl_filters_read(&f, prefix, "downsample.proj.0.reparam_conv.weight", "downsample.proj.0.reparam_conv.bias",
                             false);
    } else {
        clipmdl_filters_add(&f, prefix, "downsample.proj.0.large_conv.conv.weight", "downsample.proj.0.large_conv.bn",
                            7, 1);
        clipmdl_filters_add(&f, prefix, "downsample.proj.0.small_conv.conv.weight", "downsample.proj.0.small_conv.bn",
                            3, 1);
    }
    clipmdl_filters_depthwise(&f, &g->down, 2);
    if (m->cfg.squeezes && g - m->stage >= 2)
        bind_squeeze(b, &g->squeeze, prefix, "downsample.proj.0.", C, squeezed(C));
    bind_1x1(b, &g->proj, prefix, "downsample.proj.1.", C);
}

static void bind_positions(clipmdl_binder *b, stage *g, const char *prefix)
{
    clipmdl_filters f = clipmdl_filters_begin(b, g->C, 1, 7);
    if (clipmdl_binder_has(b, prefix, "pos_emb.reparam_conv.weight")) {
        clipmdl_filters_read(&f, prefix, "pos_emb.reparam_conv.weight", "pos_emb.reparam_conv.bias", false);
    } else {
        clipmdl_filters_read(&f, prefix, "pos_emb.pos_enc.weight", "pos_emb.pos_enc.bias", false);
        clipmdl_filters_identity(&f);
    }
    clipmdl_filters_depthwise(&f, &g->positions, 1);
}

/* timm's RepMixer: x + gamma (mixer(x) - norm(x)) */
static void bind_mixer(clipmdl_binder *b, block *p, const char *prefix, int C)
{
    clipmdl_filters f = clipmdl_filters_begin(b, C, 1, 3);
    if (clipmdl_binder_has(b, prefix, "token_mixer.reparam_conv.weight")) {
        clipmdl_filters_read(&f, prefix, "token_mixer.reparam_conv.weight", "token_mixer.reparam_conv.bias", false);
    } else {
        add_branches(&f, prefix, "token_mixer.mixer.", true, true);
        clipmdl_filters_add(&f, prefix, NULL, "token_mixer.norm.identity", 1, -1);
        clipmdl_filters_scale(&f, prefix, "token_mixer.layer_scale.gamma", 3);
        clipmdl_filters_identity(&f);
    }
    clipmdl_filters_depthwise(&f, &p->mixer, 1);
}

static void bind_attention(clipmdl_binder *b, const fastvit *m, block *p, const char *prefix, int C)
{
    clipmdl_filters f = clipmdl_filters_begin(b, 3 * C, C, 1);
    clipmdl_filters_read(&f, prefix, "token_mixer.qkv.weight", NULL, true);
    if (m->cfg.layer_norms)
        clipmdl_bind_layernorm(b, &p->norm, prefix, "norm", C, m->cfg.eps);
    else
        clipmdl_filters_norm_before(&f, prefix, "norm");
    clipmdl_filters_linear(&f, &p->qkv);
    f = clipmdl_filters_begin(b, C, C, 1);
    clipmdl_filters_read(&f, prefix, "token_mixer.proj.weight", "token_mixer.proj.bias", true);
    clipmdl_filters_scale(&f, prefix, "layer_scale_1.gamma", 3);
    clipmdl_filters_linear(&f, &p->proj);
}

static void bind_block(clipmdl_binder *b, const fastvit *m, const stage *g, block *p, const char *prefix)
{
    const int C = g->C, F = m->cfg.mlp_ratio * C;
    if (g->attends)
        bind_attention(b, m, p, prefix, C);
    else
        bind_mixer(b, p, prefix, C);
    clipmdl_filters f = clipmdl_filters_begin(b, C, 1, 7);
    clipmdl_filters_add(&f, prefix, "mlp.conv.conv.weight", "mlp.conv.bn", 7, 1);
    clipmdl_filters_depthwise(&f, &p->conv, 1);
    bind_pixel(b, &p->fc1, prefix, "mlp.fc1.", F, C, NULL);
    bind_pixel(b, &p->fc2, prefix, "mlp.fc2.", C, F, g->attends ? "layer_scale_2.gamma" : "layer_scale.gamma");
}

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    fastvit *m = (fastvit *)t;
    const int C = m->cfg.width, last = m->stage[m->stages - 1].C, D = t->embed_dim;
    char prefix[CLIPMDL_MAX_NAME];
    clipmdl_filters f = clipmdl_filters_begin(b, C, 3, 3);
    add_branches(&f, PREFIX, "stem.0.", !m->cfg.plain_stem, false);
    clipmdl_filters_linear(&f, &m->stem0);
    f = clipmdl_filters_begin(b, C, 1, 3);
    add_branches(&f, PREFIX, "stem.1.", !m->cfg.plain_stem, false);
    clipmdl_filters_depthwise(&f, &m->stem1, 2);
    bind_1x1(b, &m->stem2, PREFIX, "stem.2.", C);
    for (int s = 0; s < m->stages; s++) {
        stage *g = &m->stage[s];
        snprintf(prefix, sizeof prefix, PREFIX "stages.%d.", s);
        if (s > 0)
            bind_down(b, m, g, prefix);
        if (g->attends)
            bind_positions(b, g, prefix);
        for (int i = 0; i < g->blocks; i++) {
            snprintf(prefix, sizeof prefix, PREFIX "stages.%d.blocks.%d.", s, i);
            bind_block(b, m, g, &g->block[i], prefix);
        }
    }
    f = clipmdl_filters_begin(b, 2 * last, 1, 3);
    add_branches(&f, PREFIX, "final_conv.", true, false);
    clipmdl_filters_depthwise(&f, &m->final, 1);
    bind_squeeze(b, &m->squeeze, PREFIX, "final_conv.", 2 * last, last / 8);
    clipmdl_bind_linear(b, &m->head, PREFIX, "head.fc.weight", "head.fc.bias", 0, D, D, 2 * last);
}

/* Layer 0 is the stem, the others are the stages. */
static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const clipmdl_vision_config *v = &((const fastvit *)t)->cfg;
    const int s = layer > 0 ? layer - 1 : 0;
    return (clipmdl_rows){.side = side_of(v, s), .width = v->width << s};
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* The first stage has the largest maps, and the stem's are four times as large. */
static void layout(clipb_arena *a, clipmdl_acts *out, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const fastvit *m = (const fastvit *)t;
    fastvit_acts measured, *acts = CLIPB_NEW(a, fastvit_acts, 1);
    const size_t n = (size_t)in->N, S = (size_t)side_of(&m->cfg, 0), C = (size_t)m->cfg.width,
                 ratio = m->cfg.mlp_ratio > 4 ? (size_t)m->cfg.mlp_ratio : 4,
                 last = 2 * (size_t)m->stage[m->stages - 1].C;
    (void)k;
    (void)tape; /* no such tower is trained */
    out->own = acts;
    out->pooled = NULL;
    acts = acts ? acts : &measured;
    acts->x = CLIPB_NEW(a, float, n * 4 * S * S * C);
    acts->y = CLIPB_NEW(a, float, n * 4 * S * S * (C > 27 ? C : 27));
    acts->wide = CLIPB_NEW(a, float, n * S * S * C * ratio);
    acts->mean = CLIPB_NEW(a, float, n *last);
    acts->fc1 = CLIPB_NEW(a, float, n *last);
    acts->gate = CLIPB_NEW(a, float, n *last);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    out->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

/* y[t, c m + i] = x[t, c], i below m = 2 */
typedef struct rows_job {
    float *y;
    const float *x, *gate;
    int64_t T;
    int C, each;
} rows_job;

#define ROWS 64

static void double_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    const int64_t end = clipb_min64((i + 1) * ROWS, j->T) * j->C;
    (void)thread;
    for (int64_t c = i * ROWS * j->C; c < end; c++)
        j->y[2 * c] = j->y[2 * c + 1] = j->x[c];
}

static void double_channels(const clipk_ctx *k, float *y, const float *x, int T, int C)
{
    rows_job j = {.y = y, .x = x, .T = T, .C = C};
    clipb_team_run(k->team, clipb_ceil_div64(T, ROWS), double_piece, &j);
}

static void gate_piece(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    (void)thread;
    for (int64_t t = i * ROWS; t < clipb_min64((i + 1) * ROWS, j->T); t++) {
        const float *gate = j->gate + t / j->each * j->C;
        for (int c = 0; c < j->C; c++)
            j->y[t * j->C + c] *= gate[c];
    }
}

static clipnn_batch batch_of(const fastvit_acts *a, int N, int each)
{
    for (int n = 0; n <= N; n++)
        a->off[n] = n * each;
    return (clipnn_batch){.B = N, .off = a->off};
}

/* y = gelu(squeeze(y)) */
static void squeeze_forward(const clipk_ctx *k, const squeeze *p, const fastvit_acts *a, float *y, int N, int each,
                            int C)
{
    const clipnn_batch batch = batch_of(a, N, each);
    rows_job j = {.y = y, .gate = a->gate, .T = (int64_t)N * each, .C = C, .each = each};
    clipnn_pool_mean(k, a->mean, y, 0, &batch, C);
    clipnn_linear_forward(k, a->fc1, NULL, clipk_rows(a->mean, C), N, &p->fc1, CLIPK_RELU, NULL);
    clipnn_linear_forward(k, a->gate, NULL, clipk_rows(a->fc1, p->fc1.w.N), N, &p->fc2, CLIPK_LINEAR, NULL);
    for (int64_t i = 0; i < (int64_t)N * C; i++)
        a->gate[i] = 1 / (1 + expf(-a->gate[i]));
    clipb_team_run(k->team, clipb_ceil_div64(j.T, ROWS), gate_piece, &j);
    clipk_act_apply(k, y, y, (size_t)j.T * (size_t)C, CLIPK_GELU);
}

static void swap(fastvit_acts *a)
{
    float *x = a->x;
    a->x = a->y;
    a->y = x;
}

/* a->x [N, S, S, C/2] to [N, S/2, S/2, C] */
static void down_forward(const clipk_ctx *k, const stage *g, fastvit_acts *a, int N, int S)
{
    const int C = g->C, each = S / 2 * (S / 2);
    const bool squeezes = g->squeeze.fc1.w.N > 0;
    double_channels(k, a->wide, a->x, N * S * S, C / 2);
    clipk_depthwise(k, a->y, a->wide, N, S, S, C, &g->down, squeezes ? CLIPK_LINEAR : CLIPK_GELU);
    if (squeezes)
        squeeze_forward(k, &g->squeeze, a, a->y, N, each, C);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, C), N * each, &g->proj, CLIPK_GELU, NULL);
}

static void attention_forward(const clipk_ctx *k, const fastvit *m, const block *p, const fastvit_acts *a, int N,
                              int each, int C)
{
    const int T = N * each;
    const clipnn_batch batch = batch_of(a, N, each);
    const clipk_attention_shape s = {
        .B = N, .H = C / HEAD, .D = HEAD, .q_off = batch.off, .k_off = batch.off, .format = p->qkv.w.format};
    if (m->cfg.layer_norms)
        clipnn_layernorm_forward(k, a->y, NULL, NULL, a->x, NULL, &p->norm, T, C);
    clipnn_linear_forward(k, a->wide, NULL, clipk_rows(m->cfg.layer_norms ? a->y : a->x, C), T, &p->qkv, CLIPK_LINEAR,
                          NULL);
    clipk_attention(k, a->y, C, NULL, a->wide, 3 * C, a->wide + C, 3 * C, a->wide + 2 * C, 3 * C, &s);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, C), T, &p->proj, CLIPK_LINEAR, a->x);
}

static void block_forward(const clipk_ctx *k, const fastvit *m, const stage *g, const block *p, fastvit_acts *a, int N,
                          int S)
{
    const int C = g->C, F = m->cfg.mlp_ratio * C, T = N * S * S;
    if (g->attends) {
        attention_forward(k, m, p, a, N, S * S, C);
    } else {
        clipk_depthwise(k, a->y, a->x, N, S, S, C, &p->mixer, CLIPK_LINEAR);
        swap(a);
    }
    clipk_depthwise(k, a->y, a->x, N, S, S, C, &p->conv, CLIPK_LINEAR);
    clipnn_linear_forward(k, a->wide, NULL, clipk_rows(a->y, C), T, &p->fc1, CLIPK_GELU, NULL);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->wide, F), T, &p->fc2, CLIPK_LINEAR, a->x);
}

static void stem_forward(const clipk_ctx *k, const fastvit *m, fastvit_acts *a, const float *pixels, int N)
{
    const int I = m->cfg.image_size, C = m->cfg.width, S = I / 2;
    clipk_im2col(k, a->y, pixels, N, 3, I, I, 3, 3, 2, 1);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, 27), N * S * S, &m->stem0, CLIPK_GELU, NULL);
    clipk_depthwise(k, a->y, a->x, N, S, S, C, &m->stem1, CLIPK_GELU);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, C), N * S * S / 4, &m->stem2, CLIPK_GELU, NULL);
}

static void head_forward(const clipk_ctx *k, const fastvit *m, fastvit_acts *a, int N, int S, float *out)
{
    const int C = m->stage[m->stages - 1].C;
    double_channels(k, a->wide, a->x, N * S * S, C);
    clipk_depthwise(k, a->y, a->wide, N, S, S, 2 * C, &m->final, CLIPK_LINEAR);
    squeeze_forward(k, &m->squeeze, a, a->y, N, S * S, 2 * C);
    const clipnn_batch batch = batch_of(a, N, S * S);
    clipnn_pool_mean(k, a->mean, a->y, 0, &batch, 2 * C);
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->mean, 2 * C), N, &m->head, CLIPK_LINEAR, NULL);
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const fastvit *m = (const fastvit *)t;
    fastvit_acts a = *(const fastvit_acts *)acts->own; /* x and y change places */
    const int N = in->N;
    int S = side_of(&m->cfg, 0);
    stem_forward(k, m, &a, in->pixels, N);
    clipmdl_tap_rows(k, acts->tap, 0, a.x, N * S * S, m->cfg.width);
    for (int s = 0; s < m->stages; s++) {
        const stage *g = &m->stage[s];
        if (s > 0) {
            down_forward(k, g, &a, N, S);
            S /= 2;
        }
        if (g->attends) {
            clipk_depthwise(k, a.y, a.x, N, S, S, g->C, &g->positions, CLIPK_LINEAR);
            swap(&a);
        }
        for (int i = 0; i < g->blocks; i++)
            block_forward(k, m, g, &g->block[i], &a, N, S);
        clipmdl_tap_rows(k, acts->tap, s + 1, a.x, N * S * S, g->C);
    }
    if (out)
        head_forward(k, m, &a, N, S, out);
}

const clipmdl_tower_kind clipmdl_fastvit = {
    .name = "FastViT",
    .flags = CLIPMDL_IMAGE_PARAM,
    .chunk = 8,
    .check = check,
    .size = sizeof(fastvit),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};
