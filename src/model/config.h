/* config.h: the description of a checkpoint's towers. It comes from the checkpoint's configuration,
 * or from the shapes of its weights. Towers read every choice from it and assume none. */
#ifndef CLIPMDL_CONFIG_H
#define CLIPMDL_CONFIG_H

#include "model/store.h"
#include "nn/nn.h"

/* Limits of a configuration. Real models are far below them. */
#define CLIPMDL_MOST_SIDE 65536 /* a width, a size */
#define CLIPMDL_MOST_GRID 255   /* patches along a side: 65,025 patches */
#define CLIPMDL_MOST_STAGES 5

/* The layer behind pooling. */
typedef enum clipmdl_projection {
    CLIPMDL_PROJECTION_MATRIX, /* without bias: x @ W */
    CLIPMDL_PROJECTION_LINEAR, /* with a bias, stored as other linear layers are */
    CLIPMDL_PROJECTION_PLAIN,  /* the same without a bias */
    CLIPMDL_PROJECTION_NONE,   /* what is pooled is the embedding */
} clipmdl_projection;

/* A linear layer between pooling and projection. */
typedef struct clipmdl_proj_in {
    int width; /* 0: there is none */
    clipk_act act;
    bool bias;
} clipmdl_proj_in;

struct clipmdl_tower_kind; /* tower.h */

typedef enum clipmdl_stem_kind { CLIPMDL_STEM_PATCHES, CLIPMDL_STEM_CONVS, CLIPMDL_STEM_STAGES } clipmdl_stem_kind;

/* timm's Vision Transformers that are not CLIP's: what they have. */
typedef struct clipmdl_eva_config {
    bool split;         /* three products for q, k and v, of which q and v have a bias; otherwise one, "qkv" */
    bool k_bias;        /* qkv has one bias for all three; otherwise q and v have one each */
    bool inner_norms;   /* of the attention's result and inside the MLP */
    bool gated;         /* SwiGLU (Shazeer 2020, arXiv:2002.05202) */
    bool geglu;         /* GEGLU, with a norm of its own before it */
    bool post_norm;     /* norms behind attention and MLP instead of before them */
    int turn;           /* side of the grid whose places make the angles of q and k; 0: nothing turns */
    int turn_from;      /* the first place */
    bool columns_first; /* the column of a patch makes the first half of the angles, otherwise its row */
    int pool_heads;     /* if rows are pooled by attention */
    bool bare_class;    /* the class token has no position */
    bool no_positions;
    bool outer_head;    /* OpenCLIP's head.proj, without bias, instead of timm's head */
    clipmdl_stem_kind stem;
    int stem_width, stem_stage[2]; /* CLIPMDL_STEM_STAGES: channels (stem.h) */
} clipmdl_eva_config;

typedef struct clipmdl_vision_config {
    const struct clipmdl_tower_kind *tower;
    int image_size;         /* of the pictures in use */
    int stored_size;        /* of the pictures that the weights' positions are for; 0: image_size */
    int patch_size;         /* ViT; 0 for a ResNet */
    int width, heads;       /* ResNet: width of the stem; heads of the attention pool */
    int layers;             /* ViT; 0 for a ResNet */
    int stage[CLIPMDL_MOST_STAGES]; /* ResNet, ConvNeXt, FastViT: blocks in each stage; 0 for a ViT */
    int mlp;                /* ViT: width inside the MLP */
    clipnn_pooling pooling; /* ViT */
    bool norm_last;         /* ViT: the last norm stands behind the pooling, which is a mean */
    bool layer_scale;       /* ViT: what a block adds is scaled, number by number */
    int pool_queries, pool_heads; /* ViT: OpenCLIP's AttentionalPooler; 0: none */
    float patch_dropout;    /* ViT, OpenCLIP: share of the patches that training leaves out */
    float eps;
    clipk_act act;
    bool pooler;            /* ViT: as transformers' BERT has it, tanh of a layer behind the pooling */
    clipmdl_projection projection; /* ViT */
    bool trunk; /* timm's: its names begin with "visual.trunk." instead of "visual." */
    bool class_token, ln_pre, patch_bias; /* ViT: has it one? */
    clipmdl_eva_config eva;
    bool mlp_head;     /* ConvNeXt: OpenCLIP's "mlp" behind it, not "linear" */
    int mlp_ratio;     /* FastViT: width inside an MLP, in widths of its stage */
    bool squeezes;     /* FastViT: squeeze and excite where the third and fourth stage begin */
    bool layer_norms;  /* FastViT: of attention; otherwise batch norms */
    bool plain_stem;   /* FastViT: the stem has no 1x1 branches */
} clipmdl_vision_config;

