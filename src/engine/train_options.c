#include "engine/train_options.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/color.h"
#include "base/file.h"
#include "base/json.h"
#include "base/plain.h"
#include "engine/engine.h"

#define MOST_JSON ((size_t)1 << 20)

/* SPEC and PATH hold paths, relative to the file that they are read from. */
typedef enum kind { TEXT, CHAR, SPEC, PATH, INT, REAL, FLAG, CHOICE, COLOR, JSON } kind;

typedef struct row {
    const char *group, *name;
    kind kind;
    const char *value, *standard;
    double lo, hi;
    const char *help;
} row;

static const row table[] = {
#define X(id, ...) {__VA_ARGS__},
    CLIP_TRAIN_OPTIONS(X)
#undef X
};

const clip_train_option *clipeng_train_option_at(int i)
{
    static const clip_train_option options[] = {
#define X(id, group, name, kind, value, standard, lo, hi, help) {name, value, standard, help, group},
        CLIP_TRAIN_OPTIONS(X)
#undef X
    };
    return i >= 0 && i < CLIP_TRAIN_OPTION_COUNT ? &options[i] : NULL;
}

clip_status clipeng_train_options_new(clip_train_options **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? CLIP_OK : CLIP_ENOMEM;
}

void clipeng_train_options_free(clip_train_options *o)
{
    for (int i = 0; o && i < CLIP_TRAIN_OPTION_COUNT; i++)
        free(o->value[i]);
    free(o);
}

/* ---- Setting --------------------------------------------------------------------------------- */

/* Is `value` one of "a|b|c"? */
static bool among(const char *value, const char *choices)
{
    const size_t n = strlen(value);
    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (n > 0 && strncmp(c, value, n) == 0 && (c[n] == '|' || c[n] == 0))
            return true;
    return false;
}

static clip_status check(const row *r, const char *value, clip_error *err)
{
    char *end = NULL;
    errno = 0;
    if (r->kind == INT || r->kind == REAL) {
        const double x = r->kind == INT ? (double)strtol(value, &end, 10) : strtod_l(value, &end, clipb_plain());
        if (end == value || *end || errno || !(x >= r->lo && x <= r->hi))
            return clipb_fail(err, CLIP_EINVAL, NULL, "%s: '%s' is not a %snumber from %g to %g", r->name, value,
                              r->kind == INT ? "whole " : "", r->lo, r->hi);
    } else if (r->kind == CHOICE && !among(value, r->value)) {
        return clipb_fail(err, CLIP_EINVAL, NULL, "%s: '%s' is none of %s", r->name, value, r->value);
    } else if (r->kind == FLAG && !among(value, "true|false")) {
        return clipb_fail(err, CLIP_EINVAL, NULL, "%s: '%s' is neither true nor false", r->name, value);
    } else if (r->kind == CHAR && strlen(value) != 1 && strcmp(value, "\\t") != 0) {
        return clipb_fail(err, CLIP_EINVAL, NULL, "%s: '%s' is neither one character nor \\t", r->name, value);
    } else if (r->kind == COLOR && clipb_background_parse(value, &(int){0}) < 0) {
        return clipb_fail(err, CLIP_EINVAL, NULL, "%s: '%s' is none of #rrggbb, white, black, drop", r->name, value);
    } else if (r->kind == JSON) {
        cJSON *o;
        TRY(clipb_json_parse(value, strlen(value), r->name, &o, err));
        bool object = cJSON_IsObject(o);
        cJSON_Delete(o);
        if (!object)
            return clipb_fail(err, CLIP_EINVAL, NULL, "%s: not a JSON object: %s", r->name, value);
    }
    return CLIP_OK;
}

