/* clip.h: CLIP in C, the whole public interface of libclip.
 *
 * CLIP (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
 * Supervision", arXiv:2103.00020) maps pictures and texts into one space, where the vectors of a
 * picture and a text that belong together point the same way.
 *
 *     clip_model *model;  clip_context *ctx;  clip_error err;
 *     clip_model_load("ViT-B-32", NULL, &model, &err);
 *     clip_context_new(model, 0, &ctx);
 *     clip_encode_image(ctx, pictures, n, image_embeddings);      [n, D], unit length
 *     clip_encode_text(ctx, texts, k, text_embeddings);           [k, D], unit length
 *     clip_similarity(ctx, image_embeddings, n, text_embeddings, k, cosines);
 *
 * Threads   A clip_model is immutable: any number of threads share one. A clip_context is a
 *           workspace for one calling thread. The contexts of several threads can share a
 *           clip_team. Functions without a context are safe from any thread.
 * Results   They do not depend on the batch or on the number of threads: N pictures in one call
 *           give, bit for bit, what N calls give.
 * Ownership What a function returns through `**out` belongs to the caller. A free function stands
 *           beside it, and takes NULL.
 * Errors    A function that can fail returns a clip_status: 0 or negative. A function that reads
 *           files also fills a clip_error, if one is given, with the name of the file and the
 *           fault. On error outputs are NULL or unspecified, and nothing leaks.
 * Arguments A pointer may be NULL where that is said, or where its array is empty. Another NULL
 *           among texts, paths and arrays is CLIP_EINVAL, and so is a negative count. Handles
 *           (models, contexts, indexes, ...) and `out` pointers to handles are not checked.
 * Text      UTF-8. Invalid UTF-8 never fails: it is read as U+FFFD.
 * Locale    Files are read and written the same under every locale. Dates without a time zone are
 *           local.
 * Process   The library never ends the process, prints nothing, and changes neither locale nor
 *           signals.
 * Files     Weights and the arrays of an index stay mapped. A function that is about to read a file
 *           that has been cut short, or weights that have been written to in place, returns
 *           CLIP_EIO. Where the file is cut while it is read, the process gets SIGBUS; the library
 *           installs no handler. A handler learns the file's name from clip_mapped_file(). Files
 *           are opened with O_CLOEXEC.
 * Forks     In a forked child a model stays usable, and a context works with one thread. A trainer,
 *           an index or a stream of pairs of the parent is refused with CLIP_EINVAL; its free
 *           function then only releases memory, and not always all of it. No call may be under way
 *           on these, or on a context that the child will use, while the process forks. The child
 *           ends with _exit() or exec(). */
#ifndef CLIP_H
#define CLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLIP_API __attribute__((visibility("default")))
#else
#define CLIP_API
#endif

/* ---- Versions ------------------------------------------------------------------------------ */

/* The version of this header; clip_version() tells the version of the library that runs.
 * Until 1.0 a new minor version may change the interface; from 1.0 on only a new major version may.
 * The shared library's SONAME is libclip.so.N. N rises with every version that programs built
 * against an earlier one cannot run with: a function or a member is gone or means something else,
 * or a structure has another size. A program built against N runs with every later library of N. */
#define CLIP_VERSION_MAJOR 0
#define CLIP_VERSION_MINOR 1
#define CLIP_VERSION_PATCH 0
#define CLIP_VERSION_NUMBER                                                                        \
    (CLIP_VERSION_MAJOR * 10000 + CLIP_VERSION_MINOR * 100 + CLIP_VERSION_PATCH)
#define CLIP_VERSION_QUOTE(a, b, c) #a "." #b "." #c
#define CLIP_VERSION_DOTTED(a, b, c) CLIP_VERSION_QUOTE(a, b, c)
#define CLIP_VERSION_STRING                                                                        \
    CLIP_VERSION_DOTTED(CLIP_VERSION_MAJOR, CLIP_VERSION_MINOR, CLIP_VERSION_PATCH)

/* ---- Status -------------------------------------------------------------------------------- */

#define CLIP_STATUS_MAP(X)                                                                         \
    X(CLIP_OK, 0, "done")                                                                          \
    X(CLIP_EINVAL, -1, "an argument is out of its range")                                          \
    X(CLIP_ENOMEM, -2, "out of memory")                                                            \
    X(CLIP_EIO, -3, "a file cannot be read or written")                                            \
    X(CLIP_EFORMAT, -4, "a file is damaged or not of the format it should be")                     \
    X(CLIP_EUNSUPPORTED, -5, "sound, but not supported by this build, or this machine")            \
    X(CLIP_ELIMIT, -6, "larger than the limit allows")                                             \
    X(CLIP_EMISMATCH, -7, "parts do not fit each other")                                           \
    X(CLIP_EDIVERGED, -8, "training has diverged")                                                 \
    X(CLIP_EBUSY, -9, "another process is writing it")                                             \
    X(CLIP_ENOTFINITE, -10, "a number is NaN or infinite")

typedef enum clip_status {
#define X(name, code, message) name = code,
    CLIP_STATUS_MAP(X)
#undef X
} clip_status;

/* What went wrong, for people, on one line:
 * "dir/model.safetensors: tensor 'visual.proj' ends beyond the file". */
typedef struct clip_error {
    clip_status code;
    char message[1024];
} clip_error;

/* clip_status_name(), clip_status_message(): "CLIP_EIO" and its sentence.
 * @return: static strings, never NULL */
CLIP_API const char *clip_status_name(clip_status s);
CLIP_API const char *clip_status_message(clip_status s);

/* Text from outside (names of files and tensors, captions, labels) may hold characters that control
 * a terminal or turn a line around. The messages of a clip_error and of a clip_warn_fn are free of
 * them. Paths and captions that are returned come as they are.
 *
 * clip_text_next(): read the first character of a text.
 * code  out  its code point; CLIP_TEXT_INVALID for a byte that is not UTF-8
 * @return: its length in bytes; 0 at the end of the text
 *
 * clip_text_shown(): whether a character may be shown to a person. It may not if it is a control
 * character (C0, DEL, C1, so a newline too), a line or paragraph separator, a control of the
 * direction of text, or a byte that is not UTF-8. */
enum { CLIP_TEXT_INVALID = -1 };
CLIP_API size_t clip_text_next(const char *text, int32_t *code);
CLIP_API bool clip_text_shown(int32_t code);

/* clip_mapped_file(): the file that the library has mapped at an address.
 * It may be called in a handler of SIGBUS, with siginfo_t's si_addr.
 * @return: the file's name, or NULL */
CLIP_API const char *clip_mapped_file(const void *address);

/* clip_version(): "0.1.0". clip_build_info(): the optional parts built in, and the instruction sets
 * that this machine has.
 * @return: static strings */
CLIP_API const char *clip_version(void);
CLIP_API const char *clip_build_info(void);

/* clip_precision_at(): the number formats of products that clip_load_options.precision can name,
 * the default first: "f32", "bf16". clip_build_info() says which of the others this machine has.
 * @return: static; NULL after the last */
CLIP_API const char *clip_precision_at(int i);

/* ---- Models -------------------------------------------------------------------------------- */

typedef struct clip_model clip_model;
typedef struct clip_context clip_context;
typedef struct clip_team clip_team;

enum { CLIP_TOWER_IMAGE = 1, CLIP_TOWER_TEXT = 2, CLIP_TOWER_BOTH = 3 };

/* Receives a warning: one line without a newline. */
typedef void (*clip_warn_fn)(void *user, const char *message);

typedef struct clip_load_options {
    int towers;        /* CLIP_TOWER_*: the others are neither read nor packed */
    int mapped;        /* CLIP_TOWER_*: towers for a few inputs only (below); 0: none */
    int threads;       /* cores to pack the weights with; 0: all this process may use */
    const char *isa;   /* "avx512", "avx2", "neon", "generic"; NULL: the best this machine has */
    clip_warn_fn warn; /* NULL: silent */
    void *warn_user;
    /* For a file that holds several encoders: how the names of the wanted one's tensors begin.
     * NULL: the file holds one. */
    const char *prefix;
    /* One of clip_precision_at(): "f32"; "bf16", faster and less exact, for processors with
     * AVX512_BF16, or BF16 of ARM under Linux; "int8", faster still, on every processor. NULL:
     * "f32", or "int8" where the file's weights are in 8 bits, which have no other. */
    const char *precision;
    /* Pictures of image_size x image_size pixels instead of the checkpoint's size. Positions are
     * resampled: bicubic with antialiasing as OpenCLIP and timm do, for transformers' layouts
     * without, as interpolate_pos_encoding=True does. Embeddings of two sizes cannot be compared.
     * NaFlex has no such size. 0: the checkpoint's own. */
    int image_size;
} clip_load_options;

/* clip_load_options_default(): both towers, packed, all cores, the best instruction set, silent,
 * f32. */
CLIP_API clip_load_options clip_load_options_default(void);

/* clip_model_load(): open a checkpoint and pack its weights.
 * path  in   The name of a model on this machine ("Models by name", below), or one of:
 *            - a directory in the layout of Hugging Face or OpenCLIP;
 *            - one .safetensors file, or one of torch.save(); configuration and tokenizer are
 *              looked for beside it, and sizes that nothing tells are taken from the shapes, with
 *              a warning;
 *            - a folder of the Hugging Face hub's cache (models--ORG--NAME): the snapshot that its
 *              refs/main names is opened;
 *            - a folder of sentence-transformers (modules.json): the CLIP in it is opened.
 *            OpenCLIP's "local-dir:" may stand before a path.
 *            One encoder alone is a model too: transformers' CLIPTextModel, CLIPVisionModel and
 *            their WithProjection forms, the text encoders in diffusers' folders, and the text
 *            encoders inside Stable Diffusion's single files, of which nothing else is read.
 * opt   in   NULL: defaults
 * out   out  the model; NULL on error. Free it with clip_model_free()
 * err   out  may be NULL
 *
 * Every setting of a configuration and every tensor of a tower must be understood.
 * The matrices of the Transformers keep the file's type (f32, f16, bf16) in memory; everything
 * else is f32. With precision "bf16" these matrices are kept in bf16, and the other operand of
 * their products is rounded to bf16 (8 bits, to nearest even), and so are the operands of attention
 * with 16 queries or more. Sums stay f32, and so do the residual stream, norms, softmax, biases,
 * and a ResNet's 3x3 convolutions behind its stem. Such an embedding by a Transformer has a cosine
 * above 0.999 with its f32 counterpart (measurements: docs/performance.md), so the two can be
 * compared. With "int8" both operands are 8-bit integers, with a scale for each row of the matrix
 * and of what it multiplies, and sums are exact. Attention is as with "bf16" where the processor
 * has it, else f32. What else stays f32 for bf16 does so here, and so does a CLIP's projection to
 * the embedding. The last digits of a token's states depend on how many tokens are asked for,
 * because few of them have
 * attention in f32.
 *
 * The matrices of a `mapped` tower are not packed. Each use reads them from the mapped file, and
 * then gives its pages back to the system. Loading is quicker, no more than one matrix is resident,
 * and the results are the same bits. Encoding is slower, so this pays for a few inputs (`clip`: 32
 * texts, 4 pictures). Packed all the same are matrices that the file has transposed, convolutions
 * with a norm, what a tower computes from its tensors, and weights of "int8".
 *
 * The file stays mapped: the token embedding is read from it. Replace a checkpoint by renaming;
 * never write into it while a model is loaded.
 *
 * Errors: CLIP_EINVAL (an option; several encoders to choose from, named by the message), CLIP_EIO,
 * CLIP_EFORMAT, CLIP_EUNSUPPORTED (settings, tensors or number types that are not known, each
 * named; bf16 on a processor without it; another precision than int8 for weights in 8 bits),
 * CLIP_ELIMIT, CLIP_EMISMATCH (missing tensors, shapes against the configuration, scales that are
 * none, none of the towers asked for), CLIP_ENOTFINITE (NaN or infinity where embeddings would hide
 * it; elsewhere it shows when something is embedded), CLIP_ENOMEM. */
