/* Ids of tricky lines against what OpenCLIP and transformers give (golden/, made by
 * tools/dump_tokens.py), whichever file the vocabulary comes from; what is promised about capacity,
 * threads and memory. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <pthread.h>

#include "failing_alloc.h"

enum { CONTEXT = 77, MAX_LINES = 2000 };

static const char *golden; /* the directory */

typedef struct golden_line {
    char *text;
    size_t size;
    int32_t ids[2][CONTEXT]; /* by OpenCLIP's rules, by Hugging Face's */
    int n[2];
} golden_line;

static golden_line line[MAX_LINES];
static int lines;

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* \xHH becomes a byte, in place. */
static size_t unescape(char *s)
{
    char *w = s;
    for (char *r = s; *r;)
        if (r[0] == '\\' && r[1] == 'x') {
            *w++ = (char)(hex(r[2]) << 4 | hex(r[3]));
            r += 4;
        } else
            *w++ = *r++;
    return (size_t)(w - s);
}

static void read_golden(void)
{
    size_t n;
    char *file = fixture_read(golden, "lines.txt", &n), *p = file;
    while (*p && lines < MAX_LINES) {
        golden_line *l = &line[lines++];
        for (int row = 0; row < 3; row++) {
            char *end = strchr(p, '\n');
            if (!end)
                abort();
            *end = 0;
            if (row == 0) {
                l->size = unescape(p);
                l->text = malloc(l->size + 1);
                memcpy(l->text, p, l->size);
            } else
                for (char *id = p; *id && l->n[row - 1] < CONTEXT;)
                    l->ids[row - 1][l->n[row - 1]++] = (int32_t)strtol(id, &id, 10);
            p = end + 1;
        }
    }
    free(file);
}

static cliptok *load(const char *dir, int rules)
{
    clip_error err;
    cliptok *t;
    if (cliptok_load(dir, rules ? &cliptok_huggingface : &cliptok_openclip, &t, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_non_null(t);
    return t;
}

/* How many lines differ; says which. */
static int differences(const cliptok *t, int rules)
{
    int wrong = 0;
    for (int i = 0; i < lines; i++) {
        int32_t ids[CONTEXT];
        int n;
        if (cliptok_encode(t, line[i].text, line[i].size, ids, CONTEXT, &n) == CLIP_OK && n == line[i].n[rules] &&
            memcmp(ids, line[i].ids[rules], (size_t)n * sizeof *ids) == 0)
            continue;
        fprintf(stderr, "line %d (%.*s): %d ids\n", i, (int)line[i].size, line[i].text, n);
        wrong++;
    }
    return wrong;
}

static void golden_ids(void **state)
{
    (void)state;
    assert_true(lines > 800);
    for (int rules = 0; rules < 2; rules++) {
        cliptok *t = load(golden, rules);
        assert_int_equal(cliptok_vocab_size(t), 4096);
        assert_int_equal(cliptok_start_id(t), 4094);
        assert_int_equal(cliptok_end_id(t), 4095);
        assert_int_equal(differences(t, rules), 0);
        assert_int_equal(differences(t, rules), 0); /* whole words are known by now */
        cliptok_free(t);
    }
}

static bool same_ids(const cliptok *one, const char *text, const cliptok *other, const char *as)
{
    int32_t ids[2][CONTEXT];
    int n[2];
    assert_int_equal(cliptok_encode(one, text, strlen(text), ids[0], CONTEXT, &n[0]), CLIP_OK);
    assert_int_equal(cliptok_encode(other, as, strlen(as), ids[1], CONTEXT, &n[1]), CLIP_OK);
    return n[0] == n[1] && memcmp(ids[0], ids[1], (size_t)n[0] * sizeof **ids) == 0;
}

/* OpenCLIP's HFTokenizer cleans a text as its own tokenizer does, and transformers' does the
 * rest. */
static void cleaned_for_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *cleaned;
    } cases[] = {
        {"plain TEXT <|endoftext|> more", "plain TEXT <|endoftext|> more"},
        {"it\u2019s \u201cquoted\u201d &amp;amp; done", "it's \"quoted\" & done"},
        {"caf\u00c3\u00a9\n\nR&amp;D <end_of_text>", "caf\u00e9 R&D <end_of_text>"},
        {"&lt;|endoftext|&gt;", "<|endoftext|>"},
        {"\u0391\u03a3 &amp; \u039f\u0394\u039f\u03a3", "\u0391\u03a3 & \u039f\u0394\u039f\u03a3"}, /* no final sigma */
        {"", ""},
    };
    cliptok *hf = load(golden, 1), *openclip = load(golden, 0), *cleans;
    assert_int_equal(cliptok_load(golden, &cliptok_openclip_hf, &cleans, NULL), CLIP_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!same_ids(cleans, cases[i].text, hf, cases[i].cleaned))
            fail_msg("%s is not read as %s", cases[i].text, cases[i].cleaned);
    assert_false(same_ids(cleans, cases[4].text, openclip, cases[4].text));
    assert_int_equal(cliptok_pad_id(cleans), cliptok_pad_id(hf));
    cliptok_free(hf);
    cliptok_free(openclip);
    cliptok_free(cleans);
}

