/* The modified ResNet of CLIP, pixels as [N, H, W, C], every convolution with its batch norm folded in:
 *
 *     stem:        relu(conv1 3x3/2), relu(conv2 3x3), relu(conv3 3x3), avgpool 2
 *     bottleneck:  y = relu(conv3 1x1(avgpool(relu(conv2 3x3(relu(conv1 1x1(x)))))) + identity)
 *                  identity = x, or downsample 1x1(avgpool(x));  avgpool only where the stride is 2
 *     attnpool:    one query, the mean of the last map, over all its positions */
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

clip_status clipmdl_resnet_init(clipmdl_resnet *m, const clipmdl_config *c)
{
    const clipmdl_vision_config *v = &c->vision;
    *m = (clipmdl_resnet){.cfg = *v, .embed_dim = c->embed_dim};
    for (int s = 0; s < 4; s++)
        m->blocks += v->stage[s];
    m->block = calloc((size_t)m->blocks, sizeof *m->block);
    if (!m->block)
        return CLIP_ENOMEM;
    int in = v->width;
    clipmdl_bottleneck *p = m->block;
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

void clipmdl_resnet_free(clipmdl_resnet *m) { free(m->block); }

static void bind_bottleneck(clipmdl_binder *b, clipmdl_bottleneck *p, const char *prefix)
{
    clipmdl_bind_conv(b, &p->conv1, prefix, "conv1", "bn1", p->planes, p->in, 1);
    clipmdl_bind_conv3x3(b, &p->conv2, prefix, "conv2", "bn2", p->planes, p->planes);
    clipmdl_bind_conv(b, &p->conv3, prefix, "conv3", "bn3", 4 * p->planes, p->planes, 1);
    if (p->has_downsample)
        clipmdl_bind_conv(b, &p->downsample, prefix, "downsample.0", "downsample.1", 4 * p->planes, p->in, 1);
}

void clipmdl_resnet_bind(clipmdl_binder *b, clipmdl_resnet *m)
{
    const int C = m->cfg.width, G = m->cfg.image_size / 32, W = 32 * C;
    clipmdl_bind_conv(b, &m->conv1, "visual.", "conv1", "bn1", C / 2, 3, 3);
    clipmdl_bind_conv3x3(b, &m->conv2, "visual.", "conv2", "bn2", C / 2, C / 2);
    clipmdl_bind_conv3x3(b, &m->conv3, "visual.", "conv3", "bn3", C, C / 2);
    clipmdl_bottleneck *p = m->block;
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < m->cfg.stage[s]; i++) {
            char prefix[CLIPMDL_MAX_NAME];
            snprintf(prefix, sizeof prefix, "visual.layer%d.%d.", s + 1, i);
            bind_bottleneck(b, p++, prefix);
        }
    clipmdl_bind_matrix(b, &m->positional_embedding, &m->d_positional_embedding, "visual.attnpool.", "positional_embedding", 1 + (int64_t)G * G, W);
    clipmdl_bind_linear(b, &m->q, "visual.attnpool.", "in_proj_weight", "in_proj_bias", 0, W, 3 * W, W);
    clipmdl_bind_linear(b, &m->kv, "visual.attnpool.", "in_proj_weight", "in_proj_bias", W, 2 * W, 3 * W, W);
    clipmdl_bind_linear(b, &m->c_proj, "visual.attnpool.", "c_proj.weight", "c_proj.bias", 0, m->embed_dim, m->embed_dim, W);
}

/* Room for the largest of what passes through each buffer. */
typedef struct sizes {
    size_t x, narrow, pooled, work;
} sizes;

static void most(size_t *a, size_t b)
{
    if (b > *a)
        *a = b;
}

static sizes measure(const clipk_ctx *k, const clipmdl_resnet *m, int N)
{
    const size_t n = (size_t)N, C = (size_t)m->cfg.width;
    const size_t I = (size_t)m->cfg.image_size;
    int S = m->cfg.image_size / 2;
    sizes z = {0};
    most(&z.x, n * I * I * 3); /* the pixels */
    most(&z.x, n * (size_t)S * (size_t)S * C); /* the stem's three maps */
    most(&z.work, clipk_conv3x3_work(k, N, S, S, m->cfg.width / 2, m->cfg.width / 2));
    most(&z.work, clipk_conv3x3_work(k, N, S, S, m->cfg.width / 2, m->cfg.width));
    S /= 2;
    for (int i = 0; i < m->blocks; i++) {
        const clipmdl_bottleneck *p = &m->block[i];
        size_t pixels = n * (size_t)S * (size_t)S;
        most(&z.narrow, pixels * (size_t)p->planes);
        most(&z.work, clipk_conv3x3_work(k, N, S, S, p->planes, p->planes));
        if (p->stride == 2) {
            S /= 2;
            pixels = n * (size_t)S * (size_t)S;
            most(&z.pooled, pixels * (size_t)p->in);
        }
        most(&z.x, pixels * 4 * (size_t)p->planes);
    }
    return z;
}