CLIP_API clip_status clip_model_load(const char *path, const clip_load_options *opt,
                                     clip_model **out, clip_error *err);
CLIP_API void clip_model_free(clip_model *m);

typedef struct clip_model_info {
    const char *path;
    const char *layout;          /* "OpenCLIP" or "Hugging Face" */
    const char *weights_file;
    const char *prefix;          /* how the names of its tensors begin; mostly "" */
    const char *weights_type;    /* "f32", "f16", "bf16", "int8" */
    const char *tokenizer;       /* its file and the rules it follows; NULL: none found */
    const char *isa, *precision; /* "avx512", ...; "f32", "bf16" or "int8" */
    int towers;                  /* CLIP_TOWER_*: those that are loaded */
    /* D. 0: an encoder alone, without a projection: it has hidden states and no embeddings. */
    int embed_dim;
    /* exp() of the parameter logit_scale, 1/tau: what cosines are multiplied by. 0: unknown. */
    float logit_scale;
    float logit_bias;            /* added to it, if the score is "sigmoid"; else 0 */
    const char *score;           /* "softmax", or "sigmoid" for SigLIP's: see clip_probabilities() */
    int64_t parameters, image_parameters, text_parameters;
    /* pictures */
    const char *vision_kind;     /* "ViT", "EVA", "ModifiedResNet", .. */
    int image_size, vision_width, vision_heads; /* heads: 0 for ConvNeXt and FastViT */
    int stored_image_size;       /* that the weights' positions are for, before they are resampled */
    int patch_size;              /* 0: it has stages */
    /* SigLIP 2 NaFlex: pictures keep their shape, and have so many patches at most; image_size is
     * that of a square with the encoder's own positions. 0: pictures are squares. */
    int max_patches;
    size_t picture_floats;       /* of a prepared picture: 3 * image_size * image_size, or NaFlex' */
    int vision_layers[5];        /* layers in [0]; with stages the blocks of each, then 0 */
    int vision_tokens;           /* ViT: 1 + G*G, the class token and the patches; ResNet, CoCa, NaFlex: 0 */
    bool vision_norm;            /* their states have a last norm (clip_hidden_options.final_norm) */
    const char *vision_activation; /* "gelu", "gelu_tanh" or "quickgelu"; ResNet "relu", AIMv2 "silu" */
    float mean[3], std[3];
    const char *interpolation;   /* "bicubic" or "bilinear" */
    const char *resize_mode;     /* "shortest", "longest", "squash", "corner" or "naflex" */
    int background;              /* 0xRRGGBB under transparent pictures; -1: transparency dropped */
    /* texts */
    int context_length, vocab_size, text_width, text_heads, text_layers;
    int text_tokens;             /* rows of a text's states: context_length; 0: none, padding is masked */
    const char *text_activation; /* as above; NLLB: "relu" */
    const char *pooling;         /* "argmax" (the greatest id), "eos", "first", "last" or "mean" */
    int pad_id;                  /* the token that fills the context after a text */
    const char *language;        /* of texts, unless clip_context_set_language() says another; NULL: they have none */
    /* both */
    const char *unread;          /* tensors that are known and not read, and why; NULL: none */
} clip_model_info;

/* clip_model_get_info(): describe a model. Fields on an encoder that it lacks are 0 or NULL.
 * out  out  its strings live as long as the model */
CLIP_API void clip_model_get_info(const clip_model *m, clip_model_info *out);

/* clip_weights_hash(): XXH3-128 of the weights' files and of every setting that changes embeddings
 * (heads, activations, pooling, how pictures are prepared, ..), in hexadecimal. It identifies what
 * an index, head or probe was made with. The files of the tokenizer, the precision and the
 * background have no part in it. All files of weights are read.
 * out  out  empty where the files have been written to since they were loaded */
CLIP_API void clip_weights_hash(const clip_model *m, char out[33]);

/* clip_context_new(): a workspace for one calling thread.
 * threads  in   cores to use; 0: all this process may use
 * out      out  free with clip_context_free(), before the model
 * Errors: CLIP_EINVAL (threads below 0 or above 1024), CLIP_ENOMEM. */
CLIP_API clip_status clip_context_new(const clip_model *m, int threads, clip_context **out);

/* clip_team_new(): threads that several contexts and indexes share. N contexts at work with a team
 * each keep N * threads threads busy; on one team they keep N - 1 + threads busy.
 * threads  in   cores to use, a calling thread included; 0: all this process may use
 * out      out  free with clip_team_free(), after the contexts and indexes on it
 * Errors: CLIP_EINVAL (threads below 0 or above 1024), CLIP_ENOMEM. */
CLIP_API clip_status clip_team_new(int threads, clip_team **out);
CLIP_API void clip_team_free(clip_team *t);

/* clip_context_new_on(): as clip_context_new(), with the threads of a team. Any number of contexts
 * on one team may work at the same time, each in its own thread; their models may differ. Each
 * calling thread works for its own context. The team's other threads help all of them in turn.
 * Results are those of a context with its own team.
 * team  in   it must outlive the context
 * out   out  free with clip_context_free(), before the model and the team
 * Errors: CLIP_EINVAL (m or team is NULL), CLIP_ENOMEM. */
CLIP_API clip_status clip_context_new_on(const clip_model *m, clip_team *team, clip_context **out);
CLIP_API void clip_context_free(clip_context *ctx);
CLIP_API int clip_context_threads(const clip_context *ctx); /* @return: how many it uses */

/* clip_context_set_language(): the language of the texts that the context encodes from now on.
 * NLLB's texts begin with a token of their language, as other texts do not. clip_tokenize() gives
 * the tokenizer's own.
 * name  in  "deu_Latn"; NULL: the tokenizer's own again (clip_model_info.language)
 * Errors: CLIP_EUNSUPPORTED (the model's texts have no language), CLIP_EINVAL (its tokenizer has no
 * such language), CLIP_ENOMEM. */
CLIP_API clip_status clip_context_set_language(clip_context *ctx, const char *name, clip_error *err);

/* clip_context_message(): words for the status that a function has just returned for this context.
 * For CLIP_ENOTFINITE they name the picture or text (counted from 1 in that call) and, if a tensor
 * of the model holds NaN or infinity, that tensor. Otherwise they are clip_status_message()'s.
 * @return: lives until the next call with this context */
CLIP_API const char *clip_context_message(const clip_context *ctx, clip_status s);

/* clip_parallel(): call fn(user, i) for every i in 0 .. n-1 on the context's threads, in any order
 * and several at a time, and return when all are done. For work around an encoder, such as
 * decoding the pictures of a batch. fn must not use the context. */
CLIP_API void clip_parallel(clip_context *ctx, int64_t n, void (*fn)(void *user, int64_t i),
                            void *user);

/* ---- Models by name ------------------------------------------------------------------------ */

/* Where a function takes the path of a model, it also takes a name:
 *     ORG/NAME, ORG/NAME@REVISION   a repository of the Hugging Face hub, also after "hf-hub:"
 *     ARCHITECTURE/TAG              OpenCLIP's name: "ViT-B-32/laion2b_s34b_b79k"
 *     ARCHITECTURE__TAG             Immich's name: "ViT-B-32__laion2b-s34b-b79k"
 * A file or folder of that name comes first. A name is looked up in the hub's cache: $HF_HUB_CACHE,
 * else $HF_HOME/hub, else ~/.cache/huggingface/hub. The cache is shared with Python's
 * huggingface_hub. Only clip_pull() fetches; other functions never use the network. A model that is
 * not in the cache is CLIP_EIO, and the message names the command that fetches it. */

typedef struct clip_known_model {
    const char *name;       /* "ViT-B-32/openai" */
    const char *repository; /* "ORG/NAME" on the hub */
    const char *file;       /* the weights' file that OpenCLIP names there; NULL: none */
    int64_t parameters;     /* 0: unknown */
} clip_known_model;

typedef struct clip_recommended_model {
    const char *purpose; /* "photographs" */
    const char *name;
} clip_recommended_model;

/* clip_known_models(): OpenCLIP's names and their repositories. clip_recommended_models(): the few
 * to begin with (docs/models.md says why).
 * @return: a static array [*n] */
CLIP_API const clip_known_model *clip_known_models(int *n);
CLIP_API const clip_recommended_model *clip_recommended_models(int *n);

typedef struct clip_cached_model {
    const char *repository; /* "ORG/NAME" */
    const char *path;       /* the folder that its name leads to; NULL: none */
    int64_t bytes;          /* on the disk, all revisions and unfinished files included */
    bool whole;             /* its weights are there */
} clip_cached_model;

/* Receives a model; its strings live until it returns. */
typedef void (*clip_cached_fn)(void *user, const clip_cached_model *m);

/* clip_cached_models(): list the models of CLIP's kind in the cache, by name.
 * others  out  how many repositories of other kinds there are; may be NULL
 * Errors: CLIP_EINVAL (neither HF_HUB_CACHE nor HOME is set), CLIP_EIO, CLIP_ENOMEM. */
CLIP_API clip_status clip_cached_models(clip_cached_fn each, void *user, int *others,
                                        clip_error *err);

typedef struct clip_pull_progress {
    const char *file;    /* the file under way */
    int files;           /* of the model */
    int64_t done, total; /* bytes of all files; total 0: not known yet */
    int64_t fetched;     /* bytes that this call has received */
    /* "process 123 on HOST", or "another process": it is fetching this file. NULL: not waiting. */
    const char *waiting;
} clip_pull_progress;

typedef struct clip_pull_options {
    bool if_missing; /* do nothing where the name, or a path, leads to a model already */
    /* Called often; false: stop. What has come is kept. May be NULL. */
    bool (*progress)(void *user, const clip_pull_progress *now);
    void *progress_user;
} clip_pull_options;

CLIP_API clip_pull_options clip_pull_options_default(void);

/* clip_pull(): fetch a model from the hub into the cache: weights as safetensors, else as a pickle,
 * configuration, tokenizer. A file that is in the cache is not fetched again. An interrupted call
 * loses nothing: the next one goes on from the byte where it stopped. Sizes and hashes are checked.
 * If another process fetches the same file, this one waits for it.
 * name  in   a name as above
 * opt   in   NULL: defaults
 * path  out  the model's folder; free() it. NULL on error. NULL with CLIP_OK: `progress` said stop
 *
 * Environment: HF_ENDPOINT, a mirror of the hub. HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or the file
 * HF_TOKEN_PATH (default $HF_HOME/token): a token for private and gated repositories; it is sent to
 * the hub alone, never to a server that the hub points to. HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE:
 * nothing is fetched. HF_HUB_DOWNLOAD_TIMEOUT: seconds without data until a connection is given up
 * (30). Proxies as libcurl takes them.
 *
 * Errors: CLIP_EINVAL (not a name), CLIP_EIO (the network, the hub's refusal, the disk),
 * CLIP_EFORMAT (a wrong hash, after a second try; an answer that is not the hub's),
 * CLIP_EUNSUPPORTED (a build without libcurl; a repository that holds only formats of
 * other programs), CLIP_ENOMEM. */
