/* fixture.h: what the tests of the index share: a directory that goes away, random vectors, an
 * index of them. */
#ifndef INDEX_FIXTURE_H
#define INDEX_FIXTURE_H

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "index/index.h"

static char dir[64];
static clip_error err;

#define OK(expr)                                                                 \
    do {                                                                         \
        const clip_status got_ = (expr);                                         \
        if (got_ != CLIP_OK)                                                     \
            fail_msg("%s: %s, %s", #expr, clipb_status_name(got_), err.message);  \
    } while (0)

static inline void empty_dir(void)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

static inline int dir_make(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "clip-index-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int dir_remove(void **state)
{
    (void)state;
    empty_dir();
    return rmdir(dir);
}

static inline const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static inline clip_status open_index(bool write, int dim, clip_index **x)
{
    const clip_index_options o = {.write = write, .create = write, .model_name = "none", .threads = 2};
    bool fresh;
    memset(&err, 0, sizeof err);
    return clipidx_open(dir, &clipidx_store_sqlite, &o, NULL, dim, x, &fresh, &err);
}

static inline float *random_vectors(uint64_t seed, int N, int D)
{
    clipb_rng r = clipb_rng_at(seed, 0, (uint64_t)N, (uint64_t)D);
    float *v = malloc(sizeof(float) * (size_t)N * (size_t)D);
    assert_non_null(v);
    for (int i = 0; i < N * D; i++)
        v[i] = clipb_rng_normal(&r);
    return v;
}

/* Pictures "p0", "p1", .. from number `from` on. */
static inline clip_status add_pictures(clip_index *x, const float *vector, int from, int N)
{
    clip_item *item = calloc((size_t)N, sizeof *item);
    char (*name)[16] = calloc((size_t)N, sizeof *name);
    assert_true(item && name);
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "p%d", from + i);
        item[i] = (clip_item){
            .kind = CLIP_ITEM_PICTURE, .path = name[i], .size = i, .mtime = (int64_t)(from + i) * 1000000000};
        memcpy(item[i].hash, name[i], 16);
    }
    clip_status s = clipidx_add(x, item, vector, N, &err);
    free(item);
    free(name);
    return s;
}

#endif
