/* What an index was given. The catalogue notes it as JSON, so that `clip index` without operands
 * can look at it again:
 *
 *     [{"path": "/home/ada/photos", "captions": true, "exclude": ["*.png", "drafts"],
 *       "language": "deu_Latn"}, ..]
 *
 * The language is there for texts that have one (NLLB's).
 * Paths are bytes; cJSON passes on what is not UTF-8 unchanged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/plain.h"
#include "collection/collection.h"
#include "collection/plan.h"

#define KEY "sources"
#define MOST_BYTES ((size_t)1 << 22)

static bool ends(const char *s, const char *end)
{
    const size_t n = strlen(s), e = strlen(end);
    return n > e && strcasecmp_l(s + n - e, end, clipb_plain()) == 0;
}

static bool is_table(const char *path) { return ends(path, ".tsv") || ends(path, ".csv"); }

clipcol_source_kind clipcol_source_kind_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return CLIPCOL_SOURCE_GONE;
    if (S_ISDIR(st.st_mode))
        return CLIPCOL_SOURCE_FOLDER;
    return clipdat_is_tar(path) ? CLIPCOL_SOURCE_TAR : is_table(path) ? CLIPCOL_SOURCE_TABLE : CLIPCOL_SOURCE_PICTURE;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void free_source(clipcol_source *s)
{
    free(s->path);
    clipdat_list_free(s->exclude, s->n_exclude);
    *s = (clipcol_source){0};
}

void clipcol_sources_free(clipcol_sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_source(&s->item[i]);
    free(s->item);
    *s = (clipcol_sources){0};
}

/* Replace the source of the same path, or add one. Takes `path`, also on error.
 * like  in  all but the path */
static clip_status put(clipcol_sources *list, char *path, const clipcol_source *like)
{
    const size_t n = like->n_exclude;
    clipcol_source new = {.path = path, .captions = like->captions, .exclude = calloc(n + 1, sizeof *new.exclude)};
    memcpy(new.language, like->language, sizeof new.language);
    clip_status s = path && new.exclude
                        ? clipb_grow((void **)&list->item, &list->capacity, list->n + 1, sizeof *list->item)
                        : CLIP_ENOMEM;
    for (; s == CLIP_OK && new.n_exclude < n; new.n_exclude++)
        if (!(new.exclude[new.n_exclude] = strdup(like->exclude[new.n_exclude])))
            s = CLIP_ENOMEM;
    if (s < 0) {
        free_source(&new);
        return s;
    }
    size_t at = 0;
    while (at < list->n && strcmp(list->item[at].path, path) != 0)
        at++;
    if (at < list->n) {
        if (!*new.language) /* captions that are in the index stay, and so does their language */
            memcpy(new.language, list->item[at].language, sizeof new.language);
        free_source(&list->item[at]);
    } else {
        list->n++;
    }
    list->item[at] = new;
    return CLIP_OK;
}

/* A picture that is a symbolic link keeps its own name; everything else gets its real path. */
static char *absolute(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (clipcol_source_kind_of(path) != CLIPCOL_SOURCE_PICTURE)
        return realpath(path, NULL);
    char *dir = clipb_path_dir(path), *whole = dir ? realpath(dir, NULL) : NULL;
    char *out = whole ? clipb_path_join(whole, slash ? slash + 1 : path) : NULL;
    free(dir);
    free(whole);
    return out;
}

static bool brings_texts(const clipcol_source *s, const char *path)
{
    const clipcol_source_kind kind = clipcol_source_kind_of(path);
    return s->captions || kind == CLIPCOL_SOURCE_TABLE || kind == CLIPCOL_SOURCE_TAR;
}

/* Takes `path`. */
static clip_status put_named(clipcol_sources *list, char *path, const clip_update_options *opt, const char *language)
{
    clipcol_source like = {.captions = opt->captions,
                           .exclude = (char **)(uintptr_t)opt->exclude,
                           .n_exclude = (size_t)opt->n_exclude};
    if (brings_texts(&like, path))
        snprintf(like.language, sizeof like.language, "%s", language);
    return put(list, path, &like);
}

clip_status clipcol_sources_resolve(const char *const *paths, int n, const clip_update_options *opt,
                                    const char *language, clipcol_sources *out, clip_error *err)
{
    clip_status s = CLIP_OK;
    for (int i = 0; s == CLIP_OK && i < n; i++) {
        char **list = NULL;
        size_t count = 0;
        s = clipdat_expand(paths[i], &list, &count, err);
        for (size_t j = 0; s == CLIP_OK && j < count; j++) {
            errno = 0;
            char *path = absolute(list[j]);
            if (!path || clipcol_source_kind_of(path) == CLIPCOL_SOURCE_GONE)
                s = clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, list[j], "%s", strerror(errno));
            if (s < 0)
                free(path);
            else
                s = put_named(out, path, opt, language);
        }
        clipdat_list_free(list, count);
    }
    return s == CLIP_ENOMEM ? clipb_nomem(err, NULL) : s;
}

