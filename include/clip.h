/* clip.h: CLIP in C, the whole public interface of libclip.
 *
 * CLIP (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision",
 * arXiv:2103.00020) maps pictures and texts into one space where matching pairs point the same way.
 *
 *     clip_model *model;  clip_context *ctx;  clip_error err;
 *     clip_model_load("ViT-B-32", NULL, &model, &err);
 *     clip_context_new(model, 0, &ctx);
 *     clip_encode_image(ctx, pictures, n, image_embeddings);      [n, D], unit length
 *     clip_encode_text(ctx, texts, k, text_embeddings);           [k, D], unit length
 *     similarity = image_embeddings @ text_embeddings.T           clip_similarity()
 *
 * Threads   A clip_model is immutable: any number of threads share one. A clip_context is a workspace: one a
 *           thread (it uses `threads` cores by itself). Functions without a context are safe from any thread.
 * Results   do not depend on the batch or the number of threads: N pictures in one call are, bit for bit, N calls.
 * Forks     In a forked child a model is what it was, and a context works with one thread. The
 *           child cannot go on with a trainer, an index or a stream of pairs of its parent: their
 *           functions return CLIP_EINVAL, and the function that frees them lets go of memory alone,
 *           not always of all of it, and changes nothing on the disk. No call may be under way on
 *           them, or on a context that the child uses, when the process forks. The child ends with
 *           _exit() or exec(). Files are opened with O_CLOEXEC.
 * Files     Weights and the arrays of an index stay mapped. A function that is about to read what
 *           has been cut short, or weights that have been written to in place, returns CLIP_EIO.
 *           Where that happens while it reads, the process gets SIGBUS; the library installs no
 *           signal handlers. A handler finds the name of the file by clip_mapped_file().
 * Process   The library never ends the process, prints nothing, and changes neither locale nor
 *           signals.
 * Ownership What a function returns through `**out` belongs to the caller and has a free function beside it, which takes NULL.
 * Arguments A pointer may be NULL where that is said, or where its array is empty. A function that
 *           returns a status returns CLIP_EINVAL for another NULL among texts, paths and arrays, and
 *           for negative counts. Handles (models, contexts, indexes, ..) and `out` pointers to
 *           handles are not checked.
 * Errors    Functions that can fail return a clip_status: 0 or negative. Those that read files also fill a
 *           clip_error (where given) with the name of the file and the fault. On error outputs are NULL or unspecified
 *           as said, and nothing leaks. Text is UTF-8 throughout; invalid UTF-8 never fails, it is read as U+FFFD.
 * Locale    Whatever setlocale() was called with, files are read and written the same. Dates without a
 *           time zone are local. */
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

/* ---- Versions -------------------------------------------------------------------------------------------- */

/* The version that this header is of; clip_version() tells the version of the library that runs.
 * Until 1.0 a new minor version may change the interface. From 1.0 on only a new major version may.
 * The SONAME of the shared library, libclip.so.N, gets a new N with every version that programs built against
 * an earlier one cannot run with: a function or a member that is gone or means something else, a structure of
 * another size. What has been built against N runs with every later library of the same N. */
#define CLIP_VERSION_MAJOR 0
#define CLIP_VERSION_MINOR 1
#define CLIP_VERSION_PATCH 0
#define CLIP_VERSION_NUMBER (CLIP_VERSION_MAJOR * 10000 + CLIP_VERSION_MINOR * 100 + CLIP_VERSION_PATCH)
#define CLIP_VERSION_QUOTE(a, b, c) #a "." #b "." #c
#define CLIP_VERSION_DOTTED(a, b, c) CLIP_VERSION_QUOTE(a, b, c)
#define CLIP_VERSION_STRING CLIP_VERSION_DOTTED(CLIP_VERSION_MAJOR, CLIP_VERSION_MINOR, CLIP_VERSION_PATCH)

/* ---- Status --------------------------------------------------------------------------------------------- */

#define CLIP_STATUS_MAP(X)                                                    \
    X(CLIP_OK, 0, "done")                                                     \
    X(CLIP_EINVAL, -1, "an argument is out of its range")                     \
    X(CLIP_ENOMEM, -2, "out of memory")                                       \
    X(CLIP_EIO, -3, "a file cannot be read or written")                       \
    X(CLIP_EFORMAT, -4, "a file is damaged or not of the format it should be") \
    X(CLIP_EUNSUPPORTED, -5, "sound, but not supported by this build, or this machine") \
    X(CLIP_ELIMIT, -6, "larger than the limit allows")                        \
    X(CLIP_EMISMATCH, -7, "parts do not fit each other")                      \
    X(CLIP_EDIVERGED, -8, "training has diverged")                            \
    X(CLIP_EBUSY, -9, "another process is writing it")                        \
    X(CLIP_ENOTFINITE, -10, "a number is NaN or infinite")

typedef enum clip_status {
#define X(name, code, message) name = code,
    CLIP_STATUS_MAP(X)
#undef X
} clip_status;

/* What went wrong, for people: "dir/model.safetensors: tensor 'visual.proj' ends beyond the file". */
typedef struct clip_error {
    clip_status code;
    char message[1024];
} clip_error;

/* clip_status_name(), clip_status_message(): "CLIP_EIO" and its sentence; static strings, never NULL. */
CLIP_API const char *clip_status_name(clip_status s);
CLIP_API const char *clip_status_message(clip_status s);

/* Text from outside: names of files and tensors, captions, labels. It may hold what takes over a
 * terminal, or turns a line around. clip_error's messages and what a clip_warn_fn hears are free of
 * it, and one line each; strings that are returned otherwise (paths, captions) come as they are.
 * clip_text_next(): the first character of a text.
 * code  out  its code point, CLIP_TEXT_INVALID for a byte that is not UTF-8
 * Returns its length in bytes; 0 at the end of the text.
 * clip_text_shown(): may it be shown to a person? Not: control characters (C0, DEL, C1; so no
 * newline either), line and paragraph separators, controls of the direction of text, bytes that are
 * not UTF-8. */
enum { CLIP_TEXT_INVALID = -1 };
CLIP_API size_t clip_text_next(const char *text, int32_t *code);
CLIP_API bool clip_text_shown(int32_t code);

/* clip_mapped_file(): the file that the library has mapped at this address; NULL: none. For a
 * handler of SIGBUS, which finds the address in siginfo_t's si_addr: it is safe to call there. */
CLIP_API const char *clip_mapped_file(const void *address);

/* clip_version(): "0.1.0". clip_build_info(): the optional parts built in and the instruction sets this machine can use. Static strings. */
CLIP_API const char *clip_version(void);
CLIP_API const char *clip_build_info(void);

/* ---- Models --------------------------------------------------------------------------------------------- */

typedef struct clip_model clip_model;
typedef struct clip_context clip_context;

enum { CLIP_TOWER_IMAGE = 1, CLIP_TOWER_TEXT = 2, CLIP_TOWER_BOTH = 3 };

/* Called for what loading could not know or found odd (one line, no newline). */
typedef void (*clip_warn_fn)(void *user, const char *message);

typedef struct clip_load_options {
    int towers;        /* CLIP_TOWER_*: only what is asked for is read and packed; of BOTH, what there is */
    int threads;       /* cores to pack the weights with; 0: all this process may use */
    const char *isa;   /* "avx512", "avx2", "neon", "generic"; NULL: the best this machine has */
    clip_warn_fn warn; /* NULL: silent */
    void *warn_user;
    const char *prefix; /* of a file that holds several encoders: that whose tensors' names begin so; NULL: the only one */
    const char *precision; /* "f32", or "bf16": faster where the processor has AVX512_BF16, and less exact; NULL: "f32" */
} clip_load_options;

/* clip_load_options_default(): both towers, all cores, best instruction set, silent, f32. */
CLIP_API clip_load_options clip_load_options_default(void);

/* clip_model_load(): open a checkpoint and pack its weights.
 * path  in   a directory as Hugging Face or OpenCLIP lay it out, or one .safetensors file (beside which
 *            configuration and tokenizer are looked for; what is missing is inferred from the shapes, with a warning).
 *            A folder of the Hugging Face hub's cache (models--ORG--NAME) stands for the snapshot
 *            that its refs/main names, one of sentence-transformers (modules.json) for the CLIP in
 *            it. OpenCLIP's "local-dir:" may stand before a path.
 *            Every setting of a configuration and every tensor of a tower must be understood.
 *            One encoder alone is a model too: transformers' CLIPTextModel, CLIPVisionModel and their kin "WithProjection", the text encoders in
 *            diffusers' folders, and those inside Stable Diffusion's single files (of which nothing else is read)
 * opt   in   NULL: defaults
 * out   out  the model; NULL on error. Free with clip_model_free()
 * err   out  may be NULL
 * Matrices of the Transformers keep the file's type (f32, f16, bf16) in memory; all else, and all
 * arithmetic, is f32. The file stays mapped: the token embedding is read from it. Replace a
 * checkpoint by renaming, never write into it while a model is loaded (see Files).
 * Precision "bf16": those matrices are kept in bf16, and in products with them what they are multiplied by is
 * rounded to bf16, too (8 bits, to nearest even), while sums stay f32; so do the residual stream,
 * norms, attention between tokens, biases, and a ResNet's convolutions. Embeddings then have a
 * cosine of more than 0.999 with those of f32 (docs/performance.md has measurements), near enough
 * to be compared with them.
 * Errors: CLIP_EINVAL (options; several encoders to choose from: the message names them), CLIP_EIO,
 * CLIP_EFORMAT, CLIP_EUNSUPPORTED (settings, tensors and types of numbers that this engine does not
 * know, each named; also bf16 on a processor that cannot), CLIP_ELIMIT, CLIP_EMISMATCH (tensors
 * missing, or shapes against the configuration; none of the towers asked for), CLIP_ENOTFINITE
 * (numbers that would hide in what they make; others show when something is embedded), CLIP_ENOMEM. */
