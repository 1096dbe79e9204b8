/* Which of the files in a directory are the checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

/* What the user of a pickle has to do; it is a program, so it is not opened here. */
#define CONVERT                                                                                                                        \
    "a pickle can run any program when it is opened, so it is not read here. Convert it once:"                                         \
    " python3 -c \"import sys,torch,zipfile as z;from safetensors.torch import save_file;p,o=sys.argv[1:];"                             \
    "j=z.is_zipfile(p) and any(n.endswith('constants.pkl') for n in z.ZipFile(p).namelist());"                                          \
    "d=torch.jit.load(p,'cpu').state_dict() if j else torch.load(p,'cpu',weights_only=True);d=d.get('state_dict',d);"                    \
    "save_file({k.removeprefix('module.'):v.clone().contiguous() for k,v in d.items()},o)\" '%s' model.safetensors"

static const char *const weight_names[] = {"open_clip_model.safetensors", "model.safetensors", "open_clip_model.safetensors.index.json",
                                           "model.safetensors.index.json", "model.fp16.safetensors"};
static const char *const pickle_names[] = {"open_clip_pytorch_model.bin", "pytorch_model.bin", "model.pt"};

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

/* A pickle by its name or by its first bytes (PyTorch's are zip archives, older ones bare). */
static bool is_pickle(const char *path)
{
    static const char *const endings[] = {".pt", ".pth", ".bin", ".ckpt", ".pkl"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(path, endings[i]))
            return true;
    FILE *f = fopen(path, "rbe");
    unsigned char b[9] = {0};
    size_t n = f ? fread(b, 1, sizeof b, f) : 0;
    if (f)
        fclose(f);
    return n >= 4 && b[8] != '{' /* where safetensors' header begins */ && (memcmp(b, "PK\3\4", 4) == 0 || (b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 && b[2] != 0));
}

static clip_status find_weights(const char *dir, char **out, clip_error *err)
{
    for (size_t i = 0; i < sizeof weight_names / sizeof *weight_names; i++) {
        TRY(find(dir, weight_names[i], out));
        if (*out)
            return CLIP_OK;
    }
    for (size_t i = 0; i < sizeof pickle_names / sizeof *pickle_names; i++) {
        TRY(find(dir, pickle_names[i], out));
        if (*out) {
            clip_status s = clipb_fail(err, CLIP_EUNSUPPORTED, *out, CONVERT, *out);
            free(*out);
            *out = NULL;
            return s;
        }
    }
    return clipb_fail(err, CLIP_EIO, dir, "holds no weights (open_clip_model.safetensors or model.safetensors)");
}

/* Of text_encoder_2/ the tokenizer is in tokenizer_2/ beside it; of another single file, in tokenizer/ beside that. */
static clip_status find_tokenizer_dir(clip_files *f, bool single)
{
    char *dir = realpath(f->dir, NULL); /* "." has no name */
    if (!dir)
        return CLIP_OK; /* what is wrong with it is told when it is read */
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

static clip_status find_in(const char *path, clip_files *f, clip_error *err)
{
    if (clipb_is_dir(path)) {
        f->dir = strdup(path);
        if (!f->dir)
            return CLIP_ENOMEM;
        TRY(find_weights(path, &f->weights, err));
    } else {
        if (clipb_is_file(path) && is_pickle(path))
            return clipb_fail(err, CLIP_EUNSUPPORTED, path, CONVERT, path);
        f->dir = clipb_path_dir(path);
        f->weights = strdup(path);
        if (!f->dir || !f->weights)
            return CLIP_ENOMEM;
    }
    TRY(find(f->dir, "open_clip_config.json", &f->openclip_config));
    TRY(find(f->dir, "config.json", &f->huggingface_config));
    TRY(find(f->dir, "preprocessor_config.json", &f->preprocessor_config));
    TRY(find(f->dir, "bpe_simple_vocab_16e6.txt.gz", &f->bpe));
    return find_tokenizer_dir(f, !clipb_is_dir(path));
}

clip_status clip_files_find(const char *path, clip_files *f, clip_error *err)
{
    *f = (clip_files){0};
    clip_status s = find_in(path, f, err);
    if (s == CLIP_ENOMEM)
        clipb_fail(err, s, path, "out of memory");
    if (s < 0)
        clip_files_free(f);
    return s;
}

void clip_files_free(clip_files *f)
{
    free(f->dir);
    free(f->weights);
    free(f->openclip_config);
    free(f->huggingface_config);
    free(f->preprocessor_config);
    free(f->bpe);
    free(f->tokenizer_dir);
    *f = (clip_files){0};
}
