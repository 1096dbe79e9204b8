/* What in a picture makes it match words. Two ways to know, for two sorts of towers:
 *
 *     with attention blocks   relevance through the attention of all blocks and its gradient
 *                             (nn/relevance.c): how much each patch gave to what is pooled
 *     without                 occlusion (Zeiler and Fergus 2013, arXiv:1311.2901): how much the
 *                             cosine falls when a disc of the picture is painted over
 *
 * Grad-CAM is no choice for a ResNet: the last map has 2 x 2 cells at 64 pixels and 7 x 7 at 224,
 * which is too coarse, and on the maps before it gradients miss. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"
#include "engine/engine.h"

#define DISCS 16 /* along a side of the picture; the radius of a disc is a step */

/* The image tower once more: with the transposed matrices that its backward wants; or packed, where
 * the model's is for a few pictures, and occlusion makes many of one. */
typedef struct explainer {
    clipmdl_tower *tower; /* NULL: the model's serves */
    clipb_block weights, memory;
} explainer;

static const char explainer_slot; /* of a context */

static void free_explainer(void *value)
{
    explainer *e = value;
    if (!e)
        return;
    clipmdl_tower_free(e->tower);
    clipb_block_free(&e->weights);
    clipb_block_free(&e->memory);
    free(e);
}

/* Gradients need weights that are not in 8 bits. */
static bool has_gradients(const clip_model *m) { return m->image->block && !m->store.quantised; }

static clip_status bind(const clip_model *m, const clipk_ctx *k, explainer *e)
{
    clipmdl_binder b = {.store = &m->store, .family = m->family, .prefix = m->prefix, .format = m->format, .k = k};
    if (has_gradients(m)) {
        b.format = NULL; /* backward is for f32 alone */
        b.back = true;
        b.first_group = 1; /* the blocks */
    } else if (!(m->mapped & CLIP_TOWER_IMAGE)) {
        return CLIP_OK;
    }
    TRY(clipmdl_tower_new(m->config.vision.tower, &m->config, &e->tower));
    clipmdl_tower_bind(&b, e->tower);
    TRY(clipb_block_reserve(&e->weights, b.arena.peak));
    b.arena = clipb_arena_on(&e->weights);
    clipmdl_tower_bind(&b, e->tower);
    clipb_block_free(&b.scratch);
    return b.status;
}

/* The context's explainer; the first call makes it. */
static clip_status find_explainer(clip_context *c, explainer **out)
{
    *out = clipeng_slot_get(c, &explainer_slot);
    if (*out)
        return CLIP_OK;
    explainer *e = calloc(1, sizeof *e);
    clip_status s = e ? bind(c->model, &c->k, e) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipmdl_store_check(&c->model->store, NULL);
    if (s < 0)
        free_explainer(e);
    else
        s = clipeng_slot_fill(c, &explainer_slot, e, free_explainer);
    if (s == CLIP_OK)
        *out = e;
    return s;
}

int clipeng_explain_side(const clip_model *m)
{
    return !m->image ? 0 : has_gradients(m) ? m->image->kind->rows(m->image, 0).side : DISCS;
}

clip_status clipeng_seen_window(const clip_model *m, int width, int height, clip_window *out)
{
    return clipimg_window(&m->recipe, width, height, out);
}

/* One picture and its texts. */
typedef struct pass {
    clip_context *c;
    explainer *e;
    int K, D, G;
    size_t floats;             /* of a prepared picture */
    float *pixels, *text;      /* [floats], [K, D] */
    float *image, *norm;       /* [D], [1] */
    float *dimage;             /* relevance: [D] */
    clipmdl_acts acts;
    clipmdl_grads grads;
    clipnn_relevance relevance;
    float *painted, *embedding, *cosine; /* occlusion, a row of discs: [G, floats], [G, D], [G, K] */
} pass;

