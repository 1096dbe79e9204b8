/* api.h: the two opaque types of clip.h, as the files of this room see them. */
#ifndef CLIP_API_H
#define CLIP_API_H

#include "image/image.h"
#include "model/model.h"
#include "model/save.h"
#include "text/tokenizer.h"

#define CLIP_MOST_THREADS 1024
#define CLIP_VOCABULARY 49408 /* CLIP's own: 256 bytes, 256 bytes that end a word, 48,894 merges, start and end */

struct clip_model {
    clipmdl_store store; /* token_embedding stays in its mapping */
    clipmdl_config config;
    clipmdl_scheme scheme;
    char prefix[CLIPMDL_MAX_PREFIX]; /* before every name in the store */
    int towers;
    clipmdl_vit vit;       /* one of the two, by config.vision.kind */
    clipmdl_resnet resnet;
    clipmdl_text text;
    float logit_scale;     /* exp() of the parameter */
    const clipk_set *set;
    const clipk_format *format; /* of products with weights */
    clipb_block weights;   /* what the layers point to */
    clipimg_recipe recipe;
    cliptok *tokenizer;    /* NULL: none found */
    char *path;
    int pad_id;            /* behind a text */
    int64_t image_parameters, text_parameters;
    char weights_type[8], tokenizer_name[160];
};

typedef struct clip_explainer clip_explainer; /* explain.c */
void clip_explainer_free(clip_explainer *e);

struct clip_context {
    const clip_model *model;
    clipk_ctx k;
    clipb_block scratch; /* the kernels' */
    clipb_block acts;    /* the towers' */
    clipb_block inputs;  /* pixels or ids on their way in */
    clip_explainer *explainer; /* NULL until it is needed */
    float *things;       /* vqa.c: embeddings of common things; NULL until they are needed */
    char fault[512];     /* why the last CLIP_ENOTFINITE */
};

/* model.c: clip_model_load() without packing the weights: its towers cannot run. For what reads the
 * store itself. All towers asked for must be in it, and every tensor as it should be. */
clip_status clip_model_open(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err);

/* recipe.c: how pictures are prepared, from open_clip_config.json, or from transformers' files:
 * "image_processor" of processor_config.json, where it is there, else preprocessor_config.json.
 * Each may be NULL. *found: one of them says it. Settings are checked (model/settings.h). */
typedef struct clip_recipe_reader {
    clipimg_recipe *out; /* the defaults, with the model's size */
    clip_warn_fn warn;
    void *warn_user;
    clip_error *err;
} clip_recipe_reader;

clip_status clip_recipe_openclip(const char *path, clipimg_recipe *out, clip_error *err);
clip_status clip_recipe_huggingface(const clip_recipe_reader *r, const char *processor, const char *preprocessor,
                                    bool *found);
clipimg_recipe clip_recipe_default(int size);
clipmdl_recipe clip_recipe_words(const clipimg_recipe *r, const cliptok *tokenizer, bool logit_bias); /* as a configuration says it */

/* index.c: pictures for this index are laid on this background from now on. CLIP_EMISMATCH: those in it were laid on another. */
clip_status clip_index_settle_background(clip_index *x, int background, clip_error *err);

/* encode.c: of N prepared pictures the unit embeddings, and all rows of a layer as clipmdl_tap counts them, from one forward. */
clip_status clip_encode_states(clip_context *c, const float *pixels, int N, int layer, float *unit, float *states);

/* finite.c: rows of x [N, C] are numbers, and each of a length that f32 holds. Else
 * CLIP_ENOTFINITE, and clip_context_message() says that it is of `kind` ("picture", "text") number
 * first + row + 1, and which tensor is to blame.
 * input  in  of which the rows were made, [N, each]; NULL: of no numbers */
clip_status clip_check_finite(clip_context *c, const float *x, int N, size_t C, const char *kind, int64_t first,
                              const float *input, size_t each);

/* index.c: clip_weights_hash(). CLIP_EIO where the files are no longer those that were loaded:
 * nothing is known by them then. */
clip_status clip_weights_identify(const clip_model *m, char out[33], clip_error *err);

/* files.c: the files of a checkpoint. */
typedef struct clip_files {
    char *dir, *weights;
    char *openclip_config, *huggingface_config, *processor_config, *preprocessor_config, *bpe; /* NULL: not there */
    char *tokenizer_dir; /* where diffusers keeps the tokenizer of these weights; NULL: no such folder */
} clip_files;

/* place.c: the folder or file of the weights: `path` itself, or where a folder of the Hugging Face
 * hub's cache or of sentence-transformers has them; "local-dir:" before it is OpenCLIP's. out:
 * free() it; NULL on error. CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED, CLIP_ENOMEM. */
clip_status clip_place_find(const char *path, char **out, clip_error *err);

clip_status clip_files_find(const char *path, clip_files *out, clip_error *err);
void clip_files_free(clip_files *f);

/* tokenizer_files.c: the files of a tokenizer, to lay beside other weights. */
#define CLIP_TOKENIZER_FILES 7
typedef struct clip_tokenizer_files {
    unsigned char *data[CLIP_TOKENIZER_FILES]; /* NULL: not there */
    size_t size[CLIP_TOKENIZER_FILES];
} clip_tokenizer_files;

clip_status clip_tokenizer_files_read(const char *dir, clip_tokenizer_files *out, clip_error *err);
clip_status clip_tokenizer_files_write(const clip_tokenizer_files *f, const char *dir, clip_error *err);
void clip_tokenizer_files_free(clip_tokenizer_files *f);

/* clip_tokenizer_files_complete(): add what AutoTokenizer misses in a directory with a tokenizer: vocab.json and merges.txt, made from the file
 * that is there, tokenizer_config.json, special_tokens_map.json. Nothing where there is no tokenizer. */
clip_status clip_tokenizer_files_complete(const char *dir, int context_length, clip_error *err);

#endif
