/* resnet.c: the modified ResNet of CLIP, pixels as [N, H, W, C], every convolution with its batch
 * norm:
 *
 *     stem:        relu(conv1 3x3/2), relu(conv2 3x3), relu(conv3 3x3), avgpool 2
 *     bottleneck:  y = relu(conv3 1x1(avgpool(relu(conv2 3x3(relu(conv1 1x1(x)))))) + identity)
 *                  identity = x, or downsample 1x1(avgpool(x));  avgpool only where the stride is 2
 *     attnpool:    one query, the mean of the last map, over all its positions */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/tower.h"

typedef struct bottleneck {
    int in, planes, stride;    /* out = 4 planes */
    clipnn_conv1x1 conv1;      /* [planes, in] */
    clipnn_conv3x3 conv2;      /* [planes, planes, 3, 3] */
    clipnn_conv1x1 conv3;      /* [4 planes, planes] */
    clipnn_conv1x1 downsample; /* [4 planes, in], if has_downsample */
    bool has_downsample;
} bottleneck;

typedef struct resnet {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_conv1x1 conv1;        /* [C/2, 27], over im2col's columns */
    clipnn_conv3x3 conv2, conv3; /* [C/2, C/2, 3, 3], [C, C/2, 3, 3] */
    bottleneck *block;           /* [blocks] */
    int blocks;
    const float *positional_embedding; /* [1+G*G, 32 C] */
    clipnn_linear q, kv, c_proj;       /* [32C, 32C], [64C, 32C], [D, 32C] */
    float *d_positional_embedding;     /* training only */
} resnet;

typedef struct bottleneck_acts {
    int S;        /* side of the input */
    float *x, *y; /* input and output; without a tape y may be x */
    clipnn_conv_acts conv1, conv2, conv3, downsample;
} bottleneck_acts;

typedef struct resnet_acts {
    float *columns; /* im2col of the pixels */
    float *x, *y;   /* the stem's maps; without a tape also the blocks' */
    clipnn_conv_acts conv1, conv2, conv3;
    bottleneck_acts *block;             /* [blocks] */
    float *narrow, *inner, *pooled;     /* inside a bottleneck */
    float *tokens, *q, *kv, *att, *lse; /* attention pool */
    int32_t *off, *one_each;
    void *work; /* scratch of the convolutions */
} resnet_acts;

typedef struct resnet_grads {
    float *x, *wide;                /* gradient of a block's output, then of its input; another of the same width */
    float *narrow, *inner, *pooled; /* inside a bottleneck */
    float *tokens, *q, *kv, *att;   /* attention pool */
    void *work;
} resnet_grads;

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    for (int i = 0; i < 4; i++)
        if (v->stage[i] < 1)
            return clipb_fail(err, CLIP_EFORMAT, file, "stage %d of the ResNet has no blocks", i + 1);
    if (v->heads < 1 || v->width % 2 || v->width * 32 % v->heads || v->width > CLIPMDL_MOST_SIDE / 32)
        return clipb_fail(err, CLIP_EFORMAT, file, "a ResNet of width %d and %d heads is impossible", v->width,
                          v->heads);
    if (v->image_size < 32 || v->image_size % 32)
        return clipb_fail(err, CLIP_EFORMAT, file, "pictures of %d for a ResNet: sizes must be multiples of 32",
                          v->image_size);
    return clipmdl_check_heads("vision", 32 * v->width, v->heads, file, err);
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    resnet *m = (resnet *)t;
    const clipmdl_vision_config *v = &c->vision;
    const int G = v->image_size / 32;
    m->cfg = *v;
    t->groups = 1;
    t->look = 3; /* the map of the third stage */
    t->tokens = 1 + G * G;
    t->largest = &m->kv;
    for (int s = 0; s < 4; s++)
        m->blocks += v->stage[s];
    m->block = calloc(m->blocks, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    int in = v->width;
    bottleneck *p = m->block;
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < v->stage[s]; i++, p++) {
            p->in = in;
            p->planes = v->width << s;
            p->stride = s > 0 && i == 0 ? 2 : 1;
            p->has_downsample = i == 0; /* a stage's first block changes the width */
            in = 4 * p->planes;
        }
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((resnet *)t)->block); }

