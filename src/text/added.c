/* Added tokens: collected from the configuration files, numbered, found in a text. */
#include "text/added.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"
#include "text/vocab.h"

enum { FILE_LIMIT = 16 << 20, MAX_ADDED = 1000, MAX_TEXT = 1024 };
#define SPECIAL LONG_MAX

/* An added token as a file names it. */
typedef struct named {
    const char *text; /* in a cJSON tree */
    long order;       /* in which tokens get their ids; SPECIAL: after those of the lists, as they come */
    bool normalized;
    bool string; /* not an object with a "content" */
} named;

typedef struct named_list {
    named *token;
    size_t n, capacity;
} named_list;

/* The configuration files; each may be missing. */
typedef struct files {
    cJSON *config, *special, *added;
    const cJSON *decoder;
} files;

static const cJSON *get(const cJSON *o, const char *key)
{
    const cJSON *v = o ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
    return v && !cJSON_IsNull(v) ? v : NULL;
}

/* A token is a string, or {"content": .., "normalized": .., "special": .., ..}. */
static clip_status read_token(const cJSON *v, bool special, long order, named *out, const char *dir, clip_error *err)
{
    const char *text = cJSON_IsString(v) ? v->valuestring : NULL;
    bool single_word = false;
    if (cJSON_IsObject(v)) {
        TRY(clipb_json_string(v, "content", &text, dir, err));
        TRY(clipb_json_bool(v, "single_word", &single_word, dir, err));
        TRY(clipb_json_bool(v, "special", &special, dir, err));
    }
    if (!text || strlen(text) > MAX_TEXT)
        return clipb_fail(err, CLIP_EFORMAT, dir, "an added token is not a string, or too long a one");
    if (single_word)
        return clipb_fail(err, CLIP_EUNSUPPORTED, dir, "added token '%s' with \"single_word\"", text);
    *out = (named){text, order, !special, cJSON_IsString(v)};
    return cJSON_IsObject(v) ? clipb_json_bool(v, "normalized", &out->normalized, dir, err) : CLIP_OK;
}

static clip_status append(named_list *list, named t)
{
    if (list->n == MAX_ADDED)
        return CLIP_ELIMIT;
    TRY(clipb_grow((void **)&list->token, &list->capacity, list->n + 1, sizeof *list->token));
    list->token[list->n++] = t;
    return CLIP_OK;
}

/* Add a token of a list. It replaces one with the same number. */
static clip_status add_listed(named_list *list, named t)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->token[i].order == t.order) {
            list->token[i] = t;
            return CLIP_OK;
        }
    return append(list, t);
}

/* Add a special token, unless a list has its text, or the same token was there before. A token with
 * the same text but other properties is added again, and its properties count. transformers does so
 * because it compares strings with objects. */
static clip_status add_special(named_list *list, named t)
{
    for (size_t i = 0; i < list->n; i++) {
        const named *u = &list->token[i];
        if (strcmp(u->text, t.text) == 0 &&
            (u->order != SPECIAL || (u->normalized == t.normalized && u->string == t.string)))
            return CLIP_OK;
    }
    return append(list, t);
}

static int compare_order(const void *a, const void *b)
{
    const named *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static const char *const attributes[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};

/* The value of bos_token and so on; NULL: the file leaves CLIPTokenizer's own. */
static const cJSON *attribute(const files *f, const char *key)
{
    const cJSON *v = f->decoder ? NULL : get(f->special, key);
    return v ? v : get(f->config, key);
}

static bool is_special_text(const files *f, const char *text)
{
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const cJSON *v = attribute(f, attributes[i]);
        const cJSON *content = cJSON_IsObject(v) ? get(v, "content") : v;
        if (cJSON_IsString(content) && strcmp(content->valuestring, text) == 0)
            return true;
    }
    return false;
}

static clip_status read_lists(const files *f, const cJSON *from_tokenizer, named_list *out, const char *dir,
                              clip_error *err)
{
    const cJSON *v;
    named t;
    cJSON_ArrayForEach(v, f->decoder) {
        TRY(read_token(v, false, strtol(v->string, NULL, 10), &t, dir, err));
        TRY(add_listed(out, t));
    }
    if (!f->decoder) {
        cJSON_ArrayForEach(v, f->added) {
            if (!cJSON_IsNumber(v))
                return clipb_fail(err, CLIP_EFORMAT, dir, "added_tokens.json: the id of '%s' is not a number",
                                  v->string);
            TRY(add_listed(out, (named){v->string, v->valueint, !is_special_text(f, v->string), true}));
        }
        cJSON_ArrayForEach(v, from_tokenizer) {
            int id = 0;
            TRY(clipb_json_int(v, "id", 0, CLIPTOK_MAX_TOKENS, &id, dir, err));
            TRY(read_token(v, false, id, &t, dir, err));
            TRY(add_listed(out, t));
        }
    }
    if (out->n > 0)
        qsort(out->token, out->n, sizeof *out->token, compare_order);
    return CLIP_OK;
}