CLIP_API clip_status clip_model_load(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err);
CLIP_API void clip_model_free(clip_model *m);

typedef struct clip_model_info {
    const char *path, *layout, *weights_file; /* layout: "OpenCLIP" or "Hugging Face" */
    const char *prefix;                       /* before the names of its tensors; mostly "" */
    const char *weights_type;                 /* "f32", "f16", "bf16" */
    const char *tokenizer;                    /* file it came from and whose rules it follows; NULL: none found */
    const char *isa, *precision;              /* "avx512" ..; "f32" or "bf16" */
    int towers;                               /* CLIP_TOWER_*, those loaded */
    int embed_dim;                            /* D; 0: an encoder alone, without a projection: it has hidden states, and no embeddings */
    float logit_scale;                        /* exp(logit_scale parameter): what cosines are multiplied by, 1/tau; 0: unknown, as of an encoder alone */
    int64_t parameters, image_parameters, text_parameters;
    /* pictures */
    const char *vision_kind;                  /* "ViT" or "ModifiedResNet" */
    int image_size, vision_width, vision_heads, patch_size; /* patch_size 0: ResNet */
    int vision_layers[4];                     /* ViT: layers in [0]; ResNet: blocks a stage */
    int vision_tokens;                        /* ViT: 1 + G*G, the class token and the patches; ResNet: 0 */
    float mean[3], std[3];
    const char *interpolation, *resize_mode;  /* "bicubic"/"bilinear"; "shortest"/"longest"/"squash" */
    int background;                           /* 0xRRGGBB: what transparent pictures are laid on; -1: transparency is dropped */
    /* texts */
    int context_length, vocab_size, text_width, text_heads, text_layers;
    const char *activation;                   /* "gelu" or "quickgelu" */
    const char *pooling;                      /* "argmax" or "eos" */
    int pad_id;                               /* what the checkpoint fills the context with behind a text */
} clip_model_info;

/* clip_model_get_info(): fill `out`; its strings live as long as the model. What is said of an encoder that the checkpoint does not have is 0 or NULL. */
CLIP_API void clip_model_get_info(const clip_model *m, clip_model_info *out);

/* clip_weights_hash(): XXH3-128 of the weights' files, in hexadecimal: identifies the weights that
 * an index, head or probe was made with. Reads them all. Empty where they have been written to
 * since they were loaded. */
CLIP_API void clip_weights_hash(const clip_model *m, char out[33]);

/* clip_context_new(): a workspace for one calling thread.
 * threads  in   cores to use; 0: all this process may use
 * out      out  free with clip_context_free(); it must not outlive the model
 * Errors: CLIP_EINVAL (threads below 0 or above 1024), CLIP_ENOMEM. */
CLIP_API clip_status clip_context_new(const clip_model *m, int threads, clip_context **out);
CLIP_API void clip_context_free(clip_context *ctx);
CLIP_API int clip_context_threads(const clip_context *ctx); /* how many it uses */

/* clip_context_message(): the words for `s`, which a function has just returned for this context.
 * Where s is CLIP_ENOTFINITE they name the picture or text, counted from 1 in that call, and the
 * tensor that holds NaN or infinity, if one does; else they are clip_status_message()'s.
 * The string lives until the next call with this context. */
CLIP_API const char *clip_context_message(const clip_context *ctx, clip_status s);

/* clip_parallel(): fn(user, i) for every i in 0 .. n-1, on the context's threads, in any order, some at the same time; returns when all are done.
 * For what surrounds an encoder, like decoding the pictures of a batch. fn must not use the context. */
CLIP_API void clip_parallel(clip_context *ctx, int64_t n, void (*fn)(void *user, int64_t i), void *user);

/* ---- Pictures ------------------------------------------------------------------------------------------- */

/* 8-bit RGB, rows of `stride` bytes. Point it at your own pixels, or let clip_image_read() fill it. */
typedef struct clip_image {
    int width, height;
    size_t stride;
    uint8_t *rgb;
} clip_image;

typedef struct clip_image_options {
    int64_t max_pixels; /* refuse larger pictures before anything is allocated for them. What is decoded counts: of a picture that
                           comes reduced, the reduced one */
    int background;     /* 0xRRGGBB: transparent parts are laid on it; -1: transparency is dropped, as Pillow's convert("RGB") does */
    int enough;         /* a picture may come reduced, where its format can do that in less time (JPEG by 1/2, 1/4, 1/8; thumbnails in HEIC), as
                           long as its shorter side keeps this many pixels; 0: in full */
    bool pipes;         /* for a path that a person has given: clip_image_read() also reads pipes
                           and devices, and "-" is standard input. A path that comes from a file
                           could make it wait for ever */
} clip_image_options;

/* clip_image_options_default(): 178,956,970 pixels (Pillow's limit), background -1, in full.
 * clip_model_image_options(): the same, with the background that the model's checkpoint asks for: what to read the pictures
 * of a model with. */
CLIP_API clip_image_options clip_image_options_default(void);
CLIP_API clip_image_options clip_model_image_options(const clip_model *m);

/* clip_background_parse(): "#rrggbb" (the # may be missing), "white", "black", or "drop", as a background: 0xRRGGBB or -1.
 * Errors: CLIP_EINVAL. */
CLIP_API clip_status clip_background_parse(const char *text, int *background);

/* clip_image_read(), clip_image_decode(): a picture from a regular file of at most 1 GiB, or from its bytes.
 * JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, HEIC, AVIF, PNM, JPEG XL (first frame), JPEG 2000, SVG, and cameras' raw
 * files (the largest preview in them), told by content, as far as clip_build_info() names them; EXIF orientation applied.
 * SVG is drawn at its own size, or larger, so that the shorter side has 512 pixels; nothing outside the file is loaded.
 * opt   in   NULL: defaults; clip_model_image_options() for pictures on their way into a model
 * name  in   how clip_image_decode() calls the picture in an error
 * out   out  free with clip_image_free(); all zero on error
 * Errors: CLIP_EIO (also: not a regular file), CLIP_EFORMAT, CLIP_EUNSUPPORTED, CLIP_ELIMIT (too many
 * pixels or bytes), CLIP_ENOMEM. */
CLIP_API clip_status clip_image_read(const char *path, const clip_image_options *opt, clip_image *out, clip_error *err);
CLIP_API clip_status clip_image_decode(const void *bytes, size_t size, const char *name, const clip_image_options *opt,
                                       clip_image *out, clip_error *err);
CLIP_API void clip_image_free(clip_image *img);

/* clip_preprocess(): resize (Pillow's two-pass 8-bit resampling, bit for bit), crop or pad, normalise, as the checkpoint asks.
 * img  in   [H, W] RGB
 * out  out  [3, S, S] f32, S = image_size; the caller's
 * Errors: CLIP_EINVAL (an empty picture, a stride shorter than a row), CLIP_ENOMEM. */
CLIP_API clip_status clip_preprocess(const clip_model *m, const clip_image *img, float *out);

/* ---- Words ---------------------------------------------------------------------------------------------- */

/* clip_tokenize(): text to token ids, start and end token included, without padding; a text that is too long is cut and keeps its end token.
 * ids  out  room for context_length ids; the caller's
 * n    out  how many
 * Errors: CLIP_EINVAL (the model has no tokenizer or no text tower), CLIP_ENOMEM. */
CLIP_API clip_status clip_tokenize(const clip_model *m, const char *text, int32_t *ids, int *n);

/* ---- Embeddings ----------------------------------------------------------------------------------------- */

/* clip_encode_image(): embed N pictures, preprocessing included.
 * img  in   [N] pictures
 * out  out  [N, D] f32, row-major, unit L2 norm; the caller's
 * Errors: CLIP_EINVAL (N < 1, an empty picture, no image tower, no projection), CLIP_ENOTFINITE (an
 * embedding would hold NaN or infinity: clip_context_message() says why), CLIP_ENOMEM.
 * On error `out` is unspecified. */
CLIP_API clip_status clip_encode_image(clip_context *ctx, const clip_image *img, int N, float *out);

/* clip_encode_pixels(): the same from normalised pixels [N, 3, S, S] f32 (what clip_preprocess() gives). */
CLIP_API clip_status clip_encode_pixels(clip_context *ctx, const float *pixels, int N, float *out);

