/* test_pull.c: clip_pull() against a server on loopback that answers as the hub does.
 * usage: test_pull GOLDEN       the folder with the small checkpoints */
#include "hub_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "clip.h"
#include "server.h"

#define PIECE_A_MS 16384
#define REPO "models--org--name"
#define SNAPSHOT REPO "/snapshots/" SERVER_COMMIT

static const char *golden;
static server s;
static char large[] = "open_clip_model.safetensors", large_etag[65];
static long large_size;

/* ---- The repository on the server ------------------------------------------------------------ */

/* Serve the files of a checkpoint as org/name, from a server that does nothing strange. */
static void serve(const char *checkpoint)
{
    static char folder[64];
    const int hub = s.hub, store = s.store;
    char endpoint[64], path[256];
    struct stat st;
    snprintf(folder, sizeof folder, "%s/served", dir);
    shell("rm -rf %s && mkdir %s && cp %s/%s/*.* %s/ && rm -f %s/*.npy", folder, folder, golden, checkpoint, folder,
          folder);
    if (hub == 0) {
        server_start(&s, folder);
    } else {
        memcpy(endpoint, s.endpoint, sizeof endpoint);
        s = (server){.folder = folder, .repo = "org/name", .hub = hub, .store = store, .cut_after = -1,
                     .kill_after = -1};
        memcpy(s.endpoint, endpoint, sizeof endpoint);
    }
    setenv("HF_ENDPOINT", s.endpoint, 1);
    unsetenv("HF_TOKEN");
    unsetenv("HF_HUB_DOWNLOAD_TIMEOUT");
    snprintf(path, sizeof path, "%s/%s", folder, large);
    if (stat(path, &st) == 0) {
        large_size = (long)st.st_size;
        server_etag(path, large_etag);
    }
    new_cache();
}

static int start(void **state)
{
    const int failed = make_dir(state);
    if (failed == 0)
        serve("tiny-vit");
    return failed;
}

/* ---- Pulling --------------------------------------------------------------------------------- */

typedef struct watch {
    clip_pull_progress last;
    long stop_at; /* bytes received; -1: never */
    char waiting[128];
} watch;

static bool on_progress(void *user, const clip_pull_progress *now)
{
    watch *w = user;
    assert_true(now->total == 0 || now->done <= now->total);
    w->last = *now;
    if (now->waiting)
        snprintf(w->waiting, sizeof w->waiting, "%s", now->waiting);
    return w->stop_at < 0 || now->fetched < w->stop_at;
}

static clip_status pull(const char *name, watch *w, clip_error *err)
{
    char *path = NULL;
    clip_pull_options o = clip_pull_options_default();
    *w = (watch){.stop_at = -1};
    o.progress = on_progress;
    o.progress_user = w;
    const clip_status status = clip_pull(name, &o, &path, err);
    assert_true((status == CLIP_OK) == (path != NULL));
    free(path);
    return status;
}

static long fetched(const char *name)
{
    watch w;
    clip_error err = {0};
    if (pull(name, &w, &err) < 0)
        fail_msg("%s", err.message);
    return (long)w.last.fetched;
}

static void refused(const char *name, clip_status status, const char *part)
{
    watch w;
    clip_error err;
    assert_int_equal(pull(name, &w, &err), status);
    says(err.message, part);
}

static char *in_cache(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", cache, name);
    return path;
}

static long size_in_cache(const char *name)
{
    struct stat st;
    return stat(in_cache(name), &st) == 0 ? (long)st.st_size : -1;
}

static long part_size(void)
{
    char name[256];
    snprintf(name, sizeof name, REPO "/blobs/%s.clip-part", large_etag);
    return size_in_cache(name);
}

/* The cache holds what the server has, as the hub's own client lays it out. */
static void is_whole(void)
{
    shell("cd %s/served && find . -type f | while read -r f; do cmp -s \"$f\" %s/" SNAPSHOT "/\"$f\" || exit 1; done",
          dir, cache);
    shell("test \"$(cat %s/" REPO "/refs/main)\" = " SERVER_COMMIT, cache);
    shell("cd %s/" SNAPSHOT " && test -z \"$(find . -type f)\" && find . -type l | while read -r f; do "
          "case $(readlink \"$f\") in ../../blobs/*|../../../blobs/*) ;; *) exit 1 ;; esac; done", cache);
    shell("test -z \"$(find %s/" REPO "/blobs -name '*.clip-part')\"", cache);
}

/* ---- What goes well -------------------------------------------------------------------------- */

