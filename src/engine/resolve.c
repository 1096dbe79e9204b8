/* From the name that people give to the folder or file with the weights. It may be a folder of the
 * Hugging Face hub's cache, one of sentence-transformers, or OpenCLIP's "local-dir:". */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "base/json.h"

#define MOST_BYTES ((size_t)1 << 20) /* of modules.json, of refs/main */

/* *path becomes *path/name. */
static clip_status descend(char **path, const char *name)
{
    char *deeper = clipb_path_join(*path, name);
    if (!deeper)
        return CLIP_ENOMEM;
    free(*path);
    *path = deeper;
    return CLIP_OK;
}

/* A name from a file must be inside the folder. A path could lead out of it. */
static bool is_plain_name(const char *name) { return *name && *name != '.' && !strchr(name, '/'); }

/* ---- The hub's cache: models--ORG--NAME/refs/main holds HASH, snapshots/HASH/ the files ------ */

/* The one folder in `snapshots`. */
static clip_status only_snapshot(const char *snapshots, char **out, clip_error *err)
{
    DIR *d = opendir(snapshots);
    if (!d)
        return clipb_fail(err, CLIP_EIO, snapshots, "cannot be listed");
    int n = 0;
    clip_status s = CLIP_OK;
    for (struct dirent *e; s == CLIP_OK && (e = readdir(d));) {
        if (*e->d_name == '.' || ++n > 1)
            continue;
        *out = strdup(e->d_name);
        s = *out ? CLIP_OK : CLIP_ENOMEM;
    }
    closedir(d);
    if (s == CLIP_OK && n != 1) {
        free(*out);
        *out = NULL;
        s = clipb_fail(err, CLIP_EIO, snapshots,
                       n ? "holds several snapshots, and refs/main does not say which: name one of them"
                         : "holds no snapshot");
    }
    return s;
}

static clip_status read_ref(const char *ref, char **out, clip_error *err)
{
    unsigned char *text;
    size_t size;
    TRY(clipb_read_file(ref, MOST_BYTES, &text, &size, err));
    text[strcspn((char *)text, " \t\r\n")] = 0;
    if (!is_plain_name((char *)text)) {
        free(text);
        return clipb_fail(err, CLIP_EFORMAT, ref, "does not name a snapshot");
    }
    *out = (char *)text;
    return CLIP_OK;
}

static clip_status find_snapshot(char **path, clip_error *err)
{
    char *snapshots = clipb_path_join(*path, "snapshots"), *ref = clipb_path_join(*path, "refs/main"), *hash = NULL;
    clip_status s = snapshots && ref ? CLIP_OK : CLIP_ENOMEM;
    const bool is_cache = s == CLIP_OK && clipb_is_dir(snapshots);
    if (is_cache)
        s = clipb_is_file(ref) ? read_ref(ref, &hash, err) : only_snapshot(snapshots, &hash, err);
    if (s == CLIP_OK && is_cache) {
        s = descend(&snapshots, hash);
        if (s == CLIP_OK && !clipb_is_dir(snapshots))
            s = clipb_fail(err, CLIP_EIO, snapshots, "is not there, though %s names it: the download is not complete",
                           ref);
    }
    if (s == CLIP_OK && is_cache) {
        free(*path);
        *path = snapshots;
        snapshots = NULL;
    }
    free(snapshots);
    free(ref);
    free(hash);
    return s;
}

/* ---- sentence-transformers: modules.json lists what embeddings go through -------------------- */

static const char *text_of(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

/* The first module must be a CLIP, and none behind it may change the embeddings. *inside: the
 * folder of the CLIP; "" this one. */
static clip_status check_modules(const cJSON *modules, const char *file, const char **inside, clip_error *err)
{
    const cJSON *m;
    int i = 0;
    *inside = NULL;
    cJSON_ArrayForEach(m, modules)
    {
        const char *type = text_of(m, "type"), *dot = strrchr(type, '.'), *name = dot ? dot + 1 : type;
        if (i == 0 && strcmp(name, "CLIPModel") == 0)
            *inside = text_of(m, "path");
        else if (i == 0 || strcmp(name, "Normalize") != 0) /* embeddings are of length 1 here anyway */
            return clipb_fail(err, CLIP_EUNSUPPORTED, file,
                              "module %d is %.100s: only a CLIPModel, and Normalize behind it, are supported", i,
                              *type ? type : "of no type");
        i++;
    }
    if (!*inside)
        return clipb_fail(err, CLIP_EFORMAT, file, "lists no modules");
    if (**inside && !is_plain_name(*inside))
        return clipb_fail(err, CLIP_EFORMAT, file, "module 0 is not in this folder");
    return CLIP_OK;
}

static clip_status find_module(char **path, clip_error *err)
{
    char *file = clipb_path_join(*path, "modules.json");
    cJSON *modules = NULL;
    const char *inside = "";
    clip_status s = file ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK && clipb_is_file(file)) {
        s = clipb_json_read(file, MOST_BYTES, &modules, err);
        if (s == CLIP_OK)
            s = check_modules(modules, file, &inside, err);
    }
    if (s == CLIP_OK && *inside)
        s = descend(path, inside);
    cJSON_Delete(modules);
    free(file);
    return s;
}

/* ---- All of them ----------------------------------------------------------------------------- */

clip_status clipeng_path_resolve(const char *path, char **out, clip_error *err)
{
    static const char local[] = "local-dir:", hub[] = "hf-hub:";
    *out = NULL;
    if (strncmp(path, hub, strlen(hub)) == 0 && !clipb_is_dir(path))
        return clipb_fail(err, CLIP_EUNSUPPORTED, path,
                          "models are not downloaded: name a folder, as that of the hub's cache, models--ORG--NAME");
    if (strncmp(path, local, strlen(local)) == 0 && !clipb_is_dir(path))
        path += strlen(local);
    if (!*path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the path of the model is empty");
    if (!(*out = strdup(path)))
        return CLIP_ENOMEM;
    clip_status s = CLIP_OK;
    if (clipb_is_dir(*out))
        s = find_snapshot(out, err);
    if (s == CLIP_OK && clipb_is_dir(*out))
        s = find_module(out, err);
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    return s;
}
