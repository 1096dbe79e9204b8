/* What a model is known by: every setting that changes embeddings has a part in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/tower.h"

/* Where a struct within begins or ends, there may be more room than the next field alone needs. */
static size_t most_room(const clipmdl_field *f)
{
    static const char *const first[] = {"vision.eva.split", "vision.mlp_head", "text.hf_tokenizer"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (strcmp(f->name, first[i]) == 0)
            return 8;
    return f->size;
}

static void no_field_is_missing(void **state)
{
    (void)state;
    size_t end = 0;
    for (const clipmdl_field *f = clipmdl_fields; f->name; f++) {
        if (f->at < end || f->at - end >= most_room(f))
            fail_msg("fields.c lacks a field before %s, at %zu", f->name, end);
        end = f->at + f->size;
    }
    assert_true(sizeof(clipmdl_config) - end < sizeof(void *));
}

static void every_choice_has_words(void **state)
{
    (void)state;
    char plain[CLIPMDL_WORDS], words[CLIPMDL_WORDS];
    const clipmdl_config empty = {.vision.tower = &clipmdl_vit, .text.tower = &clipmdl_text};
    clipmdl_config full;
    memset(&full, 0, sizeof full);
    clipmdl_config_words(&empty, plain);
    for (const clipmdl_field *f = clipmdl_fields; f->name; f++) {
        clipmdl_config c = empty;
        if (f->kind == CLIPMDL_FIELD_SKIPPED)
            continue;
        const char *word = "openclip";
        if (f->kind == CLIPMDL_FIELD_WORD)
            memcpy((char *)&c + f->at, &word, sizeof word);
        else
            ((unsigned char *)&c)[f->at] = 1;
        clipmdl_config_words(&c, words);
        if (strcmp(words, plain) == 0)
            fail_msg("%s has no words", f->name);
        memset((unsigned char *)&full + f->at, f->kind == CLIPMDL_FIELD_WORD ? 0 : f->size == 1 ? 1 : 0xff, f->size);
    }
    assert_true(clipmdl_config_words(&full, words) < CLIPMDL_WORDS - 64); /* there is room for the longest */
    clipmdl_config other = empty;
    other.vision.tower = &clipmdl_resnet;
    clipmdl_config_words(&other, words);
    assert_string_not_equal(words, plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_field_is_missing),
        cmocka_unit_test(every_choice_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
