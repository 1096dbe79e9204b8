/* Two products do nearly all the work of a step: z = x Wᵀ, for which W is packed, and dW = dzᵀ x,
 * for which x is packed once. Samples are taken in blocks, so that z needs the room of one
 * block. */
#include "tasks/logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "tasks/metrics.h"

#define BLOCK 1024 /* samples at a time */
#define MEMORY 10  /* pairs of L-BFGS */
#define ARMIJO 1e-4
#define WOLFE 0.9
#define STEPS 20   /* in a line search: by then the step is 1e-6 of the first */

struct cliptsk_logistic {
    const clipk_ctx *k;
    cliptsk_samples s;
    double weight; /* Σw */
    clipb_block memory;
    unsigned char *x;        /* the blocks of x as operands [F, n], x_bytes each */
    unsigned char *W;        /* the weights as operand [C, F] */
    unsigned char *work;     /* scratch of clipk_sum_rows() */
    size_t x_bytes;
    float *z;                /* [BLOCK, C] */
    double *loss;            /* [BLOCK] */
    float *next, *g, *g_next, *d;     /* [P] each, P = C*F + C */
    float *step[MEMORY], *change[MEMORY]; /* [P] of theta; of the gradient */
};

static int block_of(const cliptsk_samples *s, int n0) { return s->N - n0 < BLOCK ? s->N - n0 : BLOCK; }

static void layout(clipb_arena *a, cliptsk_logistic *l)
{
    const cliptsk_samples *s = &l->s;
    const size_t P = cliptsk_logistic_size(s->F, s->C), blocks = ((size_t)s->N + BLOCK - 1) / BLOCK;
    const int n = block_of(s, 0);
    const size_t bytes = clipk_weight_bytes(l->k->set, CLIPK_FORMAT_F32, s->F, n);
    l->x_bytes = (bytes + CLIPB_ALIGN - 1) / CLIPB_ALIGN * CLIPB_ALIGN;
    l->x = clipb_arena_alloc(a, blocks, l->x_bytes);
    l->W = clipb_arena_alloc(a, clipk_weight_bytes(l->k->set, CLIPK_FORMAT_F32, s->C, s->F), 1);
    l->work = clipb_arena_alloc(a, clipk_sums_work(n, s->C), 1);
    l->z = CLIPB_NEW(a, float, (size_t)n * (size_t)s->C);
    l->loss = CLIPB_NEW(a, double, n);
    float **const vector[] = {&l->next, &l->g, &l->g_next, &l->d};
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++)
        *vector[i] = CLIPB_NEW(a, float, P);
    for (int i = 0; i < MEMORY; i++) {
        l->step[i] = CLIPB_NEW(a, float, P);
        l->change[i] = CLIPB_NEW(a, float, P);
    }
}

static clip_status check(const cliptsk_samples *s, double *weight)
{
    if (s->N < 1 || s->F < 1 || s->C < 2)
        return CLIP_EINVAL;
    *weight = 0;
    for (int n = 0; n < s->N; n++) {
        const float w = s->weight ? s->weight[n] : 1;
        if (s->y[n] < 0 || s->y[n] >= s->C || !(w >= 0))
            return CLIP_EINVAL;
        *weight += (double)w;
    }
    const bool sound = *weight > 0 && isfinite(*weight) && cliptsk_finite(s->x, (size_t)s->N * (size_t)s->F);
    return sound ? CLIP_OK : CLIP_EINVAL;
}

clip_status cliptsk_logistic_new(const clipk_ctx *k, const cliptsk_samples *s, cliptsk_logistic **out)
{
    double weight;
    *out = NULL;
    TRY(check(s, &weight));
    cliptsk_logistic *l = calloc(1, sizeof *l);
    if (!l)
        return CLIP_ENOMEM;
    l->k = k;
    l->s = *s;
    l->weight = weight;
    clipb_arena a = {0};
    layout(&a, l);
    if (clipb_block_reserve(&l->memory, a.peak) < 0) {
        free(l);
        return CLIP_ENOMEM;
    }
    a = clipb_arena_on(&l->memory);
    layout(&a, l);
    for (int n0 = 0; n0 < s->N; n0 += BLOCK) {
        clipk_weight w = {.format = CLIPK_FORMAT_F32, .N = s->F, .K = block_of(s, n0),
                          .panels = l->x + (size_t)(n0 / BLOCK) * l->x_bytes};
        clipk_weight_pack(k, &w, (clipk_view){s->x + (size_t)n0 * (size_t)s->F, CLIPK_F32, 1, s->F});
    }
    *out = l;
    return CLIP_OK;
}

