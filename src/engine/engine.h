/* engine.h: a model that is loaded, and a context that works for it: weights, tokenizer and the way
 * of preparing pictures, together. */
#ifndef CLIPENG_ENGINE_H
#define CLIPENG_ENGINE_H

#include "base/peers.h"
#include "image/image.h"
#include "model/quantised.h"
#include "model/tower.h"
#include "text/tokenizer.h"

#define CLIPENG_MOST_THREADS 1024

struct clip_model {
    clipmdl_store store; /* token_embedding stays in its mapping */
    clipmdl_config config;
    const clipmdl_family *family;
    char prefix[CLIPMDL_MAX_PREFIX]; /* before every name in the store */
    bool has_unread;                 /* tensors of the family's `unread` */
    int towers, mapped; /* mapped: towers whose matrices stay in the store */
    clipmdl_tower *image, *text; /* NULL: not loaded */
    float logit_scale;     /* exp() of the parameter */
    float logit_bias;      /* 0 if the weights have none (config.logit_bias) */
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

struct clip_team {
    clipb_team *threads;
};

typedef struct clipeng_slot clipeng_slot;

struct clip_context {
    const clip_model *model;
    clipk_ctx k;
    clipb_team *own_team; /* NULL: k.team belongs to a clip_team */
    clipb_block scratch; /* the kernels' */
    clipb_block acts;    /* the towers' */
    clipb_block inputs;  /* pixels or ids on their way in */
    clipeng_slot *slots; /* what features keep */
    char fault[512];     /* why the last CLIP_ENOTFINITE */
};

/* slots.c: a value that a feature keeps in a context for its next call. The key is the address of a
 * static object of the feature.
 *
 * clipeng_slot_get(): @return: the value; NULL: the slot is empty
 * clipeng_slot_fill(): fill an empty slot. free_value(value) is called when the context is freed.
 * Errors: CLIP_ENOMEM (the value has been freed).
 * clipeng_slots_free(): empty all slots. */
void *clipeng_slot_get(const clip_context *c, const void *key);
clip_status clipeng_slot_fill(clip_context *c, const void *key, void *value, void (*free_value)(void *value));
void clipeng_slots_free(clip_context *c);

/* model.c: clipeng_model_load() without packing the weights: its towers cannot run. For what reads
 * the store itself. All towers asked for must be in it, and every tensor as it should be. */
clip_status clipeng_model_open(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err);

/* language.c: clipeng_tokenize() in the language of the context's texts.
 * clipeng_context_language(): its name; "" where texts have none. */
#define CLIPENG_LANGUAGE 16
const char *clipeng_context_language(const clip_context *c);
clip_status clipeng_tokenize_in_language(const clip_context *c, const char *text, int32_t *ids, int *n);

/* rules.c.
 * clipeng_rules_choose(): the rules by which a checkpoint's texts are read. A family's own
 * tokenizer may know one vocabulary alone; a model with another was trained behind a reader of
 * vocab.json.
 * vocabulary  in   of the model, or of the tokenizer
 * bpe         in   the file of OpenCLIP's own tokenizer is there
 * Errors: CLIP_EUNSUPPORTED (the family names a tokenizer that has no rules).
 * clipeng_rules_need_files(): must the tokenizer's files lie beside weights in OpenCLIP's layout?
 * OpenCLIP takes CLIP's where there are none. tokenizer NULL: no. */
clip_status clipeng_rules_choose(const clipmdl_family *f, const clipmdl_text_config *t, int vocabulary, bool bpe,
                                 const cliptok_rules **out, clip_error *err);
bool clipeng_rules_need_files(const cliptok *tokenizer);

/* precision.c.
 * clipeng_precision_find(): the format whose products have this precision. name NULL: the first.
 * Errors: CLIP_EINVAL (there is none), CLIP_EUNSUPPORTED (the set does not have it).
 * clipeng_precisions_note(): " (with bf16)", the precisions that not every processor has and this
 * set has; "" where there is none. */
clip_status clipeng_precision_find(const char *name, const clipk_set *set, const clipk_format **out, clip_error *err);
const char *clipeng_precisions_note(const clipk_set *set, char out[64]);

/* recipe.c: how pictures are prepared, between the words of configurations and the struct of the
 * image room. The default is OpenAI's. tokenizer: beside the weights; NULL: there is none. */
clipmdl_recipe clipeng_recipe_default(void);
clipimg_recipe clipeng_recipe_of_words(const clipmdl_recipe *words, int size);
clipmdl_recipe clipeng_recipe_words(const clipimg_recipe *r, const cliptok *tokenizer);

/* encode.c. clipeng_encode_pixels_by(): clipeng_encode_pixels() by an image tower of the model that
 * its caller has bound.
 * clipeng_encode_states(): the unit embeddings of N prepared pictures, and all rows of a layer as
 * clipmdl_tap counts them, from one forward. */
clip_status clipeng_encode_pixels_by(clip_context *c, const clipmdl_tower *t, const float *pixels, int N, float *out);
clip_status clipeng_encode_states(clip_context *c, const float *pixels, int N, int layer, float *unit, float *states);

/* clipeng_norms_rows(): has the tower a last norm for the rows of tokens? */
static inline bool clipeng_norms_rows(const clipmdl_tower *t) { return t->norm || t->own_norm; }

/* finite.c: the rows of x [N, C] are numbers, and the length of each fits into f32. Else
 * CLIP_ENOTFINITE, and clipeng_context_message() names the sample (kind "picture" or "text", number
 * first + row + 1) and the tensor that is to blame.
 * input  in  the numbers that the rows were made of, [N, each]; NULL: there are none */
clip_status clipeng_check_finite(clip_context *c, const float *x, int N, size_t C, const char *kind, int64_t first,
                                 const float *input, size_t each);

/* files.c: where a checkpoint is. Its configuration's files are looked for in `dir` by the
 * families. */
typedef struct clipeng_files {
    char *dir, *weights;
    char *tokenizer_dir; /* where diffusers keeps the tokenizer of these weights; NULL: no such folder */
    char *pictures_dir;  /* where it keeps how pictures are prepared; NULL: in dir */
    bool bpe;            /* dir holds the file of OpenCLIP's own tokenizer */
} clipeng_files;

/* Weights in 8 bits. Other programs do not look for this name: they would read the integers as
 * numbers. */
#define CLIPENG_INT8_FILE "clip_int8.safetensors"

clip_status clipeng_files_find(const char *path, clipeng_files *out, clip_error *err);
void clipeng_files_free(clipeng_files *f);

/* tokenizer_files.c: the files of a tokenizer, to lay beside other weights. */
#define CLIPENG_TOKENIZER_FILES 11
typedef struct clipeng_tokenizer_files {
    unsigned char *data[CLIPENG_TOKENIZER_FILES]; /* NULL: not there */
    size_t size[CLIPENG_TOKENIZER_FILES];
} clipeng_tokenizer_files;

clip_status clipeng_tokenizer_files_read(const char *dir, clipeng_tokenizer_files *out, clip_error *err);
clip_status clipeng_tokenizer_files_write(const clipeng_tokenizer_files *f, const char *dir, clip_error *err);
void clipeng_tokenizer_files_free(clipeng_tokenizer_files *f);

/* clipeng_tokenizer_files_complete(): add what AutoTokenizer misses in a directory with a
 * tokenizer of CLIP's kind: vocab.json and merges.txt, made from the file that is there,
 * tokenizer_config.json and special_tokens_map.json. It adds nothing where `t`, the tokenizer of
 * that directory, is of another kind or NULL. */
clip_status clipeng_tokenizer_files_complete(const char *dir, const cliptok *t, int context_length, clip_error *err);

/* identity.c: the hash of the weights' files and of the settings. clipeng_weights_stamp(): what can
 * be told of them without reading: inodes, sizes, times and settings, as a key for the hash.
 * Errors: CLIP_EIO (the files have changed since they were loaded: the hash says nothing then). */
clip_status clipeng_weights_identify(const clip_model *m, char out[33], clip_error *err);
void clipeng_weights_stamp(const clip_model *m, char out[48]);

/* ---- Public functions ------------------------------------------------------------------------ */

/* Each does what its namesake in clip.h says: clipeng_encode_text() is clip_encode_text(). */

const char *clipeng_precision_at(int i);
clip_load_options clipeng_load_options_default(void);
clip_status clipeng_model_load(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err);
void clipeng_model_free(clip_model *m);
void clipeng_model_get_info(const clip_model *m, clip_model_info *out);
void clipeng_weights_hash(const clip_model *m, char out[33]);
clip_status clipeng_team_new(int threads, clip_team **out);
void clipeng_team_free(clip_team *t);
clip_status clipeng_context_new(const clip_model *m, int threads, clip_context **out);
clip_status clipeng_context_new_on(const clip_model *m, clip_team *team, clip_context **out);
void clipeng_context_free(clip_context *ctx);
int clipeng_context_threads(const clip_context *ctx);
clip_status clipeng_context_set_language(clip_context *ctx, const char *name, clip_error *err);
const char *clipeng_context_message(const clip_context *ctx, clip_status s);
void clipeng_parallel(clip_context *ctx, int64_t n, void (*fn)(void *user, int64_t i), void *user);
clip_image_options clipeng_model_image_options(const clip_model *m);
clip_status clipeng_preprocess(const clip_model *m, const clip_image *img, float *out);
clip_status clipeng_tokenize(const clip_model *m, const char *text, int32_t *ids, int *n);
clip_status clipeng_encode_image(clip_context *ctx, const clip_image *img, int N, float *out);
clip_status clipeng_encode_pixels(clip_context *ctx, const float *pixels, int N, float *out);
clip_status clipeng_encode_text(clip_context *ctx, const char *const *texts, int N, float *out);
clip_status clipeng_encode_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N, float *out);
clip_status clipeng_encode_labels(clip_context *ctx, const char *const *labels, int L, const char *const *templates,
                                  int T, float *out);