/* clip_encode_text(): embed N texts. out [N, D] f32, unit L2 norm. Errors as above. */
CLIP_API clip_status clip_encode_text(clip_context *ctx, const char *const *texts, int N, float *out);

/* clip_encode_tokens(): the same from token ids: text i is ids[offsets[i]] .. ids[offsets[i+1]-1],
 * offsets [N+1], the first of them at least 0.
 * Errors: CLIP_EINVAL also for an id outside the vocabulary, an offset below 0, a text that is
 * empty (its offsets do not rise) or longer than context_length. */
CLIP_API clip_status clip_encode_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N,
                                        float *out);

/* clip_encode_labels(): one embedding a label, the ensemble over templates of CLIP's zero-shot classification
 * (arXiv:2103.00020, 3.1.4): the mean of the unit embeddings of every template filled with the label, scaled to unit length again.
 * templates  in   [T] each with one or more "{}" where the label goes ("a photo of a {}."); a template without is an error
 * out        out  [L, D] f32, unit L2 norm
 * Errors: CLIP_EINVAL, CLIP_ENOTFINITE, CLIP_ELIMIT (a filled template of more than 65,536 bytes),
 * CLIP_ENOMEM. Memory does not grow with L and T. */
CLIP_API clip_status clip_encode_labels(clip_context *ctx, const char *const *labels, int L,
                                        const char *const *templates, int T, float *out);

/* clip_similarity(): out[i, j] = a[i] . b[j], the cosine for unit rows.   a [N, D]  b [M, D]  out [N, M]
 * Where rounding alone takes it beyond 1 or -1, by less than 1e-5, it is 1 or -1. */
CLIP_API clip_status clip_similarity(clip_context *ctx, const float *a, int N, const float *b, int M, float *out);

/* clip_probabilities(): each row of similarities [N, M] becomes softmax(logit_scale * row), in place. */
CLIP_API void clip_probabilities(const clip_model *m, float *similarity, int N, int M);

/* clip_probabilities_scaled(): the same with another scale, like one that clip_fit_scale() found. */
CLIP_API void clip_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N, int M);

/* clip_fit_scale(): the scale by which softmax(scale * cosine) fits pictures whose label is known best: the least mean of -log p (temperature scaling,
 * Guo et al. 2017, arXiv:1706.04599; the temperature is 1 / scale). Which label is the best of a picture does not depend on it.
 * cosine  in   [N, L];  right in [N] the label of each picture, 0 .. L-1
 * Errors: CLIP_EINVAL (N or L < 1, a label that is not there, a cosine that is no number). */
CLIP_API clip_status clip_fit_scale(const float *cosine, const int32_t *right, int N, int L, double *scale);

/* clip_calibration(): how far probabilities at this scale are from what happens: nll, the mean of -log p of the right label, and ece, the expected
 * calibration error of the best label's probability (15 bins). Errors: as above, CLIP_ENOMEM. */
CLIP_API clip_status clip_calibration(const float *cosine, const int32_t *right, int N, int L, double scale,
                                      double *nll, double *ece);

/* Several labels a picture: each has a threshold t, is there where its cosine c reaches it, and has the probability 1 / (1 + exp(-scale (c - t))).
 * clip_fit_thresholds(): the thresholds that do best on pictures whose labels are known.
 * cosine     in   [N, L];  yes in [N, L] 1 where the label is right
 * threshold  out  [L] of each label that with the best F1, in the middle of a gap between cosines, drawn to `for_all` the more the fewer pictures have it
 * for_all    out  the one that does best for all labels together
 * scale      out  with these thresholds, that of the least mean of -log p
 * Errors: CLIP_EINVAL (N or L < 1, no label is right anywhere, a cosine that is no number), CLIP_ENOMEM. */
CLIP_API clip_status clip_fit_thresholds(const float *cosine, const uint8_t *yes, int N, int L, float *threshold,
                                         float *for_all, double *scale);

typedef struct clip_multilabel_metrics {
    double precision, recall, f1; /* of all labels of all pictures together */
    double label_f1;              /* mean of the labels' F1 */
    double map;                   /* mean of the labels' average precision, which does not depend on thresholds */
    double ece;                   /* expected calibration error of the probabilities (15 bins) */
    int labels;                   /* in the means: those that some picture has */
} clip_multilabel_metrics;

/* clip_multilabel(): how good labels by these thresholds [L] are. Errors: CLIP_EINVAL (as above; a threshold that is no number), CLIP_ENOMEM. */
CLIP_API clip_status clip_multilabel(const float *cosine, const uint8_t *yes, int N, int L, const float *threshold,
                                     double scale, clip_multilabel_metrics *out);

/* ---- Hidden states -------------------------------------------------------------------------------------- */

/* What an encoder makes on its way, for models that are built on it: Stable Diffusion (texts), LLaVA (pictures). Layers count as transformers'
 * `hidden_states` do. Sizes: C = text_width or vision_width; T = context_length or vision_tokens.
 *
 *                                     layer  final_norm  pads with
 *     Stable Diffusion 1                 -1       1      the end token
 *     Stable Diffusion 2                 -2       1      0
 *     Stable Diffusion XL, CLIP-L        -2       0      the end token
 *     Stable Diffusion XL, bigG          -2       0      0             and `projected`
 *     LLaVA 1.5                          -2       0                    without states[:, 0], the class token */
typedef struct clip_hidden_options {
    int layer;      /* 0: what goes into the first layer; l: what comes out of layer l; -1: of the last, -2: of the one before it, .. */
    int final_norm; /* the encoder's last layer norm over the states: 1: yes; 0: no; -1: as transformers' last_hidden_state: behind a text's last layer */
    int pad_id;     /* what fills the context behind a text; -1: the checkpoint's own pad_id */
} clip_hidden_options;

/* clip_hidden_options_default(): layer -1, final_norm -1, pad_id -1. */
CLIP_API clip_hidden_options clip_hidden_options_default(void);

/* Where it goes, the caller's; NULL: not wanted, and not computed. */
typedef struct clip_hidden {
    float *states;    /* [N, T, C] f32: of a text its tokens, padded to the context without an attention mask; of a picture the class token, then
                       * the patches, row by row */
    float *pooled;    /* [N, C] of the end token, of the class token, behind the last layer and its norm: transformers' pooler_output */
    float *projected; /* [N, D] pooled @ projection: text_embeds, image_embeds; an embedding before it is scaled to length 1 */
} clip_hidden;

/* clip_hidden_text(), clip_hidden_tokens(), clip_hidden_image(), clip_hidden_pixels(): of N texts or pictures, given as to clip_encode_*().
 * opt  in   NULL: defaults
 * out  out  what is wanted
 * Errors: those of clip_encode_*(); CLIP_EINVAL (nothing is wanted, a layer that is not there, a pad_id outside the vocabulary, `projected` without a
 * projection); CLIP_EUNSUPPORTED (`states` and `pooled` of a ResNet, which has no tokens). */
CLIP_API clip_status clip_hidden_text(clip_context *ctx, const char *const *texts, int N,
                                      const clip_hidden_options *opt, const clip_hidden *out);
CLIP_API clip_status clip_hidden_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N,
                                        const clip_hidden_options *opt, const clip_hidden *out);
CLIP_API clip_status clip_hidden_image(clip_context *ctx, const clip_image *img, int N, const clip_hidden_options *opt,
                                       const clip_hidden *out);
CLIP_API clip_status clip_hidden_pixels(clip_context *ctx, const float *pixels, int N, const clip_hidden_options *opt,
                                        const clip_hidden *out);

/* ---- Explanation ---------------------------------------------------------------------------------------- */

/* clip_explain(): where in a picture is what makes it match words? Maps of G x G cells over the S x S pixels the model looks at, G = clip_explain_side():
 * for a ViT, relevance through the attention of its blocks (Chefer et al. 2021, arXiv:2103.15679); for a ResNet, how much the cosine falls when a disc is
 * painted over (Zeiler and Fergus 2013, arXiv:1311.2901), which takes G * G encodings.
 * img     in   [H, W] RGB
 * texts   in   [K]
 * map     out  [K, G, G], at least 0; compare the cells of a map, not maps
 * cosine  out  [K] of the picture with each text
 * The first call packs a ViT once more, with what gradients want, in f32 whatever the precision; the context keeps it.
 * Errors: CLIP_EINVAL (K < 1, an empty picture, a tower or the tokenizer is missing), CLIP_ENOTFINITE, CLIP_ENOMEM. */
CLIP_API clip_status clip_explain(clip_context *ctx, const clip_image *img, const char *const *texts, int K, float *map,
                                  float *cosine);
CLIP_API int clip_explain_side(const clip_model *m);

/* clip_explain_heat(): a map [G, G] laid over the whole picture, or over a copy of it of another size: smooth between cells, 0 where the model does not
 * look, and 1 at its peak (a map of zeros stays so).
 * heat  out  [height, width]; the caller's
 * Errors: CLIP_EINVAL (a side < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_explain_heat(const clip_model *m, const float *map, int width, int height, float *heat);

/* A part of a picture, in its pixels. */
typedef struct clip_window {
    double x, y, width, height;
} clip_window;

