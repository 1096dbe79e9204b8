/* From the name of a model to its files in the cache: which files a repository has, their sizes and
 * hashes by HEAD requests, then the files. All are of one commit. The snapshot and the reference
 * are written last, so that a name leads to a whole model or to none. */
#include "hub/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"

#define MOST_INDEX ((size_t)64 << 20) /* bytes of an index of weights */
#define MOST_TOKEN ((size_t)4096)     /* bytes of the file with the token */

enum { MOST_PARTS = 1000, TIMEOUT = 30 };

/* Only looked for, to say what is there instead. */
static const char *const others[] = {"model.onnx", "textual/model.onnx"};
/* All that exist are fetched. */
static const char *const beside[] = {
    "open_clip_config.json", "config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "bpe_simple_vocab_16e6.txt.gz", "vocab.txt",
    "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

const char *cliphub_fetcher(void) { return "libcurl"; }

/* ---- The environment ------------------------------------------------------------------------- */

static const char *set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

static bool is_true(const char *value)
{
    return value && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0 ||
                     strcasecmp(value, "on") == 0);
}

/* The variable that forbids to fetch; NULL: none does. */
static const char *offline_by(void)
{
    static const char *const variables[] = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"};
    for (size_t i = 0; i < COUNT(variables); i++)
        if (is_true(getenv(variables[i])))
            return variables[i];
    return NULL;
}

static char *trimmed(const char *text)
{
    const char *blanks = " \t\r\n";
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]))
        n--;
    return strndup(text, n);
}

static clip_status read_token_file(char **out, clip_error *err)
{
    char *home = NULL, *path = NULL;
    unsigned char *text = NULL;
    size_t size;
    clip_status s = CLIP_OK;
    if (set("HF_TOKEN_PATH")) {
        path = strdup(set("HF_TOKEN_PATH"));
    } else {
        s = cliphub_cache_home(&home, err);
        path = s == CLIP_OK ? clipb_path_join(home, "token") : NULL;
    }
    if (s == CLIP_OK && !path)
        s = clipb_nomem(err, NULL);
    if (s == CLIP_OK && clipb_is_file(path)) {
        s = clipb_read_file(path, MOST_TOKEN, &text, &size, err);
        if (s == CLIP_OK)
            s = (*out = trimmed((char *)text)) ? CLIP_OK : clipb_nomem(err, NULL);
    }
    free(text);
    free(path);
    free(home);
    return s;
}

static clip_status read_token(char **out, clip_error *err)
{
    const char *own = set("HF_TOKEN") ? set("HF_TOKEN") : set("HUGGING_FACE_HUB_TOKEN");
    *out = NULL;
    if (!own)
        return read_token_file(out, err);
    return (*out = trimmed(own)) ? CLIP_OK : clipb_nomem(err, NULL);
}

/* ---- Words for faults ------------------------------------------------------------------------ */

clip_status cliphub_fault(cliphub_puller *p, const char *file, cliphub_outcome outcome)
{
    if (outcome == CLIPHUB_NOMEM)
        return clipb_nomem(p->err, p->text);
    if (!cliphub_http_reached(p->http))
        return clipb_fail(p->err, CLIP_EIO, p->text, "%s cannot be reached: %s", p->endpoint,
                          cliphub_http_why(p->http));
    return clipb_fail(p->err, CLIP_EIO, p->text, "%s: the connection has failed: %s. What has come stays; 'clip pull' "
                      "goes on from there", file, cliphub_http_why(p->http));
}

/* The hub answers 401 for a repository that does not exist, because it could be a private one. */
static clip_status refuse_repo(cliphub_puller *p)
{
    return clipb_fail(p->err, CLIP_EIO, p->text, "%s has no repository %s%s", p->endpoint, p->name.repo,
                      p->token && *p->token
                          ? ", or the token may not read it"
                          : ". If it is a private one, set HF_TOKEN to a token that may read it");
}

clip_status cliphub_refused(cliphub_puller *p, const char *file, const cliphub_reply *r)
{
    const bool gated = strcmp(r->error, "GatedRepo") == 0;
    if (gated)
        return clipb_fail(p->err, CLIP_EIO, p->text, "%s wants its terms accepted before it can be fetched: open %s/%s "
                          "in a browser, accept them, and set HF_TOKEN to a token of that account", p->name.repo,
                          p->endpoint, p->name.repo);
    if (strcmp(r->error, "RevisionNotFound") == 0)
        return clipb_fail(p->err, CLIP_EIO, p->text, "%s has no revision %s", p->name.repo, p->name.revision);
    if (strcmp(r->error, "RepoNotFound") == 0 || r->code == 401)
        return refuse_repo(p);
    if (r->code == 403)
        return clipb_fail(p->err, CLIP_EIO, p->text, "%s: the server forbids it%s%s", file, *r->message ? ": " : "",
                          r->message);
    return clipb_fail(p->err, CLIP_EIO, p->text, "%s: the server answers %ld%s%s", file, r->code,
                      *r->message ? ": " : "", r->message);
}