/* ---- In the catalogue ------------------------------------------------------------------------ */

static clip_status take_source(clipcol_sources *out, const cJSON *o, const char *where, clip_error *err)
{
    const char *path = NULL, *language = "";
    char *patterns[256];
    clipcol_source like = {.exclude = patterns};
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "exclude"), *p;
    TRY(clipb_json_string(o, "path", &path, where, err));
    TRY(clipb_json_bool(o, "captions", &like.captions, where, err));
    TRY(clipb_json_string(o, "language", &language, where, err));
    snprintf(like.language, sizeof like.language, "%s", language);
    cJSON_ArrayForEach(p, list)
        if (cJSON_IsString(p) && like.n_exclude < sizeof patterns / sizeof *patterns)
            patterns[like.n_exclude++] = p->valuestring;
    return path && *path == '/' && strlen(language) < sizeof like.language
               ? put(out, strdup(path), &like)
               : clipb_fail(err, CLIP_EFORMAT, where, "the catalogue is damaged: its folders cannot be read");
}

clip_status clipcol_sources_recall(const clip_index *x, clipcol_sources *out, clip_error *err)
{
    char *text = malloc(MOST_BYTES);
    cJSON *root = NULL;
    const cJSON *o;
    clip_status s = text ? clipidx_recall(x, KEY, text, MOST_BYTES, err) : CLIP_ENOMEM;
    if (s == CLIP_OK && *text)
        s = clipb_json_parse(text, strlen(text), x->dir, &root, err);
    cJSON_ArrayForEach(o, root) {
        if (s == CLIP_OK)
            s = take_source(out, o, x->dir, err);
    }
    cJSON_Delete(root);
    free(text);
    return s == CLIP_ENOMEM ? clipb_nomem(err, x->dir) : s;
}

static bool add_json(cJSON *list, const clipcol_source *s)
{
    cJSON *o = cJSON_CreateObject(), *exclude = cJSON_CreateArray();
    bool ok = o && exclude && cJSON_AddItemToArray(list, o);
    if (!ok)
        cJSON_Delete(o);
    ok = ok && cJSON_AddItemToObject(o, "exclude", exclude);
    if (!ok) {
        cJSON_Delete(exclude);
        return false;
    }
    for (size_t i = 0; i < s->n_exclude; i++)
        ok = ok && cJSON_AddItemToArray(exclude, cJSON_CreateString(s->exclude[i]));
    return ok && cJSON_AddStringToObject(o, "path", s->path) && cJSON_AddBoolToObject(o, "captions", s->captions) &&
           (!*s->language || cJSON_AddStringToObject(o, "language", s->language));
}

static clip_status note(clip_index *x, const clipcol_sources *sources, clip_error *err)
{
    cJSON *list = cJSON_CreateArray();
    bool ok = list;
    for (size_t i = 0; ok && i < sources->n; i++)
        ok = add_json(list, &sources->item[i]);
    char *text = ok ? clipb_json_print(list, false) : NULL;
    cJSON_Delete(list);
    if (!text)
        return clipb_nomem(err, x->dir);
    clip_status s = strlen(text) < MOST_BYTES ? clipidx_remember(x, KEY, text, err)
                                              : clipb_fail(err, CLIP_ELIMIT, x->dir,
                                                           "too many folders to remember; index one that holds them");
    cJSON_free(text);
    return s;
}

clip_status clipcol_sources_remember(clip_index *x, const clipcol_sources *more, clip_error *err)
{
    clipcol_sources all = {0};
    clip_status s = clipcol_sources_recall(x, &all, err);
    for (size_t i = 0; s == CLIP_OK && i < more->n; i++)
        s = put(&all, strdup(more->item[i].path), &more->item[i]);
    if (s == CLIP_OK)
        s = note(x, &all, err);
    clipcol_sources_free(&all);
    return s == CLIP_ENOMEM ? clipb_nomem(err, x->dir) : s;
}

/* Whether one is the other, or a folder that holds it. */
static bool overlap(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b), shorter = n < m ? n : m;
    if (strncmp(a, b, shorter) != 0)
        return false;
    return n == m || (n > m ? a : b)[shorter] == '/' || (shorter > 0 && a[shorter - 1] == '/');
}