CLIP_API clip_status clip_pull(const char *name, const clip_pull_options *opt, char **path,
                               clip_error *err);

/* ---- Pictures ------------------------------------------------------------------------------ */

/* 8-bit RGB, rows of `stride` bytes. Point it at your own pixels, or let clip_image_read() fill
 * it. */
typedef struct clip_image {
    int width, height;
    size_t stride;
    uint8_t *rgb;
} clip_image;

typedef struct clip_image_options {
    /* Larger pictures are refused before memory is allocated for them. The decoded size counts:
     * of a picture that comes reduced, the reduced one. */
    int64_t max_pixels;
    /* 0xRRGGBB: the colour under transparent parts. -1: transparency is dropped, as Pillow's
     * convert("RGB") does. */
    int background;
    /* A picture may come reduced where its format can do that in less time (JPEG by 1/2, 1/4, 1/8;
     * thumbnails in HEIC), as long as its shorter side keeps this many pixels. 0: full size. */
    int enough;
    /* For a path that a person has given: clip_image_read() also reads pipes and devices, and "-"
     * is standard input. A path from a file could make it wait for ever. */
    bool pipes;
} clip_image_options;

/* clip_image_options_default(): 178,956,970 pixels (Pillow's limit), background -1, full size.
 * clip_model_image_options(): the same with the background that the model's checkpoint asks for.
 * Read pictures for a model with these. */
CLIP_API clip_image_options clip_image_options_default(void);
CLIP_API clip_image_options clip_model_image_options(const clip_model *m);

/* clip_background_parse(): "#rrggbb" (the # may be missing), "white", "black" or "drop".
 * background  out  0xRRGGBB or -1
 * Errors: CLIP_EINVAL. */
CLIP_API clip_status clip_background_parse(const char *text, int *background);

/* clip_image_read(), clip_image_decode(): a picture from a regular file of at most 1 GiB, or from
 * its bytes. Formats are told by content: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, HEIC,
 * AVIF, PNM, JPEG XL (first frame), JPEG 2000, SVG, and cameras' raw files (their largest preview),
 * as far as clip_build_info() names them. EXIF orientation is applied. An SVG is drawn at its own
 * size, or larger if its shorter side would have fewer than 512 pixels; nothing outside the file is
 * loaded.
 * opt   in   NULL: defaults. For pictures on their way into a model: clip_model_image_options()
 * name  in   the picture's name in an error of clip_image_decode()
 * out   out  free with clip_image_free(); all zero on error
 * Errors: CLIP_EIO (also: not a regular file), CLIP_EFORMAT, CLIP_EUNSUPPORTED, CLIP_ELIMIT (too
 * many pixels or bytes), CLIP_ENOMEM. */
CLIP_API clip_status clip_image_read(const char *path, const clip_image_options *opt,
                                     clip_image *out, clip_error *err);
CLIP_API clip_status clip_image_decode(const void *bytes, size_t size, const char *name,
                                       const clip_image_options *opt, clip_image *out,
                                       clip_error *err);
CLIP_API void clip_image_free(clip_image *img);

/* clip_preprocess(): resize (Pillow's two-pass 8-bit resampling, bit for bit), crop or pad, and
 * normalise, as the checkpoint asks.
 * img  in   [H, W] RGB
 * out  out  [picture_floats] f32; the caller's. It is [3, S, S], S = image_size. For NaFlex
 *           (max_patches in clip_model_info) it begins with two numbers, the rows and columns of
 *           patches; then come the patches [rows * columns, patch_size, patch_size, 3], then zeros
 * Errors: CLIP_EINVAL (an empty picture, a stride shorter than a row; for NaFlex a picture that is
 * too long for its patches), CLIP_ENOMEM. */
CLIP_API clip_status clip_preprocess(const clip_model *m, const clip_image *img, float *out);

/* ---- Words --------------------------------------------------------------------------------- */

/* clip_tokenize(): a text to token ids, with start and end token, without padding. A text that is
 * too long is cut, and keeps its end token.
 * ids  out  room for context_length ids; the caller's
 * n    out  how many
 * Errors: CLIP_EINVAL (the model has no tokenizer or no text tower), CLIP_ENOMEM. */
CLIP_API clip_status clip_tokenize(const clip_model *m, const char *text, int32_t *ids, int *n);

/* ---- Embeddings ---------------------------------------------------------------------------- */

/* clip_encode_image(): embed N pictures, preprocessing included.
 * img  in   [N] pictures
 * out  out  [N, D] f32, row-major, unit L2 norm; the caller's
 * Errors: CLIP_EINVAL (N < 1, an empty picture, no image tower, no projection), CLIP_ENOTFINITE (an
 * embedding would hold NaN or infinity: clip_context_message() says why), CLIP_ENOMEM.
 * On error `out` is unspecified. */
CLIP_API clip_status clip_encode_image(clip_context *ctx, const clip_image *img, int N, float *out);

/* clip_encode_pixels(): the same from normalised pixels [N, 3, S, S] f32, clip_preprocess()'s
 * output. NaFlex: [N, picture_floats], as clip_preprocess() describes them.
 * Errors: CLIP_EINVAL also for NaFlex' rows and columns that are not a grid of 1 .. max_patches. */
CLIP_API clip_status clip_encode_pixels(clip_context *ctx, const float *pixels, int N, float *out);

/* clip_encode_text(): embed N texts.
 * out  out  [N, D] f32, unit L2 norm
 * Errors: as above. */
CLIP_API clip_status clip_encode_text(clip_context *ctx, const char *const *texts, int N,
                                      float *out);

/* clip_encode_tokens(): the same from token ids. Text i is ids[offsets[i]] .. ids[offsets[i+1]-1].
 * offsets  in  [N+1], the first of them at least 0
 * Errors: CLIP_EINVAL also for an id outside the vocabulary, an offset below 0, a text that is
 * empty (its offsets do not rise) or longer than context_length. */
CLIP_API clip_status clip_encode_tokens(clip_context *ctx, const int32_t *ids,
                                        const int32_t *offsets, int N, float *out);

/* clip_encode_labels(): one embedding for each label, the ensemble over templates of CLIP's
 * zero-shot classification (arXiv:2103.00020, 3.1.4). It is the mean of the unit embeddings of all
 * templates filled with the label, scaled to unit length.
 * templates  in   [T], each with one or more "{}" for the label: "a photo of a {}."
 * out        out  [L, D] f32, unit L2 norm
 * Memory does not grow with L and T.
 * Errors: CLIP_EINVAL (also: a template without "{}"), CLIP_ENOTFINITE, CLIP_ELIMIT (a filled
 * template of more than 65,536 bytes), CLIP_ENOMEM. */
CLIP_API clip_status clip_encode_labels(clip_context *ctx, const char *const *labels, int L,
                                        const char *const *templates, int T, float *out);

/* clip_similarity(): out[i, j] = a[i] . b[j], the cosine for unit rows.
 * a    in   [N, D]
 * b    in   [M, D]
 * out  out  [N, M]. A value that rounding alone takes beyond 1 or -1, by less than 1e-5, is set to
 *           1 or -1 */
CLIP_API clip_status clip_similarity(clip_context *ctx, const float *a, int N, const float *b,
                                     int M, float *out);

/* clip_probabilities(): similarities [N, M] become probabilities, in place, by the score that the
 * model was trained with (clip_model_info.score):
 *     softmax  of each row: softmax(logit_scale * row). They add up to 1: one of the M fits.
 *     sigmoid  of each pair: 1 / (1 + exp(-(logit_scale * cosine + logit_bias))). Each label counts
 *              by itself: all may fit, or none (SigLIP, arXiv:2303.15343).
 * clip_probabilities_scaled(): always the softmax, with another scale, such as
 * clip_fit_scale()'s. */
CLIP_API void clip_probabilities(const clip_model *m, float *similarity, int N, int M);
CLIP_API void clip_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N,
                                        int M);

/* clip_fit_scale(): the scale by which softmax(scale * cosine) fits pictures of known labels best:
 * the least mean of -log p (temperature scaling, Guo et al. 2017, arXiv:1706.04599; the temperature
 * is 1 / scale). The order of a picture's labels does not depend on the scale.
 * cosine  in  [N, L]
 * right   in  [N] the label of each picture, 0 .. L-1
 * Errors: CLIP_EINVAL (N or L < 1, a label that does not exist, a cosine that is not a number). */
CLIP_API clip_status clip_fit_scale(const float *cosine, const int32_t *right, int N, int L,
                                    double *scale);

/* clip_calibration(): how far probabilities at this scale are from the truth.
 * nll  out  the mean of -log p of the right label
 * ece  out  the expected calibration error of the best label's probability (15 bins)
 * Errors: as above, CLIP_ENOMEM. */
CLIP_API clip_status clip_calibration(const float *cosine, const int32_t *right, int N, int L,
                                      double scale, double *nll, double *ece);

/* Several labels for one picture: each label has a threshold t. A label applies if its cosine c
 * reaches t, and its probability is 1 / (1 + exp(-scale (c - t))).
 *
 * clip_fit_thresholds(): the thresholds that do best on pictures of known labels.
 * cosine     in   [N, L]
 * yes        in   [N, L] 1 where the label is right
 * threshold  out  [L] for each label the threshold with the best F1, in the middle of a gap between
 *                 cosines. The fewer pictures have the label, the closer it is drawn to `for_all`
 * for_all    out  the threshold that does best for all labels together
 * scale      out  the scale with the least mean of -log p, at these thresholds
 * Errors: CLIP_EINVAL (N or L < 1, no label is right anywhere, a cosine that is not a number),
 * CLIP_ENOMEM. */
CLIP_API clip_status clip_fit_thresholds(const float *cosine, const uint8_t *yes, int N, int L,
                                         float *threshold, float *for_all, double *scale);

typedef struct clip_multilabel_metrics {
    double precision, recall, f1; /* over all labels of all pictures together */
    double label_f1;              /* mean of the labels' F1 */
    double map;                   /* mean of the labels' average precision; needs no thresholds */
    double ece;                   /* expected calibration error of the probabilities (15 bins) */
    int labels;                   /* in the means: labels that some picture has */
} clip_multilabel_metrics;

/* clip_multilabel(): how good the labels by these thresholds [L] are.
 * Errors: CLIP_EINVAL (as above; a threshold that is not a number), CLIP_ENOMEM. */
CLIP_API clip_status clip_multilabel(const float *cosine, const uint8_t *yes, int N, int L,
                                     const float *threshold, double scale,
                                     clip_multilabel_metrics *out);

/* ---- Hidden states ------------------------------------------------------------------------- */

/* The inner states of an encoder, for models that are built on it: Stable Diffusion (texts), LLaVA
 * (pictures). Layers are counted as in transformers' `hidden_states`.
 * Sizes: C = text_width or vision_width; T = context_length or vision_tokens.
 *
 *                                     layer  final_norm  pads with
 *     Stable Diffusion 1                 -1       1      the end token
 *     Stable Diffusion 2                 -2       1      0
 *     Stable Diffusion XL, CLIP-L        -2       0      the end token
 *     Stable Diffusion XL, bigG          -2       0      0             and `projected`
 *     LLaVA 1.5                          -2       0                    without states[:, 0]
 */
typedef struct clip_hidden_options {
    /* 0: the input of the first layer. l: the output of layer l. -1: of the last layer, -2: of the
     * one before it, ... */
    int layer;
    /* Whether the encoder's last layer norm is applied. 1: yes. 0: no. -1: as in transformers'
     * last_hidden_state: after a text's last layer only. */
    int final_norm;
    int pad_id; /* fills the context after a text; -1: the checkpoint's own pad_id */
} clip_hidden_options;

