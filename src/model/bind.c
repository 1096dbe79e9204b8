/* bind.c: finds tensors by name and shape, and packs them for the layers. */
#include "model/bind.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/find.h"
#include "model/quantised.h"

#define BATCHNORM_EPS 1e-5f /* PyTorch's default, which every modified ResNet has */

/* A run of rows of a parameter, [rows, cols]: inside the file, in one or several parts. In
 * training, the parameter itself. */
typedef struct source {
    clipk_view view; /* of the first part, or of all after join_parts() */
    float *g; /* its gradient; NULL: not wanted */
    const clipmdl_tensor *tensor[CLIPMDL_MAX_PARTS]; /* its pages can be dropped after reading */
    int parts; /* of several, each is a whole tensor */
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    clipmdl_quantised q; /* parts > 0: instead of all above but `parts` */
} source;

static bool trains(const clipmdl_binder *b) { return b->g && b->group >= b->first_group; }

/* For training, or for a list of the parameters: out->part. The parts of a parameter follow each
 * other. */
static bool locate_param(clipmdl_binder *b, source *out, int ndim, const int64_t *dim)
{
    int64_t width = 1;
    for (int i = 1; i < ndim; i++)
        width *= dim[i];
    if (b->list) {
        for (int i = 0; i < out->parts && b->status == CLIP_OK; i++)
            b->status =
                clipmdl_params_add(b->list, out->part[i].name, out->part[i].total, ndim, dim, b->flags, b->group);
        return false;
    }
    const clipmdl_param *p = clipmdl_params_find(b->params, out->part[0].name);
    const size_t at = p->at + (size_t)(out->part[0].first * width);
    out->view = (clipk_view){b->w + at, CLIPK_F32, width, 1};
    out->g = trains(b) ? b->g + at : NULL;
    return true;
}

/* cols < 0: the parameter has one dimension. */
static bool locate(clipmdl_binder *b, source *out, const char *name, int64_t first, int64_t rows, int64_t total,
                   int64_t cols)
{
    const clipmdl_part *part = out->part;
    const int64_t width = cols < 0 ? 1 : cols;
    bool same_type = true;
    *out = (source){0};
    out->parts = clipmdl_parts(b->family, b->prefix, name, first, rows, total, out->part);
    if (!b->store)
        return locate_param(b, out, cols < 0 ? 1 : 2, (int64_t[]){total, cols});
    for (int i = 0; i < out->parts; i++) {
        int64_t dim[2] = {part[i].total, cols};
        clipmdl_tensor *t = clipmdl_bind_find(b, part[i].name, NULL, cols < 0 ? 1 : 2, dim);
        if (!t)
            return false;
        out->tensor[i] = t;
        same_type &= t->dtype == out->tensor[0]->dtype;
    }
    clipk_type type;
    clipmdl_tensor_type(out->tensor[0], &type);
    const size_t size = clipk_type_size(type);
    out->view = (clipk_view){out->tensor[0]->data + (size_t)(part[0].first * width) * size, type, width, 1};
    b->parameters += rows * width;
    if (out->parts == 1)
        return true;
    if (!same_type) {
        clipmdl_bind_fault(b, "'%s' and '%s' are of different types", part[0].name, part[1].name);
        return false;
    }
    return true;
}

/* The same for a matrix that may be in 8 bits. */
static bool locate_matrix(clipmdl_binder *b, source *out, const char *name, int64_t first, int64_t rows, int64_t total,
                          int64_t cols)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int parts = clipmdl_parts(b->family, b->prefix, name, first, rows, total, part);
    if (!clipmdl_is_quantised(b, part[0].name))
        return locate(b, out, name, first, rows, total, cols);
    *out = (source){0};
    return clipmdl_quantised_find(b, &out->q, part, parts, rows, cols);
}

/* Join the parts of a file in scratch, if there are several. Only while placing.
 * @return: false: out of memory */
