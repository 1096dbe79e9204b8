#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/plain.h"

clip_status clipb_json_parse(const char *text, size_t size, const char *name, cJSON **out, clip_error *err)
{
    const char *end = NULL;
    const locale_t before = uselocale(clipb_plain());
    *out = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    uselocale(before);
    for (const char *rest = end; *out && rest < text + size; rest++)
        if (!strchr(" \t\r\n", *rest)) { /* safetensors pads its header with spaces */
            cJSON_Delete(*out);
            *out = NULL;
            end = rest;
        }
    if (!*out) {
        size_t at = end ? (size_t)(end - text) : 0, line = 1;
        for (size_t i = 0; i < at && i < size; i++)
            line += text[i] == '\n';
        return clipb_fail(err, CLIP_EFORMAT, name, "not valid JSON (line %zu, byte %zu)", line, at);
    }
    return CLIP_OK;
}

static clip_status parse_and_free(unsigned char *data, size_t size, const char *path, cJSON **out, clip_error *err)
{
    const clip_status s = clipb_json_parse((const char *)data, size, path, out, err);
    free(data);
    return s;
}

char *clipb_json_print(const cJSON *v, bool indented)
{
    const locale_t before = uselocale(clipb_plain());
    char *text = indented ? cJSON_Print(v) : cJSON_PrintUnformatted(v);
    uselocale(before);
    return text;
}

clip_status clipb_json_read(const char *path, size_t limit, cJSON **out, clip_error *err)
{
    unsigned char *data;
    size_t size;
    *out = NULL;
    TRY(clipb_read_file(path, limit, &data, &size, err));
    return parse_and_free(data, size, path, out, err);
}

clip_status clipb_json_read_named(const char *path, size_t limit, cJSON **out, clip_error *err)
{
    unsigned char *data;
    size_t size;
    *out = NULL;
    TRY(clipb_read_named(path, limit, &data, &size, err));
    return parse_and_free(data, size, strcmp(path, "-") == 0 ? "standard input" : path, out, err);
}

const cJSON *clipb_json_find(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

clip_status clipb_json_int(const cJSON *o, const char *key, int lo, int hi, int *out, const char *file, clip_error *err)
{
    const cJSON *v = clipb_json_find(o, key);
    if (!v)
        return CLIP_OK;
    double d = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    if (!(d >= lo && d <= hi && d == floor(d)))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be a whole number from %d to %d", key, lo, hi);
    *out = (int)d;
    return CLIP_OK;
}

clip_status clipb_json_float(const cJSON *o, const char *key, float *out, const char *file, clip_error *err)
{
    const cJSON *v = clipb_json_find(o, key);
    if (!v)
        return CLIP_OK;
    if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= (double)FLT_MAX))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be a number that a float can hold", key);
    *out = (float)v->valuedouble;
    return CLIP_OK;
}

clip_status clipb_json_bool(const cJSON *o, const char *key, bool *out, const char *file, clip_error *err)
{
    const cJSON *v = clipb_json_find(o, key);
    if (!v)
        return CLIP_OK;
    if (!cJSON_IsBool(v))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be true or false", key);
    *out = cJSON_IsTrue(v);
    return CLIP_OK;
}

clip_status clipb_json_string(const cJSON *o, const char *key, const char **out, const char *file, clip_error *err)
{
    const cJSON *v = clipb_json_find(o, key);
    if (!v)
        return CLIP_OK;
    if (!cJSON_IsString(v) || !v->valuestring)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be a string", key);
    *out = v->valuestring;
    return CLIP_OK;
}
