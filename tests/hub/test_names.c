/* test_names.c: what names mean, and what a cache folder may hold. */
#include "hub_test.h"

#include "failing_alloc.h"
#include "hub/hub.h"

/* ---- Names ----------------------------------------------------------------------------------- */

static void leads_to(const char *text, const char *repo, const char *revision)
{
    cliphub_name name;
    bool found;
    clip_error err = {0};
    if (cliphub_name_read(text, &name, &found, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(found);
    assert_string_equal(name.repo, repo);
    assert_string_equal(name.revision, revision);
}

static void is_path(const char *text)
{
    cliphub_name name;
    bool found;
    assert_int_equal(cliphub_name_read(text, &name, &found, NULL), CLIP_OK);
    if (found)
        fail_msg("'%s' is taken for %s", text, name.repo);
}

static void is_refused(const char *text, const char *part)
{
    cliphub_name name;
    bool found;
    clip_error err;
    assert_int_equal(cliphub_name_read(text, &name, &found, &err), CLIP_EINVAL);
    says(err.message, part);
}

static void names(void **state)
{
    (void)state;
    leads_to("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", "main");
    leads_to("hf-hub:org/name@v1.0", "org/name", "v1.0");
    leads_to("org/name@refs/pr/1", "org/name", "refs/pr/1");
    leads_to("ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "main");
    leads_to("ViT-B-32__laion2b-s34b-b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "main");
    leads_to("ViT-B-32__openai", "timm/vit_base_patch32_clip_224.openai", "main");
    leads_to("XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k", "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k",
             "main");
    leads_to("XLM-Roberta-Large-Vit-B-32", "M-CLIP/XLM-Roberta-Large-Vit-B-32", "main");
    leads_to("ViT-B-16-SigLIP2__webli", "timm/ViT-B-16-SigLIP2", "main");
    static const char *const paths[] = {"", "model", "a/b/c", "./model", "../model", "/model", "a/", "/b", "~/model",
                                        "org/name.safetensors", "models/clip.onnx", "org/na me", "org/..", "org/a--b",
                                        "org/name@", "org/name@../x", "org/name@a//b", "org/name@a/", "org@1/name",
                                        "-org/name", "org/name\n", "org/.name", "local-dir:x"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        is_path(paths[i]);
    is_refused("ViT-B-32", "which weights? The names are ViT-B-32/TAG, with one of these tags: ");
    is_refused("ViT-B-32/laion9b", "there are no such weights");
    is_refused("vit-b-32__laion9b", "openai");
    is_refused("hf-hub:name", "is not hf-hub:ORG/NAME");
}

/* Every name of the table leads to its own row, in OpenCLIP's form and in Immich's. */
static void the_table(void **state)
{
    (void)state;
    int n, r;
    const clip_known_model *known = cliphub_known(&n);
    const clip_recommended_model *recommended = cliphub_recommended(&r);
    for (int i = 0; i < n; i++) {
        char immich[160];
        leads_to(known[i].name, known[i].repository, "main");
        const char *slash = strchr(known[i].name, '/');
        snprintf(immich, sizeof immich, "%.*s__%s", slash ? (int)(slash - known[i].name) : 0, known[i].name,
                 slash ? slash + 1 : "");
        if (slash)
            leads_to(immich, known[i].repository, "main");
        leads_to(known[i].repository, known[i].repository, "main");
    }
    for (int i = 0; i < r; i++) {
        cliphub_name name;
        bool found;
        assert_int_equal(cliphub_name_read(recommended[i].name, &name, &found, NULL), CLIP_OK);
        assert_non_null(name.known);
        assert_string_equal(name.known->name, recommended[i].name);
    }
}

/* ---- The cache ------------------------------------------------------------------------------- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void new_model(void)
{
    new_cache();
    shell("cd %s && mkdir -p cache/models--org--name/blobs cache/models--org--name/refs "
          "cache/models--org--name/snapshots/" COMMIT " && cd cache/models--org--name && printf " COMMIT
          " >refs/main && echo w >blobs/w && ln -s ../../blobs/w snapshots/" COMMIT "/model.safetensors", dir);
}

#define IN_SNAPSHOT "cd %s/cache/models--org--name/snapshots/" COMMIT " && "

static void found(const char *text, const char *ending)
{
    char *path;
    clip_error err = {0};
    if (cliphub_find(text, &path, &err) < 0)
        fail_msg("%s", err.message);
    says(path, ending);
    free(path);
}

static void not_found(const char *text, clip_status status, const char *part)
{
    char *path;
    clip_error err;
    assert_int_equal(cliphub_find(text, &path, &err), status);
    assert_null(path);
    says(err.message, part);
    if (status == CLIP_EFORMAT) {
        assert_int_equal(cliphub_find_whole(text, &path, NULL), CLIP_OK);
        assert_null(path);
    }
}

static void a_cache(void **state)
{
    (void)state;
    char path[256];
    new_model();
    found("org/name", "/models--org--name/snapshots/" COMMIT);
    found("org/name@" COMMIT, "/snapshots/" COMMIT);
    snprintf(path, sizeof path, "%s/models--org--name", cache);
    found(path, "/snapshots/" COMMIT);
    not_found("org/name@v1", CLIP_EIO, "this revision is not whole in the cache; 'clip pull org/name@v1' fetches it");
    not_found("org/other", CLIP_EIO, "nor a model in");
    shell("cd %s/cache/models--org--name && mkdir -p refs/refs/pr && printf " COMMIT " >refs/refs/pr/1", dir);
    found("org/name@refs/pr/1", "/snapshots/" COMMIT);
    shell("rm %s/models--org--name/blobs/w", cache); /* the link leads nowhere now */
    not_found("org/name", CLIP_EIO, "the cache holds no weights of it; 'clip pull org/name' fetches it");
    new_model();
    shell(IN_SNAPSHOT "mv model.safetensors model-1.safetensors && "
          "echo '{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\"}}' "
          ">model.safetensors.index.json", dir);
    not_found("org/name", CLIP_EIO, "the cache holds no weights of it");
    shell(IN_SNAPSHOT "ln -s ../../blobs/w model-2.safetensors", dir);
    found("org/name", COMMIT);
    new_model(); /* what exists as a path wins */
    shell("mkdir -p %s/here/org/name", dir);
    snprintf(path, sizeof path, "%s/here", dir);
    assert_int_equal(chdir(path), 0);
    found("org/name", "org/name");
    found("hf-hub:org/name", COMMIT);
    assert_int_equal(chdir("/"), 0);
}

static void where_the_cache_is(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value, *root;
    } cases[] = {
        {"HF_HUB_CACHE", "~/x", "/home/u/x"},
        {"HUGGINGFACE_HUB_CACHE", "/y", "/y"},
        {"HF_HOME", "/hf", "/hf/hub"},
        {"XDG_CACHE_HOME", "/xdg", "/xdg/huggingface/hub"},
        {"HOME", "/home/u", "/home/u/.cache/huggingface/hub"},
    };
    char *root, *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        setenv(cases[i].variable, cases[i].value, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cliphub_cache_root(&root, NULL), CLIP_OK);
        assert_string_equal(root, cases[i].root);
        free(root);
        unsetenv(cases[i].variable);
    }
    assert_int_equal(cliphub_cache_root(&root, NULL), CLIP_EINVAL);
    setenv("HOME", home, 1);
    free(home);
}

static void hostile_caches(void **state)
{
    (void)state;
    static const char *const links[] = {"/etc/passwd", "../../../../secret", "../../blobs/../../../secret",
                                        "../../blobs/..", "../../refs/main", "../../blobs/.hidden", "other",
                                        "../../../models--org--other/blobs/w"};
    new_model(); /* an optimizer, and parts of other networks, are not weights of a CLIP */
    shell(IN_SNAPSHOT "rm model.safetensors && touch optimizer.pt adapter_model.safetensors rng_state.pth", dir);
    not_found("org/name", CLIP_EIO, "the cache holds no weights of it");
    shell(IN_SNAPSHOT "touch open_clip_pytorch_model.bin", dir);
    found("org/name", "/snapshots/" COMMIT);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        new_model();
        shell("mkdir -p %s/cache/models--org--other/blobs && echo s >%s/secret", dir, dir);
        shell(IN_SNAPSHOT "ln -s %s config.json", dir, links[i]);
        not_found("org/name", CLIP_EFORMAT, "config.json: is a link to ");
    }
    new_model();
    shell(IN_SNAPSHOT "ln -s ../../../ deeper", dir);
    not_found("org/name", CLIP_EFORMAT, "deeper: is a link to ");
    new_model();
    shell(IN_SNAPSHOT "mkfifo config.json", dir);
    not_found("org/name", CLIP_EFORMAT, "config.json: does not belong into a snapshot");
    new_model();
    shell(IN_SNAPSHOT "mkdir -p a/b/c/d/e/f", dir);
    not_found("org/name", CLIP_EFORMAT, "does not belong into a snapshot");
    new_model();
    shell("cd %s/cache/models--org--name/snapshots && mv " COMMIT " %s/elsewhere && ln -s %s/elsewhere " COMMIT, dir,
          dir, dir);
    not_found("org/name", CLIP_EFORMAT, "must be a folder, and not a link");
    shell("rm -r %s/elsewhere", dir);
    static const char *const refs[] = {"..", "../..", "/etc", "", "a/b", "."};
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        new_model();
        shell("printf '%s' >%s/models--org--name/refs/main", refs[i], cache);
        not_found("org/name", CLIP_EFORMAT, "refs/main: does not name a snapshot");
    }
    new_model(); /* an absolute link to this repository's own blobs is fine, and so are files */
    shell(IN_SNAPSHOT "ln -s %s/cache/models--org--name/blobs/w a.json && cp model.safetensors b.json", dir, dir);
    found("org/name", COMMIT);
    new_model(); /* a blob may be a link into a shared store */
    shell("cd %s && mkdir -p store && mv cache/models--org--name/blobs/w store/ && ln -s %s/store/w "
          "cache/models--org--name/blobs/w", dir, dir);
    found("org/name", COMMIT);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    new_model();
    bool failed = true;
    for (long n = 1; failed; n++) {
        char *path;
        fail_alloc_at(n);
        const clip_status s = cliphub_find_whole("org/name", &path, NULL);
        failed = fail_alloc_stop();
        assert_int_equal(s, failed ? CLIP_ENOMEM : CLIP_OK);
        free(path);
    }
}

