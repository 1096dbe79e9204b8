/* altered.h: copies of golden checkpoints in a directory of the test's own, in which one thing at a
 * time is changed. */
#ifndef ALTERED_H
#define ALTERED_H

#include "base/json.h"
#include "base/file.h"
#include "checkpoints.h"
#include "clip.h"
#include "own_dir.h"

/* Puts the golden checkpoint `name` into the directory, in place of the old content. */
static inline void take(const char *name) { shell("rm -rf %s/*; cp -r %s/%s/* %s/", dir, golden, name, dir); }

static inline clip_status load(const char *path, clip_model **m, clip_error *err)
{
    clip_load_options opt = clip_load_options_default();
    opt.warn = hear;
    opt.threads = 1;
    *said = 0;
    return clip_model_load(path, &opt, m, err);
}

static inline void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static inline void refused(const char *path, clip_status status, const char *part)
{
    clip_model *m;
    clip_error err = {0};
    const clip_status is = load(path, &m, &err);
    if (is != status)
        fail_msg("%s, not %s: \"%s\" for %s", clip_status_name(is), clip_status_name(status), err.message, part);
    assert_null(m);
    says(err.message, part);
}

static inline clip_model *loads(const char *path)
{
    clip_model *m;
    clip_error err = {0};
    if (load(path, &m, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    return m;
}

/* Sets a key in a JSON file of the checkpoint. inside: objects, separated by dots; "" is the
 * whole. */
static inline void set(const char *file, const char *inside, const char *key, const char *value)
{
    cJSON *root, *o;
    clip_error err;
    char names[64], *rest = names;
    assert_int_equal(clipb_json_read(in_dir(file), 1 << 20, &root, &err), CLIP_OK);
    snprintf(names, sizeof names, "%s", inside);
    o = root;
    for (char *name; *names && (name = strsep(&rest, "."));)
        o = cJSON_GetObjectItemCaseSensitive(o, name);
    assert_non_null(o);
    cJSON_DeleteItemFromObjectCaseSensitive(o, key);
    cJSON_AddItemToObject(o, key, cJSON_Parse(value));
    char *text = cJSON_Print(root);
    FILE *f = fopen(in_dir(file), "w");
    fputs(text, f);
    fclose(f);
    free(text);
    cJSON_Delete(root);
}

/* Reads and writes a safetensors file, with `prefix` before every name, and one more tensor of n
 * zeros. */
static inline void rewrite(const char *file, const char *prefix, const char *extra, const char *dtype)
{
    unsigned char *data, size8[8];
    size_t size, header = 0;
    cJSON *root, *out = cJSON_CreateObject(), *e, *next;
    clip_error err;
    assert_int_equal(clipb_read_file(in_dir(file), 1 << 24, &data, &size, &err), CLIP_OK);
    for (int i = 0; i < 8; i++)
        header |= (size_t)data[i] << 8 * i;
    assert_int_equal(clipb_json_parse((const char *)data + 8, header, file, &root, &err), CLIP_OK);
    const size_t end = size - 8 - header;
    for (e = root->child; e; e = next) {
        char name[256];
        next = e->next;
        snprintf(name, sizeof name, "%s%s", strcmp(e->string, "__metadata__") == 0 ? "" : prefix, e->string);
        cJSON *copy = cJSON_Duplicate(e, true), *shape = cJSON_GetObjectItem(copy, "shape"),
              *type = cJSON_GetObjectItem(copy, "dtype");
        const int n = cJSON_GetArraySize(shape);
        if (dtype && n >= 2 && strcmp(type->valuestring, "F32") == 0) { /* as many bytes */
            cJSON_SetNumberHelper(cJSON_GetArrayItem(shape, n - 1), 4 * cJSON_GetArrayItem(shape, n - 1)->valuedouble);
            cJSON_ReplaceItemInObject(copy, "dtype", cJSON_CreateString(dtype));
        }
        cJSON_AddItemToObject(out, name, copy);
    }
    if (extra) {
        char entry[128];
        snprintf(entry, sizeof entry, "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%zu,%zu]}", end, end + 8);
        cJSON_AddItemToObject(out, extra, cJSON_Parse(entry));
    }
    char *text = cJSON_PrintUnformatted(out);
    const size_t length = strlen(text);
    for (int i = 0; i < 8; i++)
        size8[i] = (unsigned char)(length >> 8 * i);
    FILE *f = fopen(in_dir(file), "wb");
    fwrite(size8, 1, 8, f);
    fwrite(text, 1, length, f);
    fwrite(data + 8 + header, 1, end, f);
    fwrite("\0\0\0\0\0\0\0", 1, extra ? 8 : 0, f);
    fclose(f);
    free(text);
    free(data);
    cJSON_Delete(root);
    cJSON_Delete(out);
}

#endif
