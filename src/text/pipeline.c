/* Pipelines: reading them, and the steps. */
#include "text/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

clip_status cliptok_pipeline_add(cliptok_pipeline *p, cliptok_step step, const char *file, clip_error *err)
{
    if (p->steps == CLIPTOK_MAX_STEPS)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "a normalizer of more than %d steps", CLIPTOK_MAX_STEPS);
    p->step[p->steps++] = step;
    return CLIP_OK;
}

void cliptok_pipeline_free(cliptok_pipeline *p)
{
    cliptok_charsmap_free(&p->charsmap);
    *p = (cliptok_pipeline){0};
}

/* ---- Reading --------------------------------------------------------------------------------- */

static clip_status unsupported(const char *what, const char *type, const char *file, clip_error *err)
{
    return clipb_fail(err, CLIP_EUNSUPPORTED, file, "%s \"%s\" as it is set there", what, type);
}

static int base64_digit(int c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static clip_status set_charsmap(cliptok_pipeline *p, const cJSON *o, const char *file, clip_error *err)
{
    const char *text = "";
    TRY(clipb_json_string(o, "precompiled_charsmap", &text, file, err));
    const size_t n = strlen(text);
    unsigned char *data = malloc(n + 1);
    size_t k = 0, i = 0;
    uint32_t bits = 0;
    if (!data)
        return CLIP_ENOMEM;
    for (; i < n && base64_digit(text[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)base64_digit(text[i]);
        if (i % 4 != 0)
            data[k++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    clip_status s = CLIP_OK;
    if (n % 4 != 0 || n - i > 2 || strspn(text + i, "=") != n - i)
        s = clipb_fail(err, CLIP_EFORMAT, file, "\"precompiled_charsmap\" is not in base64");
    cliptok_charsmap_free(&p->charsmap);
    if (s == CLIP_OK)
        s = cliptok_charsmap_set(&p->charsmap, data, k, file, err);
    free(data);
    return s;
}

/* {"pattern": {"String": "a"} or {"Regex": " {2,}"}, "content": "b"} */
static clip_status read_replace(cliptok_pipeline *p, const cJSON *o, const char *file, clip_error *err)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(o, "pattern");
    const char *from = NULL, *regex = NULL, *to = NULL;
    cliptok_step step = {.kind = CLIPTOK_STEP_REPLACE};
    TRY(clipb_json_string(o, "content", &to, file, err));
    if (cJSON_IsObject(pattern)) {
        TRY(clipb_json_string(pattern, "String", &from, file, err));
        TRY(clipb_json_string(pattern, "Regex", &regex, file, err));
    }
    if (!to || strlen(to) >= sizeof step.to || (!from && !regex) ||
        (from && (!*from || strlen(from) >= sizeof step.from)))
        return unsupported("normalizer", "Replace", file, err);
    if (regex && strcmp(regex, " {2,}") != 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "normalizer \"Replace\" with the regular expression '%s'",
                          regex);
    if (regex)
        step.kind = CLIPTOK_STEP_COLLAPSE;
    else
        strcpy(step.from, from);
    strcpy(step.to, to);
    return cliptok_pipeline_add(p, step, file, err);
}

static clip_status read_normalizer(cliptok_pipeline *p, const cJSON *o, int depth, bool only_charsmap, const char *file,
                                   clip_error *err)
{
    const char *type = "", *to = NULL;
    cliptok_step step = {0};
    if (!cJSON_IsObject(o) || depth == 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"normalizer\" is not as it should be");
    TRY(clipb_json_string(o, "type", &type, file, err));
    if (strcmp(type, "Sequence") == 0) {
        const cJSON *v;
        cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "normalizers"))
            TRY(read_normalizer(p, v, depth - 1, only_charsmap, file, err));
        return CLIP_OK;
    }
    if (strcmp(type, "Precompiled") == 0) {
        if (p->charsmap.data)
            return unsupported("a second", type, file, err);
        TRY(set_charsmap(p, o, file, err));
        step.kind = CLIPTOK_STEP_CHARSMAP;
        return only_charsmap ? CLIP_OK : cliptok_pipeline_add(p, step, file, err);
    }
    if (only_charsmap)
        return CLIP_OK;
    if (strcmp(type, "Replace") == 0)
        return read_replace(p, o, file, err);
    if (strcmp(type, "Strip") == 0) {
        step = (cliptok_step){.kind = CLIPTOK_STEP_STRIP, .left = true, .right = true};
        TRY(clipb_json_bool(o, "strip_left", &step.left, file, err));
        TRY(clipb_json_bool(o, "strip_right", &step.right, file, err));
    } else if (strcmp(type, "Prepend") == 0) {
        step.kind = CLIPTOK_STEP_PREPEND;
        TRY(clipb_json_string(o, "prepend", &to, file, err));
        if (!to || strlen(to) >= sizeof step.to)
            return unsupported("normalizer", type, file, err);
        strcpy(step.to, to);
    } else if (strcmp(type, "Lowercase") == 0)
        step.kind = CLIPTOK_STEP_LOWER;
    else if (strcmp(type, "NFC") == 0)
        step.kind = CLIPTOK_STEP_NFC;
    else
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "normalizer \"%s\"", type);
    return cliptok_pipeline_add(p, step, file, err);
}

