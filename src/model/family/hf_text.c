/* hf_text.c: transformers' text encoders: the table, and the configurations of others. */
#include "model/family/hf_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/family/bert.h"
#include "model/family/huggingface.h"
#include "model/tower.h"

#define MOST_CONFIG ((size_t)16 << 20)

typedef enum kind { BERT, ROBERTA, M2M100, MT5 } kind;

typedef struct hf_text {
    const char *name;
    kind kind;
    int vocabulary, width, layers, heads, mlp;
} hf_text;

static const hf_text texts[] = {
#define X(name, kind, vocabulary, width, layers, heads, mlp) {name, kind, vocabulary, width, layers, heads, mlp},
    CLIPMDL_HF_TEXTS(X)
#undef X
};
enum { TEXTS = sizeof texts / sizeof *texts };

/* ---- The table ------------------------------------------------------------------------------- */

static clipmdl_text_config config_of(const hf_text *m)
{
    clipmdl_text_config t = {.tower = &clipmdl_bert,
                             .vocab_size = m->vocabulary,
                             .width = m->width,
                             .heads = m->heads,
                             .layers = m->layers,
                             .mlp = m->mlp,
                             .eps = m->kind == BERT ? 1e-12f : 1e-5f,
                             .act = m->kind == M2M100 ? CLIPK_RELU : CLIPK_GELU};
    switch (m->kind) {
    case BERT:
        t.bert = (clipmdl_bert_config){.names = "bert.", .positions = 512, .token_types = 2, .scale = 1};
        t.bert.post_norm = t.bert.ln_embedding = true;
        break;
    case ROBERTA: /* positions begin behind that of the padding */
        t.bert = (clipmdl_bert_config){
            .names = "bert.", .positions = 514, .first_position = 2, .token_types = 1, .pad_id = 1, .scale = 1};
        t.bert.post_norm = t.bert.ln_embedding = true;
        break;
    case M2M100:
        t.bert = (clipmdl_bert_config){.names = "m2m100.", .first_position = 2, .pad_id = 1, .ln_final = true};
        t.bert.scale = sqrtf((float)m->width);
        break;
    case MT5:
        t.tower = &clipmdl_t5;
        t.eps = 1e-6f;
        t.act = CLIPK_GELU_TANH;
        t.bert.names = "";
        break;
    }
    return t;
}

clipmdl_text_config clipmdl_hf_text_bert(void)
{
    return config_of(&(hf_text){NULL, BERT, 30522, 768, 12, 12, 3072});
}

clipmdl_text_config clipmdl_hf_text_xlm_roberta(void)
{
    return config_of(&(hf_text){NULL, ROBERTA, 250002, 1024, 24, 16, 4096});
}

static bool is(const clipmdl_text_config *a, const clipmdl_text_config *b)
{
    return a->tower == b->tower && a->vocab_size == b->vocab_size && a->width == b->width && a->heads == b->heads &&
           a->layers == b->layers && a->mlp == b->mlp && a->eps == b->eps && a->act == b->act &&
           strcmp(a->bert.names, b->bert.names) == 0 && a->bert.positions == b->bert.positions &&
           a->bert.first_position == b->bert.first_position && a->bert.token_types == b->bert.token_types &&
           a->bert.pad_id == b->bert.pad_id && a->bert.scale == b->bert.scale && a->bert.ln_final == b->bert.ln_final;
}

const char *clipmdl_hf_text_name(const clipmdl_text_config *t)
{
    for (int i = 0; t->tower == &clipmdl_bert && i < TEXTS; i++) {
        const clipmdl_text_config c = config_of(&texts[i]);
        if (is(t, &c))
            return texts[i].name;
    }
    return NULL;
}

/* ---- Settings of transformers 4.0 to 5.24: BertConfig, RobertaConfig, XLMRobertaConfig,
 *      M2M100Config, MT5Config ----------------------------------------------------------------- */

static const clipmdl_settings bert_config = {.known = CLIPMDL_HF_TEXT CLIPMDL_BERT_SETTINGS,
                                             .off = CLIPMDL_HF_OTHERS,
                                             .one_of = (const clipmdl_choice[]){CLIPMDL_BERT_ONE_OF, {0}}};
static const clipmdl_settings m2m100_config = {
    .known = "d_model encoder_layers encoder_attention_heads encoder_ffn_dim encoder_layerdrop decoder_layers "
             "decoder_attention_heads decoder_ffn_dim decoder_layerdrop activation_dropout init_std scale_embedding "
             "num_hidden_layers hidden_size num_attention_heads attention_dropout dropout vocab_size "
             "max_position_embeddings" CLIPMDL_HF_ALL,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"activation_function", "relu"}, {0}}};

static const clipmdl_settings mt5_config = {
    .known = "d_model d_kv d_ff num_layers num_decoder_layers num_heads dropout_rate classifier_dropout "
             "layer_norm_epsilon initializer_factor vocab_size hidden_size num_attention_heads num_hidden_layers "
             "head_dim n_positions scale_decoder_outputs" CLIPMDL_HF_ALL,
    .off = CLIPMDL_HF_OTHERS,
    .one_of = (const clipmdl_choice[]){{"feed_forward_proj", "gated-gelu"},
                                       {"dense_act_fn", "gelu_new"},
                                       {"is_gated_act", "true"},
                                       {"relative_attention_num_buckets", "32"},
                                       {"relative_attention_max_distance", "128"},
                                       {0}}};

