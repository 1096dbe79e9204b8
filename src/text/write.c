/* Writing a vocabulary. */
#include "text/write.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/vocab.h"

static void put_vocab(FILE *f, const cliptok_bpe *b)
{
    char text[CLIPTOK_TEXT];
    const char *before = "{";
    for (size_t id = 0; id < b->n_tokens; id++) {
        const size_t n = cliptok_bpe_text(b, (int32_t)id, text);
        if (n == 0)
            continue;
        fprintf(f, "%s\"", before);
        for (size_t i = 0; i < n; i++) {
            const unsigned char c = (unsigned char)text[i];
            if (c < 0x20)
                fprintf(f, "\\u%04x", c);
            else
                fprintf(f, c == '"' || c == '\\' ? "\\%c" : "%c", c);
        }
        fprintf(f, "\":%zu", id);
        before = ",";
    }
    fputs("}\n", f);
}

static void put_merges(FILE *f, const cliptok_bpe *b)
{
    char left[CLIPTOK_TEXT], right[CLIPTOK_TEXT];
    fputs("#version: 0.2\n", f);
    for (size_t rank = 0; rank < b->merges.n; rank++) {
        int32_t l, r;
        cliptok_bpe_parts(b, rank, &l, &r);
        cliptok_bpe_text(b, l, left);
        cliptok_bpe_text(b, r, right);
        fprintf(f, "%s %s\n", left, right);
    }
}

static clip_status open_in(const char *dir, const char *name, clipb_output *o, clip_error *err)
{
    char *path = clipb_path_join(dir, name);
    clip_status s = path ? clipb_output_open(o, path, err) : clipb_nomem(err, dir);
    free(path);
    return s;
}

clip_status cliptok_write_vocab(const cliptok_bpe *b, const char *dir, clip_error *err)
{
    clipb_output o;
    TRY(open_in(dir, "vocab.json", &o, err));
    put_vocab(o.f, b);
    TRY(clipb_output_close(&o, CLIP_OK, err));
    TRY(open_in(dir, "merges.txt", &o, err));
    put_merges(o.f, b);
    return clipb_output_close(&o, CLIP_OK, err);
}

#define SPECIALS                                       \
    "  \"bos_token\": \"" CLIPTOK_START "\",\n"         \
    "  \"eos_token\": \"" CLIPTOK_END "\",\n"           \
    "  \"pad_token\": \"" CLIPTOK_END "\",\n"           \
    "  \"unk_token\": \"" CLIPTOK_END "\""

clip_status cliptok_write_settings(const char *dir, int context_length, clip_error *err)
{
    clipb_output o;
    TRY(open_in(dir, "tokenizer_config.json", &o, err));
    fprintf(o.f, "{\n  \"tokenizer_class\": \"CLIPTokenizer\",\n  \"model_max_length\": %d,\n%s\n}\n", context_length,
            SPECIALS);
    TRY(clipb_output_close(&o, CLIP_OK, err));
    TRY(open_in(dir, "special_tokens_map.json", &o, err));
    fprintf(o.f, "{\n%s\n}\n", SPECIALS);
    return clipb_output_close(&o, CLIP_OK, err);
}
