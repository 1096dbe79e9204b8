/* words.c: common functions for reading and writing the families' files. */
#include "model/family/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/color.h"
#include "base/file.h"
#include "base/plain.h"
#include "model/tower.h"

clip_status clipmdl_json_size(const clipmdl_reader *r, const cJSON *o, const char *key, int *out)
{
    return clipb_json_int(o, key, 1, CLIPMDL_MOST_SIDE, out, r->file, r->err);
}

bool clipmdl_json_is(const cJSON *o, const char *key, const char *value)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) && strcmp(v->valuestring, value) == 0;
}

clip_status clipmdl_json_object(const clipmdl_reader *r, const cJSON *o, const char *key, const cJSON **out)
{
    *out = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsObject(*out))
        return clipb_fail(r->err, CLIP_EFORMAT, r->file, "has no object \"%s\"", key);
    return CLIP_OK;
}

/* Three numbers, or one for all three. */
clip_status clipmdl_json_triple(const cJSON *o, const char *key, double lo, double hi, double out[3], const char *file,
                                clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key), *e;
    if (!v || cJSON_IsNull(v))
        return CLIP_OK;
    int n = 0;
    if (cJSON_IsNumber(v)) {
        out[0] = out[1] = out[2] = v->valuedouble;
        n = 3;
    } else if (cJSON_IsArray(v)) {
        cJSON_ArrayForEach(e, v)
        {
            if (n < 3 && cJSON_IsNumber(e))
                out[n] = e->valuedouble;
            n = n < 3 && cJSON_IsNumber(e) ? n + 1 : 4;
        }
    }
    bool fits = n == 3;
    for (int i = 0; i < 3 && fits; i++)
        fits = out[i] >= lo && out[i] <= hi;
    return fits ? CLIP_OK
                : clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be three numbers from %g to %g", key, lo, hi);
}

clip_status clipmdl_json_statistics(const cJSON *o, const char *mean, const char *std, clipmdl_recipe *r,
                                    const char *file, clip_error *err)
{
    double m[3], s[3];
    for (int i = 0; i < 3; i++) {
        m[i] = r->mean[i];
        s[i] = r->std[i];
    }
    TRY(clipmdl_json_triple(o, mean, -1e3, 1e3, m, file, err));
    TRY(clipmdl_json_triple(o, std, 1e-6, 1e3, s, file, err));
    for (int i = 0; i < 3; i++) {
        r->mean[i] = (float)m[i];
        r->std[i] = (float)s[i];
    }
    return CLIP_OK;
}

/* "background": "#rrggbb", a key of clip.c in both layouts. OpenCLIP and transformers ignore it and
 * drop transparency. */
clip_status clipmdl_json_background(const cJSON *o, clipmdl_recipe *r, const char *file, clip_error *err)
{
    const char *text = "drop";
    TRY(clipb_json_string(o, "background", &text, file, err));
    if (clipb_background_parse(text, &r->background) < 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"background\": \"%.40s\" is none of #rrggbb, white, black, drop",
                          text);
    return CLIP_OK;
}

static const clipmdl_rename *find_rule(const clipmdl_rename *rules, const char *name)
{
    while (rules->ours && strncmp(name, rules->ours, strlen(rules->ours)) != 0)
        rules++;
    return rules->ours ? rules : NULL;
}

void clipmdl_rename_by(const clipmdl_rename *rules, const char *name, char *out, size_t size)
{
    const clipmdl_rename *r = find_rule(rules, name);
    if (!r) {
        snprintf(out, size, "%s", name);
        return;
    }
    const char *rest = name + strlen(r->ours);
    int layer = 0, digits = 0;
    if (!r->inside || sscanf(rest, "%d.%n", &layer, &digits) != 1 || digits == 0) {
        snprintf(out, size, "%s%s", r->theirs, rest);
        return;
    }
    const clipmdl_rename *in = find_rule(r->inside, rest + digits);
    snprintf(out, size, "%s%.*s%s%s", r->theirs, digits, rest, in ? in->theirs : "",
             rest + digits + (in ? strlen(in->ours) : 0));
}

/* The fewest digits that read back as the same float. */
void clipmdl_put_float(FILE *f, double v)
{
    char digits[32];
    for (int n = 1; n <= 9; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, v);
        if (strtof_l(digits, NULL, clipb_plain()) == (float)v)
            break;
    }
    fputs(digits, f);
}

void clipmdl_put_triple(FILE *f, const char *before, const float v[3], const char *after)
{
    fputs(before, f);
    for (int i = 0; i < 3; i++) {
        fputs(i > 0 ? ", " : "[", f);
        clipmdl_put_float(f, (double)v[i]);
    }
    fprintf(f, "]%s", after);
}

bool clipmdl_is_plain_vit(const clipmdl_vision_config *v)
{
    return v->tower == &clipmdl_vit && v->class_token && v->pooling == CLIPNN_POOL_FIRST && !v->patch_bias &&
           v->projection == CLIPMDL_PROJECTION_MATRIX;
}

bool clipmdl_is_plain_text(const clipmdl_text_config *t)
{
    return t->tower == &clipmdl_text && t->causal && t->projection == CLIPMDL_PROJECTION_MATRIX &&
           (t->pooling == CLIPNN_POOL_ARGMAX || t->pooling == CLIPNN_POOL_EOS);
}

clip_status clipmdl_put_file(const char *dir, const char *name, const clipmdl_config *c, const clipmdl_recipe *r,
                             clip_error *err,
                             clip_status (*put)(FILE *, const clipmdl_config *, const clipmdl_recipe *, clip_error *))
{
    clipb_output o;
    if (strcmp(r->resize_mode, "corner") == 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "no layout that is written has words for pictures in a corner, as OWLv2 prepares them");
    char *path = clipb_path_join(dir, name);
    clip_status s = path ? clipb_output_open(&o, path, err) : clipb_nomem(err, dir);
    if (s == CLIP_OK) {
        const locale_t before = uselocale(clipb_plain());
        s = put(o.f, c, r, err);
        uselocale(before);
        s = clipb_output_close(&o, s, err);
    }
    free(path);
    return s;
}
