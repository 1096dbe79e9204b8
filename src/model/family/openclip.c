/* openclip.c: OpenCLIP's layout, which is OpenAI's: open_clip_config.json,
 * visual.transformer.resblocks.N. and projections that are used as x @ W. The code uses these
 * names. */
#include <stdlib.h>
#include <string.h>

#include "model/family/bert.h"
#include "model/family/hf_text.h"
#include "model/family/timm.h"
#include "model/family/words.h"
#include "model/settings.h"
#include "model/tower.h"

#define MOST_CONFIG ((size_t)16 << 20)

/* ---- Names ----------------------------------------------------------------------------------- */

static const clipmdl_rename timm_blocks[] = {
    {"ln_1.", "norm1.", NULL},
    {"ln_2.", "norm2.", NULL},
    {"attn.in_proj_", "attn.qkv.", NULL},
    {"attn.out_proj.", "attn.proj.", NULL},
    {"mlp.c_fc.", "mlp.fc1.", NULL},
    {"mlp.c_proj.", "mlp.fc2.", NULL},
    {0},
};

static const clipmdl_rename m2m100_blocks[] = {
    {"ln_1.", "self_attn_layer_norm.", NULL},
    {"ln_2.", "final_layer_norm.", NULL},
    {"attn.in_proj_", "self_attn.{q,k,v}_proj.", NULL},
    {"attn.out_proj.", "self_attn.out_proj.", NULL},
    {"mlp.c_fc.", "fc1.", NULL},
    {"mlp.c_proj.", "fc2.", NULL},
    {0},
};

/* OpenCLIP's, and for their encoders timm's and transformers'. */
static const clipmdl_rename names[] = {
    {"visual.attnpool.in_proj_", "visual.attnpool.{q,k,v}_proj.", NULL},
    {"visual.attn_pool.attn.split_", "visual.attn_pool.attn.{q,k,v}_proj_", NULL},
    {"visual.trunk.transformer.resblocks.", "visual.trunk.blocks.", timm_blocks},
    {"visual.trunk.conv1.", "visual.trunk.patch_embed.proj.", NULL},
    {"visual.trunk.class_embedding", "visual.trunk.cls_token", NULL},
    {"visual.trunk.positional_embedding", "visual.trunk.pos_embed", NULL},
    {"visual.trunk.ln_pre.", "visual.trunk.norm_pre.", NULL},
    {"visual.trunk.ln_post.", "visual.trunk.norm.", NULL},
    {"visual.trunk.attn_pool.probe", "visual.trunk.attn_pool.latent", NULL},
    {"visual.trunk.attn_pool.in_proj_", "visual.trunk.attn_pool.{q,kv}.", NULL},
    {"visual.trunk.attn_pool.out_proj.", "visual.trunk.attn_pool.proj.", NULL},
    {"visual.trunk.attn_pool.ln_2.", "visual.trunk.attn_pool.norm.", NULL},
    {"visual.trunk.attn_pool.mlp.c_fc.", "visual.trunk.attn_pool.mlp.fc1.", NULL},
    {"visual.trunk.attn_pool.mlp.c_proj.", "visual.trunk.attn_pool.mlp.fc2.", NULL},
    {"visual.trunk.proj.", "visual.trunk.head.", NULL},
    CLIPMDL_BERT_NAMES("text.transformer."),
    {"bert.text_projection.", "text.proj.", NULL},
    {"m2m100.transformer.resblocks.", "text.transformer.layers.", m2m100_blocks},
    {"m2m100.token_embedding.", "text.transformer.embed_tokens.", NULL},
    {"m2m100.ln_final.", "text.transformer.layer_norm.", NULL},
    {"m2m100.text_projection.", "text.proj.", NULL},
    {0},
};

static void translate(const char *name, char *out, size_t size) { clipmdl_rename_by(names, name, out, size); }

/* timm adds these to a batch. */
static const clipmdl_ones ones[] = {
    {"visual.trunk.pos_embed", 3}, {"visual.trunk.cls_token", 3}, {"visual.trunk.attn_pool.latent", 3}, {0}};

