/* Tokenizer files from hostile hands: every fault is found, and named by file and entry. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "failing_alloc.h"

static const char good_merges[] = "#version: 0.2\na b\nab c\nab c</w>\n";
static const char *const good[] = {"a b", "ab c", "ab c</w>"};

static cliptok *load(const char *dir, const cliptok_rules *rules)
{
    clip_error err;
    cliptok *t;
    if (cliptok_load(dir, rules, &t, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_non_null(t);
    return t;
}

static void refuse_by(clip_status (*load_by)(const char *, const cliptok_rules *, cliptok **, clip_error *),
                      const char *dir, const cliptok_rules *rules, clip_status status, const char *in_message)
{
    clip_error err = {0, ""};
    cliptok *t = (cliptok *)1;
    clip_status s = load_by(dir, rules, &t, &err);
    if (s != status || !strstr(err.message, in_message))
        fail_msg("%s '%s', not %s with '%s'", clipb_status_name(s), err.message, clipb_status_name(status), in_message);
    assert_null(t);
    assert_int_equal(err.code, status);
    assert_int_equal(load_by(dir, rules, &t, NULL), status);
}

static void refuse(const char *dir, const cliptok_rules *rules, clip_status status, const char *in_message)
{
    refuse_by(cliptok_load, dir, rules, status, in_message);
}

/* The vocabulary of `good` with the first `from` in it replaced by `to`. */
static char *with(const char *from, const char *to)
{
    char *vocab = fixture_vocab(good, 3), *at = strstr(vocab, from), *out;
    assert_non_null(at);
    out = malloc(strlen(vocab) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - vocab), vocab, to, at + strlen(from));
    free(vocab);
    return out;
}

static void vocab_faults(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
        clip_status status;
    } cases[] = {
        {"\"abc\": 513", "\"abc\": -1", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": 1.5", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": 1048576", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": 99999999999999999999999", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": 0513", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": \"513\"", "vocab.json: a whole number", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abc\": 512", "'abc' or its id 512 is there twice", CLIP_EFORMAT},
        {"\"abc\": 513", "\"ab\": 513", "'ab' or its id 513 is there twice", CLIP_EFORMAT},
        {"\"abc\": 513", "\"abd\": 513", "merges.txt: merge 2: its result 'abc' is not in the vocabulary",
         CLIP_EFORMAT},
        {"\"ab\": 512", "\"xy\": 512", "merges.txt: merge 1: its result 'ab' is not in the vocabulary", CLIP_EFORMAT},
        {"\"c</w>\"", "\"\\u0107</w>\"", "'ć</w>' or its id", CLIP_EFORMAT},
        {"\"c</w>\"", "\"\\u4e2d</w>\"", "merges.txt: merge 3: 'c</w>' is not in the vocabulary", CLIP_EFORMAT},
        {"\"<|endoftext|>\"", "\"<|eot|>\"", "vocab.json + merges.txt: no token '<|endoftext|>'", CLIP_EFORMAT},
        {"\"<|startoftext|>\"", "\"<|sot|>\"", "vocab.json + merges.txt: no token '<|startoftext|>'", CLIP_EFORMAT},
        {"\"z\"", "\"\\u4e2d\"", "vocab.json + merges.txt: no token for byte 7A", CLIP_EFORMAT},
        {"\"z</w>\"", "\"\\u4e2d\"", "no token for byte 7A at the end of a word", CLIP_EFORMAT},
        {"\"z\"", "\"\xFFz\"", "vocab.json: not UTF-8 (line 1, byte", CLIP_EFORMAT},
        {"\"z\"", "\"\\ud800z\"", "vocab.json: not an escape sequence", CLIP_EFORMAT},
        {"\"z\"", "\"\\q\"", "vocab.json: not an escape sequence", CLIP_EFORMAT},
        {"\"z\"", "\"\nz\"", "vocab.json: a control character", CLIP_EFORMAT},
        {"{", "[", "vocab.json: an object should be here", CLIP_EFORMAT},
        {"{", "{,", "vocab.json: a string should be here", CLIP_EFORMAT},
        {"516}", "516,}", "vocab.json: a string should be here", CLIP_EFORMAT},
        {"516}", "516} x", "vocab.json: something follows", CLIP_EFORMAT},
        {"\"z\": ", "\"z\" ", "vocab.json: a colon should be here", CLIP_EFORMAT},
        {", \"z\"", " \"z\"", "vocab.json: a comma or the closing", CLIP_EFORMAT},
    };
    char dir[DIR_MAX];
    fixture_new(dir);
    fixture_text(dir, "merges.txt", good_merges);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *vocab = with(cases[i].from, cases[i].to);
        fixture_text(dir, "vocab.json", vocab);
        free(vocab);
        refuse(dir, &cliptok_openclip, cases[i].status, cases[i].message);
    }
    fixture_remove(dir);
}