bool cliphub_tick(void *user)
{
    cliphub_puller *p = user;
    if (!p->stopped && p->opt.progress)
        p->stopped = !p->opt.progress(p->opt.progress_user, &p->now);
    return !p->stopped;
}

bool cliphub_path(const cliphub_puller *p, const char *file, char *out, size_t size)
{
    char revision[3 * CLIPHUB_REVISION], name[3 * CLIPHUB_FILE];
    return cliphub_http_escape(*p->commit ? p->commit : p->name.revision, false, revision, sizeof revision) &&
           cliphub_http_escape(file, true, name, sizeof name) &&
           snprintf(out, size, "%s/resolve/%s/%s", p->name.repo, revision, name) < (int)size;
}

/* ---- What a repository has ------------------------------------------------------------------- */

/* The ETag as the name of a blob: without "W/" and quotes. */
static bool read_etag(const cliphub_reply *r, char out[CLIPHUB_ETAG])
{
    const char *etag = *r->linked_etag ? r->linked_etag : r->etag;
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    etag += *etag == '"';
    const size_t n = strcspn(etag, "\"");
    snprintf(out, CLIPHUB_ETAG, "%.*s", (int)n, etag);
    return n > 0 && n < CLIPHUB_ETAG && *out != '.' && *out != '-' &&
           strspn(out, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") == n;
}

void cliphub_begin_file(cliphub_puller *p, const char *name)
{
    snprintf(p->now_file, sizeof p->now_file, "%s", name);
    p->now.file = p->now_file;
}

static clip_status ask_for_headers(cliphub_puller *p, const char *file, cliphub_reply *r)
{
    char address[1024];
    if (!cliphub_path(p, file, address, sizeof address))
        return clipb_fail(p->err, CLIP_EFORMAT, p->text, "the name of a file is too long");
    cliphub_begin_file(p, file);
    for (int tries = 0;;) {
        const cliphub_outcome outcome = cliphub_http_head(p->http, address, r);
        const bool passing = outcome == CLIPHUB_ANSWERED && (r->code >= 500 || r->code == 429);
        if (outcome == CLIPHUB_ANSWERED && !passing)
            return CLIP_OK;
        const clip_status s = passing ? cliphub_refused(p, file, r) : cliphub_fault(p, file, outcome);
        const bool again = passing || (outcome == CLIPHUB_BROKEN && cliphub_http_reached(p->http));
        if (!again || !cliphub_wait_again(p, &tries))
            return s;
    }
}

/* All files are taken from the commit that the first answer names. */
static clip_status take_commit(cliphub_puller *p, const char *commit)
{
    const bool sound = strlen(commit) == 40 && strspn(commit, "0123456789abcdef") == 40;
    if (*p->commit && strcmp(p->commit, commit) == 0)
        return CLIP_OK;
    if (!sound || *p->commit)
        return clipb_fail(p->err, CLIP_EFORMAT, p->text, "%s does not answer as the hub does: %s", p->endpoint,
                          !*commit ? "the commit is missing" : !sound ? "the commit is not one" : "the commit changes");
    strcpy(p->commit, commit);
    return CLIP_OK;
}

/* Whether the repository has a file. If so, it is added to the list. */
static clip_status look_for(cliphub_puller *p, const char *folder, const char *name, bool *found)
{
    char file[CLIPHUB_FILE];
    cliphub_reply r;
    cliphub_file f = {.size = -1};
    *found = false;
    if (snprintf(file, sizeof file, "%s%s%s", folder, *folder ? "/" : "", name) >= (int)sizeof file)
        return clipb_fail(p->err, CLIP_EFORMAT, p->text, "the name of a file is too long");
    if (!cliphub_tick(p))
        return CLIP_EIO;
    TRY(ask_for_headers(p, file, &r));
    if (r.code == 404 && (!*r.error || strcmp(r.error, "EntryNotFound") == 0))
        return *r.commit ? take_commit(p, r.commit) : CLIP_OK;
    if (r.code < 200 || r.code >= 400)
        return cliphub_refused(p, file, &r);
    TRY(take_commit(p, r.commit));
    if (!read_etag(&r, f.etag))
        return clipb_fail(p->err, CLIP_EFORMAT, p->text, "%s: the server gives it no ETag that could name it", file);
    f.size = r.linked_size >= 0 ? r.linked_size : r.code < 300 ? r.length : -1;
    strcpy(f.name, file);
    if (clipb_grow((void **)&p->file, &p->capacity, p->n + 1, sizeof *p->file) < 0)
        return clipb_nomem(p->err, p->text);
    p->file[p->n++] = f;
    *found = true;
    return CLIP_OK;
}

static bool is_listed(const cliphub_puller *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->file[i].name, name) == 0)
            return true;
    return false;
}

