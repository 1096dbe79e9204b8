/* stem.c: convolutions in front of a Vision Transformer. Pixels as [N, H, W, C]. */
#include "model/stem.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

#define EPS 1e-6f

void clipmdl_stem_init(clipmdl_stem *m, const clipmdl_vision_config *v)
{
    const clipmdl_eva_config *e = &v->eva;
    *m = (clipmdl_stem){.kind = e->stem, .S = v->image_size, .C = v->width, .width = v->width / 4};
    if (m->kind == CLIPMDL_STEM_CONVS)
        return;
    m->width = e->stem_width;
    m->outer = e->stem_stage[1];
    int I = m->width;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 2 + 2 * s; i++) { /* two and four blocks */
            m->block[m->blocks++] = (clipmdl_stem_block){.I = I, .O = e->stem_stage[s]};
            I = e->stem_stage[s];
        }
}

/* ---- Parameters ------------------------------------------------------------------------------ */

static void bind_convs(clipmdl_binder *b, clipmdl_stem *m, const char *prefix)
{
    const int W = m->width;
    clipmdl_filters f = clipmdl_filters_begin(b, W, 3, 4);
    clipmdl_filters_add(&f, prefix, "0.conv.weight", "0.bn", 4, 1);
    clipmdl_filters_linear(&f, &m->conv[0]);
    f = clipmdl_filters_begin(b, W, W, 2);
    clipmdl_filters_add(&f, prefix, "1.conv.weight", "1.bn", 2, 1);
    clipmdl_filters_columns(&f, &m->conv[1]);
    f = clipmdl_filters_begin(b, m->C, W, 2);
    clipmdl_filters_read(&f, prefix, "2.conv.weight", "2.conv.bias", false);
    clipmdl_filters_columns(&f, &m->conv[2]);
}

static void bind_1x1(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *weight, const char *bias,
                     int O, int I)
{
    clipmdl_filters f = clipmdl_filters_begin(b, O, I, 1);
    clipmdl_filters_read(&f, prefix, weight, bias, false);
    clipmdl_filters_linear(&f, out);
}

static void bind_block(clipmdl_binder *b, clipmdl_stem_block *p, const char *prefix, bool first)
{
    const int F = 4 * p->O;
    if (first && p->I != p->O)
        bind_1x1(b, &p->shortcut, prefix, "shortcut.expand.weight", "shortcut.expand.bias", p->O, p->I);
    clipmdl_bind_layernorm(b, &p->norm, prefix, "pre_norm", p->I, EPS);
    bind_1x1(b, &p->in, prefix, "conv1_1x1.weight", "conv1_1x1.bias", F, p->I);
    clipmdl_filters f = clipmdl_filters_begin(b, F, 1, 3);
    clipmdl_filters_read(&f, prefix, "conv2_kxk.weight", "conv2_kxk.bias", false);
    clipmdl_filters_depthwise(&f, &p->conv, first ? 2 : 1);
    bind_1x1(b, &p->out, prefix, "conv3_1x1.weight", "conv3_1x1.bias", p->O, F);
}

void clipmdl_stem_bind(clipmdl_binder *b, clipmdl_stem *m, const char *prefix)
{
    const int W = m->width;
    if (m->kind == CLIPMDL_STEM_CONVS) {
        bind_convs(b, m, prefix);
        return;
    }
    clipmdl_filters f = clipmdl_filters_begin(b, W, 3, 3);
    clipmdl_filters_read(&f, prefix, "stem.conv1.weight", "stem.conv1.bias", false);
    clipmdl_filters_linear(&f, &m->conv[0]);
    clipmdl_bind_layernorm(b, &m->norm, prefix, "stem.norm1", W, EPS);
    f = clipmdl_filters_begin(b, W, W, 3);
    clipmdl_filters_read(&f, prefix, "stem.conv2.weight", "stem.conv2.bias", false);
    clipmdl_filters_conv3x3(&f, &m->conv2);
    for (int i = 0; i < m->blocks; i++) {
        const int s = i < 2 ? 0 : 1, at = i < 2 ? i : i - 2;
        char name[CLIPMDL_MAX_NAME];
        snprintf(name, sizeof name, "%sstages.%d.%d.", prefix, s, at);
        bind_block(b, &m->block[i], name, at == 0);
    }
    clipmdl_bind_layernorm(b, &m->last_norm, prefix, "pool.norm", m->outer, EPS);
    f = clipmdl_filters_begin(b, m->C, m->outer, 3);
    clipmdl_filters_read(&f, prefix, "pool.proj.weight", "pool.proj.bias", false);
    clipmdl_filters_columns(&f, &m->conv[2]);
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* The largest map of the stages is inside the first block, before its stride: 4 times its width. */
void clipmdl_stem_layout(clipb_arena *a, clipmdl_stem_acts *acts, const clipk_ctx *k, const clipmdl_stem *m, int N)
{
    const size_t n = (size_t)N, S = (size_t)m->S, W = (size_t)m->width;
    *acts = (clipmdl_stem_acts){0};
    if (m->kind == CLIPMDL_STEM_CONVS) {
        const size_t pixels = n * (S / 4) * (S / 4);
        acts->x = CLIPB_NEW(a, float, pixels *clipb_max_size(W, 48));
        acts->y = CLIPB_NEW(a, float, pixels *clipb_max_size(W, 48));
        return;
    }
    const size_t pixels = n * (S / 2) * (S / 2), F = 4 * (size_t)m->block[0].O;
    size_t map = W, wide = clipb_max_size(F, 27);
    clipb_raise(&map, (size_t)m->block[0].O);
    clipb_raise(&wide, (size_t)m->outer); /* the second stage: a quarter of the pixels, 4 times its width */
    clipb_raise(&wide, 9 * (size_t)m->outer / 64 + 1);
    acts->x = CLIPB_NEW(a, float, pixels *map);
    acts->y = CLIPB_NEW(a, float, pixels *map);
    acts->other = CLIPB_NEW(a, float, pixels *map);
    acts->wide = CLIPB_NEW(a, float, pixels *wide);
    acts->work = clipb_arena_alloc(a, clipnn_conv3x3_work(k, N, m->S / 2, &m->conv2, false), 1);
}

static void convs_forward(const clipk_ctx *k, float *out, const clipmdl_stem_acts *a, const clipmdl_stem *m,
                          const float *pixels, int N)
{
    const int W = m->width, S = m->S / 4;
    clipnn_patchify(k, a->y, pixels, NULL, N, S * S, m->S, 4);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, 48), N * S * S, &m->conv[0], CLIPK_GELU, NULL);
    clipk_columns(k, a->y, a->x, N, S, S, W, 2, 2, 0);
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, 4 * W), N * S * S / 4, &m->conv[1], CLIPK_GELU, NULL);
    clipk_columns(k, a->y, a->x, N, S / 2, S / 2, W, 2, 2, 0);
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->y, 4 * W), N * S * S / 16, &m->conv[2], CLIPK_LINEAR, NULL);
}

