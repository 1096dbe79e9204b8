/* The language of a context's texts. Texts of NLLB's tokenizer begin with a token of their
 * language, in place of which another one is put, as transformers' set_src_lang_special_tokens()
 * does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

typedef struct language {
    int32_t id; /* of its token; -1: the tokenizer's own */
    char name[CLIPENG_LANGUAGE];
} language;

static const char slot; /* its address is the key; the value is a language */

clip_status clipeng_tokenize_in_language(const clip_context *c, const char *text, int32_t *ids, int *n)
{
    const language *l = clipeng_slot_get(c, &slot);
    TRY(clipeng_tokenize(c->model, text, ids, n));
    if (l && l->id >= 0)
        ids[0] = l->id;
    return CLIP_OK;
}

const char *clipeng_context_language(const clip_context *c)
{
    const language *l = clipeng_slot_get(c, &slot);
    return l && l->id >= 0 ? l->name : c->model->tokenizer ? cliptok_language(c->model->tokenizer) : "";
}

static bool all_between(const char *p, size_t n, char lo, char hi)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < lo || p[i] > hi)
            return false;
    return true;
}

/* Written as NLLB writes languages: "deu_Latn". */
static bool is_language(const char *name)
{
    return strlen(name) == 8 && all_between(name, 3, 'a', 'z') && name[3] == '_' &&
           all_between(name + 4, 1, 'A', 'Z') && all_between(name + 5, 3, 'a', 'z');
}

static clip_status unknown(const clip_model *m, const char *name, clip_error *err)
{
    static const char *const common[] = {"eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "rus_Cyrl",
                                         "arb_Arab", "hin_Deva", "zho_Hans", "jpn_Jpan", "kor_Hang"};
    char list[128] = "";
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        const size_t used = strlen(list);
        if (cliptok_find(m->tokenizer, common[i]) >= 0)
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", common[i]);
    }
    return clipb_fail(err, CLIP_EINVAL, m->path, "its tokenizer has no language '%s': they are written %s%s", name,
                      *list ? "like " : "like deu_Latn", list);
}

clip_status clipeng_context_set_language(clip_context *c, const char *name, clip_error *err)
{
    const clip_model *m = c ? c->model : NULL;
    if (err)
        *err = (clip_error){0};
    if (!m)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no context");
    if (!m->tokenizer || !*cliptok_language(m->tokenizer))
        return name ? clipb_fail(err, CLIP_EUNSUPPORTED, m->path,
                                 "its texts have no token that names their language, as NLLB's have")
                    : CLIP_OK;
    const int32_t id = !name ? -1 : is_language(name) ? cliptok_find(m->tokenizer, name) : -1;
    if (name && id < 0)
        return unknown(m, name, err);
    language *kept = clipeng_slot_get(c, &slot);
    if (!kept) {
        kept = malloc(sizeof *kept);
        if (!kept || clipeng_slot_fill(c, &slot, kept, free) < 0)
            return clipb_nomem(err, m->path);
    }
    *kept = (language){.id = id};
    snprintf(kept->name, sizeof kept->name, "%s", name ? name : "");
    return CLIP_OK;
}
