/* dual_encoder.c: pairs of an image encoder and a BERT in transformers: VisionTextDualEncoderModel,
 * with a CLIP's image encoder or a ViT, and FLAVA (Singh et al. 2022, arXiv:2112.04482), whose
 * encoders of both at once are left in the file. They can only be read. */
#include <string.h>

#include "model/family/bert.h"
#include "model/family/hf_text.h"
#include "model/family/huggingface.h"
#include "model/tower.h"

#define MOST_TEXT 512 /* tokens of a text: what their tokenizers cut at */

/* ---- Names ----------------------------------------------------------------------------------- */

/* What follows "layer.N." in transformers' ViT. */
static const clipmdl_rename vit_blocks[] = {
    {"ln_1.", "layernorm_before.", NULL},
    {"ln_2.", "layernorm_after.", NULL},
    {"attn.in_proj_", "attention.attention.{query,key,value}.", NULL},
    {"attn.out_proj.", "attention.output.dense.", NULL},
    {"mlp.c_fc.", "intermediate.dense.", NULL},
    {"mlp.c_proj.", "output.dense.", NULL},
    {0},
};
#define VIT_NAMES(before)                                                              \
    {"visual.transformer.resblocks.", before "encoder.layer.", vit_blocks},            \
        {"visual.class_embedding", before "embeddings.cls_token", NULL},               \
        {"visual.positional_embedding", before "embeddings.position_embeddings", NULL}, \
        {"visual.conv1.", before "embeddings.patch_embeddings.projection.", NULL},     \
        {"visual.ln_post.", before "layernorm.", NULL},                                \
        {"visual.pooler.", before "pooler.dense.", NULL}

static const clipmdl_rename vit_names[] = {VIT_NAMES("vision_model."),
                                           {"visual.proj", "visual_projection.weight", NULL},
                                           CLIPMDL_BERT_NAMES("text_model."),
                                           {"bert.text_projection.", "text_projection.", NULL},
                                           {0}};
static const clipmdl_rename flava_names[] = {VIT_NAMES("image_model."),
                                             {"visual.proj.", "image_projection.", NULL},
                                             {"bert.transformer.resblocks.", "text_model.encoder.layer.", vit_blocks},
                                             {"bert.ln_final.", "text_model.layernorm.", NULL},
                                             CLIPMDL_BERT_NAMES("text_model."),
                                             {"bert.text_projection.", "text_projection.", NULL},
                                             {0}};

static void translate_vit(const char *name, char *out, size_t size) { clipmdl_rename_by(vit_names, name, out, size); }
static void translate_flava(const char *name, char *out, size_t size)
{
    clipmdl_rename_by(flava_names, name, out, size);
}

static void translate_clip(const char *name, char *out, size_t size)
{
    if (strncmp(name, "bert.", 5) == 0)
        translate_vit(name, out, size);
    else
        clipmdl_huggingface.translate(name, out, size);
}

/* transformers 4 has a vision_model. inside vision_model. */
static void translate_clip_4(const char *name, char *out, size_t size)
{
    static const char twice[] = "vision_model.";
    const size_t n = sizeof twice - 1;
    translate_clip(name, out, size);
    if (strncmp(out, twice, n) != 0 || strlen(out) + n >= size)
        return;
    memmove(out + n, out, strlen(out) + 1);
    memcpy(out, twice, n);
}

/* Chinese-CLIP has the same names, and no pooler. */
#define POOLER "text_model.pooler.dense.weight"
#define DUAL_MARKS(image)                                                             \
    {                                                                                 \
        {image, POOLER, CLIP_TOWER_IMAGE},                                            \
            {"text_model.embeddings.word_embeddings.weight", image, CLIP_TOWER_TEXT}, \
            {0}                                                                       \
    }
static const clipmdl_mark vit_marks[] = DUAL_MARKS("vision_model.embeddings.patch_embeddings.projection.weight");
static const clipmdl_mark clip_4_marks[] = DUAL_MARKS("vision_model.vision_model.embeddings.patch_embedding.weight");
static const clipmdl_mark clip_marks[] = {
    {"vision_model.embeddings.patch_embedding.weight", POOLER, CLIP_TOWER_IMAGE},
    {"text_model.embeddings.word_embeddings.weight", POOLER, CLIP_TOWER_TEXT},
    {0}};
static const clipmdl_mark flava_marks[] = DUAL_MARKS("image_model.embeddings.patch_embeddings.projection.weight");
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};
/* Both poolers and the token that hides patches are used in its training alone. */
static const clipmdl_beginning flava_beginnings[] = {{"image_model.encoder.", CLIP_TOWER_IMAGE},
                                                     {"image_model.layernorm.", CLIP_TOWER_IMAGE},
                                                     {"image_projection", CLIP_TOWER_IMAGE},
                                                     {"text_model.embeddings.", CLIP_TOWER_TEXT},
                                                     {"text_model.encoder.", CLIP_TOWER_TEXT},
                                                     {"text_model.layernorm.", CLIP_TOWER_TEXT},
                                                     {"text_projection", CLIP_TOWER_TEXT},
                                                     {0}};
