/* clip_kin.c: configurations of models of transformers that have CLIP's encoders and its names. */
#include "model/family/clip_kin.h"

#include <stdlib.h>
#include <string.h>

#include "model/tower.h"

/* ---- Settings of transformers 4.25 to 5.24: MetaClip2Config, CLIPSegConfig, their parts, and
 *      ViTImageProcessor ----------------------------------------------------------------------- */

#define ACTIVATION                                                                                                     \
    {                                                                                                                  \
        "hidden_act", "quick_gelu gelu"                                                                                \
    }
#define PAIR(name, text_types, vision_types, more)                                                                     \
    static const clipmdl_settings name##_text = {                                                                      \
        .known = CLIPMDL_HF_TEXT,                                                                                      \
        .off = CLIPMDL_HF_OTHERS,                                                                                      \
        .one_of = (const clipmdl_choice[]){{"model_type", text_types}, ACTIVATION, {0}}};                              \
    static const clipmdl_settings name##_vision = {                                                                    \
        .known = CLIPMDL_HF_IMAGE,                                                                                     \
        .off = CLIPMDL_HF_OTHERS,                                                                                      \
        .one_of = (const clipmdl_choice[]){{"model_type", vision_types}, {"num_channels", "3"}, ACTIVATION, {0}}};     \
    static const clipmdl_settings_part name##_towers[] = {{"text_config", &name##_text},                               \
                                                          {"vision_config", &name##_vision},                           \
                                                          {"text_config_dict", &name##_text},                          \
                                                          {"vision_config_dict", &name##_vision},                      \
                                                          {0}};                                                        \
    static const clipmdl_settings name = {                                                                             \
        .known = more CLIPMDL_HF_ALL, .off = CLIPMDL_HF_OTHERS, .parts = name##_towers}

PAIR(metaclip2, "metaclip_2_text_model metaclip_2", "metaclip_2_vision_model metaclip_2", "");
PAIR(clipseg, "clipseg_text_model clipseg", "clipseg_vision_model clipseg",
     "extract_layers reduce_dim decoder_num_attention_heads decoder_attention_dropout decoder_hidden_act "
     "decoder_intermediate_size conditional_layer use_complex_transposed_convolution");

typedef struct kin {
    const char *type, *whose;
    const clipmdl_settings *settings;
    bool at_end;  /* texts are pooled at eos_token_id, also at 2, which means the largest id in CLIP */
    bool resizes; /* the table of positions, to the size of the prepared pictures */
} kin;

static const kin kins[] = {
    {"metaclip_2", "transformers' MetaCLIP 2", &metaclip2, .at_end = true},
    {"clipseg", "transformers' CLIPSeg", &clipseg, .resizes = true},
};

static const kin *find_kin(const char *type)
{
    for (size_t i = 0; i < sizeof kins / sizeof *kins; i++)
        if (strcmp(kins[i].type, type) == 0)
            return &kins[i];
    return NULL;
}

static const clipmdl_settings vit_pictures = {
    .null_counts = true,
    .known = CLIPMDL_HF_PICTURES,
    .off = CLIPMDL_HF_PICTURES_OFF,
    .one_of = (const clipmdl_choice[]){{"image_processor_type", "ViTImageProcessor ViTImageProcessorFast "
                                                                "ViTImageProcessorPil ViTFeatureExtractor null"},
                                       {"feature_extractor_type", "ViTFeatureExtractor ViTImageProcessor null"},
                                       CLIPMDL_HF_PICTURES_ONE_OF,
                                       {0}},
    .parts = clipmdl_huggingface_sides,
};
const clipmdl_processor clipmdl_vit_processor = {
    "transformers' ViTImageProcessor", &vit_pictures, .begins = "ViT", .model = "clipseg", .half = true, .resample = 2};

/* ---- Configuration --------------------------------------------------------------------------- */

/* The side of prepared pictures; *side stays where no file in the directory of `file` says it. */
static clip_status picture_side(const char *file, int *side, clip_error *err)
{
    char *dir = clipb_path_dir(file);
    const clip_status s = dir ? clipmdl_huggingface_side(dir, side, err) : clipb_nomem(err, file);
    free(dir);
    return s;
}

clip_status clipmdl_clip_kin_read(const clipmdl_reader *r, const cJSON *root, const char *type, clipmdl_config *c,
                                  bool *is)
{
    const kin *k = find_kin(type);
    *is = k != NULL;
    if (!k)
        return CLIP_OK;
    TRY(clipmdl_settings_check(k->settings, root, k->whose, false, r->file, r->warn, r->warn_user, r->err));
    c->towers = CLIP_TOWER_BOTH;
    c->embed_dim = 512;
    TRY(clipmdl_json_size(r, root, "projection_dim", &c->embed_dim));
    TRY(clipmdl_huggingface_vision(r, clipmdl_huggingface_tower_of(root, "vision_config"), &c->vision));
    TRY(clipmdl_huggingface_text(r, clipmdl_huggingface_tower_of(root, "text_config"), &c->text));
    if (k->at_end)
        c->text.pooling = CLIPNN_POOL_EOS;
    if (!k->resizes)
        return CLIP_OK;
    c->vision.stored_size = c->vision.image_size;
    return picture_side(r->file, &c->vision.image_size, r->err);
}
