/* Settings: the files, and the list of added tokens that they make together. */
#include "text/settings.h"

#include <stdlib.h>
#include <string.h>


enum { MAX_ADDED = 20000, MAX_TEXT = 1024 };

static const char *const names[CLIPTOK_ROLES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                 "pad_token", "cls_token", "mask_token"};

static const cJSON *get(const cJSON *o, const char *key)
{
    const cJSON *v = o ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
    return v && !cJSON_IsNull(v) ? v : NULL;
}

clip_status cliptok_settings_load(cliptok_settings *s, const char *dir, clip_error *err)
{
    const char *class = "", *side = "right";
    *s = (cliptok_settings){0};
    TRY(cliptok_object_read(dir, "tokenizer_config.json", &s->config, err));
    TRY(cliptok_object_read(dir, "special_tokens_map.json", &s->special, err));
    TRY(cliptok_object_read(dir, "added_tokens.json", &s->added, err));
    if (s->config)
        TRY(clipb_json_string(s->config, "tokenizer_class", &class, dir, err));
    if (s->config)
        TRY(clipb_json_string(s->config, "padding_side", &side, dir, err));
    if (strcmp(side, "right") != 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, dir,
                          "tokenizer_config.json: \"padding_side\" is \"%.40s\": only \"right\" is supported", side);
    size_t n = strlen(class);
    n -= n > 4 && strcmp(class + n - 4, "Fast") == 0 ? 4 : 0;
    if (n < sizeof s->class)
        memcpy(s->class, class, n);
    return CLIP_OK;
}

void cliptok_settings_free(cliptok_settings *s)
{
    cJSON_Delete(s->config);
    cJSON_Delete(s->special);
    cJSON_Delete(s->added);
    *s = (cliptok_settings){0};
}

/* ---- Added tokens ---------------------------------------------------------------------------- */

typedef struct collector {
    const cliptok_vocabulary *v;
    cliptok_added_list *list;
    int32_t next; /* the next free id */
    const char *dir;
    clip_error *err;
} collector;

/* The id of an added token: in the list, in the vocabulary; -1: it has none yet. */
static int32_t id_of(const collector *c, const char *text, size_t n)
{
    for (size_t i = 0; i < c->list->n; i++)
        if (c->list->token[i].n == n && memcmp(c->list->token[i].text, text, n) == 0)
            return c->list->token[i].id;
    return cliptok_pieces_find(&c->v->pieces, text, n);
}

/* A token of another kind with the same text must not stay. */
static void remove_other(cliptok_added_list *list, const char *text, size_t n, bool normalized)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->token[i].n == n && list->token[i].normalized != normalized &&
            memcmp(list->token[i].text, text, n) == 0) {
            free(list->token[i].text);
            list->token[i] = list->token[--list->n];
            return;
        }
}

/* Add a token: a string, or {"content": .., "lstrip": .., ..}.
 * wanted  in   its id where the vocabulary does not have it; -1: the next free one
 * keep    in   a token that is in the list already stays as it is */
static clip_status collect(collector *c, const cJSON *v, bool special, int32_t wanted, bool keep, int32_t *id)
{
    const char *text = cJSON_IsString(v) ? v->valuestring : NULL;
    bool single_word = false;
    cliptok_added t = {0};
    if (cJSON_IsObject(v)) {
        TRY(clipb_json_string(v, "content", &text, c->dir, c->err));
        TRY(clipb_json_bool(v, "special", &special, c->dir, c->err));
        t.normalized = !special;
        TRY(clipb_json_bool(v, "normalized", &t.normalized, c->dir, c->err));
        TRY(clipb_json_bool(v, "lstrip", &t.strips_left, c->dir, c->err));
        TRY(clipb_json_bool(v, "rstrip", &t.strips_right, c->dir, c->err));
        TRY(clipb_json_bool(v, "single_word", &single_word, c->dir, c->err));
    } else
        t.normalized = !special;
    const size_t n = text ? strlen(text) : 0;
    if (!text || n > MAX_TEXT)
        return clipb_fail(c->err, CLIP_EFORMAT, c->dir, "an added token is not a string, or too long a one");
    if (single_word)
        return clipb_fail(c->err, CLIP_EUNSUPPORTED, c->dir, "added token '%s' with \"single_word\"", text);
    if (c->list->n == MAX_ADDED)
        return clipb_fail(c->err, CLIP_ELIMIT, c->dir, "more than %d added tokens", MAX_ADDED);
    const int32_t known = id_of(c, text, n);
    bool listed = false;
    for (size_t i = 0; i < c->list->n && !listed; i++)
        listed = c->list->token[i].n == n && memcmp(c->list->token[i].text, text, n) == 0;
    t.id = known >= 0 ? known : wanted >= 0 ? wanted : c->next;
    if (t.id >= CLIPTOK_MAX_PIECES)
        return clipb_fail(c->err, CLIP_ELIMIT, c->dir, "more than %d tokens", CLIPTOK_MAX_PIECES);
    *id = t.id;
    if (t.id >= c->next)
        c->next = t.id + 1;
    if (n == 0 || (keep && listed))
        return CLIP_OK;
    if (listed)
        remove_other(c->list, text, n, t.normalized);
    return cliptok_added_put(c->list, text, n, t);
}

