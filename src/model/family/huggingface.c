/* huggingface.c: Hugging Face's layout: transformers' CLIPModel, and its encoders alone, as
 * transformers and diffusers save them. config.json, vision_model.encoder.layers.N., projections
 * used as x @ W.T. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/family/clip_kin.h"
#include "model/family/words.h"
#include "model/tower.h"

#define MOST_CONFIG ((size_t)16 << 20)
#define PREPROCESSOR "transformers' CLIPImageProcessor"

/* ---- Names ----------------------------------------------------------------------------------- */

const clipmdl_rename clipmdl_huggingface_blocks[] = {
    {"ln_1.", "layer_norm1.", NULL},
    {"ln_2.", "layer_norm2.", NULL},
    {"attn.out_proj.", "self_attn.out_proj.", NULL},
    {"attn.in_proj_", "self_attn.{q,k,v}_proj.", NULL},
    {"mlp.c_fc.", "mlp.fc1.", NULL},
    {"mlp.c_proj.", "mlp.fc2.", NULL},
    {0},
};

/* The longer ones first. */
static const clipmdl_rename names[] = {
    {"visual.transformer.resblocks.", "vision_model.encoder.layers.", clipmdl_huggingface_blocks},
    {"visual.class_embedding", "vision_model.embeddings.class_embedding", NULL},
    {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight", NULL},
    {"visual.conv1.", "vision_model.embeddings.patch_embedding.", NULL},
    {"visual.ln_pre.", "vision_model.pre_layrnorm.", NULL}, /* transformers spells it so */
    {"visual.ln_post.", "vision_model.post_layernorm.", NULL},
    {"visual.proj", "visual_projection.weight", NULL},
    {"transformer.resblocks.", "text_model.encoder.layers.", clipmdl_huggingface_blocks},
    {"token_embedding.", "text_model.embeddings.token_embedding.", NULL},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight", NULL},
    {"ln_final.", "text_model.final_layer_norm.", NULL},
    {"text_projection", "text_projection.weight", NULL},
    {0},
};

static void translate(const char *name, char *out, size_t size)
{
    clipmdl_rename_by(names, name, out, size);
}

/* One encoder alone, as transformers 5 saves it: without vision_model. or text_model. */
static void translate_alone(const char *name, char *out, size_t size)
{
    translate(name, out, size);
    if (strncmp(out, "vision_model.", 13) == 0 || strncmp(out, "text_model.", 11) == 0) {
        const char *rest = strchr(out, '.') + 1;
        memmove(out, rest, strlen(rest) + 1);
    }
}

static const clipmdl_mark marks[] = {{"vision_model.embeddings.patch_embedding.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"text_model.embeddings.token_embedding.weight", NULL, CLIP_TOWER_TEXT},
                                     {0}};
static const clipmdl_beginning beginnings[] = {{"vision_model.", CLIP_TOWER_IMAGE},
                                               {"visual_projection", CLIP_TOWER_IMAGE},
                                               {"text_model.", CLIP_TOWER_TEXT},
                                               {"text_projection", CLIP_TOWER_TEXT},
                                               {0}};

static const clipmdl_mark marks_alone[] = {{"embeddings.patch_embedding.weight", NULL, CLIP_TOWER_IMAGE},
                                           {"embeddings.token_embedding.weight", NULL, CLIP_TOWER_TEXT},
                                           {0}};
static const clipmdl_beginning beginnings_alone[] = {
    {"embeddings.", CLIP_TOWER_BOTH},      {"encoder.", CLIP_TOWER_BOTH},
    {"pre_layrnorm", CLIP_TOWER_IMAGE},    {"post_layernorm", CLIP_TOWER_IMAGE},
    {"final_layer_norm", CLIP_TOWER_TEXT}, {"visual_projection", CLIP_TOWER_IMAGE},
    {"text_projection", CLIP_TOWER_TEXT},  {0}};

/* Hugging Face's default is QuickGELU. The largest of OpenAI's models is ViT-L: 1024 wide, with
 * texts of 768. Wider models are OpenCLIP's, in any layout, and use GELU. */
static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)s;
    (void)f;
    (void)err;
    const bool quick = c->text.width < 1024 && c->vision.width <= 1024;
    c->vision.act = c->text.act = quick ? CLIPK_QUICKGELU : CLIPK_GELU;
    return CLIP_OK;
}