static void layout(clipb_arena *a, pass *p)
{
    const clipmdl_tower *t = p->e->tower; /* relevance */
    const size_t D = (size_t)p->D, K = (size_t)p->K, G = (size_t)p->G, pixels = p->floats;
    p->pixels = CLIPB_NEW(a, float, pixels);
    p->text = CLIPB_NEW(a, float, K * D);
    p->image = CLIPB_NEW(a, float, D);
    p->norm = CLIPB_NEW(a, float, 1);
    if (has_gradients(p->c->model)) {
        const clipmdl_input in = {.N = 1, .pixels = p->pixels};
        p->dimage = CLIPB_NEW(a, float, D);
        t->kind->layout(a, &p->acts, &p->c->k, t, &in, true);
        p->grads.relevance = &p->relevance;
        t->kind->layout_grads(a, &p->grads, &p->c->k, t, &in);
        clipnn_relevance_layout(a, &p->relevance, &p->c->k, t->tokens, t->tokens, t->block);
    } else {
        p->painted = CLIPB_NEW(a, float, G * pixels);
        p->embedding = CLIPB_NEW(a, float, G * D);
        p->cosine = CLIPB_NEW(a, float, G * K);
    }
}

/* ---- Relevance ------------------------------------------------------------------------------- */

static clip_status explain_by_relevance(pass *p, float *map, float *cosine)
{
    const clipk_ctx *k = &p->c->k;
    const clipmdl_tower *t = p->e->tower;
    const clipmdl_input in = {.N = 1, .pixels = p->pixels};
    const size_t cells = (size_t)p->G * (size_t)p->G, before = (size_t)t->kind->rows(t, 0).before;
    t->kind->forward(k, &p->acts, t, &in, p->image);
    TRY(clipeng_check_finite(p->c, p->image, 1, (size_t)p->D, "picture", 0, p->pixels, p->floats));
    clipk_l2norm(k, p->image, p->norm, 1, p->D);
    for (int i = 0; i < p->K; i++) {
        clipk_l2norm_backward(k, p->dimage, p->text + (size_t)i * (size_t)p->D, p->image, p->norm, 1, p->D);
        t->kind->backward(k, &p->grads, &p->acts, t, &in, p->dimage);
        memcpy(map + (size_t)i * cells, p->relevance.r + before, cells * sizeof *map);
    }
    TRY(clipeng_check_finite(p->c, map, p->K, cells, "map", 0, NULL, 0));
    return clipeng_similarity(p->c, p->image, 1, p->text, p->K, cosine);
}

/* ---- Occlusion ------------------------------------------------------------------------------- */

/* The pixels with a disc around (cx, cy), in cells of the map. In a picture that is not a square
 * the disc is as wide as its cells. */
static void paint_disc(const pass *p, const clipimg_places *at, const float color[3], double cx, double cy, float *out)
{
    const double across = (double)p->G / (double)at->width, down = (double)p->G / (double)at->height;
    memcpy(out, p->pixels, p->floats * sizeof *out);
    for (size_t y = 0; y < at->height; y++)
        for (size_t x = 0; x < at->width; x++) {
            const double dx = ((double)x + 0.5) * across - cx, dy = ((double)y + 0.5) * down - cy;
            for (size_t c = 0; c < 3 && dx * dx + dy * dy < 1; c++)
                out[clipimg_place(at, c, y, x)] = color[c];
        }
}

/* The color of most backgrounds. A mean would put a new thing on a white background. room: [height,
 * width] */
static void median_color(const pass *p, const clipimg_places *at, float *room, float color[3])
{
    const size_t plane = at->height * at->width;
    for (size_t c = 0; c < 3; c++) {
        for (size_t y = 0; y < at->height; y++)
            for (size_t x = 0; x < at->width; x++)
                room[y * at->width + x] = p->pixels[clipimg_place(at, c, y, x)];
        qsort(room, plane, sizeof *room, clipb_order_f32);
        color[c] = room[plane / 2];
    }
}

