/* fuzz_tokenize.c: any bytes as a text, by both rules. The first byte chooses the room for ids: a
 * shorter context must give the same beginning. */
#include "../text/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cliptok *load(const cliptok_rules *rules)
{
    static const char *const merges[] = {"a b",
                                         "ab c</w>",
                                         "t h",
                                         "th e</w>",
                                         "s t",
                                         "a r",
                                         "st ar",
                                         "t e",
                                         "te x",
                                         "a a",
                                         "aa aa",
                                         "aaaa aaaa",
                                         "1 2</w>",
                                         "! !</w>",
                                         "< |",
                                         "| ></w>",
                                         "\xC3\xB0 \xC5\x81"};
    char dir[DIR_MAX];
    clip_error err;
    cliptok *t;
    fixture_small(dir, merges, sizeof merges / sizeof *merges);
    if (cliptok_load(dir, rules, &t, &err) != CLIP_OK)
        abort();
    fixture_remove(dir);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 300 };
    static cliptok *t[2];
    int32_t all[ROOM], some[ROOM];
    int n, k;
    for (int rules = 0; rules < 2; rules++) {
        if (!t[rules])
            t[rules] = load(rules ? &cliptok_huggingface : &cliptok_openclip);
        if (size == 0)
            continue;
        int room = 2 + data[0] % 80;
        const char *text = (const char *)data + 1;
        if (cliptok_encode(t[rules], text, size - 1, all, ROOM, &n) != CLIP_OK || n < 2 || n > ROOM)
            abort();
        for (int i = 0; i < n; i++)
            if (all[i] < 0 || all[i] >= cliptok_vocab_size(t[rules]))
                abort();
        if (all[0] != cliptok_start_id(t[rules]) || all[n - 1] != cliptok_end_id(t[rules]))
            abort();
        if (cliptok_encode(t[rules], text, size - 1, some, room, &k) != CLIP_OK || k != (n < room ? n : room) ||
            memcmp(all, some, (size_t)(k - 1) * sizeof *all) != 0 || some[k - 1] != cliptok_end_id(t[rules]))
            abort();
    }
    return 0;
}
