/* bench_rows: the speed of attention, the 3x3 convolution and the rows on the shapes of CLIP.
 *
 *     bench_rows [SET [THREADS]]
 *         SET: avx512, avx2, neon, generic; default the best. THREADS: default all
 *
 * For attention and convolution: milliseconds, and GFLOP/s as a share of the peak of multiply-adds,
 * timed in turn. A convolution counts as its plain sum, so Winograd's 36 products for 144 may show
 * more than 100%. Medians of the rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/order.h"
#include "kernels/kernels.h"

#define ROUNDS 15

typedef void job(const clipk_ctx *k, void *of);

static void *memory(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p)
        abort();
    return p;
}

static float *numbers(size_t n)
{
    float *p = memory(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((i * 2654435761u >> 8) % 1000) * 1e-3f - 0.5f;
    return p;
}

/* Prints the time of `run(of)`. operations: 0 for no share. */
static void report(const clipk_ctx *k, const char *what, job *run, void *of, double operations)
{
    double time[ROUNDS], share[ROUNDS];
    int times = 1;
    for (int r = -1; r < ROUNDS; r++) {
        const double peak = operations > 0 ? clipk_fma_peak(k, CLIPK_FORMAT_F32, 0.002) * 1e9 : 1, start = clipb_now();
        for (int t = 0; t < times; t++)
            run(k, of);
        const double each = (clipb_now() - start) / times;
        if (r < 0) { /* the first warms up, and says how often the work fits 2 ms */
            times = each < 2e-3 ? (int)(2e-3 / each) + 1 : 1;
            continue;
        }
        time[r] = each;
        share[r] = operations / each / peak;
    }
    qsort(time, ROUNDS, sizeof *time, clipb_order_f64);
    qsort(share, ROUNDS, sizeof *share, clipb_order_f64);
    printf("%-52s %9.4f ms", what, time[ROUNDS / 2] * 1e3);
    if (operations > 0)
        printf(" %7.1f GFLOP/s %5.1f%% of the peak", operations / time[ROUNDS / 2] * 1e-9, share[ROUNDS / 2] * 100);
    printf("\n");
    fflush(stdout);
}

/* ---- Attention ------------------------------------------------------------------------------- */

typedef struct attention {
    const char *what;
    int B, T, Q, H, D;
    bool causal;
    float *q, *kv, *y, *lse, *dq, *dkv;
    clipk_attention_shape shape;
} attention;

static attention attentions[] = {
    {.what = "ViT-B/32, 1 picture", .B = 1, .T = 50, .Q = 50, .H = 12, .D = 64},
    {.what = "ViT-B/32, 32 pictures", .B = 32, .T = 50, .Q = 50, .H = 12, .D = 64},
    {.what = "  the last block", .B = 32, .T = 50, .Q = 1, .H = 12, .D = 64},
    {.what = "ViT of 65 tokens, 64 pictures", .B = 64, .T = 65, .Q = 65, .H = 6, .D = 64},
    {.what = "  the last block", .B = 64, .T = 65, .Q = 1, .H = 6, .D = 64},
    {.what = "ViT-B/16, 1 picture", .B = 1, .T = 197, .Q = 197, .H = 12, .D = 64},
    {.what = "ViT-L/14, 1 picture", .B = 1, .T = 257, .Q = 257, .H = 16, .D = 64},
    {.what = "ViT-H/14, 1 picture", .B = 1, .T = 257, .Q = 257, .H = 16, .D = 80},
    {.what = "ViT-bigG/14, 1 picture", .B = 1, .T = 257, .Q = 257, .H = 16, .D = 104},
    {.what = "ViT-L/14-336, 1 picture", .B = 1, .T = 577, .Q = 577, .H = 16, .D = 64},
    {.what = "text of 12 tokens", .B = 1, .T = 12, .Q = 12, .H = 8, .D = 64, .causal = true},
    {.what = "32 texts of 12 tokens", .B = 32, .T = 12, .Q = 12, .H = 8, .D = 64, .causal = true},
    {.what = "32 texts of 77 tokens", .B = 32, .T = 77, .Q = 77, .H = 8, .D = 64, .causal = true},
    {.what = "RN50's pooling, 1 picture", .B = 1, .T = 50, .Q = 1, .H = 32, .D = 64},
};