static bool join_parts(clipmdl_binder *b, source *s)
{
    size_t bytes = 0;
    if (!b->store || s->parts < 2)
        return true;
    for (int i = 0; i < s->parts; i++)
        bytes += s->tensor[i]->bytes;
    if (clipb_block_reserve(&b->scratch, bytes) < 0) {
        b->status = CLIP_ENOMEM;
        return false;
    }
    unsigned char *to = b->scratch.base;
    for (int i = 0; i < s->parts; i++) {
        memcpy(to, s->tensor[i]->data, s->tensor[i]->bytes);
        to += s->tensor[i]->bytes;
    }
    s->view.p = b->scratch.base;
    return true;
}

static void drop(const source *s)
{
    for (int i = 0; i < s->parts; i++)
        clipmdl_bind_drop(s->tensor[i]);
}

static void join(char *out, const char *prefix, const char *name)
{
    snprintf(out, CLIPMDL_MAX_NAME, "%s%s", prefix, name);
}

/* ---- Placing --------------------------------------------------------------------------------- */

static void place_f32(clipmdl_binder *b, const float **out, float **d, const char *name, int64_t first, int64_t rows,
                      int64_t total, int64_t cols)
{
    source s;
    const bool found = locate(b, &s, name, first, rows, total, cols);
    *d = s.g;
    if (!b->store) {
        *out = s.view.p;
        return;
    }
    const size_t n = (size_t)(rows * (cols < 0 ? 1 : cols));
    float *p = CLIPB_NEW(&b->arena, float, n);
    *out = p;
    if (found && clipmdl_binder_places(b) && join_parts(b, &s))
        clipk_to_f32(b->k, p, s.view.p, s.view.type, n);
}

static void place_weight(clipmdl_binder *b, clipk_weight *w, const clipk_format *format, int O, int I)
{
    *w = (clipk_weight){.format = format, .N = O, .K = I};
    w->panels = clipb_arena_alloc(&b->arena, clipk_weight_bytes(b->k->set, format, O, I), 1);
}

/* Trained weights are packed when they are used, all into one room as large as the largest. */
static const clipb_block *share_room(clipmdl_binder *b, size_t w, size_t wt)
{
    if (clipb_block_reserve(b->room, w > wt ? w : wt) < 0)
        b->status = CLIP_ENOMEM;
    return b->room;
}

/* last: the projection to the embedding. It has one row a sample, and stays out of 8 bits. */
static const clipk_format *format_of(const clipmdl_binder *b, clipk_type type, int K, bool last)
{
    const clipk_format *wanted = b->format ? b->format : CLIPK_FORMAT_F32;
    return clipk_format_for(wanted->rotates && last ? CLIPK_FORMAT_F32 : wanted, type, K);
}

/* Rows of the first part, of I numbers each. */
static int rows_before(const source *s, int I)
{
    return (int)(s->tensor[0]->bytes / ((size_t)I * clipk_type_size(s->view.type)));
}

/* Can the weight be used where the file has it? Its rows must be dense, and no panel may begin in
 * one part and end in the next. Weights in 8 bits are made from whole columns. */
static bool stays(const clipmdl_binder *b, const clipk_format *format, const source *s, int I)
{
    if (!b->in_place || b->back || format->rotates || s->parts < 1 || s->parts > 2 || s->view.cs != 1)
        return false;
    for (int i = 0; i < s->parts; i++)
        if (!s->tensor[i]->map)
            return false;
    return s->parts == 1 || rows_before(s, I) % clipk_panel_rows(b->k->set) == 0;
}

/* Pack W, or take the integers of a file. Those of W are kept where they are asked for. */
static void pack(clipmdl_binder *b, const clipk_weight *w, clipk_view W, const source *s)
{
    if (s->q.parts > 0) {
        clipmdl_quantised_pack(b, w, &s->q);
        return;
    }
    clipk_weight_pack(b->k, w, W);
    if (b->integers && w->format->rotates && b->status == CLIP_OK)
        b->status = clipmdl_integers_add(b->integers, b->k->set, w, s->part, s->parts);
}