static void a_whole_model(void **state)
{
    (void)state;
    clip_model *m;
    clip_error err;
    serve("tiny-vit");
    setenv("HF_TOKEN", "hf_secret", 1);
    assert_int_equal(clip_model_load("org/name", NULL, &m, &err), CLIP_EIO);
    says(err.message, "'clip pull org/name' fetches it");
    assert_int_equal(s.requests, 0);
    assert_true(fetched("org/name") > large_size);
    is_whole();
    assert_true(s.token_at_hub);
    assert_false(s.token_elsewhere);
    assert_string_equal(s.token, "Bearer hf_secret");
    assert_int_equal(fetched("hf-hub:org/name"), 0); /* all here already */
    assert_int_equal(clip_model_load("org/name", NULL, &m, &err), CLIP_OK);
    clip_model_free(m);
    assert_int_equal(clip_model_load("org/name@" SERVER_COMMIT, NULL, &m, &err), CLIP_OK);
    clip_model_free(m);
    assert_int_equal(s.sent, large_size);
}

static void a_pickle_where_there_are_no_safetensors(void **state)
{
    (void)state;
    static const char *const names[] = {"open_clip_pytorch_model.bin", "pytorch_model.bin"};
    clip_model *m;
    clip_error err;
    for (int i = 0; i < 2; i++) {
        serve("tiny-vit-eos");
        shell("cp %s/../pickles/epoch_1.pt %s/served/%s", golden, dir, names[i]);
        fetched("org/name"); /* safetensors first */
        assert_true(exists(in_cache(SNAPSHOT "/open_clip_model.safetensors")));
        shell("! ls %s/" SNAPSHOT " | grep -q bin", cache);
        new_cache();
        shell("rm %s/served/open_clip_model.safetensors", dir);
        fetched("org/name");
        is_whole();
        assert_int_equal(fetched("org/name"), 0);
        assert_int_equal(clip_model_load("org/name", NULL, &m, &err), CLIP_OK);
        clip_model_free(m);
    }
    serve("tiny-vit-eos");
    shell("cd %s/served && rm open_clip_model.safetensors && cp %s/../pickles/epoch_1.pt pytorch_model-1.bin && "
          "printf '{\"weight_map\": {\"x\": \"pytorch_model-1.bin\"}}' >pytorch_model.bin.index.json", dir, golden);
    fetched("org/name");
    is_whole();
    assert_int_equal(clip_model_load("org/name", NULL, &m, &err), CLIP_OK);
    clip_model_free(m);
}

static void a_token_in_a_file(void **state)
{
    (void)state;
    char path[128];
    serve("tiny-vit");
    snprintf(path, sizeof path, "%s/token", dir);
    shell("printf ' hf_of_file\\n' >%s", path);
    setenv("HF_TOKEN_PATH", path, 1);
    fetched("org/name");
    setenv("HF_TOKEN_PATH", "/dev/null", 1);
    assert_string_equal(s.token, "Bearer hf_of_file");
    assert_false(s.token_elsewhere);
    setenv("HF_TOKEN", "two words", 1);
    refused("org/name", CLIP_EINVAL, "is not a token");
}

static void mirrors_and_redirects(void **state)
{
    (void)state;
    char endpoint[96];
    serve("tiny-vit");
    snprintf(endpoint, sizeof endpoint, "%s/", s.endpoint);
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_TOKEN", "hf_secret", 1);
    s.moved_from = "old/name";
    fetched("old/name");
    assert_false(s.token_elsewhere);
    assert_true(exists(in_cache("models--old--name/snapshots/" SERVER_COMMIT "/open_clip_config.json")));
    setenv("HF_ENDPOINT", "ftp://127.0.0.1", 1);
    refused("org/name", CLIP_EINVAL, "is not an http or https address");
    setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
    refused("org/name", CLIP_EIO, "http://127.0.0.1:1 cannot be reached");
}

static void a_revision(void **state)
{
    (void)state;
    serve("tiny-vit");
    fetched("org/name@" SERVER_COMMIT);
    assert_false(exists(in_cache(REPO "/refs/" SERVER_COMMIT)));
    assert_true(exists(in_cache(SNAPSHOT)));
    refused("org/name@v2", CLIP_EIO, "org/name has no revision v2");
}

static void a_newer_commit(void **state)
{
    (void)state;
    serve("tiny-vit");
    fetched("org/name");
    shell("mv %s/" SNAPSHOT " %s/" REPO "/snapshots/aaaa && printf aaaa >%s/" REPO "/refs/main", cache, cache, cache);
    shell("printf ' ' >>%s/served/open_clip_config.json", dir);
    assert_true(fetched("org/name") < 10000);
    is_whole();
    assert_true(exists(in_cache(REPO "/snapshots/aaaa/open_clip_config.json")));
}

