/* family.h: whose checkpoint is it? A family is a row: how its tensors are called, what its files
 * say and how they are written, which tokenizer and which preparation of pictures belong to it.
 *
 * The model's room knows neither tokenizers nor pictures. So a row speaks of both in plain words
 * (clipmdl_recipe, `tokenizer`), which src/engine (recipe.c, rules.c) turns into the structs of
 * those rooms.
 *
 * To add one: a file with a row, and the row in the list of families.c (docs/extending.md). */
#ifndef CLIPMDL_FAMILY_H
#define CLIPMDL_FAMILY_H

#include "base/json.h"
#include "model/config.h"

#define CLIPMDL_MAX_NAME 192
#define CLIPMDL_OPENAI_VOCABULARY 49408 /* 256 bytes, 256 that end a word, 48,894 merges, start and end */

/* How a checkpoint wants its pictures, and what else its files say beside the towers. */
typedef struct clipmdl_recipe {
    float mean[3], std[3];
    const char *interpolation; /* "bicubic", "bilinear" */
    const char *resize_mode;   /* "shortest", "longest", "squash" */
    const char *rounding;      /* of sizes and offsets: "openclip", "huggingface" */
    uint8_t fill_color[3];     /* around a "longest" picture */
    int background;            /* of transparent pictures, 0xRRGGBB; -1: none */
    int start_id, end_id;      /* of the tokenizer; -1: there is none */
    bool own_tokenizer;        /* beside the weights, in files that AutoTokenizer reads; else OpenCLIP takes CLIP's */
} clipmdl_recipe;

/* A file being read. */
typedef struct clipmdl_reader {
    const char *file;  /* for messages */
    clip_warn_fn warn; /* hears of settings that are ignored; may be NULL */
    void *warn_user;
    clip_error *err;
} clipmdl_reader;

/* A tensor that every encoder of a kind has. */
typedef struct clipmdl_mark {
    const char *name, *also; /* `also`, where it is not NULL, must be there too */
    int tower;               /* CLIP_TOWER_IMAGE, CLIP_TOWER_TEXT */
} clipmdl_mark;

/* How the names of a tower's tensors begin. */
typedef struct clipmdl_beginning {
    const char *name;
    int towers;
} clipmdl_beginning;

typedef struct clipmdl_family {
    const char *name;   /* clip_model_info.layout */
    const char *layout; /* what clipeng_convert() calls it; NULL: it is read, not chosen */

    /* ---- Tensors */
    const clipmdl_mark *marks;           /* ends with {0} */
    const clipmdl_beginning *beginnings; /* ends with {0} */
    /* A parameter's name in the code, which is OpenCLIP's, to the file's. */
    void (*translate)(const char *name, char *out, size_t size);
    bool splits;     /* in_proj is three tensors everywhere; else only in attention pools */
    bool transposes; /* a projection without bias is [width, embed]: x @ W */
    /* Before tensors are looked for: what the file keeps in another shape. NULL: nothing. */
    clip_status (*prepare)(clipmdl_store *s, const clipmdl_found *f, clip_error *err);

    /* ---- Configuration */
    const char *config_file;
    const char *model_type; /* how "model_type" in it begins; NULL: it has none */
    clip_status (*read_config)(const clipmdl_reader *r, const cJSON *root, clipmdl_config *out);
    /* Without that file: what the shapes of the tensors do not tell. c holds what they do. */
    clip_status (*guess)(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err);

    /* ---- Texts */
    const char *tokenizer; /* whose rules: "openclip", "huggingface" */
    int vocabulary;        /* the only one that tokenizer knows; 0: any. Another is read by the rules "huggingface" */
    int (*pad_id)(const clipmdl_text_config *t); /* where no tokenizer says one */

    /* ---- Pictures */
    const char *preprocessor; /* the program that prepares them, for messages */
    const char *rounding;     /* clipmdl_recipe.rounding, where no file says how pictures are prepared */
    /* out holds the defaults. size: of the encoder. *found: a file in `dir` says it. */
    clip_status (*read_recipe)(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found);

    /* ---- Writing */
    const char *weights_file;
    /* The configuration's files into `dir`. CLIP_EUNSUPPORTED (the layout has no words for it),
     * CLIP_EIO, CLIP_ENOMEM. */
    clip_status (*save)(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err);
    bool auto_tokenizer;       /* beside the weights go the files that transformers' AutoTokenizer reads */
    const char *no_logit_bias; /* the warning that it is left out; NULL: the layout has one */
    const char *no_padding;    /* the warning that pictures are not padded; NULL: they are */
} clipmdl_family;

extern const clipmdl_family clipmdl_openclip, clipmdl_huggingface;
extern const clipmdl_family clipmdl_huggingface_tower; /* one encoder alone, without vision_model. or text_model. */

/* clipmdl_families(): all rows, *n of them, in the order in which a file's names are tried. */
const clipmdl_family *const *clipmdl_families(int *n);

/* clipmdl_find(): the encoders in a file, told by the names of its tensors, whatever stands before
 * them.
 * within  in   only those whose names begin so; NULL: all
 * found   out  [CLIPMDL_MAX_FOUND], in the order of their names; what is beyond is passed over
 * Returns how many there are. */
#define CLIPMDL_MAX_FOUND 8
int clipmdl_find(const clipmdl_store *s, const char *within, clipmdl_found *found);

/* clipmdl_openclip_recipe(): from a file that need not be called open_clip_config.json. */
clip_status clipmdl_openclip_recipe(const char *path, clipmdl_recipe *out, clip_error *err);

/* clipmdl_huggingface_recipe(): from the object `key` of a file; NULL: from the whole.
 * *found: there is such an object. */
clip_status clipmdl_huggingface_recipe(const clipmdl_reader *r, const char *path, const char *key, int size,
                                       clipmdl_recipe *out, bool *found);

#endif