static clip_status agree(const clipcol_source *was, const clipcol_source *now, clip_error *err)
{
    if (!*was->language || !*now->language || strcmp(was->language, now->language) == 0 ||
        !overlap(was->path, now->path))
        return CLIP_OK;
    return clipb_fail(err, CLIP_EMISMATCH, now->path,
                      "its captions are in the index in the language %s, not %s: name that one, or remove them from "
                      "the index first", was->language, now->language);
}

clip_status clipcol_sources_agree(const clip_index *x, const clipcol_sources *named, clip_error *err)
{
    clipcol_sources all = {0};
    clip_status s = clipcol_sources_recall(x, &all, err);
    for (size_t i = 0; i < named->n; i++)
        for (size_t j = 0; s == CLIP_OK && j < all.n; j++)
            s = agree(&all.item[j], &named->item[i], err);
    clipcol_sources_free(&all);
    return s;
}

clip_status clipcol_list_sources(const clip_index *x, char ***out, size_t *n, bool *captions, clip_error *err)
{
    clipcol_sources all = {0};
    bool words = false;
    *out = NULL;
    *n = 0;
    clip_status s = clipcol_sources_recall(x, &all, err);
    if (s == CLIP_OK && !(*out = calloc(all.n + 1, sizeof **out)))
        s = clipb_nomem(err, x->dir);
    for (; s == CLIP_OK && *n < all.n; ++*n) {
        words |= brings_texts(&all.item[*n], all.item[*n].path);
        (*out)[*n] = all.item[*n].path;
        all.item[*n].path = NULL;
    }
    if (captions)
        *captions = words;
    clipcol_sources_free(&all);
    return s;
}

/* ---- Forgetting ------------------------------------------------------------------------------ */

static bool below_any(const char *path, char *const *roots, int n)
{
    for (int i = 0; i < n; i++)
        if (clipb_path_below(path, roots[i]))
            return true;
    return false;
}

static clip_status forget_items(clip_index *x, char *const *roots, int n, int64_t *removed, clip_error *err)
{
    int64_t row = 0;
    clip_item item;
    for (;;) {
        TRY(clipidx_next(x, &row, &item, err));
        if (!item.kind)
            return CLIP_OK;
        if (!item.path || !below_any(item.path, roots, n))
            continue;
        *removed += item.kind == CLIP_ITEM_PICTURE;
        TRY(clipidx_remove(x, &item.row, 1, err));
    }
}

clip_status clipcol_sources_forget(clip_index *x, char *const *roots, int n, clip_error *err)
{
    clipcol_sources all = {0};
    clip_status s = clipcol_sources_recall(x, &all, err);
    size_t kept = 0;
    for (size_t i = 0; i < all.n; i++)
        if (below_any(all.item[i].path, roots, n))
            free_source(&all.item[i]);
        else
            all.item[kept++] = all.item[i];
    const bool fewer = kept < all.n;
    all.n = kept;
    if (s == CLIP_OK && fewer)
        s = note(x, &all, err);
    clipcol_sources_free(&all);
    return s;
}

enum { NAMES = 3 };

/* What is to be removed, by three names: as it is written (an address, a name that was imported),
 * from the current directory on (it may be gone, or behind a symbolic link), and by its real
 * name. */
static clip_status find_roots(const char *const *paths, int n, char **roots, clip_error *err)
{
    for (int i = 0; i < n; i++, roots += NAMES) {
        if (!*paths[i])
            return clipb_fail(err, CLIP_EINVAL, NULL, "a path is empty");
        errno = 0;
        roots[0] = strdup(paths[i]);
        roots[1] = clipb_path_written(paths[i]);
        if (!roots[1])
            return clipb_fail(err, errno == ENOMEM ? CLIP_ENOMEM : CLIP_EIO, paths[i], "%s", strerror(errno));
        errno = 0;
        roots[2] = absolute(paths[i]);
        if (!roots[2] && errno != ENOMEM)
            roots[2] = strdup(roots[1]);
        if (!roots[0] || !roots[2])
            return CLIP_ENOMEM;
    }
    return CLIP_OK;
}

clip_status clipcol_forget_sources(clip_index *x, const char *const *paths, int n, int64_t *removed, clip_error *err)
{
    char **roots = calloc(NAMES * (size_t)n + 1, sizeof *roots);
    clip_status s = roots ? find_roots(paths, n, roots, err) : CLIP_ENOMEM;
    int64_t count = 0;
    if (s == CLIP_OK)
        s = forget_items(x, roots, NAMES * n, &count, err);
    if (s == CLIP_OK)
        s = clipcol_sources_forget(x, roots, NAMES * n, err);
    if (s == CLIP_OK)
        s = clipidx_commit(x, err);
    clipdat_list_free(roots, roots ? NAMES * (size_t)n : 0);
    if (removed)
        *removed = count;
    return s == CLIP_ENOMEM ? clipb_nomem(err, x->dir) : s;
}