/* clip_hidden_options_default(): layer -1, final_norm -1, pad_id -1. */
CLIP_API clip_hidden_options clip_hidden_options_default(void);

/* Where the states go; the caller's memory. NULL: not wanted, and not computed. */
typedef struct clip_hidden {
    /* [N, T, C] f32. Of a text its tokens, padded to the context without an attention mask. Of a
     * picture the class token, then the patches, row by row. */
    float *states;
    /* [N, C] of the end token or the class token, after the last layer and its norm: transformers'
     * pooler_output. */
    float *pooled;
    /* [N, D] pooled @ projection: text_embeds, image_embeds. An embedding before it is scaled to
     * unit length. */
    float *projected;
} clip_hidden;

/* clip_hidden_text(), clip_hidden_tokens(), clip_hidden_image(), clip_hidden_pixels(): of N texts
 * or pictures, given as to clip_encode_*().
 * opt  in   NULL: defaults
 * out  out  what is wanted
 * Errors: those of clip_encode_*(); CLIP_EINVAL (nothing is wanted, a layer that does not exist, a
 * pad_id outside the vocabulary, `projected` without a projection); CLIP_EUNSUPPORTED (`states` and
 * `pooled` of a ResNet, which has no tokens, of NaFlex, whose pictures differ in their number of
 * tokens, or of a text encoder that masks padding, as BERT; final_norm 1 with `states` of an
 * encoder whose last norm stands behind the mean of its tokens: clip_model_info.vision_norm). */
CLIP_API clip_status clip_hidden_text(clip_context *ctx, const char *const *texts, int N,
                                      const clip_hidden_options *opt, const clip_hidden *out);
CLIP_API clip_status clip_hidden_tokens(clip_context *ctx, const int32_t *ids,
                                        const int32_t *offsets, int N,
                                        const clip_hidden_options *opt, const clip_hidden *out);
CLIP_API clip_status clip_hidden_image(clip_context *ctx, const clip_image *img, int N,
                                       const clip_hidden_options *opt, const clip_hidden *out);
CLIP_API clip_status clip_hidden_pixels(clip_context *ctx, const float *pixels, int N,
                                        const clip_hidden_options *opt, const clip_hidden *out);

/* ---- Explanation --------------------------------------------------------------------------- */

/* clip_explain(): which parts of a picture make it match words. The result is a map of G x G cells
 * over the S x S pixels that the model sees, or NaFlex' whole picture; G = clip_explain_side(). For
 * a ViT it is relevance through the attention of its blocks (Chefer et al. 2021, arXiv:2103.15679).
 * For a ResNet, NaFlex and weights in 8 bits it is how much the cosine falls when a disc is painted
 * over (Zeiler and Fergus 2013, arXiv:1311.2901), which takes G * G encodings.
 * img     in   [H, W] RGB
 * texts   in   [K]
 * map     out  [K, G, G], at least 0. Compare the cells of one map, not maps
 * cosine  out  [K] of the picture with each text
 * The first call packs a ViT once more for gradients, in f32 whatever the precision, and any other
 * tower that is `mapped`, in the model's; the context keeps it.
 * Errors: CLIP_EINVAL (K < 1, an empty picture, a tower or the tokenizer is missing),
 * CLIP_ENOTFINITE, CLIP_ENOMEM. */
CLIP_API clip_status clip_explain(clip_context *ctx, const clip_image *img,
                                  const char *const *texts, int K, float *map, float *cosine);
CLIP_API int clip_explain_side(const clip_model *m);

/* clip_explain_heat(): a map [G, G] laid over the whole picture, or over a copy of it of another
 * size. It is smooth between cells, 0 outside of what the model sees, and 1 at its peak; a map of
 * zeros stays zero.
 * heat  out  [height, width]; the caller's
 * Errors: CLIP_EINVAL (a side < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_explain_heat(const clip_model *m, const float *map, int width, int height,
                                       float *heat);

/* A part of a picture, in its pixels. */
typedef struct clip_window {
    double x, y, width, height;
} clip_window;

/* clip_seen_window(): the part of a picture of this size that the model sees. Where the picture is
 * padded, it reaches beyond the picture.
 * Errors: CLIP_EINVAL (a side < 1). */
CLIP_API clip_status clip_seen_window(const clip_model *m, int width, int height, clip_window *out);

/* ---- Evaluation ---------------------------------------------------------------------------- */

/* A rank counts the candidates that score strictly higher than the right one (of several the one
 * that scores best): 0 is best. R@k is the share of ranks below k. In the means ranks are counted
 * from 1, as OpenCLIP prints them. */
typedef struct clip_rank_metrics {
    int64_t queries;
    double r1, r5, r10; /* in 0..1 */
    double mean_rank, median_rank;
} clip_rank_metrics;

/* clip_ranks(): ranks of queries among candidates. The whole matrix of scores is never held.
 * query      in   [Q, D]
 * candidate  in   [C, D]
 * right      in   [right_off[Q]] the candidates that are right for query q are
 *                 right[right_off[q]] .. right[right_off[q+1]-1], at least one each
 * rank       out  [Q]; the caller's
 * Errors: CLIP_EINVAL, CLIP_ENOMEM. */
CLIP_API clip_status clip_ranks(clip_context *ctx, const float *query, int Q,
                                const float *candidate, int C, const int32_t *right,
                                const int32_t *right_off, int32_t *rank);

/* clip_rank_summary(): metrics of `rank` [Q]; zeros for Q = 0. Errors: CLIP_ENOMEM. */
CLIP_API clip_status clip_rank_summary(const int32_t *rank, int64_t Q, clip_rank_metrics *out);

/* ---- Questions ----------------------------------------------------------------------------- */

/* Answers to questions about pictures, in two ways that work with every CLIP (docs/vqa.md):
 *   zero-shot  Rules turn the question into a statement: "what color is the car?" into "{} car".
 *              Every candidate answer completes it, and the picture chooses among the statements.
 *              "Is there a dog?" is yes where "dog" fits the picture better than nearly all of a
 *              list of common things.
 *   a head     A small network on the frozen CLIP, fitted on questions with answers. It reads the
 *              embeddings of question and picture, and attends to the tokens of the patches. It
 *              chooses among the answers that it has learned.
 *
 *     clip_question_new(ctx, NULL, "what animal is this?", NULL, &question, &err);
 *     clip_question_get_info(question, &info);
 *     clip_question_ask(ctx, question, image_embeddings, n, p);
 *     p[i, j]: how likely info.answers[j] is for picture i */
typedef struct clip_question clip_question; /* ready to be put to pictures; immutable */
typedef struct clip_vqa clip_vqa;           /* a head; immutable */

typedef struct clip_question_options {
    /* [n_answers] to choose from. None: the words that ship for such a question, or the head's
     * answers. */
    const char *const *answers;
    int n_answers;
    /* [n_words] words to make answers of where none are given, the most frequent first. Of the
     * words that ship those are taken that consist of these words, if there are any; for a question
     * without such words, the first 1000 that mean something. Zero-shot only; not for "yes/no". */
    const char *const *words;
    int n_words;
    /* [n_templates] around a statement: "a photo of {}.". None: "{}". Zero-shot only. */
    const char *const *templates;
    int n_templates;
    /* With a head: answer from the question alone, by the network that was fitted without pictures.
     * The difference is what the head is worth. */
    bool blind;
} clip_question_options;

typedef struct clip_question_info {
    const char *type;      /* "yes/no", "color", "count", "kind", "where", "who", "other" */
    const char *kind;      /* for type "kind" the kind: "animal"; else "" */
    const char *statement; /* with {} for the answer; for "yes/no" what "yes" affirms */
    const char *const *answers; /* [n] */
    int n;
} clip_question_info;

/* clip_question_new(): read a question, and embed what is needed to answer it.
 * head     in   NULL: zero-shot. It must outlive the question
 * options  in   NULL: none
 * out      out  free with clip_question_free(); NULL on error
 * Errors: CLIP_EINVAL (an empty question; with a head: it knows none of the answers), those of
 * clip_encode_text(), CLIP_ENOMEM. */
CLIP_API clip_status clip_question_new(clip_context *ctx, const clip_vqa *head, const char *text,
                                       const clip_question_options *options, clip_question **out,
                                       clip_error *err);
CLIP_API void clip_question_free(clip_question *q);

/* clip_question_get_info(): describe a question.
 * out  out  its strings live as long as the question */
CLIP_API void clip_question_get_info(const clip_question *q, clip_question_info *out);

/* clip_look_pixels(): what a head reads of pictures that clip_preprocess() has prepared. It is the
 * unit embedding [D], followed by at most 64 tokens in 16 bits. A picture takes 9 KiB for a ResNet
 * of width 16 at 64x64, 76 KiB for ViT-B/32, 131 KiB for ViT-L/14.
 * pixels  in   as to clip_encode_pixels()
 * out     out  [N, clip_look_width()]; NaFlex: [N, D], no tokens
 * Errors: those of clip_encode_pixels(). */
CLIP_API size_t clip_look_width(const clip_model *m);
CLIP_API clip_status clip_look_pixels(clip_context *ctx, const float *pixels, int N, float *out);

/* clip_question_ask(): put a question to N pictures.
 * image  in   zero-shot: unit embeddings [N, D]; with a head: [N, clip_look_width()] of
 *             clip_look_pixels()
 * out    out  [N, n] probabilities; each row adds up to 1
 * Errors: CLIP_EINVAL (N < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_question_ask(clip_context *ctx, const clip_question *q,
                                       const float *image, int N, float *out);

/* A question about a picture, and people's answers. The table owns all of it. */
typedef struct clip_asked {
    const char *picture, *question;
    /* [n_answers], normalised as in VQA v2: lower case, without articles and punctuation, numbers
     * as digits. */
    const char *const *answers;
    int n_answers; /* at least 1 */
} clip_asked;

/* clip_asked_read(): a table (.tsv, .csv) with the columns filepath, question, answer. "|" stands
 * between several answers. Paths are relative to the table.
 * out  out  [*n]; free with clip_asked_free(); NULL on error
 * Errors: CLIP_EIO, CLIP_EFORMAT (with the line), CLIP_ELIMIT, CLIP_ENOMEM. */
CLIP_API clip_status clip_asked_read(const char *path, clip_asked **out, size_t *n,
                                     clip_error *err);
CLIP_API void clip_asked_free(clip_asked *asked, size_t n);

/* clip_asked_score(): the score of an answer, normalised as above: min(m / 3, 1), where m people
 * gave it. With fewer than three answers each of them scores 1.
 * @return: the score; 0 also when out of memory */
CLIP_API double clip_asked_score(const clip_asked *asked, const char *answer);

typedef struct clip_vqa_options {
    int hidden;  /* width of the network */
    bool pooled; /* embeddings only, without tokens */
    /* Learn what pictures add to the question, and answer by that. For questions whose answers are
     * distributed differently from those that were learned from. */
    bool unbiased;
    int epochs;   /* upper limit */
    int patience; /* stop after this many epochs without improvement on held-out questions */
    int answers;  /* how many to learn: the most frequent ones */
    int batch_size;
    double lr, weight_decay, dropout;
    uint64_t seed;
    /* Called after each epoch; false: stop, and keep the best so far. May be NULL. */
    bool (*progress)(void *user, int epoch, double loss, double accuracy);
    void *progress_user;
} clip_vqa_options;

CLIP_API clip_vqa_options clip_vqa_options_default(void);