/* These names are short and occur in other programs. A text encoder must have both of the second
 * mark. */
static const clipmdl_mark marks[] = {{"visual.conv1.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.patch_embed.proj.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.patch_embed.backbone.0.conv.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.patch_embed.backbone.stem.conv1.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.stem.0.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.stem.0.conv_kxk.0.conv.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"visual.trunk.stem.0.reparam_conv.weight", NULL, CLIP_TOWER_IMAGE},
                                     {"text.token_embedding.weight", "text.positional_embedding", CLIP_TOWER_TEXT},
                                     {"token_embedding.weight", "positional_embedding", CLIP_TOWER_TEXT},
                                     {"text.transformer.embeddings.word_embeddings.weight", NULL, CLIP_TOWER_TEXT},
                                     {"text.transformer.embed_tokens.weight", NULL, CLIP_TOWER_TEXT},
                                     {0}};
static const clipmdl_beginning beginnings[] = {
    {"visual.", CLIP_TOWER_IMAGE},        {"transformer.", CLIP_TOWER_TEXT},
    {"token_embedding", CLIP_TOWER_TEXT}, {"positional_embedding", CLIP_TOWER_TEXT},
    {"ln_final", CLIP_TOWER_TEXT},        {"text_projection", CLIP_TOWER_TEXT},
    {"cls_emb", CLIP_TOWER_TEXT},         {"text.", CLIP_TOWER_TEXT},
    {0}};

#define LONGCLIP_KEPT 20

/* Long-CLIP (Zhang et al. 2024, arXiv:2403.15378) has two tables of positional embeddings of one
 * size. positional_embedding, fixed in training, gives the first 20 rows; positional_embedding_res
 * gives the other rows. They are joined into one. */
static clip_status join_positions(clipmdl_store *s, const clipmdl_found *f, clip_error *err)
{
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%spositional_embedding_res", f->prefix);
    clipmdl_tensor *rest = clipmdl_store_find(s, name);
    snprintf(name, sizeof name, "%spositional_embedding", f->prefix);
    clipmdl_tensor *kept = rest ? clipmdl_store_find(s, name) : NULL;
    if (!kept)
        return CLIP_OK;
    if (kept->ndim != 2 || rest->ndim != 2 || kept->dtype != rest->dtype ||
        memcmp(kept->dim, rest->dim, 2 * sizeof *kept->dim) != 0 || kept->dim[0] <= LONGCLIP_KEPT)
        return clipb_fail(err, CLIP_EMISMATCH, s->file,
                          "'%s' and '%s' are not two tables of one size and type, as Long-CLIP has them", kept->name,
                          rest->name);
    const size_t head = kept->bytes / (size_t)kept->dim[0] * LONGCLIP_KEPT;
    unsigned char *joined = clipmdl_store_keep(s, kept->bytes);
    if (!joined)
        return clipb_nomem(err, s->file);
    memcpy(joined, kept->data, head);
    memcpy(joined + head, rest->data + head, kept->bytes - head);
    kept->data = joined;
    kept->map = NULL;
    rest->used = true;
    return CLIP_OK;
}

/* OpenAI's own files use QuickGELU, and so do Long-CLIP's, which are made from them. OpenCLIP's
 * models mostly use GELU. OpenAI's files carry their sizes as tensors. */
static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)err;
    char sizes[CLIPMDL_MAX_NAME], longclip[CLIPMDL_MAX_NAME];
    snprintf(sizes, sizeof sizes, "%sinput_resolution", f->prefix);
    snprintf(longclip, sizeof longclip, "%spositional_embedding_res", f->prefix);
    const bool quick = clipmdl_store_find(s, sizes) || clipmdl_store_find(s, longclip);
    c->vision.act = c->text.act = quick ? CLIPK_QUICKGELU : CLIPK_GELU;
    return CLIP_OK;
}

/* ---- Settings of OpenCLIP 3.3: open_clip/model.py, CLIPVisionCfg, CLIPTextCfg, CLIP.__init__();
 *      transform.py, PreprocessCfg ------------------------------------------------------------- */

