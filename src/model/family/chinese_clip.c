/* chinese_clip.c: Chinese-CLIP (Yang et al. 2022, arXiv:2211.01335): CLIP's image encoder and a
 * BERT. Two layouts: transformers' ChineseCLIPModel, and that of its authors' files, where the
 * image encoder has OpenAI's names. */
#include <string.h>

#include "model/family/bert.h"
#include "model/family/huggingface.h"
#include "model/tower.h"

#define PREPROCESSOR "transformers' ChineseCLIPImageProcessor"
#define CONTEXT 52 /* what all its models are trained with; their tables have 512 positions */

/* ---- Names ----------------------------------------------------------------------------------- */

static const clipmdl_rename names[] = {CLIPMDL_BERT_NAMES("text_model."), {0}};
static const clipmdl_rename own_names[] = {
    {"visual.attnpool.in_proj_", "visual.attnpool.{q,k,v}_proj.", NULL}, CLIPMDL_BERT_NAMES("bert."), {0}};

static void translate(const char *name, char *out, size_t size)
{
    if (strncmp(name, "bert.text_projection", 20) == 0)
        name += 5;
    if (strncmp(name, "bert.", 5) == 0)
        clipmdl_rename_by(names, name, out, size);
    else
        clipmdl_huggingface.translate(name, out, size);
}

static void translate_own(const char *name, char *out, size_t size)
{
    clipmdl_rename_by(own_names, strncmp(name, "bert.text_projection", 20) == 0 ? name + 5 : name, out, size);
}

/* The image encoder has the names of other families. It is told by the text encoder beside it. */
static const clipmdl_mark marks[] = {
    {"text_model.embeddings.word_embeddings.weight", "text_model.embeddings.token_type_embeddings.weight",
     CLIP_TOWER_TEXT},
    {"vision_model.embeddings.patch_embedding.weight", "text_model.embeddings.word_embeddings.weight",
     CLIP_TOWER_IMAGE},
    {0}};
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};

static const clipmdl_mark own_marks[] = {
    {"bert.embeddings.word_embeddings.weight", "text_projection", CLIP_TOWER_TEXT},
    {"visual.conv1.weight", "bert.embeddings.word_embeddings.weight", CLIP_TOWER_IMAGE},
    {0}};
/* bert.pooler. is in some files and used by none. */
static const clipmdl_beginning own_beginnings[] = {{"visual.", CLIP_TOWER_IMAGE},
                                                   {"bert.embeddings.", CLIP_TOWER_TEXT},
                                                   {"bert.encoder.", CLIP_TOWER_TEXT},
                                                   {"text_projection", CLIP_TOWER_TEXT},
                                                   {0}};

/* ---- Settings of transformers 4.25 to 5.24: ChineseCLIPConfig, ChineseCLIPTextConfig,
 *      ChineseCLIPVisionConfig, ChineseCLIPImageProcessor -------------------------------------- */

static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT CLIPMDL_BERT_SETTINGS,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){
        {"model_type", "chinese_clip_text_model chinese_clip"}, CLIPMDL_BERT_ONE_OF, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "chinese_clip_vision_model chinese_clip"},
                                       {"num_channels", "3"},
                                       {"hidden_act", "quick_gelu gelu"},
                                       {0}}};
static const clipmdl_settings_part towers[] = {{"text_config", &text_config},
                                               {"vision_config", &vision_config},
                                               {"text_config_dict", &text_config},
                                               {"vision_config_dict", &vision_config},
                                               {0}};
static const clipmdl_settings pair = {.known = CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};

static const clipmdl_settings pictures = {
    .null_counts = true,
    .known = CLIPMDL_HF_PICTURES,
    .off = CLIPMDL_HF_PICTURES_OFF,
    .one_of = (const clipmdl_choice[]){
        {"image_processor_type", "ChineseCLIPImageProcessor ChineseCLIPImageProcessorFast "
                                 "ChineseCLIPImageProcessorPil ChineseCLIPFeatureExtractor null"},
        {"feature_extractor_type", "ChineseCLIPFeatureExtractor ChineseCLIPImageProcessor null"},
        CLIPMDL_HF_PICTURES_ONE_OF,
        {0}},
    .parts = clipmdl_huggingface_sides,
};
const clipmdl_processor clipmdl_chinese_clip_processor = {PREPROCESSOR, &pictures, .crops = true, .squashes = true};

/* ---- Configuration --------------------------------------------------------------------------- */

/* RoBERTa-wwm-ext-base, with transformers' vocabulary. */
static const clipmdl_text_config base = {
    .tower = &clipmdl_bert,
    .context_length = CONTEXT,
    .vocab_size = 30522,
    .width = 768,
    .heads = 12,
    .layers = 12,
    .mlp = 3072,
    .pooling = CLIPNN_POOL_FIRST,
    .eps = 1e-12f,
    .act = CLIPK_GELU,
    .bert = {.names = "bert.", .positions = 512, .token_types = 2, .scale = 1, .post_norm = true, .ln_embedding = true},
};

