/* A second kind of tokenizer, by one file and one row: words between blanks, from words.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "fixture.h"

typedef struct toy {
    cliptok base;
    unsigned char *words; /* a word a line: ids from 2 on; 0 begins a text, 1 ends it */
    size_t size;
} toy;

static void toy_free(cliptok *t)
{
    free(((toy *)t)->words);
    free(t);
}

static int32_t toy_find(const toy *t, const char *word, size_t n)
{
    int32_t id = 2;
    for (size_t from = 0, i = 0; i < t->size; i++)
        if (t->words[i] == '\n') {
            if (i - from == n && memcmp(t->words + from, word, n) == 0)
                return id;
            from = i + 1;
            id++;
        }
    return -1;
}

static clip_status toy_encode(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    int k = 0;
    ids[k++] = t->start;
    for (size_t i = 0; i < size && k < capacity - 1;) {
        size_t from = i;
        while (i < size && text[i] != ' ')
            i++;
        int32_t id = i > from ? toy_find((const toy *)t, text + from, i - from) : -1;
        if (id >= 0)
            ids[k++] = id;
        i++;
    }
    ids[k++] = t->end;
    *n = k;
    return CLIP_OK;
}

static clip_status toy_load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err);
static const cliptok_class toy_class = {toy_load, toy_encode, NULL, toy_free, NULL};

static clip_status toy_load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err)
{
    char path[2 * DIR_MAX];
    fixture_path(dir, "words.txt", path);
    *out = NULL;
    if (!clipb_is_file(path))
        return CLIP_OK;
    toy *t = calloc(1, sizeof *t);
    if (!t)
        return CLIP_ENOMEM;
    t->base = (cliptok){.class = &toy_class, .rules = rules, .start = 0, .end = 1, .pad = 1, .vocab_size = 2};
    clip_status s = clipb_read_file(path, 1 << 20, &t->words, &t->size, err);
    for (size_t i = 0; s == CLIP_OK && i < t->size; i++)
        t->base.vocab_size += t->words[i] == '\n';
    snprintf(t->base.source, sizeof t->base.source, "words.txt");
    if (s == CLIP_OK)
        *out = &t->base;
    else
        toy_free(&t->base);
    return s;
}

static void a_tokenizer_is_asked_through_the_interface(void **state)
{
    (void)state;
    char dir[DIR_MAX];
    cliptok *t;
    clip_error err;
    fixture_new(dir);
    assert_int_equal(toy_class.load(dir, &cliptok_huggingface, &t, &err), CLIP_OK);
    assert_null(t);
    fixture_text(dir, "words.txt", "a\ncat\ndog\n");
    assert_int_equal(toy_class.load(dir, &cliptok_huggingface, &t, &err), CLIP_OK);
    assert_int_equal(cliptok_vocab_size(t), 5);
    assert_int_equal(cliptok_pad_id(t), 1);
    assert_int_equal(cliptok_inner_id(t, 3), 3);
    assert_string_equal(cliptok_source(t), "words.txt");
    int32_t ids[4];
    int n;
    assert_int_equal(cliptok_encode(t, "a dog  here", 11, ids, 4, &n), CLIP_OK);
    const int32_t expected[] = {0, 2, 4, 1};
    assert_int_equal(n, 4);
    assert_memory_equal(ids, expected, sizeof expected);
    assert_int_equal(cliptok_encode(t, "a dog", 5, ids, 3, &n), CLIP_OK); /* cut: the end stays */
    assert_int_equal(n, 3);
    assert_int_equal(ids[2], 1);
    assert_int_equal(cliptok_encode(t, "a", 1, ids, 1, &n), CLIP_EINVAL);
    fixture_remove(dir);
    cliptok_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tokenizer_is_asked_through_the_interface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