static void weights_in_parts(void **state)
{
    (void)state;
    serve("tiny-hf");
    shell("cd %s/served && mv model.safetensors model-1.safetensors && cp config.json model-2.safetensors && "
          "printf '{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\", \"c\": "
          "\"model-1.safetensors\"}}' >model.safetensors.index.json", dir);
    fetched("org/name");
    is_whole();
    shell("cd %s/served && sed -i s,model-2,../model-2, model.safetensors.index.json", dir);
    refused("org/name", CLIP_EFORMAT, "names a part that cannot be: '../model-2.safetensors'");
    shell("cd %s/served && sed -i s,../model-2,model-3, model.safetensors.index.json", dir);
    refused("org/name", CLIP_EFORMAT, "model-3.safetensors is missing in the repository");
}

static void sentence_transformers(void **state)
{
    (void)state;
    clip_model *m;
    serve("tiny-hf");
    shell("cd %s/served && mkdir 0_CLIPModel && mv *.* 0_CLIPModel/ && "
          "printf '[{\"path\": \"0_CLIPModel\", \"type\": \"m.CLIPModel\"}]' >modules.json", dir);
    fetched("org/name");
    is_whole();
    assert_int_equal(clip_model_load("org/name", NULL, &m, NULL), CLIP_OK);
    clip_model_free(m);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void refusals(void **state)
{
    (void)state;
    serve("tiny-vit");
    refused("org/other", CLIP_EIO, "has no repository org/other. If it is a private one, set HF_TOKEN");
    setenv("HF_TOKEN", "hf_secret", 1);
    refused("org/other", CLIP_EIO, "has no repository org/other, or the token may not read it");
    s.error = "GatedRepo";
    s.error_code = 403;
    refused("org/name", CLIP_EIO, "org/name wants its terms accepted");
    s.error = "Whatever";
    s.error_code = 418;
    refused("org/name", CLIP_EIO, "the server answers 418: Whatever");
    s.error = NULL;
    refused("no name", CLIP_EINVAL, "is not the name of a model");
    refused(dir, CLIP_EINVAL, "there is nothing to fetch");
    shell("cd %s/served && mv open_clip_model.safetensors model.onnx", dir);
    refused("org/name", CLIP_EUNSUPPORTED, "model.onnx only, a graph of another program");
    shell("cd %s/served && rm model.onnx", dir);
    refused("org/name", CLIP_EUNSUPPORTED, "holds no weights");
    assert_false(exists(in_cache(SNAPSHOT)));
    setenv("HF_HUB_OFFLINE", "1", 1);
    s.requests = 0;
    refused("org/name", CLIP_EIO, "HF_HUB_OFFLINE forbids to fetch it");
    unsetenv("HF_HUB_OFFLINE");
    assert_int_equal(s.requests, 0);
}

static void hostile_answers(void **state)
{
    (void)state;
    static const char *const commits[] = {"../../../../elsewhere", "0123", ""},
                      *const etags[] = {"../../evil", "", ".hidden", "a/b", "x y"};
    for (size_t i = 0; i < sizeof commits / sizeof *commits; i++) {
        serve("tiny-vit");
        s.commit = commits[i];
        refused("org/name", CLIP_EFORMAT, "does not answer as the hub does");
    }
    for (size_t i = 0; i < sizeof etags / sizeof *etags; i++) {
        serve("tiny-vit");
        s.etag = etags[i];
        refused("org/name", CLIP_EFORMAT, "no ETag that could name it");
    }
    serve("tiny-vit");
    s.says_too_much = true;
    refused("org/name", CLIP_EFORMAT, "sends more than the");
    shell("test \"$(ls %s)\" = \"$(printf 'cache\\nserved\\ntoken')\"", dir);
}

static void hostile_folders(void **state)
{
    (void)state;
    char path[256];
    serve("tiny-vit");
    shell("mkdir -p %s/" REPO " %s/victim && ln -s %s/victim %s/" REPO "/blobs", cache, dir, dir, cache);
    refused("org/name", CLIP_EFORMAT, "blobs: must be a folder, and not a link");
    shell("rm %s/" REPO "/blobs && ln -s %s/victim %s/" REPO "/snapshots", cache, dir, cache);
    refused("org/name", CLIP_EFORMAT, "snapshots: must be a folder, and not a link");
    shell("rm %s/" REPO "/snapshots; mkdir %s/" REPO "/refs; echo mine >%s/victim/file; ln -s %s/victim/file %s/" REPO
          "/refs/main", cache, cache, dir, dir, cache);
    fetched("org/name");
    shell("test \"$(cat %s/victim/file)\" = mine && test -f %s/" REPO "/refs/main && test ! -L %s/" REPO "/refs/main",
          dir, cache, cache);
    is_whole();
    new_cache(); /* a part that is a link is not written through */
    shell("mkdir -p %s/" REPO "/blobs && ln -s %s/victim/file %s/" REPO "/blobs/%s.clip-part", cache, dir, cache,
          large_etag);
    refused("org/name", CLIP_EIO, "cannot be written");
    shell("test \"$(cat %s/victim/file)\" = mine && rm -r %s/victim", dir, dir);
    snprintf(path, sizeof path, "%s/victim", dir);
    assert_false(exists(path));
}

static void a_shared_store(void **state)
{
    (void)state;
    serve("tiny-vit");
    shell("mkdir -p %s/shared %s/" REPO "/blobs && cp %s/served/%s %s/shared/it && ln -s %s/shared/it %s/" REPO
          "/blobs/%s", dir, cache, dir, large, dir, dir, cache, large_etag);
    assert_true(fetched("org/name") < 10000);
    is_whole();
    assert_int_equal(s.sent, 0);
    new_cache(); /* of another size: replaced, not written through */
    shell("mkdir -p %s/" REPO "/blobs && printf x >%s/shared/it && ln -s %s/shared/it %s/" REPO "/blobs/%s", cache, dir,
          dir, cache, large_etag);
    fetched("org/name");
    is_whole();
    shell("test \"$(cat %s/shared/it)\" = x && rm -r %s/shared", dir, dir);
}

/* ---- Connections that break ------------------------------------------------------------------ */

static void put_part(long size, char byte)
{
    shell("mkdir -p %s/" REPO "/blobs && head -c %ld %s/served/%s >%s/" REPO "/blobs/%s.clip-part", cache, size, dir,
          large, cache, large_etag);
    if (byte)
        shell("printf %c | dd of=%s/" REPO "/blobs/%s.clip-part bs=1 seek=100 conv=notrunc 2>/dev/null", byte, cache,
              large_etag);
}

static void resuming(void **state)
{
    (void)state;
    serve("tiny-vit");
    s.cut_after = 200000; /* one call, several connections */
    s.cuts = 2;
    fetched("org/name");
    is_whole();
    assert_int_equal(s.sent, large_size);

    serve("tiny-vit");
    put_part(300000, 0);
    fetched("org/name");
    is_whole();
    assert_int_equal(s.sent, large_size - 300000);

    serve("tiny-vit"); /* all bytes are there: only the hash is missing */
    put_part(large_size, 0);
    fetched("org/name");
    is_whole();
    assert_int_equal(s.sent, 0);

    serve("tiny-vit");
    s.busy = 2;
    fetched("org/name");
    is_whole();
}

static void servers_with_their_own_ranges(void **state)
{
    (void)state;
    _Atomic bool *const ways[] = {&s.no_ranges, &s.refuse_ranges, &s.shifted};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        serve("tiny-vit");
        put_part(300000, 0);
        *ways[i] = true;
        fetched("org/name");
        is_whole();
        assert_true(i == 2 || s.sent == large_size);
    }
    serve("tiny-vit"); /* a part that is too long begins again */
    put_part(large_size, 0);
    shell("echo more >>%s/" REPO "/blobs/%s.clip-part", cache, large_etag);
    fetched("org/name");
    is_whole();
}