clip_status clipeng_similarity(clip_context *ctx, const float *a, int N, const float *b, int M, float *out);
void clipeng_probabilities(const clip_model *m, float *similarity, int N, int M);
void clipeng_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N, int M);
clip_hidden_options clipeng_hidden_options_default(void);
clip_status clipeng_hidden_text(clip_context *ctx, const char *const *texts, int N, const clip_hidden_options *opt,
                                const clip_hidden *out);
clip_status clipeng_hidden_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N,
                                  const clip_hidden_options *opt, const clip_hidden *out);
clip_status clipeng_hidden_image(clip_context *ctx, const clip_image *img, int N, const clip_hidden_options *opt,
                                 const clip_hidden *out);
clip_status clipeng_hidden_pixels(clip_context *ctx, const float *pixels, int N, const clip_hidden_options *opt,
                                  const clip_hidden *out);
clip_status clipeng_explain(clip_context *ctx, const clip_image *img, const char *const *texts, int K, float *map,
                            float *cosine);
int clipeng_explain_side(const clip_model *m);
clip_status clipeng_explain_heat(const clip_model *m, const float *map, int width, int height, float *heat);
clip_status clipeng_seen_window(const clip_model *m, int width, int height, clip_window *out);
clip_status clipeng_convert(const char *path, const char *out, const clip_convert_options *opt, clip_error *err);
clip_status clipeng_train_options_new(clip_train_options **out);
void clipeng_train_options_free(clip_train_options *o);
const char *clipeng_train_options_get(const clip_train_options *o, const char *name);
clip_status clipeng_train_options_set(clip_train_options *o, const char *name, const char *value, clip_error *err);
clip_status clipeng_train_options_read(clip_train_options *o, const char *path, clip_error *err);
const clip_train_option *clipeng_train_option_at(int i);
/* peers: who train the same model; NULL: alone. All ranks call new(), step() and save() together.
 * Every rank has the whole model, and only rank 0 saves it. */
clip_status clipeng_trainer_new(const clip_train_options *o, const clipb_peers *peers, clip_warn_fn warn,
                                void *warn_user, clip_trainer **out, clip_error *err);
clip_status clipeng_trainer_resume(const char *dir, const clip_train_options *o, const clipb_peers *peers,
                                   clip_warn_fn warn, void *warn_user, clip_trainer **out, clip_error *err);
void clipeng_trainer_free(clip_trainer *t);
void clipeng_trainer_get_info(const clip_trainer *t, clip_train_info *out);
clip_status clipeng_trainer_step(clip_trainer *t, clip_train_step *out, clip_error *err);
clip_status clipeng_trainer_save(clip_trainer *t, const char *dir, clip_error *err);
clip_status clipeng_measure(clip_context *ctx, clip_machine_speed *out);

#endif