/* ---- Settings of transformers 4.0 to 5.24: CLIPConfig, CLIPTextConfig, CLIPVisionConfig,
 *      PreTrainedConfig, CLIPImageProcessor ---------------------------------------------------- */

#define ACTIVATION                                                                                                     \
    {                                                                                                                  \
        "hidden_act", "quick_gelu gelu"                                                                                \
    }

static const clipmdl_settings text_config = {
    .known = CLIPMDL_HF_TEXT,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"model_type", "clip_text_model clip"}, ACTIVATION, {0}}};
static const clipmdl_settings vision_config = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of =
        (const clipmdl_choice[]){{"model_type", "clip_vision_model clip"}, {"num_channels", "3"}, ACTIVATION, {0}}};

static const clipmdl_settings_part towers[] = {{"text_config", &text_config},
                                               {"vision_config", &vision_config},
                                               {"text_config_dict", &text_config},
                                               {"vision_config_dict", &vision_config},
                                               {0}};
static const clipmdl_settings pair = {.known = CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = towers};
static const clipmdl_settings text_alone_settings = {.known = CLIPMDL_HF_TEXT,
                                                     .off = CLIPMDL_HF_OTHERS,
                                                     .one_of = (const clipmdl_choice[]){ACTIVATION, {0}},
                                                     .parts = towers};
static const clipmdl_settings vision_alone_settings = {
    .known = CLIPMDL_HF_IMAGE,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"num_channels", "3"}, ACTIVATION, {0}},
    .parts = towers};

