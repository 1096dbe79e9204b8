/* clipeng_model_get_info(): a loaded model, described. */
#include "engine/engine.h"

static const char *const poolings[] = {[CLIPNN_POOL_FIRST] = "first", [CLIPNN_POOL_ARGMAX] = "argmax",
                                       [CLIPNN_POOL_EOS] = "eos",     [CLIPNN_POOL_LAST] = "last",
                                       [CLIPNN_POOL_MEAN] = "mean",   [CLIPNN_POOL_ATTENTION] = "attention"};

static const char *name_activation(clipk_act act)
{
    return act == CLIPK_QUICKGELU   ? "quickgelu"
           : act == CLIPK_GELU_TANH ? "gelu_tanh"
           : act == CLIPK_RELU      ? "relu"
           : act == CLIPK_LINEAR    ? "silu" /* AIMv2's, which multiplies two layers */
                                    : "gelu";
}

static void tell_image(const clip_model *m, clip_model_info *o)
{
    const clipmdl_vision_config *v = &m->config.vision;
    const clipmdl_recipe recipe = clipeng_recipe_words(&m->recipe, NULL);
    const int side = v->patch_size ? v->image_size / v->patch_size : 0;
    o->vision_kind = v->tower->name;
    o->image_size = v->image_size;
    o->stored_image_size = clipmdl_stored_size(v);
    o->picture_floats = clipimg_floats(&m->recipe);
    o->max_patches = m->recipe.most;
    o->vision_width = v->width;
    o->vision_heads = v->heads;
    o->patch_size = v->patch_size;
    o->vision_tokens = side && (!m->image || m->image->width) ? (v->class_token ? 1 : 0) + side * side : 0;
    o->vision_norm = m->image && m->image->width && clipeng_norms_rows(m->image);
    o->vision_activation = v->patch_size || !v->heads ? name_activation(v->act) : "relu"; /* a ResNet */
    o->interpolation = recipe.interpolation;
    o->resize_mode = recipe.resize_mode;
    o->background = recipe.background;
    for (int i = 0; i < CLIPMDL_MOST_STAGES; i++)
        o->vision_layers[i] = v->stage[i] ? v->stage[i] : i == 0 ? v->layers : 0;
    for (int i = 0; i < 3; i++) {
        o->mean[i] = m->recipe.mean[i];
        o->std[i] = m->recipe.std[i];
    }
}

static void tell_text(const clip_model *m, clip_model_info *o)
{
    const clipmdl_text_config *t = &m->config.text;
    o->context_length = t->context_length;
    o->vocab_size = t->vocab_size;
    o->text_width = t->width;
    o->text_heads = t->heads;
    o->text_layers = t->layers;
    o->text_tokens = m->text && m->text->width == 0 ? 0 : t->context_length;
    o->text_activation = name_activation(t->act);
    o->pooling = poolings[t->pooling];
    o->pad_id = m->pad_id;
}

void clipeng_model_get_info(const clip_model *m, clip_model_info *o)
{
    *o = (clip_model_info){
        .path = m->path,
        .layout = m->family->name,
        .weights_file = m->store.file,
        .unread = m->has_unread ? m->family->unread.why : NULL,
        .prefix = m->prefix,
        .weights_type = m->weights_type,
        .tokenizer = m->tokenizer ? m->tokenizer_name : NULL,
        .language = m->tokenizer && *cliptok_language(m->tokenizer) ? cliptok_language(m->tokenizer) : NULL,
        .isa = clipk_set_name(m->set),
        .precision = m->format->precision,
        .towers = m->towers,
        .embed_dim = m->config.embed_dim,
        .logit_scale = m->logit_scale,
        .logit_bias = m->logit_bias,
        .score = m->config.logit_bias ? "sigmoid" : "softmax",
        .image_parameters = m->image_parameters,
        .text_parameters = m->text_parameters,
        .parameters = m->image_parameters + m->text_parameters + (m->logit_scale > 0),
    };
    if (m->config.towers & CLIP_TOWER_IMAGE)
        tell_image(m, o);
    if (m->config.towers & CLIP_TOWER_TEXT)
        tell_text(m, o);
}