static clip_status collect_lists(collector *c, const cliptok_settings *s)
{
    const cJSON *v;
    int32_t id;
    cJSON_ArrayForEach(v, c->v->added_tokens)
    {
        int wanted = -1;
        TRY(clipb_json_int(v, "id", 0, CLIPTOK_MAX_PIECES - 1, &wanted, c->dir, c->err));
        TRY(collect(c, v, false, wanted, false, &id));
    }
    cJSON_ArrayForEach(v, get(s->config, "added_tokens_decoder"))
        TRY(collect(c, v, false, (int32_t)strtol(v->string, NULL, 10), false, &id));
    if (get(s->config, "added_tokens_decoder"))
        return CLIP_OK;
    cJSON_ArrayForEach(v, s->added)
    {
        if (!cJSON_IsNumber(v) || v->valueint < 0)
            return clipb_fail(c->err, CLIP_EFORMAT, c->dir, "added_tokens.json: the id of '%s' is not a number",
                              v->string);
        const cJSON text = {.type = cJSON_String, .valuestring = v->string};
        TRY(collect(c, &text, false, v->valueint, true, &id));
    }
    return CLIP_OK;
}

clip_status cliptok_settings_tokens(const cliptok_settings *s, const cliptok_vocabulary *v,
                                    const char *const own[CLIPTOK_ROLES], cliptok_added_list *list,
                                    int32_t role[CLIPTOK_ROLES], const char *dir, clip_error *err)
{
    static const char *const more[] = {"extra_special_tokens", "additional_special_tokens"};
    *list = (cliptok_added_list){.start = -1, .end = -1, .unknown = -1, .pad = -1};
    collector c = {v, list, (int32_t)v->pieces.n, dir, err};
    TRY(collect_lists(&c, s));
    for (int i = 0; i < CLIPTOK_ROLES; i++) {
        const cJSON *t = get(s->special, names[i]);
        const cJSON named = {.type = cJSON_String, .valuestring = own && own[i] ? (char *)(uintptr_t)own[i] : NULL};
        if (!t)
            t = get(s->config, names[i]);
        if (!t && named.valuestring)
            t = &named;
        role[i] = -1;
        if (t)
            TRY(collect(&c, t, true, -1, cJSON_IsString(t), &role[i]));
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        const cJSON *tokens = get(s->special, more[i]), *t;
        int32_t id;
        if (!tokens)
            tokens = get(s->config, more[i]);
        cJSON_ArrayForEach(t, tokens) TRY(collect(&c, t, true, -1, true, &id));
    }
    list->vocab_size = c.next;
    return CLIP_OK;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

int32_t cliptok_settings_find(const cliptok_added_list *list, const cliptok_pieces *pieces, const char *text)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < list->n; i++)
        if (list->token[i].n == n && memcmp(list->token[i].text, text, n) == 0)
            return list->token[i].id;
    return cliptok_pieces_find(pieces, text, n);
}

/* Where beginning and end are looked up, and put. */
typedef struct ends {
    const cliptok_added_list *list;
    const cliptok_pieces *pieces;
    int32_t *start, *end;
} ends;

/* "single" of a TemplateProcessing: at most one token before the text and one behind it. */
static clip_status read_template(const ends *e, const cJSON *o, const char *file, clip_error *err)
{
    const cJSON *v, *special;
    bool behind = false, fits = true;
    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "single"))
    {
        const char *text = NULL;
        special = cJSON_IsObject(v) ? cJSON_GetObjectItemCaseSensitive(v, "SpecialToken") : NULL;
        if (!cJSON_IsObject(special)) {
            fits = fits && !behind;
            behind = true;
            continue;
        }
        TRY(clipb_json_string(special, "id", &text, file, err));
        int32_t *id = behind ? e->end : e->start;
        fits = fits && *id < 0;
        *id = text ? cliptok_settings_find(e->list, e->pieces, text) : -1;
        if (*id < 0)
            return clipb_fail(err, CLIP_EFORMAT, file, "\"post_processor\" names '%s', which is not a token",
                              text ? text : "");
    }
    return fits && behind
               ? CLIP_OK
               : clipb_fail(err, CLIP_EUNSUPPORTED, file, "a \"post_processor\" with several tokens in a row");
}

clip_status cliptok_settings_ends(const cJSON *o, const cliptok_added_list *list, const cliptok_pieces *pieces,
                                  int32_t *start, int32_t *end, const char *file, clip_error *err)
{
    const ends e = {list, pieces, start, end};
    static const char *const key[] = {"cls", "sep"};
    const char *type = "";
    TRY(clipb_json_string(o, "type", &type, file, err));
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(&e, o, file, err);
    if (strcmp(type, "RobertaProcessing") != 0 && strcmp(type, "BertProcessing") != 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"post_processor\" \"%s\"", type);
    for (int i = 0; i < 2; i++) {
        const cJSON *text = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, key[i]), 0);
        const int32_t id = cJSON_IsString(text) ? cliptok_settings_find(list, pieces, text->valuestring) : -1;
        if (id < 0)
            return clipb_fail(err, CLIP_EFORMAT, file, "\"post_processor\": \"%s\" is not a token", key[i]);
        *(i == 0 ? start : end) = id;
    }
    return CLIP_OK;
}
