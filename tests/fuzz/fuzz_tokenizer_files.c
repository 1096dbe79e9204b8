/* fuzz_tokenizer_files.c: any bytes as one of a tokenizer's files. The first byte chooses the file
 * and the rules; the other files are sound. A tokenizer that loads must encode. */
#include "../text/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const merges[] = {"a b", "ab c</w>"};
static char dir[DIR_MAX];

static void remove_dir(void)
{
    fixture_remove(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { TOKENIZER_JSON, VOCAB_JSON, MERGES_TXT, PACKED, UNPACKED, CONFIG, SPECIAL_MAP, ADDED, KINDS };
    static const char *const name[KINDS] = {"tokenizer.json",
                                            "vocab.json",
                                            "merges.txt",
                                            "bpe_simple_vocab_16e6.txt.gz",
                                            "bpe_simple_vocab_16e6.txt.gz",
                                            "tokenizer_config.json",
                                            "special_tokens_map.json",
                                            "added_tokens.json"};
    static char *vocab;
    if (size == 0)
        return 0;
    if (!vocab) {
        vocab = fixture_vocab(merges, 2);
        fixture_new(dir);
        atexit(remove_dir);
    }
    int kind = data[0] / 2 % KINDS;
    if (kind != PACKED && kind != UNPACKED) {
        fixture_text(dir, "vocab.json", vocab);
        fixture_text(dir, "merges.txt", "a b\nab c</w>\n");
    }
    if (kind == UNPACKED)
        fixture_gzip(dir, name[kind], data + 1, (unsigned)(size - 1));
    else
        fixture_write(dir, name[kind], data + 1, size - 1);
    clip_error err;
    cliptok *t;
    clip_status s = cliptok_load(dir, data[0] % 2 ? &cliptok_huggingface : &cliptok_openclip, &t, &err);
    if ((s == CLIP_OK) != (t != NULL) || (s != CLIP_OK && err.code != s))
        abort();
    if (t) {
        static const char text[] = "abc <|endoftext|> ABC! caf\xC3\xA9 \xF0\x9F\x98\x80 &amp; <start_of_text> 12";
        int32_t ids[32];
        int n;
        if (cliptok_encode(t, text, sizeof text - 1, ids, 32, &n) != CLIP_OK || n < 2 || n > 32)
            abort();
        for (int i = 0; i < n; i++)
            if (ids[i] < 0 || ids[i] >= cliptok_vocab_size(t))
                abort();
        cliptok_free(t);
    }
    char path[2 * DIR_MAX];
    fixture_path(dir, name[kind], path);
    unlink(path);
    fixture_path(dir, "vocab.json", path);
    unlink(path);
    return 0;
}
