/* Embeddings of labels, cached on disk. A thousand labels in eighty templates take minutes, with
 * the same result every time.
 *
 *     $XDG_CACHE_HOME/clip/labels/KEY.npy or ~/.cache/clip/labels/KEY.npy    [L, D] f32, NumPy
 *
 * KEY is XXH3-128 of everything that the embeddings depend on: the weights, the labels and the
 * templates with their tokens, and a fresh embedding of the first label. That embedding stands for
 * everything else that changes numbers: configuration, instruction set, this program.
 *
 * The folder is only a cache. If a file is missing or damaged, the embeddings are computed. The
 * file that was not used for the longest time is deleted first. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli.h"

#define MOST_BYTES ((int64_t)64 << 20) /* of all files */
#define KEY_DIGITS 32

/* ---- The key --------------------------------------------------------------------------------- */

/* The size comes first, so that "ab", "c" differs from "a", "bc". */
static void add(XXH3_state_t *h, const void *p, size_t n)
{
    const uint64_t size = n;
    XXH3_128bits_update(h, &size, sizeof size);
    XXH3_128bits_update(h, p, n);
}

static bool add_texts(const cli_session *s, XXH3_state_t *h, const cli_list *texts, int32_t *ids)
{
    int n;
    for (size_t i = 0; i < texts->n; i++) {
        if (clip_tokenize(s->model, texts->item[i], ids, &n) < 0)
            return false;
        add(h, texts->item[i], strlen(texts->item[i]));
        add(h, ids, (size_t)n * sizeof *ids);
    }
    return true;
}

static bool make_key(cli_session *s, const cli_list *labels, const cli_list *templates, char out[KEY_DIGITS + 1])
{
    char weights[33];
    XXH3_state_t *h = XXH3_createState();
    int32_t *ids = malloc((size_t)s->info.context_length * sizeof *ids);
    float *first = malloc((size_t)s->D * sizeof *first);
    bool good = h && ids && first && clip_encode_text(s->ctx, (const char *const *)labels->item, 1, first) == CLIP_OK;
    if (good) {
        clip_weights_hash(s->model, weights);
        good = *weights;
    }
    if (good) {
        XXH3_128bits_reset(h);
        add(h, weights, sizeof weights);
        add(h, first, (size_t)s->D * sizeof *first);
        good = add_texts(s, h, labels, ids) && add_texts(s, h, templates, ids);
    }
    if (good) {
        const XXH128_hash_t key = XXH3_128bits_digest(h);
        snprintf(out, KEY_DIGITS + 1, "%016" PRIx64 "%016" PRIx64, key.high64, key.low64);
    }
    XXH3_freeState(h);
    free(ids);
    free(first);
    return good;
}

char *cli_label_cache_path(cli_session *s, const cli_list *labels, const cli_list *templates)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    /* The XDG base directory specification says to ignore relative paths. */
    const bool set = cache && *cache == '/';
    char key[KEY_DIGITS + 1], *path;
    if ((!set && !(home && *home == '/')) || !make_key(s, labels, templates, key))
        return NULL;
    return asprintf(&path, "%s%s/clip/labels/%s.npy", set ? cache : home, set ? "" : "/.cache", key) < 0 ? NULL : path;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool unit_rows(const float *x, size_t L, size_t D)
{
    for (size_t l = 0; l < L; l++) {
        double sum = 0;
        for (size_t d = 0; d < D; d++)
            sum += (double)x[l * D + d] * (double)x[l * D + d];
        if (!(fabs(sum - 1) < 1e-4)) /* true for NaN */
            return false;
    }
    return true;
}

bool cli_label_cache_read(const char *path, float *x, size_t L, size_t D)
{
    const long long shape[] = {(long long)L, (long long)D};
    char head[CLI_NPY_HEAD], wanted[CLI_NPY_HEAD];
    struct stat st;
    /* O_NONBLOCK: a pipe in its place must not block us. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!f) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    cli_npy_head(shape, 2, wanted);
    const bool good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                      st.st_size == (off_t)(sizeof head + L * D * sizeof *x) &&
                      fread(head, 1, sizeof head, f) == sizeof head && memcmp(head, wanted, sizeof head) == 0 &&
                      fread(x, sizeof *x, L * D, f) == L * D && unit_rows(x, L, D);
    if (good)
        futimens(fd, NULL); /* marks it as used now */
    fclose(f);
    return good;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Our files: KEY.npy, and KEY.npy.XXXXXX from an interrupted run. */
static bool is_ours(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_DIGITS && strncmp(name + KEY_DIGITS, ".npy", 4) == 0;
}

/* The oldest of our files in `dir`, and the size of all of them in bytes. */
static int64_t oldest(DIR *d, char name[NAME_MAX + 1])
{
    int64_t total = 0;
    struct timespec least = {0};
    name[0] = 0;
    rewinddir(d);
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (!is_ours(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        total += st.st_size;
        if (!name[0] || st.st_mtim.tv_sec < least.tv_sec ||
            (st.st_mtim.tv_sec == least.tv_sec && st.st_mtim.tv_nsec < least.tv_nsec)) {
            least = st.st_mtim;
            snprintf(name, NAME_MAX + 1, "%s", e->d_name);
        }
    }
    return total;
}

static bool make_room(const char *dir, int64_t size)
{
    char name[NAME_MAX + 1];
    DIR *d = size <= MOST_BYTES ? opendir(dir) : NULL;
    bool room = false;
    while (d && !room) {
        const int64_t total = oldest(d, name);
        room = total + size <= MOST_BYTES;
        if (!room && unlinkat(dirfd(d), name, 0) < 0)
            break;
    }
    if (d)
        closedir(d);
    return room;
}

void cli_label_cache_write(const char *path, const float *x, size_t L, size_t D)
{
    const long long shape[] = {(long long)L, (long long)D};
    char *dir = strdup(path);
    cli_out o;
    if (!dir)
        return;
    cli_make_folders(dir);
    *strrchr(dir, '/') = 0;
    unlink(path); /* a file that is there is damaged */
    if (access(dir, W_OK | X_OK) == 0 && make_room(dir, (int64_t)(CLI_NPY_HEAD + L * D * sizeof *x)) &&
        cli_out_open_own(&o, path) == CLI_DONE) {
        cli_npy_header(o.f, shape, 2);
        fwrite(x, sizeof *x, L * D, o.f);
        cli_out_close(&o);
    }
    free(dir);
}
