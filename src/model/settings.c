#include "model/settings.h"

#include <stdio.h>
#include <string.h>

/* What an object may hold. null is every setting's default, or stands for it. */
typedef struct table {
    const char *known;        /* names: their readers check them, or they change nothing that this engine computes */
    const char *off;          /* names: must be false, 0 or empty */
    const struct choice *one_of;
    const struct part *parts; /* objects */
} table;

typedef struct choice {
    const char *key, *values; /* the values that are supported */
} choice;

typedef struct part {
    const char *key;
    const table *table;
} part;

/* ---- OpenCLIP 3.3: open_clip/model.py, CLIPVisionCfg, CLIPTextCfg, CLIP.__init__(); transform.py, PreprocessCfg  */

static const table act_kwargs = {.one_of = (const choice[]){{"approximate", "none"}, {0}}};
static const table norm_kwargs = {.known = "eps",
                                  .one_of = (const choice[]){{"elementwise_affine", "true"}, {"bias", "true"}, {0}}};
static const part kwargs[] = {{"act_kwargs", &act_kwargs}, {"norm_kwargs", &norm_kwargs}, {0}};

#define CUSTOM_BLOCKS " qk_norm scaled_cosine_attn scale_heads scale_attn_inner scale_attn scale_fc"
#define PLAIN_BLOCKS {"ls_init_value", "null"}, {"block_type", "default"}

/* final_ln_after_pool: one token is pooled, so its norm is the same before and after. */
static const table vision_cfg = {
    .known = "layers width head_width mlp_ratio patch_size image_size no_ln_pre patch_dropout final_ln_after_pool "
             "attn_pooler_queries "
             "attn_pooler_heads timm_model_pretrained timm_pool timm_proj timm_proj_bias timm_drop timm_drop_path",
    .off = "attentional_pool output_tokens timm_model_name" CUSTOM_BLOCKS,
    .one_of = (const choice[]){{"pool_type", "tok"}, {"pos_embed_type", "learnable"}, PLAIN_BLOCKS, {0}},
    .parts = kwargs,
};

static const table text_cfg = {
    .known = "context_length vocab_size width heads layers mlp_ratio eos_id pad_id final_ln_after_pool "
             "hf_tokenizer_name hf_model_pretrained "
             "hf_proj_type hf_pooler_type",
    .off = "embed_cls no_causal_mask proj_bias output_tokens tokenizer_mode tokenizer_kwargs "
           "hf_model_name" CUSTOM_BLOCKS,
    .one_of = (const choice[]){{"pool_type", "argmax eos"}, {"proj_type", "linear"}, PLAIN_BLOCKS, {0}},
    .parts = kwargs,
};

static const table model_cfg = {
    .known = "embed_dim quick_gelu init_logit_scale init_logit_bias nonscalar_logit_scale cast_dtype output_dict",
    .off = "custom_text multimodal_cfg",
    .parts = (const part[]){{"vision_cfg", &vision_cfg}, {"text_cfg", &text_cfg}, {0}},
};

/* interpolation "random" is for training: OpenCLIP evaluates with bicubic. size is the model's,
 * whatever it says. */
static const table preprocess_cfg = {
    .known = "size mean std fill_color background",
    .one_of = (const choice[]){{"mode", "RGB"},
                               {"interpolation", "bicubic bilinear random"},
                               {"resize_mode", "shortest longest squash"},
                               {0}},
};

static const part wholes[] = {{"model_cfg", &model_cfg}, {"preprocess_cfg", &preprocess_cfg}, {0}};
static const table openclip = {.parts = wholes};

/* ---- transformers 4.0 to 5.24: CLIPConfig, CLIPTextConfig, CLIPVisionConfig, PreTrainedConfig - */

#define ALL_MODELS \
    " _name_or_path _commit_hash _attn_implementation _attn_implementation_autoset" \
    " _experts_implementation add_cross_attention architectures attn_implementation" \
    " bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward" \
    " cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dtype" \
    " early_stopping encoder_no_repeat_ngram_size eos_token_id" \
    " exponential_decay_length_penalty finetuning_task forced_bos_token_id" \
    " forced_eos_token_id gradient_checkpointing id2label initializer_factor" \
    " initializer_range is_composition is_decoder is_encoder_decoder" \
    " keys_to_ignore_at_inference label2id length_penalty logit_scale_init_value max_length" \
    " min_length model_type no_repeat_ngram_size num_beam_groups num_beams num_labels" \
    " num_return_sequences output_attentions output_hidden_states output_scores pad_token_id" \
    " prefix problem_type projection_dim remove_invalid_values repetition_penalty return_dict" \
    " return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature" \
    " tf_legacy_loss tie_encoder_decoder tie_word_embeddings tokenizer_class top_k top_p" \
    " torch_dtype torchscript transformers.js_config transformers_version" \
    " transformers_weights typical_p use_bfloat16 use_cache"