static const char *const flava_unread[] = {"image_model.embeddings.mask_token", "image_model.pooler.",
                                           "text_model.pooler.", "image_to_mm_projection.",
                                           "text_to_mm_projection.", "multimodal_model.", NULL};

/* ---- Settings of transformers 4.17 to 5.24: VisionTextDualEncoderConfig, ViTConfig,
 *      CLIPVisionConfig, FlavaConfig and its parts --------------------------------------------- */

#define VIT_SETTINGS                                                                                       \
    CLIPMDL_HF_IMAGE " hidden_dropout_prob attention_probs_dropout_prob encoder_stride pooler_output_size" \
                     " vocab_size mask_token"
static const clipmdl_settings vit_config = {
    .known = VIT_SETTINGS,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "vit flava_image_model"},
                                       {"num_channels", "3"},
                                       {"hidden_act", "gelu"},
                                       {"qkv_bias", "true"},
                                       {"pooler_act", "tanh"},
                                       {0}}};
static const clipmdl_settings clip_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "clip_vision_model"},
                                       {"num_channels", "3"},
                                       {"hidden_act", "quick_gelu gelu"},
                                       {0}}};
static const clipmdl_settings flava_text = {
    .known = CLIPMDL_HF_TEXT CLIPMDL_BERT_SETTINGS,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){
        {"model_type", "flava_text_model"}, {"qkv_bias", "true"}, CLIPMDL_BERT_ONE_OF, {0}}};

static const clipmdl_settings_part vit_parts[] = {{"vision_config", &vit_config}, {0}};
static const clipmdl_settings_part clip_parts[] = {{"vision_config", &clip_config}, {0}};
static const clipmdl_settings_part flava_parts[] = {{"image_config", &vit_config}, {"text_config", &flava_text}, {0}};
/* text_config: read by hf_text.c, which checks it */
#define PAIR(towers, more) {.known = more CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers}
static const clipmdl_settings with_vit = PAIR(vit_parts, "text_config");
static const clipmdl_settings with_clip = PAIR(clip_parts, "text_config");
static const clipmdl_settings flava_all =
    PAIR(flava_parts, "multimodal_config image_codebook_config ce_ignore_index global_backprop_contrastive "
                      "global_contrastive_weight hidden_size init_codebook itm_weight layer_norm_eps mim_weight "
                      "mlm_weight mmm_image_weight mmm_text_weight return_loss skip_unmasked_multimodal_encoder");

/* ---- Configuration --------------------------------------------------------------------------- */

/* transformers' ViT. o: NULL: its defaults. */
static clip_status read_vit(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    *v = (clipmdl_vision_config){.tower = &clipmdl_vit,
                                 .image_size = 224,
                                 .patch_size = 16,
                                 .width = 768,
                                 .heads = 12,
                                 .layers = 12,
                                 .mlp = 3072,
                                 .class_token = true,
                                 .patch_bias = true,
                                 .eps = 1e-12f,
                                 .act = CLIPK_GELU};
    TRY(clipmdl_json_size(r, o, "image_size", &v->image_size));
    TRY(clipmdl_json_size(r, o, "patch_size", &v->patch_size));
    TRY(clipmdl_huggingface_sizes(r, o, &v->width, &v->heads, &v->layers, &v->mlp, &v->eps));
    int pooled = v->width;
    TRY(clipmdl_json_size(r, o, "pooler_output_size", &pooled));
    return pooled == v->width ? CLIP_OK
                              : clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                                           "a setting that is not supported: pooler_output_size is %d for a width of "
                                           "%d", pooled, v->width);
}

static clip_status check_type(const clipmdl_reader *r, const cJSON *root, const char *should)
{
    const char *type = should;
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    return strcmp(type, should) == 0 ? CLIP_OK
                                     : clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                                                  "\"model_type\" is \"%.60s\", but the weights are named as those of "
                                                  "%s", type, should);
}

