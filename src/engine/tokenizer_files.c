/* The files of a tokenizer: reading, writing and completing them, to lay them beside other
 * weights. */
#include <stdlib.h>

#include "engine/engine.h"
#include "text/vocab.h"
#include "text/write.h"

static const char *const names[CLIPENG_TOKENIZER_FILES] = {"vocab.json",
                                                        "merges.txt",
                                                        "tokenizer.json",
                                                        "tokenizer_config.json",
                                                        "special_tokens_map.json",
                                                        "added_tokens.json",
                                                        "bpe_simple_vocab_16e6.txt.gz",
                                                        "spiece.model",
                                                        "sentencepiece.bpe.model",
                                                        "tokenizer.model",
                                                        "vocab.txt"};

#define MOST_BYTES ((size_t)128 << 20) /* as cliptok_load() has it */

static clip_status read_file(const char *path, unsigned char **data, size_t *size, clip_error *err)
{
    return clipb_is_file(path) ? clipb_read_file(path, MOST_BYTES, data, size, err) : CLIP_OK;
}

clip_status clipeng_tokenizer_files_read(const char *dir, clipeng_tokenizer_files *out, clip_error *err)
{
    *out = (clipeng_tokenizer_files){0};
    clip_status s = CLIP_OK;
    for (int i = 0; i < CLIPENG_TOKENIZER_FILES && s == CLIP_OK; i++) {
        char *path = clipb_path_join(dir, names[i]);
        s = path ? read_file(path, &out->data[i], &out->size[i], err) : CLIP_ENOMEM;
        free(path);
    }
    if (s < 0)
        clipeng_tokenizer_files_free(out);
    return s;
}

static clip_status write_file(const char *path, const unsigned char *data, size_t size, clip_error *err)
{
    clipb_output o;
    TRY(clipb_output_open(&o, path, err));
    return clipb_output_close(&o, clipb_output_write(&o, data, size, err), err);
}

clip_status clipeng_tokenizer_files_write(const clipeng_tokenizer_files *f, const char *dir, clip_error *err)
{
    clip_status s = CLIP_OK;
    for (int i = 0; i < CLIPENG_TOKENIZER_FILES && s == CLIP_OK; i++) {
        if (!f->data[i])
            continue;
        char *path = clipb_path_join(dir, names[i]);
        s = path ? write_file(path, f->data[i], f->size[i], err) : CLIP_ENOMEM;
        free(path);
    }
    return s;
}

static bool is_there(const char *dir, const char *name, clip_status *s)
{
    char *path = clipb_path_join(dir, name);
    const bool there = path && clipb_is_file(path);
    if (!path)
        *s = CLIP_ENOMEM;
    free(path);
    return there;
}

static clip_status write_vocab(const char *dir, clip_error *err)
{
    cliptok_bpe bpe = {0};
    cJSON *added = NULL;
    const char *found;
    clip_status s = cliptok_read_vocab(dir, &bpe, &found, &added, err);
    if (s == CLIP_OK && found)
        s = cliptok_write_vocab(&bpe, dir, err);
    cJSON_Delete(added);
    cliptok_bpe_free(&bpe);
    return s;
}

clip_status clipeng_tokenizer_files_complete(const char *dir, const cliptok *t, int context_length, clip_error *err)
{
    clip_status s = CLIP_OK;
    if (!t || !cliptok_is_byte_pair(t)) /* the files of other kinds are complete as they are */
        return CLIP_OK;
    if (!is_there(dir, "vocab.json", &s) || !is_there(dir, "merges.txt", &s))
        TRY(s < 0 ? s : write_vocab(dir, err));
    if (is_there(dir, "vocab.json", &s) && !is_there(dir, "tokenizer_config.json", &s))
        s = s < 0 ? s : cliptok_write_settings(dir, context_length, err);
    return s;
}

void clipeng_tokenizer_files_free(clipeng_tokenizer_files *f)
{
    for (int i = 0; i < CLIPENG_TOKENIZER_FILES; i++)
        free(f->data[i]);
    *f = (clipeng_tokenizer_files){0};
}