static void wrong_hashes(void **state)
{
    (void)state;
    serve("tiny-vit");
    put_part(300000, 'x'); /* the part is wrong: fetched again as a whole */
    fetched("org/name");
    is_whole();
    assert_int_equal(s.sent, 2 * large_size - 300000);

    serve("tiny-vit");
    s.wrong_bytes = true;
    refused("org/name", CLIP_EFORMAT, "its hash is not the one that the hub has for it");
    assert_false(exists(in_cache(SNAPSHOT)));
    assert_int_equal(part_size(), 0);
    s.wrong_bytes = false;
    fetched("org/name");
    is_whole();
}

static void servers_that_stall(void **state)
{
    (void)state;
    serve("tiny-vit");
    setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1", 1);
    s.stalls = 2;
    fetched("org/name");
    is_whole();
    serve("tiny-vit");
    s.bytes_a_ms = 1000; /* slow is not stalled */
    fetched("org/name");
    is_whole();
}

static void stopping(void **state)
{
    (void)state;
    serve("tiny-vit");
    watch w = {.stop_at = 100000};
    char *path;
    clip_pull_options o = {.progress = on_progress, .progress_user = &w};
    s.bytes_a_ms = 500;
    assert_int_equal(clip_pull("org/name", &o, &path, NULL), CLIP_OK);
    assert_null(path);
    const long part = part_size();
    assert_true(part > 50000 && part < large_size);
    assert_false(exists(in_cache(SNAPSHOT)));
    s.bytes_a_ms = 0;
    assert_int_equal(fetched("org/name"), large_size - part);
    is_whole();
}

