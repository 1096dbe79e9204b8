/* naflex.c: the Vision Transformer of SigLIP 2 NaFlex (Tschannen et al. 2025, arXiv:2502.14786),
 * for inference alone. Every picture has a grid of its own:
 *
 *     patches -> conv1 + positions, resampled to the grid -> blocks -> ln_post -> attention pooling
 *
 * A prepared picture begins with its numbers of rows and columns; the patches follow
 * (clipmdl_input). A batch is ragged, so nothing is padded and nothing is masked. */
#include <stdlib.h>

#include "model/positions.h"
#include "model/transformer.h"

#define HEAD 2          /* numbers before the patches */
#define PREFIX "visual.trunk."
#define CHUNK 8         /* pictures: 2048 rows, with 256 patches each */

typedef struct naflex {
    clipmdl_tower tower;
    clipmdl_vision_config cfg;
    clipnn_linear conv1;               /* [C, P*P*3] */
    const float *positional_embedding; /* [G*G, C] */
    clipmdl_trunk trunk;
} naflex;

typedef struct naflex_acts {
    float *x; /* [T, C] */
    int32_t *off;
    clipmdl_trunk_acts trunk;
} naflex_acts;

static int side_of(const clipmdl_vision_config *v) { return v->image_size / v->patch_size; }
static const float *picture(const clipmdl_input *in, int n) { return in->pixels + (size_t)n * in->each; }
static int rows_of(const clipmdl_input *in, int n) { return (int)picture(in, n)[0]; }
static int columns_of(const clipmdl_input *in, int n) { return (int)picture(in, n)[1]; }

/* ---- The model ------------------------------------------------------------------------------- */

static clip_status check(const clipmdl_config *c, const char *file, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    if (v->stored_size)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "its pictures keep their shape, and have no size to change");
    if (v->layers < 1 || v->patch_size < 1 || side_of(v) < 1 || side_of(v) > CLIPMDL_MOST_GRID || !(v->eps >= 0))
        return clipb_fail(err, CLIP_EFORMAT, file, "%d layers over a grid of %d patches a side: impossible", v->layers,
                          v->patch_size < 1 ? 0 : side_of(v));
    return clipmdl_check_heads("vision", v->width, v->heads, file, err);
}

static clip_status init(clipmdl_tower *t, const clipmdl_config *c)
{
    naflex *m = (naflex *)t;
    const clipmdl_vision_config *v = &c->vision;
    m->cfg = *v;
    m->trunk = (clipmdl_trunk){.layers = v->layers,
                               .width = v->width,
                               .embed_dim = c->embed_dim,
                               .projection = CLIPMDL_PROJECTION_NONE,
                               .eps = v->eps,
                               .pool = {.by = CLIPNN_POOL_ATTENTION}};
    TRY(clipmdl_trunk_init(t, &m->trunk, v->heads, v->mlp, v->act));
    t->tokens = side_of(v) * side_of(v);
    t->width = 0; /* pictures have different numbers of rows, which callers could not tell apart */
    t->norm = NULL;
    t->block = NULL;
    return CLIP_OK;
}

static void free_blocks(clipmdl_tower *t) { free(((naflex *)t)->trunk.block); }

static void bind(clipmdl_binder *b, clipmdl_tower *t)
{
    naflex *m = (naflex *)t;
    const int C = m->cfg.width, P = m->cfg.patch_size, G = side_of(&m->cfg);
    float *unused;
    clipmdl_bind_linear(b, &m->conv1, PREFIX, "conv1.weight", "conv1.bias", 0, C, C, 3 * P * P);
    clipmdl_bind_matrix(b, &m->positional_embedding, &unused, PREFIX, "positional_embedding", G * G, C);
    clipmdl_trunk_bind(b, &m->trunk, PREFIX, "ln_post", "proj");
}

static clipmdl_rows rows(const clipmdl_tower *t, int layer)
{
    (void)layer;
    return (clipmdl_rows){.width = ((const naflex *)t)->cfg.width};
}

/* ---- Layout and forward ---------------------------------------------------------------------- */

static void layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape)
{
    const naflex *m = (const naflex *)t;
    naflex_acts measured, *v = CLIPB_NEW(a, naflex_acts, 1);
    int T = 0;
    (void)k;
    (void)tape;
    acts->own = v;
    v = v ? v : &measured;
    for (int n = 0; n < in->N; n++)
        T += rows_of(in, n) * columns_of(in, n);
    v->x = CLIPB_NEW(a, float, (size_t)T * (size_t)m->cfg.width);
    v->off = CLIPB_NEW(a, int32_t, in->N + 1);
    clipmdl_trunk_layout(a, &v->trunk, &m->trunk, in->N, T, false);
    clipmdl_trunk_layout_blocks(a, &v->trunk, NULL, &m->trunk, v->x, in->N, T, acts->tap);
    acts->pooled = v->trunk.pooled;
}

static void forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out)
{
    const naflex *m = (const naflex *)t;
    const naflex_acts *a = acts->own;
    const int C = m->cfg.width, P = m->cfg.patch_size, G = side_of(&m->cfg);

    a->off[0] = 0;
    for (int n = 0; n < in->N; n++) {
        const int h = rows_of(in, n), w = columns_of(in, n);
        float *x = a->x + (size_t)a->off[n] * (size_t)C;
        clipmdl_positions_bilinear(x, h, w, m->positional_embedding, G, C);
        clipnn_linear_forward(k, x, NULL, clipk_rows(picture(in, n) + HEAD, 3 * P * P), h * w, &m->conv1, CLIPK_LINEAR,
                              x);
        a->off[n + 1] = a->off[n] + h * w;
    }
    const clipnn_batch batch = {.B = in->N, .off = a->off};
    clipmdl_trunk_forward(k, &a->trunk, &m->trunk, &batch, NULL, acts->tap, out);
}

const clipmdl_tower_kind clipmdl_naflex = {
    .name = "NaFlex ViT",
    .flags = CLIPMDL_IMAGE_PARAM,
    .chunk = CHUNK,
    .any_shape = true,
    .check = check,
    .size = sizeof(naflex),
    .init = init,
    .free = free_blocks,
    .bind = bind,
    .rows = rows,
    .layout = layout,
    .forward = forward,
};
