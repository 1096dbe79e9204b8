/* search.c: the time of searching an index, through clip.h alone.
 * usage: search INDEX QUERIES.npy OUT.i32 [THREADS]
 *            QUERIES  [Q, D] f32, at least 64, as NumPy writes them
 *            OUT      [Q, 10] rows found
 *        search --fill INDEX VECTORS.npy D               make the index
 * Prints JSON: milliseconds of opening and of a first query; medians of one query, and of 64 in one
 * call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clip.h"

#define K 10
#define TOGETHER 64

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *t, int n)
{
    qsort(t, (size_t)n, sizeof *t, by_size);
    return t[n / 2];
}

static void must(clip_status s, const clip_error *err)
{
    if (s < 0) {
        fprintf(stderr, "search: %s\n", err->message);
        exit(1);
    }
}

/* Opens a .npy file at its numbers. */
static FILE *open_numbers(const char *path)
{
    unsigned char head[10];
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 1, 10, f) != 10 || fseek(f, head[8] | head[9] << 8, SEEK_CUR) != 0) {
        perror(path);
        exit(1);
    }
    return f;
}

static int fill(const char *dir, const char *path, int D)
{
    enum { BATCH = 1000 };
    clip_index_options opt = clip_index_options_default();
    clip_index *index;
    clip_error err;
    static clip_item item[BATCH];
    static char name[BATCH][24];
    float *vector = malloc(sizeof *vector * (size_t)D * BATCH);
    FILE *f = open_numbers(path);
    opt.write = opt.create = true;
    opt.dim = D;
    must(clip_index_open(dir, &opt, &index, &err), &err);
    const double t = now();
    int n = 0;
    for (int got; vector && (got = (int)(fread(vector, sizeof *vector * (size_t)D, BATCH, f))) > 0; n += got) {
        for (int i = 0; i < got; i++) {
            snprintf(name[i], sizeof name[i], "%d.jpg", n + i);
            item[i] = (clip_item){.kind = CLIP_ITEM_PICTURE, .path = name[i]};
        }
        must(clip_index_add(index, item, vector, got, &err), &err);
    }
    must(clip_index_close(index, &err), &err);
    printf("{\"rows\": %d, \"seconds\": %.1f}\n", n, (now() - t) * 1e-3);
    fclose(f);
    free(vector);
    return 0;
}

static float *read_queries(const char *path, int D, int *Q)
{
    FILE *f = open_numbers(path);
    const long at = ftell(f);
    fseek(f, 0, SEEK_END);
    const size_t n = (size_t)(ftell(f) - at) / sizeof(float);
    fseek(f, at, SEEK_SET);
    float *q = malloc(n * sizeof *q);
    if (!q || fread(q, sizeof *q, n, f) != n)
        exit(1);
    fclose(f);
    *Q = (int)(n / (size_t)D);
    return q;
}

int main(int argc, char **argv)
{
    clip_index_options opt = clip_index_options_default();
    clip_index *index;
    clip_index_info info;
    clip_error err;
    double alone[64], together[5];
    int Q, found[TOGETHER];
    if (argc == 5 && strcmp(argv[1], "--fill") == 0)
        return fill(argv[2], argv[3], atoi(argv[4]));
    if (argc < 4)
        return 2;
    opt.threads = argc > 4 ? atoi(argv[4]) : 0;
    double t = now();
    must(clip_index_open(argv[1], &opt, &index, &err), &err);
    const double opening = now() - t;
    clip_index_get_info(index, &info);
    float *query = read_queries(argv[2], info.dim, &Q);
    const size_t D = (size_t)info.dim;
    clip_hit *hit = calloc((size_t)Q + TOGETHER, K * sizeof *hit);
    if (!hit || Q < TOGETHER)
        return 1;
    t = now();
    must(clip_index_search(index, query, 1, K, NULL, hit, found, &err), &err);
    const double first = now() - t;
    for (int i = 0; i < 64; i++) {
        t = now();
        must(clip_index_search(index, query + (size_t)i * D, 1, K, NULL, hit, found, &err), &err);
        alone[i] = now() - t;
    }
    for (int i = 0; i < 5; i++) {
        t = now();
        must(clip_index_search(index, query, TOGETHER, K, NULL, hit, found, &err), &err);
        together[i] = now() - t;
    }
    FILE *out = fopen(argv[3], "wb");
    for (int q = 0; q < Q; q += TOGETHER) {
        const int n = Q - q < TOGETHER ? Q - q : TOGETHER;
        must(clip_index_search(index, query + (size_t)q * D, n, K, NULL, hit, found, &err), &err);
        for (int i = 0; out && i < n * K; i++) {
            const int32_t row = (int32_t)hit[i].row;
            fwrite(&row, sizeof row, 1, out);
        }
    }
    if (!out || fclose(out) != 0)
        return 1;
    printf("{\"rows\": %lld, \"dim\": %d, \"open_ms\": %.3f, \"first_ms\": %.2f, ", (long long)info.rows, info.dim,
           opening, first);
    printf("\"one_ms\": %.2f, \"sixtyfour_ms\": %.1f}\n", median(alone, 64), median(together, 5));
    clip_index_close(index, NULL);
    free(hit);
    free(query);
    return 0;
}
