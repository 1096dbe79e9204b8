/* filters.c: convolutions put together from several tensors. */
#include "model/filters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCHNORM_EPS 1e-5f /* PyTorch's default */

static size_t each_of(const clipmdl_filters *f) { return (size_t)f->I * (size_t)f->K * (size_t)f->K; }

clipmdl_filters clipmdl_filters_begin(clipmdl_binder *b, int O, int I, int K)
{
    clipmdl_filters f = {.binder = b, .O = O, .I = I, .K = K};
    if (!clipmdl_binder_places(b))
        return f;
    f.w = calloc((size_t)O * each_of(&f), sizeof *f.w);
    f.b = calloc((size_t)O, sizeof *f.b);
    if (!f.w || !f.b)
        b->status = CLIP_ENOMEM;
    return f;
}

/* free() it. NULL: there is none yet. */
static float *take(const clipmdl_filters *f, const char *prefix, const char *name, int ndim, const int64_t *dim)
{
    return clipmdl_bind_copy(f->binder, prefix, name, ndim, dim);
}

static bool has_memory(const clipmdl_filters *f) { return f->w && f->b; }

void clipmdl_filters_read(clipmdl_filters *f, const char *prefix, const char *weight, const char *bias, bool linear)
{
    const int64_t dim[4] = {f->O, f->I, f->K, f->K};
    float *w = take(f, prefix, weight, linear ? 2 : 4, dim), *b = bias ? take(f, prefix, bias, 1, dim) : NULL;
    for (size_t i = 0; w && has_memory(f) && i < (size_t)f->O * each_of(f); i++)
        f->w[i] += w[i];
    for (int i = 0; b && has_memory(f) && i < f->O; i++)
        f->b[i] += b[i];
    free(w);
    free(b);
}

/* y = x scale + shift, [n] each. */
typedef struct norm {
    float *scale, *shift;
} norm;

static void free_norm(norm *m)
{
    free(m->scale);
    free(m->shift);
}

/* No memory while measuring. */
static norm read_norm(const clipmdl_filters *f, const char *prefix, const char *bn, int n)
{
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    const int flags = f->binder->flags;
    const int64_t dim = n;
    float *p[4];
    bool all = true;
    for (int i = 0; i < 4; i++) {
        char name[CLIPMDL_MAX_NAME];
        snprintf(name, sizeof name, "%s.%s", bn, parts[i]);
        f->binder->flags = i < 2 ? flags : flags | CLIPMDL_BUFFER_PARAM;
        p[i] = take(f, prefix, name, 1, &dim);
        all = all && p[i];
    }
    f->binder->flags = flags;
    for (int i = 0; all && i < n; i++) {
        p[0][i] /= sqrtf(p[3][i] + BATCHNORM_EPS);
        p[1][i] -= p[2][i] * p[0][i];
    }
    free(p[2]);
    free(p[3]);
    norm m = {p[0], p[1]};
    if (!all) {
        free_norm(&m);
        m = (norm){0};
    }
    return m;
}

void clipmdl_filters_add(clipmdl_filters *f, const char *prefix, const char *conv, const char *bn, int k, int sign)
{
    const int64_t dim[4] = {f->O, f->I, k, k};
    const size_t K = (size_t)f->K, first = (K - (size_t)k) / 2, kk = (size_t)k;
    float *w = conv ? take(f, prefix, conv, 4, dim) : NULL;
    norm m = read_norm(f, prefix, bn, f->O);
    for (size_t o = 0; m.scale && has_memory(f) && o < (size_t)f->O; o++) {
        const float scale = (float)sign * m.scale[o];
        f->b[o] += (float)sign * m.shift[o];
        if (!conv)
            f->w[(o * (size_t)f->I + o % (size_t)f->I) * K * K + K * K / 2] += scale;
        for (size_t i = 0; w && i < (size_t)f->I; i++)
            for (size_t v = 0; v < kk; v++)
                for (size_t u = 0; u < kk; u++)
                    f->w[((o * (size_t)f->I + i) * K + first + v) * K + first + u] +=
                        scale * w[((o * (size_t)f->I + i) * kk + v) * kk + u];
    }
    free_norm(&m);
    free(w);
}

