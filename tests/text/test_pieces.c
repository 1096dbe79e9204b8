/* Tokenizers of other kinds than CLIP's: golden ids of small vocabularies, damaged files, memory
 * that runs out, long texts. The golden files come from tools/dump_pieces.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "fixture.h"
#include "text/charsmap.h"
#include "text/pieces.h"
#include "text/spm.h"

enum { CONTEXT = 24 };

static const char *golden;

static const struct set {
    const char *dir, *file;
    const cliptok_rules *rules;
    int start, end, pad;
} sets[] = {
    {"siglip", "spiece.model", &cliptok_siglip, -1, 1, 1},
    {"siglip", "spiece.model", &cliptok_huggingface, -1, 1, 1}, /* the class says it */
    {"t5", "spiece.model", &cliptok_huggingface, -1, 1, 0},
    {"t5-json", "tokenizer.json", &cliptok_openclip_canonical, -1, 1, 0},
    {"xlmr", "sentencepiece.bpe.model", &cliptok_huggingface, 0, 2, 1},
    {"xlmr-json", "tokenizer.json", &cliptok_openclip_hf, 0, 2, 1},
    {"nllb-json", "tokenizer.json", &cliptok_huggingface, -2, 2, 1},
    {"gemma", "tokenizer.model", &cliptok_huggingface, -1, 1, 0},
    {"gemma-json", "tokenizer.json", &cliptok_openclip_canonical, -1, 1, 0},
    {"siglip2-json", "tokenizer.json", &cliptok_siglip2, -1, 1, 0},
    {"bert", "vocab.txt", &cliptok_openclip_hf, 2, 3, 0},
    {"bert-cased", "vocab.txt", &cliptok_huggingface, 2, 3, 0},
};
enum { SETS = sizeof sets / sizeof *sets };

static void path_of(const struct set *s, char path[512]) { snprintf(path, 512, "%s/pieces/%s", golden, s->dir); }