/* clip_seen_window(): what of a picture of this size the model looks at. Reaches beyond the picture where it is padded.
 * Errors: CLIP_EINVAL (a side < 1). */
CLIP_API clip_status clip_seen_window(const clip_model *m, int width, int height, clip_window *out);

/* ---- Evaluation ----------------------------------------------------------------------------------------- */

/* Ranks count the candidates that score strictly higher than the (best-scoring) right one: 0 is best.
 * R@k is the share with rank < k; ranks in the means are counted from 1, as OpenCLIP prints them. */
typedef struct clip_rank_metrics {
    int64_t queries;
    double r1, r5, r10; /* in 0..1 */
    double mean_rank, median_rank;
} clip_rank_metrics;

/* clip_ranks(): ranks of queries against candidates, without ever holding the whole matrix of scores.
 * query      in   [Q, D];  candidate in [C, D]
 * right      in   [right_off[Q]] candidates that are right for query q: right[right_off[q]] .. right[right_off[q+1]-1], at least one each
 * rank       out  [Q]; the caller's
 * Errors: CLIP_EINVAL, CLIP_ENOMEM. */
CLIP_API clip_status clip_ranks(clip_context *ctx, const float *query, int Q, const float *candidate, int C,
                                const int32_t *right, const int32_t *right_off, int32_t *rank);

/* clip_rank_summary(): metrics of `rank` [Q]. Q = 0 gives zeros. Errors: CLIP_ENOMEM. */
CLIP_API clip_status clip_rank_summary(const int32_t *rank, int64_t Q, clip_rank_metrics *out);

/* ---- Questions ------------------------------------------------------------------------------------------ */

/* Answers to questions about pictures, in two ways that work with any CLIP (docs/vqa.md):
 *   zero-shot  rules turn the question into a statement, "what color is the car?" into "{} car"; every candidate answer completes it, and the picture
 *              chooses among the statements. "Is there a dog?" is yes where "dog" fits the picture better than nearly all of a list of common things
 *   a head     a small network on the frozen CLIP, fitted on questions with answers: it hears the question's embedding, sees the picture's and looks
 *              around among the tokens of its patches; it chooses among the answers it has learned
 *
 *     clip_question_new(ctx, NULL, "what animal is this?", NULL, &question, &err);
 *     clip_question_get_info(question, &info);
 *     clip_question_ask(ctx, question, image_embeddings, n, p);      p[i, j]: how likely info.answers[j] is for picture i */
typedef struct clip_question clip_question; /* ready to be put to pictures; immutable */
typedef struct clip_vqa clip_vqa;           /* a head; immutable */

typedef struct clip_question_options {
    const char *const *answers;   /* [n_answers] to choose from; none: the words that ship for such a question, or those of the head */
    int n_answers;
    const char *const *words;     /* [n_words] of which answers are made where none are given, the most frequent first: of the words that ship those that are
                                     made of these, if any; to a question that none ship for, the first 1000 that say something. Zero-shot alone, not "yes/no" */
    int n_words;
    const char *const *templates; /* [n_templates] around a statement, "a photo of {}."; none: "{}". Zero-shot alone */
    int n_templates;
    bool blind;                   /* with a head: answer from the question alone, by the network that was fitted so. What a head is worth is what it adds */
} clip_question_options;

typedef struct clip_question_info {
    const char *type;           /* "yes/no", "color", "count", "kind", "where", "who", "other" */
    const char *kind;           /* where that is "kind": which, "animal"; else "" */
    const char *statement;      /* with {} for the answer; "yes/no": what "yes" affirms */
    const char *const *answers; /* [n] */
    int n;
} clip_question_info;

/* clip_question_new(): read a question and embed what answering it takes.
 * head     in   NULL: zero-shot
 * options  in   NULL: none
 * out      out  free with clip_question_free(); NULL on error. The head must outlive it
 * Errors: CLIP_EINVAL (no question; with a head: none of the answers is one it knows), those of clip_encode_text(), CLIP_ENOMEM. */
CLIP_API clip_status clip_question_new(clip_context *ctx, const clip_vqa *head, const char *text,
                                       const clip_question_options *options, clip_question **out, clip_error *err);
CLIP_API void clip_question_free(clip_question *q);

/* clip_question_get_info(): its strings live as long as the question. */
CLIP_API void clip_question_get_info(const clip_question *q, clip_question_info *out);

/* clip_look_pixels(): what a head sees of pictures that clip_preprocess() has prepared: the unit embedding [D], and behind it the tokens in a form of their
 * own: at most 64 a picture, in 16 bits: 9 KiB a picture for a ResNet of width 16 at 64x64, 76 KiB for ViT-B/32, 131 KiB for ViT-L/14.
 * pixels  in   [N, 3, S, S]
 * out     out  [N, clip_look_width()]
 * Errors: those of clip_encode_pixels(). */
CLIP_API size_t clip_look_width(const clip_model *m);
CLIP_API clip_status clip_look_pixels(clip_context *ctx, const float *pixels, int N, float *out);

/* clip_question_ask(): out [N, n]: probabilities, a row adds up to 1.
 * image  in  zero-shot: unit embeddings [N, D]; with a head: looks [N, clip_look_width()]
 * Errors: CLIP_EINVAL (N < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_question_ask(clip_context *ctx, const clip_question *q, const float *image, int N,
                                       float *out);

/* A question about a picture, and what people answered; all of it the table's. */
typedef struct clip_asked {
    const char *picture, *question;
    const char *const *answers; /* [n_answers], normalised as VQA v2 does: lower case, no articles and punctuation, numbers as digits */
    int n_answers;              /* at least 1 */
} clip_asked;

/* clip_asked_read(): a table (.tsv, .csv) with the columns filepath, question, answer; several answers are parted by "|". Paths are relative to it.
 * out  out  [*n], free with clip_asked_free(); NULL on error
 * Errors: CLIP_EIO, CLIP_EFORMAT (with the line), CLIP_ELIMIT, CLIP_ENOMEM. */
CLIP_API clip_status clip_asked_read(const char *path, clip_asked **out, size_t *n, clip_error *err);
CLIP_API void clip_asked_free(clip_asked *asked, size_t n);

/* clip_asked_score(): what an answer is worth, normalised as above: min(m / 3, 1), where m people said it; of fewer than three answers any is right, 1.
 * Out of memory: 0. */
CLIP_API double clip_asked_score(const clip_asked *asked, const char *answer);

typedef struct clip_vqa_options {
    int hidden;         /* width of the network */
    bool pooled;        /* without tokens: embeddings alone */
    bool unbiased;      /* learn what pictures add to the question, and answer by that: for questions whose answers are not spread as those learned from */
    int epochs, patience; /* at most so many; without an epoch that is better on what is held back, so many */
    int answers;        /* the most frequent ones are learned */
    int batch_size;
    double lr, weight_decay, dropout;
    uint64_t seed;
    bool (*progress)(void *user, int epoch, double loss, double accuracy); /* after each; false: stop with the best so far. May be NULL */
    void *progress_user;
} clip_vqa_options;

CLIP_API clip_vqa_options clip_vqa_options_default(void);

typedef struct clip_vqa_info {
    int answers, hidden;
    int tokens;             /* of a picture, that it looks at; 0: it sees the embedding alone */
    int trained, held_back; /* questions; a tenth of the pictures is held back */
    int epoch;              /* that was kept */
    double accuracy;        /* on what was held back */
} clip_vqa_info;

/* clip_vqa_fit(): train a head, and the same network without pictures. The result does not depend on the threads.
 * asked  in   [n]
 * row    in   [n] the row of `image` that question i is about
 * image  in   [.., clip_look_width()] from clip_look_pixels()
 * out    out  free with clip_vqa_free(); NULL on error
 * Errors: CLIP_EINVAL (n < 2, fewer than two different answers), CLIP_EDIVERGED, CLIP_ENOMEM. */
CLIP_API clip_status clip_vqa_fit(clip_context *ctx, const clip_asked *asked, const int32_t *row, int n,
                                  const float *image, const clip_vqa_options *options, clip_vqa **out, clip_error *err);
CLIP_API void clip_vqa_free(clip_vqa *h);
CLIP_API void clip_vqa_get_info(const clip_vqa *h, clip_vqa_info *out);

/* clip_vqa_save(), clip_vqa_load(): DIR/vqa.json and DIR/vqa.safetensors; saving makes DIR. dir NULL: the directory of the model. A head belongs to the weights it was
 * fitted on and is refused by others. clip_vqa_exists(): is there one to load?
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights; the two files do not belong together), CLIP_ENOMEM. */
CLIP_API clip_status clip_vqa_save(const clip_model *m, const clip_vqa *h, const char *dir, clip_error *err);
CLIP_API clip_status clip_vqa_load(const clip_model *m, const char *dir, clip_vqa **out, clip_error *err);
CLIP_API bool clip_vqa_exists(const clip_model *m, const char *dir);

