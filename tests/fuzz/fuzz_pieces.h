/* fuzz_pieces.h: any bytes as a vocabulary of a tokenizer other than CLIP's. A tokenizer that loads
 * must encode any text: the end of the input, behind its last 0 byte. */
#ifndef FUZZ_PIECES_H
#define FUZZ_PIECES_H

#include <sys/stat.h>

#include "../text/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encode with more and with less room: the beginnings must be the same. */
static inline void fuzz_encode(const cliptok *t, const char *text, size_t n)
{
    enum { ROOM = 300, LESS = 7 };
    int32_t all[ROOM], some[LESS];
    int full, k;
    if (cliptok_encode(t, text, n, all, ROOM, &full) != CLIP_OK || full > ROOM)
        abort();
    for (int i = 0; i < full; i++)
        if (all[i] < 0 || all[i] >= cliptok_vocab_size(t))
            abort();
    if (cliptok_encode(t, text, n, some, LESS, &k) != CLIP_OK || k > LESS || k > full)
        abort();
    if (k > 0 && memcmp(all, some, (size_t)(k - 1) * sizeof *all) != 0)
        abort();
}

static inline void fuzz_vocabulary(const char *name, const char *config, const cliptok_rules *rules,
                                   const uint8_t *data, size_t size)
{
    static char dir[DIR_MAX];
    size_t text = size;
    while (text > 0 && data[text - 1] != 0)
        text--;
    if (!dir[0])
        fixture_new(dir);
    fixture_write(dir, name, data, text > 0 ? text - 1 : size);
    if (config)
        fixture_text(dir, "tokenizer_config.json", config);
    clip_error err;
    cliptok *t;
    const clip_status s = cliptok_load(dir, rules, &t, &err);
    if (s != CLIP_OK && err.code != s)
        abort();
    if (t) {
        static const char sure[] =
            "A photo, caf\xC3\xA9 e\xCC\x81 \xE7\x8C\xAB \xE2\x96\x81 <unk> </s>  \xF0\x9F\x98\x80 &amp;";
        fuzz_encode(t, sure, sizeof sure - 1);
        if (text > 0)
            fuzz_encode(t, (const char *)data + text, size - text);
        cliptok_free(t);
    }
    fixture_remove(dir);
    mkdir(dir, 0700);
}

#endif
