/* openclip_save.c: writes open_clip_config.json. */
#include <string.h>

#include "model/family/hf_text.h"
#include "model/family/timm.h"
#include "model/family/words.h"
#include "model/tower.h"

/* Leaves out OpenCLIP's defaults. */
static void put_mlp_and_eps(FILE *f, int mlp, int width, float eps)
{
    if (mlp != 4 * width) { /* mlp is int(width * mlp_ratio): if the quotient rounds down, half a step more */
        const double ratio = (double)mlp / width;
        fprintf(f, ",\n      \"mlp_ratio\": %.17g", (int)(width * ratio) == mlp ? ratio : (mlp + 0.5) / width);
    }
    if (eps != 1e-5f) {
        fputs(",\n      \"norm_kwargs\": {\"eps\": ", f);
        clipmdl_put_float(f, (double)eps);
        fputc('}', f);
    }
}

static void put_vision(FILE *f, const clipmdl_vision_config *v)
{
    const char *pool, *proj, *timm = v->trunk ? clipmdl_timm_name(v, &pool, &proj) : NULL;
    fprintf(f, "    \"vision_cfg\": {\n      \"image_size\": %d,\n", v->image_size);
    if (timm) {
        const char *quote = proj ? "\"" : "";
        fprintf(f,
                "      \"timm_model_name\": \"%s\",\n      \"timm_model_pretrained\": false,\n"
                "      \"timm_pool\": \"%s\",\n      \"timm_proj\": %s%s%s\n    },\n",
                timm, pool, quote, proj ? proj : "null", quote);
        return;
    }
    fprintf(f, "      \"width\": %d,\n", v->width);
    if (v->tower == &clipmdl_resnet) {
        fprintf(f, "      \"layers\": [%d, %d, %d, %d],\n      \"head_width\": %d,\n      \"patch_size\": null",
                v->stage[0], v->stage[1], v->stage[2], v->stage[3], v->width * 32 / v->heads);
    } else {
        fprintf(f, "      \"layers\": %d,\n      \"head_width\": %d,\n      \"patch_size\": %d", v->layers,
                v->width / v->heads, v->patch_size);
        if (!v->ln_pre)
            fputs(",\n      \"no_ln_pre\": true", f);
        if (v->pooling == CLIPNN_POOL_MEAN)
            fprintf(f, ",\n      \"pool_type\": \"avg\",\n      \"final_ln_after_pool\": %s",
                    v->norm_last ? "true" : "false");
        put_mlp_and_eps(f, v->mlp, v->width, v->eps);
    }
    fputs("\n    },\n", f);
}

/* OpenCLIP looks for the tokenizer in this directory. How it cleans texts is said as well. */
static void put_tokenizer(FILE *f, const clipmdl_text_config *t, const clipmdl_recipe *r)
{
    const char *rules = t->tokenizer ? t->tokenizer : "";
    if (!r->own_tokenizer)
        return;
    fputs(",\n      \"hf_tokenizer_name\": \".\"", f);
    if (strcmp(rules, "openclip-canonical") == 0 || strcmp(rules, "siglip2") == 0)
        fputs(",\n      \"tokenizer_kwargs\": {\"clean\": \"canonicalize\"}", f);
    else if (strcmp(rules, "openclip-clipa") == 0)
        fputs(",\n      \"tokenizer_kwargs\": {\"strip_sep_token\": true}", f);
    else if (strcmp(rules, "openclip-hf") == 0)
        fputs(",\n      \"tokenizer_kwargs\": {\"clean\": \"whitespace\"}", f);
}

static void put_hf_text(FILE *f, const clipmdl_text_config *t, const clipmdl_recipe *r)
{
    const char *projection = t->projection == CLIPMDL_PROJECTION_NONE ? "null"
                             : t->bert.proj_in.width                  ? "\"mlp\""
                                                                      : "\"linear\"";
    fprintf(f,
            "    \"text_cfg\": {\n      \"context_length\": %d,\n      \"hf_model_name\": \"%s\",\n"
            "      \"hf_model_pretrained\": false,\n",
            t->context_length, clipmdl_hf_text_name(t));
    fprintf(f, "      \"hf_pooler_type\": \"%s\",\n      \"hf_proj_type\": %s",
            t->pooling == CLIPNN_POOL_MEAN ? "mean_pooler"
            : t->bert.pooler                 ? "cls_pooler"
                                             : "cls_last_hidden_state_pooler",
            projection);
    put_tokenizer(f, t, r);
    fputs("\n    }\n", f);
}