static void merge_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"#version: 0.2\na b\na b\n", "merges.txt: merge 2: 'a b' is there twice"},
        {"a b\nab\n", "merges.txt: line 2: two tokens"},
        {"a b\na b c\n", "merges.txt: line 2: two tokens"},
        {"a b\n\nab c\n", "merges.txt: line 2: two tokens"},
        {"a b\nab q9\n", "merges.txt: merge 2: 'q9' is not in the vocabulary"},
        {"a b\n\xFF\xFE a\n", "merges.txt: line 2 is not UTF-8"},
        {"a \xE4\xB8\xAD\n", "is not in the vocabulary"},
        {"c a\n", "merge 1: its result 'ca' is not in the vocabulary"},
        {"a b\n#version: 0.2\n", "merges.txt: merge 2: '#version:' is not in"},
    };
    char dir[DIR_MAX];
    fixture_small(dir, good, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_text(dir, "merges.txt", cases[i].text);
        refuse(dir, &cliptok_huggingface, CLIP_EFORMAT, cases[i].message);
    }
    static const char *const fine[] = {"", "a b", "a b\r\nab c\r\n", "#version: 0.2\na b\n\n"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        fixture_text(dir, "merges.txt", fine[i]);
        cliptok_free(load(dir, &cliptok_huggingface));
    }
    fixture_remove(dir);
}

#define CLIP_MODEL(rest) "{\"model\": {\"end_of_word_suffix\": \"</w>\", " rest "}}"

static void tokenizer_json_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        clip_status status;
    } cases[] = {
        {"", "tokenizer.json: an object should be here", CLIP_EFORMAT},
        {"{}", "tokenizer.json: no \"model\"", CLIP_EFORMAT},
        {"{\"model\": {}}", "no \"end_of_word_suffix\"", CLIP_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "\"type\" is not \"BPE\"", CLIP_EUNSUPPORTED},
        {CLIP_MODEL("\"vocab\": [[\"a\", 0.5]]"), "not that of a byte-pair encoding", CLIP_EUNSUPPORTED},
        {"{\"model\": {\"end_of_word_suffix\": \"\", \"vocab\": {}}}", "\"end_of_word_suffix\" is not",
         CLIP_EUNSUPPORTED},
        {"{\"model\": {\"end_of_word_suffix\": null, \"vocab\": {}}}", "\"end_of_word_suffix\" is not",
         CLIP_EUNSUPPORTED},
        {"{\"model\": {\"continuing_subword_prefix\": \"##\", \"vocab\": {}}}", "\"continuing_subword_prefix\" is not",
         CLIP_EUNSUPPORTED},
        {CLIP_MODEL("\"merges\": []"), "no \"vocab\"", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {}"), "no \"merges\"", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {\"a\": 0}, \"merges\": [[\"a\"]]"), "fewer than two", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {\"a\": 0}, \"merges\": [[\"a\", \"a\", \"a\"]]"), "more than two", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {\"a\": 0}, \"merges\": [[\"\", \"a\"]]"), "'' is not in", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {\"a\": 0, \"\": 1}, \"merges\": [[\"\", \"a\"]]"), "of nothing", CLIP_EFORMAT},
        {CLIP_MODEL("\"vocab\": {\"a\": 0}, \"merges\": [\"aa\"]"), "two tokens with a blank", CLIP_EFORMAT},
        {CLIP_MODEL("\"merges\": [[\"a\", \"b\"]], \"vocab\": {\"a\": 0}"), "merge 1: 'b' is not", CLIP_EFORMAT},
        {"{\"model\": {\"x\": [tru]}}", "a value should be here", CLIP_EFORMAT},
        {"{\"added_tokens\": [01x], \"model\": {}}", "(line 1, byte", CLIP_EFORMAT},
    };
    char dir[DIR_MAX];
    fixture_new(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_text(dir, "tokenizer.json", cases[i].text); /* not for the other kinds of tokenizers */
        refuse_by(cliptok_byte_pair.load, dir, &cliptok_huggingface, cases[i].status, cases[i].message);
    }
    char *deep = malloc(200000);
    memset(deep, '[', 200000 - 1);
    memcpy(deep, "{\"a\":", 5);
    deep[200000 - 1] = 0;
    fixture_text(dir, "tokenizer.json", deep);
    refuse(dir, &cliptok_huggingface, CLIP_EFORMAT, "nested too deep");
    free(deep);
    fixture_remove(dir);
}

