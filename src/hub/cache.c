/* The hub's cache on this machine, read. What is in it is checked: another program, or an archive
 * from elsewhere, may have written it. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "hub/hub.h"

#define MOST_REF 4096                 /* bytes of a reference */
#define MOST_INDEX ((size_t)64 << 20) /* bytes of an index of weights */

enum { MOST_DEPTH = 4, MOST_ENTRIES = 10000 }; /* of a snapshot */

/* ---- Where it is ----------------------------------------------------------------------------- */

static const char *set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

/* "~/..." becomes a path in the home directory. */
static clip_status expand(const char *path, char **out, clip_error *err)
{
    const char *home = set("HOME");
    if (strncmp(path, "~/", 2) == 0 && home)
        *out = clipb_path_join(home, path + 2);
    else
        *out = strdup(path);
    return *out ? CLIP_OK : clipb_nomem(err, path);
}

clip_status cliphub_cache_home(char **out, clip_error *err)
{
    const char *own = set("HF_HOME"), *xdg = set("XDG_CACHE_HOME"), *home = set("HOME");
    *out = NULL;
    if (own)
        return expand(own, out, err);
    if (xdg)
        *out = clipb_path_join(xdg, "huggingface");
    else if (home)
        *out = clipb_path_join(home, ".cache/huggingface");
    else
        return clipb_fail(err, CLIP_EINVAL, NULL, "neither HF_HUB_CACHE nor HOME is set: where models are is unknown");
    return *out ? CLIP_OK : clipb_nomem(err, NULL);
}

clip_status cliphub_cache_root(char **out, clip_error *err)
{
    const char *own = set("HF_HUB_CACHE") ? set("HF_HUB_CACHE") : set("HUGGINGFACE_HUB_CACHE");
    char *home;
    *out = NULL;
    if (own)
        return expand(own, out, err);
    TRY(cliphub_cache_home(&home, err));
    *out = clipb_path_join(home, "hub");
    free(home);
    return *out ? CLIP_OK : clipb_nomem(err, NULL);
}

char *cliphub_repo_folder(const char *root, const char *repo)
{
    char name[2 * CLIPHUB_REPO] = "models--";
    size_t n = strlen(name);
    for (; *repo && n + 3 < sizeof name; repo++) {
        if (*repo == '/')
            name[n++] = '-';
        name[n++] = *repo == '/' ? '-' : *repo;
    }
    name[n] = 0;
    return clipb_path_join(root, name);
}

bool cliphub_is_plain(const char *name)
{
    if (!*name || *name == '.' || strlen(name) > NAME_MAX)
        return false;
    for (const char *p = name; *p; p++)
        if (*p == '/' || iscntrl((unsigned char)*p))
            return false;
    return true;
}

/* ---- The entries of a snapshot --------------------------------------------------------------- */

typedef struct walk {
    const char *blobs; /* the real path of the repository's blobs; NULL: there are none */
    int entries;
} walk;

/* Whether a link leads to an entry of blobs, by its text: the blob may be a link itself. */
static clip_status leads_to_blobs(const walk *w, const char *dir, const char *target, bool *sound)
{
    char *whole = *target == '/' ? strdup(target) : clipb_path_join(dir, target);
    if (!whole)
        return CLIP_ENOMEM;
    char *slash = strrchr(whole, '/'), *real = NULL;
    if (cliphub_is_plain(slash + 1) && w->blobs) {
        *slash = 0;
        real = realpath(whole, NULL);
    }
    *sound = real && strcmp(real, w->blobs) == 0;
    free(real);
    free(whole);
    return CLIP_OK;
}

static clip_status check_folder(walk *w, const char *dir, int depth, clip_error *err);

static clip_status check_entry(walk *w, const char *dir, const char *path, int depth, clip_error *err)
{
    struct stat st;
    char target[PATH_MAX];
    if (lstat(path, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (S_ISREG(st.st_mode))
        return CLIP_OK;
    if (S_ISDIR(st.st_mode) && depth < MOST_DEPTH)
        return check_folder(w, path, depth + 1, err);
    if (!S_ISLNK(st.st_mode))
        return clipb_fail(err, CLIP_EFORMAT, path, "does not belong into a snapshot of the hub's cache");
    const ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    bool sound;
    if (leads_to_blobs(w, dir, target, &sound) < 0)
        return clipb_nomem(err, path);
    return sound
               ? CLIP_OK
               : clipb_fail(err, CLIP_EFORMAT, path, "is a link to %s, which is not among the blobs of its repository",
                            target);
}

static clip_status check_folder(walk *w, const char *dir, int depth, clip_error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return clipb_fail(err, CLIP_EIO, dir, "%s", strerror(errno));
    clip_status s = CLIP_OK;
    for (struct dirent *e; s == CLIP_OK && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = clipb_path_join(dir, e->d_name);
        if (++w->entries > MOST_ENTRIES)
            s = clipb_fail(err, CLIP_ELIMIT, dir, "holds more than %d files", MOST_ENTRIES);
        else
            s = path ? check_entry(w, dir, path, depth, err) : clipb_nomem(err, dir);
        free(path);
    }
    closedir(d);
    return s;
}

static clip_status check_snapshot(const char *folder, const char *snapshot, clip_error *err)
{
    struct stat st;
    if (lstat(snapshot, &st) == 0 && !S_ISDIR(st.st_mode))
        return clipb_fail(err, CLIP_EFORMAT, snapshot, "must be a folder, and not a link");
    char *blobs = clipb_path_join(folder, "blobs");
    if (!blobs)
        return clipb_nomem(err, folder);
    walk w = {.blobs = realpath(blobs, NULL)};
    const clip_status s = check_folder(&w, snapshot, 0, err);
    free((char *)w.blobs);
    free(blobs);
    return s;
}

/* ---- Revisions ------------------------------------------------------------------------------- */

static bool is_commit(const char *s)
{
    return strlen(s) == 40 && strspn(s, "0123456789abcdef") == 40;
}

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
        s = *out ? CLIP_OK : clipb_nomem(err, snapshots);
    }
    closedir(d);
    if (s == CLIP_OK && n != 1)
        s = clipb_fail(err, CLIP_EIO, snapshots,
                       n ? "holds several snapshots, and refs/main does not say which: name one of them"
                         : "holds no snapshot");
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    return s;
}

