/* config.h: what a checkpoint's towers look like: read from its configuration, or told by the
 * shapes of the weights. Everything that a tower could take for granted is said here, and read by
 * it. */
#ifndef CLIPMDL_CONFIG_H
#define CLIPMDL_CONFIG_H

#include "model/store.h"
#include "nn/nn.h"

/* Limits of what a configuration may say. No real model comes near them. */
#define CLIPMDL_MOST_SIDE 65536 /* a width, a size */
#define CLIPMDL_MOST_GRID 255   /* patches a side: 65,025 patches */

struct clipmdl_tower_kind; /* tower.h: what a tower is made of */

typedef struct clipmdl_vision_config {
    const struct clipmdl_tower_kind *tower;
    int image_size;
    int patch_size;         /* ViT; a ResNet has 0 */
    int width, heads;       /* ResNet: width of the stem; heads of the attention pool */
    int layers;             /* ViT; a ResNet has 0 */
    int stage[4];           /* ResNet: blocks a stage; a ViT has 0 */
    int mlp;                /* ViT: width inside the MLP */
    clipnn_pooling pooling; /* ViT */
    float patch_dropout;    /* ViT, OpenCLIP: share of the patches that training leaves out */
    float eps;
    clipk_act act;
    bool class_token, ln_pre, patch_bias, projection_bias; /* ViT: it has one */
} clipmdl_vision_config;

typedef struct clipmdl_text_config {
    const struct clipmdl_tower_kind *tower;
    int context_length, vocab_size;
    int width, heads, layers, mlp;
    clipnn_pooling pooling;
    int eos_id; /* where texts are pooled at the end token */
    float eps;
    clipk_act act;
    bool causal, projection_bias;
    bool hf_tokenizer; /* OpenCLIP reads texts with its HFTokenizer, around transformers' */
} clipmdl_text_config;

typedef struct clipmdl_config {
    int towers;    /* CLIP_TOWER_*: those described; the fields of another are 0 */
    int embed_dim; /* 0: one encoder alone, without a projection */
    bool logit_bias; /* the weights have the bias of the sigmoid loss */
    clipmdl_vision_config vision;
    clipmdl_text_config text;
} clipmdl_config;

typedef struct clipmdl_family clipmdl_family; /* family/family.h: whose names and files a checkpoint has */

/* clipmdl_config_read(): from a file of the family's.
 * warn  in  hears of settings that are ignored; may be NULL
 * Errors: CLIP_EFORMAT; CLIP_EUNSUPPORTED for what is not supported (every setting is named). */
clip_status clipmdl_config_read(const clipmdl_family *f, const char *path, clipmdl_config *out, clip_warn_fn warn,
                                void *warn_user, clip_error *err);

/* clipmdl_config_type(): the "model_type" of a config.json; "" where it has none. */
clip_status clipmdl_config_type(const char *path, char out[64], clip_error *err);

/* Encoders that belong together: a pair, or one alone. A file may hold several (names.h finds
 * them). */
#define CLIPMDL_MAX_PREFIX 96
typedef struct clipmdl_found {
    const clipmdl_family *family;
    int towers;                      /* CLIP_TOWER_* */
    char prefix[CLIPMDL_MAX_PREFIX]; /* before each of their names: "", "module.", .. */
} clipmdl_found;

/* clipmdl_config_from_shapes(): as OpenAI's build_model() does. Shapes tell everything but the
 * activation, which the family guesses, and the number of heads, which is that of the known models.
 * Errors: CLIP_EMISMATCH, naming the tensor that is missing or of an impossible shape;
 * CLIP_EUNSUPPORTED. */
clip_status clipmdl_config_from_shapes(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *out,
                                       clip_error *err);

/* clipmdl_config_check(): the sizes of the towers described fit each other: heads divide widths,
 * patches fit into pictures, nothing is empty. CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_config_check(const clipmdl_config *c, const char *file, clip_error *err);

#endif
