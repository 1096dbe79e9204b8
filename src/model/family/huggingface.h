/* huggingface.h: what the families have in common whose files transformers writes. */
#ifndef CLIPMDL_HUGGINGFACE_H
#define CLIPMDL_HUGGINGFACE_H

#include <stdio.h>

#include "model/family/family.h"
#include "model/family/words.h"
#include "model/settings.h"

/* Settings that any configuration of transformers may have, and that change nothing here. */
#define CLIPMDL_HF_ALL                                                                                                 \
    " _name_or_path _commit_hash _attn_implementation _attn_implementation_autoset"                                    \
    " _experts_implementation add_cross_attention architectures attn_implementation"                                   \
    " bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward"                                        \
    " cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dtype"                            \
    " early_stopping encoder_no_repeat_ngram_size eos_token_id"                                                        \
    " exponential_decay_length_penalty finetuning_task forced_bos_token_id"                                            \
    " forced_eos_token_id gradient_checkpointing id2label initializer_factor"                                          \
    " initializer_range is_composition is_decoder is_encoder_decoder"                                                  \
    " keys_to_ignore_at_inference label2id length_penalty logit_scale_init_value max_length"                           \
    " min_length model_type no_repeat_ngram_size num_beam_groups num_beams num_labels"                                 \
    " num_return_sequences output_attentions output_hidden_states output_scores pad_token_id"                          \
    " prefix problem_type projection_dim remove_invalid_values repetition_penalty return_dict"                         \
    " return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature"                           \
    " tf_legacy_loss tie_encoder_decoder tie_word_embeddings tokenizer_class top_k top_p"                              \
    " torch_dtype torchscript transformers.js_config transformers_version"                                             \
    " transformers_weights typical_p use_bfloat16 use_cache"
#define CLIPMDL_HF_OTHERS "auto_map pruned_heads quantization_config"

#define CLIPMDL_HF_TOWER                                                                                               \
    "hidden_size intermediate_size num_hidden_layers num_attention_heads layer_norm_eps attention_dropout "            \
    "dropout" CLIPMDL_HF_ALL
#define CLIPMDL_HF_TEXT CLIPMDL_HF_TOWER " vocab_size max_position_embeddings"
#define CLIPMDL_HF_IMAGE CLIPMDL_HF_TOWER " image_size patch_size"

/* Settings of image processors. */
#define CLIPMDL_HF_PICTURES                                                                                            \
    "processor_class background image_mean image_std rescale_factor do_center_crop do_convert_rgb pad_size "           \
    "size_divisor data_format input_data_format device return_tensors disable_grouping image_seq_length "              \
    "_valid_processor_keys _processor_class transformers_version"
#define CLIPMDL_HF_PICTURES_OFF "auto_map do_pad default_to_square use_square_size"
#define CLIPMDL_HF_PICTURES_ONE_OF                                                                                     \
    {"resample", "2 3"}, {"do_resize", "true"}, {"do_rescale", "true"}, { "do_normalize", "true" }
extern const clipmdl_settings_part clipmdl_huggingface_sides[];

/* An image processor of transformers. */
typedef struct clipmdl_processor {
    const char *name;
    const clipmdl_settings *settings;
    const char *begins; /* how its types begin; NULL: it stands for every other one */
    const char *model;  /* how the model types begin that have it where no file says a type */
    bool crops; /* the middle is cut out unless a file says otherwise, so one side is resized to the size */
    bool half;  /* mean and deviation are 0.5 unless a file says otherwise */
    bool squashes; /* where one side is said and nothing is cut out, both sides are resized to it */
    bool patches;  /* pictures keep their shape, in "max_num_patches" patches at most */
    int resample;  /* Pillow's number of the filter unless a file says otherwise; 0: bicubic */
    const char *resize_mode; /* of its own; NULL: it squashes or crops */
} clipmdl_processor;

extern const clipmdl_processor clipmdl_clip_processor, clipmdl_siglip_processor, clipmdl_naflex_processor,
    clipmdl_chinese_clip_processor;

/* clipmdl_huggingface_recipe(): read "image_processor" of processor_config.json, if it is there,
 * otherwise preprocessor_config.json. Where neither is there, `out` gets the processor's defaults
 * if config.json is of its model type.
 * size    in   of the encoder's pictures
 * *found  out  one of them is in `dir` */
clip_status clipmdl_huggingface_recipe(const clipmdl_reader *r, const clipmdl_processor *p, const char *dir, int size,
                                       clipmdl_recipe *out, bool *found);

/* clipmdl_huggingface_pictures(): read the object `key` of a file; NULL: all of it.
 * *found  out  there is one */
clip_status clipmdl_huggingface_pictures(const clipmdl_reader *r, const clipmdl_processor *p, const char *path,
                                         const char *key, int size, clipmdl_recipe *out, bool *found);

/* clipmdl_huggingface_side(): the "size" that the files in `dir` say. Without one, *side stays. */
clip_status clipmdl_huggingface_side(const char *dir, int *side, clip_error *err);

/* clipmdl_huggingface_vision(), clipmdl_huggingface_text(): the encoders of CLIP.
 * o  in  the settings of one; NULL: all defaults */
clip_status clipmdl_huggingface_vision(const clipmdl_reader *r, const cJSON *o, clipmdl_vision_config *v);
clip_status clipmdl_huggingface_text(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t);

/* clipmdl_huggingface_put_pictures(): write preprocessor_config.json.
 * name  in  "CLIP": how its processors' names begin */
void clipmdl_huggingface_put_pictures(FILE *f, const char *name, int size, const clipmdl_recipe *r);

/* What follows "layers.N." in the names of CLIP's and SigLIP's Transformers. */
extern const clipmdl_rename clipmdl_huggingface_blocks[];

/* clipmdl_huggingface_sizes(): the settings that every Transformer has. Each keeps its default if
 * `o` does not say it. */
clip_status clipmdl_huggingface_sizes(const clipmdl_reader *r, const cJSON *o, int *width, int *heads, int *layers,
                                      int *mlp, float *eps);

/* clipmdl_huggingface_tower_of(): the settings of a tower, or NULL. If there is an object KEY_dict,
 * transformers takes it instead of KEY. */
const cJSON *clipmdl_huggingface_tower_of(const cJSON *root, const char *key);

#endif