typedef struct mean_job {
    float *y;
    const float *x;
    int S, C;
} mean_job;

/* Row i of all outputs: pixels outside do not count. */
static void mean_row(void *job, int64_t i, int thread)
{
    const mean_job *j = job;
    const int So = j->S / 2, h = (int)(i % So) * 2 - 1;
    const float *x = j->x + i / So * j->S * j->S * j->C;
    (void)thread;
    for (int o = 0; o < So; o++) {
        float *y = j->y + (i * So + o) * j->C;
        int count = 0;
        memset(y, 0, (size_t)j->C * sizeof *y);
        for (int v = h < 0 ? 0 : h; v < h + 3; v++)
            for (int u = o > 0 ? 2 * o - 1 : 0; u < 2 * o + 2; u++, count++)
                for (int c = 0; c < j->C; c++)
                    y[c] += x[((int64_t)v * j->S + u) * j->C + c];
        for (int c = 0; c < j->C; c++)
            y[c] /= (float)count;
    }
}

/* a->x [N, S, S, I] to [N, S/stride, S/stride, O]; the sides that go out are returned. */
static int block_forward(const clipk_ctx *k, const clipmdl_stem_block *p, const clipmdl_stem_acts *a, int N, int S)
{
    const int F = 4 * p->O, stride = p->conv.stride, So = S / stride, T = N * S * S, To = N * So * So;
    clipnn_layernorm_forward(k, a->y, NULL, NULL, a->x, NULL, &p->norm, T, p->I);
    clipnn_linear_forward(k, a->wide, NULL, clipk_rows(a->y, p->I), T, &p->in, CLIPK_GELU, NULL);
    clipk_depthwise(k, a->other, a->wide, N, S, S, F, &p->conv, CLIPK_GELU);
    if (stride == 2) {
        mean_job j = {a->y, a->x, S, p->I};
        clipb_team_run(k->team, (int64_t)N * So, mean_row, &j);
        if (p->shortcut.w.N > 0)
            clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->y, p->I), To, &p->shortcut, CLIPK_LINEAR, NULL);
        else
            memcpy(a->x, a->y, (size_t)To * (size_t)p->I * sizeof *a->x);
    }
    clipnn_linear_forward(k, a->x, NULL, clipk_rows(a->other, F), To, &p->out, CLIPK_LINEAR, a->x);
    return So;
}

void clipmdl_stem_forward(const clipk_ctx *k, float *out, const clipmdl_stem_acts *a, const clipmdl_stem *m,
                          const float *pixels, int N)
{
    const int W = m->width;
    int S = m->S / 2;
    if (m->kind == CLIPMDL_STEM_CONVS) {
        convs_forward(k, out, a, m, pixels, N);
        return;
    }
    clipk_im2col(k, a->wide, pixels, N, 3, m->S, m->S, 3, 3, 2, 1);
    clipnn_linear_forward(k, a->y, NULL, clipk_rows(a->wide, 27), N * S * S, &m->conv[0], CLIPK_LINEAR, NULL);
    clipnn_layernorm_forward(k, a->y, NULL, NULL, a->y, NULL, &m->norm, N * S * S, W);
    clipk_act_apply(k, a->y, a->y, (size_t)N * (size_t)S * (size_t)S * (size_t)W, CLIPK_GELU);
    clipnn_conv3x3_forward(k, a->x, NULL, a->y, N, S, &m->conv2, CLIPK_LINEAR, a->work);
    for (int i = 0; i < m->blocks; i++)
        S = block_forward(k, &m->block[i], a, N, S);
    clipnn_layernorm_forward(k, a->y, NULL, NULL, a->x, NULL, &m->last_norm, N * S * S, m->outer);
    clipk_columns(k, a->wide, a->y, N, S, S, m->outer, 3, 2, 1);
    S /= 2;
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->wide, 9 * m->outer), N * S * S, &m->conv[2], CLIPK_LINEAR, NULL);
}