/* ---- Matching ------------------------------------------------------------------------------------------- */

/* Does a text belong to a picture? A cosine says which of several texts fits best; a clip_match turns it into a probability (docs/matching.md):
 *     p = 1 / (1 + exp(-(intercept + slope max(s - knot, 0)))),     s = logit_scale * cosine
 * fitted on pairs that belong together and as many that do not: their neighbours in batches, by the likeness of the texts. A plain value. */
typedef struct clip_match {
    double knot, slope, intercept;
    int batch;                  /* pairs of a batch: with more of them to choose from, wrong pairs are harder */
    int64_t pairs;              /* fitted on */
    double accuracy, auc, ece;  /* on them, each half judged by a fit on the other; ece: expected calibration error, 15 bins */
} clip_match;

typedef struct clip_match_scores {
    int64_t pairs;             /* that have a neighbour */
    double accuracy, auc, ece; /* of the probability at 1/2; the area under the ROC curve; the expected calibration error, 15 bins */
} clip_match_scores;

#define CLIP_MATCH_BATCH 16 /* what to take */

/* clip_match_fit(), clip_match_evaluate(): from N pairs, or on them.
 * image, text  in   [N, D] unit embeddings; pair i is image[i] and text[i]. Equal pictures and equal texts are found out: they are not wrong for each other
 * Errors: CLIP_EINVAL (N or batch < 2; an embedding is no number; all the same picture or text; pairs that score no higher than wrong ones), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_fit(clip_context *ctx, const float *image, const float *text, int N, int batch,
                                    clip_match *out, clip_error *err);
CLIP_API clip_status clip_match_evaluate(clip_context *ctx, const clip_match *match, const float *image,
                                         const float *text, int N, int batch, clip_match_scores *out, clip_error *err);

/* clip_match_probability(): of s, a cosine times the model's logit_scale. */
CLIP_API double clip_match_probability(const clip_match *match, double s);

/* clip_match_save(), clip_match_load(): match.json. It belongs to the weights and is refused by others.
 * path  in   the file; NULL: match.json beside the model's weights
 * clip_match_exists(): is there one to load?
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_save(const clip_model *m, const clip_match *match, const char *path, clip_error *err);
CLIP_API clip_status clip_match_load(const clip_model *m, const char *path, clip_match *out, clip_error *err);
CLIP_API bool clip_match_exists(const clip_model *m, const char *path);

/* Two pairs, and how much better they go together than with their texts exchanged: the sum of their cosines less that of the exchanged ones. */
typedef struct clip_confusion {
    int32_t i, j; /* i < j */
    float margin; /* below 0: the model would exchange them */
} clip_confusion;

/* clip_match_hardest(): the n smallest margins among N pairs, smallest first; not between pairs with the same picture or text.
 * out    out  [n];   found  out  how many of them
 * Errors: CLIP_EINVAL (N < 2, n < 1, an embedding is no number), CLIP_ENOMEM. */
CLIP_API clip_status clip_match_hardest(clip_context *ctx, const float *image, const float *text, int N, int n,
                                        clip_confusion *out, int *found);

/* ---- Probes --------------------------------------------------------------------------------------------- */

/* Classes learnt from labelled pictures, on embeddings of a model that stays as it is (docs/probes.md). */
typedef struct clip_probe clip_probe; /* immutable: threads may share it */

typedef enum clip_probe_kind {
    CLIP_PROBE_LINEAR = 1,     /* logistic regression, as CLIP's linear probe (arXiv:2103.00020, A.3) */
    CLIP_PROBE_CACHE = 2,      /* the names of the classes and a few pictures of each: Tip-Adapter without training (arXiv:2111.03930) */
    CLIP_PROBE_NEIGHBOURS = 3, /* the nearest pictures vote (arXiv:1805.01978, 3.4) */
} clip_probe_kind;

typedef struct clip_probe_data {
    const float *image;   /* [n, D] unit embeddings */
    const int32_t *label; /* [n] which class, from 0 */
    int n;
} clip_probe_data;

typedef struct clip_probe_options {
    clip_probe_kind kind;
    double l2;          /* LINEAR: of the regularisation, 1/C of scikit-learn. 0: the best on the validation part, of 1e-6 .. 1e6; without one 3.16 */
    int iterations;     /* LINEAR: at most so many */
    double tolerance;   /* LINEAR: until no derivative of the mean loss is larger */
    const float *text;  /* CACHE: [classes, D] of clip_encode_labels() */
    double alpha, beta; /* CACHE: weight and sharpness of the pictures. alpha < 0: the best on the validation part; without one 1 and 5.5 */
    int neighbours;     /* NEIGHBOURS: how many vote */
} clip_probe_options;

/* clip_probe_options_default(): LINEAR, l2 0, 1000 iterations, tolerance 1e-4 (as scikit-learn), alpha -1, 20 neighbours. */
CLIP_API clip_probe_options clip_probe_options_default(void);

/* clip_probe_fit(): the result does not depend on the threads.
 * names  in   [n_names] of the classes, each with a training picture
 * val    in   what is swept is chosen on it; LINEAR then fits on both parts. NULL: none
 * out    out  free with clip_probe_free(); NULL on error
 * Errors: CLIP_EINVAL (fewer than two classes; one without a picture, which the message names; numbers that are none; options), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_fit(clip_context *ctx, const char *const *names, int n_names,
                                    const clip_probe_data *train, const clip_probe_data *val,
                                    const clip_probe_options *opt, clip_probe **out, clip_error *err);
CLIP_API void clip_probe_free(clip_probe *p);

typedef struct clip_probe_info {
    clip_probe_kind kind;
    const char *const *names; /* [classes]; live as long as the probe */
    int classes, pictures;    /* it was fitted on, validation part included where that was fitted on */
    double l2, alpha, beta;   /* that were taken */
    int neighbours;
    double accuracy;          /* on the validation part, before what was fitted on it; 0: there was none */
    int iterations;           /* LINEAR: of the last fit */
    bool converged;
} clip_probe_info;

CLIP_API void clip_probe_get_info(const clip_probe *p, clip_probe_info *out);

/* clip_probe_predict(): image [N, D] unit embeddings; out [N, classes]: probabilities, a row adds up to 1. Errors: CLIP_EINVAL (N < 1), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_predict(clip_context *ctx, const clip_probe *p, const float *image, int N, float *out);

/* clip_probe_save(), clip_probe_load(): a directory with probe.json and probe.safetensors; what was there is replaced in one piece. A probe belongs to the
 * weights it was fitted on and is refused by others.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (fitted on other weights), CLIP_ENOMEM. */
CLIP_API clip_status clip_probe_save(const clip_model *m, const clip_probe *p, const char *dir, clip_error *err);
CLIP_API clip_status clip_probe_load(const clip_model *m, const char *dir, clip_probe **out, clip_error *err);

/* ---- Data: pictures and pairs --------------------------------------------------------------------------- */

/* Files in folders that are passed over, counted by the reason. */
typedef enum clip_passed_why {
    CLIP_PASSED_NOT_PICTURE, /* `name`: its extension, ".txt", in lower case; "": it has none, or a rare one */
    CLIP_PASSED_FORMAT,      /* a picture that this build does not read; `name`: of its format, "Photoshop" */
    CLIP_PASSED_HIDDEN,      /* the name starts with a dot; a directory counts once */
    CLIP_PASSED_EXCLUDED,    /* the caller's patterns; a directory counts once */
    CLIP_PASSED_SPECIAL,     /* a pipe, a socket, a device */
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
    clip_passed_kind kind[CLIP_PASSED_KINDS]; /* by reason; of one reason the most frequent first */
} clip_passed;

/* A stream of image-text pairs. Sources, told by what `spec` names, several joined by "::", each with {000..012} and {a,b} braces:
 *   *.tar, *.tar.gz    WebDataset: members KEY.jpg|png|webp|..., KEY.txt (one caption), KEY.json ("captions": [..] or "caption": "..",
 *                      which win over KEY.txt), together and in any order; what else there is of KEY is passed over
 *   *.tsv, *.csv       a first line naming the columns `image_key` and `caption_key`; fields may be quoted; paths relative to the table;
 *                      rows of one picture that follow each other are one pair with all their captions
 *   a directory        every picture below it (as clip_list_pictures() finds them) with the caption(s) in NAME.txt beside it, one a line;
 *                      without that file the caption is the name of the directory the picture lies in
 * Captions come without the white space around them; a blank one is none. Memory: one sample. */
typedef struct clip_pairs clip_pairs;

typedef struct clip_pairs_options {
    const char *image_key, *caption_key; /* columns of a table; default "filepath", "title" (OpenCLIP's) */
    char separator;                      /* 0: tab for .tsv; for .csv that of comma, tab, semicolon which shows both columns */
} clip_pairs_options;

CLIP_API clip_pairs_options clip_pairs_options_default(void);

