/* Learning merges, against a learner that counts everything anew each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "fixture.h"
#include "text/learn.h"
#include "text/vocab.h"
#include "text/write.h"

static char dir[DIR_MAX];

static int setup(void **state)
{
    (void)state;
    fixture_new(dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(dir);
    return 0;
}

static void learn(const char *const *text, size_t n, int vocab_size, cliptok_bpe *out)
{
    cliptok_learner *l;
    assert_int_equal(cliptok_learner_new(&l), CLIP_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(cliptok_learner_add(l, text[i], strlen(text[i])), CLIP_OK);
    assert_int_equal(cliptok_learner_finish(l, vocab_size, out), CLIP_OK);
    cliptok_learner_free(l);
}

static void assert_merge(const cliptok_bpe *b, size_t rank, const char *left, const char *right)
{
    char text[CLIPTOK_TEXT];
    int32_t l, r;
    assert_true(rank < b->merges.n);
    cliptok_bpe_parts(b, rank, &l, &r);
    cliptok_bpe_text(b, l, text);
    assert_string_equal(text, left);
    cliptok_bpe_text(b, r, text);
    assert_string_equal(text, right);
}

static void the_most_frequent_pair_comes_first(void **state)
{
    (void)state;
    static const char *const text[] = {"ab AB", "ab  abc", "x"};
    cliptok_bpe b;
    learn(text, 3, 1000, &b);
    assert_int_equal(b.merges.n, 1); /* nothing else occurs twice */
    assert_merge(&b, 0, "a", "b</w>");
    assert_int_equal(b.n_tokens, 515);
    assert_int_equal(cliptok_bpe_find(&b, "ab</w>", 6), 512);
    assert_int_equal(cliptok_bpe_find(&b, "<|startoftext|>", 15), 513);
    assert_int_equal(cliptok_bpe_find(&b, "<|endoftext|>", 13), 514);
    cliptok_bpe_free(&b);
}

static void neighbours_that_overlap_are_joined_from_the_left(void **state)
{
    (void)state;
    static const char *const text[] = {"aaaa aaaa"};
    cliptok_bpe b;
    learn(text, 1, 1000, &b);
    assert_int_equal(b.merges.n, 3);
    assert_merge(&b, 0, "a", "a");    /* 4 times */
    assert_merge(&b, 1, "a", "a</w>"); /* twice, as often as "aa a", whose id is larger */
    assert_merge(&b, 2, "aa", "aa</w>");
    cliptok_bpe_free(&b);
}

/* ---- The oracle ------------------------------------------------------------------------------ */

enum { WORDS = 80, LENGTH = 12 };

typedef struct plain_word {
    int32_t id[LENGTH];
    int n;
} plain_word;

typedef struct choice {
    int32_t left, right;
    int count;
} choice;

static choice most_frequent(const plain_word *w, const cliptok_bpe *b)
{
    choice best = {0, 0, 1};
    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j + 1 < w[i].n; j++) {
            choice c = {w[i].id[j], w[i].id[j + 1], 0};
            for (int k = 0; k < WORDS; k++)
                for (int m = 0; m + 1 < w[k].n; m++)
                    c.count += w[k].id[m] == c.left && w[k].id[m + 1] == c.right;
            char text[2 * CLIPTOK_TEXT];
            cliptok_bpe_text(b, c.right, text + cliptok_bpe_text(b, c.left, text));
            const bool taken = cliptok_bpe_find(b, text, strlen(text)) >= 0;
            const bool earlier =
                c.count > best.count ||
                (c.count == best.count && (c.left < best.left || (c.left == best.left && c.right < best.right)));
            if (earlier && c.count > 1 && !taken)
                best = c;
        }
    return best;
}

static void join(plain_word *w, choice c, int32_t joint)
{
    int n = 0;
    for (int i = 0; i < w->n; n++) {
        const bool here = i + 1 < w->n && w->id[i] == c.left && w->id[i + 1] == c.right;
        w->id[n] = here ? joint : w->id[i];
        i += here ? 2 : 1;
    }
    w->n = n;
}