typedef struct clip_vqa_info {
    int answers, hidden;
    int tokens;             /* that it reads of a picture; 0: it reads the embedding only */
    int trained, held_back; /* questions; the questions on a tenth of the pictures are held back */
    int epoch;              /* whose weights were kept */
    double accuracy;        /* on the questions held back */
} clip_vqa_info;

/* clip_vqa_fit(): train a head, and the same network without pictures. The result does not depend
 * on the number of threads.
 * asked  in   [n]
 * row    in   [n] the row of `image` that question i is about
 * image  in   [.., clip_look_width()] of clip_look_pixels()
 * out    out  free with clip_vqa_free(); NULL on error
 * Errors: CLIP_EINVAL (n < 2, fewer than two different answers), CLIP_EDIVERGED, CLIP_ENOMEM. */
CLIP_API clip_status clip_vqa_fit(clip_context *ctx, const clip_asked *asked, const int32_t *row,
                                  int n, const float *image, const clip_vqa_options *options,
                                  clip_vqa **out, clip_error *err);
CLIP_API void clip_vqa_free(clip_vqa *h);
CLIP_API void clip_vqa_get_info(const clip_vqa *h, clip_vqa_info *out);

/* clip_vqa_save(), clip_vqa_load(): DIR/vqa.json and DIR/vqa.safetensors. Saving makes DIR. A head
 * belongs to the weights that it was fitted on, and is refused with others. clip_vqa_exists():
 * whether there is one to load.
 * dir  in  NULL: the directory of the model
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights; the two files are not of
 * one head), CLIP_ENOMEM. */
CLIP_API clip_status clip_vqa_save(const clip_model *m, const clip_vqa *h, const char *dir,
                                   clip_error *err);
CLIP_API clip_status clip_vqa_load(const clip_model *m, const char *dir, clip_vqa **out,
                                   clip_error *err);
CLIP_API bool clip_vqa_exists(const clip_model *m, const char *dir);

/* ---- Matching ------------------------------------------------------------------------------ */

/* Whether a text belongs to a picture. A cosine tells which of several texts fits best; a
 * clip_match turns it into a probability (docs/matching.md):
 *     p = 1 / (1 + exp(-(intercept + slope max(s - knot, 0)))),     s = logit_scale * cosine
 * It is fitted on pairs that belong together and on as many that do not: in a batch, each pair is
 * mixed with the pair whose text is most like its own. A plain value. */
typedef struct clip_match {
    double knot, slope, intercept;
    int batch;     /* pairs in a batch: the more there are, the harder are the wrong pairs */
    int64_t pairs; /* that it was fitted on */
    /* On these pairs, each half judged by a fit on the other half. ece: expected calibration error,
     * 15 bins. */
    double accuracy, auc, ece;
} clip_match;

typedef struct clip_match_scores {
    int64_t pairs;   /* that have a neighbour */
    double accuracy; /* of the decision at probability 1/2 */
    double auc;      /* the area under the ROC curve */
    double ece;      /* expected calibration error, 15 bins */
} clip_match_scores;

#define CLIP_MATCH_BATCH 16 /* the usual batch */

/* clip_match_fit(), clip_match_evaluate(): fit on N pairs, or measure on them. Equal pictures and
 * equal texts are recognised: they are not wrong for each other.
 * image, text  in  [N, D] unit embeddings; pair i is image[i] and text[i]
 * Errors: CLIP_EINVAL (N or batch < 2; an embedding that is not a number; all pictures or texts the
 * same; pairs that score no higher than wrong ones), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_fit(clip_context *ctx, const float *image, const float *text,
                                    int N, int batch, clip_match *out, clip_error *err);
CLIP_API clip_status clip_match_evaluate(clip_context *ctx, const clip_match *match,
                                         const float *image, const float *text, int N, int batch,
                                         clip_match_scores *out, clip_error *err);

/* clip_match_probability(): the probability at s, a cosine times the model's logit_scale. */
CLIP_API double clip_match_probability(const clip_match *match, double s);

/* clip_match_save(), clip_match_load(): match.json. It belongs to the weights, and is refused with
 * others. clip_match_exists(): whether there is one to load.
 * path  in  the file; NULL: match.json beside the model's weights
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_save(const clip_model *m, const clip_match *match,
                                     const char *path, clip_error *err);
CLIP_API clip_status clip_match_load(const clip_model *m, const char *path, clip_match *out,
                                     clip_error *err);
CLIP_API bool clip_match_exists(const clip_model *m, const char *path);

/* Two pairs, and the margin by which they fit better than with their texts exchanged: the sum of
 * their cosines less the sum of the exchanged ones. */
typedef struct clip_confusion {
    int32_t i, j; /* i < j */
    float margin; /* below 0: the model would exchange the texts */
} clip_confusion;

/* clip_match_hardest(): the n smallest margins among N pairs, smallest first. Pairs with the same
 * picture or text are left out.
 * out    out  [n]
 * found  out  how many of them there are
 * Errors: CLIP_EINVAL (N < 2, n < 1, an embedding that is not a number), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_hardest(clip_context *ctx, const float *image, const float *text,
                                        int N, int n, clip_confusion *out, int *found);

/* ---- Probes -------------------------------------------------------------------------------- */

/* Classes learned from labelled pictures, on the embeddings of a frozen model (docs/probes.md). */
typedef struct clip_probe clip_probe; /* immutable: threads may share it */

typedef enum clip_probe_kind {
    /* Logistic regression, CLIP's linear probe (arXiv:2103.00020, A.3). */
    CLIP_PROBE_LINEAR = 1,
    /* The names of the classes and a few pictures of each: Tip-Adapter without training
     * (arXiv:2111.03930). */
    CLIP_PROBE_CACHE = 2,
    /* The nearest pictures vote (arXiv:1805.01978, 3.4). */
    CLIP_PROBE_NEIGHBOURS = 3,
} clip_probe_kind;

typedef struct clip_probe_data {
    const float *image;   /* [n, D] unit embeddings */
    const int32_t *label; /* [n] the class, from 0 */
    int n;
} clip_probe_data;

typedef struct clip_probe_options {
    clip_probe_kind kind;
    /* LINEAR: the strength of regularisation, scikit-learn's 1/C. 0: the best of 1e-6 .. 1e6 on the
     * validation part; without one 3.16. */
    double l2;
    int iterations;    /* LINEAR: upper limit */
    double tolerance;  /* LINEAR: stop when no derivative of the mean loss is larger */
    const float *text; /* CACHE: [classes, D] of clip_encode_labels() */
    /* CACHE: weight and sharpness of the pictures. alpha < 0: the best on the validation part;
     * without one 1 and 5.5. */
    double alpha, beta;
    int neighbours; /* NEIGHBOURS: how many vote */
} clip_probe_options;

/* clip_probe_options_default(): LINEAR, l2 0, 1000 iterations, tolerance 1e-4 (scikit-learn's),
 * alpha -1, 20 neighbours. */
CLIP_API clip_probe_options clip_probe_options_default(void);

/* clip_probe_fit(): learn classes. The result does not depend on the number of threads.
 * names  in   [n_names] of the classes; each has a training picture
 * val    in   settings are chosen on it, and LINEAR then fits on both parts. NULL: none
 * out    out  free with clip_probe_free(); NULL on error
 * Errors: CLIP_EINVAL (fewer than two classes; a class without a picture, named by the message;
 * embeddings that are not numbers; options), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_fit(clip_context *ctx, const char *const *names, int n_names,
                                    const clip_probe_data *train, const clip_probe_data *val,
                                    const clip_probe_options *opt, clip_probe **out,
                                    clip_error *err);
CLIP_API void clip_probe_free(clip_probe *p);

typedef struct clip_probe_info {
    clip_probe_kind kind;
    const char *const *names; /* [classes]; live as long as the probe */
    int classes;
    int pictures;           /* that it was fitted on, with the validation part if that was used */
    double l2, alpha, beta; /* that were taken */
    int neighbours;
    double accuracy; /* on the validation part, before the fit on both parts; 0: there was none */
    int iterations;  /* LINEAR: of the last fit */
    bool converged;
} clip_probe_info;

CLIP_API void clip_probe_get_info(const clip_probe *p, clip_probe_info *out);

/* clip_probe_predict(): probabilities of the classes.
 * image  in   [N, D] unit embeddings
 * out    out  [N, classes]; each row adds up to 1
 * Errors: CLIP_EINVAL (N < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_predict(clip_context *ctx, const clip_probe *p, const float *image,
                                        int N, float *out);

/* clip_probe_save(), clip_probe_load(): a directory with probe.json and probe.safetensors. An older
 * probe there is replaced in one step. A probe belongs to the weights that it was fitted on, and is
 * refused with others.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights; the two files are not of
 * one probe), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_save(const clip_model *m, const clip_probe *p, const char *dir,
                                     clip_error *err);
CLIP_API clip_status clip_probe_load(const clip_model *m, const char *dir, clip_probe **out,
                                     clip_error *err);

/* ---- Data: pictures and pairs -------------------------------------------------------------- */

/* Files in folders that are passed over, counted by reason. */
typedef enum clip_passed_why {
    /* `name`: the extension in lower case, ".txt"; "": none, or a rare one */
    CLIP_PASSED_NOT_PICTURE,
    /* A picture that this build does not read. `name`: its format, "Photoshop" */
    CLIP_PASSED_FORMAT,
    CLIP_PASSED_HIDDEN,   /* the name starts with a dot; a directory counts once */
    CLIP_PASSED_EXCLUDED, /* by the caller's patterns; a directory counts once */
    CLIP_PASSED_SPECIAL,  /* a pipe, a socket, a device */
} clip_passed_why;

typedef struct clip_passed_kind {
    clip_passed_why why;
    char name[20];
    int64_t n;
} clip_passed_kind;

enum { CLIP_PASSED_KINDS = 40 };

typedef struct clip_passed {
    int64_t n; /* all of them */
    int kinds;
    clip_passed_kind kind[CLIP_PASSED_KINDS]; /* by reason, then the most frequent first */
} clip_passed;

/* A stream of image-text pairs. `spec` names its sources; "::" stands between several, and each may
 * have {000..012} and {a,b} braces:
 *   *.tar, *.tar.gz  WebDataset. Members KEY.jpg|png|webp|..., with KEY.txt (one caption) or
 *                    KEY.json ("captions": [..] or "caption": "..", preferred to KEY.txt), together
 *                    and in any order. Other members of KEY are passed over.
 *   *.tsv, *.csv     A first line naming the columns `image_key` and `caption_key`. Fields may be
 *                    quoted. Paths are relative to the table. Consecutive rows of one picture are
 *                    one pair with all their captions.
 *   a directory      Every picture below it (as clip_list_pictures() finds them), with the captions
 *                    in NAME.txt beside it, one on each line. Without that file the caption is the
 *                    name of the picture's directory.
 * Captions come without the white space around them; blank ones are left out. A stream holds one
 * sample in memory. */
typedef struct clip_pairs clip_pairs;

typedef struct clip_pairs_options {
    /* Columns of a table; default "filepath" and "title", OpenCLIP's. */
    const char *image_key, *caption_key;
    /* 0: a tab for .tsv; for .csv the one of comma, tab, semicolon that shows both columns. */
    char separator;
} clip_pairs_options;

CLIP_API clip_pairs_options clip_pairs_options_default(void);

/* One pair. The stream owns all of it, until the next clip_pairs_next(). All zero on error. */
typedef struct clip_pair {
    const char *key;   /* file, or TAR/MEMBER, for messages; NULL: the end of the stream */
    const void *bytes; /* the encoded picture, for clip_image_decode() */
    size_t size;
    const char *const *captions;
    int n_captions; /* at least 1 */
} clip_pair;

