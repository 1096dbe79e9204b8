/* altclip.c: AltCLIP (Chen et al. 2022, arXiv:2211.06679): CLIP's image encoder, and an XLM-R with
 * a norm and two linear layers behind it; transformers' AltCLIPModel. It can only be read. */
#include <string.h>

#include "model/family/bert.h"
#include "model/family/hf_text.h"
#include "model/family/huggingface.h"
#include "model/tower.h"

/* ---- Names ----------------------------------------------------------------------------------- */

static const clipmdl_rename names[] = {
    CLIPMDL_BERT_NAMES("text_model.roberta."),
    {"bert.ln_final.", "text_model.pre_LN.", NULL},
    {"bert.text_projection.0.", "text_model.transformation.", NULL},
    {"bert.text_projection.2.", "text_projection.", NULL},
    {0},
};

static void translate(const char *name, char *out, size_t size)
{
    if (strncmp(name, "bert.", 5) == 0)
        clipmdl_rename_by(names, name, out, size);
    else
        clipmdl_huggingface.translate(name, out, size);
}

/* transformers 5 writes "layer." for "layers." in all names. */
static void translate_5(const char *name, char *out, size_t size)
{
    static const char layers[] = "vision_model.encoder.layers.";
    const size_t n = sizeof layers - 1;
    translate(name, out, size);
    if (strncmp(out, layers, n) == 0)
        memmove(out + n - 2, out + n - 1, strlen(out + n - 1) + 1);
}

/* The image encoder has CLIP's names. It is told by the text encoder beside it. */
static const clipmdl_mark marks[] = {
    {"text_model.roberta.embeddings.word_embeddings.weight", "text_model.pre_LN.weight", CLIP_TOWER_TEXT},
    {"vision_model.embeddings.patch_embedding.weight", "text_model.pre_LN.weight", CLIP_TOWER_IMAGE},
    {0}};
static const clipmdl_mark marks_5[] = {
    {"text_model.roberta.embeddings.word_embeddings.weight", "vision_model.encoder.layer.0.layer_norm1.weight",
     CLIP_TOWER_TEXT},
    {"vision_model.embeddings.patch_embedding.weight", "vision_model.encoder.layer.0.layer_norm1.weight",
     CLIP_TOWER_IMAGE},
    {0}};
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};

/* ---- Settings of transformers 4.27 to 5.24: AltCLIPConfig, AltCLIPTextConfig,
 *      AltCLIPVisionConfig --------------------------------------------------------------------- */

static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT CLIPMDL_BERT_SETTINGS " project_dim initializer_factor",
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){
        {"model_type", "altclip_text_model altclip"}, {"pooler_fn", "cls"}, CLIPMDL_BERT_ONE_OF, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "altclip_vision_model altclip"},
                                       {"num_channels", "3"},
                                       {"hidden_act", "quick_gelu gelu"},
                                       {0}}};
static const clipmdl_settings_part towers[] = {{"text_config", &text_config},
                                               {"vision_config", &vision_config},
                                               {"text_config_dict", &text_config},
                                               {"vision_config_dict", &vision_config},
                                               {0}};
static const clipmdl_settings pair = {
    .known = "direct_kd num_layers" CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};

/* ---- Configuration --------------------------------------------------------------------------- */

static clip_status read_text(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    int project_dim = 768;
    *t = clipmdl_hf_text_xlm_roberta();
    TRY(clipmdl_bert_read(r, o, t));
    TRY(clipmdl_json_size(r, o, "project_dim", &project_dim));
    t->context_length = 77; /* its processor cuts texts here */
    t->pooling = CLIPNN_POOL_FIRST;
    t->projection = CLIPMDL_PROJECTION_PLAIN;
    t->bert.first_position = t->bert.pad_id + 1;
    t->bert.ln_final = true;
    t->bert.proj_in = (clipmdl_proj_in){.width = project_dim, .act = CLIPK_LINEAR, .bias = true};
    return CLIP_OK;
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "altclip";
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    if (strcmp(type, "altclip") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of AltCLIP's, only altclip is supported", type);
    TRY(clipmdl_settings_check(&pair, root, "transformers' AltCLIP", false, r->file, r->warn, r->warn_user, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 768;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(clipmdl_huggingface_vision(r, clipmdl_huggingface_tower_of(root, "vision_config"), &c->vision));
    return read_text(r, clipmdl_huggingface_tower_of(root, "text_config"), &c->text);
}

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)f;
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file, "is an AltCLIP, whose config.json is needed");
}

static int pad_id(const clipmdl_text_config *t) { return t->bert.pad_id; }

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    return clipmdl_huggingface_recipe(r, &clipmdl_clip_processor, dir, size, out, found);
}

/* Common to both rows. */
#define SHARED                                                                                                \
    .name = "Hugging Face AltCLIP", .beginnings = beginnings, .config_file = "config.json",                   \
    .model_type = "altclip", .read_config = read_config, .guess = guess, .tokenizer = "huggingface",          \
    .pad_id = pad_id, .no_antialias = true, .preprocessor = "transformers' CLIPImageProcessor",               \
    .rounding = "huggingface", .read_recipe = read_recipe, .weights_file = "model.safetensors"

const clipmdl_family clipmdl_altclip = {SHARED, .marks = marks, .translate = translate};
const clipmdl_family clipmdl_altclip_5 = {SHARED, .marks = marks_5, .translate = translate_5};