static clip_status read_signs(cliptok_pipeline *p, const cJSON *o, const char *file, clip_error *err)
{
    const char *sign = CLIPTOK_SPACE_SIGN, *scheme = NULL;
    bool prefix = true;
    p->signs = p->split_signs = true;
    TRY(clipb_json_string(o, "replacement", &sign, file, err));
    TRY(clipb_json_string(o, "prepend_scheme", &scheme, file, err));
    TRY(clipb_json_bool(o, "add_prefix_space", &prefix, file, err));
    TRY(clipb_json_bool(o, "split", &p->split_signs, file, err));
    if (strcmp(sign, CLIPTOK_SPACE_SIGN) != 0)
        return unsupported("pre-tokenizer", "Metaspace", file, err);
    if (!scheme)
        scheme = prefix ? "always" : "never";
    p->prepend = strcmp(scheme, "always") == 0  ? CLIPTOK_PREPEND_ALWAYS
                 : strcmp(scheme, "first") == 0 ? CLIPTOK_PREPEND_FIRST
                                                : CLIPTOK_PREPEND_NEVER;
    return CLIP_OK;
}

/* Do the steps leave no space in a text? */
static bool replaces_spaces(const cliptok_pipeline *p)
{
    const cliptok_step *last = p->steps > 0 ? &p->step[p->steps - 1] : NULL;
    return last && last->kind == CLIPTOK_STEP_REPLACE && strcmp(last->from, " ") == 0 && !strchr(last->to, ' ');
}

static clip_status read_pre_tokenizer(cliptok_pipeline *p, const cJSON *o, int depth, const char *file, clip_error *err)
{
    const char *type = "";
    if (!cJSON_IsObject(o) || depth == 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"pre_tokenizer\" is not as it should be");
    TRY(clipb_json_string(o, "type", &type, file, err));
    if (strcmp(type, "Sequence") == 0) {
        const cJSON *v;
        cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "pretokenizers"))
            TRY(read_pre_tokenizer(p, v, depth - 1, file, err));
        return CLIP_OK;
    }
    if (strcmp(type, "WhitespaceSplit") == 0 && !p->signs) {
        p->split_white = true;
        return CLIP_OK;
    }
    if (strcmp(type, "Metaspace") == 0 && !p->signs)
        return read_signs(p, o, file, err);
    if (strcmp(type, "Split") == 0 && replaces_spaces(p)) { /* at spaces, of which there are none */
        const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(o, "pattern");
        const char *at = "";
        if (cJSON_IsObject(pattern))
            TRY(clipb_json_string(pattern, "String", &at, file, err));
        if (strcmp(at, " ") == 0)
            return CLIP_OK;
    }
    return unsupported("pre-tokenizer", type, file, err);
}

clip_status cliptok_pipeline_read(cliptok_pipeline *p, const cJSON *normalizer, const cJSON *pre_tokenizer,
                                  const char *file, clip_error *err)
{
    enum { DEPTH = 4 };
    *p = (cliptok_pipeline){0};
    if (normalizer)
        TRY(read_normalizer(p, normalizer, DEPTH, false, file, err));
    return pre_tokenizer ? read_pre_tokenizer(p, pre_tokenizer, DEPTH, file, err) : CLIP_OK;
}

clip_status cliptok_pipeline_charsmap(cliptok_pipeline *p, const cJSON *normalizer, const char *file, clip_error *err)
{
    enum { DEPTH = 4 };
    return normalizer ? read_normalizer(p, normalizer, DEPTH, true, file, err) : CLIP_OK;
}