static const clipmdl_settings act_kwargs = {.one_of = (const clipmdl_choice[]){{"approximate", "none tanh"}, {0}}};
static const clipmdl_settings tokenizer_kwargs = {
    .known = "strip_sep_token", .one_of = (const clipmdl_choice[]){{"clean", "canonicalize whitespace"}, {0}}};
#define NAME(name, ...) " " #name
static const char timm_names[] = CLIPMDL_TIMM(NAME);
#undef NAME
static const clipmdl_settings norm_kwargs = {
    .known = "eps", .one_of = (const clipmdl_choice[]){{"elementwise_affine", "true"}, {"bias", "true"}, {0}}};
static const clipmdl_settings_part kwargs_parts[] = {
    {"act_kwargs", &act_kwargs}, {"norm_kwargs", &norm_kwargs}, {"tokenizer_kwargs", &tokenizer_kwargs}, {0}};

#define CUSTOM_BLOCKS "qk_norm scaled_cosine_attn scale_heads scale_attn_inner scale_attn scale_fc"
/* multimodal_cfg describes CoCa's decoder, which is not read; output_tokens serve that.
 * final_ln_after_pool: where one token is pooled, the norm gives the same before and after. */
static const clipmdl_settings vision_cfg = {
    .known = "layers width head_width mlp_ratio patch_size image_size no_ln_pre patch_dropout final_ln_after_pool "
             "attentional_pool attn_pooler_queries attn_pooler_heads output_tokens ls_init_value timm_model_pretrained "
             "timm_pool timm_proj timm_proj_bias timm_drop timm_drop_path",
    .off = CUSTOM_BLOCKS,
    .one_of = (const clipmdl_choice[]){{"pool_type", "tok avg"},
                                       {"pos_embed_type", "learnable"},
                                       {"timm_model_name", timm_names},
                                       {"block_type", "default"},
                                       {0}},
    .parts = kwargs_parts,
};

static const clipmdl_settings text_cfg = {
    .known = "context_length vocab_size width heads layers mlp_ratio eos_id pad_id final_ln_after_pool "
             "hf_tokenizer_name hf_model_pretrained hf_model_name no_causal_mask proj_bias embed_cls output_tokens "
             "ls_init_value",
    .off = "tokenizer_mode " CUSTOM_BLOCKS,
    .one_of = (const clipmdl_choice[]){{"pool_type", "argmax eos last first"},
                                       {"proj_type", "linear none"},
                                       {"hf_proj_type", "linear mlp"},
                                       {"hf_pooler_type", "mean_pooler cls_pooler cls_last_hidden_state_pooler"},
                                       {"block_type", "default"},
                                       {0}},
    .parts = kwargs_parts,
};

static const clipmdl_settings model_cfg = {
    .known = "embed_dim quick_gelu init_logit_scale init_logit_bias nonscalar_logit_scale cast_dtype output_dict "
             "custom_text multimodal_cfg",
    .parts = (const clipmdl_settings_part[]){{"vision_cfg", &vision_cfg}, {"text_cfg", &text_cfg}, {0}},
};

/* interpolation "random" is for training: OpenCLIP evaluates with bicubic. The value of size is
 * ignored: it is the model's. */
static const clipmdl_settings preprocess_cfg = {
    .lenient = true,
    .known = "size mean std fill_color background",
    .one_of = (const clipmdl_choice[]){{"mode", "RGB"},
                                       {"interpolation", "bicubic bilinear random"},
                                       {"resize_mode", "shortest longest squash"},
                                       {0}},
};

static const clipmdl_settings_part wholes[] = {{"model_cfg", &model_cfg}, {"preprocess_cfg", &preprocess_cfg}, {0}};
static const clipmdl_settings openclip = {.parts = wholes, .open = true};

static clip_status check_settings(const clipmdl_reader *r, const cJSON *root)
{
    return clipmdl_settings_check(&openclip, root, "OpenCLIP", true, r->file, r->warn, r->warn_user, r->err);
}

/* ---- Configuration --------------------------------------------------------------------------- */