/* One pair; everything in it belongs to the stream and lives until the next clip_pairs_next(). All zero on error. */
typedef struct clip_pair {
    const char *key;              /* file, or TAR/MEMBER, for messages; NULL: the end of the stream */
    const void *bytes;            /* the encoded picture, for clip_image_decode() */
    size_t size;
    const char *const *captions;  /* all of them */
    int n_captions;               /* at least 1 */
} clip_pair;

/* clip_pairs_open(): a stream over everything `spec` names, in its order. Names and the columns of tables are checked here.
 * opt  in   NULL, or NULL in it: defaults
 * out  out  free with clip_pairs_close(); one thread reads it, any number of streams may be open
 * Errors: CLIP_EIO, CLIP_EFORMAT (a table without the columns), CLIP_EUNSUPPORTED (neither of the above), CLIP_EINVAL, CLIP_ELIMIT, CLIP_ENOMEM. */
CLIP_API clip_status clip_pairs_open(const char *spec, const clip_pairs_options *opt, clip_pairs **out,
                                     clip_error *err);

/* clip_pairs_next(): the next pair. A sample that is broken (a picture without a caption, a file
 * that is gone) is CLIP_EFORMAT, CLIP_EIO (also of a picture whose bytes there is no memory for) or
 * CLIP_ELIMIT (a picture beyond 1 GiB) with its name in err; the stream goes on with the next call.
 * So it does after the CLIP_EIO of a directory below a folder that cannot be listed. A source that
 * is damaged beyond going on says so once, then the stream moves on to the next one. */
CLIP_API clip_status clip_pairs_next(clip_pairs *p, clip_pair *out, clip_error *err);

/* clip_pairs_get_passed(): what the folders of the stream have passed over so far. NAME.txt, which
 * holds captions, is not counted. */
CLIP_API void clip_pairs_get_passed(const clip_pairs *p, clip_passed *out);
CLIP_API void clip_pairs_close(clip_pairs *p);

/* clip_list_pictures(): the picture files under `path`: a file itself, or a directory with all
 * below it, sorted by path (bytes). A name with a picture's extension is a picture, sound or not.
 * Of other files the first bytes tell. Names that start with a dot are passed over. Symbolic links
 * are followed, but no directory is listed twice.
 * passed  in/out  the files passed over are added to it; may be NULL
 * faults  out     how many directories below, or names in them, could not be looked at or listed to
 *                 their end; `warn` hears of each; may be NULL
 * out     out     [*n] paths; free with clip_list_free()
 * Errors: CLIP_EIO (path is not there or cannot be listed), CLIP_ENOMEM. */
CLIP_API clip_status clip_list_pictures(const char *path, clip_warn_fn warn, void *warn_user, clip_passed *passed,
                                        int64_t *faults, char ***out, size_t *n, clip_error *err);
CLIP_API void clip_list_free(char **list, size_t n);

/* clip_is_picture_name(): has it the extension of a picture? */
CLIP_API bool clip_is_picture_name(const char *name);

/* ---- Converting ----------------------------------------------------------------------------------------- */

typedef struct clip_convert_options {
    const char *layout; /* "openclip" or "hf" (Hugging Face's transformers); NULL: as it is */
    const char *type;   /* of the weights, "f32", "f16", "bf16"; NULL: as they are, f32 where there are several */
    const char *const *average; /* [averages] more checkpoints of such a model: the mean of all their weights and `path`'s is written */
    int averages;
    clip_warn_fn warn;  /* NULL: silent */
    void *warn_user;
} clip_convert_options;

/* clip_convert(): write a checkpoint in another layout or type: configuration, weights and tokenizer, for OpenCLIP ("local-dir:OUT") or for
 * transformers (CLIPModel, CLIPProcessor). What the type can hold stays bit for bit as it is, there and back.
 * The mean of models that were fine-tuned from one is often better than each of them (Wortsman et al. 2022, arXiv:2203.05482), and the mean of a
 * model and its fine-tuned one forgets less (Wortsman et al. 2022, arXiv:2109.01903); of models that share no start it is worth nothing.
 * path  in   as for clip_model_load()
 * out   in   a directory that is not there yet, or empty; it appears when it is whole
 * opt   in   NULL: defaults
 * Errors: as clip_model_load(); CLIP_EINVAL (options; `out` is not empty), CLIP_EMISMATCH (models of different shapes have no mean),
 * CLIP_EUNSUPPORTED (Hugging Face's layout has no ResNet), CLIP_ELIMIT (a weight beyond the range of the type), CLIP_EIO. */
CLIP_API clip_status clip_convert(const char *path, const char *out, const clip_convert_options *opt, clip_error *err);

/* ---- Training ------------------------------------------------------------------------------------------- */

/* What to train, on what, and how: settings by name. The names are those of `clip train` without their dashes, which are OpenCLIP's where it has them:
 * "train-data", "batch-size", "lr", "warmup", "aug-cfg", ... */
typedef struct clip_train_options clip_train_options;

/* clip_train_options_new(): all at their defaults. Free with clip_train_options_free(). CLIP_ENOMEM. */
CLIP_API clip_status clip_train_options_new(clip_train_options **out);
CLIP_API void clip_train_options_free(clip_train_options *o);

/* clip_train_options_set(): one setting, its value as text ("256", "1e-3", "true"; "aug-cfg" a JSON object).
 * Errors: CLIP_EINVAL (no such setting, or not a value for it), CLIP_ENOMEM. */
CLIP_API clip_status clip_train_options_set(clip_train_options *o, const char *name, const char *value,
                                            clip_error *err);

/* clip_train_options_read(): settings from a JSON object {"batch-size": 256, "aug-cfg": {..}}. Paths in it are relative to the file.
 * Errors: as above, CLIP_EIO, CLIP_EFORMAT. */
CLIP_API clip_status clip_train_options_read(clip_train_options *o, const char *path, clip_error *err);

/* clip_train_option_at(): the settings there are, in the order of a help page; NULL behind the last. Static. */
typedef struct clip_train_option {
    const char *name;
    const char *value;    /* what a help page calls the value; NULL: true or false */
    const char *standard; /* the default, as text; NULL: none */
    const char *help;
    const char *group;    /* heading of a help page: "data", "model", "optimizer", ...: constant over a run of options */
} clip_train_option;
CLIP_API const clip_train_option *clip_train_option_at(int i);

/* A training under way: both towers, the optimizer, the stream of batches. One thread at a time. */
typedef struct clip_trainer clip_trainer;

/* clip_trainer_new(): read or draw the weights, learn the tokenizer where that is asked for, open the data.
 * warn  in   hears of what is odd about the settings (a learning rate that would wreck a pre-trained model, ..) and of broken samples; may be NULL
 * out   out  free with clip_trainer_free(); NULL on error
 * Errors: CLIP_EINVAL (settings against each other), those of clip_model_load() and clip_pairs_open(), CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_new(const clip_train_options *o, clip_warn_fn warn, void *warn_user,
                                      clip_trainer **out, clip_error *err);

/* clip_trainer_resume(): go on from a directory that clip_trainer_save() has written, exactly as if there had been no interruption: with the settings
 * it was begun with, but for those in `o` that have no part in the result ("threads", "workers"). o NULL: none.
 * Errors: as above; CLIP_EMISMATCH (data or files are no longer those). */
CLIP_API clip_status clip_trainer_resume(const char *dir, const clip_train_options *o, clip_warn_fn warn,
                                         void *warn_user, clip_trainer **out, clip_error *err);
CLIP_API void clip_trainer_free(clip_trainer *t);

typedef struct clip_train_info {
    int64_t parameters, trained_parameters;
    int64_t pairs;                  /* of an epoch */
    int64_t steps_per_epoch, steps; /* of an epoch; of the whole run */
    int64_t step;                   /* done already: 0 in a new run */
    int epochs, batch_size;
    double lr, weight_decay;
    float logit_scale;
    const char *settings;           /* all of them, as the JSON object clip_train_options_read() takes; lives as long as the trainer */
    clip_passed passed;             /* files in folders of training data that were passed over */
} clip_train_info;

CLIP_API void clip_trainer_get_info(const clip_trainer *t, clip_train_info *out);

typedef struct clip_train_step {
    int64_t step;       /* how many are done: 1 after the first */
    int64_t epoch;      /* the one this step belonged to, from 1: so many times steps_per_epoch */
    bool epoch_ends;    /* it was the last of that epoch */
    double loss;        /* of the batch, before the step */
    double grad_norm;   /* before clipping */
    double lr;
    float logit_scale;  /* exp() of the parameter, after the step */
    double seconds;     /* the whole step; */
    double waited;      /* of these, for data */
    int64_t broken;     /* samples passed over so far */
} clip_train_step;

/* clip_trainer_step(): one batch. At the end of the run out->step == steps; another call is CLIP_EINVAL.
 * Errors: CLIP_EDIVERGED (the loss or a gradient is not a number; the weights are those before the step), those of clip_pairs_next() where no more
 * batches can be made, CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_step(clip_trainer *t, clip_train_step *out, clip_error *err);

/* clip_trainer_save(): the model as it is now, and all that resuming needs, into the directory `dir`: an OpenCLIP checkpoint that clip_model_load()
 * and OpenCLIP read. What was there is replaced in one piece: a reader, or a crash at any moment, finds the old one or the new one, whole.
 * Errors: CLIP_EINVAL (something is there that is no checkpoint of a training), CLIP_EIO (a full disk: what was there is as it was), CLIP_ENOMEM. */