static const clipmdl_settings picture_settings = {
    .null_counts = true,
    .known = CLIPMDL_HF_PICTURES,
    .off = CLIPMDL_HF_PICTURES_OFF,
    .one_of = (const clipmdl_choice[]){{"image_processor_type", "CLIPImageProcessor CLIPImageProcessorFast "
                                                                "CLIPImageProcessorPil CLIPFeatureExtractor null"},
                                       {"feature_extractor_type", "CLIPFeatureExtractor CLIPImageProcessor null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
const clipmdl_processor clipmdl_clip_processor = {PREPROCESSOR, &picture_settings, .crops = true};

static clip_status check_settings(const clipmdl_reader *r, const cJSON *root, const char *type)
{
    const clipmdl_settings *t = strcmp(type, "clip_text_model") == 0     ? &text_alone_settings
                                : strcmp(type, "clip_vision_model") == 0 ? &vision_alone_settings
                                                                         : &pair;
    return clipmdl_settings_check(t, root, "transformers' CLIP", false, r->file, r->warn, r->warn_user, r->err);
}

/* ---- Configuration --------------------------------------------------------------------------- */

clip_status clipmdl_huggingface_sizes(const clipmdl_reader *r, const cJSON *o, int *width, int *heads, int *layers,
                                      int *mlp, float *eps)
{
    TRY(clipmdl_json_size(r, o, "hidden_size", width));
    TRY(clipmdl_json_size(r, o, "num_attention_heads", heads));
    TRY(clipb_json_int(o, "num_hidden_layers", 1, CLIPMDL_MOST_LAYERS, layers, r->file, r->err));
    TRY(clipmdl_json_size(r, o, "intermediate_size", mlp));
    return clipb_json_float(o, "layer_norm_eps", eps, r->file, r->err);
}

static clipk_act read_act(const cJSON *o)
{
    return clipmdl_json_is(o, "hidden_act", "gelu") ? CLIPK_GELU : CLIPK_QUICKGELU;
}

clip_status clipmdl_huggingface_vision(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    *v = (clipmdl_vision_config){.tower = &clipmdl_vit,
                                 .image_size = 224,
                                 .patch_size = 32,
                                 .width = 768,
                                 .heads = 12,
                                 .layers = 12,
                                 .mlp = 3072,
                                 .class_token = true,
                                 .ln_pre = true,
                                 .eps = 1e-5f,
                                 .act = read_act(o)};
    TRY(clipmdl_json_size(r, o, "image_size", &v->image_size));
    TRY(clipmdl_json_size(r, o, "patch_size", &v->patch_size));
    return clipmdl_huggingface_sizes(r, o, &v->width, &v->heads, &v->layers, &v->mlp, &v->eps);
}

clip_status clipmdl_huggingface_text(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    *t = (clipmdl_text_config){.tower = &clipmdl_text,
                               .context_length = 77,
                               .vocab_size = 49408,
                               .width = 512,
                               .heads = 8,
                               .layers = 12,
                               .causal = true,
                               .mlp = 2048,
                               .eos_id = 49407,
                               .eps = 1e-5f,
                               .act = read_act(o)};
    TRY(clipmdl_json_size(r, o, "max_position_embeddings", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    TRY(clipb_json_int(o, "eos_token_id", 0, CLIPMDL_MOST_VOCABULARY, &t->eos_id, r->file, r->err));
    /* transformers: configurations with eos_token_id 2 are older and mean the largest id */
    t->pooling = t->eos_id == 2 ? CLIPNN_POOL_ARGMAX : CLIPNN_POOL_EOS;
    return clipmdl_huggingface_sizes(r, o, &t->width, &t->heads, &t->layers, &t->mlp, &t->eps);
}

/* The settings of a tower. If there is an object KEY_dict, transformers takes that one. */
const cJSON *clipmdl_huggingface_tower_of(const cJSON *root, const char *key)
{
    char dict[32];
    snprintf(dict, sizeof dict, "%s_dict", key);
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, dict);
    return cJSON_IsObject(o) ? o : cJSON_GetObjectItemCaseSensitive(root, key);
}

/* An encoder alone (CLIPTextModel, CLIPVisionModel, with or without "WithProjection") has its
 * settings at the top. */
static clip_status read_alone(const clipmdl_reader *r, const cJSON *root, int tower, const char *key, clipmdl_config *c)
{
    const cJSON *o = clipmdl_huggingface_tower_of(root, key);
    if (!cJSON_IsObject(o))
        o = root;
    c->towers = tower;
    TRY(clipmdl_json_size(r, o, "projection_dim", &c->embed_dim));
    return tower == CLIP_TOWER_TEXT ? clipmdl_huggingface_text(r, o, &c->text)
                                    : clipmdl_huggingface_vision(r, o, &c->vision);
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "clip";
    c->embed_dim = 512;
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    const bool text_alone = strcmp(type, "clip_text_model") == 0, vision_alone = strcmp(type, "clip_vision_model") == 0;
    bool kin;
    TRY(clipmdl_clip_kin_read(r, root, type, c, &kin));
    if (kin)
        return CLIP_OK;
    if (!text_alone && !vision_alone && strcmp(type, "clip") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": of CLIP's kin, only clip, clip_text_model, "
                          "clip_vision_model, metaclip_2 and clipseg are supported", type);
    TRY(check_settings(r, root, type));
    if (text_alone)
        return read_alone(r, root, CLIP_TOWER_TEXT, "text_config", c);
    if (vision_alone)
        return read_alone(r, root, CLIP_TOWER_IMAGE, "vision_config", c);
    const cJSON *vision = clipmdl_huggingface_tower_of(root, "vision_config"),
                *text = clipmdl_huggingface_tower_of(root, "text_config");
    if (!cJSON_IsObject(vision) || !cJSON_IsObject(text))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no object \"%s\"",
                          cJSON_IsObject(vision) ? "text_config" : "vision_config");
    c->towers = CLIP_TOWER_BOTH;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(clipmdl_huggingface_vision(r, vision, &c->vision));
    return clipmdl_huggingface_text(r, text, &c->text);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static const clipmdl_settings sides = {.known = "shortest_edge height width",
                                       .off = "longest_edge max_height max_width min_pixels max_pixels"};
const clipmdl_settings_part clipmdl_huggingface_sides[] = {{"size", &sides}, {"crop_size", &sides}, {0}};

static clip_status side(const cJSON *v, const char *key, int *out, const char *file, clip_error *err)
{
    double d = cJSON_IsNumber(v) ? v->valuedouble : 0;
    if (!(d >= 1 && d <= 65536))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" has no usable side", key);
    *out = (int)d;
    return CLIP_OK;
}

/* Is it this processor that prepares pictures, by the type in `o` or the model beside the file? */
static clip_status applies(const clipmdl_processor *p, const cJSON *o, const char *file, bool *does, clip_error *err)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "image_processor_type"));
    char model[64] = "", *config = NULL;
    if (!type)
        type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "feature_extractor_type"));
    *does = !p->begins || (type && strncmp(type, p->begins, strlen(p->begins)) == 0);
    if (*does || type)
        return CLIP_OK;
    const char *slash = strrchr(file, '/');
    char *dir = slash ? strndup(file, (size_t)(slash - file)) : strdup(".");
    clip_status s = dir && (config = clipb_path_join(dir, "config.json")) ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK && clipb_is_file(config))
        s = clipmdl_config_type(config, model, err);
    *does = s == CLIP_OK && strncmp(model, p->model, strlen(p->model)) == 0;
    free(dir);
    free(config);
    return s;
}