static void bind_bottleneck(clipmdl_binder *b, bottleneck *p, const char *prefix)
{
    clipmdl_bind_conv(b, &p->conv1, prefix, "conv1", "bn1", p->planes, p->in, 1);
    clipmdl_bind_conv3x3(b, &p->conv2, prefix, "conv2", "bn2", p->planes, p->planes);
    clipmdl_bind_conv(b, &p->conv3, prefix, "conv3", "bn3", 4 * p->planes, p->planes, 1);
    if (p->has_downsample)
        clipmdl_bind_conv(b, &p->downsample, prefix, "downsample.0", "downsample.1", 4 * p->planes, p->in, 1);
}

/* The whole tower is one group. */
static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    resnet *m = (resnet *)t;
    const int C = m->cfg.width, D = t->embed_dim, W = 32 * C;
    const clipmdl_positions positions = {1, m->cfg.image_size / 32, clipmdl_stored_size(&m->cfg) / 32};
    clipmdl_bind_conv(b, &m->conv1, "visual.", "conv1", "bn1", C / 2, 3, 3);
    clipmdl_bind_conv3x3(b, &m->conv2, "visual.", "conv2", "bn2", C / 2, C / 2);
    clipmdl_bind_conv3x3(b, &m->conv3, "visual.", "conv3", "bn3", C, C / 2);
    bottleneck *p = m->block;
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < m->cfg.stage[s]; i++) {
            char prefix[CLIPMDL_MAX_NAME];
            snprintf(prefix, sizeof prefix, "visual.layer%d.%d.", s + 1, i);
            bind_bottleneck(b, p++, prefix);
        }
    clipmdl_bind_positions(b, &m->positional_embedding, &m->d_positional_embedding, "visual.attnpool.",
                           "positional_embedding", &positions, W);
    clipmdl_bind_linear(b, &m->q, "visual.attnpool.", "in_proj_weight", "in_proj_bias", 0, W, 3 * W, W);
    clipmdl_bind_linear(b, &m->kv, "visual.attnpool.", "in_proj_weight", "in_proj_bias", W, 2 * W, 3 * W, W);
    clipmdl_bind_linear(b, &m->c_proj, "visual.attnpool.", "c_proj.weight", "c_proj.bias", 0, D, D, W);
}

static clipmdl_draw draw(const clipmdl_param *p, const clipmdl_config *c)
{
    const char *n = p->name;
    const double W = 32 * c->vision.width;
    if (!strstr(n, "attnpool."))
        return clipmdl_draw_linear((double)p->count / (double)p->dim[0]);
    if (clipmdl_name_ends(n, "positional_embedding") || clipmdl_name_ends(n, ".weight"))
        return (clipmdl_draw){CLIPMDL_NORMAL, 1 / sqrt(W)};
    return clipmdl_draw_linear(W);
}

/* Layer 0 is the stem, 1 .. 4 are the stages. */
static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    const clipmdl_vision_config *v = &((const resnet *)t)->cfg;
    return (clipmdl_rows){.side = v->image_size / (layer < 2 ? 4 : 2 << layer),
                          .width = layer == 0 ? v->width : v->width * (2 << layer)};
}

/* ---- Layout ---------------------------------------------------------------------------------- */

/* The largest array that passes through each buffer. */
typedef struct sizes {
    size_t x, narrow, pooled, conv, work;
} sizes;

static void measure_conv1x1(sizes *z, const clipk_ctx *k, const clipnn_conv1x1 *c, size_t T, bool back)
{
    clipb_raise(&z->conv, T * c->w.w.N);
    clipb_raise(&z->work, clipnn_conv1x1_work(k, (int)T, c, back));
}

static void measure_conv3x3(sizes *z, const clipk_ctx *k, const clipnn_conv3x3 *c, int N, int S, bool back)
{
    clipb_raise(&z->conv, (size_t)N * S * S * c->w.O);
    clipb_raise(&z->work, clipnn_conv3x3_work(k, N, S, c, back));
}