static int find(const char *name)
{
    for (int i = 0; i < CLIP_TRAIN_OPTION_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return -1;
}

const char *clipeng_train_options_get(const clip_train_options *o, const char *name)
{
    const int i = find(name);
    return i >= 0 ? clipeng_train_text(o, i) : NULL;
}

clip_status clipeng_train_options_set(clip_train_options *o, const char *name, const char *value, clip_error *err)
{
    const int i = name && value ? find(name) : -1;
    if (!name || !value)
        return clipb_fail(err, CLIP_EINVAL, NULL, "a setting has a name and a value");
    if (i < 0)
        return clipb_fail(err, CLIP_EINVAL, NULL, "training has no setting '%s'", name);
    TRY(check(&table[i], value, err));
    char *copy = strdup(value);
    if (!copy)
        return clipb_nomem(err, NULL);
    free(o->value[i]);
    o->value[i] = copy;
    return CLIP_OK;
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static bool is_path(int i) { return table[i].kind == SPEC || table[i].kind == PATH; }

/* Each path of "a::b", relative to the directory of `file`; NULL: as it is. free() it. */
static char *from_file(const char *spec, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    const size_t dir = slash ? (size_t)(slash + 1 - file) : 0;
    size_t size = strlen(spec) + 1;
    for (const char *p = spec; p; p = strstr(p, "::") ? strstr(p, "::") + 2 : NULL)
        size += dir;
    char *out = malloc(size), *to = out;
    for (const char *p = spec, *next; out && p; p = next) {
        const char *end = strstr(p, "::");
        next = end ? end + 2 : NULL;
        if (*p != '/' && strncmp(p, "{/", 2) != 0 && dir > 0) {
            memcpy(to, file, dir);
            to += dir;
        }
        const size_t n = next ? (size_t)(next - p) : strlen(p);
        memcpy(to, p, n);
        to += n;
        *to = 0;
    }
    return out;
}

/* A JSON value as the text that set() takes; free() it. */
static char *as_text(const cJSON *v, const char *file)
{
    if (cJSON_IsString(v)) {
        const int i = find(v->string);
        return i >= 0 && is_path(i) ? from_file(v->valuestring, file) : strdup(v->valuestring);
    }
    if (cJSON_IsNumber(v)) {
        char text[40];
        const locale_t before = uselocale(clipb_plain());
        snprintf(text, sizeof text, "%.17g", v->valuedouble);
        uselocale(before);
        return strdup(text);
    }
    return clipb_json_print(v, false);
}

/* name: for messages; file: what paths are relative to. */
static clip_status set_all(clip_train_options *o, const cJSON *tree, const char *name, const char *file,
                           clip_error *err)
{
    clip_error why = {0};
    if (!cJSON_IsObject(tree))
        return clipb_fail(err, CLIP_EFORMAT, name, "not a JSON object of settings");
    for (const cJSON *v = tree->child; v; v = v->next) {
        char *text = as_text(v, file);
        clip_status s = text ? clipeng_train_options_set(o, v->string, text, &why) : CLIP_ENOMEM;
        if (s < 0) {
            clipb_fail(err, s, name, "%s", text ? why.message : "out of memory");
            free(text);
            return s;
        }
        free(text);
    }
    return CLIP_OK;
}

clip_status clipeng_train_options_read(clip_train_options *o, const char *path, clip_error *err)
{
    cJSON *tree;
    if (!path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of settings");
    TRY(clipb_json_read_named(path, MOST_JSON, &tree, err));
    clip_status s = set_all(o, tree, path, path, err);
    cJSON_Delete(tree);
    return s;
}

clip_status clipeng_train_options_parse(clip_train_options *o, const char *json, const char *name, clip_error *err)
{
    cJSON *tree;
    TRY(clipb_json_parse(json, strlen(json), name, &tree, err));
    clip_status s = set_all(o, tree, name, NULL, err);
    cJSON_Delete(tree);
    return s;
}

/* The value of setting i for a JSON object; here: the working directory, with a slash behind it. */
static cJSON *as_json(int i, const char *value, const char *here)
{
    const kind k = table[i].kind;
    if (k == INT || k == REAL)
        /* strtod() takes more spellings than JSON has. */
        return cJSON_CreateNumber(strtod_l(value, NULL, clipb_plain()));
    if (k == FLAG || k == JSON)
        return cJSON_CreateRaw(value);
    char *path = is_path(i) ? from_file(value, here) : NULL;
    cJSON *v = !is_path(i) || path ? cJSON_CreateString(path ? path : value) : NULL;
    free(path);
    return v;
}

char *clipeng_train_options_json(const clip_train_options *o)
{
    char here[PATH_MAX + 2] = "";
    if (getcwd(here, PATH_MAX))
        strcat(here, "/");
    cJSON *tree = cJSON_CreateObject();
    for (int i = 0; tree && i < CLIP_TRAIN_OPTION_COUNT; i++) {
        cJSON *v = o->value[i] ? as_json(i, o->value[i], here) : NULL;
        if (o->value[i] && (!v || !cJSON_AddItemToObject(tree, table[i].name, v))) {
            cJSON_Delete(v);
            cJSON_Delete(tree);
            return NULL;
        }
    }
    char *text = tree ? clipb_json_print(tree, false) : NULL;
    cJSON_Delete(tree);
    return text;
}

/* ---- Getting --------------------------------------------------------------------------------- */

const char *clipeng_train_text(const clip_train_options *o, int id)
{
    return o->value[id] ? o->value[id] : table[id].standard;
}

long clipeng_train_int(const clip_train_options *o, int id)
{
    const char *text = clipeng_train_text(o, id);
    return text ? strtol(text, NULL, 10) : 0;
}

double clipeng_train_real(const clip_train_options *o, int id)
{
    const char *text = clipeng_train_text(o, id);
    return text ? strtod_l(text, NULL, clipb_plain()) : 0;
}

bool clipeng_train_flag(const clip_train_options *o, int id)
{
    const char *text = clipeng_train_text(o, id);
    return text && strcmp(text, "true") == 0;
}
