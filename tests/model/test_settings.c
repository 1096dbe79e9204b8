/* Configurations: every setting is understood, or refused by name. A configuration beside the
 * weights is always used.
 * usage: test_settings GOLDEN_DIRECTORY */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "altered.h"

static void settings_of_openclip(void **state)
{
    (void)state;
    static const struct {
        const char *inside, *key, *value, *says; /* NULL: it loads */
    } cases[] = {
        {"model_cfg", "custom_text", "false", NULL},
        {"model_cfg", "multimodal_cfg", "{\"width\": 8}", NULL},
        {"model_cfg", "init_logit_bias", "-10", NULL},
        {"model_cfg", "quik_gelu", "true", "model_cfg.quik_gelu is unknown"},
        {"model_cfg.vision_cfg", "timm_model_name", "\"fastvit_t8\"",
         "vision_cfg.timm_model_name is \"fastvit_t8\""},
        {"model_cfg.vision_cfg", "timm_pool", "\"avg\"", NULL},
        {"model_cfg.vision_cfg", "pool_type", "\"max\"", "vision_cfg.pool_type is \"max\""},
        {"model_cfg.vision_cfg", "pool_type", "\"avg\"", NULL},
        {"model_cfg.vision_cfg", "pool_type", "\"tok\"", NULL},
        {"model_cfg.vision_cfg", "final_ln_after_pool", "true", NULL}, /* one token: the same result */
        {"model_cfg.vision_cfg", "attentional_pool", "\"parallel\"", "vision_cfg.attentional_pool"},
        {"model_cfg.vision_cfg", "pos_embed_type", "\"sin_cos_2d\"", "vision_cfg.pos_embed_type"},
        {"model_cfg.vision_cfg", "output_tokens", "true", NULL},
        {"model_cfg.vision_cfg", "ls_init_value", "null", NULL},
        {"model_cfg.vision_cfg", "patch_dropout", "0.5", NULL},
        {"model_cfg.vision_cfg", "qk_norm", "true", "vision_cfg.qk_norm"},
        {"model_cfg.vision_cfg", "block_type", "\"custom\"", "vision_cfg.block_type"},
        {"model_cfg.vision_cfg", "norm_kwargs", "{\"eps\": 1e-6, \"bias\": false}",
         "vision_cfg.norm_kwargs.bias is false"},
        {"model_cfg.vision_cfg", "act_kwargs", "{}", NULL},
        {"model_cfg.text_cfg", "no_causal_mask", "true", NULL},
        {"model_cfg.text_cfg", "pool_type", "\"last\"", NULL},
        {"model_cfg.text_cfg", "pool_type", "\"none\"", "text_cfg.pool_type is \"none\""},
        {"model_cfg.text_cfg", "pool_type", "\"argmax eos\"", "text_cfg.pool_type"},
        {"model_cfg.text_cfg", "embed_cls", "false", NULL},
        {"model_cfg.text_cfg", "scale_fc", "true", "text_cfg.scale_fc"},
        {"model_cfg.text_cfg", "proj_type", "\"mlp\"", "text_cfg.proj_type"},
        {"model_cfg.text_cfg", "hf_model_name", "\"gpt2\"", "text_cfg.hf_model_name is \"gpt2\""},
        {"model_cfg.text_cfg", "tokenizer_kwargs", "{\"clean\": \"shout\"}", "text_cfg.tokenizer_kwargs.clean"},
        {"model_cfg.text_cfg", "act_kwargs", "{\"approximate\": \"tanh\"}", NULL},
        {"model_cfg.text_cfg", "act_kwargs", "{\"approximate\": \"sinh\"}",
         "text_cfg.act_kwargs.approximate is \"sinh\""},
        {"model_cfg.text_cfg", "layers", "65536", "\"layers\" must be a whole number from 1 to 1000"},
        {"preprocess_cfg", "mode", "\"L\"", "preprocess_cfg.mode is \"L\""},
        {"preprocess_cfg", "interpolation", "\"lanczos\"", "preprocess_cfg.interpolation"},
        {"preprocess_cfg", "resize_mode", "\"fit\"", "preprocess_cfg.resize_mode"},
        {"preprocess_cfg", "meen", "[0, 0, 0]", NULL}, /* only a warning */
        {"preprocess_cfg", "size", "224", NULL}, /* the model's size counts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        take("tiny-vit");
        set("open_clip_config.json", cases[i].inside, cases[i].key, cases[i].value);
        if (!cases[i].says) {
            clip_model_free(loads(dir));
            if (strcmp(cases[i].key, "meen") == 0)
                says(said, "OpenCLIP does not know preprocess_cfg.meen: ignored, as it does");
            else
                assert_string_equal(said, "");
        } else
            refused(dir, strstr(cases[i].says, "must be") ? CLIP_EFORMAT : CLIP_EUNSUPPORTED, cases[i].says);
    }
}

static void all_at_fault_are_named_at_once(void **state)
{
    (void)state;
    take("tiny-vit");
    set("open_clip_config.json", "model_cfg.vision_cfg", "qk_norm", "true");
    set("open_clip_config.json", "model_cfg.text_cfg", "scale_fc", "true");
    set("open_clip_config.json", "model_cfg.vision_cfg", "timm_model_name", "\"x\"");
    set("open_clip_config.json", "preprocess_cfg", "mode", "\"L\"");
    refused(dir, CLIP_EUNSUPPORTED, "qk_norm is true");
    refused(dir, CLIP_EUNSUPPORTED, "scale_fc is true");
    refused(dir, CLIP_EUNSUPPORTED, "timm_model_name is \"x\"");
    refused(dir, CLIP_EUNSUPPORTED, "preprocess_cfg.mode is \"L\"");
    take("tiny-vit");
    shell("sed -i 's/\"embed_dim\"/\"embed_dim\": 7, \"embed_dim\"/' %s", in_dir("open_clip_config.json"));
    refused(dir, CLIP_EUNSUPPORTED, "model_cfg.embed_dim is set twice");
}

/* Parts of CoCa, and layer scale, ask for tensors of their own. */
static void settings_of_coca(void **state)
{
    (void)state;
    static const struct {
        const char *inside, *key, *value;
        clip_status status;
        const char *says;
    } cases[] = {
        {"vision_cfg", "attentional_pool", "\"cascade\"", CLIP_EUNSUPPORTED, "attentional_pool is \"cascade\""},
        {"vision_cfg", "attentional_pool", "false", CLIP_EMISMATCH, "visual.ln_post.weight"},
        {"vision_cfg", "attn_pooler_queries", "4", CLIP_EMISMATCH, "'visual.attn_pool.query' has the shape [3, 24]"},
        {"vision_cfg", "attn_pooler_heads", "5", CLIP_EFORMAT, "heads"},
        {"vision_cfg", "pool_type", "\"avg\"", CLIP_EUNSUPPORTED, "\"pool_type\" \"tok\" alone"},
        {"vision_cfg", "ls_init_value", "0.1", CLIP_EMISMATCH, "resblocks.0.ls_1.gamma' is missing"},
        {"text_cfg", "ls_init_value", "0", CLIP_EMISMATCH, "resblocks.0.ls_1.gamma' is missing"},
        {"text_cfg", "embed_cls", "false", CLIP_EMISMATCH, "'text.positional_embedding' has the shape [17, 32]"},
        {"text_cfg", "pad_id", "1", CLIP_EUNSUPPORTED, "\"pad_id\" 0"},
        {"text_cfg", "hf_tokenizer_name", "\".\"", CLIP_EUNSUPPORTED, "OpenCLIP's own tokenizer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char inside[64];
        snprintf(inside, sizeof inside, "model_cfg.%s", cases[i].inside);
        take("tiny-coca");
        set("open_clip_config.json", inside, cases[i].key, cases[i].value);
        refused(dir, cases[i].status, cases[i].says);
    }
}

static void settings_of_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *file, *inside, *key, *value, *says; /* says: begins with "warning: " if it is only a warning */
    } cases[] = {
        {"config.json", "", "model_type", "\"siglip\"", "\"model_type\" is \"siglip\""},
        {"config.json", "", "quantization_config", "{\"bits\": 4}", "quantization_config"},
        {"config.json", "", "auto_map", "{\"AutoModel\": \"m.M\"}", "auto_map"},
        {"config.json", "", "torch_dtype", "\"float16\"", NULL},
        {"config.json", "text_config", "hidden_act", "\"gelu_new\"", "text_config.hidden_act is \"gelu_new\""},
        {"config.json", "text_config", "model_type", "\"bert\"", "text_config.model_type"},
        {"config.json", "text_config", "num_hidden_layers", "65536", "\"num_hidden_layers\" must be"},
        {"config.json", "vision_config", "num_channels", "4", "vision_config.num_channels is 4"},
        {"config.json", "vision_config", "attention_dropout", "0.1", NULL},
        {"config.json", "vision_config", "attention_bias", "true",
         "warning: does not know vision_config.attention_bias"},
        {"preprocessor_config.json", "", "do_resize", "false", "do_resize is false"},
        {"preprocessor_config.json", "", "do_rescale", "false", "do_rescale is false"},
        {"preprocessor_config.json", "", "do_normalize", "false", "do_normalize is false"},
        {"preprocessor_config.json", "", "do_center_crop", "false", "do_center_crop"},
        {"preprocessor_config.json", "", "do_pad", "true", "do_pad is true"},
        {"preprocessor_config.json", "", "do_convert_rgb", "false", NULL},
        {"preprocessor_config.json", "", "rescale_factor", "0.5", "rescale_factor"},
        {"preprocessor_config.json", "", "resample", "1", "resample is 1"},
        {"preprocessor_config.json", "", "crop_size", "30", "crop_size"},
        {"preprocessor_config.json", "", "size", "{\"shortest_edge\": 32, \"longest_edge\": 64}",
         "size.longest_edge is 64"},
        {"preprocessor_config.json", "", "image_processor_type", "\"ConvNextImageProcessor\"",
         "image_processor_type is \"ConvNextImageProcessor\""},
        {"preprocessor_config.json", "", "sharpen", "2", "warning: does not know sharpen"},
        {"preprocessor_config.json", "", "do_resize", "null", "do_resize is null"}, /* null means false */
        {"preprocessor_config.json", "", "do_rescale", "null", "do_rescale is null"},
        {"preprocessor_config.json", "", "do_normalize", "null", "do_normalize is null"},
        {"preprocessor_config.json", "", "do_center_crop", "null", "do_center_crop"},
        {"preprocessor_config.json", "", "do_pad", "null", NULL},
        {"preprocessor_config.json", "", "image_processor_type", "null", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *part = cases[i].says;
        const bool warns = part && strncmp(part, "warning: ", 9) == 0;
        take("tiny-hf");
        set(cases[i].file, cases[i].inside, cases[i].key, cases[i].value);
        if (part && !warns) {
            refused(dir, strstr(part, "must be") ? CLIP_EFORMAT : CLIP_EUNSUPPORTED, part);
            continue;
        }
        clip_model_free(loads(dir));
        if (warns)
            says(said, part + 9);
        else
            assert_string_equal(said, "");
    }
}

typedef struct setting {
    const char *file, *inside, *key, *value, *says; /* says: NULL: it loads without a word but of the tokenizer */
} setting;

static void check_setting(const char *checkpoint, const setting *s)
{
    take(checkpoint);
    set(s->file, s->inside, s->key, s->value);
    if (s->says) {
        refused(dir, strstr(s->says, "must be") || strstr(s->says, "too few") ? CLIP_EFORMAT : CLIP_EUNSUPPORTED,
                s->says);
        return;
    }
    clip_model_free(loads(dir));
    assert_null(strstr(said, "ignored"));
}

static void settings_of_chinese_clip(void **state)
{
    (void)state;
    static const setting settings[] = {
        {"config.json", "text_config", "directionality", "\"bidi\"", NULL},
        {"config.json", "text_config", "hidden_dropout_prob", "0.3", NULL},
        {"config.json", "text_config", "hidden_act", "\"relu\"", "text_config.hidden_act is \"relu\""},
        {"config.json", "text_config", "position_embedding_type", "\"relative_key\"",
         "text_config.position_embedding_type is \"relative_key\""},
        {"config.json", "text_config", "model_type", "\"bert\"", "text_config.model_type is \"bert\""},
        {"config.json", "text_config", "num_hidden_layers", "0", "\"num_hidden_layers\" must be"},
        {"config.json", "vision_config", "num_channels", "1", "vision_config.num_channels is 1"},
        {"config.json", "", "quantization_config", "{\"bits\": 4}", "quantization_config is {..}"},
        {"config.json", "", "model_type", "\"chinese_clip_text_model\"", "only chinese_clip is supported"},
        {"preprocessor_config.json", "", "do_center_crop", "true", NULL},
        {"preprocessor_config.json", "", "size", "32", NULL}, /* nothing is cut out: squashed */
        {"preprocessor_config.json", "", "feature_extractor_type", "\"CLIPFeatureExtractor\"",
         "feature_extractor_type is \"CLIPFeatureExtractor\""},
        {"preprocessor_config.json", "", "do_resize", "false", "do_resize is false"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_setting("tiny-chinese-clip", &settings[i]);
}

static void settings_of_other_models(void **state)
{
    (void)state;
    static const struct {
        const char *checkpoint;
        setting setting;
    } cases[] = {
        {"tiny-metaclip-2", {"config.json", "", "model_type", "\"metaclip_2_text_model\"", "metaclip_2 and clipseg"}},
        {"tiny-metaclip-2", {"config.json", "text_config", "hidden_act", "\"silu\"", "text_config.hidden_act"}},
        {"tiny-clipseg", {"config.json", "", "reduce_dim", "9", NULL}}, /* the decoder's */
        {"tiny-clipseg", {"preprocessor_config.json", "", "size", "48", NULL}},
        {"tiny-clipseg", {"preprocessor_config.json", "", "size", "{\"height\": 48, \"width\": 56}", "not a square"}},
        {"tiny-clipseg", {"preprocessor_config.json", "", "resample", "3", NULL}},
        {"tiny-owlvit", {"config.json", "vision_config", "num_channels", "1", "vision_config.num_channels is 1"}},
        {"tiny-owlvit", {"config.json", "", "model_type", "\"owlvit_text_model\"", "only owlvit and owlv2"}},
        {"tiny-dual-vit", {"config.json", "vision_config", "qkv_bias", "false", "vision_config.qkv_bias is false"}},
        {"tiny-dual-vit", {"config.json", "vision_config", "pooler_act", "\"relu\"", "vision_config.pooler_act"}},
        {"tiny-dual-vit", {"config.json", "vision_config", "pooler_output_size", "8", "pooler_output_size is 8"}},
        {"tiny-dual-vit", {"config.json", "text_config", "model_type", "\"gpt2\"", "\"gpt2\""}},
        {"tiny-dual-vit", {"config.json", "", "model_type", "\"chinese_clip\"", "\"model_type\" is \"chinese_clip\""}},
        {"tiny-flava", {"config.json", "text_config", "qkv_bias", "false", "text_config.qkv_bias is false"}},
        {"tiny-aimv2", {"config.json", "vision_config", "is_native", "true", "vision_config.is_native is true"}},
        {"tiny-aimv2", {"config.json", "vision_config", "use_head", "false", "vision_config.use_head is false"}},
        {"tiny-aimv2", {"config.json", "", "max_logit_scale", "0.5", "\"max_logit_scale\" is 0.5"}},
        {"tiny-aimv2", {"config.json", "text_config", "mlp_bias", "true", "text_config.mlp_bias is true"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_setting(cases[i].checkpoint, &cases[i].setting);
}

/* AIMv2 keeps its logit scale, 72.33 here, within bounds. */
static void a_scale_that_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *most;
        float scale;
    } cases[] = {{"100.0", 72.3308f}, {"50.0", 50}, {"1.0", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clip_model_info info;
        take("tiny-aimv2");
        set("config.json", "", "max_logit_scale", cases[i].most);
        clip_model *m = loads(dir);
        clip_model_get_info(m, &info);
        if (!(fabsf(info.logit_scale - cases[i].scale) <= 1e-4f))
            fail_msg("%s: %g", cases[i].most, (double)info.logit_scale);
        clip_model_free(m);
    }
}

static void settings_of_altclip(void **state)
{
    (void)state;
    static const setting settings[] = {
        {"config.json", "", "direct_kd", "false", NULL},
        {"config.json", "text_config", "pooler_fn", "\"cls\"", NULL},
        {"config.json", "text_config", "pooler_fn", "\"average\"", "text_config.pooler_fn is \"average\""},
        {"config.json", "text_config", "hidden_act", "\"silu\"", "text_config.hidden_act is \"silu\""},
        {"config.json", "text_config", "max_position_embeddings", "78", "78 positions are too few for 77 tokens"},
        {"config.json", "vision_config", "hidden_act", "\"gelu_new\"", "vision_config.hidden_act is \"gelu_new\""},
        {"config.json", "", "model_type", "\"altclip_text_model\"", "only altclip is supported"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_setting("tiny-altclip", &settings[i]);
    take("tiny-altclip");
    shell("rm %s", in_dir("config.json"));
    refused(dir, CLIP_EUNSUPPORTED, "config.json is needed");
}

static void settings_of_openclip_with_an_encoder_of_transformers(void **state)
{
    (void)state;
    static const char file[] = "open_clip_config.json", text[] = "model_cfg.text_cfg", inner[] = "text/config.json";
    static const setting roberta[] = {
        {file, text, "hf_pooler_type", "\"mean_pooler\"", NULL},
        {file, text, "hf_proj_type", "\"mlp\"", NULL},
        {file, text, "hf_pooler_type", "\"max_pooler\"", "text_cfg.hf_pooler_type is \"max_pooler\""},
        {file, text, "hf_proj_type", "null", "\"hf_proj_type\" is null"},
        {file, text, "hf_proj_type", "\"deep\"", "text_cfg.hf_proj_type is \"deep\""},
        {file, text, "hf_model_name", "\"gpt2\"", "text_cfg.hf_model_name is \"gpt2\""},
        {file, text, "hf_model_name", "\"../tiny-xlm-roberta/text\"", "text_cfg.hf_model_name is"},
        {file, text, "context_length", "23", "24 positions are too few for 23 tokens"},
        {inner, "", "model_type", "\"t5\"", "\"model_type\" is \"t5\""},
        {inner, "", "hidden_act", "\"gelu_new\"", "hidden_act is \"gelu_new\""},
        {inner, "", "num_attention_heads", "0", "\"num_attention_heads\" must be"},
    };
    static const setting nllb[] = {
        {file, text, "hf_pooler_type", "\"cls_last_hidden_state_pooler\"", NULL},
        {inner, "", "decoder_ffn_dim", "7", NULL},
        {inner, "", "activation_function", "\"gelu\"", "activation_function is \"gelu\""},
        {inner, "", "encoder_layers", "1001", "\"encoder_layers\" must be"},
        {inner, "", "num_hidden_layers", "1001", "\"num_hidden_layers\" must be"},
        {inner, "", "num_attention_heads", "0", "\"num_attention_heads\" must be"},
    };
    static const setting mt5[] = {
        {inner, "", "num_decoder_layers", "7", NULL},
        {inner, "", "feed_forward_proj", "\"relu\"", "feed_forward_proj is \"relu\""},
        {inner, "", "relative_attention_num_buckets", "16", "relative_attention_num_buckets is 16"},
        {inner, "", "d_kv", "8", "2 heads of 8 numbers are not as wide as the 32 of \"d_model\""},
        {inner, "", "head_dim", "8", "2 heads of 8 numbers are not as wide as the 32 of \"d_model\""},
        {inner, "", "num_attention_heads", "4", "4 heads of 16 numbers are not as wide"},
        {inner, "", "hidden_size", "48", "2 heads of 16 numbers are not as wide as the 48"},
        {file, text, "context_length", "241", "mT5 with a context of more than 240 tokens"},
        {file, text, "hf_pooler_type", "\"cls_pooler\"", "the pooler \"mean_pooler\" alone"},
    };
    for (size_t i = 0; i < sizeof mt5 / sizeof *mt5; i++)
        check_setting("tiny-mt5", &mt5[i]);
    for (size_t i = 0; i < sizeof roberta / sizeof *roberta; i++)
        check_setting("tiny-xlm-roberta", &roberta[i]);
    for (size_t i = 0; i < sizeof nllb / sizeof *nllb; i++)
        check_setting("tiny-nllb", &nllb[i]);
    take("tiny-xlm-roberta"); /* a name of the table, whose sizes are others */
    set(file, text, "hf_model_name", "\"xlm-roberta-base\"");
    refused(dir, CLIP_EMISMATCH, "text.transformer.embeddings.word_embeddings.weight");
}

static void transformers_takes_the_dict(void **state)
{
    (void)state;
    clip_model_info info;
    take("tiny-hf");
    set("config.json", "", "text_config_dict",
        "{\"vocab_size\": 576, \"hidden_size\": 32, \"intermediate_size\": 272, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 4, \"max_position_embeddings\": 16, \"hidden_act\": \"gelu\"}");
    clip_model *m = loads(dir);
    clip_model_get_info(m, &info);
    assert_int_equal(info.text_heads, 4);
    assert_string_equal(info.text_activation, "gelu");
    assert_string_equal(info.vision_activation, "quickgelu");
    clip_model_free(m);
}

/* The pixels of a picture whose sides are not multiples of the model's: each flavour rounds them in
 * its own way. */
static void prepare(const char *path, float pixels[3 * 32 * 32])
{
    static uint8_t rgb[53 * 35 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i * 7 >> 3);
    clip_model *m = loads(path);
    assert_int_equal(clip_preprocess(m, &(clip_image){53, 35, 53 * 3, rgb}, pixels), CLIP_OK);
    clip_model_free(m);
}

static void processors_of_transformers(void **state)
{
    (void)state;
    static float should[3 * 32 * 32], is[3 * 32 * 32];
    take("tiny-hf");
    set("preprocessor_config.json", "", "image_mean", "[0.1, 0.2, 0.3]");
    set("preprocessor_config.json", "", "resample", "2");
    prepare(dir, should);
    shell("cd %s && (printf '{\"image_processor\": '; cat preprocessor_config.json; printf ', \"processor_class\": "
          "\"CLIPProcessor\"}') >processor_config.json",
          dir);
    shell("rm %s", in_dir("preprocessor_config.json"));
    prepare(dir, is);
    assert_memory_equal(is, should, sizeof is);
    assert_string_equal(said, "");
    shell("cp %s/tiny-hf/preprocessor_config.json %s/", golden, dir); /* the other file counts */
    prepare(dir, is);
    assert_memory_equal(is, should, sizeof is);
    set("processor_config.json", "image_processor", "do_resize", "false");
    refused(dir, CLIP_EUNSUPPORTED, "processor_config.json: a setting that is not supported: do_resize is false");

    take("tiny-hf"); /* the layout of diffusers */
    set("preprocessor_config.json", "", "image_mean", "[0.1, 0.2, 0.3]");
    set("preprocessor_config.json", "", "resample", "2");
    shell("cd %s && mkdir image_encoder feature_extractor && mv preprocessor_config.json feature_extractor/ && "
          "mv *.* image_encoder/",
          dir);
    prepare(in_dir("image_encoder"), is);
    assert_memory_equal(is, should, sizeof is);
    assert_string_equal(said, "");

    take("tiny-hf"); /* no file: transformers' rules, as in the file */
    prepare(dir, should);
    shell("rm %s", in_dir("preprocessor_config.json"));
    prepare(dir, is);
    assert_memory_equal(is, should, sizeof is);
    says(said, "nothing says how pictures are prepared");
    says(said, "for 32 pixels");
}

static void a_prefix_is_only_a_prefix(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"_orig_mod.", "module.", "model.", "module._orig_mod.", "what.ever.it.is."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        clip_model_info info;
        take("tiny-vit-eos"); /* its configuration says what shapes do not show: pooling, MLP */
        rewrite("open_clip_model.safetensors", prefixes[i], NULL, NULL);
        clip_model *m = loads(dir);
        clip_model_get_info(m, &info);
        assert_string_equal(said, "");
        assert_string_equal(info.prefix, prefixes[i]);
        assert_string_equal(info.pooling, "eos");
        assert_non_null(info.tokenizer);
        clip_model_free(m);
        take("tiny-hf");
        rewrite("model.safetensors", prefixes[i], NULL, NULL);
        clip_model_free(loads(dir));
        assert_string_equal(said, "");
    }
}

/* Replaces `from` by `to`, of the same length, in the names of the tensors. */
static void rename_tensors(const char *file, const char *from, const char *to)
{
    shell("sed -i 's/%s/%s/g' %s", from, to, in_dir(file));
}

/* If the names of the tensors show no encoder, or two, the configuration says why. */
static void a_configuration_tells_what_names_do_not(void **state)
{
    (void)state;
    static const char weights[] = "open_clip_model.safetensors";
    take("tiny-vit"); /* custom_text names the text encoder text.* */
    set("open_clip_config.json", "model_cfg", "custom_text", "true");
    refused(dir, CLIP_EMISMATCH, "'text.token_embedding.weight' is missing");
    take("tiny-vit");
    rewrite(weights, "x", NULL, NULL);
    refused(dir, CLIP_EMISMATCH, "no tensor has a name");
    set("open_clip_config.json", "model_cfg.vision_cfg", "timm_model_name", "\"convnext\"");
    refused(dir, CLIP_EUNSUPPORTED, "timm_model_name is \"convnext\"");
    take("tiny-hf");
    rename_tensors("model.safetensors", ".embeddings.", ".embeddimgs.");
    set("config.json", "", "model_type", "\"blip\"");
    refused(dir, CLIP_EUNSUPPORTED, "\"model_type\" is \"blip\"");
}

/* OpenCLIP then reads texts with its HFTokenizer. */
static void a_tokenizer_of_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"\"ViT-B-32\"", "null", "\"\""};
    for (int i = 0; i < 3; i++) {
        clip_model_info info;
        take("tiny-longclip");
        set("open_clip_config.json", "model_cfg.text_cfg", "hf_tokenizer_name", names[i]);
        clip_model *m = loads(dir);
        clip_model_get_info(m, &info);
        says(info.tokenizer, i ? "OpenCLIP's rules" : "OpenCLIP's HFTokenizer's rules");
        clip_model_free(m);
    }
}

/* A second set of weights, such as a moving average. */
static void twins(void **state)
{
    (void)state;
    take("tiny-hf");
    clip_model *m = loads(dir);
    clip_model_info info;
    clip_model_free(m);
    static const char *const marks[] = {"ema.vision_model.embeddings.patch_embedding.weight",
                                        "ema.text_model.embeddings.token_embedding.weight"};
    for (int i = 0; i < 2; i++)
        rewrite("model.safetensors", "", marks[i], NULL);
    m = loads(dir);
    clip_model_get_info(m, &info);
    assert_string_equal(info.prefix, "");
    says(said, "tensor 'ema.vision_model.embeddings.patch_embedding.weight' is not part of this model and is ignored");
    clip_model_free(m);
    take("tiny-hf");
    for (int i = 0; i < 2; i++)
        rewrite("model.safetensors", i ? "" : "model.", marks[i], NULL);
    refused(dir, CLIP_EINVAL, "choose by a prefix");
}

static void a_configuration_of_something_larger(void **state)
{
    (void)state;
    take("tiny-hf");
    rewrite("model.safetensors", "vision_tower.", "language_model.lm_head.weight", NULL);
    clip_model_free(loads(dir)); /* a CLIP's configuration is used, whatever else the file holds */
    assert_null(strstr(said, "told by the shapes"));
    set("config.json", "", "model_type", "\"llava\"");
    clip_model *m;
    clip_error err;
    load(dir, &m, &err); /* from the shapes, which no known model has */
    says(said, "is of a model of type \"llava\"");
    clip_model_free(m);
    take("tiny-hf");
    set("config.json", "", "model_type", "\"llava\"");
    refused(dir, CLIP_EUNSUPPORTED, "\"model_type\" is \"llava\"");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_openclip),
        cmocka_unit_test(all_at_fault_are_named_at_once),
        cmocka_unit_test(settings_of_coca),
        cmocka_unit_test(settings_of_transformers),
        cmocka_unit_test(settings_of_chinese_clip),
        cmocka_unit_test(a_scale_that_is_bounded), cmocka_unit_test(settings_of_altclip),
        cmocka_unit_test(settings_of_other_models),
        cmocka_unit_test(settings_of_openclip_with_an_encoder_of_transformers),
        cmocka_unit_test(transformers_takes_the_dict),
        cmocka_unit_test(processors_of_transformers),
        cmocka_unit_test(a_prefix_is_only_a_prefix),
        cmocka_unit_test(a_configuration_of_something_larger),
        cmocka_unit_test(a_configuration_tells_what_names_do_not),
        cmocka_unit_test(a_tokenizer_of_transformers),
        cmocka_unit_test(twins),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
