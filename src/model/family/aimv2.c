/* aimv2.c: AIMv2's layout in transformers, Aimv2Model. The tower has its names, so none is
 * translated. It can only be read. */
#include <stdio.h>
#include <string.h>

#include "model/family/huggingface.h"
#include "model/tower.h"

static void translate(const char *name, char *out, size_t size) { snprintf(out, size, "%s", name); }

static const clipmdl_mark marks[] = {
    {"vision_model.embeddings.patch_embed.weight", NULL, CLIP_TOWER_IMAGE},
    {"text_model.embeddings.token_embedding.weight", "text_model.rms_norm.weight", CLIP_TOWER_TEXT},
    {0}};
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};

/* ---- Settings of transformers 4.54 to 5.24: Aimv2Config and its parts ------------------------ */

static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT " rms_norm_eps",
    .off = CLIPMDL_HF_OTHERS " qkv_bias mlp_bias",
    .one_of = (const clipmdl_choice[]){{"model_type", "aimv2_text_model aimv2"}, {"hidden_act", "silu"}, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE " rms_norm_eps",
    .off = CLIPMDL_HF_OTHERS " qkv_bias mlp_bias is_native",
    .one_of = (const clipmdl_choice[]){{"model_type", "aimv2_vision_model aimv2"},
                                       {"hidden_act", "silu"},
                                       {"num_channels", "3"},
                                       {"use_head", "true"},
                                       {0}}};
static const clipmdl_settings_part towers[] = {{"text_config", &text_config}, {"vision_config", &vision_config}, {0}};
static const clipmdl_settings pair = {
    .known = "max_logit_scale" CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};

static clip_status read_vision(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    *v = (clipmdl_vision_config){.tower = &clipmdl_aimv2,
                                 .image_size = 224,
                                 .patch_size = 14,
                                 .width = 1024,
                                 .heads = 8,
                                 .layers = 24,
                                 .mlp = 2816,
                                 .pooling = CLIPNN_POOL_ATTENTION,
                                 .eps = 1e-5f};
    TRY(clipmdl_json_size(r, o, "image_size", &v->image_size));
    TRY(clipmdl_json_size(r, o, "patch_size", &v->patch_size));
    TRY(clipmdl_huggingface_sizes(r, o, &v->width, &v->heads, &v->layers, &v->mlp, &v->eps));
    return clipb_json_float(o, "rms_norm_eps", &v->eps, r->file, r->err);
}

static clip_status read_text(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    *t = (clipmdl_text_config){.tower = &clipmdl_aimv2_text,
                               .context_length = 77,
                               .vocab_size = 49408,
                               .width = 768,
                               .heads = 6,
                               .layers = 12,
                               .mlp = 2048,
                               .pooling = CLIPNN_POOL_EOS,
                               .eos_id = 49407,
                               .causal = true,
                               .eps = 1e-5f};
    TRY(clipmdl_json_size(r, o, "max_position_embeddings", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    TRY(clipb_json_int(o, "eos_token_id", 0, CLIPMDL_MOST_VOCABULARY, &t->eos_id, r->file, r->err));
    TRY(clipmdl_huggingface_sizes(r, o, &t->width, &t->heads, &t->layers, &t->mlp, &t->eps));
    return clipb_json_float(o, "rms_norm_eps", &t->eps, r->file, r->err);
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "aimv2";
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    if (strcmp(type, "aimv2") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of AIMv2's, only aimv2 is supported", type);
    TRY(clipmdl_settings_check(&pair, root, "transformers' AIMv2", false, r->file, r->warn, r->warn_user, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 512;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    c->most_scale = 100;
    TRY(clipb_json_float(root, "max_logit_scale", &c->most_scale, r->file, r->err));
    if (!(c->most_scale >= 1))
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file, "\"max_logit_scale\" is %g, which is below 1",
                          (double)c->most_scale);
    TRY(read_vision(r, clipmdl_huggingface_tower_of(root, "vision_config"), &c->vision));
    return read_text(r, clipmdl_huggingface_tower_of(root, "text_config"), &c->text);
}

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)f;
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file, "is an AIMv2, whose config.json is needed");
}

static int pad_id(const clipmdl_text_config *t) { return t->eos_id < t->vocab_size ? t->eos_id : 0; }

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    return clipmdl_huggingface_recipe(r, &clipmdl_clip_processor, dir, size, out, found);
}

const clipmdl_family clipmdl_aimv2_hf = {
    .name = "Hugging Face AIMv2",
    .no_antialias = true,
    .marks = marks,
    .beginnings = beginnings,
    .translate = translate,
    .config_file = "config.json",
    .model_type = "aimv2",
    .read_config = read_config,
    .guess = guess,
    .tokenizer = "huggingface",
    .pad_id = pad_id,
    .preprocessor = "transformers' CLIPImageProcessor",
    .rounding = "huggingface",
    .read_recipe = read_recipe,
    .weights_file = "model.safetensors",
};