static clip_status read_mlp(const clipmdl_reader *r, const cJSON *o, int width, int *mlp)
{
    const cJSON *ratio = cJSON_GetObjectItemCaseSensitive(o, "mlp_ratio");
    double product = width * (!ratio ? 4.0 : cJSON_IsNumber(ratio) ? ratio->valuedouble : -1);
    if (!(product >= 1 && product <= 16 * CLIPMDL_MOST_SIDE))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"mlp_ratio\" is out of range");
    *mlp = (int)product; /* int(width * mlp_ratio) */
    return CLIP_OK;
}

/* act_kwargs go to nn.GELU; OpenCLIP's QuickGELU takes none. */
static clipk_act read_act(const cJSON *o, clipk_act act)
{
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(o, "act_kwargs");
    return act == CLIPK_GELU && clipmdl_json_is(kwargs, "approximate", "tanh") ? CLIPK_GELU_TANH : act;
}

static clip_status read_eps(const clipmdl_reader *r, const cJSON *o, float *eps)
{
    *eps = 1e-5f;
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(o, "norm_kwargs");
    if (kwargs && !cJSON_IsNull(kwargs) && !cJSON_IsObject(kwargs))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "\"norm_kwargs\" must be an object");
    return kwargs ? clipb_json_float(kwargs, "eps", eps, r->file, r->err) : CLIP_OK;
}

/* An encoder of timm's: OpenCLIP takes all but the size of pictures from its name. */
static clip_status read_timm(const clipmdl_reader *r, const cJSON *o, const char *name, clipmdl_vision_config *v)
{
    const char *pool, *proj, *asked_pool = "avg", *asked_proj = "linear";
    if (!clipmdl_timm_read(name, v, &pool, &proj))
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file, "timm's encoder \"%.60s\" is not supported", name);
    const cJSON *none = cJSON_GetObjectItemCaseSensitive(o, "timm_proj");
    TRY(clipb_json_string(o, "timm_pool", &asked_pool, r->file, r->err));
    TRY(clipb_json_string(o, "timm_proj", &asked_proj, r->file, r->err));
    if (cJSON_IsNull(none) || !*asked_proj)
        asked_proj = NULL;
    v->mlp_head = proj && asked_proj && strcmp(proj, "linear") == 0 && strcmp(asked_proj, "mlp") == 0;
    proj = v->mlp_head ? "mlp" : proj;
    if (strcmp(asked_pool, pool) != 0 || !asked_proj != !proj || (proj && strcmp(asked_proj, proj) != 0))
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"%s\" is supported with \"timm_pool\" \"%s\" and \"timm_proj\" %s alone", name, pool,
                          proj ? proj : "null");
    return clipmdl_json_size(r, o, "image_size", &v->image_size);
}

static bool has_layer_scale(const cJSON *o)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(o, "ls_init_value");
    return value && !cJSON_IsNull(value);
}

/* CoCa's. OpenCLIP calls its other two ways, "parallel" and "cascade", untested. */
static clip_status read_pooler(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(o, "attentional_pool");
    bool pools = false;
    if (cJSON_IsString(kind) && *kind->valuestring)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "a setting that is not supported: model_cfg.vision_cfg.attentional_pool is \"%.60s\"",
                          kind->valuestring);
    if (!cJSON_IsString(kind))
        TRY(clipb_json_bool(o, "attentional_pool", &pools, r->file, r->err));
    if (!pools)
        return CLIP_OK;
    if (v->pooling == CLIPNN_POOL_MEAN)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"attentional_pool\" is supported with \"pool_type\" \"tok\" alone");
    v->tower = &clipmdl_vit_pooler;
    v->pooling = CLIPNN_POOL_ATTENTION;
    v->pool_queries = 256;
    v->pool_heads = 8;
    TRY(clipmdl_json_size(r, o, "attn_pooler_queries", &v->pool_queries));
    return clipmdl_json_size(r, o, "attn_pooler_heads", &v->pool_heads);
}

