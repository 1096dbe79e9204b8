/* From the name or path that people give to the folder or file with the weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "hub/hub.h"

#define MOST_BYTES ((size_t)1 << 20) /* of modules.json */

/* ---- sentence-transformers: modules.json lists what embeddings go through -------------------- */

static const char *text_of(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

/* The first module must be a CLIP, and none behind it may change the embeddings. */
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
    if (**inside && !cliphub_is_plain(*inside))
        return clipb_fail(err, CLIP_EFORMAT, file, "module 0 is not in this folder");
    return CLIP_OK;
}

clip_status cliphub_modules_read(const char *file, char **out, clip_error *err)
{
    cJSON *modules;
    const char *inside;
    *out = NULL;
    TRY(clipb_json_read(file, MOST_BYTES, &modules, err));
    clip_status s = check_modules(modules, file, &inside, err);
    if (s == CLIP_OK)
        s = (*out = strdup(inside)) ? CLIP_OK : clipb_nomem(err, file);
    cJSON_Delete(modules);
    return s;
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* A folder of the hub's cache leads on to its snapshot. */
static clip_status enter_snapshot(char **path, clip_error *err)
{
    char *snapshots = clipb_path_join(*path, "snapshots"), *inside = NULL;
    clip_status s = snapshots ? CLIP_OK : clipb_nomem(err, *path);
    if (s == CLIP_OK && clipb_is_dir(snapshots))
        s = cliphub_snapshot(*path, "main", &inside, err);
    if (inside) {
        free(*path);
        *path = inside;
    }
    free(snapshots);
    return s;
}

/* A folder of sentence-transformers leads on to the folder of its CLIP. */
static clip_status enter_module(char **path, clip_error *err)
{
    char *file = clipb_path_join(*path, "modules.json"), *inside = NULL;
    clip_status s = file ? CLIP_OK : clipb_nomem(err, *path);
    if (s == CLIP_OK && clipb_is_file(file))
        s = cliphub_modules_read(file, &inside, err);
    if (inside && *inside) {
        char *deeper = clipb_path_join(*path, inside);
        s = deeper ? CLIP_OK : clipb_nomem(err, *path);
        if (deeper) {
            free(*path);
            *path = deeper;
        }
    }
    free(inside);
    free(file);
    return s;
}

static clip_status enter(char **path, clip_error *err)
{
    clip_status s = clipb_is_dir(*path) ? enter_snapshot(path, err) : CLIP_OK;
    if (s == CLIP_OK && clipb_is_dir(*path))
        s = enter_module(path, err);
    if (s < 0) {
        free(*path);
        *path = NULL;
    }
    return s;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* "ViT-B-32/openai: ...; 'clip pull ViT-B-32/openai' fetches it (151 million parameters, ...)" */
static clip_status offer(const char *text, const cliphub_name *name, const char *what, clip_error *err)
{
    char size[96] = "";
    if (name->known && name->known->parameters > 0)
        snprintf(size, sizeof size, " (%.0f million parameters, about %.0f MB)",
                 (double)name->known->parameters / 1e6, 4 * (double)name->known->parameters / 1e6);
    return clipb_fail(err, CLIP_EIO, text, "%s; 'clip pull %.200s' fetches it%s", what, text, size);
}

/* A folder without weights is offered again. */
static clip_status check_weights(const char *text, const cliphub_name *name, const char *path, clip_error *err)
{
    bool whole = true;
    if (clipb_is_dir(path) && cliphub_has_weights(path, &whole) < 0)
        return clipb_nomem(err, text);
    return whole ? CLIP_OK : offer(text, name, "the cache holds no weights of it", err);
}

static clip_status find_named(const char *text, const cliphub_name *name, char **out, clip_error *err)
{
    char *root, *folder, *snapshots, what[600];
    TRY(cliphub_cache_root(&root, err));
    folder = cliphub_repo_folder(root, name->repo);
    snapshots = folder ? clipb_path_join(folder, "snapshots") : NULL;
    clip_status s = snapshots ? CLIP_OK : clipb_nomem(err, text);
    if (s == CLIP_OK && !clipb_is_dir(snapshots)) {
        snprintf(what, sizeof what, "is neither a file or folder here nor a model in %.400s", root);
        s = offer(text, name, what, err);
    } else if (s == CLIP_OK) {
        s = cliphub_snapshot(folder, name->revision, out, err);
        if (s == CLIP_EIO)
            s = offer(text, name, "this revision is not whole in the cache", err);
    }
    free(snapshots);
    free(folder);
    free(root);
    if (s == CLIP_OK)
        s = enter(out, err);
    if (s == CLIP_OK)
        s = check_weights(text, name, *out, err);
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    return s;
}

clip_status cliphub_find(const char *text, char **out, clip_error *err)
{
    static const char local[] = "local-dir:";
    cliphub_name name;
    bool named = false;
    *out = NULL;
    if (access(text, F_OK) < 0 && strncmp(text, local, strlen(local)) == 0)
        text += strlen(local);
    else if (access(text, F_OK) < 0)
        TRY(cliphub_name_read(text, &name, &named, err));
    if (!*text)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the path of the model is empty");
    if (named)
        return find_named(text, &name, out, err);
    if (!(*out = strdup(text)))
        return clipb_nomem(err, text);
    return enter(out, err);
}

clip_status cliphub_find_whole(const char *text, char **out, clip_error *err)
{
    cliphub_name name;
    bool named = false, whole = true;
    clip_status s = cliphub_find(text, out, err);
    if (s == CLIP_OK && access(text, F_OK) < 0)
        s = cliphub_name_read(text, &name, &named, err);
    if (s == CLIP_OK && named && cliphub_has_weights(*out, &whole) < 0)
        s = clipb_nomem(err, text);
    if (s < 0 || !whole) {
        free(*out);
        *out = NULL;
    }
    return s == CLIP_EIO || s == CLIP_EFORMAT || s == CLIP_EUNSUPPORTED ? CLIP_OK : s;
}