/* W [O, I] as `s` shows it, and the fields for training. */
static void place_linear(clipmdl_binder *b, clipnn_linear *out, bool found, source *s, int O, int I,
                         bool last)
{
    *out = (clipnn_linear){.dw = s->g};
    if (trains(b)) {
        const clipk_view turned = {s->view.p, s->view.type, s->view.cs, s->view.rs};
        const clipk_format *forward = format_of(b, s->view.type, I, last), *back = format_of(b, s->view.type, O, last);
        out->w = (clipk_weight){.format = forward, .N = O, .K = I, .W = s->view};
        out->wt = (clipk_weight){.format = back, .N = I, .K = O, .W = turned};
        out->room = share_room(b, clipk_weight_bytes(b->k->set, forward, O, I),
                               clipk_weight_bytes(b->k->set, back, I, O));
        return;
    }
    const clipk_format *format = format_of(b, s->view.type, I, last);
    if (found && stays(b, format, s, I)) {
        out->w = (clipk_weight){.format = format, .N = O, .K = I, .W = s->view};
        if (s->parts > 1) {
            out->w.rest = s->tensor[1]->data;
            out->w.split = rows_before(s, I);
        }
        out->map = s->tensor[0]->map;
        return;
    }
    place_weight(b, &out->w, format, O, I);
    if (b->back)
        place_weight(b, &out->wt, format, I, O);
    if (!found || !clipmdl_binder_places(b) || !join_parts(b, s))
        return;
    pack(b, &out->w, s->view, s);
    if (b->back)
        clipk_weight_pack(b->k, &out->wt, (clipk_view){s->view.p, s->view.type, s->view.cs, s->view.rs});
    drop(s);
}

void clipmdl_bind_vector(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                         int64_t n)
{
    char full[CLIPMDL_MAX_NAME];
    join(full, prefix, name);
    place_f32(b, out, d, full, 0, n, n, -1);
}

void clipmdl_bind_matrix(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                         int64_t rows, int64_t cols)
{
    char full[CLIPMDL_MAX_NAME];
    join(full, prefix, name);
    place_f32(b, out, d, full, 0, rows, rows, cols);
}

/* While training, the parameter has the size in use already. */
void clipmdl_bind_positions(clipmdl_binder *b, const float **out, float **d, const char *prefix, const char *name,
                            const clipmdl_positions *p, int C)
{
    const int rows = clipmdl_positions_rows(p), stored = clipmdl_positions_stored(p);
    if (!b->store || stored == rows) {
        clipmdl_bind_matrix(b, out, d, prefix, name, rows, C);
        if (b->list && b->status == CLIP_OK)
            b->list->param[b->list->n - 1].positions = *p;
        return;
    }
    float *copy = clipmdl_bind_copy(b, prefix, name, 2, (int64_t[]){stored, C}),
          *to = CLIPB_NEW(&b->arena, float, (size_t)rows *(size_t)C);
    *out = to;
    *d = NULL;
    if (copy && clipmdl_positions_resample(to, copy, p, C, !b->family->no_antialias) < 0)
        b->status = CLIP_ENOMEM;
    free(copy);
}

void clipmdl_bind_layernorm(clipmdl_binder *b, clipnn_layernorm *out, const char *prefix, const char *name, int C,
                            float eps)
{
    char weight[CLIPMDL_MAX_NAME], bias[CLIPMDL_MAX_NAME];
    snprintf(weight, sizeof weight, "%s%s.weight", prefix, name);
    snprintf(bias, sizeof bias, "%s%s.bias", prefix, name);
    place_f32(b, &out->gain, &out->dgain, weight, 0, C, C, -1);
    place_f32(b, &out->bias, &out->dbias, bias, 0, C, C, -1);
    out->eps = eps;
}