void clipmdl_filters_identity(clipmdl_filters *f)
{
    const size_t K2 = (size_t)f->K * (size_t)f->K, I = (size_t)f->I;
    for (size_t o = 0; has_memory(f) && o < (size_t)f->O; o++)
        f->w[(o * I + o % I) * K2 + K2 / 2] += 1;
}

void clipmdl_filters_scale(clipmdl_filters *f, const char *prefix, const char *gamma, int ndim)
{
    const int64_t dim[4] = {f->O, 1, 1, 1};
    float *g = take(f, prefix, gamma, ndim, dim);
    for (size_t o = 0; g && has_memory(f) && o < (size_t)f->O; o++) {
        f->b[o] *= g[o];
        for (size_t i = 0; i < each_of(f); i++)
            f->w[o * each_of(f) + i] *= g[o];
    }
    free(g);
}

void clipmdl_filters_norm_before(clipmdl_filters *f, const char *prefix, const char *bn)
{
    norm m = read_norm(f, prefix, bn, f->I);
    for (size_t o = 0; m.scale && has_memory(f) && o < (size_t)f->O; o++) {
        double shift = 0;
        for (size_t i = 0; i < (size_t)f->I; i++) {
            float *w = &f->w[o * (size_t)f->I + i];
            shift += (double)*w * (double)m.shift[i];
            *w *= m.scale[i];
        }
        f->b[o] += (float)shift;
    }
    free_norm(&m);
}

void clipmdl_filters_linear(clipmdl_filters *f, clipnn_linear *out)
{
    clipmdl_bind_made(f->binder, out, has_memory(f) ? f->w : NULL, f->b, f->O, (int)each_of(f));
    free(f->w);
    free(f->b);
}

void clipmdl_filters_columns(clipmdl_filters *f, clipnn_linear *out)
{
    const size_t I = (size_t)f->I, K2 = (size_t)f->K * (size_t)f->K;
    float *last = f->w ? malloc(each_of(f) * sizeof *last) : NULL;
    if (f->w && !last)
        f->binder->status = CLIP_ENOMEM;
    for (size_t o = 0; last && o < (size_t)f->O; o++) {
        float *w = f->w + o * each_of(f);
        for (size_t i = 0; i < I; i++)
            for (size_t t = 0; t < K2; t++)
                last[t * I + i] = w[i * K2 + t];
        for (size_t i = 0; i < each_of(f); i++)
            w[i] = last[i];
    }
    free(last);
    clipmdl_filters_linear(f, out);
}

void clipmdl_filters_conv3x3(clipmdl_filters *f, clipnn_conv3x3 *out)
{
    clipmdl_binder *b = f->binder;
    float *bias = CLIPB_NEW(&b->arena, float, (size_t)f->O);
    *out = (clipnn_conv3x3){.w = {.O = f->O, .I = f->I}, .b = bias};
    out->w.panels = clipb_arena_alloc(&b->arena, clipk_conv3x3_bytes(b->k->set, f->O, f->I), 1);
    if (has_memory(f)) {
        memcpy(bias, f->b, (size_t)f->O * sizeof *bias);
        clipk_conv3x3_pack(b->k, &out->w, f->w);
    }
    free(f->w);
    free(f->b);
}

void clipmdl_filters_depthwise(clipmdl_filters *f, clipk_depthwise_weight *out, int stride)
{
    const size_t K2 = (size_t)f->K * (size_t)f->K, C = (size_t)f->O;
    float *w = CLIPB_NEW(&f->binder->arena, float, C *K2), *b = CLIPB_NEW(&f->binder->arena, float, C);
    *out = (clipk_depthwise_weight){.K = f->K, .stride = stride, .w = w, .bias = b};
    for (size_t c = 0; has_memory(f) && c < C; c++) {
        b[c] = f->b[c];
        for (size_t t = 0; t < K2; t++)
            w[t * C + c] = f->w[c * K2 + t];
    }
    free(f->w);
    free(f->b);
}