/* Few letters and many words: long tokens, overlaps, ties and texts that two ways lead to. */
static void counting_by_differences_counts_right(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 4; round++) {
        static plain_word word[WORDS];
        char text[WORDS * (LENGTH + 1) + 1];
        size_t at = 0;
        for (int i = 0; i < WORDS; i++) {
            seed = seed * 1664525 + 1013904223;
            word[i].n = 1 + (int)(seed >> 24) % LENGTH;
            for (int j = 0; j < word[i].n; j++) {
                seed = seed * 1664525 + 1013904223;
                const int letter = (int)(seed >> 24) % (2 + round);
                text[at++] = (char)('a' + letter);
                word[i].id[j] = 'a' - '!' + letter + (j + 1 == word[i].n ? 256 : 0);
            }
            text[at++] = ' ';
        }
        text[at] = 0;
        const char *const texts[] = {text};
        cliptok_bpe b, plain;
        learn(texts, 1, 700, &b);
        assert_int_equal(cliptok_bpe_init(&plain, 700, 200), CLIP_OK);
        assert_int_equal(cliptok_add_bytes(&plain), CLIP_OK);
        for (size_t rank = 0; rank < b.merges.n; rank++) {
            const choice c = most_frequent(word, &plain);
            char left[CLIPTOK_TEXT], right[CLIPTOK_TEXT];
            cliptok_bpe_text(&plain, c.left, left);
            cliptok_bpe_text(&plain, c.right, right);
            assert_merge(&b, rank, left, right);
            const int32_t joint = 512 + (int32_t)rank;
            assert_int_equal(cliptok_bpe_merge(&plain, left, strlen(left), right, strlen(right), joint, NULL, NULL),
                             CLIP_OK);
            for (int i = 0; i < WORDS; i++)
                join(&word[i], c, joint);
        }
        if (b.merges.n < 700 - CLIPTOK_LEAST_VOCAB)
            assert_int_equal(most_frequent(word, &plain).count, 1);
        cliptok_bpe_free(&b);
        cliptok_bpe_free(&plain);
    }
}

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *const captions[] = {
    "A red circle",
    "a blue circle, large",
    "the red square's edge",
    "ROT \xE2\x80\x9Cquoted\xE2\x80\x9D \\ \"\" \"\" \\\\ \\\\",
    "Fu\xC3\x9F"
    "ball fu\xC3\x9F"
    "ball 12 12",
    "\xE8\xB5\xA4\xE3\x81\x84\xE5\x86\x86 \xE8\xB5\xA4\xE3\x81\x84",
    "\xF0\x9F\x98\x80\xF0\x9F\x98\x80 \xF0\x9F\x98\x80\xF0\x9F\x98\x80",
    "broken \xC3( \xFF \xC3( \xFF",
    "<|endoftext|> <|endoftext|>",
};
enum { CAPTIONS = sizeof captions / sizeof *captions };

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    cliptok_bpe b, again = {0};
    cliptok *t;
    clip_error err = {0};
    const char *found;
    cJSON *added;
    learn(captions, CAPTIONS, 700, &b);
    assert_true(b.merges.n > 40);
    assert_int_equal(cliptok_write_vocab(&b, dir, &err), CLIP_OK);
    assert_int_equal(cliptok_write_settings(dir, 16, &err), CLIP_OK);
    assert_int_equal(cliptok_read_vocab(dir, &again, &found, &added, &err), CLIP_OK);
    assert_string_equal(found, "vocab.json + merges.txt");
    assert_int_equal(again.n_tokens, b.n_tokens);
    assert_int_equal(again.merges.n, b.merges.n);
    for (size_t i = 0; i < b.n_tokens; i++) {
        char x[CLIPTOK_TEXT], y[CLIPTOK_TEXT];
        assert_true(cliptok_bpe_text(&b, (int32_t)i, x) > 0);
        assert_true(cliptok_bpe_text(&again, (int32_t)i, y) > 0);
        assert_string_equal(x, y);
    }
    for (size_t i = 0; i < b.merges.n; i++) {
        int32_t l, r, m, s;
        cliptok_bpe_parts(&b, i, &l, &r);
        cliptok_bpe_parts(&again, i, &m, &s);
        assert_true(l == m && r == s);
    }
    assert_int_equal(cliptok_load(dir, &cliptok_huggingface, &t, &err), CLIP_OK);
    assert_int_equal(cliptok_vocab_size(t), b.n_tokens);
    assert_int_equal(cliptok_start_id(t), b.n_tokens - 2);
    assert_int_equal(cliptok_end_id(t), b.n_tokens - 1);
    int32_t ids[16];
    int n;
    assert_int_equal(cliptok_encode(t, "Circle", 6, ids, 16, &n), CLIP_OK);
    assert_int_equal(n, 3); /* it occurs twice: one token */
    assert_int_equal(ids[1], cliptok_bpe_find(&b, "circle</w>", 10));
    cliptok_free(t);
    cliptok_bpe_free(&again);
    assert_int_equal(cliptok_write_vocab(&b, "/nowhere", &err), CLIP_EIO);
    cliptok_bpe_free(&b);
}