static sizes measure(const clipk_ctx *k, const resnet *m, int N, bool back)
{
    const size_t n = N, C = m->cfg.width;
    int S = m->cfg.image_size / 2;
    size_t pixels = n * S * S;
    sizes z = {0};
    clipb_raise(&z.x, pixels * C); /* the stem's widest map */
    clipb_raise(&z.narrow, pixels * (C / 2));
    measure_conv1x1(&z, k, &m->conv1, pixels, back);
    measure_conv3x3(&z, k, &m->conv2, N, S, back);
    measure_conv3x3(&z, k, &m->conv3, N, S, back);
    S /= 2;
    for (int i = 0; i < m->blocks; i++) {
        const bottleneck *p = &m->block[i];
        pixels = n * S * S;
        clipb_raise(&z.x, pixels * p->in);
        clipb_raise(&z.narrow, pixels * p->planes);
        measure_conv1x1(&z, k, &p->conv1, pixels, back);
        measure_conv3x3(&z, k, &p->conv2, N, S, back);
        if (p->stride == 2) {
            S /= 2;
            pixels = n * S * S;
            clipb_raise(&z.pooled, pixels * p->in);
        }
        measure_conv1x1(&z, k, &p->conv3, pixels, back);
        if (p->has_downsample)
            measure_conv1x1(&z, k, &p->downsample, pixels, back);
        clipb_raise(&z.x, pixels * 4 * p->planes);
    }
    return z;
}

/* What the convolutions keep for backward. On a tape each has its own place, otherwise all share
 * one. They keep nothing if norms are folded. */
typedef struct keeper {
    clipb_arena *a;
    bool tape;
    clipnn_conv_acts shared;
} keeper;

static clipnn_conv_acts keep(const keeper *t, size_t T, int O)
{
    clipnn_conv_acts acts = t->shared;
    if (t->tape)
        clipnn_conv_layout(t->a, &acts, T, O);
    return acts;
}

static void layout_blocks(const keeper *t, resnet_acts *acts, const resnet *m, int N, float *x)
{
    int S = m->cfg.image_size / 4;
    for (int i = 0; i < m->blocks; i++) {
        const bottleneck *p = &m->block[i];
        bottleneck_acts b = {.S = S, .x = x, .y = x};
        size_t T = (size_t)N * S * S;
        b.conv1 = keep(t, T, p->planes);
        b.conv2 = keep(t, T, p->planes);
        S /= p->stride;
        T = (size_t)N * S * S;
        b.conv3 = keep(t, T, 4 * p->planes);
        if (p->has_downsample) {
            b.downsample = keep(t, T, 4 * p->planes);
            b.y = x == acts->x ? acts->y : acts->x;
        }
        if (t->tape)
            b.y = CLIPB_NEW(t->a, float, T * 4 * p->planes);
        x = b.y;
        if (acts->block) /* NULL while measuring */
            acts->block[i] = b;
    }
}

static void layout_attention_pool(clipb_arena *a, resnet_acts *acts, const resnet *m, int N)
{
    const size_t n = N, G = m->cfg.image_size / 32, W = 32 * (size_t)m->cfg.width, T = 1 + G * G;
    acts->tokens = CLIPB_NEW(a, float, n * T * W);
    acts->kv = CLIPB_NEW(a, float, n * T * 2 * W);
    acts->q = CLIPB_NEW(a, float, n * W);
    acts->att = CLIPB_NEW(a, float, n * W);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    acts->one_each = CLIPB_NEW(a, int32_t, n + 1);
}