CLIP_API clip_status clip_trainer_save(clip_trainer *t, const char *dir, clip_error *err);

/* ---- Index: many embeddings, searched exactly ----------------------------------------------------------- */

/* A directory: catalogue.db (SQLite: what each row is) and, beside it, NumPy arrays with a row an item: the vectors in f16, which answers are
 * computed from, and short codes in two parts, which are scanned first. An index belongs to one model and says so.
 *
 *     clip_index_open("photos.index", &opt, &index, &err);
 *     clip_index_update(index, ctx, folders, n, NULL, &report, &err);              embed what is new below the folders
 *     clip_encode_text(ctx, &words, 1, query);
 *     clip_index_search(index, query, 1, 10, NULL, hits, &found, &err);            the exact best 10
 *     clip_index_item_at(index, hits[0].row, &item, &err);   puts(item.path);
 *
 * Threads    An index opened for reading is a snapshot: any number of threads and processes search and read it, whatever a writer does meanwhile.
 *            There is one writer at a time; another is refused (CLIP_EBUSY). A writer's handle is for one thread.
 * Durability What clip_index_commit() has returned from survives a crash; what was added since may be lost, nothing else. A change that fails (a full disk)
 *            takes back all since the last commit, and the handle goes on from there. Rows get other numbers only while a writer closes. */
typedef struct clip_index clip_index;

typedef struct clip_index_options {
    bool write;               /* open for writing; false: for reading */
    bool create;              /* and make it if it is not there */
    const clip_model *model;  /* the index must be of this model (or is made for it). NULL: of any; to create, `dim` and `model_name` say which */
    int dim;                  /* D, 2 or more; 0: the model's */
    const char *model_name;   /* for people, where there is no model: "ViT-B-32 of clip-retrieval" */
    int threads;              /* of searching; 0: all this process may use */
    clip_warn_fn warn;        /* hears what was repaired; NULL: silent */
    void *warn_user;
} clip_index_options;

CLIP_API clip_index_options clip_index_options_default(void);

/* clip_index_open(): what a crash has left is repaired where the index is opened for writing, and passed over where it is read.
 * out  out  close with clip_index_close(), which commits; NULL on error
 * An index from elsewhere is safe to open: its catalogue may only hold what this library writes, and
 * nothing that computes. Its files must be regular files; its directory may lie behind a symbolic link.
 * Errors: CLIP_EIO (not there, cannot be made, a link or a pipe in the place of a file), CLIP_EFORMAT (a
 * catalogue or a vector file is damaged, or is not as this library makes it: the message names the
 * difference), CLIP_EMISMATCH (of another model: the message names both), CLIP_EBUSY (another writer), CLIP_EUNSUPPORTED (made by a later version), CLIP_EINVAL, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_open(const char *dir, const clip_index_options *opt, clip_index **out, clip_error *err);

/* clip_index_commit(): all changes so far are on the disk, and seen by who opens the index from now on. clip_index_close(): the same for a writer, which
 * also closes the gaps once they are more than a quarter, and learns from 16,384 rows, and each time they have become four times as many, how codes are best
 * laid out: half a minute at a million.
 * Errors: CLIP_EINVAL (opened for reading), CLIP_EIO (a full disk), CLIP_EFORMAT, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_commit(clip_index *x, clip_error *err);
CLIP_API clip_status clip_index_close(clip_index *x, clip_error *err); /* takes NULL; frees in any case */

/* clip_index_discard(): close it after a fault: an index that this handle has made, and that nothing has come into, leaves no file behind. Takes NULL. */
CLIP_API void clip_index_discard(clip_index *x);

typedef struct clip_index_info {
    const char *path, *model_name; /* live as long as the index */
    const char *model_path;         /* where the model was when the index was last written with it; empty: unknown. As long, too */
    char model_id[33];             /* of the weights it is for: hexadecimal; empty: unknown */
    int dim;
    int64_t items, pictures, texts; /* items = pictures + texts */
    int64_t rows;                   /* that a hit's row lies below: items and the gaps of removed ones */
    int64_t bytes;                  /* on disk */
    int64_t updated;                /* when clip_index_update() came to its end, in seconds since 1970; 0: never */
} clip_index_info;

CLIP_API void clip_index_get_info(const clip_index *x, clip_index_info *out);

typedef enum clip_item_kind { CLIP_ITEM_PICTURE = 1, CLIP_ITEM_TEXT = 2 } clip_item_kind;

/* One thing that can be found. */
typedef struct clip_item {
    int64_t row;          /* where it stands; constant while the index is open */
    clip_item_kind kind;
    const char *path;     /* of the picture; for a text: the picture or the file it came with, may be NULL */
    const char *text;     /* the text; of a picture NULL */
    int64_t size;         /* of the file, in bytes */
    int64_t mtime;        /* of the file, in nanoseconds since 1970 */
    int64_t taken;        /* when the picture was taken, by its EXIF, in seconds since 1970; 0: unknown */
    uint8_t hash[16];     /* of the file's bytes (XXH3, 128 bits) */
} clip_item;

/* clip_index_add(): N items with their vectors. An item of the same kind, path and text is replaced. Rows are given here: those in `item` are not read.
 * vector  in  [N, D], of any length but 0: it is normalised
 * Errors: CLIP_EINVAL (opened for reading, a zero or non-finite vector, a negative size), CLIP_EIO (a
 * full disk: what was committed is as it was), CLIP_ELIMIT (a path or a text of more than 16 MiB),
 * CLIP_ENOMEM. */
CLIP_API clip_status clip_index_add(clip_index *x, const clip_item *item, const float *vector, int N, clip_error *err);

/* clip_index_rename(): the picture in `row`, and the texts that came with it, now have this path, size and time; a picture of that path, and equal texts,
 * leave. clip_index_remove(): n rows become gaps; those that are gaps already may be among them.
 * Errors: CLIP_EINVAL (opened for reading, no such row, no picture), those of clip_index_add(). */
CLIP_API clip_status clip_index_rename(clip_index *x, int64_t row, const char *path, int64_t size, int64_t mtime,
                                       clip_error *err);
CLIP_API clip_status clip_index_remove(clip_index *x, const int64_t *row, int64_t n, clip_error *err);

/* clip_index_item_at(): the item of a row (out->path NULL and kind 0 where there is none); its strings live until this thread's next call on an index.
 * clip_index_find(): that of a picture's path. clip_index_next(): walks: the first item with a row >= *cursor, which is moved behind it; kind 0 at the end.
 * clip_index_vector(): its vector, [D] f32 of unit length (up to f16's rounding).
 * Errors: CLIP_EINVAL (clip_index_vector(): the row holds no item), CLIP_EIO, CLIP_EFORMAT, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_item_at(const clip_index *x, int64_t row, clip_item *out, clip_error *err);
CLIP_API clip_status clip_index_find(const clip_index *x, const char *path, clip_item *out, clip_error *err);
CLIP_API clip_status clip_index_next(const clip_index *x, int64_t *cursor, clip_item *out, clip_error *err);
CLIP_API clip_status clip_index_vector(const clip_index *x, int64_t row, float *out, clip_error *err);

/* clip_index_words(): the words of its texts, in lower case, those that are in most texts first: answers for clip_question_new().
 * out [*n]; free with clip_list_free(). Errors: those of clip_index_next(). */
CLIP_API clip_status clip_index_words(const clip_index *x, char ***out, size_t *n, clip_error *err);

/* What a search looks at: all conditions hold. */
typedef struct clip_index_filter {
    int kinds;                    /* CLIP_ITEM_* or'ed; 0: both */
    const char *const *patterns;  /* [n_patterns] of the path, as the shell's ("*.jpg", "*2023*"; * also matches /), one of which fits; 0: any path */
    int n_patterns;
    const char *const *below;     /* [n_below] folders, not patterns: the path is one of them, or
                                   * begins with one and a slash. Each is tried as it is written,
                                   * from the current directory on, and by its real name.
                                   * n_below 0: anywhere */
    int n_below;
    int64_t after, before;        /* taken (or, where unknown, changed) at or after, and before: seconds since 1970; 0: no bound. Items without a date
                                   * (mtime 0, too) meet neither */
    float min_score;              /* hits score at least this; 0: no bound */
    float unique;                 /* copies of a better hit of the same kind are passed over: by equal
                                   * bytes (size and hash), or by a cosine of at least this between the
                                   * two; above 1: by equal bytes alone; 0: no hit is passed over */
} clip_index_filter;

typedef struct clip_hit {
    int64_t row;
    float score; /* cosine, -1 .. 1 */
} clip_hit;