/* The choices of bert.c beside those of all text encoders. */
typedef struct clipmdl_bert_config {
    const char *names;   /* how the names of its parameters begin in the code: "bert." */
    int positions;       /* rows of the table of positions; 0: sines */
    int first_position;  /* the row of a text's first token */
    int token_types;     /* rows of the table of token types, of which the first is used; 0: none */
    int pad_id;          /* tokens that are masked: a text ends before them */
    float scale;         /* of the token embedding */
    bool post_norm, ln_embedding, ln_final;
    bool pooler;         /* tanh of a linear layer behind the pooling */
    clipmdl_proj_in proj_in;
} clipmdl_bert_config;

typedef struct clipmdl_text_config {
    const struct clipmdl_tower_kind *tower;
    int context_length, vocab_size;
    int width, heads, layers, mlp;
    clipnn_pooling pooling;
    int eos_id; /* if texts are pooled at the end token */
    float eps;
    clipk_act act;
    clipmdl_projection projection;
    bool causal;
    bool padded; /* a text has context_length tokens, and the padding takes part */
    bool layer_scale; /* as of a ViT */
    bool custom; /* OpenCLIP's custom_text: its names begin with "text." */
    clipmdl_bert_config bert; /* bert.c */
    bool hf_tokenizer; /* OpenCLIP reads texts with its HFTokenizer, which uses transformers' tokenizer */
    const char *tokenizer; /* whose rules, as in clipmdl_family; NULL: the family's */
} clipmdl_text_config;

typedef struct clipmdl_config {
    int towers;    /* CLIP_TOWER_*: the towers described; the fields of the other tower are 0 */
    int embed_dim; /* 0: one encoder alone, without a projection */
    bool logit_bias; /* the weights have the bias of the sigmoid loss */
    float most_scale; /* the weights' logit scale is kept within 1 .. most_scale; 0: as it is */
    clipmdl_vision_config vision;
    clipmdl_text_config text;
} clipmdl_config;

typedef struct clipmdl_family clipmdl_family; /* family/family.h: names and files of a checkpoint */

/* clipmdl_config_read(): read one of the family's files.
 * warn  in  called for settings that are ignored; may be NULL
 * Errors: CLIP_EFORMAT; CLIP_EUNSUPPORTED (names every setting that is not supported). */
clip_status clipmdl_config_read(const clipmdl_family *f, const char *path, clipmdl_config *out, clip_warn_fn warn,
                                void *warn_user, clip_error *err);

/* clipmdl_config_type(): the "model_type" of a config.json; "" if it has none. */
clip_status clipmdl_config_type(const char *path, char out[64], clip_error *err);

/* Encoders that belong together: a pair, or one alone. A file may hold several (names.h). */
#define CLIPMDL_MAX_PREFIX 96
typedef struct clipmdl_found {
    const clipmdl_family *family;
    int towers;                      /* CLIP_TOWER_* */
    char prefix[CLIPMDL_MAX_PREFIX]; /* before each of their names: "", "module.", .. */
} clipmdl_found;

/* clipmdl_config_resize(): pictures of another size than the weights' own. Positions are resampled
 * when weights are read (positions.h).
 * file  in  for messages
 * Errors: CLIP_EINVAL (the tower takes no such size). */
clip_status clipmdl_config_resize(clipmdl_config *c, int image_size, const char *file, clip_error *err);

/* clipmdl_stored_size(): the size of pictures that the weights were made for. */
static inline int clipmdl_stored_size(const clipmdl_vision_config *v)
{
    return v->stored_size ? v->stored_size : v->image_size;
}

/* clipmdl_config_from_shapes(): as OpenAI's build_model() does. Shapes give everything except the
 * activation and the number of heads. The family guesses the activation. The number of heads is
 * that of the known models.
 * Errors: CLIP_EMISMATCH (names the tensor that is missing or has an impossible shape);
 * CLIP_EUNSUPPORTED. */
clip_status clipmdl_config_from_shapes(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *out,
                                       clip_error *err);

/* A field of a configuration, of an enum's or int's size, or a bool, float or string. */
typedef struct clipmdl_field {
    const char *name;
    size_t at, size;
    enum { CLIPMDL_FIELD_NUMBER, CLIPMDL_FIELD_FLOAT, CLIPMDL_FIELD_WORD, CLIPMDL_FIELD_SKIPPED } kind;
} clipmdl_field;

/* All of them, in fields.c. A field that is missing there is found by tests/model/test_fields.c. */
extern const clipmdl_field clipmdl_fields[]; /* ends with {0} */

/* clipmdl_config_words(): all choices that change embeddings, one a line.
 * @return: how long that is */
#define CLIPMDL_WORDS 4096
int clipmdl_config_words(const clipmdl_config *c, char out[CLIPMDL_WORDS]);

/* clipmdl_config_check(): the sizes of the towers fit each other: heads divide widths, patches fit
 * into pictures, nothing is empty.
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_config_check(const clipmdl_config *c, const char *file, clip_error *err);

#endif