/* ---- Other processes ------------------------------------------------------------------------- */

/* A pull in a child. The exit code is 0 for a whole model. */
static pid_t pull_in_child(void)
{
    const pid_t child = fork();
    if (child != 0)
        return child;
    watch w = {.stop_at = -1};
    char *path = NULL;
    clip_pull_options o = {.progress = on_progress, .progress_user = &w};
    _exit(clip_pull("org/name", &o, &path, NULL) == CLIP_OK ? *w.waiting != 0 : 100);
}

static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A puller that dies, up to three times in one file. */
static int kill_pullers(void)
{
    int killed = 0;
    for (int rounds = 1 + rand() % 3; rounds > 0; rounds--) {
        const long part = part_size();
        s.sent = 0;
        s.kill_after = rand() % (large_size - (part > 0 ? part : 0) + 1);
        const pid_t child = pull_in_child();
        s.victim = child;
        killed += wait_for(child) < 0;
        s.victim = 0;
    }
    s.kill_after = -1;
    return killed;
}

/* Connections that break, up to three times in one file. The puller goes on. */
static int cut_connections(void)
{
    s.cut_after = rand() % large_size;
    s.cuts = 1 + rand() % 3;
    assert_int_equal(wait_for(pull_in_child()), 0);
    s.cuts = 0;
    return 1;
}

static void a_hundred_cut_offs(void **state)
{
    (void)state;
    srand(1);
    int killed = 0, cut = 0, resumed = 0;
    for (int i = 0; i < 100; i++) {
        serve("tiny-vit");
        s.bytes_a_ms = PIECE_A_MS;
        if (i % 2)
            killed += kill_pullers();
        else
            cut += cut_connections();
        const long part = part_size();
        s.bytes_a_ms = 0;
        const long rest = fetched("org/name");
        is_whole();
        resumed += part > 0;
        if (part > 0)
            assert_true(rest == large_size - part);
    }
    print_message("%d killed, %d cut, %d resumed from a part\n", killed, cut, resumed);
    assert_true(killed > 20 && resumed > 20);
}

static void two_pullers(void **state)
{
    (void)state;
    serve("tiny-vit");
    s.bytes_a_ms = 500;
    const pid_t a = pull_in_child(), b = pull_in_child();
    const int waited = wait_for(a) + wait_for(b);
    assert_int_equal(waited, 1); /* one of them has waited for the other, and neither has failed */
    is_whole();
    assert_int_equal(s.sent, large_size);
}

static void a_full_disk(void **state)
{
    (void)state;
    serve("tiny-vit");
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {200000, 200000};
        char *path, part[256];
        clip_error err;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        snprintf(part, sizeof part, "%s.clip-part: cannot be written: ", large_etag);
        _exit(clip_pull("org/name", NULL, &path, &err) != CLIP_EIO || !strstr(err.message, part) ||
              !strstr(err.message, "goes on from there"));
    }
    assert_int_equal(wait_for(child), 0);
    assert_int_equal(part_size(), 200000);
    s.sent = 0;
    fetched("org/name");
    is_whole();
    assert_int_equal(s.sent, large_size - 200000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_model),
        cmocka_unit_test(a_pickle_where_there_are_no_safetensors),
        cmocka_unit_test(a_token_in_a_file),
        cmocka_unit_test(mirrors_and_redirects),
        cmocka_unit_test(a_revision),
        cmocka_unit_test(a_newer_commit),
        cmocka_unit_test(weights_in_parts),
        cmocka_unit_test(sentence_transformers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(hostile_answers),
        cmocka_unit_test(hostile_folders),
        cmocka_unit_test(a_shared_store),
        cmocka_unit_test(resuming),
        cmocka_unit_test(servers_with_their_own_ranges),
        cmocka_unit_test(wrong_hashes),
        cmocka_unit_test(servers_that_stall),
        cmocka_unit_test(stopping),
        cmocka_unit_test(two_pullers),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_hundred_cut_offs),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, start, remove_dir);
}
