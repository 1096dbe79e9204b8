/* fuzz_hub_cache.c: any bytes as the parts of a cache of the hub, separated by newlines: a name,
 * the reference, the target of a link in the snapshot, modules.json, and an index of weights. A
 * repository's name must never lead out of the cache. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SNAPSHOT "models--o--n/snapshots/" COMMIT

static char root[] = "/tmp/clip-fuzz-hub-XXXXXX";

static void leave(void)
{
    static const char *const names[] = {SNAPSHOT "/model.safetensors", SNAPSHOT "/link", SNAPSHOT "/modules.json",
                                        SNAPSHOT "/model.safetensors.index.json", "models--o--n/refs/main",
                                        "models--o--n/blobs/b", SNAPSHOT, "models--o--n/snapshots",
                                        "models--o--n/refs", "models--o--n/blobs", "models--o--n", ""};
    if (chdir(root) < 0)
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(*names[i] ? names[i] : root);
}

static void write_file(const char *name, const char *bytes, size_t n)
{
    FILE *f = fopen(name, "wbe");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* @return: the folder to go back to: libFuzzer reads its inputs by relative paths */
static int enter(void)
{
    const int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (strstr(root, "XXXXXX") && (!mkdtemp(root) || atexit(leave) != 0 || setenv("HF_HUB_CACHE", root, 1) < 0))
        abort();
    if (home < 0 || chdir(root) < 0)
        abort();
    mkdir("models--o--n", 0777);
    mkdir("models--o--n/refs", 0777);
    mkdir("models--o--n/blobs", 0777);
    mkdir("models--o--n/snapshots", 0777);
    mkdir(SNAPSHOT, 0777);
    write_file("models--o--n/blobs/b", "x", 1);
    unlink(SNAPSHOT "/link");
    unlink(SNAPSHOT "/modules.json");
    unlink(SNAPSHOT "/model.safetensors.index.json");
    return home;
}

/* The part up to the next newline, which becomes a 0. */
static char *next_part(char **text, char *end)
{
    char *part = *text, *newline = memchr(part, '\n', (size_t)(end - part));
    *text = newline ? newline + 1 : end;
    *(newline ? newline : end) = 0;
    return part;
}

static void look_up(const char *text, bool inside)
{
    char *path;
    if (cliphub_find(text, &path, NULL) == CLIP_OK && inside &&
        (strncmp(path, root, strlen(root)) != 0 || strstr(path, "..")))
        abort();
    free(path);
}

static void ignore(void *user, const clip_cached_model *m)
{
    (void)user;
    if (strlen(m->repository) >= CLIPHUB_REPO)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), *text = copy, *end = copy + size;
    memcpy(copy, data, size);
    const int home = enter();
    const char *name = next_part(&text, end), *ref = next_part(&text, end), *target = next_part(&text, end),
               *modules = next_part(&text, end);
    write_file("models--o--n/refs/main", ref, strlen(ref));
    if (symlink("../../blobs/b", SNAPSHOT "/model.safetensors") < 0 && access(SNAPSHOT "/model.safetensors", F_OK) < 0)
        abort();
    if (*target && symlink(target, SNAPSHOT "/link") < 0)
        unlink(SNAPSHOT "/link"); /* too long for a link */
    if (*modules)
        write_file(SNAPSHOT "/modules.json", modules, strlen(modules));
    if (text < end)
        write_file(SNAPSHOT "/model.safetensors.index.json", text, (size_t)(end - text));
    look_up("o/n", true);
    look_up(name, false);
    cliphub_cached(ignore, NULL, NULL, NULL);
    free(copy);
    if (fchdir(home) < 0)
        abort();
    close(home);
    return 0;
}