static void fit_context(clipmdl_text_config *t)
{
    t->context_length = t->bert.positions < CONTEXT ? t->bert.positions : CONTEXT;
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "chinese_clip";
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    if (strcmp(type, "chinese_clip") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of Chinese-CLIP's, only chinese_clip is supported", type);
    TRY(clipmdl_settings_check(&pair, root, "transformers' Chinese-CLIP", false, r->file, r->warn, r->warn_user,
                               r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 512;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(clipmdl_huggingface_vision(r, clipmdl_huggingface_tower_of(root, "vision_config"), &c->vision));
    c->text = base;
    TRY(clipmdl_bert_read(r, clipmdl_huggingface_tower_of(root, "text_config"), &c->text));
    fit_context(&c->text);
    return CLIP_OK;
}

/* All its models have these activations. */
static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    clipmdl_text_config *t = &c->text;
    (void)s;
    (void)f;
    (void)err;
    c->vision.act = CLIPK_QUICKGELU;
    t->pooling = base.pooling;
    t->eps = base.eps;
    t->act = base.act;
    t->bert.scale = base.bert.scale;
    t->bert.post_norm = t->bert.ln_embedding = true;
    fit_context(t);
    return CLIP_OK;
}

static int pad_id(const clipmdl_text_config *t) { return t->bert.pad_id; }

/* ---- Pictures -------------------------------------------------------------------------------- */

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    return clipmdl_huggingface_recipe(r, &clipmdl_chinese_clip_processor, dir, size, out, found);
}

/* The program of the authors squashes pictures. */
static void squashes(clipmdl_recipe *out) { out->resize_mode = "squash"; }

/* ---- Writing --------------------------------------------------------------------------------- */

static bool writes_text(const clipmdl_text_config *t)
{
    const clipmdl_bert_config *b = &t->bert;
    return t->tower == &clipmdl_bert && t->pooling == CLIPNN_POOL_FIRST && t->act == CLIPK_GELU &&
           t->projection == CLIPMDL_PROJECTION_MATRIX && b->token_types && b->scale == 1 && b->post_norm &&
           b->ln_embedding && !b->ln_final && !b->pooler && b->first_position == 0;
}

static bool writes_vision(const clipmdl_vision_config *v) { return clipmdl_is_plain_vit(v) && v->ln_pre; }
static bool writes(const clipmdl_config *c) { return writes_text(&c->text) && writes_vision(&c->vision); }

static clip_status put_config(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    (void)r;
    if (!writes(c))
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers' Chinese-CLIP has no such %s",
                          writes_text(&c->text) ? c->vision.tower->name : c->text.tower->name);
    fprintf(f,
            "{\n  \"architectures\": [\"ChineseCLIPModel\"],\n  \"model_type\": \"chinese_clip\",\n"
            "  \"projection_dim\": %d,\n",
            c->embed_dim);
    fprintf(f,
            "  \"vision_config\": {\n    \"model_type\": \"chinese_clip_vision_model\",\n    \"hidden_size\": %d,\n"
            "    \"intermediate_size\": %d,\n    \"num_attention_heads\": %d,\n    \"num_hidden_layers\": %d,\n",
            v->width, v->mlp, v->heads, v->layers);
    fprintf(f,
            "    \"image_size\": %d,\n    \"patch_size\": %d,\n    \"hidden_act\": \"%s\",\n    \"layer_norm_eps\": ",
            v->image_size, v->patch_size, v->act == CLIPK_QUICKGELU ? "quick_gelu" : "gelu");
    clipmdl_put_float(f, (double)v->eps);
    fputs("\n  },\n  \"text_config\": {\n    \"model_type\": \"chinese_clip_text_model\",\n", f);
    clipmdl_bert_put(f, &c->text);
    fputs("  }\n}\n", f);
    return CLIP_OK;
}

static clip_status put_preprocessor(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    (void)err;
    clipmdl_huggingface_put_pictures(f, "ChineseCLIP", c->vision.image_size, r);
    return CLIP_OK;
}

static clip_status save(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    TRY(clipmdl_put_file(dir, "config.json", c, r, err, put_config));
    return clipmdl_put_file(dir, "preprocessor_config.json", c, r, err, put_preprocessor);
}

/* Common to both rows. */
#define SHARED                                                                                            \
    .config_file = "config.json", .model_type = "chinese_clip", .read_config = read_config,               \
    .guess = guess, .tokenizer = "huggingface", .pad_id = pad_id, .read_recipe = read_recipe,             \
    .weights_file = "model.safetensors", .save = save,                                                    \
    .no_logit_bias =                                                                                      \
        "transformers' Chinese-CLIP has no logit_bias: it is left out, which changes no embedding",       \
    .no_padding = "transformers does not pad pictures to squares, as this model wants them: "             \
                  "preprocessor_config.json cuts out the middle"

const clipmdl_family clipmdl_chinese_clip = {
    SHARED,
    .name = "Hugging Face Chinese-CLIP",
    .layout = "hf-chinese-clip",
    .marks = marks,
    .beginnings = beginnings,
    .translate = translate,
    .no_antialias = true,
    .preprocessor = PREPROCESSOR,
    .rounding = "huggingface",
    .writes = writes,
};

const clipmdl_family clipmdl_chinese_clip_own = {
    SHARED,
    .name = "Chinese-CLIP",
    .marks = own_marks,
    .beginnings = own_beginnings,
    .translate = translate_own,
    .transposes = true,
    .preprocessor = "Chinese-CLIP",
    .rounding = "openclip",
    .standard = squashes,
};