#define OTHER_PROGRAMS "auto_map pruned_heads quantization_config"

#define TOWER \
    "hidden_size intermediate_size num_hidden_layers num_attention_heads layer_norm_eps attention_dropout " \
    "dropout" ALL_MODELS
#define TEXT_TOWER TOWER " vocab_size max_position_embeddings"
#define IMAGE_TOWER TOWER " image_size patch_size"
#define ACTIVATION {"hidden_act", "quick_gelu gelu"}

static const table text_config = {.known = TEXT_TOWER,
                                  .off = OTHER_PROGRAMS,
                                  .one_of = (const choice[]){{"model_type", "clip_text_model clip"}, ACTIVATION, {0}}};
static const table vision_config = {
    .known = IMAGE_TOWER, .off = OTHER_PROGRAMS,
    .one_of = (const choice[]){{"model_type", "clip_vision_model clip"}, {"num_channels", "3"}, ACTIVATION, {0}}};

static const part towers[] = {{"text_config", &text_config},
                              {"vision_config", &vision_config},
                              {"text_config_dict", &text_config},
                              {"vision_config_dict", &vision_config},
                              {0}};
static const table pair = {.known = ALL_MODELS, .off = OTHER_PROGRAMS, .parts = towers};
static const table text_alone = {
    .known = TEXT_TOWER, .off = OTHER_PROGRAMS, .one_of = (const choice[]){ACTIVATION, {0}}, .parts = towers};
static const table vision_alone = {.known = IMAGE_TOWER,
                                   .off = OTHER_PROGRAMS,
                                   .one_of = (const choice[]){{"num_channels", "3"}, ACTIVATION, {0}},
                                   .parts = towers};

static const table sides = {.known = "shortest_edge height width",
                            .off = "longest_edge max_height max_width min_pixels max_pixels"};
static const table preprocessor = {
    .known =
        "processor_class background image_mean image_std rescale_factor do_center_crop do_convert_rgb pad_size size_divisor "
        "data_format input_data_format device return_tensors disable_grouping image_seq_length "
        "_valid_processor_keys _processor_class "
        "transformers_version",
    .off = "auto_map do_pad default_to_square use_square_size",
    .one_of = (const choice[]){{"image_processor_type", "CLIPImageProcessor CLIPImageProcessorFast "
                                                        "CLIPImageProcessorPil CLIPFeatureExtractor"},
                               {"feature_extractor_type", "CLIPFeatureExtractor CLIPImageProcessor"},
                               {"resample", "2 3"},
                               {"do_resize", "true"},
                               {"do_rescale", "true"},
                               {"do_normalize", "true"},
                               {0}},
    .parts = (const part[]){{"size", &sides}, {"crop_size", &sides}, {0}},
};

/* ---- Checking -------------------------------------------------------------------------------- */

typedef struct list {
    char text[640];
    int n, left_out;
} list;

typedef struct check {
    list faults, unknown;
    bool strict; /* an unknown setting is at fault */
} check;

static void add(list *l, const char *line)
{
    const size_t used = strlen(l->text), room = sizeof l->text - used;
    if (strlen(line) + 3 > room)
        l->left_out++;
    else
        snprintf(l->text + used, room, "%s%s", l->n > 0 ? ", " : "", line);
    l->n++;
}

static void finish(list *l)
{
    const size_t used = strlen(l->text);
    if (l->left_out > 0)
        snprintf(l->text + used, sizeof l->text - used, " +%d", l->left_out);
}

/* Is `word` one of those in `words`, separated by blanks? */
static bool is_one_of(const char *words, const char *word)
{
    const size_t n = strlen(word);
    if (n == 0 || strchr(word, ' '))
        return false;
    for (const char *w = words; (w = strstr(w, word)); w += n)
        if ((w == words || w[-1] == ' ') && (w[n] == ' ' || w[n] == 0))
            return true;
    return false;
}

/* A value as the tables write it; "" what is false, 0 or empty. */
static const char *token(const cJSON *v, char room[32])
{
    if (cJSON_IsNull(v) || cJSON_IsTrue(v))
        return cJSON_IsNull(v) ? "null" : "true";
    if (cJSON_IsString(v))
        return v->valuestring;
    if (cJSON_IsNumber(v) && v->valuedouble != 0) {
        snprintf(room, 32, "%g", v->valuedouble);
        return room;
    }
    return (cJSON_IsObject(v) || cJSON_IsArray(v)) && v->child ? "{..}" : "";
}