/* "size": 224, {"shortest_edge": 224}, [224, 224] or {"height": 224, "width": 224}; "crop_size"
 * likewise. *edge: only one side was given. It stays for a number, which is a side or a square
 * depending on the processor. */
static clip_status size_of(const cJSON *o, const char *key, int *out, bool *edge, const char *file, clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v || cJSON_IsNull(v))
        return CLIP_OK;
    if (cJSON_IsNumber(v))
        return side(v, key, out, file, err);
    const cJSON *shortest = cJSON_GetObjectItemCaseSensitive(v, "shortest_edge");
    *edge = shortest != NULL;
    if (shortest)
        return side(shortest, key, out, file, err);
    int h = 0, w = 0;
    const bool array = cJSON_IsArray(v);
    TRY(side(array ? cJSON_GetArrayItem(v, 0) : cJSON_GetObjectItemCaseSensitive(v, "height"), key, &h, file, err));
    TRY(side(array ? cJSON_GetArrayItem(v, 1) : cJSON_GetObjectItemCaseSensitive(v, "width"), key, &w, file, err));
    if (h != w)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"%s\" is not a square", key);
    *out = h;
    return CLIP_OK;
}

/* With transformers' defaults. */
static clip_status read_patches(const cJSON *o, clipmdl_recipe *r, const char *file, clip_error *err)
{
    r->patch_size = 16;
    r->max_patches = 256;
    TRY(clipb_json_int(o, "patch_size", 1, CLIPMDL_MOST_SIDE, &r->patch_size, file, err));
    return clipb_json_int(o, "max_num_patches", 1, CLIPMDL_MOST_GRID * CLIPMDL_MOST_GRID, &r->max_patches, file, err);
}

