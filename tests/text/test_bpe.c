/* The fast ways to merge a word (short ones in place, long ones with a heap) against the
 * definition, word for word, with merges in the order in which they are learned and with merges in
 * any order, where the two programs differ. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "text/bpe.h"

enum { MERGES = 60, WORD_MAX = 300 };

static unsigned long long seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* Tokens as strings of 'a', 'b', 'c' and '$' (the end); merges of them. */
typedef struct merges {
    char left[MERGES][64], right[MERGES][64];
    int n;
} merges;

static void to_file(const char *s, char *out)
{
    size_t n = strlen(s);
    int last = n > 0 && s[n - 1] == '$';
    sprintf(out, "%.*s%s", (int)n - last, s, last ? "</w>" : "");
}

static int find_merge(const merges *m, const char *left, const char *right)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->left[i], left) == 0 && strcmp(m->right[i], right) == 0)
            return i;
    return -1;
}

/* The definition: the lowest rank among all pairs, merged from left to right, everywhere (`all`) or
 * at its first place. */
static int merge_naively(const merges *m, const char *word, int all, char (*symbol)[WORD_MAX + 2])
{
    int n = (int)strlen(word);
    for (int i = 0; i < n; i++)
        snprintf(symbol[i], WORD_MAX, "%c%s", word[i], i + 1 == n ? "$" : "");
    for (;;) {
        int best = -1;
        for (int i = 0; i + 1 < n; i++) {
            int r = find_merge(m, symbol[i], symbol[i + 1]);
            if (r >= 0 && (best < 0 || r < best))
                best = r;
        }
        if (best < 0)
            return n;
        int w = 0, done = 0;
        for (int i = 0; i < n; w++) {
            int here = i + 1 < n && (all || !done) && strcmp(symbol[i], m->left[best]) == 0 &&
                       strcmp(symbol[i + 1], m->right[best]) == 0;
            if (w != i)
                memmove(symbol[w], symbol[i], sizeof *symbol);
            if (here)
                strcat(symbol[w], symbol[i + 1]);
            i += here ? 2 : 1;
            done = done || here;
        }
        n = w;
    }
}

/* Merges of what is there, shuffled if they are not to be in order. */
static void draw_merges(merges *m, int shuffled)
{
    char pool[8 + MERGES][64] = {"a", "b", "c", "a$", "b$", "c$"};
    int n = 6;
    m->n = 0;
    while (m->n < MERGES / 2) {
        const char *left = pool[draw((unsigned)n)], *right = pool[draw((unsigned)n)];
        char joint[128];
        int known = 0;
        if (strchr(left, '$') || strlen(left) + strlen(right) > 12)
            continue;
        sprintf(joint, "%s%s", left, right);
        for (int i = 0; i < n; i++)
            known |= strcmp(pool[i], joint) == 0;
        if (find_merge(m, left, right) >= 0 || (known && !shuffled))
            continue;
        strcpy(m->left[m->n], left);
        strcpy(m->right[m->n++], right);
        if (!known)
            strcpy(pool[n++], joint);
    }
    for (int i = m->n - 1; shuffled && i > 0; i--) {
        int k = (int)draw((unsigned)i);
        char left[64], right[64];
        strcpy(left, m->left[i]), strcpy(right, m->right[i]);
        strcpy(m->left[i], m->left[k]), strcpy(m->right[i], m->right[k]);
        strcpy(m->left[k], left), strcpy(m->right[k], right);
    }
}

static void build(const merges *m, bool one_by_one, cliptok_bpe *b)
{
    clip_error err;
    char left[80], right[80], joint[160];
    int32_t id = 0;
    assert_int_equal(cliptok_bpe_init(b, 1, 1), CLIP_OK);
    for (int byte = 0; byte < 256; byte++) {
        assert_int_equal(cliptok_bpe_add_byte(b, byte, false, id++), CLIP_OK);
        assert_int_equal(cliptok_bpe_add_byte(b, byte, true, id++), CLIP_OK);
    }
    for (int i = 0; i < m->n; i++) {
        to_file(m->left[i], left);
        to_file(m->right[i], right);
        sprintf(joint, "%s%s", left, right);
        if (cliptok_bpe_find(b, joint, strlen(joint)) < 0)
            assert_int_equal(cliptok_bpe_add(b, joint, strlen(joint), id++, "vocab", &err), CLIP_OK);
    }
    for (int i = 0; i < m->n; i++) {
        to_file(m->left[i], left);
        to_file(m->right[i], right);
        assert_int_equal(cliptok_bpe_merge(b, left, strlen(left), right, strlen(right), -1, "merges", &err), CLIP_OK);
    }
    assert_int_equal(cliptok_bpe_finish(b, one_by_one, -1, "vocab", &err), CLIP_OK);
}