static void gzip_faults(void **state)
{
    (void)state;
    static const char name[] = "bpe_simple_vocab_16e6.txt.gz", text[] = "\"comment\na b\nab c\nab c</w>";
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"x\na b\na b", "merge 2: its result 'ab' is already in the vocabulary"},
        {"x\na b\nab", "line 3: two tokens"},
        {"x\na b\nxy z", "merge 2: 'xy' is not in the vocabulary"},
        {"x\n\xC3( b", "line 2 is not UTF-8"},
    };
    char dir[DIR_MAX];
    fixture_new(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_gzip(dir, name, cases[i].text, strlen(cases[i].text));
        refuse(dir, &cliptok_openclip, CLIP_EFORMAT, cases[i].message);
    }
    fixture_text(dir, name, "plain text");
    refuse(dir, &cliptok_openclip, CLIP_EFORMAT, "txt.gz: damaged, or no gzip file");
    char *line = malloc(10000000); /* unpacks to a thousand times its size */
    memset(line, 'a', 10000000);
    fixture_gzip(dir, name, line, 10000000);
    refuse(dir, &cliptok_openclip, CLIP_EFORMAT, "line 1 is longer than");
    memset(line, '\n', 10000000); /* 48,894 empty lines are read, as SimpleTokenizer does, and no more */
    fixture_gzip(dir, name, line, 10000000);
    free(line);
    cliptok *t = load(dir, &cliptok_openclip);
    assert_int_equal(cliptok_vocab_size(t), 49408);
    assert_int_equal(cliptok_end_id(t), 49407);
    cliptok_free(t);

    size_t n;
    fixture_gzip(dir, name, text, strlen(text));
    char *packed = fixture_read(dir, name, &n);
    t = load(dir, &cliptok_openclip);
    assert_int_equal(cliptok_vocab_size(t), 512 + 3 + 2);
    cliptok_free(t);
    for (size_t k = 0; k < n; k++) {
        fixture_write(dir, name, packed, k);
        refuse(dir, &cliptok_openclip, CLIP_EFORMAT, name);
    }
    /* Two gzip files, one behind the other, are one text; its last line, an empty one, has an
     * id. */
    size_t more;
    fixture_gzip(dir, name, "\na a\n", 5);
    char *second = fixture_read(dir, name, &more);
    packed = realloc(packed, n + more);
    memcpy(packed + n, second, more);
    fixture_write(dir, name, packed, n + more);
    t = load(dir, &cliptok_openclip);
    assert_int_equal(cliptok_vocab_size(t), 512 + 5 + 2);
    cliptok_free(t);
    free(second);
    free(packed);
    fixture_remove(dir);
}