static clip_status read_vision(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v)
{
    const char *timm = "";
    TRY(clipb_json_string(o, "timm_model_name", &timm, r->file, r->err));
    if (*timm)
        return read_timm(r, o, timm, v);
    bool no_ln_pre = false, ln_after = false;
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
        TRY(clipmdl_json_size(r, o, "image_size", &v->image_size));
    }
    TRY(clipmdl_json_size(r, o, "width", &v->width));
    TRY(clipmdl_json_size(r, o, "head_width", &head_width));
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(o, "layers");
    if (cJSON_IsArray(layers)) {
        v->tower = &clipmdl_resnet;
        int n = 0;
        const cJSON *e;
        cJSON_ArrayForEach(e, layers)
        {
            if (n == 4 || !cJSON_IsNumber(e) || !(e->valuedouble >= 1 && e->valuedouble <= CLIPMDL_MOST_LAYERS))
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
    v->pooling = clipmdl_json_is(o, "pool_type", "avg") ? CLIPNN_POOL_MEAN : CLIPNN_POOL_FIRST;
    TRY(clipb_json_bool(o, "final_ln_after_pool", &ln_after, r->file, r->err));
    v->norm_last = v->pooling == CLIPNN_POOL_MEAN && ln_after;
    TRY(clipb_json_int(o, "layers", 1, CLIPMDL_MOST_LAYERS, &v->layers, r->file, r->err));
    TRY(clipmdl_json_size(r, o, "patch_size", &v->patch_size));
    TRY(clipb_json_bool(o, "no_ln_pre", &no_ln_pre, r->file, r->err));
    TRY(clipb_json_float(o, "patch_dropout", &v->patch_dropout, r->file, r->err));
    v->ln_pre = !no_ln_pre;
    v->heads = v->width / head_width;
    v->act = read_act(o, v->act);
    v->layer_scale = has_layer_scale(o);
    if (v->layer_scale)
        v->tower = &clipmdl_vit_scaled;
    TRY(read_mlp(r, o, v->width, &v->mlp));
    TRY(read_eps(r, o, &v->eps));
    return read_pooler(r, o, v);
}

static clipnn_pooling read_pooling(const cJSON *text)
{
    return clipmdl_json_is(text, "pool_type", "eos")     ? CLIPNN_POOL_EOS
           : clipmdl_json_is(text, "pool_type", "last")  ? CLIPNN_POOL_LAST
           : clipmdl_json_is(text, "pool_type", "first") ? CLIPNN_POOL_FIRST
                                                         : CLIPNN_POOL_ARGMAX;
}

/* HFTextEncoder's projections have no biases. */
static clip_status read_hf_projection(const clipmdl_reader *r, const cJSON *o, int embed_dim, clipmdl_text_config *t)
{
    const bool none = cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "hf_proj_type"));
    t->projection = none ? CLIPMDL_PROJECTION_NONE : CLIPMDL_PROJECTION_PLAIN;
    if (none && t->width != embed_dim)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"hf_proj_type\" is null, for a text width of %d and an embedding of %d", t->width,
                          embed_dim);
    if (!none && !clipmdl_json_is(o, "hf_proj_type", "linear"))
        t->bert.proj_in = (clipmdl_proj_in){.width = (t->width + embed_dim) / 2, .act = CLIPK_GELU};
    return CLIP_OK;
}

/* How OpenCLIP reads texts for it. */
static clip_status read_tokenizer(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    const char *name = "";
    TRY(clipb_json_string(o, "hf_tokenizer_name", &name, r->file, r->err));
    t->hf_tokenizer = *name != 0;
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(o, "tokenizer_kwargs");
    bool strip = false;
    TRY(clipb_json_bool(kwargs, "strip_sep_token", &strip, r->file, r->err));
    if (clipmdl_json_is(kwargs, "clean", "canonicalize"))
        t->tokenizer = "openclip-canonical";
    else if (strip)
        t->tokenizer = "openclip-clipa";
    /* "." alone is a vocabulary of our own, which follows transformers */
    else if (clipmdl_json_is(kwargs, "clean", "whitespace") || (*name && strcmp(name, ".") != 0))
        t->tokenizer = "openclip-hf";
    return CLIP_OK;
}