/* ---- Scripts without blanks ------------------------------------------------------------------ */

/* Phrases, each with words that stand in it. */
static const char *const phrases[][4] = {
    /* Chinese */
    {"\u4E00\u53EA\u9ED1\u8272\u7684\u732B\u5728\u684C\u5B50\u65C1",
     "\u732B", "\u684C\u5B50", "\u9ED1\u8272"},
    /* Japanese */
    {"\u8D64\u3044\u308A\u3093\u3054\u304C\u30C6\u30FC\u30D6\u30EB\u306B\u3042\u308A\u307E\u3059",
     "\u308A\u3093\u3054", "\u30C6\u30FC\u30D6\u30EB", "\u8D64"},
    /* Thai */
    {"\u0E41\u0E21\u0E27\u0E14\u0E33\u0E19\u0E2D\u0E19\u0E1A\u0E19\u0E40\u0E15\u0E35\u0E22\u0E07",
     "\u0E41\u0E21\u0E27", "\u0E19\u0E2D\u0E19", "\u0E40\u0E15"},
    /* Lao */
    {"\u0EC1\u0EA1\u0EA7\u0E94\u0EB3\u0E99\u0EAD\u0E99",
     "\u0EC1\u0EA1\u0EA7", "\u0E99\u0EAD\u0E99", "\u0E94\u0EB3"},
    /* Khmer */
    {"\u1786\u17D2\u1798\u17B6\u1781\u17D2\u1798\u17C5",
     "\u1786\u17D2\u1798\u17B6", "\u1781\u17D2\u1798\u17C5", "\u1786"},
    /* Burmese */
    {"\u1000\u103C\u1031\u102C\u1004\u103A\u1021\u1014\u1000\u103A",
     "\u1000\u103C\u1031\u102C\u1004\u103A", "\u1021\u1014\u1000\u103A", "\u1021"},
    /* mixed */
    {"\u767D\u8272T\u6064\u886B\u548Ccat\u732B\u7C7B",
     "T\u6064\u886B", "cat", "\u732B\u7C7B"},
};
enum { PHRASES = sizeof phrases / sizeof *phrases };

/* Its tokens, each as the one within a word. Returns how many. */
static int inner_ids(const cliptok *t, const char *text, int32_t *id)
{
    int n;
    assert_int_equal(cliptok_encode(t, text, strlen(text), id, 128, &n), CLIP_OK);
    for (int i = 0; i < n; i++)
        id[i] = cliptok_inner_id(t, id[i]);
    memmove(id, id + 1, (size_t)(n - 2) * sizeof *id); /* without start and end */
    return n - 2;
}

static bool stands_in(const int32_t *word, int n, const int32_t *phrase, int m)
{
    for (int i = 0; i + n <= m; i++)
        if (memcmp(word, phrase + i, (size_t)n * sizeof *word) == 0)
            return true;
    return false;
}

static int letters_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

/* However large the vocabulary and however often a phrase occurs, it is not learned by heart.
 * Chinese characters and kana are tokens; of letters, as of Thai, a token has four at most. */
static void a_word_is_found_in_phrases_without_blanks(void **state)
{
    (void)state;
    enum { CHARACTERS = 2, MIXED = PHRASES - 1 }; /* phrases of them; the last */
    const char *text[4 * PHRASES];
    cliptok_bpe b;
    cliptok *t;
    clip_error err;
    for (int i = 0; i < 4 * PHRASES; i++)
        text[i] = i % 4 < 3 ? phrases[i / 4][0] : "cat";
    learn(text, 4 * PHRASES, 8192, &b);
    assert_int_equal(cliptok_write_vocab(&b, dir, &err), CLIP_OK);
    assert_int_equal(cliptok_write_settings(dir, 77, &err), CLIP_OK);
    assert_int_equal(cliptok_load(dir, &cliptok_huggingface, &t, &err), CLIP_OK);
    for (int i = 0; i < PHRASES; i++) {
        int32_t phrase[128], word[128];
        const int m = inner_ids(t, phrases[i][0], phrase), letters = letters_of(phrases[i][0]);
        if (i >= CHARACTERS && i != MIXED) {
            assert_true(m >= (letters + 3) / 4);
            continue;
        }
        assert_int_equal(m, i == MIXED ? letters - 2 : letters); /* "cat" is one token */
        for (int k = 1; k < 4; k++)
            if (strcmp(phrases[i][k], "cat") != 0 && !stands_in(word, inner_ids(t, phrases[i][k], word), phrase, m))
                fail_msg("phrase %d: word %d is not found", i, k);
    }
    cliptok_free(t);
    cliptok_bpe_free(&b);
}

