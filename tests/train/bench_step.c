/* bench_step: a step of training in f32 and in amp_bf16, in turn, in one process.
 * usage: bench_step CONFIG.json BATCH TOKENS [GFLOP [ROUNDS]]
 * Weights, pixels and ids are random; every caption has TOKENS of them. One thread, so the
 * processor's time is the step's, whatever else runs. Prints for each precision the medians: the
 * whole step, its gradient, the norm and AdamW; and with GFLOP, the arithmetic of a step, the share
 * of the peak of multiply-adds in that precision. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/order.h"
#include "base/rng.h"
#include "train/net.h"

enum { MOST = 100, PRECISIONS = 2 };
static const char *const names[PRECISIONS] = {"f32", "bf16"};

typedef struct side {
    cliptrn_net net;
    cliptrn_optimizer optimizer;
    double whole[MOST], gradient[MOST], update[MOST];
} side;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static clip_status batch_new(cliptrn_pairs *b, const clipmdl_config *c, int N, int tokens)
{
    const size_t S = (size_t)c->vision.image_size, pixels = (size_t)N * 3 * S * S, ids = (size_t)N * (size_t)tokens;
    clipb_rng r = clipb_rng_at(1, 0, 0, 0);
    float *x = malloc(pixels * sizeof *x);
    int32_t *id = malloc(ids * sizeof *id), *off = malloc(((size_t)N + 1) * sizeof *off);
    *b = (cliptrn_pairs){.N = N, .pixels = x, .ids = id, .off = off};
    if (!x || !id || !off)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < pixels; i++)
        x[i] = (float)clipb_rng_below(&r, 1001) / 250 - 2;
    for (size_t i = 0; i < ids; i++)
        id[i] = (int32_t)clipb_rng_below(&r, (uint32_t)c->text.vocab_size);
    for (int i = 0; i <= N; i++)
        off[i] = i * tokens;
    return CLIP_OK;
}

static clip_status side_new(side *s, const clipmdl_config *c, const char *precision, clip_error *err)
{
    const clipk_set *set = clipk_set_find(NULL);
    const cliptrn_net_options opt = {.format = clipk_format_find(precision, set)};
    const cliptrn_optimizer_options adamw = {
        .lr = 1e-5, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.2, .grad_clip_norm = 1,
        .schedule = CLIPTRN_CONST};
    if (!clipk_set_has(set, opt.format))
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "%s needs %s", precision, opt.format->needs);
    TRY(cliptrn_net_init(&s->net, c, &opt, 1, err));
    return cliptrn_optimizer_init(&s->optimizer, &adamw, &s->net.params);
}

static clip_status step(side *s, const cliptrn_pairs *batch, int round, clip_error *err)
{
    cliptrn_loss loss;
    const double start = now();
    TRY(cliptrn_net_gradient(&s->net, batch, round, &loss, err));
    const double middle = now();
    const cliptrn_weights w = cliptrn_net_weights(&s->net);
    cliptrn_optimizer_step(&s->optimizer, &s->net.k, &w, cliptrn_gradient_norm(&s->net.k, &w));
    cliptrn_net_settle(&s->net);
    if (round > 0) { /* the first one waits for memory */
        s->gradient[round - 1] = middle - start;
        s->update[round - 1] = now() - middle;
        s->whole[round - 1] = now() - start;
    }
    return CLIP_OK;
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, clipb_order_f64);
    return x[n / 2];
}

static void print(side *s, const char *precision, int rounds, double gflop)
{
    const double whole = median(s->whole, rounds);
    printf("%-5s %6.3f s a step: gradient %.3f, norm and AdamW %.3f", precision, whole, median(s->gradient, rounds),
           median(s->update, rounds));
    if (gflop > 0) {
        const clipk_format *f = s->net.opt.format;
        const double peak = clipk_fma_peak(&s->net.k, f, 1);
        printf("; %.0f GFLOP/s of %.0f, %.0f %%", gflop / whole, peak, 100 * gflop / whole / peak);
    }
    printf("\n");
}

static clip_status bench(const char *path, int N, int tokens, double gflop, int rounds, clip_error *err)
{
    static side s[PRECISIONS];
    clipmdl_config c;
    cliptrn_pairs batch;
    TRY(clipmdl_config_read(&clipmdl_openclip, path, &c, NULL, NULL, err));
    TRY(batch_new(&batch, &c, N, tokens));
    for (int i = 0; i < PRECISIONS; i++)
        TRY(side_new(&s[i], &c, names[i], err));
    for (int round = 0; round <= rounds; round++)
        for (int i = 0; i < PRECISIONS; i++)
            TRY(step(&s[i], &batch, round, err));
    for (int i = 0; i < PRECISIONS; i++)
        print(&s[i], names[i], rounds, gflop);
    printf("f32 over bf16: %.2f\n", median(s[0].whole, rounds) / median(s[1].whole, rounds));
    return CLIP_OK;
}

int main(int argc, char **argv)
{
    clip_error err = {.message = "out of memory"};
    const int rounds = argc > 5 ? atoi(argv[5]) : 5;
    if (argc < 4 || atoi(argv[2]) < 2 || atoi(argv[3]) < 1 || rounds < 1 || rounds > MOST) {
        fputs("usage: bench_step CONFIG.json BATCH TOKENS [GFLOP [ROUNDS]]\n", stderr);
        return 2;
    }
    if (bench(argv[1], atoi(argv[2]), atoi(argv[3]), argc > 4 ? atof(argv[4]) : 0, rounds, &err) < 0) {
        fprintf(stderr, "bench_step: %s\n", err.message);
        return 1;
    }
    return 0;
}
