/* siglip.c: SigLIP's layout in transformers: SiglipModel, and its encoders alone (Zhai et al. 2023,
 * arXiv:2303.15343). SigLIP 2 (arXiv:2502.14786) with pictures of a fixed size has the same.
 * Siglip2Model, its NaFlex, differs in the input of its image encoder alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/family/huggingface.h"
#include "model/family/words.h"
#include "model/tower.h"

#define GEMMA_VOCABULARY 256000
#define PREPROCESSOR "transformers' SiglipImageProcessor"

/* ---- Names ----------------------------------------------------------------------------------- */

static const clipmdl_rename names[] = {
    {"visual.trunk.transformer.resblocks.", "vision_model.encoder.layers.", clipmdl_huggingface_blocks},
    {"visual.trunk.positional_embedding", "vision_model.embeddings.position_embedding.weight", NULL},
    {"visual.trunk.conv1.", "vision_model.embeddings.patch_embedding.", NULL},
    {"visual.trunk.ln_post.", "vision_model.post_layernorm.", NULL},
    {"visual.trunk.attn_pool.probe", "vision_model.head.probe", NULL},
    {"visual.trunk.attn_pool.in_proj_", "vision_model.head.attention.in_proj_", NULL},
    {"visual.trunk.attn_pool.out_proj.", "vision_model.head.attention.out_proj.", NULL},
    {"visual.trunk.attn_pool.ln_2.", "vision_model.head.layernorm.", NULL},
    {"visual.trunk.attn_pool.mlp.c_fc.", "vision_model.head.mlp.fc1.", NULL},
    {"visual.trunk.attn_pool.mlp.c_proj.", "vision_model.head.mlp.fc2.", NULL},
    {"text.transformer.resblocks.", "text_model.encoder.layers.", clipmdl_huggingface_blocks},
    {"text.token_embedding.", "text_model.embeddings.token_embedding.", NULL},
    {"text.positional_embedding", "text_model.embeddings.position_embedding.weight", NULL},
    {"text.ln_final.", "text_model.final_layer_norm.", NULL},
    {"text.text_projection.", "text_model.head.", NULL},
    {0},
};

static void translate(const char *name, char *out, size_t size)
{
    clipmdl_rename_by(names, name, out, size);
}

static const clipmdl_ones ones[] = {{"logit_scale", 1}, {"logit_bias", 1}, {"head.probe", 3}, {0}};

/* transformers' CLIP has the same first names, and no heads. */
static const clipmdl_mark marks[] = {
    {"vision_model.embeddings.patch_embedding.weight", "vision_model.head.probe", CLIP_TOWER_IMAGE},
    {"text_model.embeddings.token_embedding.weight", "text_model.head.weight", CLIP_TOWER_TEXT},
    {0}};
static const clipmdl_beginning beginnings[] = {
    {"vision_model.", CLIP_TOWER_IMAGE}, {"text_model.", CLIP_TOWER_TEXT}, {0}};

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)f;
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file,
                      "is a SigLIP, whose heads and activation shapes do not tell: its config.json is needed");
}

/* ---- Settings of transformers 4.37 to 5.24: SiglipConfig, SiglipTextConfig, SiglipVisionConfig,
 *      SiglipImageProcessor -------------------------------------------------------------------- */

#define ACTIVATION                                                                                                     \
    {                                                                                                                  \
        "hidden_act", "gelu_pytorch_tanh gelu"                                                                         \
    }

static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT " projection_size",
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "siglip_text_model siglip siglip2_text_model"}, ACTIVATION, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "siglip_vision_model siglip"},
                                       {"num_channels", "3"},
                                       {"vision_use_head", "true"},
                                       ACTIVATION,
                                       {0}}};
static const clipmdl_settings naflex_config = {
    .known = CLIPMDL_HF_TOWER " patch_size num_patches",
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "siglip2_vision_model"},
                                       {"num_channels", "3"},
                                       {"vision_use_head", "true"},
                                       ACTIVATION,
                                       {0}}};
static const clipmdl_settings_part naflex_towers[] = {
    {"text_config", &text_config}, {"vision_config", &naflex_config}, {0}};