static const table *find_part(const table *t, const char *key)
{
    const part *p = t->parts;
    while (p && p->key && strcmp(p->key, key) != 0)
        p++;
    return p && p->key ? p->table : NULL;
}

static const char *find_values(const table *t, const char *key)
{
    const choice *c = t->one_of;
    while (c && c->key && strcmp(c->key, key) != 0)
        c++;
    return c && c->key ? c->values : NULL;
}

/* JSON does not say which of two counts. Asked of known settings alone, so that it stays linear. */
static bool comes_again(const cJSON *v)
{
    const cJSON *later = v->next;
    while (later && strcmp(later->string, v->string) != 0)
        later = later->next;
    return later != NULL;
}

static void name_fault(check *c, const char *path, const cJSON *v)
{
    char line[176], room[32];
    const char *is = cJSON_IsFalse(v) ? "false" : cJSON_IsNumber(v) && v->valuedouble == 0 ? "0" : token(v, room);
    const char *quote = cJSON_IsString(v) ? "\"" : "";
    snprintf(line, sizeof line, "%s is %s%.48s%s", path, quote, is, quote);
    add(&c->faults, line);
}

static void check_object(check *c, const table *t, const cJSON *o, const char *path);

static void check_setting(check *c, const table *t, const cJSON *v, const char *path)
{
    char line[144], room[32];
    const char *values = find_values(t, v->string);
    const table *inner = find_part(t, v->string);
    const bool off = t->off && is_one_of(t->off, v->string),
               known = off || values || inner || (t->known && is_one_of(t->known, v->string));
    if (known && comes_again(v)) {
        snprintf(line, sizeof line, "%s is set twice", path);
        add(&c->faults, line);
    } else if (inner && cJSON_IsObject(v)) {
        check_object(c, inner, v, path);
    } else if (!cJSON_IsNull(v) && ((values && !is_one_of(values, token(v, room))) || (off && *token(v, room)))) {
        name_fault(c, path, v);
    } else if (!known && c->strict) {
        snprintf(line, sizeof line, "%s is unknown", path);
        add(&c->faults, line);
    } else if (!known && !cJSON_IsNull(v)) {
        add(&c->unknown, path);
    }
}

static void check_object(check *c, const table *t, const cJSON *o, const char *path)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, o)
    {
        char at[112];
        snprintf(at, sizeof at, "%.48s%s%.60s", path, *path ? "." : "", v->string);
        check_setting(c, t, v, at);
    }
}

static clip_status judge(check *c, const char *whose, const char *file, clip_warn_fn warn, void *warn_user,
                         clip_error *err)
{
    finish(&c->faults);
    finish(&c->unknown);
    if (c->faults.n > 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "%s not supported: %s",
                          c->faults.n > 1 ? "settings that are" : "a setting that is", c->faults.text);
    if (c->unknown.n > 0 && warn) {
        char line[1024];
        snprintf(line, sizeof line, "%.200s: %s does not know %s: ignored, as it does", file, whose, c->unknown.text);
        warn(warn_user, line);
    }
    return CLIP_OK;
}

clip_status clipmdl_settings_openclip(const cJSON *root, const char *file, clip_error *err)
{
    check c = {.strict = true};
    for (const part *p = openclip.parts; p->key; p++) {
        const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, p->key);
        if (o)
            check_setting(&c, &openclip, o, p->key);
    }
    return judge(&c, "OpenCLIP", file, NULL, NULL, err);
}

clip_status clipmdl_settings_huggingface(const cJSON *root, const char *file, clip_warn_fn warn, void *warn_user,
                                         clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(root, "model_type");
    const char *type = cJSON_IsString(v) ? v->valuestring : "";
    check c = {0};
    check_object(&c,
                 strcmp(type, "clip_text_model") == 0     ? &text_alone
                 : strcmp(type, "clip_vision_model") == 0 ? &vision_alone
                                                          : &pair,
                 root, "");
    return judge(&c, "transformers' CLIP", file, warn, warn_user, err);
}

clip_status clipmdl_settings_preprocessor(const cJSON *o, const char *file, clip_warn_fn warn, void *warn_user,
                                          clip_error *err)
{
    check c = {0};
    check_object(&c, &preprocessor, o, "");
    return judge(&c, "transformers' CLIPImageProcessor", file, warn, warn_user, err);
}