/* Add the parts that an index of weights names. It has been fetched. */
static clip_status look_for_parts(cliphub_puller *p, const char *folder, const char *index_path)
{
    cJSON *tree;
    const cJSON *part;
    int parts = 0;
    TRY(clipb_json_read(index_path, MOST_INDEX, &tree, p->err));
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(tree, "weight_map");
    clip_status s = cJSON_IsObject(map) ? CLIP_OK : clipb_fail(p->err, CLIP_EFORMAT, index_path, "has no weight_map");
    cJSON_ArrayForEach(part, map)
    {
        const char *name = cJSON_IsString(part) ? part->valuestring : "";
        char whole[CLIPHUB_FILE];
        bool found = true;
        snprintf(whole, sizeof whole, "%s%s%s", folder, *folder ? "/" : "", name);
        if (s < 0 || is_listed(p, whole))
            continue;
        if (!cliphub_is_plain(name) || ++parts > MOST_PARTS)
            s = clipb_fail(p->err, CLIP_EFORMAT, index_path, "names a part that cannot be: '%.100s'", name);
        else
            s = look_for(p, folder, name, &found);
        if (!found && s == CLIP_OK)
            s = clipb_fail(p->err, CLIP_EFORMAT, p->text, "%s is missing in the repository, though %s names it", name,
                           index_path);
    }
    cJSON_Delete(tree);
    return s;
}

/* Fetch the file that was found last, because it names others. *path: free() it. */
static clip_status fetch_last(cliphub_puller *p, char **path)
{
    const cliphub_file f = p->file[p->n - 1];
    *path = NULL;
    if (cliphub_blob_size(p, &f) < 0)
        TRY(cliphub_fetch(p, &f));
    return (*path = clipb_path_join(p->blobs, f.etag)) ? CLIP_OK : clipb_nomem(p->err, p->text);
}

static clip_status look_for_weights(cliphub_puller *p, const char *folder, bool *found)
{
    const char *file = NULL;
    *found = false;
    for (int i = 0; !*found && cliphub_weights_at(i); i++) {
        file = cliphub_weights_at(i);
        TRY(look_for(p, folder, file, found));
    }
    if (!*found || !strstr(file, ".index.json"))
        return CLIP_OK;
    char *path;
    TRY(fetch_last(p, &path));
    const clip_status s = look_for_parts(p, folder, path);
    free(path);
    return s;
}

/* modules.json of sentence-transformers names the folder of the weights. *folder: free() it. */
static clip_status look_for_modules(cliphub_puller *p, char **folder)
{
    bool found;
    char *path;
    TRY(look_for(p, "", "modules.json", &found));
    if (!found)
        return CLIP_OK;
    TRY(fetch_last(p, &path));
    const clip_status s = cliphub_modules_read(path, folder, p->err);
    free(path);
    return s;
}

/* There are no weights that can be read: say what there is. */
static clip_status refuse_others(cliphub_puller *p, const char *folder)
{
    const char *name = NULL;
    bool found = false;
    for (size_t i = 0; i < COUNT(others) && !found; i++) {
        name = others[i];
        TRY(look_for(p, folder, name, &found));
    }
    if (!found)
        return clipb_fail(p->err, CLIP_EUNSUPPORTED, p->text, "%s holds no weights (model.safetensors, "
                          "open_clip_model.safetensors or pytorch_model.bin)", p->name.repo);
    return clipb_fail(p->err, CLIP_EUNSUPPORTED, p->text, "%s holds its weights as %s only, a graph of another "
                      "program. A repository with model.safetensors or open_clip_model.safetensors is needed",
                      p->name.repo, name);
}