static cliptok *load(const char *dir, const cliptok_rules *rules)
{
    clip_error err;
    cliptok *t;
    if (cliptok_load(dir, rules, &t, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_non_null(t);
    return t;
}

static cliptok *load_set(const struct set *s)
{
    char path[512];
    path_of(s, path);
    return load(path, s->rules);
}

static int hex(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

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

static void golden_ids(void **state)
{
    (void)state;
    int wrong = 0, lines = 0;
    for (int i = 0; i < SETS; i++) {
        char path[512];
        size_t size;
        cliptok *t = load_set(&sets[i]);
        path_of(&sets[i], path);
        char *file = fixture_read(path, "lines.txt", &size);
        assert_non_null(strstr(cliptok_source(t), sets[i].file));
        for (char *p = file; *p; lines++) {
            char *text = p, *row = strchr(p, '\n');
            *row++ = 0;
            p = strchr(row, '\n');
            *p++ = 0;
            char shown[64];
            snprintf(shown, sizeof shown, "%s", text);
            const size_t n = unescape(text);
            int32_t ids[CONTEXT];
            char ours[16 * CONTEXT] = "";
            int k, at = 0;
            assert_int_equal(cliptok_encode(t, text, n, ids, CONTEXT, &k), CLIP_OK);
            for (int j = 0; j < k; j++)
                at += sprintf(ours + at, j ? " %d" : "%d", ids[j]);
            if (strcmp(ours, row) != 0) {
                print_message("%s, '%s':\n  ours   %s\n  theirs %s\n", sets[i].dir, shown, ours, row);
                wrong++;
            }
        }
        free(file);
        cliptok_free(t);
    }
    assert_int_equal(wrong, 0);
    assert_true(lines > 300);
}

static void special_tokens(void **state)
{
    (void)state;
    for (int i = 0; i < SETS; i++) {
        cliptok *t = load_set(&sets[i]);
        assert_int_equal(cliptok_start_id(t), sets[i].start == -2 ? cliptok_find(t, "eng_Latn") : sets[i].start);
        assert_int_equal(cliptok_end_id(t), sets[i].end);
        assert_int_equal(cliptok_pad_id(t), sets[i].pad);
        assert_int_equal(cliptok_inner_id(t, 7), 7);
        assert_true(cliptok_find(t, "no such token") < 0);
        assert_true(sets[i].start == -2 || !*cliptok_language(t));
        cliptok_free(t);
    }
    cliptok *t = load_set(&sets[6]); /* NLLB: another language is another first id */
    assert_true(cliptok_find(t, "deu_Latn") > 0 && cliptok_find(t, "deu_Latn") != cliptok_start_id(t));
    assert_string_equal(cliptok_language(t), "eng_Latn");
    cliptok_free(t);
}

/* OpenCLIP's strip_sep_token: [SEP] is 0, at the end and within. */
static void end_is_zero(void **state)
{
    (void)state;
    char path[512];
    int32_t ids[16];
    int n;
    path_of(&sets[10], path);
    cliptok *t = load(path, &cliptok_openclip_clipa);
    assert_int_equal(cliptok_encode(t, "cat [SEP] cat", 13, ids, 16, &n), CLIP_OK);
    assert_int_equal(n, 5);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[2], 0);
    assert_int_equal(ids[4], 0);
    cliptok_free(t);
}

/* SimpleTokenizer has its own vocabulary, whatever else lies there. */
static void not_for_simple_tokenizer(void **state)
{
    (void)state;
    char path[512];
    clip_error err;
    cliptok *t;
    path_of(&sets[0], path);
    assert_int_equal(cliptok_load(path, &cliptok_openclip, &t, &err), CLIP_OK);
    assert_null(t);
}

/* A text is read only as far as needed, in growing beginnings. Whatever the room, the ids begin in
 * the same way. */
static void long_texts(void **state)
{
    (void)state;
    enum { WORDS = 20000, ROOM = 3 * WORDS };
    static const char words[] = "a photo of the small dog. ";
    size_t n = 0;
    char *text = malloc(WORDS * 8);
    int32_t *all = malloc(ROOM * sizeof *all), *some = malloc(ROOM * sizeof *some);
    while (n + sizeof words < WORDS * 8) {
        memcpy(text + n, words, sizeof words - 1);
        n += sizeof words - 1;
    }
    for (int i = 0; i < SETS; i++) {
        cliptok *t = load_set(&sets[i]);
        int full, k;
        assert_int_equal(cliptok_encode(t, text, n, all, ROOM, &full), CLIP_OK);
        for (int room = 2; room < ROOM; room = room * 3 + 1) {
            assert_int_equal(cliptok_encode(t, text, n, some, room, &k), CLIP_OK);
            assert_int_equal(k, room < full ? room : full);
            assert_memory_equal(all, some, (size_t)(k - 1) * sizeof *all);
            assert_int_equal(some[k - 1], cliptok_end_id(t));
        }
        memset(text + 100, 'a', 50000); /* one long word */
        assert_int_equal(cliptok_encode(t, text, n, some, 64, &k), CLIP_OK);
        for (size_t at = 100; at < 50100; at++)
            text[at] = words[at % (sizeof words - 1)];
        cliptok_free(t);
    }
    free(text);
    free(all);
    free(some);
}

/* ---- Damaged files --------------------------------------------------------------------------- */

static void copy_set(const struct set *s, const char *dir, char **file, size_t *n)
{
    char path[512];
    size_t size;
    path_of(s, path);
    *file = fixture_read(path, s->file, n);
    char *config = fixture_read(path, "tokenizer_config.json", &size);
    fixture_write(dir, "tokenizer_config.json", config, size);
    fixture_write(dir, s->file, *file, *n);
    free(config);
}

static void try_load(const char *dir, const struct set *s)
{
    clip_error err;
    cliptok *t;
    int32_t ids[CONTEXT];
    int n;
    const clip_status status = cliptok_load(dir, s->rules, &t, &err);
    assert_true(status == CLIP_OK || (err.code == status && err.message[0] != 0));
    if (t)
        assert_int_equal(cliptok_encode(t, "a photo \xE7\x8C\xAB of", 15, ids, CONTEXT, &n), CLIP_OK);
    cliptok_free(t);
}

/* Cut off anywhere, or with a byte changed: sound or refused, never anything else. */
static void damaged_files(void **state)
{
    (void)state;
    for (int i = 0; i < SETS; i++) {
        char dir[DIR_MAX], *file;
        size_t n;
        fixture_new(dir);
        copy_set(&sets[i], dir, &file, &n);
        for (size_t k = 0; k < n; k += k < 200 ? 7 : 97) {
            fixture_write(dir, sets[i].file, file, k);
            try_load(dir, &sets[i]);
        }
        for (size_t k = 0; k < n; k += k < 200 ? 5 : 61) {
            const char before = file[k];
            file[k] = (char)(before ^ (1 << k % 8));
            fixture_write(dir, sets[i].file, file, n);
            try_load(dir, &sets[i]);
            file[k] = before;
        }
        free(file);
        fixture_remove(dir);
    }
}

static void refuse(const char *dir, const cliptok_rules *rules, clip_status status, const char *part)
{
    clip_error err;
    cliptok *t;
    assert_int_equal(cliptok_load(dir, rules, &t, &err), status);
    assert_null(t);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not say '%s'", err.message, part);
}

static void faults_of_json(void **state)
{
    (void)state;
#define UNIGRAM(rest)                                                                                                  \
    "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"u\", 0], [\"a\", -1.5]]}" rest "}"
    static const struct {
        const char *text, *message;
        clip_status status;
    } cases[] = {
        {"{\"model\": {\"type\": \"Unigram\", \"unk_id\": 2, \"vocab\": [[\"a\", 0]]}}", "\"unk_id\" is not in",
         CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]]}}", "no id for unknown", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}}", "a piece and its score", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 1e999]]}}", "a number should be here", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -]]}}", "a number should be here", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0}}", "no \"vocab\"", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\", \"b\"]]}}",
         "not in the vocabulary", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": [\"a b\"]}}", "whose result",
         CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"aa\": 1}, \"merges\": [\"a a\", \"a a\"]}}",
         "merge 2 is there twice", CLIP_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"dropout\": 0.5, \"vocab\": {}, \"merges\": []}}", "\"dropout\"",
         CLIP_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"BPE\", \"ignore_merges\": true, \"vocab\": {}, \"merges\": []}}",
         "\"ignore_merges\"", CLIP_EUNSUPPORTED},
        {UNIGRAM(", \"normalizer\": {\"type\": \"NFKC\"}"), "normalizer \"NFKC\"", CLIP_EUNSUPPORTED},
        {UNIGRAM(", \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"x+\"}, \"content\": \"\"}"),
         "'x+'", CLIP_EUNSUPPORTED},
        {UNIGRAM(", \"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"!\"}"), "base64",
         CLIP_EFORMAT},
        {UNIGRAM(", \"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}"),
         "charsmap is damaged", CLIP_EFORMAT},
        {UNIGRAM(", \"pre_tokenizer\": {\"type\": \"Digits\"}"), "pre-tokenizer \"Digits\"", CLIP_EUNSUPPORTED},
        {UNIGRAM(
             ", \"post_processor\": {\"type\": \"TemplateProcessing\","
             " \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}]}"),
         "'x', which is not a token", CLIP_EFORMAT},
        {UNIGRAM(", \"post_processor\": {\"type\": \"ByteLevel\"}"), "\"ByteLevel\"", CLIP_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}}", "WordPiece with normalizer",
         CLIP_EUNSUPPORTED},
    };
    char dir[DIR_MAX];
    fixture_new(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_text(dir, "tokenizer.json", cases[i].text);
        refuse(dir, &cliptok_huggingface, cases[i].status, cases[i].message);
    }
    fixture_text(dir, "tokenizer.json", UNIGRAM(""));
    cliptok_free(load(dir, &cliptok_huggingface));
    fixture_text(dir, "tokenizer_config.json", "{\"padding_side\": \"left\"}");
    refuse(dir, &cliptok_huggingface, CLIP_EUNSUPPORTED, "\"padding_side\" is \"left\"");
    fixture_remove(dir);
}