/* The special tokens that no list has, then the additional ones. */
static clip_status read_attributes(const files *f, named_list *out, const char *dir, clip_error *err)
{
    named t;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const cJSON *v = attribute(f, attributes[i]);
        if (v) {
            TRY(read_token(v, true, SPECIAL, &t, dir, err));
            TRY(add_special(out, t));
        } else if (i == 0 || i == 1 || i == 2 || i == 4)
            TRY(add_special(out, (named){i == 0 ? CLIPTOK_START : CLIPTOK_END, SPECIAL, false, true}));
    }
    const cJSON *more = attribute(f, "extra_special_tokens"), *v;
    if (!more)
        more = attribute(f, "additional_special_tokens");
    cJSON_ArrayForEach(v, more) {
        TRY(read_token(v, true, SPECIAL, &t, dir, err));
        TRY(add_special(out, t));
    }
    return CLIP_OK;
}

/* A token's text as it stands in a cleaned text. */
static clip_status normalize(const char *text, cliptok_added *out)
{
    cliptok_points a = {0}, b = {0};
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    clip_status s = CLIP_OK;
    while (s == CLIP_OK && p < end)
        s = cliptok_points_put(&a, cliptok_utf8_next(&p, end));
    if (s == CLIP_OK)
        s = cliptok_nfc(a.c, a.n, &cliptok_unicode_rust, &b);
    a.n = 0;
    if (s == CLIP_OK)
        s = cliptok_lower(b.c, b.n, &cliptok_unicode_rust, &a);
    if (s == CLIP_OK && !(out->text = malloc(4 * a.n + 1)))
        s = CLIP_ENOMEM;
    for (size_t i = 0; s == CLIP_OK && i < a.n; i++)
        out->n += (size_t)cliptok_utf8_put(a.c[i], (unsigned char *)out->text + out->n);
    cliptok_points_free(&a);
    cliptok_points_free(&b);
    return s;
}

static clip_status put(cliptok_added_list *list, const named *t, int32_t id, const char *dir, clip_error *err)
{
    if (t->normalized && strpbrk(t->text, " \t\n\r\f\v"))
        return clipb_fail(err, CLIP_EUNSUPPORTED, dir, "added token '%s' has spaces and is \"normalized\"", t->text);
    TRY(clipb_grow((void **)&list->token, &list->capacity, list->n + 1, sizeof *list->token));
    cliptok_added *a = &list->token[list->n++];
    *a = (cliptok_added){.id = id, .normalized = t->normalized};
    if (t->normalized)
        TRY(normalize(t->text, a));
    else {
        a->text = strdup(t->text);
        if (!a->text)
            return CLIP_ENOMEM;
        a->n = strlen(t->text);
    }
    return CLIP_OK;
}

/* Where several tokens have the same text, it has the place of the first and the properties of the
 * last. NULL: token i is not the first. */
static const named *last_of_first(const named_list *names, size_t i)
{
    const named *last = &names->token[i];
    for (size_t k = 0; k < names->n; k++)
        if (strcmp(names->token[k].text, last->text) == 0) {
            if (k < i)
                return NULL;
            last = &names->token[k];
        }
    return last;
}

/* Give each token its id: that of the vocabulary, or the next free one. */
static clip_status number(cliptok_added_list *list, const named_list *names, const files *f, const cliptok_bpe *b,
                          const char *dir, clip_error *err)
{
    int32_t *const wanted[] = {&list->start, &list->end, &list->unknown, NULL, &list->pad}; /* as in `attributes` */
    int32_t next = (int32_t)b->used_slots;
    list->vocab_size = (int32_t)b->n_tokens;
    for (size_t i = 0; i < names->n; i++) {
        const named *t = last_of_first(names, i);
        if (!t)
            continue;
        int32_t id = cliptok_bpe_find(b, t->text, strlen(t->text));
        if (id < 0)
            id = next;
        if (id >= next)
            next = id + 1;
        if (id >= list->vocab_size)
            list->vocab_size = id + 1;
        TRY(put(list, t, id, dir, err));
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
            const cJSON *v = attribute(f, attributes[k]);
            const char *own = k == 0 ? CLIPTOK_START : CLIPTOK_END;
            if (!wanted[k])
                continue;
            if (v)
                v = cJSON_IsObject(v) ? get(v, "content") : v;
            if (strcmp(v ? v->valuestring : own, t->text) == 0)
                *wanted[k] = id;
        }
    }
    return CLIP_OK;
}