static const clipmdl_settings naflex_pair = {
    .known = CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = naflex_towers};
static const clipmdl_settings_part towers[] = {{"text_config", &text_config}, {"vision_config", &vision_config}, {0}};
static const clipmdl_settings pair = {.known = CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};

static const clipmdl_settings pictures = {
    .null_counts = true,
    .known = CLIPMDL_HF_PICTURES,
    .off = CLIPMDL_HF_PICTURES_OFF,
    .one_of = (const clipmdl_choice[]){{"image_processor_type",
                                        "SiglipImageProcessor SiglipImageProcessorFast SiglipImageProcessorPil null"},
                                       {"feature_extractor_type", "SiglipImageProcessor null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
const clipmdl_processor clipmdl_siglip_processor = {PREPROCESSOR, &pictures, .begins = "Siglip", .model = "siglip"};

static const clipmdl_settings naflex_pictures = {
    .null_counts = true,
    .known = CLIPMDL_HF_PICTURES " patch_size max_num_patches default_to_square",
    .off = "auto_map do_pad use_square_size size crop_size",
    .one_of = (const clipmdl_choice[]){{"image_processor_type",
                                        "Siglip2ImageProcessor Siglip2ImageProcessorFast "
                                        "Siglip2ImageProcessorPil null"},
                                       {"feature_extractor_type", "Siglip2ImageProcessor null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
};
const clipmdl_processor clipmdl_naflex_processor = {
    "transformers' Siglip2ImageProcessor", &naflex_pictures, .begins = "Siglip2", .model = "siglip2",
    .half = true, .patches = true, .resample = 2, .resize_mode = "naflex"};

/* ---- Configuration --------------------------------------------------------------------------- */

static clipk_act read_act(const cJSON *o)
{
    return clipmdl_json_is(o, "hidden_act", "gelu") ? CLIPK_GELU : CLIPK_GELU_TANH;
}

/* o: NULL: transformers' defaults, which are SigLIP's base model with patches of 16. */
static clip_status read_vision(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    *v = (clipmdl_vision_config){.tower = &clipmdl_vit,
                                 .image_size = 224,
                                 .patch_size = 16,
                                 .width = 768,
                                 .heads = 12,
                                 .layers = 12,
                                 .mlp = 3072,
                                 .pooling = CLIPNN_POOL_ATTENTION,
                                 .eps = 1e-6f,
                                 .act = read_act(o),
                                 .projection = CLIPMDL_PROJECTION_NONE,
                                 .trunk = true,
                                 .patch_bias = true};
    TRY(clipmdl_json_size(r, o, "image_size", &v->image_size));
    TRY(clipmdl_json_size(r, o, "patch_size", &v->patch_size));
    return clipmdl_huggingface_sizes(r, o, &v->width, &v->heads, &v->layers, &v->mlp, &v->eps);
}

/* As of fixed pictures, but for the size: there is a square of positions. */
static clip_status read_naflex(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    int places = 256;
    TRY(read_vision(r, o, v));
    v->tower = &clipmdl_naflex;
    TRY(clipb_json_int(o, "num_patches", 1, CLIPMDL_MOST_GRID * CLIPMDL_MOST_GRID, &places, r->file, r->err));
    const int side = (int)lrint(sqrt(places));
    if (side * side != places)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file, "\"num_patches\" is %d, which is not a square", places);
    v->image_size = side * v->patch_size;
    return CLIP_OK;
}

static clip_status read_text(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t, int *embed_dim)
{
    *t = (clipmdl_text_config){.tower = &clipmdl_text,
                               .context_length = 64,
                               .vocab_size = 32000,
                               .width = 768,
                               .heads = 12,
                               .layers = 12,
                               .mlp = 3072,
                               .pooling = CLIPNN_POOL_LAST,
                               .eps = 1e-6f,
                               .act = read_act(o),
                               .projection = CLIPMDL_PROJECTION_LINEAR,
                               .padded = true,
                               .custom = true};
    TRY(clipmdl_json_size(r, o, "max_position_embeddings", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    TRY(clipmdl_huggingface_sizes(r, o, &t->width, &t->heads, &t->layers, &t->mlp, &t->eps));
    *embed_dim = t->width;
    TRY(clipmdl_json_size(r, o, "projection_size", embed_dim));
    if (t->vocab_size == GEMMA_VOCABULARY) /* SigLIP 2 was trained on lower case, whatever the files say */
        t->tokenizer = "siglip2";
    return CLIP_OK;
}

/* What a "model_type" stands for. */
static const struct {
    const char *name;
    int towers;
    const clipmdl_settings *settings;
    clip_status (*vision)(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v);
} types[] = {{"siglip", CLIP_TOWER_BOTH, &pair, read_vision},
             {"siglip_text_model", CLIP_TOWER_TEXT, &text_config, NULL},
             {"siglip_vision_model", CLIP_TOWER_IMAGE, &vision_config, read_vision},
             {"siglip2", CLIP_TOWER_BOTH, &naflex_pair, read_naflex},
             {"siglip2_text_model", CLIP_TOWER_TEXT, &text_config, NULL},
             {"siglip2_vision_model", CLIP_TOWER_IMAGE, &naflex_config, read_naflex}};
enum { TYPES = sizeof types / sizeof *types };

/* The settings of a tower: below `key` in those of a pair. */
static const cJSON *settings_of(const cJSON *root, const clipmdl_config *c, const char *key)
{
    return c->towers == CLIP_TOWER_BOTH ? clipmdl_huggingface_tower_of(root, key) : root;
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "siglip";
    int i = 0;
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    while (i < TYPES && strcmp(types[i].name, type) != 0)
        i++;
    if (i == TYPES)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of SigLIP's, only siglip and siglip2, and each with "
                          "_text_model or _vision_model, are supported", type);
    TRY(clipmdl_settings_check(types[i].settings, root, "transformers' SigLIP", false, r->file, r->warn, r->warn_user,
                               r->err));
    c->towers = types[i].towers;
    if (c->towers & CLIP_TOWER_IMAGE) {
        TRY(types[i].vision(r, settings_of(root, c, "vision_config"), &c->vision));
        c->embed_dim = c->vision.width;
    }
    return c->towers & CLIP_TOWER_TEXT ? read_text(r, settings_of(root, c, "text_config"), &c->text, &c->embed_dim)
                                       : CLIP_OK;
}

static void standard(clipmdl_recipe *r)
{
    for (int i = 0; i < 3; i++)
        r->mean[i] = r->std[i] = 0.5f;
    r->resize_mode = "squash";
}

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    clipmdl_recipe own = *out;
    TRY(clipmdl_huggingface_recipe(r, &clipmdl_naflex_processor, dir, size, &own, found));
    if (!*found) {
        own = *out;
        standard(&own);
        TRY(clipmdl_huggingface_recipe(r, &clipmdl_siglip_processor, dir, size, &own, found));
    }
    if (*found)
        *out = own;
    return CLIP_OK;
}

static int pad_id(const clipmdl_text_config *t)
{
    (void)t;
    return 1;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* kin: "siglip", "siglip2" */
static void put_tower(FILE *f, const char *kin, const char *name, int width, int heads, int layers, int mlp,
                      clipk_act act, float eps)
{
    fprintf(f, "  \"%s\": {\n    \"model_type\": \"%s_%.*s_model\",\n", name, kin, (int)strcspn(name, "_"), name);
    fprintf(f,
            "    \"hidden_size\": %d,\n    \"intermediate_size\": %d,\n    \"num_attention_heads\": %d,\n"
            "    \"num_hidden_layers\": %d,\n",
            width, mlp, heads, layers);
    fprintf(f,
            "    \"hidden_act\": \"%s\",\n    \"layer_norm_eps\": ", act == CLIPK_GELU ? "gelu" : "gelu_pytorch_tanh");
    clipmdl_put_float(f, (double)eps);
    fputs(",\n", f);
}

static bool writes(const clipmdl_config *c)
{
    const clipmdl_vision_config *v = &c->vision;
    const clipmdl_text_config *t = &c->text;
    return (v->tower == &clipmdl_vit || v->tower == &clipmdl_naflex) && v->pooling == CLIPNN_POOL_ATTENTION &&
           !v->class_token && !v->ln_pre && v->patch_bias && v->projection == CLIPMDL_PROJECTION_NONE &&
           t->tower == &clipmdl_text && !t->causal && t->padded && t->pooling == CLIPNN_POOL_LAST &&
           t->projection == CLIPMDL_PROJECTION_LINEAR;
}

static clip_status put_config(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    const clipmdl_text_config *t = &c->text;
    if (!writes(c))
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers' SigLIP has no such towers");
    const bool any = v->tower->any_shape;
    const char *kin = any ? "siglip2" : "siglip";
    const int side = v->image_size / v->patch_size;
    fprintf(f, "{\n  \"architectures\": [\"%sModel\"],\n  \"model_type\": \"%s\",\n", any ? "Siglip2" : "Siglip",
            kin);
    put_tower(f, kin, "vision_config", v->width, v->heads, v->layers, v->mlp, v->act, v->eps);
    fprintf(f, "    \"%s\": %d,\n    \"patch_size\": %d\n  },\n", any ? "num_patches" : "image_size",
            any ? side * side : v->image_size, v->patch_size);
    put_tower(f, kin, "text_config", t->width, t->heads, t->layers, t->mlp, t->act, t->eps);
    fprintf(f, "    \"projection_size\": %d,\n    \"max_position_embeddings\": %d,\n    \"vocab_size\": %d",
            c->embed_dim, t->context_length, t->vocab_size);
    if (r->end_id >= 0)
        fprintf(f, ",\n    \"eos_token_id\": %d", r->end_id);
    fputs("\n  }\n}\n", f);
    return CLIP_OK;
}

static clip_status put_preprocessor(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    const int size = c->vision.image_size;
    const char *kin = r->max_patches ? "Siglip2" : "Siglip";
    if (!r->max_patches && strcmp(r->resize_mode, "squash") != 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "SiglipImageProcessor squashes pictures; this model crops or pads");
    fprintf(f, "{\n  \"image_processor_type\": \"%sImageProcessor\",\n  \"processor_class\": \"%sProcessor\",\n"
               "  \"do_resize\": true,\n  \"do_rescale\": true,\n  \"do_normalize\": true,\n", kin, kin);
    if (r->max_patches)
        fprintf(f, "  \"patch_size\": %d,\n  \"max_num_patches\": %d,\n", r->patch_size, r->max_patches);
    else
        fprintf(f, "  \"size\": {\"height\": %d, \"width\": %d},\n", size, size);
    fprintf(f, "  \"resample\": %d,\n", strcmp(r->interpolation, "bilinear") == 0 ? 2 : 3);
    if (r->background >= 0)
        fprintf(f, "  \"background\": \"#%06x\",\n", (unsigned)r->background);
    clipmdl_put_triple(f, "  \"image_mean\": ", r->mean, ",\n");
    clipmdl_put_triple(f, "  \"image_std\": ", r->std, "\n}\n");
    return CLIP_OK;
}

static clip_status save(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    TRY(clipmdl_put_file(dir, "config.json", c, r, err, put_config));
    return clipmdl_put_file(dir, "preprocessor_config.json", c, r, err, put_preprocessor);
}

const clipmdl_family clipmdl_siglip = {
    .name = "Hugging Face SigLIP",
    .layout = "hf",
    .marks = marks,
    .beginnings = beginnings,
    .translate = translate,
    .ones = ones,
    .no_antialias = true,
    .config_file = "config.json",
    .model_type = "siglip",
    .read_config = read_config,
    .guess = guess,
    .tokenizer = "huggingface",
    .pad_id = pad_id,
    .preprocessor = PREPROCESSOR,
    .standard = standard,
    .rounding = "huggingface",
    .read_recipe = read_recipe,
    .weights_file = "model.safetensors",
    .writes = writes,
    .save = save,
    .auto_tokenizer = true,
};