/* ---- The steps ------------------------------------------------------------------------------- */

static clip_status replace_all(const cliptok_step *step, const cliptok_bytes *in, cliptok_bytes *out)
{
    const size_t n = strlen(step->from), k = strlen(step->to);
    for (size_t i = 0; i < in->n;) {
        const unsigned char *at = memchr(in->p + i, step->from[0], in->n - i);
        const size_t plain = at ? (size_t)(at - in->p) - i : in->n - i;
        TRY(cliptok_bytes_put(out, in->p + i, plain));
        i += plain;
        if (!at)
            break;
        const bool here = in->n - i >= n && memcmp(in->p + i, step->from, n) == 0;
        TRY(cliptok_bytes_put(out, here ? (const void *)step->to : in->p + i, here ? k : 1));
        i += here ? n : 1;
    }
    return CLIP_OK;
}

static clip_status collapse(const cliptok_step *step, const cliptok_bytes *in, cliptok_bytes *out)
{
    for (size_t i = 0; i < in->n;) {
        size_t end = i;
        while (end < in->n && in->p[end] == ' ')
            end++;
        const bool many = end - i >= 2;
        end = end > i ? end : i + 1;
        TRY(cliptok_bytes_put(out, many ? (const void *)step->to : in->p + i, many ? strlen(step->to) : end - i));
        i = end;
    }
    return CLIP_OK;
}

static clip_status strip(const cliptok_step *step, const cliptok_bytes *in, cliptok_bytes *out)
{
    const unsigned char *p = in->p, *end = p + in->n, *from = NULL, *to = NULL;
    while (p < end) {
        const unsigned char *at = p;
        if (!cliptok_space(cliptok_utf8_next(&p, end))) {
            from = from ? from : at;
            to = p;
        }
    }
    if (!from) /* white space throughout */
        return step->left || step->right ? CLIP_OK : cliptok_bytes_put(out, in->p, in->n);
    from = step->left ? from : in->p;
    to = step->right ? to : end;
    return cliptok_bytes_put(out, from, (size_t)(to - from));
}

static clip_status by_points(cliptok_step_kind kind, const cliptok_bytes *in, cliptok_bytes *out)
{
    cliptok_points a = {0}, b = {0};
    clip_status s = CLIP_OK;
    for (const unsigned char *p = in->p, *end = p + in->n; s == CLIP_OK && p < end;)
        s = cliptok_points_put(&a, cliptok_utf8_next(&p, end));
    if (s == CLIP_OK)
        s = kind == CLIPTOK_STEP_LOWER ? cliptok_lower(a.c, a.n, &cliptok_unicode_rust, &b)
                                       : cliptok_nfc(a.c, a.n, &cliptok_unicode_rust, &b);
    for (size_t i = 0; s == CLIP_OK && i < b.n; i++) {
        unsigned char c[4];
        s = cliptok_bytes_put(out, c, (size_t)cliptok_utf8_put(b.c[i], c));
    }
    cliptok_points_free(&a);
    cliptok_points_free(&b);
    return s;
}

clip_status cliptok_pipeline_normalize(const cliptok_pipeline *p, cliptok_bytes *text, cliptok_bytes *spare)
{
    for (int i = 0; i < p->steps && text->n > 0; i++) {
        const cliptok_step *step = &p->step[i];
        spare->n = 0;
        switch (step->kind) {
        case CLIPTOK_STEP_CHARSMAP: TRY(cliptok_charsmap_apply(&p->charsmap, text->p, text->n, spare)); break;
        case CLIPTOK_STEP_LOWER:
        case CLIPTOK_STEP_NFC: TRY(by_points(step->kind, text, spare)); break;
        case CLIPTOK_STEP_REPLACE: TRY(replace_all(step, text, spare)); break;
        case CLIPTOK_STEP_COLLAPSE: TRY(collapse(step, text, spare)); break;
        case CLIPTOK_STEP_STRIP: TRY(strip(step, text, spare)); break;
        case CLIPTOK_STEP_PREPEND:
            TRY(cliptok_bytes_put(spare, step->to, strlen(step->to)));
            TRY(cliptok_bytes_put(spare, text->p, text->n));
            break;
        }
        const cliptok_bytes swap = *text;
        *text = *spare;
        *spare = swap;
    }
    return CLIP_OK;
}
