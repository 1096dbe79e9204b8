/* train_options.h: the settings of a training, in one table. The functions of clip.h, the command's
 * help and the trainer read it. */
#ifndef CLIPENG_TRAIN_OPTIONS_H
#define CLIPENG_TRAIN_OPTIONS_H

#include <stdbool.h>

#include "base/status.h"

/* id, group, name, kind, placeholder in help pages, default, lower limit, upper limit, help. */
#define CLIP_TRAIN_OPTIONS(X)                                                                                          \
    X(TRAIN_DATA, "Data", "train-data", SPEC, "SPEC", NULL, 0, 0,                                                      \
      "image-text pairs: a .tsv/.csv table, a folder, WebDataset tars;\nwith {000..012} and '::' between several")     \
    X(CSV_IMG_KEY, "Data", "csv-img-key", TEXT, "NAME", "filepath", 0, 0, "column of a table that names the picture")  \
    X(CSV_CAPTION_KEY, "Data", "csv-caption-key", TEXT, "NAME", "title", 0, 0, "column of a table with the caption")   \
    X(CSV_SEPARATOR, "Data", "csv-separator", CHAR, "CHAR", NULL, 0, 0,                                                \
      "between columns; default: what the first line shows")                                                           \
    X(AUG_CFG, "Data", "aug-cfg", JSON, "JSON", NULL, 0, 0,                                                            \
      "augmentation, as {\"scale\": [0.9, 1], \"color_jitter\": [..], ..};\ndefault: OpenCLIP's random resized crop")  \
    X(BACKGROUND, "Data", "background", COLOR, "COLOR", NULL, 0, 0,                                                    \
      "transparent pictures are laid on #rrggbb, white or black; or drop; default: the model's")                       \
    X(MAX_PIXELS, "Data", "max-pixels", INT, "N", NULL, 1, 2147483647,                                                 \
      "pass over pictures of more pixels; default: 178956970")                                                         \
    X(WORKERS, "Data", "workers", INT, "N", "1", 1, 64, "threads that read and prepare pictures, ahead of the step")   \
    X(MODEL, "Model", "model", PATH, "FILE", NULL, 0, 0, "train from scratch: an open_clip_config.json")               \
    X(PRETRAINED, "Model", "pretrained", PATH, "DIR", NULL, 0, 0, "fine-tune this checkpoint")                         \
    X(TOKENIZER, "Model", "tokenizer", PATH, "DIR", NULL, 0, 0, "from scratch: the tokenizer of this directory")       \
    X(TOKENIZER_VOCAB, "Model", "tokenizer-vocab", INT, "N", NULL, 514, 1 << 20,                                       \
      "from scratch: learn a tokenizer of N ids from the captions")                                                    \
    X(LOCK_IMAGE, "Model", "lock-image", FLAG, NULL, NULL, 0, 0, "leave the image tower as it is")                     \
    X(LOCK_IMAGE_UNLOCKED_GROUPS, "Model", "lock-image-unlocked-groups", INT, "N", "0", 0, 1000,                       \
      "but for its last N groups: the projection, the last block, ..")                                                 \
    X(LOCK_IMAGE_FREEZE_BN_STATS, "Model", "lock-image-freeze-bn-stats", FLAG, NULL, NULL, 0, 0,                       \
      "batch norms use their running statistics and leave them")                                                       \
    X(LOCK_TEXT, "Model", "lock-text", FLAG, NULL, NULL, 0, 0, "leave the text tower as it is")                        \
    X(LOCK_TEXT_UNLOCKED_LAYERS, "Model", "lock-text-unlocked-layers", INT, "N", "0", 0, 1000,                         \
      "but for its last N groups")                                                                                     \
    X(FORCE_PATCH_DROPOUT, "Model", "force-patch-dropout", REAL, "SHARE", "0", 0, 0.95,                                \
      "share of the patches that a ViT does not see in a step")                                                        \
    X(FORCE_IMAGE_SIZE, "Model", "force-image-size", INT, "N", NULL, 1, 8192,                                          \
      "pictures of N x N pixels; a checkpoint's positions are resampled")                                              \
    X(LOSS, "Model", "loss", CHOICE, "infonce|siglip", "infonce", 0, 0,                                                \
      "symmetric cross entropy over the batch, or SigLIP's sigmoid loss")                                              \
    X(BATCH_SIZE, "Optimization", "batch-size", INT, "N", "64", 2, 1 << 20, "pairs a step")                            \
    X(CHUNK, "Optimization", "chunk", INT, "N", "0", 0, 1 << 20,                                                       \
      "of the batch at a time: the same gradient with less memory, a third slower")                                    \
    X(PRECISION, "Optimization", "precision", CHOICE, "f32|amp_bf16", "f32", 0, 0,                                     \
      "amp_bf16: products of large matrices in bf16, forward and backward,\nwhere the processor can")                  \
    X(EPOCHS, "Optimization", "epochs", INT, "N", "32", 1, 1000000, "passes over the pairs")                           \
    X(LR, "Optimization", "lr", REAL, "RATE", "5e-4", 0, 10, "learning rate at its highest")                           \
    X(BETA1, "Optimization", "beta1", REAL, "B", NULL, 0, 0.999999, "AdamW; default .9")                               \
    X(BETA2, "Optimization", "beta2", REAL, "B", NULL, 0, 0.999999, "AdamW; default .98 for a ViT, .999 for a ResNet") \
    X(EPS, "Optimization", "eps", REAL, "E", NULL, 1e-12, 1, "AdamW; default 1e-6 for a ViT, 1e-8 for a ResNet")       \
    X(WD, "Optimization", "wd", REAL, "DECAY", "0.2", 0, 100, "weight decay of parameters of two or more dimensions")  \
    X(WARMUP, "Optimization", "warmup", INT, "STEPS", NULL, 0, 1 << 30,                                                \
      "over which the rate rises; default: a tenth of the run, at most 10000")                                         \
    X(LR_SCHEDULER, "Optimization", "lr-scheduler", CHOICE, "cosine|const|const-cooldown", "cosine", 0, 0,             \
      "what the rate does after the warm-up")                                                                          \
    X(EPOCHS_COOLDOWN, "Optimization", "epochs-cooldown", INT, "N", "1", 1, 1000000,                                   \
      "over which const-cooldown falls to 0")                                                                          \
    X(GRAD_CLIP_NORM, "Optimization", "grad-clip-norm", REAL, "NORM", "0", 0, 1e9,                                     \
      "longer gradients are shortened to this; 0: none is")                                                            \
    X(SEED, "Optimization", "seed", INT, "N", "0", 0, 2147483647,                                                      \
      "of all that is drawn: the same seed gives the same model")                                                      \
    X(THREADS, "Optimization", "threads", INT, "N", "0", 0, 1024,                                                      \
      "cores to use; 0: all. The result does not depend on it")

enum {
#define X(id, ...) CLIP_TRAIN_##id,
    CLIP_TRAIN_OPTIONS(X)
#undef X
    CLIP_TRAIN_OPTION_COUNT
};

struct clip_train_options {
    char *value[CLIP_TRAIN_OPTION_COUNT]; /* as text, checked; NULL: not set */
};

/* The value of a setting, or else its default. Without a default: NULL or 0. */
const char *clipeng_train_text(const clip_train_options *o, int id);
long clipeng_train_int(const clip_train_options *o, int id);
double clipeng_train_real(const clip_train_options *o, int id);
bool clipeng_train_flag(const clip_train_options *o, int id);

/* clipeng_train_options_parse(): clipeng_train_options_read() from a text. `name` is for
 * messages. */
clip_status clipeng_train_options_parse(clip_train_options *o, const char *json, const char *name, clip_error *err);

/* clipeng_train_options_json(): all settings that are set, with absolute paths, as a JSON object
 * that clipeng_train_options_read() takes.
 * @return: free it with free(); NULL: out of memory */
char *clipeng_train_options_json(const clip_train_options *o);

#endif
