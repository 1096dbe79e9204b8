/* Pictures of another size than the weights': small towers against OpenCLIP, timm and transformers
 * (tools/dump_sizes.py). The weights go through a file, since positions are resampled as they are
 * read. */
#include "golden_sizes.h"
#include "named.h"

#include <stdio.h>
#include <unistd.h>

#include "model/save.h"

static void compare(const char *what, const float *out, const float *golden)
{
    for (int i = 0; i < N * D; i++)
        if (!(fabsf(out[i] - golden[i]) <= 2e-5f * (1 + fabsf(golden[i]))))
            fail_msg("%s: number %d is %.8g, not %.8g", what, i, (double)out[i], (double)golden[i]);
}

/* A file with the weights of the tower. */
static void write_weights(const clipmdl_config *c, const clipmdl_family *family, const char *path)
{
    held s = tower_new(c);
    clip_error err;
    fill_params(&s.params, family, s.w);
    if (clipmdl_save_weights(path, &s.params, s.w, CLIPK_F32, family, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    tower_free(&s);
}

/* By the inference's binder, then as a training reads and binds parameters. */
static void check(const char *what, const clipmdl_vision_config *v, const clipmdl_family *family, int size,
                  const float *golden)
{
    clipmdl_config c = {.towers = CLIP_TOWER_IMAGE, .embed_dim = D, .vision = *v};
    clipmdl_store store;
    clip_error err;
    float out[N * D];
    char path[64];
    snprintf(path, sizeof path, "image_size_%ld.safetensors", (long)getpid());
    write_weights(&c, family, path);
    if (clipmdl_config_resize(&c, size, path, &err) != CLIP_OK || clipmdl_store_open(path, &store, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    held s = tower_new(&c);
    clipmdl_binder b = {.store = &store, .family = family, .prefix = "", .k = &s.k};
    place_tower(&s, &b);
    forward(&s, NULL, out);
    compare(what, out, golden);
    if (clipmdl_params_read(&s.params, &store, family, "", s.w, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    b = (clipmdl_binder){.params = &s.params, .prefix = "", .w = s.w, .k = &s.k};
    place_tower(&s, &b);
    forward(&s, NULL, out);
    compare(what, out, golden);
    tower_free(&s);
    clipmdl_store_close(&store);
    unlink(path);
}

/* ---- The towers ------------------------------------------------------------------------------ */

static clipmdl_vision_config vit(int size)
{
    return (clipmdl_vision_config){.tower = &clipmdl_vit,
                                   .image_size = size,
                                   .patch_size = 8,
                                   .width = 32,
                                   .heads = 2,
                                   .layers = 2,
                                   .mlp = 64,
                                   .eps = 1e-5f,
                                   .act = CLIPK_GELU,
                                   .class_token = true,
                                   .ln_pre = true};
}

static void vision_transformers(void **state)
{
    (void)state;
    clipmdl_vision_config small = vit(32), large = vit(56);
    check("OpenCLIP's ViT, larger", &small, &clipmdl_openclip, 56, vit_larger_golden);
    check("OpenCLIP's ViT, smaller", &large, &clipmdl_openclip, 24, vit_smaller_golden);
    small.act = large.act = CLIPK_QUICKGELU;
    check("transformers' CLIP, larger", &small, &clipmdl_huggingface, 56, hf_larger_golden);
    check("transformers' CLIP, smaller", &large, &clipmdl_huggingface, 24, hf_smaller_golden);
}

static void siglips(void **state)
{
    (void)state;
    clipmdl_vision_config v = vit(32);
    v.width = D;
    v.mlp = 4 * D;
    v.eps = 1e-6f;
    v.act = CLIPK_GELU_TANH;
    v.pooling = CLIPNN_POOL_ATTENTION;
    v.projection = CLIPMDL_PROJECTION_NONE;
    v.trunk = v.patch_bias = true;
    v.class_token = v.ln_pre = false;
    check("SigLIP, larger", &v, &clipmdl_openclip, 48, siglip_larger_golden);
    check("SigLIP, smaller", &v, &clipmdl_openclip, 16, siglip_smaller_golden);
}

static void resnets(void **state)
{
    (void)state;
    clipmdl_vision_config v = {
        .tower = &clipmdl_resnet, .image_size = 64, .width = 8, .heads = 4, .stage = {1, 1, 1, 1}, .eps = 1e-5f};
    check("ResNet, larger", &v, &clipmdl_openclip, 96, resnet_larger_golden);
    v.image_size = 96;
    check("ResNet, smaller", &v, &clipmdl_openclip, 64, resnet_smaller_golden);
}

static void timms(void **state)
{
    (void)state;
    clipmdl_vision_config v = vit(32);
    v.tower = &clipmdl_eva;
    v.pooling = CLIPNN_POOL_FIRST;
    v.eps = 1e-6f;
    v.projection = CLIPMDL_PROJECTION_LINEAR;
    v.trunk = v.patch_bias = true;
    v.ln_pre = false;
    check("EVA", &v, &clipmdl_openclip, 48, eva_larger_golden);
    v.mlp = 48;
    v.eva = (clipmdl_eva_config){.split = true, .inner_norms = true, .gated = true, .turn = 16};
    check("EVA-02", &v, &clipmdl_openclip, 48, eva02_larger_golden);
    v.mlp = 64;
    v.eps = 1e-5f;
    v.pooling = CLIPNN_POOL_ATTENTION;
    v.ln_pre = true;
    v.patch_bias = false;
    v.eva = (clipmdl_eva_config){.k_bias = true, .turn = 4, .turn_from = 1, .columns_first = true, .pool_heads = 4};
    check("PE", &v, &clipmdl_openclip, 48, pe_larger_golden);
}

static void timms_of_convolutions(void **state)
{
    (void)state;
    clipmdl_vision_config v = vit(64);
    v.tower = &clipmdl_eva;
    v.patch_size = 16;
    v.eps = 1e-6f;
    v.projection = CLIPMDL_PROJECTION_LINEAR;
    v.trunk = true;
    v.ln_pre = false;
    v.eva = (clipmdl_eva_config){.k_bias = true, .bare_class = true, .stem = CLIPMDL_STEM_CONVS};
    check("MobileCLIP-B", &v, &clipmdl_openclip, 96, mci_larger_golden);
    v.class_token = false;
    v.pooling = CLIPNN_POOL_MEAN;
    v.eva = (clipmdl_eva_config){.k_bias = true, .geglu = true, .outer_head = true, .stem = CLIPMDL_STEM_STAGES,
                                 .stem_width = 8, .stem_stage = {8, 16}};
    check("ViTamin", &v, &clipmdl_openclip, 96, vitamin_larger_golden);
    v = (clipmdl_vision_config){
        .tower = &clipmdl_convnext, .image_size = 64, .width = 8, .stage = {1, 1, 2, 1}, .eps = 1e-6f, .trunk = true};
    check("ConvNeXt", &v, &clipmdl_openclip, 96, convnext_larger_golden);
    v = (clipmdl_vision_config){.tower = &clipmdl_fastvit, .image_size = 64, .width = 8, .stage = {1, 1, 2, 1},
                                .eps = 1e-5f, .trunk = true, .mlp_ratio = 3, .squeezes = true};
    check("FastViT", &v, &clipmdl_openclip, 96, fastvit_larger_golden);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    clip_error err;
    static const struct {
        const clipmdl_tower_kind *tower;
        int size;
        const char *why;
    } refused[] = {{&clipmdl_vit, 7, "do not fit this ViT: patches of 8"},
                   {&clipmdl_vit, 4096, "more than 255 patches"},
                   {&clipmdl_vit, 10000, "more than the 8192 supported"},
                   {&clipmdl_vit, 0, "there is no such size"},
                   {&clipmdl_vit, -8, "there is no such size"},
                   {&clipmdl_resnet, 80, "multiples of 32"},
                   {&clipmdl_convnext, 48, "multiples of 32"},
                   {&clipmdl_aimv2, 96, "positions are for pictures of 64"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        clipmdl_config c = {.towers = CLIP_TOWER_IMAGE, .embed_dim = D, .vision = vit(64)};
        c.vision.tower = refused[i].tower;
        if (refused[i].tower != &clipmdl_vit)
            for (int k = 0; k < 4; k++)
                c.vision.stage[k] = 1;
        assert_int_equal(clipmdl_config_resize(&c, refused[i].size, "x", &err), CLIP_EINVAL);
        if (!strstr(err.message, refused[i].why))
            fail_msg("'%s' does not say '%s'", err.message, refused[i].why);
    }
    clipmdl_config text = {.towers = CLIP_TOWER_TEXT};
    assert_int_equal(clipmdl_config_resize(&text, 64, "x", &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "no image encoder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vision_transformers),
        cmocka_unit_test(siglips),
        cmocka_unit_test(resnets),
        cmocka_unit_test(timms),
        cmocka_unit_test(timms_of_convolutions),
        cmocka_unit_test(impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests_name("sizes of pictures", tests, NULL, NULL);
}