static void attend(const clipk_ctx *k, void *of)
{
    const attention *a = of;
    const int C = a->H * a->D;
    clipk_attention(k, a->y, C, a->lse, a->q, C, a->kv, 2 * C, a->kv + C, 2 * C, &a->shape);
}

static void attend_pairs(const clipk_ctx *k, void *of)
{
    const attention *a = of;
    const int C = a->H * a->D;
    clipk_attention_shape s = a->shape;
    s.format = &clipk_formats[CLIPK_TILE_BF16_PAIRS];
    clipk_attention(k, a->y, C, NULL, a->q, C, a->kv, 2 * C, a->kv + C, 2 * C, &s);
}

/* The gradient at y is q: any numbers will do. */
static void attend_backward(const clipk_ctx *k, void *of)
{
    const attention *a = of;
    const int C = a->H * a->D;
    clipk_attention_backward(k, a->dq, C, a->dkv, 2 * C, a->dkv + C, 2 * C, a->q, C, a->y, C, a->lse, a->q, C, a->kv,
                             2 * C, a->kv + C, 2 * C, &a->shape);
}

static void bench_attention(const clipk_ctx *k, attention *a)
{
    const size_t C = (size_t)(a->H * a->D), rows = (size_t)(a->B * a->T), queries = (size_t)(a->B * a->Q);
    int32_t *q_off = memory(sizeof *q_off * (size_t)(a->B + 1)), *k_off = memory(sizeof *k_off * (size_t)(a->B + 1));
    for (int b = 0; b <= a->B; b++)
        q_off[b] = b * a->Q, k_off[b] = b * a->T;
    a->q = numbers(queries * C), a->kv = numbers(rows * C * 2), a->y = numbers(queries * C),
    a->lse = numbers(queries * (size_t)a->H);
    a->dq = numbers(queries * C), a->dkv = numbers(rows * C * 2);
    a->shape =
        (clipk_attention_shape){.B = a->B, .H = a->H, .D = a->D, .q_off = q_off, .k_off = k_off, .causal = a->causal};
    const double operations = 2.0 * (double)(queries * C) * (a->causal ? (a->T + 1) / 2.0 : a->T);
    report(k, a->what, attend, a, 2 * operations);
    if (clipk_set_has(k->set, &clipk_formats[CLIPK_TILE_BF16_PAIRS]))
        report(k, "    pairs of bf16", attend_pairs, a, 2 * operations);
    report(k, "    backward", attend_backward, a, 5 * operations);
    free(a->q), free(a->kv), free(a->y), free(a->lse), free(a->dq), free(a->dkv), free(q_off), free(k_off);
}

/* ---- Convolution ----------------------------------------------------------------------------- */

typedef struct conv {
    int N, H, I, O;
    float *x, *y, *bias;
    void *work;
    clipk_conv3x3_weight w;
} conv;

static const int conv_shapes[][3] = {{112, 32, 32},  {112, 32, 64},  {56, 64, 64},   {56, 128, 128}, {28, 128, 128},
                                     {28, 256, 256}, {14, 256, 256}, {14, 512, 512}, {7, 512, 512}}; /* RN50: H, I, O */

static void convolve(const clipk_ctx *k, void *of)
{
    const conv *c = of;
    const clipk_epilogue e = {.bias = c->bias, .act = CLIPK_RELU};
    clipk_conv3x3(k, c->y, c->x, c->N, c->H, c->H, &c->w, &e, c->work);
}