static clip_status read_bert(const clipmdl_reader *r, const cJSON *o, bool roberta, clipmdl_text_config *t)
{
    TRY(clipmdl_settings_check(&bert_config, o, "transformers' BERT", false, r->file, r->warn, r->warn_user, r->err));
    *t = config_of(&(hf_text){NULL, roberta ? ROBERTA : BERT, roberta ? 50265 : 30522, 768, 12, 12, 3072});
    t->eps = 1e-12f;
    t->bert.positions = 512;
    t->bert.token_types = 2;
    TRY(clipmdl_bert_read(r, o, t));
    t->bert.first_position = roberta ? t->bert.pad_id + 1 : 0;
    return CLIP_OK;
}

#define ALIASES {"hidden_size", "num_attention_heads", "num_hidden_layers"}

/* Width, heads and layers. Of two names of one setting, transformers takes the second. */
static clip_status read_sizes(const clipmdl_reader *r, const cJSON *o, const char *const name[2][3],
                              clipmdl_text_config *t)
{
    for (int i = 0; i < 2; i++) {
        TRY(clipmdl_json_size(r, o, name[i][0], &t->width));
        TRY(clipmdl_json_size(r, o, name[i][1], &t->heads));
        TRY(clipb_json_int(o, name[i][2], 1, CLIPMDL_MOST_LAYERS, &t->layers, r->file, r->err));
    }
    return CLIP_OK;
}

static clip_status read_m2m100(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    bool scales = true;
    TRY(clipmdl_settings_check(&m2m100_config, o, "transformers' M2M100", false, r->file, r->warn, r->warn_user,
                               r->err));
    *t = config_of(&(hf_text){NULL, M2M100, 128112, 1024, 12, 16, 4096});
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    static const char *const names[2][3] = {{"d_model", "encoder_attention_heads", "encoder_layers"}, ALIASES};
    TRY(read_sizes(r, o, names, t));
    TRY(clipmdl_json_size(r, o, "encoder_ffn_dim", &t->mlp));
    TRY(clipb_json_int(o, "pad_token_id", 0, CLIPMDL_MOST_VOCABULARY, &t->bert.pad_id, r->file, r->err));
    TRY(clipb_json_bool(o, "scale_embedding", &scales, r->file, r->err));
    t->bert.first_position = t->bert.pad_id + 1;
    t->bert.scale = scales ? sqrtf((float)t->width) : 1;
    return CLIP_OK;
}

static clip_status read_mt5(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    int d_kv = 64;
    TRY(clipmdl_settings_check(&mt5_config, o, "transformers' MT5", false, r->file, r->warn, r->warn_user, r->err));
    *t = config_of(&(hf_text){NULL, MT5, 250112, 512, 8, 6, 1024});
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    static const char *const names[2][3] = {{"d_model", "num_heads", "num_layers"}, ALIASES};
    TRY(read_sizes(r, o, names, t));
    TRY(clipmdl_json_size(r, o, "d_kv", &d_kv));
    TRY(clipmdl_json_size(r, o, "head_dim", &d_kv)); /* its other name, as above */
    TRY(clipmdl_json_size(r, o, "d_ff", &t->mlp));
    TRY(clipb_json_int(o, "pad_token_id", 0, CLIPMDL_MOST_VOCABULARY, &t->bert.pad_id, r->file, r->err));
    TRY(clipb_json_float(o, "layer_norm_epsilon", &t->eps, r->file, r->err));
    if ((int64_t)d_kv * t->heads != t->width)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "%d heads of %d numbers are not as wide as the %d of \"d_model\"", t->heads, d_kv, t->width);
    return CLIP_OK;
}

clip_status clipmdl_hf_text_config(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    const char *type = "";
    TRY(clipb_json_string(o, "model_type", &type, r->file, r->err));
    if (strcmp(type, "m2m_100") == 0)
        return read_m2m100(r, o, t);
    if (strcmp(type, "mt5") == 0)
        return read_mt5(r, o, t);
    const bool roberta = strcmp(type, "roberta") == 0 || strcmp(type, "xlm-roberta") == 0;
    if (roberta || strcmp(type, "bert") == 0)
        return read_bert(r, o, roberta, t);
    return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                      "\"model_type\" is \"%.60s\": as text encoders only bert, roberta, xlm-roberta, m2m_100 and "
                      "mt5 are supported", type);
}

/* The config.json in the directory `name` beside r->file; NULL: there is none. free() it. */
static clip_status find_beside(const clipmdl_reader *r, const char *name, char **path)
{
    const char *slash = strrchr(r->file, '/');
    const size_t n = slash ? (size_t)(slash - r->file) + 1 : 0, most = n + strlen(name) + sizeof "/config.json";
    *path = NULL;
    if (*name == '/' || strstr(name, ".."))
        return CLIP_OK;
    char *p = malloc(most);
    if (!p)
        return clipb_nomem(r->err, r->file);
    snprintf(p, most, "%.*s%s/config.json", (int)n, r->file, name);
    if (clipb_is_file(p))
        *path = p;
    else
        free(p);
    return CLIP_OK;
}

clip_status clipmdl_hf_text_read(const clipmdl_reader *r, const char *key, const char *name,
                                 clipmdl_text_config *out)
{
    char *path;
    cJSON *root;
    for (int i = 0; i < TEXTS; i++)
        if (strcmp(texts[i].name, name) == 0) {
            *out = config_of(&texts[i]);
            return CLIP_OK;
        }
    TRY(find_beside(r, name, &path));
    if (!path)
        return clipb_fail(r->err, CLIP_EUNSUPPORTED, r->file,
                          "a setting that is not supported: %s is \"%.60s\"", key, name);
    clipmdl_reader inner = *r;
    inner.file = path;
    clip_status s = clipb_json_read(path, MOST_CONFIG, &root, r->err);
    if (s == CLIP_OK) {
        s = clipmdl_hf_text_config(&inner, root, out);
        cJSON_Delete(root);
    }
    free(path);
    return s;
}