void clipmdl_bind_linear(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *weight,
                         const char *bias, int first, int O, int total, int I)
{
    char name[CLIPMDL_MAX_NAME];
    source s;
    join(name, prefix, weight);
    bool found = locate_matrix(b, &s, name, first, O, total, I);
    place_linear(b, out, found, &s, O, I, false);
    if (bias) {
        join(name, prefix, bias);
        place_f32(b, &out->b, &out->db, name, first, O, total, -1);
    }
}

void clipmdl_bind_finite(clipmdl_binder *b, const char *prefix, const char *name)
{
    char full[CLIPMDL_MAX_NAME];
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    if (!b->store)
        return;
    join(full, prefix, name);
    clipmdl_parts(b->family, b->prefix, full, 0, 1, 1, part);
    const source s = {.tensor = {clipmdl_store_find(b->store, part[0].name)}, .parts = 1};
    clipmdl_bind_check(b, s.tensor[0]);
    drop(&s);
}

void clipmdl_bind_projection(clipmdl_binder *b, clipnn_linear *out, const char *name, int O, int I)
{
    const bool transposed = !b->family || b->family->transposes;
    const int flags = b->flags;
    source s;
    b->flags |= CLIPMDL_PROJECTION_PARAM;
    bool found = transposed ? locate(b, &s, name, 0, I, I, O) : locate(b, &s, name, 0, O, O, I);
    b->flags = flags;
    if (transposed) {
        s.view.rs = 1;
        s.view.cs = O;
    }
    place_linear(b, out, found, &s, O, I, true);
    out->dw_transposed = transposed;
}

void clipmdl_bind_table(clipmdl_binder *b, clipk_view *out, float **d, const char *prefix, const char *name,
                        int64_t rows, int64_t cols)
{
    char full[CLIPMDL_MAX_NAME];
    source s;
    const int flags = b->flags;
    join(full, prefix, name);
    b->flags |= CLIPMDL_LARGE_PARAM;
    *out = locate(b, &s, full, 0, rows, rows, cols) ? s.view : (clipk_view){0};
    b->flags = flags;
    *d = s.g;
}

/* ---- Filters --------------------------------------------------------------------------------- */

/* Filters as rows [O, I*K*K], from a file or from parameters. product: they may be in 8 bits */
static bool locate_filters(clipmdl_binder *b, source *out, const char *name, int O, int I, int K, bool product)
{
    const int64_t dim[4] = {O, I, K, K}, width = (int64_t)I * K * K;
    const int flags = b->flags;
    *out = (source){.parts = 1};
    clipmdl_parts(b->family, b->prefix, name, 0, O, O, out->part);
    if (!b->store) {
        b->flags |= CLIPMDL_LARGE_PARAM;
        const bool found = locate_param(b, out, 4, dim);
        b->flags = flags;
        return found;
    }
    if (product && clipmdl_is_quantised(b, out->part[0].name))
        return locate_matrix(b, out, name, 0, O, O, width);
    b->parameters += O * width;
    clipmdl_tensor *t = clipmdl_bind_find(b, out->part[0].name, NULL, 4, dim);
    if (!t)
        return false;
    clipk_type type;
    clipmdl_tensor_type(t, &type);
    out->tensor[0] = t;
    out->view = (clipk_view){t->data, type, width, 1};
    return true;
}

void clipmdl_bind_patches(clipmdl_binder *b, clipnn_linear *out, const char *prefix, const char *weight,
                          const char *bias, int O, int P)
{
    char name[CLIPMDL_MAX_NAME];
    source s;
    join(name, prefix, weight);
    bool found = locate_filters(b, &s, name, O, 3, P, true);
    place_linear(b, out, found, &s, O, 3 * P * P, false);
    if (!bias)
        return;
    join(name, prefix, bias);
    place_f32(b, &out->b, &out->db, name, 0, O, O, -1);
}

/* ---- Operands that a tower puts together itself ---------------------------------------------- */

bool clipmdl_binder_has(const clipmdl_binder *b, const char *prefix, const char *name)
{
    char full[CLIPMDL_MAX_NAME];
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    if (!b->store)
        return false;
    join(full, prefix, name);
    clipmdl_parts(b->family, b->prefix, full, 0, 1, 1, part);
    return clipmdl_store_find(b->store, part[0].name) != NULL;
}