/* ---- The list -------------------------------------------------------------------------------- */

static void add_line(void *user, const clip_cached_model *m)
{
    char *text = user;
    sprintf(text + strlen(text), "%s %s %lld %s\n", m->repository, m->whole ? "whole" : "partial", (long long)m->bytes,
            m->path ? "path" : "-");
}

static void a_list(void **state)
{
    (void)state;
    char text[1024] = "";
    int others;
    new_cache();
    assert_int_equal(cliphub_cached(add_line, text, &others, NULL), CLIP_OK); /* the folder does not exist */
    assert_string_equal(text, "");
    new_model();
    shell(IN_SNAPSHOT "echo '{\"model_type\": \"siglip\"}' >config.json", dir);
    shell("cd %s && cp -r models--org--name models--org--bert && cd models--org--bert/snapshots/" COMMIT
          " && echo '{\"model_type\": \"bert\"}' >config.json", cache);
    shell("cd %s && mkdir -p models--org--part/blobs datasets--org--name models--odd && "
          "echo 123 >models--org--part/blobs/x.clip-part && echo >version.txt", cache);
    shell("cd %s && mkdir -p models--timm--ViT-B-16-SigLIP2/blobs", cache);
    assert_int_equal(cliphub_cached(add_line, text, &others, NULL), CLIP_OK);
    assert_string_equal(text, "org/name whole 2 path\norg/part partial 4 -\ntimm/ViT-B-16-SigLIP2 partial 0 -\n");
    assert_int_equal(others, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),          cmocka_unit_test(the_table),
        cmocka_unit_test(a_cache),        cmocka_unit_test(where_the_cache_is),
        cmocka_unit_test(hostile_caches), cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_list),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