static void put_text(FILE *f, const clipmdl_text_config *t, const clipmdl_recipe *r)
{
    if (t->tower == &clipmdl_bert) {
        put_hf_text(f, t, r);
        return;
    }
    fprintf(f,
            "    \"text_cfg\": {\n      \"context_length\": %d,\n      \"vocab_size\": %d,\n      \"width\": %d,\n"
            "      \"heads\": %d,\n      \"layers\": %d",
            t->context_length, t->vocab_size, t->width, t->heads, t->layers);
    /* If the end token is the largest id, pooling at the first largest id is the same. */
    if (t->pooling == CLIPNN_POOL_EOS && t->eos_id != t->vocab_size - 1)
        fprintf(f, ",\n      \"pool_type\": \"eos\",\n      \"eos_id\": %d", t->eos_id);
    if (!t->causal)
        fputs(",\n      \"no_causal_mask\": true", f);
    if (t->pooling == CLIPNN_POOL_LAST)
        fputs(",\n      \"pool_type\": \"last\"", f);
    if (t->projection == CLIPMDL_PROJECTION_LINEAR)
        fputs(",\n      \"proj_bias\": true", f);
    if (t->projection == CLIPMDL_PROJECTION_NONE)
        fputs(",\n      \"proj_type\": \"none\"", f);
    if (t->act == CLIPK_GELU_TANH)
        fputs(",\n      \"act_kwargs\": {\"approximate\": \"tanh\"}", f);
    put_tokenizer(f, t, r);
    put_mlp_and_eps(f, t->mlp, t->width, t->eps);
    fputs("\n    }\n", f);
}

/* HFTextEncoder's pooling and projections. */
static bool writes_hf_text(const clipmdl_text_config *t)
{
    const bool plain = t->projection == CLIPMDL_PROJECTION_PLAIN || t->projection == CLIPMDL_PROJECTION_NONE;
    return (t->pooling == CLIPNN_POOL_MEAN || t->pooling == CLIPNN_POOL_FIRST) && plain && !t->bert.proj_in.bias &&
           clipmdl_hf_text_name(t);
}

static bool writes_text(const clipmdl_text_config *t)
{
    if (t->tower == &clipmdl_bert)
        return writes_hf_text(t);
    return t->tower == &clipmdl_text && t->padded == (!t->causal || t->pooling == CLIPNN_POOL_LAST);
}

static bool is_open_vit(const clipmdl_vision_config *v)
{
    return v->tower == &clipmdl_vit && !v->trunk && v->class_token && !v->patch_bias &&
           v->projection == CLIPMDL_PROJECTION_MATRIX &&
           (v->pooling == CLIPNN_POOL_FIRST || v->pooling == CLIPNN_POOL_MEAN);
}

static bool writes_vision(const clipmdl_vision_config *v)
{
    return is_open_vit(v) || v->tower == &clipmdl_resnet || (v->trunk && clipmdl_timm_name(v, NULL, NULL));
}

/* There is one activation for both towers, but timm's and transformers' have their own. */
static bool writes_activations(const clipmdl_config *c)
{
    return c->text.tower == &clipmdl_bert || c->vision.tower != &clipmdl_vit || c->vision.trunk ||
           c->vision.act == c->text.act;
}

bool clipmdl_openclip_writes(const clipmdl_config *c)
{
    return writes_text(&c->text) && writes_vision(&c->vision) && writes_activations(c);
}

static clip_status check_words(const clipmdl_config *c, clip_error *err)
{
    const bool text = writes_text(&c->text);
    if (text && writes_vision(&c->vision))
        return CLIP_OK;
    return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "OpenCLIP's layout is not written for such a %s",
                      text ? c->vision.tower->name : c->text.tower->name);
}

static clip_status put_config(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    TRY(check_words(c, err));
    if (!writes_activations(c))
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "OpenCLIP's layout has one activation for both towers; these have GELU and QuickGELU");
    fprintf(f, "{\n  \"model_cfg\": {\n    \"embed_dim\": %d,\n", c->embed_dim);
    if ((c->text.tower == &clipmdl_bert ? c->vision.act : c->text.act) == CLIPK_QUICKGELU)
        fputs("    \"quick_gelu\": true,\n", f);
    if (c->text.custom)
        fputs("    \"custom_text\": true,\n", f);
    if (c->logit_bias) /* its value is among the weights */
        fputs("    \"init_logit_bias\": -10,\n", f);
    put_vision(f, &c->vision);
    put_text(f, &c->text, r);
    fputs("  },\n  \"preprocess_cfg\": {\n", f);
    clipmdl_put_triple(f, "    \"mean\": ", r->mean, ",\n");
    clipmdl_put_triple(f, "    \"std\": ", r->std, ",\n");
    fprintf(f, "    \"interpolation\": \"%s\",\n    \"resize_mode\": \"%s\"", r->interpolation, r->resize_mode);
    const uint8_t *fill = r->fill_color;
    if (fill[0] != fill[1] || fill[0] != fill[2])
        fprintf(f, ",\n    \"fill_color\": [%d, %d, %d]", fill[0], fill[1], fill[2]);
    else if (fill[0] != 0)
        fprintf(f, ",\n    \"fill_color\": %d", fill[0]);
    if (r->background >= 0)
        fprintf(f, ",\n    \"background\": \"#%06x\"", (unsigned)r->background);
    fputs("\n  }\n}\n", f);
    return CLIP_OK;
}

clip_status clipmdl_openclip_save(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    return clipmdl_put_file(dir, "open_clip_config.json", c, r, err, put_config);
}