static clip_status read_ref(const char *ref, char **out, clip_error *err)
{
    unsigned char *text;
    size_t size;
    TRY(clipb_read_file(ref, MOST_REF, &text, &size, err));
    text[strcspn((char *)text, " \t\r\n")] = 0;
    if (!cliphub_is_plain((char *)text)) {
        free(text);
        return clipb_fail(err, CLIP_EFORMAT, ref, "does not name a snapshot");
    }
    *out = (char *)text;
    return CLIP_OK;
}

static clip_status find_commit(const char *snapshots, const char *ref, const char *revision, char **out,
                               clip_error *err)
{
    if (clipb_is_file(ref))
        return read_ref(ref, out, err);
    if (is_commit(revision))
        return (*out = strdup(revision)) ? CLIP_OK : clipb_nomem(err, ref);
    if (strcmp(revision, "main") == 0)
        return only_snapshot(snapshots, out, err);
    return clipb_fail(err, CLIP_EIO, ref, "is not there");
}

clip_status cliphub_snapshot(const char *folder, const char *revision, char **out, clip_error *err)
{
    char *snapshots = clipb_path_join(folder, "snapshots"), *refs = clipb_path_join(folder, "refs"),
         *ref = refs ? clipb_path_join(refs, revision) : NULL, *commit = NULL;
    clip_status s = snapshots && ref ? find_commit(snapshots, ref, revision, &commit, err) : clipb_nomem(err, folder);
    *out = NULL;
    if (s == CLIP_OK)
        s = (*out = clipb_path_join(snapshots, commit)) ? CLIP_OK : clipb_nomem(err, folder);
    if (s == CLIP_OK && !clipb_is_dir(*out))
        s = clipb_fail(err, CLIP_EIO, *out, "is not there, though %s names it: the download is not complete", ref);
    if (s == CLIP_OK)
        s = check_snapshot(folder, *out, err);
    if (s < 0) {
        free(*out);
        *out = NULL;
    }
    free(snapshots);
    free(refs);
    free(ref);
    free(commit);
    return s;
}

/* ---- Weights --------------------------------------------------------------------------------- */

static bool is_file_at(int fd, const char *name)
{
    struct stat st;
    return fstatat(fd, name, &st, 0) == 0 && S_ISREG(st.st_mode);
}

/* Whether all the files that an index of weights names are there. */
static clip_status has_parts(const char *dir, int fd, const char *index, bool *whole)
{
    char *path = clipb_path_join(dir, index);
    cJSON *tree = NULL;
    const cJSON *part;
    const clip_status s = path ? clipb_json_read(path, MOST_INDEX, &tree, NULL) : CLIP_ENOMEM;
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(tree, "weight_map");
    const char *last = "";
    *whole = cJSON_IsObject(map);
    cJSON_ArrayForEach(part, map)
    {
        if (!cJSON_IsString(part) || strcmp(part->valuestring, last) == 0)
            continue;
        last = part->valuestring;
        *whole &= cliphub_is_plain(last) && is_file_at(fd, last);
    }
    cJSON_Delete(tree);
    free(path);
    return s == CLIP_ENOMEM ? s : CLIP_OK;
}

/* Safetensors first, then files of torch.save(). */
static const char *const weights[] = {"open_clip_model.safetensors", "model.safetensors",
                                      "open_clip_model.safetensors.index.json", "model.safetensors.index.json",
                                      "model.fp16.safetensors",
                                      "open_clip_pytorch_model.bin", "pytorch_model.bin",
                                      "pytorch_model.bin.index.json"};

const char *cliphub_weights_at(int i) { return i < (int)(sizeof weights / sizeof *weights) ? weights[i] : NULL; }

clip_status cliphub_has_weights(const char *dir, bool *found)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name;
    clip_status s = CLIP_OK;
    *found = false;
    for (int i = 0; fd >= 0 && s == CLIP_OK && !*found && (name = cliphub_weights_at(i)); i++) {
        *found = is_file_at(fd, name);
        if (*found && strstr(name, ".index."))
            s = has_parts(dir, fd, name, found);
    }
    if (fd >= 0)
        close(fd);
    return s;
}