clip_status cliptok_object_read(const char *dir, const char *name, cJSON **out, clip_error *err)
{
    char *path = clipb_path_join(dir, name);
    if (!path)
        return CLIP_ENOMEM;
    clip_status s = clipb_is_file(path) ? clipb_json_read(path, FILE_LIMIT, out, err) : CLIP_OK;
    if (s == CLIP_OK && *out && !cJSON_IsObject(*out))
        s = clipb_fail(err, CLIP_EFORMAT, path, "not an object");
    free(path);
    return s;
}

clip_status cliptok_added_load(cliptok_added_list *list, const char *dir, const cJSON *from_tokenizer,
                               const cliptok_bpe *b, clip_error *err)
{
    files f = {0};
    named_list names = {0};
    *list = (cliptok_added_list){.start = -1, .end = -1, .unknown = -1, .pad = -1};
    clip_status s = cliptok_object_read(dir, "tokenizer_config.json", &f.config, err);
    if (s == CLIP_OK)
        s = cliptok_object_read(dir, "special_tokens_map.json", &f.special, err);
    if (s == CLIP_OK)
        s = cliptok_object_read(dir, "added_tokens.json", &f.added, err);
    f.decoder = get(f.config, "added_tokens_decoder");
    if (s == CLIP_OK)
        s = read_lists(&f, from_tokenizer, &names, dir, err);
    if (s == CLIP_OK)
        s = read_attributes(&f, &names, dir, err);
    if (s == CLIP_ELIMIT)
        clipb_fail(err, CLIP_ELIMIT, dir, "more than %d added tokens", MAX_ADDED);
    if (s == CLIP_OK)
        s = number(list, &names, &f, b, dir, err);
    cliptok_added_index(list);
    cJSON_Delete(f.config);
    cJSON_Delete(f.special);
    cJSON_Delete(f.added);
    free(names.token);
    return s;
}

void cliptok_added_free(cliptok_added_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->token[i].text);
    free(list->token);
    *list = (cliptok_added_list){0};
}

clip_status cliptok_added_put(cliptok_added_list *list, const char *text, size_t n, cliptok_added token)
{
    for (size_t i = 0; i < list->n; i++) {
        cliptok_added *a = &list->token[i];
        if (a->n == n && memcmp(a->text, text, n) == 0 && a->normalized == token.normalized) {
            token.text = a->text;
            token.n = n;
            *a = token;
            return CLIP_OK;
        }
    }
    TRY(clipb_grow((void **)&list->token, &list->capacity, list->n + 1, sizeof *list->token));
    token.text = malloc(n + 1);
    if (!token.text)
        return CLIP_ENOMEM;
    memcpy(token.text, text, n);
    token.text[n] = 0;
    token.n = n;
    list->token[list->n++] = token;
    return CLIP_OK;
}

static int compare_for_index(const void *a, const void *b)
{
    const cliptok_added *x = a, *y = b;
    if (x->normalized != y->normalized)
        return x->normalized ? 1 : -1;
    const unsigned char p = x->n > 0 ? (unsigned char)x->text[0] : 0, q = y->n > 0 ? (unsigned char)y->text[0] : 0;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1; /* the longest counts, so it is looked for first */
    return (x->id > y->id) - (x->id < y->id);
}

void cliptok_added_index(cliptok_added_list *list)
{
    if (list->n > 0)
        qsort(list->token, list->n, sizeof *list->token, compare_for_index);
    uint32_t i = 0;
    for (int normalized = 0; normalized < 2; normalized++)
        for (int c = 0; c <= 256; c++) {
            while (c > 0 && i < list->n && list->token[i].normalized == normalized &&
                   (list->token[i].n == 0 || (unsigned char)list->token[i].text[0] == c - 1))
                i++;
            list->first[normalized][c] = i;
        }
}

const cliptok_added *cliptok_added_find(const cliptok_added_list *list, bool normalized, const unsigned char *p,
                                        const unsigned char *end, const unsigned char **at)
{
    const uint32_t *first = list->first[normalized];
    for (; first[0] < first[256] && p < end; p++)
        for (uint32_t i = first[*p]; i < first[*p + 1]; i++) {
            const cliptok_added *a = &list->token[i];
            if (a->n > 0 && a->n <= (size_t)(end - p) && memcmp(p, a->text, a->n) == 0) {
                *at = p;
                return a;
            }
        }
    return NULL;
}
