/* Small towers of timm's kinds against timm: weights and pixels are made from their names, the
 * embeddings are golden (tools/dump_towers.py). None of them is trained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden_towers.h"
#include "train/net.h"

enum { N = 2, D = 8 };

/* ---- Numbers that belong to a name ----------------------------------------------------------- */

static uint32_t hash_of(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static float uniform(uint32_t h, size_t i)
{
    uint32_t x = h + (uint32_t)i * 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    x ^= x >> 16;
    return (float)(x >> 8) / (float)(1 << 23) - 1;
}

static bool is_bias(const char *name)
{
    return clipmdl_name_ends(name, "bias") || clipmdl_name_ends(name, "running_mean");
}

static void fill(float *w, const char *name, size_t n, int ndim, size_t fan_in)
{
    const uint32_t h = hash_of(name);
    const bool token = strstr(name, "cls_token") || strstr(name, "pos_embed") || strstr(name, "latent");
    for (size_t i = 0; i < n; i++) {
        const float u = uniform(h, i);
        w[i] = token                   ? 0.4f * u
               : strstr(name, "gamma") ? 0.2f + 0.04f * u
               : ndim > 1              ? u * 1.4f / sqrtf((float)fan_in)
               : is_bias(name)         ? 0.1f * u
                                       : 1 + 0.2f * u;
    }
}

/* A parameter that is several tensors in a file is filled as these are. */
static void fill_param(float *w, const clipmdl_param *p)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int n = clipmdl_parts(&clipmdl_openclip, "", p->name, 0, p->dim[0], p->dim[0], part);
    const size_t each = p->count / (size_t)p->dim[0];
    for (int i = 0; i < n; i++) {
        fill(w, part[i].name, each * (size_t)part[i].rows, p->ndim, each);
        w += each * (size_t)part[i].rows;
    }
}

/* ---- One tower ------------------------------------------------------------------------------- */

typedef struct held {
    clipk_ctx k;
    clipmdl_tower *t;
    clipmdl_params params;
    float *w, *pixels;
    clipb_block scratch, weights, acts;
} held;

static void bind(held *s)
{
    clipmdl_binder list = {.list = &s->params, .prefix = "", .k = &s->k};
    clipmdl_tower_bind(&list, s->t);
    assert_int_equal(list.status, CLIP_OK);
    s->w = calloc(s->params.count, sizeof *s->w);
    assert_non_null(s->w);
    for (size_t i = 0; i < s->params.n; i++)
        fill_param(s->w + s->params.param[i].at, &s->params.param[i]);
    clipmdl_binder b = {.params = &s->params, .prefix = "", .w = s->w, .k = &s->k};
    clipmdl_tower_bind(&b, s->t);
    assert_int_equal(clipb_block_reserve(&s->weights, b.arena.peak), CLIP_OK);
    b.arena = clipb_arena_on(&s->weights);
    clipmdl_tower_bind(&b, s->t);
    assert_int_equal(b.status, CLIP_OK);
    clipb_block_free(&b.scratch);
}