static void compare(const merges *m, const cliptok_bpe *b, int all, int words)
{
    static char symbol[WORD_MAX][WORD_MAX + 2];
    int32_t ids[WORD_MAX];
    for (int i = 0; i < words; i++) {
        char word[WORD_MAX + 1], text[WORD_MAX + 8];
        int n = i % 3 ? 1 + (int)draw(20) : 1 + (int)draw(WORD_MAX - 1), letters = 1 + (int)draw(3);
        for (int k = 0; k < n; k++)
            word[k] = (char)('a' + draw((unsigned)letters));
        word[n] = 0;
        int expected = merge_naively(m, word, all, symbol);
        for (int again = 0; again < 2; again++) { /* the second time, whole words are known */
            cliptok_ids out = {ids, 0, WORD_MAX};
            assert_int_equal(cliptok_bpe_word(b, (unsigned char *)word, (size_t)n, &out), CLIP_OK);
            assert_int_equal(out.n, expected);
            for (int k = 0; k < out.n; k++) {
                to_file(symbol[k], text);
                assert_int_equal(ids[k], cliptok_bpe_find(b, text, strlen(text)));
            }
        }
    }
}

static void in_learned_order(void **state)
{
    (void)state;
    for (int round = 0; round < 15; round++) {
        merges m;
        cliptok_bpe b;
        draw_merges(&m, 0);
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            build(&m, one_by_one, &b);
            assert_true(b.merges.in_order);
            compare(&m, &b, !one_by_one, 60);
            cliptok_bpe_free(&b);
        }
    }
}

static void in_any_order(void **state)
{
    (void)state;
    for (int round = 0; round < 15; round++) {
        merges m;
        cliptok_bpe b;
        draw_merges(&m, 1);
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            build(&m, one_by_one, &b);
            compare(&m, &b, !one_by_one, 60);
            cliptok_bpe_free(&b);
        }
    }
}

/* A megabyte without a space takes a moment, not minutes; only what there is room for is
 * written. */
static void endless_word(void **state)
{
    (void)state;
    merges m;
    cliptok_bpe b;
    enum { N = 1 << 20, ROOM = 10 };
    unsigned char *word = malloc(N);
    int32_t ids[ROOM + 1] = {0};
    cliptok_ids out = {ids, 0, ROOM};
    draw_merges(&m, 0);
    build(&m, false, &b);
    for (int i = 0; i < N; i++)
        word[i] = (unsigned char)('a' + draw(3));
    ids[ROOM] = -7;
    assert_int_equal(cliptok_bpe_word(&b, word, N, &out), CLIP_OK);
    assert_int_equal(out.n, ROOM);
    assert_int_equal(ids[ROOM], -7);
    memset(word, 'a', N);
    out.n = 0;
    assert_int_equal(cliptok_bpe_word(&b, word, N, &out), CLIP_OK);
    assert_int_equal(out.n, ROOM);
    free(word);
    cliptok_bpe_free(&b);
}

/* Tokens of eight bytes made to have one hash (hash_bytes() of bpe.c, solved for its input):
 * refused, before looking them up takes forever. */
static void colliding_tokens(void **state)
{
    (void)state;
    const uint64_t K = 0xFF51AFD7ED558CCDu, first = (8u << 2) * 0x9E3779B97F4A7C15u;
    uint64_t inverse = K; /* modulo 2^64, by Newton */
    for (int i = 0; i < 6; i++)
        inverse *= 2 - K * inverse;
    cliptok_bpe b;
    clip_error err;
    clip_status s = cliptok_bpe_init(&b, 4096, 1);
    int32_t id = 0;
    for (uint32_t high = 1; s == CLIP_OK && id < 2000; high++) {
        uint32_t z = 12345 ^ high << 3, y = z ^ z >> 29;
        uint64_t x = ((uint64_t)high << 32 | (y ^ high)) * inverse ^ first;
        char text[17];
        size_t n = 0;
        for (int i = 0; i < 8; i++) {
            unsigned byte = x >> (8 * i) & 0xFF, c = byte < 0x21 ? 0x100 + byte : byte;
            if (byte > 0x7E)
                break;
            if (c >= 0x80)
                text[n++] = (char)(0xC0 | c >> 6);
            text[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
            if (i == 7)
                s = cliptok_bpe_add(&b, text, n, id++, "vocab", &err);
        }
    }
    assert_int_equal(s, CLIP_EFORMAT);
    assert_non_null(strstr(err.message, "the vocabulary is built to be slow"));
    assert_in_range(id, 500, 600);
    cliptok_bpe_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_learned_order),
        cmocka_unit_test(in_any_order),
        cmocka_unit_test(endless_word),
        cmocka_unit_test(colliding_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