static void bench_conv(const clipk_ctx *k, int N, const int s[3])
{
    conv c = {.N = N, .H = s[0], .I = s[1], .O = s[2]};
    const size_t pixels = (size_t)(N * c.H * c.H), I = (size_t)c.I, O = (size_t)c.O;
    float *W = numbers(O * I * 9);
    char what[64];
    c.w = (clipk_conv3x3_weight){c.O, c.I, memory(clipk_conv3x3_bytes(k->set, c.O, c.I))};
    clipk_conv3x3_pack(k, &c.w, W);
    c.x = numbers(pixels * I), c.y = numbers(pixels * O), c.bias = numbers(O);
    c.work = memory(clipk_conv3x3_work(k, N, c.H, c.H, c.I, c.O));
    snprintf(what, sizeof what, "3x3, %d picture%s of %dx%d, %d to %d", N, N > 1 ? "s" : "", c.H, c.H, c.I, c.O);
    report(k, what, convolve, &c, 18.0 * (double)(pixels * I * O));
    free(W), free(c.w.panels), free(c.x), free(c.y), free(c.bias), free(c.work);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

typedef struct rows {
    int T, C;
    float *x, *y, *gain;
} rows;

static void layernorm(const clipk_ctx *k, void *of)
{
    const rows *r = of;
    clipk_layernorm(k, r->y, NULL, NULL, r->x, NULL, r->gain, r->gain, 1e-5f, r->T, r->C);
}

static void gelu(const clipk_ctx *k, void *of)
{
    const rows *r = of;
    clipk_act_apply(k, r->y, r->x, (size_t)r->T * (size_t)r->C, CLIPK_GELU);
}

static void quickgelu(const clipk_ctx *k, void *of)
{
    const rows *r = of;
    clipk_act_apply(k, r->y, r->x, (size_t)r->T * (size_t)r->C, CLIPK_QUICKGELU);
}

static void f16(const clipk_ctx *k, void *of)
{
    const rows *r = of;
    clipk_to_f32(k, r->y, r->x, CLIPK_F16, (size_t)r->T * (size_t)r->C);
}

static void pool(const clipk_ctx *k, void *of)
{
    const rows *r = of;
    clipk_avgpool2x2(k, r->y, r->x, r->T / (56 * 56), 56, 56, r->C);
}

static void bench_rows(const clipk_ctx *k, const char *what, job *run, int T, int C)
{
    rows r = {T, C, numbers((size_t)T * (size_t)C), numbers((size_t)T * (size_t)C), numbers((size_t)C)};
    report(k, what, run, &r, 0);
    free(r.x), free(r.y), free(r.gain);
}

int main(int argc, char **argv)
{
    clipk_ctx k = {.set = clipk_set_find(argc > 1 ? argv[1] : NULL)};
    const int threads = argc > 2 ? atoi(argv[2]) : clipb_cores();
    if (!k.set || threads < 1) {
        fprintf(stderr, "usage: bench_rows [SET [THREADS]]\n");
        return 2;
    }
    if (!(k.team = clipb_team_new(threads)))
        abort();
    k.scratch = memory(clipk_scratch_bytes(k.set, threads));
    printf("%s, %d threads\n\nattention\n", clipk_set_name(k.set), threads);
    for (size_t i = 0; i < sizeof attentions / sizeof *attentions; i++)
        bench_attention(&k, &attentions[i]);
    printf("\nconvolution (RN50)\n");
    for (int N = 1; N <= 32; N += 31)
        for (size_t i = 0; i < sizeof conv_shapes / sizeof *conv_shapes; i++)
            bench_conv(&k, N, conv_shapes[i]);
    printf("\nrows\n");
    bench_rows(&k, "layernorm 50 x 768", layernorm, 50, 768);
    bench_rows(&k, "layernorm 1600 x 768", layernorm, 1600, 768);
    bench_rows(&k, "gelu 1600 x 3072", gelu, 1600, 3072);
    bench_rows(&k, "quickgelu 1600 x 3072", quickgelu, 1600, 3072);
    bench_rows(&k, "f16 to f32 1600 x 3072", f16, 1600, 3072);
    bench_rows(&k, "avgpool of 8 pictures of 56x56, 256 channels", pool, 8 * 56 * 56, 256);
    clipb_team_free(k.team);
    free(k.scratch);
    return 0;
}