float *clipmdl_bind_copy(clipmdl_binder *b, const char *prefix, const char *name, int ndim, const int64_t *dim)
{
    char full[CLIPMDL_MAX_NAME];
    source s = {.parts = 1};
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)dim[i];
    join(full, prefix, name);
    clipmdl_parts(b->family, b->prefix, full, 0, dim[0], dim[0], s.part);
    if (!b->store) {
        const int flags = b->flags;
        b->flags |= n > (size_t)dim[0] ? CLIPMDL_LARGE_PARAM : 0; /* more than a vector */
        const bool found = locate_param(b, &s, ndim, dim);
        b->flags = flags;
        if (!found)
            return NULL;
    } else {
        clipmdl_tensor *t = clipmdl_bind_find(b, s.part[0].name, NULL, ndim, dim);
        s.tensor[0] = t;
        if (!t)
            return NULL;
        b->parameters += b->flags & CLIPMDL_BUFFER_PARAM ? 0 : (int64_t)n;
        clipmdl_bind_check(b, t);
        s.view.p = t->data;
        clipmdl_tensor_type(t, &s.view.type);
    }
    if (!clipmdl_binder_places(b))
        return NULL;
    float *copy = malloc(n * sizeof *copy);
    if (!copy) {
        b->status = CLIP_ENOMEM;
        return NULL;
    }
    clipk_to_f32(b->k, copy, s.view.p, s.view.type, n);
    drop(&s);
    return copy;
}

void clipmdl_bind_made(clipmdl_binder *b, clipnn_linear *out, const float *w, const float *bias, int O, int I)
{
    source s = {.view = clipk_rows(w, I)};
    float *copy;
    place_linear(b, out, w != NULL, &s, O, I, false);
    out->b = copy = CLIPB_NEW(&b->arena, float, (size_t)O);
    if (w && clipmdl_binder_places(b))
        memcpy(copy, bias, (size_t)O * sizeof *copy);
}

/* ---- Convolutions and their batch norms ------------------------------------------------------ */

/* If gradients are wanted, the norm stays a layer of its own. A locked tower's is folded, as in
 * inference. */
static bool folds(const clipmdl_binder *b) { return b->store || !b->g; }

/* conv.weight [O, I, K, K] and bn's weight, bias, running_mean, running_var [O]. */
typedef struct conv_source {
    source filters, norm[4];
} conv_source;

static bool locate_conv(clipmdl_binder *b, conv_source *out, const char *prefix, const char *conv, const char *bn,
                        int O, int I, int K, bool product)
{
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%s%s.weight", prefix, conv);
    bool all = locate_filters(b, &out->filters, name, O, I, K, product);
    const int64_t parameters = b->parameters + 2 * (int64_t)O; /* without statistics */
    const int flags = b->flags;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s.%s", prefix, bn, parts[i]);
        b->flags = i < 2 ? flags : flags | CLIPMDL_BUFFER_PARAM;
        all &= locate(b, &out->norm[i], name, 0, O, O, -1);
    }
    b->flags = flags;
    b->parameters = parameters;
    return all;
}

/* Fold y = (conv(x) - mean) / sqrt(var + eps) * gain + beta: scaled filters in scratch, the bias in
 * the arena. Returns the filters [O, n] f32. NULL while measuring, or if a tensor is missing. */