static void layout(clipb_arena *a, clipmdl_acts *out, const clipk_ctx *k, const clipmdl_tower *tower,
                   const clipmdl_input *in, bool tape)
{
    const resnet *m = (const resnet *)tower;
    resnet_acts measured, *acts = CLIPB_NEW(a, resnet_acts, 1);
    out->own = acts;
    out->pooled = NULL;
    acts = acts ? acts : &measured;
    const int N = in->N;
    const size_t n = N, S = m->cfg.image_size / 2, T = n * S * S;
    const int C = m->cfg.width;
    const sizes z = measure(k, m, N, false);
    keeper t = {.a = a, .tape = tape};
    *acts = (resnet_acts){.block = CLIPB_NEW(a, bottleneck_acts, m->blocks)};
    if (!tape) {
        acts->x = CLIPB_NEW(a, float, z.x);
        acts->y = CLIPB_NEW(a, float, z.x);
    }
    if (!tape && m->conv1.bn.gain)
        clipnn_conv_layout(a, &t.shared, z.conv / (32 * (size_t)C) + 1, 32 * C); /* the widest has 32 C channels */
    acts->conv1 = keep(&t, T, C / 2);
    acts->conv2 = keep(&t, T, C / 2);
    acts->conv3 = keep(&t, T, C);
    if (tape) {
        acts->columns = CLIPB_NEW(a, float, T * 27);
        acts->lse = CLIPB_NEW(a, float, n * m->cfg.heads);
        layout_attention_pool(a, acts, m, N);
    }
    layout_blocks(&t, acts, m, N, tape ? CLIPB_NEW(a, float, T / 4 * C) : acts->y);
    acts->work = clipb_arena_alloc(a, z.work, 1);
    size_t mark = clipb_arena_mark(a);
    if (tape) { /* the stem is done when the blocks begin */
        acts->x = CLIPB_NEW(a, float, z.x);
        acts->y = CLIPB_NEW(a, float, z.x);
    } else {
        acts->columns = CLIPB_NEW(a, float, T * 27);
    }
    clipb_arena_reset(a, mark);
    acts->narrow = CLIPB_NEW(a, float, z.narrow);
    acts->inner = CLIPB_NEW(a, float, z.narrow);
    acts->pooled = CLIPB_NEW(a, float, z.pooled);
    clipb_arena_reset(a, mark);
    if (!tape) /* the blocks are done when the pool begins */
        layout_attention_pool(a, acts, m, N);
    out->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

static void layout_grads(clipb_arena *a, clipmdl_grads *grads, const clipk_ctx *k, const clipmdl_tower *tower,
                         const clipmdl_input *in)
{
    const resnet *m = (const resnet *)tower;
    resnet_grads measured, *g = CLIPB_NEW(a, resnet_grads, 1);
    grads->own = g;
    g = g ? g : &measured;
    const int N = in->N, W = 32 * m->cfg.width, T = tower->tokens;
    const size_t n = N, w = W, t = T;
    sizes z = measure(k, m, N, true);
    clipb_raise(&z.work, clipnn_linear_work(k, N * T, W, 2 * W));
    clipb_raise(&z.work, clipnn_linear_work(k, N, W, tower->embed_dim));
    g->x = CLIPB_NEW(a, float, z.x);
    g->work = clipb_arena_alloc(a, z.work, 1);
    size_t mark = clipb_arena_mark(a);
    g->tokens = CLIPB_NEW(a, float, n * t * w);
    g->kv = CLIPB_NEW(a, float, n * t * 2 * w);
    g->q = CLIPB_NEW(a, float, n * w);
    g->att = CLIPB_NEW(a, float, n * w);
    clipb_arena_reset(a, mark);
    g->wide = CLIPB_NEW(a, float, z.x);
    g->narrow = CLIPB_NEW(a, float, z.narrow);
    g->inner = CLIPB_NEW(a, float, z.narrow);
    g->pooled = CLIPB_NEW(a, float, z.pooled);
}

/* ---- Bottleneck ------------------------------------------------------------------------------ */

/* b->x [N, S, S, in] to b->y [N, S/stride, S/stride, 4 planes] */
static void bottleneck_forward(const clipk_ctx *k, const resnet_acts *a, const bottleneck_acts *b,
                               const bottleneck *p, int N)
{
    const int S = b->S, T = N * S * S, To = T / (p->stride * p->stride);
    const float *inner = a->inner, *identity = b->x;
    clipnn_conv1x1_forward(k, a->narrow, &b->conv1, b->x, T, &p->conv1, CLIPK_RELU, NULL, a->work);
    clipnn_conv3x3_forward(k, a->inner, &b->conv2, a->narrow, N, S, &p->conv2, CLIPK_RELU, a->work);
    if (p->stride == 2) {
        clipk_avgpool2x2(k, a->narrow, a->inner, N, S, S, p->planes);
        clipk_avgpool2x2(k, a->pooled, b->x, N, S, S, p->in);
        inner = a->narrow;
        identity = a->pooled;
    }
    if (p->has_downsample) {
        clipnn_conv1x1_forward(k, b->y, &b->downsample, identity, To, &p->downsample, CLIPK_LINEAR, NULL, a->work);
        identity = b->y;
    }
    clipnn_conv1x1_forward(k, b->y, &b->conv3, inner, To, &p->conv3, CLIPK_RELU, identity, a->work);
}

/* g->x: in, the gradient of b->y; out, the gradient of b->x. */
static void bottleneck_backward(const clipk_ctx *k, const resnet_grads *g, const bottleneck_acts *b,
                                const bottleneck *p, int N)
{
    const int S = b->S, T = N * S * S, To = T / (p->stride * p->stride);
    const float *inner = g->inner, *identity = b->x, *plus = g->x;
    float *dinner = g->narrow, *free = g->inner;
    clipnn_conv_again(k, g->inner, &b->conv2, &p->conv2.bn, CLIPK_RELU, T, p->planes);
    if (p->stride == 2) {
        clipk_avgpool2x2(k, g->pooled, g->inner, N, S, S, p->planes);
        inner = g->pooled;
    }
    clipnn_conv1x1_backward(k, dinner, g->wide, g->x, g->x, &b->conv3, inner, b->y, To, &p->conv3, CLIPK_RELU, NULL,
                            g->work);
    if (p->has_downsample) {
        if (p->stride == 2) {
            clipk_avgpool2x2(k, g->pooled, b->x, N, S, S, p->in);
            identity = g->pooled;
        }
        clipnn_conv1x1_backward(k, g->wide, g->x, NULL, g->x, &b->downsample, identity, NULL, To, &p->downsample,
                                CLIPK_LINEAR, NULL, g->work);
        plus = g->wide;
    }
    if (p->stride == 2) {
        clipk_avgpool2x2_backward(k, g->x, g->wide, N, S, S, p->in);
        clipk_avgpool2x2_backward(k, g->inner, dinner, N, S, S, p->planes);
        plus = g->x;
        dinner = g->inner;
        free = g->narrow;
    }
    clipnn_conv_again(k, free, &b->conv1, &p->conv1.bn, CLIPK_RELU, T, p->planes);
    clipnn_conv3x3_backward(k, free, dinner, dinner, &b->conv2, free, N, S, &p->conv2, CLIPK_RELU, g->work);
    clipnn_conv1x1_backward(k, g->x, free, NULL, free, &b->conv1, b->x, NULL, T, &p->conv1, CLIPK_RELU, plus, g->work);
}

/* ---- Attention pool -------------------------------------------------------------------------- */

static clipk_attention_shape pool_shape(const resnet_acts *a, const resnet *m, int N)
{
    return (clipk_attention_shape){
        .B = N, .H = m->cfg.heads, .D = 32 * m->cfg.width / m->cfg.heads, .q_off = a->one_each, .k_off = a->off};
}

/* The first token of every picture is the mean, the only query. */
static clipk_view first_tokens(const float *tokens, int T, int W)
{
    return (clipk_view){tokens, CLIPK_F32, (int64_t)T * W, 1};
}

static void attention_pool_forward(const clipk_ctx *k, const resnet_acts *a, const resnet *m,
                                   const float *x, int N, int G2, float *out)
{
    const int W = 32 * m->cfg.width, T = 1 + G2;
    for (int n = 0; n <= N; n++) {
        a->off[n] = n * T;
        a->one_each[n] = n;
    }
    const clipk_attention_shape s = pool_shape(a, m, N);
    clipnn_mean_tokens(k, a->tokens, x, m->positional_embedding, N, G2, W);
    clipnn_linear_forward(k, a->q, NULL, first_tokens(a->tokens, T, W), N, &m->q, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, a->kv, NULL, clipk_rows(a->tokens, W), N * T, &m->kv, CLIPK_LINEAR, NULL);
    clipk_attention(k, a->att, W, a->lse, a->q, W, a->kv, 2 * W, a->kv + W, 2 * W, &s);
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->att, W), N, &m->c_proj, CLIPK_LINEAR, NULL);
}

