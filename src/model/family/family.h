/* family.h: families of checkpoints. A family is a row: the names of its tensors, its files and how
 * they are written, its tokenizer and its preparation of pictures.
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
#define CLIPMDL_OPENAI_VOCABULARY 49408 /* 256 bytes, 256 bytes that end a word, 48,894 merges, start and end */

/* How a checkpoint wants its pictures, and what else its files say besides the towers. */
typedef struct clipmdl_recipe {
    float mean[3], std[3];
    const char *interpolation; /* "bicubic", "bilinear" */
    const char *resize_mode;   /* "shortest", "longest", "squash", "corner", "naflex" */
    const char *rounding;      /* how sizes and offsets are rounded: "openclip", "huggingface" */
    int patch_size, max_patches; /* "naflex": the side of a patch; patches of a picture. Otherwise 0 */
    uint8_t fill_color[3];     /* around a "longest" picture */
    const char *assumed;       /* the program whose defaults these are, if not the family's `preprocessor` */
    int background;            /* behind transparent pictures, 0xRRGGBB; -1: none */
    int start_id, end_id;      /* the tokenizer's; -1: it has none */
    bool own_tokenizer;        /* there are AutoTokenizer's files beside the weights; otherwise OpenCLIP takes CLIP's */
} clipmdl_recipe;

/* A file that is being read. */
typedef struct clipmdl_reader {
    const char *file;  /* for messages */
    clip_warn_fn warn; /* called for settings that are ignored; may be NULL */
    void *warn_user;
    clip_error *err;
} clipmdl_reader;

/* A tensor that every encoder of a kind has. */
typedef struct clipmdl_mark {
    const char *name, *also; /* `also`, if not NULL, must be there as well */
    int tower;               /* CLIP_TOWER_IMAGE, CLIP_TOWER_TEXT */
} clipmdl_mark;

/* The beginning of the names of a tower's tensors. */
typedef struct clipmdl_beginning {
    const char *name;
    int towers;
} clipmdl_beginning;

/* A tensor that the file has with more dimensions than the code: those in front are 1. */
typedef struct clipmdl_ones {
    const char *end; /* of its name in the file */
    int ndim;
} clipmdl_ones;

struct clipmdl_family {
    const char *name;   /* clip_model_info.layout */
    const char *layout; /* its name for clipeng_convert(); NULL: it can only be read */

    /* ---- Tensors */
    const clipmdl_mark *marks;           /* ends with {0} */
    const clipmdl_beginning *beginnings; /* ends with {0} */
    /* From a parameter's name in the code, which is OpenCLIP's, to its name in the file. "{q,k,v}"
     * in it stands for several tensors, one below the other in the parameter: each has a third of
     * the rows, and the last one the rest. */
    struct {
        const char *const *beginnings, *why; /* tensors that are known and not read, NULL at the end; NULL: none */
    } unread;
    void (*translate)(const char *name, char *out, size_t size);
    const clipmdl_ones *ones; /* for writing; ends with {0}; NULL: none */
    bool transposes; /* a projection without bias is [width, embed]: x @ W */
    bool no_antialias; /* positions are resampled without antialiasing, as transformers does */
    /* Called first: rearranges tensors that the file keeps in another shape. NULL: not needed. */
    clip_status (*prepare)(clipmdl_store *s, const clipmdl_found *f, clip_error *err);

    /* ---- Configuration */
    const char *config_file;
    const char *model_type; /* the beginning of its "model_type"; NULL: it has none */
    clip_status (*read_config)(const clipmdl_reader *r, const cJSON *root, clipmdl_config *out);
    /* Without that file: fills in what c, read from shapes, lacks. */
    clip_status (*guess)(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err);

    /* ---- Texts */
    const char *tokenizer; /* whose rules: "openclip", "huggingface" */
    int vocabulary;        /* the only size it knows; 0: any. Other sizes use the rules "huggingface" */
    int (*pad_id)(const clipmdl_text_config *t); /* if no tokenizer gives one */

    /* ---- Pictures */
    const char *preprocessor; /* the program that prepares them, for messages */
    void (*standard)(clipmdl_recipe *r); /* its defaults; NULL: OpenAI's */
    const char *rounding;     /* clipmdl_recipe.rounding, if no file describes the preparation */
    /* out holds the defaults. size: of the encoder's pictures. *found: a file in `dir` describes
     * the preparation. */
    clip_status (*read_recipe)(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found);

    /* ---- Writing */
    const char *weights_file;
    /* Has the layout words for such towers? `save` names what it has none for. */
    bool (*writes)(const clipmdl_config *c);
    /* Write the configuration's files into `dir`. NULL: the layout can only be read.
     * Errors: CLIP_EUNSUPPORTED (the layout cannot express it), CLIP_EIO, CLIP_ENOMEM. */
    clip_status (*save)(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err);
    bool auto_tokenizer;       /* transformers' AutoTokenizer files go beside the weights */
    const char *no_logit_bias; /* the warning that it is left out; NULL: the layout has it */
    const char *no_padding;    /* the warning that pictures are not padded; NULL: they are */
};

extern const clipmdl_family clipmdl_openclip, clipmdl_huggingface;
extern const clipmdl_family clipmdl_siglip;
extern const clipmdl_family clipmdl_chinese_clip;
extern const clipmdl_family clipmdl_chinese_clip_own; /* the names of its authors' files */
extern const clipmdl_family clipmdl_altclip, clipmdl_mclip, clipmdl_owl, clipmdl_flava, clipmdl_aimv2_hf;
extern const clipmdl_family clipmdl_dual_vit, clipmdl_dual_clip;
extern const clipmdl_family clipmdl_dual_clip_4; /* as transformers 4 names its tensors */
extern const clipmdl_family clipmdl_altclip_5; /* AltCLIP as transformers 5 names its tensors */
extern const clipmdl_family clipmdl_huggingface_tower; /* one encoder alone, without vision_model. or text_model. */

/* clipmdl_family_of_config(): whose configuration is a file, by its "model_type"? A type that is
 * unknown is read, and refused, as transformers' CLIP. */
clip_status clipmdl_family_of_config(const char *path, const clipmdl_family **out, clip_error *err);

/* clipmdl_family_to_write(): the first family whose layout has words for such towers: OpenCLIP's
 * where it can; NULL: none. */
const clipmdl_family *clipmdl_family_to_write(const clipmdl_config *c);

/* clipmdl_families(): all *n rows, in the order in which they are tried on the names of a file. */
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

/* clipmdl_openclip_writes(), clipmdl_openclip_save(): `writes` and `save` of OpenCLIP's row
 * (openclip_save.c). */
bool clipmdl_openclip_writes(const clipmdl_config *c);
clip_status clipmdl_openclip_save(const char *dir, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err);

#endif