static clip_status explain_by_occlusion(pass *p, float *map, float *cosine)
{
    const int G = p->G, K = p->K;
    const clipmdl_tower *t = p->e->tower ? p->e->tower : p->c->model->image;
    const clipimg_places at = clipimg_places_of(&p->c->model->recipe, p->pixels);
    float color[3];
    median_color(p, &at, p->painted, color);
    TRY(clipeng_encode_pixels_by(p->c, t, p->pixels, 1, p->image));
    TRY(clipeng_similarity(p->c, p->image, 1, p->text, K, cosine));
    for (int y = 0; y < G; y++) {
        for (int x = 0; x < G; x++)
            paint_disc(p, &at, color, x + 0.5, y + 0.5, p->painted + (size_t)x * p->floats);
        TRY(clipeng_encode_pixels_by(p->c, t, p->painted, G, p->embedding));
        TRY(clipeng_similarity(p->c, p->embedding, G, p->text, K, p->cosine));
        for (int x = 0; x < G; x++)
            for (int i = 0; i < K; i++) {
                const float lost = cosine[i] - p->cosine[x * K + i];
                map[(i * G + y) * G + x] = lost > 0 ? lost : 0;
            }
    }
    return CLIP_OK;
}

clip_status clipeng_explain(clip_context *c, const clip_image *img, const char *const *texts, int K, float *map,
                            float *cosine)
{
    const clip_model *m = c->model;
    if (!img || !img->rgb || !texts || !map || !cosine || K < 1)
        return CLIP_EINVAL;
    if (m->towers != CLIP_TOWER_BOTH || !m->tokenizer || m->config.embed_dim < 1)
        return CLIP_EINVAL;
    pass p = {.c = c, .K = K, .D = m->config.embed_dim, .G = clipeng_explain_side(m)};
    p.floats = clipimg_floats(&m->recipe);
    TRY(find_explainer(c, &p.e));
    clipb_arena a = {0};
    layout(&a, &p);
    TRY(clipb_block_reserve(&p.e->memory, a.peak));
    a = clipb_arena_on(&p.e->memory);
    layout(&a, &p);
    TRY(clipeng_encode_text(c, texts, K, p.text));
    TRY(clipeng_preprocess(m, img, p.pixels));
    return has_gradients(m) ? explain_by_relevance(&p, map, cosine) : explain_by_occlusion(&p, map, cosine);
}

/* ---- Over the picture ------------------------------------------------------------------------ */

/* The three cells whose quadratic B-splines reach a place `u` cells from the edge, and how much
 * each does; none outside of 0 .. G. */
typedef struct taps {
    int cell[3];
    float weight[3];
} taps;

static taps taps_at(double u, int G)
{
    const int middle = (int)floor(u);
    const float t = (float)(u - middle) - 0.5f;
    taps p = {.weight = {0.5f * (0.5f - t) * (0.5f - t), 0.75f - t * t, 0.5f * (0.5f + t) * (0.5f + t)}};
    if (!(u >= 0 && u < G))
        return (taps){0};
    for (int i = 0; i < 3; i++) {
        const int cell = middle - 1 + i;
        p.cell[i] = cell < 0 ? 0 : cell < G ? cell : G - 1;
    }
    return p;
}

static float spread_row(float *heat, const float *map, const taps *column, taps row, int width, int G)
{
    float most = 0;
    for (int x = 0; x < width; x++) {
        float sum = 0;
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < 3; i++)
                sum += row.weight[j] * column[x].weight[i] * map[row.cell[j] * G + column[x].cell[i]];
        heat[x] = sum;
        most = sum > most ? sum : most;
    }
    return most;
}

clip_status clipeng_explain_heat(const clip_model *m, const float *map, int width, int height, float *heat)
{
    const int G = clipeng_explain_side(m);
    clip_window w;
    float most = 0;
    if (!map || !heat || !(m->towers & CLIP_TOWER_IMAGE))
        return CLIP_EINVAL;
    TRY(clipeng_seen_window(m, width, height, &w));
    taps *column = malloc((size_t)width * sizeof *column);
    if (!column)
        return CLIP_ENOMEM;
    for (int x = 0; x < width; x++)
        column[x] = taps_at((x + 0.5 - w.x) / w.width * G, G);
    for (int y = 0; y < height; y++) {
        const float peak = spread_row(heat + (size_t)y * (size_t)width, map, column,
                                      taps_at((y + 0.5 - w.y) / w.height * G, G), width, G);
        most = peak > most ? peak : most;
    }
    for (size_t i = 0; most > 0 && i < (size_t)width * (size_t)height; i++)
        heat[i] /= most;
    free(column);
    return CLIP_OK;
}