static void attention_pool_backward(const clipk_ctx *k, const resnet_grads *g, const resnet_acts *a,
                                    const resnet *m, const float *dout, int N, int G2)
{
    const int W = 32 * m->cfg.width, T = 1 + G2;
    const clipk_attention_shape s = pool_shape(a, m, N);
    clipnn_linear_backward(k, g->att, dout, clipk_rows(a->att, W), N, &m->c_proj, NULL, g->work);
    clipk_attention_backward(k, g->q, W, g->kv, 2 * W, g->kv + W, 2 * W, g->att, W, a->att, W, a->lse, a->q, W, a->kv,
                             2 * W, a->kv + W, 2 * W, &s);
    clipnn_linear_backward(k, g->tokens, g->kv, clipk_rows(a->tokens, W), N * T, &m->kv, NULL, g->work);
    clipnn_linear_backward(k, g->att, g->q, first_tokens(a->tokens, T, W), N, &m->q, NULL, g->work);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < W; c++)
            g->tokens[(int64_t)n * T * W + c] += g->att[(int64_t)n * W + c];
    clipnn_mean_tokens_backward(k, g->x, m->d_positional_embedding, g->tokens, N, G2, W);
}

/* ---- The tower ------------------------------------------------------------------------------- */

static void tap_map(const clipmdl_tap *tap, int layer, const float *x, const clipmdl_tower *t, int N)
{
    if (!tap || tap->layer != layer)
        return;
    const clipmdl_rows r = rows(t, layer);
    memcpy(tap->rows, x, (size_t)N * clipmdl_rows_count(r) * r.width * sizeof *x);
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const resnet *m = (const resnet *)t;
    const resnet_acts *a = acts->own;
    const int N = in->N, C = m->cfg.width, I = m->cfg.image_size, S = I / 2, T = N * S * S, G = I / 32;

    clipk_im2col(k, a->columns, in->pixels, N, 3, I, I, 3, 3, 2, 1);
    clipnn_conv1x1_forward(k, a->x, &a->conv1, a->columns, T, &m->conv1, CLIPK_RELU, NULL, a->work);
    clipnn_conv3x3_forward(k, a->y, &a->conv2, a->x, N, S, &m->conv2, CLIPK_RELU, a->work);
    clipnn_conv3x3_forward(k, a->x, &a->conv3, a->y, N, S, &m->conv3, CLIPK_RELU, a->work);
    clipk_avgpool2x2(k, a->block[0].x, a->x, N, S, S, C);

    tap_map(acts->tap, 0, a->block[0].x, t, N);
    for (int s = 0, i = 0; s < 4; s++) {
        for (int end = i + m->cfg.stage[s]; i < end; i++)
            bottleneck_forward(k, a, &a->block[i], &m->block[i], N);
        tap_map(acts->tap, s + 1, a->block[i - 1].y, t, N);
    }

    attention_pool_forward(k, a, m, a->block[m->blocks - 1].y, N, G * G, out);
}