static void what_is_learned_by_heart_is_counted(void **state)
{
    (void)state;
    static const char *const glued[] = {"aredcircleonabluetable", "Aredcircleonabluetable",
                                        "a red circle on a blue table", "circle", "circle"};
    cliptok_learner *l;
    cliptok_bpe b;
    assert_int_equal(cliptok_learner_new(&l), CLIP_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cliptok_learner_add(l, glued[i], strlen(glued[i])), CLIP_OK);
    assert_int_equal(cliptok_learner_finish(l, 1000, &b), CLIP_OK);
    assert_int_equal(cliptok_learner_count(l).by_heart, 2);
    cliptok_bpe_free(&b);
    cliptok_learner_free(l);
}

static void the_order_of_captions_makes_no_difference(void **state)
{
    (void)state;
    const char *backwards[CAPTIONS];
    cliptok_bpe b, c;
    for (int i = 0; i < CAPTIONS; i++)
        backwards[i] = captions[CAPTIONS - 1 - i];
    learn(captions, CAPTIONS, 700, &b);
    learn(backwards, CAPTIONS, 700, &c);
    assert_int_equal(b.merges.n, c.merges.n);
    for (size_t i = 0; i < b.merges.n; i++) {
        int32_t l, r, m, s;
        cliptok_bpe_parts(&b, i, &l, &r);
        cliptok_bpe_parts(&c, i, &m, &s);
        assert_true(l == m && r == s);
    }
    cliptok_bpe_free(&b);
    cliptok_bpe_free(&c);
}

static void limits_hold(void **state)
{
    (void)state;
    cliptok_learner *l;
    cliptok_bpe b;
    assert_int_equal(cliptok_learner_new(&l), CLIP_OK);
    assert_int_equal(cliptok_learner_finish(l, 513, &b), CLIP_EINVAL);
    assert_int_equal(cliptok_learner_finish(l, CLIPTOK_MAX_TOKENS + 1, &b), CLIP_EINVAL);
    char *much = malloc(200000);
    memset(much, 'a', 200000); /* one word, far too long, and cut */
    assert_int_equal(cliptok_learner_add(l, much, 200000), CLIP_OK);
    assert_int_equal(cliptok_learner_add(l, much, 257), CLIP_OK);
    assert_int_equal(cliptok_learner_add(l, "", 0), CLIP_OK);
    assert_int_equal(cliptok_learner_add(l, "ab ab", 5), CLIP_OK);
    const cliptok_learner_stats stats = cliptok_learner_count(l);
    assert_int_equal(stats.texts, 4);
    assert_int_equal(stats.words, 3);
    assert_int_equal(stats.distinct, 1);
    assert_int_equal(cliptok_learner_finish(l, 514, &b), CLIP_OK);
    assert_int_equal(b.n_tokens, 514);
    assert_int_equal(b.merges.n, 0);
    cliptok_bpe_free(&b);
    cliptok_learner_free(l);
    free(much);
    learn(NULL, 0, 4096, &b);
    assert_int_equal(b.n_tokens, 514);
    cliptok_bpe_free(&b);
}

static clip_status everything(cliptok_learner **l, cliptok_bpe *b)
{
    TRY(cliptok_learner_new(l));
    for (int i = 0; i < CAPTIONS; i++)
        TRY(cliptok_learner_add(*l, captions[i], strlen(captions[i])));
    TRY(cliptok_learner_finish(*l, 600, b));
    TRY(cliptok_write_vocab(b, dir, NULL));
    return cliptok_write_settings(dir, 16, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        cliptok_learner *l = NULL;
        cliptok_bpe b = {0};
        fail_alloc_at(n);
        clip_status s = everything(&l, &b);
        const bool failed = fail_alloc_stop();
        cliptok_bpe_free(&b);
        cliptok_learner_free(l);
        assert_int_equal(s, failed ? CLIP_ENOMEM : CLIP_OK);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_frequent_pair_comes_first),
        cmocka_unit_test(neighbours_that_overlap_are_joined_from_the_left),
        cmocka_unit_test(counting_by_differences_counts_right),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(the_order_of_captions_makes_no_difference),
        cmocka_unit_test(a_word_is_found_in_phrases_without_blanks),
        cmocka_unit_test(what_is_learned_by_heart_is_counted),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