/* clip_pairs_open(): a stream over everything that `spec` names, in its order. Names and the
 * columns of tables are checked here.
 * opt  in   NULL, or NULL in it: defaults
 * out  out  free with clip_pairs_close(). One thread reads a stream; any number may be open
 * Errors: CLIP_EIO, CLIP_EFORMAT (a table without the columns), CLIP_EUNSUPPORTED (none of the
 * above kinds), CLIP_EINVAL, CLIP_ELIMIT, CLIP_ENOMEM. */
CLIP_API clip_status clip_pairs_open(const char *spec, const clip_pairs_options *opt,
                                     clip_pairs **out, clip_error *err);

/* clip_pairs_next(): the next pair. After an error the stream goes on with the next call:
 *   a broken sample     CLIP_EFORMAT (a picture without a caption), CLIP_EIO (a file that is gone,
 *                       a picture that memory does not suffice for) or CLIP_ELIMIT (a picture
 *                       beyond 1 GiB), with its name in err
 *   a broken directory  CLIP_EIO: a directory below a folder that cannot be listed
 *   a damaged source    reported once; the stream goes on with the next source */
CLIP_API clip_status clip_pairs_next(clip_pairs *p, clip_pair *out, clip_error *err);

/* clip_pairs_get_passed(): the files that the folders of the stream have passed over so far.
 * NAME.txt with captions is not counted. */
CLIP_API void clip_pairs_get_passed(const clip_pairs *p, clip_passed *out);
CLIP_API void clip_pairs_close(clip_pairs *p);

/* clip_list_pictures(): the picture files under `path`: the file itself, or everything below a
 * directory, sorted by path (bytes). A file with a picture's extension is listed whatever it
 * contains; of other files the first bytes decide. Names that start with a dot are passed over.
 * Symbolic links are followed, but no directory is listed twice.
 * passed  in/out  the files passed over are added; may be NULL
 * faults  out     how many directories, or names in them, could not be looked at or listed to their
 *                 end; each is told to `warn`; may be NULL
 * out     out     [*n] paths; free with clip_list_free()
 * Errors: CLIP_EIO (path does not exist or cannot be listed), CLIP_ENOMEM. */
CLIP_API clip_status clip_list_pictures(const char *path, clip_warn_fn warn, void *warn_user,
                                        clip_passed *passed, int64_t *faults, char ***out,
                                        size_t *n, clip_error *err);
CLIP_API void clip_list_free(char **list, size_t n);

/* clip_is_picture_name(): whether a name has a picture's extension. */
CLIP_API bool clip_is_picture_name(const char *name);

/* ---- Converting ---------------------------------------------------------------------------- */

typedef struct clip_convert_options {
    const char *layout; /* "openclip" or "hf" (Hugging Face's transformers); NULL: unchanged */
    /* Of the weights: "f32", "f16", "bf16"; "int8": those that precision "int8" rounds, as it does,
     * for inference alone (docs/checkpoints.md). NULL: unchanged, or f32 where there are
     * several. */
    const char *type;
    /* [averages] more checkpoints of such a model: the mean of all weights is written. */
    const char *const *average;
    int averages;
    clip_warn_fn warn; /* NULL: silent */
    void *warn_user;
} clip_convert_options;

/* clip_convert(): write a checkpoint in another layout or type, with configuration, weights and
 * tokenizer, for OpenCLIP ("local-dir:OUT") or for transformers (CLIPModel, CLIPProcessor). What
 * the type can hold stays the same, bit for bit, there and back.
 * The mean of models that were fine-tuned from one start is often better than each of them
 * (Wortsman et al. 2022, arXiv:2203.05482). The mean of a model and its fine-tuned one forgets less
 * (Wortsman et al. 2022, arXiv:2109.01903). The mean of models without a common start is useless.
 * path  in  as for clip_model_load()
 * out   in  a directory that does not exist yet, or is empty; it appears when it is whole
 * opt   in  NULL: defaults
 * Errors: those of clip_model_load(); CLIP_EINVAL (options; `out` is not empty), CLIP_EMISMATCH
 * (models of different shapes), CLIP_EUNSUPPORTED (Hugging Face's layout has no ResNet; weights in
 * 8 bits, which are not converted any more),
 * CLIP_ELIMIT (a weight beyond the range of the type), CLIP_EIO. */
CLIP_API clip_status clip_convert(const char *path, const char *out,
                                  const clip_convert_options *opt, clip_error *err);

/* ---- Training ------------------------------------------------------------------------------ */

/* What to train, on which data, and how: settings by name. The names are those of `clip train`
 * without their dashes, which are OpenCLIP's where OpenCLIP has the setting: "train-data",
 * "batch-size", "lr", "warmup", "aug-cfg", ...
 *
 * "precision" is "f32" or "amp_bf16": the large matrix products of forward and backward round both
 * operands to bf16; sums, weights, gradients, moments, norms, attention and the loss stay f32. On a
 * processor without such products (see clip_load_options.precision), clip_trainer_new() fails with
 * CLIP_EUNSUPPORTED. */
typedef struct clip_train_options clip_train_options;

/* clip_train_options_new(): all settings at their defaults; free with clip_train_options_free().
 * Errors: CLIP_ENOMEM. */
CLIP_API clip_status clip_train_options_new(clip_train_options **out);
CLIP_API void clip_train_options_free(clip_train_options *o);

/* clip_train_options_set(): one setting, its value as text ("256", "1e-3", "true"; "aug-cfg" takes
 * a JSON object).
 * Errors: CLIP_EINVAL (no such setting, or not a value for it), CLIP_ENOMEM. */
CLIP_API clip_status clip_train_options_set(clip_train_options *o, const char *name,
                                            const char *value, clip_error *err);

/* clip_train_options_get(): the value of a setting as text, or else its default.
 * @return: lives until the setting changes; NULL: it has no value, or there is no such setting */
CLIP_API const char *clip_train_options_get(const clip_train_options *o, const char *name);

/* clip_train_options_read(): settings from a JSON object {"batch-size": 256, "aug-cfg": {..}}.
 * Paths in it are relative to the file.
 * Errors: as above, CLIP_EIO, CLIP_EFORMAT. */
CLIP_API clip_status clip_train_options_read(clip_train_options *o, const char *path,
                                             clip_error *err);

typedef struct clip_train_option {
    const char *name;
    const char *value;    /* the value's name on a help page; NULL: true or false */
    const char *standard; /* the default, as text; NULL: none */
    const char *help;
    const char *group; /* heading on a help page: "data", "model", ...; constant over a run */
} clip_train_option;

/* clip_train_option_at(): the settings, in the order of a help page.
 * @return: static; NULL after the last */
CLIP_API const clip_train_option *clip_train_option_at(int i);

/* A training under way: both towers, the optimizer, the stream of batches. One thread at a time. */
typedef struct clip_trainer clip_trainer;

/* clip_trainer_new(): read or draw the weights, learn the tokenizer where that is asked for, and
 * open the data.
 * warn  in   hears of odd settings (such as a learning rate that would ruin a pre-trained model)
 *            and of broken samples; may be NULL
 * out   out  free with clip_trainer_free(); NULL on error
 * Errors: CLIP_EINVAL (settings that contradict each other), those of clip_model_load() and
 * clip_pairs_open(), CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_new(const clip_train_options *o, clip_warn_fn warn,
                                      void *warn_user, clip_trainer **out, clip_error *err);

/* clip_trainer_resume(): go on from a directory of clip_trainer_save(), exactly as if there had
 * been no interruption, with the settings of the run.
 * o  in  settings without influence on the result ("threads", "workers"); NULL: none
 * Errors: as above; CLIP_EMISMATCH (data or files have changed). */
CLIP_API clip_status clip_trainer_resume(const char *dir, const clip_train_options *o,
                                         clip_warn_fn warn, void *warn_user, clip_trainer **out,
                                         clip_error *err);
CLIP_API void clip_trainer_free(clip_trainer *t);

typedef struct clip_train_info {
    int64_t parameters, trained_parameters;
    int64_t pairs;                  /* in an epoch */
    int64_t steps_per_epoch, steps; /* in an epoch; in the whole run */
    int64_t step;                   /* done already: 0 in a new run */
    int epochs, batch_size;
    double lr, weight_decay;
    float logit_scale;
    /* All settings, as the JSON object that clip_train_options_read() takes; lives as long as the
     * trainer. */
    const char *settings;
    clip_passed passed; /* files in folders of training data that were passed over */
} clip_train_info;

CLIP_API void clip_trainer_get_info(const clip_trainer *t, clip_train_info *out);

typedef struct clip_train_step {
    int64_t step;     /* how many are done: 1 after the first */
    int64_t epoch;    /* of this step, from 1 */
    bool epoch_ends;  /* it was the last step of that epoch */
    double loss;      /* of the batch, before the step */
    double grad_norm; /* before clipping */
    double lr;
    float logit_scale; /* exp() of the parameter, after the step */
    double seconds;    /* the whole step */
    double waited;     /* the part of it spent waiting for data */
    int64_t broken;    /* samples passed over so far */
} clip_train_step;

/* clip_trainer_step(): train on one batch. After the last step of the run out->step == steps, and
 * another call is CLIP_EINVAL.
 * Errors: CLIP_EDIVERGED (the loss or a gradient is not a number; the weights are those before the
 * step), those of clip_pairs_next() where no more batches can be made, CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_step(clip_trainer *t, clip_train_step *out, clip_error *err);

/* clip_trainer_save(): the model as it is now, and the state for resuming, as an OpenCLIP
 * checkpoint in the directory `dir`, which clip_model_load() and OpenCLIP read. The old content is
 * replaced in one step: a reader, or a crash at any moment, finds the old one or the new one.
 * Errors: CLIP_EINVAL (`dir` exists and is not a checkpoint of a training), CLIP_EIO (a full disk:
 * the old content is unchanged), CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_save(clip_trainer *t, const char *dir, clip_error *err);

/* ---- Index: many embeddings, searched exactly ---------------------------------------------- */

/* A directory. catalogue.db (SQLite) says what each row is. NumPy arrays beside it have a row for
 * each item: the vectors in f16, from which answers are computed, and short codes in two parts,
 * which are scanned first. An index belongs to one model, and says so.
 *
 *     clip_index_open("photos.index", &opt, &index, &err);
 *     clip_index_update(index, ctx, folders, n, NULL, &report, &err);     embed what is new
 *     clip_encode_text(ctx, &words, 1, query);
 *     clip_index_search(index, query, 1, 10, NULL, hits, &found, &err);   the exact best 10
 *     clip_index_item_at(index, hits[0].row, &item, &err);   puts(item.path);
 *
 * Threads    An index opened for reading is a snapshot. Any number of threads and processes search
 *            and read it, whatever a writer does meanwhile. clip_index_refresh() moves it on;
 *            a thread that holds it (clip_index_hold()) sees one state of it.
 *            There is one writer at a time; another is refused (CLIP_EBUSY). A writer's handle is
 *            for one thread.
 * Durability What clip_index_commit() has returned from survives a crash. Only what was added since
 *            may be lost. A change that fails (a full disk) takes back everything since the last
 *            commit, and the handle goes on from there.
 * Rows       They keep their numbers, except that a writer may renumber them when it closes. */
typedef struct clip_index clip_index;