static void backward(const clipk_ctx *k, const clipmdl_grads *grads, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout)
{
    const resnet *m = (const resnet *)t;
    const resnet_acts *a = acts->own;
    const resnet_grads *g = grads->own;
    const int N = in->N, C = m->cfg.width, I = m->cfg.image_size, S = I / 2, T = N * S * S, G = I / 32;

    clipmdl_enter(grads, 0);
    attention_pool_backward(k, g, a, m, dout, N, G * G);

    for (int i = m->blocks - 1; i >= 0; i--)
        bottleneck_backward(k, g, &a->block[i], &m->block[i], N);

    clipk_avgpool2x2_backward(k, g->wide, g->x, N, S, S, C);
    clipnn_conv_again(k, g->narrow, &a->conv2, &m->conv2.bn, CLIPK_RELU, T, C / 2);
    clipnn_conv3x3_backward(k, g->narrow, g->wide, g->wide, &a->conv3, g->narrow, N, S, &m->conv3, CLIPK_RELU, g->work);
    clipnn_conv_again(k, g->inner, &a->conv1, &m->conv1.bn, CLIPK_RELU, T, C / 2);
    clipnn_conv3x3_backward(k, g->inner, g->narrow, g->narrow, &a->conv2, g->inner, N, S, &m->conv2, CLIPK_RELU,
                            g->work);
    clipnn_conv1x1_backward(k, NULL, g->inner, NULL, g->inner, &a->conv1, a->columns, NULL, T, &m->conv1, CLIPK_RELU,
                            NULL, g->work);
}

const clipmdl_tower_kind clipmdl_resnet = {
    .name = "ModifiedResNet",
    .flags = CLIPMDL_IMAGE_PARAM,
    .chunk = 8,
    .batchnorm = true,
    .beta2 = 0.999,
    .eps = 1e-8,
    .check = check,
    .size = sizeof(resnet),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .draw = draw,
    .rows = rows,
    .layout = layout,
    .forward = forward,
    .layout_grads = layout_grads,
    .backward = backward,
};
