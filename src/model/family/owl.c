/* owl.c: OWL-ViT (Minderer et al. 2022, arXiv:2205.06230) and OWLv2 (2023, arXiv:2306.09683) of
 * transformers: a CLIP whose image encoder spells one name as it should be, and whose texts are
 * short. The heads that detect objects are left in the file. It can only be read. */
#include <string.h>

#include "model/family/huggingface.h"
#include "model/tower.h"

/* ---- Names ----------------------------------------------------------------------------------- */

static const clipmdl_rename names[] = {{"visual.ln_pre.", "vision_model.pre_layernorm.", NULL}, {0}};

static void translate(const char *name, char *out, size_t size)
{
    if (strncmp(name, names->ours, strlen(names->ours)) == 0)
        clipmdl_rename_by(names, name, out, size);
    else
        clipmdl_huggingface.translate(name, out, size);
}

static const clipmdl_mark marks[] = {
    {"vision_model.embeddings.patch_embedding.weight", "vision_model.pre_layernorm.weight", CLIP_TOWER_IMAGE},
    {"text_model.embeddings.token_embedding.weight", "vision_model.pre_layernorm.weight", CLIP_TOWER_TEXT},
    {0}};
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};

/* ---- Settings of transformers 4.22 to 5.24: OwlViTConfig, Owlv2Config, their parts,
 *      OwlViTImageProcessor, Owlv2ImageProcessor ----------------------------------------------- */

#define ACTIVATION                                                                                                     \
    {                                                                                                                  \
        "hidden_act", "quick_gelu gelu"                                                                                \
    }
static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){
        {"model_type", "owlvit_text_model owlvit owlv2_text_model owlv2"}, ACTIVATION, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "owlvit_vision_model owlvit owlv2_vision_model owlv2"},
                                       {"num_channels", "3"},
                                       ACTIVATION,
                                       {0}}};
static const clipmdl_settings_part towers[] = {{"text_config", &text_config},
                                               {"vision_config", &vision_config},
                                               {"text_config_dict", &text_config},
                                               {"vision_config_dict", &vision_config},
                                               {0}};
static const clipmdl_settings pair = {.known = CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};

#define PICTURES CLIPMDL_HF_PICTURES " rescale"
static const clipmdl_settings owlvit_pictures = {
    .null_counts = true,
    .known = PICTURES,
    .off = "auto_map do_pad use_square_size",
    .one_of = (const clipmdl_choice[]){{"image_processor_type", "OwlViTImageProcessor OwlViTImageProcessorFast "
                                                                "OwlViTImageProcessorPil OwlViTFeatureExtractor null"},
                                       {"feature_extractor_type", "OwlViTFeatureExtractor OwlViTImageProcessor null"},
                                       {"default_to_square", "true null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
static const clipmdl_settings owlv2_pictures = {
    .null_counts = true,
    .known = PICTURES,
    .off = "auto_map use_square_size do_center_crop",
    .one_of = (const clipmdl_choice[]){{"image_processor_type", "Owlv2ImageProcessor Owlv2ImageProcessorFast "
                                                                "Owlv2ImageProcessorPil Owlv2FeatureExtractor null"},
                                       {"feature_extractor_type", "Owlv2FeatureExtractor Owlv2ImageProcessor null"},
                                       {"default_to_square", "true null"},
                                       {"do_pad", "true"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
static const clipmdl_processor owlvit_processor = {
    "transformers' OwlViTImageProcessor", &owlvit_pictures, .begins = "OwlViT", .model = "owlvit"};
static const clipmdl_processor owlv2_processor = {
    "transformers' Owlv2ImageProcessor", &owlv2_pictures, .begins = "Owlv2", .model = "owlv2", .resample = 2,
    .resize_mode = "corner"};

/* ---- Configuration --------------------------------------------------------------------------- */

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "owlvit";
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    const bool second = strcmp(type, "owlv2") == 0;
    if (!second && strcmp(type, "owlvit") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of OWL-ViT's, only owlvit and owlv2 are supported", type);
    TRY(clipmdl_settings_check(&pair, root, "transformers' OWL-ViT", false, r->file, r->warn, r->warn_user, r->err));
    const cJSON *vision = clipmdl_huggingface_tower_of(root, "vision_config"),
                *text = clipmdl_huggingface_tower_of(root, "text_config");
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 512;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(clipmdl_huggingface_vision(r, vision, &c->vision));
    TRY(clipmdl_huggingface_text(r, text, &c->text));
    c->vision.image_size = 768; /* where its defaults differ from CLIP's */
    c->vision.patch_size = second ? 16 : 32;
    c->text.context_length = 16;
    c->text.pooling = CLIPNN_POOL_ARGMAX;
    TRY(clipmdl_json_size(r, vision, "image_size", &c->vision.image_size));
    TRY(clipmdl_json_size(r, vision, "patch_size", &c->vision.patch_size));
    return clipmdl_json_size(r, text, "max_position_embeddings", &c->text.context_length);
}

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)f;
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file, "is an OWL-ViT, whose config.json is needed");
}

static int pad_id(const clipmdl_text_config *t)
{
    (void)t;
    return 0;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static void standard(clipmdl_recipe *r) { r->resize_mode = "squash"; }

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    TRY(clipmdl_huggingface_recipe(r, &owlv2_processor, dir, size, out, found));
    return *found ? CLIP_OK : clipmdl_huggingface_recipe(r, &owlvit_processor, dir, size, out, found);
}

const clipmdl_family clipmdl_owl = {
    .name = "Hugging Face OWL-ViT",
    .no_antialias = true,
    .marks = marks,
    .beginnings = beginnings,
    .translate = translate,
    .config_file = "config.json",
    .model_type = "owlv",
    .read_config = read_config,
    .guess = guess,
    .tokenizer = "huggingface",
    .pad_id = pad_id,
    .preprocessor = "transformers' OwlViTImageProcessor",
    .standard = standard,
    .rounding = "huggingface",
    .read_recipe = read_recipe,
    .weights_file = "model.safetensors",
};