/* An encoder of transformers': OpenCLIP takes all but the context from its name. */
static clip_status read_hf_text(const clipmdl_reader *r, const cJSON *o, const char *name, int embed_dim,
                                clipmdl_text_config *t)
{
    TRY(clipmdl_hf_text_read(r, "model_cfg.text_cfg.hf_model_name", name, t));
    const char *pooler = "mean_pooler";
    TRY(clipb_json_string(o, "hf_pooler_type", &pooler, r->file, r->err));
    t->bert.pooler = strcmp(pooler, "cls_pooler") == 0 && t->bert.post_norm; /* which M2M-100 has not */
    t->pooling = strcmp(pooler, "mean_pooler") == 0 ? CLIPNN_POOL_MEAN : CLIPNN_POOL_FIRST;
    t->context_length = 77;
    TRY(clipmdl_json_size(r, o, "context_length", &t->context_length));
    TRY(read_tokenizer(r, o, t));
    return read_hf_projection(r, o, embed_dim, t);
}

/* CoCa's, whose mask asks where the padding is. */
static clip_status read_class_token(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    bool embed_cls = false;
    int pad_id = 0;
    TRY(clipb_json_bool(o, "embed_cls", &embed_cls, r->file, r->err));
    if (!embed_cls)
        return CLIP_OK;
    TRY(clipb_json_int(o, "pad_id", 0, CLIPMDL_MOST_VOCABULARY, &pad_id, r->file, r->err));
    if (pad_id != 0 || t->hf_tokenizer)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "\"embed_cls\" is supported with OpenCLIP's own tokenizer alone, and \"pad_id\" 0");
    t->tower = &clipmdl_coca;
    t->pooling = CLIPNN_POOL_LAST;
    t->padded = false;
    return CLIP_OK;
}

static clip_status read_text(const clipmdl_reader *r, const cJSON *o, int embed_dim, clipmdl_text_config *t)
{
    const char *hf = "";
    TRY(clipb_json_string(o, "hf_model_name", &hf, r->file, r->err));
    if (*hf)
        return read_hf_text(r, o, hf, embed_dim, t);
    *t =
        (clipmdl_text_config){.tower = &clipmdl_text,
                              .context_length = 77,
                              .vocab_size = 49408,
                              .width = 512,
                              .heads = 8,
                              .layers = 12,
                              .eos_id = 2,
                              .act = t->act,
                              .pooling = read_pooling(o)};
    bool no_causal_mask = false, proj_bias = false;
    TRY(clipb_json_bool(o, "no_causal_mask", &no_causal_mask, r->file, r->err));
    TRY(clipb_json_bool(o, "proj_bias", &proj_bias, r->file, r->err));
    t->causal = !no_causal_mask;
    t->padded = no_causal_mask || t->pooling == CLIPNN_POOL_LAST; /* nothing masks the padding */
    t->projection = clipmdl_json_is(o, "proj_type", "none") ? CLIPMDL_PROJECTION_NONE
                    : proj_bias                             ? CLIPMDL_PROJECTION_LINEAR
                                                            : CLIPMDL_PROJECTION_MATRIX;
    t->act = read_act(o, t->act);
    TRY(read_tokenizer(r, o, t));
    TRY(clipmdl_json_size(r, o, "context_length", &t->context_length));
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    TRY(clipmdl_json_size(r, o, "width", &t->width));
    TRY(clipmdl_json_size(r, o, "heads", &t->heads));
    TRY(clipb_json_int(o, "layers", 1, CLIPMDL_MOST_LAYERS, &t->layers, r->file, r->err));
    TRY(clipb_json_int(o, "eos_id", 0, CLIPMDL_MOST_VOCABULARY, &t->eos_id, r->file, r->err));
    t->layer_scale = has_layer_scale(o);
    if (t->layer_scale)
        t->tower = &clipmdl_text_scaled;
    TRY(read_mlp(r, o, t->width, &t->mlp));
    TRY(read_eps(r, o, &t->eps));
    return read_class_token(r, o, t);
}

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    TRY(check_settings(r, root));
    const cJSON *model, *vision, *text;
    bool quick_gelu = false, custom_text = false;
    TRY(clipmdl_json_object(r, root, "model_cfg", &model));
    TRY(clipmdl_json_object(r, model, "vision_cfg", &vision));
    TRY(clipmdl_json_object(r, model, "text_cfg", &text));
    TRY(clipmdl_json_size(r, model, "embed_dim", &c->embed_dim));
    if (!c->embed_dim)
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no \"embed_dim\"");
    TRY(clipb_json_bool(model, "quick_gelu", &quick_gelu, r->file, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->vision.act = c->text.act = quick_gelu ? CLIPK_QUICKGELU : CLIPK_GELU;
    TRY(clipb_json_bool(model, "custom_text", &custom_text, r->file, r->err));
    TRY(read_vision(r, vision, &c->vision));
    TRY(read_text(r, text, c->embed_dim, &c->text));
    c->text.custom = custom_text;
    return CLIP_OK;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static clip_status read_pictures(const cJSON *root, clipmdl_recipe *r, const char *file, clip_error *err)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, "preprocess_cfg");
    const char *filter = "bicubic", *mode = "shortest";
    double fill[3] = {0};
    if (!o || cJSON_IsNull(o))
        return CLIP_OK;
    if (!cJSON_IsObject(o))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"preprocess_cfg\" must be an object");
    TRY(clipmdl_json_statistics(o, "mean", "std", r, file, err));
    TRY(clipmdl_json_background(o, r, file, err));
    TRY(clipb_json_string(o, "interpolation", &filter, file, err));
    TRY(clipb_json_string(o, "resize_mode", &mode, file, err));
    TRY(clipmdl_json_triple(o, "fill_color", 0, 255, fill, file, err));
    for (int i = 0; i < 3; i++)
        r->fill_color[i] = (uint8_t)fill[i];
    r->interpolation = strcmp(filter, "bilinear") == 0 ? "bilinear" : "bicubic";
    r->resize_mode = strcmp(mode, "longest") == 0 ? "longest" : strcmp(mode, "squash") == 0 ? "squash" : "shortest";
    return CLIP_OK;
}

