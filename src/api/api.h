/* api.h: the two opaque types of clip.h, as the files of this room see them. Private functions
 * begin with clipapi_, public ones with clip_. */
#ifndef CLIP_API_H
#define CLIP_API_H

#include "image/image.h"
#include "model/save.h"
#include "model/tower.h"
#include "text/tokenizer.h"

#define CLIPAPI_MOST_THREADS 1024

struct clip_model {
    clipmdl_store store; /* token_embedding stays in its mapping */
    clipmdl_config config;
    const clipmdl_family *family;
    char prefix[CLIPMDL_MAX_PREFIX]; /* before every name in the store */
    int towers;
    clipmdl_tower *image, *text; /* NULL: not loaded */
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

typedef struct clipapi_explainer clipapi_explainer; /* explain.c */
void clipapi_explainer_free(clipapi_explainer *e);

struct clip_context {
    const clip_model *model;
    clipk_ctx k;
    clipb_block scratch; /* the kernels' */
    clipb_block acts;    /* the towers' */
    clipb_block inputs;  /* pixels or ids on their way in */
    clipapi_explainer *explainer; /* NULL until it is needed */
    float *things;       /* vqa.c: embeddings of common things; NULL until they are needed */
    char fault[512];     /* why the last CLIP_ENOTFINITE */
};

/* model.c: clip_model_load() without packing the weights: its towers cannot run. For what reads the
 * store itself. All towers asked for must be in it, and every tensor as it should be. */
clip_status clipapi_model_open(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err);

/* recipe.c: how pictures are prepared, between the words of configurations and the struct of the
 * image room. The default is OpenAI's. tokenizer: beside the weights; NULL: there is none. */
clipmdl_recipe clipapi_recipe_default(void);
clipimg_recipe clipapi_recipe_of_words(const clipmdl_recipe *words, int size);
clipmdl_recipe clipapi_recipe_words(const clipimg_recipe *r, const cliptok *tokenizer);

/* index.c: pictures for this index are laid on this background from now on. CLIP_EMISMATCH: those
 * in it were laid on another. */
clip_status clip_index_settle_background(clip_index *x, int background, clip_error *err);

/* encode.c: the unit embeddings of N prepared pictures, and all rows of a layer as clipmdl_tap
 * counts them, from one forward. */
clip_status clipapi_encode_states(clip_context *c, const float *pixels, int N, int layer, float *unit, float *states);

/* finite.c: the rows of x [N, C] are numbers, and the length of each fits into f32. Else
 * CLIP_ENOTFINITE, and clip_context_message() names the sample (kind "picture" or "text", number
 * first + row + 1) and the tensor that is to blame.
 * input  in  the numbers that the rows were made of, [N, each]; NULL: there are none */
clip_status clipapi_check_finite(clip_context *c, const float *x, int N, size_t C, const char *kind, int64_t first,
                              const float *input, size_t each);

/* index.c: clip_weights_hash(). CLIP_EIO where the files are no longer those that were loaded:
 * nothing is known by them then. */
clip_status clip_weights_identify(const clip_model *m, char out[33], clip_error *err);

/* files.c: where a checkpoint is. Its configuration's files are looked for in `dir` by the
 * families. */
typedef struct clipapi_files {
    char *dir, *weights;
    char *tokenizer_dir; /* where diffusers keeps the tokenizer of these weights; NULL: no such folder */
    bool bpe;            /* dir holds the file of OpenCLIP's own tokenizer */
} clipapi_files;

/* place.c: the folder or file of the weights: `path` itself, or where a folder of the Hugging Face
 * hub's cache or of sentence-transformers has them; "local-dir:" before it is OpenCLIP's. out:
 * free() it; NULL on error. CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED, CLIP_ENOMEM. */
clip_status clipapi_place_find(const char *path, char **out, clip_error *err);

clip_status clipapi_files_find(const char *path, clipapi_files *out, clip_error *err);
void clipapi_files_free(clipapi_files *f);

/* tokenizer_files.c: the files of a tokenizer, to lay beside other weights. */
#define CLIPAPI_TOKENIZER_FILES 7
typedef struct clipapi_tokenizer_files {
    unsigned char *data[CLIPAPI_TOKENIZER_FILES]; /* NULL: not there */
    size_t size[CLIPAPI_TOKENIZER_FILES];
} clipapi_tokenizer_files;

clip_status clipapi_tokenizer_files_read(const char *dir, clipapi_tokenizer_files *out, clip_error *err);
clip_status clipapi_tokenizer_files_write(const clipapi_tokenizer_files *f, const char *dir, clip_error *err);
void clipapi_tokenizer_files_free(clipapi_tokenizer_files *f);

/* clipapi_tokenizer_files_complete(): add what AutoTokenizer misses in a directory with a
 * tokenizer: vocab.json and merges.txt, made from the file that is there, tokenizer_config.json and
 * special_tokens_map.json. It adds nothing where there is no tokenizer. */
clip_status clipapi_tokenizer_files_complete(const char *dir, int context_length, clip_error *err);

#endif
