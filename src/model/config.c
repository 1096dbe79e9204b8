#include "model/config.h"

#include <string.h>

#include "model/settings.h"
#include "model/tower.h"

#define MAX_CONFIG ((size_t)16 << 20)
#define MAX_PICTURE 8192
#define MAX_VOCAB (1 << 24)
#define MAX_LAYERS 1000

/* The file being read, so that every getter is one line. */
typedef struct reader {
    const char *file;
    clip_warn_fn warn;
    void *warn_user;
    clip_error *err;
} reader;

static clip_status get(const reader *r, const cJSON *o, const char *key, int *out)
{
    return clipb_json_int(o, key, 1, CLIPMDL_MOST_SIDE, out, r->file, r->err);
}

static bool is_string(const cJSON *o, const char *key, const char *value)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) && strcmp(v->valuestring, value) == 0;
}

static clip_status object(const reader *r, const cJSON *o, const char *key, const cJSON **out)
{
    *out = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsObject(*out))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no object \"%s\"", key);
    return CLIP_OK;
}

/* ---- OpenCLIP: open_clip_config.json --------------------------------------------------------------------- */

static clip_status openclip_mlp(const reader *r, const cJSON *o, int width, int *mlp)
{
    const cJSON *ratio = cJSON_GetObjectItemCaseSensitive(o, "mlp_ratio");
    double product = width * (!ratio ? 4.0 : cJSON_IsNumber(ratio) ? ratio->valuedouble : -1); /* int(width * mlp_ratio) */
    if (!(product >= 1 && product <= 16 * CLIPMDL_MOST_SIDE))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"mlp_ratio\" is out of range");
    *mlp = (int)product;
    return CLIP_OK;
}

static clip_status openclip_eps(const reader *r, const cJSON *o, float *eps)
{
    *eps = 1e-5f;
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(o, "norm_kwargs");
    if (kwargs && !cJSON_IsNull(kwargs) && !cJSON_IsObject(kwargs))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"norm_kwargs\" must be an object");
    return kwargs ? clipb_json_float(kwargs, "eps", eps, r->file, r->err) : CLIP_OK;
}

static clip_status openclip_vision(const reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    bool no_ln_pre = false;
    int head_width = 64;
    *v = (clipmdl_vision_config){.tower = &clipmdl_vit, .image_size = 224, .width = 768, .act = v->act};
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(o, "image_size");
    if (cJSON_IsArray(size)) { /* [height, width] */
        const cJSON *h = size->child, *w = h ? h->next : NULL;
        if (!w || w->next || !cJSON_IsNumber(h) || !cJSON_IsNumber(w) || h->valuedouble != w->valuedouble)
            return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file, "\"image_size\" is not a square");
        if (!(h->valuedouble >= 1 && h->valuedouble <= CLIPMDL_MOST_SIDE))
            return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"image_size\" is out of range");
        v->image_size = (int)h->valuedouble;
    } else {
        TRY(get(r, o, "image_size", &v->image_size));
    }
    TRY(get(r, o, "width", &v->width));
    TRY(get(r, o, "head_width", &head_width));
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(o, "layers");
    if (cJSON_IsArray(layers)) {
        v->tower = &clipmdl_resnet;
        int n = 0;
        const cJSON *e;
        cJSON_ArrayForEach(e, layers)
        {
            if (n == 4 || !cJSON_IsNumber(e) || !(e->valuedouble >= 1 && e->valuedouble <= MAX_LAYERS))
                return clipb_fail(r->err, CLIP_EFORMAT, r->file,
                                  "\"layers\" of a ResNet must be four counts of blocks");
            v->stage[n++] = (int)e->valuedouble;
        }
        if (n != 4)
            return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"layers\" of a ResNet must be four counts of blocks");
        v->heads = v->width * 32 / head_width;
        return CLIP_OK;
    }
    v->layers = 12;
    v->patch_size = 16;
    v->class_token = true;
    v->pooling = CLIPNN_POOL_FIRST;
    TRY(clipb_json_int(o, "layers", 1, MAX_LAYERS, &v->layers, r->file, r->err));
    TRY(get(r, o, "patch_size", &v->patch_size));
    TRY(clipb_json_bool(o, "no_ln_pre", &no_ln_pre, r->file, r->err));
    TRY(clipb_json_float(o, "patch_dropout", &v->patch_dropout, r->file, r->err));
    v->ln_pre = !no_ln_pre;
    v->heads = v->width / head_width;
    TRY(openclip_mlp(r, o, v->width, &v->mlp));
    return openclip_eps(r, o, &v->eps);
}