clip_status clipmdl_openclip_recipe(const char *path, clipmdl_recipe *out, clip_error *err)
{
    cJSON *root;
    TRY(clipb_json_read(path, MOST_CONFIG, &root, err));
    clip_status s = check_settings(&(clipmdl_reader){.file = path, .err = err}, root); /* warned before */
    if (s == CLIP_OK)
        s = read_pictures(root, out, path, err);
    cJSON_Delete(root);
    return s;
}

static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    char *path = clipb_path_join(dir, "open_clip_config.json");
    (void)size; /* the model's size counts, whatever the file says */
    if (!path)
        return CLIP_ENOMEM;
    *found = clipb_is_file(path);
    clip_status s = *found ? clipmdl_openclip_recipe(path, out, r->err) : CLIP_OK;
    free(path);
    return s;
}

static int pad_id(const clipmdl_text_config *t) { return t->bert.pad_id; } /* 0 for OpenCLIP's own encoder */

static const char *const unread[] = {"text_decoder.", NULL};

const clipmdl_family clipmdl_openclip = {
    .name = "OpenCLIP",
    .layout = "openclip",
    .marks = marks,
    .beginnings = beginnings,
    .unread = {unread, "text_decoder, the decoder of CoCa: captions are not offered"},
    .translate = translate,
    .ones = ones,
    .transposes = true,
    .prepare = join_positions,
    .config_file = "open_clip_config.json",
    .read_config = read_config,
    .guess = guess,
    .tokenizer = "openclip",
    .vocabulary = CLIPMDL_OPENAI_VOCABULARY,
    .pad_id = pad_id,
    .preprocessor = "OpenCLIP",
    .rounding = "openclip",
    .read_recipe = read_recipe,
    .weights_file = "open_clip_model.safetensors",
    .writes = clipmdl_openclip_writes,
    .save = clipmdl_openclip_save,
};