void clipmdl_resnet_layout(clipb_arena *a, clipmdl_resnet_acts *acts, const clipk_ctx *k, const clipmdl_resnet *m, int N, bool tape)
{
    (void)tape; /* to come */
    const size_t n = (size_t)N, G = (size_t)(m->cfg.image_size / 32), W = 32 * (size_t)m->cfg.width, T = 1 + G * G, S = (size_t)m->cfg.image_size / 2;
    const sizes z = measure(k, m, N);
    acts->x = CLIPB_NEW(a, float, z.x);
    acts->y = CLIPB_NEW(a, float, z.x);
    acts->q = CLIPB_NEW(a, float, n * W);
    acts->att = CLIPB_NEW(a, float, n * W);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    acts->one_each = CLIPB_NEW(a, int32_t, n + 1);
    size_t mark = clipb_arena_mark(a);
    acts->columns = CLIPB_NEW(a, float, n * S * S * 27);
    clipb_arena_reset(a, mark);
    acts->narrow = CLIPB_NEW(a, float, z.narrow);
    acts->conv = CLIPB_NEW(a, float, z.narrow);
    acts->pooled = CLIPB_NEW(a, float, z.pooled);
    acts->work = clipb_arena_alloc(a, z.work, 1);
    clipb_arena_reset(a, mark);
    acts->tokens = CLIPB_NEW(a, float, n * T * W);
    acts->kv = CLIPB_NEW(a, float, n * T * 2 * W);
}

static void swap(float **x, float **y)
{
    float *t = *x;
    *x = *y;
    *y = t;
}

static void conv3x3(const clipk_ctx *k, float *y, const float *x, int N, int S, const clipnn_conv3x3 *c, void *work)
{
    clipk_epilogue e = {.bias = c->b, .act = CLIPK_RELU};
    clipk_conv3x3(k, y, x, N, S, S, &c->w, &e, work);
}

/* a->x [N, S, S, in] to a->x [N, S/stride, S/stride, 4 planes]; returns the new side. */
static int bottleneck(const clipk_ctx *k, clipmdl_resnet_acts *a, const clipmdl_bottleneck *p, int N, int S)
{
    const float *inner = a->conv, *identity = a->x;
    clipnn_linear_forward(k, a->narrow, NULL, clipk_rows(a->x, p->in), N * S * S, &p->conv1, CLIPK_RELU, NULL);
    conv3x3(k, a->conv, a->narrow, N, S, &p->conv2, a->work);
    if (p->stride == 2) {
        clipk_avgpool2x2(k, a->narrow, a->conv, N, S, S, p->planes);
        clipk_avgpool2x2(k, a->pooled, a->x, N, S, S, p->in);
        inner = a->narrow;
        identity = a->pooled;
        S /= 2;
    }
    if (p->has_downsample) {
        clipnn_linear_forward(k, a->y, NULL, clipk_rows(identity, p->in), N * S * S, &p->downsample, CLIPK_LINEAR, NULL);
        swap(&a->x, &a->y);
    }
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(inner, p->planes), N * S * S, &p->conv3, CLIPK_RELU, a->x);
    return S;
}

static void attention_pool(const clipk_ctx *k, clipmdl_resnet_acts *a, const clipmdl_resnet *m, int N, int G2, float *out)
{
    const int W = 32 * m->cfg.width, T = 1 + G2;
    clipnn_mean_tokens(k, a->tokens, a->x, m->positional_embedding, N, G2, W);
    for (int n = 0; n <= N; n++) {
        a->off[n] = n * T;
        a->one_each[n] = n;
    }
    clipnn_linear_forward(k, a->q, NULL, (clipk_view){a->tokens, CLIPK_F32, (int64_t)T * W, 1}, N, &m->q, CLIPK_LINEAR, NULL); /* the mean asks */
    clipnn_linear_forward(k, a->kv, NULL, clipk_rows(a->tokens, W), N * T, &m->kv, CLIPK_LINEAR, NULL);
    const clipk_attention_shape s = {.B = N, .H = m->cfg.heads, .D = W / m->cfg.heads, .q_off = a->one_each, .k_off = a->off};
    clipk_attention(k, a->att, W, NULL, a->q, W, a->kv, 2 * W, a->kv + W, 2 * W, &s);
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->att, W), N, &m->c_proj, CLIPK_LINEAR, NULL);
}

void clipmdl_resnet_forward(const clipk_ctx *k, clipmdl_resnet_acts *a, const clipmdl_resnet *m, const float *pixels, int N, float *out)
{
    const int C = m->cfg.width, I = m->cfg.image_size;
    int S = I / 2;

    clipnn_channels_last(k, a->y, pixels, N, 3, I * I);
    clipk_im2col(k, a->columns, a->y, N, I, I, 3, 3, 3, 2, 1);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->columns, 27), N * S * S, &m->conv1, CLIPK_RELU, NULL);
    conv3x3(k, a->y, a->x, N, S, &m->conv2, a->work);
    conv3x3(k, a->x, a->y, N, S, &m->conv3, a->work);
    clipk_avgpool2x2(k, a->y, a->x, N, S, S, C);
    swap(&a->x, &a->y);
    S /= 2;

    for (int i = 0; i < m->blocks; i++)
        S = bottleneck(k, a, &m->block[i], N, S);

    attention_pool(k, a, m, N, S * S, out);
}

void clipmdl_resnet_layout_grads(clipb_arena *a, clipmdl_resnet_grads *g, const clipk_ctx *k, const clipmdl_resnet *m, int N)
{
    (void)a, (void)g, (void)k, (void)m, (void)N; /* to come */
}

void clipmdl_resnet_backward(const clipk_ctx *k, const clipmdl_resnet_grads *g, const clipmdl_resnet_acts *acts, const clipmdl_resnet *m,
                             const float *dout, int N)
{
    (void)k, (void)g, (void)acts, (void)m, (void)dout, (void)N; /* to come */
}