static clip_status find_files(cliphub_puller *p)
{
    char *inside = NULL;
    bool found, any;
    TRY(look_for_weights(p, "", &found));
    clip_status s = found ? CLIP_OK : look_for_modules(p, &inside);
    const char *folder = inside ? inside : "";
    if (s == CLIP_OK && *folder)
        s = look_for_weights(p, folder, &found);
    if (s == CLIP_OK && !found)
        s = refuse_others(p, folder);
    for (size_t i = 0; s == CLIP_OK && i < COUNT(beside); i++)
        s = look_for(p, folder, beside[i], &any);
    free(inside);
    return s;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void count_bytes(cliphub_puller *p)
{
    p->now.files = (int)p->n;
    p->now.done = p->now.total = 0;
    for (size_t i = 0; i < p->n; i++) {
        const int64_t size = cliphub_blob_size(p, &p->file[i]);
        p->now.done += size >= 0 ? size : cliphub_part_size(p, &p->file[i]);
        p->now.total += p->file[i].size > 0 ? p->file[i].size : 0;
    }
}

/* Small files first: the last one, with the weights, takes the time. */
static int by_size(const void *a, const void *b)
{
    const int64_t x = ((const cliphub_file *)a)->size, y = ((const cliphub_file *)b)->size;
    return (x > y) - (x < y);
}

static clip_status fetch_files(cliphub_puller *p)
{
    count_bytes(p);
    qsort(p->file, p->n, sizeof *p->file, by_size);
    for (size_t i = 0; i < p->n; i++)
        if (cliphub_blob_size(p, &p->file[i]) < 0)
            TRY(cliphub_fetch(p, &p->file[i]));
    if (!cliphub_tick(p))
        return CLIP_EIO;
    for (size_t i = 0; i < p->n; i++)
        TRY(cliphub_link(p->folder, p->commit, p->file[i].name, p->file[i].etag, p->err));
    if (strcmp(p->name.revision, p->commit) != 0)
        TRY(cliphub_write_ref(p->folder, p->name.revision, p->commit, p->err));
    return CLIP_OK;
}

static clip_status open_folders(cliphub_puller *p)
{
    TRY(cliphub_cache_root(&p->root, p->err));
    TRY(cliphub_make_folder(p->root, p->err));
    if (!(p->folder = cliphub_repo_folder(p->root, p->name.repo)))
        return clipb_nomem(p->err, p->text);
    TRY(cliphub_make_folder(p->folder, p->err)); /* it may be a link to another disk */
    return cliphub_enter_folder(p->folder, "blobs", &p->blobs, p->err);
}

static clip_status open_hub(cliphub_puller *p)
{
    const char *timeout = set("HF_HUB_DOWNLOAD_TIMEOUT"), *endpoint = set("HF_ENDPOINT");
    p->endpoint = endpoint ? endpoint : "https://huggingface.co";
    TRY(read_token(&p->token, p->err));
    const long seconds = timeout ? strtol(timeout, NULL, 10) : TIMEOUT;
    const cliphub_http_options o = {p->endpoint, p->token, seconds > 0 ? seconds : TIMEOUT, cliphub_tick, p};
    return cliphub_http_open(&o, &p->http, p->err);
}

static void close_puller(cliphub_puller *p)
{
    cliphub_http_close(p->http);
    free(p->token);
    free(p->root);
    free(p->folder);
    free(p->blobs);
    free(p->file);
}

static clip_status pull_named(cliphub_puller *p, char **path)
{
    clip_status s = open_hub(p);
    if (s == CLIP_OK)
        s = open_folders(p);
    if (s == CLIP_OK)
        s = find_files(p);
    if (s == CLIP_OK)
        s = fetch_files(p);
    if (s == CLIP_OK) {
        s = cliphub_find(p->text, path, p->err);
    } else if (p->stopped) {
        s = CLIP_OK;
    }
    close_puller(p);
    return s;
}

clip_status cliphub_pull(const char *text, const clip_pull_options *opt, char **path, clip_error *err)
{
    cliphub_puller p = {.text = text, .err = err};
    const char *offline = offline_by();
    bool named;
    *path = NULL;
    if (opt)
        p.opt = *opt;
    if (p.opt.if_missing || offline)
        TRY(cliphub_find_whole(text, path, err));
    if (*path)
        return CLIP_OK;
    if (offline)
        return clipb_fail(err, CLIP_EIO, text, "is not in the cache, and %s forbids to fetch it", offline);
    if (access(text, F_OK) == 0)
        return clipb_fail(err, CLIP_EINVAL, text, "is a file or folder here: there is nothing to fetch");
    TRY(cliphub_name_read(text, &p.name, &named, err));
    if (!named)
        return clipb_fail(err, CLIP_EINVAL, text, "is not the name of a model: it is ORG/NAME[@REVISION], or one that "
                                                  "'clip models' lists");
    return pull_named(&p, path);
}