static float *fold(clipmdl_binder *b, const float **bias, bool found, const conv_source *s, int O, int n)
{
    const size_t o = O, each = n;
    float *folded = CLIPB_NEW(&b->arena, float, o);
    *bias = folded;
    clipmdl_bind_check(b, s->filters.tensor[0]);
    for (int i = 0; i < 4; i++)
        clipmdl_bind_check(b, s->norm[i].tensor[0]);
    if (!found || !clipmdl_binder_places(b))
        return NULL;
    const bool folds_filters = s->filters.q.parts == 0; /* integers of a file are those of folded filters */
    const size_t numbers = folds_filters ? o * each : 0;
    if (clipb_block_reserve(&b->scratch, (numbers + 4 * o) * sizeof(float)) < 0) {
        b->status = CLIP_ENOMEM;
        return NULL;
    }
    float *w = (float *)(void *)b->scratch.base, *stat = w + numbers;
    if (folds_filters)
        clipk_to_f32(b->k, w, s->filters.view.p, s->filters.view.type, numbers);
    for (int i = 0; i < 4; i++)
        clipk_to_f32(b->k, stat + i * o, s->norm[i].view.p, s->norm[i].view.type, o);
    const float *gain = stat, *beta = stat + o, *mean = stat + 2 * o, *var = stat + 3 * o;
    for (size_t i = 0; i < o; i++) {
        float scale = gain[i] / sqrtf(var[i] + BATCHNORM_EPS);
        folded[i] = beta[i] - mean[i] * scale;
        for (size_t j = 0; j < each && folds_filters; j++)
            w[i * each + j] *= scale;
    }
    drop(&s->filters);
    return w;
}

static clipnn_batchnorm norm_layer(const clipmdl_binder *b, const source norm[4])
{
    clipnn_batchnorm bn = {
        .gain = norm[0].view.p, .bias = norm[1].view.p, .eps = BATCHNORM_EPS, .frozen = b->freeze_bn};
    bn.running_mean = norm[2].view.p;
    bn.running_var = norm[3].view.p;
    bn.batch_mean = norm[2].g;
    bn.batch_var = norm[3].g;
    if (!bn.frozen) {
        bn.dgain = norm[0].g;
        bn.dbias = norm[1].g;
    }
    return bn;
}

void clipmdl_bind_conv(clipmdl_binder *b, clipnn_conv1x1 *out, const char *prefix, const char *conv, const char *bn,
                       int O, int I, int K)
{
    const int n = I * K * K;
    conv_source s;
    const bool found = locate_conv(b, &s, prefix, conv, bn, O, I, K, true);
    *out = (clipnn_conv1x1){0};
    if (folds(b)) {
        const float *w = fold(b, &out->w.b, found, &s, O, n);
        place_weight(b, &out->w.w, format_of(b, CLIPK_F32, n, false), O, n);
        if (w)
            pack(b, &out->w.w, clipk_rows(w, n), &s.filters);
        return;
    }
    place_linear(b, &out->w, found, &s.filters, O, n, false);
    out->bn = norm_layer(b, s.norm);
}

void clipmdl_bind_conv3x3(clipmdl_binder *b, clipnn_conv3x3 *out, const char *prefix, const char *conv, const char *bn,
                          int O, int I)
{
    conv_source s;
    const bool found = locate_conv(b, &s, prefix, conv, bn, O, I, 3, false), folded = folds(b);
    *out = (clipnn_conv3x3){.w = {.O = O, .I = I}, .wt = {.O = I, .I = O}};
    const size_t bytes = clipk_conv3x3_bytes(b->k->set, O, I), back_bytes = clipk_conv3x3_bytes(b->k->set, I, O);
    if (!folded)
        out->bn = norm_layer(b, s.norm);
    if (trains(b)) {
        out->W = s.filters.view.p;
        out->dw = s.filters.g;
        out->room = share_room(b, bytes, back_bytes);
        return;
    }
    const float *w = folded ? fold(b, &out->b, found, &s, O, I * 9) : s.filters.view.p;
    out->w.panels = clipb_arena_alloc(&b->arena, bytes, 1);
    if (!folded)
        out->wt.panels = clipb_arena_alloc(&b->arena, back_bytes, 1);
    if (!w || !clipmdl_binder_places(b))
        return;
    clipk_conv3x3_pack(b->k, &out->w, w);
    if (!folded)
        clipk_conv3x3_pack_back(b->k, &out->wt, w);
}
