/* Small towers of timm's kinds against timm: weights and pixels are made from their names, the
 * embeddings are golden (tools/dump_towers.py). None of them is trained. */
#include "golden_towers.h"
#include "named.h"
#include "model/quantised.h"
#include "train/net.h"

#include <stdio.h>
#include <unistd.h>

/* ---- One tower ------------------------------------------------------------------------------- */

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

/* clip convert's way: through parameters and a file of f16, which inference reads. */
static void check_converted(const char *what, const clipmdl_config *c, const float *golden)
{
    held s = tower_new(c);
    clipmdl_store store;
    clip_error err;
    float out[N * D];
    char path[64];
    snprintf(path, sizeof path, "timm_towers_%ld.safetensors", (long)getpid());
    fill_params(&s.params, &clipmdl_openclip, s.w);
    if (clipmdl_save_weights(path, &s.params, s.w, CLIPK_F16, &clipmdl_openclip, &err) != CLIP_OK ||
        clipmdl_store_open(path, &store, &err) != CLIP_OK)
        fail_msg("%s: %s", what, err.message);
    assert_null(clipmdl_params_missing(&s.params, &store, &clipmdl_openclip, ""));
    store.n--; /* the last tensor by name is not found any more */
    assert_non_null(clipmdl_params_missing(&s.params, &store, &clipmdl_openclip, ""));
    store.n++;
    clipmdl_binder b = {.store = &store, .family = &clipmdl_openclip, .prefix = "", .k = &s.k};
    place_tower(&s, &b);
    forward(&s, NULL, out);
    for (int i = 0; i < N * D; i++)
        if (!(fabsf(out[i] - golden[i]) <= 1e-2f * (1 + fabsf(golden[i]))))
            fail_msg("%s in f16: number %d is %.8g, not %.8g", what, i, (double)out[i], (double)golden[i]);
    tower_free(&s);
    clipmdl_store_close(&store);
    unlink(path);
}

/* clip convert --dtype int8: the file gives the bits of the weights that it was made from. What it
 * keeps in 16 bits has no more here. */
static void check_quantised(const char *what, const clipmdl_config *c)
{
    held s = tower_new(c), from_file = tower_new(c);
    const clipk_format *format = clipk_format_find("int8", s.k.set);
    clipmdl_store store;
    clip_error err;
    float out[2][N * D];
    char path[64];
    int integers = 0;
    snprintf(path, sizeof path, "timm_towers_int8_%ld.safetensors", (long)getpid());
    fill_params(&s.params, &clipmdl_openclip, s.w);
    for (size_t i = 0; i < s.params.count; i++) {
        const uint16_t half = clipmdl_to_f16(s.w[i]);
        clipk_to_f32(&s.k, &s.w[i], &half, CLIPK_F16, 1);
    }
    clipmdl_binder b = {.params = &s.params, .prefix = "", .w = s.w, .k = &s.k, .format = format};
    place_tower(&s, &b);
    forward(&s, NULL, out[0]);
    if (clipmdl_save_quantised(path, c, &s.params, s.w, CLIPK_F32, &clipmdl_openclip, &err) != CLIP_OK ||
        clipmdl_store_open(path, &store, &err) != CLIP_OK)
        fail_msg("%s: %s", what, err.message);
    for (size_t i = 0; i < store.n; i++)
        integers += strcmp(store.tensor[i].dtype, "I8") == 0;
    assert_true(store.quantised && integers > 0);
    b = (clipmdl_binder){.store = &store, .family = &clipmdl_openclip, .prefix = "", .k = &from_file.k,
                         .format = format};
    place_tower(&from_file, &b);
    forward(&from_file, NULL, out[1]);
    if (memcmp(out[0], out[1], sizeof out[0]) != 0)
        fail_msg("%s: the file in 8 bits has other embeddings", what);
    for (size_t i = 0; i < store.n; i++)
        if (!store.tensor[i].used)
            fail_msg("%s: '%s' is not read", what, store.tensor[i].name);
    tower_free(&s);
    tower_free(&from_file);
    clipmdl_store_close(&store);
    unlink(path);
}

static void check(const char *what, const clipmdl_vision_config *v, const float *golden)
{
    const clipmdl_config c = {.towers = CLIP_TOWER_IMAGE, .embed_dim = D, .vision = *v};
    held s = tower_new(&c);
    clipmdl_binder b = {.params = &s.params, .prefix = "", .w = s.w, .k = &s.k};
    float out[N * D];
    fill_params(&s.params, &clipmdl_openclip, s.w);
    place_tower(&s, &b);
    forward(&s, NULL, out);
    for (int i = 0; i < N * D; i++)
        if (!(fabsf(out[i] - golden[i]) <= 2e-5f * (1 + fabsf(golden[i]))))
            fail_msg("%s: number %d is %.8g, not %.8g", what, i, (double)out[i], (double)golden[i]);
    check_rows(&s, what);
    tower_free(&s);
    check_converted(what, &c, golden);
    check_quantised(what, &c);
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
