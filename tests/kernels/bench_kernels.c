/* bench_kernels: the speed of the matrix product on the shapes of CLIP, as a share of the machine's
 * limit.
 *
 *     bench_kernels [SET [FIRST-SHAPE LAST-SHAPE]]
 *         SET: avx512, avx2, neon, generic; default the best
 *
 * Large products are compared with the peak of multiply-adds. Products of one picture or caption,
 * whose weights come from memory, are compared with a loop that only reads. Product and yardstick
 * are timed in turn, so both see the same machine. Prints medians, and the best of all rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/order.h"
#include "kernels/kernels.h"

#define ROUNDS 9
#define MEMORY ((size_t)256 << 20) /* far more than the caches hold */

typedef struct shape {
    int M, N, K;
    const clipk_format *format;
    bool streams; /* the weights come from memory */
    clipk_act act;
    const char *what;
} shape;

#define F32 (&clipk_formats[CLIPK_TILE_F32])
#define F16 (&clipk_formats[CLIPK_TILE_F16])
#define BF16 (&clipk_formats[CLIPK_TILE_BF16])
#define BF16_PAIRS (&clipk_formats[CLIPK_TILE_BF16_PAIRS])
#define I8_QUADS (&clipk_formats[CLIPK_TILE_I8_QUADS])
#define I8_PAIRS (&clipk_formats[CLIPK_TILE_I8_PAIRS])

static const shape shapes[] = {
    {1600, 2304, 768, F32, false, CLIPK_LINEAR, "ViT-B/32, 32 pictures: q, k, v"},
    {1600, 768, 768, F32, false, CLIPK_LINEAR, "  out"},
    {1600, 3072, 768, F32, false, CLIPK_LINEAR, "  fc"},
    {1600, 3072, 768, F32, false, CLIPK_GELU, "  fc with GELU"},
    {1600, 768, 3072, F32, false, CLIPK_LINEAR, "  proj"},
    {1600, 3072, 768, F16, false, CLIPK_LINEAR, "  fc, f16"},
    {1600, 3072, 768, BF16, false, CLIPK_LINEAR, "  fc, bf16"},
    {1600, 2304, 768, BF16_PAIRS, false, CLIPK_LINEAR, "  q, k, v, products in bf16"},
    {1600, 768, 768, BF16_PAIRS, false, CLIPK_LINEAR, "  out"},
    {1600, 3072, 768, BF16_PAIRS, false, CLIPK_LINEAR, "  fc"},
    {1600, 3072, 768, BF16_PAIRS, false, CLIPK_GELU, "  fc with GELU"},
    {1600, 768, 3072, BF16_PAIRS, false, CLIPK_LINEAR, "  proj"},
    {1600, 2304, 768, I8_QUADS, false, CLIPK_LINEAR, "  q, k, v, in 8 bits"},
    {1600, 768, 768, I8_QUADS, false, CLIPK_LINEAR, "  out"},
    {1600, 3072, 768, I8_QUADS, false, CLIPK_LINEAR, "  fc"},
    {1600, 3072, 768, I8_QUADS, false, CLIPK_GELU, "  fc with GELU"},
    {1600, 768, 3072, I8_QUADS, false, CLIPK_LINEAR, "  proj"},
    {1600, 2304, 768, I8_PAIRS, false, CLIPK_LINEAR, "  q, k, v, in 8 bits, as pairs"},
    {1600, 768, 768, I8_PAIRS, false, CLIPK_LINEAR, "  out"},
    {1600, 3072, 768, I8_PAIRS, false, CLIPK_LINEAR, "  fc"},
    {1600, 3072, 768, I8_PAIRS, false, CLIPK_GELU, "  fc with GELU"},
    {1600, 768, 3072, I8_PAIRS, false, CLIPK_LINEAR, "  proj"},
    {577, 4096, 1024, F32, false, CLIPK_LINEAR, "ViT-L/14-336, 1 picture: fc"},
    {577, 1024, 4096, F32, false, CLIPK_LINEAR, "  proj"},
    {514, 5120, 1280, F32, false, CLIPK_LINEAR, "ViT-H/14, 2 pictures: fc"},
    {514, 1280, 5120, F32, false, CLIPK_LINEAR, "  proj"},
    {384, 2048, 512, F32, false, CLIPK_LINEAR, "text, 32 captions: fc"},
    {384, 512, 2048, F32, false, CLIPK_LINEAR, "  proj"},
    {100352, 64, 64, F32, false, CLIPK_RELU, "RN50, 32 pictures: 1x1 convolutions"},
    {100352, 256, 64, F32, false, CLIPK_LINEAR, "  "},
    {100352, 64, 256, F32, false, CLIPK_RELU, "  "},
    {100352, 64, 576, F32, false, CLIPK_RELU, "  3x3 by im2col"},
    {6272, 256, 1024, F32, false, CLIPK_RELU, "  "},
    {50, 3072, 768, F32, true, CLIPK_LINEAR, "ViT-B/32, 1 picture: fc"},
    {50, 3072, 768, I8_QUADS, true, CLIPK_LINEAR, "  in 8 bits"},
    {12, 2048, 512, I8_QUADS, true, CLIPK_LINEAR, "  text of 12 tokens, in 8 bits: fc"},
    {50, 768, 3072, F32, true, CLIPK_LINEAR, "  proj"},
    {50, 768, 768, F32, true, CLIPK_LINEAR, "  out"},
    {50, 3072, 768, F16, true, CLIPK_LINEAR, "  fc, f16"},
    {50, 3072, 768, BF16_PAIRS, true, CLIPK_LINEAR, "  fc, products in bf16"},
    {50, 768, 3072, BF16_PAIRS, true, CLIPK_LINEAR, "  proj"},
    {12, 2048, 512, F32, true, CLIPK_LINEAR, "text, 1 caption: fc"},
    {12, 512, 2048, F32, true, CLIPK_LINEAR, "  proj"},
    {12, 2048, 512, F16, true, CLIPK_LINEAR, "  fc, f16"},
    {4, 2048, 512, F32, true, CLIPK_LINEAR, "  fc, 4 rows"},
    {1, 2048, 512, F32, true, CLIPK_LINEAR, "  fc, 1 row"},
    {1, 512, 2048, F32, true, CLIPK_LINEAR, "  proj, 1 row"},
    {1, 2048, 512, F16, true, CLIPK_LINEAR, "  fc, 1 row, f16"},
    {1, 512, 512, F32, false, CLIPK_LINEAR, "  in cache: 1 row"},
    {12, 512, 512, F32, false, CLIPK_LINEAR, "  in cache: 12 rows"},
};