typedef struct clip_index_options {
    bool write;  /* open for writing; false: for reading */
    bool create; /* and make it if it does not exist */
    /* The index must be of this model, or is made for it. NULL: any model; to create one, `dim` and
     * `model_name` describe it. */
    const clip_model *model;
    int dim;                /* D, 2 or more; 0: the model's */
    const char *model_name; /* for people, where there is no model: "ViT-B-32 of clip-retrieval" */
    int threads;            /* for searching; 0: all this process may use */
    clip_team *team;        /* for searching, instead of `threads`; must outlive it; NULL: its own */
    clip_warn_fn warn;      /* hears of repairs; NULL: silent */
    void *warn_user;
} clip_index_options;

CLIP_API clip_index_options clip_index_options_default(void);

/* clip_index_open(): open or make an index. What a crash has left is repaired when the index is
 * opened for writing, and passed over when it is read.
 * out  out  close with clip_index_close(), which commits; NULL on error
 * An index from elsewhere is safe to open: its catalogue may only hold what this library writes,
 * and nothing that computes. Its files must be regular files; its directory may be behind a
 * symbolic link.
 * Errors: CLIP_EIO (it does not exist, cannot be made, or has a link or a pipe in the place of a
 * file), CLIP_EFORMAT (a catalogue or a vector file is damaged, or not as this library makes it:
 * the message names the difference), CLIP_EMISMATCH (of another model: the message names both),
 * CLIP_EBUSY (another writer), CLIP_EUNSUPPORTED (made by a later version), CLIP_EINVAL,
 * CLIP_ENOMEM. */
CLIP_API clip_status clip_index_open(const char *dir, const clip_index_options *opt,
                                     clip_index **out, clip_error *err);

/* clip_index_commit(): put all changes so far on the disk, where those who open the index from now
 * on see them.
 * clip_index_close(): commit and close. A writer also closes the gaps once they are more than a
 * quarter of the rows. From 16,384 rows on, and each time they have become four times as many, it
 * learns the best layout of the codes: half a minute at a million rows. Takes NULL; frees in any
 * case.
 * Errors: CLIP_EINVAL (opened for reading), CLIP_EIO (a full disk), CLIP_EFORMAT, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_commit(clip_index *x, clip_error *err);
CLIP_API clip_status clip_index_close(clip_index *x, clip_error *err);

/* clip_index_refresh(): take up what has been committed since the index was opened or last
 * refreshed.
 * x        in   open for reading. Open for writing it is always current, and nothing happens
 * changed  out  whether something was taken up; NULL: not of interest. The first refresh of a
 *               handle may say so without need
 * Where nothing was committed it costs some microseconds, else as much as opening the index. A
 * handle that is not refreshed keeps answering from what it saw when it was opened. Rows may hold
 * other items afterwards: rows from before must not be used any more. Threads: one thread refreshes
 * at a time. Functions that take a `const clip_index *` may run meanwhile on any thread: each sees
 * the index as it was before or as it is after. A refresh waits for those under way and for holds;
 * those that are called while it waits, wait for it, except on a thread that holds the index.
 * Errors: CLIP_EMISMATCH (it has become an index of another model or dimension), CLIP_EBUSY (this
 * thread holds an index), those of clip_index_open(). On error the handle answers as before. */
CLIP_API clip_status clip_index_refresh(clip_index *x, bool *changed, clip_error *err);

/* clip_index_hold(): until clip_index_release() the index is not refreshed. Hold it around a search
 * and the reading of its items, where another thread may refresh:
 *
 *     clip_index_hold(index);
 *     clip_index_search(index, query, 1, 10, NULL, hits, &found, &err);
 *     clip_index_item_at(index, hits[0].row, &item, &err);
 *     clip_index_release(index);
 *
 * Threads: any number may hold it. Holds nest, and a thread ends its own. A refresh waits for their
 * end, and new holds wait for the refresh: hold it for one answer, not for longer.
 * A thread that holds an index cannot refresh one, and must not close the one that it holds. */
CLIP_API void clip_index_hold(const clip_index *x);
CLIP_API void clip_index_release(const clip_index *x);

/* clip_index_discard(): close an index after a fault. If this handle has made it and nothing has
 * been added, no file is left. Takes NULL. */
CLIP_API void clip_index_discard(clip_index *x);

typedef struct clip_index_info {
    const char *path, *model_name; /* live as long as the index */
    /* Where the model was when the index was last written with it; lives as long. Empty:
     * unknown. */
    const char *model_path;
    char model_id[33]; /* hash of the weights it is for, in hexadecimal; empty: unknown */
    int image_size;    /* of the model's pictures, if clip_load_options asked for one; otherwise 0 */
    int dim;
    int64_t items, pictures, texts; /* items = pictures + texts */
    int64_t rows;    /* upper bound of the rows of hits: items, and the gaps of removed ones */
    int64_t bytes;   /* on disk */
    int64_t updated; /* end of the last clip_index_update(), in seconds since 1970; 0: never */
} clip_index_info;

CLIP_API void clip_index_get_info(const clip_index *x, clip_index_info *out);

typedef enum clip_item_kind { CLIP_ITEM_PICTURE = 1, CLIP_ITEM_TEXT = 2 } clip_item_kind;

/* One thing that can be found. */
typedef struct clip_item {
    int64_t row; /* its place; constant while the index is open and not refreshed */
    clip_item_kind kind;
    const char *path; /* of the picture; of a text: the picture or file it came with, may be NULL */
    const char *text; /* of a picture NULL */
    int64_t size;     /* of the file, in bytes */
    int64_t mtime;    /* of the file, in nanoseconds since 1970 */
    int64_t taken;    /* when the picture was taken (EXIF), in seconds since 1970; 0: unknown */
    uint8_t hash[16]; /* of the file's bytes (XXH3, 128 bits) */
} clip_item;

/* clip_index_add(): add N items with their vectors. An item of the same kind, path and text is
 * replaced. Rows are assigned; those in `item` are not read.
 * vector  in  [N, D], of any length but 0: it is normalised
 * Errors: CLIP_EINVAL (opened for reading, a zero or non-finite vector, a negative size), CLIP_EIO
 * (a full disk: what was committed is unchanged), CLIP_ELIMIT (a path or a text of more than
 * 16 MiB), CLIP_ENOMEM. */
CLIP_API clip_status clip_index_add(clip_index *x, const clip_item *item, const float *vector,
                                    int N, clip_error *err);

/* clip_index_rename(): give the picture in `row`, and the texts that came with it, this path, size
 * and time. A picture that had this path, and equal texts, are removed.
 * clip_index_remove(): n rows become gaps. Some of them may be gaps already.
 * Errors: CLIP_EINVAL (opened for reading, a row that does not exist or is not a picture), those of
 * clip_index_add(). */
CLIP_API clip_status clip_index_rename(clip_index *x, int64_t row, const char *path, int64_t size,
                                       int64_t mtime, clip_error *err);
CLIP_API clip_status clip_index_remove(clip_index *x, const int64_t *row, int64_t n,
                                       clip_error *err);

/* clip_index_item_at(): the item in a row. Its strings live until this thread's next call on an
 * index. out->path NULL and kind 0: the row holds none.
 * clip_index_find(): the item of a picture's path.
 * clip_index_next(): walks. The first item with a row >= *cursor, which moves behind it; kind 0 at
 * the end.
 * clip_index_vector(): the vector in a row, [D] f32 of unit length up to f16's rounding.
 * Errors: CLIP_EINVAL (clip_index_vector(): the row holds no item), CLIP_EIO, CLIP_EFORMAT,
 * CLIP_ENOMEM. */
CLIP_API clip_status clip_index_item_at(const clip_index *x, int64_t row, clip_item *out,
                                        clip_error *err);
CLIP_API clip_status clip_index_find(const clip_index *x, const char *path, clip_item *out,
                                     clip_error *err);
CLIP_API clip_status clip_index_next(const clip_index *x, int64_t *cursor, clip_item *out,
                                     clip_error *err);
CLIP_API clip_status clip_index_vector(const clip_index *x, int64_t row, float *out,
                                       clip_error *err);

/* clip_index_words(): the words of its texts, in lower case, those in most texts first: answers for
 * clip_question_new().
 * out  out  [*n]; free with clip_list_free()
 * Errors: those of clip_index_next(). */
CLIP_API clip_status clip_index_words(const clip_index *x, char ***out, size_t *n, clip_error *err);

/* Which items a search looks at: all conditions must hold. */
typedef struct clip_index_filter {
    int kinds; /* CLIP_ITEM_*, or'ed; 0: both */
    /* [n_patterns] of the path, as in a shell ("*.jpg", "*2023*"; * also matches /); one of them
     * must match. 0: any path. */
    const char *const *patterns;
    int n_patterns;
    /* [n_below] folders, not patterns: the path is one of them, or begins with one and a slash.
     * Each is tried as it is written, from the current directory on, and by its real name. 0:
     * anywhere. */
    const char *const *below;
    int n_below;
    /* Folders are tried only as they are written: for text from strangers, which otherwise asks
     * the file system what a name is. */
    bool below_as_written;
    /* Taken (or, where that is unknown, changed) at or after, and before: seconds since 1970. 0: no
     * bound. Items without a date, and without mtime, meet neither. */
    int64_t after, before;
    float min_score; /* hits score at least this; 0: no bound */
    /* Copies of a better hit of the same kind are passed over: by equal bytes (size and hash), or
     * by a cosine of at least this between the two. Above 1: by equal bytes only. 0: none is. */
    float unique;
} clip_index_filter;

typedef struct clip_hit {
    int64_t row;
    float score; /* cosine, -1 .. 1 */
} clip_hit;

/* clip_index_search(): for each of Q queries the k items with the highest cosine, best first; equal
 * ones by row. The result is exact: short codes bound each score from above, and every item that
 * could be among the best is computed from the f16 vectors in f32. Several queries at once cost
 * little more than one.
 * query   in   [Q, D], of any length but 0
 * filter  in   NULL: everything
 * hit     out  [Q, k]; the caller's
 * found   out  [Q] how many of the k there are
 * Errors: CLIP_EINVAL, CLIP_EIO, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k,
                                       const clip_index_filter *filter, clip_hit *hit, int *found,
                                       clip_error *err);

/* ---- Queries to an index ------------------------------------------------------------------- */

/* A query is a sum of terms. Each has a weight; one below 0 is taken away. */
typedef enum clip_term_kind {
    CLIP_TERM_WORDS = 1, /* `text` */
    CLIP_TERM_PICTURE,   /* `image`; where that is NULL, the file `text` */
    CLIP_TERM_ROW,       /* the item in `row` of the index */
    CLIP_TERM_VECTOR,    /* `vector` [D], of any length but 0 */
} clip_term_kind;

typedef struct clip_term {
    clip_term_kind kind;
    float weight; /* finite and not 0 */
    const char *text;
    const clip_image *image;
    int64_t row;
    const float *vector;
} clip_term;

enum { CLIP_QUERY_TERMS = 32 };

/* Fill it yourself, or let clip_query_parse() do it. */
typedef struct clip_query {
    clip_term term[CLIP_QUERY_TERMS];
    int n;
} clip_query;

/* clip_query_parse(): read a query from its parts. "+" and "-" are parts between terms. Other parts
 * are terms: words, or, where `pictures` allows it, the name of a picture ("-": standard input).
 * "2:" in front of a term is its weight. Words that follow each other are one text. Words in double
 * quotes are words, whatever they look like.
 * rows      in   [n_rows] of an index: terms of weight 1 in front of the parts
 * part      in   [n] "2:golden retriever", "+", "./pool.jpg", "-", "fruit"
 * pictures  in   false for text from strangers: no file is looked for
 * out       out  free with clip_query_free(), which releases the texts; empty on error
 * Errors: CLIP_EINVAL (an empty query or term, more than CLIP_QUERY_TERMS terms, an operator
 * without a term, a term without an operator), CLIP_ENOMEM. */