static void faults_of_models(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *message;
        clip_status status;
    } cases[] = {
        {"", 0, "it has no pieces", CLIP_EFORMAT},
        {"\x0A\x05", 2, "damaged (byte", CLIP_EFORMAT}, /* a piece of 5 bytes, which end */
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, "damaged (byte", CLIP_EFORMAT},
        {"\x0A\x03\x0A\x01\xFF", 5, "piece 0 is damaged", CLIP_EFORMAT},                   /* not UTF-8 */
        {"\x0A\x08\x0A\x01x\x15\x00\x00\xC0\x7F", 10, "piece 0 is damaged", CLIP_EFORMAT}, /* not a number */
        {"\x0A\x03\x0A\x01x\x12\x02\x18\x03", 9, "of words or characters", CLIP_EUNSUPPORTED},
    };
    char dir[DIR_MAX];
    fixture_new(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_write(dir, "spiece.model", cases[i].bytes, cases[i].n);
        refuse(dir, &cliptok_siglip, cases[i].status, cases[i].message);
    }
    fixture_remove(dir);
}

static void memory_runs_out(void **state)
{
    (void)state;
    static const char text[] =
        "A photo, caf\xC3\xA9 \xE7\x8C\xAB &amp; <mask> \xF0\x9F\x98\x80 abababababababababababababababababab"
        "abababababababababababababababababababababababababababababab";
    for (int i = 0; i < SETS; i++) {
        char path[512];
        cliptok *t = NULL;
        clip_error err;
        path_of(&sets[i], path);
        for (long n = 1;; n++) {
            fail_alloc_at(n);
            const clip_status s = cliptok_load(path, sets[i].rules, &t, &err);
            if (!fail_alloc_stop()) {
                assert_int_equal(s, CLIP_OK);
                break;
            }
            assert_true(s == CLIP_ENOMEM);
            assert_null(t);
        }
        for (long n = 1;; n++) {
            int32_t ids[CONTEXT];
            int k;
            fail_alloc_at(n);
            const clip_status s = cliptok_encode(t, text, sizeof text - 1, ids, CONTEXT, &k);
            if (!fail_alloc_stop())
                break;
            assert_int_equal(s, CLIP_ENOMEM);
            assert_int_equal(k, 0);
        }
        cliptok_free(t);
    }
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

static void prefixes(void **state)
{
    (void)state;
    cliptok_pieces p;
    char word[200];
    clip_error err;
    const unsigned char *text = NULL;
    memset(word, 'a', sizeof word);
    assert_int_equal(cliptok_pieces_init(&p, 0), CLIP_OK);
    static const size_t lengths[] = {1, 3, 4, 62, 63, 64, 150};
    for (int i = 0; i < 7; i++)
        assert_int_equal(cliptok_pieces_add(&p, word, lengths[i], 10 * i, "test", &err), CLIP_OK);
    assert_int_equal(cliptok_pieces_add(&p, "b", 1, 20, "test", &err), CLIP_EFORMAT);
    assert_int_equal(cliptok_pieces_add(&p, "b", 1, CLIPTOK_MAX_PIECES, "test", &err), CLIP_ELIMIT);
    assert_int_equal(cliptok_pieces_add(&p, "aaa", 3, 11, "test", &err), CLIP_OK); /* the last one is found */
    assert_int_equal(cliptok_pieces_finish(&p), CLIP_OK);
    assert_int_equal(cliptok_pieces_find(&p, word, 3), 11);
    assert_int_equal(cliptok_pieces_find(&p, word, 5), -1);
    assert_int_equal(cliptok_pieces_text(&p, 30, &text), 62);
    assert_int_equal(cliptok_pieces_text(&p, 31, &text), 0);
    cliptok_prefix f;
    cliptok_prefix_begin(&f, &p, (const unsigned char *)word, (const unsigned char *)word + 100);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cliptok_prefix_next(&f), i == 1 ? 11 : 10 * i);
        assert_int_equal(f.n, lengths[i]);
    }
    assert_int_equal(cliptok_prefix_next(&f), -1);
    cliptok_pieces_free(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_ids),      cmocka_unit_test(special_tokens),
        cmocka_unit_test(end_is_zero),     cmocka_unit_test(not_for_simple_tokenizer),
        cmocka_unit_test(long_texts),      cmocka_unit_test(damaged_files),
        cmocka_unit_test(faults_of_json),  cmocka_unit_test(faults_of_models),
        cmocka_unit_test(memory_runs_out), cmocka_unit_test(prefixes),
    };
    golden = argc > 1 ? argv[1] : "golden";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