static clip_status openclip_text(const reader *r, const cJSON *o, clipmdl_text_config *t)
{
    *t = (clipmdl_text_config){.tower = &clipmdl_text,
                               .context_length = 77,
                               .vocab_size = 49408,
                               .width = 512,
                               .heads = 8,
                               .layers = 12,
                               .eos_id = 2,
                               .act = t->act,
                               .causal = true,
                               .pooling = is_string(o, "pool_type", "eos") ? CLIPNN_POOL_EOS : CLIPNN_POOL_ARGMAX};
    TRY(get(r, o, "context_length", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, MAX_VOCAB, &t->vocab_size, r->file, r->err));
    TRY(get(r, o, "width", &t->width));
    TRY(get(r, o, "heads", &t->heads));
    TRY(clipb_json_int(o, "layers", 1, MAX_LAYERS, &t->layers, r->file, r->err));
    TRY(clipb_json_int(o, "eos_id", 0, MAX_VOCAB, &t->eos_id, r->file, r->err));
    TRY(openclip_mlp(r, o, t->width, &t->mlp));
    return openclip_eps(r, o, &t->eps);
}

static clip_status openclip(const reader *r, const cJSON *root, clipmdl_config *c)
{
    TRY(clipmdl_settings_openclip(root, r->file, r->err));
    const cJSON *model, *vision, *text;
    bool quick_gelu = false;
    TRY(object(r, root, "model_cfg", &model));
    TRY(object(r, model, "vision_cfg", &vision));
    TRY(object(r, model, "text_cfg", &text));
    TRY(get(r, model, "embed_dim", &c->embed_dim));
    if (!c->embed_dim)
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no \"embed_dim\"");
    TRY(clipb_json_bool(model, "quick_gelu", &quick_gelu, r->file, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->vision.act = c->text.act = quick_gelu ? CLIPK_QUICKGELU : CLIPK_GELU;
    TRY(openclip_vision(r, vision, &c->vision));
    return openclip_text(r, text, &c->text);
}

/* ---- Hugging Face: config.json ---------------------------------------------------------------------------- */

static clipk_act huggingface_act(const cJSON *o)
{
    return is_string(o, "hidden_act", "gelu") ? CLIPK_GELU : CLIPK_QUICKGELU;
}

static clip_status huggingface_vision(const reader *r, const cJSON *o, clipmdl_vision_config *v)
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
                                 .act = huggingface_act(o)};
    TRY(get(r, o, "image_size", &v->image_size));
    TRY(get(r, o, "patch_size", &v->patch_size));
    TRY(get(r, o, "hidden_size", &v->width));
    TRY(get(r, o, "num_attention_heads", &v->heads));
    TRY(clipb_json_int(o, "num_hidden_layers", 1, MAX_LAYERS, &v->layers, r->file, r->err));
    TRY(get(r, o, "intermediate_size", &v->mlp));
    return clipb_json_float(o, "layer_norm_eps", &v->eps, r->file, r->err);
}

static clip_status huggingface_text(const reader *r, const cJSON *o, clipmdl_text_config *t)
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
                               .act = huggingface_act(o)};
    TRY(get(r, o, "max_position_embeddings", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, MAX_VOCAB, &t->vocab_size, r->file, r->err));
    TRY(get(r, o, "hidden_size", &t->width));
    TRY(get(r, o, "num_attention_heads", &t->heads));
    TRY(clipb_json_int(o, "num_hidden_layers", 1, MAX_LAYERS, &t->layers, r->file, r->err));
    TRY(get(r, o, "intermediate_size", &t->mlp));
    TRY(clipb_json_int(o, "eos_token_id", 0, MAX_VOCAB, &t->eos_id, r->file, r->err));
    /* transformers: configurations from before the end token was right say 2, and mean the largest id */
    t->pooling = t->eos_id == 2 ? CLIPNN_POOL_ARGMAX : CLIPNN_POOL_EOS;
    return clipb_json_float(o, "layer_norm_eps", &t->eps, r->file, r->err);
}