static clip_status read_pictures(const clipmdl_reader *reader, const clipmdl_processor *p, const cJSON *o,
                                 const char *file, int S, clipmdl_recipe *r)
{
    clip_error *err = reader->err;
    int resample = p->resample ? p->resample : 3, size = S, crop = S;
    bool edge = p->crops, ignored,
         do_center_crop = p->crops && !cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "do_center_crop"));
    float rescale = 1.0f / 255;
    TRY(clipmdl_settings_check(p->settings, o, p->name, false, file, reader->warn, reader->warn_user, err));
    for (int i = 0; i < 3 && p->half; i++)
        r->mean[i] = r->std[i] = 0.5f;
    TRY(clipmdl_json_statistics(o, "image_mean", "image_std", r, file, err));
    TRY(clipmdl_json_background(o, r, file, err));
    TRY(clipb_json_int(o, "resample", 2, 3, &resample, file, err));
    TRY(clipb_json_bool(o, "do_center_crop", &do_center_crop, file, err));
    TRY(clipb_json_float(o, "rescale_factor", &rescale, file, err));
    TRY(size_of(o, "size", &size, &edge, file, err));
    TRY(size_of(o, "crop_size", &crop, &ignored, file, err));
    if (!(fabsf(rescale * 255 - 1) < 1e-4f))
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"rescale_factor\" is %g: only 1/255 is supported",
                          (double)rescale);
    if (edge && !do_center_crop && p->squashes)
        edge = false;
    if (edge && !do_center_crop)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file,
                          "\"do_center_crop\" is false, so pictures would not be squares");
    if (do_center_crop && crop != size)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"size\" %d and \"crop_size\" %d differ", size, crop);
    r->interpolation = resample == 2 ? "bilinear" : "bicubic";
    r->resize_mode = p->resize_mode ? p->resize_mode : edge ? "shortest" : "squash";
    r->rounding = "huggingface";
    if (p->patches)
        TRY(read_patches(o, r, file, err));
    if (size != S)
        return clipb_fail(err, CLIP_EMISMATCH, file, "prepares pictures of %d pixels for an encoder of %d", size, S);
    return CLIP_OK;
}

clip_status clipmdl_huggingface_pictures(const clipmdl_reader *r, const clipmdl_processor *p, const char *path,
                                         const char *key, int size, clipmdl_recipe *out, bool *found)
{
    cJSON *root;
    TRY(clipb_json_read(path, MOST_CONFIG, &root, r->err));
    const cJSON *o = key ? cJSON_GetObjectItemCaseSensitive(root, key) : root;
    *found = !key || (o && !cJSON_IsNull(o));
    clip_status s = *found ? applies(p, o, path, found, r->err) : CLIP_OK;
    s = s < 0 || !*found                ? s
                    : cJSON_IsObject(o) ? read_pictures(r, p, o, path, size, out)
                                        : clipb_fail(r->err, CLIP_EFORMAT, path, "has no settings of pictures");
    cJSON_Delete(root);
    return s;
}

/* "image_processor" of processor_config.json if present, otherwise preprocessor_config.json. */
static const struct {
    const char *name, *key;
} files[] = {{"processor_config.json", "image_processor"}, {"preprocessor_config.json", NULL}};

static clip_status read_side(const char *path, const char *key, int *side, bool *found, clip_error *err)
{
    cJSON *root;
    bool edge;
    TRY(clipb_json_read(path, MOST_CONFIG, &root, err));
    const cJSON *o = key ? cJSON_GetObjectItemCaseSensitive(root, key) : root;
    *found = cJSON_IsObject(o);
    const clip_status s = *found ? size_of(o, "size", side, &edge, path, err) : CLIP_OK;
    cJSON_Delete(root);
    return s;
}

clip_status clipmdl_huggingface_side(const char *dir, int *side, clip_error *err)
{
    bool found = false;
    clip_status s = CLIP_OK;
    for (int i = 0; i < 2 && s == CLIP_OK && !found; i++) {
        char *path = clipb_path_join(dir, files[i].name);
        s = !path ? CLIP_ENOMEM : clipb_is_file(path) ? read_side(path, files[i].key, side, &found, err) : CLIP_OK;
        free(path);
    }
    return s;
}

