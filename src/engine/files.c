/* Which of the files in a directory are the checkpoint. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"
#include "engine/engine.h"
#include "hub/hub.h"

/* Formats of other programs. */
static const struct format {
    const char *ending, *name;
    size_t at; /* where `magic` is in the file */
    const char *magic; /* NULL: told by the ending alone */
} formats[] = {
    {".onnx", "an ONNX graph", 0, NULL},
    {".gguf", "a GGUF file", 0, "GGUF"},
    {".h5", "a TensorFlow or Keras checkpoint", 0, "\x89HDF"},
    {".msgpack", "a Flax checkpoint", 0, NULL},
    {".tflite", "a TensorFlow Lite graph", 4, "TFL3"},
    {".xml", "an OpenVINO graph", 0, NULL},
    {".mlmodel", "a Core ML graph", 0, NULL},
    {".mlpackage", "a Core ML graph", 0, NULL},
    {".npz", "a NumPy archive", 0, NULL},
    {".engine", "a TensorRT engine", 0, NULL},
};

/* dir/name if it is a file; NULL in *out if not. */
static clip_status find(const char *dir, const char *name, char **out)
{
    *out = clipb_path_join(dir, name);
    if (!*out)
        return CLIP_ENOMEM;
    if (!clipb_is_file(*out)) {
        free(*out);
        *out = NULL;
    }
    return CLIP_OK;
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), e = strlen(end);
    return n >= e && strcmp(s + n - e, end) == 0;
}

#define START 16

/* The first bytes of a file, filled up with 0. */
static void read_start(const char *path, unsigned char b[START])
{
    FILE *f = clipb_is_file(path) ? fopen(path, "rbe") : NULL;
    const size_t n = f ? fread(b, 1, START, f) : 0;
    memset(b + n, 0, START - n);
    if (f)
        fclose(f);
}

/* A file of torch.save(), by its name and its first bytes. The name alone says little: settings of
 * training, and weights of other programs, end in .bin too. */
static bool is_pickle(const char *path)
{
    static const char *const endings[] = {".pt", ".pth", ".bin", ".ckpt"};
    unsigned char b[START];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(path, endings[i])) {
            read_start(path, b);
            return memcmp(b, "PK\3\4", 4) == 0 || b[0] == 0x80;
        }
    return false;
}

static bool is_safetensors(const char *path) { return ends(path, ".safetensors"); }

/* The format of another program's file; NULL: it is none of those. OpenVINO's weights are in a .bin
 * beside the graph. */
static const char *foreign(const char *path, const unsigned char b[START])
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (ends(path, formats[i].ending) || (formats[i].magic && memcmp(b + formats[i].at, formats[i].magic, 4) == 0))
            return formats[i].name;
    char graph[4096];
    const int n = snprintf(graph, sizeof graph, "%.*s.xml", ends(path, ".bin") ? (int)strlen(path) - 4 : 0, path);
    return n > 4 && (size_t)n < sizeof graph && clipb_is_file(graph) ? "an OpenVINO graph" : NULL;
}

/* Refuse a file of another program, and name its format.
 * b  in  its first bytes; zeros: only its name tells */
static clip_status refuse_foreign(const char *path, const unsigned char b[START], clip_error *err)
{
    const char *name = foreign(path, b);
    if (name)
        return clipb_fail(err, CLIP_EUNSUPPORTED, path,
                          "%s, which is not read here: take the checkpoint it was made from, as safetensors "
                          "(model.safetensors with config.json, or open_clip_model.safetensors with "
                          "open_clip_config.json)",
                          name);
    return CLIP_OK;
}

/* The names in a folder, ascending; free all of them and the list. */
static clip_status list(const char *dir, char ***out, size_t *n, clip_error *err)
{
    size_t capacity = 0;
    DIR *d = opendir(dir);
    *out = NULL;
    *n = 0;
    if (!d)
        return clipb_fail(err, CLIP_EIO, dir, "%s", strerror(errno));
    clip_status s = CLIP_OK;
    for (struct dirent *e; s == CLIP_OK && (e = readdir(d));) {
        s = clipb_grow((void **)out, &capacity, *n + 1, sizeof **out);
        if (s == CLIP_OK && !((*out)[*n] = strdup(e->d_name)))
            s = CLIP_ENOMEM;
        *n += s == CLIP_OK;
    }
    closedir(d);
    if (*n > 0)
        qsort(*out, *n, sizeof **out, clipb_order_strings);
    return s;
}

