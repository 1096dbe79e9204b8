/* Which rules a checkpoint's texts are read by: from the names of families (`tokenizer` in
 * model/family/family.h) to the rows of the text room, and what OpenCLIP has to find beside the
 * weights to read texts in the same way. */
#include <string.h>

#include "engine/engine.h"

/* Does a checkpoint in OpenCLIP's layout need its own tokenizer's files? */
typedef enum own_files {
    NEVER,           /* OpenCLIP's own tokenizer reads texts */
    FOR_OTHER_WORDS, /* unless the vocabulary is the one that OpenCLIP has */
    ALWAYS           /* its HFTokenizer reads texts */
} own_files;

typedef struct program {
    const char *name;
    const cliptok_rules *rules;
    own_files own;
    const char *with_hf; /* the program that takes over where OpenCLIP uses its HFTokenizer; NULL: none */
} program;

static const program programs[] = {
    {"openclip", &cliptok_openclip, NEVER, "openclip-hf"},
    {"openclip-hf", &cliptok_openclip_hf, ALWAYS, NULL},
    {"openclip-canonical", &cliptok_openclip_canonical, ALWAYS, NULL},
    {"openclip-clipa", &cliptok_openclip_clipa, ALWAYS, NULL},
    {"huggingface", &cliptok_huggingface, FOR_OTHER_WORDS, NULL},
    {"siglip", &cliptok_siglip, ALWAYS, NULL},
    {"siglip2", &cliptok_siglip2, ALWAYS, NULL},
};

static const program *find_program(const char *name)
{
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    return NULL;
}

clip_status clipeng_rules_choose(const clipmdl_family *f, const clipmdl_text_config *t, int vocabulary, bool bpe,
                                 const cliptok_rules **out, clip_error *err)
{
    const bool own = f->vocabulary == 0 || vocabulary == f->vocabulary || bpe;
    const program *p = find_program(t->tokenizer ? t->tokenizer : own ? f->tokenizer : "huggingface");
    if (p && p->with_hf && t->hf_tokenizer)
        p = find_program(p->with_hf);
    *out = p ? p->rules : NULL;
    return p ? CLIP_OK
             : clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "%s's layout names the tokenizer '%s', whose rules are unknown",
                          f->name, f->tokenizer);
}

bool clipeng_rules_need_files(const cliptok *tokenizer)
{
    if (!tokenizer)
        return false;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (programs[i].rules == cliptok_follows(tokenizer))
            return programs[i].own == ALWAYS || (programs[i].own == FOR_OTHER_WORDS &&
                                                 cliptok_vocab_size(tokenizer) != CLIPMDL_OPENAI_VOCABULARY);
    return false;
}