void cliptsk_logistic_free(cliptsk_logistic *l)
{
    if (!l)
        return;
    clipb_block_free(&l->memory);
    free(l);
}

/* ---- f and its gradient ---------------------------------------------------------------------- */

typedef struct rows_job {
    cliptsk_logistic *l;
    int n0;
} rows_job;

/* Turn a row of z into a row of dz. */
static void softmax_row(void *job, int64_t i, int thread)
{
    const rows_job *j = job;
    const cliptsk_samples *s = &j->l->s;
    float *z = j->l->z + i * s->C, most = z[0];
    const int64_t n = j->n0 + i;
    const double w = s->weight ? (double)s->weight[n] : 1;
    double sum = 0;
    (void)thread;
    for (int c = 1; c < s->C; c++)
        most = z[c] > most ? z[c] : most;
    const float right = z[s->y[n]] - most;
    for (int c = 0; c < s->C; c++)
        sum += (double)(z[c] = expf(z[c] - most));
    j->l->loss[i] = w * (log(sum) - (double)right);
    const float scale = (float)(w / (j->l->weight * sum));
    for (int c = 0; c < s->C; c++)
        z[c] *= scale;
    z[s->y[n]] -= (float)(w / j->l->weight);
}

double cliptsk_logistic_value(cliptsk_logistic *l, double l2, const float *theta, float *gradient)
{
    const cliptsk_samples *s = &l->s;
    const int C = s->C, F = s->F;
    const size_t n_W = (size_t)C * (size_t)F;
    float *db = gradient + n_W;
    clipk_weight W = {.format = CLIPK_FORMAT_F32, .N = C, .K = F, .panels = l->W};
    double loss = 0, squares = 0;
    clipk_weight_pack(l->k, &W, clipk_rows(theta, F));
    memset(gradient, 0, cliptsk_logistic_size(F, C) * sizeof *gradient);
    for (int n0 = 0; n0 < s->N; n0 += BLOCK) {
        const int n = block_of(s, n0);
        clipk_weight x = {.format = CLIPK_FORMAT_F32, .N = F, .K = n,
                          .panels = l->x + (size_t)(n0 / BLOCK) * l->x_bytes};
        clipk_gemm(l->k, l->z, C, clipk_rows(s->x + (size_t)n0 * (size_t)F, F), n, &W,
                   &(clipk_epilogue){.bias = theta + n_W});
        clipb_team_run(l->k->team, n, softmax_row, &(rows_job){l, n0});
        for (int i = 0; i < n; i++)
            loss += l->loss[i];
        clipk_gemm(l->k, gradient, F, (clipk_view){l->z, CLIPK_F32, 1, C}, C, &x,
                   &(clipk_epilogue){.residual = gradient, .ld_residual = F});
        clipk_sum_rows(l->k, db, l->z, C, n, C, l->work);
    }
    const float decay = (float)(l2 / l->weight);
    for (size_t i = 0; i < n_W; i++) {
        squares += (double)theta[i] * (double)theta[i];
        gradient[i] += decay * theta[i];
    }
    return (loss + l2 / 2 * squares) / l->weight;
}

clip_status cliptsk_logistic_predict(const clipk_ctx *k, const float *theta, const float *x, int N, int F, int C,
                                     float *p)
{
    clipb_block memory = {0};
    clipk_weight W = {.format = CLIPK_FORMAT_F32, .N = C, .K = F};
    TRY(clipb_block_reserve(&memory, clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, C, F)));
    W.panels = memory.base;
    clipk_weight_pack(k, &W, clipk_rows(theta, F));
    clipk_gemm(k, p, C, clipk_rows(x, F), N, &W, &(clipk_epilogue){.bias = theta + (size_t)C * (size_t)F});
    clipk_softmax(k, p, 1, N, C);
    clipb_block_free(&memory);
    return CLIP_OK;
}

