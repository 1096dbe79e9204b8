/* The speed of this machine: the peak of its multiply-adds, and what a real product of this model
 * reaches. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/order.h"
#include "engine/engine.h"

#define ROUNDS 7
#define SAMPLES 32 /* of the batch whose product is timed */

clip_status clipeng_measure(clip_context *c, clip_machine_speed *out)
{
    const clipmdl_tower *t = c->model->image ? c->model->image : c->model->text;
    const clipk_weight *w = &t->largest->w;
    const int M = SAMPLES * t->tokens;
    const size_t x_size = (size_t)M * (size_t)w->K, y_size = (size_t)M * (size_t)w->N;
    clipb_arena a = {0};
    clipb_arena_alloc(&a, x_size, sizeof(float));
    clipb_arena_alloc(&a, y_size, sizeof(float));
    TRY(clipb_block_reserve(&c->acts, a.peak));
    a = clipb_arena_on(&c->acts);
    float *x = CLIPB_NEW(&a, float, x_size), *y = CLIPB_NEW(&a, float, y_size);
    for (size_t i = 0; i < x_size; i++)
        x[i] = (float)(i % 17) / 17 - 0.5f;

    double peak[ROUNDS], seconds[ROUNDS];
    clipk_gemm(&c->k, y, w->N, clipk_rows(x, w->K), M, w, NULL); /* warm-up */
    for (int r = 0; r < ROUNDS; r++) { /* in turn, so that both meet the same machine */
        peak[r] = clipk_fma_peak(&c->k, w->format, 0.02);
        double start = clipb_now();
        clipk_gemm(&c->k, y, w->N, clipk_rows(x, w->K), M, w, NULL);
        seconds[r] = clipb_now() - start;
    }
    qsort(peak, ROUNDS, sizeof *peak, clipb_order_f64);
    qsort(seconds, ROUNDS, sizeof *seconds, clipb_order_f64);
    out->fma_gflops = peak[ROUNDS / 2];
    out->gemm_gflops = 2e-9 * (double)M * (double)w->N * (double)w->K / seconds[ROUNDS / 2];
    return CLIP_OK;
}
