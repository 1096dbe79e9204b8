/* Every tokenizer through its class; the table of those that files are asked for. */
#include "text/tokenizer.h"

static const cliptok_class *const classes[] = {&cliptok_sentence_piece, &cliptok_word_piece, &cliptok_byte_pair};

clip_status cliptok_load(const char *dir, const cliptok_rules *rules, cliptok **out, clip_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !*out; i++)
        TRY(classes[i]->load(dir, rules, out, err));
    return CLIP_OK;
}

void cliptok_free(cliptok *t)
{
    if (t)
        t->class->free(t);
}

clip_status cliptok_encode(const cliptok *t, const char *text, size_t size, int32_t *ids, int capacity, int *n)
{
    *n = 0;
    return capacity < 2 ? CLIP_EINVAL : t->class->encode(t, text, size, ids, capacity, n);
}

int32_t cliptok_inner_id(const cliptok *t, int32_t id) { return t->class->inner_id ? t->class->inner_id(t, id) : id; }
const char *cliptok_language(const cliptok *t) { return t->language; }

int32_t cliptok_find(const cliptok *t, const char *text) { return t->class->find ? t->class->find(t, text) : -1; }
int cliptok_vocab_size(const cliptok *t) { return t->vocab_size; }
int cliptok_start_id(const cliptok *t) { return t->start; }
int cliptok_end_id(const cliptok *t) { return t->end; }
int cliptok_pad_id(const cliptok *t) { return t->pad; }
bool cliptok_is_byte_pair(const cliptok *t) { return t->class == &cliptok_byte_pair; }

const cliptok_rules *cliptok_follows(const cliptok *t) { return t->rules; }
const char *cliptok_source(const cliptok *t) { return t->source; }
