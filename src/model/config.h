/* config.h: what a checkpoint's towers look like: read from OpenCLIP's or Hugging Face's JSON, or told by the shapes of the weights. */
#ifndef CLIPMDL_CONFIG_H
#define CLIPMDL_CONFIG_H

#include "model/store.h"

typedef enum clipmdl_kind { CLIPMDL_VIT, CLIPMDL_RESNET } clipmdl_kind;

/* Where a text is pooled: at the first of its largest ids (OpenAI: the end token is the largest), or at the first `eos_id`. */
typedef enum clipmdl_pooling { CLIPMDL_POOL_ARGMAX, CLIPMDL_POOL_EOS } clipmdl_pooling;

typedef struct clipmdl_vision_config {
    clipmdl_kind kind;
    int image_size;
    int patch_size;     /* ViT */
    int width, heads;   /* ResNet: width of the stem; heads of the attention pool */
    int layers;         /* ViT */
    int stage[4];       /* ResNet: blocks a stage */
    int mlp;            /* ViT: width inside the MLP */
    bool ln_pre;        /* ViT */
    float patch_dropout; /* ViT, OpenCLIP: share of the patches that training leaves out */
    float eps;
    clipk_act act;
} clipmdl_vision_config;

typedef struct clipmdl_text_config {
    int context_length, vocab_size;
    int width, heads, layers, mlp;
    clipmdl_pooling pooling;
    int eos_id;
    float eps;
    clipk_act act;
} clipmdl_text_config;

typedef struct clipmdl_config {
    int towers;    /* CLIP_TOWER_*: those described; what is here of another is 0 */
    int embed_dim; /* 0: one encoder alone, without a projection */
    clipmdl_vision_config vision;
    clipmdl_text_config text;
} clipmdl_config;

/* Whose names and layouts the tensors have. */
typedef enum clipmdl_scheme {
    CLIPMDL_OPENCLIP,    /* OpenAI's: visual.transformer.resblocks.N.attn.in_proj_weight; projections used as x @ W */
    CLIPMDL_HUGGINGFACE, /* transformers': vision_model.encoder.layers.N.self_attn.q_proj.weight; projections as x @ W.T */
    CLIPMDL_HUGGINGFACE_TOWER, /* one encoder alone, as transformers 5 saves it: the same without vision_model. or text_model. */
} clipmdl_scheme;

/* clipmdl_config_openclip(), clipmdl_config_huggingface(): from open_clip_config.json, from
 * config.json.
 * warn  in  hears of settings that transformers ignores; may be NULL
 * Errors: CLIP_EFORMAT; CLIP_EUNSUPPORTED for what is not a plain CLIP (every setting at fault is
 * named). */
clip_status clipmdl_config_openclip(const char *path, clipmdl_config *out, clip_error *err);
clip_status clipmdl_config_huggingface(const char *path, clipmdl_config *out, clip_warn_fn warn, void *warn_user,
                                       clip_error *err);

/* clipmdl_config_type(): the "model_type" of a config.json; "" where it has none. */
clip_status clipmdl_config_type(const char *path, char out[64], clip_error *err);

/* Encoders that belong together: a pair, or one alone. A file may hold several (names.h finds them). */
#define CLIPMDL_MAX_PREFIX 96
typedef struct clipmdl_found {
    clipmdl_scheme scheme;
    int towers;                      /* CLIP_TOWER_* */
    char prefix[CLIPMDL_MAX_PREFIX]; /* before each of their names: "", "module.", "cond_stage_model.transformer.", .. */
} clipmdl_found;

/* clipmdl_config_from_shapes(): as OpenAI's build_model() does: everything but the activation and how many heads, which are those of the known
 * models of such widths.
 * Errors: CLIP_EMISMATCH, naming the tensor that is missing or of an impossible shape. */
clip_status clipmdl_config_from_shapes(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *out,
                                       clip_error *err);

/* clipmdl_config_check(): sizes of the towers described fit each other (heads divide widths, patches fit into pictures, nothing is empty). CLIP_EFORMAT. */
clip_status clipmdl_config_check(const clipmdl_config *c, const char *file, clip_error *err);

#endif