/* ---- L-BFGS ---------------------------------------------------------------------------------- */

/* Eight sums side by side, then their sum: the order is the same on every machine. */
static double dot(const float *a, const float *b, size_t n)
{
    double sum[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += (double)a[i + (size_t)j] * (double)b[i + (size_t)j];
    for (; i < n; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static void add(float *y, double a, const float *x, size_t n) /* y += a x */
{
    for (size_t i = 0; i < n; i++)
        y[i] += (float)a * x[i];
}

static double largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return (double)most;
}

/* d = -H g. Number `last` of the `kept` pairs is the newest. */
static void direction(cliptsk_logistic *l, int kept, int last, size_t P)
{
    double alpha[MEMORY], rho[MEMORY];
    for (size_t i = 0; i < P; i++)
        l->d[i] = -l->g[i];
    for (int m = 0; m < kept; m++) {
        const int at = (last - m + MEMORY) % MEMORY;
        rho[at] = 1 / dot(l->change[at], l->step[at], P);
        alpha[at] = rho[at] * dot(l->step[at], l->d, P);
        add(l->d, -alpha[at], l->change[at], P);
    }
    if (kept > 0) {
        const float scale = (float)(1 / (rho[last] * dot(l->change[last], l->change[last], P)));
        for (size_t i = 0; i < P; i++)
            l->d[i] *= scale;
    }
    for (int m = kept - 1; m >= 0; m--) {
        const int at = (last - m + MEMORY) % MEMORY;
        add(l->d, alpha[at] - rho[at] * dot(l->change[at], l->d, P), l->step[at], P);
    }
}

/* From theta along d to `next`, where the weak Wolfe conditions hold.
 * @return: false: f falls in no step that f32 can resolve */
static bool line_search(cliptsk_logistic *l, double l2, const float *theta, double slope, double t, double *f,
                        int *evaluations, size_t P)
{
    double lo = 0, hi = INFINITY;
    for (int i = 0; i < STEPS; i++) {
        memcpy(l->next, theta, P * sizeof *theta);
        add(l->next, t, l->d, P);
        const double f_next = cliptsk_logistic_value(l, l2, l->next, l->g_next);
        ++*evaluations;
        if (!(f_next <= *f + ARMIJO * t * slope))
            hi = t;
        else if (dot(l->g_next, l->d, P) < WOLFE * slope)
            lo = t;
        else {
            *f = f_next;
            return true;
        }
        t = isfinite(hi) ? (lo + hi) / 2 : 2 * lo;
    }
    return false;
}

void cliptsk_logistic_fit(cliptsk_logistic *l, const cliptsk_logistic_options *o, float *theta,
                          cliptsk_logistic_report *r)
{
    const size_t P = cliptsk_logistic_size(l->s.F, l->s.C);
    int kept = 0, last = MEMORY - 1;
    bool restarted = false;
    *r = (cliptsk_logistic_report){.f = cliptsk_logistic_value(l, o->l2, theta, l->g), .evaluations = 1};
    while (!(r->converged = largest(l->g, P) <= o->tolerance) && r->iterations < o->iterations) {
        direction(l, kept, last, P);
        double slope = dot(l->g, l->d, P);
        const double length = sqrt(dot(l->g, l->g, P));
        if (!line_search(l, o->l2, theta, slope, kept > 0 ? 1 : 1 / length, &r->f, &r->evaluations, P)) {
            if (kept == 0 || restarted) {
                r->converged = true;
                break;
            }
            restarted = true; /* once more, along the negative gradient */
            kept = 0;
            continue;
        }
        const int at = (last + 1) % MEMORY;
        for (size_t i = 0; i < P; i++) {
            l->step[at][i] = l->next[i] - theta[i];
            l->change[at][i] = l->g_next[i] - l->g[i];
        }
        memcpy(theta, l->next, P * sizeof *theta);
        memcpy(l->g, l->g_next, P * sizeof *theta);
        r->iterations++;
        if (dot(l->change[at], l->step[at], P) > 0) { /* always so but for rounding: f is convex */
            last = at;
            kept = kept < MEMORY ? kept + 1 : MEMORY;
        }
    }
}