static void every_file(void **state)
{
    (void)state;
    size_t n, m;
    char *vocab = fixture_read(golden, "vocab.json", &n), *text = fixture_read(golden, "merges.txt", &m), dir[DIR_MAX];
    static const char added[] =
        "[{\"id\": 4094, \"content\": \"<|startoftext|>\", \"special\": true, \"normalized\": false},"
        " {\"id\": 4095, \"content\": \"<|endoftext|>\", \"special\": true, \"normalized\": false}]";
    fixture_new(dir);
    for (int kind = 0; kind < 5; kind++) {
        if (kind < 4) {
            char *list = fixture_merge_list(text, kind & 1),
                 *whole = fixture_tokenizer_json(vocab, list, added, kind >> 1);
            fixture_text(dir, "tokenizer.json", whole);
            free(whole);
            free(list);
        } else {
            fixture_remove(dir);
            fixture_new(dir);
            fixture_gzip(dir, "bpe_simple_vocab_16e6.txt.gz", text, m - 1); /* without the last newline */
        }
        for (int rules = 0; rules < 2; rules++) {
            cliptok *t = load(dir, rules);
            assert_int_equal(cliptok_vocab_size(t), 4096);
            assert_int_equal(differences(t, rules), 0);
            cliptok_free(t);
        }
    }
    fixture_remove(dir);
    free(vocab);
    free(text);
}

/* A shorter context keeps the first ids and ends in the end token; nothing is written beyond it. */
static void capacity(void **state)
{
    (void)state;
    for (int rules = 0; rules < 2; rules++) {
        cliptok *t = load(golden, rules);
        int32_t ids[CONTEXT + 1];
        int n;
        assert_int_equal(cliptok_encode(t, "a", 1, ids, 1, &n), CLIP_EINVAL);
        for (int i = 0; i < lines; i++)
            for (int room = 2; room < CONTEXT; room += 1 + room / 3) {
                int expected = line[i].n[rules] < room ? line[i].n[rules] : room;
                ids[room] = -7;
                assert_int_equal(cliptok_encode(t, line[i].text, line[i].size, ids, room, &n), CLIP_OK);
                assert_int_equal(n, expected);
                assert_memory_equal(ids, line[i].ids[rules], (size_t)(n - 1) * sizeof *ids);
                assert_int_equal(ids[n - 1], 4095);
                assert_int_equal(ids[room], -7);
            }
        cliptok_free(t);
    }
}