/* clip_index_search(): for each of Q queries the k items of the highest cosine, best first; equal ones by row. Exact: short codes bound each score from
 * above, and all that could be among the best is computed from the f16 vectors in f32. Several queries at once cost little more than one.
 * query   in   [Q, D], of any length but 0
 * filter  in   NULL: everything
 * hit     out  [Q, k]; the caller's
 * found   out  [Q] how many of the k there are
 * Errors: CLIP_EINVAL, CLIP_EIO, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_search(const clip_index *x, const float *query, int Q, int k,
                                       const clip_index_filter *filter, clip_hit *hit, int *found, clip_error *err);

/* Which pictures are in one group. Two are near if their cosine is at least `score`. They have equal
 * bytes if size and hash (XXH3, 128 bits) of their files were equal when they were indexed. */
typedef enum clip_grouping {
    CLIP_GROUP_FIRST,  /* near the first of the group, or of its bytes, and in no earlier group */
    CLIP_GROUP_LINKED, /* near one of the group, or of its bytes: the ends of a group may be far apart */
    CLIP_GROUP_BYTES   /* of equal bytes */
} clip_grouping;

typedef struct clip_duplicates_options {
    clip_grouping grouping;
    float score;                     /* CLIP_GROUP_BYTES does not read it */
    const clip_index_filter *filter; /* which pictures; its kinds and scores are not read. NULL: all */
    const int8_t *grade;             /* [info.rows] -1: left out. The first of a group has the lowest
                                      * grade in it (0 or 1), and is the earliest of these. So a caller who
                                      * keeps the first gives 0 to files that exist. NULL: all are 0 */
} clip_duplicates_options;

/* clip_duplicates_options_default(): CLIP_GROUP_FIRST, 0.97, all pictures. */
CLIP_API clip_duplicates_options clip_duplicates_options_default(void);

/* clip_index_duplicates(): groups of two or more pictures that are nearly the same, or the same.
 * opt    in   NULL: defaults
 * row    out  rows of all groups, one group after the other; in each the first, then the others by
 *             grade and row; free() it
 * group  out  [*n + 1] where each group begins; free() it
 * The index does not know which names are links to one file: look before you delete one of two.
 * Errors: those of clip_index_search(). On error both lists are NULL. */
CLIP_API clip_status clip_index_duplicates(const clip_index *x, const clip_duplicates_options *opt, int64_t **row,
                                           int64_t **group, int64_t *n, clip_error *err);

/* clip_index_verify(): read everything and compare it with what was noted when it was written. *faults: how many rows are wrong; `warn` hears of each.
 * Where the index is open for writing, rows with a wrong vector are removed (an update embeds them again) and wrong codes computed anew; damage to the
 * catalogue itself stays.
 * Errors: CLIP_EIO, CLIP_EFORMAT (more could not be read), CLIP_ENOMEM. */
CLIP_API clip_status clip_index_verify(clip_index *x, clip_warn_fn warn, void *warn_user, int64_t *faults,
                                       clip_error *err);

typedef struct clip_update_report {
    int64_t seen;      /* pictures below the folders */
    int64_t embedded;  /* new or changed */
    int64_t moved;     /* known by their bytes under a path that is gone: not embedded again */
    int64_t copied;    /* known by their bytes under another path, too: not embedded again */
    int64_t removed;   /* no longer there */
    int64_t kept;      /* not found, but a disk may be missing where they were; told to `warn` */
    int64_t broken;    /* pictures that could not be read, folders that could not be listed; told to `warn` */
    int64_t texts;     /* captions embedded */
    int64_t listed;    /* in the progress callback: names that have come by in the folder that is being listed; 0: none is */
    int64_t todo;      /* there, too: pictures still to be looked at, as far as known */
    double seconds;    /* in all; of these */
    double waited;     /* the encoder had no pictures yet */
    clip_passed passed; /* files in the folders that are passed over */
} clip_update_report;

typedef struct clip_update_options {
    bool captions;      /* also index the captions in NAME.txt beside the pictures; tables and tars always bring theirs, if the model has a text tower */
    const char *const *exclude; /* [n_exclude] patterns as the shell's of names ("*.png", "drafts" with all in it) or, with a slash, of paths below a folder */
    int n_exclude;
    const clip_image_options *image; /* what pictures are read with; NULL: clip_index_image_options(). `enough` is not read */
    bool full_decode;   /* decode every JPEG in full (default: at the smallest scale that is at least twice what the model looks at) */
    int workers;        /* threads that decode, 0: as many as the context has */
    double commit_every; /* seconds; default 5 */
    bool (*progress)(void *user, const clip_update_report *now); /* called often; false: stop; what is done is committed. May be NULL */
    void *progress_user;
    clip_warn_fn warn;  /* hears of each picture and folder that cannot be read; NULL: silent */
    void *warn_user;
} clip_update_options;

CLIP_API clip_update_options clip_update_options_default(void);

/* clip_index_image_options(): what pictures for this index are read with, those that it is asked about as well: it keeps the
 * background that its pictures were embedded with. Before the first update that is the model's (m NULL: -1). */
CLIP_API clip_image_options clip_index_image_options(const clip_index *x, const clip_model *m);

/* clip_index_update(): bring what the index has of these folders (or pictures, or what clip_pairs_open() takes) up to date: new and changed pictures are
 * embedded, moved ones recognised by their bytes, those that are gone removed, and those that have
 * become something else than a picture. A folder, at any depth, that cannot be listed, or that is
 * still there and empty, is reported, and what was known of it stays: clip_index_forget() removes
 * it. A folder that is itself gone from its parent has been deleted, and so have its pictures.
 * Pictures are called by their absolute paths, those in tars TAR/MEMBER. Interrupted at any moment, the next call goes on where the last commit was.
 * Memory: a path for each picture, and some pictures.
 * paths   in   [n]; they are remembered, with `captions` and `exclude`. n = 0: all that the index was ever given; one that is not there is told to `warn`
 * report  out  may be NULL; filled also on error
 * Errors: CLIP_EIO (a path that is not there), CLIP_EINVAL (opened for reading; no text tower for captions; n = 0 and nothing remembered), CLIP_EMISMATCH
 * (the model makes vectors of another size; a background that is not the one of the pictures in the index), those of clip_index_add(), CLIP_ENOMEM. */
CLIP_API clip_status clip_index_update(clip_index *x, clip_context *ctx, const char *const *paths, int n,
                                       const clip_update_options *opt, clip_update_report *report, clip_error *err);

/* clip_index_sources(): what clip_index_update() was given so far. out [*n] absolute paths; free with clip_list_free(). *captions: one of them brings
 * captions, which take a text tower; may be NULL.
 * clip_index_forget(): all that the index has at or below these paths (there or gone) leaves it, and what of them it was given is no longer remembered. Commits.
 * removed  out  pictures; may be NULL */
CLIP_API clip_status clip_index_sources(const clip_index *x, char ***out, size_t *n, bool *captions, clip_error *err);
CLIP_API clip_status clip_index_forget(clip_index *x, const char *const *paths, int n, int64_t *removed,
                                       clip_error *err);

/* Embeddings in the layout of clip-retrieval: DIR/img_emb/img_emb_0.npy [N, D], DIR/text_emb/text_emb_0.npy [N, D] (f16, f32 or f64, C order; one of the
 * two may be missing) and DIR/metadata/metadata_0.jsonl, a line a row: {"image_path": .., "caption": ..}; more of them with other numbers. A picture with
 * several captions has several rows; a row of zeros is none. */

/* clip_index_export(): write all of it. dir: not there yet, or empty; after a fault it is again. rows  out  how many.
 * Errors: CLIP_EINVAL (something is in dir), CLIP_EIO, CLIP_EFORMAT, CLIP_ENOMEM. */
CLIP_API clip_status clip_index_export(const clip_index *x, const char *dir, int64_t *rows, clip_error *err);

typedef struct clip_import_report {
    int64_t rows;            /* read */
    int64_t pictures, texts; /* added, or replaced */
    int64_t empty;           /* rows with neither: without a vector, or without a name */
} clip_import_report;

/* clip_index_import_info(): what is in `dir`: the dimension that the index needs, and how many rows. clip_index_import(): add it,
 * once all metadata have been looked through.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EMISMATCH (numbers of rows or columns against each other, or against the index), CLIP_EUNSUPPORTED (metadata in
 * Parquet), those of clip_index_add(). */
CLIP_API clip_status clip_index_import_info(const char *dir, int *dim, int64_t *rows, clip_error *err);
CLIP_API clip_status clip_index_import(clip_index *x, const char *dir, clip_import_report *report, clip_error *err);

/* ---- Measuring ------------------------------------------------------------------------------------------ */

typedef struct clip_machine_speed {
    double fma_gflops;  /* peak of multiply-adds, in the model's precision, all threads of the context */
    double gemm_gflops; /* reached by the largest matrix product of this model's image tower (the text tower, if only that is loaded) at batch 32 */
} clip_machine_speed;

/* clip_measure(): take half a second to find out what this machine does. For `clip bench`. */
CLIP_API clip_status clip_measure(clip_context *ctx, clip_machine_speed *out);

#ifdef __cplusplus
}
#endif
#endif