/* Cut off anywhere: sound or refused, never anything else. */
static void truncations(void **state)
{
    (void)state;
    char dir[DIR_MAX], *vocab = fixture_vocab(good, 3), *list = fixture_merge_list(good_merges, 1);
    char *whole = fixture_tokenizer_json(vocab, list, "[]", 0);
    size_t n = strlen(vocab);
    fixture_new(dir);
    fixture_text(dir, "merges.txt", good_merges);
    for (size_t k = 0; k < n; k += k < 100 || k > n - 100 ? 1 : 13) {
        fixture_write(dir, "vocab.json", vocab, k);
        refuse(dir, &cliptok_huggingface, CLIP_EFORMAT, "vocab.json: ");
    }
    fixture_text(dir, "vocab.json", vocab);
    for (size_t k = 0; k < strlen(good_merges); k++) {
        clip_error err;
        cliptok *t;
        fixture_write(dir, "merges.txt", good_merges, k);
        clip_status s = cliptok_load(dir, &cliptok_huggingface, &t, &err);
        assert_true(s == CLIP_OK || (s == CLIP_EFORMAT && strstr(err.message, "merges.txt: ")));
        cliptok_free(t);
    }
    n = strlen(whole);
    for (size_t k = 0; k < n; k += k < 600 || k > n - 200 ? 1 : 13) {
        fixture_write(dir, "tokenizer.json", whole, k);
        refuse(dir, &cliptok_huggingface, CLIP_EFORMAT, "tokenizer.json: ");
    }
    free(whole);
    free(list);
    free(vocab);
    fixture_remove(dir);
}

static void which_file(void **state)
{
    (void)state;
    char dir[DIR_MAX], *vocab = fixture_vocab(good, 3);
    clip_error err;
    cliptok *t = (cliptok *)1;
    fixture_new(dir);
    assert_int_equal(cliptok_load(dir, &cliptok_openclip, &t, &err), CLIP_OK);
    assert_null(t);
    assert_int_equal(cliptok_load("/nowhere/at/all", &cliptok_openclip, &t, &err), CLIP_OK);
    assert_null(t);
    fixture_text(dir, "vocab.json", vocab);
    refuse(dir, &cliptok_openclip, CLIP_EIO, "merges.txt: missing; it belongs to the vocab.json there");
    fixture_gzip(dir, "bpe_simple_vocab_16e6.txt.gz", "x\na b", 5);
    t = load(dir, &cliptok_openclip);
    assert_string_equal(cliptok_source(t), "bpe_simple_vocab_16e6.txt.gz, OpenCLIP's rules");
    cliptok_free(t);
    fixture_text(dir, "merges.txt", good_merges);
    t = load(dir, &cliptok_huggingface);
    assert_string_equal(cliptok_source(t), "vocab.json + merges.txt, Hugging Face's rules");
    assert_int_equal(cliptok_vocab_size(t), 517);
    assert_int_equal(cliptok_start_id(t), 515);
    assert_int_equal(cliptok_end_id(t), 516);
    cliptok_free(t);
    free(vocab);
    fixture_remove(dir);
}

static void no_memory(void **state)
{
    (void)state;
    char dir[4][DIR_MAX], *vocab = fixture_vocab(good, 3), *list = fixture_merge_list(good_merges, 0);
    char *whole =
        fixture_tokenizer_json(vocab, list, "[{\"id\": 517, \"content\": \"<X\\u00c9>\", \"normalized\": true}]", 1);
    fixture_small(dir[0], good, 3);
    fixture_new(dir[1]);
    fixture_text(dir[1], "tokenizer.json", whole);
    fixture_text(dir[1], "tokenizer_config.json",
                 "{\"pad_token\": \"!\", \"extra_special_tokens\": [\"<1>\", \"<2>\"]}");
    fixture_new(dir[2]);
    fixture_gzip(dir[2], "bpe_simple_vocab_16e6.txt.gz", "x\na b\nab c", 10);
    for (int i = 0; i < 3; i++)
        for (int rules = 0; rules < 2; rules++)
            for (long n = 1;; n++) {
                cliptok *t = (cliptok *)1;
                clip_error err = {0, ""};
                fail_alloc_at(n);
                clip_status s = cliptok_load(dir[i], rules ? &cliptok_huggingface : &cliptok_openclip, &t, &err);
                if (!fail_alloc_stop()) {
                    assert_int_equal(s, CLIP_OK);
                    cliptok_free(t);
                    break;
                }
                assert_int_equal(s, CLIP_ENOMEM);
                assert_int_equal(err.code, CLIP_ENOMEM);
                assert_null(t);
            }
    for (int i = 0; i < 3; i++)
        fixture_remove(dir[i]);
    free(whole);
    free(list);
    free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocab_faults), cmocka_unit_test(merge_faults), cmocka_unit_test(tokenizer_json_faults),
        cmocka_unit_test(gzip_faults),  cmocka_unit_test(truncations),  cmocka_unit_test(which_file),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