/* Twenty megabytes: read no further than there is room, with no more memory than a line takes. */
static void long_text(void **state)
{
    (void)state;
    enum { N = 20000000 };
    static const char *const units[] = {"a photo of a cat ", "caf\xC3\xA9 \xF0\x9F\x98\x80\n", "x", "&amp; "};
    char *text = malloc(N);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (int rules = 0; rules < 2; rules++) {
            size_t k = strlen(units[u]), size = u == 2 ? N / 20 : u == 3 ? N / 4 : N;
            int32_t ids[CONTEXT], again[CONTEXT];
            int n, n_again;
            for (size_t i = 0; i < size; i++)
                text[i] = units[u][i % k];
            cliptok *t = load(golden, rules);
            assert_int_equal(cliptok_encode(t, text, size, ids, CONTEXT, &n), CLIP_OK);
            assert_int_equal(n, CONTEXT);
            if (u != 2) { /* the beginning decides */
                assert_int_equal(cliptok_encode(t, text, k * 100, again, CONTEXT, &n_again), CLIP_OK);
                assert_int_equal(n_again, CONTEXT);
                assert_memory_equal(ids, again, sizeof ids);
            }
            cliptok_free(t);
        }
    free(text);
}

typedef struct share {
    const cliptok *t;
    int rules, wrong;
} share;