/* Without a file: the defaults of the processor that goes with the model type. */
static clip_status default_recipe(const clipmdl_reader *r, const clipmdl_processor *p, const char *dir, int size,
                                  clipmdl_recipe *out)
{
    char *path = clipb_path_join(dir, files[1].name);
    cJSON *nothing = cJSON_CreateObject();
    bool does = false;
    clip_status s = path && nothing ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK && p->begins)
        s = applies(p, nothing, path, &does, r->err);
    if (s == CLIP_OK && does) {
        s = read_pictures(r, p, nothing, path, size, out);
        out->assumed = p->name;
    }
    cJSON_Delete(nothing);
    free(path);
    return s;
}

clip_status clipmdl_huggingface_recipe(const clipmdl_reader *r, const clipmdl_processor *p, const char *dir, int size,
                                       clipmdl_recipe *out, bool *found)
{
    clip_status s = CLIP_OK;
    *found = false;
    for (int i = 0; i < 2 && s == CLIP_OK && !*found; i++) {
        char *path = clipb_path_join(dir, files[i].name);
        s = !path                  ? CLIP_ENOMEM
            : !clipb_is_file(path) ? CLIP_OK
                                   : clipmdl_huggingface_pictures(r, p, path, files[i].key, size, out, found);
        free(path);
    }
    return s == CLIP_OK && !*found ? default_recipe(r, p, dir, size, out) : s;
}

/* If the tokenizer gives no pad token, texts are padded with the end token. */
static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    TRY(clipmdl_huggingface_recipe(r, &clipmdl_vit_processor, dir, size, out, found));
    return *found ? CLIP_OK : clipmdl_huggingface_recipe(r, &clipmdl_clip_processor, dir, size, out, found);
}

static int pad_id(const clipmdl_text_config *t)
{
    return t->pooling == CLIPNN_POOL_EOS && t->eos_id < t->vocab_size ? t->eos_id : t->vocab_size - 1;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* transformers pools at the first end token. If eos_token_id is 2, it pools at the first of the
 * largest ids. */
static clip_status end_token(const clipmdl_text_config *t, const clipmdl_recipe *r, int *out, clip_error *err)
{
    if (t->pooling == CLIPNN_POOL_EOS && t->eos_id == 2 && t->vocab_size > 3)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers cannot pool texts at the token 2");
    *out = t->pooling == CLIPNN_POOL_EOS ? t->eos_id : r->end_id == t->vocab_size - 1 ? r->end_id : 2;
    return CLIP_OK;
}

static void put_tower(FILE *f, const char *name, int width, int heads, int layers, int mlp, clipk_act act, float eps,
                      int embed_dim)
{
    fprintf(f, "  \"%s\": {\n    \"model_type\": \"clip_%.*s_model\",\n", name, (int)strcspn(name, "_"), name);
    fprintf(f,
            "    \"hidden_size\": %d,\n    \"intermediate_size\": %d,\n    \"num_attention_heads\": %d,\n"
            "    \"num_hidden_layers\": %d,\n",
            width, mlp, heads, layers);
    fprintf(f, "    \"hidden_act\": \"%s\",\n    \"layer_norm_eps\": ", act == CLIPK_QUICKGELU ? "quick_gelu" : "gelu");
    clipmdl_put_float(f, (double)eps);
    fprintf(f, ",\n    \"projection_dim\": %d,\n", embed_dim);
}

static bool writes(const clipmdl_config *c)
{
    return clipmdl_is_plain_text(&c->text) && clipmdl_is_plain_vit(&c->vision) && c->vision.ln_pre;
}

static clip_status check_words(const clipmdl_config *c, clip_error *err)
{
    const bool text = clipmdl_is_plain_text(&c->text);
    if (text && clipmdl_is_plain_vit(&c->vision))
        return CLIP_OK;
    return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers' CLIP has no such %s",
                      text ? c->vision.tower->name : c->text.tower->name);
}