static clip_status read_dual(const clipmdl_reader *r, const cJSON *root, const clipmdl_settings *pair,
                             clipmdl_config *c)
{
    clipmdl_text_config *t = &c->text;
    TRY(check_type(r, root, "vision-text-dual-encoder"));
    TRY(clipmdl_settings_check(pair, root, "transformers' VisionTextDualEncoder", false, r->file, r->warn,
                               r->warn_user, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 512;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    const cJSON *o;
    TRY(clipmdl_json_object(r, root, "text_config", &o));
    TRY(clipmdl_hf_text_config(r, o, t));
    if (!t->bert.post_norm)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"text_config\" is of a type without a pooler: only bert, roberta and xlm-roberta are "
                          "supported");
    t->context_length = t->bert.positions - t->bert.first_position;
    t->context_length = t->context_length < MOST_TEXT ? t->context_length : MOST_TEXT;
    t->pooling = CLIPNN_POOL_FIRST;
    t->bert.pooler = true;
    t->projection = CLIPMDL_PROJECTION_PLAIN;
    return CLIP_OK;
}

static clip_status read_dual_vit(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    TRY(read_dual(r, root, &with_vit, c));
    TRY(read_vit(r, cJSON_GetObjectItemCaseSensitive(root, "vision_config"), &c->vision));
    c->vision.pooler = true;
    return CLIP_OK;
}

static clip_status read_dual_clip(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    TRY(read_dual(r, root, &with_clip, c));
    return clipmdl_huggingface_vision(r, cJSON_GetObjectItemCaseSensitive(root, "vision_config"), &c->vision);
}

/* Its embeddings are the projected class tokens. Its contrastive loss uses no pooler. */
static clip_status read_flava(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    clipmdl_text_config *t = &c->text;
    TRY(check_type(r, root, "flava"));
    TRY(clipmdl_settings_check(&flava_all, root, "transformers' FLAVA", false, r->file, r->warn, r->warn_user,
                               r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 768;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(read_vit(r, cJSON_GetObjectItemCaseSensitive(root, "image_config"), &c->vision));
    c->vision.projection = CLIPMDL_PROJECTION_LINEAR;
    *t = clipmdl_hf_text_bert();
    TRY(clipmdl_bert_read(r, cJSON_GetObjectItemCaseSensitive(root, "text_config"), t));
    t->context_length = t->bert.positions < MOST_TEXT ? t->bert.positions : MOST_TEXT;
    t->pooling = CLIPNN_POOL_FIRST;
    t->projection = CLIPMDL_PROJECTION_LINEAR;
    t->bert.post_norm = false;
    t->bert.ln_final = true;
    return CLIP_OK;
}

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file, "has the names of %s, whose config.json is needed",
                      f->family->name);
}

static int pad_id(const clipmdl_text_config *t) { return t->bert.pad_id; }

/* ---- Pictures -------------------------------------------------------------------------------- */

/* What concerns the tokens of its other losses changes no picture. */
static const clipmdl_settings flava_pictures = {
    .null_counts = true,
    .open = true,
    .known = CLIPMDL_HF_PICTURES,
    .off = CLIPMDL_HF_PICTURES_OFF,
    .one_of = (const clipmdl_choice[]){{"image_processor_type", "FlavaImageProcessor FlavaImageProcessorFast "
                                                                "FlavaImageProcessorPil FlavaFeatureExtractor null"},
                                       {"feature_extractor_type", "FlavaFeatureExtractor FlavaImageProcessor null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
static const clipmdl_processor flava_processor = {
    "transformers' FlavaImageProcessor", &flava_pictures, .begins = "Flava", .model = "flava", .squashes = true};

static void squashes(clipmdl_recipe *r) { r->resize_mode = "squash"; }

static clip_status read_flava_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out,
                                     bool *found)
{
    return clipmdl_huggingface_recipe(r, &flava_processor, dir, size, out, found);
}

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    return clipmdl_huggingface.read_recipe(r, dir, size, out, found);
}

/* Common to all rows. */
#define SHARED                                                                                      \
    .config_file = "config.json", .guess = guess, .tokenizer = "huggingface", .no_antialias = true, \
    .pad_id = pad_id, .rounding = "huggingface", .weights_file = "model.safetensors"
#define DUAL                                                                                       \
    SHARED, .name = "Hugging Face dual encoder", .model_type = "vision-text-dual-encoder",         \
            .preprocessor = "transformers' CLIPImageProcessor", .read_recipe = read_recipe,        \
            .beginnings = beginnings

const clipmdl_family clipmdl_dual_vit = {
    DUAL, .marks = vit_marks, .translate = translate_vit, .read_config = read_dual_vit};
const clipmdl_family clipmdl_dual_clip = {
    DUAL, .marks = clip_marks, .translate = translate_clip, .read_config = read_dual_clip};
const clipmdl_family clipmdl_dual_clip_4 = {
    DUAL, .marks = clip_4_marks, .translate = translate_clip_4, .read_config = read_dual_clip};
const clipmdl_family clipmdl_flava = {
    SHARED,
    .name = "Hugging Face FLAVA",
    .model_type = "flava",
    .marks = flava_marks,
    .beginnings = flava_beginnings,
    .unread = {flava_unread, "multimodal_model, FLAVA's encoder of a picture with its text, and poolers"},
    .translate = translate_flava,
    .read_config = read_flava,
    .preprocessor = "transformers' FlavaImageProcessor",
    .standard = squashes,
    .read_recipe = read_flava_recipe,
};