static void *encode_all(void *arg)
{
    share *s = arg;
    for (int round = 0; round < 3; round++)
        s->wrong += differences(s->t, s->rules);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    for (int rules = 0; rules < 2; rules++) {
        cliptok *t = load(golden, rules);
        pthread_t thread[4];
        share s[4];
        for (int i = 0; i < 4; i++) {
            s[i] = (share){t, rules, 0};
            assert_int_equal(pthread_create(&thread[i], NULL, encode_all, &s[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(thread[i], NULL);
            assert_int_equal(s[i].wrong, 0);
        }
        cliptok_free(t);
    }
}

static void no_memory(void **state)
{
    (void)state;
    for (int rules = 0; rules < 2; rules++) {
        cliptok *t = load(golden, rules);
        for (int i = 0; i < lines; i++)
            for (long k = 1;; k++) {
                int32_t ids[CONTEXT];
                int n = 5;
                fail_alloc_at(k);
                clip_status s = cliptok_encode(t, line[i].text, line[i].size, ids, CONTEXT, &n);
                if (!fail_alloc_stop()) {
                    assert_int_equal(s, CLIP_OK);
                    break;
                }
                assert_int_equal(s, CLIP_ENOMEM);
                assert_int_equal(n, 0);
            }
        cliptok_free(t);
    }
}

/* A checkpoint of the golden vocabulary and of one case's other files. */
static void write_case(const char *dir, const char *vocab, const char *merges, const cJSON *files)
{
    const cJSON *file;
    fixture_text(dir, "vocab.json", vocab);
    fixture_text(dir, "merges.txt", merges);
    cJSON_ArrayForEach(file, files) {
        char *text = cJSON_Print(file);
        if (strcmp(file->string, "tokenizer.json") == 0) {
            char *list = fixture_merge_list(merges, 1), *whole = fixture_tokenizer_json(vocab, list, text, 0);
            fixture_text(dir, file->string, whole);
            free(list);
            free(whole);
        } else
            fixture_text(dir, file->string, text);
        free(text);
    }
}

/* Tokens that a checkpoint adds, in each of the files where transformers looks for them. */
static void added_tokens(void **state)
{
    (void)state;
    size_t n;
    char *file = fixture_read(golden, "added.json", &n);
    char *vocab = fixture_read(golden, "vocab.json", &n), *merges = fixture_read(golden, "merges.txt", &n);
    cJSON *all = cJSON_Parse(file);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(all, "text"));
    const cJSON *c;
    int cases = 0;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(all, "cases")) {
        const cJSON *expected = cJSON_GetObjectItem(c, "ids"), *id;
        int32_t ids[200];
        int got, i = 0;
        char dir[DIR_MAX];
        fixture_new(dir);
        write_case(dir, vocab, merges, cJSON_GetObjectItem(c, "files"));
        cliptok *t = load(dir, 1);
        assert_int_equal(cliptok_vocab_size(t), cJSON_GetObjectItem(c, "vocab_size")->valueint);
        assert_int_equal(cliptok_encode(t, text, strlen(text), ids, 200, &got), CLIP_OK);
        cJSON_ArrayForEach(id, expected) {
            if (i >= got || ids[i] != id->valueint)
                fail_msg("case %d, id %d: %d, not %d", cases, i, i < got ? ids[i] : -1, id->valueint);
            i++;
        }
        assert_int_equal(got, i);
        cliptok_free(t);
        fixture_remove(dir);
        cases++;
    }
    assert_true(cases >= 10);
    cJSON_Delete(all);
    free(file);
    free(vocab);
    free(merges);
}

/* What fills the context: by OpenCLIP's rules 0, whatever the files say; by Hugging Face's the pad
 * token, known, added or none. */
static void pad_tokens(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b"};
    static const struct {
        const char *file, *text;
        enum { END, BANG, LAST } pad; /* the end token; "!", byte 33; one that is added behind the vocabulary */
    } cases[] = {
        {NULL, NULL, END},
        {"special_tokens_map.json", "{\"pad_token\": \"!\"}", BANG},
        {"tokenizer_config.json", "{\"pad_token\": {\"content\": \"!\", \"normalized\": false}}", BANG},
        {"tokenizer_config.json", "{\"pad_token\": \"<|pad|>\"}", LAST},
        {"tokenizer_config.json", "{\"pad_token\": null}", END},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[DIR_MAX];
        fixture_small(dir, merges, 1);
        if (cases[i].file)
            fixture_text(dir, cases[i].file, cases[i].text);
        cliptok *openclip = load(dir, 0), *t = load(dir, 1);
        assert_int_equal(cliptok_pad_id(openclip), 0);
        const int want = cases[i].pad == END    ? cliptok_end_id(t)
                         : cases[i].pad == LAST ? cliptok_vocab_size(t) - 1
                                                : 33;
        if (cliptok_pad_id(t) != want)
            fail_msg("case %zu: %d, not %d", i, cliptok_pad_id(t), want);
        cliptok_free(openclip);
        cliptok_free(t);
        fixture_remove(dir);
    }
}

/* What transformers would read and we do not, and what nobody can read. */
static void added_token_faults(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b"};
    static const struct {
        const char *name, *text, *message;
        clip_status status;
    } cases[] = {
        {"tokenizer_config.json", "[]", "tokenizer_config.json: not an object", CLIP_EFORMAT},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"0\": {\"content\": 3}}}",
         "\"content\" must be a string", CLIP_EFORMAT},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"0\": {}}}", "an added token is not a string",
         CLIP_EFORMAT},
        {"tokenizer_config.json", "{\"extra_special_tokens\": [3]}", "an added token is not a string", CLIP_EFORMAT},
        {"tokenizer_config.json", "{\"bos_token\": {\"content\": \"x\", \"single_word\": true}}", "\"single_word\"",
         CLIP_EUNSUPPORTED},
        {"special_tokens_map.json", "{\"pad_token\": {\"content\": \"a b\", \"normalized\": true}}", "has spaces",
         CLIP_EUNSUPPORTED},
        {"special_tokens_map.json", "{", "special_tokens_map.json: not valid JSON", CLIP_EFORMAT},
        {"added_tokens.json", "{\"x\": \"y\"}", "added_tokens.json: the id of 'x' is not a number", CLIP_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[DIR_MAX];
        clip_error err = {0, ""};
        cliptok *t = NULL;
        fixture_small(dir, merges, 1);
        fixture_text(dir, cases[i].name, cases[i].text);
        clip_status s = cliptok_load(dir, &cliptok_huggingface, &t, &err);
        if (s != cases[i].status || !strstr(err.message, cases[i].message))
            fail_msg("%s '%s', not '%s'", clipb_status_name(s), err.message, cases[i].message);
        assert_null(t);
        fixture_remove(dir);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 1;
    golden = argv[1];
    read_golden();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_ids), cmocka_unit_test(cleaned_for_transformers),
        cmocka_unit_test(every_file), cmocka_unit_test(capacity),
        cmocka_unit_test(long_text),  cmocka_unit_test(threads),
        cmocka_unit_test(no_memory),  cmocka_unit_test(added_tokens),
        cmocka_unit_test(pad_tokens), cmocka_unit_test(added_token_faults),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < lines; i++)
        free(line[i].text);
    return failed;
}