static double median(double *x)
{
    qsort(x, ROUNDS, sizeof *x, clipb_order_f64);
    return x[ROUNDS / 2];
}

/* Allocated as by a model and a context: in huge pages if the system gives them. */
static void *memory(size_t bytes)
{
    clipb_block b = {0};
    if (clipb_block_reserve(&b, bytes) < 0)
        abort();
    memset(b.base, 0, bytes);
    return b.base;
}

static float *numbers(size_t n)
{
    float *p = memory(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((i * 2654435761u >> 8) % 1000) * 1e-3f - 0.5f;
    return p;
}

/* ---- The loop that only reads ---------------------------------------------------------------- */

typedef float v4 __attribute__((vector_size(16)));

typedef struct reading {
    const char *p;
    size_t bytes;
    int pieces;
} reading;

static void read_piece(void *job, int64_t i, int thread)
{
    const reading *r = job;
    const size_t each = r->bytes / (size_t)r->pieces / 128 * 128;
    v4 sum[8] = {{0}};
    (void)thread;
    for (const v4 *p = (const void *)(r->p + (size_t)i * each), *end = p + each / 16; p < end; p += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += p[j];
    for (int j = 1; j < 8; j++)
        sum[0] += sum[j];
    volatile float keep = sum[0][0];
    (void)keep;
}

static double read_gbs(const clipk_ctx *k, const void *p, size_t bytes)
{
    reading r = {p, bytes, 16};
    double start = clipb_now();
    clipb_team_run(k->team, r.pieces, read_piece, &r);
    return (double)bytes / (clipb_now() - start) * 1e-9;
}

/* ---- A shape --------------------------------------------------------------------------------- */

static void time_shape(const clipk_ctx *k, const shape *s)
{
    const size_t each = clipk_weight_bytes(k->set, s->format, s->N, s->K);
    const int layers = s->streams ? (int)(MEMORY / each) : 1;
    const double operations = 2.0 * s->M * s->N * s->K * layers;
    const int times = operations > 2e8 ? 1 : (int)(2e8 / operations) + 1;
    char *panels = memory(each * (size_t)layers);
    float *W = numbers((size_t)s->N * (size_t)s->K), *x = numbers((size_t)s->M * (size_t)s->K),
          *y = memory(sizeof(float) * (size_t)s->M * (size_t)s->N);
    clipk_weight w = {.format = s->format, .N = s->N, .K = s->K, .panels = panels};
    const bool narrow = s->format == F16 || s->format == BF16;
    clipk_view view = {W, narrow ? s->format->type : CLIPK_F32, s->K, 1}; /* 16-bit numbers: any bits will do */
    if (narrow)
        memset(W, 0x22, sizeof(float) * (size_t)s->N * (size_t)s->K);
    for (int l = 0; l < layers; l++) {
        w.panels = panels + (size_t)l * each;
        clipk_weight_pack(k, &w, view);
    }
    clipk_epilogue e = {.act = s->act};
    double speed[ROUNDS], share[ROUNDS], bytes[ROUNDS], of_read[ROUNDS];
    for (int r = -1; r < ROUNDS; r++) {
        double peak = clipk_fma_peak(k, s->format, 0.002) * 1e9,
               read = s->streams ? read_gbs(k, panels, each * (size_t)layers) : 0, start = clipb_now();
        for (int t = 0; t < times; t++)
            for (int l = 0; l < layers; l++) {
                w.panels = panels + (size_t)l * each;
                clipk_gemm(k, y, s->N, clipk_rows(x, s->K), s->M, &w, &e);
            }
        double seconds = clipb_now() - start;
        if (r < 0)
            continue; /* warm-up */
        speed[r] = operations * times / seconds;
        share[r] = speed[r] / peak;
        bytes[r] = (double)each * layers * times / seconds * 1e-9;
        of_read[r] = bytes[r] / read;
    }
    double s50 = median(speed) * 1e-9, p50 = median(share), b50 = median(bytes), r50 = median(of_read);
    printf("%6d x%5d x%5d  %-36s %7.1f GFLOP/s  %5.1f%% of peak, best %5.1f%%", s->M, s->N, s->K, s->what, s50,
           100 * p50, 100 * share[ROUNDS - 1]);
    if (s->streams)
        printf("  %6.2f GB/s of weights, %5.1f%% of reading, best %5.1f%%", b50, 100 * r50, 100 * of_read[ROUNDS - 1]);
    printf("\n");
    fflush(stdout);
    free(panels);
    free(W);
    free(x);
    free(y);
}

static void packing(const clipk_ctx *k)
{
    enum { N = 2048, K = 512, LAYERS = 36 };
    static const struct {
        const clipk_format *format;
        const char *name;
    } types[] = {{F32, "f32"}, {F16, "f16"}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const size_t size = (size_t)types[t].format->bytes * N * K,
                     each = clipk_weight_bytes(k->set, types[t].format, N, K);
        char *W = memory(size * LAYERS);
        double best = 1e9;
        for (int r = 0; r < 5; r++) {
            clipb_block fresh = {0}; /* its pages are yet to be given */
            double start = clipb_now();
            if (clipb_block_reserve(&fresh, each * LAYERS) < 0)
                abort();
            for (size_t l = 0; l < LAYERS; l++) {
                clipk_weight w = {.format = types[t].format, .N = N, .K = K, .panels = fresh.base + l * each};
                clipk_weight_pack(k, &w, (clipk_view){W + l * size, types[t].format->type, K, 1});
            }
            double seconds = clipb_now() - start;
            best = seconds < best ? seconds : best;
            clipb_block_free(&fresh);
        }
        printf("packing %s: %.0f MB into fresh pages in %.1f ms, %.2f GB/s\n", types[t].name,
               (double)size * LAYERS * 1e-6, best * 1e3, (double)size * LAYERS / best * 1e-9);
        free(W);
    }
}

int main(int argc, char **argv)
{
    const clipk_set *set = clipk_set_find(argc > 1 ? argv[1] : NULL);
    const int first = argc > 3 ? atoi(argv[2]) : 0,
              last = argc > 3 ? atoi(argv[3]) : (int)(sizeof shapes / sizeof *shapes) - 1;
    if (!set) {
        fprintf(stderr, "bench_kernels: this machine has no set of that name\n");
        return 2;
    }
    char *block = memory(MEMORY);
    for (int threads = 1; threads <= clipb_cores(); threads *= 2) {
        clipk_ctx k = {set, NULL, NULL};
        if (!(k.team = clipb_team_new(threads)))
            return 1;
        k.scratch = memory(clipk_scratch_bytes(set, threads));
        double read = 0;
        for (int i = 0; i < 5; i++) {
            double r = read_gbs(&k, block, MEMORY);
            read = r > read ? r : read;
        }
        printf("%s, %d thread%s: peak %.1f GFLOP/s, reading %.1f GB/s\n", clipk_set_name(set), threads,
               threads > 1 ? "s" : "", clipk_fma_peak(&k, F32, 0.1), read);
        for (int i = first; i <= last; i++)
            if (clipk_set_has(set, shapes[i].format))
                time_shape(&k, &shapes[i]);
        if (argc < 3 || first > last)
            packing(&k);
        clipb_team_free(k.team);
        free(k.scratch);
    }
    free(block);
    return 0;
}