static held tower_new(const clipmdl_config *c)
{
    held s = {.k = {.set = clipk_set_find(NULL)}};
    clip_error err;
    if (c->vision.tower->check(c, "golden", &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_int_equal(clipmdl_tower_new(c->vision.tower, c, &s.t), CLIP_OK);
    assert_int_equal(clipb_block_reserve(&s.scratch, clipk_scratch_bytes(s.k.set, 1)), CLIP_OK);
    s.k.scratch = s.scratch.base;
    bind(&s);
    const size_t numbers = N * 3 * (size_t)c->vision.image_size * (size_t)c->vision.image_size;
    s.pixels = malloc(numbers * sizeof *s.pixels);
    assert_non_null(s.pixels);
    for (size_t i = 0; i < numbers; i++)
        s.pixels[i] = uniform(hash_of("pixels"), i);
    return s;
}

static void tower_free(held *s)
{
    clipmdl_tower_free(s->t);
    clipmdl_params_free(&s->params);
    free(s->w);
    free(s->pixels);
    clipb_block_free(&s->scratch);
    clipb_block_free(&s->weights);
    clipb_block_free(&s->acts);
}

static void forward(held *s, const clipmdl_tap *tap, float *out)
{
    const clipmdl_input in = {.N = N, .pixels = s->pixels};
    clipmdl_acts acts = {.tap = tap};
    clipb_arena a = {0};
    s->t->kind->layout(&a, &acts, &s->k, s->t, &in, false);
    assert_int_equal(clipb_block_reserve(&s->acts, a.peak), CLIP_OK);
    a = clipb_arena_on(&s->acts);
    s->t->kind->layout(&a, &acts, &s->k, s->t, &in, false);
    s->t->kind->forward(&s->k, &acts, s->t, &in, out);
}

/* The rows of the layer that heads look at have the size that the tower says, and are finite. */
static void check_rows(held *s, const char *what)
{
    const clipmdl_rows r = s->t->kind->rows(s->t, s->t->look);
    const size_t n = N * (size_t)clipmdl_rows_count(r) * (size_t)r.width;
    clipmdl_tap tap = {.layer = s->t->look, .rows = malloc(n * sizeof(float))};
    float out[N * D];
    assert_non_null(tap.rows);
    memset(tap.rows, 0xff, n * sizeof *tap.rows); /* NaN */
    forward(s, &tap, out);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(tap.rows[i]))
            fail_msg("%s: row %zu of layer %d is not written", what, i / (size_t)r.width, tap.layer);
    free(tap.rows);
}

static void check(const char *what, const clipmdl_vision_config *v, const float *golden)
{
    const clipmdl_config c = {.towers = CLIP_TOWER_IMAGE, .embed_dim = D, .vision = *v};
    held s = tower_new(&c);
    float out[N * D];
    forward(&s, NULL, out);
    for (int i = 0; i < N * D; i++)
        if (!(fabsf(out[i] - golden[i]) <= 2e-5f * (1 + fabsf(golden[i]))))
            fail_msg("%s: number %d is %.8g, not %.8g", what, i, (double)out[i], (double)golden[i]);
    check_rows(&s, what);
    tower_free(&s);
}

/* ---- The towers ------------------------------------------------------------------------------ */

static clipmdl_vision_config eva(int mlp)
{
    return (clipmdl_vision_config){.tower = &clipmdl_eva,
                                   .image_size = 32,
                                   .patch_size = 8,
                                   .width = 32,
                                   .heads = 2,
                                   .layers = 2,
                                   .mlp = mlp,
                                   .pooling = CLIPNN_POOL_FIRST,
                                   .eps = 1e-6f,
                                   .act = CLIPK_GELU,
                                   .projection = CLIPMDL_PROJECTION_LINEAR,
                                   .trunk = true,
                                   .class_token = true,
                                   .patch_bias = true};
}

static void evas(void **state)
{
    (void)state;
    clipmdl_vision_config v = eva(64);
    check("EVA", &v, eva_golden);
    v.eva = (clipmdl_eva_config){.post_norm = true};
    check("EVA-02 E", &v, eva02_e_golden);
    v = eva(48);
    v.eva = (clipmdl_eva_config){.split = true, .inner_norms = true, .gated = true, .turn = 16};
    check("EVA-02", &v, eva02_golden);
}

static void perception_encoders(void **state)
{
    (void)state;
    clipmdl_vision_config v = eva(64);
    v.eps = 1e-5f;
    v.pooling = CLIPNN_POOL_ATTENTION;
    v.ln_pre = true;
    v.patch_bias = false;
    v.eva = (clipmdl_eva_config){
        .k_bias = true, .turn = 4, .turn_from = 1, .columns_first = true, .pool_heads = 4};
    check("PE", &v, pe_golden);
    v.class_token = false;
    v.eva.turn_from = 0;
    check("PE G", &v, pe_g_golden);
}

static void stems_of_convolutions(void **state)
{
    (void)state;
    clipmdl_vision_config v = eva(64);
    v.image_size = 64;
    v.patch_size = 16;
    v.eva = (clipmdl_eva_config){.k_bias = true, .bare_class = true, .stem = CLIPMDL_STEM_CONVS};
    check("MobileCLIP-B", &v, mci_golden);
    v.class_token = false;
    v.pooling = CLIPNN_POOL_MEAN;
    v.eva = (clipmdl_eva_config){.k_bias = true,
                                 .geglu = true,
                                 .outer_head = true,
                                 .stem = CLIPMDL_STEM_STAGES,
                                 .stem_width = 8,
                                 .stem_stage = {8, 16}};
    check("ViTamin", &v, vitamin_golden);
}

static void convnexts(void **state)
{
    (void)state;
    clipmdl_vision_config v = {
        .tower = &clipmdl_convnext, .image_size = 64, .width = 8, .stage = {1, 1, 2, 1}, .eps = 1e-6f, .trunk = true};
    check("ConvNeXt", &v, convnext_golden);
    v.mlp_head = true;
    check("ConvNeXt with an MLP", &v, convnext_mlp_golden);
}

static void fastvits(void **state)
{
    (void)state;
    clipmdl_vision_config v = {.tower = &clipmdl_fastvit,
                               .image_size = 64,
                               .width = 8,
                               .stage = {1, 1, 2, 1},
                               .eps = 1e-5f,
                               .trunk = true,
                               .mlp_ratio = 3,
                               .squeezes = true};
    check("FastViT", &v, fastvit_golden);
    v.stage[4] = 1;
    v.mlp_ratio = 4;
    v.squeezes = false;
    v.layer_norms = v.plain_stem = true;
    check("FastViT of five stages", &v, fastvit_5_golden);
}

static void none_is_trained(void **state)
{
    (void)state;
    clipmdl_config c = {.towers = CLIP_TOWER_BOTH, .embed_dim = D, .vision = eva(64)};
    cliptrn_net n = {0};
    clip_error err;
    c.text = (clipmdl_text_config){.tower = &clipmdl_text, .context_length = 8, .vocab_size = 16, .width = 16,
                                   .heads = 2, .layers = 1, .mlp = 32, .eps = 1e-5f, .causal = true};
    assert_int_equal(cliptrn_net_init(&n, &c, &(cliptrn_net_options){0}, 1, &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "EVA is for inference alone"));
    cliptrn_net_free(&n);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    clip_error err;
    clipmdl_config c = {.towers = CLIP_TOWER_IMAGE, .embed_dim = D, .vision = eva(64)};
    c.vision.heads = 16; /* of two numbers */
    c.vision.eva.turn = 4;
    assert_int_equal(clipmdl_eva.check(&c, "x", &err), CLIP_EFORMAT);
    c.vision = (clipmdl_vision_config){.image_size = 48, .width = 8, .stage = {1, 1, 1, 1}, .mlp_ratio = 4};
    assert_int_equal(clipmdl_convnext.check(&c, "x", &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "multiples of 32"));
    assert_int_equal(clipmdl_fastvit.check(&c, "x", &err), CLIP_EUNSUPPORTED);
    c.vision.stage[3] = 0;
    assert_int_equal(clipmdl_convnext.check(&c, "x", &err), CLIP_EFORMAT);
    assert_int_equal(clipmdl_fastvit.check(&c, "x", &err), CLIP_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evas),
        cmocka_unit_test(perception_encoders),
        cmocka_unit_test(stems_of_convolutions),
        cmocka_unit_test(convnexts),
        cmocka_unit_test(fastvits),
        cmocka_unit_test(none_is_trained),
        cmocka_unit_test(impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests_name("timm's towers", tests, NULL, NULL);
}
