/* The models in the hub's cache. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "hub/hub.h"

#define MOST_CONFIG ((size_t)1 << 20)

static bool ends(const char *s, const char *end)
{
    const size_t n = strlen(s), e = strlen(end);
    return n >= e && strcmp(s + n - e, end) == 0;
}

/* The bytes of all blobs. *partial: one of them is not complete, and this program fetched it. */
static int64_t blob_bytes(const char *folder, bool *partial)
{
    char *blobs = clipb_path_join(folder, "blobs");
    DIR *d = blobs ? opendir(blobs) : NULL;
    int64_t bytes = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (*e->d_name == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        bytes += st.st_size;
        *partial |= ends(e->d_name, CLIPHUB_PART);
    }
    if (d)
        closedir(d);
    free(blobs);
    return bytes;
}

/* Whether dir/config.json is that of a CLIP: "clip", "chinese_clip", "siglip", ... */
static bool is_clip_config(const char *dir)
{
    char *path = clipb_path_join(dir, "config.json");
    cJSON *tree = NULL;
    bool found = false;
    if (path && clipb_is_file(path) && clipb_json_read(path, MOST_CONFIG, &tree, NULL) == CLIP_OK) {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(tree, "model_type");
        found = cJSON_IsString(type) && (strstr(type->valuestring, "clip") || strstr(type->valuestring, "siglip"));
    }
    cJSON_Delete(tree);
    free(path);
    return found;
}

static bool is_clip(const char *path, const char *repo)
{
    int n;
    const clip_known_model *known = cliphub_known(&n);
    for (int i = 0; i < n; i++)
        if (strcmp(known[i].repository, repo) == 0)
            return true;
    char *config = path ? clipb_path_join(path, "open_clip_config.json") : NULL;
    const bool found = config && (clipb_is_file(config) || is_clip_config(path));
    free(config);
    return found;
}

/* models--ORG--NAME to ORG/NAME; false: another kind of folder. */
static bool read_folder(const char *folder, char repo[CLIPHUB_REPO])
{
    static const char prefix[] = "models--";
    if (strncmp(folder, prefix, strlen(prefix)) != 0 || strlen(folder) >= CLIPHUB_REPO)
        return false;
    const char *org = folder + strlen(prefix), *name = strstr(org, "--");
    if (!name)
        return false;
    const size_t n = (size_t)(name - org);
    memcpy(repo, org, n);
    repo[n] = '/';
    strcpy(repo + n + 1, name + 2);
    return true;
}

static clip_status show(const char *root, const char *entry, clip_cached_fn each, void *user, int *others,
                        clip_error *err)
{
    char repo[CLIPHUB_REPO], *path = NULL, *folder;
    bool partial = false, whole = false;
    if (!read_folder(entry, repo))
        return CLIP_OK;
    folder = clipb_path_join(root, entry);
    if (!folder)
        return clipb_nomem(err, root);
    if (cliphub_find(folder, &path, NULL) == CLIP_ENOMEM || (path && cliphub_has_weights(path, &whole) < 0)) {
        free(path);
        free(folder);
        return clipb_nomem(err, root);
    }
    if (path && strcmp(path, folder) == 0) { /* there is no snapshot in it */
        free(path);
        path = NULL;
    }
    const clip_cached_model m = {repo, path, blob_bytes(folder, &partial), whole};
    if (partial || is_clip(path, repo))
        each(user, &m);
    else
        ++*others;
    free(path);
    free(folder);
    return CLIP_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

clip_status cliphub_cached(clip_cached_fn each, void *user, int *others, clip_error *err)
{
    char *root;
    int rest = 0;
    struct dirent **entry = NULL;
    TRY(cliphub_cache_root(&root, err));
    const int n = scandir(root, &entry, NULL, by_name);
    clip_status s = n >= 0 || errno == ENOENT ? CLIP_OK : clipb_fail(err, CLIP_EIO, root, "%s", strerror(errno));
    for (int i = 0; i < n; i++) {
        if (s == CLIP_OK)
            s = show(root, entry[i]->d_name, each, user, &rest, err);
        free(entry[i]);
    }
    free(entry);
    free(root);
    if (others)
        *others = rest;
    return s;
}