static clip_status put_config(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    const clipmdl_text_config *t = &c->text;
    int end = 2;
    if (v->tower == &clipmdl_resnet)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers' CLIP has no ResNet");
    if (!v->ln_pre)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "transformers' CLIP has a layer norm before the image Transformer, this model has none");
    TRY(check_words(c, err));
    TRY(end_token(t, r, &end, err));
    fprintf(f, "{\n  \"architectures\": [\"CLIPModel\"],\n  \"model_type\": \"clip\",\n  \"projection_dim\": %d,\n",
            c->embed_dim);
    put_tower(f, "vision_config", v->width, v->heads, v->layers, v->mlp, v->act, v->eps, c->embed_dim);
    fprintf(f, "    \"image_size\": %d,\n    \"patch_size\": %d\n  },\n", v->image_size, v->patch_size);
    put_tower(f, "text_config", t->width, t->heads, t->layers, t->mlp, t->act, t->eps, c->embed_dim);
    fprintf(f, "    \"max_position_embeddings\": %d,\n    \"vocab_size\": %d,\n", t->context_length, t->vocab_size);
    if (r->start_id >= 0)
        fprintf(f, "    \"bos_token_id\": %d,\n", r->start_id);
    fprintf(f, "    \"eos_token_id\": %d\n  }\n}\n", end);
    return CLIP_OK;
}

void clipmdl_huggingface_put_pictures(FILE *f, const char *name, int size, const clipmdl_recipe *r)
{
    const bool squash = strcmp(r->resize_mode, "squash") == 0;
    fprintf(f,
            "{\n  \"image_processor_type\": \"%sImageProcessor\",\n  \"processor_class\": \"%sProcessor\",\n"
            "  \"do_convert_rgb\": true,\n  \"do_resize\": true,\n",
            name, name);
    if (squash)
        fprintf(f, "  \"size\": {\"height\": %d, \"width\": %d},\n", size, size);
    else
        fprintf(f, "  \"size\": {\"shortest_edge\": %d},\n", size);
    fprintf(f, "  \"resample\": %d,\n", strcmp(r->interpolation, "bilinear") == 0 ? 2 : 3);
    fprintf(f, "  \"do_center_crop\": %s,\n  \"crop_size\": {\"height\": %d, \"width\": %d},\n",
            squash ? "false" : "true", size, size);
    fputs("  \"do_rescale\": true,\n  \"rescale_factor\": 0.00392156862745098,\n  \"do_normalize\": true,\n", f);
    if (r->background >= 0)
        fprintf(f, "  \"background\": \"#%06x\",\n", (unsigned)r->background);
    clipmdl_put_triple(f, "  \"image_mean\": ", r->mean, ",\n");
    clipmdl_put_triple(f, "  \"image_std\": ", r->std, "\n}\n");
}

static clip_status put_preprocessor(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    (void)err;
    clipmdl_huggingface_put_pictures(f, "CLIP", c->vision.image_size, r);
    return CLIP_OK;
}

static clip_status save(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    TRY(clipmdl_put_file(dir, "config.json", c, r, err, put_config));
    return clipmdl_put_file(dir, "preprocessor_config.json", c, r, err, put_preprocessor);
}

/* Common to both rows. */
#define SHARED                                                                                                         \
    .name = "Hugging Face", .config_file = "config.json", .model_type = "clip",                        \
    .read_config = read_config, .guess = guess, .tokenizer = "huggingface", .pad_id = pad_id,                          \
    .preprocessor = PREPROCESSOR, .rounding = "huggingface", .read_recipe = read_recipe,                               \
    .weights_file = "model.safetensors", .writes = writes, .save = save, .auto_tokenizer = true,                       \
    .no_antialias = true,                                                                                              \
    .no_logit_bias = "transformers' CLIP has no logit_bias: it is left out, which changes no embedding",               \
    .no_padding = "transformers does not pad pictures to squares, as this model wants them: "                          \
                  "preprocessor_config.json cuts out the middle"

const clipmdl_family clipmdl_huggingface = {
    SHARED, .layout = "hf", .marks = marks, .beginnings = beginnings, .translate = translate,
};

const clipmdl_family clipmdl_huggingface_tower = {
    SHARED,
    .marks = marks_alone,
    .beginnings = beginnings_alone,
    .translate = translate_alone,
};