/* The settings of a tower. Where there is an object KEY_dict, transformers takes those instead. */
static const cJSON *huggingface_tower(const cJSON *root, const char *key)
{
    char dict[32];
    snprintf(dict, sizeof dict, "%s_dict", key);
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, dict);
    return cJSON_IsObject(o) ? o : cJSON_GetObjectItemCaseSensitive(root, key);
}

/* An encoder alone has its settings at the top: those of CLIPTextModel, CLIPVisionModel and their kin "WithProjection". */
static clip_status huggingface_alone(const reader *r, const cJSON *root, int tower, const char *key, clipmdl_config *c)
{
    const cJSON *o = huggingface_tower(root, key);
    if (!cJSON_IsObject(o))
        o = root;
    c->towers = tower;
    TRY(get(r, o, "projection_dim", &c->embed_dim));
    return tower == CLIP_TOWER_TEXT ? huggingface_text(r, o, &c->text) : huggingface_vision(r, o, &c->vision);
}

static clip_status huggingface(const reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *type = "clip";
    c->embed_dim = 512;
    TRY(clipb_json_string(root, "model_type", &type, r->file, r->err));
    const bool text_alone = strcmp(type, "clip_text_model") == 0, vision_alone = strcmp(type, "clip_vision_model") == 0;
    if (!text_alone && !vision_alone && strcmp(type, "clip") != 0)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"model_type\" is \"%.60s\": only clip, clip_text_model and clip_vision_model are supported",
                          type);
    TRY(clipmdl_settings_huggingface(root, r->file, r->warn, r->warn_user, r->err));
    if (text_alone)
        return huggingface_alone(r, root, CLIP_TOWER_TEXT, "text_config", c);
    if (vision_alone)
        return huggingface_alone(r, root, CLIP_TOWER_IMAGE, "vision_config", c);
    const cJSON *vision = huggingface_tower(root, "vision_config"), *text = huggingface_tower(root, "text_config");
    if (!cJSON_IsObject(vision) || !cJSON_IsObject(text))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no object \"%s\"",
                          cJSON_IsObject(vision) ? "text_config" : "vision_config");
    c->towers = CLIP_TOWER_BOTH;
    TRY(get(r, root, "projection_dim", &c->embed_dim));
    TRY(huggingface_vision(r, vision, &c->vision));
    return huggingface_text(r, text, &c->text);
}

/* ---- Both --------------------------------------------------------------------------------------------------- */

clip_status clipmdl_config_check(const clipmdl_config *c, const char *file, clip_error *err)
{
    if (c->towers & CLIP_TOWER_TEXT)
        TRY(c->text.tower->check(c, file, err));
    if (!(c->towers & CLIP_TOWER_IMAGE))
        return CLIP_OK;
    if (c->vision.image_size > MAX_PICTURE)
        return clipb_fail(err, CLIP_EFORMAT, file, "pictures of %d pixels a side are more than the %d supported",
                          c->vision.image_size, MAX_PICTURE);
    return c->vision.tower->check(c, file, err);
}

static clip_status read_config(const reader *r, clipmdl_config *out,
                               clip_status (*parse)(const reader *, const cJSON *, clipmdl_config *))
{
    cJSON *root;
    *out = (clipmdl_config){0};
    TRY(clipb_json_read(r->file, MAX_CONFIG, &root, r->err));
    clip_status s = parse(r, root, out);
    cJSON_Delete(root);
    return s < 0 ? s : clipmdl_config_check(out, r->file, r->err);
}

clip_status clipmdl_config_openclip(const char *path, clipmdl_config *out, clip_error *err)
{
    return read_config(&(reader){.file = path, .err = err}, out, openclip);
}

clip_status clipmdl_config_huggingface(const char *path, clipmdl_config *out, clip_warn_fn warn, void *warn_user,
                                       clip_error *err)
{
    return read_config(&(reader){path, warn, warn_user, err}, out, huggingface);
}

clip_status clipmdl_config_type(const char *path, char out[64], clip_error *err)
{
    cJSON *root;
    TRY(clipb_json_read(path, MAX_CONFIG, &root, err));
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "model_type");
    snprintf(out, 64, "%s", cJSON_IsString(type) ? type->valuestring : "");
    cJSON_Delete(root);
    return CLIP_OK;
}