CLIP_API clip_status clip_query_parse(const int64_t *rows, int n_rows, const char *const *part,
                                      int n, bool pictures, clip_query *out, clip_error *err);

/* clip_query_parse_line(): clip_query_parse() for the parts of one line, with a tab between two
 * parts: "2:golden retriever\t+\t./pool.jpg". Without a tab the line is one term.
 * Errors: as above. */
CLIP_API clip_status clip_query_parse_line(const int64_t *rows, int n_rows, const char *line,
                                           bool pictures, clip_query *out, clip_error *err);
CLIP_API void clip_query_free(clip_query *q);

/* clip_query_towers(): the encoders that Q queries take.
 * @return: CLIP_TOWER_*, or'ed; 0: none */
CLIP_API int clip_query_towers(const clip_query *q, int Q);

typedef struct clip_query_encoder {
    clip_context *words;    /* for words; NULL: no query has any */
    clip_context *pictures; /* for pictures; may be the same; NULL: no query has any */
    const clip_index *index; /* for rows, and the background of its pictures; may be NULL */
    /* How files are read. NULL: as clip_index_image_options() or clip_model_image_options() say. */
    const clip_image_options *image;
    /* [n_prompts] texts with {} for the words, averaged as by clip_encode_labels(). 0: words as
     * they are. */
    const char *const *prompts;
    int n_prompts;
} clip_query_encoder;

/* clip_query_embed(): queries to vectors for clip_index_search().
 * out   out  [Q, D] unit L2 norm; the caller's
 * done  out  how many queries have been embedded: on error, those in front of the one at fault
 * Errors: CLIP_EINVAL (a term without content or weight, no encoder for it, terms that cancel each
 * other out), CLIP_EMISMATCH (vectors of different sizes), those of clip_image_read(),
 * clip_encode_image(), clip_encode_text(), clip_encode_labels() and clip_index_vector(). */
CLIP_API clip_status clip_query_embed(const clip_query_encoder *e, const clip_query *q, int Q,
                                      float *out, int *done, clip_error *err);

/* clip_date_parse(): 2023, 2023-05 or 2023-05-17, in local time, as bounds for clip_index_filter.
 * begin  out  its first second, in seconds since 1970
 * end    out  the first second after it
 * Errors: CLIP_EINVAL. */
CLIP_API clip_status clip_date_parse(const char *text, int64_t *begin, int64_t *end);

/* ---- Duplicates, verifying, updating ------------------------------------------------------- */

/* Which pictures form a group. Two are near if their cosine is at least `score`. They have equal
 * bytes if size and hash (XXH3, 128 bits) of their files were equal when they were indexed. */
typedef enum clip_grouping {
    CLIP_GROUP_FIRST,  /* near the first of the group, or of its bytes, and in no earlier group */
    CLIP_GROUP_LINKED, /* near one of the group, or of its bytes: the ends may be far apart */
    CLIP_GROUP_BYTES   /* of equal bytes */
} clip_grouping;

typedef struct clip_duplicates_options {
    clip_grouping grouping;
    float score; /* not read with CLIP_GROUP_BYTES */
    const clip_index_filter *filter; /* its kinds and scores are not read; NULL: all pictures */
    /* [info.rows] -1: left out. The first of a group has the lowest grade in it (0 or 1), and is
     * the earliest of these. So a caller who keeps the first gives 0 to files that exist. NULL: all
     * are 0. */
    const int8_t *grade;
} clip_duplicates_options;

/* clip_duplicates_options_default(): CLIP_GROUP_FIRST, 0.97, all pictures. */
CLIP_API clip_duplicates_options clip_duplicates_options_default(void);

/* clip_index_duplicates(): groups of two or more pictures that are nearly, or exactly, the same.
 * opt    in   NULL: defaults
 * row    out  rows of all groups, one group after the other; in each the first, then the others by
 *             grade and row; free() it
 * group  out  [*n + 1] where each group begins; free() it
 * The index does not know which names are links to one file: look before you delete one of two.
 * Errors: those of clip_index_search(). On error both lists are NULL. */
CLIP_API clip_status clip_index_duplicates(const clip_index *x, const clip_duplicates_options *opt,
                                           int64_t **row, int64_t **group, int64_t *n,
                                           clip_error *err);

/* clip_index_verify(): read everything, and compare it with what was noted when it was written. In
 * an index that is open for writing, rows with a wrong vector are removed (an update embeds them
 * again), and wrong codes are computed anew. Damage to the catalogue itself stays.
 * warn    in   hears of each fault
 * faults  out  how many rows are wrong
 * Errors: CLIP_EIO, CLIP_EFORMAT (the rest could not be read), CLIP_ENOMEM. */
CLIP_API clip_status clip_index_verify(clip_index *x, clip_warn_fn warn, void *warn_user,
                                       int64_t *faults, clip_error *err);

typedef struct clip_update_report {
    int64_t seen;       /* pictures below the folders */
    int64_t embedded;   /* new or changed */
    int64_t moved;      /* bytes known under a path that is gone: not embedded again */
    int64_t copied;     /* bytes known under another path as well: not embedded again */
    int64_t removed;    /* no longer there */
    int64_t kept;       /* not found, but a disk may be missing; reported to `warn` */
    int64_t broken;     /* pictures or folders that could not be read; reported to `warn` */
    int64_t texts;      /* captions embedded */
    int64_t listed;     /* in the progress callback: names seen in the folder being listed */
    int64_t todo;       /* in the progress callback: pictures still to be looked at */
    double seconds;     /* in all */
    double waited;      /* of these, the encoder waited for pictures */
    clip_passed passed; /* files in the folders that are passed over */
} clip_update_report;

typedef struct clip_update_options {
    /* Also index the captions in NAME.txt beside the pictures. Tables and tars always bring theirs,
     * if the model has a text tower. */
    bool captions;
    /* [n_exclude] patterns as in a shell: of names ("*.png", "drafts" with all in it) or, with a
     * slash, of paths below a folder. */
    const char *const *exclude;
    int n_exclude;
    /* How pictures are read; `enough` is not read. NULL: clip_index_image_options(). */
    const clip_image_options *image;
    /* Decode every JPEG in full. Default: at the smallest scale that is at least twice the size
     * that the model sees. */
    bool full_decode;
    int workers;         /* threads that decode; 0: as many as the context has */
    double commit_every; /* seconds; default 5 */
    /* Called often; false: stop, and commit what is done. May be NULL. */
    bool (*progress)(void *user, const clip_update_report *now);
    void *progress_user;
    clip_warn_fn warn; /* hears of each picture and folder that cannot be read; NULL: silent */
    void *warn_user;
} clip_update_options;

CLIP_API clip_update_options clip_update_options_default(void);

/* clip_index_image_options(): how pictures for this index, and pictures that it is asked about, are
 * read: with the background that its pictures were embedded with. Before the first update that is
 * the model's (m NULL: -1). */
CLIP_API clip_image_options clip_index_image_options(const clip_index *x, const clip_model *m);

/* clip_index_update(): bring the index up to date with folders, pictures, or what clip_pairs_open()
 * takes.
 *   new or changed       is embedded
 *   moved or copied      is recognised by its bytes, and not embedded again
 *   gone, or no picture  is removed
 *   below a folder that cannot be listed, or that is empty now: is reported and stays, because a
 *                        disk may be missing; clip_index_forget() removes it
 *   below a folder that is gone from its parent: is removed
 * Pictures are known by their absolute paths, members of tars by TAR/MEMBER. After an interruption
 * the next call goes on from the last commit. Memory: a path for each picture, and some pictures.
 * paths   in   [n]; they are remembered, with `captions`, `exclude` and the language of the
 *              context's texts (clip_context_set_language()), which theirs keep. n = 0: all that
 *              the index was ever given; those that are missing are reported to `warn`
 * report  out  filled also on error; may be NULL
 * Errors: CLIP_EIO (a path that does not exist), CLIP_EINVAL (opened for reading; captions without
 * a text tower; n = 0 and nothing remembered), CLIP_EMISMATCH (the model makes vectors of another
 * size; another background than that of the pictures in the index; a path whose captions are in it
 * in another language), those of clip_index_add(), CLIP_ENOMEM. */
CLIP_API clip_status clip_index_update(clip_index *x, clip_context *ctx, const char *const *paths,
                                       int n, const clip_update_options *opt,
                                       clip_update_report *report, clip_error *err);

/* clip_index_sources(): what clip_index_update() was given so far.
 * out       out  [*n] absolute paths; free with clip_list_free()
 * captions  out  whether one of them brings captions, which need a text tower; may be NULL
 *
 * clip_index_forget(): remove everything at or below these paths, which may exist or not, and
 * forget the sources among them. Commits.
 * removed  out  pictures; may be NULL */
CLIP_API clip_status clip_index_sources(const clip_index *x, char ***out, size_t *n,
                                        bool *captions, clip_error *err);
CLIP_API clip_status clip_index_forget(clip_index *x, const char *const *paths, int n,
                                       int64_t *removed, clip_error *err);

/* Embeddings in the layout of clip-retrieval: DIR/img_emb/img_emb_0.npy [N, D],
 * DIR/text_emb/text_emb_0.npy [N, D] (f16, f32 or f64, C order; one of the two may be missing) and
 * DIR/metadata/metadata_0.jsonl, one line for each row: {"image_path": .., "caption": ..}. Further
 * parts have other numbers. A picture with several captions has several rows. A row of zeros is
 * empty. */

/* clip_index_export(): write all of it.
 * dir   in   does not exist yet, or is empty; after a fault it is so again
 * rows  out  how many
 * Errors: CLIP_EINVAL (something is in dir), CLIP_EIO, CLIP_EFORMAT, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_export(const clip_index *x, const char *dir, int64_t *rows,
                                       clip_error *err);

typedef struct clip_import_report {
    int64_t rows;            /* read */
    int64_t pictures, texts; /* added, or replaced */
    int64_t empty;           /* rows without a vector or without a name */
    int64_t compared_pictures, compared_texts; /* that the model has embedded again */
} clip_import_report;

/* clip_index_import_info(): the dimension that an index for `dir` needs, and its number of rows.
 * clip_index_import(): add it, after all metadata have been looked through.
 * ctx  in  of the model whose embeddings these are said to be: it embeds a few of the pictures that
 *          are there, and of the captions, again. NULL: nothing is compared
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (numbers of rows or columns that contradict each
 * other or the index; the model makes other embeddings, then nothing is added), CLIP_EUNSUPPORTED
 * (metadata in Parquet), those of clip_index_add(). */
CLIP_API clip_status clip_index_import_info(const char *dir, int *dim, int64_t *rows,
                                            clip_error *err);
CLIP_API clip_status clip_index_import(clip_index *x, clip_context *ctx, const char *dir,
                                       clip_import_report *report, clip_error *err);

/* ---- Measuring ----------------------------------------------------------------------------- */

typedef struct clip_machine_speed {
    /* Peak of multiply-adds, in the model's precision, on all threads of the context. */
    double fma_gflops;
    /* Reached by the largest matrix product of the image tower at batch 32 (of the text tower, if
     * only that is loaded). */
    double gemm_gflops;
} clip_machine_speed;

/* clip_measure(): find out in half a second what this machine does. For `clip bench`. */
CLIP_API clip_status clip_measure(clip_context *ctx, clip_machine_speed *out);

#ifdef __cplusplus
}
#endif
#endif
