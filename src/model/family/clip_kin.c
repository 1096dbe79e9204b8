/* clip_kin.c: configurations of models of transformers that have CLIP's encoders and its names. */
#include "model/family/clip_kin.h"

#include <math.h>
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
    return k->resizes ? picture_side(r->file, &c->vision.image_size, r->err) : CLIP_OK;
}

/* ---- The table of positions, resized --------------------------------------------------------- */

/* Weights of the four neighbours of a place, as in torch's bicubic interpolation: a = -3/4. */
static void cubic(float t, float w[4])
{
    const float a = -0.75f;
    for (int i = 0; i < 4; i++) {
        const float d = fabsf(t + 1 - (float)i);
        w[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static int clamped(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* A square grid [G, G, C] to [H, H, C]: F.interpolate(mode="bicubic", align_corners=False). */
static void resize_grid(float *to, int H, const float *from, int G, size_t C)
{
    const float scale = (float)G / (float)H;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < H; x++, to += C) {
            const float sy = ((float)y + 0.5f) * scale - 0.5f, sx = ((float)x + 0.5f) * scale - 0.5f;
            const int fy = (int)floorf(sy), fx = (int)floorf(sx);
            float wy[4], wx[4];
            cubic(sy - (float)fy, wy);
            cubic(sx - (float)fx, wx);
            memset(to, 0, C * sizeof *to);
            for (int i = 0; i < 16; i++) {
                const size_t at = (size_t)clamped(fy - 1 + i / 4, G) * (size_t)G + (size_t)clamped(fx - 1 + i % 4, G);
                const float w = wy[i / 4] * wx[i % 4];
                for (size_t c = 0; c < C; c++)
                    to[c] += w * from[at * C + c];
            }
        }
}

/* The table [1 + G * G, C] becomes [1 + H * H, C]. Its first row is the class token's. */
static clip_status resize_table(clipmdl_store *s, clipmdl_tensor *t, int G, int H, clip_error *err)
{
    const size_t C = (size_t)t->dim[1], before = (1 + (size_t)G * (size_t)G) * C;
    const size_t after = (1 + (size_t)H * (size_t)H) * C;
    clipk_type type;
    clipmdl_tensor_type(t, &type);
    float *from = malloc(before * sizeof *from), *table = clipmdl_store_keep(s, after * sizeof *table);
    if (!from || !table) {
        free(from);
        return clipb_nomem(err, s->file);
    }
    clipk_to_f32(&(clipk_ctx){.set = clipk_set_find("ref")}, from, t->data, type, before);
    memcpy(table, from, C * sizeof *table);
    resize_grid(table + C, H, from + C, G, C);
    free(from);
    *t = (clipmdl_tensor){.name = t->name, .dtype = "F32", .ndim = 2, .dim = {(int64_t)(after / C), (int64_t)C},
                          .data = (unsigned char *)table, .bytes = after * sizeof *table};
    return CLIP_OK;
}

/* The pictures and patches of the configuration in `path`; *side stays 0 where it is not of a type
 * that resizes. */
static clip_status read_sides(const char *path, int *side, int *patch, clip_error *err)
{
    char type[64];
    clipmdl_config c;
    TRY(clipmdl_config_type(path, type, err));
    const kin *k = find_kin(type);
    if (!k || !k->resizes)
        return CLIP_OK;
    TRY(clipmdl_config_read(&clipmdl_huggingface, path, &c, NULL, NULL, err));
    *side = c.vision.image_size;
    *patch = c.vision.patch_size;
    return CLIP_OK;
}

clip_status clipmdl_clip_kin_prepare(clipmdl_store *s, const clipmdl_found *f, clip_error *err)
{
    char name[CLIPMDL_MAX_NAME], *dir = clipb_path_dir(s->file);
    char *path = dir ? clipb_path_join(dir, "config.json") : NULL;
    int side = 0, patch = 1;
    clip_status status = path ? CLIP_OK : clipb_nomem(err, s->file);
    if (status == CLIP_OK && clipb_is_file(path))
        status = read_sides(path, &side, &patch, err);
    free(path);
    free(dir);
    snprintf(name, sizeof name, "%svision_model.embeddings.position_embedding.weight", f->prefix);
    clipmdl_tensor *t = side ? clipmdl_store_find(s, name) : NULL;
    clipk_type type;
    if (status < 0 || !t || t->ndim != 2 || t->dim[0] < 2 || t->dim[1] < 1 || !clipmdl_tensor_type(t, &type))
        return status; /* the binder says what is wrong */
    const int G = (int)lround(sqrt((double)(t->dim[0] - 1))), H = side / patch;
    if (G == H || G > CLIPMDL_MOST_GRID || (int64_t)G * G != t->dim[0] - 1 || t->dim[1] > CLIPMDL_MOST_SIDE)
        return CLIP_OK;
    return resize_table(s, t, G, H, err);
}