/* The only file among these names that is of a kind; NULL in *out: there is none. */
static clip_status find_only(const char *dir, char **name, size_t n, bool (*is)(const char *path), char **out,
                             clip_error *err)
{
    char names[512] = "";
    int found = 0;
    clip_status s = CLIP_OK;
    for (size_t i = 0; s == CLIP_OK && i < n; i++) {
        char *path = *name[i] == '.' ? NULL : clipb_path_join(dir, name[i]);
        if (*name[i] != '.' && !path)
            s = CLIP_ENOMEM;
        if (!path || !is(path)) {
            free(path);
            continue;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", found ? ", " : "", name[i]);
        if (found++ == 0)
            *out = path;
        else
            free(path);
    }
    if (s == CLIP_OK && found > 1)
        s = clipb_fail(err, CLIP_EINVAL, dir, "holds several files of weights: name one of them: %s", names);
    return s;
}

/* No file has a usual name of weights: take the only one there is, or say what there is instead. */
static clip_status find_other(const char *dir, char **out, clip_error *err)
{
    char **name;
    size_t n;
    clip_status s = list(dir, &name, &n, err);
    if (s == CLIP_OK)
        s = find_only(dir, name, n, is_safetensors, out, err);
    if (s == CLIP_OK && !*out)
        s = find_only(dir, name, n, is_pickle, out, err);
    for (size_t i = 0; s == CLIP_OK && !*out && i < n; i++) {
        char *path = clipb_path_join(dir, name[i]);
        s = path ? refuse_foreign(path, (unsigned char[START]){0}, err) : CLIP_ENOMEM;
        free(path);
    }
    if (s == CLIP_OK && !*out)
        s = clipb_fail(err, CLIP_EIO, dir, "holds no weights (open_clip_model.safetensors or model.safetensors)");
    for (size_t i = 0; i < n; i++)
        free(name[i]);
    free(name);
    return s;
}

static clip_status find_weights(const char *dir, char **out, clip_error *err)
{
    const char *name;
    *out = NULL;
    for (int i = 0; !*out && (name = cliphub_weights_at(i)); i++)
        TRY(find(dir, name, out));
    if (!*out)
        TRY(find(dir, "model.pt", out));
    if (!*out)
        TRY(find(dir, CLIPENG_INT8_FILE, out));
    return *out ? CLIP_OK : find_other(dir, out, err);
}

/* The tokenizer of text_encoder_2/ is in tokenizer_2/ beside it; that of another single file in
 * tokenizer/ beside the file. */
static clip_status find_tokenizer_dir(clipeng_files *f, bool single)
{
    char *dir = realpath(f->dir, NULL); /* "." has no name */
    if (!dir)
        return CLIP_OK; /* reading it says what is wrong */
    char *slash = strrchr(dir, '/'), name[256] = "tokenizer";
    const size_t n = strlen("text_encoder");
    const bool beside = strncmp(slash + 1, "text_encoder", n) == 0;
    if (beside) {
        snprintf(name, sizeof name, "tokenizer%s", slash + 1 + n);
        *slash = 0;
    }
    if (beside || single)
        f->tokenizer_dir = clipb_path_join(dir, name);
    const bool failed = (beside || single) && !f->tokenizer_dir;
    free(dir);
    if (f->tokenizer_dir && !clipb_is_dir(f->tokenizer_dir)) {
        free(f->tokenizer_dir);
        f->tokenizer_dir = NULL;
    }
    return failed ? CLIP_ENOMEM : CLIP_OK;
}

/* How pictures are prepared for image_encoder/ is in feature_extractor/ beside it. */
static clip_status find_pictures_dir(clipeng_files *f)
{
    char *dir = realpath(f->dir, NULL), *slash = dir ? strrchr(dir, '/') : NULL;
    const bool beside = slash && strcmp(slash + 1, "image_encoder") == 0;
    if (beside) {
        *slash = 0;
        f->pictures_dir = clipb_path_join(dir, "feature_extractor");
    }
    free(dir);
    return beside && !f->pictures_dir ? CLIP_ENOMEM : CLIP_OK;
}

static clip_status find_in(const char *path, clipeng_files *f, clip_error *err)
{
    unsigned char start[START];
    read_start(path, start);
    if (clipb_is_file(path) || ends(path, ".mlpackage"))
        TRY(refuse_foreign(path, start, err));
    if (clipb_is_dir(path)) {
        f->dir = strdup(path);
        if (!f->dir)
            return CLIP_ENOMEM;
        TRY(find_weights(path, &f->weights, err));
    } else {
        f->dir = clipb_path_dir(path);
        f->weights = strdup(path);
        if (!f->dir || !f->weights)
            return CLIP_ENOMEM;
    }
    char *bpe;
    TRY(find(f->dir, "bpe_simple_vocab_16e6.txt.gz", &bpe));
    f->bpe = bpe != NULL;
    free(bpe);
    TRY(find_tokenizer_dir(f, !clipb_is_dir(path)));
    return find_pictures_dir(f);
}

clip_status clipeng_files_find(const char *path, clipeng_files *f, clip_error *err)
{
    char *place;
    *f = (clipeng_files){0};
    clip_status s = cliphub_find(path, &place, err);
    if (s == CLIP_OK)
        s = find_in(place, f, err);
    free(place);
    if (s == CLIP_ENOMEM)
        clipb_nomem(err, path);
    if (s < 0)
        clipeng_files_free(f);
    return s;
}

void clipeng_files_free(clipeng_files *f)
{
    free(f->dir);
    free(f->weights);
    free(f->tokenizer_dir);
    free(f->pictures_dir);
    *f = (clipeng_files){0};
}
